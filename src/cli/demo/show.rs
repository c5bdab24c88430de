//! Shows what arrives at the demo's receivers.

use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::cli::ground::Failure;
use crate::cli::output::print;
use crate::clock::Clock;
use crate::model::MessageKind;
use crate::sim::{Inbox, Mail, Received};
use crate::store::{Deliveries as _, SqlStore};
use crate::template::display_text;

/// The demo's clock, as everything that it prints shows it: the one that the messages go by.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) zone: TimeZone,
}

impl Shown {
    /// The head of a line: what the clock shows, and who speaks.
    pub(super) fn stamp(&self, who: &str) -> String {
        format!("{} {who:<10}", self.clock.now().to_zoned(self.zone.clone()).strftime("%H:%M:%S"))
    }
}

/// Shows messages as they arrive; does not end by itself.
pub(super) async fn show(
    mut inbox: Inbox,
    store: &SqlStore,
    clock: &Shown,
    as_json: bool,
    progress: &indicatif::ProgressBar,
) -> Result<(), Failure> {
    while let Some(received) = inbox.received.recv().await {
        let text = match received {
            Received::Slack(body) => indented(&clock.stamp("Slack"), &slack_lines(&body)),
            Received::Mail(mail) => {
                let head = format!("{} {}", clock.stamp("email"), mail.recipients.join(", "));
                indented(&head, &mail_lines(&mail, store).await?)
            }
            Received::Webhook { id, signed, body } => {
                let signed = if signed { "signed" } else { "not signed" };
                let head = format!("{} webhook-id {id}, {signed}", clock.stamp("webhook"));
                indented(&head, &body_lines(&body, as_json))
            }
        };
        progress.suspend(|| print(text))?;
    }
    Ok(())
}

fn indented(head: &str, lines: &[String]) -> String {
    let body: String = lines.iter().map(|line| format!("        | {}\n", display_text(line))).collect();
    format!("{head}\n{body}")
}

/// The texts of a Block Kit message, top to bottom.
fn slack_lines(body: &str) -> Vec<String> {
    let Ok(message) = serde_json::from_str::<Value>(body) else { return vec![body.to_string()] };
    let mut lines = Vec::new();
    collect_texts(&message["blocks"], &mut lines);
    collect_texts(&message["attachments"], &mut lines);
    lines.iter().flat_map(|text| text.lines()).map(plain).filter(|line| !line.trim().is_empty()).collect()
}

fn collect_texts(value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, lines)),
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get("text") {
                lines.push(text.clone());
            }
            map.values().filter(|value| !value.is_string()).for_each(|value| collect_texts(value, lines));
        }
        _ => {}
    }
}

/// mrkdwn as it reads.
fn plain(line: &str) -> String {
    line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace(['*', '`', '\u{200b}'], "")
}

/// Subject and text of a mail. What went over the wire is encoded for mail; the outbox has the words.
async fn mail_lines(mail: &Mail, store: &SqlStore) -> Result<Vec<String>, Failure> {
    let header = mail.header("Message-ID");
    let id = header.trim_start_matches('<').split('@').next().unwrap_or_default();
    let deliveries = store.deliveries(1000).await?;
    let Some(delivery) = deliveries.iter().find(|delivery| delivery.id.as_str() == id) else {
        return Ok(vec![mail.header("Subject")]);
    };
    let subject = format!("Subject: {}", delivery.content.part("subject"));
    // Another digest stands at the end, whole.
    if delivery.kind == MessageKind::Digest {
        return Ok(vec![subject]);
    }
    let text = delivery.content.part("text").lines().map(str::to_string);
    Ok([subject, String::new()].into_iter().chain(text).collect())
}

/// A body in a line, or in full: it says what the message beside it says.
fn body_lines(body: &str, in_full: bool) -> Vec<String> {
    let Ok(value) = serde_json::from_str::<Value>(body) else { return vec![body.to_string()] };
    if in_full {
        return format!("{value:#}").lines().map(str::to_string).collect();
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    vec![format!("{}: {}", text(&value["type"]), text(&value["data"]["alert"]["summary"]))]
}
