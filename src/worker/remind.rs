//! Reminding: a group of which something still fires, and that was told nothing for as long as its rule's `repeat` says,
//! is told again.
//!
//! It looks into the store for such groups, leaves out what a silence or a mute window holds at that moment, renders what
//! is left as one message that says that it was told before, and commits that with the instant, from which the next
//! `repeat` counts: a restart or a kill repeats nothing. Where nobody asked for repeats the loop is idle. It must never
//! know of channels, of rules, or of how a lane works.

use std::sync::Arc;

use jiff::Timestamp;

use super::pending::Receivers;
use super::turn::{Pace, Turn, TurnError, Turned};
use crate::limits::GROUP_REPEAT_LOOK;
use crate::model::AlertFacts;
use crate::rule::Muting;
use crate::store::{Desk, Groups, StoreError};

/// By what name its status is known.
pub const NAME: &str = "remind";

/// The loop.
pub struct Reminders<S> {
    /// The store.
    pub store: Arc<S>,
    /// The receivers.
    pub receivers: Arc<Receivers>,
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
            let Some(receiver) = self.receivers.get(&group.receiver) else { continue };
            let alerts: Vec<AlertFacts> = group.alerts.iter().map(|alert| alert.facts.clone()).collect();
            let deliveries = receiver.repeats(&group.place, &alerts, now);
            if !deliveries.is_empty() {
                self.store.tell_again(&deliveries).await?;
                made += deliveries.len();
                receiver.nudge.notify_one();
                let (receiver, alerts) = (group.receiver.as_str(), alerts.len());
                tracing::info!(receiver, alerts, silent_for = ?group.silent_for(now), "still firing; sent again");
            }
        }
        Ok(made)
    }
}

impl<S: Desk + Groups> Turn for Reminders<S> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn pace(&self) -> Pace {
        Pace::every(GROUP_REPEAT_LOOK)
    }

    async fn turn(&mut self, now: Timestamp) -> Result<Turned, TurnError> {
        Ok(Turned { done: self.pass(now).await? as u64, next_due: None })
    }
}
