//! What a digest says in whole lines: its verdict, its breaches, and by what alerts were kept back.

use std::time::Duration;

use super::language::Language;
use super::verdict::verdict;
use crate::model::{BreachPart, DigestFacts};

/// Says in this language whatever the facts say in whole lines, out of their numbers and names alone.
pub fn say_digest(facts: &mut DigestFacts, language: Language) {
    facts.verdict.summary = verdict(facts, language);
    for part in &mut facts.breaches.shown {
        part.summary = breach(part, language);
    }
    for part in &mut facts.completeness.gaps.shown {
        if let Some((runs, failed)) = part.runs.zip(part.failed) {
            part.reason =
                language.say("digest.no_longer_kept", &[("n", &runs.to_string()), ("failed", &failed.to_string())]);
        }
    }
    for part in &mut facts.alerts.suppressed_by {
        part.summary = suppression(&part.reason, language);
    }
}

/// What became of a run that took too long or of a deadline that was not kept, without the job's name: "27m over the
/// limit of 45m (1h 12m)", "not finished by 06:30, 1h 30m late so far".
pub fn breach(part: &BreachPart, language: Language) -> String {
    let say = |key: &str, values: &[(&str, &str)]| language.say(key, values);
    let said = |ms: Option<u64>| ms.map(|ms| language.duration(Duration::from_millis(ms))).unwrap_or_default();
    let limit = part.limit_ms.map(|ms| language.duration(Duration::from_millis(ms))).unwrap_or_default();
    let (over, lasted) = (said(part.over_ms), said(part.duration_ms));
    let due = part.due.as_deref().unwrap_or_default();
    let late = said(part.over_ms.filter(|ms| *ms >= 1000));
    let of_deadline = [("due", due), ("late", &late)];
    let of_duration = [("over", over.as_str()), ("limit", &limit), ("lasted", &lasted)];
    match (part.kind.as_str(), part.is_running) {
        ("not-finished-by", true) => say("digest.breach.not_finished", &of_deadline),
        ("not-finished-by", false) => say("digest.breach.finished_late", &of_deadline),
        ("not-started-by", true) => say("digest.breach.not_started", &of_deadline),
        ("not-started-by", false) => say("digest.breach.started_late", &of_deadline),
        ("missing", true) => say("digest.breach.missing", &of_deadline),
        ("missing", false) => say("digest.breach.missed", &of_deadline),
        _ if over.is_empty() => say("digest.breach.too_long", &of_duration),
        (_, true) => say("digest.breach.running_over", &of_duration),
        (_, false) => say("digest.breach.over", &of_duration),
    }
}

/// By what alerts were kept back: "silence 3", "the mute window nights". What has no words of its own is told as it is.
pub fn suppression(reason: &str, language: Language) -> String {
    let (kind, name) = reason.split_once(':').unwrap_or((reason, ""));
    let key = format!("suppressed_by.{kind}");
    match language.phrase(&key) {
        Some(_) => language.say(&key, &[("name", name)]),
        None => reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RuleId, Severity, SourceId, Suppression};

    fn part(kind: &str, is_running: bool) -> BreachPart {
        let is_duration = ["duration", "slower-than-usual"].contains(&kind);
        let only = |ms| is_duration.then_some(ms);
        BreachPart {
            rule: RuleId::new("r"),
            severity: Severity::Error,
            labels: Default::default(),
            source: SourceId::new("s"),
            job: "etl".to_string(),
            instance: "1".to_string(),
            kind: kind.to_string(),
            limit_ms: only(45 * 60_000),
            duration_ms: only(72 * 60_000),
            over_ms: Some(27 * 60_000),
            is_running,
            due_at: None,
            due: (!is_duration).then(|| "06:30".to_string()),
            summary: String::new(),
        }
    }

    #[test]
    fn a_breach_says_by_how_much() {
        let table = [
            (
                "duration",
                false,
                "27m over the limit of 45m (1h 12m)",
                "超出时限 45 分钟达 27 分钟（用时 1 小时 12 分）",
            ),
            (
                "slower-than-usual",
                true,
                "27m over the limit of 45m (1h 12m so far)",
                "超出时限 45 分钟达 27 分钟（已运行 1 小时 12 分）",
            ),
            ("not-finished-by", true, "not finished by 06:30, 27m late so far", "未能在 06:30 前完成，已延迟 27 分钟"),
            ("not-finished-by", false, "finished 27m after 06:30", "应在 06:30 前完成，延迟 27 分钟"),
            ("not-started-by", true, "not started by 06:30, 27m late so far", "未能在 06:30 前启动，已延迟 27 分钟"),
            ("not-started-by", false, "started 27m after 06:30", "应在 06:30 前启动，延迟 27 分钟"),
            ("missing", true, "did not run at 06:30, 27m ago", "应于 06:30 运行但没有运行，已过 27 分钟"),
            (
                "missing",
                false,
                "did not run at 06:30; it ran again 27m later",
                "应于 06:30 运行但没有运行，27 分钟后才恢复运行",
            ),
        ];
        for (kind, is_running, english, chinese) in table {
            let part = part(kind, is_running);
            assert_eq!(breach(&part, Language::En), english);
            assert_eq!(breach(&part, Language::Zh), chinese);
        }
        let unknown = BreachPart { over_ms: None, duration_ms: None, ..part("duration", false) };
        assert_eq!(breach(&unknown, Language::En), "longer than 45m");
    }

    #[test]
    fn what_kept_alerts_back_is_told_in_words() {
        let silence = Suppression::Silence("3".parse().unwrap()).to_string();
        let window = Suppression::MuteWindow("nights".into()).to_string();
        let table = [
            (Suppression::FirstPoll.to_string(), "older than first_poll", "早于 first_poll"),
            (silence, "silence 3", "静默 3"),
            (window, "the mute window nights", "静默时段 nights"),
            ("inhibited:etl-down".to_string(), "inhibition etl-down", "抑制规则 etl-down"),
            ("of-a-later-version:x".to_string(), "of-a-later-version:x", "of-a-later-version:x"),
        ];
        for (reason, english, chinese) in table {
            assert_eq!(suppression(&reason, Language::En), english);
            assert_eq!(suppression(&reason, Language::Zh), chinese);
        }
    }
}
