//! What a message says of the receiver that it was meant for, when it goes to another one in its place.

use jiff::Timestamp;
use serde::Serialize;

use super::id::ReceiverId;

/// Whom a fallback delivery was meant for. In the body of a webhook it is `stands_in_for`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MeantFor {
    /// The receiver that should have been told.
    pub receiver: ReceiverId,
    /// Why it was not; none in the resolution of an alert that had gone to the fallback already.
    #[serde(flatten)]
    pub untold: Option<Untold>,
}

/// Why a receiver was not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Untold {
    /// Whether it was given up there; otherwise it is still being tried.
    pub given_up: bool,
    /// Since when it was pending there.
    pub since: Timestamp,
    /// Attempts made there.
    pub attempts: u32,
    /// What is wrong there, secrets cut; none when nothing was tried yet.
    pub error: Option<String>,
}
