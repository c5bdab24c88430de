//! `nightbell deliveries`: who was told what, or is still owed it.

use serde_json::json;

use super::output::{complain, local, print, table};
use super::{Exit, Failure, Listing};
use crate::config::Config;
use crate::model::Delivery;
use crate::store::{Mode, SqlStore, Store as _};
use crate::template::display_text;

pub(super) async fn deliveries(config: &Config, listing: &Listing) -> Result<Exit, Failure> {
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let deliveries = store.deliveries(listing.limit).await?;
    if listing.json {
        for delivery in &deliveries {
            print(line(delivery))?;
        }
        return Ok(Exit::Done);
    }
    if deliveries.is_empty() {
        complain("no deliveries");
        return Ok(Exit::Done);
    }
    let rows = deliveries
        .iter()
        .map(|delivery| {
            let next = delivery.next_attempt_at.map(|at| format!("next attempt {}", local(at, &config.timezone)));
            let outcome = delivery.last_error.as_deref().map(display_text).into_iter().chain(next);
            vec![
                local(delivery.created_at, &config.timezone),
                delivery.receiver.to_string(),
                delivery.kind.to_string(),
                delivery.rule.as_ref().map(ToString::to_string).unwrap_or_default(),
                delivery.state.as_str().to_string(),
                delivery.attempts.to_string(),
                outcome.collect::<Vec<_>>().join("; "),
                delivery.id.to_string(),
            ]
        })
        .collect();
    let header = ["CREATED", "RECEIVER", "KIND", "RULE", "STATE", "ATTEMPTS", "LAST ERROR", "ID"];
    print(table(&header, rows))?;
    Ok(Exit::Done)
}

/// A delivery as one JSON object.
fn line(delivery: &Delivery) -> serde_json::Value {
    json!({
        "id": delivery.id,
        "alert": delivery.alert,
        "rule": delivery.rule,
        "receiver": delivery.receiver,
        "kind": delivery.kind,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "created_at": delivery.created_at,
        "next_attempt_at": delivery.next_attempt_at,
        "delivered_at": delivery.delivered_at,
    })
}
