//! Which real-time job a sub-job belongs to.
//!
//! A node of a real-time job that runs by a schedule of its own has instances, listed under the name
//! `{real-time job}_{node}`. Both names may hold a `_`, so the name alone does not tell where one ends: the list of
//! real-time jobs does, and where several of them fit, their nodes.
//!
//! # Design
//! It is asked about instances that alert, and about no other: a workspace whose sub-jobs are well costs no request for
//! it. What was read serves for a few minutes, and a list that could not be read is not asked for again before that
//! either.

use std::collections::HashMap;

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::DataArts;
use crate::limits::{PART_OF_CANDIDATES_MAX, REAL_TIME_JOBS_AGE_MAX};
use crate::model::{Instance, InstanceType, Job, PartOf};

/// The real-time jobs of the workspace, as they were a while ago.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// When they were last asked for, with or without success.
    asked_at: Option<Timestamp>,
    jobs: Vec<String>,
    /// The names of the nodes of those jobs that were looked at.
    nodes: HashMap<String, Vec<String>>,
}

impl Streams {
    /// Takes over a list that was read.
    pub(super) async fn take(&self, jobs: &[Job], now: Timestamp) {
        self.0.lock().await.take(jobs, now);
    }
}

impl Known {
    fn take(&mut self, jobs: &[Job], now: Timestamp) {
        let jobs = jobs.iter().map(|job| job.name.clone()).collect();
        *self = Known { asked_at: Some(now), jobs, nodes: HashMap::new() };
    }

    fn is_stale(&self, now: Timestamp) -> bool {
        self.asked_at.is_none_or(|at| now.duration_since(at).unsigned_abs() >= REAL_TIME_JOBS_AGE_MAX)
    }
}

impl DataArts {
    /// The real-time job and the node that an instance is a run of; `None` when it is none, or when that cannot be told.
    pub(super) async fn real_time_job_of(&self, instance: &Instance) -> Option<PartOf> {
        // The older dialect tells no types.
        let is_certain = instance.kind == InstanceType::Subjob;
        if !is_certain && instance.kind != InstanceType::Unknown {
            return None;
        }
        // Held over the calls: instances that alert together are told apart by one list.
        let mut known = self.streams.0.lock().await;
        let now = self.clock.now();
        if known.is_stale(now) && instance.job.name.contains('_') {
            known.asked_at = Some(now);
            match self.jobs_of(true).await {
                Ok(jobs) => known.take(&jobs, now),
                Err(error) => {
                    tracing::debug!(source = %self.id, "the real-time jobs could not be read: {error}");
                }
            }
        }
        let candidates = splits(&known.jobs, &instance.job.name);
        if is_certain && candidates.len() == 1 {
            return candidates.into_iter().next();
        }
        for candidate in candidates.iter().take(PART_OF_CANDIDATES_MAX) {
            if !known.nodes.contains_key(&candidate.job) {
                let Ok(nodes) = self.read_job_nodes(&candidate.job).await else { continue };
                let nodes = nodes.into_iter().map(|node| node.name).collect();
                known.nodes.insert(candidate.job.clone(), nodes);
            }
            if known.nodes.get(&candidate.job).is_some_and(|nodes| nodes.contains(&candidate.node)) {
                return Some(candidate.clone());
            }
        }
        candidates.into_iter().next().filter(|_| is_certain)
    }
}

/// Every way in which a name can be made of one of `jobs`, a `_` and a node's name, the longest job first.
fn splits(jobs: &[String], name: &str) -> Vec<PartOf> {
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
