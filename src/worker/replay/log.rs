//! What was decided while a time is played: alerts as they are, what is pending for whom, and what people are told.
//!
//! Takes what polls and steps decide, in the order of time, and leaves out repeats, as the store does. It decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::super::pending::Receivers;
use super::telling::Telling;
use crate::alert::attach_escalation;
use crate::decide::{Decided, Place};
use crate::model::{
    Alert, AlertFacts, AlertId, AlertState, DeliveryId, Escalation, MessageKind, Notification, StepTaken,
};
use crate::rule::RuleSet;

/// Everything that was decided so far.
#[derive(Default)]
pub(super) struct Log {
    alerts: HashMap<AlertId, Entry>,
    /// The alerts that fire.
    firing: BTreeSet<AlertId>,
    deliveries: Vec<Notification>,
    known: HashSet<DeliveryId>,
    /// What the messages of later steps say besides.
    notes: HashMap<DeliveryId, Escalation>,
    tellings: BTreeMap<(Timestamp, bool, AlertId, Option<u32>), Telling>,
}

/// An alert, with what was decided about it.
pub(super) struct Entry {
    /// The alert, as it is.
    pub(super) alert: Alert,
    /// The later steps that were taken.
    pub(super) steps: BTreeSet<u32>,
    /// What was pending of it, by place.
    deliveries: Vec<usize>,
}

impl Log {
    /// Whether there is such an alert.
    pub(super) fn has(&self, alert: &AlertId) -> bool {
        self.alerts.contains_key(alert)
    }

    pub(super) fn entry(&self, alert: &AlertId) -> Option<&Entry> {
        self.alerts.get(alert)
    }

    /// The alerts that fire, in the order of their ids.
    pub(super) fn firing(&self) -> impl Iterator<Item = &Entry> {
        self.firing.iter().filter_map(|id| self.alerts.get(id))
    }

    /// What was pending of an alert, the earliest first.
    pub(super) fn deliveries_of<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = &'a Notification> {
        entry.deliveries.iter().map(|place| &self.deliveries[*place])
    }

    /// What is pending from this place on, in the order in which it was decided.
    pub(super) fn deliveries_from(&self, place: usize) -> &[Notification] {
        &self.deliveries[place..]
    }

    /// What a delivery tells of its alert, as that is now.
    pub(super) fn facts_of(&self, delivery: &DeliveryId, entry: &Entry) -> AlertFacts {
        let mut facts = entry.alert.facts.clone();
        if let Some(note) = self.notes.get(delivery) {
            attach_escalation(&mut facts, note.clone());
        }
        facts
    }

    /// Takes over what a poll at `now` has decided.
    pub(super) fn take(&mut self, decided: &Decided, receivers: &Receivers, rules: &RuleSet, now: Timestamp) {
        let mut repeated = HashSet::new();
        for (at, alert) in decided.fired.iter().enumerate() {
            if self.has(&alert.id) {
                repeated.insert(Place::Fired(at));
            } else {
                self.enter(Alert::clone(alert));
            }
        }
        for alert in &decided.changed {
            if self.firing.contains(&alert.id) {
                self.enter(alert.clone());
            }
        }
        for notice in decided.notices.iter().filter(|notice| !repeated.contains(&notice.alert)) {
            self.add(receivers.notified(decided.alert(notice.alert), notice, rules, now), None);
        }
    }

    /// Takes over what became of an alert, or a new one.
    fn enter(&mut self, alert: Alert) {
        match alert.state() {
            AlertState::Firing => self.firing.insert(alert.id.clone()),
            AlertState::Resolved => self.firing.remove(&alert.id),
        };
        match self.alerts.get_mut(&alert.id) {
            Some(entry) => entry.alert = alert,
            None => {
                let id = alert.id.clone();
                self.alerts.insert(id, Entry { alert, steps: BTreeSet::new(), deliveries: Vec::new() });
            }
        }
    }

    /// A step of an alert was taken, and this is pending by it.
    pub(super) fn take_step(&mut self, taken: StepTaken) {
        if let Some(entry) = self.alerts.get_mut(&taken.alert) {
            entry.steps.insert(taken.number);
        }
        self.notes.extend(taken.deliveries.iter().map(|delivery| (delivery.id.clone(), taken.note.clone())));
        self.add(taken.deliveries, Some(taken.number));
    }

    /// Adds what is pending of alerts: told by a later step, or else at once.
    pub(super) fn add(&mut self, deliveries: Vec<Notification>, step: Option<u32>) {
        for delivery in deliveries {
            let Some(entry) = delivery.alert.as_ref().and_then(|alert| self.alerts.get_mut(alert)) else { continue };
            if !self.known.insert(delivery.id.clone()) {
                continue;
            }
            entry.deliveries.push(self.deliveries.len());
            let is_end = delivery.kind == MessageKind::AlertResolved;
            let telling = self.tellings.entry((delivery.created_at, is_end, entry.alert.id.clone(), step));
            let telling = telling.or_insert_with(|| Telling::of(&entry.alert, &delivery, step));
            telling.messages.insert(delivery.receiver.clone(), delivery.content.clone());
            self.deliveries.push(delivery);
        }
    }

    /// The alerts, the deliveries and the tellings; the earliest first.
    pub(super) fn into_parts(self) -> (Vec<Alert>, Vec<Notification>, Vec<Telling>) {
        let mut alerts: Vec<Alert> = self.alerts.into_values().map(|entry| entry.alert).collect();
        alerts.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        let mut deliveries = self.deliveries;
        deliveries.sort_by(|one, other| {
            let order = |it: &Notification| (it.created_at, it.alert.clone(), it.kind.as_str(), it.receiver.clone());
            order(one).cmp(&order(other))
        });
        (alerts, deliveries, self.tellings.into_values().collect())
    }
}
