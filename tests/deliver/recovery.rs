//! What waits for its next attempt is due at once when its receiver takes messages again, and when a lane begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use nightbell::clock::ManualClock;
use nightbell::model::{Attempt, AttemptOutcome, DeliveryId, DeliveryState, Notification, Severity};
use nightbell::store::{Deliveries as _, Hurried, Outbox as _, PollCommit, PollLedger as _, Settled};
use tokio_util::sync::CancellationToken;

use super::super::sample::{Place, at, commit, delivery};
use super::sink::{OK, Reply, Sink};
use super::{lane, pager, states, with_pending};

fn urgent(id: &str, severity: Severity) -> Notification {
    Notification { severity: Some(severity), ..delivery(id, "pager") }
}

#[tokio::test]
async fn a_first_success_makes_all_that_is_owed_due_at_once_the_most_urgent_first() {
    let place = Place::new();
    let is_out = Arc::new(AtomicBool::new(true));
    let out = Arc::clone(&is_out);
    let sink = Sink::new(move |_, _| if out.load(Ordering::SeqCst) { Reply::Status(503, None) } else { OK }).await;
    let mut later = delivery("digest", "pager");
    later.due_at = at(4000);
    let pending = vec![urgent("info", Severity::Info), urgent("critical", Severity::Critical), later];
    let store = with_pending(&place, pending).await;
    let clock = ManualClock::at(at(0));
    let mut lane = lane(&store, &sink, 1, &clock);
    for second in [0, 5, 30, 120, 600, 1800] {
        clock.set(at(second));
        lane.attempt_due(at(second)).await.unwrap();
    }
    let all = store.deliveries(9).await.unwrap();
    let waits = all.iter().filter(|one| one.next_attempt_at == Some(at(1800 + 3600)));
    assert_eq!(waits.count(), 2, "they would wait an hour");
    is_out.store(false, Ordering::SeqCst);
    let before = sink.ids().len();
    let new = Notification { due_at: at(1900), ..urgent("new", Severity::Error) };
    store.commit_poll(&PollCommit { deliveries: vec![new], now: at(1900), ..commit(1) }).await.unwrap();
    clock.set(at(1900));
    assert_eq!(lane.attempt_due(at(1900)).await.unwrap().delivered, 3);
    assert_eq!(sink.ids()[before..], ["new", "critical", "info"]);
    let states = states(&store).await;
    assert_eq!(states["digest"], (DeliveryState::Pending, 0), "what is not due for the first time keeps its time");
}

#[tokio::test]
async fn a_message_that_fails_by_itself_is_fetched_a_few_times_and_goes_by_its_own_schedule_then() {
    let place = Place::new();
    let sink = Sink::new(|_, id| if id == "bad" { Reply::Status(503, None) } else { OK }).await;
    let store = with_pending(&place, vec![delivery("bad", "pager")]).await;
    let clock = ManualClock::at(at(0));
    let mut lane = lane(&store, &sink, 2, &clock);
    for minute in 0..60 {
        let now = at(60 * minute + 1);
        let good = Notification { due_at: now, ..delivery(&format!("good-{minute}"), "pager") };
        store.commit_poll(&PollCommit { deliveries: vec![good], now, ..commit(minute + 1) }).await.unwrap();
        clock.set(now);
        lane.attempt_due(now).await.unwrap();
    }
    let counts = sink.counts();
    // By its own schedule five or six in the hour, and each of the three more brings the next of those nearer.
    assert!(counts["bad"] <= 10, "{}", counts["bad"]);
    assert_eq!(counts.len(), 61);
}

#[tokio::test]
async fn a_lane_that_begins_tries_at_once_what_waited_but_for_what_the_channel_had_refused_as_too_much() {
    let place = Place::new();
    let is_out = Arc::new(AtomicBool::new(true));
    let out = Arc::clone(&is_out);
    let sink = Sink::new(move |_, id| match (out.load(Ordering::SeqCst), id) {
        (true, "much") => Reply::Status(429, Some(3000)),
        (true, _) => Reply::Status(401, None),
        (false, _) => OK,
    })
    .await;
    let store = with_pending(&place, vec![urgent("key", Severity::Critical), delivery("much", "pager")]).await;
    let clock = ManualClock::at(at(0));
    let mut before = lane(&store, &sink, 1, &clock);
    before.attempt_due(at(0)).await.unwrap();
    drop(before);
    // Somebody has mended the key and reloads: nobody waits for the hour to pass.
    is_out.store(false, Ordering::SeqCst);
    clock.set(at(100));
    let stop = CancellationToken::new();
    let running = tokio::spawn(lane(&store, &sink, 1, &clock).run(stop.clone()));
    sink.until(3).await;
    stop.cancel();
    running.await.unwrap();
    let states = states(&store).await;
    assert_eq!((states["key"].0, states["much"].0), (DeliveryState::Delivered, DeliveryState::Pending));
    assert_eq!(store.next_due(&pager(), at(100)).await.unwrap(), Some(at(3000)));
}

#[tokio::test]
async fn patience_that_was_not_used_up_comes_back() {
    let place = Place::new();
    let store = with_pending(&place, vec![delivery("d1", "pager"), delivery("d2", "pager")]).await;
    store.claim(&pager(), at(0), 9).await.unwrap();
    let settled = |id: &str, second: i64| Settled {
        id: DeliveryId::new(id),
        attempt_number: 1,
        started_at: at(second),
        ended_at: at(second),
        attempt: Attempt::failed(AttemptOutcome::Retry, Some("503".into()), "busy"),
        state: DeliveryState::Pending,
        last_error: None,
        next_attempt_at: Some(at(second) + SignedDuration::from_hours(1)),
        patience_spent: Duration::from_secs(2 * 3600),
    };
    store.settle(&[settled("d1", 0), settled("d2", 600)]).await.unwrap();
    let which = Hurried { attempted_before: at(600), spares_throttled: false, except: Vec::new() };
    let except = Hurried { except: vec![DeliveryId::new("d1")], ..which.clone() };
    assert_eq!(store.hurry(&pager(), &except, at(600)).await.unwrap(), 0);
    assert_eq!(store.hurry(&pager(), &which, at(600)).await.unwrap(), 1, "d2 failed no earlier than the success");
    let all = store.deliveries(9).await.unwrap();
    let one = all.iter().find(|one| one.id.as_str() == "d1").unwrap();
    assert_eq!((one.next_attempt_at, one.patience_spent), (Some(at(600)), Duration::from_secs(2 * 3600 - 3000)));
}
