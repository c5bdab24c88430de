//! What a user sees over the life of failures: told once, with the node and its log, and told when it is over.

use nightbell::sim::{SimInstance, SimNode};

use super::{Stage, TELL_FAILURES, ago, failed, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_once_with_node_and_log_path() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl_orders", 34765));
    for _ in 0..3 {
        stage.once(0).await;
    }
    let hits = stage.sink.hits();
    assert_eq!(hits.len(), 1, "told more than once: {hits:#?}");
    let body = hits[0].json();
    assert_eq!(body["type"], "alert.firing");
    let data = &body["data"];
    assert_eq!(data["alert"]["rule"], "failed");
    assert_eq!(data["alert"]["severity"], "critical");
    assert_eq!(data["alert"]["summary"], "etl_orders failed after 1m 59s");
    assert_eq!(data["job"]["name"], "etl_orders");
    assert_eq!(data["instance"]["id"], "34765");
    assert_eq!(data["failing_nodes"][0]["name"], "load");
    assert_eq!(data["failing_nodes"][0]["log_path"], "obs://log/etl_orders/34765");
    assert_eq!(data["node_details"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_resolves_and_a_later_failure_is_a_new_episode() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    stage.once(0).await;
    stage.workspace.update("etl", 1, |run| *run = run.clone().ended("success", ago(0)));
    stage.once(0).await;
    stage.workspace.update("etl", 1, |run| *run = run.clone().ended("fail", ago(0)));
    stage.once(0).await;
    let hits = stage.sink.hits();
    let kinds: Vec<_> = hits.iter().map(|hit| hit.json()["type"].clone()).collect();
    assert_eq!(kinds, ["alert.firing", "alert.resolved", "alert.firing"]);
    assert_ne!(hits[0].id(), hits[2].id(), "the second episode must have a name of its own");
}

/// A source that shows a second failure with the very times of the first tells of a second episode all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_failure_with_the_times_of_the_first_is_told() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    for status in ["fail", "success", "fail", "success"] {
        stage.workspace.update("etl", 1, |run| run.status = status.to_string());
        stage.once(0).await;
    }
    let kinds: Vec<_> = stage.sink.hits().iter().map(|hit| hit.json()["type"].clone()).collect();
    assert_eq!(kinds, ["alert.firing", "alert.resolved", "alert.firing", "alert.resolved"]);
}

/// A page from a stale replica shows a run as it was before its rerun: nothing begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_page_begins_no_episode() {
    let stage = Stage::set(TELL_FAILURES).await;
    let old = failed("etl", 1);
    stage.workspace.put(old.clone());
    stage.once(0).await;
    let mut rerun = old.clone().ended("success", ago(0));
    rerun.start_time = Some(ago(1));
    stage.workspace.put(rerun.clone());
    stage.once(0).await;
    stage.workspace.put(old);
    stage.once(0).await;
    stage.workspace.put(rerun);
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 2, "one firing and one resolution");
}

/// The types of the events that arrived, in their order.
fn types(stage: &Stage) -> Vec<serde_json::Value> {
    stage.sink.hits().iter().map(|hit| hit.json()["type"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_run_of_the_job_resolves_and_both_messages_keep_their_order() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(SimInstance::waiting("etl", 1, ago(600)).ended("fail", ago(500)));
    stage.once(0).await;
    stage.workspace.put(SimInstance::waiting("etl", 2, ago(300)).ended("success", ago(200)));
    stage.once(0).await;
    assert_eq!(types(&stage), ["alert.firing", "alert.resolved"]);
    let alerts = stage.listed("alerts").await;
    assert_eq!(alerts[0]["alert"]["state"], "resolved");
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 2);
}

/// A failure that is over before it was ever seen woke nobody, and nobody should search for its beginning.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_is_over_when_it_is_first_seen_is_told_in_one_message() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(SimInstance::waiting("etl", 1, ago(600)).ended("fail", ago(500)));
    stage.workspace.put(SimInstance::waiting("etl", 2, ago(300)).ended("success", ago(200)));
    stage.once(0).await;
    stage.once(0).await;
    assert_eq!(types(&stage), ["alert.resolved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_run_is_told_while_it_runs_and_when_it_ends() {
    let rules = "rules:\n  slow: { when: { status: [running], duration: 45m }, notify: [hook] }\n";
    let stage = Stage::set(rules).await;
    stage.workspace.put(SimInstance::waiting("settlement", 1, ago(46 * 60)).running());
    stage.workspace.put(SimInstance::waiting("quick", 2, ago(44 * 60)).running());
    stage.once(0).await;
    stage.workspace.update("settlement", 1, |run| *run = run.clone().ended("fail", ago(0)));
    stage.once(0).await;
    let summaries: Vec<String> = stage
        .sink
        .hits()
        .iter()
        .map(|hit| hit.json()["data"]["alert"]["summary"].as_str().unwrap().to_string())
        .collect();
    assert_eq!(summaries.len(), 2, "{summaries:?}");
    assert!(summaries[0].starts_with("settlement has been running for 46m"), "{summaries:?}");
    assert!(summaries[1].starts_with("settlement ended (fail) after 46m"), "{summaries:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_first_poll_old_failures_are_recorded_and_not_told() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(SimInstance::waiting("old", 1, ago(3 * 3600)).ended("fail", ago(2 * 3600)));
    stage.workspace.put(SimInstance::waiting("fresh", 2, ago(1800)).ended("fail", ago(1700)));
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1);
    let alerts = stage.listed("alerts").await;
    let suppressed: Vec<_> =
        alerts.iter().map(|line| (line["job"]["name"].clone(), line["suppressed_by"].clone())).collect();
    assert!(suppressed.contains(&("old".into(), "first-poll".into())), "{suppressed:?}");
    assert!(suppressed.contains(&("fresh".into(), serde_json::Value::Null)), "{suppressed:?}");
    // What was recorded stays quiet: also its end is nobody's news.
    stage.workspace.update("old", 1, |run| *run = run.clone().ended("success", ago(0)));
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1);
}

/// A rule that is added or widened looks at old failures as on a first poll, and forgets nothing that was told.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_rule_tells_no_old_failures_and_repeats_nothing() {
    let stage = Stage::set("rules:\n  failed: { match: { job: a }, when: { status: [fail] }, notify: [hook] }\n").await;
    stage.workspace.put(SimInstance::waiting("a", 1, ago(3 * 3600)).ended("fail", ago(1700)));
    stage.workspace.put(SimInstance::waiting("b", 2, ago(3 * 3600)).ended("fail", ago(2 * 3600)));
    stage.workspace.put(SimInstance::waiting("b", 3, ago(1800)).ended("fail", ago(1700)));
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1);
    stage.write_config("rules:\n  failed: { match: { job: [a, b] }, when: { status: [fail] }, notify: [hook] }\n");
    stage.once(0).await;
    let instances: Vec<_> = stage.sink.hits().iter().map(|hit| hit.json()["data"]["instance"]["id"].clone()).collect();
    assert_eq!(instances, ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn backfill_is_told_only_by_rules_that_name_it() {
    let rules = "rules:\n  failed: { when: { status: [fail] }, notify: [hook] }\n  \
                 backfill: { match: { instance_type: [backfill] }, when: { status: [fail] }, notify: [hook] }\n";
    let stage = Stage::set(rules).await;
    stage.workspace.put(SimInstance { kind: 5, ..failed("fill", 1) });
    stage.workspace.put(failed("etl", 2));
    stage.once(0).await;
    let mut told: Vec<(String, String)> = stage
        .sink
        .hits()
        .iter()
        .map(|hit| {
            let data = hit.json()["data"].clone();
            let word = |value: &serde_json::Value| value.as_str().unwrap().to_string();
            (word(&data["alert"]["rule"]), word(&data["instance"]["id"]))
        })
        .collect();
    told.sort();
    assert_eq!(told, [("backfill".to_string(), "1".to_string()), ("failed".to_string(), "2".to_string())]);
}

/// The documents' example: the instance failed, both of its nodes succeeded, one has a log path.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_failure_with_two_successful_nodes_names_the_node_with_a_log() {
    let stage = Stage::set(TELL_FAILURES).await;
    let log = "obs://dlf-test-log/job_batch/2019-03-04 11_53_00.000/error/error.job";
    let run = SimInstance::waiting("job_batch", 34765, ago(120)).ended("fail", ago(60));
    let run = run.node(SimNode::ended("Dummy_8556", "Dummy", "success", ago(116), ago(110)));
    stage.workspace.put(run.node(SimNode::ended("error", "DWS SQL", "success", ago(106), ago(102)).log_path(log)));
    stage.once(0).await;
    let nodes = stage.sink.hits()[0].json()["data"]["failing_nodes"].clone();
    assert_eq!(nodes.as_array().unwrap().len(), 1);
    assert_eq!((nodes[0]["name"].as_str(), nodes[0]["log_path"].as_str()), (Some("error"), Some(log)));
}

/// An instance that is still running when it leaves the window is asked after until it ends.
#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_run_outside_the_window_is_followed() {
    let stage = Stage::set(TELL_FAILURES).await;
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    std::fs::write(stage.path("rules.yaml"), config.replace("    poll:", "    lookback: 30m\n    poll:")).unwrap();
    stage.workspace.put(SimInstance::waiting("long", 1, ago(29 * 60 + 30)).running());
    stage.once(0).await;
    // Then its plan time has left the window of thirty minutes, and the overlap does not reach it either.
    stage.workspace.update("long", 1, |run| {
        run.plan_time = ago(5 * 3600);
        run.start_time = Some(ago(29 * 60));
    });
    stage.once(0).await;
    assert!(stage.sink.hits().is_empty());
    stage.workspace.update("long", 1, |run| {
        run.status = "fail".to_string();
        run.end_time = Some(ago(0));
    });
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1, "the failure outside the window was not told");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_cannot_be_read_do_not_hold_up_the_alarm() {
    use nightbell::sim::{Fault, Operation};
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    stage.workspace.inject(
        Fault::answer(500, r#"{"error_code":"DLF.0001","error_msg":"out of order"}"#).on(Operation::Detail).times(100),
    );
    let output = stage.once(0).await;
    let body = stage.sink.hits()[0].json();
    let details = body["data"]["node_details"].as_str().unwrap();
    assert!(
        details.contains("could not be read") && details.contains("out of order"),
        "{details}\n{}",
        text(&output.stderr)
    );
}

/// Ids are text: two that no float can tell apart are two instances, and the same id at two sources is two as well.
#[tokio::test(flavor = "multi_thread")]
async fn ids_beyond_what_a_float_holds_stay_apart() {
    let stage = Stage::set(TELL_FAILURES).await;
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let second = stage.source("mirror");
    std::fs::write(stage.path("rules.yaml"), config.replace("sources:\n", &format!("sources:\n{second}"))).unwrap();
    stage.workspace.put(failed("etl", 9_007_199_254_740_992));
    stage.workspace.put(failed("etl", 9_007_199_254_740_993));
    stage.once(0).await;
    let mut told: Vec<(String, String)> = stage
        .sink
        .hits()
        .iter()
        .map(|hit| {
            let data = hit.json()["data"].clone();
            let word = |value: &serde_json::Value| value.as_str().unwrap().to_string();
            (word(&data["source"]["id"]), word(&data["instance"]["id"]))
        })
        .collect();
    told.sort();
    let expected = ["mirror", "warehouse"]
        .map(|source| ["9007199254740992", "9007199254740993"].map(|id| (source.to_string(), id.to_string())));
    assert_eq!(told, expected.concat());
}

/// Names are foreign text: on Slack they can neither mention nor link, and in a mail header nothing can be added.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_name_stays_text_on_slack() {
    let stage = Stage::set("").await;
    let rules = format!(
        "  chat: {{ type: slack, webhook_url: \"{}\" }}\nrules:\n  failed: {{ when: {{ status: [fail] }}, notify: [chat] }}\n",
        stage.sink.url("chat")
    );
    stage.write_config(&rules);
    stage.workspace.put(failed("<!channel> <@U123> <http://evil|x> `a` *b* \u{202e}c\r\nd", 1));
    stage.once(0).await;
    let hits = stage.sink.hits_at("chat");
    assert_eq!(hits.len(), 1);
    for forbidden in ["<!", "<@", "<http", "\u{202e}"] {
        assert!(!hits[0].body.contains(forbidden), "{forbidden:?} got through: {}", hits[0].body);
    }
    hits[0].json();
}
