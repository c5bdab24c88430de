//! What a message is about, in a few words: its headline, its subject, and since when.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::group::group_headline;
use super::language::Language;
use super::listener::{Listener, short_time};
use super::summary::summary;
use super::verdict::verdict;
use crate::model::{AlertFacts, AlertState, Message, MessageData, ReasonCode, Status};

/// What an alert is about: a job of a source, or a part of Nightbell itself, which has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What kind of thing it is: "Job", "Source", "Receiver".
    pub label: String,
    /// Its name.
    pub name: String,
    /// The source that a job belongs to.
    pub source: Option<String>,
}

/// What an alert is about.
pub fn subject(facts: &AlertFacts, language: Language) -> Subject {
    let of = |key: &str, name: &str| Subject { label: language.say(key, &[]), name: name.to_string(), source: None };
    use ReasonCode as Code;
    match facts.alert.reason.as_ref().map(|reason| reason.code) {
        Some(
            Code::SourceUnreadable
            | Code::SourceReadable
            | Code::SourceIncomplete
            | Code::SourceWhole
            | Code::SourceLost
            | Code::SourceSilent,
        ) => of("source", facts.source.id.as_str()),
        Some(Code::ReceiverDead | Code::ReceiverWorks) => of("receiver", &facts.job.name),
        Some(Code::ReloadRefused | Code::ReloadAccepted) => of("itself", &language.word(&facts.job.name)),
        Some(Code::LoopFailing | Code::LoopWorks) => of("loop", &language.loop_name(&facts.job.name)),
        Some(Code::ReplicaOutdated | Code::ReplicaCurrent) => of("replica", &facts.job.name),
        _ => {
            // Schedulers have their own words for what they run.
            let own = format!("job_of.{}", facts.source.kind);
            let key = if language.phrase(&own).is_some() { own.as_str() } else { "job" };
            Subject { source: Some(facts.source.id.to_string()), ..of(key, &facts.job.name) }
        }
    }
}

/// A message in one line: how bad and what, as its summary says, for several alerts what they share, for a digest how the
/// period went.
pub fn headline(message: &Message, level: &str, timezone: &TimeZone, language: Language) -> String {
    match &message.data {
        MessageData::Alert(facts) => {
            let level = language.word(level).to_uppercase();
            language.say("headline", &[("level", &level), ("summary", &summary(facts, language))])
        }
        MessageData::Group(group) => group_headline(group, &Listener { language, timezone, now: message.timestamp }),
        MessageData::Digest(facts) => format!("{}: {}", facts.digest.name, verdict(facts, language)),
    }
}

/// Whether an alert says that a time of a source was not read: it is over when it is sent, and nothing has recovered.
pub fn is_gap(facts: &AlertFacts) -> bool {
    let code = facts.alert.reason.as_ref().map(|reason| reason.code);
    matches!(code, Some(ReasonCode::SourceLost | ReasonCode::SourceSilent))
}

/// What the two times of an alert that is over are called: since when and until when.
pub fn names_of_times(facts: &AlertFacts, language: Language) -> (String, String) {
    match is_gap(facts) {
        true => (language.say("gap_from", &[]), language.say("gap_until", &[])),
        false => (language.say("failing_since", &[]), language.say("resolved", &[])),
    }
}

/// What stands behind the line of an alert: ", since 08:05", or " (fired 08:05, resolved 08:09)"; as of `now`.
pub fn when(facts: &AlertFacts, now: Timestamp, timezone: &TimeZone, language: Language) -> String {
    let short = |instant| short_time(instant, now, timezone, language);
    let since = short(since(facts));
    if facts.alert.state == AlertState::Firing {
        return language.say("when", &[("since", &since)]);
    }
    let until = facts.alert.ends_at.map(short).unwrap_or_default();
    let key = if is_gap(facts) && !until.is_empty() { "when_gap" } else { "when_over" };
    language.say(key, &[("since", &since), ("until", &until)])
}

/// Since when it has been as the summary says: where a run "has been running", since that run's own start, and not since it
/// was too long. For everything else since the alert began.
fn since(facts: &AlertFacts) -> Timestamp {
    let is_about_lasting = matches!(
        facts.alert.reason.as_ref().map(|reason| reason.code),
        Some(ReasonCode::Status | ReasonCode::SlowerThanUsual)
    );
    let is_on = facts.alert.state == AlertState::Firing && is_about_lasting;
    let began = facts.instance.as_ref().filter(|_| is_on).and_then(|run| match run.status {
        Status::Running => run.start_time,
        Status::Waiting => run.plan_time,
        _ => None,
    });
    began.unwrap_or(facts.alert.starts_at)
}
