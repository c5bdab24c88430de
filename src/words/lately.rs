//! How a job has fared before an alert, in one line. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::language::Language;
use super::listener::short_time;
use super::verdict::grouped;
use crate::model::{AlertFacts, AlertState, Lately};

/// "3 of 42 runs failed in the last 7 days; last success 20 Nov 03:10; usually 6m; recovered last time after 1h 20m"; none of
/// an alert that is over, or of which that is not known.
pub fn lately(facts: &AlertFacts, now: Timestamp, timezone: &TimeZone, language: Language) -> Option<String> {
    let history = facts.alert.history.as_ref().filter(|_| facts.alert.state == AlertState::Firing)?;
    let Lately { runs, failed, last_success_at, usual_ms, .. } = &**history;
    let key = match (runs, failed) {
        (0, _) => "lately.no_run",
        (_, 0) => "lately.none_failed",
        _ => "lately.failed",
    };
    let said = language.say(key, &[("runs", &grouped(*runs)), ("n", &grouped(*failed))]);
    let success = last_success_at.map(|at| short_time(at, now, timezone, language)).unwrap_or_default();
    let span = |ms: u64| language.duration(Duration::from_millis(ms));
    let usual = usual_ms.map(span).unwrap_or_default();
    let ended = ended(history, language);
    Some(language.say("lately.line", &[("said", &said), ("success", &success), ("usual", &usual), ("ended", &ended)]))
}

/// What ended the last alert of the same rule about the job.
fn ended(history: &Lately, language: Language) -> String {
    let Some(ended) = &history.last_ended else { return String::new() };
    let minutes = |ms: u64| language.duration(Duration::from_secs((ms / 60_000).max(1) * 60));
    let lasted = history.last_lasted_ms.map(minutes).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (who, why) = (text(&ended.by), text(&ended.note));
    let key = format!("lately.ended.{}", ended.reason.as_str());
    language.say(&key, &[("lasted", &lasted), ("who", &who), ("why", &why)])
}
