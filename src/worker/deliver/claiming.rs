//! What a lane may send now: as much as its budget allows, and where more waits than that, several alerts in one message.
//!
//! Before anything is claimed, groups whose wait is over are told ([`super::grouping`]). Without a limit what follows is a
//! plain claim. With one, only what can go now is claimed, so that whatever is more urgent still goes first. What may go,
//! and what goes together, is decided by [`super::composer`].

use std::sync::Arc;

use jiff::Timestamp;

use super::composer::{Composer, Share, Together, names_one, share};
use crate::limits::GROUP_MEMBERS_MAX;
use crate::model::{Delivery, DeliveryId, Queued};
use crate::store::{Groups, Outbox, StoreError};
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
    pub(super) budget: Budget,
    pub(super) composer: Composer,
    /// Whether what is told with its group waits for others of it.
    pub(super) waits: bool,
}

impl<S> Clone for Claimer<S> {
    fn clone(&self) -> Self {
        let (store, budget, composer) = (Arc::clone(&self.store), self.budget.clone(), self.composer.clone());
        Claimer { store, budget, composer, waits: self.waits }
    }
}

impl<S: Groups + Outbox> Claimer<S> {
    /// Claims at most `room` of what is due at `now` and may go, the most urgent first.
    pub(super) async fn claim(&self, now: Timestamp, room: usize) -> Result<Claim, StoreError> {
        self.tell_groups(now).await?;
        let receiver = self.composer.receiver();
        if self.budget.is_unlimited() {
            let claimed = self.store.claim(receiver, now, room).await?;
            let more = if claimed.len() == room { More::Perhaps } else { More::Nothing };
            let (deliveries, failed) = self.converted(claimed, now).await;
            return Ok(Claim { deliveries, failed, more });
        }
        let queue = self.store.queue(receiver, now, GROUP_MEMBERS_MAX).await?;
        let nothing = |more| Ok(Claim { deliveries: Vec::new(), failed: Vec::new(), more });
        let most = match share(&queue, &self.budget, now) {
            Share::Nothing => return nothing(More::Nothing),
            Share::From(at) => return nothing(More::From(at)),
            // Where more waits than may go, one message at a time goes, and each stands for as many as it can name: nothing
            // is sent alone beside it that the next one can name.
            Share::Some { alike, is_crowded: true, .. }
                if !names_one(&queue[0]) || self.merge(&queue[..alike], now).await? =>
            {
                1
            }
            Share::Some { most, .. } => most,
        };
        let claimed = self.store.claim(receiver, now, most.min(room)).await?;
        let more = if claimed.is_empty() { More::Nothing } else { More::Perhaps };
        let (deliveries, failed) = self.converted(claimed, now).await;
        Ok(Claim { deliveries, failed, more })
    }

    /// Puts one message in the place of the first of `waiting`, as many as it can name. Returns whether it did.
    async fn merge(&self, waiting: &[Queued], now: Timestamp) -> Result<bool, StoreError> {
        let (ids, receiver) = (self.composer.mergeable(waiting), self.composer.receiver());
        if ids.is_empty() {
            return Ok(false);
        }
        let found = self.store.mergeable(&ids).await?;
        let queued = self.store.count_queue(receiver, now).await?;
        let Some(one) = self.composer.merged(waiting, found, queued, now) else { return Ok(false) };
        let Together { delivery, members, named } = one;
        let merged = self.store.merge(&delivery, &members).await?;
        if merged {
            let delivery = delivery.id.as_str();
            tracing::info!(delivery, %receiver, alerts = named, "sent together: more waited than the channel takes");
        }
        Ok(merged)
    }
}
