//! Slack by a bot: the reply in the thread, the first message updated, and what happens when Slack will not.

use nightbell::clock::ManualClock;
use nightbell::model::AttemptOutcome::{Delivered, Retry, Throttled};
use nightbell::model::{Attempt, Delivery, DeliveryId, MessageKind, Notification, Revival};
use nightbell::notify::Notifier as _;
use nightbell::store::{PollCommit, PollLedger as _};
use nightbell::template::sample_message;
use nightbell::worker::deliver::Lane;
use serde_json::{Value, json};

use super::super::sample::{Place, commit};
use super::http::{Reply, Server, split};
use super::{delivery, firing, now, open, settings, yaml_of};

/// Slack with a few messages in the channel C0123: `1.1` and `9.9` are ours, `1.2` is somebody else's, `1.3` was deleted,
/// `1.4` takes neither updates nor replies, `1.5` meets a server in trouble and `1.6` a busy one.
fn slack(head: &str, body: &[u8]) -> (u16, String) {
    let method = head.split(' ').nth(1).unwrap_or_default().trim_start_matches("/api/").to_string();
    let body: Value = serde_json::from_slice(body).unwrap();
    let no = |name: &str| (200, json!({ "ok": false, "error": name }).to_string());
    if body["channel"] != "C0123" {
        return no("channel_not_found");
    }
    let key = if method == "chat.update" { "ts" } else { "thread_ts" };
    match (method.as_str(), body[key].as_str()) {
        ("chat.update", Some("1.1" | "9.9")) => {
            (200, json!({ "ok": true, "channel": "C0123", "ts": "1.1" }).to_string())
        }
        ("chat.update", Some("1.2" | "1.4")) => no("cant_update_message"),
        ("chat.update", Some("1.5")) => (503, "no".into()),
        ("chat.update", Some("1.6")) => (429, "{\"ok\":false,\"error\":\"ratelimited\",\"retry_after\":7}".into()),
        ("chat.update", _) => no("message_not_found"),
        ("chat.postMessage", None) => (200, json!({ "ok": true, "channel": "C0123", "ts": "9.9" }).to_string()),
        ("chat.postMessage", Some(thread @ ("1.1" | "1.2" | "1.5" | "1.6" | "9.9"))) => {
            let message = json!({ "thread_ts": thread });
            (200, json!({ "ok": true, "channel": "C0123", "ts": "9.10", "message": message }).to_string())
        }
        ("chat.postMessage", Some("1.4")) => no("cannot_reply_to_message"),
        ("chat.postMessage", _) => no("thread_not_found"),
        _ => (404, "no such method".into()),
    }
}

/// The resolution that answers the message `ts`, which was told in `configured`.
fn resolution(yaml: &str, ts: &str, configured: &str) -> Delivery {
    let answered = json!({ "channel": "C0123", "ts": ts, "configured": configured }).to_string();
    let resolved = delivery(&settings(yaml), &sample_message(MessageKind::AlertResolved, now()));
    Delivery { in_reply_to: Some(answered), ..resolved }
}

/// The outcome, and the calls as "method ts/thread_ts".
async fn told(change: impl Fn(Delivery) -> Delivery, ts: &str, configured: &str) -> (Attempt, Vec<String>) {
    let server = Server::start(Reply::Vendor(slack)).await;
    let yaml = yaml_of("slack-bot", &server.base);
    let attempt = open(&yaml).send(&change(resolution(&yaml, ts, configured)), now()).await;
    let call = |request: &Vec<u8>| {
        let (head, body) = split(request).unwrap();
        let body: Value = serde_json::from_slice(body).unwrap();
        assert!(body.to_string().contains("RESOLVED"), "{body}");
        let method = head.split(' ').nth(1).unwrap().trim_start_matches("/api/chat.").to_string();
        format!("{method} {}", body["ts"].as_str().or(body["thread_ts"].as_str()).unwrap_or("-"))
    };
    (attempt, server.requests().iter().map(call).collect())
}

#[tokio::test]
async fn a_firing_comes_back_with_its_name_and_its_resolution_answers_it() {
    let server = Server::start(Reply::Vendor(slack)).await;
    let yaml = yaml_of("slack-bot", &server.base);
    let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), now()).await;
    assert_eq!(attempt.outcome, Delivered);
    let reference: Value = serde_json::from_str(attempt.reference.as_deref().unwrap()).unwrap();
    assert_eq!(reference, json!({ "channel": "C0123", "ts": "9.9", "configured": "C0123" }));
    let (attempt, calls) = told(|it| it, "1.1", "C0123").await;
    assert_eq!((attempt.outcome, calls), (Delivered, vec!["update 1.1".to_string(), "postMessage 1.1".to_string()]));
}

#[tokio::test]
async fn what_slack_will_not_do_costs_no_resolution() {
    for (ts, calls) in [
        ("1.2", &["update 1.2", "postMessage 1.2"][..]),
        ("1.3", &["update 1.3", "postMessage -"]),
        ("1.4", &["update 1.4", "postMessage 1.4", "postMessage -"]),
    ] {
        let (attempt, made) = told(|it| it, ts, "C0123").await;
        assert_eq!(
            (attempt.outcome, made.as_slice()),
            (Delivered, calls.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice()),
            "{ts}"
        );
    }
    // The channel was changed in the configuration since: the old one is told nothing more.
    let (attempt, made) = told(|it| it, "1.1", "C0999").await;
    assert_eq!((attempt.outcome, made), (Delivered, vec!["postMessage -".to_string()]));
    let (attempt, made) = told(|it| Delivery { in_reply_to: Some("junk".into()), ..it }, "1.1", "C0123").await;
    assert_eq!((attempt.outcome, made), (Delivered, vec!["postMessage -".to_string()]));
}

/// One of several alerts is over: that is told in the thread, and the message says what all have come to, if that is known.
#[tokio::test]
async fn a_message_about_several_alerts_is_answered_and_is_not_made_to_tell_of_one() {
    let answers = |it: Delivery| Delivery { answers_group: true, ..it };
    let (attempt, calls) = told(answers, "1.1", "C0123").await;
    assert_eq!((attempt.outcome, calls), (Delivered, vec!["postMessage 1.1".to_string()]));
    let with_update = |mut it: Delivery| {
        it.notification
            .content
            .parts
            .insert("update".into(), "{\"channel\":\"C0123\",\"text\":\"2 alerts, 1 RESOLVED\"}".into());
        answers(it)
    };
    let (attempt, calls) = told(with_update, "1.1", "C0123").await;
    assert_eq!((attempt.outcome, calls), (Delivered, vec!["update 1.1".to_string(), "postMessage 1.1".to_string()]));
}

/// Nothing was posted, so all of it is repeated; but a reply does not wait for ever for a courtesy.
#[tokio::test]
async fn an_update_that_fails_for_a_moment_is_waited_for_and_never_repeats_the_reply() {
    for (ts, outcome, pause) in [("1.5", Retry, None), ("1.6", Throttled, Some(7))] {
        let (attempt, made) = told(|it| it, ts, "C0123").await;
        assert_eq!((attempt.outcome, made.len()), (outcome, 1), "{ts}: {attempt:?}");
        assert_eq!(attempt.retry_after.map(|it| it.as_secs()), pause);
        assert!(attempt.error.unwrap().starts_with("the first message could not be updated: "));
        let (attempt, made) = told(|it| Delivery { attempts: 3, ..it }, ts, "C0123").await;
        assert_eq!((attempt.outcome, made.len()), (Delivered, 2), "{ts}");
        let revived = Some(Revival { at: now(), attempts: 3 });
        let (attempt, _) = told(|it| Delivery { attempts: 3, revived, ..it }, ts, "C0123").await;
        assert_eq!(attempt.outcome, outcome, "patience begins anew");
    }
}

/// The name of the firing message is kept by the store and comes back with the resolution that is claimed.
#[tokio::test]
async fn a_lane_threads_the_resolution_under_its_firing() {
    let server = Server::start(Reply::Vendor(slack)).await;
    let yaml = yaml_of("slack-bot", &server.base);
    let place = Place::new();
    let store = std::sync::Arc::new(place.open().await);
    let receiver = settings(&yaml);
    let firing = Notification { id: DeliveryId::new("f1"), ..delivery(&receiver, &firing()).notification };
    let over = delivery(&receiver, &sample_message(MessageKind::AlertResolved, now())).notification;
    let resolution = Notification { id: DeliveryId::new("r1"), follows: Some(firing.id.clone()), ..over };
    let deliveries = vec![resolution, firing];
    store.commit_poll(&PollCommit { deliveries, now: now(), ..commit(0) }).await.unwrap();
    let clock = std::sync::Arc::new(ManualClock::at(now()));
    let notifier = std::sync::Arc::new(open(&yaml));
    let mut lane = Lane::new(receiver.id.clone(), store, notifier, clock, Box::new(|| 0.5));
    let progress = lane.attempt_due(now()).await.unwrap();
    assert_eq!((progress.delivered, progress.left_due), (2, 0));
    let calls: Vec<String> = server.requests().iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
    assert_eq!(calls.len(), 3);
    assert!(calls[1].contains("chat.update") && calls[1].contains("\"ts\":\"9.9\""), "{}", calls[1]);
    assert!(calls[2].contains("chat.postMessage") && calls[2].contains("\"thread_ts\":\"9.9\""), "{}", calls[2]);
}

/// A failure of a run that has failed again is told in the thread of the first message, which shows it, and to the channel;
/// what ends it is told there, too: a reply has no thread of its own.
#[tokio::test]
async fn what_has_failed_again_is_told_in_the_thread_of_the_first_message() {
    let server = Server::start(Reply::Vendor(slack)).await;
    let yaml = yaml_of("slack-bot", &server.base);
    let place = Place::new();
    let store = std::sync::Arc::new(place.open().await);
    let receiver = settings(&yaml);
    let named = |id: &str| Notification { id: DeliveryId::new(id), ..delivery(&receiver, &firing()).notification };
    let again = Notification { in_thread_of: Some(DeliveryId::new("f1")), ..named("f2") };
    let over = delivery(&receiver, &sample_message(MessageKind::AlertResolved, now())).notification;
    let resolution = Notification { id: DeliveryId::new("r2"), follows: Some(again.id.clone()), ..over };
    let clock = std::sync::Arc::new(ManualClock::at(now()));
    let notifier = std::sync::Arc::new(open(&yaml));
    let mut lane = Lane::new(receiver.id.clone(), std::sync::Arc::clone(&store), notifier, clock, Box::new(|| 0.5));
    for (generation, delivery) in (0..).zip([named("f1"), again, resolution]) {
        let deliveries = vec![delivery];
        store.commit_poll(&PollCommit { deliveries, now: now(), ..commit(generation) }).await.unwrap();
        assert_eq!(lane.attempt_due(now()).await.unwrap().delivered, 1);
    }
    let call = |request: &Vec<u8>| {
        let (head, body) = split(request).unwrap();
        let body: Value = serde_json::from_slice(body).unwrap();
        let method = head.split(' ').nth(1).unwrap().trim_start_matches("/api/chat.").to_string();
        let names = [&body["ts"], &body["thread_ts"]].map(|name| name.as_str().unwrap_or("-").to_string());
        format!("{method} {} {} {}", names[0], names[1], body["reply_broadcast"] == true)
    };
    let calls: Vec<String> = server.requests().iter().map(call).collect();
    let expected = [
        "postMessage - - false",
        "update 9.9 - false",
        "postMessage - 9.9 true",
        "update 9.9 - false",
        "postMessage - 9.9 false",
    ];
    assert_eq!(calls, expected);
}
