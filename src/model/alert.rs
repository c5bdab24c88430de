//! Alerts: one condition holding for one subject, from the first firing to its resolution.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::id::{AlertId, ReceiverId, RuleId, SourceId};
use super::message::AlertFacts;
use super::silence::SilenceId;
use super::state::AlertState;

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
    /// The subject had [`crate::limits::EPISODES_MAX`] episodes with the same times before: a fault of its source.
    TooManyEpisodes,
}

impl Suppression {
    const SILENCE: &str = "silence:";
    const MUTE_WINDOW: &str = "mute-window:";
    const INHIBITION: &str = "inhibited:";
    pub(crate) const FIRST_POLL: &str = "first-poll";
    const TOO_MANY_EPISODES: &str = "too-many-episodes";

    /// The suppression a stored word names.
    pub fn from_word(word: &str) -> Option<Suppression> {
        if let Some(id) = word.strip_prefix(Self::SILENCE) {
            return id.parse().ok().map(Suppression::Silence);
        }
        if let Some(name) = word.strip_prefix(Self::INHIBITION) {
            return Some(Suppression::Inhibition(name.into()));
        }
        if let Some(name) = word.strip_prefix(Self::MUTE_WINDOW) {
            return Some(Suppression::MuteWindow(name.into()));
        }
        match word {
            Self::FIRST_POLL => Some(Suppression::FirstPoll),
            Self::TOO_MANY_EPISODES => Some(Suppression::TooManyEpisodes),
            _ => None,
        }
    }

    /// Whether it only holds the alert back: what still fires when it ends is told then.
    pub fn holds_back(&self) -> bool {
        !matches!(self, Suppression::FirstPoll | Suppression::TooManyEpisodes)
    }
}

/// The word used in output and in the store.
impl fmt::Display for Suppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Suppression::FirstPoll => f.write_str(Self::FIRST_POLL),
            Suppression::TooManyEpisodes => f.write_str(Self::TOO_MANY_EPISODES),
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
