//! What people do, as it is kept on record: who, when, to what, and what they said.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::id::{AlertId, DeliveryId, SourceId};
use super::silence::SilenceId;

/// What somebody can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionKind {
    /// Acknowledge an alert.
    Ack,
    /// Take an acknowledgement back.
    Unack,
    /// Close an alert.
    Close,
    /// Silence alerts.
    Silence,
    /// End a silence early.
    Expire,
    /// Have a dead letter sent again.
    Retry,
    /// Give up a delivery.
    Drop,
    /// Have a source polled now.
    Poll,
}

impl ActionKind {
    /// All of them.
    pub const ALL: [ActionKind; 8] = [
        ActionKind::Ack,
        ActionKind::Unack,
        ActionKind::Close,
        ActionKind::Silence,
        ActionKind::Expire,
        ActionKind::Retry,
        ActionKind::Drop,
        ActionKind::Poll,
    ];

    /// The word used in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            ActionKind::Ack => "ack",
            ActionKind::Unack => "unack",
            ActionKind::Close => "close",
            ActionKind::Silence => "silence",
            ActionKind::Expire => "expire",
            ActionKind::Retry => "retry",
            ActionKind::Drop => "drop",
            ActionKind::Poll => "poll",
        }
    }

    /// The kind a word names.
    pub fn from_word(word: &str) -> Option<ActionKind> {
        ActionKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ActionKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What.
    pub kind: ActionKind,
    /// The id of the alert, delivery, silence or source that it was done to.
    pub subject: String,
    /// The alert that it concerns, where it is about one.
    pub alert: Option<AlertId>,
    /// What was said to it.
    pub reason: Option<String>,
}

impl Action {
    /// Something done to an alert.
    pub fn on_alert(kind: ActionKind, alert: &AlertId, by: &str, reason: Option<&str>, at: Timestamp) -> Action {
        let alert_id = Some(alert.clone());
        Action { kind, subject: alert.to_string(), alert: alert_id, ..Action::plain(kind, "", by, reason, at) }
    }

    /// Something done to a delivery, which tells of this alert.
    pub fn on_delivery(
        kind: ActionKind,
        (delivery, alert): (&DeliveryId, Option<AlertId>),
        by: &str,
        reason: Option<&str>,
        at: Timestamp,
    ) -> Action {
        Action { alert, ..Action::plain(kind, delivery.as_str(), by, reason, at) }
    }

    /// Something done to a silence.
    pub fn on_silence(kind: ActionKind, silence: SilenceId, by: &str, reason: Option<&str>, at: Timestamp) -> Action {
        Action::plain(kind, &silence.to_string(), by, reason, at)
    }

    /// A source that is polled because somebody asks for it.
    pub fn poll(source: &SourceId, by: &str, at: Timestamp) -> Action {
        Action::plain(ActionKind::Poll, source.as_str(), by, None, at)
    }

    fn plain(kind: ActionKind, subject: &str, by: &str, reason: Option<&str>, at: Timestamp) -> Action {
        let reason = reason.map(str::to_string);
        Action { at, by: by.to_string(), kind, subject: subject.to_string(), alert: None, reason }
    }

    /// What tells it from others of the same instant: the same by the same person to the same thing is one.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.kind, self.subject, self.by)
    }
}
