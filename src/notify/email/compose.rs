//! The bytes of a mail, the same for the same delivery.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::Message;
use lettre::message::header::ContentType;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Attachment, MultiPart, SinglePart};
use sha2::{Digest as _, Sha256};

use super::settings::EmailSettings;
use crate::coding::hex;
use crate::model::{Delivery, DeliveryId};

/// What the names of the parts begin with that hold a picture, in base64. The HTML calls `image/NAME.png` by the content
/// id `NAME@nightbell`.
pub(super) const PICTURE: &str = "image/";

/// The mail of a delivery: its date is the delivery's, its id and boundary come from the delivery's id, and the
/// resolution answers the mail that told of the failure.
pub(super) fn compose(settings: &EmailSettings, delivery: &Delivery) -> Result<Vec<u8>, String> {
    let mut builder = Message::builder()
        .from(settings.from.clone())
        .date(SystemTime::from(delivery.created_at))
        .message_id(Some(message_id(settings, &delivery.id)))
        .raw_header(subject(delivery.content.part("subject")))
        // Keeps holiday responders from answering, Exchange's among them.
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_string()))
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("X-Auto-Response-Suppress"),
            "OOF, AutoReply".to_string(),
        ));
    for to in &settings.to {
        builder = builder.to(to.clone());
    }
    for cc in &settings.cc {
        builder = builder.cc(cc.clone());
    }
    if let Some(reply_to) = &settings.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    if let Some(first) = delivery.follows.as_ref().or(delivery.in_thread_of.as_ref()) {
        let first = message_id(settings, first);
        builder = builder.in_reply_to(first.clone()).references(first);
    }
    let parts = MultiPart::alternative()
        .boundary(boundary(delivery))
        .singlepart(SinglePart::plain(delivery.content.part("text").to_string()));
    let html = SinglePart::html(delivery.content.part("html").to_string());
    let parts = match pictures(delivery)? {
        pictures if pictures.is_empty() => parts.singlepart(html),
        pictures => {
            let related = MultiPart::related().boundary(format!("{}_related", boundary(delivery))).singlepart(html);
            parts.multipart(pictures.into_iter().fold(related, MultiPart::singlepart))
        }
    };
    let mail = builder.multipart(parts).map_err(|error| format!("the mail cannot be composed: {error}"))?;
    Ok(mail.formatted())
}

/// The subject. What looks like an encoded word in it is data, which mail programs must not decode: it is encoded as a
/// whole, so that decoding gives it back.
fn subject(text: &str) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str("Subject");
    if !text.contains("=?") {
        return HeaderValue::new(name, text.to_string());
    }
    let mut words: Vec<String> = vec![String::new()];
    for c in text.chars() {
        // An encoded word has 75 characters at most, of which 12 are its frame.
        if words.last().is_some_and(|word| word.len() + c.len_utf8() > 45) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    let words: Vec<String> = words.iter().map(|word| format!("=?utf-8?b?{}?=", STANDARD.encode(word))).collect();
    HeaderValue::dangerous_new_pre_encoded(name, text.to_string(), words.join("\r\n "))
}

/// The pictures of a mail, by the content ids that its HTML calls them by.
fn pictures(delivery: &Delivery) -> Result<Vec<SinglePart>, String> {
    let parts = delivery.content.parts.iter();
    let pictures = parts.filter_map(|(name, text)| Some((name.strip_prefix(PICTURE)?, text)));
    let part = |(name, text): (&str, &String)| {
        let file = STANDARD.decode(text).map_err(|_| format!("the picture {name} is damaged"))?;
        let png = ContentType::parse("image/png").map_err(|error| error.to_string())?;
        let id = format!("{}@nightbell", name.trim_end_matches(".png"));
        Ok(Attachment::new_inline_with_name(id, name.to_string()).body(file, png))
    };
    pictures.map(part).collect()
}

/// The id under which a delivery's mail is known, at every attempt and to its answer.
fn message_id(settings: &EmailSettings, delivery: &DeliveryId) -> String {
    let id = delivery.as_str();
    let fits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let local = if fits { id.to_string() } else { hex(&Sha256::digest(id)) };
    format!("<{local}@{}>", settings.from.email.domain())
}

/// A boundary that the parts do not hold: it depends on all their bytes.
fn boundary(delivery: &Delivery) -> String {
    let mut hash = Sha256::new();
    hash.update(delivery.id.as_str());
    for (name, text) in &delivery.content.parts {
        hash.update(name);
        hash.update(text);
    }
    format!("=_nightbell_{}", &hex(&hash.finalize())[..32])
}
