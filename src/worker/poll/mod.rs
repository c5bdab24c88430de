//! The poll loop of one source: list, follow, decide, ask for details, commit.
//!
//! Reads the source and the store; writes the store, once per poll, in one transaction that moves cursor, snapshots,
//! alerts and outbox together. A poll that fails anywhere before that leaves everything as it was and is simply made
//! again: the next one sees the same instances and comes to the same decisions under the same names. A source that
//! cannot be read is recorded as unreadable, with why, and moves nothing. This module must never know a channel or a
//! scheduler's wire format.

mod answers;
mod asking;
mod details;
pub(super) mod follow;
mod followed;
mod gaps;
mod poller;
mod rendering;
mod turn;
pub(super) mod window;

pub use crate::decide::Terms;
pub use followed::Followed;
pub use poller::{LastPoll, PollError, PollReport, Poller, status_name};
pub use window::is_silent;
