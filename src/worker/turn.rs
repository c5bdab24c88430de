//! The one kind of loop: it looks, acts, sleeps until something is due or it is woken, backs off while it fails, and
//! publishes its last status.
//!
//! Whatever is done in the background over and over is a [`Turn`]; a [`Runner`] runs it. The polls, which keep to a schedule,
//! and the lanes, which do several things at once, sleep by themselves; all of them go through a [`Course`]: a turn that fails
//! is logged when its error is new, and tried again after a pause that doubles; one that panics is a turn that failed. The
//! [`Statuses`] of all loops, by name, are what the heartbeat and Nightbell's alerts about itself read. This module reads the
//! clock and writes nothing else. It must never know what a loop does, nor the store.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::limits::{LOOP_HANGS_AFTER, SHARED_TURN_EVERY, STORE_BACKOFF_MAX, STORE_BACKOFF_MIN};
use crate::lock::locked;

/// Something that is done over and over.
pub trait Turn: Send {
    /// By what name its status is known: one word, the same over restarts.
    fn name(&self) -> &'static str;

    /// How it sleeps.
    fn pace(&self) -> Pace;

    /// What wakes it, beside the time: `notify_one` after the commit. It carries no data, for the store has it.
    fn nudge(&self) -> Option<Arc<Notify>> {
        None
    }

    /// Does what is due at `now`.
    fn turn(&mut self, now: Timestamp) -> impl Future<Output = Result<Turned, TurnError>> + Send;
}

/// Why a turn failed.
pub type TurnError = Box<dyn Error + Send + Sync>;

/// How a loop sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// After how long the first turn begins.
    pub first_after: Duration,
    /// Shortest sleep, so that what is due and cannot be done costs little.
    pub shortest: Duration,
    /// Longest sleep, so that a step of the wall clock, or what nobody said, is noticed.
    pub longest: Duration,
    /// Longest pause while turns fail.
    pub backoff_max: Duration,
    /// Whether a turn under way is given up when the loop is to stop: one that waits for somebody outside, or that takes long
    /// and loses nothing by it.
    pub is_given_up: bool,
}

impl Pace {
    /// At once, then at least every `longest`.
    pub const fn every(longest: Duration) -> Pace {
        Pace {
            first_after: Duration::ZERO,
            shortest: Duration::from_millis(100),
            longest,
            backoff_max: STORE_BACKOFF_MAX,
            is_given_up: false,
        }
    }

    /// How long to sleep at `now` until `next_due`. One that is further ahead than the longest sleep is looked for again by
    /// then.
    fn sleep(&self, next_due: Option<Timestamp>, now: Timestamp) -> Duration {
        let left = next_due.map(|due| Duration::try_from(due.duration_since(now)).unwrap_or_default());
        left.unwrap_or(self.longest).clamp(self.shortest, self.longest.max(self.shortest))
    }
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turned {
    /// How many things it did: messages, rows.
    pub done: u64,
    /// When something is due next; none when nothing is known to be.
    pub next_due: Option<Timestamp>,
}

/// How a loop fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// When its last turn began.
    pub looked_at: Option<Timestamp>,
    /// What the last turn that ended well did.
    pub done: u64,
    /// When something is due next, as that turn said.
    pub next_due: Option<Timestamp>,
    /// Since when its turns fail.
    pub failing: Option<Failing>,
    /// Until when it waits because somebody outside asked for that.
    pub asked_to_wait_until: Option<Timestamp>,
    /// When the turn under way began, by the clock that cannot be set.
    under_way: Option<Instant>,
    /// How long a turn may take, where that is longer than [`LOOP_HANGS_AFTER`].
    patience: Duration,
}

/// Turns fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// When the first of them began.
    pub since: Timestamp,
    /// Why the last of them failed; holds no secret.
    pub error: String,
}

impl Status {
    /// Whether a turn does not come to an end.
    pub fn hangs(&self) -> bool {
        self.under_way.is_some_and(|began| began.elapsed() >= self.patience.max(LOOP_HANGS_AFTER))
    }

    /// What is wrong at `now`: a turn that does not come to an end, or turns that have failed for long.
    pub fn fault(&self, now: Timestamp) -> Option<Failing> {
        if let (true, Some(since)) = (self.hangs(), self.looked_at) {
            return Some(Failing { since, error: "its turn does not come to an end".into() });
        }
        let has_lasted = |failing: &&Failing| now.duration_since(failing.since).unsigned_abs() >= LOOP_HANGS_AFTER;
        self.failing.as_ref().filter(has_lasted).cloned()
    }
}

/// The last status of each loop, by name. Cheap to copy.
#[derive(Debug, Clone, Default)]
pub struct Statuses(Arc<Mutex<BTreeMap<String, Status>>>);

impl Statuses {
    /// How every loop fares.
    pub fn all(&self) -> BTreeMap<String, Status> {
        self.lock().clone()
    }

    /// How the loop of this name fares; none where there is none.
    pub fn get(&self, name: &str) -> Option<Status> {
        self.lock().get(name).cloned()
    }

    /// Where the loop of this name publishes. What it published is forgotten with the publisher.
    pub fn publisher(&self, name: impl Into<String>) -> Publisher {
        let name = name.into();
        self.lock().insert(name.clone(), Status::default());
        Publisher { statuses: self.clone(), name }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Status>> {
        locked(&self.0)
    }
}

/// Publishes the status of one loop.
#[derive(Debug)]
pub struct Publisher {
    statuses: Statuses,
    name: String,
}

impl Publisher {
    /// Changes the status.
    pub fn publish(&self, change: impl FnOnce(&mut Status)) {
        if let Some(status) = self.statuses.lock().get_mut(&self.name) {
            change(status);
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.statuses.lock().remove(&self.name);
    }
}

/// Runs loops.
#[derive(Clone)]
pub struct Runner {
    clock: Arc<dyn Clock>,
    statuses: Statuses,
    /// Longest sleep of a loop that is woken by others.
    longest: Duration,
}

impl Runner {
    /// Loops that go by `clock` and publish to `statuses`.
    pub fn new(clock: Arc<dyn Clock>, statuses: Statuses) -> Runner {
        Runner { clock, statuses, longest: Duration::MAX }
    }

    /// The same loops on a store on which other processes work, too, which cannot wake them.
    #[must_use]
    pub fn beside_others(self) -> Runner {
        Runner { longest: SHARED_TURN_EVERY, ..self }
    }

    /// Runs one loop until `shutdown`. A turn under way is finished, unless it is one that is given up.
    pub async fn run(&self, mut work: impl Turn, shutdown: &CancellationToken) {
        let (mut pace, nudge) = (work.pace(), work.nudge());
        if nudge.is_some() {
            pace.longest = pace.longest.min(self.longest);
        }
        let nudge = nudge.unwrap_or_default();
        let mut course = Course::new(work.name(), &self.statuses, pace.backoff_max);
        let mut wait = pace.first_after;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = nudge.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            let now = self.clock.now();
            let outcome = tokio::select! {
                () = shutdown.cancelled(), if pace.is_given_up => return,
                outcome = course.turn(now, work.turn(now)) => outcome,
            };
            wait = match outcome {
                Ok(turned) => pace.sleep(turned.next_due, self.clock.now()),
                Err(pause) => pause,
            };
        }
    }
}

/// How a loop has fared so far, and where it says so.
#[derive(Debug)]
pub(super) struct Course {
    name: String,
    published: Publisher,
    /// Longest pause while turns fail.
    backoff_max: Duration,
    /// The present pause, while turns fail.
    backoff: Option<Duration>,
}

impl Course {
    /// The course of the loop of this name, which begins.
    pub(super) fn new(name: impl Into<String>, statuses: &Statuses, backoff_max: Duration) -> Course {
        let name = name.into();
        Course { published: statuses.publisher(name.clone()), name, backoff_max, backoff: None }
    }

    /// The same of a loop whose turns may take so long.
    pub(super) fn patient(self, patience: Duration) -> Course {
        self.published.publish(|status| status.patience = patience);
        self
    }

    /// Does a turn that begins at `now`, and publishes how it goes; one that panics has failed. What it came to, or how long
    /// to pause.
    pub(super) async fn turn(
        &mut self,
        now: Timestamp,
        turn: impl Future<Output = Result<Turned, TurnError>>,
    ) -> Result<Turned, Duration> {
        self.published.publish(|status| (status.looked_at, status.under_way) = (Some(now), Some(Instant::now())));
        match AssertUnwindSafe(turn).catch_unwind().await.unwrap_or_else(|_| Err("it panicked (this is a bug)".into()))
        {
            Ok(turned) => {
                self.works();
                self.published.publish(|status| (status.done, status.next_due) = (turned.done, turned.next_due));
                Ok(turned)
            }
            Err(error) => Err(self.fails(error.to_string(), now)),
        }
    }

    /// Changes the status of a loop that does several things at once.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Status)) {
        self.published.publish(change);
    }

    /// Notes that a turn, or a part of it, went well.
    pub(super) fn works(&mut self) {
        if self.backoff.take().is_some() {
            tracing::info!("{}: it works again", self.name);
        }
        self.published.publish(|status| (status.failing, status.under_way) = (None, None));
    }

    /// Notes the failure of a turn, or of a part of it, that began at `began`, and returns how long to pause.
    pub(super) fn fails(&mut self, error: String, began: Timestamp) -> Duration {
        let pause = self.backoff.map_or(STORE_BACKOFF_MIN, |before| before * 2).min(self.backoff_max);
        self.backoff = Some(pause);
        self.published.publish(|status| {
            let before = status.failing.take();
            if before.as_ref().is_none_or(|before| before.error != error) {
                tracing::error!("{}: {error}; it is tried again", self.name);
            }
            let since = before.map_or(began, |before| before.since);
            (status.failing, status.under_way) = (Some(Failing { since, error }), None);
        });
        pause
    }
}

#[cfg(test)]
mod tests;
