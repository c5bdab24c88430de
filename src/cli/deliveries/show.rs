//! `nightbell deliveries show`: all of one delivery.

use std::fmt::Write as _;

use clap::Args;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::super::ground::{Exit, Failure};
use super::super::output::{beyond_status, fail, lived, local, print, table};
use super::named::delivery_named;
use crate::config::Config;
use crate::desk::json;
use crate::model::{Alert, Delivery, DeliveryState};
use crate::store::{AttemptRecord, Deliveries as _, DeliveryRecord, Mode, SqlStore};
use crate::template::display_text;
use crate::words::{Language, summary};
use crate::yaml::duration_text;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The delivery's id, or its beginning.
    id: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn show(config: &Config, arguments: &Arguments, as_json: bool) -> Result<Exit, Failure> {
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let id = delivery_named(&store, &arguments.id).await?;
    let Some(record) = store.delivery_record(&id).await? else {
        fail(format_args!("there is no delivery {:?}; `nightbell deliveries` lists them", arguments.id));
        return Ok(Exit::Failed);
    };
    if arguments.json || as_json {
        print(json::delivery_record(&record))?;
    } else {
        print(as_text(&record, &config.timezone).trim_end())?;
    }
    Ok(Exit::Done)
}

fn as_text(record: &DeliveryRecord, zone: &TimeZone) -> String {
    let DeliveryRecord { delivery, alert, attempts, fallback } = record;
    let mut text = String::new();
    let mut put = |what: &str, value: String| {
        let _ = writeln!(text, "{what:<15} {value}");
    };
    put("delivery", delivery.id.to_string());
    put("to", delivery.receiver.to_string());
    put("kind", delivery.kind.to_string());
    put("state", state(delivery, zone));
    put("made", local(delivery.created_at, zone));
    if let Some(revival) = delivery.revived {
        put("sent again", format!("{}, after {} attempts", local(revival.at, zone), revival.attempts));
    }
    let links = [
        ("answers", &delivery.follows),
        ("sent inside", &delivery.merged_into),
        ("fallback for", &delivery.fallback_for),
        ("fallback", fallback),
    ];
    for (what, id) in links {
        if let Some(id) = id {
            put(what, id.to_string());
        }
    }
    if !delivery.done.is_empty() {
        put("reached so far", display_text(&delivery.done.join(", ")));
    }
    if let Some(alert) = alert {
        put_alert(&mut put, alert, zone);
    }
    text.push('\n');
    text.push_str(&attempts_text(attempts, zone));
    for (part, content) in &delivery.content.parts {
        let _ = write!(text, "\n{part}:\n{}", content_text(part, content));
    }
    text
}

fn state(delivery: &Delivery, zone: &TimeZone) -> String {
    let error = delivery.last_error.as_deref().map(|error| format!(": {}", display_text(error))).unwrap_or_default();
    let waits = delivery.group.as_ref().is_some_and(|group| group.told_at.is_none());
    match (delivery.state, delivery.next_attempt_at, delivery.delivered_at) {
        (DeliveryState::Pending, Some(next), _) if waits => {
            format!("pending, waits for others of its group until {}", local(next, zone))
        }
        (DeliveryState::Pending, Some(next), _) => format!("pending, next attempt {}{error}", local(next, zone)),
        (DeliveryState::Delivered, _, Some(at)) => format!("delivered {}", local(at, zone)),
        (state, ..) => format!("{}{error}", state.as_str()),
    }
}

fn put_alert(put: &mut impl FnMut(&str, String), alert: &Alert, zone: &TimeZone) {
    let facts = &alert.facts;
    put("alert", alert.id.to_string());
    put("", display_text(&summary(facts, Language::En)));
    put("", format!("{}, {}", facts.alert.severity, lived(&facts.alert, zone)));
    let instance = facts.instance.as_ref().map(|it| format!(", instance {}", it.id)).unwrap_or_default();
    put("", display_text(&format!("job {} in {}{instance}, rule {}", facts.job.name, alert.source, alert.rule)));
    for node in &facts.failing_nodes {
        let log = node.log_path.as_deref().map(|path| format!(", log {path}")).unwrap_or_default();
        put("", display_text(&format!("node {}, {}{log}", node.name, node.status)));
    }
}

fn attempts_text(attempts: &[AttemptRecord], zone: &TimeZone) -> String {
    if attempts.is_empty() {
        return "no attempt was made\n".to_string();
    }
    let row = |one: &AttemptRecord| {
        let took = one.ended_at.duration_since(one.started_at).unsigned_abs();
        let took = if took.as_secs() == 0 { format!("{} ms", took.as_millis()) } else { duration_text(took) };
        vec![
            one.number.to_string(),
            local(one.started_at, zone),
            took,
            one.outcome.clone(),
            one.status.as_deref().map(display_text).unwrap_or_default(),
            display_text(beyond_status(one.status.as_deref(), one.error.as_deref())),
        ]
    };
    let rows = attempts.iter().map(row).collect();
    format!("{}\n", table(&["ATTEMPT", "BEGAN", "TOOK", "OUTCOME", "STATUS", "ANSWER"], rows))
}

/// A part as a person reads it: JSON laid out, text line by line, a page not at all, for its text says the same.
fn content_text(part: &str, content: &str) -> String {
    if part == "html" {
        return format!("  ({} bytes of HTML; --json has them)\n", content.len());
    }
    let laid_out = serde_json::from_str::<Value>(content).ok().filter(|it| it.is_object() || it.is_array());
    let laid_out = laid_out.and_then(|value| serde_json::to_string_pretty(&value).ok());
    let lines = laid_out.as_deref().unwrap_or(content).lines();
    lines.map(|line| format!("  {}\n", display_text(line))).collect()
}
