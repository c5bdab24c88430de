//! Odd sources that are nevertheless told of rightly: ids used twice, words nobody knows, late and slow lists.

use std::time::Duration;

use nightbell::sim::{Fault, FaultKind, Operation, SimInstance};

use super::{Stage, TELL_FAILURES, ago, failed, pause};

#[tokio::test(flavor = "multi_thread")]
async fn one_id_in_two_jobs_and_two_sources_is_four_alerts() {
    let stage = Stage::set(TELL_FAILURES).await;
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let second = stage.source("second");
    std::fs::write(stage.path("rules.yaml"), config.replace("sources:\n", &format!("sources:\n{second}"))).unwrap();
    stage.workspace.put(failed("etl", 7));
    stage.workspace.put(failed("settlement", 7));
    stage.once(0).await;
    stage.once(0).await;
    let mut told: Vec<String> = stage
        .sink
        .hits()
        .iter()
        .map(|hit| format!("{} {}", hit.json()["data"]["source"]["id"], hit.json()["data"]["job"]["name"]))
        .collect();
    told.sort();
    let expected =
        ["\"second\" \"etl\"", "\"second\" \"settlement\"", "\"warehouse\" \"etl\"", "\"warehouse\" \"settlement\""];
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_nobody_knows_is_unknown_and_never_well() {
    let rules = "rules:\n  failed: { when: { status: [fail] }, notify: [hook] }\n  \
                 odd: { when: { status: [unknown] }, notify: [hook] }\n";
    let stage = Stage::set(rules).await;
    stage.workspace.put(failed("etl", 1));
    stage.once(0).await;
    // A later run in a state without a meaning resolves nothing.
    stage.workspace.put(SimInstance::waiting("etl", 2, ago(60)).ended("exploded", ago(1)));
    stage.once(0).await;
    let hits = stage.sink.hits();
    assert_eq!(hits.len(), 2);
    let body = hits[1].json();
    assert_eq!((&body["type"], &body["data"]["alert"]["rule"]), (&"alert.firing".into(), &"odd".into()));
    let instance = &body["data"]["instance"];
    assert_eq!((&instance["status"], &instance["raw_status"]), (&"unknown".into(), &"exploded".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_listed_long_after_its_end_is_told() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.once(0).await;
    stage.workspace.put(SimInstance::waiting("etl", 1, ago(2400)).ended("fail", ago(1800)));
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_slower_than_its_interval_is_polled_once_at_a_time_and_that_is_said() {
    let stage = Stage::set(TELL_FAILURES).await;
    let slow = Fault::once(FaultKind::Delay(Duration::from_millis(2300))).on(Operation::List).times(100);
    stage.workspace.inject(slow);
    let running = stage.start();
    let words = "took longer than its interval";
    for _ in 0..400 {
        if std::fs::read_to_string(stage.path("log")).unwrap_or_default().contains(words) {
            break;
        }
        pause(50).await;
    }
    // A few polls more, each of which could overlap with the one before.
    for _ in 0..400 {
        if stage.workspace.requests().list >= 3 {
            break;
        }
        pause(50).await;
    }
    let requests = stage.workspace.requests();
    drop(running);
    let log = std::fs::read_to_string(stage.path("log")).unwrap();
    assert!(log.contains(words), "{log}");
    assert!(requests.list >= 3, "{requests:?}");
    assert_eq!(requests.lists_at_once, 1, "no second list while the first is under way");
}
