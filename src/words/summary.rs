//! An alert in one line: what happened, and how long it took.

use std::time::Duration;

use super::Language;
use crate::model::{AlertFacts, ReasonCode};

/// What an alert says in one line, in this language: "etl_orders failed after 1m 0s", "settlement_daily 已运行 46 分 3 秒".
///
/// It is made of the stored facts alone, so it can be said again in another language at any time. Facts that were stored
/// without a reason, or with one of a later version, keep the line they were stored with.
///
/// For a new kind of condition: a [`ReasonCode`], its key under `summary` in each catalog, and an arm here; values that
/// it needs beyond those below become keys of [`crate::model::Reason`].
pub fn summary(facts: &AlertFacts, language: Language) -> String {
    let Some(reason) = &facts.alert.reason else { return facts.alert.summary.clone() };
    let instance = facts.instance.as_ref();
    let status = instance.map(|instance| instance.status.as_str()).unwrap_or_default();
    let key = match reason.code {
        ReasonCode::Status => format!("summary.status.{status}"),
        ReasonCode::Recovered if status == "forced-success" => "summary.settled".to_string(),
        ReasonCode::Other => return facts.alert.summary.clone(),
        code => format!("summary.{}", code.as_str()),
    };
    let raw = instance.map_or(facts.job.status.as_deref(), |instance| Some(&instance.raw_status)).unwrap_or_default();
    let lasted = reason.lasted_ms.map(|ms| language.duration(Duration::from_millis(ms))).unwrap_or_default();
    let limit = reason.limit_ms.map(|ms| language.limit(Duration::from_millis(ms))).unwrap_or_default();
    let status = language.word(status);
    // A sub-job's own name is its real-time job's and its node's with a `_` between them, and does not tell where one ends.
    let job = match (&facts.job.real_time_job, &facts.job.node) {
        (Some(job), Some(node)) => language.say("sub_job", &[("job", job), ("node", node)]),
        _ => facts.job.name.clone(),
    };
    let values =
        [("job", job.as_str()), ("status", &status), ("raw_status", raw), ("lasted", &lasted), ("limit", &limit)];
    language.say(&key, &values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        AlertId, AlertPart, AlertState, InstancePart, InstanceType, JobPart, Reason, RuleId, Severity, SourceId,
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
            },
            source: SourcePart { id: SourceId::new("s"), kind: "dataarts".to_string() },
            job: JobPart { name: "etl".to_string(), status: Some("NORMAL".to_string()), ..JobPart::default() },
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
            (Status::Fail, reason(status, minute, None), "etl failed after 1m 0s", "etl 运行 1 分钟后失败"),
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
                "etl recovered: it succeeded after 1m 0s",
                "etl 已恢复：运行 1 分钟后成功",
            ),
            (
                Status::ForcedSuccess,
                reason(Recovered, minute, None),
                "etl is settled: it was set to success by hand",
                "etl 已处理：被手动置为成功",
            ),
            (
                Status::Fail,
                reason(LaterRun, minute, None),
                "etl recovered: a later run succeeded after 1m 0s",
                "etl 已恢复：后续实例运行 1 分钟后成功",
            ),
            (
                Status::ManualStop,
                reason(Ended, minute, None),
                "etl ended (manual-stop) after 1m 0s",
                "etl 已结束（已取消），运行 1 分钟",
            ),
        ];
        for (status, reason, english, chinese) in table {
            let facts = facts(status, reason);
            assert_eq!(summary(&facts, Language::En), english);
            assert_eq!(summary(&facts, Language::Zh), chinese);
        }
    }

    #[test]
    fn a_sub_job_is_called_the_node_of_its_real_time_job() {
        let mut facts = facts(Status::Fail, reason(ReasonCode::Status, Some(60_000), None));
        (facts.job.real_time_job, facts.job.node) = (Some("stream".to_string()), Some("out".to_string()));
        assert_eq!(summary(&facts, Language::En), "node out of stream failed after 1m 0s");
        assert_eq!(summary(&facts, Language::Zh), "stream 的节点 out 运行 1 分钟后失败");
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
