//! When the heart beats and when it stands still, on a real store. Nothing is sent here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nightbell::clock::{Clock, ManualClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::http::{HttpClient, HttpSettings};
use nightbell::model::{ReceiverId, SourceId};
use nightbell::secret::{Secret, SecretRef};
use nightbell::store::{OwnAlerts as _, OwnCommit, PollCommit, PollLedger as _, SqlStore};
use nightbell::worker::deliver::status_name;
use nightbell::worker::heartbeat::{Asked, Heartbeat, Missed};
use nightbell::worker::turn::{Failing, Statuses};
use tokio_util::sync::CancellationToken;

use super::{FILE, MINUTE, World, busy};
use crate::deliver::lane_to;
use crate::deliver::sink::{Hook, Reply, Sink, until};
use crate::sample::{at, commit, delivery};

/// A heart before a store, and the clock it goes by.
fn heart(store: &Arc<SqlStore>, clock: &ManualClock, schedule: &str) -> Heartbeat<SqlStore> {
    let text = FILE.replace("project_id: p,", &format!("project_id: p, poll: \"{schedule}\","));
    let loaded = Config::from_text(text, "test", Path::new(""), &LoadOptions { offline: true });
    let config = loaded.unwrap_or_else(|problem| panic!("{problem}")).config;
    Heartbeat {
        url: SecretRef::Inline(Secret::new("http://127.0.0.1:1/")),
        every: Duration::from_secs(60),
        client: HttpClient::new(&HttpSettings::default()).unwrap(),
        sources: config.sources.iter().map(|settings| (settings.id.clone(), settings.poll.clone())).collect(),
        store: Arc::clone(store),
        started_at: clock.now(),
        asked: Asked::default(),
        statuses: Statuses::default(),
    }
}

#[tokio::test]
async fn the_heart_beats_while_polls_turn_and_stands_still_when_one_hangs() {
    let mut world = World::open("").await;
    let mut heart = heart(&world.store, &ManualClock::at(at(0)), "* * * * *");
    assert!(matches!(heart.examine(at(1)).await, Err(Missed::NotYet(_))));
    // Nobody ever asked.
    assert!(matches!(heart.examine(at(5 * MINUTE)).await, Err(Missed::Silent { .. })));
    world.readable(at(0), None).await;
    heart.examine(at(1)).await.unwrap();
    heart.examine(at(2 * MINUTE)).await.unwrap();
    let hung = heart.examine(at(4 * MINUTE)).await;
    assert!(matches!(&hung, Err(Missed::Silent { id, since }) if *id == SourceId::new("warehouse") && *since == at(0)));
    world.readable(at(4 * MINUTE), None).await;
    heart.examine(at(4 * MINUTE)).await.unwrap();
    // One that cannot be read was asked, and is all there is.
    world.unreadable(at(5 * MINUTE), "no answer").await;
    assert!(matches!(heart.examine(at(5 * MINUTE)).await, Err(Missed::Blind)));
    let other = SourceId::new("other");
    heart.sources.push((other.clone(), heart.sources[0].1.clone()));
    world.store.commit_poll(&PollCommit { source: other, now: at(5 * MINUTE), ..commit(0) }).await.unwrap();
    heart.examine(at(5 * MINUTE)).await.unwrap();
}

/// A list of five minutes is asked for every five minutes, though the schedule says every minute.
#[tokio::test]
async fn a_source_whose_list_takes_long_is_not_taken_to_hang() {
    let mut world = World::open("").await;
    let mut heart = heart(&world.store, &ManualClock::at(at(0)), "* * * * *");
    world.readable(at(0), None).await;
    heart.examine(at(1)).await.unwrap();
    world.readable(at(5 * MINUTE), None).await;
    heart.examine(at(10 * MINUTE)).await.unwrap();
    world.readable(at(10 * MINUTE), None).await;
    heart.examine(at(20 * MINUTE)).await.unwrap();
    assert!(matches!(heart.examine(at(22 * MINUTE)).await, Err(Missed::Silent { .. })));
}

#[tokio::test]
async fn the_heart_stands_still_when_a_lane_does() {
    let mut world = World::open("").await;
    let mut heart = heart(&world.store, &ManualClock::at(at(0)), "0 * * * *");
    world.readable(at(0), None).await;
    let deliveries = vec![delivery("d1", "oncall"), delivery("d2", "oncall")];
    let own = OwnCommit { now: at(0), fired: vec![], changed: vec![], deliveries };
    world.store.commit_own(&own).await.unwrap();
    heart.examine(at(19 * MINUTE)).await.unwrap();
    let stuck = heart.examine(at(20 * MINUTE)).await;
    assert!(
        matches!(&stuck, Err(Missed::Stuck { id, since }) if id.as_str() == "oncall" && *since == at(0)),
        "{stuck:?}"
    );
    // It is behind, and at work.
    world.attempt("d1", "oncall", 2, at(21 * MINUTE), busy()).await;
    heart.examine(at(22 * MINUTE)).await.unwrap();
    assert!(matches!(heart.examine(at(45 * MINUTE)).await, Err(Missed::Stuck { .. })));
}

/// What is pending to a receiver that the configuration no longer has was not counted.
#[tokio::test]
async fn the_heart_stands_still_for_what_is_pending_to_a_receiver_that_was_removed() {
    let mut world = World::open("").await;
    let mut heart = heart(&world.store, &ManualClock::at(at(0)), "0 * * * *");
    world.readable(at(0), None).await;
    let deliveries = vec![delivery("d1", "gone-from-the-file")];
    world.store.commit_own(&OwnCommit { now: at(0), fired: vec![], changed: vec![], deliveries }).await.unwrap();
    heart.examine(at(19 * MINUTE)).await.unwrap();
    assert!(matches!(heart.examine(at(20 * MINUTE)).await, Err(Missed::Stuck { .. })));
}

/// A channel that asks for an hour of rest has a lane that does not hang: the heartbeat stopped all the same.
#[tokio::test]
async fn a_long_retry_after_does_not_stop_the_heart() {
    let mut world = World::open("").await;
    let mut heart = heart(&world.store, &ManualClock::at(at(0)), "0 * * * *");
    world.readable(at(0), None).await;
    let deliveries = vec![delivery("d1", "oncall"), delivery("d2", "oncall")];
    world.store.commit_own(&OwnCommit { now: at(0), fired: vec![], changed: vec![], deliveries }).await.unwrap();
    world.attempt("d1", "oncall", 2, at(0), busy()).await;
    let lane = heart.statuses.publisher(status_name(&ReceiverId::new("oncall")));
    lane.publish(|status| status.asked_to_wait_until = Some(at(60 * MINUTE)));
    // Up to the end of the pause, and while the one attempt is made that goes first then.
    heart.examine(at(20 * MINUTE)).await.unwrap();
    heart.examine(at(60 * MINUTE)).await.unwrap();
    assert!(matches!(heart.examine(at(80 * MINUTE)).await, Err(Missed::Stuck { .. })));
}

/// The same with a real lane before a channel that asks for an hour: what it says in its status is what the heart reads.
#[tokio::test]
async fn the_heart_reads_what_a_lane_says_that_its_channel_asked_for() {
    let mut world = World::open("").await;
    let clock = ManualClock::at(at(0));
    let mut heart = heart(&world.store, &clock, "0 * * * *");
    world.readable(at(0), None).await;
    let deliveries = vec![delivery("d1", "oncall"), delivery("d2", "oncall")];
    world.store.commit_own(&OwnCommit { now: at(0), fired: vec![], changed: vec![], deliveries }).await.unwrap();
    let sink = Sink::new(|_, _| Reply::Status(429, Some(3600))).await;
    let lane = lane_to("oncall", &world.store, Hook::new(&sink.url, 1), &clock).publishing(&heart.statuses);
    let stop = CancellationToken::new();
    let running = tokio::spawn(lane.run(stop.clone()));
    let oncall = status_name(&ReceiverId::new("oncall"));
    let is_asked = || heart.statuses.get(&oncall).is_some_and(|status| status.asked_to_wait_until.is_some());
    until(is_asked).await;
    heart.examine(at(30 * MINUTE)).await.unwrap();
    stop.cancel();
    running.await.unwrap();
    assert!(matches!(heart.examine(at(30 * MINUTE)).await, Err(Missed::Stuck { .. })), "the lane is gone");
}

/// A loop that goes on failing, though the store works, is nothing that works.
#[tokio::test]
async fn the_heart_stands_still_while_another_loop_has_failed_for_ten_minutes() {
    let mut world = World::open("").await;
    let mut heart = heart(&world.store, &ManualClock::at(at(0)), "0 * * * *");
    world.readable(at(0), None).await;
    let failing = Failing { since: at(0), error: "it panicked (this is a bug)".into() };
    for (name, stands_still) in [("heartbeat", false), ("escalation", true)] {
        let published = heart.statuses.publisher(name);
        published.publish(|status| status.failing = Some(failing.clone()));
        heart.examine(at(9 * MINUTE)).await.unwrap();
        let outcome = heart.examine(at(10 * MINUTE)).await;
        assert_eq!(matches!(outcome, Err(Missed::Loop { .. })), stands_still, "{name}: {outcome:?}");
    }
}
