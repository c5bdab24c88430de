//! What could not be told: it goes to the fallback, and an operator lists it, looks at it and has it sent again.

use super::sink::Sink;
use super::{Stage, ago, failed};

/// `broken` is at a sink of its own and stands before `hook` in every alert's way.
fn rules(broken: &Sink) -> String {
    format!(
        "  broken: {{ type: webhook, url: {}, fallback: hook }}\nrules:\n  failed: {{ when: {{ status: [fail] }}, \
         severity: critical, notify: [broken] }}\n",
        broken.url("broken")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_told_by_the_fallback_in_the_same_cycle_and_so_is_its_end() {
    let broken = Sink::open().await;
    broken.answer(410);
    let stage = Stage::set(&rules(&broken)).await;
    stage.workspace.put(failed("etl", 1));
    for _ in 0..3 {
        stage.once(0).await;
    }
    assert_eq!(broken.hits().len(), 1);
    let hits = stage.sink.hits();
    assert_eq!(hits.len(), 1, "{hits:#?}");
    let body = hits[0].json();
    assert_eq!(body["type"], "alert.firing");
    assert_eq!(body["stands_in_for"]["receiver"], "broken");
    assert_eq!(body["stands_in_for"]["given_up"], true);
    assert!(body["stands_in_for"]["error"].as_str().unwrap().contains("410"), "{body}");
    stage.workspace.update("etl", 1, |run| *run = run.clone().ended("success", ago(0)));
    stage.once(0).await;
    let hits = stage.sink.hits();
    assert_eq!((hits.len(), hits[1].json()["type"].as_str()), (2, Some("alert.resolved")));
    assert_eq!(hits[1].json()["stands_in_for"], serde_json::json!({ "receiver": "broken" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_program_tells_the_fallback_without_waiting_and_only_once_over_a_kill() {
    let broken = Sink::open().await;
    broken.answer(410);
    let stage = Stage::set(&rules(&broken)).await;
    stage.workspace.put(failed("etl", 1));
    let mut running = stage.start();
    let hits = stage.sink.wait("the fallback", |hits| hits.len() == 1).await;
    running.kill();
    stage.once(0).await;
    assert!(stage.sink.hits().iter().all(|hit| hit.id() == hits[0].id()), "a repeat has the same name");
    assert_eq!(stage.listed("deliveries").await.len(), 2);
}
