//! `sources`: what every kind of source has in common.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::guide::{self, GUIDE};
use super::labels;
use super::words::open_named;
use crate::http::{check_ca_file, check_client_cert};
use crate::limits::LOOKBACK_MAX;
use crate::model::SourceId;
use crate::schedule::Schedule;
use crate::source::{KINDS, SchedulerKind, SchedulerSettings, SourceSettings};
use crate::template::Guide;
use crate::yaml::{Entry, Key, Keys, Section, Shape, duration_text};

/// What every source has.
pub(super) static SOURCE: Keys = Keys::of(
    "source",
    "A scheduler that is polled. These keys belong to every type; those of each type follow.",
    &[
        &[
            Key::new("type", Shape::Word(kinds), "The kind of scheduler.").required().example("dataarts"),
            Key::new("poll", Shape::Schedule, "When it is polled; six fields put seconds first.")
                .default("\"* * * * *\""),
            Key::new("lookback", Shape::Duration, "How far back each poll looks, by plan time; at most 7d.")
                .default("24h"),
            Key::new(
                "first_poll",
                Shape::Duration,
                "On the very first poll, failures that ended longer ago are recorded and not sent.",
            )
            .default("1h"),
            labels::LABELS,
        ],
        GUIDE,
    ],
);

fn kinds() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.word).collect()
}

/// Reads all sources. The broken ones are reported and left out.
pub(super) fn read(file: &Section<'_>, timezone: &TimeZone) -> Vec<(SourceSettings, Guide)> {
    // They may be defined in a file that could not be read.
    let is_partial = file.findings().is_partial();
    let sources = if is_partial { file.section("sources") } else { file.required_section("sources") };
    let Some(sources) = sources else { return Vec::new() };
    if sources.entries().is_empty() {
        sources.error("", "no source is defined", Some("see rules.example.yaml".into()));
    }
    sources.entries().iter().filter_map(|entry| read_one(&sources, entry, timezone)).collect()
}

fn read_one(sources: &Section<'_>, entry: &Entry, timezone: &TimeZone) -> Option<(SourceSettings, Guide)> {
    let section = open_named(sources, entry)?;
    let kind = section.required::<String>("type");
    let lookback = section.or_default::<Duration>("lookback");
    if lookback > LOOKBACK_MAX {
        let help = format!("write at most {}d", LOOKBACK_MAX.as_secs() / 86_400);
        section.error("lookback", format!("{} is too long", duration_text(lookback)), Some(help));
    }
    let first_poll = section.or_default::<Duration>("first_poll");
    let labels = labels::read(&section);
    let written = read_schedule(&section, "poll", timezone);
    // Without a kind nobody knows which keys belong here, so none is called unknown.
    let kind = SchedulerKind::of(&kind?, &section)?;
    let section = section.with(kind.keys);
    let scheduler = kind.read(&section);
    // A kind that is told where the pages of its runs are says it run by run.
    let guide = guide::read_but(&section, kind.keys.find("console_url").is_some().then_some("console_url"));
    // A source whose calls are counted is polled as often as they allow.
    let planned = scheduler.as_ref().and_then(SchedulerSettings::poll_default).filter(|_| !section.has("poll"));
    let poll = planned.map_or(written, |text| Schedule::parse(&text, timezone).ok());
    check_file(&section, "ca_file");
    section.close();
    let id = SourceId::new(&entry.key);
    Some((SourceSettings { id, labels, poll: poll?, lookback, first_poll, scheduler: scheduler? }, guide))
}

/// The schedule under `key`, or the default one of the key's table; without a default, the key must be there.
pub(super) fn read_schedule(section: &Section<'_>, key: &'static str, timezone: &TimeZone) -> Option<Schedule> {
    let default = if section.has(key) { None } else { section.default_of::<String>(key) };
    let text = default.or_else(|| section.required::<String>(key))?;
    let _known = section.node(key);
    let help = || Some("for example \"*/5 * * * *\": every five minutes".into());
    Schedule::parse(&text, timezone).map_err(|fault| section.error(key, fault, help())).ok()
}

/// Reports what is wrong with a certificate file, see [`file_fault`].
pub(super) fn check_file(section: &Section<'_>, key: &'static str) {
    if let Some(fault) = file_fault(section, key) {
        section.error(key, fault, None);
    }
}

/// What is wrong with the certificate file that a kind's own key names, unless the kind has found fault with it itself.
pub(super) fn file_fault(section: &Section<'_>, key: &'static str) -> Option<String> {
    if !section.is_known(key) || section.findings().has_error_at(section.place_of(key)) {
        return None;
    }
    let path = section.optional::<PathBuf>(key)?;
    let checked = match key {
        _ if !path.is_file() => Err(format!("there is no file {}", path.display())),
        "client_cert" => check_client_cert(&path),
        _ => check_ca_file(&path),
    };
    checked.err()
}
