//! `nightbell alerts`: what fired, and what became of it.

use serde_json::json;

use super::output::{complain, local, print, table};
use super::{Exit, Failure, Listing};
use crate::config::Config;
use crate::model::Alert;
use crate::store::{Mode, SqlStore, Store as _};
use crate::template::display_text;

pub(super) async fn alerts(config: &Config, listing: &Listing) -> Result<Exit, Failure> {
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    for source in store.sources().await? {
        if let Some((since, reason)) = source.unreadable {
            let since = local(since, &config.timezone);
            complain(format_args!("source {} is unknown since {since}: {}", source.id, display_text(&reason)));
        }
    }
    let alerts = store.alerts(listing.limit).await?;
    if listing.json {
        for alert in &alerts {
            print(line(alert))?;
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
            let suppressed = alert.suppressed_by.map(|by| format!(" (not told: {})", by.as_str()));
            vec![
                local(facts.alert.starts_at, &config.timezone),
                facts.alert.severity.to_string(),
                format!("{}{}", facts.alert.state.as_str(), suppressed.unwrap_or_default()),
                alert.rule.to_string(),
                match &facts.instance {
                    Some(instance) => format!("{} #{}", display_text(&facts.job.name), display_text(&instance.id)),
                    None => format!("{} (job)", display_text(&facts.job.name)),
                },
                display_text(&facts.alert.summary),
            ]
        })
        .collect();
    print(table(&["SINCE", "SEVERITY", "STATE", "RULE", "INSTANCE", "WHAT"], rows))?;
    Ok(Exit::Done)
}

/// An alert as one JSON object.
fn line(alert: &Alert) -> serde_json::Value {
    json!({
        "alert": alert.facts.alert,
        "source": alert.facts.source,
        "job": alert.facts.job,
        "instance": alert.facts.instance,
        "suppressed_by": alert.suppressed_by,
    })
}
