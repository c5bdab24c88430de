//! Sample messages: what `check` renders every template with, and what a test message says.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::sample_alert::{sample_facts, sample_history, told};
use crate::limits::{FIELD_BYTES_MAX, INSTANCE_ERROR_BYTES_MAX, LABEL_BYTES_MAX, NODES_MAX, REASON_BYTES_MAX};
use crate::model::{
    Ack, AlertFacts, AlertPart, AlertState, ConditionKind, EndReason, Ended, Escalation, GroupFacts, HeldBack,
    InstancePart, InstanceType, JobMore, JobPart, Measures, Message, MessageData, MessageKind, NodePart, Piece, Prose,
    Rare, Reason, ReasonCode, ReceiverId, RuleId, Severity, SourceId, Stage, Status,
};

/// A message with made-up values, as if an ordinary job had just failed.
pub fn sample_message(kind: MessageKind, now: Timestamp) -> Message {
    Message { kind, timestamp: now, data: MessageData::Alert(Box::new(sample_facts(kind, now))) }
}

/// Every sample message with its name: of each kind an ordinary one, one in which all that may be null is, one whose
/// texts are as long as they get, and one whose texts are an attack; those about a job itself, and about Nightbell; and one
/// of each condition on history or clock.
pub fn samples() -> Vec<(String, Message)> {
    let now = sample_instant();
    let mut all = Vec::new();
    for kind in [MessageKind::AlertFiring, MessageKind::AlertResolved, MessageKind::Test] {
        let message = |facts: AlertFacts| Message { kind, timestamp: now, data: MessageData::Alert(Box::new(facts)) };
        for (name, facts) in variants(&sample_facts(kind, now)) {
            all.push((format!("{kind} {name}"), message(facts)));
        }
        if kind != MessageKind::Test {
            all.push((format!("{kind} job"), message(about_job(sample_facts(kind, now), now))));
            let own = about_source(sample_facts(kind, now));
            all.push((format!("{kind} self"), message(own.clone())));
            if kind == MessageKind::AlertFiring {
                all.push((format!("{kind} self hostile"), message(with_hostile_error(own))));
            }
        }
    }
    all.extend(super::conditions::of_conditions(now));
    let escalated = told(AlertFacts {
        alert: escalated(&sample_facts(MessageKind::AlertFiring, now).alert),
        ..sample_facts(MessageKind::AlertFiring, now)
    });
    let data = MessageData::Alert(Box::new(guided(sample_facts(MessageKind::AlertFiring, now))));
    all.push(("alert.firing guided".to_string(), Message { kind: MessageKind::AlertFiring, timestamp: now, data }));
    let data = MessageData::Alert(Box::new(escalated));
    all.push(("alert.firing escalated".to_string(), Message { kind: MessageKind::AlertFiring, timestamp: now, data }));
    all
}

/// The same alert half an hour later, when nobody has taken it on.
fn escalated(alert: &AlertPart) -> AlertPart {
    let [told, unreached] = ["oncall", "team"].map(|receiver| vec![ReceiverId::new(receiver)]);
    let escalation = Escalation { step: 2, after_ms: 1_800_000, told, unreached, acked_by: None };
    AlertPart { escalation: Some(Box::new(escalation)), ..alert.clone() }
}

/// The same alert in every way that its values can be.
fn variants(facts: &AlertFacts) -> [(&'static str, AlertFacts); 5] {
    [
        ("ordinary", facts.clone()),
        ("null", all_null(facts.clone())),
        ("huge", with_texts(facts.clone(), &"订单etl_orders".repeat(100), NODES_MAX)),
        ("hostile", with_texts(facts.clone(), HOSTILE, 3)),
        ("marks", with_texts(facts.clone(), &"\"<&'>\\`*_~".repeat(110), NODES_MAX)),
    ]
}

/// Every sample message about several alerts with its name: one of each severity with one that is over and one about a
/// job, one of which all is over, and two alike of each nasty sort.
pub fn group_samples() -> Vec<(String, Message)> {
    let now = sample_instant();
    let (firing, resolved) =
        (sample_facts(MessageKind::AlertFiring, now), sample_facts(MessageKind::AlertResolved, now));
    let mut ordinary = vec![resolved.clone(), about_job(firing.clone(), now)];
    let names = ["etl_orders", "etl_stock", "report_daily", "report_weekly"];
    for (number, (severity, name)) in Severity::ALL.into_iter().zip(names).enumerate() {
        let mut facts = firing.clone();
        facts.alert.severity = severity;
        facts.job.name = name.to_string();
        if let Some(instance) = &mut facts.instance {
            instance.id = format!("3476{number}");
        }
        ordinary.push(told(facts));
    }
    let mut all = vec![group("ordinary", ordinary, 9952, now), group("resolved", vec![resolved.clone(); 2], 0, now)];
    let alike = ["load_orders", "load_stock", "load_users"].map(|name| {
        let mut facts = guided(firing.clone());
        facts.job.name = name.to_string();
        told(facts)
    });
    all.push(group("guided", alike.into(), 0, now));
    let mut held = vec![resolved.clone(); 3];
    for (facts, job) in held.iter_mut().zip(["load_a", "sync_b", "report_c"]) {
        facts.job.name = job.to_string();
        *facts = told(facts.clone());
    }
    held.push(firing.clone());
    let (name, mut held) = group("held", held, 0, now);
    if let MessageData::Group(facts) = &mut held.data {
        facts.held_for = Some("workhours".to_string());
    }
    all.push((name, held));
    let (name, mut again) = group("again", vec![firing.clone()], 0, now);
    if let MessageData::Group(facts) = &mut again.data {
        facts.last_told_at = now.checked_sub(SignedDuration::from_hours(4)).ok();
    }
    all.push((name, again));
    all.extend(variants(&firing).into_iter().skip(1).map(|(name, facts)| group(name, vec![facts; 2], 1, now)));
    all
}

fn group(name: &str, alerts: Vec<AlertFacts>, waiting: u64, now: Timestamp) -> (String, Message) {
    let kind = MessageKind::AlertGroup;
    let data = MessageData::Group(Box::new(GroupFacts::of(alerts, waiting)));
    (format!("{kind} {name}"), Message { kind, timestamp: now, data })
}

/// Mention, link, format, header, markup and template injections, with characters that cannot be seen.
pub(super) const HOSTILE: &str = "<!channel> <@U024BE7LH> <https://evil.example|ok> & `x` *b* _i_ ~s~ ```\r\nBcc: victim@example.com\
\u{0}\u{1b}[31m\u{202e}drow\u{2066}\u{200b}\u{feff} \"quoted\" \\ '</td><script>alert(1)</script> {{data.alert.id}} ${HOME} \
=cmd() .\r\n.\r\nMAIL FROM:<a@b>";

fn sample_instant() -> Timestamp {
    // 2026-11-21T00:05:03Z
    Timestamp::from_second(1_795_219_503).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn all_null(mut facts: AlertFacts) -> AlertFacts {
    facts.alert.labels.clear();
    facts.alert.history = None;
    facts.alert.ends_at = None;
    facts.alert.ended = None;
    facts.job.id = None;
    facts.instance = facts.instance.map(|instance| InstancePart {
        name: None,
        status: Status::Unknown,
        raw_status: String::new(),
        kind: InstanceType::Unknown,
        plan_time: None,
        start_time: None,
        end_time: None,
        duration_ms: None,
        url: None,
        error: None,
        ..instance
    });
    facts.failing_nodes = Vec::new();
    facts.alert.reason = None;
    facts.node_details = "could not be read: no answer within 30 s".to_string();
    facts
}

/// An alert about a real-time job that broke: there is no instance.
fn about_job(mut facts: AlertFacts, now: Timestamp) -> AlertFacts {
    facts.job = sample_job(now);
    facts.instance = None;
    let code = match facts.alert.state {
        AlertState::Firing => ReasonCode::JobStatus,
        AlertState::Resolved => ReasonCode::JobRecovered,
    };
    facts.alert.reason = Some(Reason::new(code));
    if facts.alert.state == AlertState::Resolved {
        facts.job.more.status = Some("NORMAL".to_string());
    }
    told(facts)
}

/// An alert of Nightbell's own: a source cannot be read. There is no instance, and an error.
fn about_source(mut facts: AlertFacts) -> AlertFacts {
    facts.alert.rule = RuleId::new("self/source-unreadable");
    facts.alert.severity = Severity::Error;
    facts.job = JobPart { name: "nightbell".to_string(), ..JobPart::default() };
    facts.alert.history = None;
    facts.instance = None;
    facts.failing_nodes = Vec::new();
    facts.alert.measures.error = Some("HTTP 401, APIGW.0301: Incorrect IAM authentication information".to_string());
    let code = match facts.alert.state {
        AlertState::Firing => ReasonCode::SourceUnreadable,
        AlertState::Resolved => ReasonCode::SourceReadable,
    };
    facts.alert.reason = Some(Reason { lasted_ms: Some(903_000), ..Reason::new(code) });
    told(facts)
}

/// The same where the service that refuses is an attacker.
fn with_hostile_error(mut facts: AlertFacts) -> AlertFacts {
    let text = HOSTILE.repeat(INSTANCE_ERROR_BYTES_MAX / HOSTILE.len() + 1);
    facts.alert.measures.error = Some(cut(&text, INSTANCE_ERROR_BYTES_MAX).to_string());
    facts
}

fn sample_job(now: Timestamp) -> JobPart {
    JobPart {
        name: "stream_orders".to_string(),
        id: None,
        more: Rare::from(JobMore {
            status: Some("EXCEPTION".to_string()),
            owner: Some("li.wei".to_string()),
            create_user: Some("admin".to_string()),
            last_instance_status: Some("success".to_string()),
            last_instance_end_time: now.checked_sub(SignedDuration::from_hours(2)).ok(),
            ..JobMore::default()
        }),
        workflow: None,
    }
}

/// Every free text of the alert is `text`, cut to what the sources keep of one field.
fn with_texts(mut facts: AlertFacts, text: &str, nodes: usize) -> AlertFacts {
    let error = cut(&text.repeat(INSTANCE_ERROR_BYTES_MAX / text.len() + 1), INSTANCE_ERROR_BYTES_MAX).to_string();
    let text = cut(text, FIELD_BYTES_MAX);
    let reason = cut(text, REASON_BYTES_MAX);
    facts.alert.held_back = Some(Box::new(held_back(reason)));
    if let Some(history) = &mut facts.alert.history {
        let (by, note) = (Some(reason.to_string()), Some(reason.to_string()));
        history.last_ended = history.last_ended.take().map(|it| Ended { reason: EndReason::Closed, by, note, ..it });
    }
    // Labels and the addresses are the configuration's, and no job chooses them.
    let label = cut(&"订单etl_orders".repeat(100), LABEL_BYTES_MAX).to_string();
    let piece = |text: &str, is_own| Piece { text: text.to_string(), is_own };
    facts.alert.links.description =
        Some(Prose(vec![piece("About ", true), piece(text, false), piece(": *see* the wiki", true)]));
    facts.alert.labels = (0..9).map(|number| (format!("label-{number}"), label.clone())).collect();
    facts.job = JobPart { name: text.to_string(), id: Some(text.to_string()), ..JobPart::default() };
    facts.source.id = SourceId::new(text);
    if let Some(instance) = &mut facts.instance {
        instance.id = text.to_string();
        instance.name = Some(text.to_string());
        instance.raw_status = text.to_string();
        instance.url = Some(text.to_string());
        instance.error = Some(error);
    }
    facts.node_details = text.to_string();
    let node = NodePart {
        name: text.to_string(),
        kind: Some(text.to_string()),
        log_path: Some(text.to_string()),
        ..facts.failing_nodes[0].clone()
    };
    facts.failing_nodes = vec![node; nodes];
    told(facts)
}

/// An alert of which the configuration says what it means and what to do about it.
fn guided(mut facts: AlertFacts) -> AlertFacts {
    let piece = |text: &str, is_own| Piece { text: text.to_string(), is_own };
    facts.alert.links.description = Some(Prose(vec![
        piece("Finance reads ", true),
        piece(&facts.job.name, false),
        piece(" before 09:00.\nSee https://wiki.example.com/finance_reports?year=2026&team=a_b or call *kim*.", true),
    ]));
    facts.alert.links.runbook =
        Some("https://wiki.example.com/runbooks/etl%20orders?from=bell&step=1#restart_(safe)".to_string());
    facts.alert.links.console_url = Some("https://console.example.com/jobs/etl_orders?run=34765".to_string());
    facts
}

fn held_back(text: &str) -> HeldBack {
    let said = || Some(text.to_string());
    HeldBack { by: "silence:3".to_string(), who: said(), reason: said(), until: sample_instant() }
}

pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The shape of the data: every key there is, none of them null, one item in each list.
pub(super) fn shape() -> Value {
    let facts = full_facts();
    let message = sample_message(MessageKind::AlertResolved, sample_instant());
    with_receiver(&Message { data: MessageData::Alert(Box::new(facts)), ..message })
}

/// The same of messages about several alerts.
pub(super) fn group_shape() -> Value {
    let (_, mut message) = group("shape", vec![full_facts()], 0, sample_instant());
    if let MessageData::Group(group) = &mut message.data {
        group.severity = Some(Severity::Critical);
        group.last_told_at = Some(sample_instant());
        group.url = Some("https://bell.example.com/alerts".to_string());
        group.held_for = Some("workhours".to_string());
    }
    with_receiver(&message)
}

fn full_facts() -> AlertFacts {
    let mut facts = sample_facts(MessageKind::AlertResolved, sample_instant());
    if let Some(instance) = &mut facts.instance {
        instance.url = Some("https://console.example.com".to_string());
        instance.error = Some("why".to_string());
    }
    if let Some(reason) = &mut facts.alert.reason {
        reason.limit_ms = Some(45_000);
    }
    if let Some(ended) = &mut facts.alert.ended {
        (ended.by, ended.note) = (Some("kim".to_string()), Some("why".to_string()));
    }
    facts.alert.measures = Rare::from(Measures {
        condition: Some(ConditionKind::NotFinishedBy),
        stage: Some(Stage::Overdue),
        due_at: Some(sample_instant()),
        due: Some("06:30".to_string()),
        late_ms: Some(60_000),
        due_times_missed: Some(1),
        runs_failed: Some(3),
        runs_counted: Some(20),
        limit_percent: Some(25.0),
        usual_ms: Some(60_000),
        limit_ms: Some(120_000),
        error: Some("why".to_string()),
    });
    facts.job = JobPart {
        name: facts.job.name.clone(),
        id: facts.job.id.clone(),
        workflow: Some("nightly".to_string()),
        ..sample_job(sample_instant())
    };
    facts.job.more.real_time_job = Some("stream_orders".to_string());
    facts.job.more.node = Some("load".to_string());
    facts.instance = facts.instance.map(|run| InstancePart { workflow_instance: Some("9007".to_string()), ..run });
    if let Some(node) = facts.failing_nodes.first_mut() {
        node.log_tail = Some("the last line".to_string());
    }
    facts.alert.held_back = Some(Box::new(held_back("deploy")));
    facts.alert.links.url = Some("https://bell.example.com/alerts/1".to_string());
    facts.alert.links.ack_url = Some("https://bell.example.com/ack/1".to_string());
    let mut history = sample_history(sample_instant());
    if let Some(ended) = &mut history.last_ended {
        (ended.by, ended.note) = (Some("kim".to_string()), Some("why".to_string()));
    }
    facts.alert.history = Some(Box::new(history));
    let ack =
        |by: &str| Some(Box::new(Ack { by: by.to_string(), reason: Some("why".to_string()), at: sample_instant() }));
    (facts.alert.acked, facts.alert.acked_before) = (ack("kim"), ack("maria"));
    facts = guided(facts);
    facts.alert = escalated(&facts.alert);
    if let Some(escalation) = &mut facts.alert.escalation {
        escalation.acked_by = Some("maria".to_string());
    }
    facts
}

fn with_receiver(message: &Message) -> Value {
    let mut shape = serde_json::to_value(message).unwrap_or(Value::Object(Map::new()));
    if let Value::Object(map) = &mut shape {
        map.insert("receiver".to_string(), serde_json::json!({ "id": "oncall", "timezone": "UTC", "language": "en" }));
        for (key, text) in [
            ("level", "critical"),
            ("headline", "CRITICAL: etl failed"),
            ("short_id", "1f2e3d4c"),
            ("command", "nightbell ack 1f2e3d4c"),
        ] {
            map.insert(key.to_string(), Value::from(text));
        }
        if matches!(message.data, MessageData::Alert(_)) {
            let subject = serde_json::json!({ "label": "Job", "name": "etl", "source": "warehouse" });
            map.insert("subject".to_string(), subject);
            map.insert("summary".to_string(), Value::from("etl failed"));
            let row = |name: &str| serde_json::json!({ "name": name, "said": "2026-11-21 08:05:03 +08:00" });
            let times = serde_json::json!({
                "since": "Fired", "over": "Resolved", "first": row("Resolved"), "second": row("Fired")
            });
            map.insert("times".to_string(), times);
            map.insert("when".to_string(), Value::from(", since 08:05"));
            map.insert("lately".to_string(), Value::from("3 of 42 runs failed in the last 7 days"));
            let piece = serde_json::json!({ "text": "why", "is_own": true });
            map.insert("description".to_string(), Value::from(vec![piece]));
        }
        if matches!(message.data, MessageData::Group(_)) {
            let line = serde_json::json!({
                "level": "error", "text": "etl failed", "names": "a, b", "jobs": ["a", "b"], "node": "node load",
                "description": [{ "text": "why", "is_own": true }], "runbook": "https://wiki.example.com", "runbook_of": "a",
                "console_url": "https://console.example.com", "console_of": "a", "url": "https://bell.example.com/alerts/a",
                "ack_url": "https://bell.example.com/ack/a"
            });
            map.insert("lines".to_string(), Value::from(vec![line]));
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_has_no_null() {
        fn nulls(value: &Value, path: &str, found: &mut Vec<String>) {
            match value {
                Value::Null => found.push(path.to_string()),
                Value::Array(items) => {
                    assert!(!items.is_empty(), "{path} is empty");
                    items.iter().for_each(|item| nulls(item, path, found));
                }
                Value::Object(map) => map.iter().for_each(|(key, value)| nulls(value, &format!("{path}.{key}"), found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        nulls(&shape(), "", &mut found);
        nulls(&group_shape(), "", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn samples_have_distinct_names() {
        let mut names: Vec<String> = samples().into_iter().chain(group_samples()).map(|(name, _)| name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!((names.len(), all), (44, 44));
    }
}
