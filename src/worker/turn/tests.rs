//! Loops, run by a clock that the tests move.

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
async fn beside_others_what_would_be_woken_looks_by_itself() {
    let running = Running::start_by(Runner::beside_others, Vec::new(), Pace::every(60 * SECOND));
    assert_eq!(running.after(17 * SECOND).await, [0, 5, 10, 15]);
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

#[tokio::test(start_paused = true)]
async fn a_loop_whose_turns_may_take_long_hangs_later() {
    let statuses = Statuses::default();
    let mut course = Course::new("slow", &statuses, SECOND).patient(3 * LOOP_HANGS_AFTER);
    let _turn = tokio::spawn(async move { course.turn(at(0), std::future::pending()).await });
    tokio::time::sleep(2 * LOOP_HANGS_AFTER).await;
    assert_eq!(statuses.get("slow").unwrap().fault(at(0)), None);
    tokio::time::sleep(LOOP_HANGS_AFTER + SECOND).await;
    assert!(statuses.get("slow").unwrap().fault(at(0)).is_some());
}
