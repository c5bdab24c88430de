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

use super::streams::splits;
use super::workspace::DataArts;
use crate::limits::PART_OF_CANDIDATES_MAX;
use crate::model::{Instance, InstanceType, PartOf};

impl DataArts {
    /// The real-time job and the node that an instance is a run of; `None` when it is none, or when that cannot be told.
    pub(super) async fn real_time_job_of(&self, instance: &Instance) -> Option<PartOf> {
        // The older dialect tells no types.
        let is_certain = instance.kind == InstanceType::Subjob;
        if !is_certain && instance.kind != InstanceType::Unknown {
            return None;
        }
        // Held over the calls: instances that alert together are told apart by one list.
        let mut known = self.streams.known().await;
        let now = self.client.clock.now();
        if known.is_stale(now) && instance.job.name.contains('_') {
            known.asked_at = Some(now);
            match self.jobs_of(true).await {
                Ok(list) => known.take(&list.jobs, now),
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
