//! Playing a past or an imagined time again: what would have been told?
//!
//! The decisions are those of the running program, because they are made by the same pure functions: what a poll decides,
//! what its receivers are sent, what later steps and repeats say, and what goes out together. All that is known is held in memory, and time goes from poll to
//! poll. Nothing is sent, nothing outside is read or written, and nothing waits. This module must never decide anything by
//! itself, and must never know a store.

mod difference;
mod fetch;
mod lanes;
mod log;
mod people;
mod rehearsal;
mod repeats;
mod stage;
mod steps;
mod telling;
mod theatre;

pub use difference::{Difference, How, differences};
pub use fetch::fetched;
pub use lanes::Sent;
pub use rehearsal::{Problem, Rehearsal};
pub use stage::{Before, Reel};
pub use telling::Telling;
pub use theatre::{Played, ReplayError, Script, Theatre};
