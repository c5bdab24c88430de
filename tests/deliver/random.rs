//! Random floods, failures and kills: limits are kept, nothing is lost, and nothing is told in two messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nightbell::limits::RATE_MINUTE;
use nightbell::model::Severity;
use nightbell::notify::Rate;
use nightbell::store::{Mode, Outbox as _, SqlStore};
use nightbell::worker::budget::Budget;
use proptest::prelude::*;

use super::super::sample::at;
use super::flood::{World, lane, name, numbered};

/// What may happen between two looks at the queue.
#[derive(Debug, Clone)]
struct Step {
    seconds: i64,
    arrivals: usize,
    is_critical: bool,
    /// After how long the process is killed in the midst of what it does, in microseconds.
    killed_after: Option<u64>,
    works: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let killed_after = proptest::option::weighted(0.4, 0_u64..20_000);
    (0_i64..40, 0_usize..30, proptest::bool::weighted(0.2), killed_after, proptest::bool::weighted(0.7)).prop_map(
        |(seconds, arrivals, is_critical, killed_after, works)| Step {
            seconds,
            arrivals,
            is_critical,
            killed_after,
            works,
        },
    )
}

impl World {
    /// A receiver with a limit of its own, and what `works` says is answered.
    async fn limited(per_minute: u32, burst: u32, works: Arc<AtomicBool>) -> World {
        let answer = move |_| if works.load(Ordering::SeqCst) { (200, "ok") } else { (503, "") };
        let mut world = World::new("slack", answer).await;
        world.settings.rate = Rate { per_second: None, per_minute: Some(per_minute), burst, penalty: Duration::ZERO };
        world.lane = lane(&world.store, &world.settings, &world.renderer, &world.clock);
        world
    }

    /// The process is gone, in the midst of a pass, and another one takes its place.
    async fn killed(mut self, after: u64) -> World {
        let pass = self.lane.attempt_due(at(self.now));
        // Whether the pass is through by then is no matter: any moment must do.
        drop(tokio::time::timeout(Duration::from_micros(after), pass).await);
        let World { place, store, clock, settings, renderer, lane: dead, calls, told, generation, now } = self;
        drop(dead);
        drop(store);
        let mut opened = SqlStore::open(&place.url(), Mode::Work).await;
        // Attempts that were cut off let go of the file when the runtime gets to it.
        while opened.is_err() {
            tokio::task::yield_now().await;
            opened = SqlStore::open(&place.url(), Mode::Work).await;
        }
        let store = Arc::new(opened.unwrap());
        store.reclaim(at(now)).await.unwrap();
        let budget = Budget::new(settings.rate);
        for (_, begun) in store.attempts_since(at(now) - RATE_MINUTE).await.unwrap() {
            budget.remember(begun);
        }
        let lane = lane(&store, &settings, &renderer, &clock).within(budget, Arc::clone(&renderer));
        World { place, store, clock, settings, renderer, lane, calls, told, generation, now }
    }
}

async fn nothing_is_lost_or_told_in_two_messages(per_minute: u32, burst: u32, steps: Vec<Step>) {
    let works = Arc::new(AtomicBool::new(true));
    let mut world = World::limited(per_minute, burst, Arc::clone(&works)).await;
    let mut fired = 0;
    for Step { seconds, arrivals, is_critical, killed_after, works: answers } in steps {
        works.store(answers, Ordering::SeqCst);
        let severity = if is_critical { Severity::Critical } else { Severity::Warning };
        world.now += seconds;
        world.clock.set(at(world.now));
        world.fire(numbered(fired, arrivals, severity)).await;
        fired += arrivals;
        match killed_after {
            Some(after) => world = world.killed(after).await,
            None => drop(world.pass(0).await),
        }
    }
    works.store(true, Ordering::SeqCst);
    while let Some(next) = world.store.next_due(&world.settings.id, at(world.now)).await.unwrap() {
        assert!(world.now < 12 * 3600, "still pending: {:?}", world.still_pending().await);
        let wait = next.duration_since(at(world.now)).as_secs().max(1);
        world.pass(wait).await;
    }
    assert!(world.most_in_a_minute() <= per_minute as usize, "{} in a minute", world.most_in_a_minute());
    // A kill may make a message come again: the same message.
    {
        let mut told = world.told.lock().unwrap();
        told.sort_by(|one, other| one.1.cmp(&other.1));
        told.dedup_by(|one, other| one.1 == other.1);
    }
    world.assert_told_once((0..fired).map(name)).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::sample::cases(24), ..ProptestConfig::default() })]

    #[test]
    fn floods_failures_and_kills_lose_nothing(
        per_minute in 2_u32..40,
        part in 0_u32..100,
        steps in proptest::collection::vec(step(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let burst = (per_minute * part / 100).max(1);
        runtime.block_on(nothing_is_lost_or_told_in_two_messages(per_minute, burst, steps));
    }
}
