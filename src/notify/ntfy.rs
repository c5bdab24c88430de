//! ntfy, on ntfy.sh or a server of one's own: a notification for phones, published as JSON and confirmed by the message that
//! the server gives back.
//!
//! On a server without access control whoever knows the topic can read and publish, so the topic may be a secret. The
//! facts are those of <https://docs.ntfy.sh/publish/>, and of the server's own list of errors.

use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};

use super::answer;
use super::channel::{API_URL, Channel, Kind, Parts, PlainOrSecret, Sender, body_part, boxed, read_api_url};
use super::fit::{Kept, Unit, fitted_for};
use super::over_http::{HttpChannel, HttpNotifier, post_json};
use super::plain::Plain;
use super::rate::Rate;
use crate::http::{CA_FILE, HttpSettings, Outgoing, Response};
use crate::model::{Attempt, AttemptOutcome, Delivery, Message};
use crate::secret::{Secret, SecretRef};
use crate::template::{level, truncated};
use crate::words::Language;
use crate::yaml::{Key, Keys, Section, Shape};

/// Longest text of a message, in bytes: one of 4096 is taken for a file, which most servers refuse.
const TEXT_BYTES_MAX: usize = 4095;
/// Largest request that the server reads, in bytes, less the topic, which is put in when it is sent.
const BODY_BYTES_MAX: usize = 2 * 4096 - 100;
/// Longest title, in characters: more is not shown anywhere.
const TITLE_MAX: usize = 200;

/// The keys that belong to the kind.
static KEYS: Keys = Keys::of(
    "receiver_ntfy",
    "A topic of ntfy.",
    &[&[
        Key::new("topic", Shape::Secret, "The topic. Where the server asks for no token, it is as good as a password.")
            .required()
            .example("{ env: NTFY_TOPIC }"),
        Key::new("token", Shape::Secret, "An access token (tk_…), for topics that ask for one.")
            .example("{ env: NTFY_TOKEN }"),
        API_URL.default("https://ntfy.sh"),
        CA_FILE,
    ]],
);

/// A topic of ntfy, as the registry lists it.
pub(super) const KIND: Kind = Kind {
    word: "ntfy",
    keys: &KEYS,
    read: |section| boxed(NtfySettings::read(section)),
    // Sixty at once and one in five seconds after that, for all that comes from one address.
    rate: Rate::of(None, 12, 5, 60),
    // What a phone shows first, and the text under it.
    alert: &[template!("title", Header, "ntfy/title.txt.hbs"), template!("text", Plain, "ntfy/message.txt.hbs")],
    group: &[template!("title", Header, "ntfy/group-title.txt.hbs"), template!("text", Plain, "ntfy/group.txt.hbs")],
    digest: &[template!("title", Header, "ntfy/digest-title.txt.hbs"), template!("text", Plain, "ntfy/digest.txt.hbs")],
    ..Kind::USUAL
};

/// The settings of an `ntfy` receiver.
#[derive(Debug, Clone)]
pub(super) struct NtfySettings {
    /// The topic.
    topic: SecretRef,
    /// An access token, where the topic asks for one.
    token: Option<SecretRef>,
    /// Scheme and host of the server.
    api_url: String,
    /// Certificates beside the system's.
    http: HttpSettings,
}

impl NtfySettings {
    fn read(section: &Section<'_>) -> Option<NtfySettings> {
        let topic = section.required::<PlainOrSecret>("topic").map(|it| it.0);
        if let Some(SecretRef::Inline(text)) = &topic
            && let Err(reason) = check_topic(text)
        {
            section.error("topic", reason, Some("letters, digits, - and _, at most 64 of them".into()));
            return None;
        }
        let token = section.optional("token");
        let api_url = read_api_url(section);
        let http = HttpSettings { ca_file: section.optional("ca_file"), ..HttpSettings::default() };
        if section.has("token") && token.is_none() {
            return None;
        }
        Some(NtfySettings { topic: topic?, token, api_url: api_url?, http })
    }
}

/// Whether a topic has a name that servers take. The message does not repeat it.
fn check_topic(topic: &Secret) -> Result<(), String> {
    let topic = topic.expose().trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match (1..=64).contains(&topic.len()) && topic.chars().all(allowed) {
        true => Ok(()),
        false => Err("this is not a valid topic".to_string()),
    }
}

impl Channel for NtfySettings {
    fn address(&self) -> String {
        self.api_url.clone()
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        let token = self.token.iter().map(|token| ("token".to_string(), token));
        std::iter::once(("topic".to_string(), &self.topic)).chain(token).collect()
    }

    fn check_secret(&self, key: &str, value: &Secret) -> Result<(), String> {
        match key {
            "topic" => check_topic(value),
            _ => bearer(value).map(drop),
        }
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        Parts::from([("title".to_string(), plain.headline()), ("text".to_string(), plain.text())])
    }

    fn finished(&self, parts: Parts, message: &Message, language: Language) -> Result<Parts, String> {
        let part = |name: &str| parts.get(name).map_or("", String::as_str);
        let (title, kept) = (truncated(part("title"), TITLE_MAX), Kept::of(message, str::to_string));
        let body_of = |room: usize| {
            let text = fitted_for(message, part("text").trim(), room, Unit::Bytes, &kept, language)?;
            let mut body = json!({ "title": title, "message": text, "priority": priority(message) });
            if let Some(link) = link(message) {
                body["click"] = Value::from(link);
            }
            let actions = actions(message, language);
            if !actions.is_empty() {
                body["actions"] = Value::from(actions);
            }
            Ok::<String, String>(body.to_string())
        };
        let mut body = body_of(TEXT_BYTES_MAX)?;
        if body.len() > BODY_BYTES_MAX {
            // Each character that JSON escapes takes more of the request than of the text, at most six times as much.
            body = body_of(TEXT_BYTES_MAX / 6)?;
        }
        Ok(body_part(body))
    }

    fn sender(&self) -> Result<Box<dyn Sender>, String> {
        HttpNotifier::open(self.clone())
    }
}

/// How urgently the phone tells: 5 rings until somebody looks, 2 makes no sound. A test disturbs nobody.
fn priority(message: &Message) -> u8 {
    match level(message) {
        "critical" => 5,
        "error" => 4,
        "info" | "resolved" | "test" => 2,
        _ => 3,
    }
}

/// What a tap on the notification opens: the alert on Nightbell's page, or the run in the scheduler's console.
fn link(message: &Message) -> Option<&str> {
    let facts = message.alert()?;
    let console = facts.instance.as_ref().and_then(|run| run.url.as_deref());
    let link = facts.alert.links.url.as_deref().or(console)?;
    Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https")).then_some(link)
}

/// The buttons below the notification; ntfy shows three at most.
fn actions(message: &Message, language: Language) -> Vec<Value> {
    let Some(part) = message.alert().map(|facts| &facts.alert.links) else { return Vec::new() };
    let links = [(&part.ack_url, "ack_page"), (&part.runbook, "runbook"), (&part.console_url, "open_console")];
    let links = links.into_iter().filter_map(|(url, key)| Some((url.as_ref()?, key)));
    links.map(|(url, key)| json!({ "action": "view", "label": language.say(key, &[]), "url": url })).collect()
}

fn bearer(token: &Secret) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose().trim()));
    let mut value = value.map_err(|_| "the token has characters that no header can hold".to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

impl HttpChannel for NtfySettings {
    fn http(&self) -> HttpSettings {
        self.http.clone()
    }

    fn request(&self, delivery: &Delivery, _now: Timestamp) -> Result<Outgoing, String> {
        let resolve = |secret: &SecretRef| secret.resolve().map_err(|error| error.to_string());
        let (topic, token) = (resolve(&self.topic)?, self.token.as_ref().map(resolve).transpose()?);
        check_topic(&topic)?;
        let url = answer::parse_url(&Secret::new(self.api_url.as_str()))?;
        let mut body: Value = serde_json::from_str(delivery.content.part("body")).unwrap_or_default();
        body["topic"] = Value::from(topic.expose().trim());
        let mut request = post_json(url, body.to_string());
        if let Some(token) = &token {
            request.headers_mut().insert(AUTHORIZATION, bearer(token)?);
        }
        // A topic that stands in the file is a name like others, and may stand in an error.
        let topic = (!matches!(self.topic, SecretRef::Inline(_))).then_some(topic);
        Ok(Outgoing::new(request, topic.iter().chain(&token).collect()))
    }

    fn judged(&self, answer: &Response, attempt: Attempt) -> Attempt {
        let body = answer.json();
        let is_confirmed = body["event"] == "message" && body["id"].as_str().is_some_and(|id| !id.is_empty());
        if attempt.outcome != AttemptOutcome::Delivered || is_confirmed {
            return attempt;
        }
        let error = format!("answered {} without the message: {}", answer.status, answer.excerpt());
        Attempt::failed(AttemptOutcome::Retry, attempt.status, error)
    }
}
