//! What a lane may send now: as much as its budget allows, and where more waits than that, several alerts in one message.
//!
//! Before anything is claimed, groups whose wait is over are told ([`super::grouping`]). Without a limit what follows is a plain claim. With one, only what can go now is claimed, so that whatever is more urgent still
//! goes first. Critical messages are looked at apart from the others: a critical alert is told alone as long as the
//! budget allows, and together with none but critical ones when it does not.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

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
            let deliveries = self.store.claim(&self.receiver, now, room).await?;
            let more = if deliveries.len() == room { More::Perhaps } else { More::Nothing };
            return Ok(Claim { deliveries, more });
        }
        let queue = self.store.queue(&self.receiver, now, GROUP_MEMBERS_MAX).await?;
        let severity = queue.first().and_then(|head| head.severity);
        let alike = queue.iter().take_while(|one| is_critical(one.severity) == is_critical(severity)).count();
        let allowed = self.budget.available(now, severity);
        let mut most = alike.min(allowed);
        if most == 0 {
            let more = if alike == 0 { More::Nothing } else { More::From(self.budget.free_at(now, severity)) };
            return Ok(Claim { deliveries: Vec::new(), more });
        }
        if alike > allowed && self.merge(&queue[..alike], now).await? {
            // Nothing of its class stands before the one that was just made.
            most = 1;
        }
        let deliveries = self.store.claim(&self.receiver, now, most.min(room)).await?;
        let more = if deliveries.is_empty() { More::Nothing } else { More::Perhaps };
        Ok(Claim { deliveries, more })
    }

    /// Puts one message in the place of the first of `waiting`, as many as it can name. Returns whether it did.
    async fn merge(&self, waiting: &[Queued], now: Timestamp) -> Result<bool, StoreError> {
        if self.merging().is_none() {
            return Ok(false);
        }
        let tells_one = |one: &&Queued| matches!(one.kind, MessageKind::AlertFiring | MessageKind::AlertResolved);
        let ids: Vec<DeliveryId> = waiting.iter().filter(tells_one).map(|one| one.id.clone()).collect();
        if ids.len() < 2 {
            return Ok(false);
        }
        let told = each_alert_once(self.store.mergeable(&ids).await?);
        let known: usize = told.iter().map(|one| one.members.len()).sum();
        let due = self.store.count_due(&self.receiver, now).await?;
        let others = due.saturating_sub(known as u64);
        let Some(Together { delivery, members, named }) = self.together(told, others, now) else { return Ok(false) };
        // It takes the place in the queue of the one that waited longest.
        let due_at = waiting.iter().filter(|one| members.contains(&one.id)).map(|one| one.due_at).min();
        let group = Delivery { next_attempt_at: due_at, ..delivery };
        let merged = self.store.merge(&group, &members).await?;
        if merged {
            let delivery = group.id.as_str();
            tracing::info!(delivery, receiver = %self.receiver, alerts = named, "told together: more waited than the channel takes");
        }
        Ok(merged)
    }
}

fn is_critical(severity: Option<Severity>) -> bool {
    severity == Some(Severity::Critical)
}
