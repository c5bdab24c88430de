//! The way to one receiver: what a lane is made of, how it is wired, and one pass over what is due.
//!
//! Reads and writes the store's outbox and talks to one notifier. It must never know what a message says or where it goes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::super::budget::Budget;
use super::super::retry::{self, Tries};
use super::super::trust::Trust;
use super::super::turn::{Course, Statuses};
use super::attempts::{Attempts, Finished};
use super::channel::Channel;
use super::claiming::{Claim, Claimer};
use super::composer::Composer;
use super::recovering::Recovery;
use crate::clock::Clock;
use crate::limits::{
    LANE_CLAIM_MAX, LANE_CLAIM_PER_ATTEMPT, LANE_PAUSE_UNASKED_MAX, LANE_SLEEP_MAX, SHARED_SLEEP_MAX, STORE_BACKOFF_MAX,
};
use crate::metrics::{Attempted, Metrics};
use crate::model::{AttemptOutcome, Delivery, DeliveryId, DeliveryState, ReceiverId};
use crate::notify::{Notifier, Renderer};
use crate::store::{Groups, Outbox, Settled, StoreError};

/// A source of random numbers from 0 up to 1.
pub type Jitter = Box<dyn FnMut() -> f64 + Send>;

/// Says whether other replicas wait for what this process gives up.
pub type Waiting = Arc<dyn Fn() -> bool + Send + Sync>;

/// The way to one receiver.
pub struct Lane<S, N> {
    pub(super) receiver: ReceiverId,
    pub(super) store: Arc<S>,
    pub(super) claimer: Claimer<S>,
    pub(super) notifier: Arc<N>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) jitter: Jitter,
    pub(super) nudge: Arc<Notify>,
    /// Woken when a delivery of this lane is dead.
    pub(super) dead_letters: Option<Arc<Notify>>,
    /// How the lane fares, and where it says so.
    pub(super) course: Course,
    /// Where the lane counts what it does.
    pub(super) metrics: Metrics,
    /// Outcomes that are not stored yet.
    pub(super) unsettled: Vec<Settled>,
    /// Whether the channel wants to be left alone.
    pub(super) channel: Channel,
    /// Whether what waits for its next attempt need not.
    pub(super) recovery: Recovery,
    /// The longest sleep.
    pub(super) sleep_max: Duration,
    /// Says whether another replica waits for this lane to end; none where there can be no other.
    pub(super) waiting: Option<Waiting>,
    /// Whether attempts may go on.
    pub(super) trust: Trust,
}

/// How one pass over the due deliveries went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Attempts made.
    pub attempted: u64,
    /// Attempts that the channel confirmed.
    pub delivered: u64,
    /// Deliveries that were given up, those not counted that died with their predecessor.
    pub dead: u64,
    /// Deliveries that were due and are still pending: to be tried again, or not attempted because the channel asked for
    /// a pause or a predecessor is still pending.
    pub left_due: u64,
}

impl<S: Groups + Outbox + 'static, N: Notifier + 'static> Lane<S, N> {
    /// A lane to `receiver` through `notifier`, without a limit.
    pub fn new(receiver: ReceiverId, store: Arc<S>, notifier: Arc<N>, clock: Arc<dyn Clock>, jitter: Jitter) -> Self {
        let nudge = Arc::new(Notify::new());
        let claimer = Claimer {
            store: Arc::clone(&store),
            budget: Budget::unlimited(),
            composer: Composer::of(receiver.clone()),
            waits: true,
        };
        let (dead_letters, course) = (None, course_of(&receiver, &Statuses::default()));
        let (metrics, unsettled, channel) = (Metrics::default(), Vec::new(), Channel::default());
        Lane {
            receiver,
            store,
            claimer,
            notifier,
            clock,
            jitter,
            nudge,
            dead_letters,
            course,
            metrics,
            unsettled,
            channel,
            recovery: Recovery::new(),
            sleep_max: LANE_SLEEP_MAX,
            waiting: None,
            trust: Trust::default(),
        }
    }

    /// The same lane keeping to a budget. When more alerts wait than it allows, `renderer` makes one message of several.
    #[must_use]
    pub fn within(mut self, budget: Budget, renderer: Arc<Renderer>) -> Self {
        self.claimer.budget = budget;
        self.claimer.composer = self.claimer.composer.by(renderer);
        self
    }

    /// The same lane, in which nothing waits for others of its group: all of a group that is there goes out together now.
    #[must_use]
    pub fn waiting_for_nobody(mut self) -> Self {
        self.claimer.waits = false;
        self
    }

    /// The same lane, which wakes `dead_letters` when a delivery of its is dead and that is stored.
    #[must_use]
    pub fn reporting_dead_letters(self, dead_letters: Arc<Notify>) -> Self {
        Lane { dead_letters: Some(dead_letters), ..self }
    }

    /// The same lane, woken by `nudge`: who was handed it before need not know that the lane is another one.
    #[must_use]
    pub fn woken_by(self, nudge: Arc<Notify>) -> Self {
        Lane { nudge, ..self }
    }

    /// The same lane, which goes on with the channel as it is.
    #[must_use]
    pub fn through(self, channel: Channel) -> Self {
        Lane { channel, ..self }
    }

    /// The same lane, whose deliveries are stored by others, too, who cannot wake it.
    #[must_use]
    pub fn fed_by_others(self) -> Self {
        Lane { sleep_max: SHARED_SLEEP_MAX, ..self }
    }

    /// The same lane, with which another replica goes on once it has ended, if `waiting` says that there is one: it does not
    /// wait long for attempts under way then.
    #[must_use]
    pub fn waited_for(self, waiting: Waiting) -> Self {
        Lane { waiting: Some(waiting), ..self }
    }

    /// The same lane, whose attempts go on only as long as `trust` lasts.
    #[must_use]
    pub fn trusting(self, trust: Trust) -> Self {
        Lane { trust, ..self }
    }

    /// The same lane, which publishes how it fares.
    #[must_use]
    pub fn publishing(self, statuses: &Statuses) -> Self {
        Lane { course: course_of(&self.receiver, statuses), ..self }
    }

    /// The same lane, which counts what it does.
    #[must_use]
    pub fn counting(self, metrics: Metrics) -> Self {
        Lane { metrics, ..self }
    }

    /// Says how the lane fares at `now`, and when something is due next, as far as that is known.
    pub(super) fn publish(&self, now: Timestamp, next_due: Option<Timestamp>) {
        let until = self.channel.paused_until(now);
        self.course.publish(|status| {
            (status.looked_at, status.next_due, status.asked_to_wait_until) = (Some(now), next_due, until);
        });
    }

    /// To be called once outcomes are stored.
    pub(super) fn report_dead_letters(&self, settled: &[Settled]) {
        if let Some(dead_letters) = &self.dead_letters
            && settled.iter().any(|one| one.state == DeliveryState::Dead)
        {
            dead_letters.notify_one();
        }
    }

    /// What wakes the lane when a delivery to its receiver was stored: `notify_one` after the commit.
    pub fn nudge(&self) -> Arc<Notify> {
        Arc::clone(&self.nudge)
    }

    /// Attempts every delivery that is due at `now` once, as far as the budget allows, and settles the outcomes. A resolution goes out in the same
    /// pass when the firing it follows is settled in it.
    ///
    /// # Errors
    /// When the store fails. Outcomes that it did not take are kept and settled by the next call.
    pub async fn attempt_due(&mut self, now: Timestamp) -> Result<Progress, StoreError> {
        let mut progress = Progress::default();
        let mut owed_again = 0;
        self.settle_kept().await?;
        while !self.is_paused(now) {
            let Claim { deliveries, failed, .. } = self.claimer.claim(now, self.reach()).await?;
            self.store.release(&failed).await?;
            let mut ready: VecDeque<Delivery> = deliveries.into();
            if ready.is_empty() {
                break;
            }
            let mut under_way = self.attempts();
            loop {
                while under_way.len() < self.width()
                    && !self.is_paused(now)
                    && let Some(delivery) = self.next_allowed(&mut ready, now)
                {
                    under_way.begin(delivery, now);
                }
                let Some(finished) = under_way.next().await else { break };
                let settled = self.judged(finished);
                progress.attempted += 1;
                match settled.state {
                    DeliveryState::Delivered => progress.delivered += 1,
                    DeliveryState::Dead => progress.dead += 1,
                    DeliveryState::Pending | DeliveryState::Merged => owed_again += 1,
                }
                self.unsettled.push(settled);
            }
            self.settle_kept().await?;
            let unsent: Vec<DeliveryId> = ready.into_iter().map(|delivery| delivery.notification.id).collect();
            self.store.release(&unsent).await?;
            if let Some(which) = self.recovery.take(now) {
                self.store.hurry(&self.receiver, &which, now).await?;
            }
        }
        progress.left_due = owed_again + self.store.count_due(&self.receiver, now).await?;
        Ok(progress)
    }

    /// For attempts of this lane; none is under way.
    pub(super) fn attempts(&self) -> Attempts<N> {
        Attempts::new(Arc::clone(&self.notifier), Arc::clone(&self.clock), self.trust.clone())
    }

    async fn settle_kept(&mut self) -> Result<(), StoreError> {
        self.store.settle(&self.unsettled).await?;
        self.report_dead_letters(&self.unsettled);
        self.unsettled.clear();
        Ok(())
    }

    /// How many attempts may be under way now.
    pub(super) fn width(&self) -> usize {
        self.channel.width(self.notifier.concurrency())
    }

    /// The next delivery, if the budget has a place for it. A lane that leads to the same destination may have taken the
    /// place for which it was claimed.
    pub(super) fn next_allowed(&self, ready: &mut VecDeque<Delivery>, now: Timestamp) -> Option<Delivery> {
        let severity = ready.front()?.severity;
        if self.claimer.budget.take(now, severity) { ready.pop_front() } else { None }
    }

    /// How many deliveries the lane may hold at once.
    pub(super) fn reach(&self) -> usize {
        self.notifier.concurrency().max(1).saturating_mul(LANE_CLAIM_PER_ATTEMPT).min(LANE_CLAIM_MAX)
    }

    pub(super) fn is_paused(&self, now: Timestamp) -> bool {
        self.channel.paused_until(now).is_some()
    }

    /// What follows from an attempt, for its delivery and for the lane.
    pub(super) fn judged(&mut self, finished: Finished) -> Settled {
        let Finished { delivery, started_at, ended_at, mut attempt } = finished;
        if attempt.outcome == AttemptOutcome::Throttled {
            attempt.retry_after = attempt.retry_after.or(self.claimer.budget.penalty());
        }
        self.recovery.noticed(&delivery, &attempt, started_at);
        let attempt_number = delivery.attempts + 1;
        let tries = Tries {
            attempts: delivery.attempts_since() + 1,
            spent: delivery.patience_spent,
            took: Duration::try_from(ended_at.duration_since(started_at)).unwrap_or_default(),
        };
        let verdict = retry::verdict(tries, &attempt, ended_at, (self.jitter)());
        let (id, receiver) = (delivery.id.as_str(), self.receiver.as_str());
        match verdict.state {
            DeliveryState::Delivered => {
                tracing::info!(delivery = id, receiver, attempt = attempt_number, status = attempt.status, "delivered");
            }
            DeliveryState::Dead => {
                tracing::error!(delivery = id, receiver, error = verdict.last_error, "gave up a delivery");
            }
            DeliveryState::Pending | DeliveryState::Merged => {
                let next = verdict.next_attempt_at.map(|next| next.to_string());
                let outcome = attempt.outcome.as_str();
                tracing::warn!(
                    delivery = id,
                    receiver,
                    attempt = attempt_number,
                    outcome,
                    error = attempt.error,
                    next,
                    "an attempt failed"
                );
            }
        }
        if attempt.outcome == AttemptOutcome::Throttled {
            // A message that was refused many times waits longer by its own schedule than the channel asks for: the
            // others need not.
            let until = match attempt.retry_after {
                Some(asked) => later(ended_at, asked),
                None => {
                    let unasked = later(ended_at, LANE_PAUSE_UNASKED_MAX);
                    verdict.next_attempt_at.map_or(unasked, |next| next.min(unasked))
                }
            };
            self.channel.pause(until);
        } else {
            self.channel.answered(ended_at);
        }
        let is_delivered = verdict.state == DeliveryState::Delivered;
        let span = |from, to: Timestamp| Duration::try_from(to.duration_since(from)).unwrap_or_default();
        let lasted = span(delivery.created_at, ended_at);
        let counted = Attempted {
            outcome: attempt.outcome.as_str(),
            is_first: attempt_number == 1,
            is_dead: verdict.state == DeliveryState::Dead,
            arrived_after: is_delivered.then_some(lasted),
            noticed_after: delivery.since.filter(|_| is_delivered).map(|since| span(since, ended_at)),
        };
        self.metrics.attempted(self.receiver.as_str(), counted);
        Settled {
            id: delivery.id.clone(),
            attempt_number,
            started_at,
            ended_at,
            attempt,
            state: verdict.state,
            last_error: verdict.last_error,
            next_attempt_at: verdict.next_attempt_at,
            patience_spent: verdict.patience_spent,
        }
    }
}

/// By what name the status of the lane to a receiver is known.
pub fn status_name(receiver: &ReceiverId) -> String {
    format!("deliver/{receiver}")
}

/// The receiver of the lane whose status is known by this name.
pub fn receiver_of(status_name: &str) -> Option<ReceiverId> {
    status_name.strip_prefix("deliver/").map(ReceiverId::new)
}

fn course_of(receiver: &ReceiverId, statuses: &Statuses) -> Course {
    Course::new(status_name(receiver), statuses, STORE_BACKOFF_MAX)
}

fn later(instant: Timestamp, span: Duration) -> Timestamp {
    instant.checked_add(span).unwrap_or(Timestamp::MAX)
}
