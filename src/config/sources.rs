//! `sources`: what every kind of source has in common.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::labels;
use super::words::check_name;
use crate::http::{check_ca_file, check_client_cert};
use crate::limits::LOOKBACK_MAX;
use crate::model::SourceId;
use crate::schedule::Schedule;
use crate::source::{SchedulerSettings, SourceSettings};
use crate::yaml::{Entry, Section, duration_text};

const POLL_DEFAULT: &str = "* * * * *";
const LOOKBACK_DEFAULT: Duration = Duration::from_secs(24 * 3600);
const FIRST_POLL_DEFAULT: Duration = Duration::from_secs(3600);

/// Reads all sources. The broken ones are reported and left out.
pub(super) fn read(file: &Section<'_>, timezone: &TimeZone) -> Vec<SourceSettings> {
    // They may be defined in a file that could not be read.
    let is_partial = file.findings().is_partial();
    let sources = if is_partial { file.section("sources") } else { file.required_section("sources") };
    let Some(sources) = sources else { return Vec::new() };
    if sources.entries().is_empty() {
        sources.error("", "no source is defined", Some("see rules.example.yaml".into()));
    }
    sources.entries().iter().filter_map(|entry| read_one(&sources, entry, timezone)).collect()
}

fn read_one(sources: &Section<'_>, entry: &Entry, timezone: &TimeZone) -> Option<SourceSettings> {
    let findings = sources.findings();
    let path = sources.path_of(&entry.key);
    if let Err(fault) = check_name(&entry.key) {
        findings.error(entry.at, path.as_str(), fault, None);
    }
    let section = Section::open(&entry.node, path, findings)?;
    let kind = section.required::<String>("type");
    let poll = read_schedule(&section, "poll", Some(POLL_DEFAULT), timezone);
    let lookback = section.or("lookback", LOOKBACK_DEFAULT);
    if lookback > LOOKBACK_MAX {
        let help = format!("write at most {}d", LOOKBACK_MAX.as_secs() / 86_400);
        section.error("lookback", format!("{} is too long", duration_text(lookback)), Some(help));
    }
    let first_poll = section.or("first_poll", FIRST_POLL_DEFAULT);
    let labels = labels::read(&section);
    // Without a kind nobody knows which keys belong here, so none is called unknown.
    let kind = kind?;
    let scheduler = SchedulerSettings::read(&kind, &section);
    check_file(&section, "ca_file");
    if crate::source::KINDS.contains(&kind.as_str()) {
        section.close();
    }
    let id = SourceId::new(&entry.key);
    Some(SourceSettings { id, labels, poll: poll?, lookback, first_poll, scheduler: scheduler? })
}

/// The schedule under `key`, or the default one; without a default, the key must be there.
pub(super) fn read_schedule(
    section: &Section<'_>,
    key: &'static str,
    default: Option<&str>,
    timezone: &TimeZone,
) -> Option<Schedule> {
    let written = if default.is_none() { section.required::<String>(key) } else { section.optional(key) };
    // A value of the wrong shape has been reported.
    if written.is_none() && section.has(key) {
        return None;
    }
    let text = written.or_else(|| default.map(str::to_string))?;
    Schedule::parse(&text, timezone).map_err(|fault| section.error(key, fault, None)).ok()
}

/// Reports a file that a kind's own key names and that is not there, unless the kind has found fault with it itself.
pub(super) fn check_file(section: &Section<'_>, key: &'static str) {
    if section.is_known(key)
        && !section.findings().has_error_at(section.place_of(key))
        && let Some(path) = section.optional::<PathBuf>(key)
    {
        let checked = match key {
            _ if !path.is_file() => Err(format!("there is no file {}", path.display())),
            "client_cert" => check_client_cert(&path),
            _ => check_ca_file(&path),
        };
        if let Err(reason) = checked {
            section.error(key, reason, None);
        }
    }
}
