//! What a kind of receiver says about itself.
//!
//! [`Kind`] is what is the same for all receivers of a kind: its word, its limits, what it can do, its templates.
//! [`Channel`] is one receiver's settings: its secrets, and the shape of what it is sent. [`Sender`] makes attempts. All
//! three are filled in by the kind's own file; nothing here knows which kinds there are.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use reqwest::Url;
use serde_json::Value;

use super::answer;
use super::plain::Plain;
use super::rate::Rate;
use crate::http::secrets_in;
use crate::limits::NOTIFY_HTTP_TIMEOUT;
use crate::model::{Attempt, Delivery, Message, MessageKind};
use crate::secret::{Secret, SecretRef, Secrets};
use crate::template::{BuiltIn, truncated};
use crate::words::Language;
use crate::yaml::{self, FromYaml, Key, Keys, Located, Section, Shape};

/// Text by part name: what templates make, and what a delivery's content holds.
pub(super) type Parts = BTreeMap<String, String>;

/// What all receivers of one kind have in common.
#[derive(Debug)]
pub struct Kind {
    /// The word for `type`.
    pub word: &'static str,
    /// What else people call it: who writes one of these means the kind.
    pub(super) also: &'static [&'static str],
    /// The keys that belong to the kind, beside those that every receiver has.
    pub keys: &'static Keys,
    /// Reads them. What is wrong is reported there; `None` means reported.
    pub(super) read: fn(&Section<'_>) -> Option<Box<dyn Channel>>,
    /// How often such a receiver may be told something, unless the configuration says otherwise.
    pub rate: Rate,
    /// The templates of messages about one alert.
    pub alert: &'static [BuiltIn],
    /// The same for several alerts at once; none where each is told by itself.
    pub group: &'static [BuiltIn],
    /// The same for digests.
    pub digest: &'static [BuiltIn],
    /// Whether it is told of resolutions unless the configuration says otherwise.
    pub sends_resolved: bool,
    /// Whether each message calls somebody out of bed: nothing for digests.
    pub pages: bool,
    /// Whether its messages are mails: digests come whole and with pictures.
    pub is_mail: bool,
    /// Whether, until the user replaces the template, the body is the message's own JSON, texts verbatim: machines read it.
    pub is_verbatim: bool,
}

impl Kind {
    /// What holds unless a kind says otherwise, for the rest of its declaration.
    pub(super) const USUAL: Kind = Kind {
        word: "",
        also: &[],
        keys: &Keys::of("", "", &[]),
        read: |_| None,
        rate: Rate::UNLIMITED,
        alert: &[],
        group: &[],
        digest: &[],
        sends_resolved: true,
        pages: false,
        is_mail: false,
        is_verbatim: false,
    };

    /// Whether waiting alerts may be told together in one message.
    pub fn merges(&self) -> bool {
        !self.group.is_empty()
    }
}

/// The settings of a receiver, as the rest of the program sees them.
pub(super) trait Channel: Debug + Send + Sync {
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

    /// Which messages about acknowledgements it gets without being asked, for they disturb nobody.
    fn hears_of_acks(&self) -> &'static [MessageKind] {
        &[]
    }

    /// Where the first message of an alert can be made to show who is on it: the part of a delivery that holds such a message,
    /// and the part that is to hold its new form.
    fn marks(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// How a card of this kind takes a line of text: the list it goes into (a JSON pointer into the rendered body), where
    /// in it, and the element. Nothing for kinds whose content is text, and for bodies of the user's own making.
    fn note_block(&self, note: &str) -> Option<(&'static str, usize, Value)> {
        let _ = note;
        None
    }

    /// What sends to it. Connects to nobody.
    ///
    /// # Errors
    /// When a file that the settings name cannot be read or understood.
    fn sender(&self) -> Result<Box<dyn Sender>, String>;
}

/// One attempt under way.
pub(super) type Attempting<'a> = BoxFuture<'a, Attempt>;

/// Makes attempts to send to one receiver.
pub(super) trait Sender: Debug + Send + Sync {
    /// Makes one attempt that ends within `within`. Never panics on an answer.
    fn send<'a>(&'a self, delivery: &'a Delivery, now: Timestamp, within: Duration) -> Attempting<'a>;

    /// How long one attempt may take.
    fn patience(&self) -> Duration {
        NOTIFY_HTTP_TIMEOUT
    }

    /// How many attempts may be under way at once. Chats take about one message a second.
    fn concurrency(&self) -> usize {
        1
    }

    /// What was learnt of the other side that the next run must know, by name. It holds no secret.
    fn learnt(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Takes over what [`Sender::learnt`] said in an earlier run.
    fn learn(&self, _learnt: &BTreeMap<String, String>) {}

    /// Takes leave of the other side, where that is the custom.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Settings as a [`Kind`] gives them.
pub(super) fn boxed<C: Channel + 'static>(read: Option<C>) -> Option<Box<dyn Channel>> {
    read.map(|channel| Box::new(channel) as Box<dyn Channel>)
}

/// The key `webhook_url`.
pub(super) const WEBHOOK_URL: Key =
    Key::new("webhook_url", Shape::Secret, "The webhook's URL. Whoever has it can post, so it is a secret.")
        .example("{ env: WEBHOOK_URL }");

/// The key `api_url`, which stands in for the vendor's host.
pub(super) const API_URL: Key =
    Key::new("api_url", Shape::Text, "Where the vendor's API is: for proxies and private installations.");

/// Reads `webhook_url`; one in plain text is checked at once.
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

/// Reads `api_url`; without a slash at its end.
pub(super) fn read_api_url(section: &Section<'_>) -> Option<String> {
    let url = section.or_default::<String>("api_url");
    if let Err(reason) = answer::parse_url(&Secret::new(url.as_str())) {
        let default = section.default_of::<String>("api_url").unwrap_or_default();
        section.error("api_url", reason, Some(format!("the default is {default}")));
        return None;
    }
    Some(url.trim_end_matches('/').to_string())
}

/// A value that may be a secret, but in plain text is nothing to warn of: a URL, a header, a topic.
pub(super) struct PlainOrSecret(pub(super) SecretRef);

impl FromYaml for PlainOrSecret {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        match &located.node.value {
            yaml::Value::Map(_) => SecretRef::from_yaml(located).map(PlainOrSecret),
            _ => String::from_yaml(located).map(|text| PlainOrSecret(SecretRef::Inline(Secret::new(text)))),
        }
    }
}

/// A content of one part, the request's body.
pub(super) fn body_part(body: impl Into<String>) -> Parts {
    Parts::from([("body".to_string(), body.into())])
}

/// The plain form for kinds whose templates make a title and a text with marks, of which `escaped` takes what they mean.
pub(super) fn marked_parts(plain: &Plain<'_>, escaped: fn(&str) -> String) -> Parts {
    let title = truncated(&escaped(&plain.headline()), 200);
    let text = plain.escaped(escaped, str::to_string).join("\n\n");
    Parts::from([("title".to_string(), title), ("text".to_string(), text)])
}

/// The URL that a secret holds now, and all of it that no response may repeat.
pub(super) fn destination(key: &str, secret: &SecretRef) -> Result<(Url, Secrets), String> {
    let secret = secret.resolve().map_err(|error| error.to_string())?;
    let url = answer::parse_url(&secret).map_err(|reason| format!("{key}: {reason}"))?;
    let secrets = secrets_in(&url);
    Ok((url, secrets))
}
