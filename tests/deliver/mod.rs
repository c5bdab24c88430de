//! Lanes on a real store and a real HTTP sink on loopback. Time is moved by hand; days of retries take milliseconds.

mod clocks;
mod faults;
mod flood;
mod grouping;
mod merging;
mod outages;
mod random;
mod recovery;
pub(crate) mod sink;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nightbell::clock::ManualClock;
use nightbell::model::{DeliveryState, Notification, ReceiverId};
use nightbell::store::{Deliveries as _, Mode, Outbox as _, PollCommit, PollLedger as _, SqlStore};
use nightbell::worker::deliver::{Lane, Progress};
use nightbell::worker::housekeeping::{Housekeeping, Retention};
use nightbell::worker::turn::{Runner, Statuses};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::sink::{Hook, OK, Reply, Sink};
use super::sample::{Place, at, commit, delivery, resolution};
use super::store::meddle;

pub(crate) fn pager() -> ReceiverId {
    ReceiverId::new("pager")
}

pub(crate) fn lane_to(receiver: &str, store: &Arc<SqlStore>, hook: Hook, clock: &ManualClock) -> Lane<SqlStore, Hook> {
    Lane::new(ReceiverId::new(receiver), Arc::clone(store), Arc::new(hook), Arc::new(clock.clone()), Box::new(|| 0.5))
}

pub(crate) fn lane(
    store: &Arc<SqlStore>,
    sink: &Sink,
    concurrency: usize,
    clock: &ManualClock,
) -> Lane<SqlStore, Hook> {
    lane_to("pager", store, Hook::new(&sink.url, concurrency), clock)
}

pub(crate) async fn with_pending(place: &Place, deliveries: Vec<Notification>) -> Arc<SqlStore> {
    let store = place.open().await;
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    Arc::new(store)
}

pub(crate) async fn states(store: &SqlStore) -> BTreeMap<String, (DeliveryState, u32)> {
    let deliveries = store.deliveries(100_000).await.unwrap();
    deliveries.into_iter().map(|one| (one.id.to_string(), (one.state, one.attempts))).collect()
}

pub(crate) fn numbered(count: usize) -> Vec<Notification> {
    (0..count).map(|number| delivery(&format!("d{number:05}"), "pager")).collect()
}

#[tokio::test]
async fn a_day_of_failures_keeps_to_the_schedule_and_ends() {
    let place = Place::new();
    let sink = Sink::new(|_, _| Reply::Status(503, None)).await;
    let store = with_pending(&place, vec![delivery("d1", "pager")]).await;
    let clock = ManualClock::at(at(0));
    let mut lane = lane(&store, &sink, 4, &clock);
    let (mut seconds, mut now) = (Vec::new(), at(0));
    loop {
        clock.set(now);
        let progress = lane.attempt_due(now).await.unwrap();
        assert_eq!(progress.attempted, 1, "at {now}");
        seconds.push(now.duration_since(at(0)).as_secs());
        let Some(next) = store.next_due(&pager(), now).await.unwrap() else { break };
        let early = next - Duration::from_millis(1);
        clock.set(early);
        assert_eq!(lane.attempt_due(early).await.unwrap(), Progress::default(), "an attempt before its time");
        now = next;
    }
    let mut promised = vec![0, 5, 30, 120, 600, 1800];
    promised.extend((1..=23).map(|hour| 1800 + hour * 3600));
    assert_eq!(seconds, promised);
    let end = store.deliveries(1).await.unwrap().remove(0);
    assert_eq!((end.state, end.attempts), (DeliveryState::Dead, 29));
    assert_eq!(end.last_error.unwrap(), "given up after 29 attempts within 24 h; the last: answered 503");
    let seen = sink.seen.lock().unwrap().clone();
    assert!(seen.iter().all(|message| *message == ("d1".to_string(), "body of d1".to_string())), "{seen:?}");
}

#[tokio::test]
async fn a_restart_goes_on_with_the_schedule() {
    let place = Place::new();
    let sink = Sink::new(|count, _| if count == 0 { Reply::Status(500, None) } else { OK }).await;
    let clock = ManualClock::at(at(0));
    let store = with_pending(&place, vec![delivery("d1", "pager")]).await;
    lane(&store, &sink, 1, &clock).attempt_due(at(0)).await.unwrap();
    drop(store);
    let store = Arc::new(place.open().await);
    let mut lane = lane(&store, &sink, 1, &clock);
    assert_eq!(lane.attempt_due(at(4)).await.unwrap().attempted, 0);
    assert_eq!(lane.attempt_due(at(5)).await.unwrap().delivered, 1);
    assert_eq!(states(&store).await["d1"], (DeliveryState::Delivered, 2));
}

#[tokio::test]
async fn one_pass_attempts_each_due_delivery_once_and_says_what_is_left() {
    let place = Place::new();
    let sink = Sink::new(|_, id| match id {
        "busy" => Reply::Status(503, None),
        "wrong" => Reply::Status(404, None),
        "locked" => Reply::Status(401, None),
        _ => OK,
    })
    .await;
    let mut later = delivery("later", "pager");
    later.due_at = at(1);
    let mut deliveries =
        vec![later, resolution("busy-over", "pager", "busy"), resolution("fine-over", "pager", "fine")];
    deliveries.extend(["busy", "wrong", "locked", "fine"].map(|id| delivery(id, "pager")));
    let store = with_pending(&place, deliveries).await;
    let progress = lane(&store, &sink, 4, &ManualClock::at(at(0))).attempt_due(at(0)).await.unwrap();
    // Pending still: `busy` and `locked` again later, `busy-over` after `busy`.
    assert_eq!(progress, Progress { attempted: 5, delivered: 2, dead: 1, left_due: 3 });
    let next: BTreeMap<String, Option<Timestamp>> =
        store.deliveries(9).await.unwrap().into_iter().map(|one| (one.id.to_string(), one.next_attempt_at)).collect();
    assert_eq!((next["busy"], next["locked"], next["wrong"]), (Some(at(5)), Some(at(3600)), None));
    assert_eq!(sink.counts().len(), 5);
}

#[tokio::test]
async fn a_resolution_arrives_after_its_firing() {
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    let mut deliveries = Vec::new();
    for number in 0..50 {
        // The ids sort the resolutions before their firings.
        deliveries.push(resolution(&format!("a-over-{number}"), "pager", &format!("b-firing-{number}")));
        deliveries.push(delivery(&format!("b-firing-{number}"), "pager"));
    }
    let store = with_pending(&place, deliveries).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(lane(&store, &sink, 8, &ManualClock::at(at(0))).run(stop.clone()));
    sink.until(100).await;
    stop.cancel();
    running.await.unwrap();
    let ids = sink.ids();
    let place_of = |id: String| ids.iter().position(|seen| *seen == id).unwrap();
    for number in 0..50 {
        assert!(place_of(format!("b-firing-{number}")) < place_of(format!("a-over-{number}")), "{ids:?}");
    }
    assert_eq!(ids.len(), 100);
}

#[tokio::test]
async fn a_channel_that_asks_for_a_pause_gets_it_for_the_whole_lane() {
    let place = Place::new();
    let sink = Sink::new(|count, id| match (id, count) {
        ("d00000", 0 | 1) => Reply::Status(429, Some(60)),
        _ => OK,
    })
    .await;
    let store = with_pending(&place, numbered(6)).await;
    let clock = ManualClock::at(at(0));
    let mut lane = lane(&store, &sink, 1, &clock);
    let progress = lane.attempt_due(at(0)).await.unwrap();
    assert_eq!(progress, Progress { attempted: 1, delivered: 0, dead: 0, left_due: 6 });
    clock.set(at(59));
    assert_eq!(lane.attempt_due(at(59)).await.unwrap(), Progress { left_due: 5, ..Progress::default() });
    clock.set(at(60));
    // The one that was refused is due last now; the five others go first, and it is refused once more.
    assert_eq!(lane.attempt_due(at(60)).await.unwrap(), Progress { attempted: 6, delivered: 5, dead: 0, left_due: 1 });
    clock.set(at(120));
    assert_eq!(lane.attempt_due(at(120)).await.unwrap().delivered, 1);
}

#[tokio::test]
async fn after_a_pause_a_busy_channel_is_asked_once() {
    let place = Place::new();
    let sink = Sink::new(|_, _| Reply::Status(429, Some(60))).await;
    let store = with_pending(&place, numbered(40)).await;
    let clock = ManualClock::at(at(0));
    let mut lane = lane(&store, &sink, 8, &clock);
    lane.attempt_due(at(0)).await.unwrap();
    assert!((1..=8).contains(&sink.ids().len()), "no more than were under way at once");
    for minute in 1..=5 {
        let before = sink.ids().len();
        clock.set(at(minute * 61));
        lane.attempt_due(at(minute * 61)).await.unwrap();
        assert_eq!(sink.ids().len() - before, 1, "minute {minute}");
    }
}

#[tokio::test]
async fn a_running_lane_pauses_and_goes_on() {
    let place = Place::new();
    let sink =
        Sink::new(|count, id| if id == "d00000" && count == 0 { Reply::Status(429, Some(600)) } else { OK }).await;
    let store = with_pending(&place, numbered(20)).await;
    let clock = ManualClock::at(at(0));
    let (lane, stop) = (lane(&store, &sink, 1, &clock), CancellationToken::new());
    let nudge = lane.nudge();
    let running = tokio::spawn(lane.run(stop.clone()));
    sink.until(1).await;
    // What was claimed ahead is given back while the channel is left alone.
    let reader = SqlStore::open(&place.url(), Mode::Read).await.unwrap();
    let began = Instant::now();
    while reader.next_due(&pager(), at(0)).await.unwrap() != Some(at(0)) {
        assert!(began.elapsed() < Duration::from_secs(60), "the claims were kept");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(sink.ids().len(), 1);
    clock.set(at(601));
    nudge.notify_one();
    sink.until(21).await;
    stop.cancel();
    running.await.unwrap();
    assert!(states(&store).await.values().all(|(state, _)| *state == DeliveryState::Delivered));
}

#[tokio::test]
async fn a_receiver_that_hangs_delays_no_other() {
    let place = Place::new();
    let hanging = Sink::new(|_, _| Reply::Silence).await;
    let healthy = Sink::new(|_, _| OK).await;
    let mut deliveries = numbered(200);
    deliveries.extend((0..200).map(|number| delivery(&format!("t{number}"), "team")));
    let store = with_pending(&place, deliveries).await;
    let (clock, stop) = (ManualClock::at(at(0)), CancellationToken::new());
    let stuck = tokio::spawn(lane(&store, &hanging, 4, &clock).run(stop.clone()));
    hanging.until(4).await;
    let began = Instant::now();
    let fine = tokio::spawn(lane_to("team", &store, Hook::new(&healthy.url, 4), &clock).run(stop.clone()));
    healthy.until(200).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(hanging.ids().len(), 4, "no more than may be under way");
    stop.cancel();
    fine.await.unwrap();
    assert!(!stuck.is_finished(), "it waits for what is under way");
    stuck.abort();
    assert!(
        states(&store)
            .await
            .iter()
            .filter(|(id, _)| id.starts_with('t'))
            .all(|(_, state)| state.0 == DeliveryState::Delivered)
    );
}

#[tokio::test]
async fn a_notifier_that_breaks_down_does_not_kill_its_lane() {
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    let mut deliveries = numbered(3);
    deliveries.push(delivery("panic", "pager"));
    let store = with_pending(&place, deliveries).await;
    let (lane, stop) = (lane(&store, &sink, 2, &ManualClock::at(at(0))), CancellationToken::new());
    let running = tokio::spawn(lane.run(stop.clone()));
    sink.until(3).await;
    let began = Instant::now();
    while states(&store).await["panic"].1 == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "the attempt was never settled");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(states(&store).await["panic"], (DeliveryState::Pending, 1));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_nudge_wakes_an_idle_lane() {
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    let store = with_pending(&place, numbered(1)).await;
    let (lane, stop) = (lane(&store, &sink, 2, &ManualClock::at(at(0))), CancellationToken::new());
    let nudge = lane.nudge();
    let running = tokio::spawn(lane.run(stop.clone()));
    sink.until(1).await;
    let deliveries = vec![delivery("news", "pager")];
    store.commit_poll(&PollCommit { deliveries, ..commit(1) }).await.unwrap();
    nudge.notify_one();
    sink.until(2).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(sink.ids(), ["d00000", "news"]);
}

#[tokio::test]
async fn a_stopping_lane_finishes_what_is_under_way_and_gives_back_the_rest() {
    let place = Place::new();
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let sink = Sink::new(move |_, _| Reply::Held(Arc::clone(&held))).await;
    let store = with_pending(&place, numbered(100)).await;
    let (clock, stop) = (ManualClock::at(at(0)), CancellationToken::new());
    let running = tokio::spawn(lane(&store, &sink, 4, &clock).run(stop.clone()));
    sink.until(4).await;
    stop.cancel();
    gate.add_permits(1000);
    running.await.unwrap();
    let states = states(&store).await;
    assert_eq!(states.values().filter(|state| **state == (DeliveryState::Delivered, 1)).count(), 4);
    assert_eq!(states.values().filter(|state| **state == (DeliveryState::Pending, 0)).count(), 96);
    assert_eq!(store.reclaim(at(1)).await.unwrap(), 0, "no claim is left behind");
    lane(&store, &sink, 4, &clock).attempt_due(at(1)).await.unwrap();
    assert!(sink.counts().len() == 100 && sink.counts().values().all(|count| *count == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_deliveries_arrive_exactly_once() {
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    let store = with_pending(&place, numbered(10_000)).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(lane(&store, &sink, 32, &ManualClock::at(at(0))).run(stop.clone()));
    sink.until(10_000).await;
    stop.cancel();
    running.await.unwrap();
    let counts = sink.counts();
    assert!(counts.len() == 10_000 && counts.values().all(|count| *count == 1));
    assert!(states(&store).await.values().all(|state| *state == (DeliveryState::Delivered, 1)));
}

#[tokio::test]
async fn housekeeping_purges_at_the_start() {
    let place = Place::new();
    let store = with_pending(&place, vec![delivery("over", "pager"), delivery("pending", "pager")]).await;
    meddle(
        &place,
        "UPDATE delivery SET state = 'delivered', next_attempt_at = NULL, delivered_at = created_at WHERE id = 'over'",
    )
    .await;
    let month = 31 * 24 * 3600;
    let no_rules = nightbell::rule::RuleSet::compile(Vec::new()).unwrap();
    let retention = Retention::new(std::time::Duration::from_secs(30 * 86_400), no_rules);
    assert_eq!(retention.purge(&*store, at(month - 2 * 24 * 3600)).await.unwrap(), 0);
    let stop = CancellationToken::new();
    let clock = Arc::new(ManualClock::at(at(month + 1)));
    let (runner, until, work) = (Runner::new(clock, Statuses::default()), stop.clone(), Arc::clone(&store));
    let running = tokio::spawn(async move { runner.run(Housekeeping::new(work, retention), &until).await });
    let began = Instant::now();
    while states(&store).await.len() > 1 {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing was purged");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stop.cancel();
    running.await.unwrap();
    assert!(states(&store).await.contains_key("pending"));
}
