//! WeCom, by a group robot: Markdown of at most 4096 bytes, confirmed by `errcode` 0.

use jiff::Timestamp;
use serde_json::json;

use super::channel::{Channel, HttpChannel, Parts, body_part, markdown_parts};
use super::chat_hook::ChatHook;
use super::fit::{self, Unit, fitted_for};
use super::mention::Able;
use super::plain::Plain;
use super::{AnyNotifier, HttpNotifier, answer};
use crate::http::{Outgoing, Response};
use crate::limits::WECOM_TEXT_BYTES_MAX;
use crate::model::{Attempt, AttemptOutcome, Delivery, Message};
use crate::secret::SecretRef;
use crate::template::{BuiltIn, OutputKind, markdown_text};
use crate::words::Language;
use crate::yaml::Section;

/// The one part: the Markdown.
const TEMPLATES: [BuiltIn; 1] = [BuiltIn {
    part: "text",
    file: "message.md.hbs",
    kind: OutputKind::Markdown,
    text: include_str!("../../templates/wecom/message.md.hbs"),
}];

/// The same for several alerts at once.
const GROUP_TEMPLATES: [BuiltIn; 1] = [BuiltIn {
    part: "text",
    file: "group.md.hbs",
    kind: OutputKind::Markdown,
    text: include_str!("../../templates/wecom/group.md.hbs"),
}];

/// The keys of a `wecom` receiver: a robot of a group. Markdown messages mention by user id alone.
#[derive(Debug, Clone)]
pub struct WeComSettings(ChatHook);

impl WeComSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<WeComSettings> {
        ChatHook::read(section, Able { mobiles: false, all: false }).map(WeComSettings)
    }
}

impl Channel for WeComSettings {
    fn kind(&self) -> &'static str {
        "wecom"
    }

    fn templates(&self) -> &'static [BuiltIn] {
        &TEMPLATES
    }

    fn group_templates(&self) -> &'static [BuiltIn] {
        &GROUP_TEMPLATES
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.0.secrets()
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        markdown_parts(plain)
    }

    fn finished(&self, parts: Parts, message: &Message, language: Language) -> Result<Parts, String> {
        let called: String = match self.0.mention.applies(message) {
            true => self.0.mention.user_ids.iter().map(|id| format!("<@{id}>")).collect(),
            false => String::new(),
        };
        let called = if called.is_empty() { called } else { format!("\n{called}") };
        let log = fit::log_path(message).map(markdown_text);
        let text = parts.get("text").map_or("", String::as_str);
        let room = WECOM_TEXT_BYTES_MAX.saturating_sub(called.len());
        let content = format!("{}{called}", fitted_for(message, text, room, Unit::Bytes, log.as_deref(), language)?);
        Ok(body_part(json!({ "msgtype": "markdown", "markdown": { "content": content } }).to_string()))
    }

    fn notifier(&self) -> Result<AnyNotifier, String> {
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
