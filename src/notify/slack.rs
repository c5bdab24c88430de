//! Slack, by an incoming webhook: a Block Kit message, confirmed by the body `ok`.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde_json::Value;

use super::{Notifier, answer};
use crate::http::{Answer, HttpClient, HttpSettings};
use crate::limits::{ANSWER_BYTES_MAX, NOTIFY_HTTP_TIMEOUT, RETRY_AFTER_MAX};
use crate::model::{Attempt, AttemptOutcome, Delivery};
use crate::secret::SecretRef;
use crate::template::{BuiltIn, OutputKind};
use crate::yaml::Section;

/// The one part: the request's body.
pub(super) const TEMPLATES: [BuiltIn; 1] = [BuiltIn {
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
        let webhook_url: SecretRef = section.required("webhook_url")?;
        if let SecretRef::Inline(url) = &webhook_url
            && let Err(reason) = answer::parse_url(url)
        {
            section.error("webhook_url", reason, None);
            return None;
        }
        supported.then_some(SlackSettings { webhook_url })
    }

    pub(super) fn secrets(&self) -> Vec<(String, &SecretRef)> {
        vec![("webhook_url".to_string(), &self.webhook_url)]
    }
}

/// Sends to one Slack channel.
#[derive(Debug)]
pub struct SlackNotifier {
    settings: SlackSettings,
    client: HttpClient,
    deadline: Duration,
}

impl SlackNotifier {
    pub(super) fn open(settings: &SlackSettings) -> Result<SlackNotifier, String> {
        let client = HttpClient::new(&HttpSettings::default()).map_err(|error| error.to_string())?;
        Ok(SlackNotifier { settings: settings.clone(), client, deadline: NOTIFY_HTTP_TIMEOUT })
    }

    pub(super) fn with_deadline(self, deadline: Duration) -> Self {
        SlackNotifier { deadline, ..self }
    }
}

impl Notifier for SlackNotifier {
    async fn send(&self, delivery: &Delivery, now: Timestamp) -> Attempt {
        let secret = match self.settings.webhook_url.resolve() {
            Ok(secret) => secret,
            Err(error) => return answer::no_secret(error),
        };
        let url = match answer::parse_url(&secret) {
            Ok(url) => url,
            Err(reason) => return answer::no_secret(format!("webhook_url: {reason}")),
        };
        let mut secrets = vec![secret];
        // The path alone is enough to post with, and an answer may repeat it without the host.
        secrets.push(crate::secret::Secret::new(url.path()));
        let mut request = reqwest::Request::new(reqwest::Method::POST, url);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        *request.body_mut() = Some(delivery.content.part("body").to_string().into());
        let result = self.client.send(request, self.deadline, ANSWER_BYTES_MAX).await;
        let attempt = answer::attempt(&result, now, &secrets);
        match &result {
            Ok(answer) if attempt.outcome == AttemptOutcome::Delivered => judged_by_body(answer, attempt, &secrets),
            Ok(answer) if answer.status == 429 && attempt.retry_after.is_none() => {
                Attempt { retry_after: retry_after_in_body(&answer.text()), ..attempt }
            }
            _ => attempt,
        }
    }

    /// Slack takes about one message a second on a webhook.
    fn concurrency(&self) -> usize {
        1
    }
}

/// A 2xx is a success only when the body says `ok`; otherwise the error it names decides, and a body that is not
/// Slack's (a captive portal's page) is tried again.
fn judged_by_body(answer: &Answer, delivered: Attempt, secrets: &[crate::secret::Secret]) -> Attempt {
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
    let seconds = body["retry_after"].as_f64().filter(|seconds| *seconds > 0.0)?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(RETRY_AFTER_MAX).min(RETRY_AFTER_MAX))
}
