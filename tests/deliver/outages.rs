//! Receivers that are out for hours: nothing is lost, nothing arrives twice, and others are on time. Hours pass by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nightbell::clock::ManualClock;
use nightbell::model::DeliveryState;
use nightbell::store::{Deliveries as _, Outbox as _, PollCommit, PollLedger as _};

use super::super::sample::{Place, at, commit, delivery};
use super::sink::{Hook, OK, Reply, Sink};
use nightbell::worker::turn::Statuses;
use tokio_util::sync::CancellationToken;

use super::sink::until;
use super::{lane_to, numbered, pager, states, with_pending};

const MINUTE: i64 = 60;

/// Runs a night: each five minutes for `hours` a message is pending for each of two receivers, one of which answers `reply`
/// for so long and is well afterwards. Returns, for each receiver, at which second each id was taken, and how often the
/// one that was out was asked.
async fn night(hours: i64, reply: Reply) -> (BTreeMap<String, i64>, BTreeMap<String, i64>, usize) {
    let place = Place::new();
    let is_out = Arc::new(AtomicBool::new(true));
    let asked = Arc::new(AtomicUsize::new(0));
    let (seen_out, counted) = (Arc::clone(&is_out), Arc::clone(&asked));
    let troubled = Sink::new(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        if seen_out.load(Ordering::SeqCst) { reply.clone() } else { OK }
    })
    .await;
    let well = Sink::new(|_, _| OK).await;
    let store = Arc::new(place.open().await);
    let clock = ManualClock::at(at(0));
    let mut lanes = [
        lane_to("pager", &store, Hook::new(&troubled.url, 2), &clock),
        lane_to("team", &store, Hook::new(&well.url, 2), &clock),
    ];
    let mut asked_while_out = 0;
    // The hour after the outage sees every message that the hourly retries still hold.
    for tick in 0..=(hours + 2) * 12 {
        let now = at(tick * 5 * MINUTE);
        clock.set(now);
        if tick < hours * 12 {
            let pending = ["pager", "team"].map(|receiver| {
                let one = delivery(&format!("{receiver}-{tick:03}"), receiver);
                nightbell::model::Notification { created_at: now, due_at: now, ..one }
            });
            store.commit_poll(&PollCommit { deliveries: pending.into(), now, ..commit(tick) }).await.unwrap();
        } else if is_out.swap(false, Ordering::SeqCst) {
            asked_while_out = asked.load(Ordering::SeqCst);
        }
        for lane in &mut lanes {
            lane.attempt_due(now).await.unwrap();
        }
    }
    assert!(states(&store).await.values().all(|(state, _)| *state == DeliveryState::Delivered));
    let taken = |receiver: &'static str| {
        let store = Arc::clone(&store);
        async move {
            let all = store.deliveries(10_000).await.unwrap();
            let mine = all.into_iter().filter(|one| one.receiver.as_str() == receiver);
            mine.map(|one| (one.id.to_string(), one.delivered_at.unwrap().duration_since(at(0)).as_secs())).collect()
        }
    };
    // Each was taken once: what was sent after the outage is as many requests as messages.
    assert_eq!(asked.load(Ordering::SeqCst) - asked_while_out, usize::try_from(hours * 12).unwrap());
    assert!(well.counts().values().all(|count| *count == 1), "{:?}", well.counts());
    (taken("pager").await, taken("team").await, asked_while_out)
}

#[tokio::test]
async fn a_receiver_that_is_dead_for_six_hours_loses_nothing_and_delays_no_other() {
    let (late, punctual, _) = night(6, Reply::Status(503, None)).await;
    assert_eq!((late.len(), punctual.len()), (72, 72));
    for (tick, (id, second)) in (0..).zip(&punctual) {
        assert_eq!(*second, tick * 5 * MINUTE, "{id} was not on time");
    }
    // The first that arrives takes all others with it: none waits for its own next attempt, up to an hour later.
    assert!(late.values().all(|second| (6 * 3600..=6 * 3600 + 10 * MINUTE).contains(second)), "{late:?}");
}

#[tokio::test]
async fn a_receiver_that_is_busy_for_an_hour_is_asked_as_often_as_it_wants() {
    let (late, punctual, asked) = night(1, Reply::Status(429, Some(300))).await;
    assert_eq!((late.len(), punctual.len()), (12, 12));
    assert!(punctual.values().enumerate().all(|(tick, second)| *second == tick as i64 * 5 * MINUTE), "{punctual:?}");
    // Once in each of the five minutes that it asked for; at first no more than may be under way at once.
    assert!((1..=13).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_lane_says_in_its_status_when_something_is_due_next() {
    let place = Place::new();
    let sink = Sink::new(|count, _| if count == 0 { Reply::Status(503, None) } else { OK }).await;
    let store = with_pending(&place, numbered(1)).await;
    let (clock, statuses, stop) = (ManualClock::at(at(0)), Statuses::default(), CancellationToken::new());
    let lane = lane_to("pager", &store, Hook::new(&sink.url, 1), &clock).publishing(&statuses);
    let running = tokio::spawn(lane.run(stop.clone()));
    let due = || statuses.get("deliver/pager").unwrap().next_due;
    until(|| due().is_some()).await;
    assert_eq!(due(), store.next_due(&pager(), at(0)).await.unwrap());
    stop.cancel();
    running.await.unwrap();
}

/// How long the channel asked for is what the heartbeat goes by: the lane says so itself, and that it was over.
#[tokio::test]
async fn a_lane_that_is_asked_to_wait_says_until_when_in_its_status() {
    let place = Place::new();
    let sink = Sink::new(|count, _| if count == 0 { Reply::Status(429, Some(3600)) } else { OK }).await;
    let store = with_pending(&place, numbered(1)).await;
    let (clock, statuses, stop) = (ManualClock::at(at(0)), Statuses::default(), CancellationToken::new());
    let lane = lane_to("pager", &store, Hook::new(&sink.url, 1), &clock).publishing(&statuses);
    let nudge = lane.nudge();
    let asked = || statuses.get("deliver/pager").unwrap().asked_to_wait_until;
    assert_eq!(asked(), None);
    let running = tokio::spawn(lane.run(stop.clone()));
    until(|| asked() == Some(at(3600))).await;
    clock.set(at(3600));
    nudge.notify_one();
    sink.until(2).await;
    until(|| asked().is_none()).await;
    assert_eq!(statuses.get("deliver/pager").unwrap().looked_at, Some(at(3600)));
    stop.cancel();
    running.await.unwrap();
    assert_eq!(statuses.get("deliver/pager"), None, "a lane that has ended has no status");
}
