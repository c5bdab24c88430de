//! Falling back, on a real store: who is told in whose place, when, and how often. Time is moved by hand.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nightbell::clock::ManualClock;
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{
    Alert, Attempt, AttemptOutcome, Delivery, DeliveryId, DeliveryState, MessageKind, Notification, ReceiverId,
    Severity,
};
use nightbell::notify::{Fallback, ReceiverSettings, Renderer};
use nightbell::store::{
    Board as _, Deliveries as _, FallbackDeliveries as _, Groups as _, KnownReceiver, Outbox as _, OwnAlerts as _,
    PollCommit, PollLedger as _, Settled, SqlStore,
};
use nightbell::worker::fallback::{Fallbacks, Route};
use nightbell::worker::pending::{Receiver, Receivers};
use nightbell::worker::turn::{Runner, Statuses};
use tokio_util::sync::CancellationToken;

use super::sample::{Place, alert, at, commit, delivery, resolution, resolved};
use super::store::meddle;

const MINUTE: i64 = 60;

/// `oncall` has the fallback `pager`, which has the fallback `boss`; `mail` is told of no resolution.
const RECEIVERS: &str = "version: 1\nsources:\n  s: { type: dataarts, region: r, project_id: p, auth: { token: { env: T } } }\nreceivers:\n  \
    oncall: { type: webhook, url: 'http://127.0.0.1:1/a', fallback: pager }\n  \
    pager: { type: webhook, url: 'http://127.0.0.1:1/b', fallback: { to: boss, after: 30m } }\n  \
    boss: { type: webhook, url: 'http://127.0.0.1:1/c' }\n  \
    team: { type: webhook, url: 'http://127.0.0.1:1/d', fallback: mail }\n  \
    mail: { type: email, smtp_url: 'smtp+plain://127.0.0.1:1', from: a@example.com, to: [b@example.com] }\n";

fn settings() -> Vec<ReceiverSettings> {
    let options = LoadOptions { offline: true };
    let loaded = Config::from_text(RECEIVERS.into(), "test", std::path::Path::new(""), &options);
    loaded.unwrap_or_else(|problem| panic!("{problem}")).config.receivers
}

fn receivers() -> Arc<Receivers> {
    Arc::new(settings().iter().map(|settings| Receiver::new(settings, Renderer::open(settings).unwrap())).collect())
}

fn fallbacks(store: &Arc<SqlStore>) -> Fallbacks<SqlStore> {
    let route = |settings: ReceiverSettings| Some(Route { receiver: settings.id, fallback: settings.fallback? });
    Fallbacks::new(Arc::clone(store), receivers(), settings().into_iter().filter_map(route).collect())
}

/// The delivery that tells `receiver` of `alert`.
fn telling(id: &str, alert: &Alert, receiver: &str) -> Notification {
    let severity = Some(alert.facts.alert.severity);
    Notification { alert: Some(alert.id.clone()), severity, ..delivery(id, receiver) }
}

async fn with_pending(
    place: &Place,
    fired: Vec<Alert>,
    deliveries: Vec<Notification>,
) -> (Arc<SqlStore>, Fallbacks<SqlStore>) {
    let store = Arc::new(place.open().await);
    store.commit_poll(&PollCommit { fired, deliveries, ..commit(0) }).await.unwrap();
    let fallbacks = fallbacks(&store);
    (store, fallbacks)
}

/// The deliveries as "receiver kind state", the oldest first, of those that stand in for others or answer them.
async fn fallbacks_made(store: &SqlStore) -> Vec<String> {
    let mut all = store.deliveries(1000).await.unwrap();
    all.sort_by_key(|one| (one.created_at, one.id.clone()));
    let by_fallback =
        |one: &&Delivery| one.content.part("body").contains("stands_in_for") || one.fallback_for.is_some();
    all.iter().filter(by_fallback).map(|one| format!("{} {} {}", one.receiver, one.kind, one.state.as_str())).collect()
}

async fn settle(store: &SqlStore, id: &str, ended: Timestamp, attempt: Attempt, state: DeliveryState) {
    let number = store.deliveries(1000).await.unwrap().iter().find(|one| one.id.as_str() == id).unwrap().attempts + 1;
    let settled = Settled {
        id: DeliveryId::new(id),
        attempt_number: number,
        started_at: ended,
        ended_at: ended,
        last_error: attempt.error.clone(),
        attempt,
        state,
        next_attempt_at: (state == DeliveryState::Pending).then_some(ended + jiff::SignedDuration::from_hours(1)),
        patience_spent: std::time::Duration::ZERO,
    };
    store.settle(&[settled]).await.unwrap();
}

async fn dies(store: &SqlStore, id: &str, ended: Timestamp) {
    let gone = Attempt::failed(AttemptOutcome::Rejected, Some("404".into()), "answered 404: no_service");
    settle(store, id, ended, gone, DeliveryState::Dead).await;
}

/// Ends an alert in the store.
async fn end(store: &SqlStore, alert: Alert, generation: i64, ended: Timestamp) {
    let changed = vec![resolved(alert, ended)];
    store.commit_poll(&PollCommit { changed, ..commit(generation) }).await.unwrap();
}

#[tokio::test]
async fn what_is_pending_for_fifteen_minutes_goes_to_the_fallback_once_over_restarts() {
    let place = Place::new();
    let told = alert("a1", "etl");
    let (store, fallbacks) = with_pending(&place, vec![told.clone()], vec![telling("d1", &told, "oncall")]).await;
    let busy = Attempt::failed(AttemptOutcome::Retry, Some("503".into()), "answered 503");
    settle(&store, "d1", at(5), busy, DeliveryState::Pending).await;
    assert_eq!(fallbacks.next_due().await.unwrap(), Some(at(15 * MINUTE)));
    assert_eq!(fallbacks.pass(at(15 * MINUTE - 1)).await.unwrap(), 0);
    assert_eq!(fallbacks.pass(at(15 * MINUTE)).await.unwrap(), 1);
    assert_eq!(fallbacks_made(&store).await, ["pager alert.firing pending"]);
    // What stands in is due itself at the next link of the chain, not the original again.
    assert_eq!(fallbacks.next_due().await.unwrap(), Some(at(45 * MINUTE)));
    drop((fallbacks, store));
    let store = Arc::new(place.open().await);
    assert_eq!(self::fallbacks(&store).pass(at(16 * MINUTE)).await.unwrap(), 0);
    let all = store.deliveries(9).await.unwrap();
    let one = all.iter().find(|one| one.receiver.as_str() == "pager").unwrap();
    assert_eq!((one.alert.as_ref(), one.severity), (Some(&told.id), Some(Severity::Error)));
    assert_eq!(one.fallback_for, Some(DeliveryId::new("d1")));
    let body: serde_json::Value = serde_json::from_str(one.content.part("body")).unwrap();
    assert_eq!(body["type"], "alert.firing");
    assert_eq!(body["data"]["job"]["name"], "etl");
    assert_eq!(
        body["stands_in_for"],
        serde_json::json!({ "receiver": "oncall", "given_up": false, "since": at(0).to_string(), "attempts": 1, "error": "answered 503" })
    );
    // The original is pending as before, and arrives after all.
    settle(&store, "d1", at(3600), Attempt::delivered("200"), DeliveryState::Delivered).await;
    assert_eq!(store.count_due(&ReceiverId::new("pager"), at(3600)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_channel_that_was_down_does_not_make_the_alert_noticed_late() {
    let place = Place::new();
    let mut told = alert("a1", "etl");
    told.facts.alert.starts_at = told.created_at - jiff::SignedDuration::from_secs(30);
    let (store, fallbacks) = with_pending(&place, vec![told.clone()], vec![telling("d1", &told, "team")]).await;
    assert_eq!(fallbacks.pass(at(20 * MINUTE)).await.unwrap(), 1);
    let all = store.deliveries(9).await.unwrap();
    let text = all.iter().find(|one| one.receiver.as_str() == "mail").unwrap().content.part("text");
    assert!(text.contains("noticed 30s later"), "{text}");
    assert!(text.contains("team"), "{text}");
}

#[tokio::test]
async fn the_id_of_what_stands_in_is_the_same_each_time_and_not_that_of_a_direct_one() {
    let mut ids = Vec::new();
    for _ in 0..2 {
        let place = Place::new();
        let told = alert("a1", "etl");
        let (store, fallbacks) = with_pending(&place, vec![told.clone()], vec![telling("d1", &told, "oncall")]).await;
        fallbacks.pass(at(3600)).await.unwrap();
        ids.extend(
            store
                .deliveries(9)
                .await
                .unwrap()
                .into_iter()
                .filter(|one| one.receiver.as_str() == "pager")
                .map(|one| one.notification.id),
        );
    }
    let id = nightbell::alert::identity::delivery_id;
    let direct = id(&"a1".into(), &"pager".into(), MessageKind::AlertFiring);
    assert!(ids.len() == 2 && ids[0] == ids[1] && ids[0] != direct, "{ids:?}");
}

#[tokio::test]
async fn a_dead_letter_goes_to_the_fallback_at_once_and_down_the_chain() {
    let place = Place::new();
    let told = alert("a1", "etl");
    let (store, fallbacks) = with_pending(&place, vec![told.clone()], vec![telling("d1", &told, "oncall")]).await;
    dies(&store, "d1", at(2)).await;
    assert_eq!(fallbacks.pass(at(3)).await.unwrap(), 1);
    let id =
        store.deliveries(9).await.unwrap().into_iter().find(|one| one.receiver.as_str() == "pager").unwrap().id.clone();
    dies(&store, id.as_str(), at(4)).await;
    assert_eq!(fallbacks.pass(at(5)).await.unwrap(), 1);
    assert_eq!(fallbacks_made(&store).await, ["pager alert.firing dead", "boss alert.firing pending"]);
    assert_eq!(fallbacks.pass(at(6)).await.unwrap(), 0);
    let last = store.deliveries(9).await.unwrap().into_iter().find(|one| one.receiver.as_str() == "boss").unwrap();
    assert!(last.content.part("body").contains("\"receiver\":\"pager\",\"given_up\":true"), "{:?}", last.content);
}

#[tokio::test]
async fn a_running_loop_wakes_for_a_death_and_tells_the_lane() {
    let place = Place::new();
    let told = alert("a1", "etl");
    let (store, fallbacks) = with_pending(&place, vec![told.clone()], vec![telling("d1", &told, "oncall")]).await;
    let (nudge, stop) = (fallbacks.nudge(), CancellationToken::new());
    let (runner, until) = (Runner::new(Arc::new(ManualClock::at(at(0))), Statuses::default()), stop.clone());
    let running = tokio::spawn(async move { runner.run(fallbacks, &until).await });
    dies(&store, "d1", at(2)).await;
    nudge.notify_one();
    let began = std::time::Instant::now();
    while fallbacks_made(&store).await.is_empty() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "the loop slept on");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn what_is_not_bad_enough_or_was_told_or_died_long_ago_stays_where_it_is() {
    let place = Place::new();
    let mut mild = alert("a1", "mild");
    mild.facts.alert.severity = Severity::Warning;
    let (fine, old, other) = (alert("a2", "fine"), alert("a3", "old"), alert("a4", "other"));
    let deliveries = vec![
        telling("d1", &mild, "oncall"),
        telling("d2", &fine, "oncall"),
        telling("d3", &old, "oncall"),
        telling("d4", &other, "boss"),
        delivery("no-alert", "oncall"),
    ];
    let (store, fallbacks) = with_pending(&place, vec![mild, fine, old, other], deliveries).await;
    settle(&store, "d2", at(1), Attempt::delivered("200"), DeliveryState::Delivered).await;
    dies(&store, "d3", at(1)).await;
    dies(&store, "d4", at(1)).await;
    assert_eq!(fallbacks.pass(at(2 + 24 * 3600)).await.unwrap(), 0);
    assert_eq!(fallbacks.pass(at(24 * 3600)).await.unwrap(), 1, "the night's dead letters are told in the morning");
}

/// Whoever gives a message up knows of the alert: nobody is woken in the receiver's place.
#[tokio::test]
async fn what_a_person_gave_up_goes_to_no_fallback() {
    let place = Place::new();
    let (one, two, three) = (alert("a1", "one"), alert("a2", "two"), alert("a3", "three"));
    let deliveries = [("d1", &one), ("d2", &two), ("d3", &three)].map(|(id, alert)| telling(id, alert, "oncall"));
    let (store, fallbacks) = with_pending(&place, vec![one, two, three], deliveries.to_vec()).await;
    for id in ["d1", "d3"] {
        dies(&store, id, at(1)).await;
    }
    let dropped = store.drop_deliveries(&["d1".into(), "d2".into()], "kim", "told by phone", at(2)).await.unwrap();
    assert_eq!(dropped.len(), 2, "a dead one, and one that was pending");
    assert_eq!(fallbacks.pass(at(3)).await.unwrap(), 1, "the other dead one alone");
    let told = store.deliveries(9).await.unwrap();
    let told: Vec<_> = told.iter().filter_map(|one| one.fallback_for.as_ref()).collect();
    assert_eq!(told, [&DeliveryId::new("d3")]);
}

#[tokio::test]
async fn who_hears_of_the_alert_anyway_is_not_told_twice() {
    let place = Place::new();
    let told = alert("a1", "etl");
    let both = vec![telling("d1", &told, "oncall"), telling("d2", &told, "pager")];
    let (store, fallbacks) = with_pending(&place, vec![told], both).await;
    dies(&store, "d1", at(1)).await;
    assert_eq!(fallbacks.pass(at(2)).await.unwrap(), 1);
    assert!(fallbacks_made(&store).await.is_empty());
    assert_eq!(fallbacks.pass(at(3)).await.unwrap(), 0);
}

#[tokio::test]
async fn the_end_of_an_alert_is_told_to_who_was_told_of_it() {
    let place = Place::new();
    let (one, two) = (alert("a1", "one"), alert("a2", "two"));
    // The receivers' own resolutions wait behind their firings, or died with them, and are no business of the fallback.
    let deliveries = vec![telling("d1", &one, "oncall"), telling("d2", &two, "team"), resolution("r1", "oncall", "d1")];
    let (store, fallbacks) = with_pending(&place, vec![one.clone(), two.clone()], deliveries).await;
    assert_eq!(fallbacks.pass(at(15 * MINUTE)).await.unwrap(), 2);
    end(&store, one, 1, at(20 * MINUTE)).await;
    end(&store, two, 2, at(20 * MINUTE)).await;
    assert_eq!(fallbacks.pass(at(21 * MINUTE)).await.unwrap(), 1, "mail wants no resolutions");
    assert_eq!(fallbacks.pass(at(22 * MINUTE)).await.unwrap(), 0);
    let all = store.deliveries(99).await.unwrap();
    let firing = all.iter().find(|one| one.receiver.as_str() == "pager" && one.fallback_for.is_some()).unwrap();
    let answer = all.iter().find(|it| it.follows.as_ref() == Some(&firing.id)).unwrap();
    assert_eq!((answer.receiver.as_str(), answer.kind), ("pager", MessageKind::AlertResolved));
    assert!(
        answer.content.part("body").contains("\"stands_in_for\":{\"receiver\":\"oncall\"}"),
        "{:?}",
        answer.content
    );
    assert_eq!(fallbacks_made(&store).await.len(), 3);
}

#[tokio::test]
async fn a_fallback_that_was_not_told_of_an_alert_is_not_told_of_its_end() {
    let place = Place::new();
    let told = alert("a1", "etl");
    let (store, fallbacks) = with_pending(&place, vec![told.clone()], vec![telling("d1", &told, "pager")]).await;
    fallbacks.pass(at(30 * MINUTE)).await.unwrap();
    let id =
        store.deliveries(9).await.unwrap().into_iter().find(|one| one.receiver.as_str() == "boss").unwrap().id.clone();
    dies(&store, id.as_str(), at(31 * MINUTE)).await;
    end(&store, told, 1, at(32 * MINUTE)).await;
    assert_eq!(fallbacks.pass(at(33 * MINUTE)).await.unwrap(), 0);
}

#[tokio::test]
async fn an_alert_that_is_over_by_then_is_told_once_as_over() {
    let place = Place::new();
    let told = alert("a1", "etl");
    let (store, fallbacks) = with_pending(&place, vec![told.clone()], vec![telling("d1", &told, "team")]).await;
    end(&store, told, 1, at(10 * MINUTE)).await;
    assert_eq!(fallbacks.pass(at(15 * MINUTE)).await.unwrap(), 1);
    assert_eq!(fallbacks.pass(at(16 * MINUTE)).await.unwrap(), 0);
    let mails = store.deliveries(9).await.unwrap();
    let mail = mails.iter().find(|one| one.receiver.as_str() == "mail").unwrap();
    assert_eq!(mail.kind, MessageKind::AlertResolved);
    let text = mail.content.part("text");
    assert!(text.starts_with("⚠️ Intended for team, which has not been reached yet (not attempted since "), "{text}");
}

#[tokio::test]
async fn what_was_merged_falls_back_with_the_message_that_tells_it() {
    let place = Place::new();
    let (one, two, mild) = (alert("a1", "one"), alert("a2", "two"), alert("a3", "mild"));
    let of =
        |id: &str, about: &Alert, severity| Notification { severity: Some(severity), ..telling(id, about, "oncall") };
    let deliveries =
        vec![of("d1", &one, Severity::Critical), of("d2", &two, Severity::Error), of("d3", &mild, Severity::Info)];
    let (store, fallbacks) = with_pending(&place, vec![one, two, mild], deliveries).await;
    let members = ["d1", "d2", "d3"].map(DeliveryId::new);
    assert!(store.merge(&delivery("whole", "oncall"), &members).await.unwrap());
    assert_eq!(fallbacks.next_due().await.unwrap(), Some(at(15 * MINUTE)));
    assert_eq!(fallbacks.pass(at(14 * MINUTE)).await.unwrap(), 0);
    dies(&store, "whole", at(14 * MINUTE)).await;
    assert_eq!(fallbacks.pass(at(14 * MINUTE)).await.unwrap(), 2);
    assert_eq!(fallbacks_made(&store).await, ["pager alert.firing pending", "pager alert.firing pending"]);
    assert_eq!(fallbacks.pass(at(20 * MINUTE)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_group_that_has_arrived_leaves_nothing_to_fall_back() {
    let place = Place::new();
    let told = alert("a1", "one");
    let (store, fallbacks) = with_pending(&place, vec![told.clone()], vec![telling("d1", &told, "oncall")]).await;
    assert!(store.merge(&delivery("whole", "oncall"), &[DeliveryId::new("d1")]).await.unwrap());
    settle(&store, "whole", at(1), Attempt::delivered("200"), DeliveryState::Delivered).await;
    assert_eq!(fallbacks.pass(at(3600)).await.unwrap(), 0);
}

#[tokio::test]
async fn mark_and_message_are_one_transaction() {
    let place = Place::file();
    let told = alert("a1", "etl");
    let (store, fallbacks) = with_pending(&place, vec![told.clone()], vec![telling("d1", &told, "oncall")]).await;
    meddle(&place, "CREATE TRIGGER trouble BEFORE INSERT ON delivery BEGIN SELECT RAISE(ABORT, 'trouble'); END").await;
    assert!(fallbacks.pass(at(3600)).await.is_err());
    meddle(&place, "DROP TRIGGER trouble").await;
    assert_eq!(fallbacks.pass(at(3600)).await.unwrap(), 1);
    assert_eq!(fallbacks_made(&store).await.len(), 1);
}

#[tokio::test]
async fn a_storm_goes_to_the_fallback_whole() {
    let place = Place::new();
    let alerts: Vec<Alert> = (0..1234).map(|number| alert(&format!("a{number}"), &format!("job{number}"))).collect();
    let deliveries = alerts.iter().map(|alert| telling(&format!("d-{}", alert.id.as_str()), alert, "oncall")).collect();
    let (store, fallbacks) = with_pending(&place, alerts, deliveries).await;
    assert_eq!(fallbacks.pass(at(15 * MINUTE)).await.unwrap(), 1234);
    assert_eq!(store.count_due(&ReceiverId::new("pager"), at(15 * MINUTE)).await.unwrap(), 1234);
}

/// A receiver is renamed while something is pending for it.
#[tokio::test]
async fn what_is_pending_for_a_receiver_that_is_gone_is_dead_and_its_fallback_hears() {
    let place = Place::new();
    let store = Arc::new(place.open().await);
    let alert = alert("a1", "etl");
    let deliveries = vec![telling("d1", &alert, "renamed"), delivery("d2", "gone"), delivery("d3", "pager")];
    store.commit_poll(&PollCommit { fired: vec![alert], deliveries, ..commit(0) }).await.unwrap();
    let known = |id: &str, fallback: Option<&str>| KnownReceiver {
        id: ReceiverId::new(id),
        fallback: fallback.map(|to| (ReceiverId::new(to), Duration::from_secs(900))),
    };
    let (before, after) =
        ([known("renamed", Some("pager")), known("pager", None), known("gone", None)], [known("pager", None)]);
    assert!(store.keep_receivers(&before, None, at(0)).await.unwrap().is_empty());
    assert!(store.own_state(at(0)).await.unwrap().health.is_empty());
    // Two days later, and not tried since: it is now that it is given up.
    let now = at(2 * 86_400);
    let gone = store.keep_receivers(&after, None, now).await.unwrap();
    assert_eq!(gone, [known("gone", None), known("renamed", Some("pager"))]);
    for one in store.deliveries(10).await.unwrap() {
        let is_kept = one.receiver.as_str() == "pager";
        assert_eq!(one.state, if is_kept { DeliveryState::Pending } else { DeliveryState::Dead });
        let reason = "the receiver is no longer in the configuration";
        assert_eq!(one.last_error.as_deref(), (!is_kept).then_some(reason));
    }
    let troubled = store.own_state(now).await.unwrap().health;
    assert!(troubled.len() == 2 && troubled.iter().all(|one| one.is_lasting && one.since == now), "{troubled:?}");
    let route = Route {
        receiver: ReceiverId::new("renamed"),
        fallback: Fallback { to: ReceiverId::new("pager"), after: Duration::from_secs(900) },
    };
    let fallbacks = Fallbacks::new(Arc::clone(&store), receivers(), vec![route]);
    assert_eq!(fallbacks.pass(now).await.unwrap(), 1);
    let told = store.deliveries(10).await.unwrap();
    assert!(told.iter().any(|one| one.receiver.as_str() == "pager" && one.fallback_for.is_some()));
    // A day later it is over; whoever comes back is a receiver like any other.
    assert!(store.keep_receivers(&after, None, at(4 * 86_400)).await.unwrap().is_empty());
    assert!(store.own_state(now).await.unwrap().health.is_empty());
}
