//! What a poll costs the scheduler, counted where the requests arrive.

use nightbell::sim::{Requests, SimInstance};

use super::{Stage, TELL_FAILURES, ago, failed};

/// What `run --once` asks.
async fn cost(stage: &Stage) -> Requests {
    let before = stage.workspace.requests();
    stage.once(0).await;
    let after = stage.workspace.requests();
    Requests {
        list: after.list - before.list,
        detail: after.detail - before.detail,
        jobs: after.jobs - before.jobs,
        job_status: after.job_status - before.job_status,
        sign_in: after.sign_in - before.sign_in,
        refused: after.refused - before.refused,
        ..Requests::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_of_a_thousand_instances_costs_one_request_and_one_more_for_each_new_failure() {
    let stage = Stage::set(TELL_FAILURES).await;
    let day = (0..1000).map(|n| {
        SimInstance::waiting(&format!("job_{}", n % 40), n, ago(60 + n as i64 * 80)).ended("success", ago(30))
    });
    stage.workspace.put_all(day);
    let quiet = Requests { list: 1, ..Requests::default() };
    assert_eq!(cost(&stage).await, quiet, "the first poll");
    assert_eq!(cost(&stage).await, quiet, "a quiet one");
    for n in 0..50 {
        assert!(stage.workspace.remove(&format!("job_{}", n % 40), n));
        stage.workspace.put(failed(&format!("job_{}", n % 40), 2000 + n));
    }
    assert_eq!(cost(&stage).await, Requests { detail: 50, ..quiet }, "50 new failures");
    assert_eq!(stage.sink.hits().len(), 50);
    assert_eq!(cost(&stage).await, quiet, "afterwards");
}
