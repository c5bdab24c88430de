//! What a lane may send now: as much as its budget allows, and where more waits than that, several alerts in one message.
//!
//! Before anything is claimed, groups whose wait is over are told ([`super::grouping`]). Without a limit what follows is a plain claim. With one, only what can go now is claimed, so that whatever is more urgent still
//! goes first. Critical messages are looked at apart from the others: a critical alert is told alone as long as the
//! budget allows, and together with none but critical ones when it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::together::{Together, each_alert_once};
use crate::limits::GROUP_MEMBERS_MAX;
use crate::model::{Delivery, DeliveryId, MessageKind, ReceiverId, Severity};
use crate::notify::Renderer;
use crate::store::{Groups, Outbox, Queued, StoreError};
use crate::worker::budget::Budget;

/// What was claimed.
pub(super) struct Claim {
    pub(super) deliveries: Vec<Delivery>,
    /// Claimed, and to be given up without an attempt.
    pub(super) failed: Vec<DeliveryId>,
    pub(super) more: More,
}

/// Whether there is more to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    /// Nothing is due any more.
    Nothing,
    /// There may be more.
    Perhaps,
    /// There is, and the budget allows it from then on.
    From(Timestamp),
}

/// Claims for one lane.
pub(super) struct Claimer<S> {
    pub(super) store: Arc<S>,
    pub(super) receiver: ReceiverId,
    pub(super) budget: Budget,
    /// Makes messages about several alerts; none where each is told alone.
    pub(super) renderer: Option<Arc<Renderer>>,
    /// How many alerts such a message can name, as far as is known: where to begin to measure the next one.
    pub(super) named: Arc<AtomicUsize>,
    /// Whether what is told with its group waits for others of it.
    pub(super) waits: bool,
}

impl<S> Clone for Claimer<S> {
    fn clone(&self) -> Self {
        Claimer {
            store: Arc::clone(&self.store),
            receiver: self.receiver.clone(),
            budget: self.budget.clone(),
            renderer: self.renderer.clone(),
            named: Arc::clone(&self.named),
            waits: self.waits,
        }
    }
}

impl<S: Groups + Outbox> Claimer<S> {
    /// Claims at most `room` of what is due at `now` and may go, the most urgent first.
    pub(super) async fn claim(&self, now: Timestamp, room: usize) -> Result<Claim, StoreError> {
        self.tell_groups(now).await?;
        if self.budget.is_unlimited() {
            let claimed = self.store.claim(&self.receiver, now, room).await?;
            let more = if claimed.len() == room { More::Perhaps } else { More::Nothing };
            let (deliveries, failed) = self.converted(claimed, now).await;
            return Ok(Claim { deliveries, failed, more });
        }
        let queue = self.store.queue(&self.receiver, now, GROUP_MEMBERS_MAX).await?;
        let severity = queue.first().and_then(|head| head.severity);
        let alike = queue.iter().take_while(|one| is_critical(one.severity) == is_critical(severity)).count();
        let allowed = self.budget.available(now, severity);
        let mut most = alike.min(allowed);
        if most == 0 {
            let more = if alike == 0 { More::Nothing } else { More::From(self.budget.free_at(now, severity)) };
            return Ok(Claim { deliveries: Vec::new(), failed: Vec::new(), more });
        }
        // Where more waits than may go, one message at a time goes, and each stands for as many as it can name: nothing is
        // sent alone beside it that the next one can name.
        if alike > allowed && (!names_one(&queue[0]) || self.merge(&queue[..alike], now).await?) {
            most = 1;
        }
        let claimed = self.store.claim(&self.receiver, now, most.min(room)).await?;
        let more = if claimed.is_empty() { More::Nothing } else { More::Perhaps };
        let (deliveries, failed) = self.converted(claimed, now).await;
        Ok(Claim { deliveries, failed, more })
    }

    /// Puts one message in the place of the first of `waiting`, as many as it can name. Returns whether it did.
    async fn merge(&self, waiting: &[Queued], now: Timestamp) -> Result<bool, StoreError> {
        if self.merging().is_none() {
            return Ok(false);
        }
        // A little more than the last one could name: more need not be read.
        let reach = self.named.load(Ordering::Relaxed).saturating_mul(9) / 8 + 2;
        let ids: Vec<DeliveryId> =
            waiting.iter().filter(|one| names_one(one)).take(reach).map(|one| one.id.clone()).collect();
        if ids.len() < 2 {
            return Ok(false);
        }
        let found = self.store.mergeable(&ids).await?;
        let others = self.store.count_queue(&self.receiver, now).await?.saturating_sub(found.len() as u64);
        let told = each_alert_once(found);
        let Some(Together { delivery, members, named }) = self.together(told, others, now) else { return Ok(false) };
        // It takes the place in the queue of the one that waited longest, before those that have waited as long.
        let due_at = waiting.iter().filter(|one| members.contains(&one.id)).map(|one| one.due_at).min();
        let due_at = due_at.map(|due_at| due_at.checked_sub(Duration::from_millis(1)).unwrap_or(due_at));
        let group = Delivery { next_attempt_at: due_at, ..delivery };
        let merged = self.store.merge(&group, &members).await?;
        if merged {
            let delivery = group.id.as_str();
            tracing::info!(delivery, receiver = %self.receiver, alerts = named, "told together: more waited than the channel takes");
        }
        Ok(merged)
    }
}

/// Whether it tells of one alert, so that it can be told with others.
fn names_one(queued: &Queued) -> bool {
    matches!(queued.kind, Some(MessageKind::AlertFiring | MessageKind::AlertResolved))
}

fn is_critical(severity: Option<Severity>) -> bool {
    severity == Some(Severity::Critical)
}
