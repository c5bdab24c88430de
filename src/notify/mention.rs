//! `mention`: whom a message calls. Only the configuration says so, never data.

use crate::model::{AlertState, Message, MessageKind};
use crate::yaml::{OneOrMany, Section};

/// Whom a receiver's messages mention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mention {
    /// Phone numbers.
    pub mobiles: Vec<String>,
    /// The channel's own ids of people.
    pub user_ids: Vec<String>,
    /// Everybody in the chat.
    pub all: bool,
}

/// What of it a kind of channel can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Able {
    pub(super) mobiles: bool,
    pub(super) all: bool,
}

impl Mention {
    /// Reads the key `mention`; `None` means that something in it was reported.
    pub(super) fn read(section: &Section<'_>, able: Able) -> Option<Mention> {
        if !section.has("mention") {
            let _ = section.node("mention");
            return Some(Mention::default());
        }
        let keys = section.section("mention")?;
        let names = |key| keys.optional::<OneOrMany<String>>(key).map(|it| it.0).unwrap_or_default();
        let (mobiles, user_ids) = (names("mobiles"), names("user_ids"));
        let all = keys.or("all", false);
        let mut right = true;
        for (key, asked, can) in [("mobiles", !mobiles.is_empty(), able.mobiles), ("all", all, able.all)] {
            if asked && !can {
                let help = Some("use user_ids".to_string());
                keys.error(key, format!("this kind of receiver cannot mention by {key:?}"), help);
                right = false;
            }
        }
        for (key, values, allowed) in [("mobiles", &mobiles, "+-"), ("user_ids", &user_ids, "_-.@+")] {
            let sound = |id: &String| {
                (1..=128).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || allowed.contains(c))
            };
            if let Some(odd) = values.iter().find(|id| !sound(id)) {
                keys.error(
                    key,
                    format!("{odd:?} cannot be mentioned: letters, digits and {allowed} are allowed"),
                    None,
                );
                right = false;
            }
        }
        keys.close();
        right.then_some(Mention { mobiles, user_ids, all })
    }

    /// Whether this message calls anybody: the end of an alert disturbs nobody.
    pub(super) fn applies(&self, message: &Message) -> bool {
        // A summary calls nobody: no alert of it fires.
        let fires = message.data.alerts().iter().any(|facts| facts.alert.state == AlertState::Firing);
        fires && message.kind != MessageKind::AlertResolved && *self != Mention::default()
    }
}
