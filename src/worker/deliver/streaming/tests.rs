//! The lane as a loop, step by step.

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
        stream.lane.channel.pause(end);
        let awaits_pause = stream.next_call(reading).is_none();
        let asleep = stream.alarm(reading).saturating_duration_since(reading.instant);
        assert!(!awaits_pause || asleep <= before, "{before:?} before the end it sleeps {asleep:?}");

        stream.lane.channel.answered(end);
        stream.health = Health::Failing { until: reading.instant + before };
        let awaits_store = stream.next_call(reading).is_none();
        let asleep = stream.alarm(reading).saturating_duration_since(reading.instant);
        assert!(!awaits_store || asleep <= before, "{before:?} before the store is tried it sleeps {asleep:?}");
    }
}
