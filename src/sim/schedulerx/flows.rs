//! Workflows and their runs, as they were put in.
//!
//! Data only.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

/// One run of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct SimFlowRun {
    /// The workflow's id.
    pub workflow_id: u64,
    /// The instance id.
    pub id: u64,
    /// The status number: 1 pending, 2 preparing, 3 running, 4 successful, 5 failed.
    pub status: i64,
    /// When it was due.
    pub schedule_time: Timestamp,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// The runs of its jobs.
    pub steps: Vec<SimStep>,
}

/// The run of one job inside a workflow's.
#[derive(Debug, Clone, PartialEq)]
pub struct SimStep {
    /// The job's id.
    pub job_id: u64,
    /// The job's name.
    pub job_name: String,
    /// The job's instance id; zero before it began.
    pub instance_id: u64,
    /// The status number of a job's instance.
    pub status: i64,
    /// How often it was tried again.
    pub attempt: u64,
    /// What it says of its end.
    pub result: String,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
}

pub(super) struct Flow {
    pub(super) group: String,
    pub(super) name: String,
}

/// The workflows by id, and their runs, the newest first.
#[derive(Default)]
pub(super) struct Flows {
    pub(super) by_id: BTreeMap<u64, Flow>,
    pub(super) runs: BTreeMap<Reverse<u64>, SimFlowRun>,
}

impl Flows {
    pub(super) fn put(&mut self, group: &str, id: u64, name: &str) {
        self.by_id.insert(id, Flow { group: group.to_string(), name: name.to_string() });
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.by_id.remove(&id);
        self.runs.retain(|_, run| run.workflow_id != id);
    }

    pub(super) fn put_run(&mut self, run: SimFlowRun) {
        self.runs.insert(Reverse(run.id), run);
    }
}
