//! Jobs that failed: which are still broken, and which are well again.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;

use super::rows::FailedRow;
use super::timing::of_job;
use crate::model::{AlertFacts, SourceId, Status, TroublePart};

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
        if row.is_new {
            failures.in_period += 1;
            if failures.last.as_ref().is_none_or(|last| last.due <= row.due) {
                failures.last = Some(row);
            }
        }
    }

    /// The jobs that are still broken, the freshest first, and those that are well again.
    pub(super) fn sorted(self) -> (Vec<TroublePart>, Vec<TroublePart>) {
        let (mut broken, mut recovered) = (Vec::new(), Vec::new());
        for failures in self.jobs.into_values().flat_map(HashMap::into_values) {
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
        for list in [&mut broken, &mut recovered] {
            list.sort_by(|one, other| {
                let key = |part: &TroublePart| (Reverse(part.is_new), Reverse(part.since));
                key(one).cmp(&key(other)).then_with(|| one.job.cmp(&other.job))
            });
        }
        (broken, recovered)
    }
}

fn part(row: FailedRow, since: Option<Timestamp>, failures: u64, recovered_by: Option<&str>) -> TroublePart {
    TroublePart {
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
