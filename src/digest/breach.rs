//! Breaches: what took longer than a rule allows, and what was not there when it was due.

use std::time::Duration;

use jiff::Timestamp;

use super::rows::AlertRow;
use super::timing::between;
use crate::model::{BreachPart, ConditionKind, Stage};

/// The breach that an alert is about; none for alerts about other things, for a deadline that was only warned of, and for
/// one that was kept after all. `limit` is what its rule allows, for rules with a `duration`.
pub(super) fn breach(row: AlertRow, limit: Option<Duration>, now: Timestamp) -> Option<BreachPart> {
    match row.measures.condition {
        Some(ConditionKind::NotFinishedBy | ConditionKind::NotStartedBy | ConditionKind::Missing) => late(row, now),
        Some(ConditionKind::SlowerThanUsual) => {
            let limit_ms = row.measures.limit_ms;
            Some(too_long(row, limit_ms, now))
        }
        Some(ConditionKind::Consecutive | ConditionKind::FailureRate) => None,
        None => {
            let limit_ms = u64::try_from(limit?.as_millis()).ok();
            Some(too_long(row, limit_ms, now))
        }
    }
}

fn too_long(row: AlertRow, limit_ms: Option<u64>, now: Timestamp) -> BreachPart {
    let is_running = row.end_time.is_none() && row.is_firing;
    let so_far = if is_running { Some(now) } else { row.end_time };
    let duration_ms = between(row.start_time, so_far).or(row.duration_ms);
    let over_ms = duration_ms.zip(limit_ms).map(|(duration, limit)| duration.saturating_sub(limit));
    BreachPart { limit_ms, duration_ms, over_ms, is_running, ..part(row) }
}

fn late(row: AlertRow, now: Timestamp) -> Option<BreachPart> {
    let measures = &row.measures;
    // Whoever reads this after the deadline does not know of the run what the last poll before it did not.
    if row.is_firing && measures.stage == Some(Stage::Warning) {
        return None;
    }
    let over_ms = match row.is_firing {
        true => between(measures.due_at, Some(now)),
        false => Some(measures.late_ms?),
    };
    Some(BreachPart { over_ms, is_running: row.is_firing, ..part(row) })
}

fn part(row: AlertRow) -> BreachPart {
    BreachPart {
        rule: row.rule,
        severity: row.severity,
        labels: row.labels,
        source: row.source,
        job: row.job,
        instance: row.instance,
        kind: row.measures.condition.map_or("duration", ConditionKind::as_str).to_string(),
        limit_ms: None,
        duration_ms: None,
        over_ms: None,
        is_running: false,
        due_at: row.measures.due_at,
        due: row.measures.due.clone(),
        summary: String::new(),
    }
}

/// The worst first, and of them what went furthest beyond its limit.
pub(super) fn sorted(mut breaches: Vec<BreachPart>) -> Vec<BreachPart> {
    breaches.sort_by(|one, other| {
        let worst = |it: &BreachPart| (it.severity, it.over_ms);
        worst(other).cmp(&worst(one)).then_with(|| (&one.job, &one.rule).cmp(&(&other.job, &other.rule)))
    });
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{InstanceType, Measures, RuleId, Severity, SourceId};

    const MINUTE_MS: u64 = 60_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn row(is_firing: bool, measures: Measures) -> AlertRow {
        AlertRow {
            rule: RuleId::new("r"),
            severity: Severity::Error,
            source: SourceId::new("warehouse"),
            job: "etl".to_string(),
            instance: "1".to_string(),
            kind: InstanceType::Scheduled,
            is_new: true,
            since: at(-60),
            labels: Default::default(),
            error: None,
            is_about_job: false,
            is_firing,
            suppressed_by: None,
            start_time: Some(at(-60)),
            end_time: (!is_firing).then(|| at(-10)),
            duration_ms: None,
            measures: measures.into(),
        }
    }

    /// At minute 0: condition, whether it fires, its stage, how late it was told to be; by how many minutes it is a breach.
    #[test]
    fn what_is_late_says_by_how_much() {
        use ConditionKind::{Consecutive, FailureRate, Missing, NotFinishedBy, NotStartedBy};
        let cases = [
            (NotFinishedBy, true, None, Some(1), Some(30)),
            (NotStartedBy, true, Some(Stage::Overdue), Some(1), Some(30)),
            (Missing, true, None, Some(1), Some(30)),
            (NotFinishedBy, false, None, Some(20), Some(20)),
            (Missing, false, None, Some(20), Some(20)),
            // It was warned of, and then came in time.
            (NotFinishedBy, false, Some(Stage::Warning), None, None),
            // It was warned of, and came too late before anybody said so.
            (NotFinishedBy, false, Some(Stage::Warning), Some(2), Some(2)),
            (NotFinishedBy, true, Some(Stage::Warning), None, None),
            (Consecutive, true, None, None, None),
            (FailureRate, true, None, None, None),
        ];
        for (condition, is_firing, stage, told, over) in cases {
            let measures = Measures {
                condition: Some(condition),
                stage,
                due_at: Some(at(-30)),
                due: Some("06:30".to_string()),
                late_ms: told.map(|minutes| minutes * MINUTE_MS),
                ..Measures::default()
            };
            let breach = breach(row(is_firing, measures), None, at(0));
            let told = breach.as_ref().map(|breach| breach.over_ms.unwrap() / MINUTE_MS);
            assert_eq!(told, over, "{condition:?} {is_firing} {stage:?}");
            if let Some(breach) = breach {
                assert_eq!((breach.kind.as_str(), breach.is_running), (condition.as_str(), is_firing));
                assert_eq!((breach.due.as_deref(), breach.duration_ms), (Some("06:30"), None));
            }
        }
    }

    #[test]
    fn what_is_too_long_says_by_how_much() {
        let limit = Duration::from_secs(45 * 60);
        let over =
            |row, limit| breach(row, limit, at(0)).map(|breach| (breach.over_ms.unwrap() / MINUTE_MS, breach.kind));
        assert_eq!(over(row(true, Measures::default()), Some(limit)), Some((15, "duration".to_string())));
        assert_eq!(over(row(false, Measures::default()), Some(limit)), Some((5, "duration".to_string())));
        assert_eq!(over(row(false, Measures::default()), None), None, "a rule about failures");
        let slower = Measures {
            condition: Some(ConditionKind::SlowerThanUsual),
            limit_ms: Some(20 * MINUTE_MS),
            ..Measures::default()
        };
        assert_eq!(over(row(true, slower), None), Some((40, "slower-than-usual".to_string())));
    }
}
