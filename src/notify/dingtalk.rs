//! DingTalk, by a group robot: Markdown with a title, signed where the robot asks for it, confirmed by `errcode` 0.
//!
//! The robot answers HTTP 200 to everything. A signature holds for about an hour and depends on the clock, so it is made
//! anew for each attempt.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::json;
use sha2::Sha256;

use super::answer;
use super::channel::{Channel, Kind, Parts, Sender, body_part, boxed, marked_parts};
use super::chat_hook::{self, ChatHook, SECRET};
use super::fit::{self, Kept, Unit, fitted_for};
use super::mention::{Able, Mention};
use super::over_http::{HttpChannel, HttpNotifier, post_json};
use super::plain::Plain;
use super::rate::Rate;
use crate::http::{Outgoing, Response};
use crate::model::{Attempt, AttemptOutcome, Delivery, Message};
use crate::secret::{Secret, SecretRef};
use crate::template::{dingtalk_text, truncated};
use crate::words::Language;
use crate::yaml::{Keys, Section};

/// Largest message of a DingTalk robot, the whole body in bytes.
const MESSAGE_BYTES_MAX: usize = 20_000;

/// The keys that belong to the kind.
static KEYS: Keys = Keys::of("receiver_dingtalk", "A group robot of DingTalk.", &[chat_hook::KEYS, &[SECRET]]);

/// A group robot of DingTalk, as the registry lists it.
pub(super) const KIND: Kind = Kind {
    word: "dingtalk",
    also: &["dingding", "ding"],
    keys: &KEYS,
    read: |section| boxed(DingTalkSettings::read(section)),
    // The robot's own limit; whoever passes it is held off for ten minutes.
    rate: Rate::of(None, 20, 5, 600),
    // The title shows in the list of chats and in the notification, the text in the chat.
    alert: &[
        template!("title", Header, "dingtalk/title.md.hbs"),
        template!("text", DingTalk, "dingtalk/message.md.hbs"),
    ],
    group: &[
        template!("title", Header, "dingtalk/group-title.md.hbs"),
        template!("text", DingTalk, "dingtalk/group.md.hbs"),
    ],
    digest: &[
        template!("title", Header, "chat/digest-title.md.hbs"),
        template!("text", DingTalk, "chat/digest.md.hbs"),
    ],
    ..Kind::USUAL
};

/// The settings of a `dingtalk` receiver: a robot of a group, with its signing secret (`SEC…`) if it asks for signatures.
#[derive(Debug, Clone)]
pub(super) struct DingTalkSettings(ChatHook);

impl DingTalkSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<DingTalkSettings> {
        ChatHook::read_signed(section, Able { mobiles: true, all: true }).map(DingTalkSettings)
    }
}

impl Channel for DingTalkSettings {
    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.0.secrets()
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        // The title is shown as it is, in the list of chats and on a lock screen.
        let title = ("title".to_string(), truncated(&plain.headline(), 200));
        marked_parts(plain, dingtalk_text).into_iter().chain([title]).collect()
    }

    fn finished(&self, parts: Parts, message: &Message, language: Language) -> Result<Parts, String> {
        let part = |name: &str| parts.get(name).map_or("", String::as_str);
        let title = fit::cut(part("title"), 200, Unit::Bytes);
        let calls = self.0.mention.applies(message);
        // Who is mentioned must also stand in the text.
        let called: String = match calls {
            true => self.0.mention.mobiles.iter().chain(&self.0.mention.user_ids).map(|id| format!(" @{id}")).collect(),
            false => String::new(),
        };
        let called = if called.is_empty() { called } else { format!("\n\n{}", called.trim_start()) };
        let kept = Kept::of(message, dingtalk_text);
        let room = |of: usize| of.saturating_sub(called.len());
        // What counts is the body, in which quotes, backslashes and line breaks take two bytes: cut until it fits.
        let mut max = MESSAGE_BYTES_MAX;
        loop {
            let text = fitted_for(message, part("text"), room(max), Unit::Bytes, &kept, language)?;
            let text = format!("{text}{called}");
            let mut body = json!({ "msgtype": "markdown", "markdown": { "title": title, "text": text } });
            if calls {
                let Mention { mobiles, user_ids, all } = &self.0.mention;
                body["at"] = json!({ "atMobiles": mobiles, "atUserIds": user_ids, "isAtAll": all });
            }
            let body = body.to_string();
            if body.len() <= MESSAGE_BYTES_MAX || max < 1000 {
                return Ok(body_part(body));
            }
            max -= (body.len() - MESSAGE_BYTES_MAX).max(100);
        }
    }

    fn sender(&self) -> Result<Box<dyn Sender>, String> {
        HttpNotifier::open(self.clone())
    }
}

impl HttpChannel for DingTalkSettings {
    fn request(&self, delivery: &Delivery, now: Timestamp) -> Result<Outgoing, String> {
        let (mut url, mut secrets) = self.0.destination()?;
        if let Some(secret) = self.0.signing_secret()? {
            sign(&mut url, &secret, now)?;
            secrets.push(&secret);
        }
        Ok(Outgoing::new(post_json(url, delivery.content.part("body").to_string()), secrets))
    }

    fn judged(&self, answer: &Response, attempt: Attempt) -> Attempt {
        answer::by_code(answer, attempt, &["errcode"], class)
    }
}

/// Adds `timestamp` and `sign` to the robot's URL, in the place of older ones.
fn sign(url: &mut Url, secret: &Secret, now: Timestamp) -> Result<(), String> {
    let milliseconds = now.as_millisecond().to_string();
    let key = secret.expose().trim();
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|error| error.to_string())?;
    mac.update(format!("{milliseconds}\n{key}").as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let mine = |key: &str| matches!(key, "timestamp" | "sign");
    let kept: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(key, _)| !mine(key)).collect();
    // Writing the pairs is what encodes the signature, once.
    url.query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .append_pair("timestamp", &milliseconds)
        .append_pair("sign", &signature);
    Ok(())
}

/// What an `errcode` other than 0 means. 310000 is a keyword, a signature, a clock or an address that the robot does not
/// accept: all of them are mended by people, and the text says which.
fn class(code: i64) -> Option<AttemptOutcome> {
    match code {
        310_000 | 300_001 => Some(AttemptOutcome::Unauthorized),
        130_101 | 410_100 => Some(AttemptOutcome::Throttled),
        400_402 | 40_035 => Some(AttemptOutcome::Rejected),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by OpenSSL: `printf '1700000000000\nSECcanary' | openssl dgst -sha256 -hmac SECcanary -binary | base64`.
    #[test]
    fn the_signature_is_encoded_once() {
        let mut url = Url::parse("https://oapi.dingtalk.com/robot/send?access_token=T&sign=old&timestamp=1").unwrap();
        let now = Timestamp::from_millisecond(1_700_000_000_000).unwrap();
        sign(&mut url, &Secret::new("SECcanary"), now).unwrap();
        assert_eq!(
            url.query(),
            Some("access_token=T&timestamp=1700000000000&sign=%2FSavN2yc2rblLbWL2Qr%2FiwRDVxPYE3j7RcOwaXuWxKo%3D")
        );
    }
}
