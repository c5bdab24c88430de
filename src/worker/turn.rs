//! The one kind of loop: it looks, acts, sleeps until something is due or it is woken, backs off while it fails, and
//! publishes its last status.
//!
//! Whatever is done in the background over and over is a [`Turn`]; a [`Runner`] runs it. A turn that fails is logged when its
//! error is new, and tried again after a pause that doubles; one that panics is a turn that failed. The [`Statuses`] of all
//! loops, by name, are what the heartbeat and Nightbell's alerts about itself read. This module reads the clock and writes
//! nothing else. It must never know what a loop does, nor the store.

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
use crate::limits::{LOOP_HANGS_AFTER, SHARED_SLEEP_MAX, STORE_BACKOFF_MAX, STORE_BACKOFF_MIN};
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
    /// Whether a turn under way is given up when the loop is to stop: one that waits for somebody outside.
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
        self.under_way.is_some_and(|began| began.elapsed() >= LOOP_HANGS_AFTER)
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
        Runner { longest: SHARED_SLEEP_MAX, ..self }
    }

    /// Runs one loop until `shutdown`. A turn under way is finished, unless it is one that is given up.
    pub async fn run(&self, mut work: impl Turn, shutdown: &CancellationToken) {
        let (mut pace, nudge) = (work.pace(), work.nudge());
        if nudge.is_some() {
            pace.longest = pace.longest.min(self.longest);
        }
        let nudge = nudge.unwrap_or_default();
        let mut course = Course { name: work.name(), published: self.statuses.publisher(work.name()), backoff: None };
        let mut wait = pace.first_after;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = nudge.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            let now = self.clock.now();
            course.begins(now);
            let outcome = tokio::select! {
                () = shutdown.cancelled(), if pace.is_given_up => return,
                outcome = AssertUnwindSafe(work.turn(now)).catch_unwind() => outcome,
            };
            wait = match outcome.unwrap_or_else(|_| Err("it panicked (this is a bug)".into())) {
                Ok(turned) => {
                    course.went_well(turned);
                    pace.sleep(turned.next_due, self.clock.now())
                }
                Err(error) => course.failed(error.to_string(), now, pace.backoff_max),
            };
        }
    }
}

/// How a loop has fared so far.
struct Course {
    name: &'static str,
    published: Publisher,
    /// The present pause, while turns fail.
    backoff: Option<Duration>,
}

impl Course {
    fn begins(&self, now: Timestamp) {
        self.published.publish(|status| (status.looked_at, status.under_way) = (Some(now), Some(Instant::now())));
    }

    fn went_well(&mut self, turned: Turned) {
        if self.backoff.take().is_some() {
            tracing::info!("{}: it works again", self.name);
        }
        self.published.publish(|status| {
            (status.done, status.next_due) = (turned.done, turned.next_due);
            (status.failing, status.under_way) = (None, None);
        });
    }

    /// Notes the failure of a turn that began at `began`, and returns how long to pause.
    fn failed(&mut self, error: String, began: Timestamp, backoff_max: Duration) -> Duration {
        let pause = self.backoff.map_or(STORE_BACKOFF_MIN, |before| before * 2).min(backoff_max);
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
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::clock::ManualClock;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// What a scripted turn does.
    enum Act {
        Work(Turned),
        Fail(&'static str),
        Panic,
        Hang,
    }

    /// Turns as written, and when they began; nothing to do once the script is through.
    struct Script {
        acts: VecDeque<Act>,
        began: Arc<Mutex<Vec<Instant>>>,
        pace: Pace,
        nudge: Arc<Notify>,
    }

    impl Turn for Script {
        fn name(&self) -> &'static str {
            "script"
        }

        fn pace(&self) -> Pace {
            self.pace
        }

        fn nudge(&self) -> Option<Arc<Notify>> {
            Some(Arc::clone(&self.nudge))
        }

        async fn turn(&mut self, _: Timestamp) -> Result<Turned, TurnError> {
            self.began.lock().unwrap().push(Instant::now());
            match self.acts.pop_front() {
                Some(Act::Work(turned)) => Ok(turned),
                Some(Act::Fail(error)) => Err(error.into()),
                Some(Act::Panic) => panic!("as the test has it"),
                Some(Act::Hang) => std::future::pending().await,
                None => Ok(Turned::default()),
            }
        }
    }

    /// A running loop.
    struct Running {
        started: Instant,
        began: Arc<Mutex<Vec<Instant>>>,
        nudge: Arc<Notify>,
        statuses: Statuses,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    impl Running {
        fn start(acts: Vec<Act>, pace: Pace) -> Running {
            Running::start_by(|runner| runner, acts, pace)
        }

        fn start_by(change: impl FnOnce(Runner) -> Runner, acts: Vec<Act>, pace: Pace) -> Running {
            let (began, nudge, statuses) = (Arc::default(), Arc::default(), Statuses::default());
            let script = Script { acts: acts.into(), began: Arc::clone(&began), pace, nudge: Arc::clone(&nudge) };
            let runner = change(Runner::new(Arc::new(ManualClock::at(at(0))), statuses.clone()));
            let (started, stop) = (Instant::now(), CancellationToken::new());
            let until = stop.clone();
            let task = tokio::spawn(async move { runner.run(script, &until).await });
            Running { started, began, nudge, statuses, stop, task }
        }

        /// The seconds after the start at which turns have begun `for_` long.
        async fn after(&self, for_: Duration) -> Vec<u64> {
            tokio::time::sleep_until(self.started + for_).await;
            let began = self.began.lock().unwrap();
            began.iter().map(|began| (*began - self.started).as_secs()).collect()
        }

        fn status(&self) -> Status {
            self.statuses.get("script").unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_sleeps_until_something_is_due_and_never_longer_than_its_pace() {
        let due = |second| Act::Work(Turned { done: 1, next_due: Some(at(second)) });
        // The wall clock stands still, so that each due time is as far ahead of it as it was.
        let running = Running::start(vec![due(3), due(-5), due(86_400)], Pace::every(20 * SECOND));
        assert_eq!(running.after(Duration::from_secs(30)).await, [0, 3, 3, 23]);
        assert_eq!(running.status().looked_at, Some(at(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_nudge_wakes_it() {
        let running = Running::start(Vec::new(), Pace::every(60 * SECOND));
        running.after(5 * SECOND).await;
        running.nudge.notify_one();
        assert_eq!(running.after(6 * SECOND).await, [0, 5]);
    }

    /// What another process has stored wakes nobody.
    #[tokio::test(start_paused = true)]
    async fn beside_others_what_would_be_woken_looks_each_second() {
        let running = Running::start_by(Runner::beside_others, Vec::new(), Pace::every(60 * SECOND));
        assert_eq!(running.after(Duration::from_millis(3500)).await, [0, 1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_backs_off_while_it_fails_survives_panics_and_says_so_in_its_status() {
        let acts = vec![Act::Fail("disk full"), Act::Panic, Act::Fail("disk full"), Act::Fail("disk full")];
        let running = Running::start(acts, Pace::every(3600 * SECOND));
        assert_eq!(running.after(10 * SECOND).await, [0, 1, 3, 7]);
        assert_eq!(running.status().failing, Some(Failing { since: at(0), error: "disk full".into() }));
        assert_eq!(running.after(20 * SECOND).await, [0, 1, 3, 7, 15]);
        assert_eq!(running.status().failing, None, "the fifth turn went well");
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_hangs_is_a_fault_and_is_given_up_at_the_end_where_that_is_allowed() {
        let pace = Pace { is_given_up: true, ..Pace::every(SECOND) };
        let running = Running::start(vec![Act::Hang], pace);
        running.after(LOOP_HANGS_AFTER / 2).await;
        assert_eq!(running.status().fault(at(0)), None);
        running.after(LOOP_HANGS_AFTER + SECOND).await;
        assert!(running.status().fault(at(0)).is_some());
        running.stop.cancel();
        running.task.await.unwrap();
        assert!(running.statuses.all().is_empty(), "a loop that has ended has no status");
    }

    #[test]
    fn a_loop_that_has_failed_for_long_is_a_fault() {
        let failing = Failing { since: at(0), error: "disk full".into() };
        let status = Status { failing: Some(failing.clone()), ..Status::default() };
        let slack = i64::try_from(LOOP_HANGS_AFTER.as_secs()).unwrap();
        assert_eq!(status.fault(at(slack - 1)), None);
        assert_eq!(status.fault(at(slack)), Some(failing));
    }
}
