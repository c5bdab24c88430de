//! Huawei Cloud SMN (Simple Message Notification): a topic that passes the message on by mail, text message and more.
//!
//! Each protocol gets a text of its own: mail the long one, text messages one that fits into 490 characters. A request is
//! signed for its moment, or carries a token. `message_id` confirms that the topic took it; what its subscribers'
//! carriers do then, SMN does not tell.

use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::channel::{Channel, HttpChannel, Parts, Ready, body_part, post_json};
use super::fit::{self, Unit, fitted};
use super::plain::Plain;
use super::{AnyNotifier, HttpNotifier, answer};
use crate::http::Answer;
use crate::limits::{SMN_MESSAGE_BYTES_MAX, SMN_SMS_MAX, SMN_SUBJECT_BYTES_MAX};
use crate::model::{Attempt, AttemptOutcome, Delivery, Message};
use crate::secret::{Secret, SecretRef};
use crate::sign::{DATE_HEADER, Signable, date_text, percent_encoded};
use crate::template::{BuiltIn, OutputKind, truncated};
use crate::words::Language;
use crate::yaml::Section;

/// The mail's subject, the text of mails and of whatever has none of its own, and the text message.
const TEMPLATES: [BuiltIn; 3] = [
    BuiltIn {
        part: "subject",
        file: "subject.txt.hbs",
        kind: OutputKind::Header,
        text: include_str!("../../templates/smn/subject.txt.hbs"),
    },
    BuiltIn {
        part: "text",
        file: "message.txt.hbs",
        kind: OutputKind::Plain,
        text: include_str!("../../templates/smn/message.txt.hbs"),
    },
    BuiltIn {
        part: "sms",
        file: "sms.txt.hbs",
        kind: OutputKind::Header,
        text: include_str!("../../templates/smn/sms.txt.hbs"),
    },
];

/// The keys of an `smn` receiver.
#[derive(Debug, Clone)]
pub struct SmnSettings {
    /// Scheme and host, without a slash at the end.
    pub endpoint: String,
    /// The project's id.
    pub project_id: String,
    /// The topic.
    pub topic_urn: String,
    /// How requests prove who asks.
    pub auth: SmnAuth,
}

/// How requests to SMN prove who asks.
#[derive(Debug, Clone)]
pub enum SmnAuth {
    /// Each request is signed.
    Key {
        /// Names the key.
        access_key: SecretRef,
        /// Signs with it.
        secret_key: SecretRef,
        /// Comes with temporary keys.
        security_token: Option<SecretRef>,
    },
    /// Each request carries a token; read again at each use, so that a file can be replaced.
    Token(SecretRef),
}

impl SmnSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<SmnSettings> {
        let endpoint = read_endpoint(section);
        let (project_id, topic_urn) =
            (section.required::<String>("project_id"), section.required::<String>("topic_urn"));
        let auth = read_auth(section);
        Some(SmnSettings { endpoint: endpoint?, project_id: project_id?, topic_urn: topic_urn?, auth: auth? })
    }

    /// The address of the topic. Each id is one segment, whatever is in it.
    fn url(&self) -> Result<Url, String> {
        let (project, topic) = (percent_encoded(&self.project_id), percent_encoded(&self.topic_urn));
        let url = format!("{}/v2/{project}/notifications/topics/{topic}/publish", self.endpoint);
        answer::parse_url(&Secret::new(url))
    }
}

fn read_endpoint(section: &Section<'_>) -> Option<String> {
    let region = section.optional::<String>("region");
    if section.has("endpoint") {
        let endpoint = section.optional::<String>("endpoint")?;
        if let Err(reason) = answer::parse_url(&Secret::new(endpoint.as_str())) {
            section.error("endpoint", reason, Some("write it as https://host".into()));
            return None;
        }
        return Some(endpoint.trim_end_matches('/').to_string());
    }
    if !section.has("region") {
        let help = Some("for example region: ap-southeast-3, or endpoint: https://… for a private cloud".to_string());
        section.error("", "one of the keys \"region\" and \"endpoint\" is missing", help);
        return None;
    }
    let region = region?;
    if region.is_empty() || !region.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        section.error("region", format!("{region:?} is no region"), Some("for example ap-southeast-3".into()));
        return None;
    }
    Some(format!("https://smn.{region}.myhuaweicloud.com"))
}

fn read_auth(section: &Section<'_>) -> Option<SmnAuth> {
    let auth = section.required_section("auth")?;
    let both = auth.has("token") && (auth.has("access_key") || auth.has("secret_key"));
    let signs_in = ["user", "password", "domain"].iter().any(|key| auth.has(key));
    let token = auth.optional("token");
    let read = if both {
        auth.error("", "both a token and keys are given", Some("keep one way to sign in".into()));
        let _ = (auth.node("access_key"), auth.node("secret_key"), auth.node("security_token"));
        None
    } else if signs_in {
        let help = Some("use { access_key, secret_key } or { token }".to_string());
        auth.error("", "signing in by user and password is not supported for receivers by this version yet", help);
        let _ = (auth.node("user"), auth.node("password"), auth.node("domain"), auth.node("iam_endpoint"));
        None
    } else if auth.has("token") {
        let _ = auth.node("security_token");
        token.map(SmnAuth::Token)
    } else {
        let (access_key, secret_key) = (auth.required("access_key"), auth.required("secret_key"));
        let security_token = auth.optional("security_token");
        access_key.zip(secret_key).map(|(access_key, secret_key)| SmnAuth::Key {
            access_key,
            secret_key,
            security_token,
        })
    };
    auth.close();
    read
}

impl Channel for SmnSettings {
    fn kind(&self) -> &'static str {
        "smn"
    }

    fn templates(&self) -> &'static [BuiltIn] {
        &TEMPLATES
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        let named = |key: &str| format!("auth.{key}");
        match &self.auth {
            SmnAuth::Token(token) => vec![(named("token"), token)],
            SmnAuth::Key { access_key, secret_key, security_token } => {
                let token = security_token.iter().map(|token| (named("security_token"), token));
                [(named("access_key"), access_key), (named("secret_key"), secret_key)]
                    .into_iter()
                    .chain(token)
                    .collect()
            }
        }
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        let (headline, text) = (plain.headline(), plain.text());
        [("subject", headline.clone()), ("text", text), ("sms", headline)]
            .map(|(part, text)| (part.to_string(), text))
            .into()
    }

    fn finished(&self, parts: Parts, message: &Message, language: Language) -> Result<Parts, String> {
        let part = |name: &str| parts.get(name).map_or("", String::as_str);
        let log = fit::log_path(message);
        let subject = fit::cut(part("subject"), SMN_SUBJECT_BYTES_MAX, Unit::Bytes);
        let text = fitted(part("text"), SMN_MESSAGE_BYTES_MAX, Unit::Bytes, log, language);
        // Carriers refuse the brackets that they mark the sender with.
        let sms: String = part("sms").chars().map(unbracketed).collect();
        let structure = json!({ "default": text, "email": text, "sms": truncated(&sms, SMN_SMS_MAX) });
        let body = json!({ "subject": subject, "message_structure": structure.to_string() });
        Ok(body_part(body.to_string()))
    }

    fn notifier(&self) -> Result<AnyNotifier, String> {
        HttpNotifier::open(self.clone())
    }
}

fn unbracketed(c: char) -> char {
    match c {
        '[' | '【' => '(',
        ']' | '】' => ')',
        other => other,
    }
}

impl HttpChannel for SmnSettings {
    fn request(&self, delivery: &Delivery, now: Timestamp) -> Result<Ready, String> {
        let resolve = |secret: &SecretRef| secret.resolve().map_err(|error| error.to_string());
        let body = delivery.content.part("body").to_string();
        let url = self.url()?;
        let mut headers = vec![("X-Project-Id".to_string(), self.project_id.clone())];
        let mut secrets = Vec::new();
        match &self.auth {
            SmnAuth::Token(token) => {
                let token = resolve(token)?;
                headers.push(("X-Auth-Token".to_string(), token.expose().trim().to_string()));
                secrets.push(token);
            }
            SmnAuth::Key { access_key, secret_key, security_token } => {
                let (access_key, secret_key) = (resolve(access_key)?, resolve(secret_key)?);
                if let Some(token) = security_token {
                    let token = resolve(token)?;
                    headers.push(("X-Security-Token".to_string(), token.expose().to_string()));
                    secrets.push(token);
                }
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                headers.push(("Host".to_string(), format!("{}{port}", url.host_str().unwrap_or_default())));
                headers.push((DATE_HEADER.to_string(), date_text(now)));
                let signable =
                    Signable { method: "POST", path: url.path(), query: &[], headers: &headers, body: body.as_bytes() };
                let authorization = signable.authorization(access_key.expose(), secret_key.expose());
                headers.push(("Authorization".to_string(), authorization));
                secrets.extend([secret_key, access_key]);
            }
        }
        let mut request = post_json(url, body);
        for (name, text) in headers {
            let wrong = || format!("the value for the header {name} cannot be sent");
            let header = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
            let mut value = HeaderValue::try_from(text).map_err(|_| wrong())?;
            value.set_sensitive(name == "Authorization" || name.ends_with("-Token"));
            request.headers_mut().insert(header, value);
        }
        Ok(Ready { request, secrets })
    }

    fn judged(&self, answer: &Answer, attempt: Attempt, secrets: &[Secret]) -> Attempt {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if attempt.outcome != AttemptOutcome::Delivered || body["message_id"].as_str().is_some_and(|id| !id.is_empty())
        {
            return attempt;
        }
        let error =
            format!("answered {} without a message_id: {}", answer.status, answer::kept(&answer.text(), secrets));
        Attempt::failed(AttemptOutcome::Retry, attempt.status, error)
    }
}
