//! The calls about single instances: nodes of those that alert, and the state of those that left the listing.
//!
//! They are bounded in number, in concurrency and in time, because a night in which everything fails must not make the
//! alarm late: what could not be asked in time is told without its nodes, and says so.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use tracing::{debug, warn};

use super::Poller;
use crate::alert::{attach_error, attach_nodes, attach_part_of, attach_workflow};
use crate::limits::{DETAIL_CONCURRENCY, DETAIL_TIME_MAX, FOLLOWED_AGE_MAX, FOLLOWED_PER_POLL_MAX, PART_OF_TIME_MAX};
use crate::model::{Alert, Instance, InstanceKey, JobRef, NodeDetails, PartOf, Snapshot, Status, WorkflowRun};
use crate::rule::Grouping;
use crate::source::{Source, SourceErrorKind};
use crate::store::{Desk, PollLedger, SourceMemory};

/// The raw status given to an instance that its source no longer knows.
pub(in crate::worker) const GONE: &str = "(no longer known to the source)";

/// What a look at one instance that alerts has told.
struct Look {
    nodes: NodeDetails,
    error: Option<String>,
    part_of: Option<PartOf>,
    workflow: Option<WorkflowRun>,
}

impl Look {
    /// A look at something whose nodes are not known.
    fn in_vain(reason: impl Into<String>) -> Look {
        Look { nodes: NodeDetails::Unreadable(reason.into()), error: None, part_of: None, workflow: None }
    }
}

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Asks for the nodes behind each alert that is told, the worst first, once per instance.
    pub(super) async fn add_details<'a>(&self, fired: &mut [Alert], instances: impl Iterator<Item = &'a Instance>) {
        let by_key: HashMap<InstanceKey, &Instance> = instances.map(|instance| (instance.key(), instance)).collect();
        let mut wanted: Vec<(std::cmp::Reverse<crate::model::Severity>, InstanceKey)> = fired
            .iter()
            .filter(|alert| alert.suppressed_by.is_none() && alert.facts.instance.is_some())
            .map(|alert| (std::cmp::Reverse(alert.facts.alert.severity), alert.facts.subject()))
            .collect();
        wanted.sort();
        let mut asked = HashSet::new();
        let keys: Vec<InstanceKey> =
            wanted.into_iter().map(|(_, key)| key).filter(|key| asked.insert(key.clone())).collect();
        if keys.is_empty() {
            return;
        }
        let rooted: HashSet<InstanceKey> =
            fired.iter().filter(|alert| self.needs_root(alert)).map(|alert| alert.facts.subject()).collect();
        let deadline = tokio::time::Instant::now() + DETAIL_TIME_MAX;
        let count = keys.len();
        let looks: HashMap<InstanceKey, Look> = stream::iter(keys)
            .map(|key| {
                let (instance, needs_root) = (by_key.get(&key).copied(), rooted.contains(&key));
                async move {
                    let look = match instance {
                        Some(instance) => self.look_at(instance, needs_root, count, deadline).await,
                        None => Look::in_vain("not asked for"),
                    };
                    (key, look)
                }
            })
            .buffer_unordered(DETAIL_CONCURRENCY)
            .collect()
            .await;
        for alert in fired.iter_mut().filter(|alert| alert.suppressed_by.is_none()) {
            let Some(look) = looks.get(&alert.facts.subject()) else { continue };
            attach_nodes(alert, look.nodes.clone());
            attach_error(alert, look.error.clone());
            if let Some(part_of) = &look.part_of {
                attach_part_of(alert, part_of.clone());
            }
            if let Some(workflow) = &look.workflow {
                attach_workflow(alert, workflow.clone());
            }
        }
    }

    /// Whether the alert is told under its root, which is not known yet.
    fn needs_root(&self, alert: &Alert) -> bool {
        let grouping = self.rules.get(&alert.rule).and_then(|rule| rule.group.as_ref());
        grouping.is_some_and(Grouping::goes_by_root) && alert.facts.workflow_run().is_none()
    }

    /// Asks for the nodes of one of `count` instances that alert, and what it is a part of.
    async fn look_at(
        &self,
        instance: &Instance,
        needs_root: bool,
        count: usize,
        deadline: tokio::time::Instant,
    ) -> Look {
        let named_by = deadline.min(tokio::time::Instant::now() + PART_OF_TIME_MAX);
        let workflow = async { if needs_root { self.source.workflow_of(instance).await } else { None } };
        let (detail, part_of, workflow) = tokio::join!(
            tokio::time::timeout_at(deadline, self.source.detail(instance)),
            tokio::time::timeout_at(named_by, self.source.part_of(instance)),
            tokio::time::timeout_at(named_by, workflow),
        );
        let (nodes, error) = match detail {
            Ok(Ok(detail)) => (NodeDetails::Known(detail.nodes), detail.instance.error),
            Ok(Err(error)) => (NodeDetails::Unreadable(format!("could not be read: {error}")), None),
            Err(_) => {
                let reason = format!(
                    "not read: {count} instances alerted at once and the {} s for details were over",
                    DETAIL_TIME_MAX.as_secs()
                );
                (NodeDetails::Unreadable(reason), None)
            }
        };
        Look { nodes, error, part_of: part_of.ok().flatten(), workflow: workflow.ok().flatten() }
    }

    /// Asks after instances that the listing no longer holds and that are not settled: unfinished ones until they end,
    /// and failed ones whose alert fires, for they may be rerun. Adds what it learns to `seen`; returns how many
    /// answers there were.
    pub(super) async fn follow(&mut self, seen: &mut Vec<Instance>, now: Timestamp) -> usize {
        let Some(memory) = &self.memory else { return 0 };
        let mut unlisted = unsettled(memory, now);
        if !unlisted.is_empty() {
            let listed: HashSet<InstanceKey> = seen.iter().map(Instance::key).collect();
            unlisted.retain(|(key, _)| !listed.contains(key));
            let unlisted: HashSet<&InstanceKey> = unlisted.iter().map(|(key, _)| key).collect();
            self.followed_at.retain(|key, _| unlisted.contains(key));
        }
        if unlisted.is_empty() {
            return 0;
        }
        // Taking turns: those asked longest ago come first.
        unlisted.sort_by_key(|(key, _)| self.followed_at.get(key).copied());
        if unlisted.len() > FOLLOWED_PER_POLL_MAX {
            let (source, count) = (&self.settings.id, unlisted.len());
            debug!(%source, count, "more instances to follow than one poll may ask after; they take turns");
        }
        unlisted.truncate(FOLLOWED_PER_POLL_MAX);
        let deadline = tokio::time::Instant::now() + DETAIL_TIME_MAX;
        let stale = unlisted.into_iter().map(|(key, snapshot)| self.remembered(key, snapshot));
        let answers: Vec<_> = stream::iter(stale)
            .map(|instance| {
                let source = &self.source;
                async move {
                    let answer = tokio::time::timeout_at(deadline, source.detail(&instance)).await;
                    (instance, answer)
                }
            })
            .buffer_unordered(DETAIL_CONCURRENCY)
            .collect()
            .await;
        let mut count = 0;
        for (instance, answer) in answers {
            self.followed_at.insert(instance.key(), now);
            match answer {
                Ok(Ok(detail)) => {
                    count += 1;
                    seen.push(detail.instance);
                }
                Ok(Err(error)) if error.kind == SourceErrorKind::NotFound => {
                    count += 1;
                    let raw_status = GONE.to_string();
                    seen.push(Instance { status: Status::Unknown, raw_status, end_time: Some(now), ..instance });
                }
                Ok(Err(error)) => {
                    warn!(source = %self.settings.id, job = instance.job.name, instance = instance.id,
                        "cannot ask after an instance outside the listing: {error}");
                }
                Err(_) => debug!(source = %self.settings.id, "no time left to ask after every unlisted instance"),
            }
        }
        count
    }

    /// The instance that an alert is about, as far as a question about it needs to know; none of an alert about a job.
    pub(super) fn instance_behind(&self, alert: &Alert) -> Option<Instance> {
        let part = alert.facts.instance.as_ref()?;
        Some(Instance {
            source: self.settings.id.clone(),
            id: part.id.clone(),
            job: JobRef { name: alert.facts.job.name.clone(), id: alert.facts.job.id.clone() },
            name: part.name.clone(),
            status: part.status,
            raw_status: part.raw_status.clone(),
            kind: part.kind,
            plan_time: part.plan_time,
            start_time: part.start_time,
            end_time: part.end_time,
            error: None,
        })
    }

    /// An instance as it was last seen.
    pub(super) fn remembered(&self, key: InstanceKey, snapshot: Snapshot) -> Instance {
        Instance {
            source: self.settings.id.clone(),
            id: key.id,
            job: JobRef { name: key.job, id: None },
            name: None,
            status: snapshot.status,
            raw_status: snapshot.status.to_string(),
            kind: snapshot.kind,
            plan_time: snapshot.plan_time,
            start_time: snapshot.start_time,
            end_time: snapshot.end_time,
            error: None,
        }
    }
}

/// The instances whose story is not over by what is remembered.
fn unsettled(memory: &SourceMemory, now: Timestamp) -> Vec<(InstanceKey, Snapshot)> {
    let horizon = now.checked_sub(FOLLOWED_AGE_MAX).unwrap_or(Timestamp::MIN);
    let firing: HashSet<InstanceKey> = memory.firing.iter().map(|alert| alert.facts.subject()).collect();
    memory
        .snapshots
        .iter()
        .filter(|(key, snapshot)| {
            let is_recent = snapshot.plan_time.or(snapshot.start_time).is_some_and(|time| time >= horizon);
            let is_open = !snapshot.status.has_ended() || firing.contains(key);
            is_open && is_recent && !is_gone(snapshot)
        })
        .map(|(key, snapshot)| (key.clone(), *snapshot))
        .collect()
}

/// Whether the source no longer knows the instance: the only end that an instance of unknown status has.
pub(super) fn is_gone(snapshot: &Snapshot) -> bool {
    snapshot.status == Status::Unknown && snapshot.end_time.is_some()
}
