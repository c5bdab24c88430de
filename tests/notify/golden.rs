//! What every template makes of every sample message, kept in tests/data/golden. `UPDATE=1` writes the files anew.

use std::fs;
use std::path::Path;

use nightbell::alert::{ack_message, marked_message};
use nightbell::model::{Ack, Content, Message, MessageData, Piece, Prose};
use nightbell::notify::{ReceiverSettings, Renderer};
use nightbell::sign::LinkKey;
use nightbell::template::{digest_samples, group_samples, samples};
use nightbell::words::Language;
use serde_json::Value;

use super::{CHANNELS, firing, settings, yaml_of};

const SLACK: &str = "{ type: slack, webhook_url: { env: UNUSED } }";
const EMAIL: &str = "{ type: email, smtp_url: 'smtp://mx.example.com', from: a@example.com, to: b@example.com }";
const WEBHOOK: &str = "{ type: webhook, url: 'https://example.com/hook' }";

#[test]
fn templates_make_what_they_made() {
    let update = std::env::var_os("UPDATE").is_some();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden");
    let mut wrong = Vec::new();
    for yaml in kinds() {
        for language in Language::ALL {
            let receiver = ReceiverSettings { language, ..settings(&yaml) };
            let renderer = Renderer::open(&receiver).unwrap();
            let directory = golden.join(receiver.channel.kind().word);
            let directory = if language == Language::En { directory } else { directory.join(language.as_str()) };
            let all = rendered_samples(&renderer).into_iter().chain(samples_with_page(&receiver));
            for (part, text, name) in all {
                let file = directory.join(format!("{}.{part}", name.replace(' ', "-")));
                if update {
                    fs::create_dir_all(&directory).unwrap();
                    fs::write(&file, text).unwrap();
                } else if fs::read_to_string(&file).ok() != Some(text) {
                    wrong.push(file.display().to_string());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these differ; look, then run with UPDATE=1:\n{}", wrong.join("\n"));
}

/// A receiver of every kind, as YAML.
pub(super) fn kinds() -> impl Iterator<Item = String> {
    let others = CHANNELS.into_iter().filter(|kind| *kind != "slack-bot");
    let others = others.map(|kind| yaml_of(kind, "https://chat.example.com"));
    [SLACK, EMAIL, WEBHOOK].map(str::to_string).into_iter().chain(others)
}

/// What a renderer makes of the samples that are kept: part, text, name of the sample.
fn rendered_samples(renderer: &Renderer) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    let of_groups = group_samples().into_iter().filter(|_| renderer.merges());
    let all_samples = samples().into_iter().chain(of_groups).chain(digest_samples());
    for (name, message) in all_samples.filter(|(name, _)| is_kept(name)) {
        let rendered = renderer.render(&message);
        assert_eq!(rendered.problem, None, "{name}");
        // Pictures are looked at, not compared: another version of the encoder may pack them otherwise.
        let texts = rendered.content.parts.into_iter().filter(|(part, _)| !part.starts_with("image/"));
        all.extend(texts.map(|(part, text)| (part, text, name.clone())));
    }
    for (name, content) in acknowledgements(renderer) {
        all.extend(content.parts.into_iter().map(|(part, text)| (part, text, name.clone())));
    }
    all
}

/// What people see where there is a page, of one alert and of several: part, text, name of the sample.
fn samples_with_page(receiver: &ReceiverSettings) -> Vec<(String, String, String)> {
    let shown = with_page(receiver).into_iter();
    let texts = |(name, content): (String, Content)| {
        content.parts.into_iter().map(move |(part, text)| (part, text, name.clone())).collect::<Vec<_>>()
    };
    shown.flat_map(texts).collect()
}

/// The messages that lead to a page, by name.
pub(super) fn with_page(receiver: &ReceiverSettings) -> Vec<(String, Content)> {
    let page = Some("https://bell.example.com".to_string());
    let receiver = ReceiverSettings { page, ..receiver.clone() };
    let renderer = Renderer::open(&receiver).unwrap().signing(LinkKey::new("k"));
    let wanted = ["alert.firing ordinary", "alert.group ordinary", "alert.group guided"];
    let groups = group_samples().into_iter().filter(|_| renderer.merges());
    let all = samples().into_iter().chain(groups).filter(|(name, _)| wanted.contains(&name.as_str()));
    let shown = all.map(|(name, message)| {
        let rendered = renderer.render(&message);
        assert_eq!(rendered.problem, None, "{name}");
        (format!("page {name}"), rendered.content)
    });
    shown.collect()
}

/// What a renderer makes of acknowledgements, by name.
pub(super) fn acknowledgements(renderer: &Renderer) -> Vec<(String, Content)> {
    let all = [("taken", Some("kim"), Some("maria")), ("given-up", None, Some("kim"))];
    let of = |(name, ack, before): (&str, Option<&str>, Option<&str>)| {
        let [ack, before] = [ack, before].map(|by| by.map(ack_by));
        let alert = super::acks::alert();
        let message = ack_message(&alert, ack.as_ref(), before.as_ref(), super::now());
        let rendered = renderer.render_ack(&message, &marked_message(&alert, ack.as_ref()));
        assert_eq!(rendered.problem, None, "{name}");
        (format!("ack {name}"), rendered.content)
    };
    all.map(of).into()
}

fn ack_by(name: &str) -> Ack {
    Ack { by: name.to_string(), reason: Some("restarting the gateway".to_string()), at: super::now() }
}

/// All samples of a firing, and one or two of each other kind: the rest differ in nothing that the first do not show.
fn is_kept(name: &str) -> bool {
    // Of the conditions on history and clock, one with a run and one without show what templates make of them.
    let of_conditions = ["consecutive", "failure-rate", "slower-than-usual", "not-started-by", "warning"];
    if of_conditions.iter().any(|condition| name.ends_with(condition)) {
        return false;
    }
    name.starts_with("alert.firing")
        || name.starts_with("alert.group")
        || name.starts_with("digest")
        || name.ends_with("ordinary")
        || name == "alert.resolved null"
}

/// Slack's limits, and that nothing of the data can mention, link or format, on every sample.
#[test]
fn slack_blocks_keep_the_limits_and_mention_nobody() {
    let renderer = |language| Renderer::open(&ReceiverSettings { language, ..settings(SLACK) }).unwrap();
    let renderers = Language::ALL.map(renderer);
    for ((name, message), renderer) in
        samples().into_iter().chain(group_samples()).flat_map(|it| renderers.each_ref().map(|by| (it.clone(), by)))
    {
        let content = renderer.render(&message).content;
        let body: Value = serde_json::from_str(content.part("body")).unwrap();
        let mut texts = Vec::new();
        let mut blocks = body["blocks"].as_array().unwrap().clone();
        blocks.extend(body["attachments"][0]["blocks"].as_array().unwrap().clone());
        assert!(blocks.len() <= 50, "{name}");
        for block in &blocks {
            let text = &block["text"]["text"];
            let max = if block["type"] == "header" { 150 } else { 3000 };
            assert!(text.as_str().is_none_or(|text| !text.is_empty() && text.chars().count() <= max), "{name}: {text}");
        }
        collect_texts(&body, &mut texts);
        assert!(texts.len() > 5);
        for text in &texts {
            // These are the configuration's own.
            let own = ["<https://wiki.example.com/", "<https://console.example.com/"];
            let text = own.iter().fold(text.clone(), |text, own| text.replace(own, ""));
            for forbidden in ["<!", "<@", "<#", "<http", "<mailto"] {
                assert!(!text.contains(forbidden), "{name}: {forbidden} in {text}");
            }
        }
        for object in mrkdwn_objects(&blocks) {
            assert_eq!(object["verbatim"], Value::Bool(true), "{name}");
            let text = object["text"].as_str().unwrap();
            // Every backtick is the template's: they come in pairs, and what stands between them is code.
            assert_eq!(text.matches('`').count() % 2, 0, "{name}: {text}");
        }
    }
}

fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        Value::Object(map) => map.values().for_each(|item| collect_texts(item, texts)),
        _ => {}
    }
}

fn mrkdwn_objects(blocks: &[Value]) -> Vec<&Value> {
    blocks.iter().map(|block| &block["text"]).filter(|text| text["type"] == "mrkdwn").collect()
}

/// The HTML has the same elements whatever the data says.
#[test]
fn data_adds_no_element_to_the_html() {
    let renderer = Renderer::open(&settings(EMAIL)).unwrap();
    let tags = |message: &Message| {
        let html = renderer.render(message).content.part("html").to_string();
        html.split('<').skip(1).map(|it| it.split(['>', ' ']).next().unwrap_or("").to_string()).collect::<Vec<_>>()
    };
    let mut benign = firing();
    let MessageData::Alert(facts) = &mut benign.data else { panic!("one alert") };
    facts.failing_nodes = vec![facts.failing_nodes[0].clone(); 3];
    facts.node_details = "not ok".into();
    facts.alert.links.description = Some(Prose(vec![Piece { text: "See the wiki".into(), is_own: true }]));
    facts.instance.as_mut().unwrap().url = Some("https://console.example.com".into());
    let hostile = samples().into_iter().find(|(name, _)| name == "alert.firing hostile").unwrap().1;
    assert_eq!(tags(&hostile), tags(&benign));
}

#[test]
fn the_webhook_body_is_the_contract() {
    let body = Renderer::open(&settings(WEBHOOK)).unwrap().render(&firing()).content;
    let body: Value = serde_json::from_str(body.part("body")).unwrap();
    assert_eq!(body["type"], "alert.firing");
    assert_eq!(body["timestamp"], "2026-11-21T00:06:06Z");
    assert_eq!(body["data"]["alert"]["ends_at"], Value::Null);
    assert_eq!(body["data"]["failing_nodes"][0]["retries"], 2);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&body), "data timestamp type");
    assert_eq!(keys(&body["data"]), "alert failing_nodes instance job node_details source");
    assert_eq!(
        keys(&body["data"]["alert"]),
        "ack_url acked condition console_url description due due_at due_times_missed ended ends_at episode error escalation held_back history id labels late_ms limit_ms limit_percent reason rule runbook runs_counted \
         runs_failed severity stage starts_at state summary url usual_ms"
    );
    assert_eq!(
        keys(&body["data"]["instance"]),
        "duration_ms end_time error id name plan_time raw_status start_time status type url workflow_instance"
    );
    assert_eq!(keys(&body["data"]["failing_nodes"][0]), "end_time log_path name retries start_time status type");
}

/// The first line of every channel says how bad, what, and since when.
#[test]
fn the_first_line_says_it() {
    let first = |yaml, part| Renderer::open(&settings(yaml)).unwrap().render(&firing()).content.part(part).to_string();
    assert_eq!(first(EMAIL, "subject"), "[CRITICAL] etl_orders failed after 1m, since 08:05");
    let slack: Value = serde_json::from_str(&first(SLACK, "body")).unwrap();
    assert_eq!(slack["text"], "🚨 CRITICAL: etl_orders failed after 1m, since 08:05");
}

fn with_template(yaml: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, ReceiverSettings) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let receiver = ReceiverSettings { templates: vec![directory.path().to_path_buf()], ..settings(yaml) };
    (directory, receiver)
}

#[test]
fn a_template_of_the_users_replaces_one_part() {
    let (_directory, receiver) = with_template(EMAIL, &[("subject.txt.hbs", "{{data.job.name}} / {{receiver.id}}")]);
    let content = Renderer::open(&receiver).unwrap().render(&firing()).content;
    assert_eq!(content.part("subject"), "etl_orders / it");
    assert!(content.part("html").contains("load_orders"));
    let (_directory, receiver) =
        with_template(WEBHOOK, &[("body.json.hbs", "{\"text\": {{json data.alert.summary}} }")]);
    let content = Renderer::open(&receiver).unwrap().render(&firing()).content;
    assert_eq!(content.part("body"), "{\"text\": \"etl_orders failed after 1m 0s\" }");
}

/// Some editors put a mark in front of a file: it stands in front of no message, and breaks no JSON.
#[test]
fn a_byte_order_mark_in_a_template_does_no_harm() {
    let (_directory, receiver) = with_template(EMAIL, &[("subject.txt.hbs", "\u{feff}{{data.job.name}}")]);
    assert_eq!(Renderer::open(&receiver).unwrap().render(&firing()).content.part("subject"), "etl_orders");
    let (_directory, receiver) = with_template(WEBHOOK, &[("body.json.hbs", "\u{feff}{\"text\": 1 }")]);
    assert_eq!(Renderer::open(&receiver).unwrap().render(&firing()).content.part("body"), "{\"text\": 1 }");
}

#[test]
fn wrong_template_files_are_all_said() {
    let files = [("subjct.txt.hbs", "x"), ("message.txt.hbs", "a\n{{data.jobb}}"), ("notes.md", "not a template")];
    let (_directory, receiver) = with_template(EMAIL, &files);
    let found = Renderer::open(&receiver).unwrap_err();
    assert!(found[0].message.contains("did you mean \"subject.txt.hbs\""), "{found:?}");
    let (_directory, receiver) = with_template(EMAIL, &files[1..]);
    let found = Renderer::open(&receiver).unwrap_err();
    assert_eq!((found.len(), found[0].line, found[0].column), (1, 2, 1), "{found:?}");
    assert!(found[0].file.ends_with("message.txt.hbs"));
}

/// F-61: a template that only fails on real data costs the looks, not the alert.
#[test]
fn a_template_that_fails_on_real_data_sends_the_plain_message() {
    let slack = "{\"text\": \"{{data.alert.summary}}\"{{#if (eq data.job.name \"odd\")}},{{/if}} }";
    let webhook = "{\"text\": 1{{#if (eq data.job.name \"odd\")}},{{/if}} }";
    let subject = "{{#if (eq data.job.name \"odd\")}}{{duration data.job.name}}{{/if}}x";
    let table =
        [(SLACK, "message.json.hbs", slack), (WEBHOOK, "body.json.hbs", webhook), (EMAIL, "subject.txt.hbs", subject)];
    for (yaml, file, text) in table {
        let (_directory, receiver) = with_template(yaml, &[(file, text)]);
        let renderer = Renderer::open(&receiver).expect("the samples do not show it");
        let mut message = firing();
        assert_eq!(renderer.render(&message).problem, None);
        let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
        facts.job.name = "odd".into();
        facts.alert.summary = "<!channel> odd failed".into();
        let rendered = renderer.render(&message);
        let problem = rendered.problem.expect("the problem is told");
        assert!(problem.contains(file), "{problem}");
        let whole: String = rendered.content.parts.values().cloned().collect();
        assert!(whole.contains("odd failed") && whole.contains("load_orders"), "{whole}");
        assert!(whole.contains("template"), "{whole}");
        assert!(yaml == WEBHOOK || !rendered.content.part("body").contains("<!"), "{whole}");
        if yaml != EMAIL {
            serde_json::from_str::<Value>(rendered.content.part("body")).unwrap();
        }
    }
}

/// The plain form speaks the receiver's language, too; the reason why it is plain is the template's own.
#[test]
fn the_plain_message_is_in_the_receivers_language() {
    let (_directory, receiver) = with_template(
        EMAIL,
        &[("subject.txt.hbs", "{{#if (eq data.job.name \"odd\")}}{{duration data.job.name}}{{/if}}x")],
    );
    let renderer = Renderer::open(&ReceiverSettings { language: Language::Zh, ..receiver }).unwrap();
    let mut message = firing();
    let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
    facts.job.name = "odd".into();
    let rendered = renderer.render(&message);
    assert!(rendered.problem.is_some());
    let text = rendered.content.part("text");
    for said in [
        "[紧急] odd 运行 1 分钟后失败（",
        "作业 odd，来自 warehouse",
        "节点 load_orders，失败，日志路径 obs://",
        "消息模板出错",
    ] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
}
