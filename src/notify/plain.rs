//! The message without any template: what is sent when a template fails, so that no alert is lost to one.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::ChannelSettings;
use crate::model::{AlertState, Content, Message, MessageData, MessageKind};
use crate::template::{display_text, local_time, slack_text, truncated};

/// The content of a message in the channel's own parts, saying at its end why it looks like this.
pub(super) fn content(channel: &ChannelSettings, message: &Message, zone: &TimeZone, problem: &str) -> Content {
    let note = format!("(The template for this message failed, so this is the plain form: {problem})");
    let mut parts = std::collections::BTreeMap::new();
    match channel {
        ChannelSettings::Slack(_) => {
            let text = slack_text(&truncated(&format!("{}\n{note}", text(message, zone)), 3000));
            let body = json!({ "text": text, "mrkdwn": false, "parse": "none", "link_names": false });
            parts.insert("body".to_string(), body.to_string());
        }
        ChannelSettings::Email(_) => {
            let text = format!("{}\n{note}\n", text(message, zone));
            let html = format!("<pre style=\"white-space:pre-wrap\">{}</pre>", handlebars::html_escape(&text));
            parts.insert("subject".to_string(), truncated(&headline(message, zone), 200));
            parts.insert("html".to_string(), html);
            parts.insert("text".to_string(), text);
        }
        ChannelSettings::Webhook(_) => {
            let mut body = serde_json::to_value(message).unwrap_or_default();
            if let Value::Object(map) = &mut body {
                map.insert("template_problem".to_string(), Value::from(problem));
            }
            parts.insert("body".to_string(), body.to_string());
        }
    }
    Content { parts }
}

/// One line: how bad, what, since when.
fn headline(message: &Message, zone: &TimeZone) -> String {
    let MessageData::Alert(facts) = &message.data;
    let word = match (message.kind, facts.alert.state) {
        (MessageKind::Test, _) => "TEST".to_string(),
        (_, AlertState::Resolved) => "RESOLVED".to_string(),
        (_, AlertState::Firing) => facts.alert.severity.as_str().to_uppercase(),
    };
    let since = local_time(facts.alert.starts_at, zone);
    display_text(&format!("[{word}] {}, since {since}", truncated(&facts.alert.summary, 300)))
}

fn text(message: &Message, zone: &TimeZone) -> String {
    let MessageData::Alert(facts) = &message.data;
    let mut lines = vec![headline(message, zone)];
    lines.push(format!("Job {} in {}", facts.job.name, facts.source.id));
    if let Some(instance) = &facts.instance {
        lines.push(format!("Instance {}, {}", instance.id, instance.status));
    }
    if let Some(status) = &facts.job.status {
        lines.push(format!("Job status {status}"));
    }
    let error = facts.instance.as_ref().and_then(|instance| instance.error.as_ref());
    if let Some(error) = error.filter(|_| facts.alert.state == AlertState::Firing) {
        lines.push(format!("Error {error}"));
    }
    for node in facts.failing_nodes.iter().take(5) {
        let mut line = format!("Node {}, {}", node.name, node.status);
        if let Some(path) = &node.log_path {
            let _ = write!(line, ", log {path}");
        }
        lines.push(line);
    }
    if facts.node_details != "ok" {
        lines.push(format!("The failing node is not known: {}", facts.node_details));
    }
    lines.push(format!("Rule {}", facts.alert.rule));
    lines.iter().map(|line| display_text(&truncated(line, 1500))).collect::<Vec<_>>().join("\n")
}
