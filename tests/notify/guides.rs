//! What the configuration says of an alert, on every channel: its author's words whole, its addresses as real links, and what
//! a job wrote as text.

use std::collections::HashMap;

use nightbell::model::{AlertFacts, Message, MessageData, RuleId, SourceId};
use nightbell::notify::{GuideTable, Guides, ReceiverSettings, Renderer};
use nightbell::rule::{JobMatch, Matches, Pattern};
use nightbell::template::{Guide, Line, samples};
use nightbell::words::Language;
use serde_json::Value;

use super::{CHANNELS, now, settings, yaml_of};

const RUNBOOK: &str = "https://wiki.example.com/run_books/{{data.job.name}}?from=bell&step=*1*#at-night";
const CONSOLE: &str = "https://console.example.com/?job={{data.job.name}}&run={{data.instance.id}}";
const TEXT: &str = "Ask *finance* & see https://wiki.example.com/a_b?x=1&y=2 about {{data.job.name}}!";

fn guide() -> Guide {
    Guide {
        description: Some(Line::text(TEXT).unwrap()),
        runbook: Some(Line::address(RUNBOOK).unwrap()),
        console_url: Some(Line::address(CONSOLE).unwrap()),
    }
}

fn of_rule(guide: Guide) -> Guides {
    Guides::new(GuideTable { rules: HashMap::from([(RuleId::new("etl-failed"), guide)]), ..GuideTable::default() })
}

pub(super) fn sample(name: &str) -> Message {
    samples().into_iter().find(|(known, _)| known == name).unwrap().1
}

/// Every kind of receiver, as YAML.
pub(super) fn kinds() -> impl Iterator<Item = String> {
    const SLACK: &str = "{ type: slack, webhook_url: 'https://hooks.example.com/x' }";
    const EMAIL: &str = "{ type: email, smtp_url: 'smtp://mx.example.com', from: a@example.com, to: b@example.com }";
    const WEBHOOK: &str = "{ type: webhook, url: 'https://example.com/hook' }";
    let others = CHANNELS.map(|kind| yaml_of(kind, "https://chat.example.com"));
    [SLACK, EMAIL, WEBHOOK].map(str::to_string).into_iter().chain(others)
}

/// How a link to the address is written in the messages of a kind. JSON has been undone.
fn link(kind: &str, url: &str, says: &str) -> String {
    let html = url.replace('&', "&amp;");
    match kind {
        "slack" => format!("<{html}|{says}>"),
        "dingtalk" | "wecom" | "discord" => format!("[{says}]({url})"),
        "telegram" => format!("<a href=\"{html}\">{says}</a>"),
        "email" => format!("<a href=\"{html}\" style=\"color:#0969da;\">{says}</a>"),
        "smn" if says.is_ascii() => format!("{says}: {url}"),
        "smn" => format!("{says}：{url}"),
        // Buttons, PagerDuty's links, and the keys of the body: the address is a value of its own.
        _ => url.to_string(),
    }
}

/// Every text of the parts, those of JSON one by one. The engine writes an equals sign as an entity in HTML.
pub(super) fn texts(parts: impl Iterator<Item = String>) -> Vec<String> {
    fn collect(value: &Value, texts: &mut Vec<String>) {
        match value {
            Value::String(text) => texts.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
            Value::Object(map) => map.values().for_each(|item| collect(item, texts)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    for part in parts {
        match serde_json::from_str::<Value>(&part) {
            Ok(value) if !value.is_number() => collect(&value, &mut all),
            _ => all.push(part),
        }
    }
    all.into_iter().map(|text| text.replace("&#x3D;", "=")).collect()
}

#[test]
fn every_channel_has_the_links_and_the_authors_words_whole() {
    let guides = of_rule(guide());
    let mut seen = 0;
    for yaml in kinds() {
        for (language, runbook, console) in
            [(Language::En, "Runbook", "Open in the scheduler"), (Language::Zh, "处理手册", "在调度平台中打开")]
        {
            let receiver = ReceiverSettings { language, guides: guides.clone(), ..settings(&yaml) };
            let (renderer, kind) = (Renderer::open(&receiver).unwrap(), receiver.channel.kind().word);
            for name in ["alert.firing ordinary", "alert.resolved ordinary"] {
                seen += 1;
                let rendered = renderer.render(&sample(name));
                assert_eq!(rendered.problem, None, "{yaml} {name}");
                let all = texts(rendered.content.parts.into_values());
                let holds = |wanted: &str| all.iter().any(|text| text.contains(wanted));
                let shown = || all.join("\n");
                let url = "https://wiki.example.com/run_books/etl_orders?from=bell&step=*1*#at-night";
                assert!(holds(&link(kind, url, runbook)), "{kind} {name}:\n{}", shown());
                let url = "https://console.example.com/?job=etl_orders&run=34765";
                assert!(holds(&link(kind, url, console)), "{kind} {name}:\n{}", shown());
                let (text, url) = match kind {
                    "slack" => ("Ask *finance* &amp; see <", "https://wiki.example.com/a_b?x=1&amp;y=2>"),
                    "telegram" => ("Ask *finance* &amp; see ", "https://wiki.example.com/a_b?x=1&amp;y=2"),
                    "email" => ("Ask *finance* & see ", "https://wiki.example.com/a_b?x=1&y=2"),
                    _ => ("Ask *finance* & see ", "https://wiki.example.com/a_b?x=1&y=2"),
                };
                assert!(holds(&format!("{text}{url} about etl_orders!")), "{kind} {name}:\n{}", shown());
            }
        }
    }
    assert_eq!(seen, (CHANNELS.len() + 3) * 4);
}

#[test]
fn what_a_job_wrote_stays_text_in_what_the_author_wrote() {
    for yaml in kinds() {
        let receiver = ReceiverSettings { guides: of_rule(guide()), ..settings(&yaml) };
        let (renderer, kind) = (Renderer::open(&receiver).unwrap(), receiver.channel.kind().word);
        let parts = renderer.render(&sample("alert.firing hostile")).content.parts.into_iter();
        // DingTalk shows a title as it is, in the list of chats and on a lock screen.
        let shown = parts.map(|(_, text)| match kind {
            "dingtalk" => {
                let mut body: Value = serde_json::from_str(&text).unwrap();
                body["markdown"]["title"].take();
                body.to_string()
            }
            _ => text,
        });
        let all = texts(shown).join("\n");
        // Verbatim bodies are for programs, and plain text has no marks.
        if ["webhook", "pagerduty"].contains(&kind) {
            continue;
        }
        let escaped =
            "https://wiki.example.com/run_books/%3C%21channel%3E%20%3C%40U024BE7LH%3E%20%3Chttps%3A%2F%2Fevil.example";
        assert!(all.contains(escaped), "{kind}:\n{all}");
        for forbidden in ["](https://evil", "href=\"https://evil", "<script", "<!channel", "<https://evil"] {
            // Discord knows no HTML, and has a backslash before each mark.
            let is_plain =
                ["email", "ntfy", "smn", "feishu", "teams", "discord"].contains(&kind) && forbidden.starts_with('<');
            assert!(is_plain || !all.contains(forbidden), "{kind}: {forbidden}\n{all}");
        }
    }
}

#[test]
fn an_address_in_a_label_arrives_whole() {
    let url = "https://wiki.example.com/run_books/a_b?x=*1*&y=~2#[z]";
    let mut message = sample("alert.firing ordinary");
    let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
    facts.alert.labels = [("runbook".to_string(), url.to_string())].into();
    for yaml in kinds() {
        let receiver = settings(&yaml);
        let kind = receiver.channel.kind().word;
        let all = texts(Renderer::open(&receiver).unwrap().render(&message).content.parts.into_values());
        let written = match kind {
            "slack" => format!("runbook=<{}>", url.replace('&', "&amp;")),
            "telegram" => format!("runbook={}", url.replace('&', "&amp;")),
            // The key of the body holds the label by itself.
            "webhook" | "pagerduty" => url.to_string(),
            _ => format!("runbook={url}"),
        };
        assert!(all.iter().any(|text| text.contains(&written)), "{kind}:\n{}", all.join("\n"));
    }
}

#[test]
fn the_nearest_says_it_key_by_key() {
    let text = |text: &str| Some(Line::text(text).unwrap());
    let address = |url: &str| Some(Line::address(url).unwrap());
    let jobs = |pattern: &str| {
        let jobs = vec![Pattern::parse(pattern).unwrap()];
        JobMatch::new(&Matches { jobs, ..Matches::default() }).unwrap()
    };
    let guides = Guides::new(GuideTable {
        jobs: vec![
            (jobs("report_*"), Guide { description: text("of reports"), ..Guide::default() }),
            (jobs("etl_*"), Guide { description: text("of the job"), ..Guide::default() }),
            (
                jobs("etl_orders"),
                Guide { description: text("too late"), runbook: address("https://job/"), ..Guide::default() },
            ),
        ],
        rules: HashMap::from([(
            RuleId::new("etl-failed"),
            Guide { description: text("of the rule"), runbook: address("https://rule/"), ..Guide::default() },
        )]),
        sources: HashMap::from([(
            SourceId::new("warehouse"),
            Guide { runbook: address("https://source/"), console_url: address("https://console/"), ..guide() },
        )]),
    });
    let receiver = ReceiverSettings { guides, ..settings("{ type: webhook, url: 'https://example.com/hook' }") };
    let renderer = Renderer::open(&receiver).unwrap();
    let said = |facts: AlertFacts| {
        let message = Message { data: MessageData::Alert(Box::new(facts)), ..sample("alert.firing ordinary") };
        let body: Value = serde_json::from_str(renderer.render(&message).content.part("body")).unwrap();
        let alert = &body["data"]["alert"];
        ["description", "runbook", "console_url"].map(|key| alert[key].as_str().unwrap_or("-").to_string()).join(" ")
    };
    let facts = |job: &str, rule: &str| {
        let mut facts = sample("alert.firing ordinary").alert().unwrap().clone();
        (facts.job.name, facts.alert.rule) = (job.to_string(), RuleId::new(rule));
        facts
    };
    assert_eq!(said(facts("etl_orders", "etl-failed")), "of the job https://job/ https://console/");
    assert_eq!(said(facts("sync", "etl-failed")), "of the rule https://rule/ https://console/");
    let of_source =
        "Ask *finance* & see https://wiki.example.com/a_b?x=1&y=2 about sync! https://source/ https://console/";
    assert_eq!(said(facts("sync", "other")), of_source);
    // Nightbell's own alerts are about no job, and a test about nothing that the configuration knows.
    assert_eq!(said(facts("etl_orders", "self/source-unreadable")), "- - -");
    let test = renderer.render(&sample("test ordinary")).content;
    assert!(!test.part("body").contains("https://job/"));
}

#[test]
fn alerts_that_are_told_together_share_their_runbook() {
    let receiver =
        ReceiverSettings { guides: of_rule(guide()), ..settings("{ type: slack, webhook_url: 'https://x/y' }") };
    let same = Guide { runbook: Some(Line::address("https://wiki.example.com/all").unwrap()), ..Guide::default() };
    let shared = ReceiverSettings { guides: of_rule(same), ..receiver.clone() };
    let one = |job: &str| {
        let mut facts = sample("alert.firing ordinary").alert().unwrap().clone();
        facts.job.name = job.to_string();
        facts
    };
    let alerts: Vec<AlertFacts> = ["load_a", "load_b", "load_c"].map(one).into();
    let body = |receiver: &ReceiverSettings| {
        let grouped = Renderer::open(receiver).unwrap().group(&alerts, 0, now(), 3).unwrap();
        grouped.rendered.content.part("body").to_string()
    };
    assert_eq!(body(&shared).matches("<https://wiki.example.com/all|Runbook>").count(), 1);
    // Each job has an address of its own, and none is that of the line.
    assert!(!body(&receiver).contains("|Runbook>"));
}
