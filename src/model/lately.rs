//! How a job has fared lately, as its alert tells it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::Ended;

/// How the job of an alert has fared before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lately {
    /// Runs that ended, of those that were due in the last seven days; without the one that the alert is about, and without
    /// backfills.
    pub runs: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// When the last run ended that succeeded, as far back as runs are kept.
    pub last_success_at: Option<Timestamp>,
    /// How long a run that succeeds usually takes, in milliseconds; `null` of few runs.
    pub usual_ms: Option<u64>,
    /// How the last alert of the same rule about the job ended.
    pub last_ended: Option<Ended>,
    /// How long that alert had lasted, in milliseconds.
    pub last_lasted_ms: Option<u64>,
}
