//! Deciding: from what a poll saw to what people are notified of, in one pure place.
//!
//! # The stages
//! ```text
//! observe   what was seen, held against the memory; stale states are left out           -> Observed
//! ask       which questions the store must answer first: history, runs, silences        -> Questions, Answers
//! judge     which conditions hold, and which alerts that fire hold no longer            -> Judged
//! live      episodes begin, go on, end, are suspended                                   -> Lived
//! address   labels, receivers, the generation of the configuration                      -> Addressed
//! mute      silences, mute windows and inhibitions hold back, and let go                -> Muted
//! pending   what follows for people                                                     -> Decided
//! ```
//! Each stage is a type that only the stage before it makes. A [`Decider`] is what the configuration says of one source,
//! with what it has at hand; a poll, a replay, `nightbell test` and the property tests call it alike. No I/O, no clock, no
//! async, no store: `now` and all else comes in. What is decided is committed by somebody else, who finds repeats.

mod address;
mod answers;
mod clock;
mod decided;
mod decider;
mod dues;
mod episodes;
mod gone;
mod history;
mod in_memory;
mod jobs;
mod judge;
mod live;
mod look;
pub mod memory;
mod mute;
mod observe;
mod own_schedules;
mod standing;
mod terms;

pub use answers::{Answers, Questions, Span};
pub use decided::{Audience, Decided, Notice, Place, to_detail};
pub use decider::{Cache, Decider};
pub use in_memory::InMemory;
pub use judge::remembered;
pub use look::Look;
pub use memory::{Change, Memory};
pub use observe::{Doubts, Observed, Seen, ToRecall, observe};
pub use terms::Terms;
