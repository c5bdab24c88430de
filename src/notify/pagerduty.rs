//! PagerDuty, by Events API v2: a trigger and its resolution share one `dedup_key`, the alert's id.
//!
//! 202 with `status: success` confirms an event. A resolution must go by the same routing key as its trigger.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer;
use super::channel::{API_URL, Channel, Kind, Parts, Sender, body_part, boxed, read_api_url};
use super::fit::check_size;
use super::over_http::{HttpChannel, HttpNotifier, post_json};
use super::plain::Plain;
use super::rate::Rate;
use crate::http::{Outgoing, Response};
use crate::model::{
    AlertState, Attempt, AttemptOutcome, Delivery, DigestFacts, Message, MessageData, MessageKind, Severity,
};
use crate::secret::{Secret, SecretRef, Secrets};
use crate::template::{clean_value, truncated};
use crate::words::Language;
use crate::yaml::{Key, Keys, Section, Shape};

/// Largest event of PagerDuty, less the routing key.
const BODY_BYTES_MAX: usize = (512 << 10) - 200;
/// Longest summary of a PagerDuty event, in characters.
const SUMMARY_MAX: usize = 1024;

/// The keys that belong to the kind.
static KEYS: Keys = Keys::of(
    "receiver_pagerduty",
    "A service of PagerDuty.",
    &[&[
        Key::new("routing_key", Shape::Secret, "The integration's key (Events API v2).")
            .required()
            .example("{ env: PAGERDUTY_KEY }"),
        API_URL.default("https://events.pagerduty.com"),
    ]],
);

/// PagerDuty, as the registry lists it.
pub(super) const KIND: Kind = Kind {
    word: "pagerduty",
    keys: &KEYS,
    read: |section| boxed(PagerDutySettings::read(section)),
    // About so many events a minute and key. They are never merged, so the burst is large.
    rate: Rate::of(None, 120, 40, 60),
    // The one part: the incident's title. The details are the message's facts, verbatim.
    alert: &[template!("summary", Header, "pagerduty/summary.txt.hbs")],
    digest: &[template!("summary", Header, "pagerduty/digest.txt.hbs")],
    pages: true,
    ..Kind::USUAL
};

/// The settings of a `pagerduty` receiver.
#[derive(Debug, Clone)]
pub(super) struct PagerDutySettings {
    /// The integration's key, which chooses the service.
    pub(super) routing_key: SecretRef,
    /// Scheme and host of the API.
    pub(super) api_url: String,
}

impl PagerDutySettings {
    pub(super) fn read(section: &Section<'_>) -> Option<PagerDutySettings> {
        let routing_key = section.required("routing_key");
        let api_url = read_api_url(section);
        Some(PagerDutySettings { routing_key: routing_key?, api_url: api_url? })
    }
}

impl Channel for PagerDutySettings {
    fn address(&self) -> String {
        self.api_url.clone()
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        vec![("routing_key".to_string(), &self.routing_key)]
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        let headline = plain.headline();
        let said = match plain.problem {
            Some(_) => plain.locale.language.say("plain.failed", &[("headline", &headline)]),
            None => headline,
        };
        Parts::from([("summary".to_string(), said)])
    }

    fn finished(&self, parts: Parts, message: &Message, language: Language) -> Result<Parts, String> {
        let facts = match &message.data {
            MessageData::Alert(facts) => facts,
            MessageData::Group(_) => return Err("PagerDuty takes one alert per incident".to_string()),
            MessageData::Digest(facts) => return Ok(body_part(summary_event(facts, &parts).to_string())),
        };
        let mut details = serde_json::to_value(facts).unwrap_or_default();
        clean_value(&mut details);
        let action = match message.kind {
            MessageKind::AlertResolved => "resolve",
            MessageKind::Test if facts.alert.state == AlertState::Resolved => "resolve",
            MessageKind::AlertAcknowledged => "acknowledge",
            _ => "trigger",
        };
        // A test opens an incident, which proves the way, and is no more urgent than it must be.
        let is_test = message.kind == MessageKind::Test;
        let summary = truncated(parts.get("summary").map_or("", String::as_str), SUMMARY_MAX);
        let mut body = json!({
            "event_action": action,
            "dedup_key": facts.alert.id,
            "client": "Nightbell",
            "payload": {
                "summary": if summary.is_empty() { "Nightbell".to_string() } else { summary },
                "source": details["source"]["id"],
                "severity": if is_test { Severity::Info } else { facts.alert.severity },
                "timestamp": facts.alert.starts_at,
                "component": details["job"]["name"],
                "class": details["alert"]["rule"],
            },
        });
        if let Some(url) = &facts.alert.links.url {
            body["client_url"] = json!(url);
        }
        let part = &facts.alert.links;
        let links = [
            (&part.runbook, "runbook"),
            (&part.console_url, "open_console"),
            (&part.url, "open_page"),
            (&part.ack_url, "ack_page"),
        ];
        let links = links.into_iter().filter_map(|(url, key)| Some((url.as_ref()?, key)));
        let links = links.map(|(url, key)| json!({ "href": url, "text": language.say(key, &[]) }));
        let links: Vec<Value> = links.collect();
        if !links.is_empty() {
            body["links"] = Value::from(links);
        }
        // What a test stands for is made up, and nobody is to read it as a failure.
        let note = || json!({ "note": language.say("test_note", &[]) });
        body["payload"]["custom_details"] = if is_test { note() } else { details };
        let mut text = body.to_string();
        if check_size(&text, BODY_BYTES_MAX).is_err() {
            body["payload"]["custom_details"] = json!({ "note": language.say("cut.whole", &[]) });
            text = body.to_string();
        }
        Ok(body_part(text))
    }

    /// An event of its own. There is none that takes it back.
    fn hears_of_acks(&self) -> &'static [MessageKind] {
        &[MessageKind::AlertAcknowledged]
    }

    fn sender(&self) -> Result<Box<dyn Sender>, String> {
        HttpNotifier::open(self.clone())
    }
}

/// A digest as the least of events: the configuration keeps digests from here, but what goes there as the fallback of another receiver
/// may still come.
fn summary_event(facts: &DigestFacts, parts: &Parts) -> Value {
    json!({
        "event_action": "trigger",
        "dedup_key": format!("digest-{}", facts.digest.name),
        "client": "Nightbell",
        "payload": {
            "summary": truncated(parts.get("summary").map_or("", String::as_str), SUMMARY_MAX),
            "source": "nightbell",
            "severity": "info",
            "timestamp": facts.period.until,
            "custom_details": { "digest": facts.digest.name, "verdict": facts.verdict.summary },
        },
    })
}

impl HttpChannel for PagerDutySettings {
    fn request(&self, delivery: &Delivery, _now: Timestamp) -> Result<Outgoing, String> {
        let key = self.routing_key.resolve().map_err(|error| error.to_string())?;
        let url = answer::parse_url(&Secret::new(format!("{}/v2/enqueue", self.api_url)))?;
        let mut body: Value = serde_json::from_str(delivery.content.part("body")).unwrap_or_default();
        body["routing_key"] = Value::from(key.expose().trim());
        Ok(Outgoing::new(post_json(url, body.to_string()), Secrets::from(&key)))
    }

    fn judged(&self, answer: &Response, attempt: Attempt) -> Attempt {
        if attempt.outcome != AttemptOutcome::Delivered {
            return attempt;
        }
        let body = answer.json();
        if body["status"] == "success" {
            return attempt;
        }
        let said = answer.excerpt();
        let error = format!("answered {} without the status \"success\": {said}", answer.status);
        Attempt::failed(AttemptOutcome::Retry, attempt.status, error)
    }
}
