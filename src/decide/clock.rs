//! Conditions on the clock: deadlines of the day, and runs that are due by a schedule.
//!
//! Each deadline and each due time is judged by the first look that reads what it is about after it: how far a rule has
//! judged is kept with what is covered, so that an outage makes the truth late, and neither a restart nor a kill makes it
//! be told twice or not at all. What was not read is unknown, and not missing: a rule that asks for it lags behind until it
//! was read, and no other rule with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::answers::{Questions, Span};
use super::decider::Decider;
use super::history::candidate;
use super::judge::{Bench, Candidate, CandidateSubject, Judged, Naming};
use super::look::Look;
use super::memory::Memory;
use crate::alert::identity::due_alert_id;
use crate::alert::{Ending, end, late, overdue};
use crate::limits::{DUE_TIMES_PER_POLL_MAX, LAGGING_MAX};
use crate::model::{
    Alert, ConditionKind, EndReason, Instance, InstanceKey, InstanceType, Measures, ReasonCode, Severity, Snapshot,
    SourceId, Stage,
};
use crate::rule::daily::{Daily, Due, GoalState, KnownRun, Late};
use crate::rule::recurring::{DueTime, Recurring, missed};
use crate::rule::{Rule, Trigger};

/// All runs that are known of, by job and id.
pub(super) type RunsByJob = BTreeMap<String, BTreeMap<String, RunChange>>;

/// A run as it is, and as it was before this poll.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunChange {
    pub(super) now: Snapshot,
    before: Option<Snapshot>,
}

/// What is late.
enum Lateness {
    /// A run that was seen or is remembered; with it, when it came where it should be, if it did.
    Run(CandidateSubject, Box<Instance>, Option<Timestamp>),
    /// No run was planned.
    NoRun,
}

impl Decider {
    /// What the rules about the clock need to know, of what is due by now.
    pub(super) fn ask_for_clock(&mut self, memory: &Memory, look: &Look, questions: &mut Questions) {
        if !look.is_last_slice || !self.rules.looks_at_clock(&self.source) {
            return;
        }
        let (rules, source) = (self.rules.clone(), self.source.clone());
        let mut since = None;
        for (index, rule) in rules.of_source(&source) {
            let judged_until = self.judged_until(memory, index, look.now);
            match &rule.when.trigger {
                Some(Trigger::Daily(daily)) => {
                    for due in self.cache.dues.daily(index, daily, judged_until, look.now).iter() {
                        since = Some(since.map_or(due.planned_after, |since: Timestamp| since.min(due.planned_after)));
                        questions.planned.insert(week_before_deadline(due));
                    }
                }
                Some(Trigger::Missing(recurring)) => {
                    for due in self.cache.dues.recurring(index, recurring, judged_until, look.now).0.iter().copied() {
                        since = Some(since.map_or(due.at, |since: Timestamp| since.min(due.at)));
                        questions.planned.extend(recurring.week_before(due).map(|due| (due.at, due.until)));
                    }
                }
                Some(Trigger::Unplanned(own)) if look.has_schedules => {
                    let due = self.due_of_schedules(own, index, judged_until, look.now);
                    let most = due.values().map(|(_, dues)| dues.len()).max().unwrap_or_default();
                    let (jobs, count) = &mut questions.latest;
                    jobs.extend(due.keys().cloned());
                    // A run for each due time, and the one planned last, which says whether the schedule is read rightly.
                    *count = (*count).max(most + RUNS_TO_SPARE);
                }
                _ => {}
            }
        }
        questions.runs = since.map(|since| (since, look.now));
    }

    /// Judges what is due by now, and ends what has come to pass since.
    pub(super) fn judge_clock(&mut self, judged: &mut Judged, bench: &Bench<'_>) {
        let is_read = bench.look.is_last_slice && judged.observed.coverage.is_whole();
        judged.lagging.clone_from(&bench.memory.covered.lagging);
        if !self.rules.looks_at_clock(&self.source) {
            return;
        }
        self.end_what_has_come(judged, bench);
        if !bench.look.is_last_slice {
            return;
        }
        let (rules, source) = (self.rules.clone(), self.source.clone());
        let mut runs = None;
        let mut lagging = BTreeMap::new();
        for (index, rule) in rules.of_source(&source) {
            let Some(trigger) = &rule.when.trigger else { continue };
            let judged_until = self.judged_until(bench.memory, index, bench.now);
            let is_judged = match trigger {
                Trigger::Daily(daily) => {
                    let mut is_judged = true;
                    for due in self.cache.dues.daily(index, daily, judged_until, bench.now).iter().copied() {
                        let runs = runs.get_or_insert_with(|| known_runs(judged, bench));
                        is_judged &= self.judge_deadline((index, rule), daily, due, runs, judged, bench);
                    }
                    is_judged
                }
                Trigger::Missing(recurring) => {
                    let known = self.cache.dues.recurring(index, recurring, judged_until, bench.now);
                    let (dues, are_more) = &*known;
                    if *are_more {
                        judged.warnings.push(format!(
                            "rule {}: more due times passed since the last poll than one looks at; the last \
                             {DUE_TIMES_PER_POLL_MAX} count",
                            rule.id
                        ));
                    }
                    let runs = if dues.is_empty() {
                        None
                    } else {
                        Some(runs.get_or_insert_with(|| known_runs(judged, bench)))
                    };
                    runs.is_none_or(|runs| {
                        self.judge_missing((index, rule), recurring, dues.clone(), runs, judged, bench)
                    })
                }
                Trigger::Unplanned(_) if !bench.look.has_schedules => false,
                Trigger::Unplanned(own) => self.judge_by_schedules((index, rule), own, judged_until, judged, bench),
                _ => continue,
            };
            if !is_judged {
                lagging.insert(rules.marks()[index].clone(), self.not_too_old(judged_until, rule, judged, bench));
            }
        }
        if is_read {
            judged.lagging = lagging;
        }
    }

    /// Up to when a rule has judged, for one that could not judge up to now: what it lags behind for too long it gives up.
    fn not_too_old(&self, judged_until: Timestamp, rule: &Rule, judged: &mut Judged, bench: &Bench<'_>) -> Timestamp {
        let oldest = bench.now.checked_sub(LAGGING_MAX).unwrap_or(Timestamp::MIN);
        if judged_until < oldest {
            judged.warnings.push(format!(
                "rule {}: what was due until {oldest} was never read, so nobody can say whether it was missing",
                rule.id
            ));
        }
        judged_until.max(oldest)
    }

    /// Up to when a rule has judged: what is covered, or for one that looks for the first time, from when on it tells.
    fn judged_until(&self, memory: &Memory, index: usize, now: Timestamp) -> Timestamp {
        let mark = &self.rules.marks()[index];
        let lags = memory.covered.lagging.get(mark).copied();
        match lags.or(memory.covered.until) {
            Some(until) if memory.known_rules.contains(mark) => until.min(now),
            _ => super::look::told_from(now, self.first_poll, memory.covered.until),
        }
    }

    /// Judges one deadline; says whether that could be done for every job.
    fn judge_deadline(
        &mut self,
        (index, rule): (usize, &Rule),
        daily: &Daily,
        due: Due,
        runs: &RunsByJob,
        judged: &mut Judged,
        bench: &Bench<'_>,
    ) -> bool {
        let planned = week_before_deadline(&due);
        let expected = self.expected((index, rule), daily.sole_source.as_ref(), planned, Rule::expects, bench);
        let is_known = due.planned_after >= bench.known_from;
        let jobs: BTreeSet<&String> = runs.keys().chain(&expected).collect();
        let (mut late_ones, mut is_judged) = (Vec::new(), true);
        for job in jobs {
            if !self.matches(job, index) {
                continue;
            }
            let of_job: Vec<KnownRun<'_>> = runs
                .get(job)
                .into_iter()
                .flatten()
                .map(|(id, run)| KnownRun { id, now: run.now, before: run.before })
                .collect();
            for one in daily.late(&due, &of_job, |kind| rule.expects(kind)) {
                let (id, over_at) = match one {
                    Late::Run(id) => (id, None),
                    Late::Over(id, at) => (id, Some(at)),
                    Late::NoRun if !expected.contains(job) || judged.is_gone(rule, job) => continue,
                    Late::NoRun if judged.observed.coverage.may_miss(job, |kind| rule.expects(kind)) => {
                        is_judged = false;
                        continue;
                    }
                    Late::NoRun if !is_known => continue,
                    Late::NoRun => {
                        late_ones.push((job.clone(), Lateness::NoRun));
                        continue;
                    }
                };
                let Some(state) = runs.get(job).and_then(|of_job| of_job.get(id)).map(|run| run.now) else { continue };
                let (subject, run) = self.find(job, id, state, judged);
                late_ones.push((job.clone(), Lateness::Run(subject, Box::new(run), over_at)));
            }
        }
        self.end_vain_warnings(rule, &due, &late_ones, runs, judged, bench.now);
        for (job, lateness) in late_ones {
            self.tell_late((index, rule), daily, due, job, lateness, judged, bench);
        }
        is_judged
    }

    /// Begins the alert about what is late, or tells again what was warned of.
    #[expect(clippy::too_many_arguments, reason = "one late run, with all that says what it is late for")]
    fn tell_late(
        &self,
        (index, rule): (usize, &Rule),
        daily: &Daily,
        due: Due,
        job: String,
        lateness: Lateness,
        judged: &mut Judged,
        bench: &Bench<'_>,
    ) {
        let is_warning = due.at > bench.now;
        let (subject, run, over_at) = match lateness {
            Lateness::Run(subject, run, over_at) => (subject, Some(run), over_at),
            Lateness::NoRun => (CandidateSubject::Job(job.clone()), None, None),
        };
        if is_warning && over_at.is_some() {
            return;
        }
        let id = run.as_ref().map_or("", |run| run.id.as_str());
        let about_run = InstanceKey { job: job.clone(), id: id.to_string() };
        let about_job = InstanceKey { job: job.clone(), id: String::new() };
        let firing = [about_run, about_job].iter().find_map(|key| judged.ledger.firing_of(key, &rule.id)).cloned();
        if let Some(alert) = firing {
            let measures = &alert.facts.alert.measures;
            let is_warned = measures.due_at == Some(due.at) && measures.stage == Some(Stage::Warning);
            if is_warned && !is_warning && alert.suspended_at.is_none() {
                let alert = overdue(&alert, run.as_deref(), rule.severity, bench.now);
                judged.ledger.replace(alert.clone());
                judged.overdue.push(alert);
                judged.unseen.extend(run.map(|run| *run));
            }
            return;
        }
        let measures = Measures {
            condition: Some(daily.kind()),
            stage: is_warning.then_some(Stage::Warning),
            due_at: Some(due.at),
            due: Some(daily.text()),
            late_ms: if is_warning { None } else { late(due.at, over_at.unwrap_or(bench.now)) },
            ..Measures::default()
        };
        let since = due.warn_at.filter(|_| is_warning).unwrap_or(due.at);
        let naming = Naming::Exactly(due_alert_id(&self.source, &job, id, &rule.id, due.at));
        let severity = is_warning.then(|| rule.severity.min(Severity::Warning));
        let found = candidate(index, subject, naming, measures, since, false);
        judged.candidates.push(Candidate { severity, over_at, ..found });
    }

    /// Judges due times of a rule; says whether that could be done for every job.
    fn judge_missing(
        &mut self,
        (index, rule): (usize, &Rule),
        recurring: &Recurring,
        mut dues: Vec<DueTime>,
        runs: &RunsByJob,
        judged: &mut Judged,
        bench: &Bench<'_>,
    ) -> bool {
        dues.retain(|due| due.at >= bench.known_from);
        let mut due_of: BTreeMap<String, Vec<DueTime>> = BTreeMap::new();
        for due in dues {
            let before = recurring.week_before(due).map(|due| (due.at, due.until));
            let planned = before.unwrap_or((Timestamp::MAX, Timestamp::MIN));
            let sole_source = recurring.sole_source.as_ref();
            for job in self.expected((index, rule), sole_source, planned, Rule::concerns, bench) {
                due_of.entry(job).or_default().push(due);
            }
        }
        let mut is_judged = true;
        for (job, dues) in due_of {
            if judged.is_gone(rule, &job) {
                continue;
            }
            if judged.observed.coverage.may_miss(&job, |kind| rule.concerns(kind)) {
                is_judged = false;
                continue;
            }
            let of_job = runs.get(&job).into_iter().flat_map(BTreeMap::values).map(|run| run.now);
            let text = |at| recurring.text(at);
            judged.candidates.extend(self.missing_of((index, rule), &job, &dues, text, of_job, bench.now));
        }
        is_judged
    }

    /// The alert about a job that has missed some of `dues`; a due time is told as `text` has it.
    pub(super) fn missing_of(
        &self,
        (index, rule): (usize, &Rule),
        job: &str,
        dues: &[DueTime],
        text: impl Fn(Timestamp) -> String,
        runs: impl Iterator<Item = Snapshot>,
        now: Timestamp,
    ) -> Option<Candidate> {
        let times: Vec<_> =
            runs.filter(|run| rule.concerns(run.kind)).map(|run| (run.plan_time, run.start_time)).collect();
        let missed = missed(dues, &times)?;
        let measures = Measures {
            condition: Some(ConditionKind::Missing),
            due_at: Some(missed.last),
            due: Some(text(missed.last)),
            due_times_missed: Some(missed.count),
            late_ms: late(missed.last, missed.over_at.unwrap_or(now)),
            ..Measures::default()
        };
        let naming = Naming::Exactly(due_alert_id(&self.source, job, "", &rule.id, missed.last));
        let found = candidate(index, CandidateSubject::Job(job.to_string()), naming, measures, missed.first, false);
        Some(Candidate { over_at: missed.over_at, ..found })
    }

    /// The jobs for which a run is expected: those that the rule names in full, where it is clear that they are in this
    /// source, and those of which a run was planned at such a time a week before.
    fn expected(
        &mut self,
        (index, rule): (usize, &Rule),
        sole_source: Option<&SourceId>,
        planned: Span,
        counts: fn(&Rule, InstanceType) -> bool,
        bench: &Bench<'_>,
    ) -> BTreeSet<String> {
        let names = rule.matches.jobs.iter().map(|pattern| pattern.literal());
        let is_named_in_full = sole_source == Some(&self.source);
        let mut expected: BTreeSet<String> = BTreeSet::new();
        if is_named_in_full {
            expected.extend(names.clone().flatten().map(str::to_string));
        }
        let has_patterns = rule.matches.jobs.is_empty() || names.clone().any(|name| name.is_none());
        if has_patterns || !is_named_in_full {
            let jobs = bench.answers.planned.get(&planned).into_iter().flatten();
            expected.extend(jobs.filter(|(_, kind)| counts(rule, *kind)).map(|(job, _)| job.clone()));
        }
        expected.retain(|job| self.matches(job, index));
        expected
    }

    /// Ends the alerts about jobs of which a run has come up since, and those about runs that have started since.
    fn end_what_has_come(&self, judged: &mut Judged, bench: &Bench<'_>) {
        let mut by_job: HashMap<&str, Vec<&Instance>> = HashMap::new();
        for run in judged.observed.runs.iter().map(|seen| &seen.instance) {
            if judged.ledger.concerns(&run.job.name) {
                by_job.entry(&run.job.name).or_default().push(run);
            }
        }
        let rules = &self.rules;
        let ended = judged.ledger.end_where(|alert| {
            let rule = rules.get(&alert.rule).filter(|_| alert.suspended_at.is_none())?;
            let runs = by_job.get(alert.facts.job.name.as_str())?;
            match rule.when.trigger.as_ref()? {
                Trigger::Daily(daily) => deadline_met(alert, daily, rule, runs, bench.now),
                Trigger::Missing(_) | Trigger::Unplanned(_) => run_again(alert, rule, runs, bench.now),
                _ => None,
            }
        });
        judged.ended.extend(ended);
    }

    /// Ends the warnings of a deadline that has come and for which their run is not late after all: it was called off,
    /// say, and a later one had done its work.
    fn end_vain_warnings(
        &self,
        rule: &Rule,
        due: &Due,
        late_ones: &[(String, Lateness)],
        runs: &RunsByJob,
        judged: &mut Judged,
        now: Timestamp,
    ) {
        if due.at > now {
            return;
        }
        judged.end_where(|alert| {
            let (measures, job) = (&alert.facts.alert.measures, &alert.facts.job.name);
            let own = &alert.facts.instance.as_ref()?.id;
            let is_warning = measures.due_at == Some(due.at) && measures.stage == Some(Stage::Warning);
            let is_late = |(other, lateness): &(String, Lateness)| {
                other == job && matches!(lateness, Lateness::Run(_, run, _) if run.id == *own)
            };
            let is_known = runs.get(job).is_some_and(|runs| runs.contains_key(own));
            if alert.rule != rule.id || !is_warning || !is_known || late_ones.iter().any(is_late) {
                return None;
            }
            let ending = Ending::new(EndReason::Recovered, ReasonCode::LaterRun, now);
            Some(end(alert, ending.measured(Measures::clone(measures)), now))
        });
    }
}

/// Latest runs of a job that are asked for beyond one for each due time.
const RUNS_TO_SPARE: usize = 10;

/// The runs that the store knows and those that were just seen.
fn known_runs(judged: &Judged, bench: &Bench<'_>) -> RunsByJob {
    let mut runs = RunsByJob::new();
    for (key, snapshot) in &bench.answers.runs {
        let run = RunChange { now: *snapshot, before: Some(*snapshot) };
        runs.entry(key.job.clone()).or_default().insert(key.id.clone(), run);
    }
    for seen in &judged.observed.runs {
        let run = RunChange { now: seen.instance.snapshot(), before: seen.before };
        runs.entry(seen.instance.job.name.clone()).or_default().insert(seen.instance.id.clone(), run);
    }
    runs
}

/// The plan times a week before those that a deadline is about.
fn week_before_deadline(due: &Due) -> Span {
    let (after, until) = due.week_before;
    (after + SignedDuration::from_millis(1), until)
}

/// The end of an alert about a deadline, for those whose end the success of their own run or a later one does not tell.
fn deadline_met(alert: &Alert, daily: &Daily, rule: &Rule, runs: &[&Instance], now: Timestamp) -> Option<Alert> {
    let measures = &alert.facts.alert.measures;
    let due_at = measures.due_at?;
    let own = alert.facts.instance.as_ref();
    let started = measures.condition == Some(ConditionKind::NotStartedBy);
    if own.is_some() && !started {
        return None;
    }
    let date = due_at.to_zoned(daily.zone.clone()).date();
    let planned_after = daily.due_on(date).map_or(due_at, |due| due.planned_after);
    let is_meant = |run: &&&Instance| match own {
        Some(own) => run.id == own.id,
        None => {
            let planned = run.plan_time.or(run.start_time);
            rule.concerns(run.kind) && planned.is_some_and(|planned| planned > planned_after)
        }
    };
    let (run, at) = runs.iter().filter(is_meant).find_map(|run| match daily.standing(&run.snapshot()) {
        GoalState::Reached(at) => Some((*run, at)),
        GoalState::NotReached => None,
    })?;
    let (reason, code) = match (started, at) {
        (true, None) => (EndReason::Over, ReasonCode::CalledOff),
        (true, Some(_)) => (EndReason::Over, ReasonCode::Started),
        (false, _) => (EndReason::Recovered, ReasonCode::LaterRun),
    };
    let at = at.unwrap_or(now);
    let measures = Measures { late_ms: late(due_at, at), ..Measures::clone(measures) };
    let ending = Ending { run: Some(run), ..Ending::new(reason, code, at) };
    Some(end(alert, ending.measured(measures), now))
}

/// The end of an alert about a missing run: there is one again.
fn run_again(alert: &Alert, rule: &Rule, runs: &[&Instance], now: Timestamp) -> Option<Alert> {
    let measures = &alert.facts.alert.measures;
    let due_at = measures.due_at?;
    let concerned = runs.iter().filter(|run| rule.concerns(run.kind));
    let times = concerned.flat_map(|run| [run.plan_time, run.start_time]).flatten();
    let at = times.filter(|time| *time >= due_at).min()?;
    let measures = Measures { late_ms: late(due_at, at), ..Measures::clone(measures) };
    Some(end(alert, Ending::new(EndReason::Over, ReasonCode::RunsAgain, now).measured(measures), now))
}
