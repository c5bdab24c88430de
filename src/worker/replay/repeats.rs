//! Groups that are told again while a time is played, because something of them still fires: when that is due.
//!
//! What the messages say is made where it is made for the running loop; what fires and what it was told by is found in the
//! log of what is played. What a silence or a mute window holds at that time is left out.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::pending::Receivers;
use super::lanes::Lanes;
use super::log::Log;
use super::people::People;
use crate::config::Config;
use crate::model::{Alert, AlertFacts, GroupPlace, MessageKind, ReceiverId};
use crate::rule::{Muting, Rule};

/// The groups of all rules.
pub(super) struct Repeats {
    muting: Muting,
    /// Whether any rule asks for repeats.
    is_wanted: bool,
}

/// A group of which something fires, with what does, the oldest first.
struct Group<'a> {
    place: GroupPlace,
    due_at: Timestamp,
    alerts: Vec<&'a Alert>,
}

impl Repeats {
    pub(super) fn of(config: &Config) -> Repeats {
        let is_wanted = config.rules.rules().iter().any(Rule::repeats);
        Repeats { muting: config.muting(), is_wanted }
    }

    /// The groups that are told again some time, if nothing happens until then.
    fn ahead<'a>(&self, log: &'a Log, people: &People, lanes: &Lanes) -> BTreeMap<(ReceiverId, String), Group<'a>> {
        let mut groups: BTreeMap<(ReceiverId, String), Group<'a>> = BTreeMap::new();
        for entry in log.firing().filter(|_| self.is_wanted) {
            let alert = &entry.alert;
            let is_told = alert.suppressed_by.is_none() && alert.suspended_at.is_none();
            if !is_told || people.ack(&alert.id).is_some() {
                continue;
            }
            for delivery in log.deliveries_of(entry).filter(|delivery| delivery.kind == MessageKind::AlertFiring) {
                let Some((place, repeat)) = delivery.group.as_ref().and_then(|place| Some((place, place.repeat?)))
                else {
                    continue;
                };
                let Some(last) = lanes.silent_since(&delivery.receiver, &place.key) else { continue };
                let Ok(due_at) = last.checked_add(repeat) else { continue };
                let place = GroupPlace { told_at: Some(last), ..place.clone() };
                let group = groups.entry((delivery.receiver.clone(), place.key.clone()));
                let group = group.or_insert_with(|| Group { place, due_at, alerts: Vec::new() });
                if group.alerts.last().is_none_or(|known| known.id != alert.id) {
                    group.alerts.push(alert);
                }
            }
        }
        groups
    }

    /// When the next group after `now` is told again.
    pub(super) fn next_due(&self, log: &Log, people: &People, lanes: &Lanes, now: Timestamp) -> Option<Timestamp> {
        self.ahead(log, people, lanes).values().map(|group| group.due_at).filter(|due_at| *due_at > now).min()
    }

    /// Has every group told again that is due at `now`.
    pub(super) fn pass(
        &mut self,
        log: &Log,
        people: &People,
        (lanes, receivers): (&mut Lanes, &Receivers),
        now: Timestamp,
    ) {
        let mut due = self.ahead(log, people, lanes);
        due.retain(|_, group| group.due_at <= now);
        if due.is_empty() {
            return;
        }
        drop(self.muting.set_silences(&people.active_silences(now)));
        for ((receiver, _), mut group) in due {
            group.alerts.retain(|alert| self.muting.mutes(alert, now).is_none());
            group.alerts.sort_by_key(|alert| (alert.created_at, &alert.id));
            let Some(receiver) = receivers.get(&receiver) else { continue };
            let alerts: Vec<AlertFacts> = group.alerts.iter().map(|alert| alert.facts.clone()).collect();
            for delivery in receiver.repeats(&group.place, &alerts, now) {
                lanes.add(&delivery);
            }
        }
    }
}
