//! Alerts that go further, because they still fire: the steps of rules, those that are due and those that are taken, and
//! what a message says of one.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::delivery::Notification;
use super::id::{AlertId, DeliveryId, ReceiverId, RuleId};

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
