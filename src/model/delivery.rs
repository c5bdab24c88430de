//! Deliveries: what one receiver is to be sent, how that fares, and the attempts to send it.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::id::{AlertId, DeliveryId, ReceiverId, RuleId};
use super::message::MessageKind;
use super::severity::Severity;

/// Why what is pending to a receiver is given up once the configuration has it no more, as the log and the fallback's message
/// say it.
pub const RECEIVER_GONE: &str = "the receiver is no longer in the configuration";

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// To be sent, now or later.
    Pending,
    /// The channel's own answer says that it arrived.
    Delivered,
    /// Given up; the last error says why.
    Dead,
    /// Told inside another message.
    Merged,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [DeliveryState; 4] =
        [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::Dead, DeliveryState::Merged];

    /// The word used in output and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
            DeliveryState::Merged => "merged",
        }
    }

    /// The state a stored word names.
    pub fn from_word(word: &str) -> Option<DeliveryState> {
        DeliveryState::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A rendered message: its named parts ("body"; "subject", "html" and "text"), rendered once when the delivery is
/// made, so that every attempt sends the same bytes. It holds no URL and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Content {
    /// Text by part name. Which parts there are is the receiver kind's own affair.
    pub parts: BTreeMap<String, String>,
}

impl Content {
    /// The text of a part, or nothing if the content has no such part.
    pub fn part(&self, name: &str) -> &str {
        self.parts.get(name).map_or("", String::as_str)
    }
}

/// What one receiver is to be sent: made once, by whoever decides that it is. How it fares is no part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Derived from what it says; travels with the message, so that a repeat is recognisable.
    pub id: DeliveryId,
    /// The alert it tells of; none for digests and tests.
    pub alert: Option<AlertId>,
    /// The rule of that alert.
    pub rule: Option<RuleId>,
    /// The severity of what it tells of; none for digests and tests. The worst goes first.
    pub severity: Option<Severity>,
    /// Whom it is for.
    pub receiver: ReceiverId,
    /// What kind of message it is.
    pub kind: MessageKind,
    /// The delivery it must not overtake: a resolution follows the firing it answers.
    pub follows: Option<DeliveryId>,
    /// The delivery in whose thread it is told, where the channel has threads: the run of that one has failed again. It
    /// neither waits for that delivery nor dies with it.
    pub in_thread_of: Option<DeliveryId>,
    /// The delivery whose fallback it is, because that one did not arrive.
    pub fallback_for: Option<DeliveryId>,
    /// The group that it is told with, where its rule asks for one.
    pub group: Option<GroupPlace>,
    /// What is sent.
    pub content: Content,
    /// The kind of receiver that this is rendered for; none where nobody noted it.
    pub rendered_for: Option<String>,
    /// Since when that holds which it is the first to tell of, where it goes out as soon as it can: how long people did not
    /// know. None of what is told again, of ends, and of what a window held back; a message about several has their earliest.
    pub since: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the first attempt is due.
    pub due_at: Timestamp,
}

/// A notification and how it fares: a row of the outbox. It reads as the notification does.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// What is sent, to whom.
    pub notification: Notification,
    /// Where it stands.
    pub state: DeliveryState,
    /// The delivery that tells it together with others, once it is merged.
    pub merged_into: Option<DeliveryId>,
    /// Attempts made so far.
    pub attempts: u32,
    /// The waits between them, next to which only time counts in which an attempt could be made; at most
    /// [`crate::limits::DELIVERY_PATIENCE`].
    pub patience_spent: Duration,
    /// Recipients that have it already, for channels with several (mail): a retry does not send to them again.
    pub done: Vec<String>,
    /// The channel's own name of the message, where it gives one and an answer to it can be posted.
    pub reference: Option<String>,
    /// The channel's own name of the message that this one follows, or in whose thread it is told; known only to who has
    /// claimed it.
    pub in_reply_to: Option<String>,
    /// Whether that message tells of several alerts: then what this one says of one is no new text for it.
    pub answers_group: bool,
    /// When somebody had it sent again after it was dead.
    pub revived: Option<Revival>,
    /// The channel's last answer in one word ("200", "550", "timeout").
    pub last_status: Option<String>,
    /// The last error, secrets cut.
    pub last_error: Option<String>,
    /// When the next attempt is due; none when there is none to come.
    pub next_attempt_at: Option<Timestamp>,
    /// When the channel confirmed it.
    pub delivered_at: Option<Timestamp>,
    /// When somebody gave it up: it is dead, and no letter that anybody has to look at.
    pub dropped_at: Option<Timestamp>,
}

impl Notification {
    /// A notification that is due from `now` on and belongs to no alert.
    pub fn new(id: DeliveryId, receiver: ReceiverId, kind: MessageKind, content: Content, now: Timestamp) -> Self {
        Notification {
            id,
            alert: None,
            rule: None,
            severity: None,
            receiver,
            kind,
            follows: None,
            in_thread_of: None,
            fallback_for: None,
            group: None,
            content,
            rendered_for: None,
            since: None,
            created_at: now,
            due_at: now,
        }
    }

    /// The same, telling of `alert`.
    #[must_use]
    pub fn about(self, alert: &Alert) -> Self {
        let severity = Some(alert.facts.alert.severity);
        Notification { alert: Some(alert.id.clone()), rule: Some(alert.rule.clone()), severity, ..self }
    }
}

impl Deref for Delivery {
    type Target = Notification;

    fn deref(&self) -> &Notification {
        &self.notification
    }
}

impl Delivery {
    /// A delivery that is pending and was not tried yet.
    pub fn pending(notification: Notification) -> Self {
        Delivery {
            state: DeliveryState::Pending,
            merged_into: None,
            attempts: 0,
            patience_spent: Duration::ZERO,
            done: Vec::new(),
            reference: None,
            in_reply_to: None,
            answers_group: false,
            revived: None,
            last_status: None,
            last_error: None,
            next_attempt_at: Some(notification.due_at),
            delivered_at: None,
            dropped_at: None,
            notification,
        }
    }

    /// Since when it is pending: its making, the end of its wait for others, or the last time that somebody had it sent
    /// again.
    pub fn pending_since(&self) -> Timestamp {
        let gathered = self.group.as_ref().and_then(|group| group.told_at);
        self.revived.map(|revival| revival.at).or(gathered).unwrap_or(self.created_at)
    }

    /// Attempts made since then.
    pub fn attempts_since(&self) -> u32 {
        self.attempts.saturating_sub(self.revived.map_or(0, |revival| revival.attempts))
    }
}

/// The group that a delivery is told with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPlace {
    /// Names the group among those of its receiver.
    pub key: String,
    /// How far apart two messages of the group are at least.
    pub interval: Duration,
    /// After how long what still fires is told again; none for never.
    pub repeat: Option<Duration>,
    /// When it ceased to wait for others; none while it does, and then no lane takes it.
    pub told_at: Option<Timestamp>,
}

impl GroupPlace {
    /// What goes out together when the window of this name opens.
    pub fn of_window(window: &str) -> GroupPlace {
        GroupPlace { key: format!("{HELD}{window}"), interval: Duration::ZERO, repeat: None, told_at: None }
    }

    /// An alert that is told alone, from `now` on, and again after so long.
    pub fn of_alert(alert: &AlertId, repeat: Duration, now: Timestamp) -> GroupPlace {
        let key = format!("{ALONE}{alert}");
        GroupPlace { key, interval: Duration::ZERO, repeat: Some(repeat), told_at: Some(now) }
    }

    /// The window that the group is held back for.
    pub fn window(&self) -> Option<&str> {
        self.key.strip_prefix(HELD)
    }
}

/// What the names of groups begin with in which one alert is alone.
const ALONE: &str = "alone/";
/// What the names of groups begin with that are held back until a window opens. Those of others are digests.
const HELD: &str = "hold/";

/// A dead delivery sent again: what is spent on it is counted anew from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revival {
    /// When.
    pub at: Timestamp,
    /// Attempts made before.
    pub attempts: u32,
}

/// How an attempt ended, classed where it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The channel confirmed it.
    Delivered,
    /// It may work later: a timeout, 5xx, a refused connection.
    Retry,
    /// The channel asks for a pause; the whole receiver waits, not only this delivery.
    Throttled,
    /// The credentials were refused (401, 403): tried hourly, for they may be mended.
    Unauthorized,
    /// The bytes went out and no answer came: it may have arrived. Tried again under the same id.
    Uncertain,
    /// It will never work: dead at once.
    Rejected,
}

impl AttemptOutcome {
    /// The word used in the attempt log.
    pub const fn as_str(self) -> &'static str {
        match self {
            AttemptOutcome::Delivered => "delivered",
            AttemptOutcome::Retry => "retry",
            AttemptOutcome::Throttled => "throttled",
            AttemptOutcome::Unauthorized => "unauthorized",
            AttemptOutcome::Uncertain => "unknown",
            AttemptOutcome::Rejected => "rejected",
        }
    }
}

/// One try to send a delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The channel's answer in one word.
    pub status: Option<String>,
    /// What went wrong, secrets cut, at most [`crate::limits::ANSWER_KEPT_BYTES_MAX`] of the answer.
    pub error: Option<String>,
    /// How long the channel asked to wait, at most [`crate::limits::RETRY_AFTER_MAX`].
    pub retry_after: Option<Duration>,
    /// Recipients that this attempt reached, for channels with several.
    pub done: Vec<String>,
    /// The channel's own name of the message, where it gives one and an answer to it can be posted.
    pub reference: Option<String>,
}

impl Attempt {
    /// An attempt that the channel confirmed with `status`.
    pub fn delivered(status: impl Into<String>) -> Self {
        Attempt {
            outcome: AttemptOutcome::Delivered,
            status: Some(status.into()),
            error: None,
            retry_after: None,
            done: Vec::new(),
            reference: None,
        }
    }

    /// An attempt that failed.
    pub fn failed(outcome: AttemptOutcome, status: Option<String>, error: impl Into<String>) -> Self {
        Attempt { outcome, status, error: Some(error.into()), retry_after: None, done: Vec::new(), reference: None }
    }
}
