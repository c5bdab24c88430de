//! Rules: what people must hear about.
//!
//! A [`Rule`] matches instances by source, job name and type, and judges whether its condition holds for one; a
//! [`RuleSet`] finds the rules that a job's name concerns without asking each; a [`Trigger`] looks beyond the one
//! instance, at the job's history or at the clock; [`Muting`] says which new alerts are held back for now; a
//! [`Standing`] says in numbers what stands against a rule. Pure: reads
//! the instance or alert, the history and `now` it is given, nothing else. It must never know of episodes, of what was
//! told before, or of the configuration's syntax beyond that of a job pattern.

mod concerns;
pub mod daily;
mod definition;
mod group;
pub mod history;
mod holding;
mod hours;
mod index;
pub mod inhibit;
mod jobs;
mod judge;
mod matches;
mod mute;
mod pattern;
pub mod plans;
pub mod recurring;
mod route;
mod set;
mod standing;
mod trace;
mod trigger;

pub use concerns::AlertMatch;
pub use definition::{Condition, Recovers, Rounds, Rule, Step};
pub use group::{GroupBy, Grouping};
pub use holding::held;
pub use hours::{FirstStep, Hold, Hours, NamedWindow, first_gap};
pub use jobs::JobMatch;
pub use judge::{Unmet, Verdict};
pub use matches::Matches;
pub use mute::{MuteWindow, Muting};
pub use pattern::{Matcher, Pattern};
pub use route::{Route, addressed};
pub use set::{MatchCache, RuleSet, RuleSetError};
pub use standing::{Objection, Standing};
pub use trigger::Trigger;
