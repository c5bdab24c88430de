//! Any HTTP endpoint: the webhook body, signed as Standard Webhooks says when there is a secret.
//!
//! The signature is made at each attempt over the very bytes that are sent; `webhook-id` is the delivery's id, the same
//! over all attempts, so that the other side can recognise a repeat.

use std::path::PathBuf;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request};
use sha2::Sha256;

use super::answer;
use super::channel::{Channel, Kind, Parts, PlainOrSecret, Sender, body_part, boxed, destination};
use super::fit::check_size;
use super::over_http::{HttpChannel, HttpNotifier};
use super::plain::Plain;
use crate::http::{CA_FILE, HttpSettings, Outgoing, Response};
use crate::model::{Attempt, AttemptOutcome, Delivery, Message, MessageData};
use crate::secret::{Secret, SecretRef};
use crate::words::Language;
use crate::yaml::{FromYaml, Key, Keys, Located, OneOrMany, Section, Shape};

/// Attempts under way at once to one webhook.
const CONCURRENCY: usize = 32;
/// Largest body about several alerts or a whole period: the specification of Standard Webhooks asks for less than 20 kB.
const BODY_BYTES_MAX: usize = 20_000;

/// The methods there are.
const METHODS: [&str; 3] = ["POST", "PUT", "PATCH"];

static SUCCESS: Keys = Keys::of(
    "success",
    "For services that answer 200 to everything.",
    &[&[
        Key::new("pointer", Shape::Text, "Where in the answer to look, as a JSON pointer.")
            .required()
            .example("/errcode"),
        Key::new("values", Shape::Texts, "What stands there on success.").required().example("[\"0\"]"),
    ]],
);

/// The keys that belong to the kind.
static KEYS: Keys = Keys::of(
    "receiver_webhook",
    "Any HTTP endpoint; its messages are signed as Standard Webhooks says.",
    &[&[
        Key::new("url", Shape::Secret, "Where the message goes.").required().example("https://pager.example.com/hook"),
        Key::new("secret", Shape::Secret, "Signs each body (Standard Webhooks): base64, with or without whsec_.")
            .example("{ env: PAGER_SECRET }"),
        Key::new("method", Shape::WordAnyCase(|| METHODS.to_vec()), "How it is sent.").default("POST"),
        Key::new("headers", Shape::SecretsByName, "More headers.")
            .example("{ Authorization: { env: PAGER_AUTHORIZATION } }"),
        Key::new("success", Shape::Mapping(&SUCCESS), "What the answer must say beside its status."),
        CA_FILE,
        Key::new("client_cert", Shape::Text, "Certificate and key, for servers that ask for one (PEM)."),
    ]],
);

/// Any HTTP endpoint, as the registry lists it.
pub(super) const KIND: Kind = Kind {
    word: "webhook",
    also: &["http", "https"],
    keys: &KEYS,
    read: |section| boxed(WebhookSettings::read(section)),
    // The one part: the request's body. Used when it is replaced; the default body is written without a template.
    alert: &[template!("body", Json, "webhook/body.json.hbs")],
    group: &[template!("body", Json, "webhook/group.json.hbs")],
    digest: &[template!("body", Json, "webhook/digest.json.hbs")],
    is_verbatim: true,
    ..Kind::USUAL
};

/// The settings of a `webhook` receiver.
#[derive(Debug, Clone)]
pub(super) struct WebhookSettings {
    /// Where to. It may hold a token, so it is treated as a secret.
    pub(super) url: SecretRef,
    /// `POST`, `PUT` or `PATCH`.
    pub(super) method: Method,
    /// Headers to send beside our own.
    pub(super) headers: Vec<(HeaderName, SecretRef)>,
    /// The signing secret: base64, `whsec_` before it or not.
    pub(super) secret: Option<SecretRef>,
    /// What in the answer's body means success, beside a 2xx.
    pub(super) success: Option<Success>,
    /// PEM certificates to trust beside the system's.
    pub(super) ca_file: Option<PathBuf>,
    /// PEM file with a certificate and its key, for servers that ask for one.
    pub(super) client_cert: Option<PathBuf>,
}

/// A test of the answer's body, for services that answer 200 to everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Success {
    /// Where to look: a JSON pointer, `/errcode`.
    pub(super) pointer: String,
    /// The values that mean success, as text: `0`, `ok`, `true`.
    pub(super) values: Vec<String>,
}

impl Success {
    fn read(section: Section<'_>) -> Option<Success> {
        let pointer = section.required::<String>("pointer");
        let values = section.required::<OneOrMany<String>>("values");
        if let Some(wrong) = pointer.as_ref().filter(|pointer| !pointer.starts_with('/')) {
            let help = Some("for example /errcode, or /result/status".to_string());
            section.error("pointer", format!("{wrong:?} is not a valid JSON pointer"), help);
        }
        section.close();
        Some(Success { pointer: pointer?, values: values?.0 })
    }

    /// Why the body is no success, if it is none.
    fn missing_in(&self, body: &serde_json::Value) -> Option<String> {
        let found = match body.pointer(&self.pointer) {
            None => return Some(format!("there is no {} in it", self.pointer)),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let wanted = || format!("{} is not {}", self.pointer, self.values.join(" or "));
        (!self.values.contains(&found)).then(wanted)
    }
}

impl WebhookSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<WebhookSettings> {
        let mut right = true;
        let mut refuse = |key: &str, reason: String| {
            section.error(key, reason, None);
            right = false;
        };
        let url = section.required::<PlainOrSecret>("url").map(|it| it.0);
        if let Some(SecretRef::Inline(url)) = &url
            && let Err(reason) = answer::parse_url(url)
        {
            refuse("url", reason);
        }
        let secret: Option<SecretRef> = section.optional("secret");
        if let Some(SecretRef::Inline(secret)) = &secret
            && let Err(reason) = signing_key(secret)
        {
            refuse("secret", reason);
        }
        let method = match section.or_default::<String>("method").to_ascii_uppercase().as_str() {
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            other => {
                refuse("method", format!("{other:?} is not one of POST, PUT and PATCH"));
                Method::POST
            }
        };
        let headers = section.section("headers").map_or(Some(Vec::new()), |headers| read_headers(&headers));
        let success = match section.has("success") {
            true => section.section("success").and_then(Success::read).map(Some),
            false => section.node("success").map_or(Some(None), |_| None),
        };
        let (ca_file, client_cert) = (section.optional("ca_file"), section.optional("client_cert"));
        right.then_some(())?;
        Some(WebhookSettings { url: url?, method, headers: headers?, secret, success: success?, ca_file, client_cert })
    }
}

fn read_headers(section: &Section<'_>) -> Option<Vec<(HeaderName, SecretRef)>> {
    let mut right = true;
    let mut headers = Vec::new();
    for entry in section.entries() {
        let path = section.path_of(&entry.key);
        let located = Located { node: &entry.node, path: &path, findings: section.findings() };
        let Some(value) = PlainOrSecret::from_yaml(located).map(|it| it.0) else {
            right = false;
            continue;
        };
        let mut refuse = |reason: String, help: Option<&str>| {
            section.findings().error(entry.at, path.as_str(), reason, help.map(str::to_string));
            right = false;
        };
        let Ok(name) = HeaderName::from_bytes(entry.key.as_bytes()) else {
            refuse(format!("{:?} cannot be the name of a header", entry.key), None);
            continue;
        };
        if is_reserved(&name) {
            refuse(format!("the header {name:?} is set by Nightbell itself"), None);
            continue;
        }
        if let SecretRef::Inline(text) = &value {
            if let Err(reason) = header_value(text) {
                refuse(reason, None);
            }
            if holds_a_secret(&name) {
                let help = "write { env: NAME } or { file: PATH } to keep it out of this file".to_string();
                section.findings().warning(entry.node.at, path.as_str(), "a secret in plain text", Some(help));
            }
        }
        headers.push((name, value));
    }
    right.then_some(headers)
}

/// Headers that frame the request or carry the signature.
fn is_reserved(name: &HeaderName) -> bool {
    let framing = ["host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect"];
    framing.contains(&name.as_str()) || name.as_str().starts_with("webhook-")
}

fn holds_a_secret(name: &HeaderName) -> bool {
    ["auth", "token", "key", "secret", "cookie", "password"].iter().any(|word| name.as_str().contains(word))
}

/// The value of a header, marked as sensitive so that the client's own debug output hides it.
fn header_value(secret: &Secret) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(secret.expose())
        .map_err(|_| "the value has characters that no header can carry".to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The key in a signing secret.
///
/// # Errors
/// When it is no base64, or too short to sign with. The message does not repeat it.
fn signing_key(secret: &Secret) -> Result<Vec<u8>, String> {
    let text = secret.expose().trim();
    let text = text.strip_prefix("whsec_").unwrap_or(text);
    let padding_optional = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let key = GeneralPurpose::new(&ALPHABET, padding_optional)
        .decode(text)
        .map_err(|_| "the signing secret is not valid base64 (with or without whsec_ before it)".to_string())?;
    if key.is_empty() { Err("the signing secret is empty".to_string()) } else { Ok(key) }
}

impl Channel for WebhookSettings {
    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        let headers = self.headers.iter().map(|(name, value)| (format!("headers.{name}"), value));
        let secret = self.secret.iter().map(|secret| ("secret".to_string(), secret));
        std::iter::once(("url".to_string(), &self.url)).chain(secret).chain(headers).collect()
    }

    fn check_secret(&self, key: &str, value: &Secret) -> Result<(), String> {
        match key {
            "url" => answer::parse_url(value).map(drop),
            "secret" => signing_key(value).map(drop),
            _ => header_value(value).map(drop),
        }
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        let mut body = serde_json::to_value(plain.message).unwrap_or_default();
        if let serde_json::Value::Object(map) = &mut body {
            map.extend(plain.problem.map(|problem| ("template_problem".to_string(), serde_json::Value::from(problem))));
        }
        Parts::from([("body".to_string(), body.to_string())])
    }

    fn finished(&self, parts: Parts, message: &Message, _language: Language) -> Result<Parts, String> {
        let body = parts.get("body").map_or("", String::as_str);
        match &message.data {
            MessageData::Digest(_) if body.len() > BODY_BYTES_MAX => Ok(body_part(shortened(body))),
            // One alert is told whatever its size, and so are two.
            MessageData::Group(group) if group.alerts.len() > 2 => check_size(body, BODY_BYTES_MAX).map(|()| parts),
            _ => Ok(parts),
        }
    }

    fn sender(&self) -> Result<Box<dyn Sender>, String> {
        HttpNotifier::open(self.clone())
    }
}

impl HttpChannel for WebhookSettings {
    fn http(&self) -> HttpSettings {
        HttpSettings { ca_file: self.ca_file.clone(), client_cert: self.client_cert.clone() }
    }

    fn request(&self, delivery: &Delivery, now: Timestamp) -> Result<Outgoing, String> {
        let body = delivery.content.part("body").as_bytes().to_vec();
        let (url, mut secrets) = destination("url", &self.url)?;
        let mut request = Request::new(self.method.clone(), url);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &self.headers {
            let secret = value.resolve().map_err(|error| format!("header {name}: {error}"))?;
            headers.insert(name.clone(), header_value(&secret).map_err(|reason| format!("header {name}: {reason}"))?);
            if holds_a_secret(name) || !matches!(value, SecretRef::Inline(_)) {
                secrets.push(&secret);
            }
        }
        let key = match &self.secret {
            Some(secret) => {
                let secret = secret.resolve().map_err(|error| error.to_string())?;
                let key = signing_key(&secret)?;
                secrets.push(&secret);
                Some(key)
            }
            None => None,
        };
        identify(headers, delivery.id.as_str(), now, key.as_deref(), &body)?;
        *request.body_mut() = Some(body.into());
        Ok(Outgoing::new(request, secrets))
    }

    fn judged(&self, answer: &Response, attempt: Attempt) -> Attempt {
        let delivered = attempt.outcome == AttemptOutcome::Delivered;
        let Some(missing) = self.success.as_ref().filter(|_| delivered).and_then(|it| it.missing_in(&answer.json()))
        else {
            return attempt;
        };
        let error = format!("answered {}, but {missing}: {}", answer.status, answer.excerpt());
        Attempt::failed(AttemptOutcome::Retry, attempt.status, error)
    }

    fn concurrency(&self) -> usize {
        CONCURRENCY
    }
}

/// The body of a digest with its lists, each of which tells its total beside what it shows, shortened until it fits: the
/// longest first, each from its end. A body of another shape stays as it is.
fn shortened(body: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(body) else { return body.to_string() };
    loop {
        let text = value.to_string();
        if text.len() <= BODY_BYTES_MAX {
            return text;
        }
        let mut longest: Option<&mut Vec<serde_json::Value>> = None;
        let mut size = 0;
        each_shown(&mut value, &mut |list| {
            let length: usize = list.iter().map(|item| item.to_string().len()).sum();
            if length > size {
                (longest, size) = (Some(list), length);
            }
        });
        let Some(list) = longest else { return text };
        list.truncate(list.len() - list.len().div_ceil(8));
    }
}

/// Every list of a digest that shows the first of its items.
fn each_shown<'a>(value: &'a mut serde_json::Value, act: &mut impl FnMut(&'a mut Vec<serde_json::Value>)) {
    let serde_json::Value::Object(map) = value else { return };
    for (key, inner) in map {
        if key != "shown" {
            each_shown(inner, act);
        } else if let serde_json::Value::Array(items) = inner {
            act(items);
        }
    }
}

/// Adds the headers of Standard Webhooks.
fn identify(headers: &mut HeaderMap, id: &str, now: Timestamp, key: Option<&[u8]>, body: &[u8]) -> Result<(), String> {
    let seconds = now.as_second().to_string();
    let header = |text: &str| HeaderValue::from_str(text).map_err(|_| "the delivery's id fits no header".to_string());
    headers.insert("webhook-id", header(id)?);
    headers.insert("webhook-timestamp", header(&seconds)?);
    if let Some(key) = key {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| error.to_string())?;
        for piece in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
            mac.update(piece);
        }
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        headers.insert("webhook-signature", header(&signature)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_secrets_are_base64() {
        for good in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "AAECAw", "AAECAw=="]
        {
            assert!(signing_key(&Secret::new(good)).is_ok(), "{good}");
        }
        for bad in ["whsec_", "", "whsec_not base64!", "hunter2-"] {
            let error = signing_key(&Secret::new(bad)).expect_err(bad);
            assert!(bad.is_empty() || bad == "whsec_" || !error.contains(bad), "{error}");
        }
    }

    /// The example of the Standard Webhooks specification's own libraries.
    #[test]
    fn the_known_vector() {
        let key = signing_key(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let mut headers = HeaderMap::new();
        let now = Timestamp::from_second(1_614_265_330).unwrap();
        let body = br#"{"test": 2432232314}"#;
        identify(&mut headers, "msg_p5jXN8AQM9LWM0D4loKWxJek", now, Some(&key), body).unwrap();
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }
}
