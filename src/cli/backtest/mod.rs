//! `nightbell backtest`: what the rules would have told over a time that is past, or what two versions of them tell
//! differently. Sends nothing, and reads the store beside a running Nightbell.

mod notes;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::ground::{Exit, Failure, instant};
use super::output::{complain, complain_of_own_schedules};
use crate::app::recorded;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, LoadOptions};
use crate::store::{Desk as _, Mode, PollLedger as _, SqlStore};
use crate::worker::replay::{Played, Script, Telling, Theatre, fetched};

use self::notes::{Rules, of_warnings};
use self::report::{Report, Version};

/// Which time is played, by which rules.
#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    /// From when on: 6h, 7d (ago), 2026-11-21, 2026-11-21T03:00 (in the configured zone), or with a zone.
    #[arg(long, value_name = "TIME", default_value = "7d")]
    since: String,
    /// Until when; now when it is left out.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Another version of the configuration: what only the old one sends, and what only this one.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Read the runs again from the sources, instead of what was recorded of them: for a time before Nightbell ran.
    #[arg(long)]
    fetch: bool,
    /// One JSON object a line: the messages, or the differences, and the counts at the end.
    #[arg(long)]
    json: bool,
}

impl Chosen {
    /// Whether the sources are asked, for which the secrets must be there.
    pub(super) fn fetches(&self) -> bool {
        self.fetch
    }
}

pub(super) async fn backtest(config: &Config, chosen: &Chosen) -> Result<Exit, Failure> {
    let now = SystemClock.now();
    let read = |text: &str| instant(text, &config.timezone, now).map_err(Failure::Usage);
    let since = read(&chosen.since)?;
    let until = chosen.until.as_deref().map(read).transpose()?.unwrap_or(now).min(now);
    if until <= since {
        return Err(Failure::Usage("the time that is to be played ends before it begins".to_string()));
    }
    let other = chosen.rules.as_deref().map(other_version).transpose()?;
    let (script, sources) = if chosen.fetch {
        (from_sources(config, since, until).await?, Vec::new())
    } else {
        let store = SqlStore::open(&config.store, Mode::Read).await?;
        let recorded = recorded(&store, &config.sources, since, until).await?;
        (recorded.script, recorded.sources)
    };
    complain_of_own_schedules(&other.as_ref().unwrap_or(config).rules);
    let played = play(config, &script)?;
    let mut warnings = played.warnings.clone();
    let old = Version::of(config, played, since);
    let new = match &other {
        Some(other) => {
            let (script, lost) = only_known(script, other);
            for source in lost {
                complain(format_args!("the other version has no source {source}: nothing of it is played there"));
            }
            let played = play(other, &script)?;
            warnings.extend(played.warnings.iter().filter(|one| !warnings.contains(one)).cloned().collect::<Vec<_>>());
            Some(Version::of(other, played, since))
        }
        None => None,
    };
    let rules = Rules { config, other: other.as_ref() };
    let told: Vec<&Telling> = [Some(&old), new.as_ref()].into_iter().flatten().flat_map(Version::tellings).collect();
    let mut notes = if chosen.fetch { rules.of_read_again(&told) } else { rules.of_recorded(&told, &sources, since) };
    notes.extend(of_warnings(&warnings));
    let report = Report { since, until, timezone: config.timezone.clone(), sources, notes, old, new };
    if chosen.json {
        report.print_json()?
    } else {
        report.print()?
    }
    Ok(Exit::Done)
}

fn other_version(path: &Path) -> Result<Config, Failure> {
    let loaded = Config::load(path, &LoadOptions { offline: true });
    let loaded = loaded.map_err(|problem| Failure::Config(Box::new(problem)))?;
    for warning in loaded.rendered_warnings() {
        complain(warning);
    }
    Ok(loaded.config)
}

fn play(config: &Config, script: &Script) -> Result<Played, Failure> {
    let bar = indicatif::ProgressBar::no_length();
    let style = indicatif::ProgressStyle::with_template("  {wide_bar} {pos}/{len} polls");
    bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
    let watcher = bar.clone();
    let theatre = Theatre::open(config)?.watched_by(move |made, polls| {
        watcher.set_length(polls as u64);
        watcher.set_position(made as u64);
    });
    let played = theatre.play(config, script.clone());
    bar.finish_and_clear();
    Ok(played?)
}

/// The part of a script that a configuration can play, and the sources that it lacks.
fn only_known(script: Script, config: &Config) -> (Script, Vec<String>) {
    let (reels, lost): (Vec<_>, Vec<_>) =
        script.reels.into_iter().partition(|reel| config.sources.iter().any(|it| it.id == reel.source));
    (Script { reels, ..script }, lost.into_iter().map(|reel| reel.source.to_string()).collect())
}

/// Reads the runs of that time from the sources, and the silences from the store, where there is one.
async fn from_sources(config: &Config, since: Timestamp, until: Timestamp) -> Result<Script, Failure> {
    let store = SqlStore::open(&config.store, Mode::Read).await.ok();
    let mut script = Script { until: Some(until), ..Script::default() };
    for settings in &config.sources {
        let source = settings.open(Arc::new(SystemClock));
        let source = source.map_err(|error| anyhow::anyhow!("source {}: {error}", settings.id))?;
        if let Some(store) = &store {
            source.learn(&store.load_learnt(&settings.id).await?);
        }
        complain(format_args!("reading {} …", settings.id));
        let reel = fetched(&source, settings, since, until).await;
        script.reels.push(reel.map_err(|error| anyhow::anyhow!("source {} cannot be read: {error}", settings.id))?);
    }
    if let Some(store) = store {
        script.silences = store.silences().await?.into_iter().map(|(silence, _)| silence).collect();
        script.acks = store.acks().await?.into_iter().collect();
    }
    Ok(script)
}
