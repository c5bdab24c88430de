//! Several deliveries as one message: which of them go out together, what there is to tell of each alert once, and the
//! delivery that tells it.
//!
//! Pure: what waits and what is known of its alerts comes in, and what goes out in which form comes out. Lanes ask it, and
//! so does who plays a time again. It must never know a store, or when a lane runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::super::budget::Budget;
use crate::alert::identity::group_id;
use crate::alert::message_about;
use crate::limits::GROUP_MEMBERS_MAX;
use crate::model::{
    AlertFacts, Content, DeliveryId, GroupPlace, Mergeable, MessageKind, Notification, Queued, ReceiverId, Severity,
};
use crate::notify::Renderer;

/// Composes what one receiver is sent of several alerts.
#[derive(Debug, Clone)]
pub(in crate::worker) struct Composer {
    receiver: ReceiverId,
    /// Makes the messages; none where each alert is told alone.
    renderer: Option<Arc<Renderer>>,
    /// How many alerts a message can name, as far as is known: where to begin to measure the next one.
    named: Arc<AtomicUsize>,
}

/// What of a queue may go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum Share {
    /// Nothing is due.
    Nothing,
    /// The budget allows the first of it from then on.
    From(Timestamp),
    /// So many messages. Of the first `alike` in the queue, where more wait than may go, as many as possible go as one.
    Some { most: usize, alike: usize, is_crowded: bool },
}

/// What becomes of deliveries whose wait for others is over.
#[derive(Debug)]
pub(in crate::worker) enum Gathered {
    /// Each goes out by itself.
    Alone(Vec<DeliveryId>),
    /// One message goes out in their place.
    Together(Box<Together>),
}

/// An alert that is to be told, with every delivery that a message about it settles.
struct Told {
    facts: AlertFacts,
    members: Vec<DeliveryId>,
}

/// A message that tells what several deliveries have pending.
#[derive(Debug)]
pub(in crate::worker) struct Together {
    pub(in crate::worker) delivery: Notification,
    pub(in crate::worker) members: Vec<DeliveryId>,
    /// How many alerts it names.
    pub(in crate::worker) named: usize,
}

/// A message about several alerts that is answered.
pub(in crate::worker) struct Thread {
    leader: DeliveryId,
    /// All that it told of, as that is now.
    alerts: Vec<AlertFacts>,
}

/// What of `queue`, the most urgent first, the budget allows at `now`. Critical messages are looked at apart from the
/// others: a critical alert is told alone as long as the budget allows, and together with none but critical ones when it
/// does not.
pub(in crate::worker) fn share(queue: &[Queued], budget: &Budget, now: Timestamp) -> Share {
    let severity = queue.first().and_then(|head| head.severity);
    let alike = queue.iter().take_while(|one| is_critical(one.severity) == is_critical(severity)).count();
    let allowed = budget.available(now, severity);
    match alike.min(allowed) {
        0 if alike == 0 => Share::Nothing,
        0 => Share::From(budget.free_at(now, severity)),
        most => Share::Some { most, alike, is_crowded: alike > allowed },
    }
}

/// Whether it tells of one alert, so that it can be told with others.
pub(in crate::worker) fn names_one(queued: &Queued) -> bool {
    matches!(queued.kind, Some(MessageKind::AlertFiring | MessageKind::AlertResolved))
}

fn is_critical(severity: Option<Severity>) -> bool {
    severity == Some(Severity::Critical)
}

impl Composer {
    /// For a receiver that is told each alert alone.
    pub(in crate::worker) fn of(receiver: ReceiverId) -> Composer {
        Composer { receiver, renderer: None, named: Arc::new(AtomicUsize::new(GROUP_MEMBERS_MAX)) }
    }

    /// The same, whose messages `renderer` makes.
    pub(in crate::worker) fn by(self, renderer: Arc<Renderer>) -> Composer {
        Composer { renderer: Some(renderer), ..self }
    }

    /// The receiver.
    pub(in crate::worker) fn receiver(&self) -> &ReceiverId {
        &self.receiver
    }

    /// What makes its messages; none where nobody said.
    pub(in crate::worker) fn renderer(&self) -> Option<&Renderer> {
        self.renderer.as_deref()
    }

    /// What makes messages about several alerts; none where each is told alone.
    fn merging(&self) -> Option<&Renderer> {
        self.renderer().filter(|renderer| renderer.merges())
    }

    /// The deliveries among `waiting` that one message could tell, so many that more need not be read; nothing where each
    /// is told alone.
    pub(in crate::worker) fn mergeable(&self, waiting: &[Queued]) -> Vec<DeliveryId> {
        if self.merging().is_none() {
            return Vec::new();
        }
        // A little more than the last one could name.
        let reach = self.named.load(Ordering::Relaxed).saturating_mul(9) / 8 + 2;
        let ids: Vec<DeliveryId> =
            waiting.iter().filter(|one| names_one(one)).take(reach).map(|one| one.id.clone()).collect();
        if ids.len() < 2 { Vec::new() } else { ids }
    }

    /// One message in the place of the first of `waiting`, of which `found` is what is known: as many as it can name;
    /// `queued` are due in all. None where it cannot name two.
    pub(in crate::worker) fn merged(
        &self,
        waiting: &[Queued],
        found: Vec<Mergeable>,
        queued: u64,
        now: Timestamp,
    ) -> Option<Together> {
        let others = queued.saturating_sub(found.len() as u64);
        let Together { delivery, members, named } = self.together(each_alert_once(found), others, None, now)?;
        // It takes the place in the queue of the one that waited longest, before those that have waited as long.
        let due_at = waiting.iter().filter(|one| members.contains(&one.id)).map(|one| one.due_at).min();
        let due_at = due_at.map(|due_at| due_at.checked_sub(Duration::from_millis(1)).unwrap_or(due_at));
        let due_at = due_at.unwrap_or(delivery.due_at);
        Some(Together { delivery: Notification { due_at, ..delivery }, members, named })
    }

    /// What becomes of `found`, whose group has waited long enough; `mergeable` is what is known of them, `waiting` are in
    /// the group in all. One of them at least does not wait any more.
    pub(in crate::worker) fn gathered(
        &self,
        found: &[Queued],
        mergeable: Vec<Mergeable>,
        thread: Option<&Thread>,
        (place, waiting): (&GroupPlace, u64),
        now: Timestamp,
    ) -> Gathered {
        let ids = || found.iter().map(|one| one.id.clone());
        let told = each_alert_once(mergeable);
        let unknown: Vec<DeliveryId> = ids().filter(|id| !told.iter().any(|one| one.members.contains(id))).collect();
        if !unknown.is_empty() {
            // Of these no alert is known any more; what they were to say was rendered when they were made.
            return Gathered::Alone(unknown);
        }
        let beyond = waiting.saturating_sub(found.len() as u64);
        let mut one = match told.len() {
            0 => None,
            1 if thread.is_none() && says_so_already(found, &told) => None,
            1 => told.into_iter().next().and_then(|one| self.as_it_is(one, now)),
            _ => self.together(told, beyond, place.window(), now),
        };
        if let (Some(one), Some(thread)) = (&mut one, thread) {
            self.answer(one, thread, now);
        }
        let Some(mut one) = one else { return Gathered::Alone(ids().collect()) };
        one.delivery.group = Some(GroupPlace { told_at: Some(now), ..place.clone() });
        Gathered::Together(Box::new(one))
    }

    /// One message about the first of `told`, as many as it can name; `others` wait beside them. They were held back until
    /// `window` opened, where there is one. None when it cannot name two.
    fn together(&self, mut told: Vec<Told>, others: u64, window: Option<&str>, now: Timestamp) -> Option<Together> {
        let facts: Vec<AlertFacts> = told.iter().map(|one| one.facts.clone()).collect();
        let guess = self.named.load(Ordering::Relaxed);
        let merging = self.merging()?;
        let grouped = match window {
            Some(window) => merging.bundle(&facts, others, window, now, guess)?,
            None => merging.group(&facts, others, now, guess)?,
        };
        // That few were told together says nothing of how many could be.
        let fits = if grouped.named < facts.len() { grouped.named } else { grouped.named.max(guess) };
        self.named.store(fits, Ordering::Relaxed);
        told.truncate(grouped.named);
        let content = grouped.rendered.into_content(&self.receiver, "several alerts");
        Some(self.pending(&told, MessageKind::AlertGroup, content, now))
    }

    /// One message about one alert as it is now, whatever its deliveries were to say.
    fn as_it_is(&self, told: Told, now: Timestamp) -> Option<Together> {
        let message = message_about(told.facts.clone(), now);
        let content = self.merging()?.render(&message).into_content(&self.receiver, &told.facts.alert.id);
        let mut one = self.pending(std::slice::from_ref(&told), message.kind, content, now);
        let alert = told.facts.alert;
        (one.delivery.alert, one.delivery.rule) = (Some(alert.id), Some(alert.rule));
        Some(one)
    }

    /// The message that told the beginning of all of `found`, where they are ends that answer one message and the channel
    /// brings that up to date.
    pub(in crate::worker) fn answered(&self, found: &[Mergeable]) -> Option<DeliveryId> {
        let mut leaders = found.iter().map(|one| one.follows.as_ref());
        let leader = leaders.next().flatten().filter(|leader| leaders.all(|other| other == Some(*leader)))?;
        self.merging().is_some_and(Renderer::updates).then(|| leader.clone())
    }

    /// Has a message that tells of ends alone answer the message that told the beginnings, if one told them all, and say
    /// what that says from now on.
    fn answer(&self, one: &mut Together, thread: &Thread, now: Timestamp) {
        one.delivery.follows = Some(thread.leader.clone());
        if let Some(renderer) = self.merging() {
            renderer.add_update(&mut one.delivery.content, &thread.alerts, now);
        }
    }

    fn pending(&self, told: &[Told], kind: MessageKind, content: Content, now: Timestamp) -> Together {
        let members: Vec<DeliveryId> = told.iter().flat_map(|one| one.members.iter().cloned()).collect();
        let id = group_id(&self.receiver, &members);
        let severity = told.iter().map(|one| one.facts.alert.severity).max();
        let rendered_for = self.merging().map(|renderer| renderer.kind().to_string());
        let delivery =
            Notification { severity, rendered_for, ..Notification::new(id, self.receiver.clone(), kind, content, now) };
        Together { delivery, members, named: told.len() }
    }
}

impl Thread {
    /// The message `leader`, which told of these alerts; none where it told of one alone.
    pub(in crate::worker) fn of(leader: DeliveryId, alerts: Vec<AlertFacts>) -> Option<Thread> {
        (!alerts.is_empty()).then_some(Thread { leader, alerts })
    }
}

/// Each alert once, in the order in which they waited: one whose deadline passed after a warning has two beginnings
/// pending, and one that is over its end, too.
fn each_alert_once(found: Vec<Mergeable>) -> Vec<Told> {
    let mut all: Vec<Told> = Vec::new();
    for Mergeable { id, facts, resolution, .. } in found {
        let members = std::iter::once(id).chain(resolution);
        match all.iter_mut().find(|told| told.facts.alert.id == facts.alert.id) {
            Some(told) => told.members.extend(members),
            None => all.push(Told { facts, members: members.collect() }),
        }
    }
    for told in &mut all {
        let mut seen = std::collections::BTreeSet::new();
        told.members.retain(|id| seen.insert(id.clone()));
    }
    all
}

/// Whether the only delivery of the only alert says what the alert is now: then that one goes out.
fn says_so_already(found: &[Queued], told: &[Told]) -> bool {
    let ([only], [alert]) = (found, told) else { return false };
    only.kind == Some(MessageKind::about(alert.facts.alert.state)) && alert.members.len() == 1
}
