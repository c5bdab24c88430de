//! What ends an alert and what does not, and what is unknown until it was read: the real binary, poll by poll.

use jiff::SignedDuration;
use nightbell::sim::{Fault, Operation, SimInstance, SimJob};

use super::{Stage, TELL_FAILURES, ago, failed, text};

/// What was told, as "job type reason".
fn told(stage: &Stage) -> Vec<String> {
    let line = |body: serde_json::Value| {
        let kind = body["type"].as_str().unwrap().trim_start_matches("alert.").to_string();
        let reason = body["data"]["alert"]["ended"]["reason"].as_str().map(|reason| format!(" {reason}"));
        format!("{} {kind}{}", body["data"]["job"]["name"].as_str().unwrap(), reason.unwrap_or_default())
    };
    stage.sink.hits().iter().map(|hit| line(hit.json())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_success_of_a_later_run_says_nothing_of_one_that_is_still_under_way() {
    let stage = Stage::set("rules:\n  slow: { when: { status: [running], duration: 30m }, notify: [hook] }\n").await;
    stage.workspace.put(SimInstance::waiting("etl", 1, ago(50 * 60)).running());
    stage.once(0).await;
    stage.workspace.put(SimInstance::waiting("etl", 2, ago(20 * 60)).ended("success", ago(60)));
    for _ in 0..2 {
        stage.once(0).await;
    }
    assert_eq!(told(&stage), ["etl firing"]);
    let alerts = stage.listed("alerts").await;
    assert_eq!(alerts[0]["alert"]["state"], "firing");
    stage.workspace.update("etl", 1, |run| *run = run.clone().ended("success", ago(0)));
    stage.once(0).await;
    assert_eq!(told(&stage), ["etl firing", "etl resolved over"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_waited_too_long_is_over_when_it_starts_and_nobody_is_paged_for_it_any_more() {
    let rules = "  lead: { type: webhook, url: LEAD }\nrules:\n  late: { when: { duration: 30m }, notify: [{ to: hook }, { after: 30s, to: lead }] }\n";
    let stage = Stage::set("").await;
    let rules = rules.replace("LEAD", &stage.sink.url("lead"));
    stage.write_config(&rules);
    stage.workspace.put(SimInstance::waiting("etl", 1, ago(31 * 60)));
    stage.once(0).await;
    let began = ago(29 * 60 + 30);
    stage.workspace.update("etl", 1, |run| {
        run.status = "running".to_string();
        run.start_time = Some(began);
    });
    stage.once(0).await;
    assert_eq!(told(&stage), ["etl firing", "etl resolved over"]);
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 2, "the lead hears of nothing");
    let alerts = stage.listed("alerts").await;
    assert!(alerts.iter().all(|alert| alert["alert"]["state"] == "resolved"), "{alerts:?}");
    // From its start on it may run too long, which its source says by correcting that: an episode of its own.
    stage.workspace.update("etl", 1, |run| run.start_time = Some(began - SignedDuration::from_secs(45)));
    stage.once(0).await;
    assert_eq!(told(&stage), ["etl firing", "etl resolved over", "etl firing"]);
    let alert = stage.sink.hits()[2].json()["data"]["alert"].clone();
    assert!(alert["summary"].as_str().unwrap().starts_with("etl has been running for 30m"), "{alert}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_rule_whose_first_listing_is_short_tells_what_stood_in_the_rest() {
    let stage = Stage::set("rules:\n  paused: { when: { status: [pause] }, notify: [hook] }\n").await;
    stage.workspace.put(failed("etl", 1));
    stage.once(0).await;
    stage.write_config(TELL_FAILURES);
    let short = r#"{"total":1,"instances":[]}"#;
    stage.workspace.inject(Fault::answer(200, short).on(Operation::List).times(99));
    stage.once(1).await;
    assert!(told(&stage).is_empty());
    stage.workspace.clear_faults();
    stage.once(0).await;
    assert_eq!(told(&stage), ["etl firing"]);
}

/// An item without an id may be the very run that seems to be missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_not_called_missing_while_an_item_of_the_list_is_not_understood() {
    let rules = "rules:\n  owed: { match: { job: nightly }, when: { missing: { schedule: \"* * * * *\", grace: 1s } }, notify: [hook] }\n";
    let stage = Stage::set(rules).await;
    let unclear = r#"{"total":1,"instances":[{"jobName":"nightly","status":"success"}]}"#;
    stage.workspace.inject(Fault::answer(200, unclear).on(Operation::List).times(99));
    let output = stage.output(&["run", "--once"]).await;
    assert!(text(&output.stderr).contains("could not be understood"), "{}", text(&output.stderr));
    assert!(told(&stage).is_empty(), "it is unknown: {:?}", told(&stage));
    stage.workspace.clear_faults();
    stage.once(0).await;
    assert_eq!(told(&stage), ["nightly firing"], "now it is known");
}

/// The workspace drops a job with its runs while its alert holds back what is downstream of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_dropped_with_its_runs_ends_its_alert_and_holds_back_nothing_any_more() {
    let rules = format!("{TELL_FAILURES}inhibit:\n  upstream: {{ by: {{ job: ods }}, match: {{ job: ads }} }}\n");
    let stage = Stage::set(&rules).await;
    for job in ["ods", "ads"] {
        stage.workspace.put_job(SimJob::batch(job, "SCHEDULING"));
    }
    stage.workspace.put(failed("ods", 1));
    stage.once(0).await;
    stage.workspace.put(failed("ads", 2));
    stage.once(0).await;
    assert_eq!(told(&stage), ["ods firing"], "the other one is held back");
    stage.workspace.remove_job("ods");
    stage.workspace.remove("ods", 1);
    for _ in 0..3 {
        stage.once(0).await;
    }
    let mut lines = told(&stage);
    lines.sort();
    assert_eq!(lines, ["ads firing", "ods firing", "ods resolved gone"]);
    stage.workspace.put(failed("ads", 3));
    stage.once(0).await;
    assert_eq!(told(&stage).last().unwrap(), "ads firing", "it inhibits nothing");
    assert_eq!(told(&stage).len(), 4);
}

/// A row of the list of jobs without a name may be the very job that the list seems to lack.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_not_gone_while_a_row_of_the_list_of_jobs_is_not_understood() {
    let rules = "rules:\n  owed: { match: { job: nightly }, when: { missing: { schedule: \"* * * * * *\", grace: 1s } }, notify: [hook] }\n";
    let stage = Stage::set(rules).await;
    for job in ["nightly", "other"] {
        stage.workspace.put_job(SimJob::batch(job, "SCHEDULING"));
    }
    stage.once(0).await;
    let list = r#"{"total":2,"jobs":[{"name":null,"status":"SCHEDULING"},{"name":"other","status":"SCHEDULING"}]}"#;
    stage.workspace.inject(Fault::answer(200, list).on(Operation::Jobs).times(99));
    for _ in 0..2 {
        stage.once(0).await;
        assert_eq!(told(&stage), ["nightly firing"], "nobody knows whether it is gone");
    }
    assert!(stage.workspace.requests().jobs >= 4, "the list was read");
    stage.workspace.clear_faults();
    stage.workspace.remove_job("nightly");
    stage.once(0).await;
    assert_eq!(told(&stage), ["nightly firing", "nightly resolved gone"]);
}

/// No rule is about jobs: the list of jobs is asked for because an alert about a job fires, and as long as it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_deleted_is_missed_once_and_not_at_every_due_time() {
    let rules = "rules:\n  owed: { match: { job: nightly }, when: { missing: { schedule: \"* * * * * *\", grace: 1s } }, notify: [hook] }\n";
    let stage = Stage::set(rules).await;
    for job in ["nightly", "other"] {
        stage.workspace.put_job(SimJob::batch(job, "SCHEDULING"));
    }
    stage.once(0).await;
    assert_eq!(told(&stage), ["nightly firing"]);
    assert_eq!(stage.workspace.requests().jobs, 0, "nothing fired before");
    stage.once(0).await;
    assert_eq!(told(&stage), ["nightly firing"], "it is there, and does not run");
    // That nobody may read the list is no trouble of a file that does not ask for it.
    stage.workspace.remove_job("nightly");
    stage.workspace.inject(Fault::answer(403, "").on(Operation::Jobs).times(99));
    stage.once(0).await;
    assert_eq!(told(&stage), ["nightly firing"], "nobody knows");
    stage.workspace.clear_faults();
    for _ in 0..4 {
        stage.once(0).await;
        assert_eq!(told(&stage), ["nightly firing", "nightly resolved gone"]);
    }
    let over = stage.sink.hits()[1].json();
    assert_eq!(over["data"]["alert"]["summary"], "job nightly no longer exists: it was deleted or renamed");
    stage.workspace.put_job(SimJob::batch("nightly", "SCHEDULING"));
    // It is missed again at the first due time that comes since, and a second of grace later.
    for _ in 0..100 {
        stage.once(0).await;
        if told(&stage).len() > 2 {
            break;
        }
    }
    assert_eq!(told(&stage), ["nightly firing", "nightly resolved gone", "nightly firing"]);
}
