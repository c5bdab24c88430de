//! Alerts about jobs themselves: `when: { job_status: … }`.

use nightbell::sim::{Fault, Operation, SimInstance, SimJob, SimNode};

use super::{Stage, ago, failed, text};

const RULES: &str = "rules:
  broken: { when: { job_status: [EXCEPTION, stopped, Paused] }, severity: critical, notify: [hook] }
  failed: { when: { status: [fail] }, notify: [hook] }
";

fn stream(status: &str) -> SimJob {
    let node = |name: &str, status: &str| SimNode::ended(name, "MRSFlinkJob", status, ago(60), ago(1));
    let mut job = SimJob::real_time("stream_orders", status);
    job.start_time = Some(ago(7200));
    let broken = if status == "EXCEPTION" { "EXCEPTION" } else { "NORMAL" };
    job.nodes = vec![node("in", "NORMAL"), node("out", broken).log_path("obs://dlf-log/stream orders/out.log")];
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_broke_is_told_once_with_its_failing_node_and_resolves_when_it_is_well() {
    let stage = Stage::set(RULES).await;
    stage.workspace.put_job(stream("NORMAL"));
    stage.workspace.put_job(SimJob::batch("etl", "SCHEDULING"));
    stage.once(0).await;
    assert!(stage.sink.hits().is_empty());

    stage.workspace.put_job(stream("EXCEPTION"));
    for _ in 0..3 {
        stage.once(0).await;
    }
    let hits = stage.sink.hits();
    assert_eq!(hits.len(), 1);
    let body = hits[0].json();
    assert_eq!(body["type"], "alert.firing");
    let data = &body["data"];
    assert_eq!(
        (&data["instance"], &data["alert"]["summary"]),
        (&serde_json::Value::Null, &"real-time job stream_orders stopped with an exception".into())
    );
    let job = serde_json::json!({
        "name": "stream_orders", "id": null, "real_time_job": null, "node": null, "status": "EXCEPTION", "owner": "etl-team", "create_user": "test_user",
        "last_instance_status": null, "last_instance_end_time": null, "workflow": null,
    });
    assert_eq!(data["job"], job);
    assert_eq!(data["failing_nodes"].as_array().unwrap().len(), 1, "{data}");
    assert_eq!(data["failing_nodes"][0]["log_path"], "obs://dlf-log/stream orders/out.log");
    assert_eq!(data["node_details"], "ok");

    // A state in between that is neither well nor asked for changes nothing.
    stage.workspace.put_job(stream("STOPPING"));
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1);
    stage.workspace.put_job(stream("NORMAL"));
    stage.once(0).await;
    stage.workspace.put_job(stream("EXCEPTION"));
    stage.once(0).await;
    let hits = stage.sink.hits();
    let kinds: Vec<_> = hits.iter().map(|hit| hit.json()["type"].as_str().unwrap().to_string()).collect();
    assert_eq!(kinds, ["alert.firing", "alert.resolved", "alert.firing"]);
    assert_eq!(hits[1].json()["data"]["job"]["status"], "NORMAL");
    assert_ne!(hits[0].id(), hits[2].id(), "a second episode with the times of the first");
    let alerts = stage.listed("alerts").await;
    assert!(alerts.iter().all(|alert| alert["instance"].is_null()), "{alerts:?}");
    let table = text(&stage.output(&["alerts"]).await.stdout);
    assert!(table.contains("stream_orders (job)"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_deleted_while_its_alert_fires_ends_it_once_the_whole_list_shows_that() {
    let stage = Stage::set(RULES).await;
    stage.workspace.put_job(stream("EXCEPTION"));
    stage.workspace.put_job(SimJob::batch("etl", "SCHEDULING"));
    stage.workspace.put(failed("stream_orders", 7));
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 2);
    stage.workspace.remove_job("stream_orders");
    // A list that could not be read, or not as a whole, proves nothing.
    let half = r#"{"total":3,"jobs":[{"name":"etl","status":"SCHEDULING"}]}"#;
    for trouble in [Fault::answer(500, ""), Fault::answer(200, half), Fault::answer(200, "<html>")] {
        stage.workspace.inject(trouble.on(Operation::Jobs).times(9));
        stage.once(1).await;
        stage.workspace.clear_faults();
    }
    assert_eq!(stage.sink.hits().len(), 2);
    for _ in 0..2 {
        stage.once(0).await;
    }
    let over: Vec<_> = stage.sink.hits().into_iter().skip(2).map(|hit| hit.json()).collect();
    assert_eq!(over.len(), 1, "{over:#?}");
    let alert = &over[0]["data"]["alert"];
    assert_eq!((&alert["rule"], &alert["state"]), (&"broken".into(), &"resolved".into()));
    assert_eq!(alert["summary"], "job stream_orders no longer exists: it was deleted or renamed");
    assert_eq!(over[0]["data"]["job"]["status"], "EXCEPTION", "as it was last seen");
    // The alert about its run goes on: a run that failed has failed.
    let firing: Vec<_> =
        stage.listed("alerts").await.into_iter().filter(|alert| alert["alert"]["state"] == "firing").collect();
    assert_eq!((firing.len(), &firing[0]["alert"]["rule"]), (1, &"failed".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sub_job_is_told_with_its_real_time_job_and_node_and_matched_by_its_own_name() {
    let stage = Stage::set(
        "rules:\n  own: { match: { job: \"stream_orders_*\" }, when: { status: [fail] }, notify: [hook] }\n  \
         other: { match: { job: stream_orders }, when: { status: [fail] }, notify: [hook] }\n",
    )
    .await;
    stage.workspace.put_job(stream("NORMAL"));
    let sub_job = |id, status: &str| {
        let run = SimInstance::waiting("stream_orders_out", id, ago(60 - id as i64)).ended(status, ago(9 - id as i64));
        SimInstance { kind: 6, ..run }
    };
    stage.workspace.put(sub_job(1, "success"));
    stage.once(0).await;
    assert_eq!(stage.workspace.requests().jobs, 0, "sub-jobs that are well cost nothing");
    stage.workspace.put(sub_job(2, "fail"));
    stage.once(0).await;
    stage.workspace.put(sub_job(3, "success"));
    stage.once(0).await;
    let bodies: Vec<_> = stage.sink.hits().iter().map(|hit| hit.json()).collect();
    let summaries: Vec<_> = bodies.iter().map(|body| body["data"]["alert"]["summary"].as_str().unwrap()).collect();
    assert_eq!(summaries.len(), 2, "{bodies:#?}");
    assert!(summaries[0].starts_with("node out of stream_orders failed after "), "{summaries:?}");
    assert!(summaries[1].starts_with("node out of stream_orders recovered: a later run succeeded"), "{summaries:?}");
    for body in &bodies {
        assert_eq!(body["data"]["alert"]["rule"], "own");
        let job = &body["data"]["job"];
        let told = [&job["name"], &job["real_time_job"], &job["node"]].map(|value| value.as_str().unwrap_or_default());
        assert_eq!(told, ["stream_orders_out", "stream_orders", "out"]);
    }
    let requests = stage.workspace.requests();
    assert_eq!((requests.jobs, requests.detail), (1, 1), "one list of real-time jobs for the one alert");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_job_s_failure_is_told_though_its_real_time_job_cannot_be_found_out() {
    let stage = Stage::set(super::TELL_FAILURES).await;
    stage.workspace.put(SimInstance { kind: 6, ..failed("stream_orders_out", 7) });
    stage.workspace.inject(Fault::answer(403, "").on(Operation::Jobs).times(9));
    stage.once(0).await;
    let data = stage.sink.hits()[0].json()["data"].clone();
    assert!(data["alert"]["summary"].as_str().unwrap().starts_with("stream_orders_out failed after"), "{data}");
    assert_eq!((&data["job"]["real_time_job"], &data["node_details"]), (&serde_json::Value::Null, &"ok".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_batch_job_is_told_beside_the_failures_of_its_runs() {
    let stage = Stage::set(RULES).await;
    stage.once(0).await;
    let mut job = SimJob::batch("etl", "STOPPED");
    job.last_instance = Some(("fail".to_string(), ago(1)));
    stage.workspace.put_job(job);
    stage.workspace.put(failed("etl", 7));
    stage.once(0).await;
    let mut rules: Vec<_> =
        stage.sink.hits().iter().map(|hit| hit.json()["data"]["alert"]["rule"].to_string()).collect();
    rules.sort();
    assert_eq!(rules, ["\"broken\"", "\"failed\""]);
    // A rerun that succeeds ends the alert about the run, and not the one about the job.
    stage.workspace.update("etl", 7, |run| run.status = "success".to_string());
    stage.once(0).await;
    let resolved: Vec<_> = stage.sink.hits().into_iter().skip(2).map(|hit| hit.json()).collect();
    assert_eq!((resolved.len(), &resolved[0]["data"]["alert"]["rule"]), (1, &"failed".into()));
    let requests = stage.workspace.requests();
    assert_eq!((requests.jobs, requests.job_status), (6, 0), "two lists a poll, and no status of a batch job");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_first_look_a_job_that_stopped_long_ago_is_recorded_and_not_told() {
    let stage = Stage::set(RULES).await;
    let mut job = SimJob::batch("old", "STOPPED");
    (job.start_time, job.end_time) = (Some(ago(90_000)), Some(ago(80_000)));
    stage.workspace.put_job(job);
    stage.workspace.put_job(SimJob::batch("new", "STOPPED"));
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1);
    assert_eq!(stage.sink.hits()[0].json()["data"]["job"]["name"], "new");
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_cannot_be_read_leave_their_alerts_and_hold_up_nothing_else() {
    let stage = Stage::set(RULES).await;
    stage.workspace.put_job(stream("EXCEPTION"));
    stage.once(0).await;
    stage.workspace.put(failed("etl", 7));
    stage.workspace.inject(Fault::answer(500, "").on(Operation::Jobs).times(2));
    let output = stage.once(1).await;
    assert!(text(&output.stderr).contains("the jobs could not be read: HTTP 500"), "{}", text(&output.stderr));
    let kinds: Vec<_> = stage.sink.hits().iter().map(|hit| hit.json()["type"].as_str().unwrap().to_string()).collect();
    assert_eq!(kinds, ["alert.firing", "alert.firing"], "the failure is told, the job's alert goes on");
    let firing = stage.listed("alerts").await.iter().filter(|alert| alert["alert"]["state"] == "firing").count();
    assert_eq!(firing, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_rule_about_jobs_no_job_is_asked_for() {
    let stage = Stage::set(super::TELL_FAILURES).await;
    stage.workspace.put_job(stream("EXCEPTION"));
    stage.once(0).await;
    assert_eq!((stage.workspace.requests().jobs, stage.sink.hits().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_wants_templates_that_can_do_without_an_instance_only_where_a_rule_is_about_jobs() {
    let stage = Stage::set(RULES).await;
    std::fs::write(stage.path("body.hbs"), "{\"a\": \"{{data.instance.id}}\"}").unwrap();
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let config = config.replace("type: webhook,", "type: webhook, template: body.hbs,");
    std::fs::write(stage.path("rules.yaml"), &config).unwrap();
    let output = stage.output(&["check"]).await;
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("data.instance.id"), "{}", text(&output.stderr));
    let without = config.split("  broken:").next().unwrap().to_string()
        + "  failed: { when: { status: fail }, notify: [hook] }\n";
    std::fs::write(stage.path("rules.yaml"), without).unwrap();
    assert_eq!(stage.output(&["check"]).await.status.code(), Some(0));
}
