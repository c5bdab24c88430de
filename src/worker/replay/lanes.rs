//! The way to the receivers while a time is played: what goes out when, alone, with its group, or with others because more
//! waits than the channel takes. Everything arrives at the first attempt.
//!
//! What may go, and what goes together, is decided where it is decided for running lanes ([`composer`]); this holds what is
//! pending in memory. It must never know what a message says.
//!
//! [`composer`]: super::super::deliver::composer

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::super::budget::{self, Budget};
use super::super::deliver::composer::{Composer, Gathered, Share, Thread, Together, names_one, share};
use super::super::pending::Receivers;
use super::log::Log;
use crate::config::Config;
use crate::limits::GROUP_MEMBERS_MAX;
use crate::model::{
    AlertFacts, AlertId, AlertState, DeliveryId, DueGroup, GroupPlace, Mergeable, MessageKind, Notification, Queued,
    ReceiverId, Severity,
};

/// A message that went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Timestamp,
    /// To whom.
    pub receiver: ReceiverId,
    /// What kind of message it was.
    pub kind: MessageKind,
}

/// All lanes.
pub(super) struct Lanes {
    lanes: BTreeMap<ReceiverId, Lane>,
    fates: Fates,
    sent: Vec<Sent>,
    /// How many of the log's deliveries were handed to the lanes.
    taken: usize,
}

/// The way to one receiver.
struct Lane {
    composer: Composer,
    budget: Budget,
    waiting: Vec<Waiting>,
    /// When each group was last told something.
    told_at: HashMap<String, Timestamp>,
    /// From when on the budget allows the next message.
    held_until: Option<Timestamp>,
}

/// A delivery that is pending.
struct Waiting {
    queued: Queued,
    created_at: Timestamp,
    alert: Option<AlertId>,
    follows: Option<DeliveryId>,
    group: Option<GroupPlace>,
}

/// What has become of deliveries; of one that is not here nothing yet.
#[derive(Default)]
struct Fates {
    of: HashMap<DeliveryId, Fate>,
    /// The alerts whose beginnings a message about several has told.
    told_by: HashMap<DeliveryId, Vec<AlertId>>,
}

enum Fate {
    Pending,
    Arrived,
    MergedInto(DeliveryId),
}

impl Lanes {
    pub(super) fn of(config: &Config, receivers: &Receivers) -> Lanes {
        let budgets: HashMap<String, Budget> =
            budget::rates(&config.receivers).into_iter().map(|(to, rate)| (to, Budget::new(rate))).collect();
        let lane = |settings: &crate::notify::ReceiverSettings| {
            let receiver = receivers.get(&settings.id)?;
            let composer = Composer::of(settings.id.clone()).by(receiver.renderer.clone());
            let budget = budgets.get(&settings.channel.destination())?.clone();
            let (waiting, told_at) = (Vec::new(), HashMap::new());
            Some((settings.id.clone(), Lane { composer, budget, waiting, told_at, held_until: None }))
        };
        let lanes = config.receivers.iter().filter_map(lane).collect();
        Lanes { lanes, fates: Fates::default(), sent: Vec::new(), taken: 0 }
    }

    /// Whether a delivery, or the message that tells it, has arrived.
    pub(super) fn has_arrived(&self, delivery: &DeliveryId) -> bool {
        matches!(self.fates.of.get(self.fates.last(delivery)), Some(Fate::Arrived))
    }

    /// When a group of a receiver was last told something, if nothing is pending of it.
    pub(super) fn silent_since(&self, receiver: &ReceiverId, key: &str) -> Option<Timestamp> {
        let lane = self.lanes.get(receiver)?;
        let is_pending = lane.waiting.iter().any(|one| one.group.as_ref().is_some_and(|group| group.key == key));
        lane.told_at.get(key).copied().filter(|_| !is_pending)
    }

    /// When the next of what is pending is due later than `after`.
    pub(super) fn next_due(&self, after: Timestamp) -> Option<Timestamp> {
        let of_lane = |lane: &Lane| {
            let due = lane.waiting.iter().filter(|one| self.fates.is_free(one)).map(|one| one.queued.due_at);
            due.chain(lane.held_until).filter(|due| *due > after).min()
        };
        self.lanes.values().filter_map(of_lane).min()
    }

    /// Sends what may go at `now`, with what the log has that is new.
    pub(super) fn pass(&mut self, log: &Log, now: Timestamp) {
        for delivery in log.deliveries_from(self.taken) {
            self.taken += 1;
            self.add(delivery);
        }
        let Lanes { lanes, fates, sent, .. } = self;
        for lane in lanes.values_mut() {
            lane.pass(fates, sent, log, now);
        }
    }

    /// Has a message wait that repeats what a group was told.
    pub(super) fn add(&mut self, delivery: &Notification) {
        let Some(lane) = self.lanes.get_mut(&delivery.receiver) else { return };
        lane.add(delivery, &mut self.fates);
    }

    /// What went out, the earliest first.
    pub(super) fn into_sent(self) -> Vec<Sent> {
        self.sent
    }
}

impl Lane {
    fn add(&mut self, delivery: &Notification, fates: &mut Fates) {
        fates.of.insert(delivery.id.clone(), Fate::Pending);
        if let Some(GroupPlace { key, told_at: Some(told_at), .. }) = &delivery.group {
            self.told_at.insert(key.clone(), *told_at);
        }
        self.waiting.push(Waiting {
            queued: Queued {
                id: delivery.id.clone(),
                kind: Some(delivery.kind),
                severity: delivery.severity,
                due_at: delivery.due_at,
            },
            created_at: delivery.created_at,
            alert: delivery.alert.clone(),
            follows: delivery.follows.clone(),
            group: delivery.group.clone(),
        });
    }

    fn pass(&mut self, fates: &mut Fates, sent: &mut Vec<Sent>, log: &Log, now: Timestamp) {
        self.held_until = None;
        loop {
            if self.waiting.is_empty() {
                return;
            }
            self.tell_groups(fates, log, now);
            let most = if self.budget.is_unlimited() {
                usize::MAX
            } else {
                let queue = self.queue(fates, now);
                match share(&queue, &self.budget, now) {
                    Share::Nothing => return,
                    Share::From(at) => {
                        self.held_until = Some(at);
                        return;
                    }
                    Share::Some { alike, is_crowded: true, .. }
                        if !names_one(&queue[0]) || self.merge(&queue[..alike], queue.len(), fates, log, now) =>
                    {
                        1
                    }
                    Share::Some { most, .. } => most,
                }
            };
            let claimed: Vec<DeliveryId> = self.queue(fates, now).into_iter().take(most).map(|one| one.id).collect();
            if claimed.is_empty() {
                return;
            }
            self.send(&claimed, fates, sent, now);
        }
    }

    fn send(&mut self, claimed: &[DeliveryId], fates: &mut Fates, sent: &mut Vec<Sent>, now: Timestamp) {
        for id in claimed {
            let Some(place) = self.waiting.iter().position(|one| one.queued.id == *id) else { continue };
            if !self.budget.take(now, self.waiting[place].queued.severity) {
                return;
            }
            let Waiting { queued: Queued { id, kind, .. }, .. } = self.waiting.remove(place);
            let receiver = self.composer.receiver().clone();
            sent.extend(kind.map(|kind| Sent { at: now, receiver, kind }));
            fates.of.insert(id, Fate::Arrived);
        }
    }

    /// What is due at `now` and waits for nothing else, the most urgent first.
    fn queue(&self, fates: &Fates, now: Timestamp) -> Vec<Queued> {
        self.ordered(|one| one.is_told() && one.queued.due_at <= now && fates.is_free(one))
    }

    fn ordered(&self, is_meant: impl Fn(&Waiting) -> bool) -> Vec<Queued> {
        let mut meant: Vec<&Waiting> = self.waiting.iter().filter(|one| is_meant(one)).collect();
        meant.sort_by_key(|one| {
            let urgency = one.queued.severity.map_or(0, Severity::urgency);
            (Reverse(urgency), one.queued.due_at, one.created_at, &one.queued.id)
        });
        meant.into_iter().take(GROUP_MEMBERS_MAX).map(|one| one.queued.clone()).collect()
    }

    /// Ends the wait of every group that is due at `now`.
    fn tell_groups(&mut self, fates: &mut Fates, log: &Log, now: Timestamp) {
        for group in self.due_groups(fates, now) {
            let key = group.place.key.clone();
            if let Some(free_at) = group.free_at().filter(|free_at| *free_at > now) {
                let of_group = self.waiting.iter_mut().filter(|one| one.waits_in(&key));
                of_group.for_each(|one| one.queued.due_at = free_at);
                continue;
            }
            let mut left = group.waiting;
            loop {
                let found = self.ordered(|one| one.waits_in(&key) && fates.is_free(one));
                if found.is_empty() {
                    break;
                }
                let ids: Vec<DeliveryId> = found.iter().map(|one| one.id.clone()).collect();
                let mergeable = self.mergeable(&ids, fates, log);
                let leader = self.composer.answered(&mergeable);
                let thread = leader.and_then(|leader| Thread::of(leader.clone(), fates.told_by(&leader, log)));
                match self.composer.gathered(&found, mergeable, thread.as_ref(), (&group.place, left), now) {
                    Gathered::Alone(ids) => {
                        left = left.saturating_sub(ids.len() as u64);
                        self.tell_alone(&ids, now);
                    }
                    Gathered::Together(one) => {
                        let settled = ids.iter().filter(|id| one.members.contains(id)).count();
                        left = left.saturating_sub(settled.max(1) as u64);
                        self.put_in_place(*one, fates);
                    }
                }
            }
        }
    }

    /// The groups in which something has waited long enough.
    fn due_groups(&self, fates: &Fates, now: Timestamp) -> Vec<DueGroup> {
        let mut groups: BTreeMap<&str, (DueGroup, Timestamp)> = BTreeMap::new();
        for one in self.waiting.iter().filter(|one| !one.is_told() && fates.is_free(one)) {
            let Some(place) = &one.group else { continue };
            let due_at = one.queued.due_at;
            let (group, first) = groups.entry(&place.key).or_insert_with(|| {
                let told_at = self.told_at.get(&place.key).copied();
                (DueGroup { place: GroupPlace { told_at, ..place.clone() }, waiting: 0 }, due_at)
            });
            group.waiting += 1;
            *first = due_at.min(*first);
        }
        groups.into_values().filter(|(_, first)| *first <= now).map(|(group, _)| group).collect()
    }

    fn tell_alone(&mut self, ids: &[DeliveryId], now: Timestamp) {
        for one in self.waiting.iter_mut().filter(|one| ids.contains(&one.queued.id)) {
            one.queued.due_at = one.queued.due_at.min(now);
            if let Some(group) = &mut one.group {
                group.told_at = Some(now);
                self.told_at.insert(group.key.clone(), now);
            }
        }
    }

    /// Puts one message in the place of the first of `waiting`. Returns whether it did.
    fn merge(&mut self, waiting: &[Queued], queued: usize, fates: &mut Fates, log: &Log, now: Timestamp) -> bool {
        let ids = self.composer.mergeable(waiting);
        if ids.is_empty() {
            return false;
        }
        let found = self.mergeable(&ids, fates, log);
        let Some(one) = self.composer.merged(waiting, found, queued as u64, now) else { return false };
        self.put_in_place(one, fates);
        true
    }

    fn put_in_place(&mut self, one: Together, fates: &mut Fates) {
        let Together { delivery, members, .. } = one;
        let mut begun = Vec::new();
        self.waiting.retain(|waiting| {
            let is_member = members.contains(&waiting.queued.id);
            if is_member && waiting.queued.kind == Some(MessageKind::AlertFiring) {
                begun.extend(waiting.alert.clone());
            }
            !is_member
        });
        for member in members {
            begun.extend(fates.told_by.remove(&member).into_iter().flatten());
            fates.of.insert(member, Fate::MergedInto(delivery.id.clone()));
        }
        fates.told_by.insert(delivery.id.clone(), begun);
        self.add(&delivery, fates);
    }

    /// What is known of these deliveries' alerts now.
    fn mergeable(&self, ids: &[DeliveryId], fates: &Fates, log: &Log) -> Vec<Mergeable> {
        let pending: HashMap<&DeliveryId, &Waiting> = self.waiting.iter().map(|one| (&one.queued.id, one)).collect();
        let mut ends: HashMap<&DeliveryId, &DeliveryId> = HashMap::new();
        for one in self.waiting.iter().filter(|one| one.queued.kind == Some(MessageKind::AlertResolved)) {
            if let Some(leader) = &one.follows {
                ends.insert(fates.last(leader), &one.queued.id);
            }
        }
        let known = |id: &DeliveryId| {
            let one = pending.get(id)?;
            let entry = log.entry(one.alert.as_ref()?)?;
            let is_over = entry.alert.state() == AlertState::Resolved;
            Some(Mergeable {
                id: id.clone(),
                facts: log.facts_of(id, entry),
                resolution: ends.get(id).filter(|_| is_over).map(|end| (*end).clone()),
                follows: one.follows.as_ref().map(|leader| fates.last(leader).clone()),
            })
        };
        ids.iter().filter_map(known).collect()
    }
}

impl Waiting {
    /// Whether it waits for no others of its group.
    fn is_told(&self) -> bool {
        self.group.as_ref().is_none_or(|group| group.told_at.is_some())
    }

    /// Whether it waits for others of this group.
    fn waits_in(&self, key: &str) -> bool {
        self.group.as_ref().is_some_and(|group| group.key == key && group.told_at.is_none())
    }
}

impl Fates {
    /// The delivery that tells this one: itself, or what it was merged into.
    fn last<'a>(&'a self, delivery: &'a DeliveryId) -> &'a DeliveryId {
        match self.of.get(delivery) {
            Some(Fate::MergedInto(whole)) => self.last(whole),
            _ => delivery,
        }
    }

    /// Whether nothing that it follows is pending.
    fn is_free(&self, waiting: &Waiting) -> bool {
        let leader = waiting.follows.as_ref().map(|leader| self.last(leader));
        !leader.is_some_and(|leader| matches!(self.of.get(leader), Some(Fate::Pending)))
    }

    /// What the alerts are now whose beginnings a message told together; nothing of a message about one.
    fn told_by(&self, leader: &DeliveryId, log: &Log) -> Vec<AlertFacts> {
        let alerts = self.told_by.get(leader).into_iter().flatten();
        let mut alerts: Vec<_> = alerts.filter_map(|id| log.entry(id)).map(|entry| &entry.alert).collect();
        alerts.sort_by_key(|alert| (alert.created_at, &alert.id));
        alerts.dedup_by_key(|alert| &alert.id);
        alerts.into_iter().map(|alert| alert.facts.clone()).collect()
    }
}
