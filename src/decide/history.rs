//! Conditions on a job's history: failures in a row, the share of failures, runs slower than usual.
//!
//! The past runs of a job are asked for when a rule first needs them, and kept at hand from then on. A rule costs nothing
//! for jobs in which nothing fails and nothing runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::decider::Decider;
use super::judge::{Bench, Candidate, CandidateSubject, Judged, Naming, last_ends, succeeded};
use super::look::Look;
use super::memory::Memory;
use super::observe::{Observed, Seen};
use crate::alert::identity::{alert_id, rate_alert_id};
use crate::alert::{Ending, Ledger, end, is_about};
use crate::limits::{HISTORY_RUNS_CACHED_MAX, SLOWER_EXCESS_MIN};
use crate::model::{
    Alert, ConditionKind, EndReason, Instance, InstanceKey, Measures, ReasonCode, Snapshot, Status, Suppression,
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
        // Rows that end in this poll make room for others: more is asked for than is used.
        let wanted =
            self.wanted(observed, &Ledger::default(), &memory.firing, &is_first, |seen| seen.has_changed, look.now);
        wanted.into_keys().filter(|job| !self.cache.past.contains_key(job)).collect()
    }

    /// Judges the history of the jobs that have changed.
    pub(super) fn judge_history(&mut self, judged: &mut Judged, bench: &Bench<'_>) {
        if !self.rules.looks_at_history(&self.source) {
            return;
        }
        self.end_broken_rows(judged, bench);
        let stirred = std::mem::take(&mut judged.is_stirred);
        let mut places = stirred.iter();
        let is_stirred = |_: &Seen| places.next().copied().unwrap_or_default();
        let wanted =
            self.wanted(&judged.observed, &judged.ledger, &judged.ledger, &bench.is_first, is_stirred, bench.now);
        self.take_past(judged, &stirred, bench);
        judged.is_stirred = stirred;
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

    /// Which rules want to know of which jobs' history: what has just failed, what runs, and what fires. Nothing is asked
    /// where an alert of `firing` fires already.
    fn wanted(
        &mut self,
        observed: &Observed,
        firing: &Ledger,
        about_rates: &Ledger,
        is_first: &[bool],
        mut is_news: impl FnMut(&Seen) -> bool,
        now: Timestamp,
    ) -> BTreeMap<String, Wanted> {
        let rules = self.rules.clone();
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        for (at, seen) in observed.runs.iter().enumerate() {
            let (run, is_news) = (&seen.instance, is_news(seen));
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
        for alert in about_rates.firing().filter(|alert| is_about(alert, ConditionKind::FailureRate)) {
            wanted.entry(alert.facts.job.name.clone()).or_default();
        }
        wanted
    }

    /// Takes in what the store has answered, and what was just seen.
    fn take_past(&mut self, judged: &Judged, stirred: &[bool], bench: &Bench<'_>) {
        for (job, runs) in &bench.answers.past {
            let past = self.cache.past.entry(job.clone()).or_default();
            runs.iter().for_each(|(id, run)| past.enter(id, run));
        }
        for (seen, _) in judged.observed.runs.iter().zip(stirred).filter(|(_, is_stirred)| **is_stirred) {
            if let Some(past) = self.cache.past.get_mut(&seen.instance.job.name) {
                past.enter(&seen.instance.id, &seen.instance.snapshot());
            }
        }
    }

    /// Ends the alerts about failures in a row that a success ends, before new ones are looked for: one poll may see the
    /// end of a row and the whole of the next.
    fn end_broken_rows(&self, judged: &mut Judged, bench: &Bench<'_>) {
        let is_row = |alert: &Alert| is_about(alert, ConditionKind::Consecutive) && alert.suspended_at.is_none();
        if !judged.ledger.firing().any(|alert| is_row(alert)) {
            return;
        }
        let ends = last_ends(bench.memory, &judged.ledger, &judged.observed);
        let over = judged.ledger.recover(succeeded(&judged.observed), &ends, is_row, bench.now);
        judged.ended.extend(over);
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
        let naming = Naming::Exactly(alert_id(&run, &rule.id, false, 1));
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
