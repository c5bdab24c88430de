//! What the commands show of jobs and instances.

use nightbell::sim::SimInstance;
use serde_json::Value;

use super::{Stage, TELL_FAILURES, ago, failed, text};

/// A stage that has seen three runs of `etl_orders` and one each of `etl_users` and `订单`.
async fn seen() -> Stage {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(SimInstance::waiting("etl_orders", 1, ago(7200)).ended("success", ago(7000)));
    stage.workspace.put(SimInstance::waiting("etl_orders", 2, ago(3600)).ended("success", ago(3500)));
    stage.workspace.put(failed("etl_orders", 3));
    stage.workspace.put(SimInstance::waiting("etl_users", 4, ago(600)));
    stage.workspace.put(SimInstance::waiting("订单", 5, ago(500)).ended("success", ago(400)));
    stage.once(0).await;
    stage
}

fn json_lines(output: &std::process::Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_chosen_by_job_status_source_and_time() {
    let stage = seen().await;
    let cases: [(&[&str], &[&str]); 8] = [
        (&[], &["3", "5", "4", "2", "1"]),
        (&["--job", "etl_*"], &["3", "4", "2", "1"]),
        (&["--job", "etl_users", "--job", "/订./"], &["5", "4"]),
        (&["--status", "fail,waiting"], &["3", "4"]),
        (&["--since", "30m"], &["3", "5", "4"]),
        (&["--job", "etl_*", "--status", "success", "--since", "90m"], &["2"]),
        (&["--limit", "2"], &["3", "5"]),
        (&["--source", "warehouse", "--job", "nothing*"], &[]),
    ];
    for (arguments, expected) in cases {
        let output = stage.output(&[&["instances", "--json"], arguments].concat()).await;
        let ids: Vec<Value> = json_lines(&output).iter().map(|line| line["instance"]["id"].clone()).collect();
        assert_eq!(ids, expected, "{arguments:?}");
    }
    let table = stage.output(&["instances"]).await;
    let table = text(&table.stdout);
    assert_eq!(table.lines().count(), 6, "{table}");
    assert!(table.contains("订单") && table.contains("LASTED"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_told_with_their_counts_and_their_last_run() {
    let stage = seen().await;
    let lines = json_lines(&stage.output(&["jobs", "--json", "--job", "etl_*"]).await);
    let told: Vec<(&Value, &Value, &Value, &Value, &Value)> = lines
        .iter()
        .map(|line| {
            let last = &line["last_instance"]["status"];
            (&line["job"], &line["instances"], &line["succeeded"], &line["failed"], last)
        })
        .collect();
    let [orders, users] = told.as_slice() else { panic!("{lines:?}") };
    assert_eq!(*orders, (&"etl_orders".into(), &3.into(), &2.into(), &1.into(), &"fail".into()));
    assert_eq!(*users, (&"etl_users".into(), &1.into(), &0.into(), &0.into(), &"waiting".into()));
    assert_eq!(lines[0]["alerts_firing"], 1);
    let table = text(&stage.output(&["jobs"]).await.stdout);
    assert_eq!(table.lines().count(), 4, "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_with_what_is() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.once(0).await;
    let cases: [(&[&str], &str); 3] = [
        (&["instances", "--source", "warehose"], "there is no source \"warehose\"; did you mean \"warehouse\"?"),
        (&["instances", "--status", "failed"], "did you mean \"fail\"?"),
        (&["jobs", "--job", "[a"], "a \"[\" is not closed"),
    ];
    for (arguments, words) in cases {
        let output = stage.output(arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(words), "{arguments:?}: {}", text(&output.stderr));
    }
    let output = stage.output(&["instances"]).await;
    assert!(output.status.success() && text(&output.stderr).contains("no such instances in the last"));
}
