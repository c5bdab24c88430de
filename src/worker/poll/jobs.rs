//! Alerts about jobs themselves, for rules that ask for `job_status`.
//!
//! The job list is read only when such a rule is there. A list that cannot be read leaves these alerts as they are and
//! holds up nothing else: the poll says that it was not whole.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use tracing::warn;

use super::Poller;
use super::decide::{Decision, told_from};
use crate::alert::{Holding, attach_nodes};
use crate::limits::{DETAIL_CONCURRENCY, DETAIL_TIME_MAX, SOURCE_LISTING_TIME_MAX};
use crate::model::{Job, NodeDetails, Suppression};
use crate::source::Source;
use crate::store::{Desk, PollLedger, StoreError};

/// Episodes of one alert told apart since its job was started.
const EPISODES_MAX: u32 = 1000;

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// All jobs, where a rule asks for them and they could be read; with it, why they could not be.
    pub(super) async fn list_jobs(&self) -> (Option<Vec<Job>>, Option<String>) {
        if !self.rules.asks_for_jobs(&self.settings.id) {
            return (None, None);
        }
        let reason = match tokio::time::timeout(SOURCE_LISTING_TIME_MAX, self.source.jobs()).await {
            Ok(Ok(jobs)) => return (Some(jobs), None),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", SOURCE_LISTING_TIME_MAX.as_secs()),
        };
        warn!(source = %self.settings.id, "the jobs could not be read: {reason}");
        (None, Some(format!("the jobs could not be read: {reason}")))
    }

    /// Decides which alerts about `jobs`, all there are, begin and which end, and asks for the nodes of those that begin.
    pub(super) async fn decide_jobs(
        &mut self,
        jobs: &[Job],
        decision: &mut Decision,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let known: HashSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        decision.resolved.extend(decision.ledger.resolve_gone_jobs(&known, now));
        let rules = self.rules.clone();
        let mut begun = Vec::new();
        for job in jobs {
            decision.resolved.extend(decision.ledger.resolve_job(job, now));
            let matching = rules.matching(&self.settings.id, &job.name, &mut self.matches);
            for &index in matching.iter() {
                let rule = &rules.rules()[index];
                let Some(since) = rule.judge_job(job, now) else { continue };
                let memory = self.memory.get_or_insert_default();
                let is_first_look = !memory.known_rules.contains(&rules.marks()[index]);
                let is_past = is_first_look && since < told_from(now, self.settings.first_poll, memory.read_until);
                let holding = Holding {
                    rule: &rule.id,
                    severity: rule.severity,
                    receivers: &rule.notify,
                    limit: None,
                    since,
                    suppressed_by: is_past.then_some(Suppression::FirstPoll),
                };
                for ordinal in 1..=EPISODES_MAX {
                    let kind = self.source.kind();
                    let Some(alert) = decision.ledger.begin_job(job, kind, &holding, now, ordinal) else { break };
                    // A known name is an earlier episode: the ledger says that none fires.
                    if self.store.known_alerts(std::slice::from_ref(&alert.id)).await?.is_empty() {
                        decision.ledger.insert(alert.clone());
                        decision.fired.push(alert);
                        begun.push((decision.fired.len() - 1, job.clone()));
                        break;
                    }
                }
            }
        }
        self.add_job_nodes(begun, decision).await;
        Ok(())
    }

    async fn add_job_nodes(&self, mut begun: Vec<(usize, Job)>, decision: &mut Decision) {
        let deadline = tokio::time::Instant::now() + DETAIL_TIME_MAX;
        let fired = &decision.fired;
        begun.retain(|(at, job)| job.is_real_time && fired[*at].suppressed_by.is_none());
        let details: Vec<(usize, NodeDetails)> = stream::iter(begun)
            .map(|(at, job)| async move {
                let details = match tokio::time::timeout_at(deadline, self.source.job_nodes(&job)).await {
                    Ok(Ok(nodes)) => NodeDetails::Known(nodes),
                    Ok(Err(error)) => NodeDetails::Unreadable(format!("could not be read: {error}")),
                    Err(_) => NodeDetails::Unreadable(format!("not read within {} s", DETAIL_TIME_MAX.as_secs())),
                };
                (at, details)
            })
            .buffer_unordered(DETAIL_CONCURRENCY)
            .collect()
            .await;
        for (at, details) in details {
            attach_nodes(&mut decision.fired[at], details);
        }
    }
}
