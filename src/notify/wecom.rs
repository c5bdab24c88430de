//! WeCom, by a group robot: Markdown of at most 4096 bytes, confirmed by `errcode` 0.

use jiff::Timestamp;
use serde_json::json;

use super::answer;
use super::channel::{Channel, Kind, Parts, Sender, body_part, boxed, marked_parts};
use super::chat_hook::{self, ChatHook};
use super::fit::{Kept, Unit, fitted_for};
use super::mention::Able;
use super::over_http::{HttpChannel, HttpNotifier};
use super::plain::Plain;
use super::rate::Rate;
use crate::http::{Outgoing, Response};
use crate::model::{Attempt, AttemptOutcome, Delivery, Message};
use crate::secret::SecretRef;
use crate::template::{wecom_code, wecom_text};
use crate::words::Language;
use crate::yaml::{Keys, Section};

/// Longest Markdown text of a WeCom robot, in bytes of UTF-8.
const TEXT_BYTES_MAX: usize = 4096;

/// The keys that belong to the kind.
static KEYS: Keys = Keys::of("receiver_wecom", "A group robot of WeCom.", &[chat_hook::KEYS]);

/// A group robot of WeCom, as the registry lists it.
pub(super) const KIND: Kind = Kind {
    word: "wecom",
    also: &["wechat", "weixin", "wework", "qywx"],
    keys: &KEYS,
    read: |section| boxed(WeComSettings::read(section)),
    // The robot's own limit.
    rate: Rate::of(None, 20, 5, 60),
    // The one part: the Markdown.
    alert: &[template!("text", WeCom, "wecom/message.md.hbs")],
    group: &[template!("text", WeCom, "wecom/group.md.hbs")],
    digest: &[template!("text", WeCom, "chat/digest.md.hbs")],
    ..Kind::USUAL
};

/// The settings of a `wecom` receiver: a robot of a group. Markdown messages mention by user id alone.
#[derive(Debug, Clone)]
pub(super) struct WeComSettings(ChatHook);

impl WeComSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<WeComSettings> {
        ChatHook::read(section, Able { mobiles: false, all: false }).map(WeComSettings)
    }
}

impl Channel for WeComSettings {
    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.0.secrets()
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        marked_parts(plain, wecom_text)
    }

    fn finished(&self, parts: Parts, message: &Message, language: Language) -> Result<Parts, String> {
        let called: String = match self.0.mention.applies(message) {
            true => self.0.mention.user_ids.iter().map(|id| format!("<@{id}>")).collect(),
            false => String::new(),
        };
        let called = if called.is_empty() { called } else { format!("\n{called}") };
        let kept = Kept::of(message, wecom_code);
        let text = parts.get("text").map_or("", String::as_str);
        let room = TEXT_BYTES_MAX.saturating_sub(called.len());
        let content = format!("{}{called}", fitted_for(message, text, room, Unit::Bytes, &kept, language)?);
        Ok(body_part(json!({ "msgtype": "markdown", "markdown": { "content": content } }).to_string()))
    }

    fn sender(&self) -> Result<Box<dyn Sender>, String> {
        HttpNotifier::open(self.clone())
    }
}

impl HttpChannel for WeComSettings {
    fn request(&self, delivery: &Delivery, _now: Timestamp) -> Result<Outgoing, String> {
        self.0.post(delivery.content.part("body"))
    }

    fn judged(&self, answer: &Response, attempt: Attempt) -> Attempt {
        answer::by_code(answer, attempt, &["errcode"], class)
    }
}

/// What an `errcode` other than 0 means.
fn class(code: i64) -> Option<AttemptOutcome> {
    match code {
        93_000 => Some(AttemptOutcome::Unauthorized),
        45_009 => Some(AttemptOutcome::Throttled),
        // The text is too long, empty, or of a type that there is not.
        40_058 | 40_008 | 44_004 | 45_002 => Some(AttemptOutcome::Rejected),
        _ => None,
    }
}
