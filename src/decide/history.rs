//! Conditions on a job's history: failures in a row, the share of failures, runs slower than usual.
//!
//! The past runs of a job are asked for when a rule first needs them, and kept at hand from then on. A rule costs nothing
//! for jobs in which nothing fails and nothing runs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::decider::Decider;
use super::judge::{Bench, Candidate, CandidateSubject, Judged, Naming};
use super::look::Look;
use super::memory::Memory;
use super::observe::Observed;
use super::standing::{AlertStanding, of_history};
use crate::alert::identity::rate_alert_id;
use crate::alert::{Ending, Ledger, end, is_about};
use crate::limits::{HISTORY_RUNS_CACHED_MAX, SLOWER_EXCESS_MIN};
use crate::model::{
    Alert, AlertId, ConditionKind, EndReason, Instance, InstanceKey, Measures, ReasonCode, Snapshot, Status,
    Suppression,
};
use crate::rule::history::{FailureRate, Past, Slower, went_well};
use crate::rule::{Rule, Trigger};

/// What is to be asked of one job's history.
#[derive(Debug, Default)]
struct Wanted {
    /// Rules about failures, by index.
    failures: BTreeSet<usize>,
    /// Rules about durations with the run that is under way, by its place among what was seen.
    running: Vec<(usize, usize)>,
}

/// How an alert about failures in a row stands.
enum RowStanding {
    /// There are as many as the rule asks for, or may be.
    Holds,
    /// Nobody can say.
    Unknown,
    /// There are fewer.
    Over(Box<Alert>),
}

/// Whether an alert is about failures in a row, and watched.
fn is_row(alert: &Alert) -> bool {
    is_about(alert, ConditionKind::Consecutive) && alert.suspended_at.is_none()
}

impl Decider {
    /// The jobs whose past runs are needed and not at hand.
    pub(super) fn past_wanted(&mut self, memory: &Memory, observed: &Observed, look: &Look) -> BTreeSet<String> {
        if !self.rules.looks_at_history(&self.source) {
            return BTreeSet::new();
        }
        if self.cache.past.values().map(Past::len).sum::<usize>() > HISTORY_RUNS_CACHED_MAX {
            self.cache.past.clear();
        }
        let is_first = self.first_looks(memory);
        let is_news: Vec<bool> = observed.runs.iter().map(|seen| seen.has_changed).collect();
        // Rows that end in this poll make room for others: more is asked for than is used.
        let wanted = self.wanted(observed, &Ledger::default(), &memory.firing, &is_first, &is_news, look.now);
        wanted.into_keys().filter(|job| !self.cache.past.contains_key(job)).collect()
    }

    /// Judges the history of the jobs that have changed.
    pub(super) fn judge_history(&mut self, judged: &mut Judged, bench: &Bench<'_>) {
        if !self.rules.looks_at_history(&self.source) {
            return;
        }
        let broken = self.end_broken_rows(judged, bench);
        let Judged { observed, ledger, is_stirred, .. } = &*judged;
        let mut wanted = self.wanted(observed, ledger, ledger, &bench.is_first, is_stirred, bench.now);
        // Behind the success that ended a row another one may be known already.
        for (job, index) in broken {
            if self.matches(&job, index) {
                wanted.entry(job).or_default().failures.insert(index);
            }
        }
        self.take_past(judged, bench);
        self.end_fallen_rows(judged, bench);
        self.end_fallen_rates(judged, bench);

        let rules = self.rules.clone();
        for (job, wanted) in &wanted {
            let Some(past) = self.cache.past.get(job) else { continue };
            let mut found = Vec::new();
            for &index in &wanted.failures {
                let rule = &rules.rules()[index];
                found.extend(match &rule.when.trigger {
                    Some(Trigger::Consecutive(runs)) => {
                        self.failed_in_a_row((index, rule), (job, past), *runs, judged, bench)
                    }
                    Some(Trigger::FailureRate(rate)) => self.fails_too_often((index, rule), (job, past), rate, bench),
                    _ => None,
                });
            }
            for &(index, at) in &wanted.running {
                let rule = &rules.rules()[index];
                if let Some(Trigger::Slower(slower)) = &rule.when.trigger {
                    let run = &judged.observed.runs[at].instance;
                    found.extend(slower_than_usual(past, (index, rule), slower, (at, run), bench.now));
                }
            }
            judged.candidates.extend(found);
        }
    }

    /// Which rules want to know of which jobs' history: what has just failed (`is_news` says it of each run), what runs, and
    /// what fires by `judged_again`. Nothing is asked where an alert of `firing` fires already.
    fn wanted(
        &mut self,
        observed: &Observed,
        firing: &Ledger,
        judged_again: &Ledger,
        is_first: &[bool],
        is_news: &[bool],
        now: Timestamp,
    ) -> BTreeMap<String, Wanted> {
        let rules = self.rules.clone();
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        for (at, (seen, is_news)) in observed.runs.iter().zip(is_news).enumerate() {
            let (run, is_news) = (&seen.instance, *is_news);
            let is_running = run.status == Status::Running;
            if !is_running && went_well(run.status) != Some(false) {
                continue;
            }
            let matching = rules.matching(&self.source, &run.job.name, &mut self.cache.matches);
            for &index in matching.iter() {
                let rule = &rules.rules()[index];
                let is_news = is_news || is_first[index];
                match &rule.when.trigger {
                    Some(Trigger::Consecutive(_) | Trigger::FailureRate(_))
                        if !is_running && is_news && !firing.fires_for_job(&run.job.name, &rule.id) =>
                    {
                        wanted.entry(run.job.name.clone()).or_default().failures.insert(index);
                    }
                    Some(Trigger::Slower(_)) if is_running && rule.concerns(run.kind) => {
                        // Nobody is slow in the first minute.
                        let is_young = run.duration(now).is_none_or(|lasted| lasted < SLOWER_EXCESS_MIN);
                        if !is_young && !firing.fires(&run.key(), &rule.id) {
                            wanted.entry(run.job.name.clone()).or_default().running.push((index, at));
                        }
                    }
                    _ => {}
                }
            }
        }
        let rows = self.rows_due(observed, judged_again, is_news);
        let rates = judged_again.firing().filter(|alert| is_about(alert, ConditionKind::FailureRate));
        for alert in rates.chain(&rows) {
            wanted.entry(alert.facts.job.name.clone()).or_default();
        }
        wanted
    }

    /// Takes in what the store has answered, and what was just seen.
    fn take_past(&mut self, judged: &Judged, bench: &Bench<'_>) {
        for (job, runs) in &bench.answers.past {
            let past = self.cache.past.entry(job.clone()).or_default();
            runs.iter().for_each(|(id, run)| past.enter(id, run));
        }
        for (seen, _) in judged.observed.runs.iter().zip(&judged.is_stirred).filter(|(_, is_stirred)| **is_stirred) {
            if let Some(past) = self.cache.past.get_mut(&seen.instance.job.name) {
                past.enter(&seen.instance.id, &seen.instance.snapshot());
            }
        }
    }

    /// Ends the alerts about failures in a row that a success ends, before new ones are looked for: one poll may see the
    /// end of a row and the whole of the next. Returns the jobs of those with their rules.
    fn end_broken_rows(&self, judged: &mut Judged, bench: &Bench<'_>) -> Vec<(String, usize)> {
        if !judged.ledger.firing().any(|alert| is_row(alert)) {
            return Vec::new();
        }
        let over = judged.recover(bench.memory, is_row, bench.now);
        let rule_of = |alert: &Alert| Some((alert.facts.job.name.clone(), self.rules.index(&alert.rule)?));
        let broken = over.iter().filter_map(rule_of).collect();
        judged.ended.extend(over);
        broken
    }

    /// The alerts about failures in a row that are to be judged: a run of their job has changed since they were, or nobody
    /// knows that they were.
    fn rows_due(&self, observed: &Observed, firing: &Ledger, has_changed: &[bool]) -> Vec<Arc<Alert>> {
        if !firing.firing().any(|alert| is_row(alert)) {
            return Vec::new();
        }
        let changed = observed.runs.iter().zip(has_changed).filter(|(_, has_changed)| **has_changed);
        let changed: HashSet<&str> = changed.map(|(seen, _)| seen.instance.job.name.as_str()).collect();
        let is_due = |alert: &&Arc<Alert>| {
            let is_old = changed.contains(alert.facts.job.name.as_str());
            is_row(alert) && (is_old || !self.cache.rows_judged.contains(&alert.id))
        };
        firing.firing().filter(is_due).cloned().collect()
    }

    /// Ends the alerts about failures in a row that are not so many after all: a run among them was made again and went well,
    /// or its failure counts no longer.
    fn end_fallen_rows(&mut self, judged: &mut Judged, bench: &Bench<'_>) {
        let due = self.rows_due(&judged.observed, &judged.ledger, &judged.is_stirred);
        let jobs: HashSet<&str> = due.iter().map(|alert| alert.facts.job.name.as_str()).collect();
        // What the store has counted has ended; what is under way may still fail.
        for (key, run) in bench.memory.runs.all_open().filter(|(key, _)| jobs.contains(key.job.as_str())) {
            if let Some(past) = self.cache.past.get_mut(&key.job) {
                past.enter(&key.id, run);
            }
        }
        for job in &jobs {
            if let Some(past) = self.cache.past.get_mut(*job) {
                judged.seen_of(job).for_each(|seen| past.enter(&seen.instance.id, &seen.instance.snapshot()));
            }
        }
        let mut judged_now: HashSet<AlertId> = HashSet::new();
        for alert in &due {
            match self.row_stands(alert, judged, bench) {
                RowStanding::Holds => {
                    judged_now.insert(alert.id.clone());
                }
                RowStanding::Unknown => {}
                RowStanding::Over(over) => {
                    judged.ledger.remove(&over.facts.subject(), &over.id);
                    judged.ended.push(*over);
                }
            }
        }
        let was_due: HashSet<&AlertId> = due.iter().map(|alert| &alert.id).collect();
        let before = &self.cache.rows_judged;
        let is_still = |alert: &&Arc<Alert>| {
            let was_before = || !was_due.contains(&alert.id) && before.contains(&alert.id);
            is_row(alert) && (judged_now.contains(&alert.id) || was_before())
        };
        self.cache.rows_judged = judged.ledger.firing().filter(is_still).map(|alert| alert.id.clone()).collect();
    }

    /// How an alert about failures in a row stands by what is known of its job. What was not read may have failed: of that an
    /// end is not made, unless it is the run that the alert names which went well.
    fn row_stands(&self, alert: &Alert, judged: &Judged, bench: &Bench<'_>) -> RowStanding {
        let job = alert.facts.job.name.as_str();
        let Some(rule) = self.rules.get(&alert.rule) else { return RowStanding::Unknown };
        let (Some(Trigger::Consecutive(runs)), Some(past)) = (&rule.when.trigger, self.cache.past.get(job)) else {
            return RowStanding::Unknown;
        };
        let concerns = |kind| rule.concerns(kind);
        if past.row_at_most(concerns).is_none_or(|row| row >= *runs) {
            return RowStanding::Holds;
        }
        let own = judged.seen(job, &alert.facts.subject().id).map(|at| &judged.observed.runs[at].instance);
        if let Some(AlertStanding::Over(ending)) = own.map(|run| of_history(alert, run, bench.now)) {
            return RowStanding::Over(Box::new(end(alert, *ending, bench.now)));
        }
        if !bench.look.is_last_slice || judged.observed.coverage.may_miss(job, concerns) {
            return RowStanding::Unknown;
        }
        let runs_failed = u32::try_from(past.row(concerns)).ok();
        let measures = Measures { runs_failed, ..Measures::clone(&alert.facts.alert.measures) };
        let ending = Ending::new(EndReason::Over, ReasonCode::RowFell, bench.now).measured(measures);
        RowStanding::Over(Box::new(end(alert, ending, bench.now)))
    }

    /// Ends the alerts about a share of failures that is no longer too large.
    fn end_fallen_rates(&self, judged: &mut Judged, bench: &Bench<'_>) {
        let (rules, past) = (&self.rules, &self.cache.past);
        judged.end_where(|alert| {
            if !is_about(alert, ConditionKind::FailureRate) || alert.suspended_at.is_some() {
                return None;
            }
            let rule = rules.get(&alert.rule)?;
            let Some(Trigger::FailureRate(rate)) = &rule.when.trigger else { return None };
            let measures = measured(past.get(&alert.facts.job.name)?, rule, rate)?;
            let ending = || Ending::new(EndReason::Over, ReasonCode::RateFell, bench.now);
            (!is_too_often(&measures, rate)).then(|| end(alert, ending().measured(measures), bench.now))
        });
    }

    fn failed_in_a_row(
        &self,
        (index, rule): (usize, &Rule),
        (job, past): (&str, &Past),
        runs: usize,
        judged: &Judged,
        bench: &Bench<'_>,
    ) -> Option<Candidate> {
        let (id, row) = past.failed_in_a_row(runs, |kind| rule.concerns(kind))?;
        let (subject, run) = self.find(job, id, past.run(id)?, judged);
        let since = run.end_time.unwrap_or(bench.now);
        let measures = Measures {
            condition: Some(ConditionKind::Consecutive),
            runs_failed: u32::try_from(row).ok(),
            ..Measures::default()
        };
        // A row that was over and is met again by another failure of an earlier run is another episode.
        let naming = Naming::Run { spans_end: false, repeats: true, is_settled: false };
        let was_outside = matches!(subject, CandidateSubject::Seen(at) if judged.observed.runs[at].was_outside);
        let is_history = run.status.has_ended() && bench.is_history(index, was_outside, since);
        Some(candidate(index, subject, naming, measures, since, is_history))
    }

    fn fails_too_often(
        &self,
        (index, rule): (usize, &Rule),
        (job, past): (&str, &Past),
        rate: &FailureRate,
        bench: &Bench<'_>,
    ) -> Option<Candidate> {
        let measures = measured(past, rule, rate).filter(|measures| is_too_often(measures, rate))?;
        let failed = past.failed_runs(rate.over, |kind| rule.concerns(kind));
        let last = failed.iter().map(|(_, run)| run.end_time.unwrap_or(bench.now)).max()?;
        let naming = Naming::Exactly(rate_alert_id(&self.source, job, &rule.id, &failed));
        let is_history = bench.is_history(index, false, last);
        Some(candidate(index, CandidateSubject::Job(job.to_string()), naming, measures, last, is_history))
    }

    /// A run of a job as it was just seen, or as it is remembered.
    pub(super) fn find(
        &self,
        job: &str,
        id: &str,
        remembered: Snapshot,
        judged: &Judged,
    ) -> (CandidateSubject, Instance) {
        match judged.seen(job, id) {
            Some(at) => (CandidateSubject::Seen(at), judged.observed.runs[at].instance.clone()),
            None => {
                let key = InstanceKey { job: job.to_string(), id: id.to_string() };
                let run = self.remembered(key, remembered);
                (CandidateSubject::Run(Box::new(run.clone())), run)
            }
        }
    }
}

fn slower_than_usual(
    past: &Past,
    (index, rule): (usize, &Rule),
    slower: &Slower,
    (at, run): (usize, &Instance),
    now: Timestamp,
) -> Option<Candidate> {
    let started = run.start_time?;
    let due = run.plan_time.unwrap_or(started);
    let usual = past.usual(slower, due, |kind| rule.concerns(kind))?;
    if run.duration(now)? < usual.limit {
        return None;
    }
    let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).ok();
    let since = SignedDuration::try_from(usual.limit).ok().and_then(|limit| started.checked_add(limit).ok());
    let measures = Measures {
        condition: Some(ConditionKind::SlowerThanUsual),
        usual_ms: milliseconds(usual.median),
        limit_ms: milliseconds(usual.limit),
        runs_counted: u32::try_from(usual.runs).ok(),
        ..Measures::default()
    };
    let naming = Naming::Run { spans_end: true, repeats: true, is_settled: false };
    Some(candidate(index, CandidateSubject::Seen(at), naming, measures, since.unwrap_or(now), false))
}

/// A condition that holds now.
pub(super) fn candidate(
    rule: usize,
    subject: CandidateSubject,
    naming: Naming,
    measures: Measures,
    since: Timestamp,
    is_history: bool,
) -> Candidate {
    let suppressed_by = is_history.then_some(Suppression::FirstPoll);
    Candidate { rule, subject, naming, measures, severity: None, since, over_at: None, suppressed_by, episode: 1 }
}

/// How many of the last runs failed; `None` where there are too few of them.
fn measured(past: &Past, rule: &Rule, rate: &FailureRate) -> Option<Measures> {
    let failed = past.failures(rate.over, |kind| rule.concerns(kind))?;
    Some(Measures {
        condition: Some(ConditionKind::FailureRate),
        runs_failed: u32::try_from(failed).ok(),
        runs_counted: u32::try_from(rate.over).ok(),
        limit_percent: Some(rate.above),
        ..Measures::default()
    })
}

fn is_too_often(measures: &Measures, rate: &FailureRate) -> bool {
    let (failed, counted) = (measures.runs_failed.unwrap_or_default(), measures.runs_counted.unwrap_or_default());
    f64::from(failed) * 100.0 > rate.above * f64::from(counted)
}
