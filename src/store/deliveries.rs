//! What an operator asks of the outbox: which deliveries there are, all of one, and to send dead ones again.

use std::future::Future;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{Alert, AlertId, Delivery, DeliveryId, DeliveryState, NotRevived, ReceiverId, RuleId};

/// The outbox as an operator sees it.
pub trait Deliveries: Send + Sync {
    /// Deliveries, the newest first. Rows that cannot be understood are left out, with a log line.
    fn deliveries(&self, limit: usize) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;

    /// The deliveries that `query` asks for, the newest first. Rows that cannot be understood are left out, with a log
    /// line.
    fn find_deliveries(
        &self,
        query: &DeliveryQuery,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;

    /// The ids that begin with `prefix`, at most two of them: who asks wants the one.
    fn deliveries_named(&self, prefix: &str) -> impl Future<Output = Result<Vec<DeliveryId>, StoreError>> + Send;

    /// All that is known of one delivery; nothing when there is none of that name.
    fn delivery_record(
        &self,
        id: &DeliveryId,
    ) -> impl Future<Output = Result<Option<DeliveryRecord>, StoreError>> + Send;

    /// Makes dead deliveries pending again, and pending ones due at `now`, in one transaction: the age after which they are
    /// given up begins anew, and what died with them is pending again behind them. Attempts made before stay in the log, and
    /// who had them sent again is on record.
    fn revive(
        &self,
        which: &DeadLetters,
        by: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Revived, StoreError>> + Send;
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

/// Which deliveries are to be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetters {
    /// These.
    Named(Vec<DeliveryId>),
    /// Those of a receiver that were made at an instant or later, and are dead letters that nobody has given up, or wait for
    /// another attempt.
    Of {
        /// The receiver.
        receiver: ReceiverId,
        /// The instant.
        since: Timestamp,
    },
}

/// What became of a wish to send deliveries again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revived {
    /// Pending again, those included that had died with them.
    pub revived: Vec<DeliveryId>,
    /// Left as they are, and why.
    pub refused: Vec<(DeliveryId, NotRevived)>,
}
