//! Alerts that go further, because they still fire: the steps of rules, those that are due and those that are taken, and
//! what a message says of one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{ReceiverId, RuleId};

/// A later step of a rule's `notify`: who was told before, how long ago, and whether anybody is on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Which step it is; the first telling is step 1.
    pub step: u32,
    /// How long ago the first telling was, in milliseconds.
    pub after_ms: u64,
    /// Who was told before, as far as the channels have confirmed it.
    pub told: Vec<ReceiverId>,
    /// Who should have been told before and has not been reached.
    pub unreached: Vec<ReceiverId>,
    /// Who has acknowledged it; none when nobody has.
    pub acked_by: Option<String>,
}

/// A later step of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleStep {
    /// The rule.
    pub rule: RuleId,
    /// Which step it is; the first telling is step 1.
    pub number: u32,
    /// How long after the first telling it is due.
    pub after: Duration,
    /// Whether an acknowledged alert goes no further.
    pub unless_acked: bool,
}
