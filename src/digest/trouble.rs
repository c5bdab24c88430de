//! Jobs that failed: which are still broken, and which are well again. How bad that is, the alerts about them say.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;

use super::rows::{AlertRow, FailedRow};
use super::timing::of_job;
use crate::model::{AlertFacts, Labels, Severity, SourceId, Status, Suppression, TroublePart};

/// What is known of the failures of one job.
#[derive(Default)]
struct Failures {
    in_period: u64,
    /// The latest failure that no success followed, and since when there is one.
    open: Option<(Option<Timestamp>, FailedRow)>,
    /// The latest failure of the period.
    last: Option<FailedRow>,
}

/// What is known of failures while rows come in.
#[derive(Default)]
pub(super) struct Troubles {
    jobs: HashMap<SourceId, HashMap<String, Failures>>,
    /// What the worst alert about each job says.
    alerts: HashMap<SourceId, HashMap<String, Option<ToldAlert>>>,
    /// Real-time jobs that have stopped, since when, and whether that is new.
    stopped: Vec<(SourceId, String, Timestamp, bool)>,
}

/// What an alert says of its job.
struct ToldAlert {
    severity: Severity,
    is_firing: bool,
    labels: Labels,
    error: Option<String>,
}

/// Whether the failure still stands: nobody has made the run again with success or given it up by hand, and no later run
/// of the job has succeeded.
fn is_open(row: &FailedRow) -> bool {
    let is_over =
        row.status.is_ok() || matches!(row.status, Status::ManualStop | Status::Skip | Status::Freeze | Status::Pause);
    let has_later_success = match (row.last_success, row.due) {
        (Some(success), Some(due)) => success > due,
        _ => false,
    };
    !is_over && !has_later_success
}

fn since(row: &FailedRow) -> Option<Timestamp> {
    row.end_time.or(row.due)
}

impl Troubles {
    pub(super) fn add(&mut self, row: FailedRow) {
        let failures = of_job(&mut self.jobs, &row.source, &row.job);
        if is_open(&row) {
            let earliest = match &failures.open {
                Some((known, _)) => [*known, since(&row)].into_iter().flatten().min(),
                None => since(&row),
            };
            let is_latest = failures.open.as_ref().is_none_or(|(_, known)| known.due <= row.due);
            match &mut failures.open {
                Some((known, latest)) => {
                    *known = earliest;
                    if is_latest {
                        *latest = row.clone();
                    }
                }
                open => *open = Some((earliest, row.clone())),
            }
        }
        failures.in_period += u64::from(row.is_new);
        if failures.last.as_ref().is_none_or(|last| last.due <= row.due) {
            failures.last = Some(row);
        }
    }

    /// An alert that fires or began in the period: it tells how bad it is, and of a job that broke without a run.
    pub(super) fn alert(&mut self, row: &AlertRow) {
        let known = of_job(&mut self.alerts, &row.source, &row.job);
        let rank = |severity, is_firing| (is_firing, severity);
        if known.as_ref().is_none_or(|known| rank(known.severity, known.is_firing) < rank(row.severity, row.is_firing))
        {
            let (labels, error) = (row.labels.clone(), row.error.clone());
            let (severity, is_firing) = (row.severity, row.is_firing);
            *known = Some(ToldAlert { severity, is_firing, labels, error });
        }
        if row.is_about_job && row.is_firing && row.suppressed_by.as_deref() != Some(Suppression::FIRST_POLL) {
            self.stopped.push((row.source.clone(), row.job.clone(), row.since, row.is_new));
        }
    }

    /// The jobs that are still broken, the worst first and of them those that have been broken longest, and those that are well
    /// again.
    pub(super) fn sorted(self) -> (Vec<TroublePart>, Vec<TroublePart>) {
        let Troubles { jobs, mut alerts, stopped } = self;
        let (mut broken, mut recovered) = (Vec::new(), Vec::new());
        for failures in jobs.into_values().flat_map(HashMap::into_values) {
            match failures {
                Failures { in_period, open: Some((since, row)), .. } => broken.push(part(row, since, in_period, None)),
                Failures { in_period, last: Some(row), .. } => {
                    let by = match row.status {
                        status if status.is_ok() => "rerun",
                        Status::ManualStop | Status::Skip | Status::Freeze | Status::Pause => "stopped",
                        _ => "later",
                    };
                    let ended = since(&row);
                    recovered.push(part(row, ended, in_period, Some(by)));
                }
                Failures { .. } => {}
            }
        }
        let is_broken = |source: &SourceId, job: &str, all: &[TroublePart]| {
            all.iter().any(|part: &TroublePart| part.source == *source && part.job == job)
        };
        for (source, job, since, is_new) in stopped {
            if !is_broken(&source, &job, &broken) {
                broken.push(stopped_job(source, job, since, is_new));
            }
        }
        for part in broken.iter_mut().chain(&mut recovered) {
            let told =
                alerts.get_mut(&part.source).and_then(|of_source| of_source.get_mut(&part.job)).and_then(Option::take);
            if let Some(ToldAlert { severity, labels, error, .. }) = told {
                (part.severity, part.labels) = (Some(severity), labels);
                part.error = error.filter(|_| part.recovered_by.is_none());
            }
        }
        broken.sort_by(|one, other| {
            let key = |part: &TroublePart| (Reverse(part.severity), part.since);
            key(one).cmp(&key(other)).then_with(|| one.job.cmp(&other.job))
        });
        recovered.sort_by(|one, other| {
            let key = |part: &TroublePart| (Reverse(part.severity), Reverse(part.since));
            key(one).cmp(&key(other)).then_with(|| one.job.cmp(&other.job))
        });
        (broken, recovered)
    }
}

/// A real-time job that has stopped: it has no run.
fn stopped_job(source: SourceId, job: String, since: Timestamp, is_new: bool) -> TroublePart {
    TroublePart {
        severity: None,
        labels: Labels::new(),
        source,
        job,
        instance: String::new(),
        status: Status::RunningException,
        since: Some(since),
        failures: 0,
        is_new,
        recovered_by: None,
        node: None,
        log_path: None,
        error: None,
    }
}

fn part(row: FailedRow, since: Option<Timestamp>, failures: u64, recovered_by: Option<&str>) -> TroublePart {
    TroublePart {
        severity: None,
        labels: Labels::new(),
        source: row.source,
        job: row.job,
        instance: row.id,
        status: row.status,
        since,
        failures,
        is_new: failures > 0,
        recovered_by: recovered_by.map(str::to_string),
        node: None,
        log_path: None,
        error: None,
    }
}

/// Adds the failing node and the error, as far as an alert about the run tells them. Alerts about other things than a
/// failure know no node, and take away none.
pub(super) fn add_node(part: &mut TroublePart, facts: &AlertFacts) {
    if let Some(node) = facts.failing_nodes.first() {
        part.node = Some(node.name.clone());
        part.log_path = facts.failing_nodes.iter().find_map(|node| node.log_path.clone());
    }
    if let Some(error) = facts.instance.as_ref().and_then(|instance| instance.error.as_ref()) {
        part.error = Some(error.clone());
    }
}
