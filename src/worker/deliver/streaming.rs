//! The lane as a loop: claims ahead, keeps attempts under way, and settles what has ended, all at once.
//!
//! At most one call to the store is open at a time. While it runs, more attempts end, so the next group to settle is as
//! large as the store is slow: a busy lane shares one disk flush between many outcomes, an idle one waits for nobody.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::claiming::{Claim, More};
use super::{Finished, Lane, Rest, attempt};
use crate::limits::{LANE_SLEEP_MAX, LANE_STOP_MAX, RATE_MINUTE, STORE_BACKOFF_MAX, STORE_BACKOFF_MIN};
use crate::model::{Delivery, DeliveryId, DeliveryState};
use crate::notify::Notifier;
use crate::store::{Groups, Outbox, Settled, StoreError};

/// What a call to the store came to. What was handed to it comes back, to be kept if it failed.
enum Answer {
    Settled(Result<(), StoreError>, Vec<Settled>),
    Released(Result<(), StoreError>, Vec<DeliveryId>),
    Claimed(Result<Claim, StoreError>),
    NextDue(Result<Option<Timestamp>, StoreError>),
}

type Call = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What the clocks say at the beginning of a step. All that is decided in it goes by this one reading: a pause that ended
/// between two would hold up the claims by the first and set no alarm by the second.
#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: Timestamp,
    instant: Instant,
}

/// A running lane.
struct Stream<S, N> {
    lane: Lane<S, N>,
    /// Claimed and not begun.
    ready: VecDeque<Delivery>,
    under_way: JoinSet<Finished>,
    /// Claims to give up without an attempt.
    unsent: Vec<DeliveryId>,
    /// Outcomes that an open call is storing; they count as held until it answers.
    being_settled: usize,
    call: Option<Call>,
    /// Whether there may be something to claim.
    hungry: bool,
    /// Whether something was stored since the open claim began, which that need not have seen.
    nudged: bool,
    /// Until when the budget holds up what is due.
    held_until: Option<Timestamp>,
    /// Whether it is unknown when the next delivery is due.
    looking: bool,
    /// When to look again by itself.
    wake_at: Instant,
    /// Set while the store fails: how long the present pause is, and when it ends.
    failing: Option<(Duration, Instant)>,
    /// Set once the lane begins nothing more.
    is_closing: bool,
    /// Set once the program is to stop: when the lane stops waiting.
    stop_by: Option<Instant>,
}

impl<S: Groups + Outbox + 'static, N: Notifier + 'static> Lane<S, N> {
    /// Delivers until `shutdown`; then claims nothing more, waits up to [`LANE_STOP_MAX`] for attempts under way, settles
    /// them and gives back what it had claimed ahead.
    pub async fn run(self, shutdown: CancellationToken) {
        self.run_until(&shutdown, &CancellationToken::new()).await;
    }

    /// The same, or until `retire`: then too nothing more is claimed, and what is under way is waited for as long as it
    /// takes, for nobody takes its claims back. Returns what the channel has asked for, for who comes after.
    pub async fn run_until(self, shutdown: &CancellationToken, retire: &CancellationToken) -> Rest {
        let mut stream = Stream::new(self);
        while stream.step(shutdown, retire).await {}
        Rest { paused_until: stream.lane.paused_until, probing: stream.lane.probing }
    }
}

impl<S: Groups + Outbox + 'static, N: Notifier + 'static> Stream<S, N> {
    fn new(lane: Lane<S, N>) -> Self {
        Stream {
            lane,
            ready: VecDeque::new(),
            under_way: JoinSet::new(),
            unsent: Vec::new(),
            being_settled: 0,
            call: None,
            hungry: true,
            nudged: false,
            held_until: None,
            looking: false,
            wake_at: Instant::now() + LANE_SLEEP_MAX,
            failing: None,
            is_closing: false,
            stop_by: None,
        }
    }

    /// Begins what can be begun and waits for one thing to happen. Returns whether there is more to do.
    async fn step(&mut self, shutdown: &CancellationToken, retire: &CancellationToken) -> bool {
        let reading = self.reading();
        self.begin_attempts(reading);
        if self.call.is_none() {
            self.call = self.next_call(reading);
        }
        if self.is_closing && self.is_done() {
            return false;
        }
        let nudge = self.lane.nudge();
        let alarm = self.alarm(reading);
        tokio::select! {
            Some(finished) = self.under_way.join_next(), if !self.under_way.is_empty() => self.ended(finished),
            answer = answered(&mut self.call) => {
                self.call = None;
                self.heard(answer);
            }
            () = shutdown.cancelled(), if self.stop_by.is_none() => self.begin_to_stop(),
            () = retire.cancelled(), if !self.is_closing => self.close(),
            () = nudge.notified(), if !self.is_closing => (self.hungry, self.nudged) = (true, true),
            () = tokio::time::sleep_until(alarm) => return self.woken(),
        }
        true
    }

    fn reading(&self) -> Reading {
        Reading { wall: self.lane.clock.now(), instant: Instant::now() }
    }

    /// Begins attempts while the receiver takes them and the store can record them.
    fn begin_attempts(&mut self, reading: Reading) {
        let now = reading.wall;
        if !self.lane.is_paused(now) {
            self.lane.paused_until = None;
        } else {
            // Somebody else's patience is not ours to hold claims on: after a restart they would count as begun.
            self.give_up_ready();
        }
        self.lane.publish(now);
        if self.failing.is_some() || self.is_closing {
            return;
        }
        while self.under_way.len() < self.lane.width()
            && let Some(delivery) = self.lane.next_allowed(&mut self.ready, now)
        {
            let (notifier, clock) = (Arc::clone(&self.lane.notifier), Arc::clone(&self.lane.clock));
            self.under_way.spawn(attempt(notifier, clock, delivery, now));
        }
        // What was claimed under a budget and finds it used up gives way to whatever is more urgent by then.
        if self.under_way.len() < self.lane.width() && !self.ready.is_empty() {
            self.give_up_ready();
        }
        // A hold that lies further ahead than one can be comes from a wall clock that was set back, and is over.
        let is_over = |until: Timestamp| until <= now || until.duration_since(now).unsigned_abs() > RATE_MINUTE;
        if self.held_until.is_some_and(is_over) {
            (self.held_until, self.hungry) = (None, true);
        }
    }

    fn give_up_ready(&mut self) {
        self.unsent.extend(self.ready.drain(..).map(|delivery| delivery.id));
    }

    /// The most urgent call to the store, if any is due.
    fn next_call(&mut self, reading: Reading) -> Option<Call> {
        if self.failing.is_some_and(|(_, until)| until > reading.instant) {
            return None;
        }
        let store = Arc::clone(&self.lane.store);
        let receiver = self.lane.receiver.clone();
        let stopping = self.is_closing;
        let paused = self.lane.is_paused(reading.wall);
        let held = self.ready.len() + self.under_way.len() + self.lane.unsettled.len() + self.being_settled;
        // Under a budget nothing is claimed ahead: what is more urgent may come at any moment.
        let limited = !self.lane.claimer.budget.is_unlimited();
        let reach = if limited { self.lane.width() } else { self.lane.reach() };
        let room = if limited { reach.saturating_sub(self.under_way.len()) } else { reach.saturating_sub(held) };
        // Claiming comes first where the attempts would otherwise run dry, and in halves of what may be held, so that
        // one transaction claims many. While the store fails, what is known is stored before more is begun.
        let runs_dry = self.ready.is_empty() && self.under_way.len() < self.lane.width();
        let starving = runs_dry || room >= reach / 2 && !limited;
        let allowed = !stopping && !paused && (self.failing.is_none() || self.lane.unsettled.is_empty());
        if self.hungry && allowed && starving && room > 0 {
            let now = reading.wall;
            let claimer = self.lane.claimer.clone();
            self.nudged = false;
            return Some(Box::pin(async move { Answer::Claimed(claimer.claim(now, room).await) }));
        }
        if !self.lane.unsettled.is_empty() {
            let settled = std::mem::take(&mut self.lane.unsettled);
            self.being_settled = settled.len();
            return Some(Box::pin(async move { Answer::Settled(store.settle(&settled).await, settled) }));
        }
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            return Some(Box::pin(async move { Answer::Released(store.release(&unsent).await, unsent) }));
        }
        // A store that failed is asked something harmless, to learn whether it works again.
        let wants_to_know = self.looking && !self.hungry && !paused || self.failing.is_some();
        if wants_to_know && !stopping {
            return Some(Box::pin(async move { Answer::NextDue(store.next_due(&receiver).await) }));
        }
        None
    }

    fn ended(&mut self, finished: Result<Finished, JoinError>) {
        if let Some(finished) = self.lane.known(finished) {
            let settled = self.lane.judged(finished);
            self.lane.unsettled.push(settled);
        }
    }

    fn heard(&mut self, answer: Answer) {
        let result = match answer {
            Answer::Settled(result, settled) => {
                self.being_settled = 0;
                if result.is_ok() {
                    // A firing that is settled sets its resolution free.
                    self.looking |= !self.hungry && settled.iter().any(|one| one.state != DeliveryState::Dead);
                    self.lane.tell_of_deaths(&settled);
                } else {
                    let newer = std::mem::replace(&mut self.lane.unsettled, settled);
                    self.lane.unsettled.extend(newer);
                }
                result
            }
            Answer::Released(result, unsent) => {
                match result {
                    Ok(()) => self.looking = true,
                    Err(_) => self.unsent.extend(unsent),
                }
                result
            }
            Answer::Claimed(Ok(Claim { deliveries, more })) => {
                self.hungry = more == More::Perhaps || self.nudged;
                self.looking = more == More::Nothing && !self.nudged;
                self.held_until = match more {
                    More::From(until) => Some(until),
                    More::Nothing | More::Perhaps => None,
                };
                self.ready.extend(deliveries);
                if self.is_closing {
                    self.give_up_ready();
                }
                Ok(())
            }
            Answer::Claimed(Err(error)) => Err(error),
            Answer::NextDue(Ok(next)) => {
                self.looking = false;
                self.sleep_until(next);
                Ok(())
            }
            Answer::NextDue(Err(error)) => Err(error),
        };
        self.note_store(result);
    }

    /// Sets the alarm for the next due delivery; at once if it is due already.
    fn sleep_until(&mut self, next: Option<Timestamp>) {
        let now = self.lane.clock.now();
        let wait = match next {
            Some(next) if next <= now => {
                self.hungry |= self.held_until.is_none();
                return;
            }
            Some(next) => next.duration_since(now).unsigned_abs().min(LANE_SLEEP_MAX),
            None => LANE_SLEEP_MAX,
        };
        self.wake_at = Instant::now() + wait;
    }

    /// Backs off from a store that fails, and notes when it works again.
    fn note_store(&mut self, result: Result<(), StoreError>) {
        let receiver = self.lane.receiver.as_str();
        match (result, self.failing) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                tracing::info!(receiver, "the store works again");
                (self.failing, self.looking) = (None, true);
            }
            (Err(error), failing) => {
                let wait = failing.map_or(STORE_BACKOFF_MIN, |(wait, _)| (wait * 2).min(STORE_BACKOFF_MAX));
                let kept = self.lane.unsettled.len();
                tracing::error!(receiver, %error, kept, retry_in = ?wait, "the store failed; nothing is sent meanwhile");
                self.failing = Some((wait, Instant::now() + wait));
                self.looking = true;
            }
        }
    }

    /// When to wake although nothing happened.
    fn alarm(&self, reading: Reading) -> Instant {
        let Reading { instant: now, wall } = reading;
        let mut alarm = self.wake_at;
        if let Some(until) = self.lane.paused_until.filter(|_| self.lane.is_paused(wall)) {
            alarm = now + until.duration_since(wall).unsigned_abs().min(LANE_SLEEP_MAX);
        }
        if let Some(until) = self.held_until {
            let wait = Duration::try_from(until.duration_since(wall)).unwrap_or_default();
            alarm = alarm.min(now + wait);
        }
        if let Some((_, until)) = self.failing.filter(|(_, until)| *until > now) {
            alarm = until;
        }
        self.stop_by.map_or(alarm, |stop_by| alarm.min(stop_by))
    }

    fn woken(&mut self) -> bool {
        let now = Instant::now();
        if self.stop_by.is_some_and(|stop_by| stop_by <= now) {
            let (under_way, kept) = (self.under_way.len(), self.lane.unsettled.len() + self.being_settled);
            tracing::warn!(receiver = %self.lane.receiver, under_way, kept, "stopped without knowing every outcome");
            return false;
        }
        self.looking = true;
        self.wake_at = now + LANE_SLEEP_MAX;
        true
    }

    fn begin_to_stop(&mut self) {
        self.stop_by = Some(Instant::now() + LANE_STOP_MAX);
        self.close();
    }

    fn close(&mut self) {
        self.is_closing = true;
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
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::model::{Attempt, ReceiverId};
    use crate::store::{Mode, SqlStore};

    struct Nobody;

    impl Notifier for Nobody {
        async fn send(&self, _: &Delivery, _: Timestamp) -> Attempt {
            Attempt::delivered("200")
        }

        fn concurrency(&self) -> usize {
            1
        }
    }

    /// However close a reading of the clocks is to the end of a pause: the lane claims, or wakes when the pause is over.
    /// With a reading for each question it could do neither, and slept a minute over what was due.
    #[tokio::test]
    async fn a_pause_that_ends_between_two_readings_of_the_clock_is_not_slept_over() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("nightbell.db").display());
        let store = Arc::new(SqlStore::open(&url, Mode::Work).await.unwrap());
        let end = Timestamp::from_second(1_800_000_000).unwrap();
        for before in [Duration::from_millis(1), Duration::from_millis(400), Duration::ZERO] {
            let clock = Arc::new(ManualClock::at(end - before));
            let receiver = ReceiverId::new("pager");
            let lane = Lane::new(receiver, Arc::clone(&store), Arc::new(Nobody), clock.clone(), Box::new(|| 0.5));
            let mut stream = Stream::new(lane);
            let reading = stream.reading();
            // What takes time between the questions.
            clock.set(end + Duration::from_millis(1));
            stream.lane.paused_until = Some(end);
            let awaits_pause = stream.next_call(reading).is_none();
            let asleep = stream.alarm(reading).saturating_duration_since(reading.instant);
            assert!(!awaits_pause || asleep <= before, "{before:?} before the end it sleeps {asleep:?}");

            stream.lane.paused_until = None;
            stream.failing = Some((Duration::from_secs(1), reading.instant + before));
            let awaits_store = stream.next_call(reading).is_none();
            let asleep = stream.alarm(reading).saturating_duration_since(reading.instant);
            assert!(!awaits_store || asleep <= before, "{before:?} before the store is tried it sleeps {asleep:?}");
        }
    }
}
