//! Discord, by a webhook: an embed, confirmed by the message that `wait=true` gives back.
//!
//! Nobody is mentioned but whom the configuration names: `allowed_mentions` says so to Discord itself.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer;
use super::channel::{Channel, Kind, Parts, Sender, body_part, boxed, marked_parts};
use super::chat_hook::{self, ChatHook};
use super::fit::{self, Kept, Unit, fitted_for};
use super::mention::Able;
use super::over_http::{HttpChannel, HttpNotifier, post_json};
use super::plain::Plain;
use super::rate::Rate;
use crate::http::{Outgoing, Response};
use crate::model::{Attempt, AttemptOutcome, Delivery, Message};
use crate::secret::SecretRef;
use crate::template::{Palette, color, discord_text, level};
use crate::words::Language;
use crate::yaml::{Keys, Section};

/// Longest title of a Discord embed, in characters.
const TITLE_MAX: usize = 256;
/// Longest description of a Discord embed, in characters.
const TEXT_MAX: usize = 4096;

/// The keys that belong to the kind.
static KEYS: Keys = Keys::of("receiver_discord", "A webhook of Discord.", &[chat_hook::KEYS]);

/// A webhook of Discord, as the registry lists it.
pub(super) const KIND: Kind = Kind {
    word: "discord",
    keys: &KEYS,
    read: |section| boxed(DiscordSettings::read(section)),
    // The limits are told in each answer only; this many a minute have been borne.
    rate: Rate::of(None, 20, 5, 60),
    // The embed's title and its description.
    alert: &[template!("title", Discord, "discord/title.md.hbs"), template!("text", Discord, "discord/message.md.hbs")],
    group: &[
        template!("title", Discord, "discord/group-title.md.hbs"),
        template!("text", Discord, "discord/group.md.hbs"),
    ],
    digest: &[
        template!("title", Discord, "chat/digest-title.md.hbs"),
        template!("text", Discord, "discord/digest.md.hbs"),
    ],
    ..Kind::USUAL
};

/// The settings of a `discord` receiver: a webhook of a channel. Messages mention by user id.
#[derive(Debug, Clone)]
pub(super) struct DiscordSettings(ChatHook);

impl DiscordSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<DiscordSettings> {
        ChatHook::read(section, Able { mobiles: false, all: false }).map(DiscordSettings)
    }
}

impl Channel for DiscordSettings {
    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.0.secrets()
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        marked_parts(plain, discord_text)
    }

    fn finished(&self, parts: Parts, message: &Message, language: Language) -> Result<Parts, String> {
        let part = |name: &str| parts.get(name).map_or("", String::as_str);
        let title = fit::cut(part("title"), TITLE_MAX, Unit::Characters);
        let kept = Kept::of(message, discord_text);
        let text = fitted_for(message, part("text"), TEXT_MAX, Unit::Characters, &kept, language)?;
        let mut body = json!({
            "embeds": [{ "title": title, "description": text, "color": bar(message) }],
            "allowed_mentions": { "parse": [] },
        });
        if self.0.mention.applies(message) {
            let ids = &self.0.mention.user_ids;
            body["content"] = Value::from(ids.iter().map(|id| format!("<@{id}>")).collect::<Vec<_>>().join(" "));
            body["allowed_mentions"]["users"] = json!(ids);
        }
        Ok(body_part(body.to_string()))
    }

    fn sender(&self) -> Result<Box<dyn Sender>, String> {
        HttpNotifier::open(self.clone())
    }
}

/// The bar beside the embed.
fn bar(message: &Message) -> u32 {
    let word = message.digest().map_or_else(|| level(message), |facts| facts.verdict.state.as_str());
    u32::from_str_radix(color(word, Palette::Hex).trim_start_matches('#'), 16).unwrap_or_default()
}

impl HttpChannel for DiscordSettings {
    fn request(&self, delivery: &Delivery, _now: Timestamp) -> Result<Outgoing, String> {
        let (mut url, secrets) = self.0.destination()?;
        let kept: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(key, _)| key != "wait").collect();
        url.query_pairs_mut().clear().extend_pairs(kept).append_pair("wait", "true");
        Ok(Outgoing::new(post_json(url, delivery.content.part("body").to_string()), secrets))
    }

    fn judged(&self, answer: &Response, attempt: Attempt) -> Attempt {
        let body = answer.json();
        match attempt.outcome {
            AttemptOutcome::Throttled => {
                let asked = answer::retry_after_seconds(&body["retry_after"]);
                Attempt { retry_after: asked.or(attempt.retry_after), ..attempt }
            }
            AttemptOutcome::Delivered if answer.status != 204 && body["id"].as_str().is_none() => {
                let said = answer.excerpt();
                let error = format!("answered {} without the message: {said}", answer.status);
                Attempt::failed(AttemptOutcome::Retry, attempt.status, error)
            }
            _ => attempt,
        }
    }
}
