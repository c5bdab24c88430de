//! The jobs of the simulated workspace, and the answers that tell of them. Pure: no clock, no network.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::dialect::Dialect;
use super::node::SimNode;

/// A job, as the job list tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct SimJob {
    /// Its name.
    pub name: String,
    /// Whether it is a real-time job; otherwise it is a batch job.
    pub is_real_time: bool,
    /// The status word of the API.
    pub status: String,
    /// Who owns it.
    pub owner: String,
    /// When it was started last.
    pub start_time: Option<Timestamp>,
    /// When it stopped.
    pub end_time: Option<Timestamp>,
    /// How its last instance ended (batch jobs).
    pub last_instance: Option<(String, Timestamp)>,
    /// Its nodes, which its status tells (real-time jobs).
    pub nodes: Vec<SimNode>,
}

impl SimJob {
    /// A batch job in this status.
    pub fn batch(name: &str, status: &str) -> SimJob {
        SimJob {
            name: name.to_string(),
            is_real_time: false,
            status: status.to_string(),
            owner: "etl-team".to_string(),
            start_time: None,
            end_time: None,
            last_instance: None,
            nodes: Vec::new(),
        }
    }

    /// A real-time job in this status.
    pub fn real_time(name: &str, status: &str) -> SimJob {
        SimJob { is_real_time: true, ..SimJob::batch(name, status) }
    }

    fn item(&self, dialect: Dialect) -> String {
        let mut item = json!({
            "createTime": 1_680_783_636_000_i64,
            "createUser": "test_user",
            "jobType": if self.is_real_time { "REAL_TIME" } else { "BATCH" },
            "name": self.name,
            "owner": self.owner,
            "status": self.status,
        });
        for (key, time) in [("startTime", self.start_time), ("endTime", self.end_time)] {
            if let Some(time) = time {
                item[key] = json!(time.as_millisecond());
            }
        }
        if let Some((status, end)) = &self.last_instance {
            item["lastInstanceStatus"] = json!(status);
            item["lastInstanceEndTime"] = json!(end.as_millisecond());
        }
        dialect.worded(item).to_string()
    }

    fn status(&self) -> String {
        let nodes: Vec<_> = self
            .nodes
            .iter()
            .map(|node| json!({"name": node.name, "type": node.kind, "status": node.status, "logPath": node.log_path}))
            .collect();
        json!({ "name": self.name, "status": self.status, "nodes": nodes }).to_string()
    }
}

/// The jobs by name.
#[derive(Default)]
pub(super) struct Jobs(BTreeMap<String, SimJob>);

impl Jobs {
    pub(super) fn put(&mut self, job: SimJob) {
        self.0.insert(job.name.clone(), job);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// A page of the list of one type.
    pub(super) fn page(
        &self,
        is_real_time: bool,
        name: Option<&str>,
        (start, limit): (usize, usize),
        dialect: Dialect,
    ) -> String {
        let wanted =
            |job: &&SimJob| job.is_real_time == is_real_time && name.is_none_or(|name| job.name.contains(name));
        let total = self.0.values().filter(wanted).count();
        let page = self.0.values().filter(wanted).skip(start).take(limit);
        let items: Vec<String> = page.map(|job| job.item(dialect)).collect();
        format!("{{\"total\":{total},\"jobs\":[{}]}}", items.join(","))
    }

    /// The status of a job, if it is there and a real-time one.
    pub(super) fn status(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|job| job.is_real_time).map(SimJob::status)
    }
}
