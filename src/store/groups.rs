//! What is asked of the outbox about groups: which are due to be told, and which are to be told again. Plain data.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Alert, GroupPlace, ReceiverId};

/// A group in which something has waited long enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueGroup {
    /// Its name, its times, and when it was last told something.
    pub place: GroupPlace,
    /// How many deliveries wait in it.
    pub waiting: u64,
}

impl DueGroup {
    /// From when on it may be told something again; none when it was never told anything.
    pub fn free_at(&self) -> Option<Timestamp> {
        let told_at = self.place.told_at?;
        Some(told_at.checked_add(self.place.interval).unwrap_or(Timestamp::MAX))
    }
}

/// A group of which something still fires, and that was told nothing for long.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrepeated {
    /// The receiver.
    pub receiver: ReceiverId,
    /// Its name, its times, and when it was last told something.
    pub place: GroupPlace,
    /// What still fires, as it is now, the oldest first.
    pub alerts: Vec<Alert>,
}

impl Unrepeated {
    /// For how long it was told nothing.
    pub fn silent_for(&self, now: Timestamp) -> Duration {
        self.place.told_at.map_or(Duration::ZERO, |told_at| now.duration_since(told_at).unsigned_abs())
    }
}
