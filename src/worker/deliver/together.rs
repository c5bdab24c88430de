//! Several deliveries as one message: what there is to tell of each alert once, and the delivery that tells it.

use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::claiming::Claimer;
use crate::alert::identity::group_id;
use crate::alert::message_about;
use crate::model::{AlertFacts, Content, Delivery, DeliveryId, MessageKind};
use crate::notify::Renderer;
use crate::store::{Groups, Mergeable, Outbox, StoreError};

/// An alert that is to be told, with every delivery that a message about it settles.
pub(super) struct Told {
    pub(super) facts: AlertFacts,
    pub(super) members: Vec<DeliveryId>,
}

/// A message that tells what several deliveries owe.
pub(super) struct Together {
    pub(super) delivery: Delivery,
    pub(super) members: Vec<DeliveryId>,
    /// How many alerts it names.
    pub(super) named: usize,
}

/// A message about several alerts that is answered.
pub(super) struct Thread {
    leader: DeliveryId,
    /// All that it told of, as that is now.
    alerts: Vec<AlertFacts>,
}

/// Each alert once, in the order in which they waited: one whose deadline passed after a warning owes two beginnings, and
/// one that is over owes its end, too.
pub(super) fn each_alert_once(found: Vec<Mergeable>) -> Vec<Told> {
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

impl<S: Groups + Outbox> Claimer<S> {
    /// What makes messages about several alerts; none where each is told alone.
    pub(super) fn merging(&self) -> Option<&Renderer> {
        self.renderer.as_deref().filter(|renderer| renderer.merges())
    }

    /// One message about the first of `told`, as many as it can name; `others` wait beside them. None when it cannot name
    /// two.
    pub(super) fn together(&self, mut told: Vec<Told>, others: u64, now: Timestamp) -> Option<Together> {
        let facts: Vec<AlertFacts> = told.iter().map(|one| one.facts.clone()).collect();
        let guess = self.named.load(Ordering::Relaxed);
        let grouped = self.merging()?.group(&facts, others, now, guess)?;
        // That few were told together says nothing of how many could be.
        let fits = if grouped.named < facts.len() { grouped.named } else { grouped.named.max(guess) };
        self.named.store(fits, Ordering::Relaxed);
        told.truncate(grouped.named);
        let content = grouped.rendered.into_content(&self.receiver, "several alerts");
        Some(self.owed(&told, MessageKind::AlertGroup, content, now))
    }

    /// One message about one alert as it is now, whatever its deliveries were to say.
    pub(super) fn as_it_is(&self, told: Told, now: Timestamp) -> Option<Together> {
        let message = message_about(told.facts.clone(), now);
        let content = self.merging()?.render(&message).into_content(&self.receiver, &told.facts.alert.id);
        let mut one = self.owed(std::slice::from_ref(&told), message.kind, content, now);
        let alert = told.facts.alert;
        (one.delivery.alert, one.delivery.rule) = (Some(alert.id), Some(alert.rule));
        Some(one)
    }

    /// Has a message that tells of ends alone answer the message that told the beginnings, if one told them all, and say
    /// what that says from now on.
    pub(super) fn answering(&self, one: &mut Together, thread: &Thread, now: Timestamp) {
        one.delivery.follows = Some(thread.leader.clone());
        if let Some(renderer) = self.merging() {
            renderer.add_update(&mut one.delivery.content, &thread.alerts, now);
        }
    }

    /// The message that told the beginning of all of `found`, where they are ends and it told of several alerts.
    pub(super) async fn thread_of(&self, found: &[Mergeable]) -> Result<Option<Thread>, StoreError> {
        let mut leaders = found.iter().map(|one| one.follows.as_ref());
        let Some(leader) = leaders.next().flatten().filter(|leader| leaders.all(|other| other == Some(*leader))) else {
            return Ok(None);
        };
        if !self.merging().is_some_and(Renderer::updates) {
            return Ok(None);
        }
        let alerts = self.store.told_by(leader).await?;
        Ok((!alerts.is_empty()).then(|| Thread { leader: leader.clone(), alerts }))
    }

    fn owed(&self, told: &[Told], kind: MessageKind, content: Content, now: Timestamp) -> Together {
        let members: Vec<DeliveryId> = told.iter().flat_map(|one| one.members.iter().cloned()).collect();
        let id = group_id(&self.receiver, &members);
        let severity = told.iter().map(|one| one.facts.alert.severity).max();
        let delivery = Delivery { severity, ..Delivery::owed(id, self.receiver.clone(), kind, content, now) };
        Together { delivery, members, named: told.len() }
    }
}
