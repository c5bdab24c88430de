//! What the store is asked and told of alerts that go further.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Alert, AlertId, Delivery, DeliveryId, Escalation, ReceiverId, RuleId};

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
    /// Who was owed the alert before, and whether it has arrived there; in the order of the steps.
    pub owed: Vec<(ReceiverId, bool)>,
    /// Who has acknowledged the alert.
    pub acked_by: Option<String>,
}

/// From where on due steps are asked for: after this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterStep {
    /// When it was due.
    pub due_at: Timestamp,
    /// Its alert.
    pub alert: AlertId,
    /// Which step it is.
    pub number: u32,
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
    pub deliveries: Vec<Delivery>,
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
    pub answer: Option<Delivery>,
}
