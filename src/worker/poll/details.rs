//! The calls about what alerts: the nodes of its run, and what the run is a part of.
//!
//! They are bounded in number, in concurrency and in time, because a night in which everything fails must not make the
//! alarm late: what could not be asked in time is told without its nodes, and says so. Logs that are kept elsewhere come last,
//! with a time of their own: a slow storage costs nobody the nodes.

use std::cmp::Reverse;
use std::collections::HashMap;

use futures_util::StreamExt as _;
use futures_util::stream::{self, FuturesUnordered};

use super::poller::Poller;
use crate::alert::{attach_belonging, attach_error, attach_log_tail, attach_nodes, attach_place, is_about_job_status};
use crate::decide::{Decided, to_detail};
use crate::limits::{DETAIL_CONCURRENCY, DETAIL_TIME_MAX, LOGS_TIME_MAX, PART_OF_TIME_MAX};
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
    log: Option<String>,
}

impl Look {
    fn attach_to(&self, alert: &mut Alert) {
        attach_nodes(alert, &self.nodes);
        attach_error(alert, self.error.clone());
        attach_place(alert, self.url.clone(), self.owner.clone());
        if let Some(belonging) = &self.belonging {
            attach_belonging(alert, belonging.clone());
        }
    }
}

/// A log whose end belongs under the error of a run. The error itself is in the run's alerts: of thousands, those are copied
/// whose logs are read just now.
struct Log {
    of: InstanceKey,
    path: String,
}

/// What is looked at.
enum Subject {
    /// A run that was just seen, by its place.
    Seen { at: usize, needs_root: bool },
    /// A run as its alert knows it.
    Run { run: Box<Instance>, needs_root: bool },
    /// A real-time job.
    Job(Box<Job>),
}

impl Subject {
    fn seen(&self) -> Option<usize> {
        match self {
            Subject::Seen { at, .. } => Some(*at),
            Subject::Run { .. } | Subject::Job(_) => None,
        }
    }
}

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Asks for the nodes behind each alert that is told now, the worst first, once per subject.
    pub(super) async fn add_details(&self, decided: &mut Decided, jobs: Option<&[Job]>) {
        let Decided { instances, fired, changed, .. } = decided;
        let mut alerts: Vec<&mut Alert> = to_detail(fired, changed).collect();
        if alerts.is_empty() {
            return;
        }
        let mut by_subject: HashMap<InstanceKey, Vec<usize>> = HashMap::new();
        for (at, alert) in alerts.iter().enumerate() {
            by_subject.entry(alert.facts.subject()).or_default().push(at);
        }
        let keys = instances.iter().enumerate().map(|(at, instance)| (instance.key(), at));
        let seen: HashMap<InstanceKey, usize> = keys.filter(|(key, _)| by_subject.contains_key(key)).collect();
        let mut wanted: Vec<(Reverse<Severity>, InstanceKey, Subject)> = Vec::new();
        for (key, of_subject) in &by_subject {
            let found = of_subject.iter().find_map(|at| {
                let subject = self.subject_of(alerts[*at], seen.get(key).copied(), jobs)?;
                Some((Reverse(alerts[*at].facts.alert.severity), key.clone(), subject))
            });
            wanted.extend(found);
        }
        wanted.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let deadline = tokio::time::Instant::now() + DETAIL_TIME_MAX;
        let count = wanted.len();
        let mut looks = stream::iter(wanted)
            .map(|(_, key, subject)| {
                // Of thousands of runs those are copied that are asked for just now.
                let run = subject.seen().map(|at| instances[at].clone());
                async move {
                    let look = match (subject, run) {
                        (Subject::Seen { needs_root, .. }, Some(run)) => {
                            self.look_at(&run, needs_root, count, deadline).await
                        }
                        (Subject::Run { run, needs_root }, _) => self.look_at(&run, needs_root, count, deadline).await,
                        (Subject::Job(job), _) => self.look_at_job(&job, deadline).await,
                        (Subject::Seen { .. }, None) => return None,
                    };
                    Some((key, look))
                }
            })
            .buffer_unordered(DETAIL_CONCURRENCY)
            .filter_map(std::future::ready);
        // Each is put where it belongs as it comes: of thousands a few are held.
        let mut logs = Vec::new();
        while let Some((key, look)) = looks.next().await {
            for at in by_subject.get(&key).into_iter().flatten() {
                look.attach_to(alerts[*at]);
            }
            logs.extend(look.log.map(|path| Log { of: key, path }));
        }
        self.add_logs(logs, &by_subject, &mut alerts).await;
    }

    /// Puts the ends of logs under the errors of their runs, as many as can be read in the time for that.
    async fn add_logs(&self, logs: Vec<Log>, of: &HashMap<InstanceKey, Vec<usize>>, alerts: &mut [&mut Alert]) {
        if logs.is_empty() {
            return;
        }
        let (mut waiting, mut read) = (logs.into_iter(), FuturesUnordered::new());
        let all = async {
            loop {
                for log in waiting.by_ref().take(DETAIL_CONCURRENCY - read.len()) {
                    let first = of.get(&log.of).and_then(|places| alerts[*places.first()?].facts.instance.as_ref());
                    let error = first.and_then(|run| run.error.clone());
                    read.push(async move { (self.source.with_log(error.as_deref(), &log.path).await, log) });
                }
                let Some((end, log)) = read.next().await else { break };
                let Some(end) = end else { continue };
                for at in of.get(&log.of).into_iter().flatten() {
                    attach_error(alerts[*at], Some(end.error.clone()));
                    attach_log_tail(alerts[*at], &log.path, end.tail.clone());
                }
            }
        };
        if tokio::time::timeout(LOGS_TIME_MAX, all).await.is_err() {
            let secs = LOGS_TIME_MAX.as_secs();
            tracing::debug!(source = %self.settings.id, "not every log was read: the {secs} s for that were over");
        }
    }

    /// What there is to look at behind an alert: its run, as it was just seen or as the alert knows it, or a real-time job.
    fn subject_of(&self, alert: &Alert, seen: Option<usize>, jobs: Option<&[Job]>) -> Option<Subject> {
        if is_about_job_status(alert) {
            let job = jobs?.iter().find(|job| job.name == alert.facts.job.name && job.is_real_time)?;
            return Some(Subject::Job(Box::new(job.clone())));
        }
        let needs_root = self.needs_root(alert);
        if let Some(at) = seen {
            return Some(Subject::Seen { at, needs_root });
        }
        let run = Box::new(instance_behind(&self.settings.id, alert)?);
        Some(Subject::Run { run, needs_root })
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
            Ok(Ok(Detail { instance, nodes, url, owner, log })) => {
                return Look { nodes: NodeDetails::Known(nodes), error: instance.error, belonging, url, owner, log };
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
        Look { nodes, error: None, belonging, url: None, owner: None, log: None }
    }

    async fn look_at_job(&self, job: &Job, deadline: tokio::time::Instant) -> Look {
        let told = async {
            match self.source.tells_jobs() {
                Some(source) => source.nodes_of(job).await.map_err(|error| error.to_string()),
                None => Err("the source reports no nodes of jobs".to_string()),
            }
        };
        let nodes = match tokio::time::timeout_at(deadline, told).await {
            Ok(Ok(nodes)) => NodeDetails::Known(nodes),
            Ok(Err(error)) => NodeDetails::Unreadable(format!("could not be read: {error}")),
            Err(_) => NodeDetails::Unreadable(format!("not read within {} s", DETAIL_TIME_MAX.as_secs())),
        };
        Look { nodes, error: None, belonging: None, url: None, owner: None, log: None }
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
