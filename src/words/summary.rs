//! An alert in one line: what happened, and how long it took.

use std::time::Duration;

use super::language::Language;
use crate::model::{AlertFacts, AlertState, Measures, Reason, ReasonCode, ReceiverId, Stage};
use crate::yaml::full_duration_text;

/// What an alert says in one line, in this language: "etl_orders failed after 1m", "settlement_daily 已运行 46 分 3 秒".
///
/// It is made of the stored facts alone, so it can be said again in another language at any time. Facts that were stored
/// without a reason, or with one of a later version, keep the line they were stored with.
///
/// For a new kind of condition: a [`ReasonCode`], its key under `summary` in each catalog, and an arm here; values that
/// it needs beyond those below become keys of [`crate::model::Reason`].
pub fn summary(facts: &AlertFacts, language: Language) -> String {
    line(facts, language, Language::duration)
}

/// The same line as it is stored and as the webhook body has it: in English, and with both units of how long it took, "etl_orders
/// failed after 1m 0s". Programs may read it, so it keeps its form.
pub fn stored_summary(facts: &AlertFacts) -> String {
    line(facts, Language::En, |_, duration| full_duration_text(duration))
}

/// How a duration is written in a line.
type Written = fn(Language, Duration) -> String;

fn line(facts: &AlertFacts, language: Language, written: Written) -> String {
    match by_reason(facts, language, written) {
        // Whoever is told later need not know that the first telling was late, too.
        Some(line) if facts.alert.escalation.is_some() => line + &escalation(facts, language),
        Some(line) => line + &again(facts, language) + &held_back(facts, language) + &acked(facts, language),
        None => facts.alert.summary.clone(),
    }
}

/// What is added to the line of a run that failed before and has failed again.
fn again(facts: &AlertFacts, language: Language) -> String {
    let is_again = facts.alert.episode > 1 && facts.alert.state == AlertState::Firing;
    let number = facts.alert.episode.to_string();
    if is_again { language.say("summary.again", &[("n", &number)]) } else { String::new() }
}

/// What is added to the line of an alert that was held back and is told late: by what, until when and why. Empty for
/// every other; its end needs no excuse any more.
pub fn held_back(facts: &AlertFacts, language: Language) -> String {
    let Some(held_back) = facts.alert.held_back.as_ref().filter(|_| facts.alert.state == AlertState::Firing) else {
        return String::new();
    };
    let (kind, name) = held_back.by.split_once(':').unwrap_or((&held_back.by, ""));
    let key = format!("held_back.{kind}");
    let key = if language.phrase(&key).is_some() { key.as_str() } else { "held_back.other" };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (who, why) = (text(&held_back.who), text(&held_back.reason));
    language.say(key, &[("name", name), ("by", &held_back.by), ("who", &who), ("why", &why)])
}

/// What is added to the line of an alert that somebody has acknowledged since it was told.
fn acked(facts: &AlertFacts, language: Language) -> String {
    let ack = facts.alert.acked.as_ref().filter(|_| facts.alert.state == AlertState::Firing);
    ack.map(|ack| language.say("ack.mark", &[("who", &ack.by)])).unwrap_or_default()
}

/// What is added to the line of an alert that goes further: who was told before, how long ago, and whether anybody is on
/// it. Empty for every other.
pub fn escalation(facts: &AlertFacts, language: Language) -> String {
    let Some(note) = facts.alert.escalation.as_ref().filter(|_| facts.alert.state == AlertState::Firing) else {
        return String::new();
    };
    let listed = |receivers: &[ReceiverId]| {
        let names: Vec<&str> = receivers.iter().map(ReceiverId::as_str).collect();
        names.join(&language.say("escalation.and", &[]))
    };
    let (told, unreached) = (listed(&note.told), listed(&note.unreached));
    let ago = language.duration(Duration::from_millis(note.after_ms));
    let values = [("told", told.as_str()), ("unreached", &unreached), ("ago", &ago)];
    match &note.acked_by {
        Some(who) => language.say("escalation.acked", &[&values[..], &[("who", who)]].concat()),
        None => language.say("escalation.nobody", &values),
    }
}

fn by_reason(facts: &AlertFacts, language: Language, written: Written) -> Option<String> {
    let reason = facts.alert.reason.as_ref()?;
    let instance = facts.instance.as_ref();
    let status = instance.map(|instance| instance.status.as_str()).unwrap_or_default();
    let key = match reason.code {
        ReasonCode::Status => format!("summary.status.{status}"),
        ReasonCode::Recovered if status == "forced-success" => "summary.settled".to_string(),
        ReasonCode::JobStatus if facts.job.more.status.as_deref() == Some("EXCEPTION") => {
            "summary.job-exception".to_string()
        }
        ReasonCode::JobStatus if facts.job.more.status.as_deref() == Some("STOPPED") => {
            "summary.job-stopped".to_string()
        }
        ReasonCode::Other => return None,
        code => format!("summary.{}", code.as_str()),
    };
    let key = match key_of_deadline(facts, reason) {
        Some(part) => format!("{key}.{part}"),
        None => key,
    };
    let raw =
        instance.map_or(facts.job.more.status.as_deref(), |instance| Some(&instance.raw_status)).unwrap_or_default();
    let lasted = reason.lasted_ms.map(|ms| written(language, Duration::from_millis(ms))).unwrap_or_default();
    let limit = reason.limit_ms.map(|ms| language.duration(Duration::from_millis(ms))).unwrap_or_default();
    let did = instance.map(|run| did(run.status.as_str(), &run.raw_status, &lasted, language)).unwrap_or_default();
    let found = Found::of(&facts.alert.measures, language, written);
    let limit = if found.limit.is_empty() { limit } else { found.limit };
    let status = language.word(status);
    // A sub-job's own name is its real-time job's and its node's with a `_` between them, and does not tell where one ends.
    let job = match (&facts.job.more.real_time_job, &facts.job.more.node) {
        (Some(job), Some(node)) => language.say("sub_job", &[("job", job), ("node", node)]),
        _ if matches!(reason.code, ReasonCode::LoopFailing | ReasonCode::LoopWorks) => {
            language.loop_name(&facts.job.name)
        }
        _ => facts.job.name.clone(),
    };
    let ended = facts.alert.ended.as_ref();
    let values = [
        ("who", ended.and_then(|ended| ended.by.as_deref()).unwrap_or_default()),
        ("why", ended.and_then(|ended| ended.note.as_deref()).unwrap_or_default()),
        ("did", did.as_str()),
        ("failed", &found.failed),
        ("counted", &found.counted),
        ("share", &found.share),
        ("share_limit", &found.share_limit),
        ("usual", &found.usual),
        ("due", &found.due),
        ("met", &found.met),
        ("late", &found.late),
        ("missed", &found.missed),
        ("job", &job),
        ("source", facts.source.id.as_str()),
        ("status", &status),
        ("raw_status", raw),
        ("lasted", &lasted),
        ("limit", &limit),
    ];
    Some(language.say(&key, &values))
}

/// Which of the lines about a deadline is said, and about a missing run.
fn key_of_deadline(facts: &AlertFacts, reason: &Reason) -> Option<&'static str> {
    let is_over = facts.alert.state == AlertState::Resolved;
    let has_run = facts.instance.is_some() || reason.lasted_ms.is_some();
    let is_warning = facts.alert.measures.stage == Some(Stage::Warning);
    match (reason.code, is_over, is_warning, has_run) {
        (ReasonCode::Missing, false, ..) => Some("now"),
        (ReasonCode::Missing | ReasonCode::NotFinishedBy | ReasonCode::NotStartedBy, true, ..) => Some("over"),
        (ReasonCode::NotFinishedBy | ReasonCode::NotStartedBy, false, is_warning, has_run) => {
            Some(match (is_warning, has_run) {
                (true, true) => "soon",
                (true, false) => "soon-none",
                (false, true) => "late",
                (false, false) => "late-none",
            })
        }
        _ => None,
    }
}

/// What a run does or did, without its name: "failed after 1m 0s".
fn did(status: &str, raw_status: &str, lasted: &str, language: Language) -> String {
    let said = language.say(&format!("summary.status.{status}"), &[("lasted", lasted), ("raw_status", raw_status)]);
    said.trim().to_string()
}

/// The numbers of a condition on history or clock, in words; empty where there are none.
#[derive(Default)]
struct Found {
    failed: String,
    counted: String,
    share: String,
    share_limit: String,
    usual: String,
    limit: String,
    due: String,
    /// The due time, where it was met.
    met: String,
    late: String,
    missed: String,
}

impl Found {
    fn of(measures: &Measures, language: Language, written: Written) -> Found {
        let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        let limit = |ms: Option<u64>| ms.map(|ms| language.duration(Duration::from_millis(ms))).unwrap_or_default();
        let due = measures.due.clone().unwrap_or_default();
        let share = measures
            .runs_failed
            .zip(measures.runs_counted)
            .map(|(failed, counted)| format!("{:.0}", f64::from(failed) * 100.0 / f64::from(counted.max(1))));
        Found {
            failed: number(measures.runs_failed),
            counted: number(measures.runs_counted),
            share: share.unwrap_or_default(),
            share_limit: measures.limit_percent.map(|limit| limit.to_string()).unwrap_or_default(),
            usual: limit(measures.usual_ms),
            limit: limit(measures.limit_ms),
            met: if measures.late_ms.is_none() { due.clone() } else { String::new() },
            // A deadline is mostly seen to have passed within milliseconds: that is no news.
            late: measures
                .late_ms
                .filter(|ms| *ms >= 1000)
                .map(|ms| written(language, Duration::from_millis(ms)))
                .unwrap_or_default(),
            // One due time is the one that is named.
            missed: number(measures.due_times_missed.filter(|missed| *missed > 1)),
            due,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        AlertId, AlertPart, HeldBack, InstancePart, InstanceType, JobMore, JobPart, Rare, RuleId, Severity, SourceId,
        SourcePart, Status,
    };

    fn facts(status: Status, reason: Option<Reason>) -> AlertFacts {
        let now = jiff::Timestamp::UNIX_EPOCH;
        AlertFacts {
            alert: AlertPart {
                id: AlertId::new("a"),
                rule: RuleId::new("r"),
                severity: Severity::Error,
                state: AlertState::Firing,
                starts_at: now,
                ends_at: None,
                summary: "as it was stored".to_string(),
                reason,
                measures: Rare::default(),
                held_back: None,
                labels: Default::default(),
                escalation: None,
                episode: 1,
                ended: None,
                history: None,
                acked: None,
                acked_before: None,
                links: Rare::default(),
            },
            source: SourcePart { id: SourceId::new("s"), kind: "dataarts".to_string() },
            job: JobPart {
                name: "etl".to_string(),
                more: Rare::from(JobMore { status: Some("NORMAL".to_string()), ..JobMore::default() }),
                ..JobPart::default()
            },
            instance: Some(InstancePart {
                id: "1".to_string(),
                name: None,
                status,
                raw_status: "ODD".to_string(),
                kind: InstanceType::Scheduled,
                plan_time: None,
                start_time: None,
                end_time: None,
                duration_ms: None,
                url: None,
                error: None,
                workflow_instance: None,
            }),
            failing_nodes: Vec::new(),
            node_details: "ok".to_string(),
        }
    }

    fn reason(code: ReasonCode, lasted_ms: Option<u64>, limit_ms: Option<u64>) -> Option<Reason> {
        Some(Reason { lasted_ms, limit_ms, ..Reason::new(code) })
    }

    #[test]
    fn reasons_in_words() {
        use ReasonCode::{Ended, LaterRun, Recovered};
        let (minute, limit) = (Some(60_000), Some(2_700_000));
        let status = ReasonCode::Status;
        let table = [
            (Status::Fail, reason(status, minute, None), "etl failed after 1m", "etl 运行 1 分钟后失败"),
            (Status::Fail, reason(status, None, None), "etl failed", "etl 失败"),
            (
                Status::Running,
                reason(status, Some(2_763_000), limit),
                "etl has been running for 46m 3s (limit 45m)",
                "etl 正在运行，已持续 46 分 3 秒（阈值 45 分钟）",
            ),
            (
                Status::Unknown,
                reason(status, None, None),
                "etl is in a state Nightbell does not know: ODD",
                "etl 处于 Nightbell 无法识别的状态：ODD",
            ),
            (
                Status::Success,
                reason(Recovered, minute, None),
                "etl recovered: it succeeded after 1m",
                "etl 已恢复：运行 1 分钟后成功",
            ),
            (
                Status::ForcedSuccess,
                reason(Recovered, minute, None),
                "etl was marked successful by hand",
                "etl 已被手动置为成功",
            ),
            (
                Status::Fail,
                reason(LaterRun, minute, None),
                "etl recovered: a later run succeeded after 1m",
                "etl 已恢复：后续实例运行 1 分钟后成功",
            ),
            (
                Status::ManualStop,
                reason(Ended, minute, None),
                "etl ended (manual-stop) after 1m",
                "etl 已结束（已取消），运行 1 分钟",
            ),
        ];
        for (status, reason, english, chinese) in table {
            let facts = facts(status, reason);
            assert_eq!(summary(&facts, Language::En), english);
            assert_eq!(summary(&facts, Language::Zh), chinese);
        }
    }

    /// Programs read the line of the webhook body; people read the one of messages.
    #[test]
    fn the_stored_line_keeps_both_units() {
        let facts = facts(Status::Fail, reason(ReasonCode::Status, Some(60_000), Some(2_700_000)));
        assert_eq!(stored_summary(&facts), "etl failed after 1m 0s (limit 45m)");
        assert_eq!(summary(&facts, Language::En), "etl failed after 1m (limit 45m)");
    }

    #[test]
    fn a_sub_job_is_called_the_node_of_its_real_time_job() {
        let mut facts = facts(Status::Fail, reason(ReasonCode::Status, Some(60_000), None));
        (facts.job.more.real_time_job, facts.job.more.node) = (Some("stream".to_string()), Some("out".to_string()));
        assert_eq!(summary(&facts, Language::En), "node out of stream failed after 1m");
        assert_eq!(summary(&facts, Language::Zh), "stream 的节点 out 运行 1 分钟后失败");
    }

    #[test]
    fn what_history_and_clock_have_found_in_words() {
        let late = Measures { due: Some("06:30".into()), late_ms: Some(60_000), ..Measures::default() };
        let soon = Measures { stage: Some(Stage::Warning), late_ms: None, ..late.clone() };
        let row = Measures { runs_failed: Some(3), ..Measures::default() };
        let rate =
            Measures { runs_failed: Some(6), runs_counted: Some(20), limit_percent: Some(25.0), ..Measures::default() };
        let slow = Measures { usual_ms: Some(1_200_000), limit_ms: Some(2_400_000), ..Measures::default() };
        let fell = Measures { runs_failed: Some(1), ..Measures::default() };
        use ReasonCode::{Consecutive, FailureRate, Missing, NotFinishedBy, Recovered, RowFell, SlowerThanUsual};
        let table = [
            (
                Status::Fail,
                Consecutive,
                row,
                "etl failed 3 times in a row: the last run failed after 1m",
                "etl 连续失败 3 次：最近一次运行 1 分钟后失败",
            ),
            (Status::Fail, RowFell, fell, "etl recovered: 1 failure in a row now", "etl 已恢复：现连续失败 1 次"),
            (
                Status::Fail,
                FailureRate,
                rate,
                "etl fails too often: 6 of its last 20 runs failed (30%, limit 25%)",
                "etl 失败过多：最近 20 次运行中失败 6 次（30%，阈值 25%）",
            ),
            (
                Status::Running,
                SlowerThanUsual,
                slow,
                "etl has been running for 1m, usually 20m (limit 40m)",
                "etl 正在运行，已持续 1 分钟，通常 20 分钟（阈值 40 分钟）",
            ),
            (
                Status::Running,
                NotFinishedBy,
                late.clone(),
                "etl has not finished by 06:30 (1m late): it has been running for 1m",
                "etl 未在 06:30 前完成（已延迟 1 分钟）：正在运行，已持续 1 分钟",
            ),
            (
                Status::Running,
                NotFinishedBy,
                soon.clone(),
                "etl has not finished (due 06:30): it has been running for 1m",
                "etl 尚未完成，截止时间 06:30：正在运行，已持续 1 分钟",
            ),
            (
                Status::Running,
                Missing,
                late.clone(),
                "etl did not run at 06:30: no run was planned or started",
                "etl 在 06:30 没有运行：未找到该时间的实例",
            ),
            (
                Status::Success,
                Recovered,
                late,
                "etl recovered: it succeeded after 1m, 1m after 06:30",
                "etl 已恢复：运行 1 分钟后成功，比 06:30 晚 1 分钟",
            ),
            (
                Status::Success,
                Recovered,
                soon,
                "etl recovered: it succeeded after 1m, in time for 06:30",
                "etl 已恢复：运行 1 分钟后成功，未超过 06:30",
            ),
        ];
        for (status, code, measures, english, chinese) in table {
            let mut facts = facts(status, reason(code, Some(60_000), None));
            facts.alert.measures = measures.into();
            assert_eq!(summary(&facts, Language::En), english);
            assert_eq!(summary(&facts, Language::Zh), chinese);
        }
    }

    #[test]
    fn what_was_held_back_says_so_until_it_is_over() {
        let by = |by: &str, who: Option<&str>| HeldBack {
            by: by.to_string(),
            who: who.map(str::to_string),
            reason: who.map(|_| "deploy".to_string()),
            until: jiff::Timestamp::UNIX_EPOCH,
        };
        let table = [
            (
                by("silence:3", Some("wang")),
                "etl failed (held back until now by silence 3 of wang: deploy)",
                "etl 失败（此前被静默 3 暂缓通知，设置人：wang，原因：deploy）",
            ),
            (
                by("mute-window:nights", None),
                "etl failed (held back until now by the mute window nights)",
                "etl 失败（此前被静默时段 nights 暂缓通知）",
            ),
            (
                by("moon:full", None),
                "etl failed (held back until now by moon:full)",
                "etl 失败（此前被 moon:full 暂缓通知）",
            ),
        ];
        for (held_back, english, chinese) in table {
            let mut facts = facts(Status::Fail, reason(ReasonCode::Status, None, None));
            facts.alert.held_back = Some(Box::new(held_back));
            assert_eq!(summary(&facts, Language::En), english);
            assert_eq!(summary(&facts, Language::Zh), chinese);
            facts.alert.state = AlertState::Resolved;
            assert_eq!(summary(&facts, Language::En), "etl failed");
        }
    }

    /// What an older or a newer version stored keeps the line it was stored with.
    #[test]
    fn facts_without_a_known_reason_keep_their_line() {
        assert_eq!(summary(&facts(Status::Fail, None), Language::Zh), "as it was stored");
        let newer: Reason = serde_json::from_str("{\"code\": \"of-tomorrow\", \"x\": 1}").unwrap();
        assert_eq!(summary(&facts(Status::Fail, Some(newer)), Language::Zh), "as it was stored");
        for code in ReasonCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
