//! Alerts of a source that the configuration no longer has: nobody polls it, and they fired for ever.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nightbell::metrics::Metrics;
use nightbell::model::{Alert, AlertState, EndReason, GroupPlace, Notification, RuleStep, SourceId};
use nightbell::notify::Renderer;
use nightbell::store::{
    Archive as _, Deliveries as _, Groups as _, OwnAlerts as _, OwnCommit, PollCommit, PollLedger as _, SqlStore,
    Steps as _,
};
use nightbell::worker::pending::{Receiver, Receivers};
use nightbell::worker::unwatched::Unwatched;

use super::{MINUTE, config};
use crate::sample::{Place, alert, at, commit, delivery, metrics_text, source};
use crate::store::meddle;

fn loop_over(store: &Arc<SqlStore>, sources: &[&str]) -> Unwatched<SqlStore> {
    let opened = config("").receivers;
    let receivers: Receivers =
        opened.iter().map(|settings| Receiver::new(settings, Renderer::open(settings).unwrap())).collect();
    let sources = sources.iter().map(SourceId::new).collect();
    Unwatched::new(Arc::clone(store), sources, Arc::new(receivers), Metrics::default())
}

/// A store with an alert of `warehouse` that `oncall` was told of.
async fn firing(place: &Place) -> Arc<SqlStore> {
    let store = Arc::new(place.open().await);
    let told = Alert { receivers: vec!["oncall".into()], ..alert("a1", "etl") };
    let deliveries = vec![Notification { due_at: at(0), ..delivery("d1", "oncall") }.about(&told)];
    store.commit_poll(&PollCommit { fired: vec![told], deliveries, ..commit(0) }).await.unwrap();
    store
}

async fn steps_due(store: &SqlStore, now: Timestamp) -> usize {
    let rule = alert("a1", "etl").rule;
    let steps = [RuleStep { rule, number: 2, after: Duration::from_secs(60), unless_acked: true }];
    store.due_steps(&steps, (Timestamp::MIN, now), None, 10).await.unwrap().len()
}

#[tokio::test]
async fn alerts_of_a_removed_source_are_suspended_and_end_as_unwatched_after_ten_minutes() {
    let place = Place::new();
    let store = firing(&place).await;
    let sources = [source()];
    assert_eq!(steps_due(&store, at(2 * MINUTE)).await, 1);
    assert_eq!(store.told_and_firing(&sources, 10).await.unwrap().len(), 1);
    let watched = loop_over(&store, &["warehouse"]);
    assert_eq!(watched.pass(at(0)).await.unwrap(), 0);
    assert_eq!(store.alerts(9).await.unwrap()[0].suspended_at, None, "its source is there");

    let removed = loop_over(&store, &["other"]);
    assert_eq!(removed.pass(at(MINUTE)).await.unwrap(), 0);
    assert_eq!(store.alerts(9).await.unwrap()[0].suspended_at, Some(at(MINUTE)));
    assert_eq!(steps_due(&store, at(2 * MINUTE)).await, 0, "it takes no step");
    assert!(store.told_and_firing(&sources, 10).await.unwrap().is_empty(), "it inhibits nothing");
    assert_eq!(removed.pass(at(10 * MINUTE)).await.unwrap(), 0);
    assert_eq!(removed.pass(at(11 * MINUTE)).await.unwrap(), 1);
    let counted = metrics_text(&removed.metrics);
    let ended = "nightbell_alerts_ended_total{rule=\"etl-failed\",reason=\"unwatched\"} 1\n";
    assert!(counted.contains(ended), "{counted}");
    assert_eq!(removed.pass(at(12 * MINUTE)).await.unwrap(), 0);
    let over = store.alerts(9).await.unwrap().remove(0);
    let ended = over.facts.alert.ended.clone().unwrap();
    assert_eq!((over.state(), ended.reason), (AlertState::Resolved, EndReason::Unwatched));
    let told: Vec<String> =
        store.deliveries(9).await.unwrap().iter().map(|one| format!("{} {}", one.receiver, one.kind)).collect();
    assert_eq!(told, ["oncall alert.resolved", "oncall alert.firing"]);
}

/// Alerts about Nightbell itself are looked after elsewhere.
#[tokio::test]
async fn alerts_about_nightbell_itself_are_left_alone() {
    let place = Place::new();
    let store = Arc::new(place.open().await);
    let own = Alert { rule: "self/receiver-dead".into(), source: "nightbell".into(), ..alert("a1", "oncall") };
    store.commit_own(&OwnCommit { now: at(0), fired: vec![own], changed: vec![], deliveries: vec![] }).await.unwrap();
    let removed = loop_over(&store, &["other"]);
    for minute in [0, 20] {
        assert_eq!(removed.pass(at(minute * MINUTE)).await.unwrap(), 0);
    }
    assert_eq!(store.alerts(9).await.unwrap()[0].suspended_at, None);
}

/// Who was told in a group that is repeated every minute is not told again of what nobody watches.
#[tokio::test]
async fn alerts_of_a_removed_source_are_not_repeated() {
    let place = Place::new();
    let store = Arc::new(place.open().await);
    let told = Alert { receivers: vec!["oncall".into()], ..alert("a1", "etl") };
    let minute = Duration::from_secs(60);
    let group = GroupPlace { key: "g".into(), interval: minute, repeat: Some(minute), told_at: Some(at(0)) };
    let deliveries = vec![Notification { group: Some(group), ..delivery("d1", "oncall") }.about(&told)];
    store.commit_poll(&PollCommit { fired: vec![told], deliveries, ..commit(0) }).await.unwrap();
    meddle(&place, "UPDATE delivery SET state = 'delivered', next_attempt_at = NULL, delivered_at = created_at").await;
    let repeated = async |second: i64| store.unrepeated(at(second)).await.unwrap().len();
    assert_eq!((repeated(59).await, repeated(60).await), (0, 1));
    loop_over(&store, &["other"]).pass(at(MINUTE)).await.unwrap();
    assert_eq!(repeated(2 * MINUTE).await, 0, "it is suspended");
}
