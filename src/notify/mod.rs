//! Receivers: the places that are told, each channel behind the one trait [`Notifier`].
//!
//! A notifier makes one attempt to send one delivery and classes how it ended. It reads the delivery, its own settings
//! and the channel's answer; success is the channel's own word, not HTTP 200. It must never know of rules, sources or
//! the store, and it never takes a destination from data.
//!
//! A new kind of receiver is one file, which implements [`channel::Channel`] and [`channel::HttpChannel`] for its
//! settings, a directory of templates, and here: its word in [`KINDS`], a variant of [`ChannelSettings`], and an arm in
//! [`ChannelSettings::read`] and in `channel`.

mod answer;
mod channel;
mod chat_hook;
mod digest_templates;
mod dingtalk;
mod discord;
mod email;
mod feishu;
mod fit;
mod mention;
mod pagerduty;
mod plain;
mod rate;
mod render;
mod slack;
mod slack_group;
mod smn;
mod stand_in;
mod teams;
mod telegram;
mod webhook;
mod wecom;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

pub use channel::HttpNotifier;
pub use dingtalk::DingTalkSettings;
pub use discord::DiscordSettings;
pub use email::{EmailNotifier, EmailSettings, Security};
pub use feishu::FeishuSettings;
pub use mention::Mention;
pub use pagerduty::PagerDutySettings;
pub use rate::Rate;
pub use render::{Rendered, Renderer, mail_of_digest, read_overrides};
pub use slack::{SlackAccess, SlackSettings};
pub use smn::{SmnNotifier, SmnSettings};
pub use teams::TeamsSettings;
pub use telegram::TelegramSettings;
pub use webhook::{Success, WebhookSettings};
pub use wecom::WeComSettings;

use channel::Channel;

use crate::model::{Attempt, Delivery, ReceiverId};
use crate::secret::SecretRef;
use crate::template::BuiltIn;
use crate::words::Language;
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
    /// The language of its messages.
    pub language: Language,
    /// Directories (or, for kinds with one part, files) of templates that replace the built-in ones; of two that replace
    /// the same one the later counts.
    pub templates: Vec<PathBuf>,
    /// How often it may be told something.
    pub rate: Rate,
    /// Who is told in its place when it cannot be.
    pub fallback: Option<Fallback>,
    /// The channel behind it.
    pub channel: ChannelSettings,
}

/// Who is told in a receiver's place, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// The other receiver.
    pub to: ReceiverId,
    /// How long a message may be owed before it goes there; one that is given up goes there at once.
    pub after: Duration,
}

/// The kinds of receiver that can be used, by the word for `type`.
pub const KINDS: [&str; 11] =
    ["slack", "email", "webhook", "dingtalk", "wecom", "feishu", "pagerduty", "teams", "discord", "telegram", "smn"];

/// The settings of one kind of channel.
#[derive(Debug, Clone)]
pub enum ChannelSettings {
    /// Slack, by an incoming webhook or a bot.
    Slack(SlackSettings),
    /// Mail, by SMTP.
    Email(Box<EmailSettings>),
    /// Any HTTP endpoint.
    Webhook(Box<WebhookSettings>),
    /// A group robot of DingTalk.
    DingTalk(DingTalkSettings),
    /// A group robot of WeCom.
    WeCom(WeComSettings),
    /// A custom bot of Feishu or Lark.
    Feishu(FeishuSettings),
    /// PagerDuty, by Events API v2.
    PagerDuty(PagerDutySettings),
    /// A workflow of Microsoft Teams.
    Teams(TeamsSettings),
    /// A webhook of Discord.
    Discord(DiscordSettings),
    /// A bot of Telegram.
    Telegram(TelegramSettings),
    /// A topic of Huawei Cloud SMN.
    Smn(Box<SmnSettings>),
}

impl ChannelSettings {
    /// Reads the keys that belong to the kind of receiver; those that every receiver has are the caller's, and so is
    /// closing the section. What is wrong is reported there; `None` means reported.
    pub fn read(kind: &str, section: &Section<'_>) -> Option<ChannelSettings> {
        match kind {
            "slack" => SlackSettings::read(section).map(ChannelSettings::Slack),
            "email" => EmailSettings::read(section).map(|it| ChannelSettings::Email(Box::new(it))),
            "webhook" => WebhookSettings::read(section).map(|it| ChannelSettings::Webhook(Box::new(it))),
            "dingtalk" => DingTalkSettings::read(section).map(ChannelSettings::DingTalk),
            "wecom" => WeComSettings::read(section).map(ChannelSettings::WeCom),
            "feishu" => FeishuSettings::read(section).map(ChannelSettings::Feishu),
            "pagerduty" => PagerDutySettings::read(section).map(ChannelSettings::PagerDuty),
            "teams" => TeamsSettings::read(section).map(ChannelSettings::Teams),
            "discord" => DiscordSettings::read(section).map(ChannelSettings::Discord),
            "telegram" => TelegramSettings::read(section).map(ChannelSettings::Telegram),
            "smn" => SmnSettings::read(section).map(|it| ChannelSettings::Smn(Box::new(it))),
            _ => {
                let help = closest(kind, KINDS).map_or_else(
                    || format!("the types are {}", KINDS.join(", ")),
                    |near| format!("did you mean {near:?}?"),
                );
                section.error("type", format!("unknown type of receiver {kind:?}"), Some(help));
                None
            }
        }
    }

    /// The kind's own file; every other question is answered there.
    fn channel(&self) -> &dyn Channel {
        match self {
            ChannelSettings::Slack(settings) => settings,
            ChannelSettings::Email(settings) => settings.as_ref(),
            ChannelSettings::Webhook(settings) => settings.as_ref(),
            ChannelSettings::DingTalk(settings) => settings,
            ChannelSettings::WeCom(settings) => settings,
            ChannelSettings::Feishu(settings) => settings,
            ChannelSettings::PagerDuty(settings) => settings,
            ChannelSettings::Teams(settings) => settings,
            ChannelSettings::Discord(settings) => settings,
            ChannelSettings::Telegram(settings) => settings,
            ChannelSettings::Smn(settings) => settings.as_ref(),
        }
    }

    /// The word for `type`.
    pub fn kind(&self) -> &'static str {
        self.channel().kind()
    }

    /// Whether a receiver of this kind is told of resolutions unless it says otherwise: a mailbox is not.
    pub fn sends_resolved_by_default(&self) -> bool {
        self.channel().sends_resolved_by_default()
    }

    /// The templates that come with the kind.
    pub fn built_in_templates(&self) -> &'static [BuiltIn] {
        self.channel().templates()
    }

    /// Every secret of the settings with the key it stands under (`headers.Authorization` for one inside a mapping).
    pub fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.channel().secrets()
    }

    /// What tells destinations apart: receivers of one destination share its limits. Where a secret is the address, its
    /// place names it and not its value; one in plain text is named by a digest.
    pub fn destination(&self) -> String {
        let channel = self.channel();
        let named = |(key, secret): (String, &SecretRef)| match secret {
            SecretRef::Env(name) => format!("{key}=env:{name}"),
            SecretRef::File(path) => format!("{key}=file:{}", path.display()),
            SecretRef::Inline(value) => format!("{key}=sha256:{}", hex_digest(value.expose())),
        };
        let secrets: Vec<String> = channel.secrets().into_iter().map(named).collect();
        format!("{} {} {}", channel.kind(), channel.address(), secrets.join(" "))
    }

    /// Whether waiting alerts may be told together in one message.
    pub fn merges(&self) -> bool {
        self.channel().merges()
    }

    /// What is wrong with the secrets' present values, by key: one that is missing, a URL that is none, a signing
    /// secret that is no base64. Never holds a value.
    pub fn check_secrets(&self) -> Vec<(String, String)> {
        let check = |(key, secret): (String, &SecretRef)| {
            let wrong = match secret.resolve() {
                Err(error) => Some(error.to_string()),
                Ok(value) => self.channel().check_secret(&key, &value).err(),
            };
            wrong.map(|wrong| (key, wrong))
        };
        self.secrets().into_iter().filter_map(check).collect()
    }
}

fn hex_digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The notifier of any kind of receiver.
#[derive(Debug)]
pub enum AnyNotifier {
    /// Whatever speaks HTTP.
    Http(HttpNotifier),
    /// Mail.
    Email(Box<EmailNotifier>),
    /// SMN, which may have to sign in first.
    Smn(Box<SmnNotifier>),
}

impl AnyNotifier {
    /// A notifier for these settings. Connects to nobody.
    ///
    /// # Errors
    /// When a certificate file cannot be read or understood.
    pub fn open(settings: &ReceiverSettings) -> Result<AnyNotifier, String> {
        settings.channel.channel().notifier()
    }

    /// The same notifier with another deadline for one attempt.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> AnyNotifier {
        match self {
            AnyNotifier::Http(it) => AnyNotifier::Http(it.with_deadline(deadline)),
            AnyNotifier::Email(it) => AnyNotifier::Email(Box::new(it.with_deadline(deadline))),
            AnyNotifier::Smn(it) => AnyNotifier::Smn(Box::new(it.with_deadline(deadline))),
        }
    }
}

impl Notifier for AnyNotifier {
    async fn send(&self, delivery: &Delivery, now: Timestamp) -> Attempt {
        match self {
            AnyNotifier::Http(it) => it.send(delivery, now).await,
            AnyNotifier::Email(it) => it.send(delivery, now).await,
            AnyNotifier::Smn(it) => it.send(delivery, now).await,
        }
    }

    fn concurrency(&self) -> usize {
        match self {
            AnyNotifier::Http(it) => it.concurrency(),
            AnyNotifier::Email(it) => it.concurrency(),
            AnyNotifier::Smn(it) => it.concurrency(),
        }
    }
}
