//! How looks at a source went, as the log keeps it.

use jiff::Timestamp;

/// One look at a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollRecord {
    /// When it began.
    pub polled_at: Timestamp,
    /// With what success.
    pub outcome: PollOutcome,
}

/// How a look at a source went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PollOutcome {
    /// Everything in the window was read.
    Whole,
    /// Less was read than the source says there is: the cursor stayed where it was.
    Short,
    /// The source could not be read.
    Unread,
}

impl PollOutcome {
    /// The word used in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            PollOutcome::Whole => "whole",
            PollOutcome::Short => "short",
            PollOutcome::Unread => "unread",
        }
    }

    /// The outcome a stored word names.
    pub fn from_word(word: &str) -> Option<PollOutcome> {
        [PollOutcome::Whole, PollOutcome::Short, PollOutcome::Unread]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}
