//! The place where a poll asks what is muted: alerts that begin are held back, and those whose time has come are told.
//!
//! Reads silences from the store, at every poll, so that one that was made a moment ago counts, and what fires in other
//! sources where an inhibition speaks of it; decides nothing itself.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tracing::warn;

use super::Poller;
use super::decide::Decision;
use crate::limits::INHIBITING_MAX;
use crate::model::{Alert, AlertId, Silence, SilenceId, Suppression};
use crate::rule::inhibit::{Upstream, was_told};
use crate::source::Source;
use crate::store::{Desk, PollLedger, StoreError};

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Holds back those of the alerts that begin which something mutes. To be called when all of them are known, and
    /// before their nodes are asked for. Returns what fires in other sources and may hold back alerts of this one.
    pub(super) async fn mute(&mut self, decision: &mut Decision, now: Timestamp) -> Result<Vec<Alert>, StoreError> {
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
        let sources = self.muting.upstream_of(&self.settings.id);
        let elsewhere =
            if sources.is_empty() { Vec::new() } else { self.store.told_and_firing(&sources, INHIBITING_MAX).await? };
        self.inhibit(decision, &elsewhere, now);
        Ok(elsewhere)
    }

    /// Holds back those that begin downstream of an alert that was told and fires, or that is told now.
    fn inhibit(&self, decision: &mut Decision, elsewhere: &[Alert], now: Timestamp) {
        let inhibitions = self.muting.inhibitions();
        if inhibitions.is_empty() {
            return;
        }
        let begun: HashSet<&AlertId> = decision.fired.iter().map(|alert| &alert.id).collect();
        let own = decision.ledger.firing().filter(|alert| was_told(alert) && !begun.contains(&alert.id));
        let mut upstream = Upstream::new(&inhibitions, own.chain(elsewhere));
        let is_told = |alert: &&Alert| alert.suppressed_by.is_none();
        let new = decision.fired.iter().chain(&decision.overdue).filter(is_told);
        // What was held back until now counts as well, where it is about to be told.
        let is_free = |alert: &&Alert| is_held(alert) && self.muting.mutes(alert, now).is_none();
        let freed = decision.ledger.firing().filter(|alert| !begun.contains(&alert.id)).filter(is_free);
        let new: Vec<&Alert> = new.chain(freed).collect();
        let held = upstream.settle(&new);
        let held: HashMap<AlertId, Suppression> =
            new.iter().zip(held).filter_map(|(alert, by)| Some((alert.id.clone(), by?))).collect();
        for alert in &mut decision.fired {
            if let Some(by) = held.get(&alert.id) {
                alert.hold_back(by.clone());
            }
        }
        for alert in &mut decision.overdue {
            if let Some(by) = held.get(&alert.id) {
                alert.suppressed_by = Some(by.clone());
            }
        }
    }

    /// Lets go of what was held back and still fires, once nothing mutes it any more; notes what holds it back from now
    /// on where that has changed. To be called when it is known what has ended.
    pub(super) async fn let_go(
        &mut self,
        decision: &mut Decision,
        elsewhere: &[Alert],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // What has just begun is decided: should its alert upstream have ended in this very poll, the next one tells it.
        let begun: HashSet<&AlertId> = decision.fired.iter().map(|alert| &alert.id).collect();
        let mut held: Vec<Alert> = decision.ledger.firing().filter(|alert| is_held(alert)).cloned().collect();
        held.retain(|alert| !begun.contains(&alert.id));
        let holders = self.holders(&held, decision, elsewhere, now);
        let mut silences: HashMap<SilenceId, Option<Silence>> = HashMap::new();
        for (alert, by) in held.iter().zip(&holders) {
            if let Some(Suppression::Silence(id)) = alert.suppressed_by
                && by.is_none()
                && let Entry::Vacant(place) = silences.entry(id)
            {
                place.insert(self.store.silence(id).await?);
            }
        }
        let mut changed = Vec::new();
        for (mut alert, by) in held.into_iter().zip(holders) {
            match by {
                Some(by) if alert.suppressed_by.as_ref() == Some(&by) => continue,
                // Who was warned of its deadline keeps the right to hear of the end, whatever holds it back.
                Some(by) => alert.suppressed_by = Some(by),
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

    /// What holds back each of these alerts from now on. A silence or a window comes before an alert upstream, unless
    /// that has held it until now and still does.
    fn holders(
        &self,
        held: &[Alert],
        decision: &Decision,
        elsewhere: &[Alert],
        now: Timestamp,
    ) -> Vec<Option<Suppression>> {
        let mut holders: Vec<Option<Suppression>> = held.iter().map(|alert| self.muting.mutes(alert, now)).collect();
        let inhibitions = self.muting.inhibitions();
        if inhibitions.is_empty() {
            return holders;
        }
        let told = decision.ledger.firing().filter(|alert| was_told(alert));
        let mut upstream = Upstream::new(&inhibitions, told.chain(elsewhere));
        for (alert, by) in held.iter().zip(&mut holders).filter(|(_, by)| by.is_some()) {
            if let Some(before) = upstream.holds(alert).filter(|before| alert.suppressed_by.as_ref() == Some(before)) {
                *by = Some(before);
            }
        }
        let free: Vec<&Alert> =
            held.iter().zip(&holders).filter(|(_, by)| by.is_none()).map(|(alert, _)| alert).collect();
        let settled = upstream.settle(&free);
        for (by, settled) in holders.iter_mut().filter(|by| by.is_none()).zip(settled) {
            *by = settled;
        }
        holders
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

/// Whether something holds the alert back for the time being.
fn is_held(alert: &Alert) -> bool {
    alert.suppressed_by.as_ref().is_some_and(Suppression::holds_back)
}
