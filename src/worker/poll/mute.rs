//! The place where a poll asks what is muted: alerts that begin are held back, and those whose time has come are told.
//!
//! Reads silences from the store, at every poll, so that one that was made a moment ago counts; decides nothing itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;
use tracing::warn;

use super::Poller;
use super::decide::Decision;
use crate::model::{Alert, Silence, SilenceId, Suppression};
use crate::source::Source;
use crate::store::{Store, StoreError};

impl<C: Source, S: Store> Poller<C, S> {
    /// Holds back those of the alerts that begin which something mutes. To be called when all of them are known, and
    /// before their nodes are asked for.
    pub(super) async fn mute(&mut self, decision: &mut Decision, now: Timestamp) -> Result<(), StoreError> {
        let active = self.store.active_silences(now).await?;
        for fault in self.muting.set_silences(&active) {
            warn!(source = %self.settings.id, "{fault}");
        }
        for alert in decision.fired.iter_mut().filter(|alert| alert.suppressed_by.is_none()) {
            if let Some(by) = self.muting.mutes(alert, now) {
                alert.hold_back(by);
            }
        }
        for alert in decision.overdue.iter_mut().filter(|alert| alert.suppressed_by.is_none()) {
            // The warning was told: whoever heard it keeps the right to hear of the end.
            alert.suppressed_by = self.muting.mutes(alert, now);
        }
        Ok(())
    }

    /// Lets go of what was held back and still fires, once nothing mutes it any more; notes what holds it back from now
    /// on where that has changed. To be called when it is known what has ended.
    pub(super) async fn let_go(&mut self, decision: &mut Decision, now: Timestamp) -> Result<(), StoreError> {
        let is_held = |alert: &&Alert| alert.suppressed_by.as_ref().is_some_and(Suppression::holds_back);
        let held: Vec<Alert> = decision.ledger.firing().filter(is_held).cloned().collect();
        let mut silences: HashMap<SilenceId, Option<Silence>> = HashMap::new();
        for alert in &held {
            if let Some(Suppression::Silence(id)) = alert.suppressed_by
                && self.muting.mutes(alert, now).is_none()
                && let Entry::Vacant(place) = silences.entry(id)
            {
                place.insert(self.store.silence(id).await?);
            }
        }
        let mut changed = Vec::new();
        for mut alert in held {
            match self.muting.mutes(&alert, now) {
                Some(by) if alert.suppressed_by.as_ref() == Some(&by) => continue,
                Some(by) => alert.hold_back(by),
                None => {
                    let silence = match &alert.suppressed_by {
                        Some(Suppression::Silence(id)) => silences.get(id).and_then(Option::as_ref),
                        _ => None,
                    };
                    let receivers = self.receivers_of(&alert);
                    alert.let_go(&receivers, silence, now);
                }
            }
            changed.push(alert);
        }
        self.add_details_of_held(&mut changed).await;
        decision.ledger.update(&changed);
        // Of an alert that is both, what was just decided is the later word.
        decision.overdue.retain(|overdue| changed.iter().all(|held| held.id != overdue.id));
        decision.held = changed;
        Ok(())
    }

    /// Asks for the nodes of those that are told now: while they were held back nobody did.
    async fn add_details_of_held(&self, changed: &mut [Alert]) {
        let instances: Vec<_> = changed
            .iter()
            .filter(|alert| alert.suppressed_by.is_none())
            .filter_map(|alert| self.instance_behind(alert))
            .collect();
        self.add_details(changed, instances.iter()).await;
    }
}
