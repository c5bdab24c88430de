//! The message without any template: what is sent when a template fails, so that no alert is lost to one.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use crate::model::{AlertState, Message, MessageData, MessageKind};
use crate::template::{display_text, local_time, truncated};

/// A message to be told plainly, and why.
pub(super) struct Plain<'a> {
    pub(super) message: &'a Message,
    /// The zone of the times in it.
    pub(super) zone: &'a TimeZone,
    /// What was wrong with the templates.
    pub(super) problem: &'a str,
}

impl Plain<'_> {
    /// One line: how bad, what, since when.
    pub(super) fn headline(&self) -> String {
        headline(self.message, self.zone)
    }

    /// The whole message in lines, saying at its end why it looks like this. Free of control characters, not escaped.
    pub(super) fn text(&self) -> String {
        let problem = display_text(&truncated(self.problem, 500));
        let note = format!("(The template for this message failed, so this is the plain form: {problem})");
        format!("{}\n{note}", text(self.message, self.zone))
    }
}

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
