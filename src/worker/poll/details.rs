//! The calls about what alerts: the nodes of its run, and what the run is a part of.
//!
//! They are bounded in number, in concurrency and in time, because a night in which everything fails must not make the
//! alarm late: what could not be asked in time is told without its nodes, and says so.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt as _;
use futures_util::stream;

use super::poller::Poller;
use crate::alert::{attach_belonging, attach_error, attach_nodes, attach_place, is_about_job_status};
use crate::decide::Decided;
use crate::limits::{DETAIL_CONCURRENCY, DETAIL_TIME_MAX, PART_OF_TIME_MAX};
use crate::model::{Alert, Belonging, Instance, InstanceKey, Job, JobRef, NodeDetails, Severity, SourceId};
use crate::rule::Grouping;
use crate::source::{Detail, Source};
use crate::store::{Desk, PollLedger};

/// What a look at one subject that alerts has told.
struct Look {
    nodes: NodeDetails,
    error: Option<String>,
    belonging: Option<Belonging>,
    url: Option<String>,
    owner: Option<String>,
}

/// What is looked at.
enum Subject {
    Run { run: Box<Instance>, needs_root: bool },
    Job(Box<Job>),
}

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Asks for the nodes behind each alert that is told now, the worst first, once per subject.
    pub(super) async fn add_details(&self, decided: &mut Decided, jobs: Option<&[Job]>) {
        let seen: HashMap<InstanceKey, Instance> = {
            let wanted: HashSet<InstanceKey> = decided.to_detail().map(|alert| alert.facts.subject()).collect();
            let instances = decided.instances.iter().map(|instance| (instance.key(), instance));
            instances.filter(|(key, _)| wanted.contains(key)).map(|(key, it)| (key, it.clone())).collect()
        };
        let mut wanted: Vec<(std::cmp::Reverse<Severity>, InstanceKey, Subject)> = Vec::new();
        let mut asked = HashSet::new();
        for alert in decided.to_detail() {
            let key = alert.facts.subject();
            let subject = match self.subject_of(alert, seen.get(&key), jobs) {
                Some(subject) if asked.insert(key.clone()) => subject,
                _ => continue,
            };
            wanted.push((std::cmp::Reverse(alert.facts.alert.severity), key, subject));
        }
        if wanted.is_empty() {
            return;
        }
        wanted.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let deadline = tokio::time::Instant::now() + DETAIL_TIME_MAX;
        let count = wanted.len();
        let looks: HashMap<InstanceKey, Look> = stream::iter(wanted)
            .map(|(_, key, subject)| async move {
                let look = match subject {
                    Subject::Run { run, needs_root } => self.look_at(&run, needs_root, count, deadline).await,
                    Subject::Job(job) => self.look_at_job(&job, deadline).await,
                };
                (key, look)
            })
            .buffer_unordered(DETAIL_CONCURRENCY)
            .collect()
            .await;
        for alert in decided.to_detail() {
            let Some(look) = looks.get(&alert.facts.subject()) else { continue };
            attach_nodes(alert, look.nodes.clone());
            attach_error(alert, look.error.clone());
            attach_place(alert, look.url.clone(), look.owner.clone());
            if let Some(belonging) = &look.belonging {
                attach_belonging(alert, belonging.clone());
            }
        }
    }

    /// What there is to look at behind an alert: its run, as it was just seen or as the alert knows it, or a real-time job.
    fn subject_of(&self, alert: &Alert, seen: Option<&Instance>, jobs: Option<&[Job]>) -> Option<Subject> {
        if is_about_job_status(alert) {
            let job = jobs?.iter().find(|job| job.name == alert.facts.job.name && job.is_real_time)?;
            return Some(Subject::Job(Box::new(job.clone())));
        }
        let run = seen.cloned().or_else(|| instance_behind(&self.settings.id, alert))?;
        Some(Subject::Run { run: Box::new(run), needs_root: self.needs_root(alert) })
    }

    /// Whether the alert is told under its root, which is not known yet.
    fn needs_root(&self, alert: &Alert) -> bool {
        let grouping = self.decider.rules.get(&alert.rule).and_then(|rule| rule.group.as_ref());
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
        let (detail, belonging) = tokio::join!(
            tokio::time::timeout_at(deadline, self.source.detail(instance)),
            tokio::time::timeout_at(named_by, self.source.belonging(instance, needs_root)),
        );
        let belonging = belonging.ok().flatten();
        let nodes = match detail {
            Ok(Ok(Detail { instance, nodes, url, owner })) => {
                return Look { nodes: NodeDetails::Known(nodes), error: instance.error, belonging, url, owner };
            }
            Ok(Err(error)) => NodeDetails::Unreadable(format!("could not be read: {error}")),
            Err(_) => {
                let reason = format!(
                    "not read: {count} instances alerted at once and the {} s for details were over",
                    DETAIL_TIME_MAX.as_secs()
                );
                NodeDetails::Unreadable(reason)
            }
        };
        Look { nodes, error: None, belonging, url: None, owner: None }
    }

    async fn look_at_job(&self, job: &Job, deadline: tokio::time::Instant) -> Look {
        let told = async {
            match self.source.tells_jobs() {
                Some(source) => source.nodes_of(job).await.map_err(|error| error.to_string()),
                None => Err("the source tells no nodes of jobs".to_string()),
            }
        };
        let nodes = match tokio::time::timeout_at(deadline, told).await {
            Ok(Ok(nodes)) => NodeDetails::Known(nodes),
            Ok(Err(error)) => NodeDetails::Unreadable(format!("could not be read: {error}")),
            Err(_) => NodeDetails::Unreadable(format!("not read within {} s", DETAIL_TIME_MAX.as_secs())),
        };
        Look { nodes, error: None, belonging: None, url: None, owner: None }
    }
}

/// The instance that an alert is about, as far as a question about it needs to know; none of an alert about a job.
fn instance_behind(source: &SourceId, alert: &Alert) -> Option<Instance> {
    let part = alert.facts.instance.as_ref()?;
    Some(Instance {
        source: source.clone(),
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
