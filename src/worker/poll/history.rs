//! Conditions on a job's history: failures in a row, the share of failures, runs slower than usual.
//!
//! The past runs of a job are read from the store when a rule first needs them, and kept at hand from then on. A rule
//! costs nothing for jobs in which nothing fails and nothing runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Poller;
use super::decide::{Decision, Look, ended_before};
use crate::alert::identity::{alert_id, rate_alert_id};
use crate::alert::{Found, Ledger, Subject, begin_found, end_found};
use crate::limits::{HISTORY_RUNS_CACHED_MAX, HISTORY_RUNS_MAX, SLOWER_EXCESS_MIN};
use crate::model::{Alert, AlertId, ConditionKind, Instance, InstanceKey, Measures, ReasonCode, Status, Suppression};
use crate::rule::history::{FailureRate, Past, Slower, went_well};
use crate::rule::{Rule, Trigger};
use crate::source::Source;
use crate::store::{Desk, PollLedger, StoreError};

/// What is to be asked of one job's history.
#[derive(Debug, Default)]
struct Questions {
    /// Rules about failures, by index.
    failures: BTreeSet<usize>,
    /// Rules about durations with the run that is under way, by index among what was seen.
    running: Vec<(usize, usize)>,
}

/// A rule about failures, put to one job's past.
struct Case<'a> {
    job: &'a str,
    past: &'a Past,
    rule: &'a Rule,
    is_first: bool,
    decision: &'a Decision,
    look: &'a Look,
}

impl<'a> Case<'a> {
    /// What was found; whether it is of the past counts on a rule's first look.
    fn found(&self, id: AlertId, measures: Measures, since: Timestamp, is_past: bool) -> Found<'a> {
        let is_past = self.is_first && is_past;
        Found {
            id,
            rule: &self.rule.id,
            severity: self.rule.severity,
            receivers: &self.rule.notify,
            measures,
            since,
            over_at: None,
            suppressed_by: is_past.then_some(Suppression::FirstPoll),
        }
    }
}

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Decides which alerts about the history of jobs begin, and which about the share of failures end.
    pub(super) async fn judge_by_history(&mut self, decision: &mut Decision, look: &Look) -> Result<(), StoreError> {
        if !self.rules.looks_at_history(&self.settings.id) {
            return Ok(());
        }
        let broken = self.rows_that_are_broken(decision, look.now);
        decision.resolved.extend(broken);
        let asked = self.questions(decision, look);
        self.load_past(asked.keys().cloned(), decision).await?;
        let ended = self.rates_that_fell(decision, look);
        decision.resolved.extend(ended);

        let rules = self.rules.clone();
        let mut found = Vec::new();
        for (job, questions) in &asked {
            let Some(past) = self.past.get(job) else { continue };
            for &index in &questions.failures {
                let rule = &rules.rules()[index];
                let case = Case { job, past, rule, is_first: look.is_first[index], decision, look };
                found.extend(match &rule.when.trigger {
                    Some(Trigger::Consecutive(runs)) => self.failed_in_a_row(&case, *runs),
                    Some(Trigger::FailureRate(rate)) => self.fails_too_often(&case, rate),
                    _ => None,
                });
            }
            for &(index, run) in &questions.running {
                let rule = &rules.rules()[index];
                if let Some(Trigger::Slower(slower)) = &rule.when.trigger {
                    found.extend(self.slower_than_usual(past, rule, slower, &decision.seen[run], look.now));
                }
            }
        }
        let subjects: BTreeSet<InstanceKey> = found.iter().map(|alert| alert.facts.subject()).collect();
        for (instance, stirred) in decision.seen.iter().zip(&mut decision.stirred) {
            *stirred |= !subjects.is_empty() && subjects.contains(&instance.key());
        }
        self.begin_found(found, decision).await
    }

    /// Which rules want to know of which jobs' history: what has just failed, what runs, and what fires.
    fn questions(&mut self, decision: &Decision, look: &Look) -> BTreeMap<String, Questions> {
        let rules = self.rules.clone();
        let mut asked: BTreeMap<String, Questions> = BTreeMap::new();
        for (at, (instance, stirred)) in decision.seen.iter().zip(&decision.stirred).enumerate() {
            let is_running = instance.status == Status::Running;
            if !is_running && went_well(instance.status) != Some(false) {
                continue;
            }
            let matching = rules.matching(&self.settings.id, &instance.job.name, &mut self.matches);
            for &index in matching.iter() {
                let rule = &rules.rules()[index];
                let is_news = *stirred || look.is_first[index];
                match &rule.when.trigger {
                    Some(Trigger::Consecutive(_) | Trigger::FailureRate(_))
                        if !is_running && is_news && !decision.ledger.fires_for_job(&instance.job.name, &rule.id) =>
                    {
                        asked.entry(instance.job.name.clone()).or_default().failures.insert(index);
                    }
                    Some(Trigger::Slower(_)) if is_running && rule.concerns(instance.kind) => {
                        // Nobody is slow in the first minute.
                        let is_young = instance.duration(look.now).is_none_or(|lasted| lasted < SLOWER_EXCESS_MIN);
                        if !is_young && !decision.ledger.fires(&instance.key(), &rule.id) {
                            asked.entry(instance.job.name.clone()).or_default().running.push((index, at));
                        }
                    }
                    _ => {}
                }
            }
        }
        for alert in decision.ledger.firing().filter(|alert| is_about_rate(alert)) {
            asked.entry(alert.facts.job.name.clone()).or_default();
        }
        asked
    }

    /// Makes sure that the past of these jobs is at hand, with what was just seen in it.
    async fn load_past(&mut self, jobs: impl Iterator<Item = String>, decision: &Decision) -> Result<(), StoreError> {
        if self.past.values().map(Past::len).sum::<usize>() > HISTORY_RUNS_CACHED_MAX {
            self.past.clear();
        }
        let unread: Vec<String> = jobs.filter(|job| !self.past.contains_key(job)).collect();
        let read = self.store.past_runs(&self.settings.id, &unread, HISTORY_RUNS_MAX).await?;
        for (job, runs) in read {
            let mut past = Past::default();
            runs.iter().for_each(|(id, run)| past.enter(id, run));
            self.past.insert(job, past);
        }
        for (instance, stirred) in decision.seen.iter().zip(&decision.stirred) {
            if *stirred && let Some(past) = self.past.get_mut(&instance.job.name) {
                past.enter(&instance.id, &instance.snapshot());
            }
        }
        Ok(())
    }

    fn failed_in_a_row(&self, case: &Case<'_>, runs: usize) -> Option<Alert> {
        let Case { job, past, rule, decision, look, .. } = case;
        let (id, row) = past.failed_in_a_row(runs, |kind| rule.concerns(kind))?;
        let instance = self.find(job, id, decision)?;
        let measures = Measures {
            condition: Some(ConditionKind::Consecutive),
            runs_failed: u32::try_from(row).ok(),
            ..Measures::default()
        };
        let since = instance.end_time.unwrap_or(look.now);
        let is_past = ended_before(&instance, since, look.told_from);
        let found = case.found(alert_id(&instance, &rule.id, false, 1), measures, since, is_past);
        Some(begin_found(Subject::Run(&instance), self.source.kind(), found, look.now))
    }

    fn fails_too_often(&self, case: &Case<'_>, rate: &FailureRate) -> Option<Alert> {
        let Case { job, past, rule, look, .. } = case;
        let measures = measured(past, rule, rate).filter(|measures| is_too_often(measures, rate))?;
        let failed = past.failed_runs(rate.over, |kind| rule.concerns(kind));
        let last = failed.iter().map(|(_, run)| run.end_time.unwrap_or(look.now)).max()?;
        let id = rate_alert_id(&self.settings.id, job, &rule.id, &failed);
        let found = case.found(id, measures, last, last < look.told_from);
        let subject = Subject::Job { source: &self.settings.id, name: job };
        Some(begin_found(subject, self.source.kind(), found, look.now))
    }

    fn slower_than_usual(
        &self,
        past: &Past,
        rule: &Rule,
        slower: &Slower,
        instance: &Instance,
        now: Timestamp,
    ) -> Option<Alert> {
        let started = instance.start_time?;
        let due = instance.plan_time.unwrap_or(started);
        let usual = past.usual(slower, due, |kind| rule.concerns(kind))?;
        if instance.duration(now)? < usual.limit {
            return None;
        }
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).ok();
        let since = SignedDuration::try_from(usual.limit).ok().and_then(|limit| started.checked_add(limit).ok());
        let found = Found {
            id: alert_id(instance, &rule.id, true, 1),
            rule: &rule.id,
            severity: rule.severity,
            receivers: &rule.notify,
            measures: Measures {
                condition: Some(ConditionKind::SlowerThanUsual),
                usual_ms: milliseconds(usual.median),
                limit_ms: milliseconds(usual.limit),
                runs_counted: u32::try_from(usual.runs).ok(),
                ..Measures::default()
            },
            since: since.unwrap_or(now),
            over_at: None,
            suppressed_by: None,
        };
        Some(begin_found(Subject::Run(instance), self.source.kind(), found, now))
    }

    /// Ends the alerts about failures in a row that a success ends, before new ones are looked for: one poll may see the
    /// end of a row and the whole of the next.
    fn rows_that_are_broken(&self, decision: &mut Decision, now: Timestamp) -> Vec<Alert> {
        let is_row = |alert: &&Alert| alert.facts.alert.measures.condition == Some(ConditionKind::Consecutive);
        let mut rows = Ledger::new(decision.ledger.firing().filter(is_row).cloned());
        let is_over = |instance: &&Instance| instance.status.has_ended() && rows.concerns(&instance.job.name);
        let over: Vec<Instance> = decision.seen.iter().filter(is_over).cloned().collect();
        let ended = rows.resolve(&over, &self.last_ends(&rows, &decision.seen), now);
        decision.ledger.end_where(|alert| ended.iter().find(|ended| ended.id == alert.id).cloned())
    }

    /// Ends the alerts about a share of failures that is no longer too large.
    fn rates_that_fell(&self, decision: &mut Decision, look: &Look) -> Vec<Alert> {
        let (rules, past) = (&self.rules, &self.past);
        decision.ledger.end_where(|alert| {
            if !is_about_rate(alert) {
                return None;
            }
            let rule = rules.get(&alert.rule)?;
            let Some(Trigger::FailureRate(rate)) = &rule.when.trigger else { return None };
            let measures = measured(past.get(&alert.facts.job.name)?, rule, rate)?;
            let has_fallen = !is_too_often(&measures, rate);
            has_fallen.then(|| end_found(alert, ReasonCode::RateFell, measures, None, look.now, look.now))
        })
    }

    /// A run of a job as it was just seen, or as it is remembered.
    pub(super) fn find(&self, job: &str, id: &str, decision: &Decision) -> Option<Instance> {
        let seen = decision.seen.iter().find(|instance| instance.id == id && instance.job.name == job);
        seen.cloned().or_else(|| {
            let key = InstanceKey { job: job.to_string(), id: id.to_string() };
            let snapshot = *self.memory.as_ref()?.snapshots.get(&key)?;
            Some(self.remembered(key, snapshot))
        })
    }
}

fn is_about_rate(alert: &Alert) -> bool {
    alert.facts.alert.measures.condition == Some(ConditionKind::FailureRate)
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
