//! Why deliveries stand as they do where no channel said so: what is stored as their last error, and why one cannot be sent
//! again. It reads and writes nothing, and must never know of SQL.

use super::delivery::DeliveryState;
use super::id::{DeliveryId, ReceiverId};

/// What a delivery dies of when the message that it follows was never delivered.
pub const NEVER_FIRED: &str = "the firing message was never delivered";

/// What the log says of an attempt whose process died.
pub const INTERRUPTED: &str = "nightbell stopped before the outcome was known; it may have arrived";

/// Why a delivery cannot be sent again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotRevived {
    /// There is none of that name.
    Unknown,
    /// It is neither dead nor pending.
    Settled(DeliveryState),
    /// An attempt is under way.
    UnderWay,
    /// The message that it follows is dead, and stays so.
    FollowsDead(DeliveryId),
    /// The configuration in force has no such receiver.
    NoReceiver(ReceiverId),
}
