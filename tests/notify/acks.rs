//! Who is on an alert: what each channel is sent of it, and that only those hear of it who were told of the alert.

use std::sync::Arc;

use nightbell::alert::{ack_message, marked_message};
use nightbell::clock::ManualClock;
use nightbell::desk::{acknowledge, unacknowledge};
use nightbell::model::AttemptOutcome::Delivered;
use nightbell::model::{
    Ack, Alert, Delivery, DeliveryId, Message, MessageData, MessageKind, Notification, ReceiverId, Status,
};
use nightbell::notify::{Notifier as _, ReceiverSettings, Renderer};
use nightbell::store::{Deliveries as _, DeliveryQuery, PollCommit, PollLedger as _, SqlStore};
use nightbell::words::Language;
use nightbell::worker::deliver::Lane;
use nightbell::worker::pending::{Receiver, Receivers};
use serde_json::{Value, json};

use super::super::sample::{self, Place, commit};
use super::http::{Reply, Server, split};
use super::vendors::vendor;
use super::{CHANNELS, firing, now, open, settings, yaml_of};

pub(super) fn alert() -> Alert {
    let MessageData::Alert(facts) = firing().data else { panic!("one alert") };
    let named = sample::alert(facts.alert.id.as_str(), "etl_orders");
    Alert { facts: *facts, ..named }
}

fn ack(by: &str) -> Ack {
    Ack { by: by.to_string(), reason: Some("restarting the \"gateway\"".to_string()), at: now() }
}

/// What a receiver is sent of it.
fn told_of(receiver: &ReceiverSettings, ack: Option<&Ack>, before: Option<&Ack>) -> (Delivery, Message) {
    let alert = alert();
    let message = ack_message(&alert, ack, before, now());
    let rendered = Renderer::open(receiver).unwrap().render_ack(&message, &marked_message(&alert, ack));
    assert_eq!(rendered.problem, None);
    let id = DeliveryId::new("d-ack");
    let sent = Notification::new(id, receiver.id.clone(), message.kind, rendered.content, now());
    (Delivery::pending(sent), message)
}

/// Each vendor takes it; it is short, names who is on it, and calls nobody.
#[tokio::test]
async fn every_vendor_takes_word_of_an_acknowledgement() {
    for kind in CHANNELS.into_iter().chain(["slack", "webhook"]) {
        let server = Server::start(Reply::Vendor(vendor(kind))).await;
        let yaml = yaml_of(kind, &server.base);
        for language in Language::ALL {
            let receiver = ReceiverSettings { language, ..settings(&yaml) };
            for (by, before) in [(Some(ack("kim")), Some(ack("maria"))), (None, Some(ack("maria")))] {
                if kind == "pagerduty" && by.is_none() {
                    continue;
                }
                let (sent, _) = told_of(&receiver, by.as_ref(), before.as_ref());
                let attempt = open(&yaml).send(&sent, now()).await;
                assert_eq!(attempt.outcome, Delivered, "{kind}: {attempt:?}");
                let request = String::from_utf8_lossy(server.requests().last().unwrap()).into_owned();
                let (_, body) = request.split_once("\r\n\r\n").unwrap();
                assert!(body.contains("maria") && body.contains("kim") == by.is_some(), "{kind}: {body}");
                assert!(["webhook", "pagerduty"].contains(&kind) || body.len() < 2500, "{kind}: {body}");
                assert!(!body.contains("CRITICAL") && !body.contains("严重"), "{kind}: {body}");
            }
        }
    }
}

#[test]
fn a_webhook_is_told_by_a_body_of_its_own_type() {
    let (sent, _) =
        told_of(&settings(&yaml_of("webhook", "https://example.com")), Some(&ack("kim")), Some(&ack("maria")));
    let body: Value = serde_json::from_str(sent.content.part("body")).unwrap();
    assert_eq!((&body["type"], &body["data"]["alert"]["state"]), (&json!("alert.acknowledged"), &json!("firing")));
    let acked = &body["data"]["alert"]["acked"];
    assert_eq!((&acked["by"], &acked["reason"]), (&json!("kim"), &json!("restarting the \"gateway\"")));
    assert_eq!(body["data"]["alert"]["acked_before"]["by"], "maria");
    assert_eq!(body["data"]["alert"]["summary"], "etl_orders failed after 1m 0s");
    let (sent, _) = told_of(&settings(&yaml_of("webhook", "https://example.com")), None, Some(&ack("maria")));
    let body: Value = serde_json::from_str(sent.content.part("body")).unwrap();
    assert_eq!((&body["type"], &body["data"]["alert"]["acked"]), (&json!("alert.unacknowledged"), &Value::Null));
}

/// PagerDuty's incident is acknowledged: nobody else is called.
#[test]
fn an_incident_is_acknowledged() {
    let (sent, message) = told_of(&settings(&yaml_of("pagerduty", "https://p.example.com")), Some(&ack("kim")), None);
    let body: Value = serde_json::from_str(sent.content.part("body")).unwrap();
    let id = message.data.alerts()[0].alert.id.as_str();
    assert_eq!((&body["event_action"], &body["dedup_key"]), (&json!("acknowledge"), &json!(id)));
}

/// Who hears of acknowledgements: who was asked to, and by himself who is disturbed by none.
#[test]
fn who_hears_of_it_unless_the_configuration_says_otherwise() {
    use MessageKind::{AlertAcknowledged, AlertUnacknowledged};
    let both = &[AlertAcknowledged, AlertUnacknowledged][..];
    for kind in CHANNELS.into_iter().chain(["slack", "webhook"]) {
        let heard = |tell_ack| {
            ReceiverSettings { tell_ack, ..settings(&yaml_of(kind, "https://x.example.com")) }.hears_of_acks().to_vec()
        };
        let (quietly, asked) = match kind {
            "slack-bot" | "telegram" => (both, both),
            "pagerduty" => (&both[..1], &both[..1]),
            _ => (&[][..], both),
        };
        assert_eq!((heard(None).as_slice(), heard(Some(true)).as_slice()), (quietly, asked), "{kind}");
        assert_eq!(heard(Some(false)), [], "{kind}");
    }
}

/// The calls that Telegram gets, as "method message_id reply notifies".
async fn telegram(change: impl Fn(Delivery) -> Delivery) -> Vec<String> {
    let server = Server::start(Reply::Vendor(vendor("telegram"))).await;
    let yaml = yaml_of("telegram", &server.base);
    let (sent, _) = told_of(&settings(&yaml), Some(&ack("kim")), None);
    let attempt = open(&yaml).send(&change(sent), now()).await;
    assert_eq!(attempt.outcome, Delivered, "{attempt:?}");
    let call = |request: &Vec<u8>| {
        let (head, body) = split(request).unwrap();
        let body: Value = serde_json::from_slice(body).unwrap();
        assert!(body["text"].as_str().unwrap().contains("kim"), "{body}");
        let is_whole = body["text"].as_str().unwrap().contains("CRITICAL");
        let method = head.split(' ').nth(1).unwrap().rsplit('/').next().unwrap().to_string();
        assert_eq!(is_whole, method == "editMessageText", "{body}");
        let (id, reply) = (&body["message_id"], &body["reply_parameters"]["message_id"]);
        format!("{method} {id} {reply} {}", body["disable_notification"] != true)
    };
    server.requests().iter().map(call).collect()
}

#[tokio::test]
async fn telegrams_first_message_is_marked() {
    let answers = |id: i64| json!({ "chat": "-1001", "message_id": id }).to_string();
    let of = |id: i64| move |it: Delivery| Delivery { in_reply_to: Some(answers(id)), ..it };
    assert_eq!(telegram(of(7)).await, ["editMessageText 7 null true"]);
    // An attempt whose answer was lost is repeated, and changes nothing.
    assert_eq!(telegram(of(8)).await, ["editMessageText 8 null true"]);
    // What was deleted cannot be marked.
    assert_eq!(telegram(of(9)).await, ["editMessageText 9 null true", "sendMessage null null false"]);
    // A message about several alerts is not made to tell of one.
    let in_group = |it: Delivery| Delivery { answers_group: true, ..of(7)(it) };
    assert_eq!(telegram(in_group).await, ["sendMessage null 7 false"]);
    // Told in another chat, which the configuration no longer names; or by a version that noted no names.
    let elsewhere = |it| Delivery { in_reply_to: Some("{\"chat\":\"-9\",\"message_id\":7}".into()), ..it };
    assert_eq!(telegram(elsewhere).await, ["sendMessage null null false"]);
    assert_eq!(telegram(|it| it).await, ["sendMessage null null false"]);
}

/// Slack's calls, as "method ts thread".
fn slack_calls(server: &Server) -> Vec<String> {
    let call = |request: &Vec<u8>| {
        let (head, body) = split(request).unwrap();
        let body: Value = serde_json::from_slice(body).unwrap();
        let method = head.split(' ').nth(1).unwrap().trim_start_matches("/api/chat.").to_string();
        let [ts, thread] = [&body["ts"], &body["thread_ts"]].map(|name| name.as_str().unwrap_or("-").to_string());
        let said = ["(acknowledged by kim)", "Acknowledged by kim", "No longer acknowledged by kim"];
        let said = said.iter().position(|said| body.to_string().contains(said)).map_or(-1, |at| at as i64);
        assert!(body["reply_broadcast"].is_null());
        format!("{method} {ts} {thread} {said}")
    };
    server.requests().iter().map(call).collect()
}

fn slack(head: &str, body: &[u8]) -> (u16, String) {
    let body: Value = serde_json::from_slice(body).unwrap();
    let is_update = head.contains("chat.update");
    assert!(!is_update || body["ts"] == "9.9", "{head} {body}");
    let thread = body["thread_ts"].as_str().map(|thread| json!({ "thread_ts": thread }));
    let ts = if thread.is_some() { "9.10" } else { "9.9" };
    (200, json!({ "ok": true, "channel": "C0123", "ts": ts, "message": thread }).to_string())
}

fn later(minutes: i64) -> jiff::Timestamp {
    now().checked_add(jiff::SignedDuration::from_mins(minutes)).unwrap()
}

/// A store with one alert that fires, and what is pending of it to whom.
struct World {
    store: Arc<SqlStore>,
    receivers: Receivers,
    alert: Alert,
    slack: ReceiverSettings,
    server: Server,
    _place: Place,
}

impl World {
    async fn new() -> World {
        let server = Server::start(Reply::Vendor(slack)).await;
        let slack = ReceiverSettings { id: ReceiverId::new("slack"), ..settings(&yaml_of("slack-bot", &server.base)) };
        let named = |id: &str, kind: &str| ReceiverSettings {
            id: ReceiverId::new(id),
            tell_ack: Some(true),
            ..settings(&yaml_of(kind, &server.base))
        };
        let (hook, other) = (named("hook", "webhook"), named("other", "webhook"));
        let open = |it: &ReceiverSettings| Receiver::new(it, Renderer::open(it).unwrap());
        let receivers: Receivers = [&slack, &hook, &other].into_iter().map(open).collect();
        let place = Place::new();
        let store = Arc::new(place.open().await);
        let alert = Alert { receivers: [&slack, &hook].map(|it| it.id.clone()).to_vec(), ..alert() };
        let deliveries = receivers.deliveries(&alert, MessageKind::AlertFiring, now());
        let instances = vec![sample::instance("etl_orders", "1", Status::Fail)];
        let fired = vec![alert.clone()];
        store.commit_poll(&PollCommit { instances, fired, deliveries, now: now(), ..commit(0) }).await.unwrap();
        World { store, receivers, alert, slack, server, _place: place }
    }

    /// Has the lane of Slack send what is due.
    async fn deliver(&self, minutes: i64) -> u64 {
        let yaml = yaml_of("slack-bot", &self.server.base);
        let (clock, notifier) = (Arc::new(ManualClock::at(later(minutes))), Arc::new(open(&yaml)));
        let mut lane = Lane::new(self.slack.id.clone(), Arc::clone(&self.store), notifier, clock, Box::new(|| 0.5));
        lane.attempt_due(later(minutes)).await.unwrap().delivered as u64
    }

    async fn ack(&self, ack: &Ack) -> usize {
        let alerts = std::slice::from_ref(&self.alert);
        acknowledge(&self.store, &self.receivers, alerts, ack).await.unwrap().notified
    }

    async fn unack(&self, minutes: i64) -> usize {
        let alerts = std::slice::from_ref(&self.alert);
        unacknowledge(&self.store, &self.receivers, alerts, ("kim", later(minutes))).await.unwrap().notified
    }

    /// What there is for a receiver, as "kind state".
    async fn outbox(&self, receiver: &str) -> Vec<String> {
        let query = DeliveryQuery { receiver: Some(ReceiverId::new(receiver)), ..DeliveryQuery::default() };
        let found = self.store.find_deliveries(&query, 99).await.unwrap();
        let mut all: Vec<_> = found.into_iter().map(|it| (it.created_at, it.kind, it.state)).collect();
        all.sort_by_key(|(at, kind, _)| (*at, *kind));
        all.iter().map(|(_, kind, state)| format!("{kind} {}", state.as_str())).collect()
    }
}

/// Both who were told of the alert hear of it once, in the order in which it came about, after the alert itself; and nobody
/// else does.
#[tokio::test]
async fn who_was_told_of_an_alert_hears_who_is_on_it_once() {
    let world = World::new().await;
    assert_eq!(world.deliver(0).await, 1);
    assert_eq!(world.ack(&ack("kim")).await, 2);
    assert_eq!(world.ack(&ack("kim")).await, 0, "the same again is no news");
    assert_eq!((world.deliver(1).await, world.deliver(2).await), (1, 0));
    assert_eq!(world.unack(5).await, 2);
    assert_eq!(world.unack(6).await, 0, "there is nothing to take back");
    assert_eq!((world.deliver(7).await, world.deliver(8).await), (1, 0));
    let expected =
        ["postMessage - - -1", "update 9.9 - 0", "postMessage - 9.9 1", "update 9.9 - -1", "postMessage - 9.9 2"];
    assert_eq!(slack_calls(&world.server), expected);
    // The hook was not reached yet: it hears of the alert, and of what is so now.
    let pending = ["alert.firing pending", "alert.acknowledged merged", "alert.unacknowledged pending"];
    assert_eq!(world.outbox("hook").await, pending);
    assert_eq!(world.outbox("other").await, [""; 0]);
}

/// What did not arrive is no beginning of anything, and the end of an alert takes the place of who was on it.
#[tokio::test]
async fn nobody_hears_who_is_on_what_they_were_not_told_of_or_what_is_over() {
    let world = World::new().await;
    let firing = world.receivers.deliveries(&world.alert, MessageKind::AlertFiring, now());
    let of_slack = firing.iter().find(|it| it.receiver.as_str() == "slack").unwrap();
    nightbell::store::Outbox::reject(&*world.store, &of_slack.id, "no such channel").await.unwrap();
    assert_eq!(world.ack(&ack("kim")).await, 1);
    assert_eq!(world.outbox("slack").await, ["alert.firing dead"]);
    let over = nightbell::alert::close(&world.alert, "kim", "done", now());
    let deliveries = world.receivers.deliveries(&over, MessageKind::AlertResolved, now());
    world.store.commit_poll(&PollCommit { changed: vec![over], deliveries, now: now(), ..commit(1) }).await.unwrap();
    let hook = ["alert.firing pending", "alert.resolved pending", "alert.acknowledged merged"];
    assert_eq!(world.outbox("hook").await, hook);
}
