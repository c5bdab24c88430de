//! `nightbell alerts`: what fired, and what became of it.

use serde_json::json;

use super::output::{complain, local, print, table};
use super::{Exit, Failure, Listing};
use crate::config::Config;
use crate::model::{Ack, Alert};
use crate::store::{Mode, SqlStore, Store as _};
use crate::template::display_text;

/// Characters of an alert's id that the table shows: enough to tell thousands apart, and few enough to type.
const ID_SHOWN: usize = 8;

pub(super) async fn alerts(config: &Config, listing: &Listing) -> Result<Exit, Failure> {
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    for source in store.sources().await? {
        if let Some((since, reason)) = source.unreadable {
            let since = local(since, &config.timezone);
            complain(format_args!("source {} is unknown since {since}: {}", source.id, display_text(&reason)));
        }
    }
    let alerts = store.alerts(listing.limit).await?;
    let acks = store.acks().await?;
    if listing.json {
        for alert in &alerts {
            print(line(alert, acks.get(&alert.id)))?;
        }
        return Ok(Exit::Done);
    }
    if alerts.is_empty() {
        complain("no alerts");
        return Ok(Exit::Done);
    }
    let rows = alerts
        .iter()
        .map(|alert| {
            let facts = &alert.facts;
            let suppressed = alert.suppressed_by.as_ref().map(|by| format!(" (not told: {by})"));
            let acked = acks.get(&alert.id).map(|ack| format!(", {} is on it", display_text(&ack.by)));
            vec![
                alert.id.as_str().chars().take(ID_SHOWN).collect(),
                local(facts.alert.starts_at, &config.timezone),
                facts.alert.severity.to_string(),
                [facts.alert.state.as_str(), &suppressed.unwrap_or_default(), &acked.unwrap_or_default()].concat(),
                alert.rule.to_string(),
                match &facts.instance {
                    Some(instance) => format!("{} #{}", display_text(&facts.job.name), display_text(&instance.id)),
                    None => format!("{} (job)", display_text(&facts.job.name)),
                },
                display_text(&facts.alert.summary),
            ]
        })
        .collect();
    print(table(&["ID", "SINCE", "SEVERITY", "STATE", "RULE", "INSTANCE", "WHAT"], rows))?;
    Ok(Exit::Done)
}

/// An alert as one JSON object.
fn line(alert: &Alert, ack: Option<&Ack>) -> serde_json::Value {
    json!({
        "alert": alert.facts.alert,
        "source": alert.facts.source,
        "job": alert.facts.job,
        "instance": alert.facts.instance,
        "suppressed_by": alert.suppressed_by,
        "acked": ack,
        "generation": alert.generation,
    })
}
