//! What waits for a receiver, as those see it who decide what goes out when, and what goes out together.

use jiff::Timestamp;

use super::delivery::GroupPlace;
use super::id::DeliveryId;
use super::message::{AlertFacts, MessageKind};
use super::severity::Severity;

/// A delivery that is due and free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// The delivery.
    pub id: DeliveryId,
    /// What kind of message it is; none where this version does not know it.
    pub kind: Option<MessageKind>,
    /// How bad what it tells of is.
    pub severity: Option<Severity>,
    /// Since when it is due.
    pub due_at: Timestamp,
}

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

/// A delivery that can be told together with others.
#[derive(Debug, Clone, PartialEq)]
pub struct Mergeable {
    /// The delivery.
    pub id: DeliveryId,
    /// What is known of its alert now.
    pub facts: AlertFacts,
    /// The resolution that waits behind it, if the alert is over and that is pending too.
    pub resolution: Option<DeliveryId>,
    /// The delivery that it answers.
    pub follows: Option<DeliveryId>,
}
