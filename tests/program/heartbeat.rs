//! The real binary watching itself: what it tells of a source that is out, and when its heart beats.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nightbell::sim::{Fault, Operation};
use sqlx::Executor as _;

use super::{Stage, pause, text};

/// Refuses every list from now on.
fn refuse(stage: &Stage) {
    let answer = r#"{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information"}"#;
    stage.workspace.inject(Fault::answer(401, answer).on(Operation::List).times(usize::MAX));
}

/// A stage whose hook hears of Nightbell itself, and whose sink takes its heartbeat.
async fn watched() -> Stage {
    let stage = Stage::set("").await;
    let beat = stage.sink.url("beat/canary");
    stage.write_config(&format!(
        "self: {{ notify: [hook], unreadable_after: 2s }}\nheartbeat: {{ url: \"{beat}\", every: 1s }}\nrules: {{}}\n"
    ));
    stage
}

/// Waits until the log says it once more than `before` times.
async fn logged(stage: &Stage, words: &str, before: usize) {
    let began = Instant::now();
    loop {
        let log = std::fs::read_to_string(stage.path("log")).unwrap_or_default();
        if log.matches(words).count() > before {
            return;
        }
        assert!(began.elapsed().as_secs() < 180, "waited in vain for {words:?} in\n{log}");
        pause(50).await;
    }
}

fn beats(stage: &Stage) -> usize {
    stage.sink.hits_at("beat/canary").len()
}

async fn more_beats(stage: &Stage) {
    let before = beats(stage);
    let more = |hits: &[super::sink::Hit]| hits.iter().filter(|hit| hit.path == "/beat/canary").count() >= before + 2;
    stage.sink.wait("the heart to beat", more).await;
}

/// No beat comes while what stops it lasts.
async fn no_more_beats(stage: &Stage) {
    let before = beats(stage);
    pause(2500).await;
    assert_eq!(beats(stage), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_out_is_told_once_and_its_return_once_and_the_heart_stands_still_meanwhile() {
    let stage = watched().await;
    let running = stage.start();
    more_beats(&stage).await;
    refuse(&stage);
    let hook = |hits: &[super::sink::Hit], count| hits.iter().filter(|hit| hit.path == "/hook").count() >= count;
    stage.sink.wait("the alert", |hits| hook(hits, 1)).await;
    logged(&stage, "heartbeat: none of the sources can be read", 0).await;
    no_more_beats(&stage).await;
    stage.workspace.clear_faults();
    stage.sink.wait("the end of it", |hits| hook(hits, 2)).await;
    more_beats(&stage).await;
    drop(running);
    // Once each, whatever was looked at in between.
    let told = stage.sink.hits_at("hook");
    let kinds: Vec<_> = told.iter().map(|hit| hit.json()["type"].as_str().unwrap().to_string()).collect();
    assert_eq!(kinds, ["alert.firing", "alert.resolved"]);
    let facts = told[0].json()["data"].clone();
    assert_eq!(facts["alert"]["rule"], "self/source-unreadable");
    assert_eq!(facts["source"], serde_json::json!({ "id": "warehouse", "type": "dataarts" }));
    assert!(facts["alert"]["error"].as_str().unwrap().contains("APIGW.0301"), "{facts}");
    let listed = stage.listed("alerts").await;
    assert_eq!((listed.len(), listed[0]["alert"]["state"].as_str()), (1, Some("resolved")), "{listed:?}");
    // Who knows the URL can keep the alarm quiet.
    let log = std::fs::read_to_string(stage.path("log")).unwrap();
    assert!(!log.contains("canary"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heart_stands_still_while_the_store_takes_nothing() {
    let stage = watched().await;
    let running = stage.start();
    more_beats(&stage).await;
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}?mode=rw", stage.path("nightbell.db").display());
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    let mut other = pool.acquire().await.unwrap();
    // It may have to wait for its turn.
    other.execute("PRAGMA busy_timeout = 60000").await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    logged(&stage, "heartbeat: the store failed", 0).await;
    no_more_beats(&stage).await;
    other.execute("ROLLBACK").await.unwrap();
    more_beats(&stage).await;
    logged(&stage, "heartbeat: it works again", 0).await;
    drop(running);
}

/// Whoever listens answers with an error: that is said once, and nothing but the next beat comes of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_is_not_taken_is_said_once() {
    let stage = watched().await;
    stage.sink.answer(500);
    let running = stage.start();
    more_beats(&stage).await;
    more_beats(&stage).await;
    stage.sink.answer(200);
    logged(&stage, "heartbeat: it works again", 0).await;
    drop(running);
    let log = std::fs::read_to_string(stage.path("log")).unwrap();
    assert_eq!(log.matches("heartbeat: it was not taken: answered 500").count(), 1, "{log}");
}

/// Who lets crontab call it has one beat for each cycle that went well.
#[tokio::test(flavor = "multi_thread")]
async fn one_cycle_beats_once_and_not_when_nothing_can_be_read() {
    let stage = watched().await;
    stage.once(0).await;
    assert_eq!(beats(&stage), 1);
    refuse(&stage);
    stage.once(1).await;
    assert_eq!(beats(&stage), 1);
}

/// A user and a password in the address are what whoever listens asks for.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_in_the_address_go_with_each_beat() {
    let stage = Stage::set("").await;
    let beat = stage.sink.url("beat").replace("http://", "http://bell:heart%40canary@");
    stage.write_config(&format!("self: {{ notify: [hook] }}\nheartbeat: {{ url: \"{beat}\" }}\nrules: {{}}\n"));
    let output = stage.once(0).await;
    let hits = stage.sink.hits_at("beat");
    assert_eq!(hits.len(), 1);
    let proof = STANDARD.encode("bell:heart@canary");
    assert_eq!(hits[0].headers["authorization"], format!("Basic {proof}"));
    assert!(!text(&output.stderr).contains("canary"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_nobody_is_warned() {
    let stage = Stage::set("rules: {}\n").await;
    let said = |output: std::process::Output| text(&output.stderr);
    assert!(said(stage.output(&["check"]).await).contains("write self: { notify: [hook] }"));
    stage.write_config("rules: {}\nself: { notify: [hook] }\n");
    assert!(!said(stage.output(&["check"]).await).contains("self:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nightbells_own_rules_can_be_silenced() {
    let stage = watched().await;
    stage.once(0).await;
    for rule in ["self/*", "self/source-unreadable"] {
        let silence = ["silence", "add", "--rule", rule, "--for", "1h", "--reason", "moving house", "--by", "li"];
        let output = stage.output(&silence).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let output =
        stage.output(&["silence", "add", "--rule", "self/x", "--for", "1h", "--reason", "x", "--by", "li"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    refuse(&stage);
    let running = stage.start();
    logged(&stage, "(not sent: silence:1)", 0).await;
    drop(running);
    assert_eq!(stage.sink.hits_at("hook").len(), 0);
}
