//! Stores of earlier versions: what they hold is there after the step to the present one, and is told once.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use nightbell::clock::ManualClock;
use nightbell::model::{AlertState, GapCause, Instance, ReceiverId, Severity, SourceId, Status};
use nightbell::notify::Fallback;
use nightbell::store::{
    AlertAsk, Archive as _, Board as _, Deliveries as _, Desk as _, Digests as _, Outbox as _, OwnAlerts as _,
    PollLedger as _, SqlStore, Upkeep as _,
};
use nightbell::worker::budget::Budget;
use nightbell::worker::fallback::{Fallbacks, Route};

use crate::deliver::lane_to;
use crate::deliver::sink::{Hook, OK, Sink};
use crate::poll::world::{Scene, receivers, run};
use crate::sample::{Place, at};

/// The rules under which the stores were made.
const RULES: &str = "  \
  failed: { match: { job: \"etl_*\" }, when: { status: [fail] }, severity: critical, notify: [{ to: [hook, mail] }, \
     { after: 30m, unless: acked, to: lead }] }\n  \
  loads: { match: { job: \"load_*\" }, when: { status: [fail] }, notify: [hook], \
     group: { by: [source], wait: 30s, interval: 5m, repeat: 4h } }\n  \
  marts: { match: { job: \"mart_*\" }, when: { status: [fail] }, notify: [hook] }\n  \
  slow: { match: { job: \"slow_*\" }, when: { status: [running], duration: 45m }, severity: warning, notify: [hook] }\n\
inhibit:\n  load: { by: { job: \"load_*\" }, match: { job: \"mart_*\" } }\n\
digests:\n  hourly: { schedule: \"0 * * * *\", notify: [hook] }\n";

/// When the stores were left, in minutes after the samples' instant.
const LEFT_AT: i64 = 67;

/// Each alert as "job rule state", with what held it back.
const ALERTS: [&str; 13] = [
    "etl_acked failed firing",
    "etl_cut failed firing",
    "etl_dead failed firing",
    "etl_old failed firing first-poll",
    "etl_over failed resolved",
    "etl_owed failed resolved",
    "etl_quiet failed firing silence:1",
    "etl_told failed firing",
    "load_a loads firing",
    "load_b loads firing",
    "load_c loads firing",
    "mart_x marts firing inhibited:load",
    "slow_one slow firing",
];

/// What is pending, as "receiver kind job".
const OWED: [&str; 8] = [
    "boss alert.firing etl_owed",
    "hook alert.firing etl_cut",
    "hook alert.firing etl_owed",
    "hook alert.firing load_c",
    "hook alert.resolved etl_owed",
    "hook digest -",
    "mail alert.firing etl_cut",
    "mail alert.firing etl_owed",
];

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A file as that version left it.
async fn left_by(dump: &'static str) -> Place {
    let place = Place::file();
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&format!("{}?mode=rwc", place.url())).await.unwrap();
    sqlx::raw_sql(dump).execute(&pool).await.unwrap();
    pool.close().await;
    place
}

/// What the source listed last.
fn listed() -> Vec<Instance> {
    let ended = |job: &str, id: &str, status, began: i64, ended: i64| {
        run(job, id, status, at(60 * began), Some(at(60 * ended)))
    };
    vec![
        ended("etl_old", "1", Status::Fail, -190, -180),
        ended("plain", "2", Status::Success, -30, -20),
        ended("etl_told", "3", Status::Fail, -9, 0),
        ended("etl_acked", "4", Status::Fail, -9, 0),
        ended("etl_dead", "5", Status::Fail, -9, 0),
        ended("etl_over", "6", Status::Success, 0, 10),
        ended("load_a", "7", Status::Fail, -9, 0),
        ended("load_b", "8", Status::Fail, -9, 0),
        run("slow_one", "9", Status::Running, at(-49 * 60), None),
        ended("etl_quiet", "10", Status::Fail, -9, 0),
        ended("mart_x", "11", Status::Fail, -8, 2),
        ended("etl_owed", "12", Status::Success, 57, 67),
        ended("load_c", "13", Status::Fail, 57, 66),
        ended("etl_cut", "14", Status::Fail, 57, 66),
    ]
}

async fn alerts(store: &SqlStore) -> Vec<String> {
    let mut lines: Vec<String> = (store.alerts(999).await.unwrap().iter())
        .map(|alert| {
            let held_back = alert.suppressed_by.as_ref().map(|by| format!(" {by}")).unwrap_or_default();
            format!("{} {} {}{held_back}", alert.facts.job.name, alert.rule, alert.state().as_str())
        })
        .collect();
    lines.sort();
    lines
}

/// All deliveries as "receiver kind job", each with its id.
async fn deliveries(store: &SqlStore) -> HashMap<String, (String, &'static str)> {
    let alerts = store.alerts(999).await.unwrap();
    let job = |id| alerts.iter().find(|alert| Some(&alert.id) == id).map_or("-", |alert| &alert.facts.job.name);
    let all = store.deliveries(999).await.unwrap();
    all.iter()
        .map(|one| {
            let line = format!("{} {} {}", one.receiver, one.kind, job(one.alert.as_ref()));
            (one.id.to_string(), (line, one.state.as_str()))
        })
        .collect()
}

/// Has lanes send what is pending until the clock stands at `until`; says what arrived, in order.
async fn arrived(scene: &Scene, until: Timestamp) -> Vec<String> {
    let sink = Sink::new(|_, _| OK).await;
    let clock = ManualClock::at(scene.now());
    let mut lanes = Vec::new();
    for receiver in receivers().iter() {
        let lane = lane_to(receiver.id.as_str(), &scene.store, Hook::new(&sink.url, 4), &clock);
        lanes.push(lane.within(Budget::unlimited(), Arc::clone(&receiver.renderer)));
    }
    let mut now = scene.now();
    while now < until {
        for lane in &mut lanes {
            lane.attempt_due(now).await.unwrap();
        }
        now += minutes(1);
        clock.set(now);
    }
    let known = deliveries(&scene.store).await;
    sink.ids().iter().map(|id| known[id].0.clone()).collect()
}

async fn opened() -> Scene {
    let place = left_by(include_str!("../data/store/schema-14.sql")).await;
    Scene::open_in(place, at(60 * LEFT_AT), RULES).await
}

#[tokio::test]
async fn what_an_older_version_left_is_all_there() {
    let scene = opened().await;
    let (store, source) = (&scene.store, SourceId::new("warehouse"));
    assert_eq!(alerts(store).await, ALERTS);
    let known = deliveries(store).await;
    let in_state = |state: &str| {
        let mut lines: Vec<&str> =
            known.values().filter(|(_, known)| *known == state).map(|(line, _)| line.as_str()).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(in_state("pending"), OWED);
    assert_eq!(in_state("dead"), ["mail alert.firing etl_dead"]);
    assert_eq!(in_state("merged"), ["hook alert.firing load_a", "hook alert.firing load_b"]);
    assert_eq!(in_state("delivered").len(), 12);

    assert_eq!(store.digest_cursor("hourly").await.unwrap().unwrap().due_at, at(3600));
    let acks: Vec<_> = store.acks().await.unwrap().into_values().map(|ack| (ack.by, ack.reason)).collect();
    assert_eq!(acks, [("wang".to_string(), Some("on it".to_string()))]);
    let silences = store.active_silences(scene.now()).await.unwrap();
    assert_eq!(silences.iter().map(|silence| silence.reason.as_str()).collect::<Vec<_>>(), ["deploy"]);
    let gaps = store.own_state(at(0)).await.unwrap().gaps;
    let gaps: Vec<_> = gaps.iter().map(|gap| (gap.cause, gap.from, gap.until)).collect();
    assert_eq!(gaps, [(GapCause::Unreadable, at(120), Some(at(540)))]);
    assert_eq!(store.load_learnt(&source).await.unwrap()["fields"], "endTime startTime");
    assert_eq!(store.polls_between(&source, at(0), scene.now()).await.unwrap().len(), 8);
    assert_eq!(store.begin_generation("fixture", false, scene.now()).await.unwrap(), 1);
}

/// How bad an alert was that had ended is in the list of its severity, as with those that came later.
#[tokio::test]
async fn what_ended_under_an_older_version_is_listed_by_its_severity() {
    let scene = opened().await;
    let listed = async |severity: Severity| {
        let ask = AlertAsk { state: Some(AlertState::Resolved), severity: Some(severity), ..AlertAsk::default() };
        let found = scene.store.alert_page(&ask, 99).await.unwrap();
        found.iter().map(|alert| alert.facts.job.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed(Severity::Critical).await, ["etl_owed", "etl_over"]);
    assert!(listed(Severity::Error).await.is_empty());
}

#[tokio::test]
async fn what_an_older_version_owed_is_told_once_and_nothing_twice() {
    let mut scene = opened().await;
    let before = deliveries(&scene.store).await;
    assert_eq!(scene.store.reclaim(scene.now()).await.unwrap(), 1);
    scene.show(listed());
    for _ in 0..2 {
        let report = scene.poll().await;
        assert_eq!((report.fired, report.suppressed), (0, 0));
        assert_eq!(scene.escalate().await, 0);
        scene.restart();
    }
    let fallback = Fallback { to: ReceiverId::new("boss"), after: std::time::Duration::from_secs(900) };
    let routes = vec![Route { receiver: ReceiverId::new("hook"), fallback }];
    let fallbacks = Fallbacks::new(Arc::clone(&scene.store), receivers(), routes);
    // The boss, who was told of what is over by now, hears of that too.
    fallbacks.pass(scene.now()).await.unwrap();
    let after = deliveries(&scene.store).await;
    let new: Vec<&str> =
        after.iter().filter(|(id, _)| !before.contains_key(*id)).map(|(_, (line, _))| line.as_str()).collect();
    assert_eq!(new, ["boss alert.resolved etl_owed"]);

    let arrived = arrived(&scene, at(60 * (LEFT_AT + 60))).await;
    let mut expected: Vec<&str> = OWED.into_iter().chain(new).collect();
    expected.sort_unstable();
    let mut sorted = arrived.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    let place = |line: &str| arrived.iter().position(|arrived| arrived == line);
    for receiver in ["hook", "boss"] {
        let [began, ended] = ["firing", "resolved"].map(|kind| place(&format!("{receiver} alert.{kind} etl_owed")));
        assert!(began < ended, "{arrived:?}");
    }
}

#[tokio::test]
async fn what_fired_under_an_older_version_goes_on_to_its_end() {
    let mut scene = opened().await;
    scene.store.reclaim(scene.now()).await.unwrap();
    arrived(&scene, scene.now() + minutes(5)).await;
    let before = deliveries(&scene.store).await;
    scene.pass(minutes(30));
    let well = |run: Instance| match run.status {
        Status::Fail if run.id != "1" => Instance { status: Status::Success, raw_status: "success".into(), ..run },
        _ => run,
    };
    scene.show(listed().into_iter().map(well));
    scene.poll().await;
    assert_eq!(scene.escalate().await, 2, "the lead, who was told of two of them");
    let after = deliveries(&scene.store).await;
    let mut new: Vec<&str> =
        after.iter().filter(|(id, _)| !before.contains_key(*id)).map(|(_, (line, _))| line.as_str()).collect();
    new.sort_unstable();
    let ended = |job: &str| format!("hook alert.resolved {job}");
    let mut expected: Vec<String> =
        ["etl_acked", "etl_cut", "etl_dead", "etl_told", "load_a", "load_b", "load_c"].map(ended).to_vec();
    expected.extend(["etl_dead", "etl_told"].map(|job| format!("lead alert.resolved {job}")));
    assert_eq!(new, expected);
    let firing: Vec<String> = alerts(&scene.store).await.into_iter().filter(|line| line.contains("firing")).collect();
    assert_eq!(firing, ["etl_old failed firing first-poll", "slow_one slow firing"]);
}
