//! What people do, for pages and the API alike: acknowledge, close, silence, send again, give up, poll now. Everything is on
//! record with who did it, and done only to what they may see.

use crate::desk::{self, Closing, Wrong, check_silence, one_line};
use crate::model::{Ack, Action, Alert, AlertState, DeliveryId, SilenceId, SourceId};
use crate::store::{Board as _, DeadLetters, Deliveries as _, Desk as _, NewSilence};

use super::fault::Fault;
use super::sight::Sight;
use super::state::Web;
use crate::words::{Saying, not_revived};

impl From<Wrong> for Fault {
    fn from(wrong: Wrong) -> Fault {
        Fault::bad_request(wrong.saying())
    }
}

/// Who does something, and what they may see.
pub(super) struct Doer<'a> {
    pub(super) by: &'a str,
    pub(super) sight: &'a Sight,
}

/// The alert of this id, which fires.
async fn firing(web: &Web, doer: &Doer<'_>, id: &str) -> Result<Alert, Fault> {
    let alert = doer.sight.alert(web, id).await?;
    match alert.state() {
        AlertState::Firing => Ok(alert),
        AlertState::Resolved => Err(Fault::conflict(Saying::of("refused.alert-over"))),
    }
}

/// Acknowledges an alert; returns who had before.
pub(super) async fn ack(web: &Web, doer: &Doer<'_>, id: &str, reason: Option<&str>) -> Result<Option<Ack>, Fault> {
    let alert = firing(web, doer, id).await?;
    let reason = reason.map(|reason| one_line("reason", reason)).transpose()?;
    let ack = Ack { by: doer.by.to_string(), reason, at: web.now() };
    let in_force = web.in_force();
    let mut acked = desk::acknowledge(&web.store, &in_force.receivers, std::slice::from_ref(&alert), &ack).await?;
    tracing::info!(alert = id, by = doer.by, notified = acked.notified, "acknowledged over the web");
    Ok(acked.before.remove(&alert.id))
}

/// Removes the acknowledgement of an alert; returns it.
pub(super) async fn unack(web: &Web, doer: &Doer<'_>, id: &str) -> Result<Option<Ack>, Fault> {
    let alert = firing(web, doer, id).await?;
    let (in_force, who) = (web.in_force(), (doer.by, web.now()));
    let mut given = desk::unacknowledge(&web.store, &in_force.receivers, std::slice::from_ref(&alert), who).await?;
    tracing::info!(alert = id, by = doer.by, notified = given.notified, "no longer acknowledged, over the web");
    Ok(given.before.remove(&alert.id))
}

/// Closes an alert; returns how many receivers are notified.
pub(super) async fn close(web: &Web, doer: &Doer<'_>, id: &str, reason: &str) -> Result<usize, Fault> {
    let alert = firing(web, doer, id).await?;
    let closing = Closing { by: doer.by.to_string(), reason: one_line("reason", reason)?, at: web.now() };
    let receivers = web.in_force();
    let notified = desk::close(&web.store, &receivers.receivers, std::slice::from_ref(&alert), &closing).await?;
    tracing::info!(alert = id, by = doer.by, notified, "closed over the web");
    Ok(notified)
}

/// Makes a silence, if it makes sense; returns its number.
pub(super) async fn silence(web: &Web, doer: &Doer<'_>, new: NewSilence) -> Result<SilenceId, Fault> {
    let now = web.now();
    let new = check_silence(&web.in_force().config, new, now)?;
    let id = web.store.add_silence(&new, now).await?;
    tracing::info!(silence = id.0, by = doer.by, "silenced over the web: {}", new.concerns);
    Ok(id)
}

/// Ends a silence.
pub(super) async fn expire(web: &Web, doer: &Doer<'_>, id: i64) -> Result<(), Fault> {
    doer.sight.silence(web, id).await?;
    web.store.expire_silence(SilenceId(id), doer.by, web.now()).await?.ok_or_else(Fault::not_found)?;
    tracing::info!(silence = id, by = doer.by, "expired over the web");
    Ok(())
}

/// Has a dead letter be sent again, with what died with it, and a pending one at once.
pub(super) async fn retry(web: &Web, doer: &Doer<'_>, id: &str) -> Result<Vec<DeliveryId>, Fault> {
    let record = doer.sight.delivery(web, id).await?;
    let revived = web.store.revive(&DeadLetters::Named(vec![DeliveryId::new(id)]), doer.by, web.now()).await?;
    if let Some((_, reason)) = revived.refused.first() {
        return Err(Fault::conflict(not_revived(reason)));
    }
    web.in_force().receivers.wake([&record.delivery.receiver]);
    tracing::info!(delivery = id, by = doer.by, "sent again, over the web");
    Ok(revived.revived)
}

/// Gives up a delivery that is pending, or a dead letter: nobody has to look at it any more.
pub(super) async fn drop_delivery(
    web: &Web,
    doer: &Doer<'_>,
    id: &str,
    reason: &str,
) -> Result<Vec<DeliveryId>, Fault> {
    doer.sight.delivery(web, id).await?;
    let reason = one_line("reason", reason)?;
    let dropped = web.store.drop_deliveries(&[DeliveryId::new(id)], doer.by, &reason, web.now()).await?;
    if dropped.is_empty() {
        return Err(Fault::conflict(Saying::of("refused.not-to-drop")));
    }
    tracing::info!(delivery = id, by = doer.by, "given up over the web");
    Ok(dropped)
}

/// Has a source polled now: its loop does so as soon as it is free.
pub(super) async fn poll(web: &Web, doer: &Doer<'_>, source: &str) -> Result<(), Fault> {
    let (in_force, id) = (web.in_force(), SourceId::new(source));
    let nudge = in_force.polls.get(source).filter(|_| doer.sight.sees_source(&id)).ok_or_else(Fault::not_found)?;
    web.store.record_action(&Action::poll(&id, doer.by, web.now())).await?;
    nudge.notify_one();
    tracing::info!(source, by = doer.by, "polled now, over the web");
    Ok(())
}
