//! What a receiver is to be sent of an alert: the one place that renders a delivery, names it and says what it follows.
//!
//! Pure: alerts and messages come in, deliveries that are pending come out. Polls, escalations, repeats, fallbacks, digests
//! and Nightbell's own alerts come here, so that a beginning is named by its end in the same way whoever makes them. It
//! must never know the store, a lane, or why somebody is notified.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::deliver::Channel;
use crate::alert::identity::{
    ack_delivery_id, delivery_id, digest_delivery_id, escalation_id, fallback_id, overdue_delivery_id, reminder_id,
};
use crate::alert::{is_superseded, message_of};
use crate::decide::{Audience, Notice};
use crate::digest::spread_of;
use crate::model::{Alert, AlertFacts, Content, DeliveryId, GroupPlace, Message, MessageKind, Notification};
use crate::model::{MeantFor, ReceiverId, Stage};
use crate::notify::{ReceiverSettings, Renderer};
use crate::rule::{Hold, Hours, Rule, RuleSet};

/// A receiver, as those need it who have something for it.
#[derive(Debug)]
pub struct Receiver {
    /// Its name.
    pub id: ReceiverId,
    /// Makes its messages.
    pub renderer: Arc<Renderer>,
    /// Whether it asks to be sent resolutions.
    pub send_resolved: bool,
    /// Which messages it gets about who is on an alert.
    pub hears_of_acks: &'static [MessageKind],
    /// Wakes its lane when something new is pending.
    pub nudge: Arc<Notify>,
    /// Whether its channel wants to be left alone.
    pub channel: Channel,
}

/// The receivers, by name.
#[derive(Debug, Default)]
pub struct Receivers(HashMap<ReceiverId, Arc<Receiver>>);

impl<R: Into<Arc<Receiver>>> FromIterator<R> for Receivers {
    fn from_iter<T: IntoIterator<Item = R>>(receivers: T) -> Self {
        let named = |receiver: Arc<Receiver>| (receiver.id.clone(), receiver);
        Receivers(receivers.into_iter().map(Into::into).map(named).collect())
    }
}

impl Receivers {
    /// The receiver of this name.
    pub fn get(&self, id: &ReceiverId) -> Option<&Receiver> {
        self.0.get(id).map(Arc::as_ref)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Receiver> {
        self.0.values().map(Arc::as_ref)
    }

    /// The names, in order.
    pub fn ids(&self) -> Vec<&ReceiverId> {
        let mut ids: Vec<&ReceiverId> = self.0.keys().collect();
        ids.sort();
        ids
    }

    /// What the receivers of an alert are sent of its beginning, or of its end as far as they want to hear of ends.
    pub fn deliveries(&self, alert: &Alert, kind: MessageKind, now: Timestamp) -> Vec<Notification> {
        let message = message_of(alert, kind, now);
        let is_meant = |receiver: &&Receiver| kind != MessageKind::AlertResolved || receiver.wants_ends();
        let meant = alert.receivers.iter().filter_map(|id| self.get(id)).filter(is_meant);
        meant.map(|receiver| receiver.delivery(alert, &message, now)).collect()
    }

    /// What those receivers of an alert are sent that a notice of it is for, each with the group that its rule asks for.
    pub fn notified(&self, alert: &Alert, notice: &Notice, rules: &RuleSet, now: Timestamp) -> Vec<Notification> {
        let (message, rule) = (message_of(alert, notice.kind, now), rules.get(&alert.rule));
        let meant = alert.receivers.iter().filter_map(|id| self.get(id)).filter(|it| it.is_meant(notice.audience));
        let sent = meant.map(|receiver| {
            let mut delivery = receiver.delivery(alert, &message, now);
            if notice.kind == MessageKind::AlertResolved && notice.audience == Audience::All {
                // It was over when it was first seen: there is no beginning that this would follow.
                delivery.follows = None;
            }
            let first = |earlier| delivery_id(earlier, &receiver.id, MessageKind::AlertFiring);
            delivery.in_thread_of = notice.again_after.as_ref().map(first);
            match notice.held.iter().find(|(held, _)| *held == receiver.id) {
                Some((_, hold)) => held_back(delivery, hold),
                None => receiver.grouped(delivery, alert, rule, now),
            }
        });
        sent.collect()
    }

    /// Wakes the lanes of these receivers. To be called after the commit.
    pub fn wake<'a>(&self, ids: impl IntoIterator<Item = &'a ReceiverId>) {
        for receiver in ids.into_iter().filter_map(|id| self.get(id)) {
            receiver.nudge.notify_one();
        }
    }
}

/// The notification, which goes out with others when a window opens.
fn held_back(notification: Notification, hold: &Hold) -> Notification {
    Notification { group: Some(GroupPlace::of_window(&hold.window)), due_at: hold.until, since: None, ..notification }
}

impl Receiver {
    /// The receiver of these settings, with its messages made by `renderer`.
    pub fn new(settings: &ReceiverSettings, renderer: impl Into<Arc<Renderer>>) -> Self {
        let (id, renderer) = (settings.id.clone(), renderer.into());
        let (nudge, channel) = (Arc::default(), Channel::default());
        let (send_resolved, hears_of_acks) = (settings.send_resolved, settings.hears_of_acks());
        Receiver { id, renderer, send_resolved, hears_of_acks, nudge, channel }
    }

    /// The same receiver, whose lane `nudge` wakes.
    #[must_use]
    pub fn woken_by(self, nudge: Arc<Notify>) -> Self {
        Receiver { nudge, ..self }
    }

    /// The same receiver, reached through `channel`.
    #[must_use]
    pub fn through(self, channel: Channel) -> Self {
        Receiver { channel, ..self }
    }

    /// Whether it hears of ends: it asks for them, or it keeps an incident open until it hears of one.
    pub(super) fn wants_ends(&self) -> bool {
        self.send_resolved || self.renderer.keeps_incidents()
    }

    /// Whether the end of an alert is anything to it: not where the run has failed again, unless it keeps incidents.
    pub(super) fn hears_of_end(&self, alert: &Alert) -> bool {
        !is_superseded(alert) || self.renderer.keeps_incidents()
    }

    /// Whether it is among those that a notice is for.
    fn is_meant(&self, audience: Audience) -> bool {
        match audience {
            Audience::All => true,
            Audience::WantEnds => self.wants_ends(),
            Audience::KeepIncidents => self.renderer.keeps_incidents(),
        }
    }

    /// The beginning or the end of an alert, by the kind of `message`.
    pub fn delivery(&self, alert: &Alert, message: &Message, now: Timestamp) -> Notification {
        // A deadline that was warned of is told a second time, and the end follows the second message.
        let firing = match alert.facts.alert.measures.stage {
            // Nobody was told that the deadline has passed, while that was held back.
            Some(Stage::Overdue) if alert.suppressed_by.is_none() => overdue_delivery_id(&alert.id, &self.id),
            _ => delivery_id(&alert.id, &self.id, MessageKind::AlertFiring),
        };
        match message.kind {
            MessageKind::AlertResolved => self.answer(alert, message, firing, now),
            kind => {
                let part = &alert.facts.alert;
                let is_first = kind == MessageKind::AlertFiring && part.ended.is_none() && part.held_back.is_none();
                let since = is_first.then_some(part.starts_at);
                Notification { since, ..self.about(firing, alert, message, now) }
            }
        }
    }

    /// The end of an alert, which answers the delivery `follows`. None where the receiver wants no ends.
    pub fn resolution(
        &self,
        alert: &Alert,
        message: &Message,
        follows: DeliveryId,
        now: Timestamp,
    ) -> Option<Notification> {
        self.wants_ends().then(|| self.answer(alert, message, follows, now))
    }

    fn answer(&self, alert: &Alert, message: &Message, follows: DeliveryId, now: Timestamp) -> Notification {
        let id = delivery_id(&alert.id, &self.id, MessageKind::AlertResolved);
        Notification { follows: Some(follows), ..self.about(id, alert, message, now) }
    }

    /// What it is sent of who is on an alert; `marked` is the alert's first message as it reads from now on, which is the
    /// delivery `follows` or stands in it. None where it hears of nothing like that. It is the last in the queue: what fires
    /// comes first.
    pub fn acknowledgement(
        &self,
        alert: &Alert,
        (message, marked): (&Message, &Message),
        follows: DeliveryId,
        now: Timestamp,
    ) -> Option<Notification> {
        self.hears_of_acks.contains(&message.kind).then(|| {
            let content = self.renderer.render_ack(message, marked).into_content(&self.id, &alert.id);
            let id = ack_delivery_id(&alert.id, &self.id, message.kind, now);
            let notification = self.pending(id, message.kind, content, now).about(alert);
            Notification { follows: Some(follows), severity: None, ..notification }
        })
    }

    /// What step `number` of a rule sends of an alert.
    pub fn escalation(
        &self,
        alert: &Alert,
        number: u32,
        message: &Message,
        hours: &Hours,
        now: Timestamp,
    ) -> Notification {
        let delivery = self.about(escalation_id(&alert.id, &self.id, number), alert, message, now);
        match hours.hold(now) {
            Some(hold) => held_back(delivery, &hold),
            None => delivery,
        }
    }

    /// What the receiver is sent of an alert as the fallback of another receiver. `follows` is the delivery that it
    /// answers, where the message is an end.
    pub fn fallback(
        &self,
        alert: &Alert,
        message: &Message,
        meant: &MeantFor,
        follows: Option<DeliveryId>,
        now: Timestamp,
    ) -> Notification {
        let content = self.renderer.render_fallback(message, meant).into_content(&self.id, &alert.id);
        let id = fallback_id(&alert.id, &meant.receiver, &self.id, message.kind);
        Notification { follows, ..self.pending(id, message.kind, content, now).about(alert) }
    }

    /// The delivery with the group that the alert's rule asks for: it waits for others of that instead of going out at
    /// once. Without one, where the rule has alerts told again, it is a group of its own, which waits for nobody. A receiver
    /// that is sent each alert alone has none.
    fn grouped(&self, delivery: Notification, alert: &Alert, rule: Option<&Rule>, now: Timestamp) -> Notification {
        let Some(rule) = rule.filter(|_| self.renderer.merges()) else { return delivery };
        if let (None, Some(repeat)) = (&rule.group, rule.repeat)
            && delivery.kind == MessageKind::AlertFiring
        {
            return Notification { group: Some(GroupPlace::of_alert(&alert.id, repeat, now)), ..delivery };
        }
        let grouping = rule.group.as_ref();
        let Some((group, due)) = grouping.map(|grouping| grouping.place(&alert.facts, now)) else { return delivery };
        Notification { group: Some(group), due_at: due, ..delivery }
    }

    /// The messages that repeat a group of which these alerts still fire: one, or as many as it takes to name all.
    pub fn repeats(&self, place: &GroupPlace, alerts: &[AlertFacts], now: Timestamp) -> Vec<Notification> {
        let mut left = alerts.to_vec();
        let last_told_at = place.told_at.unwrap_or(now);
        let mut messages = Vec::new();
        while let Some(grouped) = self.renderer.group_again(&left, last_told_at, now) {
            let id = reminder_id(&self.id, &place.key, last_told_at, messages.len());
            let content = grouped.rendered.into_content(&self.id, "several alerts");
            let group = GroupPlace { told_at: Some(now), ..place.clone() };
            let severity = left[..grouped.named].iter().map(|facts| facts.alert.severity).max();
            let delivery = self.pending(id, MessageKind::AlertGroup, content, now);
            messages.push(Notification { severity, group: Some(group), ..delivery });
            left.drain(..grouped.named);
        }
        messages
    }

    /// The digest `name` that ends at `until`, to be sent within `spread`.
    pub fn digest(&self, name: &str, message: &Message, until: i64, spread: Duration, now: Timestamp) -> Notification {
        let content = self.renderer.render(message).into_content(&self.id, name);
        let id = digest_delivery_id(name, &self.id, until);
        let at = now.checked_add(spread_of(self.id.as_str(), spread)).unwrap_or(now);
        let delivery = self.pending(id, message.kind, content, now);
        Notification { due_at: at, ..delivery }
    }

    fn about(&self, id: DeliveryId, alert: &Alert, message: &Message, now: Timestamp) -> Notification {
        let content = self.renderer.render(message).into_content(&self.id, &alert.id);
        self.pending(id, message.kind, content, now).about(alert)
    }

    fn pending(&self, id: DeliveryId, kind: MessageKind, content: Content, now: Timestamp) -> Notification {
        let rendered_for = Some(self.renderer.kind().to_string());
        Notification { rendered_for, ..Notification::new(id, self.id.clone(), kind, content, now) }
    }
}
