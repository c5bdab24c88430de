//! What somebody did, as a line of a page.

use jiff::Timestamp;

use super::frame::{Page, alert_link, encoded};
use crate::model::{Action, ActionKind};

/// One line.
pub(super) struct Done {
    pub(super) at: Timestamp,
    pub(super) title: String,
    pub(super) reason: Option<String>,
    /// What it was done to: its name, and where it is shown.
    pub(super) subject: (String, String),
}

impl Done {
    /// The line of an action.
    pub(super) fn of(p: &Page, action: &Action) -> Done {
        use ActionKind::{Ack, Close, Drop, Expire, Poll, Retry, Silence, Unack};
        let link = match action.kind {
            Ack | Unack | Close => alert_link(&action.subject),
            Retry | Drop => format!("/deliveries/{}", encoded(&action.subject)),
            Silence | Expire => "/silences".to_string(),
            Poll => "/status".to_string(),
        };
        let name = match action.kind {
            Silence | Expire => format!("#{}", action.subject),
            _ => action.subject.chars().take(12).collect(),
        };
        Done {
            at: action.at,
            title: p.say_with(&format!("web.action.{}", action.kind), "who", p.plain(&action.by)),
            reason: action.reason.as_deref().map(|reason| p.plain(reason)),
            subject: (p.plain(&name), link),
        }
    }
}
