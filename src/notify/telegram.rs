//! Telegram, by a bot: HTML with the few tags it knows, confirmed by `ok: true`.
//!
//! Who is on an alert is told by a mark on its first message, which notifies nobody; where that message tells of several
//! alerts, by a silent reply. The token is part of the path, so the URL exists only while a request is made.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer;
use super::channel::{API_URL, Channel, Kind, Parts, Sender, body_part, boxed, read_api_url};
use super::fit::{self, Kept, Unit, fitted, fitted_for};
use super::over_http::{HttpChannel, HttpNotifier, post_json};
use super::plain::Plain;
use super::rate::Rate;
use crate::http::{Outgoing, Response};
use crate::model::{Attempt, AttemptOutcome, Delivery, Message, MessageData, MessageKind};
use crate::secret::{Secret, SecretRef};
use crate::template::{telegram_code, telegram_text};
use crate::words::Language;
use crate::yaml::{Key, Keys, Section, Shape};

/// Longest text of a Telegram message, in characters.
const TEXT_MAX: usize = 4096;

/// The keys that belong to the kind.
static KEYS: Keys = Keys::of(
    "receiver_telegram",
    "A chat of Telegram.",
    &[&[
        Key::new("bot_token", Shape::Secret, "The bot's token.").required().example("{ env: TELEGRAM_BOT_TOKEN }"),
        Key::new("chat_id", Shape::Text, "The chat's number in quotes, or the @name of a channel.")
            .required()
            .example("\"-1001234567890\""),
        API_URL.default("https://api.telegram.org"),
    ]],
);

/// A bot of Telegram, as the registry lists it.
pub(super) const KIND: Kind = Kind {
    word: "telegram",
    keys: &KEYS,
    read: |section| boxed(TelegramSettings::read(section)),
    // Twenty a minute to a group, about one a second with short bursts to a chat.
    rate: Rate::of(None, 20, 3, 60),
    // The one part: the text.
    alert: &[template!("text", Telegram, "telegram/message.html.hbs")],
    group: &[template!("text", Telegram, "telegram/group.html.hbs")],
    digest: &[template!("text", Telegram, "telegram/digest.html.hbs")],
    ..Kind::USUAL
};

/// The part that says what the first message of an alert says from now on.
const MARK: &str = "marked";

/// The settings of a `telegram` receiver.
#[derive(Debug, Clone)]
pub(super) struct TelegramSettings {
    /// The bot's token.
    pub(super) bot_token: SecretRef,
    /// The chat: a number, or a channel's `@name`.
    pub(super) chat_id: String,
    /// Scheme and host of the API.
    pub(super) api_url: String,
}

impl TelegramSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<TelegramSettings> {
        let bot_token = section.required::<SecretRef>("bot_token");
        let mut right = true;
        if let Some(SecretRef::Inline(token)) = &bot_token
            && let Err(reason) = check_token(token)
        {
            section.error("bot_token", reason, None);
            right = false;
        }
        let chat_id = section.required::<String>("chat_id");
        if chat_id.as_ref().is_some_and(|id| id.trim().is_empty()) {
            section.error("chat_id", "it is empty", Some("a number, or the @name of a channel".into()));
            right = false;
        }
        let api_url = read_api_url(section);
        right.then_some(())?;
        Some(TelegramSettings { bot_token: bot_token?, chat_id: chat_id?, api_url: api_url? })
    }
}

/// A token becomes a part of the path, so it must not be able to choose another one.
fn check_token(token: &Secret) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_');
    match token.expose().trim() {
        "" => Err("the bot's token is empty".to_string()),
        token if token.chars().all(allowed) => Ok(()),
        _ => Err("this is not a valid bot token: digits, a colon, then letters, digits, - and _".to_string()),
    }
}

impl Channel for TelegramSettings {
    fn address(&self) -> String {
        format!("{} {}", self.api_url, self.chat_id)
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        vec![("bot_token".to_string(), &self.bot_token)]
    }

    fn check_secret(&self, _key: &str, value: &Secret) -> Result<(), String> {
        check_token(value)
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        let text = plain.escaped(telegram_text, handlebars::html_escape).join("\n");
        Parts::from([("text".to_string(), text)])
    }

    fn finished(&self, parts: Parts, message: &Message, language: Language) -> Result<Parts, String> {
        let kept = Kept::of(message, telegram_code);
        let text = parts.get("text").map_or("", String::as_str);
        let text = match message.data {
            MessageData::Group(_) => fitted_for(message, text, TEXT_MAX, Unit::Characters, &kept, language)?,
            MessageData::Alert(_) | MessageData::Digest(_) => fitted_html(text, &kept, language),
        };
        let body = json!({
            "chat_id": self.chat_id,
            "text": text,
            "parse_mode": "HTML",
            "link_preview_options": { "is_disabled": true },
        });
        Ok(body_part(body.to_string()))
    }

    fn hears_of_acks(&self) -> &'static [MessageKind] {
        &[MessageKind::AlertAcknowledged, MessageKind::AlertUnacknowledged]
    }

    fn marks(&self) -> Option<(&'static str, &'static str)> {
        Some(("body", MARK))
    }

    fn sender(&self) -> Result<Box<dyn Sender>, String> {
        HttpNotifier::open(self.clone())
    }
}

/// A message as Telegram names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reference {
    /// The chat as the configuration called it then.
    chat: String,
    /// Names the message within the chat.
    message_id: i64,
}

impl TelegramSettings {
    /// The message that a delivery follows, if it was sent to the chat that is configured now.
    fn followed(&self, delivery: &Delivery) -> Option<i64> {
        let reference: Reference = serde_json::from_str(delivery.in_reply_to.as_deref()?).ok()?;
        (reference.chat == self.chat_id).then_some(reference.message_id)
    }

    /// The method that sends a delivery, and its body. Where there is a first message that tells of the alert alone, who is on
    /// it is marked there.
    fn call(&self, delivery: &Delivery) -> (&'static str, String) {
        if !delivery.kind.is_about_ack() {
            return ("sendMessage", delivery.content.part("body").to_string());
        }
        let first = self.followed(delivery);
        let with = |part: &str, keys: Value| {
            let mut body: Value = serde_json::from_str(delivery.content.part(part)).unwrap_or_default();
            if let (Value::Object(body), Value::Object(keys)) = (&mut body, keys) {
                body.extend(keys);
            }
            body.to_string()
        };
        match first {
            Some(id) if !delivery.answers_group => ("editMessageText", with(MARK, json!({ "message_id": id }))),
            Some(id) => {
                let reply = json!({ "message_id": id, "allow_sending_without_reply": true });
                ("sendMessage", with("body", json!({ "disable_notification": true, "reply_parameters": reply })))
            }
            None => ("sendMessage", with("body", json!({ "disable_notification": true }))),
        }
    }
}

/// Room for what closes the tags that a cut has left open.
const CLOSING_SIZE: usize = 48;

/// The text fitted to Telegram's size. Telegram refuses what is not closed, so what the cut has left open is closed. Where
/// that takes too much, all tags go: the words matter more.
fn fitted_html(text: &str, kept: &Kept, language: Language) -> String {
    if Unit::Characters.size(text) <= TEXT_MAX {
        return text.to_string();
    }
    if let Some(cut) = fit::pieces(text, TEXT_MAX - CLOSING_SIZE, Unit::Characters, kept, language)
        && let Some(head) = closed(cut.head)
        && head.len() <= cut.head.len() + CLOSING_SIZE
    {
        let log = cut.log.and_then(closed);
        return fit::Cut { log: log.as_deref(), ..cut }.under(&head);
    }
    let words = without_tags(text);
    whole_entities(&fitted(&words, TEXT_MAX, Unit::Characters, kept, language))
}

/// The head of a text with what it leaves open closed, and without a tag or an entity that is cut in two; none when it closes
/// what it has not opened.
fn closed(head: &str) -> Option<String> {
    let whole = match (head.rfind('<'), head.rfind('>')) {
        (Some(opened), shut) if shut.is_none_or(|shut| shut < opened) => &head[..opened],
        _ => head,
    };
    let mut open: Vec<&str> = Vec::new();
    for tag in whole.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
        match tag.strip_prefix('/') {
            Some(name) if open.last() == Some(&name) => drop(open.pop()),
            Some(_) => return None,
            None => open.push(tag.split(' ').next().unwrap_or_default()),
        }
    }
    let closing = open.iter().rev().map(|name| format!("</{name}>"));
    Some(std::iter::once(whole_entities(whole)).chain(closing).collect())
}

fn without_tags(html: &str) -> String {
    let mut words = String::with_capacity(html.len());
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' => in_tag = false,
            c if !in_tag => words.push(c),
            _ => {}
        }
    }
    words
}

/// `html` without entities that a cut has left incomplete: what begins with `&` and has no `;` near.
fn whole_entities(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let body = rest[at + 1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '#').unwrap_or(rest.len() - at - 1);
        let end = at + 1 + body;
        if rest[end..].starts_with(';') {
            out.push_str(&rest[at..end]);
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

impl HttpChannel for TelegramSettings {
    fn request(&self, delivery: &Delivery, _now: Timestamp) -> Result<Outgoing, String> {
        let token = self.bot_token.resolve().map_err(|error| error.to_string())?;
        check_token(&token)?;
        let (method, body) = self.call(delivery);
        let url = Secret::new(format!("{}/bot{}/{method}", self.api_url, token.expose().trim()));
        let url = answer::parse_url(&url)?;
        let secret_part = token.expose().trim().split_once(':').map(|(_, secret)| Secret::new(secret));
        let secrets = std::iter::once(&token).chain(&secret_part).collect();
        Ok(Outgoing::new(post_json(url, body), secrets))
    }

    /// A message that was deleted, or is too old, can be marked no more: who is on it is told by itself.
    fn has_lost_the_thread(&self, answer: &Response) -> bool {
        let body = answer.json();
        let said = body["description"].as_str().unwrap_or_default().to_lowercase();
        ["message to edit not found", "message can't be edited"].iter().any(|lost| said.contains(lost))
    }

    fn judged(&self, answer: &Response, attempt: Attempt) -> Attempt {
        let body = answer.json();
        match (attempt.outcome, body["ok"].as_bool()) {
            (AttemptOutcome::Delivered, Some(true)) => {
                let id = body["result"]["message_id"].as_i64();
                let reference = id.map(|message_id| Reference { chat: self.chat_id.clone(), message_id });
                let reference = reference.and_then(|reference| serde_json::to_string(&reference).ok());
                Attempt { reference, ..attempt }
            }
            // It says so already: an attempt whose answer was lost has arrived.
            (AttemptOutcome::Rejected, Some(false)) if is_marked_already(&body) => Attempt::delivered("200"),
            (AttemptOutcome::Delivered, _) => {
                let error = format!("answered {} without \"ok\": true: {}", answer.status, answer.excerpt());
                Attempt::failed(AttemptOutcome::Retry, attempt.status, error)
            }
            // A group that became a supergroup has another number.
            (_, Some(false)) if body["parameters"]["migrate_to_chat_id"].is_i64() => {
                let new = &body["parameters"]["migrate_to_chat_id"];
                let error = format!("the group has become a supergroup with another number: write chat_id: \"{new}\"");
                Attempt::failed(AttemptOutcome::Unauthorized, attempt.status, error)
            }
            // An unknown token is an unknown address.
            (AttemptOutcome::Rejected, Some(false)) if answer.status == 404 => {
                Attempt { outcome: AttemptOutcome::Unauthorized, ..attempt }
            }
            (AttemptOutcome::Throttled, _) => {
                let asked = answer::retry_after_seconds(&body["parameters"]["retry_after"]);
                Attempt { retry_after: asked.or(attempt.retry_after), ..attempt }
            }
            _ => attempt,
        }
    }
}

fn is_marked_already(body: &Value) -> bool {
    body["description"].as_str().is_some_and(|said| said.contains("message is not modified"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageKind;
    use crate::template::sample_message;

    #[test]
    fn a_cut_leaves_no_tag_and_no_entity_open() {
        let lines: String = (0..400).map(|n| format!("<b>Node</b> <code>n{n} &lt;x&gt;</code>\n")).collect();
        let kept = Kept::of(&sample_message(MessageKind::AlertFiring, Timestamp::UNIX_EPOCH), |_| {
            "<code>obs://log</code>".into()
        });
        let is_closed = |html: &str| closed(html).as_deref() == Some(html);
        let cut = fitted_html(&lines, &kept, Language::En);
        assert!(
            is_closed(&cut)
                && cut.contains("<b>Node</b>")
                && cut.contains("<code>obs://log</code>")
                && cut.ends_with("cut")
        );
        let one = format!("<b>{}</b>", "&lt;".repeat(3000));
        let cut = fitted_html(&one, &Kept::default(), Language::En);
        assert!(is_closed(&cut) && cut.contains("&lt;</b>\n\n… ") && cut.len() <= TEXT_MAX + 2, "{cut}");
        // What a template of one's own leaves open by itself, or nests too deep, loses its tags.
        for wrong in [format!("</b>{}", "x".repeat(5000)), format!("{}{}", "<code>".repeat(20), "x".repeat(5000))] {
            let cut = fitted_html(&wrong, &Kept::default(), Language::En);
            assert!(!cut.contains('<') && cut.len() <= TEXT_MAX + 2, "{cut}");
        }
    }

    #[test]
    fn a_token_chooses_no_path() {
        for (token, right) in
            [("123:AAb-c_d", true), ("", false), ("1:a/../x", false), ("1:a?b", false), ("a b", false)]
        {
            assert_eq!(check_token(&Secret::new(token)).is_ok(), right, "{token}");
        }
    }
}
