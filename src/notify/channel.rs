//! What a kind of receiver is to the rest of the program, and the one way to send to those that speak HTTP.
//!
//! [`Channel`] is the settings' side: keys, secrets, templates, the shape of what is sent. [`HttpChannel`] is the
//! sender's side: the request of one attempt, and what the channel's answer means. Both are implemented by a kind's
//! settings, in the kind's own file. Nothing here opens a connection but [`HttpNotifier::send`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use serde_json::Value;

use super::plain::Plain;
use super::{AnyNotifier, Notifier, answer};
use crate::http::{HttpClient, HttpSettings, Outgoing, Response, secrets_in};
use crate::limits::{ANSWER_BYTES_MAX, NOTIFY_HTTP_TIMEOUT};
use crate::model::{Attempt, Delivery, Message};
use crate::secret::{Secret, SecretRef, Secrets};
use crate::template::{BuiltIn, markdown_text, truncated};
use crate::words::Language;
use crate::yaml::Section;

/// Text by part name: what templates make, and what a delivery's content holds.
pub(super) type Parts = BTreeMap<String, String>;

/// The settings of one kind of receiver, as the rest of the program sees them.
pub(super) trait Channel {
    /// The word for `type`.
    fn kind(&self) -> &'static str;

    /// Whether a receiver of this kind is told of resolutions unless it says otherwise.
    fn sends_resolved_by_default(&self) -> bool {
        true
    }

    /// The templates that come with the kind.
    fn templates(&self) -> &'static [BuiltIn];

    /// Whether, until the user replaces the template, the body is the message's own JSON, texts verbatim.
    fn is_verbatim(&self) -> bool {
        false
    }

    /// The templates for messages about several alerts, with the same parts.
    fn group_templates(&self) -> &'static [BuiltIn];

    /// Whether waiting alerts may be told together in one message.
    fn merges(&self) -> bool {
        true
    }

    /// What of the address is no secret: where in the workspace, to whom.
    fn address(&self) -> String {
        String::new()
    }

    /// Every secret with the key it stands under.
    fn secrets(&self) -> Vec<(String, &SecretRef)>;

    /// What is wrong with the present value of a secret. Never holds the value.
    fn check_secret(&self, key: &str, value: &Secret) -> Result<(), String> {
        match key {
            "url" | "webhook_url" => answer::parse_url(value).map(drop),
            _ => Ok(()),
        }
    }

    /// What the templates would make of the message in its plain form, escaped for the channel.
    fn plain(&self, plain: &Plain<'_>) -> Parts;

    /// The content to send, out of what the templates made: fitted to the channel's size and put into its envelope.
    ///
    /// # Errors
    /// When it does not fit and cannot be cut; the plain form then takes its place.
    fn finished(&self, parts: Parts, message: &Message, language: Language) -> Result<Parts, String> {
        let _ = (message, language);
        Ok(parts)
    }

    /// Where a message about several alerts can be brought up to date when some are over: the part that holds such a message,
    /// and the part of the answer that is to hold its new form.
    fn updates(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// How a card of this kind takes a line of text: the list it goes into (a JSON pointer into the rendered body), where
    /// in it, and the element. Nothing for kinds whose content is text, and for bodies of the user's own making.
    fn note_block(&self, note: &str) -> Option<(&'static str, usize, Value)> {
        let _ = note;
        None
    }

    /// A notifier for these settings. Connects to nobody.
    ///
    /// # Errors
    /// When a file that the settings name cannot be read or understood.
    fn notifier(&self) -> Result<AnyNotifier, String>;
}

/// How one kind of receiver is sent to over HTTP.
pub(super) trait HttpChannel: Debug + Send + Sync {
    /// Certificates beside the system's.
    fn http(&self) -> HttpSettings {
        HttpSettings::default()
    }

    /// A call that goes before the message and does no harm when it is repeated: it brings what was told before up to
    /// date. Whatever may be done but once goes last, so that a retry repeats nothing that has arrived.
    ///
    /// # Errors
    /// When a secret has no usable value just now.
    fn overture(&self, delivery: &Delivery, now: Timestamp) -> Result<Option<Outgoing>, String> {
        let _ = (delivery, now);
        Ok(None)
    }

    /// What follows from the overture; `attempt` is what its answer's status and headers alone say.
    fn after_overture(&self, delivery: &Delivery, answer: Option<&Response>, attempt: Attempt) -> Overture {
        let _ = (delivery, answer, attempt);
        Overture::Heard
    }

    /// Whether the answer refuses a message only because of what it replies to: then it is sent by itself.
    fn has_lost_the_thread(&self, answer: &Response) -> bool {
        let _ = answer;
        false
    }

    /// The request of one attempt, made anew for each: secrets are resolved and signatures made for `now`.
    ///
    /// # Errors
    /// When a secret has no usable value just now.
    fn request(&self, delivery: &Delivery, now: Timestamp) -> Result<Outgoing, String>;

    /// What the answer means; `attempt` is what its status and headers alone say.
    fn judged(&self, answer: &Response, attempt: Attempt) -> Attempt {
        let _ = answer;
        attempt
    }

    /// How many attempts may be under way at once. Chats take about one message a second.
    fn concurrency(&self) -> usize {
        1
    }
}

/// How an overture was taken.
pub(super) enum Overture {
    /// The message follows.
    Heard,
    /// There is nothing to reply to any more: the message goes by itself.
    Alone,
    /// The message must wait: the attempt ends here.
    Ended(Attempt),
}

/// Sends to one channel over HTTP.
#[derive(Debug)]
pub struct HttpNotifier {
    channel: Box<dyn HttpChannel>,
    client: HttpClient,
    deadline: Duration,
}

impl HttpNotifier {
    pub(super) fn open(channel: impl HttpChannel + 'static) -> Result<AnyNotifier, String> {
        let client = HttpClient::new(&channel.http()).map_err(|error| error.to_string())?;
        let channel = Box::new(channel);
        Ok(AnyNotifier::Http(HttpNotifier { channel, client, deadline: NOTIFY_HTTP_TIMEOUT }))
    }

    pub(super) fn with_deadline(self, deadline: Duration) -> Self {
        HttpNotifier { deadline, ..self }
    }

    /// Makes one call. Without an answer the attempt says why there is none.
    async fn call(&self, outgoing: Outgoing, now: Timestamp) -> (Option<Response>, Attempt) {
        let result = self.client.send(outgoing, self.deadline, ANSWER_BYTES_MAX).await;
        let attempt = answer::attempt(&result, now);
        (result.ok(), attempt)
    }

    /// Whether the message may go, and whether by itself.
    async fn overture(&self, delivery: &Delivery, now: Timestamp) -> Overture {
        match self.channel.overture(delivery, now) {
            Ok(None) => Overture::Heard,
            Ok(Some(ready)) => {
                let (answer, attempt) = self.call(ready, now).await;
                self.channel.after_overture(delivery, answer.as_ref(), attempt)
            }
            Err(reason) => Overture::Ended(answer::no_secret(reason)),
        }
    }

    /// Sends the message, and says whether it was refused for what it replies to.
    async fn tell(&self, delivery: &Delivery, now: Timestamp) -> (Attempt, bool) {
        let ready = match self.channel.request(delivery, now) {
            Ok(ready) => ready,
            Err(reason) => return (answer::no_secret(reason), false),
        };
        let (answer, attempt) = self.call(ready, now).await;
        match &answer {
            Some(answer) => (self.channel.judged(answer, attempt), self.channel.has_lost_the_thread(answer)),
            None => (attempt, false),
        }
    }
}

impl Notifier for HttpNotifier {
    async fn send(&self, delivery: &Delivery, now: Timestamp) -> Attempt {
        if delivery.in_reply_to.is_none() {
            return self.tell(delivery, now).await.0;
        }
        let alone = Delivery { in_reply_to: None, ..delivery.clone() };
        match self.overture(delivery, now).await {
            Overture::Ended(attempt) => attempt,
            Overture::Alone => self.tell(&alone, now).await.0,
            Overture::Heard => match self.tell(delivery, now).await {
                (_, true) => self.tell(&alone, now).await.0,
                (attempt, false) => attempt,
            },
        }
    }

    fn concurrency(&self) -> usize {
        self.channel.concurrency()
    }
}

/// The key `webhook_url`; one in plain text is checked at once.
pub(super) fn read_webhook_url(section: &Section<'_>) -> Option<SecretRef> {
    let webhook_url: SecretRef = section.required("webhook_url")?;
    if let SecretRef::Inline(url) = &webhook_url
        && let Err(reason) = answer::parse_url(url)
    {
        section.error("webhook_url", reason, None);
        return None;
    }
    Some(webhook_url)
}

/// The key `api_url`, which stands in for the vendor's host; without a slash at its end.
pub(super) fn read_api_url(section: &Section<'_>, default: &str) -> Option<String> {
    let url = section.or("api_url", default.to_string());
    if let Err(reason) = answer::parse_url(&Secret::new(url.as_str())) {
        section.error("api_url", reason, Some(format!("the default is {default}")));
        return None;
    }
    Some(url.trim_end_matches('/').to_string())
}

/// A content of one part, the request's body.
pub(super) fn body_part(body: impl Into<String>) -> Parts {
    Parts::from([("body".to_string(), body.into())])
}

/// The plain form for kinds whose templates make a title and a Markdown text.
pub(super) fn markdown_parts(plain: &Plain<'_>) -> Parts {
    let title = truncated(&markdown_text(&plain.headline()), 200);
    let text = plain.text().lines().map(markdown_text).collect::<Vec<_>>().join("\n\n");
    Parts::from([("title".to_string(), title), ("text".to_string(), text)])
}

/// The URL that a secret holds now, and all of it that no response may repeat.
pub(super) fn destination(key: &str, secret: &SecretRef) -> Result<(Url, Secrets), String> {
    let secret = secret.resolve().map_err(|error| error.to_string())?;
    let url = answer::parse_url(&secret).map_err(|reason| format!("{key}: {reason}"))?;
    let secrets = secrets_in(&url);
    Ok((url, secrets))
}

/// A POST of JSON.
pub(super) fn post_json(url: Url, body: impl Into<reqwest::Body>) -> Request {
    let mut request = Request::new(Method::POST, url);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    *request.body_mut() = Some(body.into());
    request
}
