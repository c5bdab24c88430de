//! The languages that messages come in: what a catalog holds, and how it says it.
//!
//! A catalog is one file a language, `templates/words/en.yaml` and `zh.yaml`, built into the program: phrases by key, with
//! places for values. Templates reach it by the helpers `t`, `word`, `duration` and `elapsed`; code by [`Language::say`].
//! [`summary`] says in any language what an alert is about, out of the facts alone; a [`Saying`] is what those put together
//! who do not know yet who will read it: why a rule does not hold, why something is refused. Names, log paths and errors are
//! values: they pass through verbatim. This module must never know of a channel or of escaping: what it returns is text.
//!
//! A new key goes into every catalog; a test holds that they have the same keys, the same values in them, and none that
//! nobody says.

mod act;
mod catalog;
mod concerns;
mod digest;
mod digest_lines;
mod failure;
mod group;
mod headline;
mod language;
mod late_lines;
mod lately;
mod listener;
mod phrase;
mod refusal;
mod saying;
mod summary;
mod verdict;

pub use act::{ack_line, command, short_id};
pub use concerns::concerns;
pub use digest::{breach, say_digest, suppression};
pub use digest_lines::{Trouble, digest_lines, troubles};
pub use failure::{cut, failure_line, shortened};
pub use group::{GroupLine, LineGuide, group_lines};
pub use headline::{Subject, headline, is_gap, names_of_times, subject, when};
pub use language::{Language, truncated};
pub use late_lines::{LateLine, late_lines};
pub use lately::lately;
pub use listener::{Listener, short_time};
pub use phrase::Phrase;
pub use refusal::not_revived;
pub use saying::Saying;
pub use summary::{escalation, held_back, stored_summary, summary};
pub use verdict::{count_of, grouped, verdict};
