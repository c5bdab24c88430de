//! The groups, jobs and runs of a simulated SchedulerX, and how it is set up.
//!
//! Data only.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::flows::Flows;
use crate::clock::Clock;
use crate::sim::fault::Fault;

/// How a simulated service behaves.
#[derive(Debug, Clone)]
pub struct SimSchedulerXConfig {
    /// The only region it serves.
    pub region: String,
    /// The namespace.
    pub namespace: String,
    /// The groups in it.
    pub groups: Vec<String>,
    /// The access key that is known.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Set for a temporary key, whose requests must carry and sign it.
    pub security_token: Option<String>,
    /// Whether the account was granted the groups; without, lists are empty and no call fails.
    pub is_granted: bool,
    /// Whether a list of instances needs no job.
    pub lists_groups: GroupLists,
    /// The most records that a page holds, whatever is asked for.
    pub page_max: usize,
    /// The largest size of a page that may be asked for.
    pub page_size_max: usize,
    /// Calls of one operation that a minute bears.
    pub calls_per_minute: usize,
    /// Whether logs are kept (Professional edition).
    pub has_logs: bool,
    /// Whether there are workflows (Professional edition).
    pub has_workflows: bool,
    /// The most instances of a workflow that its list shows, the newest of them.
    pub workflow_instances_max: usize,
    /// The zone of its time strings.
    pub timezone: TimeZone,
}

/// What a list of instances without a job gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupLists {
    /// The instances of the group.
    Whole,
    /// An error.
    Refused,
    /// Nothing, and it is called a success.
    Empty,
}

impl Default for SimSchedulerXConfig {
    fn default() -> Self {
        SimSchedulerXConfig {
            region: "cn-hangzhou".into(),
            namespace: "adcfc35d-e2fe-4fe9-bbaa-20e90ffc0000".into(),
            groups: vec!["testSchedulerx.defaultGroup".into()],
            access_key: "LTAI5tSimulatedKey00".into(),
            secret_key: "simulated-secret-key-of-schedulerx".into(),
            security_token: None,
            is_granted: true,
            lists_groups: GroupLists::Whole,
            page_max: 100,
            page_size_max: 1000,
            calls_per_minute: 100,
            has_logs: true,
            has_workflows: true,
            workflow_instances_max: 100,
            timezone: TimeZone::get("Asia/Shanghai").unwrap_or(TimeZone::UTC),
        }
    }
}

/// A job of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sim) struct SimJob {
    /// Its group.
    pub(in crate::sim) group: String,
    /// Its id.
    pub(in crate::sim) id: u64,
    /// Its name.
    pub(in crate::sim) name: String,
    /// What plans it.
    pub(in crate::sim) timing: SimTiming,
}

/// What plans a simulated job, in the service's own numbers and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimTiming {
    /// Whether the schedule is on.
    pub is_enabled: bool,
    /// 1 cron, 3 fixed rate, 4 second delay, 5 once, 100 API.
    pub time_type: i64,
    /// For cron, a Quartz expression.
    pub expression: String,
    /// The calendar that it goes by; empty for none.
    pub calendar: String,
}

impl SimTiming {
    /// A schedule by a cron expression, which is on.
    pub fn cron(expression: &str) -> SimTiming {
        SimTiming { is_enabled: true, time_type: 1, expression: expression.to_string(), calendar: String::new() }
    }
}

/// One run of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct SimRun {
    /// The job's id.
    pub job_id: u64,
    /// The instance id.
    pub id: u64,
    /// The status number of the API.
    pub status: i64,
    /// What it was triggered by: 1 schedule, 2 data, 3 API, 4 rerun by hand, 5 rerun by the system.
    pub trigger: i64,
    /// When it was due.
    pub schedule_time: Timestamp,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// What it says of its end.
    pub result: String,
    /// The lines of its log, oldest first.
    pub log: Vec<String>,
}

impl SimRun {
    /// A scheduled run that waits.
    pub fn waiting(job_id: u64, id: u64, schedule_time: Timestamp) -> SimRun {
        SimRun {
            job_id,
            id,
            status: 1,
            trigger: 1,
            schedule_time,
            start_time: None,
            end_time: None,
            result: String::new(),
            log: Vec::new(),
        }
    }

    /// The same, started on time and ended at `end` with this status and result.
    pub fn ended(mut self, status: i64, end: Timestamp, result: &str) -> SimRun {
        self.status = status;
        self.start_time = Some(self.schedule_time);
        self.end_time = Some(end);
        self.result = result.to_string();
        self
    }
}

/// What the handles and the server share.
pub(in crate::sim) struct Shared {
    pub(super) config: Mutex<SimSchedulerXConfig>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(in crate::sim) struct State {
    pub(super) jobs: BTreeMap<u64, SimJob>,
    /// Newest first, as the console shows them.
    pub(super) runs: BTreeMap<std::cmp::Reverse<u64>, SimRun>,
    pub(super) flows: Flows,
    /// List items as they stand, whatever they are.
    pub(super) raw: Vec<String>,
    pub(super) nonces: HashSet<String>,
    pub(super) faults: Vec<Fault>,
    pub(super) calls: HashMap<String, Vec<Timestamp>>,
    pub(super) counts: BTreeMap<String, usize>,
    pub(super) refused: usize,
}
