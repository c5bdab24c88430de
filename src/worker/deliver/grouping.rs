//! Telling groups: what has waited for others of its group long enough goes out with them, in one message.
//!
//! # Design
//! What waits is a row of the outbox like any other, with the name of its group and the instant at which it has waited long
//! enough; no lane claims it. Before each claim the groups are looked at in which that instant has come. One that was told
//! something less than its interval ago waits on. Of any other all that waits is told: several alerts in one message, a
//! single one by the delivery that it has anyway ([`super::composer`] decides). Either way the telling delivery carries the
//! instant, so that the next interval begins there, after a restart too. What happens between two of these steps is a repeat
//! of the first.

use jiff::Timestamp;

use super::claiming::Claimer;
use super::composer::{Gathered, Thread, Together};
use crate::limits::GROUP_MEMBERS_MAX;
use crate::model::{DeliveryId, DueGroup, GroupPlace, Mergeable, Queued};
use crate::store::{Groups, Outbox, StoreError};

impl<S: Groups + Outbox> Claimer<S> {
    /// Ends the wait of every group that is due at `now`.
    pub(super) async fn tell_groups(&self, now: Timestamp) -> Result<(), StoreError> {
        let by = if self.waits { now } else { Timestamp::MAX };
        let receiver = self.composer.receiver();
        let mut groups = self.store.due_groups(receiver, by, now).await?;
        if !self.waits && groups.iter().any(|group| group.place.window().is_some()) {
            // Who waits for nobody does not open a window.
            let open = self.store.due_groups(receiver, now, now).await?;
            groups.retain(|group| {
                let is_open = || open.iter().any(|due| due.place.key == group.place.key);
                group.place.window().is_none() || is_open()
            });
        }
        for group in groups {
            match group.free_at().filter(|free_at| self.waits && *free_at > now) {
                Some(free_at) => self.store.postpone_group(receiver, &group.place.key, free_at).await?,
                None => self.tell_group(&group, now).await?,
            }
        }
        Ok(())
    }

    async fn tell_group(&self, group: &DueGroup, now: Timestamp) -> Result<(), StoreError> {
        let (mut left, receiver) = (group.waiting, self.composer.receiver());
        // Each turn ends the wait of what it has found, so that there are no more turns than deliveries.
        while left > 0 {
            let found = self.store.gathered(receiver, &group.place.key, GROUP_MEMBERS_MAX).await?;
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
        let one = match self.composer.gathered(found, mergeable, thread.as_ref(), (place, waiting), now) {
            Gathered::Alone(ids) => return self.tell_each(&ids, now).await,
            Gathered::Together(one) => one,
        };
        let Together { delivery, members, named } = *one;
        if !self.store.merge(&delivery, &members).await? {
            return self.tell_each(&ids, now).await;
        }
        let receiver = self.composer.receiver();
        tracing::info!(delivery = delivery.id.as_str(), %receiver, alerts = named, "sent as a group");
        Ok(ids.iter().filter(|id| members.contains(id)).count().max(1) as u64)
    }

    async fn thread_of(&self, found: &[Mergeable]) -> Result<Option<Thread>, StoreError> {
        let Some(leader) = self.composer.answered(found) else { return Ok(None) };
        let alerts = self.store.told_by(&leader).await?;
        Ok(Thread::of(leader, alerts))
    }

    async fn tell_each(&self, ids: &[DeliveryId], now: Timestamp) -> Result<u64, StoreError> {
        self.store.tell_alone(ids, now).await?;
        Ok(ids.len() as u64)
    }
}
