//! Falling back: a critical or error alert that a receiver could not be told for a while, or not at all, goes to the
//! receiver that is its fallback, once.
//!
//! It looks into the store for what is pending too long or died, renders each alert anew for the fallback with a line that
//! says whom it was meant for and why it did not arrive there, and commits delivery and mark together: a restart or a
//! kill repeats nothing. The original is retried as before; told on two channels is right. When the alert ends, who was
//! told in another's place is told that, too. A fallback may have one of its own; what goes to it is a delivery like any
//! other. The loop must never know of channels or of how long a lane waits.
//!
//! What is pending for a receiver that the configuration no longer has can never be sent: here it is given up, and goes to
//! the fallback that the receiver had. Only the holder of this loop does so, and only while its configuration is in force.
//!
//! An alert that has ended by the time its fallback is due is told in one message, as what it is now: over. Merged
//! deliveries need no care here: the store counts each of them as it counts the message that tells it, and the fallback's
//! own lane may merge what is pending for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::pending::{Receiver, Receivers};
use super::turn::{Pace, Turn, TurnError, Turned};
use crate::alert::{message_about, message_of};
use crate::limits::{FALLBACK_BATCH, FALLBACK_DEAD_AGE_MAX, FALLBACK_SLEEP_MAX, FALLBACK_SLEEP_MIN};
use crate::model::{AlertState, MeantFor, MessageKind, Notification, ReceiverId};
use crate::notify::Fallback;
use crate::store::{FallbackDeliveries, FallbackDelivery, KnownReceiver, StoreError, ToldInstead, Undelivered};

/// By what name its status is known.
pub const NAME: &str = "fallback";

/// The way that what cannot be told goes.
#[derive(Debug, Clone)]
pub struct Route {
    /// The receiver that is not told.
    pub receiver: ReceiverId,
    /// Who is told in its place, and when.
    pub fallback: Fallback,
}

/// All receivers of a configuration.
#[derive(Debug, Clone)]
pub struct Known {
    /// The receivers.
    pub receivers: Vec<KnownReceiver>,
    /// By what the configuration is known again; none where no other process works on the store by another one.
    pub configuration: Option<String>,
}

/// All the ways, as one loop.
pub struct Fallbacks<S> {
    store: Arc<S>,
    receivers: Arc<Receivers>,
    routes: Vec<Route>,
    known: Option<Known>,
    nudge: Arc<Notify>,
}

impl<S: FallbackDeliveries> Fallbacks<S> {
    /// The loop over `routes`, between receivers among `receivers`.
    pub fn new(store: Arc<S>, receivers: Arc<Receivers>, routes: Vec<Route>) -> Self {
        Fallbacks { store, receivers, routes, known: None, nudge: Arc::default() }
    }

    /// The same loop, which gives up what is pending for any other receiver than these.
    #[must_use]
    pub fn keeping(self, known: Known) -> Self {
        Fallbacks { known: Some(known), ..self }
    }

    /// The same loop, woken by `nudge`.
    #[must_use]
    pub fn woken_by(self, nudge: Arc<Notify>) -> Self {
        Fallbacks { nudge, ..self }
    }

    /// What wakes the loop when a delivery has died: `notify_one` after the commit.
    pub fn nudge(&self) -> Arc<Notify> {
        Arc::clone(&self.nudge)
    }

    /// When the next message that is pending now goes to a fallback, if it does not arrive before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut next: Option<Timestamp> = None;
        for Route { receiver, fallback } in &self.routes {
            if let Some(since) = self.store.oldest_undelivered(receiver).await? {
                let due = since.checked_add(fallback.after).unwrap_or(Timestamp::MAX);
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        Ok(next)
    }

    /// Has every fallback told what is due at `now`, and wakes their lanes. Returns how many messages that concerned.
    ///
    /// # Errors
    /// When the store fails; what was committed before stays.
    pub async fn pass(&self, now: Timestamp) -> Result<u64, StoreError> {
        let removed = self.give_up_removed(now).await?;
        let routes = || self.routes.iter().chain(&removed);
        let mut gone = 0;
        for route in routes() {
            let Some(fallback) = self.receivers.get(&route.fallback.to) else { continue };
            let went = self.fall_back(route, fallback, now).await?;
            gone += went;
            if went > 0 {
                fallback.nudge.notify_one();
            }
        }
        let told: BTreeSet<&ReceiverId> = routes().map(|route| &route.fallback.to).collect();
        for fallback in told.into_iter().filter_map(|id| self.receivers.get(id)).filter(|it| it.wants_ends()) {
            let answers = self.answer(fallback, now).await?;
            gone += answers;
            if answers > 0 {
                fallback.nudge.notify_one();
            }
        }
        Ok(gone)
    }

    /// Has what is pending for receivers that are gone be dead. Returns the ways that it goes from there.
    async fn give_up_removed(&self, now: Timestamp) -> Result<Vec<Route>, StoreError> {
        let Some(Known { receivers, configuration }) = &self.known else { return Ok(Vec::new()) };
        let gone = self.store.keep_receivers(receivers, configuration.as_deref(), now).await?.into_iter();
        let route = |one: KnownReceiver| {
            let (to, after) = one.fallback?;
            Some(Route { receiver: one.id, fallback: Fallback { to, after } })
        };
        Ok(gone.filter_map(route).collect())
    }

    async fn fall_back(&self, route: &Route, fallback: &Receiver, now: Timestamp) -> Result<u64, StoreError> {
        let before = |span: Duration| now.checked_sub(span).unwrap_or(Timestamp::MIN);
        let (owed_before, died_after) = (before(route.fallback.after), before(FALLBACK_DEAD_AGE_MAX));
        let mut gone = 0;
        loop {
            let found = self.store.undelivered(&route.receiver, (owed_before, died_after), FALLBACK_BATCH, now).await?;
            let fallbacks_made: Vec<FallbackDelivery> =
                found.iter().map(|undelivered| fallback_delivery(undelivered, route, fallback, now)).collect();
            let marked = self.store.add_fallbacks(&fallbacks_made).await?;
            // Nothing marked: all there was, or what there is cannot be helped.
            if marked == 0 {
                return Ok(gone);
            }
            gone += marked;
            let (receiver, to) = (route.receiver.as_str(), route.fallback.to.as_str());
            tracing::warn!(
                receiver,
                fallback = to,
                deliveries = marked,
                "not delivered in time; the fallback is notified instead"
            );
        }
    }

    /// Tells of the ends of alerts that `fallback` was told of in another's place. Returns how many there were.
    async fn answer(&self, fallback: &Receiver, now: Timestamp) -> Result<u64, StoreError> {
        let mut told = 0;
        loop {
            let found = self.store.ended_since_told(&fallback.id, FALLBACK_BATCH).await?;
            let answers: Vec<Notification> = found.iter().map(|told| answer(told, fallback, now)).collect();
            self.store.add_answers(&answers).await?;
            told += answers.len() as u64;
            if answers.len() < FALLBACK_BATCH {
                return Ok(told);
            }
        }
    }
}

impl<S: FallbackDeliveries> Turn for Fallbacks<S> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn pace(&self) -> Pace {
        Pace { shortest: FALLBACK_SLEEP_MIN, ..Pace::every(FALLBACK_SLEEP_MAX) }
    }

    fn nudge(&self) -> Option<Arc<Notify>> {
        Some(Arc::clone(&self.nudge))
    }

    async fn turn(&mut self, now: Timestamp) -> Result<Turned, TurnError> {
        Ok(Turned { done: self.pass(now).await?, next_due: self.next_due().await? })
    }
}

fn fallback_delivery(
    undelivered: &Undelivered,
    route: &Route,
    fallback: &Receiver,
    now: Timestamp,
) -> FallbackDelivery {
    let Undelivered { id, alert, untold } = undelivered;
    let meant = MeantFor { receiver: route.receiver.clone(), untold: Some(untold.clone()) };
    // How late the alert was noticed is told as it was told at first: that the channel was down has a line of its own.
    let made_at = if alert.facts.alert.state == AlertState::Firing { alert.created_at } else { now };
    let delivery = fallback.fallback(alert, &message_about(alert.facts.clone(), made_at), &meant, None, now);
    FallbackDelivery { original: id.clone(), delivery: Notification { fallback_for: Some(id.clone()), ..delivery } }
}

fn answer(told: &ToldInstead, fallback: &Receiver, now: Timestamp) -> Notification {
    let meant = MeantFor { receiver: told.meant_for.clone(), untold: None };
    let message = message_of(&told.alert, MessageKind::AlertResolved, now);
    fallback.fallback(&told.alert, &message, &meant, Some(told.id.clone()), now)
}
