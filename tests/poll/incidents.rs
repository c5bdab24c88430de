//! What an incident tool is told: of each beginning, and of its end whatever the file says of resolutions, for nobody else
//! closes the incident.

use std::sync::Arc;

use jiff::SignedDuration;
use nightbell::desk::{Closing, close};
use nightbell::model::{Delivery, EndReason, Instance, MessageKind, Status};
use nightbell::store::Deliveries as _;
use nightbell::worker::unwatched::Unwatched;

use super::world::{Scene, receivers, run, told, told_to};

const RULES: &str =
    "  failed: { when: { status: [fail] }, notify: [{ to: [quiet-pager, mail] }, { after: 30m, to: lead }] }\n";
/// The incident is opened by a step.
const LATER: &str = "  failed: { when: { status: [fail] }, notify: [{ to: hook }, { after: 30m, to: quiet-pager }] }\n";
const OTHER: &str = "  other: { when: { status: [pause] }, notify: [hook] }\n";

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A scene in which `etl` has failed, and the pager was told, at once or by a step.
async fn failing(rules: &str) -> Scene {
    let mut scene = Scene::open(rules).await;
    scene.poll().await;
    let now = scene.now();
    scene.show([run("etl", "1", Status::Fail, now - minutes(5), Some(now - minutes(1)))]);
    scene.poll().await;
    scene.pass(minutes(30));
    scene.escalate().await;
    assert_eq!(kinds(&scene).await, [MessageKind::AlertFiring]);
    scene
}

async fn of_pager(scene: &Scene) -> Vec<Delivery> {
    let deliveries = scene.store.deliveries(usize::MAX).await.unwrap();
    let mut pager: Vec<Delivery> =
        deliveries.into_iter().filter(|one| one.receiver.as_str() == "quiet-pager").collect();
    pager.sort_by_key(|one| (one.created_at, one.kind == MessageKind::AlertResolved));
    pager
}

async fn kinds(scene: &Scene) -> Vec<MessageKind> {
    of_pager(scene).await.iter().map(|one| one.kind).collect()
}

async fn is_closed_once(scene: &mut Scene, how: &str) {
    for _ in 0..2 {
        scene.poll().await;
        scene.escalate().await;
    }
    assert_eq!(kinds(scene).await, [MessageKind::AlertFiring, MessageKind::AlertResolved], "{how}");
    let pager = of_pager(scene).await;
    assert_eq!(pager[1].follows.as_ref(), Some(&pager[0].id), "{how}");
    let deliveries = scene.store.deliveries(usize::MAX).await.unwrap();
    let of_mail = deliveries.iter().filter(|one| one.receiver.as_str() == "mail");
    assert!(of_mail.clone().all(|one| one.kind == MessageKind::AlertFiring), "{how}: mail wants no ends");
}

#[tokio::test]
async fn an_incident_is_ended_whatever_the_file_says_of_resolutions() {
    for rules in [RULES, LATER] {
        let mut scene = failing(rules).await;
        let now = scene.now();
        scene.show([run("etl", "1", Status::Success, now - minutes(1), Some(now))]);
        is_closed_once(&mut scene, "the run succeeds").await;
    }
}

#[tokio::test]
async fn an_incident_is_ended_when_a_person_closes_the_alert() {
    for rules in [RULES, LATER] {
        let mut scene = failing(rules).await;
        let alerts = scene.alerts().await;
        let closing = Closing { by: "wang".into(), reason: "known".into(), at: scene.now() };
        close(&scene.store, &receivers(), &alerts, &closing).await.unwrap();
        is_closed_once(&mut scene, "it is closed").await;
    }
}

#[tokio::test]
async fn an_incident_is_ended_when_nothing_watches_the_alert_any_more() {
    for rules in [RULES, LATER] {
        let mut scene = failing(rules).await;
        scene.restart_with(OTHER);
        scene.poll().await;
        scene.escalate().await;
        assert_eq!(kinds(&scene).await, [MessageKind::AlertFiring], "the rule may come back");
        scene.pass(minutes(10));
        is_closed_once(&mut scene, "the rule is gone").await;

        let mut scene = failing(rules).await;
        let sources = vec!["other".into()];
        let unwatched = Unwatched::new(Arc::clone(&scene.store), sources, receivers(), Default::default());
        unwatched.pass(scene.now()).await.unwrap();
        unwatched.pass(scene.now() + minutes(10)).await.unwrap();
        scene.escalate().await;
        assert_eq!(kinds(&scene).await, [MessageKind::AlertFiring, MessageKind::AlertResolved], "the source is gone");
    }
}

/// A receiver is renamed while its alert fires and nothing is pending for it: the new one hears of it, and of its end.
#[tokio::test]
async fn a_receiver_that_is_renamed_while_its_alert_fires_hears_of_it_under_its_new_name() {
    let rules = |receiver: &str| format!("  failed: {{ when: {{ status: [fail] }}, notify: [{receiver}] }}\n");
    let mut scene = Scene::open(&rules("boss")).await;
    scene.poll().await;
    let failed = run("etl", "1", Status::Fail, scene.now() - minutes(5), Some(scene.now() - minutes(1)));
    scene.show([failed.clone()]);
    scene.poll().await;
    assert_eq!(told_to(&scene.store, "boss").await, ["alert.firing etl 1"]);
    for minute in 0..12 {
        // Another process each time, as one that a timer starts.
        scene.restart_with(&rules("lead"));
        scene.has_receivers(&["lead", "hook"]);
        scene.poll().await;
        let told = told_to(&scene.store, "lead").await;
        assert_eq!(told.len(), usize::from(minute >= 10), "minute {minute}: {told:?}");
        scene.pass(minutes(1));
    }
    scene.show([Instance { status: Status::Success, end_time: Some(scene.now()), ..failed }]);
    scene.poll().await;
    assert_eq!(told_to(&scene.store, "lead").await, ["alert.firing etl 1", "alert.resolved etl 1"]);
    let alerts = scene.alerts().await;
    let reasons: Vec<_> = alerts.iter().filter_map(|alert| Some(alert.facts.alert.ended.as_ref()?.reason)).collect();
    assert_eq!(alerts.len(), 2);
    assert!(reasons.contains(&EndReason::Unwatched) && reasons.contains(&EndReason::Recovered), "{reasons:?}");
}

/// What took too long between two polls and is over by now: nobody was called, and nobody is to be called now.
#[tokio::test]
async fn a_breach_that_is_over_when_it_is_first_seen_opens_no_incident() {
    let rules = "  long: { when: { duration: 45m }, notify: [hook, pager] }\n";
    let mut scene = Scene::open(rules).await;
    scene.poll().await;
    scene.pass(minutes(60));
    let began = scene.now() - minutes(55);
    scene.show([run("etl", "1", Status::Success, began, Some(began + minutes(50)))]);
    for _ in 0..2 {
        scene.poll().await;
    }
    assert_eq!(told(&scene.store).await, ["alert.resolved etl 1"]);
    let deliveries = scene.store.deliveries(usize::MAX).await.unwrap();
    let actions: Vec<serde_json::Value> = deliveries
        .iter()
        .filter(|one| one.receiver.as_str() == "pager")
        .map(|one| {
            assert_eq!(one.follows, None, "there is no beginning that it would wait for");
            serde_json::from_str::<serde_json::Value>(one.content.part("body")).unwrap()["event_action"].clone()
        })
        .collect();
    assert_eq!(actions, ["resolve"]);
}

/// A rule that is away for a poll has its incidents stay open as they are, without a step; one that stays away ends them.
#[tokio::test]
async fn a_rule_that_is_away_for_a_poll_leaves_its_incidents_as_they_are() {
    let rules = "  failed: { when: { status: [fail] }, notify: [{ to: pager }, { after: 12m, to: lead }] }\n";
    let mut scene = Scene::open(rules).await;
    scene.poll().await;
    let failed: Instance = run("etl", "1", Status::Fail, scene.now() - minutes(5), Some(scene.now() - minutes(1)));
    scene.show([failed]);
    scene.poll().await;
    let count = async |scene: &Scene, receiver: &str| {
        let deliveries = scene.store.deliveries(usize::MAX).await.unwrap();
        deliveries.iter().filter(|one| one.receiver.as_str() == receiver).count()
    };
    scene.pass(minutes(8));
    scene.restart_with(OTHER);
    scene.poll().await;
    scene.pass(minutes(8));
    assert_eq!(scene.escalate().await, 0, "no step while nothing watches it");
    scene.restart_with(rules);
    scene.poll().await;
    assert_eq!((count(&scene, "pager").await, count(&scene, "lead").await), (1, 0));
    assert_eq!(scene.escalate().await, 1, "it goes on where it was");
    scene.restart_with(OTHER);
    scene.poll().await;
    scene.pass(minutes(10));
    scene.poll().await;
    scene.escalate().await;
    assert_eq!((count(&scene, "pager").await, count(&scene, "lead").await), (2, 2), "both hear of the end");
}
