//! `tests`: a mapping from a test's name to runs, a clock and silences that are made up, and what must be told of them.
//!
//! What a test says is read here and tried nowhere: [`crate::worker`] plays it.

mod expected;
mod items;
mod runs;
mod samples;
mod times;

use std::time::Duration;

use jiff::Timestamp;

pub use self::expected::Expected;
pub(super) use self::items::Surroundings;
use self::items::{items, time};
use self::times::{Times, read_anchor};
use super::labels;
use super::matching::{JobPattern, SeverityWord, read_references};
use super::words::{open_named, severities};
use crate::limits::RULE_TEST_SPAN_MAX;
use crate::model::{Concerns, RuleId, Sighting, Silence, SilenceId, SourceId};
use crate::yaml::{Entry, Key, Keys, OneOrMany, Section, Shape, duration_text};

/// How long is looked at after the last thing that a test names, where it does not say.
const LOOKED_AT_AFTER: Duration = Duration::from_secs(3600);

/// A test of the rules.
#[derive(Debug, Clone)]
pub struct RuleTest {
    /// Its key in the configuration.
    pub name: String,
    /// The number of its file among those that were read together.
    pub file: u16,
    /// The line it begins on.
    pub line: u32,
    /// When the clock begins.
    pub at: Timestamp,
    /// Until when is looked, that instant included.
    pub until: Timestamp,
    /// How each run is from when on, in the order of the file.
    pub sightings: Vec<Sighting>,
    /// The silences, numbered in the order of the file.
    pub silences: Vec<Silence>,
    /// What is told, and nothing else.
    pub expect: Vec<Expected>,
}

/// A test.
pub(super) static TEST: Keys = Keys::of(
    "test",
    "What the rules must report of given runs: `nightbell test` plays it.",
    &[&[
        Key::new("at", Shape::Other("a time", time), "When the clock begins.")
            .required()
            .example("\"2026-11-21 01:00\""),
        Key::new("until", Shape::Other("a time or a duration", time), "When it ends."),
        Key::new("instances", Shape::List(&runs::RUN), "The runs: as they end up, and what comes then."),
        Key::new("samples", Shape::List(&samples::SAMPLE), "Saved answers of a scheduler, whose runs are listed, too."),
        Key::new("silences", Shape::List(&SILENCE), "Silences that are made."),
        Key::new("expect", Shape::ListOr(&expected::EXPECTED, "nothing"), "What must be sent.").required(),
    ]],
);

static SILENCE: Keys = Keys::of(
    "test_silence",
    "A silence.",
    &[&[
        Key::new("source", Shape::Texts, "Of these sources."),
        Key::new("job", Shape::Texts, "Of jobs whose name matches: patterns as in a rule."),
        Key::new("rule", Shape::Texts, "Of these rules."),
        Key::new("severity", Shape::Words(severities), "This bad."),
        Key::new("labels", Shape::WantedByName, "With these labels."),
        Key::new("from", Shape::Other("a time", time), "From when on; without it, from the clock's beginning."),
        Key::new("for", Shape::Duration, "For how long.").required().example("2h"),
    ]],
);

/// Reads all tests. The broken ones are reported and left out.
pub(super) fn read(file: &Section<'_>, around: &Surroundings<'_>) -> Vec<RuleTest> {
    let Some(tests) = file.section("tests") else { return Vec::new() };
    tests.entries().iter().filter_map(|entry| read_one(&tests, entry, around)).collect()
}

fn read_one(tests: &Section<'_>, entry: &Entry, around: &Surroundings<'_>) -> Option<RuleTest> {
    let findings = tests.findings();
    let section = open_named(tests, entry)?;
    // Without a clock no time of day means anything: the other keys are still known, and read on the first of all days,
    // so that what else is wrong with them is told in the same run.
    let at = read_anchor(&section, "at", around.timezone);
    let times = Times::new(at.unwrap_or(Timestamp::UNIX_EPOCH), around.timezone);
    let sightings = read_items(&section, "instances", |item, index| runs::read(item, index, &times, around));
    let sampled = read_items(&section, "samples", |item, _| samples::read(item, times.at(), around));
    let silences = read_items(&section, "silences", |item, index| read_silence(item, index, &times, around));
    let expect = expected::read(&section, &times, around);
    let until = times.read_until(&section, "until");
    section.report_unknown();
    let sightings: Vec<Sighting> = sightings?.into_iter().chain(sampled?).flatten().collect();
    let (at, silences, expect) = (at?, silences?, expect?);
    let named = sightings.iter().map(|sighting| sighting.at).chain(silences.iter().map(|silence| silence.created_at));
    let last = named.chain(expect.iter().filter_map(|one| one.at)).max().unwrap_or(at).max(at);
    let until = match until {
        Some(until) => until?,
        None => last.checked_add(LOOKED_AT_AFTER).unwrap_or(last),
    };
    if until < at {
        section_error(findings, entry, tests, "it ends before it begins");
        return None;
    }
    if until.duration_since(at).unsigned_abs() > RULE_TEST_SPAN_MAX {
        let words = format!("it goes on for more than {}", duration_text(RULE_TEST_SPAN_MAX));
        section_error(findings, entry, tests, &words);
        return None;
    }
    let (name, file, line) = (entry.key.clone(), entry.at.file, entry.at.line);
    Some(RuleTest { name, file, line, at, until, sightings, silences, expect })
}

fn section_error(findings: &crate::yaml::Diagnostics, entry: &Entry, tests: &Section<'_>, words: &str) {
    let help = Some("see \"at\" and \"until\"; what lies before \"at\" counts as history".to_string());
    findings.error(entry.at, tests.path_of(&entry.key), words, help);
}

/// Reads every item of a list that may be absent, so that each wrong one is reported; one wrong item makes the list wrong.
fn read_items<T>(
    section: &Section<'_>,
    key: &'static str,
    read: impl Fn(&Section<'_>, usize) -> Option<T>,
) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = match items(section, key) {
        Some(items) => items.iter().enumerate().map(|(index, item)| read(item, index)).collect(),
        None => Vec::new(),
    };
    read.into_iter().collect()
}

/// A silence, from some time on, the clock's beginning if it does not say.
fn read_silence(item: &Section<'_>, index: usize, times: &Times<'_>, around: &Surroundings<'_>) -> Option<Silence> {
    let sources = read_references(item, "source", "source", around.names.sources);
    let rules = read_references(item, "rule", "rule", around.rules);
    let jobs = item.optional::<OneOrMany<JobPattern>>("job");
    let severities = item.optional::<OneOrMany<SeverityWord>>("severity");
    let labels = labels::read_wanted(item);
    let created_at = times.optional(item, "from").unwrap_or(Some(times.at()));
    let lasts = item.required::<Duration>("for");
    let sound = (jobs.is_some() || !item.has("job")) && (severities.is_some() || !item.has("severity"));
    let concerns = Concerns {
        sources: sources?.iter().map(SourceId::new).collect(),
        jobs: jobs.map_or_else(Vec::new, |list| list.0.iter().map(|one| one.0.as_str().to_string()).collect()),
        rules: rules?.iter().map(RuleId::new).collect(),
        severities: severities.map_or_else(Vec::new, |list| list.0.iter().map(|word| word.0).collect()),
        labels: labels?,
    };
    if concerns.is_empty() && sound {
        item.error("", "nothing says what is silenced", Some("name a job, rule, source, severity or labels".into()));
        return None;
    }
    item.report_unknown();
    let created_at = created_at?;
    let ends_at = created_at.checked_add(lasts?).ok()?;
    let id = SilenceId(i64::try_from(index).unwrap_or(0) + 1);
    let (reason, by) = ("made up for a test".to_string(), "test".to_string());
    sound.then_some(Silence { id, concerns, reason, by, created_at, ends_at, expired: None })
}
