//! Conditions on the clock: deadlines of the day, and runs that a schedule owes.
//!
//! Each deadline and each due time is judged once, by the first poll that reads the whole source after it: the cursor,
//! which moves in the same transaction as the alerts, says which of them were judged. So an outage makes the truth
//! late, and neither a restart nor a kill makes it be told twice or not at all. What a list that is not whole does not
//! hold is unknown, and not missing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use tracing::warn;

use super::Poller;
use super::decide::{Decision, Look};
use crate::alert::identity::due_alert_id;
use crate::alert::{Found, Ledger, Subject, begin_found, end_found, late, overdue};
use crate::limits::DUE_TIMES_PER_POLL_MAX;
use crate::model::{
    Alert, ConditionKind, Instance, InstanceKey, InstanceType, Measures, ReasonCode, Severity, Snapshot, SourceId,
    Stage,
};
use crate::rule::daily::{Daily, Due, KnownRun, Late, Standing};
use crate::rule::recurring::{DueTime, Recurring, missed};
use crate::rule::{Rule, Trigger};
use crate::source::Source;
use crate::store::{Desk, PollLedger, StoreError};

/// All runs that are known of, by job and id.
pub(super) type Runs = BTreeMap<String, BTreeMap<String, Run>>;

/// A run as it is, and as it was before this poll.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) now: Snapshot,
    before: Option<Snapshot>,
}

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Decides which alerts about deadlines and due times begin, and which of those about jobs end.
    pub(super) async fn judge_by_clock(&mut self, decision: &mut Decision, look: &Look) -> Result<(), StoreError> {
        if !self.rules.looks_at_clock(&self.settings.id) {
            return Ok(());
        }
        let ended = self.end_what_has_come(decision, look);
        decision.resolved.extend(ended);
        let rules = self.rules.clone();
        let mut runs = None;
        for (index, rule) in rules.rules().iter().enumerate() {
            if !rule.concerns_source(&self.settings.id) {
                continue;
            }
            let judged_until = self.judged_until(look, index);
            match &rule.when.trigger {
                Some(Trigger::Daily(daily)) => {
                    for due in daily.dues(judged_until, look.now) {
                        let runs = runs.get_or_insert_with(|| self.known_runs(decision));
                        let late = self.late_for(daily, (index, rule), due, runs, look).await?;
                        let settled = warned_in_vain(rule, &due, &late, runs, &mut decision.ledger, look.now);
                        decision.resolved.extend(settled);
                        self.tell_late(daily, rule, due, late, decision, look).await?;
                    }
                }
                Some(Trigger::Missing(recurring)) if look.is_whole => {
                    let (mut dues, are_more) = recurring.due_times(judged_until, look.now);
                    if are_more {
                        let count = DUE_TIMES_PER_POLL_MAX;
                        warn!(rule = %rule.id, "more due times passed since the last poll than one looks at; the last {count} count");
                    }
                    dues.retain(|due| due.at >= look.known_from);
                    if !dues.is_empty() {
                        let runs = runs.get_or_insert_with(|| self.known_runs(decision));
                        let found = self.missing(recurring, (index, rule), &dues, runs, look.now).await?;
                        self.begin_found(found, decision).await?;
                    }
                }
                Some(Trigger::Unplanned(own)) if look.is_whole => {
                    let dues = self.owed_by_plans(own, index, judged_until, look);
                    if !dues.is_empty() {
                        let runs = runs.get_or_insert_with(|| self.known_runs(decision));
                        let found = self.unplanned(own, rule, dues, runs, look.now);
                        self.begin_found(found, decision).await?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Up to when a rule has judged: the cursor, or for one that looks for the first time, from when on it tells.
    pub(super) fn judged_until(&self, look: &Look, index: usize) -> Timestamp {
        let cursor = self.memory.as_ref().and_then(|memory| memory.read_until);
        match cursor {
            Some(cursor) if !look.is_first[index] => cursor.min(look.now),
            _ => look.told_from,
        }
    }

    fn known_runs(&self, decision: &Decision) -> Runs {
        let mut runs = Runs::new();
        let remembered = self.memory.iter().flat_map(|memory| &memory.snapshots);
        for (key, snapshot) in remembered {
            let run = Run { now: *snapshot, before: Some(*snapshot) };
            runs.entry(key.job.clone()).or_default().insert(key.id.clone(), run);
        }
        for instance in &decision.seen {
            let of_job = runs.entry(instance.job.name.clone()).or_default();
            let before = of_job.get(&instance.id).and_then(|run| run.before);
            of_job.insert(instance.id.clone(), Run { now: instance.snapshot(), before });
        }
        runs
    }

    /// What is late for a deadline, by job.
    async fn late_for(
        &mut self,
        daily: &Daily,
        (index, rule): (usize, &Rule),
        due: Due,
        runs: &Runs,
        look: &Look,
    ) -> Result<Vec<(String, Lateness)>, StoreError> {
        let can_miss = look.is_whole && due.planned_after >= look.known_from;
        let expected = match can_miss {
            true => {
                let (after, until) = due.week_before;
                let planned = (after + jiff::SignedDuration::from_millis(1), until);
                self.expected(rule, index, daily.sole_source.as_ref(), planned, Rule::expects).await?
            }
            false => BTreeSet::new(),
        };
        let mut late = Vec::new();
        let jobs: BTreeSet<&String> = runs.keys().chain(&expected).collect();
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
                match one {
                    Late::Run(id) => late.push((job.clone(), Lateness::Run(id.to_string(), None))),
                    Late::Over(id, at) => late.push((job.clone(), Lateness::Run(id.to_string(), Some(at)))),
                    Late::NoRun if expected.contains(job) => late.push((job.clone(), Lateness::NoRun)),
                    Late::NoRun => {}
                }
            }
        }
        Ok(late)
    }

    /// Begins the alerts about what is late, and tells again what was warned of.
    async fn tell_late(
        &self,
        daily: &Daily,
        rule: &Rule,
        due: Due,
        late_ones: Vec<(String, Lateness)>,
        decision: &mut Decision,
        look: &Look,
    ) -> Result<(), StoreError> {
        let is_warning = due.at > look.now;
        let mut found = Vec::new();
        for (job, lateness) in late_ones {
            let (id, over_at) = match &lateness {
                Lateness::Run(id, over_at) => (id.as_str(), *over_at),
                Lateness::NoRun => ("", None),
            };
            if is_warning && over_at.is_some() {
                continue;
            }
            let instance = if id.is_empty() { None } else { self.find(&job, id, decision) };
            let subject = match &instance {
                Some(instance) => Subject::Run(instance),
                None => Subject::Job { source: &self.settings.id, name: &job },
            };
            let about_job = InstanceKey { job: job.clone(), id: String::new() };
            let firing =
                [subject.key(), about_job].iter().find_map(|key| decision.ledger.firing_of(key, &rule.id)).cloned();
            if let Some(alert) = firing {
                let measures = &alert.facts.alert.measures;
                if measures.due_at == Some(due.at) && measures.stage == Some(Stage::Warning) && !is_warning {
                    let alert = overdue(&alert, instance.as_ref(), rule.severity, look.now);
                    if !decision.overdue.iter().any(|other| other.id == alert.id) {
                        decision.ledger.update(std::slice::from_ref(&alert));
                        decision.overdue.push(alert);
                        decision.unseen.extend(instance);
                    }
                }
                continue;
            }
            let measures = Measures {
                condition: Some(daily.kind()),
                stage: is_warning.then_some(Stage::Warning),
                due_at: Some(due.at),
                due: Some(daily.text()),
                late_ms: if is_warning { None } else { late(due.at, over_at.unwrap_or(look.now)) },
                ..Measures::default()
            };
            let severity = if is_warning { rule.severity.min(Severity::Warning) } else { rule.severity };
            let since = due.warn_at.filter(|_| is_warning).unwrap_or(due.at);
            let id = due_alert_id(&self.settings.id, &job, id, &rule.id, due.at);
            let receivers = &rule.notify;
            let one = Found { id, rule: &rule.id, severity, receivers, measures, since, over_at, suppressed_by: None };
            found.push(begin_found(subject, self.source.kind(), one, look.now));
            decision.unseen.extend(instance);
        }
        self.begin_found(found, decision).await
    }

    /// The alerts about jobs that have missed some of these due times.
    async fn missing(
        &mut self,
        recurring: &Recurring,
        (index, rule): (usize, &Rule),
        dues: &[DueTime],
        runs: &Runs,
        now: Timestamp,
    ) -> Result<Vec<Alert>, StoreError> {
        let mut owed: BTreeMap<String, Vec<DueTime>> = BTreeMap::new();
        for due in dues {
            let before = recurring.week_before(*due).map(|due| (due.at, due.until));
            let planned = before.unwrap_or((Timestamp::MAX, Timestamp::MIN));
            let sole_source = recurring.sole_source.as_ref();
            for job in self.expected(rule, index, sole_source, planned, Rule::concerns).await? {
                owed.entry(job).or_default().push(*due);
            }
        }
        let mut found = Vec::new();
        for (job, dues) in owed {
            let text = |at| recurring.text(at);
            found.extend(self.missing_of(rule, &job, &dues, text, runs, now));
        }
        Ok(found)
    }

    /// The alert about a job that has missed some of `dues`; a due time is told as `text` has it.
    pub(super) fn missing_of(
        &self,
        rule: &Rule,
        job: &str,
        dues: &[DueTime],
        text: impl Fn(Timestamp) -> String,
        runs: &Runs,
        now: Timestamp,
    ) -> Option<Alert> {
        let of_job = runs.get(job).into_iter().flat_map(BTreeMap::values);
        let times: Vec<_> = of_job
            .filter(|run| rule.concerns(run.now.kind))
            .map(|run| (run.now.plan_time, run.now.start_time))
            .collect();
        let missed = missed(dues, &times)?;
        let measures = Measures {
            condition: Some(ConditionKind::Missing),
            due_at: Some(missed.last),
            due: Some(text(missed.last)),
            due_times_missed: Some(missed.count),
            late_ms: late(missed.last, missed.over_at.unwrap_or(now)),
            ..Measures::default()
        };
        let one = Found {
            id: due_alert_id(&self.settings.id, job, "", &rule.id, missed.last),
            rule: &rule.id,
            severity: rule.severity,
            receivers: &rule.notify,
            measures,
            since: missed.first,
            over_at: missed.over_at,
            suppressed_by: None,
        };
        let subject = Subject::Job { source: &self.settings.id, name: job };
        Some(begin_found(subject, self.source.kind(), one, now))
    }

    /// The jobs for which a run is expected: those that the rule names in full, where it is clear that they are in this
    /// source, and those of which a run was planned at such a time a week before.
    async fn expected(
        &mut self,
        rule: &Rule,
        index: usize,
        sole_source: Option<&SourceId>,
        planned: (Timestamp, Timestamp),
        counts: fn(&Rule, InstanceType) -> bool,
    ) -> Result<BTreeSet<String>, StoreError> {
        let names = rule.matches.jobs.iter().map(|pattern| pattern.literal());
        let is_named_in_full = sole_source == Some(&self.settings.id);
        let mut expected: BTreeSet<String> = BTreeSet::new();
        if is_named_in_full {
            expected.extend(names.clone().flatten().map(str::to_string));
        }
        let has_patterns = rule.matches.jobs.is_empty() || names.clone().any(|name| name.is_none());
        if has_patterns || !is_named_in_full {
            let jobs = self.store.planned_jobs(&self.settings.id, planned.0, planned.1).await?;
            expected.extend(jobs.into_iter().filter(|(_, kind)| counts(rule, *kind)).map(|(job, _)| job));
        }
        expected.retain(|job| self.matches(job, index));
        Ok(expected)
    }

    pub(super) fn matches(&mut self, job: &str, index: usize) -> bool {
        self.rules.matching(&self.settings.id, job, &mut self.matches).contains(&index)
    }

    /// Ends the alerts about jobs of which a run has come up since, and those about runs that have started since.
    fn end_what_has_come(&self, decision: &mut Decision, look: &Look) -> Vec<Alert> {
        let mut by_job: HashMap<&str, Vec<&Instance>> = HashMap::new();
        for instance in decision.seen.iter().filter(|instance| decision.ledger.concerns(&instance.job.name)) {
            by_job.entry(&instance.job.name).or_default().push(instance);
        }
        let rules = &self.rules;
        decision.ledger.end_where(|alert| {
            let rule = rules.get(&alert.rule)?;
            let runs = by_job.get(alert.facts.job.name.as_str())?;
            match rule.when.trigger.as_ref()? {
                Trigger::Daily(daily) => deadline_met(alert, daily, rule, runs, look.now),
                Trigger::Missing(_) | Trigger::Unplanned(_) => run_again(alert, rule, runs, look.now),
                _ => None,
            }
        })
    }
}

/// What is late, without borrowing from what is known.
enum Lateness {
    /// The run of this id; with it, when it came where it should be, if it did.
    Run(String, Option<Timestamp>),
    /// No run was planned.
    NoRun,
}

/// Ends the warnings of a deadline that has come and for which their run is not late after all: it was called off, say,
/// and a later one had done its work.
fn warned_in_vain(
    rule: &Rule,
    due: &Due,
    late_ones: &[(String, Lateness)],
    runs: &Runs,
    ledger: &mut Ledger,
    now: Timestamp,
) -> Vec<Alert> {
    if due.at > now {
        return Vec::new();
    }
    ledger.end_where(|alert| {
        let (measures, job) = (&alert.facts.alert.measures, &alert.facts.job.name);
        let own = &alert.facts.instance.as_ref()?.id;
        let is_warning = measures.due_at == Some(due.at) && measures.stage == Some(Stage::Warning);
        let is_late = |(other, lateness): &(String, Lateness)| {
            other == job && matches!(lateness, Lateness::Run(id, _) if id == own)
        };
        let is_known = runs.get(job).is_some_and(|runs| runs.contains_key(own));
        if alert.rule != rule.id || !is_warning || !is_known || late_ones.iter().any(is_late) {
            return None;
        }
        Some(end_found(alert, ReasonCode::LaterRun, measures.clone(), None, now, now))
    })
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
        Standing::Reached(at) => Some((*run, at)),
        Standing::NotReached => None,
    })?;
    let ending = match (started, at) {
        (true, None) => ReasonCode::CalledOff,
        (true, Some(_)) => ReasonCode::Started,
        (false, _) => ReasonCode::LaterRun,
    };
    let at = at.unwrap_or(now);
    let measures = Measures { late_ms: late(due_at, at), ..measures.clone() };
    Some(end_found(alert, ending, measures, Some(run), at, now))
}

/// The end of an alert about a missing run: there is one again.
fn run_again(alert: &Alert, rule: &Rule, runs: &[&Instance], now: Timestamp) -> Option<Alert> {
    let measures = &alert.facts.alert.measures;
    let due_at = measures.due_at?;
    let concerned = runs.iter().filter(|run| rule.concerns(run.kind));
    let times = concerned.flat_map(|run| [run.plan_time, run.start_time]).flatten();
    let at = times.filter(|time| *time >= due_at).min()?;
    let measures = Measures { late_ms: late(due_at, at), ..measures.clone() };
    Some(end_found(alert, ReasonCode::RunsAgain, measures, None, now, now))
}
