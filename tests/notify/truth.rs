//! What a message says of time and of failure is true: a run that has not started has not run, what was noticed on time was
//! not noticed late, a node under a recovery failed before, and in a test nothing has failed.

use jiff::{SignedDuration, Timestamp};
use nightbell::model::{InstancePart, Message, MessageData, Status};
use nightbell::notify::{ReceiverSettings, Renderer};
use nightbell::words::Language;
use serde_json::Value;

use super::guides::{kinds, sample, texts};
use super::settings;

/// What the people at each kind of receiver read of a message, in a language; bodies for programs are left out.
fn read(message: &Message, language: Language, is_wanted: impl Fn(&str) -> bool, see: impl Fn(&str, &str)) {
    let mut seen = 0;
    for yaml in kinds() {
        let receiver = ReceiverSettings { language, ..settings(&yaml) };
        let kind = receiver.channel.kind().word;
        if ["webhook", "pagerduty"].contains(&kind) || !is_wanted(kind) {
            continue;
        }
        let rendered = Renderer::open(&receiver).unwrap().render(message);
        assert_eq!(rendered.problem, None, "{kind}");
        seen += 1;
        see(kind, &texts(rendered.content.parts.into_values()).join("\n"));
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn a_run_that_never_started_has_waited_and_not_run() {
    let mut message = sample("alert.firing ordinary");
    let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
    facts.instance = facts.instance.take().map(|run| InstancePart {
        status: Status::Waiting,
        raw_status: "waiting".into(),
        start_time: None,
        end_time: None,
        duration_ms: Some(31 * 60_000),
        ..run
    });
    for (language, waited, ran) in [(Language::En, "Waited", "Ran for"), (Language::Zh, "等待时长", "运行时长")]
    {
        read(
            &message,
            language,
            |_| true,
            |kind, text| {
                // The HTML of a mail has a row for the status instead.
                assert!(text.contains(waited) && !text.contains(ran), "{kind}:\n{text}");
            },
        );
    }
}

#[test]
fn a_deadline_that_is_noticed_when_it_is_due_was_not_noticed_late() {
    let mut message = sample("alert.firing ordinary");
    let due: Timestamp = "2026-11-21T12:35:00Z".parse().unwrap();
    let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
    (facts.alert.starts_at, facts.alert.measures.due_at) = (due - SignedDuration::from_mins(2), Some(due));
    for (late, noticed) in [(0, None), (180, Some("noticed 3m 0s later"))] {
        message.timestamp = due + SignedDuration::from_secs(late);
        read(
            &message,
            Language::En,
            |_| true,
            |kind, text| {
                assert_eq!(text.contains("noticed"), noticed.is_some(), "{kind}:\n{text}");
                assert!(noticed.is_none_or(|noticed| text.contains(noticed)), "{kind}:\n{text}");
                assert!(text.contains("Due") && text.contains("20:35:00 +08:00"), "{kind}:\n{text}");
            },
        );
    }
}

#[test]
fn the_node_under_a_recovery_is_the_one_that_had_failed() {
    let message = sample("alert.resolved ordinary");
    for (language, marked) in [(Language::En, "Failed node"), (Language::Zh, "原失败节点")] {
        read(
            &message,
            language,
            |_| true,
            |kind, text| {
                assert!(text.contains("load_orders") && text.contains(marked), "{kind}:\n{text}");
            },
        );
    }
}

#[test]
fn a_test_says_that_nothing_has_failed_and_calls_nobody() {
    let message = sample("test ordinary");
    for (language, note) in [(Language::En, "Nothing has failed"), (Language::Zh, "没有任何作业失败")] {
        read(&message, language, |_| true, |kind, text| assert!(text.contains(note), "{kind}:\n{text}"));
    }
    let body = |yaml: &str| -> Value {
        let content = Renderer::open(&settings(yaml)).unwrap().render(&message).content;
        serde_json::from_str(content.part("body")).unwrap()
    };
    let chat = |kind: &str, mention: &str| {
        body(&format!("{{ type: {kind}, webhook_url: 'https://chat.example.com', mention: {mention} }}")).to_string()
    };
    assert!(!chat("dingtalk", "{ mobiles: ['13800000000'], user_ids: [lead-id], all: true }").contains("13800000000"));
    for kind in ["wecom", "teams", "discord", "feishu"] {
        assert!(!chat(kind, "{ user_ids: ['8035110224678'] }").contains("8035110224678"), "{kind}");
    }
    let pagerduty = body("{ type: pagerduty, routing_key: k }");
    assert_eq!((&pagerduty["event_action"], &pagerduty["payload"]["severity"]), (&"trigger".into(), &"info".into()));
    assert_eq!(body("{ type: ntfy, topic: t }")["priority"], 2);
}
