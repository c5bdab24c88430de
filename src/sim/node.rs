//! The nodes of an instance, as the API lists them.
//!
//! Data only.

use jiff::Timestamp;
use serde_json::{Value, json};

/// A step inside an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct SimNode {
    /// Its name.
    pub name: String,
    /// What kind of work it does.
    pub kind: String,
    /// The status word of the API.
    pub status: String,
    /// How often it was tried again.
    pub retries: u64,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// Where its log is.
    pub log_path: Option<String>,
}

impl SimNode {
    /// A node that ran from `start` to `end` and has this status.
    pub fn ended(name: &str, kind: &str, status: &str, start: Timestamp, end: Timestamp) -> SimNode {
        SimNode {
            name: name.to_string(),
            kind: kind.to_string(),
            status: status.to_string(),
            retries: 0,
            start_time: Some(start),
            end_time: Some(end),
            log_path: None,
        }
    }

    /// The same with the path of its log.
    pub fn log_path(mut self, path: &str) -> SimNode {
        self.log_path = Some(path.to_string());
        self
    }

    /// The node as the API lists it, of the instance of this id that was planned then.
    pub(super) fn item(&self, instance: u64, planned: Timestamp) -> Value {
        let mut item = json!({
            "inputRowCount": 0,
            "instanceId": instance,
            "nodeName": self.name,
            "planTime": planned.as_millisecond(),
            "retryTimes": self.retries,
            "status": self.status,
            "type": self.kind,
        });
        if let Some(path) = &self.log_path {
            item["logPath"] = json!(path);
        }
        set_times(&mut item, self.start_time, self.end_time);
        item
    }
}

pub(super) fn set_times(item: &mut Value, start: Option<Timestamp>, end: Option<Timestamp>) {
    for (key, time) in [("startTime", start), ("endTime", end)] {
        if let Some(time) = time {
            item[key] = json!(time.as_millisecond());
        }
    }
}
