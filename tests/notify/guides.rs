//! What the configuration says of an alert, on every channel: its author's words whole, its addresses as real links, and what
//! a job wrote as text.

use std::collections::HashMap;

use nightbell::model::{AlertFacts, Message, MessageData, RuleId, SourceId};
use nightbell::notify::{GuideTable, Guides, ReceiverSettings, Renderer};
use nightbell::rule::{JobMatch, Matches, Pattern};
use nightbell::sign::LinkKey;
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

/// Alerts that are alike and are told in one line.
fn alike() -> Vec<AlertFacts> {
    let one = |job: &str| {
        let mut facts = sample("alert.firing ordinary").alert().unwrap().clone();
        facts.job.name = job.to_string();
        facts
    };
    ["load_a", "load_b", "load_c"].map(one).into()
}

#[test]
fn alerts_that_are_told_together_have_the_same_links_or_those_of_the_worst() {
    let shared = Guide {
        description: Some(Line::text("Ask *finance* & see https://wiki.example.com/a_b").unwrap()),
        runbook: Some(Line::address("https://wiki.example.com/all").unwrap()),
        console_url: Some(Line::address("https://console.example.com/all").unwrap()),
    };
    let mut seen = 0;
    for yaml in kinds() {
        for (language, runbook, console) in
            [(Language::En, "Runbook", "Open in the scheduler"), (Language::Zh, "处理手册", "在调度平台中打开")]
        {
            let said = |guide: Guide| {
                let receiver = ReceiverSettings { language, guides: of_rule(guide), ..settings(&yaml) };
                let renderer = Renderer::open(&receiver).unwrap();
                let grouped = renderer.group(&alike(), 0, now(), 3)?;
                assert_eq!(grouped.rendered.problem, None, "{yaml}");
                Some((receiver.channel.kind().word, texts(grouped.rendered.content.parts.into_values())))
            };
            // PagerDuty is told each alone, and the webhook's body has each with its keys.
            let Some((kind, all)) = said(shared.clone()).filter(|(kind, _)| *kind != "webhook") else { continue };
            seen += 1;
            let count =
                |all: &[String], wanted: &str| all.iter().map(|text| text.matches(wanted).count()).sum::<usize>();
            let links = [("https://wiki.example.com/all", runbook), ("https://console.example.com/all", console)];
            for (url, says) in links {
                let link = link(kind, url, says)
                    .replace(" style=\"color:#0969da;\"", " style=\"font-size:13px; color:#0969da;\"");
                assert!(count(&all, &link) >= 1, "{kind}: {link}\n{}", all.join("\n"));
            }
            let description =
                if kind == "slack" || kind == "telegram" { "Ask *finance* &amp; see " } else { "Ask *finance* & see " };
            assert!(count(&all, description) >= 1, "{kind}:\n{}", all.join("\n"));
            assert_eq!(count(&all, "(load_a)"), 0, "{kind}:\n{}", all.join("\n"));

            // Each job has its own: those of the first are told, and whose they are.
            let (_, all) = said(guide()).unwrap();
            let (here, other) = ("run_books/load_a?from", "run_books/load_b?from");
            assert!(count(&all, here) >= 1 && count(&all, other) == 0, "{kind}:\n{}", all.join("\n"));
            assert!(count(&all, " (load_a)") >= 2, "{kind}:\n{}", all.join("\n"));
            let colon = if language == Language::En { "load_a: Ask" } else { "load_a：Ask" };
            assert!(count(&all, colon) >= 1, "{kind}:\n{}", all.join("\n"));
        }
    }
    assert_eq!(seen, (CHANNELS.len() + 1) * 2);
}

/// What the rule says is said once, however many lines its alerts have.
#[test]
fn a_description_is_told_once_in_a_message() {
    let description = Some(Line::text("Finance waits for it.").unwrap());
    let guides = of_rule(Guide { description, ..Guide::default() });
    let receiver = ReceiverSettings { guides, ..settings("{ type: slack, webhook_url: 'https://x/y' }") };
    let mut alerts = alike();
    for (number, facts) in alerts.iter_mut().enumerate() {
        facts.instance.as_mut().unwrap().error = Some(format!("error {}", "e".repeat(number)));
    }
    let grouped = Renderer::open(&receiver).unwrap().group(&alerts, 0, now(), 3).unwrap();
    assert_eq!(grouped.rendered.content.part("body").matches("Finance waits for it.").count(), 1);
}

/// A message whose template failed is plain, and its links lead where they should all the same.
#[test]
fn the_plain_form_has_the_configurations_addresses_whole() {
    for yaml in kinds() {
        let directory = tempfile::tempdir().unwrap();
        let kind = settings(&yaml).channel.kind();
        // No sample has a job of this name.
        for part in kind.alert {
            let text = "{{#if (gt (len data.failing_nodes) 0)}}{{#if (eq data.job.name \"etl_plain\")}}{{duration data.job.name}}{{/if}}{{/if}}{}";
            std::fs::write(directory.path().join(part.file), text).unwrap();
        }
        let guides = of_rule(guide());
        let page = Some("https://bell.example.com".to_string());
        let receiver =
            ReceiverSettings { guides, page, templates: vec![directory.path().to_path_buf()], ..settings(&yaml) };
        let renderer = Renderer::open(&receiver).unwrap().signing(LinkKey::new("k"));
        let mut message = sample("alert.firing ordinary");
        let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
        facts.job.name = "etl_plain".to_string();
        let rendered = renderer.render(&message);
        assert!(rendered.problem.is_some(), "{yaml}");
        // Its summary is all that PagerDuty has of the plain form.
        if kind.word == "pagerduty" {
            continue;
        }
        let all = texts(rendered.content.parts.into_values()).join("\n").replace("&amp;", "&");
        for url in [
            "https://wiki.example.com/run_books/etl_plain?from=bell&step=*1*#at-night",
            "https://console.example.com/?job=etl_plain&run=34765",
            "https://bell.example.com/alerts/sample",
            "https://bell.example.com/ack/sample?until=",
        ] {
            assert!(all.contains(url), "{yaml}: {url}\n{all}");
        }
    }
}
