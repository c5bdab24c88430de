//! `digests`: a mapping from the digest's name to when it is due, what it is about, and who gets it.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::labels;
use super::matching::{JOB_KEYS, Names, RUN_KEYS, read_matches, read_selection};
use super::mute::LABELS;
use super::notify::read_notify;
use super::sources::read_schedule;
use super::words::open_named;
use crate::limits::{DIGEST_SPREAD_MAX, RETENTION_MAX};
use crate::model::{LabelMatch, ReceiverId};
use crate::notify::ReceiverSettings;
use crate::rule::Matches;
use crate::schedule::Schedule;
use crate::yaml::{Entry, FromYaml, Key, Keys, Located, OneOrMany, Section, Shape, duration_text, parse_duration};

/// A digest.
pub(super) static DIGEST: Keys = Keys::of(
    "digest",
    "A summary of a period.",
    &[&[
        Key::new("schedule", Shape::Schedule, "When it is due.").required().example("\"0 8 * * *\""),
        Key::new("timezone", Shape::Zone, "The zone of the schedule and of the chart, where it is not the file's."),
        Key::new("match", Shape::Mapping(&DIGEST_MATCH), "Which runs; without it, every one."),
        Key::new(
            "period",
            Shape::Duration,
            "How far back, at most the retention. Without it, everything since the last one.",
        )
        .example("7d"),
        Key::new(
            "spread",
            Shape::DurationOrZero,
            "Receivers are sent to at different seconds of this span; 0s for at once.",
        )
        .default("1m"),
        Key::new("notify", Shape::Texts, "Who gets it.").required().example("[team]"),
    ]],
);

static DIGEST_MATCH: Keys = Keys::of(
    "digest_match",
    "Which runs: a list means \"one of\", different keys mean \"and\".",
    &[JOB_KEYS, RUN_KEYS, &[LABELS]],
)
.not_empty();

/// A digest of the configuration.
#[derive(Debug, Clone)]
pub struct DigestSettings {
    /// Its key in the configuration.
    pub name: String,
    /// When it is due.
    pub schedule: Schedule,
    /// The zone of the schedule and of its chart.
    pub timezone: TimeZone,
    /// Which instances it is about.
    pub matches: Matches,
    /// Labels, of which those of a job's source or of a rule about it are asked.
    pub labels: LabelMatch,
    /// How far back it reaches; none for "since the last one".
    pub period: Option<Duration>,
    /// Who gets it.
    pub notify: Vec<ReceiverId>,
    /// Over how long its receivers are spread; zero sends to all at once.
    pub spread: Duration,
}

/// What digests take from the rest of the file.
pub(super) struct Surroundings<'a> {
    pub(super) names: &'a Names<'a>,
    /// The zone of digests that name none.
    pub(super) timezone: &'a TimeZone,
    pub(super) receivers: &'a [ReceiverSettings],
    /// How long runs are kept.
    pub(super) retention: Duration,
}

/// Reads all digests. The broken ones are reported and left out.
pub(super) fn read(file: &Section<'_>, around: &Surroundings<'_>) -> Vec<DigestSettings> {
    let Some(digests) = file.section("digests") else { return Vec::new() };
    digests.entries().iter().filter_map(|entry| read_one(&digests, entry, around)).collect()
}

fn read_one(digests: &Section<'_>, entry: &Entry, around: &Surroundings<'_>) -> Option<DigestSettings> {
    let Surroundings { names: known, timezone, receivers, .. } = *around;
    let section = open_named(digests, entry)?;
    let timezone = super::locale::read_timezone(&section).unwrap_or_else(|| timezone.clone());
    let schedule = read_schedule(&section, "schedule", &timezone);
    let selected = read_selection(&section, "match", |inner| {
        let (matches, labels) = (read_matches(inner, known), labels::read_wanted(inner));
        Some((matches?, labels?))
    });
    let period = section.optional::<Duration>("period");
    check_retention(&section, schedule.as_ref(), period, around.retention);
    let spread = section.or_default::<Spread>("spread").0;
    if spread > DIGEST_SPREAD_MAX {
        let help = Some(format!("write at most {}", duration_text(DIGEST_SPREAD_MAX)));
        section.error("spread", format!("{} is too long", duration_text(spread)), help);
    }
    let notify = read_notify(&section, known);
    if !section.has("notify") {
        section.missing("notify", Some("name the receivers of the digest".into()));
    } else if notify.as_ref().is_some_and(Vec::is_empty) {
        section.error("notify", "the list is empty", Some("name the receivers of the digest".into()));
    }
    for receiver in notify.iter().flatten() {
        let pages = receivers.iter().any(|settings| settings.id == *receiver && settings.channel.kind().pages);
        if pages {
            let help = Some("name a chat or a mailbox".to_string());
            section.error("notify", format!("{receiver} would open an incident for every digest"), help);
        }
    }
    section.close();
    let name = entry.key.clone();
    let (matches, labels) = selected?;
    Some(DigestSettings { name, schedule: schedule?, timezone, matches, labels, period, notify: notify?, spread })
}

/// Refuses a period whose runs would be gone, and warns of a schedule with pauses as long as that.
fn check_retention(section: &Section<'_>, schedule: Option<&Schedule>, period: Option<Duration>, kept: Duration) {
    /// Due times that are looked at for the longest pause between them.
    const DUE_TIMES: usize = 60;
    let help = |span: Duration| {
        let days = span.as_secs().div_ceil(86_400);
        Some(format!("write retention: {days}d beside sources and rules"))
    };
    if let Some(period) = period {
        if period > kept {
            let message = format!(
                "runs are kept for {}, and a digest of {} would lack the rest",
                duration_text(kept),
                duration_text(period)
            );
            section.error("period", message, help(period).filter(|_| period <= RETENTION_MAX));
        }
        return;
    }
    let Some(schedule) = schedule else { return };
    // From 2026 on; which year it is makes no difference to the longest pause.
    let start = jiff::Timestamp::from_second(1_767_225_600).ok();
    let dues: Vec<jiff::Timestamp> =
        std::iter::successors(start, |due| schedule.next_after(*due)).skip(1).take(DUE_TIMES).collect();
    let longest = dues.windows(2).map(|pair| pair[1].duration_since(pair[0]).unsigned_abs()).max();
    if let Some(pause) = longest.filter(|pause| *pause > kept) {
        let message = format!(
            "up to {} lie between two of them, and runs are kept for {}",
            duration_text(pause),
            duration_text(kept)
        );
        section.warning("schedule", message, help(pause));
    }
}

/// Everybody that a digest names, whether or not the digest is right.
pub(super) fn receivers(file: &Section<'_>) -> Vec<String> {
    let Some(digests) = file.section("digests") else { return Vec::new() };
    let quiet = crate::yaml::Diagnostics::new(std::path::Path::new(""));
    let named = |entry: &Entry| {
        let section = Section::of(&DIGEST, &entry.node, "", &quiet)?;
        section.optional::<OneOrMany<String>>("notify")
    };
    digests.entries().iter().filter_map(named).flat_map(|names| names.0).collect()
}

/// A duration that may be zero.
#[derive(Default)]
struct Spread(Duration);

impl FromYaml for Spread {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        if matches!(text.as_str(), "0" | "0s") {
            return Some(Spread(Duration::ZERO));
        }
        let help = "write it as 30s or 5m, or 0s to send to all at once".to_string();
        parse_duration(&text)
            .map(Spread)
            .or_else(|| located.wrong(format!("{text:?} is not a valid duration"), Some(help)))
    }
}
