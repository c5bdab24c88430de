//! Microsoft Teams, by a workflow's URL: an Adaptive Card.
//!
//! A workflow answers 202 when it has *accepted* the card; whether it posts it, no answer says. A delivery to Teams is
//! therefore confirmed as `accepted`, which is all that can be known. The host differs by tenant and has changed before:
//! the URL is taken as it is.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::channel::{Channel, Kind, Parts, Sender, body_part, boxed};
use super::chat_hook::{self, ChatHook};
use super::fit::check_size;
use super::mention::Able;
use super::over_http::{HttpChannel, HttpNotifier};
use super::plain::Plain;
use super::rate::Rate;
use crate::http::{Outgoing, Response};
use crate::model::{Attempt, AttemptOutcome, Delivery, Message};
use crate::secret::SecretRef;
use crate::template::truncated;
use crate::words::Language;
use crate::yaml::{Keys, Section};

/// Largest body of a Teams workflow: 28 KB by the documents, 21 KB as measured.
const BODY_BYTES_MAX: usize = 21_000;

/// The keys that belong to the kind.
static KEYS: Keys = Keys::of("receiver_teams", "A workflow of Microsoft Teams.", &[chat_hook::KEYS]);

/// A workflow of Microsoft Teams, as the registry lists it.
pub(super) const KIND: Kind = Kind {
    word: "teams",
    also: &["msteams"],
    keys: &KEYS,
    read: |section| boxed(TeamsSettings::read(section)),
    // Four a second were throttled in the connectors before; a workflow's own budget nobody documents.
    rate: Rate::of(Some(2), 20, 5, 60),
    // The one part: the request's body.
    alert: &[template!("body", Json, "teams/card.json.hbs")],
    group: &[template!("body", Json, "teams/group.json.hbs")],
    digest: &[template!("body", Json, "teams/digest.json.hbs")],
    ..Kind::USUAL
};

/// The settings of a `teams` receiver: the URL of a workflow, signature and all. Cards mention by user principal name or
/// directory id.
#[derive(Debug, Clone)]
pub(super) struct TeamsSettings(ChatHook);

impl TeamsSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<TeamsSettings> {
        ChatHook::read(section, Able { mobiles: false, all: false }).map(TeamsSettings)
    }

    /// Adds the mentions to the first card of the body.
    fn mention_in(&self, body: &mut Value) {
        let Some(card) = body.pointer_mut("/attachments/0/content") else { return };
        let ids = &self.0.mention.user_ids;
        let called: String = ids.iter().map(|id| format!("<at>{id}</at> ")).collect();
        if let Some(Value::Array(elements)) = card.get_mut("body") {
            elements.push(json!({ "type": "TextBlock", "wrap": true, "text": called.trim_end() }));
            let entity = |id: &String| json!({ "type": "mention", "text": format!("<at>{id}</at>"), "mentioned": { "id": id, "name": id } });
            let entities: Vec<Value> = ids.iter().map(entity).collect();
            if !card["msteams"].is_object() {
                card["msteams"] = json!({});
            }
            card["msteams"]["entities"] = Value::from(entities);
        }
    }
}

impl Channel for TeamsSettings {
    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.0.secrets()
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        let text = truncated(&plain.text(), 3000);
        let block = json!({ "type": "RichTextBlock", "inlines": [{ "type": "TextRun", "text": text }] });
        let card = json!({ "type": "AdaptiveCard", "version": "1.4", "body": [block] });
        let attachment = json!({ "contentType": "application/vnd.microsoft.card.adaptive", "content": card });
        body_part(json!({ "type": "message", "attachments": [attachment] }).to_string())
    }

    fn finished(&self, mut parts: Parts, message: &Message, _language: Language) -> Result<Parts, String> {
        let rendered = parts.remove("body").unwrap_or_default();
        let mut body: Value = serde_json::from_str(&rendered).map_err(|_| "the card is not valid JSON".to_string())?;
        if self.0.mention.applies(message) {
            self.mention_in(&mut body);
        }
        let body = body.to_string();
        check_size(&body, BODY_BYTES_MAX)?;
        Ok(body_part(body))
    }

    fn note_block(&self, note: &str) -> Option<(&'static str, usize, Value)> {
        let run = json!({ "type": "TextRun", "text": note, "color": "Warning" });
        Some(("/attachments/0/content/body", 1, json!({ "type": "RichTextBlock", "inlines": [run] })))
    }

    fn sender(&self) -> Result<Box<dyn Sender>, String> {
        HttpNotifier::open(self.clone())
    }
}

impl HttpChannel for TeamsSettings {
    fn request(&self, delivery: &Delivery, _now: Timestamp) -> Result<Outgoing, String> {
        self.0.post(delivery.content.part("body"))
    }

    fn judged(&self, answer: &Response, attempt: Attempt) -> Attempt {
        if attempt.outcome != AttemptOutcome::Delivered {
            return attempt;
        }
        let text = answer.text();
        let outcome = match text.trim() {
            "" | "1" => return Attempt::delivered("accepted"),
            // The connectors before the workflows told of a failure with HTTP 200.
            said if said.contains("HTTP error 429") => AttemptOutcome::Throttled,
            said if said.contains("HTTP error 413") => AttemptOutcome::Rejected,
            said if said.contains("HTTP error ") => AttemptOutcome::Retry,
            // A page is not a flow's: somebody stands between.
            said if answer.status != 202 && said.starts_with('<') => AttemptOutcome::Retry,
            // A flow may answer whatever its author wants: it ran, and running it again would post the card again.
            _ => return Attempt::delivered("accepted"),
        };
        let error = format!("answered {} with: {}", answer.status, answer.excerpt());
        Attempt::failed(outcome, attempt.status, error)
    }
}
