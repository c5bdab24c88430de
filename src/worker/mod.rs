//! The loops that do the work: they read the clock, call the pure parts, and move data between the outside world and
//! the store. One lane per receiver delivers; what does not arrive goes to a fallback;
//! what goes on firing goes to further people, and is told again where its group asks for that; digests are made when they
//! are due;
//! `own` tells of trouble with sources and receivers themselves, and the heartbeat that all of this works; housekeeping
//! forgets what is old.
//!
//! Each of them is a [`turn::Turn`]: it is nudged when there is news and looks by itself from time to time; a nudge carries
//! no data, for the store has it. Its last status is published by name. Loops must never know of wire formats, SQL or the configuration file.

pub mod budget;
mod counting;
pub mod deliver;
pub mod digest;
pub mod escalation;
pub mod fallback;
pub mod heartbeat;
pub mod housekeeping;
pub mod lease;
pub mod own;
pub mod pending;
pub mod poll;
pub mod remind;
pub mod replay;
pub mod retry;
pub mod trust;
pub mod turn;
pub mod unwatched;
