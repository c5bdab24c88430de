//! Digests: what a period was like, out of what was recorded in it.
//!
//! [`due()`] tells whether a digest is to be made; a [`Tally`] takes the rows of the period one by one, however many
//! there are, keeps little of each, and becomes a [`DigestFacts`](crate::model::DigestFacts). Pure: no I/O, no clock. It
//! must never know of SQL, of rules, or of what a receiver makes of the facts.
//!
//! # Design
//! What belongs to a period is decided by *moments*, not by the clock: each commit of the store has one, a later commit a
//! greater one, and a run keeps the moment at which it was first seen to be over. A digest covers all moments after
//! those of the one before it up to the latest, so each run is in one digest, whatever the clock does and whenever
//! the process dies. Times of day serve to decide when a digest is due and to tell people when things happened.

mod breach;
mod chart;
mod due;
mod rows;
mod tally;
mod timing;
mod trouble;
mod verdict;

pub use due::{DuePeriod, due, spread_of};
pub use rows::{
    AlertRow, BeforeRow, FailedRow, GapRow, HistoryRow, Limits, OpenRow, PurgedRow, Selects, SettledRow, SourceRow,
};
pub use tally::{FailedRun, Tally};
pub use verdict::is_complete;

use jiff::Timestamp;

use crate::model::{DigestFacts, Message, MessageData, MessageKind};

/// The message that brings a digest.
pub fn message(facts: DigestFacts, now: Timestamp) -> Message {
    Message { kind: MessageKind::Digest, timestamp: now, data: MessageData::Digest(Box::new(facts)) }
}
