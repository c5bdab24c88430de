//! The sample alert: a job that has just failed, or just recovered, with made-up values.

use jiff::{SignedDuration, Timestamp};

use crate::model::{
    AlertFacts, AlertId, AlertPart, AlertState, EndReason, Ended, InstancePart, InstanceType, JobPart, Lately,
    MessageKind, NodePart, Rare, Reason, ReasonCode, RuleId, Severity, SourceId, SourcePart, Status,
};
use crate::words;

/// The facts of the alert, as a message of this kind tells them.
pub(super) fn sample_facts(kind: MessageKind, now: Timestamp) -> AlertFacts {
    let ago = |seconds| now.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(now);
    let resolved = kind == MessageKind::AlertResolved;
    told(AlertFacts {
        alert: AlertPart {
            id: AlertId::new("sample"),
            rule: RuleId::new("etl-failed"),
            severity: Severity::Critical,
            state: if resolved { AlertState::Resolved } else { AlertState::Firing },
            starts_at: ago(63),
            ends_at: resolved.then_some(now),
            summary: String::new(),
            reason: Some(Reason {
                lasted_ms: Some(if resolved { 50_000 } else { 60_000 }),
                ..Reason::new(if resolved { ReasonCode::Recovered } else { ReasonCode::Status })
            }),
            measures: Rare::default(),
            held_back: None,
            labels: [("team".to_string(), "finance".to_string())].into(),
            escalation: None,
            history: (kind == MessageKind::AlertFiring).then(|| Box::new(sample_history(now))),
            acked: None,
            acked_before: None,
            links: Rare::default(),
            episode: 1,
            ended: resolved.then(|| Box::new(Ended { reason: EndReason::Recovered, by: None, note: None, at: now })),
        },
        source: SourcePart { id: SourceId::new("warehouse"), kind: "dataarts".to_string() },
        job: JobPart { name: "etl_orders".to_string(), id: Some("608627".to_string()), ..JobPart::default() },
        instance: Some(InstancePart {
            id: "34765".to_string(),
            name: Some("etl_orders".to_string()),
            status: if resolved { Status::Success } else { Status::Fail },
            raw_status: if resolved { "success" } else { "fail" }.to_string(),
            kind: InstanceType::Scheduled,
            plan_time: Some(ago(183)),
            start_time: Some(ago(if resolved { 50 } else { 123 })),
            end_time: Some(ago(if resolved { 0 } else { 63 })),
            duration_ms: Some(if resolved { 50_000 } else { 60_000 }),
            url: None,
            error: (!resolved)
                .then(|| "ERROR: relation \"ods.orders\" does not exist\n  at line 12 of load_orders.sql".to_string()),
            workflow_instance: None,
        }),
        failing_nodes: vec![NodePart {
            name: "load_orders".to_string(),
            kind: Some("DWS SQL".to_string()),
            status: Status::Fail,
            retries: Some(2),
            start_time: Some(ago(103)),
            end_time: Some(ago(63)),
            log_path: Some("obs://dlf-log/etl_orders/2026-11-21 08_00_00.000/load_orders/load_orders.job".to_string()),
            log_tail: None,
        }],
        node_details: "ok".to_string(),
    })
}

/// The facts with the line that their reason comes to.
pub(super) fn told(mut facts: AlertFacts) -> AlertFacts {
    facts.alert.summary = words::stored_summary(&facts);
    facts
}

/// How its job fared before.
pub(super) fn sample_history(now: Timestamp) -> Lately {
    let ago = |hours| now.saturating_sub(SignedDuration::from_hours(hours)).unwrap_or(now);
    Lately {
        runs: 42,
        failed: 3,
        last_success_at: Some(ago(24)),
        usual_ms: Some(55_000),
        last_ended: Some(Ended { reason: EndReason::Recovered, by: None, note: None, at: ago(50) }),
        last_lasted_ms: Some(1_500_000),
    }
}
