//! Sample digests: what `check` renders the templates of digests with, and what a golden file shows.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::model::{
    AlertsPart, BarPart, BreachPart, ChangePart, ChartPart, CompletenessPart, DigestFacts, DigestPart, GapCause,
    GapPart, Labels, Listed, Message, MessageData, MessageKind, Outcomes, PeriodPart, ReasonCount, RuleId, RunPart,
    Severity, SourceId, SourceLine, Status, StatusCount, TotalsPart, TroublePart, UsualRange, VerdictPart,
    VerdictState,
};
use crate::words::{Language, say_digest};

const MINUTE_MS: u64 = 60_000;
/// Items in each list of a long sample: more than any template shows.
const LONG: usize = 25;
/// Bytes of each text in one: longer names than anybody gives, fifty times over, would be no sample of anything.
const TEXT_BYTES_MAX: usize = 400;

/// A digest with made-up values, as if an ordinary night had ended at `now`.
pub fn sample_digest(now: Timestamp) -> Message {
    let mut facts = ordinary(now);
    say_digest(&mut facts, Language::En);
    Message { kind: MessageKind::Digest, timestamp: now, data: MessageData::Digest(Box::new(facts)) }
}

/// Every sample digest with its name: an ordinary one, one of a quiet night, one in which nothing could be read, one in
/// which all ran and some was late, one whose
/// lists are as long and whose texts as strange as they get.
pub fn digest_samples() -> Vec<(String, Message)> {
    let now = Timestamp::from_second(1_795_219_503).unwrap_or(Timestamp::UNIX_EPOCH);
    let message = |name: &str, mut facts: DigestFacts| {
        say_digest(&mut facts, Language::En);
        let data = MessageData::Digest(Box::new(facts));
        (format!("digest {name}"), Message { kind: MessageKind::Digest, timestamp: now, data })
    };
    vec![
        message("ordinary", ordinary(now)),
        message("well", well(now)),
        message("quiet", empty(now, VerdictState::Quiet)),
        message("unknown", unknown(now)),
        message("late", late(now)),
        message("cjk", with_texts(now, &["订单日结算", "受注集計_日次", "주문_정산"], 3)),
        message("huge", with_texts(now, &["订单etl_orders".repeat(100).as_str()], LONG)),
        message("hostile", with_texts(now, &[super::sample::HOSTILE], LONG)),
    ]
}

fn ago(now: Timestamp, minutes: i64) -> Timestamp {
    now.saturating_sub(SignedDuration::from_mins(minutes)).unwrap_or(now)
}

fn warehouse() -> SourceId {
    SourceId::new("warehouse")
}

fn empty(now: Timestamp, state: VerdictState) -> DigestFacts {
    DigestFacts {
        digest: DigestPart {
            name: "daily".to_string(),
            due_at: ago(now, 0),
            missed: 0,
            first_missed_at: None,
            preview: false,
            timezone: "Asia/Shanghai".to_string(),
        },
        period: PeriodPart { from: ago(now, 24 * 60), until: now },
        completeness: CompletenessPart {
            complete: true,
            read_until: Some(ago(now, 0)),
            gaps: Listed::default(),
            sources: vec![SourceLine {
                id: warehouse(),
                read_until: Some(ago(now, 0)),
                unreadable_since: None,
                totals: Outcomes::default(),
            }],
        },
        verdict: VerdictPart { state, summary: String::new() },
        broken: Listed::default(),
        recovered: Listed::default(),
        breaches: Listed::default(),
        running_long: Listed::default(),
        slowest: Listed::default(),
        changed: Listed::default(),
        totals: TotalsPart::default(),
        open: Vec::new(),
        alerts: AlertsPart::default(),
        chart: ChartPart { unit: "hour".to_string(), bars: Vec::new() },
    }
}

fn well(now: Timestamp) -> DigestFacts {
    let outcomes = Outcomes { ended: 1210, ok: 1210, failed: 0, other: 0 };
    let mut facts = empty(now, VerdictState::Well);
    facts.totals.outcomes = outcomes;
    facts.totals.by_status = vec![StatusCount { status: Status::Success, count: 1210 }];
    facts.completeness.sources[0].totals = outcomes;
    facts.chart.bars = bars(now, false);
    facts
}

fn unknown(now: Timestamp) -> DigestFacts {
    let mut facts = empty(now, VerdictState::Unknown);
    facts.completeness.complete = false;
    facts.completeness.read_until = None;
    facts.completeness.sources[0].read_until = None;
    facts.completeness.sources[0].unreadable_since = Some(ago(now, 90));
    facts.completeness.gaps = Listed::of(vec![gap(now, GapCause::Unreadable, None)], 1);
    facts
}

fn late(now: Timestamp) -> DigestFacts {
    let mut facts = well(now);
    facts.verdict.state = VerdictState::Late;
    facts.breaches = Listed::of(breaches(now), 4);
    facts
}

fn gap(now: Timestamp, cause: GapCause, until: Option<Timestamp>) -> GapPart {
    let reason = "403: the access key is disabled".to_string();
    GapPart { source: warehouse(), cause, from: ago(now, 360), until, reason, runs: None, failed: None }
}

fn bars(now: Timestamp, has_failures: bool) -> Vec<BarPart> {
    (0..24)
        .map(|hour: u64| {
            let starts_at = ago(now, i64::try_from(24 - hour).unwrap_or(0) * 60);
            let ok = [3, 8, 15, 60, 140, 220, 180, 90][hour as usize % 8];
            let failed = if has_failures && [11, 13, 19].contains(&hour) { hour / 5 } else { 0 };
            let other = u64::from(has_failures && hour == 14);
            let outcomes = Outcomes { ended: ok + failed + other, ok, failed, other };
            BarPart { starts_at, label: format!("{:02}", (hour + 8) % 24), outcomes }
        })
        .collect()
}

fn trouble(now: Timestamp, job: &str, minutes: i64, recovered_by: Option<&str>) -> TroublePart {
    TroublePart {
        severity: Some(Severity::Error),
        labels: Labels::from([("team".to_string(), "finance".to_string())]),
        source: warehouse(),
        job: job.to_string(),
        instance: "34765".to_string(),
        status: if recovered_by.is_some() { Status::Success } else { Status::Fail },
        since: Some(ago(now, minutes)),
        failures: 1,
        is_new: true,
        recovered_by: recovered_by.map(str::to_string),
        node: None,
        log_path: None,
        error: None,
    }
}

fn run(now: Timestamp, job: &str, minutes: u64, usual: Option<(u64, u64)>, status: Status) -> RunPart {
    RunPart {
        source: warehouse(),
        job: job.to_string(),
        instance: "34765".to_string(),
        status,
        start_time: Some(ago(now, i64::try_from(minutes).unwrap_or(0))),
        duration_ms: minutes * MINUTE_MS,
        usual: usual.map(|(from, to)| UsualRange { from_ms: from * MINUTE_MS, to_ms: to * MINUTE_MS, runs: 60 }),
    }
}

fn ordinary(now: Timestamp) -> DigestFacts {
    let outcomes = Outcomes { ended: 2168, ok: 2157, failed: 8, other: 3 };
    let mut facts = empty(now, VerdictState::Broken);
    facts.digest.missed = 1;
    facts.digest.first_missed_at = Some(ago(now, 24 * 60));
    facts.completeness.gaps = Listed::of(vec![gap(now, GapCause::Unreadable, Some(ago(now, 300)))], 1);
    facts.completeness.sources[0].totals = outcomes;
    let mut orders = trouble(now, "etl_orders", 295, None);
    orders.failures = 3;
    orders.node = Some("load_orders".to_string());
    orders.log_path = Some("obs://dlf-log/etl_orders/2026-11-21 03_10_00.000/load_orders/load_orders.job".to_string());
    orders.error = Some("ERROR: relation \"ods.orders\" does not exist".to_string());
    let mut report = trouble(now, "report_daily", 40, None);
    report.status = Status::RunningException;
    let mut refunds = trouble(now, "etl_refunds", 2000, None);
    (refunds.is_new, refunds.failures) = (false, 0);
    orders.severity = Some(Severity::Critical);
    let mut stream = trouble(now, "stream_clicks", 130, None);
    (stream.instance, stream.failures) = (String::new(), 0);
    stream.status = Status::RunningException;
    let loads = ["load_items", "load_stores", "load_users"].map(|job| {
        let mut load = trouble(now, job, 94, None);
        load.error = Some("connection to dws-prod refused".to_string());
        load
    });
    let broken: Vec<TroublePart> = [orders, refunds, stream].into_iter().chain(loads).chain([report]).collect();
    facts.broken = Listed::of(broken, 7);
    let recovered = [("etl_users", "rerun"), ("etl_stock", "later"), ("etl_tmp_load", "stopped")];
    facts.recovered =
        Listed::of(recovered.iter().map(|(job, by)| trouble(now, job, 400, Some(by))).collect::<Vec<_>>(), 3);
    facts.breaches = Listed::of(breaches(now), 4);
    facts.running_long = Listed::of(vec![run(now, "dws_sync_customers", 95, Some((30, 42)), Status::Running)], 1);
    facts.slowest = Listed::of(
        vec![
            run(now, "rebuild_index", 183, Some((170, 190)), Status::Success),
            run(now, "settlement_daily", 72, Some((30, 41)), Status::Success),
            run(now, "ml_features", 58, Some((50, 65)), Status::Success),
        ],
        3,
    );
    facts.changed = Listed::of(
        vec![ChangePart {
            source: warehouse(),
            job: "settlement_daily".to_string(),
            runs: 1,
            mean_ms: 72 * MINUTE_MS,
            runs_before: 1,
            mean_before_ms: 36 * MINUTE_MS,
            percent: 100,
        }],
        1,
    );
    let by_status = [(Status::Success, 2157), (Status::Fail, 8), (Status::ManualStop, 3)];
    facts.totals =
        TotalsPart { outcomes, by_status: by_status.map(|(status, count)| StatusCount { status, count }).into() };
    facts.open =
        vec![StatusCount { status: Status::Waiting, count: 12 }, StatusCount { status: Status::Running, count: 4 }];
    facts.alerts = AlertsPart {
        fired: 9,
        firing: 3,
        suppressed: 7,
        suppressed_by: [("first-poll", 2), ("mute-window:nights", 4), ("silence:3", 1)]
            .map(|(reason, count)| ReasonCount { reason: reason.to_string(), count, summary: String::new() })
            .into(),
    };
    facts.chart.bars = bars(now, true);
    facts
}

/// One that took too long, one that is late, one that came late, and one that nobody ran.
fn breaches(now: Timestamp) -> Vec<BreachPart> {
    let breach = |rule: &str, job: &str, kind: &str, over: u64| BreachPart {
        rule: RuleId::new(rule),
        severity: Severity::Warning,
        labels: Labels::new(),
        source: warehouse(),
        job: job.to_string(),
        instance: String::new(),
        kind: kind.to_string(),
        limit_ms: None,
        duration_ms: None,
        over_ms: Some(over * MINUTE_MS),
        is_running: false,
        due_at: Some(ago(now, i64::try_from(over).unwrap_or(0))),
        due: Some("06:30".to_string()),
        summary: String::new(),
    };
    let settlement = BreachPart {
        instance: "34801".to_string(),
        limit_ms: Some(45 * MINUTE_MS),
        duration_ms: Some(72 * MINUTE_MS),
        due_at: None,
        due: None,
        ..breach("settlement-slow", "settlement_daily", "duration", 27)
    };
    let report = BreachPart { is_running: true, ..breach("report-ready", "report_daily", "not-finished-by", 95) };
    let backup = BreachPart {
        is_running: true,
        due: Some("04:00".to_string()),
        ..breach("backup-runs", "backup_ledgers", "missing", 245)
    };
    let users = breach("users-ready", "etl_users", "not-finished-by", 12);
    vec![backup, report, settlement, users]
}

/// The ordinary one with these texts for every name, and lists of `length`.
fn with_texts(now: Timestamp, texts: &[&str], length: usize) -> DigestFacts {
    let text = |index: usize| super::sample::cut(texts[index % texts.len()], TEXT_BYTES_MAX).to_string();
    let mut facts = ordinary(now);
    fn filled<T: Clone>(list: &Listed<T>, length: usize, mut change: impl FnMut(&mut T, usize)) -> Listed<T> {
        let mut all = vec![list.shown[0].clone(); length];
        all.iter_mut().enumerate().for_each(|(index, item)| change(item, index));
        Listed { total: length as u64 * 3, shown: all }
    }
    let troubled = |part: &mut TroublePart, index: usize| {
        part.job = text(index);
        part.source = SourceId::new(text(index));
        part.node = Some(text(index));
        part.log_path = Some(text(index));
        part.error = Some(text(index));
    };
    facts.broken = filled(&facts.broken, length, troubled);
    facts.recovered = filled(&facts.recovered, length, troubled);
    facts.breaches = filled(&facts.breaches, length, |part, index| {
        part.job = text(index);
        part.due = Some(text(index));
    });
    facts.alerts.suppressed_by[1].reason = format!("mute-window:{}", text(0));
    facts.running_long = filled(&facts.running_long, length, |part, index| part.job = text(index));
    facts.slowest = filled(&facts.slowest, length, |part, index| part.job = text(index));
    facts.changed = filled(&facts.changed, length, |part, index| part.job = text(index));
    facts.completeness.gaps = filled(&facts.completeness.gaps, length, |gap, index| {
        gap.source = SourceId::new(text(index));
        gap.cause = GapCause::ALL[index % GapCause::ALL.len()];
        gap.reason = text(index);
    });
    facts
}

/// The shape of the data: every key there is, none of them null, one item in each list.
pub(super) fn shape() -> Value {
    let message = sample_digest(Timestamp::UNIX_EPOCH);
    let mut shape = serde_json::to_value(&message).unwrap_or_default();
    fill(&mut shape);
    if let Value::Object(map) = &mut shape {
        map.insert("receiver".to_string(), serde_json::json!({ "id": "team", "timezone": "UTC", "language": "en" }));
        map.insert("level".to_string(), Value::from("digest"));
        map.insert("headline".to_string(), Value::from("daily: all well"));
        let line =
            serde_json::json!({ "level": "error", "text": "etl, since 03:10", "names": "a, b", "node": "node load" });
        map.insert("lines".to_string(), Value::from(vec![line]));
        let late = serde_json::json!({ "is_over": true, "text": "etl not finished by 06:30", "names": "a, b" });
        map.insert("late".to_string(), Value::from(vec![late]));
        let trouble = serde_json::json!({
            "level": "error", "text": "etl, since 03:10", "source": "warehouse", "names": "a, b", "node": "load",
            "log_path": "obs://log", "error": "refused",
        });
        map.insert("troubles".to_string(), Value::from(vec![trouble]));
    }
    shape
}

/// Nulls have a value too: only their names count.
fn fill(value: &mut Value) {
    match value {
        Value::Null => *value = Value::Bool(true),
        Value::Array(items) => items.iter_mut().for_each(fill),
        Value::Object(map) => map.values_mut().for_each(fill),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_knows_what_is_inside_every_list() {
        let shape = shape();
        for path in ["/data/broken/shown/0/log_path", "/data/slowest/shown/0/usual/to_ms", "/data/open/0/status"] {
            assert!(shape.pointer(path).is_some(), "{path}");
        }
    }
}
