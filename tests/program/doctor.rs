//! `nightbell doctor`: what it prints, what it keeps, and that it works beside a running process.

use nightbell::sim::{Fault, SimInstance};

use super::{Stage, TELL_FAILURES, ago, exists, failed, text};
use crate::store::read_learnt;

async fn filled() -> Stage {
    let stage = Stage::set(TELL_FAILURES).await;
    for id in 0..10 {
        stage.workspace.put(SimInstance::waiting("etl", id, ago(600 + id as i64)).ended("success", ago(300)));
    }
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_s_table_and_lines_say_the_same_and_what_it_learnt_is_kept() {
    let stage = filled().await;
    let table = stage.output(&["doctor"]).await;
    assert_eq!(table.status.code(), Some(0), "{}", text(&table.stderr));
    let shown = text(&table.stdout);
    assert!(shown.starts_with("warehouse (dataarts)\n"), "{shown}");
    let lines = stage.listed("doctor").await;
    for line in &lines {
        assert_eq!((&line["source"], &line["type"]), (&"warehouse".into(), &"dataarts".into()), "{line}");
        assert!(shown.contains(line["question"].as_str().unwrap()), "{line} is not in {shown}");
        assert!(["good", "notice", "open"].contains(&line["grade"].as_str().unwrap()), "{line}");
    }
    assert!(lines.len() >= 8, "{lines:?}");
    let learnt = read_learnt(&stage.store(), "warehouse").await;
    assert_eq!(learnt.get("offset").map(String::as_str), Some("records"), "{learnt:?}");
    // A run on that store takes it over, and loses none of it.
    stage.once(0).await;
    assert_eq!(read_learnt(&stage.store(), "warehouse").await, learnt);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_works_beside_a_running_process_and_says_that_nothing_is_kept() {
    let stage = filled().await;
    stage.workspace.put(failed("etl", 100));
    let running = stage.start();
    stage.sink.wait("the first process to work", |hits| !hits.is_empty()).await;
    let output = stage.output(&["doctor", "warehouse"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let stderr = text(&output.stderr);
    assert!(stderr.contains(&format!("not saved: process {} holds the store", running.0.id())), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_exits_with_1_when_something_is_bad_and_knows_the_sources() {
    let stage = filled().await;
    stage.workspace.inject(Fault::answer(401, r#"{"error_code":"APIGW.0301","error_msg":"no"}"#).times(9));
    let output = stage.output(&["doctor"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("BAD"), "{}", text(&output.stdout));
    assert!(!exists(&stage.path("nightbell.db")), "nothing was learnt, so nothing is made");
    let output = stage.output(&["doctor", "warehous"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("did you mean \"warehouse\"?"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_what_it_learnt_by_the_way() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put_all((0..1100).map(|n| SimInstance::waiting("etl", n, ago(600 + n as i64)).running()));
    stage.once(0).await;
    let learnt = read_learnt(&stage.store(), "warehouse").await;
    assert_eq!(learnt.get("offset").map(String::as_str), Some("records"), "{learnt:?}");
}
