//! What a message says of time and of failure is true: a run that has not started has not run, what was noticed on time was
//! not noticed late, a node under a recovery failed before, and in a test nothing has failed.

use jiff::{SignedDuration, Timestamp};
use nightbell::model::{BreachPart, InstancePart, Labels, Message, MessageData, Status};
use nightbell::notify::{ReceiverSettings, Renderer};
use nightbell::template::{digest_samples, group_samples};
use nightbell::words::{Language, late_lines};
use serde_json::Value;

use super::guides::{kinds, sample, texts};
use super::settings;

/// A receiver of mail.
const MAIL: &str = "{ type: email, smtp_url: 'smtps://localhost', from: a@example.com, to: b@example.com }";

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

/// Twenty lines of a log say how far the job came, and the last one why it went no further: that one is what a phone shows.
#[test]
fn of_a_log_that_is_too_long_the_error_is_kept() {
    let mut message = sample("alert.firing ordinary");
    let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
    let lines: Vec<String> =
        (0..40).map(|n| format!("08:00:{n:02} INFO {n} partitions of ods_orders are loaded")).collect();
    let last = "FATAL connection to dws prod refused";
    let log = format!("{}\n08:00:41 {last}\n08:00:42 INFO the pool is closed", lines.join("\n"));
    assert!(log.len() > 2000, "{}", log.len());
    facts.instance.as_mut().expect("a run").error = Some(log);
    for language in Language::ALL {
        read(&message, language, |_| true, |kind, text| assert!(text.contains(last), "{kind}:\n{text}"));
    }
}

#[test]
fn a_deadline_that_is_noticed_when_it_is_due_was_not_noticed_late() {
    let mut message = sample("alert.firing ordinary");
    let due: Timestamp = "2026-11-21T12:35:00Z".parse().unwrap();
    let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
    (facts.alert.starts_at, facts.alert.measures.due_at) = (due - SignedDuration::from_mins(2), Some(due));
    for (late, noticed) in [(0, None), (180, Some("noticed 3m later"))] {
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
    // What a phone shows of it does not read like a failure either.
    let subject = Renderer::open(&settings(MAIL)).unwrap().render(&message).content.part("subject").to_string();
    assert_eq!(subject, "[TEST] test message for it; nothing has failed");
    let pagerduty = body("{ type: pagerduty, routing_key: k }");
    assert_eq!((&pagerduty["event_action"], &pagerduty["payload"]["severity"]), (&"trigger".into(), &"info".into()));
    assert_eq!(body("{ type: ntfy, topic: t }")["priority"], 2);
}

/// What runs has not failed: a node that was under way when an alert about time began, and the run of it.
#[test]
fn what_was_running_is_not_said_to_have_failed() {
    let mut message = sample("alert.resolved ordinary");
    let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
    facts.failing_nodes[0].status = Status::Running;
    facts.node_details = "could not be read: no answer".into();
    for (language, then, failed, details) in [
        (Language::En, "Node then", "Failed node", "Node details"),
        (Language::Zh, "当时的节点", "原失败节点", "节点详情"),
    ] {
        read(
            &message,
            language,
            |_| true,
            |kind, text| {
                assert!(text.contains(then) && !text.contains(failed), "{kind}:\n{text}");
                assert!(!text.contains(details), "{kind}: what is over needs no excuse:\n{text}");
            },
        );
    }
    let running = sample("alert.firing slower-than-usual");
    // The HTML of a mail has a row for the status instead.
    read(
        &running,
        Language::En,
        |_| true,
        |kind, text| assert!(text.contains("Running for") && !text.contains("Ran for"), "{kind}:\n{text}"),
    );
}

/// That a time of a source was not read is over when it is sent, and nothing has recovered.
#[test]
fn a_gap_is_no_recovery_and_what_nightbell_waits_for_was_not_noticed_late() {
    let (mut gaps, mut own) = (0, 0);
    for (name, message) in crate::own::messages() {
        let facts = message.alert().expect("one alert");
        let is_gap = ["was not read for", "was not polled for"].iter().any(|words| facts.alert.summary.contains(words));
        gaps += usize::from(is_gap);
        own += 1;
        for language in Language::ALL {
            read(
                &message,
                language,
                |_| true,
                |kind, text| {
                    let recovers =
                        ["RESOLVED", "Resolved", "已恢复", "恢复时间", "✅"].iter().any(|it| text.contains(it));
                    assert!(!is_gap || !recovers, "{kind} {name}:\n{text}");
                    assert!(!text.contains("noticed") && !text.contains("后发现"), "{kind} {name}:\n{text}");
                    // From when, and then until when.
                    let [from, until] = match language {
                        Language::En => ["From", "Until"],
                        Language::Zh => ["开始", "结束"],
                    };
                    if let (true, Some(from), Some(until)) = (is_gap, text.find(from), text.find(until)) {
                        assert!(from < until, "{kind} {name}:\n{text}");
                    }
                },
            );
        }
    }
    assert!(gaps >= 2 && own > gaps, "{gaps} of {own}");
}

/// The end of a log is long, and says why in its last line: that is what no channel cuts.
#[test]
fn the_line_that_says_why_is_in_every_message() {
    let mut message = sample("alert.firing ordinary");
    let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
    let lines: String = (0..19).map(|line| format!("line {line} of the load: {}\n", "x".repeat(40))).collect();
    facts.instance.as_mut().unwrap().error = Some(lines + "ERROR: disk dws-7 is full");
    for language in Language::ALL {
        read(
            &message,
            language,
            |_| true,
            |kind, text| assert!(text.contains("ERROR: disk dws-7 is full"), "{kind}:\n{text}"),
        );
    }
}

/// What a phone shows of a message has no marks to escape, and an escape keeps the name that people search for.
#[test]
fn names_are_whole_where_a_channel_allows_it() {
    let message = group_samples().into_iter().find(|(name, _)| name == "alert.group guided").unwrap().1;
    let part = |kind: &str, pointer: &str| {
        let yaml = super::yaml_of(kind, "https://chat.example.com");
        let content = Renderer::open(&settings(&yaml)).unwrap().render(&message).content;
        let body: Value = serde_json::from_str(content.part("body")).unwrap();
        body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string()
    };
    let title = part("dingtalk", "/markdown/title");
    assert!(title.contains("3 load_* jobs"), "{title}");
    let title = part("discord", "/embeds/0/title");
    assert!(title.contains("3 load\\_\\* jobs"), "{title}");
    let text = part("telegram", "/text");
    assert!(text.contains("<code>load_orders, load_stock, load_users</code>"), "{text}");
}

/// A list that is cut says of how many.
#[test]
fn a_digest_says_how_many_it_leaves_out() {
    let message = digest_samples().into_iter().find(|(name, _)| name == "digest ordinary").unwrap().1;
    let facts = message.digest().expect("a digest");
    assert!(facts.breaches.total > 3, "the sample is long enough");
    let all = |text: &str| facts.breaches.shown.iter().all(|breach| text.contains(&breach.job));
    let rest = format!("{} in all", facts.breaches.total);
    read(&message, Language::En, |_| true, |kind, text| assert!(all(text) || text.contains(&rest), "{kind}:\n{text}"));
    // Jobs that failed of one error share a line in a mail, too, and a real-time job is said to have stopped.
    let content = Renderer::open(&settings(MAIL)).unwrap().render(&message).content;
    for part in ["text", "html"] {
        let text = content.part(part);
        assert!(
            text.contains("3 load_* jobs") && text.contains("load_items, load_stores, load_users"),
            "{part}:\n{text}"
        );
        assert_eq!(text.matches("connection to dws-prod refused").count(), 1, "{part}:\n{text}");
        assert!(text.contains("real-time job stream_clicks stopped with an exception"), "{part}:\n{text}");
    }
}

/// Ten jobs that missed one deadline are one line in a chat, and what is over by now stands after what is not.
#[test]
fn what_is_late_is_told_together_and_before_what_is_over() {
    let (_, mut message) = digest_samples().into_iter().find(|(name, _)| name == "digest late").unwrap();
    let MessageData::Digest(facts) = &mut message.data else { panic!("a digest") };
    let of_kind =
        |is_running| facts.breaches.shown.iter().find(|it| it.kind == "not-finished-by" && it.is_running == is_running);
    let (late, over) = (of_kind(true).unwrap().clone(), of_kind(false).unwrap().clone());
    let labels: Labels = [("team".to_string(), "finance".to_string())].into();
    let late = (0..10).map(|n| BreachPart { job: format!("load_{n}"), labels: labels.clone(), ..late.clone() });
    facts.breaches.shown = std::iter::once(over).chain(late).collect();
    facts.breaches.total = 40;
    let lines = |language| -> Vec<(bool, String)> {
        late_lines(facts, language).into_iter().map(|line| (line.is_over, line.text)).collect()
    };
    let expected = [
        (false, "10 load_* jobs: not finished by 06:30, 1h 35m late so far · warning · team=finance"),
        (true, "etl_users: finished 12m after 06:30 · warning"),
        (false, "… 40 in all, 11 shown"),
    ];
    assert_eq!(lines(Language::En), expected.map(|(is_over, text)| (is_over, text.to_string())));
    assert!(lines(Language::Zh)[0].1.starts_with("10 个 load_* 作业："), "{:?}", lines(Language::Zh));
    let names = late_lines(facts, Language::En).remove(0).names.unwrap();
    assert!(names.starts_with("load_0, load_1, ") && names.ends_with("load_9"), "{names}");
    read(
        &message,
        Language::En,
        |kind| !["email", "smn"].contains(&kind),
        |kind, text| {
            // The name may stand in a code span.
            let text = text.replace('`', "");
            let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("{kind}: no {words:?}\n{text}"));
            assert!(at("⏱ 10 load") < at("☑️ etl") && at("☑️ etl") < at("40 in all, 11 shown"), "{kind}:\n{text}");
        },
    );
}
