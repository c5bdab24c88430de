//! Alerts that go further while a time is played: the real loop takes their steps, at the instants at which it would have
//! woken, and with every poll.
//!
//! What is told arrives at once: who was told before stands in the messages of a step, and nothing is sent here. This
//! module must never decide which step is due.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::escalation::Escalations;
use super::super::poll::Addressees;
use super::cues::Cues;
use crate::clock::ManualClock;
use crate::config::Config;
use crate::limits::GROUP_MEMBERS_MAX;
use crate::model::{Attempt, Delivery, DeliveryId, DeliveryState, ReceiverId};
use crate::store::{Groups as _, Outbox as _, Settled, SqlStore, StoreError};

/// The loop, where some rule has steps; without any it costs nothing.
pub(super) struct Steps(Option<Ladder>);

struct Ladder {
    escalations: Escalations<SqlStore>,
    store: Arc<SqlStore>,
    clock: ManualClock,
    addressees: Arc<Addressees>,
}

impl Steps {
    pub(super) fn of(
        config: &Config,
        store: &Arc<SqlStore>,
        clock: &ManualClock,
        addressees: &Arc<Addressees>,
    ) -> Steps {
        let has_steps = config.rules.rules().iter().any(|rule| !rule.escalation.is_empty());
        Steps(has_steps.then(|| {
            let rules = config.rules.clone();
            let (store, addressees) = (Arc::clone(store), Arc::clone(addressees));
            let escalations = Escalations::new(Arc::clone(&store), Arc::clone(&addressees), rules, config.muting());
            Ladder { escalations, store, clock: clock.clone(), addressees }
        }))
    }

    /// Takes the steps that come due after `last` and before `next`, each at its time. One that a silence or a mute window
    /// holds up is taken with a later poll.
    pub(super) async fn between(
        &mut self,
        last: Timestamp,
        next: Timestamp,
        cues: &mut Cues,
    ) -> Result<(), StoreError> {
        let Some(ladder) = &mut self.0 else { return Ok(()) };
        let mut now = last;
        while let Some(due) = ladder.escalations.next_due(now).await?.filter(|due| *due < next) {
            now = due;
            ladder.clock.set(now);
            cues.give(&ladder.store, now).await?;
            ladder.pass(now).await?;
        }
        Ok(())
    }

    /// What the loop does once a poll is committed, which owes somebody something or not.
    pub(super) async fn after_poll(&mut self, now: Timestamp, is_told: bool) -> Result<(), StoreError> {
        let Some(ladder) = &mut self.0 else { return Ok(()) };
        if is_told {
            ladder.arrive(now).await?;
        }
        ladder.pass(now).await
    }
}

impl Ladder {
    async fn pass(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.escalations.pass(now).await? > 0 {
            self.arrive(now).await?;
        }
        Ok(())
    }

    /// Everything that is owed is delivered; what waits for others of its group, by itself.
    async fn arrive(&self, now: Timestamp) -> Result<(), StoreError> {
        for receiver in self.addressees.keys() {
            self.end_waits(receiver, now).await?;
            loop {
                let claimed = self.store.claim(receiver, now, GROUP_MEMBERS_MAX).await?;
                if claimed.is_empty() {
                    break;
                }
                let settled: Vec<Settled> = claimed.iter().map(|delivery| arrived(delivery, now)).collect();
                self.store.settle(&settled).await?;
            }
        }
        Ok(())
    }

    async fn end_waits(&self, receiver: &ReceiverId, now: Timestamp) -> Result<(), StoreError> {
        for group in self.store.due_groups(receiver, Timestamp::MAX, now).await? {
            let mut left = group.waiting;
            while left > 0 {
                let found = self.store.gathered(receiver, &group.place.key, GROUP_MEMBERS_MAX).await?;
                let ids: Vec<DeliveryId> = found.into_iter().map(|one| one.id).collect();
                if ids.is_empty() {
                    break;
                }
                self.store.tell_alone(&ids, now).await?;
                left = left.saturating_sub(ids.len() as u64);
            }
        }
        Ok(())
    }
}

fn arrived(delivery: &Delivery, now: Timestamp) -> Settled {
    Settled {
        id: delivery.id.clone(),
        attempt_number: delivery.attempts + 1,
        started_at: now,
        ended_at: now,
        attempt: Attempt::delivered("200"),
        state: DeliveryState::Delivered,
        last_error: None,
        next_attempt_at: None,
    }
}
