//! How often a digest asks the store: the same number of times, however much is in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nightbell::model::{Instance, Status};
use nightbell::store::{Digests as _, Since};
use tracing::span;

use super::world::{World, empty_tally, finished};
use crate::sample::{alert, instance};

/// Counts the queries that the store notes for a digest.
struct Counter(Arc<AtomicUsize>);

impl tracing::Subscriber for Counter {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "nightbell::store::sql::digest"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// A store with so many jobs, each with a success, a failure that was told and a run under way.
async fn filled(jobs: usize) -> World {
    let mut world = World::open("schedule: \"0 * * * *\"").await;
    let run = |job: &str, id: &str, status, place| World::later(instance(job, id, status), place);
    let runs = |job: usize| -> [Instance; 3] {
        let job = format!("etl_{job}");
        [run(&job, "1", Status::Success, 0), run(&job, "7", Status::Fail, 10), run(&job, "9", Status::Running, 20)]
    };
    let alerts = (0..jobs).map(|job| alert(&format!("a{job}"), &format!("etl_{job}"))).collect();
    world.commit((0..jobs).flat_map(runs).collect(), alerts).await;
    world
}

/// The test's thread alone counts, so whatever else runs beside it does not.
#[tokio::test]
async fn a_digest_takes_as_many_queries_of_a_large_store_as_of_a_small_one() {
    let mut asked = Vec::new();
    for jobs in [1, 60, 3000] {
        let world = filled(jobs).await;
        let queries = Arc::new(AtomicUsize::new(0));
        let counting = tracing::subscriber::set_default(Counter(Arc::clone(&queries)));
        let mut tally = empty_tally(world.now());
        world.store.tally(Since::Sequence(i64::MIN), &mut tally).await.unwrap();
        drop(counting);
        let digest = finished(tally);
        assert_eq!((digest.totals.outcomes.ended, digest.broken.total), (2 * jobs as u64, jobs as u64));
        asked.push(queries.load(Ordering::Relaxed));
    }
    assert!(asked[0] > 5 && asked[0] <= 12, "{asked:?}");
    assert!(asked.iter().all(|count| *count == asked[0]), "{asked:?}");
}
