//! Clocks that were wrong for a while, and processes that were stopped: nothing hangs on a time that cannot be.

use std::time::Duration;

use nightbell::clock::ManualClock;
use nightbell::model::{AlertId, DeliveryState, GroupPlace, Notification, Severity};
use nightbell::store::{
    Deliveries as _, FallbackDeliveries as _, Groups as _, Outbox as _, PollCommit, PollLedger as _,
};

use super::super::sample::{Place, alert, at, commit, delivery};
use super::sink::{OK, Reply, Sink};
use super::{lane, pager, with_pending};

const DAY: i64 = 86_400;

#[tokio::test]
async fn a_stop_of_two_days_costs_no_patience() {
    let place = Place::new();
    let sink = Sink::new(|count, _| if count < 3 { Reply::Status(503, None) } else { OK }).await;
    let store = with_pending(&place, vec![delivery("d1", "pager")]).await;
    let clock = ManualClock::at(at(0));
    let mut lane = lane(&store, &sink, 1, &clock);
    // Pending on Friday and tried once, then stopped for two days; the channel needs five seconds more.
    for (now, next) in [(0, 5), (2 * DAY, 2 * DAY + 25), (2 * DAY + 25, 2 * DAY + 115)] {
        clock.set(at(now));
        assert_eq!(lane.attempt_due(at(now)).await.unwrap().attempted, 1);
        let one = store.deliveries(1).await.unwrap().remove(0);
        assert_eq!((one.state, one.next_attempt_at), (DeliveryState::Pending, Some(at(next))), "at {now}");
    }
    clock.set(at(2 * DAY + 115));
    assert_eq!(lane.attempt_due(at(2 * DAY + 115)).await.unwrap().delivered, 1);
}

#[tokio::test]
async fn an_attempt_that_is_due_further_ahead_than_any_can_be_is_due() {
    for (ahead, is_due) in [(60, false), (3600, false), (DAY, true), (3650 * DAY, true)] {
        let place = Place::new();
        let sink = Sink::new(|_, _| OK).await;
        let one = Notification { due_at: at(ahead), ..delivery("d1", "pager") };
        let store = with_pending(&place, vec![one, delivery("d2", "team")]).await;
        let next = store.next_due(&pager(), at(0)).await.unwrap();
        assert_eq!(next, Some(at(if is_due { 0 } else { ahead })), "{ahead} s ahead");
        let mut lane = lane(&store, &sink, 1, &ManualClock::at(at(0)));
        assert_eq!(lane.attempt_due(at(0)).await.unwrap().delivered, u64::from(is_due), "{ahead} s ahead");
    }
}

#[tokio::test]
async fn a_group_that_waits_longer_than_any_can_is_due() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    // How far apart messages of the group are, how long this one waits.
    for (interval, ahead, is_due) in
        [(hours(0), 30, false), (hours(0), DAY, true), (hours(24), DAY, false), (hours(24), 2 * DAY, true)]
    {
        let place = Place::new();
        let group = Some(GroupPlace { key: "k".into(), interval, repeat: None, told_at: None });
        let one = Notification { group, due_at: at(ahead), ..delivery("d1", "pager") };
        let store = with_pending(&place, vec![one]).await;
        let due = store.due_groups(&pager(), at(0), at(0)).await.unwrap();
        assert_eq!(due.len(), usize::from(is_due), "{interval:?}, {ahead} s ahead");
        let next = store.next_due(&pager(), at(0)).await.unwrap();
        assert_eq!(next, Some(at(if is_due { 0 } else { ahead })), "{interval:?}, {ahead} s ahead");
        // Where it waits on for its interval, it waits by the clock that is right.
        store.postpone_group(&pager(), "k", at(300)).await.unwrap();
        assert_eq!(store.next_due(&pager(), at(0)).await.unwrap(), Some(at(300)));
    }
}

#[tokio::test]
async fn a_fallback_waits_for_no_delivery_that_was_made_tomorrow() {
    for (made, is_due) in [(0, false), (30, false), (DAY, true)] {
        let place = Place::new();
        let alert = alert("a1", "etl");
        let one = Notification {
            alert: Some(AlertId::new("a1")),
            severity: Some(Severity::Error),
            created_at: at(made),
            ..delivery("d1", "pager")
        };
        let store = place.open().await;
        store.commit_poll(&PollCommit { fired: vec![alert], deliveries: vec![one], ..commit(0) }).await.unwrap();
        let found = store.undelivered(&pager(), (at(-900), at(-DAY)), 10, at(0)).await.unwrap();
        assert_eq!(found.len(), usize::from(is_due), "made {made} s ahead");
    }
}
