//! Slack, by an incoming webhook or a bot: a Block Kit message, confirmed by the word `ok` or by `"ok": true`.
//!
//! A bot's resolution is a reply in the thread of the message that it answers, and that message is updated first. The
//! update can be repeated without harm, the reply cannot, so the reply goes last and is what counts as delivered. What is
//! over of a message about several alerts is told in its thread, too; that message is updated where it is known what all
//! of its alerts have come to. Who is on an alert is told in the same way: in the thread, and by a mark on the first message.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::channel::{
    API_URL, Channel, Kind, Parts, Sender, WEBHOOK_URL, body_part, boxed, destination, read_api_url, read_webhook_url,
};
use super::over_http::{HttpChannel, HttpNotifier, Overture, post_json};
use super::plain::Plain;
use super::rate::Rate;
use super::{answer, fit, slack_fit};
use crate::http::{Outgoing, Response};
use crate::model::{Attempt, AttemptOutcome, Delivery, Message, MessageData, MessageKind};
use crate::secret::{Secret, SecretRef, Secrets};
use crate::template::{slack_entities, slack_text, truncated};
use crate::words::Language;
use crate::yaml::{Key, Keys, Section, Shape};

/// Attempts in which a resolution waits until Slack has updated the first message: half a minute of trouble with it.
const UPDATES_AWAITED: u32 = 3;

/// The keys that belong to the kind.
static KEYS: Keys = Keys::of(
    "receiver_slack",
    "A channel of Slack.",
    &[&[
        Key { says: "An incoming webhook's URL; or write a bot_token with a channel.", ..WEBHOOK_URL }
            .example("{ env: SLACK_WEBHOOK_URL }"),
        Key::new("bot_token", Shape::Secret, "A bot's token (xoxb-…) with the scope chat:write.")
            .example("{ env: SLACK_BOT_TOKEN }"),
        Key::new("channel", Shape::Text, "The channel that the bot posts to: its id or name.").example("C0123456789"),
        API_URL.default("https://slack.com/api"),
    ]],
)
.any_of(&[&["webhook_url"], &["bot_token", "channel"]]);

/// Slack, as the registry lists it.
pub(super) const KIND: Kind = Kind {
    word: "slack",
    keys: &KEYS,
    read: |section| boxed(SlackSettings::read(section)),
    // A message a second and short bursts, says Slack; a channel with more than twenty a minute is not read.
    rate: Rate::of(None, 20, 5, 60),
    // The one part: the request's body.
    alert: &[template!("body", Slack, "slack/message.json.hbs")],
    group: &[template!("body", Slack, "slack/group.json.hbs")],
    digest: &[template!("body", Slack, "slack/digest.json.hbs")],
    ..Kind::USUAL
};

/// The part that says what the message which is answered says from now on, where that tells of several alerts.
const GROUP_UPDATE: &str = "update";

/// The part that says what the first message of an alert says from now on, where that tells of it alone.
const MARK: &str = "marked";

/// The settings of a `slack` receiver.
#[derive(Debug, Clone)]
pub(super) struct SlackSettings {
    /// How messages get in.
    pub(super) access: SlackAccess,
}

/// How messages get into a Slack channel.
#[derive(Debug, Clone)]
pub(super) enum SlackAccess {
    /// An incoming webhook's URL: who has it can post, so it is a secret.
    Webhook(SecretRef),
    /// `chat.postMessage` with a bot's token.
    Bot {
        /// `xoxb-…`, with the scope `chat:write`.
        token: SecretRef,
        /// The channel's id or name.
        channel: String,
        /// Scheme, host and path of the Web API, without a slash at the end.
        api_url: String,
    },
}

impl SlackSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<SlackSettings> {
        if !section.has("bot_token") {
            let mut alone = true;
            for key in ["channel", "api_url"] {
                if section.node(key).is_some() {
                    section.error(key, format!("{key:?} goes with \"bot_token\""), None);
                    alone = false;
                }
            }
            let _ = section.node("bot_token");
            let access = read_webhook_url(section).map(SlackAccess::Webhook)?;
            return alone.then_some(SlackSettings { access });
        }
        let (token, channel) = (section.required("bot_token"), section.required::<String>("channel"));
        let api_url = read_api_url(section);
        if section.node("webhook_url").is_some() {
            let help = Some("keep one way to post".to_string());
            section.error("webhook_url", "both \"webhook_url\" and \"bot_token\" are given", help);
            return None;
        }
        if channel.as_ref().is_some_and(|channel| channel.trim().is_empty()) {
            section.error("channel", "it is empty", Some("the channel's id or name".into()));
            return None;
        }
        Some(SlackSettings { access: SlackAccess::Bot { token: token?, channel: channel?, api_url: api_url? } })
    }
}

impl Channel for SlackSettings {
    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        match &self.access {
            SlackAccess::Webhook(url) => vec![("webhook_url".to_string(), url)],
            SlackAccess::Bot { token, .. } => vec![("bot_token".to_string(), token)],
        }
    }

    fn check_secret(&self, key: &str, value: &Secret) -> Result<(), String> {
        match key {
            "webhook_url" => answer::parse_url(value).map(drop),
            _ => bearer(value).map(drop),
        }
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        let text = slack_entities(&truncated(&plain.text(), 3000));
        let body = json!({ "text": text, "mrkdwn": false, "parse": "none", "link_names": false });
        Parts::from([("body".to_string(), body.to_string())])
    }

    fn address(&self) -> String {
        match &self.access {
            SlackAccess::Webhook(_) => String::new(),
            SlackAccess::Bot { channel, api_url, .. } => format!("{api_url} {channel}"),
        }
    }

    fn finished(&self, parts: Parts, message: &Message, language: Language) -> Result<Parts, String> {
        let rendered = parts.get("body").map_or("", String::as_str);
        let mut body = match message.data {
            MessageData::Group(_) => slack_fit::whole(rendered)?,
            MessageData::Alert(_) | MessageData::Digest(_) => slack_fit::cut(rendered, fit::mark(message), language)?,
        };
        if let SlackAccess::Bot { channel, .. } = &self.access {
            body["channel"] = Value::from(channel.as_str());
        }
        Ok(body_part(body.to_string()))
    }

    fn updates(&self) -> Option<(&'static str, &'static str)> {
        matches!(self.access, SlackAccess::Bot { .. }).then_some(("body", GROUP_UPDATE))
    }

    fn hears_of_acks(&self) -> &'static [MessageKind] {
        match self.access {
            SlackAccess::Bot { .. } => &[MessageKind::AlertAcknowledged, MessageKind::AlertUnacknowledged],
            SlackAccess::Webhook(_) => &[],
        }
    }

    fn marks(&self) -> Option<(&'static str, &'static str)> {
        matches!(self.access, SlackAccess::Bot { .. }).then_some(("body", MARK))
    }

    fn note_block(&self, note: &str) -> Option<(&'static str, usize, Value)> {
        let text = json!({ "type": "mrkdwn", "verbatim": true, "text": slack_text(note) });
        Some(("/attachments/0/blocks", 0, json!({ "type": "section", "text": text })))
    }

    fn sender(&self) -> Result<Box<dyn Sender>, String> {
        HttpNotifier::open(self.clone())
    }
}

impl SlackSettings {
    /// The message that a delivery replies to, if it was told by a bot in the channel that is configured now: where a
    /// message goes is the configuration's to say.
    fn thread_of(&self, delivery: &Delivery) -> Option<Reference> {
        let SlackAccess::Bot { channel, .. } = &self.access else { return None };
        let reference: Reference = serde_json::from_str(delivery.in_reply_to.as_deref()?).ok()?;
        (reference.configured == *channel).then_some(reference)
    }

    /// What names the message that this answer confirms.
    fn reference(&self, answer: &Response) -> Option<String> {
        let SlackAccess::Bot { channel, .. } = &self.access else { return None };
        let body = answer.json();
        // A reply is named by the message that began its thread: only that one can be answered, and only it is seen.
        let ts = body["message"]["thread_ts"].as_str().or(body["ts"].as_str())?.to_string();
        let id = body["channel"].as_str()?.to_string();
        serde_json::to_string(&Reference { channel: id, ts, configured: channel.clone() }).ok()
    }
}

/// A message as Slack names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reference {
    /// The channel's id, also where the configuration has its name.
    channel: String,
    /// Names the message within the channel.
    ts: String,
    /// The channel as the configuration called it then.
    configured: String,
}

/// A call of the Web API.
fn api_call(api_url: &str, method: &str, token: &SecretRef, body: String) -> Result<Outgoing, String> {
    let token = token.resolve().map_err(|error| error.to_string())?;
    let url = answer::parse_url(&Secret::new(format!("{api_url}/{method}")))?;
    let mut request = post_json(url, body);
    request.headers_mut().insert(AUTHORIZATION, bearer(&token)?);
    Ok(Outgoing::new(request, Secrets::from(&token)))
}

/// A message's body with a few keys set, and without those that the call does not know.
fn body_with(body: &str, keys: impl IntoIterator<Item = (&'static str, Value)>, unknown: &[&str]) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap_or_default();
    if let Value::Object(map) = &mut body {
        map.retain(|key, _| !unknown.contains(&key.as_str()));
        map.extend(keys.into_iter().map(|(key, value)| (key.to_string(), value)));
    }
    body.to_string()
}

impl HttpChannel for SlackSettings {
    /// The first message is made to show what its reply says: whoever scrolls by sees that it is over.
    fn overture(&self, delivery: &Delivery, _now: Timestamp) -> Result<Option<Outgoing>, String> {
        let SlackAccess::Bot { token, api_url, .. } = &self.access else { return Ok(None) };
        let Some(Reference { channel, ts, .. }) = self.thread_of(delivery) else { return Ok(None) };
        let unknown = ["mrkdwn", "unfurl_links", "unfurl_media"];
        // A message about several alerts is not over when one of them is: it says what the whole group has come to.
        let part = match (delivery.answers_group, delivery.kind.is_about_ack()) {
            (true, _) => GROUP_UPDATE,
            (false, true) => MARK,
            (false, false) => "body",
        };
        let now_says = delivery.content.part(part);
        if now_says.is_empty() {
            return Ok(None);
        }
        let body = body_with(now_says, [("channel", channel.into()), ("ts", ts.into())], &unknown);
        api_call(api_url, "chat.update", token, body).map(Some)
    }

    /// The reply is the delivery, the update a courtesy. What looks like a moment's trouble is waited out for a few
    /// attempts, for nothing was posted yet; a message that is gone has no thread; any other refusal changes nothing.
    fn after_overture(&self, delivery: &Delivery, answer: Option<&Response>, attempt: Attempt) -> Overture {
        let body = answer.map(Response::json).unwrap_or_default();
        let name = body["error"].as_str().unwrap_or_default();
        if matches!(name, "message_not_found" | "thread_not_found") {
            return Overture::Alone;
        }
        let outcome = match attempt.outcome {
            AttemptOutcome::Delivered if matches!(name, "ratelimited" | "rate_limited") => AttemptOutcome::Throttled,
            AttemptOutcome::Throttled => AttemptOutcome::Throttled,
            // Nothing is uncertain about the message: it did not go out.
            AttemptOutcome::Retry | AttemptOutcome::Uncertain => AttemptOutcome::Retry,
            _ => return Overture::Heard,
        };
        if delivery.attempts_since() >= UPDATES_AWAITED {
            return Overture::Heard;
        }
        let said = attempt.error.as_deref().unwrap_or(name);
        let error = format!("the first message could not be updated: {said}");
        let retry_after = attempt.retry_after.or_else(|| answer::retry_after_seconds(&body["retry_after"]));
        let retry_after = retry_after.filter(|_| outcome == AttemptOutcome::Throttled);
        Overture::Ended(Attempt { retry_after, ..Attempt::failed(outcome, attempt.status, error) })
    }

    fn has_lost_the_thread(&self, answer: &Response) -> bool {
        let body = answer.json();
        matches!(
            body["error"].as_str(),
            Some("thread_not_found" | "message_not_found" | "cannot_reply_to_message" | "invalid_thread_ts")
        )
    }

    fn request(&self, delivery: &Delivery, _now: Timestamp) -> Result<Outgoing, String> {
        match &self.access {
            SlackAccess::Webhook(url) => {
                let (url, secrets) = destination("webhook_url", url)?;
                Ok(Outgoing::new(post_json(url, delivery.content.part("body").to_string()), secrets))
            }
            SlackAccess::Bot { token, api_url, .. } => {
                let body = match self.thread_of(delivery) {
                    Some(Reference { channel, ts, .. }) => {
                        let mut keys = vec![("channel", channel.into()), ("thread_ts", ts.into())];
                        // What has failed again is news to the whole channel.
                        if delivery.kind == MessageKind::AlertFiring {
                            keys.push(("reply_broadcast", true.into()));
                        }
                        body_with(delivery.content.part("body"), keys, &[])
                    }
                    None => delivery.content.part("body").to_string(),
                };
                api_call(api_url, "chat.postMessage", token, body)
            }
        }
    }

    fn judged(&self, answer: &Response, attempt: Attempt) -> Attempt {
        if attempt.outcome == AttemptOutcome::Delivered {
            let word_counts = matches!(self.access, SlackAccess::Webhook(_));
            let attempt = judged_by_body(answer, attempt, word_counts);
            let is_told = attempt.outcome == AttemptOutcome::Delivered;
            let reference = is_told.then(|| self.reference(answer)).flatten();
            return Attempt { reference, ..attempt };
        }
        if answer.status == 429 && attempt.retry_after.is_none() {
            return Attempt { retry_after: retry_after_in_body(&answer.text()), ..attempt };
        }
        attempt
    }
}

/// The header that carries a token, hidden in the client's own debug output.
fn bearer(token: &Secret) -> Result<HeaderValue, String> {
    let text = format!("Bearer {}", token.expose().trim());
    let mut value = HeaderValue::from_str(&text).map_err(|_| "the token has characters that no header can carry")?;
    value.set_sensitive(true);
    Ok(value)
}

/// A 2xx is a success only when the body says `ok`, on a webhook as a word, with the Web API as `"ok": true`; otherwise the error it names decides, and a body that is not
/// Slack's (a captive portal's page) is tried again.
fn judged_by_body(answer: &Response, delivered: Attempt, word_counts: bool) -> Attempt {
    let text = answer.text();
    let text = text.trim();
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    if (word_counts && text == "ok") || body["ok"] == Value::Bool(true) {
        return delivered;
    }
    let name = body["error"].as_str().unwrap_or(text);
    let outcome = match name {
        "rate_limited" | "ratelimited" => AttemptOutcome::Throttled,
        // Mended by people: a new token, a scope, an invitation.
        "invalid_token" | "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired"
        | "missing_scope" | "no_permission" | "not_in_channel" => AttemptOutcome::Unauthorized,
        "invalid_payload"
        | "invalid_blocks"
        | "invalid_attachments"
        | "no_text"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "too_many_attachments"
        | "user_not_found"
        | "channel_not_found"
        | "channel_is_archived"
        | "is_archived"
        | "action_prohibited"
        | "posting_to_general_channel_denied"
        | "no_service"
        | "no_active_hooks"
        | "team_disabled" => AttemptOutcome::Rejected,
        _ => AttemptOutcome::Retry,
    };
    let error = format!("answered {} without the word ok: {}", answer.status, answer.excerpt());
    let retry_after = retry_after_in_body(text).filter(|_| outcome == AttemptOutcome::Throttled);
    Attempt { retry_after, ..Attempt::failed(outcome, delivered.status, error) }
}

fn retry_after_in_body(text: &str) -> Option<Duration> {
    let body: Value = serde_json::from_str(text).ok()?;
    answer::retry_after_seconds(&body["retry_after"])
}
