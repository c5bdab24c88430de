//! `nightbell deliveries retry`: dead letters are sent again, and what waits for its next attempt at once.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::super::ground::{Exit, Failure, instant, now_of};
use super::super::names;
use super::super::output::{complain, fail, print};
use super::super::place::Desk;
use super::super::silence::author;
use super::named::delivery_named;
use crate::clock::{Clock as _, SystemClock};
use crate::model::{DeliveryId, ReceiverId};
use crate::store::{DeadLetters, Deliveries as _, Mode, Revived, SqlStore};
use crate::words::not_revived;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The ids of deliveries that are dead or pending, or their beginnings.
    #[arg(value_name = "ID", required_unless_present = "receiver", conflicts_with_all = ["receiver", "since"])]
    ids: Vec<String>,
    /// All to this receiver that is dead or waits for another attempt.
    #[arg(long, requires = "since")]
    receiver: Option<String>,
    /// Those made since: 6h, 2d, 2026-11-21, 2026-11-21T03:00 (in the configured zone), or with a zone.
    #[arg(long, value_name = "TIME", requires = "receiver")]
    since: Option<String>,
    /// Who has them sent again; without it, the login name.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(super) async fn retry(desk: &Desk, arguments: &Arguments, as_json: bool) -> Result<Exit, Failure> {
    // What makes no sense is refused before the store is opened; what "6h" is, its clock says.
    which(desk, arguments, SystemClock.now())?;
    let by = author(arguments.by.as_deref()).map_err(Failure::Usage)?;
    let store = SqlStore::open(&desk.config.store, Mode::Amend).await?;
    let now = now_of(&store).await?;
    let which = match which(desk, arguments, now)? {
        DeadLetters::Named(names) => {
            let mut ids = Vec::with_capacity(names.len());
            for name in names {
                ids.push(delivery_named(&store, name.as_str()).await?);
            }
            DeadLetters::Named(ids)
        }
        all @ DeadLetters::Of { .. } => all,
    };
    names::receivers(desk, &store, arguments.receiver.as_slice()).await?;
    let revived = store.revive(&which, &by, now).await?;
    store.close().await;
    tell(&revived, arguments.json || as_json)?;
    Ok(if revived.refused.is_empty() { Exit::Done } else { Exit::Failed })
}

fn which(desk: &Desk, arguments: &Arguments, now: Timestamp) -> Result<DeadLetters, Failure> {
    let (Some(receiver), Some(since)) = (&arguments.receiver, &arguments.since) else {
        return Ok(DeadLetters::Named(arguments.ids.iter().map(DeliveryId::new).collect()));
    };
    let since = instant(since, &desk.config.timezone, now).map_err(Failure::Usage)?;
    Ok(DeadLetters::Of { receiver: ReceiverId::new(receiver), since })
}

fn tell(revived: &Revived, as_json: bool) -> std::io::Result<()> {
    for id in &revived.revived {
        if as_json {
            print(json!({ "id": id, "state": "pending", "error": null }))?;
        } else {
            print(id)?;
        }
    }
    for (id, reason) in &revived.refused {
        let reason = not_revived(reason).in_english();
        if as_json {
            print(json!({ "id": id, "state": null, "error": reason }))?;
        } else {
            fail(format_args!("{id} is not sent again: {reason}"));
        }
    }
    match revived.revived.len() {
        0 => complain("nothing to retry"),
        1 => complain("1 message is due now; a running nightbell sends it within a minute"),
        count => complain(format_args!("{count} messages are due now; a running nightbell sends them within a minute")),
    }
    Ok(())
}
