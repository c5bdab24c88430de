//! `mention`: whom a message calls. Only the configuration says so, never data.

use crate::model::{AlertState, Message, MessageKind};
use crate::yaml::{Key, Keys, OneOrMany, Section, Shape};

/// The key `mention`.
pub(super) const MENTION: Key =
    Key::new("mention", Shape::Mapping(&KEYS), "Whom a message mentions while something fails.")
        .example("{ user_ids: [lead] }");

static KEYS: Keys = Keys::of(
    "mention",
    "Whom a message mentions while something fails. What a type cannot do, `check` refuses.",
    &[&[
        Key::new("mobiles", Shape::Texts, "Phone numbers (DingTalk).").example("[\"+86-13900000000\"]"),
        Key::new("user_ids", Shape::Texts, "The channel's own ids of people.").example("[lead]"),
        Key::new("all", Shape::Flag, "Everybody in the chat (DingTalk, Feishu).").default("false"),
    ]],
);

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
        let all = keys.or_default::<bool>("all");
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

    /// Whether this message calls anybody: the end of an alert disturbs nobody, and neither does who is on it.
    pub(super) fn applies(&self, message: &Message) -> bool {
        // A summary calls nobody: no alert of it fires. Nor does a test, in which nothing has failed.
        let fires = message.data.alerts().iter().any(|facts| facts.alert.state == AlertState::Firing);
        let is_quiet =
            matches!(message.kind, MessageKind::AlertResolved | MessageKind::Test) || message.kind.is_about_ack();
        fires && !is_quiet && *self != Mention::default()
    }
}
