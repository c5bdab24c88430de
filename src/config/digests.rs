//! `digests`: a mapping from the digest's name to when it is due, what it is about, and who gets it.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::labels;
use super::rules::{Names, read_matches, read_notify};
use super::sources::read_schedule;
use super::words::check_name;
use crate::limits::DIGEST_SPREAD_MAX;
use crate::model::{LabelMatch, ReceiverId};
use crate::notify::ReceiverSettings;
use crate::rule::Matches;
use crate::schedule::Schedule;
use crate::yaml::{Entry, FromYaml, Located, OneOrMany, Section, Value, duration_text, parse_duration};

/// Chats' gateways are busiest at the full hour; within a minute of it nobody notices the difference.
const SPREAD_DEFAULT: Duration = Duration::from_secs(60);

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

/// Reads all digests. The broken ones are reported and left out.
pub(super) fn read(
    file: &Section<'_>,
    known: &Names<'_>,
    timezone: &TimeZone,
    receivers: &[ReceiverSettings],
) -> Vec<DigestSettings> {
    let Some(digests) = file.section("digests") else { return Vec::new() };
    digests.entries().iter().filter_map(|entry| read_one(&digests, entry, known, timezone, receivers)).collect()
}

fn read_one(
    digests: &Section<'_>,
    entry: &Entry,
    known: &Names<'_>,
    timezone: &TimeZone,
    receivers: &[ReceiverSettings],
) -> Option<DigestSettings> {
    let findings = digests.findings();
    let path = digests.path_of(&entry.key);
    if let Err(fault) = check_name(&entry.key) {
        findings.error(entry.at, path.as_str(), fault, None);
    }
    let section = Section::open(&entry.node, path, findings)?;
    let timezone = super::read_timezone(&section).unwrap_or_else(|| timezone.clone());
    let schedule = read_schedule(&section, "schedule", None, &timezone);
    let (matches, labels) = read_labelled_match(&section, known);
    let period = section.optional::<Duration>("period");
    let spread = section.or("spread", Spread(SPREAD_DEFAULT)).0;
    if spread > DIGEST_SPREAD_MAX {
        let help = Some(format!("write at most {}", duration_text(DIGEST_SPREAD_MAX)));
        section.error("spread", format!("{} is too long", duration_text(spread)), help);
    }
    let notify = read_notify(&section, known);
    if !section.has("notify") {
        section.error("", "the key \"notify\" is missing", Some("name the receivers of the digest".into()));
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
    Some(DigestSettings {
        name,
        schedule: schedule?,
        timezone,
        matches: matches?,
        labels: labels?,
        period,
        notify: notify?,
        spread,
    })
}

/// `match`, as a rule has it, with `labels` beside.
fn read_labelled_match(section: &Section<'_>, known: &Names<'_>) -> (Option<Matches>, Option<LabelMatch>) {
    let Some(node) = section.node("match").filter(|node| node.value != Value::Null) else {
        return (Some(Matches::default()), Some(LabelMatch::default()));
    };
    let Some(inner) = Section::open(node, section.path_of("match"), section.findings()) else { return (None, None) };
    let read = (read_matches(&inner, known), labels::read_wanted(&inner));
    inner.close();
    read
}

/// Everybody that a digest names, whether or not the digest is right.
pub(super) fn receivers(file: &Section<'_>) -> Vec<String> {
    let Some(digests) = file.section("digests") else { return Vec::new() };
    let quiet = crate::yaml::Diagnostics::new(std::path::Path::new(""));
    let named = |entry: &Entry| {
        let section = Section::open(&entry.node, "", &quiet)?;
        section.optional::<OneOrMany<String>>("notify")
    };
    digests.entries().iter().filter_map(named).flat_map(|names| names.0).collect()
}

/// A duration that may be zero.
struct Spread(Duration);

impl FromYaml for Spread {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        if matches!(text.as_str(), "0" | "0s") {
            return Some(Spread(Duration::ZERO));
        }
        let help = "write it as 30s or 5m, or 0s to send to all at once".to_string();
        parse_duration(&text).map(Spread).or_else(|| located.wrong(format!("{text:?} is no duration"), Some(help)))
    }
}
