//! Alerts: one condition holding for one subject, from the first firing to its resolution.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::id::{AlertId, ReceiverId, RuleId, SourceId};
use super::message::AlertFacts;
use super::silence::SilenceId;

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

/// Whether the condition still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It holds.
    Firing,
    /// It held once and no longer does.
    Resolved,
}

impl AlertState {
    /// The word used in messages and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            AlertState::Firing => "firing",
            AlertState::Resolved => "resolved",
        }
    }
}

/// Why an alert has ended: each has one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndReason {
    /// The run succeeded after all, or a run of the same job planned later did.
    Recovered,
    /// The condition holds no longer.
    Over,
    /// The source says that the run or the job no longer exists.
    Gone,
    /// No rule, source or `match` covers it any more.
    Unwatched,
    /// A person closed it.
    Closed,
}

impl EndReason {
    /// All of them.
    pub const ALL: [EndReason; 5] =
        [EndReason::Recovered, EndReason::Over, EndReason::Gone, EndReason::Unwatched, EndReason::Closed];

    /// The word used in messages and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            EndReason::Recovered => "recovered",
            EndReason::Over => "over",
            EndReason::Gone => "gone",
            EndReason::Unwatched => "unwatched",
            EndReason::Closed => "closed",
        }
    }

    /// The reason a stored word names.
    pub fn from_word(word: &str) -> Option<EndReason> {
        EndReason::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// How an alert ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Why.
    pub reason: EndReason,
    /// The person who closed it; `null` where nobody did.
    pub by: Option<String>,
    /// What that person said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When the condition ceased to hold, as far as that is known.
    pub at: Timestamp,
}

/// Why an alert was recorded and not told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Suppression {
    /// The failure is older than the source's `first_poll`, and this was the rule's first look at the source.
    FirstPoll,
    /// A silence held when it began.
    Silence(SilenceId),
    /// The mute window of this name was open when it began.
    MuteWindow(Arc<str>),
    /// An alert upstream fired that the inhibition of this name speaks of.
    Inhibition(Arc<str>),
}

impl Suppression {
    const SILENCE: &str = "silence:";
    const MUTE_WINDOW: &str = "mute-window:";
    const INHIBITION: &str = "inhibited:";

    /// The suppression a stored word names.
    pub fn from_word(word: &str) -> Option<Suppression> {
        if let Some(id) = word.strip_prefix(Self::SILENCE) {
            return id.parse().ok().map(Suppression::Silence);
        }
        if let Some(name) = word.strip_prefix(Self::INHIBITION) {
            return Some(Suppression::Inhibition(name.into()));
        }
        match word.strip_prefix(Self::MUTE_WINDOW) {
            Some(name) => Some(Suppression::MuteWindow(name.into())),
            None => (word == "first-poll").then_some(Suppression::FirstPoll),
        }
    }

    /// Whether it only holds the alert back: what still fires when it ends is told then.
    pub fn holds_back(&self) -> bool {
        !matches!(self, Suppression::FirstPoll)
    }
}

/// The word used in output and in the store.
impl fmt::Display for Suppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Suppression::FirstPoll => f.write_str("first-poll"),
            Suppression::Silence(id) => write!(f, "{}{id}", Self::SILENCE),
            Suppression::MuteWindow(name) => write!(f, "{}{name}", Self::MUTE_WINDOW),
            Suppression::Inhibition(name) => write!(f, "{}{name}", Self::INHIBITION),
        }
    }
}

impl Serialize for Suppression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One episode: from the first firing of a condition for one instance to its resolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Names the episode; the same over restarts.
    pub id: AlertId,
    /// The source of the instance.
    pub source: SourceId,
    /// The rule whose condition holds.
    pub rule: RuleId,
    /// What messages say of it (section `data` of the webhook body); state, times and severity stand in there.
    pub facts: AlertFacts,
    /// Who was told of the firing, and is told of the resolution if it wants that.
    pub receivers: Vec<ReceiverId>,
    /// Set when it was recorded and not told.
    pub suppressed_by: Option<Suppression>,
    /// Since when no rule, source or `match` covers it; then it takes no step, is not repeated and inhibits nothing.
    pub suspended_at: Option<Timestamp>,
    /// When Nightbell decided that it fires.
    pub created_at: Timestamp,
    /// The generation of the configuration by which it decided that; unknown of what an older version stored.
    pub generation: Option<i64>,
}

impl Alert {
    /// Whether the condition still holds.
    pub fn state(&self) -> AlertState {
        self.facts.alert.state
    }
}
