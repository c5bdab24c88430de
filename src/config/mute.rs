//! `mute_windows`: a mapping from a window's name to which alerts it holds back, and when it is open.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::calendars::Calendars;
use super::days::{self, DAYS};
use super::labels;
use super::matching::{JOB_KEYS, Names, RUN_KEYS, SeverityWord, read_matches, read_references, read_selection};
use super::sources::read_schedule;
use super::words::{open_named, severities};
use crate::model::RuleId;
use crate::rule::{AlertMatch, Matches, MuteWindow};
use crate::schedule::{DAY_SECONDS, DailyWindow, RecurringWindow};
use crate::yaml::{Entry, FromYaml, Key, Keys, Located, OneOrMany, Section, Shape};

/// Labels that are wanted, in a `match` about alerts or digests.
pub(super) const LABELS: Key =
    Key::new("labels", Shape::WantedByName, "Labels of the rule or the source; a list means \"one of\".")
        .example("{ team: finance }");

/// A `match` about alerts.
pub(super) static ALERT_MATCH: Keys = Keys::of(
    "alert_match",
    "Which alerts: a list means \"one of\", different keys mean \"and\".",
    &[
        JOB_KEYS,
        RUN_KEYS,
        &[
            Key::new("rule", Shape::Texts, "Ids of rules; self/* for those about Nightbell itself."),
            Key::new("severity", Shape::Words(severities), "How bad the alert is."),
            LABELS,
        ],
    ],
)
.not_empty();

/// When a window is open, beside the days.
pub(super) const TIMES: &[Key] = &[
    Key::new("from", Shape::ClockTime, "When it opens.").example("\"22:00\""),
    Key::new("to", Shape::ClockTime, "When it closes; of the next day unless it is later than \"from\"."),
    Key::new("schedule", Shape::Schedule, "Instead of days, from and to: it opens whenever this is due."),
    Key::new("for", Shape::Duration, "How long a scheduled window is open.").example("3h"),
    Key::new("timezone", Shape::Zone, "Its zone, where it is not the file's."),
];

/// A mute window.
pub(super) static MUTE_WINDOW: Keys = Keys::of(
    "mute_window",
    "A recurring time in which new alerts of some kind are recorded and not sent.",
    &[&[Key::new("match", Shape::Mapping(&ALERT_MATCH), "Which alerts; without it, every one.")], TIMES, DAYS],
)
.pairs(&[("schedule", "for")]);

/// What windows may refer to, and the zone they go by unless they name one.
pub(super) struct Surroundings<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) rules: &'a [String],
    pub(super) calendars: &'a Calendars,
    pub(super) timezone: &'a TimeZone,
}

/// Reads all mute windows. The broken ones are reported and left out.
pub(super) fn read(file: &Section<'_>, around: &Surroundings<'_>) -> Vec<MuteWindow> {
    let Some(windows) = file.section("mute_windows") else { return Vec::new() };
    windows.entries().iter().filter_map(|entry| read_one(&windows, entry, around)).collect()
}

fn read_one(windows: &Section<'_>, entry: &Entry, around: &Surroundings<'_>) -> Option<MuteWindow> {
    let findings = windows.findings();
    let section = open_named(windows, entry)?;
    let matches = read_alert_match(&section, "match", around);
    let window = read_window(&section, around);
    section.close();
    let window = window?;
    if window.never_closes() {
        let help = Some("remove the alerts' receivers under \"notify\" instead".into());
        findings.error(entry.at, windows.path_of(&entry.key), "it never closes: nothing would ever be sent", help);
    }
    Some(MuteWindow { name: entry.key.as_str().into(), matches: matches?, window })
}

/// When a window is open; its section stays open.
pub(super) fn read_window(section: &Section<'_>, around: &Surroundings<'_>) -> Option<RecurringWindow> {
    let zone = super::locale::read_timezone(section).unwrap_or_else(|| around.timezone.clone());
    if section.has("schedule") { read_scheduled(section, &zone) } else { read_daily(section, zone, around) }
}

/// `match`, as a rule has it, with `rule`, `severity` and `labels` beside; under `key`.
pub(super) fn read_alert_match(
    section: &Section<'_>,
    key: &'static str,
    around: &Surroundings<'_>,
) -> Option<AlertMatch> {
    read_selection(section, key, |inner| {
        let matches: Option<Matches> = read_matches(inner, around.names);
        let rules = read_references(inner, "rule", "rule", around.rules);
        let severities = inner.optional::<OneOrMany<SeverityWord>>("severity");
        let is_sound = severities.is_some() || !inner.has("severity");
        let labels = labels::read_wanted(inner);
        let rules = rules?.iter().map(RuleId::new).collect();
        let severities = severities.into_iter().flat_map(|list| list.0).map(|word| word.0).collect();
        let found = AlertMatch::new(&matches?, rules, severities).map_err(|fault| section.error(key, fault, None)).ok();
        Some(found?.labelled(labels?)).filter(|_| is_sound)
    })
}

/// A window that a schedule opens.
fn read_scheduled(section: &Section<'_>, zone: &TimeZone) -> Option<RecurringWindow> {
    let schedule = read_schedule(section, "schedule", zone);
    let lasts = section.required::<Duration>("for");
    for key in ["days", "from", "to", "calendar"] {
        if section.node(key).is_some() {
            let help = Some("a window has a \"schedule\" and \"for\", or \"days\", \"from\" and \"to\"".into());
            section.error(key, format!("{key:?} cannot stand beside \"schedule\""), help);
        }
    }
    let lasts = SignedDuration::try_from(lasts?).ok()?;
    Some(RecurringWindow::Scheduled { schedule: schedule?, lasts })
}

/// A window between two times of the day.
fn read_daily(section: &Section<'_>, zone: TimeZone, around: &Surroundings<'_>) -> Option<RecurringWindow> {
    if section.node("for").is_some() {
        section.error("for", "\"for\" belongs to a \"schedule\"", Some("write from: and to:, or a schedule:".into()));
    }
    let days = days::read(section, around.calendars);
    let (from, to) = (section.optional::<ClockTime>("from"), section.optional::<ClockTime>("to"));
    if (from.is_none() && section.has("from")) || (to.is_none() && section.has("to")) {
        return None;
    }
    if !section.has("days") && from.is_none() && to.is_none() {
        let help = Some("write days:, from: and to:, or schedule: and for:".into());
        section.error("", "nothing says when the window is open", help);
        return None;
    }
    let (from, to) = (from.map_or(0, |time| time.0), to.map_or(DAY_SECONDS, |time| time.0));
    if from == DAY_SECONDS {
        section.error("from", "a window cannot begin at 24:00", Some("write \"00:00\", and the next day".into()));
        return None;
    }
    if from == to {
        let help = Some("leave both out for whole days".into());
        section.error("to", "the window ends when it begins, so it is never open", help);
        return None;
    }
    Some(RecurringWindow::Daily(DailyWindow { days: days?, from, to, zone }))
}

/// A time of the day in seconds: `22:00`, or `24:00` for its end.
struct ClockTime(i32);

impl FromYaml for ClockTime {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        let seconds = || {
            let (hour, minute) = text.split_once(':')?;
            let is_plain = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            if !is_plain(hour) || minute.len() != 2 || !is_plain(minute) {
                return None;
            }
            let (hour, minute) = (hour.parse::<i32>().ok()?, minute.parse::<i32>().ok()?);
            let seconds = hour * 3600 + minute * 60;
            (minute < 60 && seconds <= DAY_SECONDS).then_some(seconds)
        };
        seconds().map(ClockTime).or_else(|| {
            located.wrong(format!("{text:?} is not a valid time of day"), Some("write it as \"22:00\"".into()))
        })
    }
}
