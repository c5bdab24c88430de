//! Silences, acknowledgements, and what an alert that was held back by something says of that.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::{RuleId, SourceId};
use super::labels::LabelMatch;
use super::severity::Severity;

/// Names a silence: a small number, because people type it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SilenceId(pub i64);

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for SilenceId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(SilenceId)
    }
}

/// Which alerts a silence concerns: alternatives within each field, all fields together. An empty field means any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concerns {
    /// Sources.
    pub sources: Vec<SourceId>,
    /// Patterns of job names, as they were written.
    pub jobs: Vec<String>,
    /// Rules.
    pub rules: Vec<RuleId>,
    /// Severities.
    pub severities: Vec<Severity>,
    /// Labels; silences that an older version stored have none.
    #[serde(default, skip_serializing_if = "LabelMatch::is_empty")]
    pub labels: LabelMatch,
}

impl Concerns {
    /// Whether nothing is named, which would mean every alert.
    pub fn is_empty(&self) -> bool {
        *self == Concerns::default()
    }
}

impl fmt::Display for Concerns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("source", self.sources.iter().map(ToString::to_string).collect::<Vec<_>>()),
            ("job", self.jobs.clone()),
            ("rule", self.rules.iter().map(ToString::to_string).collect()),
            ("severity", self.severities.iter().map(ToString::to_string).collect()),
            ("label", Some(self.labels.to_string()).filter(|text| !text.is_empty()).into_iter().collect()),
        ];
        let named = parts.iter().filter(|(_, values)| !values.is_empty());
        let words: Vec<String> = named.map(|(key, values)| format!("{key} {}", values.join(" | "))).collect();
        f.write_str(&words.join(", "))
    }
}

/// A span of time in which new alerts of some kind are recorded and not told, made by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Its number.
    pub id: SilenceId,
    /// Which alerts it concerns.
    pub concerns: Concerns,
    /// Why it was made.
    pub reason: String,
    /// Who made it.
    pub by: String,
    /// When it was made; it holds from then on.
    pub created_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// When it was ended early and by whom, if it was.
    pub expired: Option<(Timestamp, String)>,
}

impl Silence {
    /// Whether it holds. The instant at which it ends does not belong to it.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.expired.is_none() && now < self.ends_at
    }

    /// How it stands, in one word.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match self.expired {
            Some(_) => "expired",
            None if self.is_active(now) => "active",
            None => "ended",
        }
    }
}

/// What is said of an alert that was held back and is told late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// What held it back, in the word of `suppressed_by`: `silence:3`, `mute-window:nights`.
    pub by: String,
    /// Who made the silence.
    pub who: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When it was told after all.
    pub until: Timestamp,
}

/// Somebody has said of an alert that they are on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Who.
    pub by: String,
    /// What they said.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}
