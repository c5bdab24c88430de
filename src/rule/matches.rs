//! Which instances a rule concerns: sources, patterns of job names, and how a run came about.
//!
//! Pure data with one question. It must never know what must hold for an instance.

use super::pattern::Pattern;
use crate::model::{InstanceType, SourceId};

/// Which instances a rule concerns: alternatives within each field, all fields together.
#[derive(Debug, Clone, Default)]
pub struct Matches {
    /// Sources; empty means every source.
    pub sources: Vec<SourceId>,
    /// Patterns of job names; empty means every job.
    pub jobs: Vec<Pattern>,
    /// Patterns of job names that are left out.
    pub not: Vec<Pattern>,
    /// Instance types; empty means every type but backfill.
    pub instance_types: Vec<InstanceType>,
}

impl Matches {
    /// Whether instances that came to run in this way are concerned.
    pub fn takes(&self, kind: InstanceType) -> bool {
        if self.instance_types.is_empty() {
            kind != InstanceType::Backfill
        } else {
            self.instance_types.contains(&kind)
        }
    }
}
