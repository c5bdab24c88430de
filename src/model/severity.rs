//! How bad it is, as the rule says.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad it is, as the rule says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Look at it in the morning.
    Warning,
    /// Look at it soon.
    #[default]
    Error,
    /// Get up.
    Critical,
}

impl Severity {
    /// All of them, the worst first.
    pub const ALL: [Severity; 4] = [Severity::Critical, Severity::Error, Severity::Warning, Severity::Info];

    /// The word used in the configuration and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }

    /// From 1 for what is worth knowing to 4 for what wakes somebody.
    pub const fn urgency(self) -> u8 {
        self as u8 + 1
    }

    /// The severity of an urgency.
    pub fn from_urgency(urgency: u8) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.urgency() == urgency)
    }

    /// The severity a word of ours names.
    pub fn from_word(word: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.as_str() == word)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
