//! Delivering: one lane per receiver, so that a receiver that hangs holds up no other.
//!
//! A lane claims what is due, makes attempts side by side, and settles their outcomes in groups. It reads and writes the
//! store's outbox and talks to one notifier. [`Lane::attempt_due`] makes one pass over what is due; [`Lane::run`] streams
//! until it is told to stop. What goes out keeps to the [`Budget`] of the destination, and where more alerts wait than it
//! allows, several go out as one message. Nothing is sent while the store cannot record it: outcomes that could not be stored are kept
//! and stored first. A lane must never know what a message says or where it goes.

mod attempts;
mod channel;
mod claiming;
pub(super) mod composer;
mod converting;
mod grouping;
mod lane;
mod recovering;
mod streaming;

pub use self::channel::Channel;
pub use lane::{Jitter, Lane, Progress, Waiting, receiver_of, status_name};
