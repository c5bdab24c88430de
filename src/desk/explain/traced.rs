//! What was told of an alert: its deliveries, each with how it fared.
//!
//! Data only.

use jiff::Timestamp;

use crate::alert::identity::escalation_step;
use crate::model::{Ack, Alert, DeliveryState};
use crate::store::DeliveryRecord;

/// An alert, and what became of it.
#[derive(Debug)]
pub struct Told {
    /// The alert.
    pub alert: Alert,
    /// Who is on it.
    pub ack: Option<Ack>,
    /// What was pending for it, the oldest first.
    pub deliveries: Vec<TracedDelivery>,
}

/// One message, with the one that told it together with others.
#[derive(Debug)]
pub struct TracedDelivery {
    /// The message.
    pub record: DeliveryRecord,
    /// Where it was merged.
    pub group: Option<DeliveryRecord>,
}

impl TracedDelivery {
    /// Where it stands: what was merged stands where its group does.
    pub fn state(&self) -> DeliveryState {
        self.group.as_ref().unwrap_or(&self.record).delivery.state
    }

    /// Which later step of the rule made it; none of a first telling.
    pub fn step(&self) -> Option<u32> {
        escalation_step(&self.record.delivery)
    }

    /// The window that it is held back for, while it is.
    pub fn held_for(&self) -> Option<&str> {
        self.gathers_until().and(self.record.delivery.group.as_ref()?.window())
    }

    /// Until when it waits for others of its group; none for one that waits for none, or does no longer.
    pub fn gathers_until(&self) -> Option<Timestamp> {
        let delivery = &self.record.delivery;
        let waits = delivery.state == DeliveryState::Pending
            && delivery.group.as_ref().is_some_and(|group| group.told_at.is_none());
        delivery.next_attempt_at.filter(|_| waits)
    }
}
