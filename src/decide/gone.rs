//! Jobs that are gone: the list of jobs lacks them.
//!
//! That ends the alerts about such a job. From then on nothing is missing of it until the list has it again: people have
//! heard of it once, and would hear the same at every due time. Where it was not read as a whole nobody knows: no job is called
//! gone, and one that it shows is back.

use std::collections::HashSet;

use jiff::SignedDuration;

use super::answers::Questions;
use super::decider::Decider;
use super::judge::{Bench, Judged};
use super::look::Look;
use super::memory::{GoneJobs, Memory};
use crate::alert::{Ending, end, is_about};
use crate::limits::GONE_JOBS_KEPT;
use crate::model::{Alert, ConditionKind, EndReason, InstanceType, ReasonCode};
use crate::rule::{Rule, RuleSet, Trigger};

impl Decider {
    /// Whether the list of jobs matters though no rule is about jobs: something fires about a job as a whole, which may be gone,
    /// or a job was gone, which may be back.
    pub fn wonders_about_jobs(&self, memory: &Memory) -> bool {
        !memory.covered.gone.is_empty() || memory.firing.firing().any(|alert| is_about_job(alert, &self.rules))
    }

    /// Asks of which type the runs were of the jobs that seem to be gone.
    pub(super) fn ask_for_gone_jobs(&self, memory: &Memory, look: &Look, questions: &mut Questions) {
        let Some(listed) = listed(look) else { return };
        let (jobs, count) = &mut questions.latest;
        for alert in memory.firing.firing().filter(|alert| is_about_job(alert, &self.rules)) {
            let job = alert.facts.job.name.as_str();
            if !listed.contains(job) {
                jobs.insert(job.to_string());
                *count = (*count).max(1);
            }
        }
    }

    /// Ends the alerts about jobs that are gone, and notes of which of them nothing is missing from now on.
    pub(super) fn end_gone_jobs(&mut self, judged: &mut Judged, bench: &Bench<'_>) {
        let Some(listed) = listed(bench.look) else {
            // What a part of the list shows is there.
            let there = bench.look.jobs.iter().flat_map(|list| &list.jobs);
            let there: HashSet<&str> = there.map(|job| job.name.as_str()).collect();
            judged.gone = self.still_gone(bench, |job| there.contains(job));
            return;
        };
        judged.gone = self.still_gone(bench, |job| listed.contains(job));
        // Sub-jobs stand in no list of jobs.
        let is_sub_job = |job: &str, judged: &Judged| {
            let known = bench.answers.latest.get(job).into_iter().flatten().map(|(_, run)| run.kind);
            known.chain(judged.seen_of(job).map(|seen| seen.instance.kind)).any(|kind| kind == InstanceType::Subjob)
        };
        let about_jobs = judged.ledger.firing().filter(|alert| is_about_job(alert, &self.rules));
        let gone: HashSet<String> = about_jobs
            .map(|alert| alert.facts.job.name.as_str())
            .filter(|job| !listed.contains(job) && !is_sub_job(job, judged))
            .map(str::to_string)
            .collect();
        if gone.is_empty() {
            return;
        }
        let rules = self.rules.clone();
        let before = judged.ended.len();
        judged.end_where(|alert| {
            let is_gone = gone.contains(&alert.facts.job.name) && is_about_job(alert, &rules);
            let ending = || Ending::new(EndReason::Gone, ReasonCode::JobGone, bench.now);
            is_gone.then(|| end(alert, ending(), bench.now))
        });
        for alert in judged.ended[before..].iter().filter(|alert| rules.get(&alert.rule).is_some_and(expects_runs)) {
            let of_rule = judged.gone.entry(alert.rule.clone()).or_default();
            of_rule.insert(alert.facts.job.name.clone(), bench.now);
        }
    }

    /// The jobs that were gone and are not back, as far as a rule would still miss a run of them.
    fn still_gone(&mut self, bench: &Bench<'_>, is_back: impl Fn(&str) -> bool) -> GoneJobs {
        let rules = self.rules.clone();
        let mut gone = bench.memory.covered.gone.clone();
        gone.retain(|rule, jobs| {
            let Some((index, rule)) = rules.index(rule).and_then(|index| Some((index, rules.get(rule)?))) else {
                return false;
            };
            jobs.retain(|job, since| {
                let is_named = rule.matches.jobs.iter().any(|pattern| pattern.literal() == Some(job));
                let is_recent =
                    bench.now.duration_since(*since) < SignedDuration::try_from(GONE_JOBS_KEPT).unwrap_or_default();
                !is_back(job) && (is_named || is_recent) && self.matches(job, index)
            });
            expects_runs(rule) && !jobs.is_empty()
        });
        gone
    }
}

impl Judged {
    /// Whether the job is gone and people have heard of that by the rule.
    pub(super) fn is_gone(&self, rule: &Rule, job: &str) -> bool {
        self.gone.get(&rule.id).is_some_and(|jobs| jobs.contains_key(job))
    }
}

/// The names of all jobs there are, where all of them could be read: a row that could not be understood may be of any job. A
/// list of no job at all says that nothing may be seen, and not that everything is gone.
fn listed(look: &Look) -> Option<HashSet<&str>> {
    let list = look.jobs.as_ref().filter(|list| list.shortfall.is_none() && !list.jobs.is_empty())?;
    Some(list.jobs.iter().map(|job| job.name.as_str()).collect())
}

/// Whether the alert is about a job as a whole, and one of those that stand in a list of jobs. Of a run its source says itself
/// whether it is gone.
fn is_about_job(alert: &Alert, rules: &RuleSet) -> bool {
    let is_of_job = alert.facts.instance.is_none() || is_about(alert, ConditionKind::Consecutive);
    let is_listed = |rule: &Rule| rule.matches.takes(InstanceType::Scheduled);
    is_of_job && alert.suspended_at.is_none() && rules.get(&alert.rule).is_none_or(is_listed)
}

/// Whether the rule misses runs that are not there.
fn expects_runs(rule: &Rule) -> bool {
    matches!(rule.when.trigger, Some(Trigger::Daily(_) | Trigger::Missing(_) | Trigger::Unplanned(_)))
}
