//! What is asked of the outbox beside claiming and settling: what was not delivered and who is told instead, all of one
//! delivery, dead ones sent again. Plain data.

use jiff::Timestamp;

use crate::model::{
    Alert, AlertId, AlertState, Delivery, DeliveryId, DeliveryState, ReceiverId, RuleId, Severity, SourceId, Untold,
};

/// The beginning of an alert that a receiver was not told of.
#[derive(Debug, Clone, PartialEq)]
pub struct Undelivered {
    /// The delivery.
    pub id: DeliveryId,
    /// The alert as it is now.
    pub alert: Alert,
    /// How the delivery fared.
    pub untold: Untold,
}

/// A delivery to a fallback.
#[derive(Debug, Clone, PartialEq)]
pub struct StandIn {
    /// The delivery that did not arrive.
    pub original: DeliveryId,
    /// What is owed in its place.
    pub delivery: Delivery,
}

/// An alert that a receiver was told of in the place of another one.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldInstead {
    /// The delivery that told it.
    pub id: DeliveryId,
    /// The alert as it is now.
    pub alert: Alert,
    /// The receiver that it was meant for.
    pub meant_for: ReceiverId,
}

/// Which alerts somebody wants to see; what is none is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertQuery {
    /// Those of this source.
    pub source: Option<SourceId>,
    /// Those about these jobs and their runs; an empty list wants none.
    pub jobs: Option<Vec<String>>,
    /// Those of this rule.
    pub rule: Option<RuleId>,
    /// Those that are this bad; an empty list wants all.
    pub severities: Vec<Severity>,
    /// Those in this state.
    pub state: Option<AlertState>,
    /// Those that this receiver was told of.
    pub receiver: Option<ReceiverId>,
    /// Those that were recorded and not told, or those that were told.
    pub is_suppressed: Option<bool>,
    /// Those recorded then or later.
    pub since: Option<Timestamp>,
}

/// Which deliveries somebody wants to see; what is none is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// Those in this state.
    pub state: Option<DeliveryState>,
    /// Those to this receiver.
    pub receiver: Option<ReceiverId>,
    /// Those of this rule's alerts.
    pub rule: Option<RuleId>,
    /// Those that tell of this alert.
    pub alert: Option<AlertId>,
    /// Those made then or later.
    pub since: Option<Timestamp>,
}

/// All that is known of one delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryRecord {
    /// The delivery.
    pub delivery: Delivery,
    /// The alert that it tells of, as it is now.
    pub alert: Option<Alert>,
    /// The attempts, the first one first.
    pub attempts: Vec<AttemptRecord>,
    /// The delivery that tells a fallback of it.
    pub fallback: Option<DeliveryId>,
}

/// One line of the attempt log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// Counted from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How, in the words of [`crate::model::AttemptOutcome`].
    pub outcome: String,
    /// The channel's answer in one word.
    pub status: Option<String>,
    /// What went wrong, secrets cut.
    pub error: Option<String>,
}

/// Which dead deliveries are to be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetters {
    /// These.
    Named(Vec<DeliveryId>),
    /// Those of a receiver that were made at an instant or later.
    Of {
        /// The receiver.
        receiver: ReceiverId,
        /// The instant.
        since: Timestamp,
    },
}

/// What became of a wish to send dead deliveries again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revived {
    /// Owed again, those included that had died with them.
    pub revived: Vec<DeliveryId>,
    /// Left as they are, and why.
    pub refused: Vec<(DeliveryId, String)>,
}
