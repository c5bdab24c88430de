//! Alerts that go further while a time is played: steps are taken when they are due, and with every poll.
//!
//! What a step says, and to whom, is decided where it is decided for the running loop ([`Ladder`]); which step is due is
//! found in the log of what is played. One that a silence or a mute window holds up is taken with a later poll.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::escalation::Ladder;
use super::super::pending::Receivers;
use super::log::{Entry, Log};
use super::people::People;
use crate::config::Config;
use crate::limits::ESCALATION_LATE_MAX;
use crate::model::{
    AlertId, AlertState, DeliveryId, DueStep, EscalatedEnd, MessageKind, Notification, ReceiverId, RuleId, RuleStep,
};
use crate::rule::Muting;

/// The later steps of all rules.
pub(super) struct Steps {
    ladder: Ladder,
    of_rules: HashMap<RuleId, Vec<RuleStep>>,
    muting: Muting,
    /// Whom alerts went to that have not ended.
    told: Vec<Told>,
}

/// One of those whom an alert went to.
struct Told {
    alert: AlertId,
    number: u32,
    receiver: ReceiverId,
    by: DeliveryId,
}

/// A step that an alert has before it.
struct Ahead<'a> {
    entry: &'a Entry,
    number: u32,
    told_at: Timestamp,
    due_at: Timestamp,
}

impl Steps {
    pub(super) fn of(config: &Config, receivers: &Arc<Receivers>) -> Steps {
        let ladder = Ladder::new(Arc::clone(receivers), config.rules.clone());
        let mut of_rules: HashMap<RuleId, Vec<RuleStep>> = HashMap::new();
        for step in ladder.steps() {
            of_rules.entry(step.rule.clone()).or_default().push(step.clone());
        }
        Steps { ladder, of_rules, muting: config.muting(), told: Vec::new() }
    }

    /// The steps that alerts which fire have before them.
    fn ahead<'a>(&'a self, log: &'a Log, people: &'a People) -> impl Iterator<Item = Ahead<'a>> {
        let firing = log.firing().filter(|_| !self.of_rules.is_empty());
        firing.flat_map(move |entry| {
            let alert = &entry.alert;
            let is_told = alert.suppressed_by.is_none() && alert.suspended_at.is_none();
            let steps = self.of_rules.get(&alert.rule).filter(|_| is_told).into_iter().flatten();
            let first = || log.deliveries_of(entry).find(|delivery| delivery.kind == MessageKind::AlertFiring);
            let told_at = first().map(|delivery| delivery.created_at);
            steps.filter_map(move |step| {
                let told_at = told_at?;
                let is_free = !step.unless_acked || people.ack(&alert.id).is_none();
                let is_ahead = is_free && !entry.steps.contains(&step.number);
                let due_at = told_at.checked_add(step.after).ok().filter(|_| is_ahead)?;
                Some(Ahead { entry, number: step.number, told_at, due_at })
            })
        })
    }

    /// When the next step after `now` is due.
    pub(super) fn next_due(&self, log: &Log, people: &People, now: Timestamp) -> Option<Timestamp> {
        self.ahead(log, people).map(|ahead| ahead.due_at).filter(|due_at| *due_at > now).min()
    }

    /// Takes every step that is due at `now`, and notifies those who were escalated to of the ends since. `has_arrived`
    /// says whether a delivery did.
    pub(super) fn pass(
        &mut self,
        log: &mut Log,
        people: &People,
        now: Timestamp,
        has_arrived: impl Fn(&DeliveryId) -> bool,
    ) {
        let from = now.checked_sub(ESCALATION_LATE_MAX).unwrap_or(Timestamp::MIN);
        let mut due: Vec<Ahead<'_>> =
            self.ahead(log, people).filter(|ahead| (from..=now).contains(&ahead.due_at)).collect();
        due.sort_by_key(|ahead| (ahead.due_at, &ahead.entry.alert.id, ahead.number));
        let due: Vec<DueStep> = due.into_iter().map(|ahead| due_step(ahead, log, people, &has_arrived)).collect();
        if !due.is_empty() {
            drop(self.muting.set_silences(&people.active_silences(now)));
        }
        for due in due.iter().filter(|due| self.muting.mutes(&due.alert, now).is_none()) {
            let Some(taken) = self.ladder.step(due, now) else { continue };
            self.told.extend(taken.deliveries.iter().map(|delivery| Told {
                alert: taken.alert.clone(),
                number: taken.number,
                receiver: delivery.receiver.clone(),
                by: delivery.id.clone(),
            }));
            log.take_step(taken);
        }
        self.tell_ends(log, now);
    }

    fn tell_ends(&mut self, log: &mut Log, now: Timestamp) {
        let has_ended =
            |told: &mut Told| log.entry(&told.alert).is_some_and(|entry| entry.alert.state() == AlertState::Resolved);
        let mut ended: Vec<Told> = self.told.extract_if(.., has_ended).collect();
        ended.sort_by(|one, other| {
            let order = |told: &Told| (told.alert.clone(), Reverse(told.number), told.receiver.clone());
            order(one).cmp(&order(other))
        });
        for Told { alert, number, receiver, by } in ended {
            let Some(entry) = log.entry(&alert) else { continue };
            let is_end_of = |it: &Notification| it.kind == MessageKind::AlertResolved && it.receiver == receiver;
            if log.deliveries_of(entry).any(is_end_of) {
                continue;
            }
            let end = EscalatedEnd { alert: entry.alert.clone(), number, receiver, told_by: by, answer: None };
            log.add(self.ladder.answer(&end, now).into_iter().collect(), None);
        }
    }
}

fn due_step(ahead: Ahead<'_>, log: &Log, people: &People, has_arrived: impl Fn(&DeliveryId) -> bool) -> DueStep {
    let Ahead { entry, number, told_at, due_at } = ahead;
    let mut notified: Vec<(ReceiverId, bool)> = Vec::new();
    for delivery in log.deliveries_of(entry).filter(|delivery| delivery.kind == MessageKind::AlertFiring) {
        let arrived = has_arrived(&delivery.id);
        match notified.iter_mut().find(|(receiver, _)| *receiver == delivery.receiver) {
            Some((_, any)) => *any |= arrived,
            None => notified.push((delivery.receiver.clone(), arrived)),
        }
    }
    let acked_by = people.ack(&entry.alert.id).map(|ack| ack.by.clone());
    DueStep { alert: entry.alert.clone(), number, told_at, due_at, notified, acked_by }
}
