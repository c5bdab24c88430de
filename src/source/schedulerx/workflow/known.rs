//! What is known of the workflows between polls.
//!
//! Pure memory.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::runs::Runs;
use crate::model::JobRef;

/// A workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source::schedulerx) struct Workflow {
    pub(in crate::source::schedulerx) id: String,
    pub(in crate::source::schedulerx) name: String,
    pub(in crate::source::schedulerx) group: String,
}

/// What is known of the workflows between polls.
#[derive(Debug, Default)]
pub(in crate::source::schedulerx) struct Workflows {
    pub(super) by_id: BTreeMap<String, Workflow>,
    pub(super) read_at: Option<Timestamp>,
    /// How many rows of the list of workflows could not be understood.
    pub(super) unclear: usize,
    /// When they were refused, and with which words.
    pub(super) refused: Option<(Timestamp, String)>,
    /// The workflow that was asked last.
    pub(super) asked_last: Option<String>,
    pub(super) runs: Runs,
}

impl Workflows {
    /// The workflows that an instance of `job` may belong to: the one with the id and the name, or all of the name.
    pub(in crate::source::schedulerx) fn candidates(&self, job: &JobRef) -> Vec<Workflow> {
        let is_meant = |known: &&Workflow| known.name == job.name && job.id.as_ref().is_none_or(|id| *id == known.id);
        self.by_id.values().filter(is_meant).cloned().collect()
    }

    /// The names, each with its workflow's id.
    pub(in crate::source::schedulerx) fn names(&self) -> Vec<(String, String)> {
        self.by_id.values().map(|known| (known.name.clone(), known.id.clone())).collect()
    }

    /// Those to ask now: at most `count`, beginning behind the one that was asked last.
    pub(super) fn turn(&mut self, count: usize) -> Vec<Workflow> {
        let last = self.asked_last.take().unwrap_or_default();
        let behind = self.by_id.values().filter(|known| known.id > last);
        let before = self.by_id.values().filter(|known| known.id <= last);
        let turn: Vec<Workflow> = behind.chain(before).take(count).cloned().collect();
        self.asked_last = turn.last().map(|workflow| workflow.id.clone());
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflows_take_turns() {
        let known = |id: &str| {
            let workflow = Workflow { id: id.to_string(), name: format!("w{id}"), group: "g".to_string() };
            (id.to_string(), workflow)
        };
        let mut workflows = Workflows { by_id: ["1", "2", "3"].map(known).into(), ..Workflows::default() };
        let mut turn = |count| workflows.turn(count).into_iter().map(|it| it.id).collect::<Vec<_>>().join(" ");
        assert_eq!([turn(2), turn(2), turn(2), turn(9)], ["1 2", "3 1", "2 3", "1 2 3"]);
    }
}
