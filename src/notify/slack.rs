//! Slack, by an incoming webhook: a Block Kit message, confirmed by the body `ok`.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::channel::{Channel, HttpChannel, Parts, Ready, destination, post_json, read_webhook_url};
use super::plain::Plain;
use super::{AnyNotifier, HttpNotifier, answer};
use crate::http::Answer;
use crate::model::{Attempt, AttemptOutcome, Delivery};
use crate::secret::{Secret, SecretRef};
use crate::template::{BuiltIn, OutputKind, slack_text, truncated};
use crate::yaml::Section;

/// The one part: the request's body.
const TEMPLATES: [BuiltIn; 1] = [BuiltIn {
    part: "body",
    file: "message.json.hbs",
    kind: OutputKind::Slack,
    text: include_str!("../../templates/slack/message.json.hbs"),
}];

/// The keys of a `slack` receiver.
#[derive(Debug, Clone)]
pub struct SlackSettings {
    /// The incoming webhook's URL: who has it can post, so it is a secret.
    pub webhook_url: SecretRef,
}

impl SlackSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<SlackSettings> {
        let mut supported = true;
        for key in ["bot_token", "channel", "api_url"] {
            if section.node(key).is_some() {
                let help = "use webhook_url, the URL of an incoming webhook".to_string();
                section.error(key, format!("{key:?} is not supported by this version yet"), Some(help));
                supported = false;
            }
        }
        if !supported && !section.has("webhook_url") {
            return None;
        }
        let webhook_url = read_webhook_url(section)?;
        supported.then_some(SlackSettings { webhook_url })
    }
}

impl Channel for SlackSettings {
    fn kind(&self) -> &'static str {
        "slack"
    }

    fn templates(&self) -> &'static [BuiltIn] {
        &TEMPLATES
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        vec![("webhook_url".to_string(), &self.webhook_url)]
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        let text = slack_text(&truncated(&plain.text(), 3000));
        let body = json!({ "text": text, "mrkdwn": false, "parse": "none", "link_names": false });
        Parts::from([("body".to_string(), body.to_string())])
    }

    fn notifier(&self) -> Result<AnyNotifier, String> {
        HttpNotifier::open(self.clone())
    }
}

impl HttpChannel for SlackSettings {
    fn request(&self, delivery: &Delivery, _now: Timestamp) -> Result<Ready, String> {
        let (url, secrets) = destination("webhook_url", &self.webhook_url)?;
        Ok(Ready { request: post_json(url, delivery.content.part("body").to_string()), secrets })
    }

    fn judged(&self, answer: &Answer, attempt: Attempt, secrets: &[Secret]) -> Attempt {
        if attempt.outcome == AttemptOutcome::Delivered {
            return judged_by_body(answer, attempt, secrets);
        }
        if answer.status == 429 && attempt.retry_after.is_none() {
            return Attempt { retry_after: retry_after_in_body(&answer.text()), ..attempt };
        }
        attempt
    }
}

/// A 2xx is a success only when the body says `ok`; otherwise the error it names decides, and a body that is not
/// Slack's (a captive portal's page) is tried again.
fn judged_by_body(answer: &Answer, delivered: Attempt, secrets: &[Secret]) -> Attempt {
    let text = answer.text();
    let text = text.trim();
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    if text == "ok" || body["ok"] == Value::Bool(true) {
        return delivered;
    }
    let name = body["error"].as_str().unwrap_or(text);
    let outcome = match name {
        "rate_limited" | "ratelimited" => AttemptOutcome::Throttled,
        "invalid_token" | "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired" => {
            AttemptOutcome::Unauthorized
        }
        "invalid_payload"
        | "invalid_blocks"
        | "invalid_attachments"
        | "no_text"
        | "msg_too_long"
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
    let said = answer::kept(text, secrets);
    let error = format!("answered {} without the word ok: {said}", answer.status);
    let retry_after = retry_after_in_body(text).filter(|_| outcome == AttemptOutcome::Throttled);
    Attempt { retry_after, ..Attempt::failed(outcome, delivered.status, error) }
}

fn retry_after_in_body(text: &str) -> Option<Duration> {
    let body: Value = serde_json::from_str(text).ok()?;
    answer::retry_after_seconds(&body["retry_after"])
}
