//! What people do, for pages and the API alike: acknowledge, close, send again, give up. Everything is logged with who.

use crate::desk::{self, Closing, Wrong, one_line};
use crate::model::{Ack, Alert, AlertId, AlertState, DeliveryId};
use crate::store::{Board as _, DeadLetters, Deliveries as _};

use super::fault::Fault;
use super::state::Web;

impl From<Wrong> for Fault {
    fn from(wrong: Wrong) -> Fault {
        let part = wrong.part.map(|part| format!("{part}: ")).unwrap_or_default();
        Fault::bad_request(format!("{part}{}", wrong.why))
    }
}

/// The alert of this id, which fires.
async fn firing(web: &Web, id: &str) -> Result<Alert, Fault> {
    let alert = web.store.alert(&AlertId::new(id)).await?.ok_or_else(Fault::not_found)?;
    match alert.state() {
        AlertState::Firing => Ok(alert),
        AlertState::Resolved => Err(Fault::conflict("the alert is over")),
    }
}

/// Acknowledges an alert; returns who had before.
pub(super) async fn ack(web: &Web, id: &str, by: &str, reason: Option<&str>) -> Result<Option<Ack>, Fault> {
    let alert = firing(web, id).await?;
    let reason = reason.map(|reason| one_line("reason", reason)).transpose()?;
    let ack = Ack { by: by.to_string(), reason, at: web.now() };
    let in_force = web.in_force();
    let mut acked = desk::acknowledge(&web.store, &in_force.receivers, std::slice::from_ref(&alert), &ack).await?;
    tracing::info!(alert = id, by, notified = acked.notified, "acknowledged over the web");
    Ok(acked.before.remove(&alert.id))
}

/// Removes the acknowledgement of an alert; returns it.
pub(super) async fn unack(web: &Web, id: &str, by: &str) -> Result<Option<Ack>, Fault> {
    let alert = firing(web, id).await?;
    let (in_force, now) = (web.in_force(), web.now());
    let mut given = desk::unacknowledge(&web.store, &in_force.receivers, std::slice::from_ref(&alert), now).await?;
    tracing::info!(alert = id, by, notified = given.notified, "no longer acknowledged, over the web");
    Ok(given.before.remove(&alert.id))
}

/// Closes an alert; returns how many receivers are notified.
pub(super) async fn close(web: &Web, id: &str, by: &str, reason: &str) -> Result<usize, Fault> {
    let alert = firing(web, id).await?;
    let closing = Closing { by: by.to_string(), reason: one_line("reason", reason)?, at: web.now() };
    let receivers = web.in_force();
    let notified = desk::close(&web.store, &receivers.receivers, std::slice::from_ref(&alert), &closing).await?;
    tracing::info!(alert = id, by, notified, "closed over the web");
    Ok(notified)
}

/// Has a dead letter be sent again, with what died with it, and a pending one at once.
pub(super) async fn retry(web: &Web, id: &str, by: &str) -> Result<Vec<DeliveryId>, Fault> {
    let delivery = DeliveryId::new(id);
    let record = web.store.delivery_record(&delivery).await?.ok_or_else(Fault::not_found)?;
    let revived = web.store.revive(&DeadLetters::Named(vec![delivery]), web.now()).await?;
    if let Some((_, reason)) = revived.refused.first() {
        return Err(Fault::conflict(reason.to_string()));
    }
    web.in_force().receivers.wake([&record.delivery.receiver]);
    tracing::info!(delivery = id, by, "sent again, over the web");
    Ok(revived.revived)
}

/// Gives up a delivery that is pending.
pub(super) async fn drop_delivery(web: &Web, id: &str, by: &str, reason: &str) -> Result<Vec<DeliveryId>, Fault> {
    let delivery = DeliveryId::new(id);
    web.store.delivery_record(&delivery).await?.ok_or_else(Fault::not_found)?;
    let why = format!("given up by {by}: {}", one_line("reason", reason)?);
    let dropped = web.store.drop_deliveries(&[delivery], &why, web.now()).await?;
    if dropped.is_empty() {
        return Err(Fault::conflict("it is not pending, or is being sent right now"));
    }
    tracing::info!(delivery = id, by, "given up over the web");
    Ok(dropped)
}

/// Has a source polled now: its loop does so as soon as it is free.
pub(super) fn poll(web: &Web, source: &str, by: &str) -> Result<(), Fault> {
    let in_force = web.in_force();
    let nudge = in_force.polls.get(source).ok_or_else(Fault::not_found)?;
    nudge.notify_one();
    tracing::info!(source, by, "polled now, over the web");
    Ok(())
}
