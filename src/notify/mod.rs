//! Receivers: the places that are told, each channel behind the one trait [`Notifier`].
//!
//! A notifier makes one attempt to send one delivery and classes how it ended. It reads the delivery, its own settings
//! and the channel's answer; success is the channel's own word, not HTTP 200. It must never know of rules, sources or
//! the store, and it never takes a destination from data.
//!
//! A new kind of receiver is one file with its settings, its notifier and its templates' names, and one arm in each
//! `match` of this file.

mod answer;
mod email;
mod plain;
mod render;
mod slack;
mod webhook;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use email::{EmailNotifier, EmailSettings, Security};
pub use render::{Rendered, Renderer, read_overrides};
pub use slack::{SlackNotifier, SlackSettings};
pub use webhook::{WebhookNotifier, WebhookSettings};

use crate::model::{Attempt, Delivery, ReceiverId};
use crate::secret::SecretRef;
use crate::template::BuiltIn;
use crate::yaml::{Section, closest};

/// A way to reach people.
pub trait Notifier: Send + Sync {
    /// Makes one attempt. Has its own deadline; never panics on an answer.
    fn send(&self, delivery: &Delivery, now: Timestamp) -> impl Future<Output = Attempt> + Send;

    /// How many attempts may be under way at once.
    fn concurrency(&self) -> usize;
}

/// A receiver as the configuration describes it.
#[derive(Debug, Clone)]
pub struct ReceiverSettings {
    /// Its key in the configuration.
    pub id: ReceiverId,
    /// Whether it is told of resolutions.
    pub send_resolved: bool,
    /// The zone of the times in its messages.
    pub timezone: TimeZone,
    /// Directories (or, for kinds with one part, files) of templates that replace the built-in ones; of two that replace
    /// the same one the later counts.
    pub templates: Vec<PathBuf>,
    /// The channel behind it.
    pub channel: ChannelSettings,
}

/// The kinds of receiver that can be used, by the word for `type`.
pub const KINDS: [&str; 3] = ["slack", "email", "webhook"];

/// Kinds that are to come: named, so that nobody takes them for typing errors.
const KINDS_TO_COME: [&str; 8] = ["dingtalk", "feishu", "wecom", "teams", "discord", "pagerduty", "telegram", "smn"];

/// The settings of one kind of channel.
#[derive(Debug, Clone)]
pub enum ChannelSettings {
    /// Slack, by an incoming webhook.
    Slack(SlackSettings),
    /// Mail, by SMTP.
    Email(Box<EmailSettings>),
    /// Any HTTP endpoint.
    Webhook(Box<WebhookSettings>),
}

impl ChannelSettings {
    /// Reads the keys that belong to the kind of receiver; those that every receiver has are the caller's, and so is
    /// closing the section. What is wrong is reported there; `None` means reported.
    pub fn read(kind: &str, section: &Section<'_>) -> Option<ChannelSettings> {
        match kind {
            "slack" => SlackSettings::read(section).map(ChannelSettings::Slack),
            "email" => EmailSettings::read(section).map(|it| ChannelSettings::Email(Box::new(it))),
            "webhook" => WebhookSettings::read(section).map(|it| ChannelSettings::Webhook(Box::new(it))),
            to_come if KINDS_TO_COME.contains(&to_come) => {
                section.error(
                    "type",
                    format!("receivers of type {kind:?} are not supported by this version yet"),
                    None,
                );
                None
            }
            _ => {
                let help = closest(kind, KINDS.into_iter().chain(KINDS_TO_COME)).map_or_else(
                    || format!("the types are {}", KINDS.join(", ")),
                    |near| format!("did you mean {near:?}?"),
                );
                section.error("type", format!("unknown type of receiver {kind:?}"), Some(help));
                None
            }
        }
    }

    /// The word for `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            ChannelSettings::Slack(_) => "slack",
            ChannelSettings::Email(_) => "email",
            ChannelSettings::Webhook(_) => "webhook",
        }
    }

    /// Whether a receiver of this kind is told of resolutions unless it says otherwise: a mailbox is not.
    pub fn sends_resolved_by_default(&self) -> bool {
        !matches!(self, ChannelSettings::Email(_))
    }

    /// The templates that come with the kind.
    pub fn built_in_templates(&self) -> &'static [BuiltIn] {
        match self {
            ChannelSettings::Slack(_) => &slack::TEMPLATES,
            ChannelSettings::Email(_) => &email::TEMPLATES,
            ChannelSettings::Webhook(_) => &webhook::TEMPLATES,
        }
    }

    /// Every secret of the settings with the key it stands under (`headers.Authorization` for one inside a mapping).
    pub fn secrets(&self) -> Vec<(String, &SecretRef)> {
        match self {
            ChannelSettings::Slack(settings) => settings.secrets(),
            ChannelSettings::Email(settings) => settings.secrets(),
            ChannelSettings::Webhook(settings) => settings.secrets(),
        }
    }

    /// What is wrong with the secrets' present values, by key: one that is missing, a URL that is none, a signing
    /// secret that is no base64. Never holds a value.
    pub fn check_secrets(&self) -> Vec<(String, String)> {
        let check = |(key, secret): (String, &SecretRef)| {
            let wrong = match secret.resolve() {
                Err(error) => Some(error.to_string()),
                Ok(value) => match key.as_str() {
                    "url" | "webhook_url" => answer::parse_url(&value).err(),
                    "secret" => webhook::signing_key(&value).err(),
                    name if name.starts_with("headers.") => webhook::header_value(&value).err(),
                    _ => None,
                },
            };
            wrong.map(|wrong| (key, wrong))
        };
        self.secrets().into_iter().filter_map(check).collect()
    }
}

/// The notifier of any kind of receiver.
#[derive(Debug)]
pub enum AnyNotifier {
    /// Slack.
    Slack(SlackNotifier),
    /// Mail.
    Email(Box<EmailNotifier>),
    /// An HTTP endpoint.
    Webhook(WebhookNotifier),
}

impl AnyNotifier {
    /// A notifier for these settings. Connects to nobody.
    ///
    /// # Errors
    /// When a certificate file cannot be read or understood.
    pub fn open(settings: &ReceiverSettings) -> Result<AnyNotifier, String> {
        match &settings.channel {
            ChannelSettings::Slack(slack) => SlackNotifier::open(slack).map(AnyNotifier::Slack),
            ChannelSettings::Email(email) => EmailNotifier::open(email).map(|it| AnyNotifier::Email(Box::new(it))),
            ChannelSettings::Webhook(webhook) => WebhookNotifier::open(webhook).map(AnyNotifier::Webhook),
        }
    }

    /// The same notifier with another deadline for one attempt.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> AnyNotifier {
        match self {
            AnyNotifier::Slack(it) => AnyNotifier::Slack(it.with_deadline(deadline)),
            AnyNotifier::Email(it) => AnyNotifier::Email(Box::new(it.with_deadline(deadline))),
            AnyNotifier::Webhook(it) => AnyNotifier::Webhook(it.with_deadline(deadline)),
        }
    }
}

impl Notifier for AnyNotifier {
    async fn send(&self, delivery: &Delivery, now: Timestamp) -> Attempt {
        match self {
            AnyNotifier::Slack(it) => it.send(delivery, now).await,
            AnyNotifier::Email(it) => it.send(delivery, now).await,
            AnyNotifier::Webhook(it) => it.send(delivery, now).await,
        }
    }

    fn concurrency(&self) -> usize {
        match self {
            AnyNotifier::Slack(it) => it.concurrency(),
            AnyNotifier::Email(it) => it.concurrency(),
            AnyNotifier::Webhook(it) => it.concurrency(),
        }
    }
}
