//! The runs of one job that went well, in the order they were due: which of them vouches for an earlier failure.

use jiff::Timestamp;

use crate::model::{Alert, Instance, InstanceType};

/// The runs of one job that succeeded, the earliest due first once they are sorted; backfill by itself, for it re-does
/// old days: it neither vouches for the schedule nor is vouched for by it.
#[derive(Default)]
pub(super) struct LaterRuns<'a> {
    scheduled: Vec<Run<'a>>,
    backfill: Vec<Run<'a>>,
}

struct Run<'a> {
    due: Timestamp,
    instance: &'a Instance,
    /// The latest end among this run and those due after it.
    latest_end: Timestamp,
}

impl<'a> LaterRuns<'a> {
    /// Adds a run; one whose time nobody knows vouches for nothing.
    pub(super) fn add(&mut self, instance: &'a Instance) {
        let Some(due) = instance.plan_time.or(instance.start_time) else { return };
        let runs = if instance.kind == InstanceType::Backfill { &mut self.backfill } else { &mut self.scheduled };
        runs.push(Run { due, instance, latest_end: end_of(instance) });
    }

    /// To be called once all are added.
    pub(super) fn sort(&mut self) {
        for runs in [&mut self.scheduled, &mut self.backfill] {
            runs.sort_by(|one, other| (one.due, &one.instance.id).cmp(&(other.due, &other.instance.id)));
            let mut latest = Timestamp::MIN;
            for run in runs.iter_mut().rev() {
                latest = latest.max(run.latest_end);
                run.latest_end = latest;
            }
        }
    }

    /// The earliest run due after the alert's that ended after the alert began and after `last_end`, the last known end
    /// of the alert's own run: one that had succeeded before says nothing about the failure.
    pub(super) fn vouching_for(&self, alert: &Alert, last_end: Option<Timestamp>) -> Option<&'a Instance> {
        let part = alert.facts.instance.as_ref()?;
        let mut due = part.plan_time.or(part.start_time)?;
        if let (Some(deadline), None) = (alert.facts.alert.measures.due_at, last_end) {
            // Of runs side by side each has to meet the deadline by itself; only one of a later day speaks for one that
            // is still under way.
            due = due.max(deadline);
        }
        let runs = if part.kind == InstanceType::Backfill { &self.backfill } else { &self.scheduled };
        let later = &runs[runs.partition_point(|run| run.due <= due)..];
        let began = last_end.map_or(alert.facts.alert.starts_at, |end| end.max(alert.facts.alert.starts_at));
        later
            .iter()
            .take_while(|run| run.latest_end >= began)
            .map(|run| run.instance)
            .find(|instance| end_of(instance) >= began)
    }
}

/// When a run ended; one whose end nobody knows may have ended at any time.
fn end_of(instance: &Instance) -> Timestamp {
    instance.end_time.unwrap_or(Timestamp::MAX)
}
