//! The real-time jobs of a workspace, by which sub-jobs are told apart.
//!
//! Pure memory: it asks nothing itself.

use std::collections::HashMap;

use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use crate::limits::REAL_TIME_JOBS_AGE_MAX;
use crate::model::{Job, PartOf};

/// The real-time jobs of the workspace, as they were a while ago.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<Known>);

#[derive(Debug, Default)]
pub(super) struct Known {
    /// When they were last asked for, with or without success.
    pub(super) asked_at: Option<Timestamp>,
    pub(super) jobs: Vec<String>,
    /// The names of the nodes of those jobs that were looked at.
    pub(super) nodes: HashMap<String, Vec<String>>,
}

impl Streams {
    /// What is known, held while more of it is found out.
    pub(super) async fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().await
    }

    /// Takes over a list that was read.
    pub(super) async fn take(&self, jobs: &[Job], now: Timestamp) {
        self.0.lock().await.take(jobs, now);
    }
}

impl Known {
    pub(super) fn take(&mut self, jobs: &[Job], now: Timestamp) {
        let jobs = jobs.iter().map(|job| job.name.clone()).collect();
        *self = Known { asked_at: Some(now), jobs, nodes: HashMap::new() };
    }

    pub(super) fn is_stale(&self, now: Timestamp) -> bool {
        self.asked_at.is_none_or(|at| now.duration_since(at).unsigned_abs() >= REAL_TIME_JOBS_AGE_MAX)
    }
}

/// Every way in which a name can be made of one of `jobs`, a `_` and a node's name, the longest job first.
pub(super) fn splits(jobs: &[String], name: &str) -> Vec<PartOf> {
    let split = |job: &String| {
        let node = name.strip_prefix(job.as_str())?.strip_prefix('_').filter(|node| !node.is_empty())?;
        Some(PartOf { job: job.clone(), node: node.to_string() })
    };
    let mut splits: Vec<PartOf> = jobs.iter().filter_map(split).collect();
    splits.sort_by_key(|split| std::cmp::Reverse(split.job.len()));
    splits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_wherever_a_real_time_job_ends() {
        let jobs = ["a", "a_b", "b", "流", "a_b_c", ""].map(str::to_string);
        let split = |name: &str| -> Vec<String> {
            splits(&jobs, name).into_iter().map(|part| format!("{}|{}", part.job, part.node)).collect()
        };
        assert_eq!(split("a_b_c"), ["a_b|c", "a|b_c"]);
        assert_eq!(split("a_b_c_d"), ["a_b_c|d", "a_b|c_d", "a|b_c_d"]);
        assert_eq!(split("流_入"), ["流|入"]);
        for name in ["a", "a_", "ab_c", "c_a", ""] {
            assert!(split(name).is_empty(), "{name}");
        }
    }
}
