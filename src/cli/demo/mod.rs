//! `nightbell demo`: the whole thing on a simulated workspace. No account, no configuration, no network.
//!
//! Everything that runs is the real thing: a configuration file is written and loaded, the simulated scheduler is polled
//! over HTTP with signed requests, and the messages go through outbox and notifiers to endpoints on loopback, which
//! show what arrives. Only the workspace and the places that are told are made up.

mod show;
mod story;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::digest;
use super::ground::{Exit, Failure, duration};
use super::output::{complain, print};
use crate::app::App;
use crate::clock::{Clock, ShiftedClock, SystemClock};
use crate::config::{Config, LoadOptions};
use crate::desk::page_of;
use crate::model::DeliveryState;
use crate::sim::{Inbox, SimConfig, SimWorkspace};
use crate::store::{Archive as _, Deliveries as _, Mode, SqlStore};
use crate::template::display_text;
use crate::words::count_of;
use crate::yaml::duration_text;

/// The rules that the demo runs under, as a user would write them.
const RULES: &str = include_str!("rules.yaml");

/// When the demo begins by its own clock, in the zone of its rules: deadlines at half past six are twelve seconds away.
const BEGINS: &str = "06:29:48";
/// The digest's page in a directory that is kept.
const PAGE: &str = "digest.html";
/// What its digest is about.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How the demo runs.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How long it runs.
    #[arg(long = "for", value_name = "DURATION", default_value = "40s", value_parser = duration)]
    duration: Duration,
    /// Show the bodies that the webhook gets, too.
    #[arg(long)]
    json: bool,
    /// Leave the configuration, the store and the digest's page in this directory, to try alerts, explain, ack and silence on.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Runs it.
pub(super) async fn demo(arguments: &Arguments) -> Result<Exit, Failure> {
    let duration = arguments.duration;
    // Listened for before there is anything to clear away.
    let [mut interrupt, mut terminate] = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    let directory = Place::new(arguments.keep.as_deref())?;
    // However long the preparations take, they are made before the story: nothing that they store lies in its future.
    let shown = ShiftedClock::standing_at(beginning()?);
    let clock: Arc<dyn Clock> = Arc::new(shown.clone());
    let workspace = SimWorkspace::start(SimConfig::default(), Arc::clone(&clock)).await?;
    let inbox = Inbox::open().await?;
    let config = configure(&directory.path, &workspace, &inbox)?;
    let mut app = App::open(&config, Arc::clone(&clock)).await?;
    print(format_args!(
        "The end of a night at a simulated DataArts workspace, in {}, under these rules:\n",
        duration_text(duration)
    ))?;
    let rules = RULES.lines().skip_while(|line| !line.starts_with("rules:")).map(|line| format!("    {line}"));
    print(rules.collect::<Vec<_>>().join("\n"))?;
    print("\nIt is almost half past six. What happens there, and what Nightbell notifies people of:\n")?;

    if let Some(address) = app.listen().await? {
        print(format_args!("The page of the night: http://{address}\n"))?;
    }
    let shutdown = CancellationToken::new();
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    shown.go();
    let (began, clock_shown) =
        (Instant::now(), show::Shown { clock: Arc::clone(&clock), zone: config.timezone.clone() });
    let running = tokio::spawn(app.run(shutdown.clone()));
    let progress = progress(duration);
    let mut telling = tokio::spawn(story::tell(workspace.clone(), inbox.board.clone(), clock_shown.clone(), began));
    tokio::select! {
        shown = show::show(inbox, &store, &clock_shown, arguments.json, &progress) => shown?,
        () = tokio::time::sleep(duration) => {}
        () = heard(&mut interrupt) => {}
        () = heard(&mut terminate) => {}
    }
    telling.abort();
    drop((&mut telling).await);
    progress.finish_and_clear();
    shutdown.cancel();
    running.await??;
    sum_up(&store).await?;
    show_digest(&config, clock.now(), &directory.page_of_digest()).await?;
    match &arguments.keep {
        Some(kept) => print(what_to_try(kept))?,
        None => complain(
            "\nNext: `nightbell demo --keep DIR` leaves a store to try things on; `nightbell init` writes a configuration for \
             your own account.",
        ),
    }
    Ok(Exit::Done)
}

/// Waits for a signal; where it cannot be listened for, the system ends the program by itself.
async fn heard(signal: &mut std::io::Result<tokio::signal::unix::Signal>) {
    match signal {
        Ok(signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Commands for a store that was kept.
fn what_to_try(kept: &Path) -> String {
    let file = kept.join("rules.yaml");
    let commands = [
        "alerts",
        "explain etl_orders",
        "ack --job etl_customers --reason \"I am on it\"",
        "silence add --job 'sync_*' --for 2h --reason deploy",
        "deliveries",
        "status",
    ];
    let lines = commands.map(|command| format!("  nightbell {command} -c {}", file.display()));
    format!("\nThe store is in {}. Try:\n{}", kept.display(), lines.join("\n"))
}

/// This morning's [`BEGINS`].
fn beginning() -> anyhow::Result<Timestamp> {
    let zone = TimeZone::get("Asia/Shanghai").context("the demo's time zone")?;
    let today = SystemClock.now().to_zoned(zone).date();
    let time = BEGINS.parse().context("the demo's time of day")?;
    Ok(today.to_datetime(time).in_tz("Asia/Shanghai").context("the demo's beginning")?.timestamp())
}

/// The digest that people would find in their mail later on, as text; its page of HTML stays at `page`, to be looked at.
async fn show_digest(config: &Config, now: Timestamp, page: &Path) -> Result<(), Failure> {
    let Some(settings) = config.digests.first() else { return Ok(()) };
    let content = digest::preview(config, settings, DAY, now).await?;
    print("\nAnd the digest that is due at eight would say by now:\n")?;
    let subject = format!("Subject: {}", content.part("subject"));
    let lines: Vec<String> = [subject, String::new()]
        .into_iter()
        .chain(content.part("text").trim_end().lines().map(str::to_string))
        .map(|line| format!("        | {}", display_text(&line)))
        .collect();
    print(lines.join("\n"))?;
    // A file of that name is somebody else's and stays as it is.
    let written = std::fs::File::create_new(page).and_then(|mut file| file.write_all(page_of(&content).as_bytes()));
    match written {
        Ok(()) => print(format_args!("\nThe same as a page, with its pictures: {}", page.display()))?,
        Err(error) => complain(format_args!("\nThe same as a page cannot be written to {}: {error}", page.display())),
    }
    Ok(())
}

/// Writes the configuration with everything it names, and loads it as `run` would.
fn configure(directory: &Path, workspace: &SimWorkspace, inbox: &Inbox) -> Result<Config, Failure> {
    let sim = workspace.config();
    let file = |name: &str, text: &str| {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(directory.join(name))?.write_all(text.as_bytes())
    };
    file("access-key", &sim.access_key)?;
    file("secret-key", &sim.secret_key)?;
    file("slack-url", &format!("http://{}/slack", inbox.http))?;
    // "whsec_" and the base64 of 32 bytes.
    file("webhook-secret", "whsec_bmlnaHRiZWxsLWRlbW8tc2VjcmV0LW9mLTMyLWJ5dGU=")?;
    let rules = RULES
        .replace("ENDPOINT", workspace.endpoint())
        .replace("PROJECT", &sim.project_id)
        .replace("WORKSPACE", &sim.workspace)
        .replace("HTTP", &inbox.http.to_string())
        .replace("SMTP", &inbox.smtp.to_string())
        .replace("STORE", &directory.join("nightbell.db").display().to_string());
    let path = directory.join("rules.yaml");
    std::fs::write(&path, rules)?;
    let loaded =
        Config::load(&path, &LoadOptions { offline: false }).map_err(|problem| Failure::Config(Box::new(problem)))?;
    Ok(loaded.config)
}

/// A bar on a terminal; nothing on a pipe.
fn progress(duration: Duration) -> indicatif::ProgressBar {
    let seconds = duration.as_secs().max(1);
    let style = indicatif::ProgressStyle::with_template("  {wide_bar} {pos}/{len} s");
    let bar = indicatif::ProgressBar::new(seconds)
        .with_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
    let ticking = bar.clone();
    tokio::spawn(async move {
        for second in 1..=seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            ticking.set_position(second);
        }
    });
    bar
}

async fn sum_up(store: &SqlStore) -> Result<(), Failure> {
    /// More than any demo makes.
    const ALL: usize = 10_000;
    let alerts = store.alerts(ALL).await?;
    let deliveries = store.deliveries(ALL).await?;
    let open = alerts.iter().filter(|alert| alert.facts.alert.ends_at.is_none()).count();
    let delivered = deliveries.iter().filter(|delivery| delivery.delivered_at.is_some()).count();
    let merged = deliveries.iter().filter(|delivery| delivery.merged_into.is_some()).count();
    let dead = deliveries.iter().filter(|delivery| delivery.state == DeliveryState::Dead).count();
    print(format_args!(
        "{}, {open} of them still open; {delivered} of {} delivered, each once, {merged} others merged into them; \
         {}, kept to be sent again.",
        count_of(alerts.len() as u64, "alert"),
        count_of((deliveries.len() - merged) as u64, "message"),
        count_of(dead as u64, "dead letter")
    ))?;
    Ok(())
}

/// The directory of configuration and store: one that goes away with the demo, or one that stays.
struct Place {
    path: PathBuf,
    is_kept: bool,
}

impl Place {
    /// Makes the directory. One to keep holds no configuration yet: somebody's would be replaced.
    fn new(kept: Option<&Path>) -> Result<Place, Failure> {
        let Some(path) = kept else {
            let path = std::env::temp_dir().join(format!("nightbell-demo-{}", std::process::id()));
            std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
            return Ok(Place { path, is_kept: false });
        };
        std::fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))?;
        for name in ["rules.yaml", "nightbell.db", PAGE] {
            if path.join(name).exists() {
                let problem = format!("{} is there already; name an empty directory", path.join(name).display());
                return Err(Failure::Usage(problem));
            }
        }
        // The configuration names the store, and is used from elsewhere.
        let path = path.canonicalize().with_context(|| format!("{} cannot be used", path.display()))?;
        Ok(Place { path, is_kept: true })
    }

    /// Where the digest's page stays: beside what is kept, or where it outlives what goes away.
    fn page_of_digest(&self) -> PathBuf {
        if self.is_kept {
            return self.path.join(PAGE);
        }
        std::env::temp_dir().join(format!("nightbell-demo-{}.html", std::process::id()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_kept {
            // What cannot be removed is left to the system's own cleaning of its temporary directory.
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}
