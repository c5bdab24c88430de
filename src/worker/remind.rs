//! Reminding: a group of which something still fires, and that was told nothing for as long as its rule's `repeat` says,
//! is told again.
//!
//! It looks into the store for such groups, leaves out what a silence or a mute window holds at that moment, renders what
//! is left as one message that says that it was told before, and commits that with the instant, from which the next
//! `repeat` counts: a restart or a kill repeats nothing. Where nobody asked for repeats the loop is idle. It must never
//! know of channels, of rules, or of how a lane works.

use std::sync::Arc;

use jiff::Timestamp;

use super::poll::{Addressee, Addressees};
use super::turn::{Pace, Turn, TurnError, Turned};
use crate::alert::identity::reminder_id;
use crate::limits::GROUP_REPEAT_LOOK;
use crate::model::{AlertFacts, Delivery, GroupPlace, MessageKind};
use crate::rule::Muting;
use crate::store::{Desk, Groups, StoreError, Unrepeated};

/// The loop.
pub struct Reminders<S> {
    /// The store.
    pub store: Arc<S>,
    /// The receivers.
    pub addressees: Arc<Addressees>,
    /// What is not to be repeated.
    pub muting: Muting,
    /// Whether any rule asks for repeats.
    pub is_wanted: bool,
}

impl<S: Desk + Groups> Reminders<S> {
    /// Has every group that is due at `now` told again, and wakes the lanes. Returns how many messages that makes.
    ///
    /// # Errors
    /// When the store fails; what was committed before stays.
    pub async fn pass(&mut self, now: Timestamp) -> Result<usize, StoreError> {
        if !self.is_wanted {
            return Ok(0);
        }
        let due = self.store.unrepeated(now).await?;
        if due.is_empty() {
            return Ok(0);
        }
        for fault in self.muting.set_silences(&self.store.active_silences(now).await?) {
            tracing::warn!("{fault}");
        }
        let mut made = 0;
        for mut group in due {
            group.alerts.retain(|alert| self.muting.mutes(alert, now).is_none());
            let Some(addressee) = self.addressees.get(&group.receiver) else { continue };
            let deliveries = messages(&group, addressee, now);
            if !deliveries.is_empty() {
                self.store.tell_again(&deliveries).await?;
                made += deliveries.len();
                addressee.nudge.notify_one();
                let (receiver, alerts) = (group.receiver.as_str(), group.alerts.len());
                tracing::info!(receiver, alerts, silent_for = ?group.silent_for(now), "still firing; told again");
            }
        }
        Ok(made)
    }
}

impl<S: Desk + Groups> Turn for Reminders<S> {
    fn name(&self) -> &'static str {
        "remind"
    }

    fn pace(&self) -> Pace {
        Pace::every(GROUP_REPEAT_LOOK)
    }

    async fn turn(&mut self, now: Timestamp) -> Result<Turned, TurnError> {
        Ok(Turned { done: self.pass(now).await? as u64, next_due: None })
    }
}

/// The messages that tell a group again: one, or as many as it takes to name all.
fn messages(group: &Unrepeated, addressee: &Addressee, now: Timestamp) -> Vec<Delivery> {
    let mut left: Vec<AlertFacts> = group.alerts.iter().map(|alert| alert.facts.clone()).collect();
    let last_told_at = group.place.told_at.unwrap_or(now);
    let mut messages = Vec::new();
    while let Some(grouped) = addressee.renderer.group_again(&left, last_told_at, now) {
        let severity = left[..grouped.named].iter().map(|facts| facts.alert.severity).max();
        let id = reminder_id(&group.receiver, &group.place.key, last_told_at, messages.len());
        let content = grouped.rendered.into_content(&group.receiver, "several alerts");
        let owed = Delivery::owed(id, group.receiver.clone(), MessageKind::AlertGroup, content, now);
        let place = GroupPlace { told_at: Some(now), ..group.place.clone() };
        messages.push(Delivery { severity, group: Some(place), ..owed });
        left.drain(..grouped.named);
    }
    messages
}
