//! A night of several schedulers: one rule over DataArts, SchedulerX, Airflow and a described one, told in one digest.

use std::collections::BTreeSet;
use std::sync::Arc;

use nightbell::clock::SystemClock;
use nightbell::sim::{SimRun, SimSchedulerX, SimSchedulerXConfig};
use serde_json::json;

use super::{Stage, ago, failed, text};
use crate::described::service::{Service, ok, told};

/// An Airflow with one failed run.
async fn airflow() -> Service {
    let (due, end) = (ago(120), ago(1));
    let run = json!({ "dag_id": "etl_airflow", "dag_run_id": "scheduled__1", "state": "failed", "run_type": "scheduled",
        "run_after": due, "start_date": due, "end_date": end });
    Service::start(move |asked| match asked.path.as_str() {
        "/api/v2/dags/~/dagRuns" => ok(json!({ "dag_runs": [run], "next_cursor": null })),
        "/api/v2/dags/etl_airflow/dagRuns/scheduled__1" => ok(run.clone()),
        "/api/v2/dags/etl_airflow/dagRuns/scheduled__1/taskInstances" => ok(json!({ "task_instances": [
            { "task_id": "load", "map_index": -1, "state": "failed", "try_number": 1 }] })),
        _ => told(404, "{\"detail\":\"was not found\"}"),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rule_over_every_kind_of_source_is_told_in_one_digest() {
    let stage = Stage::set("").await;
    stage.workspace.put(failed("etl_dataarts", 34765));
    let config = SimSchedulerXConfig::default();
    let schedulerx = SimSchedulerX::start(config.clone(), Arc::new(SystemClock)).await.unwrap();
    schedulerx.put_job(92583, "etl_schedulerx");
    schedulerx.put(SimRun::waiting(92583, 1, ago(120)).ended(5, ago(60), "exit code 1"));
    let airflow = airflow().await;
    let (due, end) = (ago(120).as_second(), ago(1).as_second());
    let row = json!({ "id": 7, "job": "etl_http", "status": "FAILED", "due": due, "end": end });
    let http = Service::start(move |_| ok(json!({ "runs": [row] }))).await;
    let sources = format!(
        "{}  billing:\n    type: schedulerx\n    endpoint: {}\n    region: {}\n    namespace: {}\n    groups: [{}]\n    \
         auth: {{ access_key: {}, secret_key: {} }}\n  lakehouse:\n    type: airflow\n    url: {}\n    auth: {{ token: t }}\n  \
         elsewhere:\n    type: http\n    url: {}/runs\n    items: /runs\n    fields: {{ id: /id, job: /job, status: /status, \
         planned: {{ pointer: /due, format: epoch }}, ended: {{ pointer: /end, format: epoch }} }}\n    \
         status_map: {{ FAILED: fail }}\n",
        stage.source("warehouse"),
        schedulerx.endpoint(),
        config.region,
        config.namespace,
        config.groups[0],
        config.access_key,
        config.secret_key,
        airflow.url,
        http.url,
    );
    let file = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let file = file.replace(&stage.source("warehouse"), &sources)
        + "rules:\n  etl-failed: { match: { job: \"etl_*\" }, when: { status: [fail] }, notify: [hook] }\n\
           digests:\n  daily: { schedule: \"0 8 * * *\", notify: [hook] }\n";
    std::fs::write(stage.path("rules.yaml"), file).unwrap();
    stage.once(0).await;
    stage.once(0).await;
    let expected: BTreeSet<_> = [
        ("dataarts", "etl_dataarts"),
        ("schedulerx", "etl_schedulerx"),
        ("airflow", "etl_airflow"),
        ("http", "etl_http"),
    ]
    .map(|(kind, job)| (kind.to_string(), job.to_string()))
    .into();
    let hits = stage.sink.hits();
    let of = |body: &serde_json::Value| {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
        (text(&body["data"]["source"]["type"]), text(&body["data"]["job"]["name"]))
    };
    let told: BTreeSet<_> = hits.iter().map(|hit| of(&hit.json())).collect();
    assert_eq!((hits.len(), told), (4, expected.clone()), "each is told once, by the one rule");
    let output = stage.output(&["digest", "daily", "--json", "--period", "1h"]).await;
    let digest = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for (_, job) in expected {
        assert!(digest.contains(&job), "{job} is not in the digest: {digest}");
    }
}
