//! Steps of an alert: those that are due, what they come to, and what they owe at its end.
//!
//! Data only.

use jiff::Timestamp;

use super::alert::Alert;
use super::delivery::Notification;
use super::escalation::Escalation;
use super::id::{AlertId, DeliveryId, ReceiverId};

/// A step that an alert has come to.
#[derive(Debug, Clone, PartialEq)]
pub struct DueStep {
    /// The alert, which fires.
    pub alert: Alert,
    /// Which step it is.
    pub number: u32,
    /// When the alert was first told.
    pub told_at: Timestamp,
    /// When the step was due.
    pub due_at: Timestamp,
    /// Who was to be notified of the alert before, and whether it has arrived there; in the order of the steps.
    pub notified: Vec<(ReceiverId, bool)>,
    /// Who has acknowledged the alert.
    pub acked_by: Option<String>,
}

/// A step that is taken.
#[derive(Debug, Clone)]
pub struct StepTaken {
    /// The alert.
    pub alert: AlertId,
    /// Which step it is.
    pub number: u32,
    /// Whether it is not taken after all when the alert has been acknowledged.
    pub unless_acked: bool,
    /// What the messages say of it.
    pub note: Escalation,
    /// One for each receiver.
    pub deliveries: Vec<Notification>,
}

/// An alert that has ended since it went further, and one of those whom it went to.
#[derive(Debug, Clone, PartialEq)]
pub struct EscalatedEnd {
    /// The alert.
    pub alert: Alert,
    /// The step that told the receiver.
    pub number: u32,
    /// Whom it told.
    pub receiver: ReceiverId,
    /// The delivery that did.
    pub told_by: DeliveryId,
    /// The message that tells of the end; none where that is not wanted.
    pub answer: Option<Notification>,
}
