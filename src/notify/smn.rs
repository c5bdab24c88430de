//! Huawei Cloud SMN (Simple Message Notification): a topic that passes the message on by mail, text message and more.
//!
//! Each protocol gets a text of its own: mail the long one, text messages one that fits into 490 characters. A request is
//! signed for its moment, or carries a token, which a user's password may have got. `message_id` confirms that the topic took it; what its subscribers'
//! carriers do then, SMN does not tell.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use serde_json::json;
use tokio::time::Instant;

use super::answer;
use super::channel::{Attempting, Channel, Kind, Parts, Sender, body_part, boxed};
use super::fit::{self, Kept, Unit, fitted_for};
use super::over_http::post_json;
use super::plain::Plain;
use super::rate::Rate;
use crate::coding::percent_encoded;
use crate::http::{CA_FILE, HttpClient, HttpSettings, Response};
use crate::iam::{AUTH, Ask, Auth, Caller, IamError, IamErrorKind, PLACE, PLACES, read_endpoint};
use crate::limits::ANSWER_BYTES_MAX;
use crate::model::{Attempt, AttemptOutcome, Delivery, Message};
use crate::secret::{Secret, SecretRef};
use crate::template::truncated;
use crate::words::Language;
use crate::yaml::{Key, Keys, Section, Shape};

/// Longest subject of an SMN message, in bytes.
const SUBJECT_BYTES_MAX: usize = 512;
/// Longest text of one protocol in an SMN message: 256 KB hold them all, escaped, with the mail's text twice.
const MESSAGE_BYTES_MAX: usize = 48 << 10;
/// Longest text message that SMN takes, in characters.
const SMS_MAX: usize = 490;

/// The keys that belong to the kind.
static KEYS: Keys = Keys::of(
    "receiver_smn",
    "A topic of Huawei Cloud SMN.",
    &[
        PLACE,
        &[
            Key::new("project_id", Shape::Text, "The project's id.").required(),
            Key::new("topic_urn", Shape::Text, "The topic.")
                .required()
                .example("urn:smn:ap-southeast-3:0123456789abcdef:oncall"),
            AUTH,
            CA_FILE,
        ],
    ],
)
.any_of(PLACES);

/// A topic of Huawei Cloud SMN, as the registry lists it.
pub(super) const KIND: Kind = Kind {
    word: "smn",
    keys: &KEYS,
    read: |section| boxed(SmnSettings::read(section)),
    // A topic's default is three thousand a minute; each message is a mail or a text message to every subscriber.
    rate: Rate::of(None, 60, 20, 60),
    // The mail's subject, the text of mails and of whatever has none of its own, and the text message.
    alert: &[
        template!("subject", Header, "smn/subject.txt.hbs"),
        template!("text", Plain, "smn/message.txt.hbs"),
        template!("sms", Header, "smn/sms.txt.hbs"),
    ],
    group: &[
        template!("subject", Header, "smn/group-subject.txt.hbs"),
        template!("text", Plain, "smn/group.txt.hbs"),
        template!("sms", Header, "smn/group-sms.txt.hbs"),
    ],
    digest: &[
        template!("subject", Header, "smn/digest.subject.txt.hbs"),
        template!("text", Plain, "email/digest.txt.hbs"),
        template!("sms", Header, "smn/digest.sms.txt.hbs"),
    ],
    ..Kind::USUAL
};

/// The settings of an `smn` receiver.
#[derive(Debug, Clone)]
pub(super) struct SmnSettings {
    /// Scheme and host, without a slash at the end.
    pub(super) endpoint: String,
    /// The project's id.
    pub(super) project_id: String,
    /// The topic.
    pub(super) topic_urn: String,
    /// How requests prove who asks.
    pub(super) auth: Auth,
    /// PEM certificates to trust beside the system's.
    pub(super) ca_file: Option<PathBuf>,
}

impl SmnSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<SmnSettings> {
        let endpoint = read_endpoint(section, "smn");
        let (project_id, topic_urn) =
            (section.required::<String>("project_id"), section.required::<String>("topic_urn"));
        let auth = Auth::read(section);
        let ca_file = section.optional("ca_file");
        Some(SmnSettings { endpoint: endpoint?, project_id: project_id?, topic_urn: topic_urn?, auth: auth?, ca_file })
    }

    /// The address of the topic. Each id is one segment, whatever is in it.
    fn url(&self) -> Result<Url, String> {
        let (project, topic) = (percent_encoded(&self.project_id), percent_encoded(&self.topic_urn));
        let url = format!("{}/v2/{project}/notifications/topics/{topic}/publish", self.endpoint);
        answer::parse_url(&Secret::new(url))
    }
}

impl Channel for SmnSettings {
    fn address(&self) -> String {
        self.topic_urn.clone()
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.auth.secrets()
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        let (headline, text) = (plain.headline(), plain.text());
        [("subject", headline.clone()), ("text", text), ("sms", headline)]
            .map(|(part, text)| (part.to_string(), text))
            .into()
    }

    fn finished(&self, parts: Parts, message: &Message, language: Language) -> Result<Parts, String> {
        let part = |name: &str| parts.get(name).map_or("", String::as_str);
        let kept = Kept::of(message, str::to_string);
        let subject = fit::cut(part("subject"), SUBJECT_BYTES_MAX, Unit::Bytes);
        let text = fitted_for(message, part("text"), MESSAGE_BYTES_MAX, Unit::Bytes, &kept, language)?;
        // Carriers refuse the brackets that they mark the sender with.
        let sms: String = part("sms").chars().map(unbracketed).collect();
        let structure = json!({ "default": text, "email": text, "sms": truncated(&sms, SMS_MAX) });
        let body = json!({ "subject": subject, "message_structure": structure.to_string() });
        Ok(body_part(body.to_string()))
    }

    fn sender(&self) -> Result<Box<dyn Sender>, String> {
        let client = HttpClient::new(&HttpSettings { ca_file: self.ca_file.clone(), ..HttpSettings::default() })
            .map_err(|error| error.to_string())?;
        let caller = Caller::new(self.auth.clone());
        Ok(Box::new(SmnNotifier { settings: self.clone(), client, caller }))
    }
}

fn unbracketed(c: char) -> char {
    match c {
        '[' | '【' => '(',
        ']' | '】' => ')',
        other => other,
    }
}

/// Publishes to one topic. Holds the token that a password got.
#[derive(Debug)]
struct SmnNotifier {
    settings: SmnSettings,
    client: HttpClient,
    caller: Caller,
}

impl SmnNotifier {
    /// One request, signing in first where that is needed; with the outcome, the token that may have been stale.
    async fn publish(&self, delivery: &Delivery, now: Timestamp, until: Instant) -> (Attempt, Option<Secret>) {
        let url = match self.settings.url() {
            Ok(url) => url,
            Err(reason) => return (answer::no_secret(reason), None),
        };
        let body = delivery.content.part("body").to_string();
        let left = || until.saturating_duration_since(Instant::now());
        let ask = Ask {
            method: "POST",
            url: &url,
            query: &[],
            headers: Vec::new(),
            body: body.as_bytes(),
            project_id: &self.settings.project_id,
        };
        let proof = match self.caller.prove(&self.client, left(), now, ask).await {
            Ok(proof) => proof,
            Err(error) => return (unproven(&error), None),
        };
        let outgoing = match proof.apply(post_json(url, body)) {
            Ok(outgoing) => outgoing,
            Err(error) => return (unproven(&error), None),
        };
        let result = self.client.send(outgoing, left(), ANSWER_BYTES_MAX).await;
        let attempt = answer::attempt(&result, now);
        let Ok(answer) = &result else { return (attempt, None) };
        (confirmed(answer, attempt), Caller::stale_token(answer, proof.token.as_ref()).cloned())
    }
}

/// When a password was refused, which must not be tried again at once by the next run.
const SIGN_IN: &str = "sign_in_refused";

impl Sender for SmnNotifier {
    fn learnt(&self) -> BTreeMap<String, String> {
        self.caller.refusal().map(|refusal| (SIGN_IN.to_string(), refusal)).into_iter().collect()
    }

    fn learn(&self, learnt: &BTreeMap<String, String>) {
        if let Some(refusal) = learnt.get(SIGN_IN) {
            self.caller.recall(refusal);
        }
    }

    fn send<'a>(&'a self, delivery: &'a Delivery, now: Timestamp, within: Duration) -> Attempting<'a> {
        let until = Instant::now() + within;
        Box::pin(async move {
            let (attempt, stale) = self.publish(delivery, now, until).await;
            let Some(stale) = stale else { return attempt };
            // A token can end before its time, when the password or a right was changed: once, another one is got.
            self.caller.discard(&stale).await;
            self.publish(delivery, now, until).await.0
        })
    }
}

/// The attempt that could not begin, because nobody could be signed in. Nothing was sent.
fn unproven(error: &IamError) -> Attempt {
    let (outcome, status) = match &error.kind {
        IamErrorKind::Configuration | IamErrorKind::Refused => return answer::no_secret(error),
        IamErrorKind::Transient | IamErrorKind::BadAnswer => (AttemptOutcome::Retry, None),
        IamErrorKind::Unreachable(_) => (AttemptOutcome::Retry, Some("sign-in".to_string())),
    };
    Attempt::failed(outcome, status, error.to_string())
}

/// The attempt as the topic's own answer says it ended: a success names the message.
fn confirmed(answer: &Response, attempt: Attempt) -> Attempt {
    let body = answer.json();
    if attempt.outcome != AttemptOutcome::Delivered || body["message_id"].as_str().is_some_and(|id| !id.is_empty()) {
        return attempt;
    }
    let error = format!("answered {} without a message_id: {}", answer.status, answer.excerpt());
    Attempt::failed(AttemptOutcome::Retry, attempt.status, error)
}
