//! `nightbell silence`: new alerts of some kind are not told for some time. Works beside a running `nightbell run`,
//! which knows of it from its next poll on.

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::alerts::severity;
use super::ground::{Exit, Failure, duration, now_of};
use super::names;
use super::output::{complain, fail, local, print, table};
use super::place::{Desk, StorePlace, load_desk};
use crate::config::Config;
use crate::desk::{check_length, json, one_line};
use crate::model::{Concerns, LabelMatch, Labels, RuleId, Severity, SilenceId, SourceId};
use crate::rule::{AlertMatch, Pattern};
use crate::store::{Archive as _, Desk as _, Mode, NewSilence, SqlStore};
use crate::template::display_text;
use crate::yaml::{closest, duration_text};

#[derive(Debug, Subcommand)]
pub(super) enum SilenceCommand {
    /// Creates a silence: alerts that begin while it holds are recorded and not sent. What still fires when it ends is
    /// sent then; the end of what was sent before is sent as usual.
    Add {
        #[command(flatten)]
        new: SilenceNew,
        #[command(flatten)]
        place: StorePlace,
    },
    /// The silences that hold.
    List {
        /// Those that have ended too.
        #[arg(long)]
        all: bool,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: StorePlace,
    },
    /// Ends a silence now.
    Expire {
        /// Its number.
        #[arg(value_name = "ID")]
        id: SilenceId,
        /// Who ends it; without it, the login name.
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        #[command(flatten)]
        place: StorePlace,
    },
}

/// A silence that is asked for. Options given several times are alternatives; different ones must all be met.
#[derive(Debug, Args)]
pub(super) struct SilenceNew {
    /// Pattern of job names, as in a rule: a glob, or a regular expression between slashes.
    #[arg(long, value_name = "PATTERN")]
    job: Vec<String>,
    /// A rule's key.
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// A source's key.
    #[arg(long, value_name = "SOURCE")]
    source: Vec<String>,
    /// critical, error, warning or info.
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    severity: Vec<Severity>,
    /// A label of the rule or the source, as NAME=VALUE.
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// How long it holds: 30m, 2h, 1d.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, required_unless_present = "until")]
    duration: Option<Duration>,
    /// When it ends: 06:00 (the next one), 2026-11-22T06:00, in the configuration's zone, or with an offset.
    #[arg(long, value_name = "TIME", conflicts_with = "duration")]
    until: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who makes it; without it, the login name.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Does what was asked for.
pub(super) async fn silence(command: &SilenceCommand) -> Result<Exit, Failure> {
    match command {
        SilenceCommand::Add { new, place } => add(&load_desk(place)?, new).await,
        SilenceCommand::List { all, json, place } => list(&load_desk(place)?.config, *all, *json).await,
        SilenceCommand::Expire { id, by, place } => expire(&load_desk(place)?.config, *id, by.as_deref()).await,
    }
}

/// Makes a silence.
async fn add(desk: &Desk, wanted: &SilenceNew) -> Result<Exit, Failure> {
    let config = &desk.config;
    let store = SqlStore::open(&config.store, Mode::Amend).await?;
    let now = now_of(&store).await?;
    let new = checked(config, wanted, now).map_err(Failure::Usage)?;
    names::sources(desk, &store, &wanted.source).await?;
    names::rules(desk, &store, &wanted.rule).await?;
    let unmatched = unmatched(desk, &store, &new.concerns).await?;
    let id = store.add_silence(&new, now).await?;
    store.close().await;
    let lasts = new.ends_at.duration_since(now).unsigned_abs();
    print(format_args!(
        "silence {id}: {} until {} ({}), by {}: {}",
        new.concerns,
        local(new.ends_at, &config.timezone),
        duration_text(lasts),
        new.by,
        new.reason
    ))?;
    for what in unmatched {
        complain(format_args!("warning: {what}; look at the spelling if it is not about something to come"));
    }
    complain(format_args!(
        "alerts that begin before then are recorded and not sent; those that still fire at its end are sent then. End it \
         early: nightbell silence expire {id}"
    ));
    Ok(Exit::Done)
}

/// The labels that are wanted: of one name any of its values.
pub(super) fn labels(wanted: &[String]) -> Result<LabelMatch, String> {
    let mut labels = LabelMatch::default();
    for text in wanted {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("--label: write NAME=VALUE, not {text:?}"))?;
        labels.0.entry(name.to_string()).or_default().push(value.to_string());
    }
    Ok(labels)
}

/// What was asked for, if it makes sense.
fn checked(config: &Config, wanted: &SilenceNew, now: Timestamp) -> Result<NewSilence, String> {
    let concerns = Concerns {
        sources: wanted.source.iter().map(SourceId::new).collect(),
        jobs: wanted.job.clone(),
        rules: wanted.rule.iter().map(RuleId::new).collect(),
        severities: wanted.severity.clone(),
        labels: labels(&wanted.label)?,
    };
    if concerns.is_empty() {
        return Err(
            "name what it concerns: --job, --rule, --source, --severity or --label (everything: --job '*')".into()
        );
    }
    AlertMatch::of(&concerns).map_err(|fault| format!("--job: {fault}"))?;
    let ends_at = match (wanted.duration, &wanted.until) {
        (Some(lasts), _) => now.checked_add(lasts).map_err(|error| format!("--for: {error}"))?,
        (None, Some(until)) => instant(until, &config.timezone, now)?,
        (None, None) => return Err("say when it ends: --for 2h, or --until 06:00".into()),
    };
    if ends_at <= now {
        return Err(format!("it would have ended already, at {}", local(ends_at, &config.timezone)));
    }
    check_length(ends_at, now).map_err(|wrong| wrong.why.in_english())?;
    Ok(NewSilence { concerns, reason: words("--reason", &wanted.reason)?, by: author(wanted.by.as_deref())?, ends_at })
}

/// What a silence names that nothing known bears: it holds all the same, for jobs to come may be meant.
async fn unmatched(desk: &Desk, store: &SqlStore, concerns: &Concerns) -> Result<Vec<String>, Failure> {
    let mut unmatched = Vec::new();
    if !concerns.jobs.is_empty() {
        let mut names = store.job_names(None).await?;
        names.extend(store.alerted_jobs().await?);
        let rules = desk.config.rules.rules().iter();
        names.extend(rules.flat_map(|rule| &rule.matches.jobs).filter_map(|job| job.literal()).map(str::to_string));
        for text in &concerns.jobs {
            let matcher = Pattern::parse(text).and_then(|pattern| pattern.matcher()).map_err(Failure::Usage)?;
            if !names.iter().any(|name| matcher.matches(name)) {
                let near = closest(text, names.iter().map(String::as_str));
                let near = near.map(|near| format!(" (did you mean {near:?}?)")).unwrap_or_default();
                unmatched.push(format!("no known job matches {text:?}{near}"));
            }
        }
    }
    unmatched.extend(unborne(&desk.config, &concerns.labels));
    Ok(unmatched)
}

/// The labels that no rule and no source bears, in words.
pub(super) fn unborne(config: &Config, wanted: &LabelMatch) -> Vec<String> {
    let rules = config.rules.rules().iter().map(|rule| &rule.labels);
    let labels: Vec<&Labels> = rules.chain(config.sources.iter().map(|source| &source.labels)).collect();
    let mut unborne = Vec::new();
    for (name, values) in &wanted.0 {
        let is_borne = |value: &String| labels.iter().any(|labels| labels.get(name) == Some(value));
        for value in values.iter().filter(|value| !is_borne(value)) {
            unborne.push(format!("no rule and no source has the label {name}={value}"));
        }
    }
    unborne
}

/// A text that goes into the one line of a message.
pub(super) fn words(option: &'static str, text: &str) -> Result<String, String> {
    one_line(option, text).map_err(|wrong| format!("{option} {}", wrong.why.in_english()))
}

/// Who does it: as said, or the login name, which the system knows where no variable tells it (cron, services, containers).
/// Who became the service's user by sudo is still who they are.
pub(super) fn author(by: Option<&str>) -> Result<String, String> {
    let told = || {
        ["SUDO_USER", "LOGNAME", "USER"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
    };
    // In a container the user has often no name.
    let login = || told().or_else(|| whoami::username().ok().filter(|name| !name.trim().is_empty()));
    match by.map(str::to_string).or_else(login) {
        Some(by) => words("--by", &by),
        None => Err("say who you are: --by NAME".into()),
    }
}

/// An instant as people write it: RFC 3339, a date and a time, or a time, which means the next one.
fn instant(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let of = |wall: DateTime| wall.to_zoned(zone.clone()).map(|zoned| zoned.timestamp()).map_err(|e| e.to_string());
    if text.len() > 10
        && let Ok(wall) = text.parse::<DateTime>()
    {
        return of(wall);
    }
    if (4..=8).contains(&text.len())
        && text.contains(':')
        && let Ok(time) = format!("{text:0>5}").parse::<Time>()
    {
        let today = of(now.to_zoned(zone.clone()).date().to_datetime(time))?;
        let tomorrow = today.checked_add(SignedDuration::from_hours(24)).map_err(|error| error.to_string())?;
        return if today > now { Ok(today) } else { of(tomorrow.to_zoned(zone.clone()).date().to_datetime(time)) };
    }
    Err(format!("--until: {text:?} is not a valid time; write 06:00, 2026-11-22T06:00, or 2026-11-22T06:00:00+08:00"))
}

/// Lists silences: those that hold, or all.
async fn list(config: &Config, all: bool, as_json: bool) -> Result<Exit, Failure> {
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let now = now_of(&store).await?;
    let mut silences = store.silences().await?;
    silences.retain(|(silence, _)| all || silence.is_active(now));
    if as_json {
        for (silence, held) in &silences {
            print(json::silence(silence, *held, now))?;
        }
        return Ok(Exit::Done);
    }
    if silences.is_empty() {
        complain(if all { "no silences" } else { "nothing is silenced" });
        return Ok(Exit::Done);
    }
    let rows = silences
        .iter()
        .map(|(silence, held)| {
            let state = match &silence.expired {
                Some((at, by)) => format!("expired {} by {}", local(*at, &config.timezone), display_text(by)),
                None => silence.state(now).to_string(),
            };
            vec![
                silence.id.to_string(),
                state,
                display_text(&silence.concerns.to_string()),
                local(silence.ends_at, &config.timezone),
                held.to_string(),
                display_text(&silence.by),
                display_text(&silence.reason),
            ]
        })
        .collect();
    print(table(&["ID", "STATE", "CONCERNS", "ENDS", "ALERTS", "BY", "REASON"], rows))?;
    Ok(Exit::Done)
}

/// Ends a silence early.
async fn expire(config: &Config, id: SilenceId, by: Option<&str>) -> Result<Exit, Failure> {
    let by = author(by).map_err(Failure::Usage)?;
    let store = SqlStore::open(&config.store, Mode::Amend).await?;
    let now = now_of(&store).await?;
    let silence = store.expire_silence(id, &by, now).await?;
    store.close().await;
    match silence {
        None => {
            fail(format_args!("there is no silence {id}; nightbell silence list --all shows them"));
            Ok(Exit::Failed)
        }
        Some(silence) if silence.expired.as_ref().is_some_and(|(at, _)| *at == now) => {
            print(format_args!(
                "silence {id} has ended; alerts that it held back and that still fire are sent at the next poll"
            ))?;
            Ok(Exit::Done)
        }
        Some(silence) => {
            let ended = silence.expired.map_or(silence.ends_at, |(at, _)| at);
            complain(format_args!("silence {id} had ended at {}", local(ended, &config.timezone)));
            Ok(Exit::Done)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_written_as_people_write_it() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let now: Timestamp = "2026-11-21T23:30:00+08:00".parse().unwrap();
        let cases = [
            ("06:00", "2026-11-22T06:00:00+08:00"),
            ("6:00", "2026-11-22T06:00:00+08:00"),
            ("23:45", "2026-11-21T23:45:00+08:00"),
            ("23:30", "2026-11-22T23:30:00+08:00"),
            ("2026-11-23T06:00", "2026-11-23T06:00:00+08:00"),
            ("2026-11-23 06:00", "2026-11-23T06:00:00+08:00"),
            ("2026-11-22T06:00:00Z", "2026-11-22T14:00:00+08:00"),
            ("2026-11-22T06:00:00+01:00", "2026-11-22T13:00:00+08:00"),
        ];
        for (text, expected) in cases {
            assert_eq!(instant(text, &zone, now), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in ["", "soon", "25:00", "06", "2h", "tomorrow", "2026-11-23"] {
            assert!(instant(text, &zone, now).unwrap_err().contains("write 06:00"), "{text}");
        }
    }
}
