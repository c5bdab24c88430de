//! `nightbell digest`: tomorrow's digest today.
//!
//! It reads the store beside a running Nightbell and moves nothing, so that the scheduled digest says all of it again.
//! `--send` sends it to the digest's receivers at once, through the real path, and keeps nothing.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;

use super::ground::{Exit, Failure, duration, now_of};
use super::output::{complain, fail, print};
use crate::app;
use crate::config::{Config, DigestSettings};
use crate::model::{AttemptOutcome, Content, Message};
use crate::notify::{ReceiverSettings, mail_of_digest};
use crate::store::{Digests as _, Mode, Since, SqlStore};
use crate::worker::digest::{Asked, Grounds, facts, message};
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

pub(super) async fn digest(config: &Config, show: &Show) -> Result<Exit, Failure> {
    let Some(settings) = config.digests.iter().find(|settings| settings.name == show.name) else {
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
    let message = made(config, &store, settings, show.period, now).await?;
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
                std::fs::write(path, page(&content)).with_context(|| format!("cannot write {}", path.display()))?;
                complain(format_args!("wrote {}", path.display()));
            }
        }
    }
    Ok(Exit::Done)
}

/// The digest as it would be made now.
async fn made(
    config: &Config,
    store: &SqlStore,
    settings: &DigestSettings,
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
    let (facts, _) = facts(store, settings, &Grounds::of(config), &asked, now).await?;
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
    let message = made(config, &store, settings, Some(period), now).await?;
    store.close().await;
    mail(config, settings, &message)
}

/// The digest as mail, in the words and the zone of the first mailbox among its receivers, or of the first receiver.
fn mail(config: &Config, settings: &DigestSettings, message: &Message) -> Result<Content, Failure> {
    let receivers = || settings.notify.iter().filter_map(|id| config.receivers.iter().find(|it| it.id == *id));
    let receiver: Option<&ReceiverSettings> =
        receivers().find(|it| it.channel.kind().is_mail).or_else(|| receivers().next());
    let Some(receiver) = receiver else { return Err(anyhow::anyhow!("the digest has no receiver").into()) };
    let rendered = mail_of_digest(receiver, message).map_err(|problem| anyhow::anyhow!(problem))?;
    Ok(rendered)
}

/// The mail's HTML with its pictures inside.
pub(super) fn page(content: &Content) -> String {
    let mut html = content.part("html").to_string();
    for (name, file) in content.parts.iter().filter(|(name, _)| name.starts_with("image/")) {
        let id = name.trim_start_matches("image/").trim_end_matches(".png");
        html = html.replace(&format!("cid:{id}@nightbell"), &format!("data:image/png;base64,{file}"));
    }
    html
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
