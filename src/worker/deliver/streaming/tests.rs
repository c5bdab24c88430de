//! The lane as a loop, step by step.

use super::*;
use crate::clock::ManualClock;
use crate::limits::SHARED_SLEEP_MAX;
use crate::model::{Attempt, Content, MessageKind, Notification, ReceiverId};
use crate::store::{Deliveries as _, Mode, OwnAlerts as _, OwnCommit, SqlStore};

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

async fn stream(directory: &tempfile::TempDir) -> Stream<SqlStore, Nobody> {
    let url = format!("sqlite://{}", directory.path().join("nightbell.db").display());
    let store = Arc::new(SqlStore::open(&url, Mode::Work).await.unwrap());
    let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap()));
    let lane = Lane::new(ReceiverId::new("pager"), store, Arc::new(Nobody), clock, Box::new(|| 0.5));
    Stream::new(lane.fed_by_others())
}

/// What a lane sends while its store is silent would be sent again by whoever takes over.
#[tokio::test]
async fn a_store_that_is_silent_holds_up_all_but_a_few_attempts() {
    let directory = tempfile::tempdir().unwrap();
    let mut stream = stream(&directory).await;
    let now = stream.lane.clock.now();
    for id in ["a", "b", "c"] {
        let one = Notification::new(id.into(), "pager".into(), MessageKind::AlertFiring, Content::default(), now);
        stream.ready.push_back(Delivery::pending(one));
    }
    let mut begun = |being_settled| {
        stream.being_settled = being_settled;
        stream.begin_attempts(stream.reading());
        (stream.under_way.len(), stream.ready.len(), stream.unsent.len())
    };
    assert_eq!(begun(2), (0, 3, 0), "what is claimed waits, and is not given back");
    assert_eq!(begun(1), (1, 2, 0));
    assert_eq!(begun(0), (1, 2, 0), "one at a time");
}

/// What another replica has stored wakes nobody here.
#[tokio::test]
async fn a_lane_that_others_feed_looks_each_second() {
    let directory = tempfile::tempdir().unwrap();
    let mut stream = stream(&directory).await;
    let reading = stream.reading();
    stream.queue = Queue::Unscheduled;
    stream.schedule(None);
    let asleep = stream.alarm(reading).saturating_duration_since(reading.instant);
    assert!(asleep <= SHARED_SLEEP_MAX + Duration::from_millis(100), "{asleep:?}");
    stream.queue = Queue::Held { until: reading.wall + Duration::from_secs(3600) };
    assert_eq!(stream.alarm(reading).saturating_duration_since(reading.instant), SHARED_SLEEP_MAX);
    assert!(stream.woken());
    assert_eq!(stream.queue, Queue::Unread, "what is more urgent goes before the budget has room");
}

/// Never answers.
struct Silent;

impl Notifier for Silent {
    async fn send(&self, _: &Delivery, _: Timestamp) -> Attempt {
        std::future::pending().await
    }

    fn concurrency(&self) -> usize {
        1
    }
}

/// A lane that another replica waits for ends soon, whatever hangs: what it cut is stored as an attempt of which nothing is
/// known, and is due again. Where nobody waits for it, it waits for the answer.
#[tokio::test]
async fn a_lane_that_another_replica_waits_for_does_not_wait_for_who_never_answers() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("nightbell.db").display());
    let store = Arc::new(SqlStore::open(&url, Mode::Work).await.unwrap());
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let lane = async |id: &str| {
        let one = Notification::new(id.into(), "pager".into(), MessageKind::AlertFiring, Content::default(), now);
        let own = OwnCommit { now, fired: vec![], changed: vec![], deliveries: vec![one] };
        store.commit_own(&own).await.unwrap();
        let clock = Arc::new(ManualClock::at(now + Duration::from_secs(1)));
        Lane::new(ReceiverId::new("pager"), Arc::clone(&store), Arc::new(Silent), clock, Box::new(|| 0.5))
    };
    let never = CancellationToken::new();
    let begun = async |lane: Lane<SqlStore, Silent>| {
        let mut stream = Stream::new(lane);
        while stream.under_way.is_empty() {
            assert!(stream.step(&CancellationToken::new(), &CancellationToken::new()).await);
        }
        stream
    };
    let told = CancellationToken::new();
    told.cancel();

    let mut stream = begun(lane("d1").await.waited_for(Arc::new(|| true))).await;
    let asked = Instant::now();
    while stream.step(&told, &never).await {}
    let took = asked.elapsed();
    assert!(took >= LANE_HURRY_MAX && took < LANE_HURRY_MAX + Duration::from_secs(5), "{took:?}");
    let attempts = store.delivery_record(&"d1".into()).await.unwrap().unwrap().attempts;
    let errors: Vec<&str> = attempts.iter().filter_map(|attempt| attempt.error.as_deref()).collect();
    assert!(errors.len() == 1 && errors[0].contains("another one"), "what was cut is on record: {errors:?}");

    let phase_of = async |lane: Lane<SqlStore, Silent>| {
        let mut stream = begun(lane).await;
        while stream.is_running() {
            stream.step(&never, &told).await;
        }
        stream.phase
    };
    let by = phase_of(lane("d2").await.waited_for(Arc::new(|| true))).await.by();
    assert!(by.is_some_and(|by| by <= Instant::now() + LANE_RETIRE_MAX), "{by:?}");
    assert_eq!(phase_of(lane("d3").await).await.by(), None, "nobody can wait for it");
    let alone = lane("d4").await.waited_for(Arc::new(|| false));
    assert_eq!(phase_of(alone).await.by(), None, "nobody waits for it");
}
