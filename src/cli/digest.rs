//! `nightbell digest`: tomorrow's digest today.
//!
//! It reads the store beside a running Nightbell and moves nothing, so that the scheduled digest says all of it again.
//! `--send` sends it to the digest's receivers at once, through the real path, and keeps nothing.
//!
//! To look needs the store alone, as everything that people on call look at: of a broken configuration the digest is shown as far
//! as its settings can be read, and else about all jobs. To send needs a configuration without a mistake.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;

use super::ground::{Exit, Failure, duration, now_of};
use super::output::{complain, fail, print};
use super::place::Desk;
use crate::app;
use crate::config::{Config, DigestSettings};
use crate::desk::page_of;
use crate::digest::message;
use crate::model::{AttemptOutcome, Content, LabelMatch, Message};
use crate::notify::{ReceiverSettings, mail_of_digest, plain_mail_of_digest};
use crate::rule::Matches;
use crate::schedule::Schedule;
use crate::store::{Archive as _, Digests as _, Mode, Since, SqlStore};
use crate::worker::digest::{Asked, Grounds, facts};
use crate::yaml::closest;

/// How a digest is shown.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The digest's key in the configuration.
    pub(super) name: String,
    /// How far back it reaches; without it, as the scheduled one will: since the last one, or its own period.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    period: Option<Duration>,
    /// Writes the mail's HTML to a file, pictures inside, instead of its text to stdout.
    #[arg(long, value_name = "FILE.html", conflicts_with_all = ["send", "json"])]
    out: Option<PathBuf>,
    /// Sends it to the digest's receivers now, in addition to the scheduled one.
    #[arg(long, conflicts_with = "json")]
    send: bool,
    /// As one JSON object: the body of a webhook.
    #[arg(long)]
    json: bool,
}

impl Show {
    /// Whether it sends, for which the receivers' secrets must be there.
    pub(super) fn sends(&self) -> bool {
        self.send
    }
}

pub(super) async fn digest(desk: &Desk, show: &Show) -> Result<Exit, Failure> {
    let config = &desk.config;
    let known = config.digests.iter().find(|settings| settings.name == show.name);
    let unread = if known.is_none() && !desk.is_whole { about_everything(config, &show.name) } else { None };
    let Some(settings) = known.or(unread.as_ref()) else {
        let known: Vec<&str> = config.digests.iter().map(|settings| settings.name.as_str()).collect();
        let known = match closest(&show.name, known.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None if known.is_empty() => "the file has none".to_string(),
            None => format!("there are {}", known.join(", ")),
        };
        fail(format_args!("there is no digest {:?}; {known}", show.name));
        return Ok(Exit::Usage);
    };
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let now = now_of(&store).await?;
    let mut grounds = Grounds::of(config);
    if !desk.is_whole {
        grounds.know(store.sources().await?.into_iter().map(|source| source.id));
    }
    let message = made(&store, settings, &grounds, show.period, now).await?;
    store.close().await;
    if show.json {
        print(serde_json::to_string(&message)?)?;
    } else if show.send {
        return send(config, settings, &message, now).await;
    } else {
        let content = mail(config, settings, &message)?;
        match &show.out {
            None => print(content.part("text").trim_end())?,
            Some(path) => {
                std::fs::write(path, page_of(&content)).with_context(|| format!("cannot write {}", path.display()))?;
                complain(format_args!("wrote {}", path.display()));
            }
        }
    }
    Ok(Exit::Done)
}

/// A digest whose settings cannot be read: about all jobs, since the last one of its name. It says so on stderr.
fn about_everything(config: &Config, name: &str) -> Option<DigestSettings> {
    complain(format_args!(
        "there is no digest {name:?}, or its settings cannot be read: this is about all jobs of all sources"
    ));
    let schedule = Schedule::parse("0 0 * * *", &config.timezone).ok()?;
    Some(DigestSettings {
        name: name.to_string(),
        schedule,
        timezone: config.timezone.clone(),
        matches: Matches::default(),
        labels: LabelMatch::default(),
        period: None,
        notify: Vec::new(),
        spread: Duration::ZERO,
    })
}

/// The digest as it would be made now.
async fn made(
    store: &SqlStore,
    settings: &DigestSettings,
    grounds: &Grounds,
    period: Option<Duration>,
    now: Timestamp,
) -> Result<Message, Failure> {
    let back = |span: Duration| (Since::Ago(span), now.checked_sub(span).unwrap_or(Timestamp::MIN));
    let (since, from) = match period.or(settings.period) {
        Some(span) => back(span),
        None => match store.digest_cursor(&settings.name).await? {
            Some(cursor) => (Since::Sequence(cursor.sequence), cursor.made_at),
            // It has never been made: a day is what most are about.
            None => back(Duration::from_secs(24 * 3600)),
        },
    };
    let asked = Asked { since, from, due: None };
    let (facts, _) = facts(store, settings, grounds, &asked, now).await?;
    Ok(message(facts, now))
}

/// The digest of the last `period` as mail, as it would be made at `now`.
pub(super) async fn preview(
    config: &Config,
    settings: &DigestSettings,
    period: Duration,
    now: Timestamp,
) -> Result<Content, Failure> {
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let message = made(&store, settings, &Grounds::of(config), Some(period), now).await?;
    store.close().await;
    mail(config, settings, &message)
}

/// The digest as mail, in the words and the zone of the first mailbox among its receivers, or of the first receiver; where none of
/// them can be read, in English and in the digest's own zone.
fn mail(config: &Config, settings: &DigestSettings, message: &Message) -> Result<Content, Failure> {
    let receivers = || settings.notify.iter().filter_map(|id| config.receivers.iter().find(|it| it.id == *id));
    let receiver: Option<&ReceiverSettings> =
        receivers().find(|it| it.channel.kind().is_mail).or_else(|| receivers().next());
    let rendered = match receiver {
        Some(receiver) => mail_of_digest(receiver, message),
        None => plain_mail_of_digest(&settings.timezone, message),
    };
    Ok(rendered.map_err(|problem| anyhow::anyhow!(problem))?)
}

async fn send(config: &Config, settings: &DigestSettings, message: &Message, now: Timestamp) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    for id in &settings.notify {
        let Some(receiver) = config.receivers.iter().find(|it| it.id == *id) else { continue };
        let attempt = app::send_once(receiver, message, &settings.name, now).await?;
        let status = attempt.status.as_deref().unwrap_or("no answer");
        if attempt.outcome == AttemptOutcome::Delivered {
            print(format_args!("delivered to {id} ({status})"))?;
        } else {
            let error = attempt.error.unwrap_or_default();
            fail(format_args!("not delivered to {id} ({status}, {}): {error}", attempt.outcome.as_str()));
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}
