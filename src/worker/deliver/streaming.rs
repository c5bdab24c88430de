//! The lane as a loop: claims ahead, keeps attempts under way, and settles what has ended, all at once.
//!
//! At most one call to the store is open at a time. While it runs, more attempts end, so the next group to settle is as
//! large as the store is slow: a busy lane shares one disk flush between many outcomes, an idle one waits for nobody. How many
//! outcomes may wait is limited by [`LANE_UNKNOWN_PER_ATTEMPT`].
//!
//! # States
//! Four things change independently of each other, each in one value: what is known of the queue ([`Queue`]), whether the
//! store works ([`Health`]), whether the lane goes on ([`Phase`]), and what the channel has asked for
//! ([`super::Channel`]). Claims are made only while the queue is unread, the store has taken all outcomes, the lane goes on,
//! and the channel is not paused.
//!
//! | queue | meaning | what comes next |
//! |---|---|---|
//! | unread | something may be due | claiming |
//! | claiming | a claim is open | unread, when a delivery is stored meanwhile, or there may be more; held; unscheduled, when nothing was left |
//! | held | the budget allows the next message only then | unread, at that time or when a delivery is stored |
//! | unscheduled | nothing is due, and when the next one will be is to be asked | scheduled; unread, when it is due by now or a delivery is stored |
//! | scheduled | nothing is due until then | unscheduled, at that time, or when an outcome sets a follower free; unread, when a delivery is stored |
//!
//! Before the first claim, and after the first success behind failures, the store is told that nothing need wait for its
//! next attempt ([`super::recovering`]).
//!
//! | store | what the lane does | what comes next |
//! |---|---|---|
//! | works | | failing, when a call fails |
//! | failing | begins no attempt; tries one call at the end of each pause, first of all to store what is known | works, when a call succeeds; failing with a longer pause |
//!
//! | phase | what the lane does | what comes next |
//! |---|---|---|
//! | running | | retiring or stopping |
//! | retiring | claims nothing, waits for attempts under way as long as it takes | the end; stopping |
//! | stopping | the same until a time is up | the end |
//!
//! Where another replica goes on with the receiver, neither takes long: after a while attempts under way are cut, and end with
//! an unknown outcome like one that was never answered.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempts::{Attempts, Finished};
use super::claiming::{Claim, More};
use super::lane::Lane;
use crate::clock::is_due;
use crate::limits::{
    LANE_CUT_SETTLES, LANE_HURRY_MAX, LANE_RETIRE_MAX, LANE_SLEEP_MAX, LANE_STOP_MAX, LANE_UNKNOWN_PER_ATTEMPT,
    RATE_MINUTE,
};
use crate::model::{Delivery, DeliveryId, DeliveryState};
use crate::notify::Notifier;
use crate::store::{Groups, Hurried, Outbox, Settled, StoreError};

/// What a call to the store came to. What was handed to it comes back, to be kept if it failed.
enum Answer {
    Settled(Result<(), StoreError>, Vec<Settled>),
    Released(Result<(), StoreError>, Vec<DeliveryId>),
    Claimed(Result<Claim, StoreError>),
    NextDue(Result<Option<Timestamp>, StoreError>),
    Hurried(Result<u64, StoreError>, Hurried),
}

type Call = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What the clocks say at the beginning of a step. All that is decided in it goes by this one reading: a pause that ended
/// between two would hold up the claims by the first and set no alarm by the second.
#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: Timestamp,
    instant: Instant,
}

/// What is known of the receiver's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    Unread,
    Claiming,
    Held { until: Timestamp },
    Unscheduled,
    Scheduled { wake_at: Instant, next_due: Option<Timestamp> },
}

/// Whether the store works.
#[derive(Debug, Clone, Copy)]
enum Health {
    Works,
    Failing { until: Instant },
}

/// Whether the lane goes on.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Running,
    Retiring { by: Option<Instant> },
    Stopping { by: Instant },
}

impl Phase {
    /// Until when the lane waits.
    fn by(self) -> Option<Instant> {
        match self {
            Phase::Running => None,
            Phase::Retiring { by } => by,
            Phase::Stopping { by } => Some(by),
        }
    }
}

/// A running lane.
struct Stream<S, N> {
    lane: Lane<S, N>,
    /// Claimed and not begun.
    ready: VecDeque<Delivery>,
    under_way: Attempts<N>,
    /// Claims to give up without an attempt.
    unsent: Vec<DeliveryId>,
    /// Outcomes that an open call is storing; they count as held until it answers.
    being_settled: usize,
    call: Option<Call>,
    queue: Queue,
    health: Health,
    phase: Phase,
    /// Whether what was under way was cut.
    is_cut: bool,
}

impl<S: Groups + Outbox + 'static, N: Notifier + 'static> Lane<S, N> {
    /// Delivers until `shutdown`; then claims nothing more, waits up to [`LANE_STOP_MAX`] for attempts under way, settles
    /// them and gives back what it had claimed ahead.
    pub async fn run(self, shutdown: CancellationToken) {
        self.run_until(&shutdown, &CancellationToken::new()).await;
    }

    /// The same, or until `retire`: then too nothing more is claimed, and what is under way is waited for as long as it
    /// takes, for nobody takes its claims back. Where another replica waits for the lane to end, it is cut after
    /// [`LANE_RETIRE_MAX`], and after [`LANE_HURRY_MAX`] at `shutdown`.
    pub async fn run_until(self, shutdown: &CancellationToken, retire: &CancellationToken) {
        let mut stream = Stream::new(self);
        while stream.step(shutdown, retire).await {}
    }
}

impl<S: Groups + Outbox + 'static, N: Notifier + 'static> Stream<S, N> {
    fn new(mut lane: Lane<S, N>) -> Self {
        let now = lane.clock.now();
        lane.recovery.begins(now);
        let under_way = lane.attempts();
        Stream {
            lane,
            ready: VecDeque::new(),
            under_way,
            unsent: Vec::new(),
            being_settled: 0,
            call: None,
            queue: Queue::Unread,
            health: Health::Works,
            phase: Phase::Running,
            is_cut: false,
        }
    }

    /// Begins what can be begun and waits for one thing to happen. Returns whether there is more to do.
    async fn step(&mut self, shutdown: &CancellationToken, retire: &CancellationToken) -> bool {
        let reading = self.reading();
        self.begin_attempts(reading);
        if self.call.is_none() {
            self.call = self.next_call(reading);
        }
        if !self.is_running() && self.is_done() {
            return false;
        }
        let nudge = self.lane.nudge();
        let alarm = self.alarm(reading);
        tokio::select! {
            Some(finished) = self.under_way.next(), if !self.under_way.is_empty() => self.ended(finished),
            answer = answered(&mut self.call) => {
                self.call = None;
                self.heard(answer);
            }
            () = shutdown.cancelled(), if !matches!(self.phase, Phase::Stopping { .. }) => {
                let longest = if self.is_waited_for() { LANE_HURRY_MAX } else { LANE_STOP_MAX };
                self.close(Phase::Stopping { by: Instant::now() + longest });
            }
            () = retire.cancelled(), if self.is_running() => {
                let by = self.is_waited_for().then(|| Instant::now() + LANE_RETIRE_MAX);
                self.close(Phase::Retiring { by });
            }
            () = nudge.notified(), if self.is_running() => self.queue = Queue::Unread,
            () = tokio::time::sleep_until(alarm) => return self.woken(),
        }
        true
    }

    fn reading(&self) -> Reading {
        Reading { wall: self.lane.clock.now(), instant: Instant::now() }
    }

    /// Whether another replica goes on once this lane has ended.
    fn is_waited_for(&self) -> bool {
        self.lane.waiting.as_ref().is_some_and(|is_anybody| is_anybody())
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Begins attempts while the receiver takes them and the store can record them.
    fn begin_attempts(&mut self, reading: Reading) {
        let now = reading.wall;
        self.lane.channel.notice(now);
        if self.lane.is_paused(now) {
            // Somebody else's patience is not ours to hold claims on: after a restart they would count as begun.
            self.give_up_ready();
        }
        self.lane.publish(now, self.next_due());
        if matches!(self.health, Health::Failing { .. }) || !self.is_running() {
            return;
        }
        while self.may_begin()
            && let Some(delivery) = self.lane.next_allowed(&mut self.ready, now)
        {
            self.under_way.begin(delivery, now);
        }
        // What was claimed under a budget and finds it used up gives way to whatever is more urgent by then.
        if self.may_begin() && !self.ready.is_empty() {
            self.give_up_ready();
        }
        if let Queue::Held { until } = self.queue
            && is_due(until, now, RATE_MINUTE)
        {
            self.queue = Queue::Unread;
        }
    }

    /// Whether the lane has room for one more attempt. A store that is slow, or has fallen silent, holds it up: what was
    /// sent and is not on record would be sent again by whoever takes over.
    fn may_begin(&self) -> bool {
        let width = self.lane.width();
        let unknown = self.under_way.len() + self.lane.unsettled.len() + self.being_settled;
        self.under_way.len() < width && unknown < width.saturating_mul(LANE_UNKNOWN_PER_ATTEMPT)
    }

    /// When something is due next, as far as that is known.
    fn next_due(&self) -> Option<Timestamp> {
        match self.queue {
            Queue::Held { until } => Some(until),
            Queue::Scheduled { next_due, .. } => next_due,
            Queue::Unread | Queue::Claiming | Queue::Unscheduled => None,
        }
    }

    fn give_up_ready(&mut self) {
        self.unsent.extend(self.ready.drain(..).map(|delivery| delivery.notification.id));
    }

    /// The most urgent call to the store, if any is due.
    fn next_call(&mut self, reading: Reading) -> Option<Call> {
        let is_failing = match self.health {
            Health::Works => false,
            Health::Failing { until } if until > reading.instant => return None,
            Health::Failing { .. } => true,
        };
        let store = Arc::clone(&self.lane.store);
        let is_paused = self.lane.is_paused(reading.wall);
        // While the store fails, what is known is stored before more is begun.
        if self.is_running()
            && !is_failing
            && let Some(which) = self.lane.recovery.take(reading.wall)
        {
            let (now, receiver) = (reading.wall, self.lane.receiver.clone());
            return Some(Box::pin(async move { Answer::Hurried(store.hurry(&receiver, &which, now).await, which) }));
        }
        let may_claim = self.is_running() && !is_paused && (!is_failing || self.lane.unsettled.is_empty());
        if self.queue == Queue::Unread
            && may_claim
            && let Some(room) = self.room()
        {
            let (now, claimer) = (reading.wall, self.lane.claimer.clone());
            self.queue = Queue::Claiming;
            return Some(Box::pin(async move { Answer::Claimed(claimer.claim(now, room).await) }));
        }
        if !self.lane.unsettled.is_empty() {
            let settled = std::mem::take(&mut self.lane.unsettled);
            self.being_settled = settled.len();
            let metrics = self.lane.metrics.clone();
            return Some(Box::pin(async move {
                let began = Instant::now();
                let result = store.settle(&settled).await;
                metrics.stored("attempts", began.elapsed());
                Answer::Settled(result, settled)
            }));
        }
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            return Some(Box::pin(async move { Answer::Released(store.release(&unsent).await, unsent) }));
        }
        // A store that failed is asked something harmless, to learn whether it works again.
        let wants_to_know = self.queue == Queue::Unscheduled && !is_paused || is_failing;
        if wants_to_know && self.is_running() {
            let (now, receiver) = (reading.wall, self.lane.receiver.clone());
            return Some(Box::pin(async move { Answer::NextDue(store.next_due(&receiver, now).await) }));
        }
        None
    }

    /// How many deliveries to claim now; none while enough are claimed.
    fn room(&self) -> Option<usize> {
        let width = self.lane.width();
        let runs_dry = self.ready.is_empty() && self.under_way.len() < width;
        // Under a budget nothing is claimed ahead: what is more urgent may come at any moment.
        if !self.lane.claimer.budget.is_unlimited() {
            return Some(width.saturating_sub(self.under_way.len())).filter(|room| runs_dry && *room > 0);
        }
        // Claiming comes first where the attempts would otherwise run dry, and in halves of what may be held, so that one
        // transaction claims many.
        let held = self.ready.len() + self.under_way.len() + self.lane.unsettled.len() + self.being_settled;
        let reach = self.lane.reach();
        let room = reach.saturating_sub(held);
        Some(room).filter(|room| *room > 0 && (runs_dry || *room >= reach / 2))
    }

    fn ended(&mut self, finished: Finished) {
        let settled = self.lane.judged(finished);
        self.lane.unsettled.push(settled);
    }

    fn heard(&mut self, answer: Answer) {
        let result = match answer {
            Answer::Settled(result, settled) => {
                self.being_settled = 0;
                if result.is_ok() {
                    // A firing that is settled sets its resolution free.
                    if settled.iter().any(|one| one.state != DeliveryState::Dead) {
                        self.reschedule();
                    }
                    self.lane.report_dead_letters(&settled);
                } else {
                    let newer = std::mem::replace(&mut self.lane.unsettled, settled);
                    self.lane.unsettled.extend(newer);
                }
                result
            }
            Answer::Released(result, unsent) => {
                match result {
                    Ok(()) => self.reschedule(),
                    Err(_) => self.unsent.extend(unsent),
                }
                result
            }
            Answer::Claimed(result) => self.claimed(result),
            Answer::NextDue(result) => result.map(|next| self.schedule(next)),
            Answer::Hurried(result, which) => self.hurried(result, which),
        };
        self.note_store(result);
    }

    fn claimed(&mut self, result: Result<Claim, StoreError>) -> Result<(), StoreError> {
        // Whatever was stored since the claim began, it need not have seen: then the queue is unread already.
        let is_told_of_more = self.queue != Queue::Claiming;
        self.queue = Queue::Unread;
        let Claim { deliveries, failed, more } = result?;
        if !is_told_of_more {
            self.queue = match more {
                More::Perhaps => Queue::Unread,
                More::Nothing => Queue::Unscheduled,
                More::From(until) => Queue::Held { until },
            };
        }
        self.ready.extend(deliveries);
        self.unsent.extend(failed);
        if !self.is_running() {
            self.give_up_ready();
        }
        Ok(())
    }

    fn hurried(&mut self, result: Result<u64, StoreError>, which: Hurried) -> Result<(), StoreError> {
        match result {
            Ok(0) => Ok(()),
            Ok(deliveries) => {
                self.queue = Queue::Unread;
                let receiver = self.lane.receiver.as_str();
                tracing::info!(receiver, deliveries, "what waited for another attempt is due now");
                Ok(())
            }
            Err(error) => {
                self.lane.recovery.put_back(which);
                Err(error)
            }
        }
    }

    /// Something may be due earlier than was known.
    fn reschedule(&mut self) {
        if let Queue::Scheduled { .. } = self.queue {
            self.queue = Queue::Unscheduled;
        }
    }

    /// Sets the alarm for the next due delivery; at once if it is due already.
    fn schedule(&mut self, next: Option<Timestamp>) {
        if self.queue != Queue::Unscheduled {
            return;
        }
        let now = self.lane.clock.now();
        let wait = match next {
            Some(next) if next <= now => {
                self.queue = Queue::Unread;
                return;
            }
            Some(next) => next.duration_since(now).unsigned_abs().min(self.lane.sleep_max),
            None => self.lane.sleep_max,
        };
        self.queue = Queue::Scheduled { wake_at: Instant::now() + wait, next_due: next };
    }

    /// Backs off from a store that fails, and notes when it works again.
    fn note_store(&mut self, result: Result<(), StoreError>) {
        match (result, self.health) {
            (Ok(()), Health::Works) => {}
            (Ok(()), Health::Failing { .. }) => {
                self.lane.course.works();
                self.health = Health::Works;
                self.reschedule();
            }
            (Err(error), _) => {
                let error = format!("the store failed, and nothing is sent meanwhile: {error}");
                let pause = self.lane.course.fails(error, self.lane.clock.now());
                self.health = Health::Failing { until: Instant::now() + pause };
            }
        }
    }

    /// When to wake although nothing happened.
    fn alarm(&self, reading: Reading) -> Instant {
        let Reading { instant: now, wall } = reading;
        let wait_for = |until: Timestamp| Duration::try_from(until.duration_since(wall)).unwrap_or_default();
        let mut alarm = match self.queue {
            Queue::Scheduled { wake_at, .. } => wake_at,
            Queue::Held { until } => now + wait_for(until).min(self.lane.sleep_max),
            Queue::Unread | Queue::Claiming | Queue::Unscheduled => now + LANE_SLEEP_MAX,
        };
        if let Some(until) = self.lane.channel.paused_until(wall) {
            alarm = now + wait_for(until).min(LANE_SLEEP_MAX);
        }
        if let Health::Failing { until } = self.health
            && until > now
        {
            alarm = until;
        }
        self.phase.by().map_or(alarm, |by| alarm.min(by))
    }

    fn woken(&mut self) -> bool {
        let now = Instant::now();
        if self.phase.by().is_some_and(|by| by <= now) {
            if self.is_waited_for() && !std::mem::replace(&mut self.is_cut, true) {
                self.cut(now);
                return true;
            }
            let (under_way, kept) = (self.under_way.len(), self.lane.unsettled.len() + self.being_settled);
            tracing::warn!(receiver = %self.lane.receiver, under_way, kept, "stopped without knowing every outcome");
            return false;
        }
        self.reschedule();
        // What is more urgent than all that the budget holds up may have been stored by somebody who cannot say so.
        if matches!(self.queue, Queue::Held { .. }) {
            self.queue = Queue::Unread;
        }
        true
    }

    /// Cuts what is under way, so that its outcome, which nobody knows, is stored before another replica goes on.
    fn cut(&mut self, now: Instant) {
        let under_way = self.under_way.len();
        if under_way > 0 {
            tracing::warn!(receiver = %self.lane.receiver, under_way, "cuts attempts that have no answer: another replica goes on");
        }
        self.under_way.cut();
        self.phase = match self.phase {
            Phase::Stopping { .. } => Phase::Stopping { by: now + LANE_CUT_SETTLES },
            Phase::Running | Phase::Retiring { .. } => Phase::Retiring { by: None },
        };
    }

    fn close(&mut self, phase: Phase) {
        self.phase = phase;
        self.give_up_ready();
    }

    fn is_done(&self) -> bool {
        self.under_way.is_empty() && self.lane.unsettled.is_empty() && self.unsent.is_empty() && self.call.is_none()
    }
}

/// The open call's answer; never, if none is open.
async fn answered(call: &mut Option<Call>) -> Answer {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
