//! `nightbell backtest` with the real binary: over what a Nightbell recorded, beside one that runs, and over what the
//! source still lists.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Stage, TELL_FAILURES, ago, failed, text};
use crate::sample::is_on_server;

/// The JSON lines of a backtest: messages or differences, and the summary.
async fn backtest(stage: &Stage, arguments: &[&str]) -> (Vec<Value>, Value) {
    let output = stage.output(&[&["backtest", "--json", "--since", "1d"], arguments].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap()["summary"].clone();
    (lines, summary)
}

/// What was told, as "time alert type receiver".
fn told(lines: &[Value]) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for line in lines {
        for receiver in line["receivers"].as_array().unwrap() {
            told.insert(format!("{} {} {} {receiver}", line["at"], line["alert"], line["type"]));
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_what_would_have_been_told() {
    let stage = Stage::set(TELL_FAILURES).await;
    for id in 1..=5 {
        stage.workspace.put(failed("etl_orders", id));
    }
    stage.once(0).await;
    stage.workspace.put(failed("dwd_orders", 6));
    stage.workspace.update("etl_orders", 3, |run| {
        (run.status, run.start_time, run.end_time) = ("success".to_string(), Some(ago(50)), Some(ago(0)));
    });
    stage.once(0).await;

    let mut expected = BTreeSet::new();
    for delivery in stage.listed("deliveries").await {
        let [at, alert, kind, receiver] = ["created_at", "alert", "kind", "receiver"].map(|key| &delivery[key]);
        expected.insert(format!("{at} {alert} {kind} {receiver}"));
    }
    assert!(expected.len() >= 7, "{expected:?}");
    let (lines, summary) = backtest(&stage, &[]).await;
    assert_eq!(told(&lines), expected);
    assert_eq!(summary["messages"], expected.len());
    assert_eq!(summary["receivers"]["hook"], expected.len());
    assert!(summary["notes"].to_string().contains("nothing is recorded before"), "{summary}");

    // For people, and beside a Nightbell that runs: the same, with the counts.
    let _running = stage.start();
    let output = stage.output(&["backtest"]).await;
    let shown = text(&output.stdout);
    assert!(shown.contains("etl_orders failed after") && shown.contains("messages from"), "{shown}");
    assert!(text(&output.stderr).contains("warehouse: replaying 2 polls and"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_of_the_rules_are_held_against_each_other() {
    let stage = Stage::set(TELL_FAILURES).await;
    for (job, id) in [("etl_orders", 1), ("etl_users", 2), ("dwd_orders", 3)] {
        stage.workspace.put(failed(job, id));
    }
    stage.once(0).await;
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let other = config.replace("failed: { when:", "failed: { match: { job: \"etl_*\" }, when:")
        + "  stopped: { when: { status: manual-stop }, notify: [hook] }\n  \
           users: { match: { job: etl_users }, when: { status: fail }, notify: [hook] }\n";
    assert_ne!(config, other);
    std::fs::write(stage.path("new.yaml"), &other).unwrap();
    let new = stage.path("new.yaml").display().to_string();
    let (lines, summary) = backtest(&stage, &["--rules", &new]).await;
    let changes: BTreeSet<String> =
        lines.iter().map(|line| format!("{} {} {}", line["change"], line["rule"], line["job"])).collect();
    let expected = [r#""only-new" "users" "etl_users""#, r#""only-old" "failed" "dwd_orders""#];
    assert_eq!(changes, expected.map(str::to_string).into());
    assert_eq!((&summary["messages"], &summary["new"]["messages"]), (&3.into(), &3.into()));
    let same = stage.path("rules.yaml").display().to_string();
    let output = stage.output(&["backtest", "--rules", &same]).await;
    assert!(text(&output.stdout).contains("both versions notify the same"), "{}", text(&output.stdout));

    // A version that is broken is refused as any configuration is.
    std::fs::write(stage.path("new.yaml"), other.replace("notify: [hook]", "notify: [hok]")).unwrap();
    let output = stage.output(&["backtest", "--rules", &new]).await;
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("did you mean \"hook\"?"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_recorded_is_read_from_the_source() {
    let stage = Stage::set(TELL_FAILURES).await;
    for id in 1..=3 {
        stage.workspace.put(failed("etl_orders", id));
    }
    let (lines, summary) = backtest(&stage, &["--fetch"]).await;
    assert_eq!(lines.iter().filter(|line| line["type"] == "alert.firing").count(), 3, "{lines:?}");
    assert!(summary["notes"].to_string().contains("replayed from their plan, start and end"), "{summary}");
    // Without it there is no store to read, where that is a file.
    if !is_on_server() {
        let output = stage.output(&["backtest"]).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("there is no such file"), "{}", text(&output.stderr));
    }
    for (since, until) in [("1h", "2h"), ("soon", "1h")] {
        let output = stage.output(&["backtest", "--since", since, "--until", until]).await;
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}
