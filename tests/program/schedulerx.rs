//! A SchedulerX source in the real binary: a failure is told once with its result, and a later success resolves it.

use std::sync::Arc;

use nightbell::clock::SystemClock;
use nightbell::sim::{SimFlowRun, SimRun, SimSchedulerX, SimSchedulerXConfig, SimStep};

use super::{Stage, TELL_FAILURES, ago, text};

/// A stage whose only source is a simulated SchedulerX.
async fn stage() -> (Stage, SimSchedulerX) {
    let config = SimSchedulerXConfig {
        access_key: "LTAI5tCANARYACCESSKEY".into(),
        secret_key: "CANARYSECRETKEY+/=0123".into(),
        security_token: Some("CAIS/CANARYTOKEN+x==".into()),
        ..SimSchedulerXConfig::default()
    };
    let sim = SimSchedulerX::start(config, Arc::new(SystemClock)).await.unwrap();
    let stage = Stage::set(TELL_FAILURES).await;
    let config = sim.config();
    let source = format!(
        "  billing:\n    type: schedulerx\n    endpoint: {}\n    region: {}\n    namespace: {}\n    groups: [{}]\n    \
         poll: \"* * * * * *\"\n    auth: {{ access_key: {}, secret_key: {}, security_token: {} }}\n",
        sim.endpoint(),
        config.region,
        config.namespace,
        config.groups[0],
        config.access_key,
        config.secret_key,
        config.security_token.unwrap_or_default(),
    );
    let file = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    std::fs::write(stage.path("rules.yaml"), file.replace(&stage.source("warehouse"), &source)).unwrap();
    sim.put_job(92583, "settle_orders");
    (stage, sim)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_once_with_its_result_and_a_later_success_resolves_it() {
    let (stage, sim) = stage().await;
    let log = ["step 3 of 5, password=LOGCANARY", "java.sql.SQLException: orders is locked"].map(str::to_string);
    let failed = SimRun::waiting(92583, 11_111_111, ago(120)).ended(5, ago(60), "exit code 1");
    sim.put(SimRun { log: log.to_vec(), ..failed });
    let mut printed = String::new();
    for _ in 0..3 {
        let output = stage.output(&["run", "--once", "--log", "trace"]).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        printed.push_str(&text(&output.stderr));
    }
    let hits = stage.sink.hits();
    assert_eq!(hits.len(), 1, "told more than once: {hits:#?}");
    let body = hits[0].json();
    let data = &body["data"];
    assert_eq!(data["alert"]["summary"], "settle_orders failed after 1m 0s");
    assert_eq!((data["source"]["type"].as_str(), data["job"]["id"].as_str()), (Some("schedulerx"), Some("92583")));
    assert_eq!(
        (data["instance"]["id"].as_str(), data["instance"]["raw_status"].as_str()),
        (Some("11111111"), Some("5 failed"))
    );
    assert_eq!(
        data["instance"]["error"],
        "exit code 1\nstep 3 of 5, password=<redacted>\njava.sql.SQLException: orders is locked"
    );
    assert_eq!(data["node_details"], "ok");

    sim.put(SimRun::waiting(92583, 11_111_112, ago(30)).ended(4, ago(0), "ok"));
    stage.once(0).await;
    let hits = stage.sink.hits();
    assert_eq!((hits.len(), hits[1].json()["type"].as_str()), (2, Some("alert.resolved")));
    // Keys, tokens, a group's key, people's contacts, a job's parameters and what the log gives away: in no output, and
    // not in the store either.
    let stored = stage.stored().await;
    for (place, kept) in [("the log", printed), ("a message", format!("{hits:?}")), ("the store", text(&stored))] {
        assert!(!kept.contains("CANARY"), "a canary is in {place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_granted_nothing_is_unknown_and_not_well() {
    let (stage, sim) = stage().await;
    sim.configure(|config| config.is_granted = false);
    sim.put(SimRun::waiting(92583, 1, ago(120)).ended(5, ago(60), "x"));
    let stderr = text(&stage.once(1).await.stderr);
    assert!(stderr.contains("sees no group") && stderr.contains("grant"), "{stderr}");
    assert!(stage.sink.hits().is_empty());
    let listing = stage.output(&["alerts"]).await;
    assert!(text(&listing.stderr).contains("billing has been unreadable since"), "{}", text(&listing.stderr));
    sim.configure(|config| config.is_granted = true);
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1);
}

/// A run that ends outside the window is still asked after, by its name alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_run_outside_the_window_is_followed() {
    let (stage, sim) = stage().await;
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    std::fs::write(stage.path("rules.yaml"), config.replace("    poll:", "    lookback: 30m\n    poll:")).unwrap();
    let running = SimRun { status: 3, start_time: Some(ago(29 * 60)), ..SimRun::waiting(92583, 1, ago(29 * 60)) };
    sim.put(running.clone());
    stage.once(0).await;
    sim.put(SimRun { schedule_time: ago(5 * 3600), ..running.clone() });
    stage.once(0).await;
    assert!(stage.sink.hits().is_empty());
    let start_time = running.start_time;
    sim.put(SimRun { schedule_time: ago(5 * 3600), start_time, ..running.ended(5, ago(0), "out of memory") });
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1, "the failure outside the window was not told");
    assert_eq!(stage.sink.hits()[0].json()["data"]["instance"]["error"], "out of memory");
}

/// What is odd about a listing is said by the poll.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_zone_is_warned_of() {
    let (stage, sim) = stage().await;
    sim.configure(|config| config.timezone = jiff::tz::TimeZone::get("Pacific/Auckland").unwrap());
    sim.put(SimRun::waiting(92583, 1, ago(120)).ended(4, ago(60), "ok"));
    let stderr = text(&stage.once(0).await.stderr);
    assert!(stderr.contains("lie in the future") && stderr.contains("timezone"), "{stderr}");
}

/// A workflow is told once with the job in it that failed; a rule chooses it by its name.
#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_fails_is_told_with_the_failing_job_as_its_node() {
    let (stage, sim) = stage().await;
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let config = config
        .replace("    poll:", "    workflows: true\n    poll:")
        .replace("failed: {", "failed: { match: { job: nightly },");
    std::fs::write(stage.path("rules.yaml"), config).unwrap();
    sim.put_workflow(7, "nightly");
    let step = SimStep {
        job_id: 92583,
        job_name: "settle_orders".into(),
        instance_id: 11,
        status: 5,
        attempt: 1,
        result: "exit code 1".into(),
        start_time: Some(ago(110)),
        end_time: Some(ago(60)),
    };
    let run = |id, status, start, end| SimFlowRun {
        workflow_id: 7,
        id,
        status,
        schedule_time: ago(start),
        start_time: Some(ago(start)),
        end_time: Some(ago(end)),
        steps: vec![step.clone()],
    };
    sim.put_flow_run(run(1, 5, 120, 60));
    sim.put(SimRun::waiting(92583, 11, ago(120)).ended(5, ago(60), "exit code 1"));
    for _ in 0..2 {
        stage.once(0).await;
    }
    let hits = stage.sink.hits();
    assert_eq!(hits.len(), 1, "{hits:#?}");
    let data = hits[0].json()["data"].clone();
    assert_eq!(data["alert"]["summary"], "nightly failed after 1m 0s");
    assert_eq!((&data["job"]["id"], &data["instance"]["raw_status"]), (&"7".into(), &"5 failed".into()));
    assert_eq!(data["instance"]["error"], "settle_orders: exit code 1");
    let node = &data["failing_nodes"][0];
    assert_eq!(
        (&node["name"], &node["status"], &node["retries"]),
        (&"settle_orders".into(), &"fail".into(), &1.into())
    );
    sim.put_flow_run(run(2, 4, 30, 0));
    stage.once(0).await;
    assert_eq!(stage.sink.hits()[1].json()["type"], "alert.resolved");

    sim.configure(|config| config.has_workflows = false);
    let stderr = text(&stage.once(1).await.stderr);
    assert!(stderr.contains("the workflows could not be read") && stderr.contains("basic edition"), "{stderr}");
}
