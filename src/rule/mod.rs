//! Rules: what people must hear about.
//!
//! A [`Rule`] matches instances by source, job name and type, and judges whether its condition holds for one; a
//! [`RuleSet`] finds the rules that a job's name concerns without asking each. Pure: reads the instance and `now` it is
//! given, nothing else. It must never know of episodes, of what was told before, or of the configuration's syntax
//! beyond that of a job pattern.

mod judge;
mod pattern;
mod set;

use std::collections::BTreeSet;
use std::time::Duration;

pub use judge::{Reason, Verdict};
pub use pattern::Pattern;
pub use set::{MatchCache, RuleSet, RuleSetError};

use crate::model::{InstanceType, ReceiverId, RuleId, Severity, SourceId, Status};

/// One rule of the configuration.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its key in the configuration: stable, part of every alert's id.
    pub id: RuleId,
    /// Which instances it concerns.
    pub matches: Matches,
    /// What must hold for one of them.
    pub when: Condition,
    /// How bad that is.
    pub severity: Severity,
    /// Who is told.
    pub notify: Vec<ReceiverId>,
}

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

/// What must hold for an instance. All given parts must.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// The instance is in one of these; empty means any status.
    pub statuses: BTreeSet<Status>,
    /// It has lasted at least this long.
    pub duration: Option<Duration>,
}
