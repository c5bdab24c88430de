//! A receiver as the rest of the program sees it: its settings, whatever kind it is, and the notifier they open.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use super::answer;
use super::channel::{Attempting, Channel, Kind, Sender};
use super::guides::Guides;
use super::rate::Rate;
use crate::coding::hex;
use crate::limits::NOTIFY_HTTP_TIMEOUT;
use crate::model::{Attempt, Delivery, MessageKind, ReceiverId};
use crate::secret::SecretRef;
use crate::words::Language;
use crate::yaml::Section;

/// A way to reach people.
pub trait Notifier: Send + Sync {
    /// Makes one attempt. Has its own deadline; never panics on an answer.
    fn send(&self, delivery: &Delivery, now: Timestamp) -> impl Future<Output = Attempt> + Send;

    /// How many attempts may be under way at once.
    fn concurrency(&self) -> usize;

    /// How long one attempt may take.
    fn patience(&self) -> Duration {
        NOTIFY_HTTP_TIMEOUT
    }
}

/// A receiver as the configuration describes it.
#[derive(Debug, Clone)]
pub struct ReceiverSettings {
    /// Its key in the configuration.
    pub id: ReceiverId,
    /// Whether it is told of resolutions.
    pub send_resolved: bool,
    /// Whether it is told who acknowledges an alert; without a word, where that disturbs nobody.
    pub tell_ack: Option<bool>,
    /// The zone of the times in its messages.
    pub timezone: TimeZone,
    /// The language of its messages.
    pub language: Language,
    /// Directories (or, for kinds with one part, files) of templates that replace the built-in ones; of two that replace
    /// the same one the later counts.
    pub templates: Vec<PathBuf>,
    /// How people reach Nightbell's page, without a slash at the end; none where there is none.
    pub page: Option<String>,
    /// What the configuration says to whoever receives an alert.
    pub guides: Guides,
    /// How often it may be told something.
    pub rate: Rate,
    /// Who is notified in its place when it cannot be.
    pub fallback: Option<Fallback>,
    /// The channel behind it.
    pub channel: ChannelSettings,
}

impl ReceiverSettings {
    /// Which messages about acknowledgements it gets. An incident has its own way to be taken on, and none to be given back.
    pub fn hears_of_acks(&self) -> &'static [MessageKind] {
        const BOTH: &[MessageKind] = &[MessageKind::AlertAcknowledged, MessageKind::AlertUnacknowledged];
        let quietly = self.channel.channel().hears_of_acks();
        match self.tell_ack {
            Some(false) => &[],
            Some(true) if quietly.is_empty() => BOTH,
            Some(true) | None => quietly,
        }
    }
}

/// Who is told in a receiver's place, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// The other receiver.
    pub to: ReceiverId,
    /// How long a message may be pending before it goes there; one that is given up goes there at once.
    pub after: Duration,
}

/// The settings of one channel, and its kind.
#[derive(Debug, Clone)]
pub struct ChannelSettings {
    kind: &'static Kind,
    channel: Arc<dyn Channel>,
}

impl Kind {
    /// Reads the keys that belong to the kind of receiver; those that every receiver has are the caller's, and so is
    /// closing the section. What is wrong is reported there; `None` means reported.
    pub fn read(&'static self, section: &Section<'_>) -> Option<ChannelSettings> {
        (self.read)(section).map(|channel| ChannelSettings { kind: self, channel: Arc::from(channel) })
    }
}

impl ChannelSettings {
    /// What kind of channel it is.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// Its settings, for those who render what it is sent.
    pub(super) fn channel(&self) -> &dyn Channel {
        &*self.channel
    }

    /// Every secret of the settings with the key it stands under (`headers.Authorization` for one inside a mapping).
    pub fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.channel.secrets()
    }

    /// What tells destinations apart: receivers of one destination share its limits. Where a secret is the address, its
    /// place names it and not its value; one in plain text is named by a digest.
    pub fn destination(&self) -> String {
        let named = |(key, secret): (String, &SecretRef)| match secret {
            SecretRef::Env(name) => format!("{key}=env:{name}"),
            SecretRef::File(path) => format!("{key}=file:{}", path.display()),
            SecretRef::Inline(value) => format!("{key}=sha256:{}", hex_digest(value.expose())),
        };
        let secrets: Vec<String> = self.channel.secrets().into_iter().map(named).collect();
        format!("{} {} {}", self.kind.word, self.channel.address(), secrets.join(" "))
    }

    /// What is wrong with the secrets' present values, by key: one that is missing, a URL that is none, a signing
    /// secret that is no base64. Never holds a value.
    pub fn check_secrets(&self) -> Vec<(String, String)> {
        let check = |(key, secret): (String, &SecretRef)| {
            let wrong = match secret.resolve() {
                Err(error) => Some(error.to_string()),
                Ok(value) => self.channel.check_secret(&key, &value).err(),
            };
            wrong.map(|wrong| (key, wrong))
        };
        self.secrets().into_iter().filter_map(check).collect()
    }

    /// Where the value of the secret of this key is kept; nothing of one that stands in the configuration itself.
    pub fn place_of_secret(&self, key: &str) -> Option<String> {
        let (_, secret) = self.secrets().into_iter().find(|(known, _)| known == key)?;
        match secret {
            SecretRef::Env(name) => Some(format!("the value of the environment variable {name}")),
            SecretRef::File(path) => Some(format!("what the file {} holds", path.display())),
            SecretRef::Inline(_) => None,
        }
    }
}

fn hex_digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// The notifier of any kind of receiver.
#[derive(Debug)]
pub struct AnyNotifier {
    sender: Box<dyn Sender>,
    deadline: Duration,
}

impl AnyNotifier {
    /// A notifier for these settings. Connects to nobody.
    ///
    /// # Errors
    /// When a certificate file cannot be read or understood.
    pub fn open(settings: &ReceiverSettings) -> Result<AnyNotifier, String> {
        let sender = settings.channel.channel.sender()?;
        Ok(AnyNotifier { deadline: sender.patience(), sender })
    }

    /// The same for settings that cannot be opened now: each attempt opens them again, and fails as long as that does. A
    /// damaged file makes its own receiver unreachable, and no other.
    pub fn open_later(settings: &ReceiverSettings) -> AnyNotifier {
        let sender = Unopened(Arc::clone(&settings.channel.channel));
        AnyNotifier { deadline: NOTIFY_HTTP_TIMEOUT, sender: Box::new(sender) }
    }

    /// The same notifier with another deadline for one attempt.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> AnyNotifier {
        AnyNotifier { deadline, ..self }
    }

    /// What was learnt of the other side that the next run must know, by name: that a password was refused. It holds no
    /// secret.
    pub fn learnt(&self) -> BTreeMap<String, String> {
        self.sender.learnt()
    }

    /// Takes over what [`AnyNotifier::learnt`] said in an earlier run.
    pub fn learn(&self, learnt: &BTreeMap<String, String>) {
        self.sender.learn(learnt);
    }

    /// Takes leave of the other side, where that is the custom, when nothing more will be sent.
    pub async fn close(&self) {
        self.sender.close().await;
    }
}

/// A receiver that could not be opened.
#[derive(Debug)]
struct Unopened(Arc<dyn Channel>);

impl Sender for Unopened {
    fn send<'a>(&'a self, delivery: &'a Delivery, now: Timestamp, within: Duration) -> Attempting<'a> {
        Box::pin(async move {
            match self.0.sender() {
                Ok(sender) => sender.send(delivery, now, within).await,
                Err(reason) => answer::no_secret(reason),
            }
        })
    }
}

impl Notifier for AnyNotifier {
    async fn send(&self, delivery: &Delivery, now: Timestamp) -> Attempt {
        self.sender.send(delivery, now, self.deadline).await
    }

    fn concurrency(&self) -> usize {
        self.sender.concurrency()
    }

    fn patience(&self) -> Duration {
        self.deadline
    }
}
