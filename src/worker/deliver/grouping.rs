//! Telling groups: what has waited for others of its group long enough goes out with them, in one message.
//!
//! # Design
//! What waits is a row of the outbox like any other, with the name of its group and the instant at which it has waited long
//! enough; no lane claims it. Before each claim the groups are looked at in which that instant has come. One that was told
//! something less than its interval ago waits on. Of any other all that waits is told: several alerts in one message, a
//! single one by the delivery that it has anyway. Either way the telling delivery carries the instant, so that the next
//! interval begins there, after a restart too. What happens between two of these steps is a repeat of the first.

use jiff::Timestamp;

use super::claiming::Claimer;
use super::together::{Together, Told, each_alert_once};
use crate::limits::GROUP_MEMBERS_MAX;
use crate::model::{AlertState, Delivery, DeliveryId, GroupPlace, MessageKind};
use crate::store::{DueGroup, Groups, Outbox, Queued, StoreError};

impl<S: Groups + Outbox> Claimer<S> {
    /// Ends the wait of every group that is due at `now`.
    pub(super) async fn tell_groups(&self, now: Timestamp) -> Result<(), StoreError> {
        let by = if self.waits { now } else { Timestamp::MAX };
        for group in self.store.due_groups(&self.receiver, by, now).await? {
            match group.free_at().filter(|free_at| self.waits && *free_at > now) {
                Some(free_at) => self.store.postpone_group(&self.receiver, &group.place.key, free_at).await?,
                None => self.tell_group(&group, now).await?,
            }
        }
        Ok(())
    }

    async fn tell_group(&self, group: &DueGroup, now: Timestamp) -> Result<(), StoreError> {
        let mut left = group.waiting;
        // Each turn ends the wait of what it has found, so that there are no more turns than deliveries.
        while left > 0 {
            let found = self.store.gathered(&self.receiver, &group.place.key, GROUP_MEMBERS_MAX).await?;
            if found.is_empty() {
                break;
            }
            let told = self.tell_some(&found, left, &group.place, now).await?;
            left = left.saturating_sub(told);
        }
        Ok(())
    }

    /// Ends the wait of some of `found`, one at least, and returns of how many.
    async fn tell_some(
        &self,
        found: &[Queued],
        waiting: u64,
        place: &GroupPlace,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let ids: Vec<DeliveryId> = found.iter().map(|one| one.id.clone()).collect();
        let mergeable = self.store.mergeable(&ids).await?;
        let thread = self.thread_of(&mergeable).await?;
        let told = each_alert_once(mergeable);
        let unknown: Vec<DeliveryId> =
            ids.iter().filter(|id| !told.iter().any(|one| one.members.contains(id))).cloned().collect();
        if !unknown.is_empty() {
            // Of these no alert is known any more; what they were to say was rendered when they were made.
            return self.tell_each(&unknown, now).await;
        }
        let beyond = waiting.saturating_sub(found.len() as u64);
        let mut one = match told.len() {
            0 => None,
            1 if thread.is_none() && says_so_already(found, &told) => None,
            1 => told.into_iter().next().and_then(|one| self.as_it_is(one, now)),
            _ => self.together(told, beyond, now),
        };
        if let (Some(one), Some(thread)) = (&mut one, &thread) {
            self.answering(one, thread, now);
        }
        let Some(Together { delivery, members, named }) = one else { return self.tell_each(&ids, now).await };
        let place = GroupPlace { told_at: Some(now), ..place.clone() };
        let delivery = Delivery { group: Some(place), ..delivery };
        if !self.store.merge(&delivery, &members).await? {
            return self.tell_each(&ids, now).await;
        }
        tracing::info!(delivery = delivery.id.as_str(), receiver = %self.receiver, alerts = named, "told as a group");
        Ok(ids.iter().filter(|id| members.contains(id)).count().max(1) as u64)
    }

    async fn tell_each(&self, ids: &[DeliveryId], now: Timestamp) -> Result<u64, StoreError> {
        self.store.tell_alone(ids, now).await?;
        Ok(ids.len() as u64)
    }
}

/// Whether the only delivery of the only alert says what the alert is now: then that one goes out.
fn says_so_already(found: &[Queued], told: &[Told]) -> bool {
    let ([only], [alert]) = (found, told) else { return false };
    let is_so = match alert.facts.alert.state {
        AlertState::Firing => only.kind == MessageKind::AlertFiring,
        AlertState::Resolved => only.kind == MessageKind::AlertResolved,
    };
    is_so && alert.members.len() == 1
}
