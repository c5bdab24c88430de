//! Feishu and Lark, by a custom bot: an interactive card, signed where the bot asks for it, confirmed by `code` 0.
//!
//! The signature and its time stand inside the body, so the signed bytes differ from attempt to attempt; the card does
//! not. Which of the two hosts it is, the URL says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

use super::answer;
use super::channel::{Channel, Kind, Parts, Sender, body_part, boxed};
use super::chat_hook::{self, ChatHook, SECRET};
use super::fit::check_size;
use super::mention::Able;
use super::over_http::{HttpChannel, HttpNotifier, post_json};
use super::plain::Plain;
use super::rate::Rate;
use crate::http::{Outgoing, Response};
use crate::model::{Attempt, AttemptOutcome, Delivery, Message};
use crate::secret::{Secret, SecretRef};
use crate::template::truncated;
use crate::words::Language;
use crate::yaml::{Keys, Section};

/// Largest body of a Feishu bot, less what a signature adds to it.
const BODY_BYTES_MAX: usize = 20_000 - 200;

/// The keys that belong to the kind.
static KEYS: Keys = Keys::of("receiver_feishu", "A custom bot of Feishu or Lark.", &[chat_hook::KEYS, &[SECRET]]);

/// A custom bot of Feishu or Lark, as the registry lists it.
pub(super) const KIND: Kind = Kind {
    word: "feishu",
    also: &["lark", "larksuite"],
    keys: &KEYS,
    read: |section| boxed(FeishuSettings::read(section)),
    // The bot's own limits.
    rate: Rate::of(Some(5), 100, 10, 60),
    // The one part: the request's body without a signature.
    alert: &[template!("body", Json, "feishu/card.json.hbs")],
    group: &[template!("body", Json, "feishu/group.json.hbs")],
    digest: &[template!("body", Json, "feishu/digest.json.hbs")],
    ..Kind::USUAL
};

/// The settings of a `feishu` receiver: a bot of a group, with its signing secret if it asks for signatures.
#[derive(Debug, Clone)]
pub(super) struct FeishuSettings(ChatHook);

impl FeishuSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<FeishuSettings> {
        ChatHook::read_signed(section, Able { mobiles: false, all: true }).map(FeishuSettings)
    }

    /// The element that mentions, if anybody is to be.
    fn call(&self) -> Value {
        let everybody = self.0.mention.all.then(|| "all".to_string());
        let ids = everybody.iter().chain(&self.0.mention.user_ids);
        let called: String = ids.map(|id| format!("<at id={id}></at>")).collect();
        json!({ "tag": "div", "text": { "tag": "lark_md", "content": called } })
    }
}

impl Channel for FeishuSettings {
    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.0.secrets()
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        let content = truncated(&plain.text(), 3000);
        let element = json!({ "tag": "div", "text": { "tag": "plain_text", "content": content } });
        body_part(json!({ "msg_type": "interactive", "card": { "elements": [element] } }).to_string())
    }

    fn finished(&self, mut parts: Parts, message: &Message, _language: Language) -> Result<Parts, String> {
        let rendered = parts.remove("body").unwrap_or_default();
        let mut body: Value = serde_json::from_str(&rendered).map_err(|_| "the card is not valid JSON".to_string())?;
        if !body.is_object() {
            return Err("the card is not a JSON object".to_string());
        }
        if self.0.mention.applies(message)
            && let Some(Value::Array(elements)) = body.pointer_mut("/card/elements")
        {
            elements.push(self.call());
        }
        let body = body.to_string();
        check_size(&body, BODY_BYTES_MAX)?;
        Ok(body_part(body))
    }

    fn note_block(&self, note: &str) -> Option<(&'static str, usize, Value)> {
        let text = json!({ "tag": "plain_text", "content": note });
        Some(("/card/elements", 0, json!({ "tag": "div", "text": text })))
    }

    fn sender(&self) -> Result<Box<dyn Sender>, String> {
        HttpNotifier::open(self.clone())
    }
}

impl HttpChannel for FeishuSettings {
    fn request(&self, delivery: &Delivery, now: Timestamp) -> Result<Outgoing, String> {
        let (url, mut secrets) = self.0.destination()?;
        let mut body = delivery.content.part("body").to_string();
        if let Some(secret) = self.0.signing_secret()? {
            let (timestamp, sign) = signature(&secret, now)?;
            // The body is an object: it was made by `finished`.
            let signed = format!("{{\"timestamp\":\"{timestamp}\",\"sign\":\"{sign}\",");
            body.replace_range(..1, &signed);
            secrets.push(&secret);
        }
        Ok(Outgoing::new(post_json(url, body), secrets))
    }

    fn judged(&self, answer: &Response, attempt: Attempt) -> Attempt {
        answer::by_code(answer, attempt, &["code", "StatusCode"], class)
    }
}

/// The time in seconds, and the signature: the key is made of time and secret, and what is signed is empty.
fn signature(secret: &Secret, now: Timestamp) -> Result<(String, String), String> {
    let seconds = now.as_second().to_string();
    let key = format!("{seconds}\n{}", secret.expose().trim());
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|error| error.to_string())?;
    Ok((seconds, STANDARD.encode(mac.finalize().into_bytes())))
}

/// What a `code` other than 0 means.
fn class(code: i64) -> Option<AttemptOutcome> {
    match code {
        // Signature or clock, address, keyword: mended by people.
        19_021 | 19_022 | 19_024 | 19_001 => Some(AttemptOutcome::Unauthorized),
        11_232 => Some(AttemptOutcome::Throttled),
        // "Bad request" by the documents, too often by one client's experience: the text decides nothing, so it is
        // tried again and does not hold up the others.
        9499 => Some(AttemptOutcome::Retry),
        11_246 => Some(AttemptOutcome::Rejected),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by OpenSSL, with the key `1700000000\nSECcanary` over nothing.
    #[test]
    fn the_known_signature() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let (timestamp, sign) = signature(&Secret::new("SECcanary"), now).unwrap();
        assert_eq!((timestamp.as_str(), sign.as_str()), ("1700000000", "Jukm/YbdldKDELcyJ3a/pvJvTLKMFDdyF3dajE5mMTc="));
    }
}
