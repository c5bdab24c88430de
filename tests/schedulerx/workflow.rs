//! Workflows: their instances, the runs of their jobs as nodes, and what they cost.

use nightbell::model::{InstanceType, Status};
use nightbell::sim::{Fault, Operation, SimFlowRun, SimRun, SimStep};
use nightbell::source::schedulerx::{SchedulerX, Settings};
use nightbell::source::{Grade, Source, SourceErrorKind};

use super::{Bench, ago, day, failed, ids, now, remembered, success};

const ALL: &str = "ListWorkFlows";
const LIST: &str = "ListWorkflowInstance";
const DETAIL: &str = "GetWorkflowInstance";

/// A source that listens to workflows.
fn listening(bench: &Bench) -> SchedulerX {
    bench.open(&Settings { workflows: true, ..bench.settings() })
}

fn step(job_id: u64, name: &str, status: i64, result: &str) -> SimStep {
    SimStep {
        job_id,
        job_name: name.to_string(),
        instance_id: 100 + job_id,
        status,
        attempt: 2,
        result: result.to_string(),
        start_time: Some(ago(300)),
        end_time: Some(ago(240)),
    }
}

fn run(id: u64, status: i64, seconds_ago: i64) -> SimFlowRun {
    SimFlowRun {
        workflow_id: 7,
        id,
        status,
        schedule_time: ago(seconds_ago),
        start_time: Some(ago(seconds_ago)),
        end_time: (status > 3).then(|| ago(seconds_ago - 60)),
        steps: vec![step(1, "load", 4, "ok"), step(2, "sum_up", 5, "exit code 1, token: FLOWCANARY")],
    }
}

#[tokio::test]
async fn a_workflow_s_instance_comes_over_with_the_runs_of_its_jobs_as_nodes() {
    let bench = Bench::start().await;
    bench.sim.put_job(2, "sum_up");
    bench.sim.put_workflow(7, "nightly");
    bench.sim.put_flow_run(run(9_007_199_254_740_993, 5, 300));
    let log = vec!["password=FLOWCANARY".to_string(), "table is locked".to_string()];
    bench.sim.put(SimRun { job_id: 2, log, ..failed(102, 300, "exit code 1") });
    let source = listening(&bench);
    let listing = source.list(day()).await.unwrap();
    assert_eq!(
        (listing.coverage.is_whole(), listing.coverage.unread.len(), listing.warnings.len()),
        (true, 0, 0),
        "{listing:?}"
    );
    assert_eq!(ids(&listing).len(), 2, "the job's run stands beside it");
    let instance = listing.instances.iter().find(|instance| instance.job.name == "nightly").unwrap();
    assert_eq!((instance.id.as_str(), instance.job.id.as_deref()), ("9007199254740993", Some("7")));
    assert_eq!((instance.status, instance.raw_status.as_str()), (Status::Fail, "5 failed"));
    assert_eq!((instance.kind, instance.plan_time), (InstanceType::Unknown, Some(ago(300))));
    // As the poll has just seen it, and as it is remembered from an earlier run of the program.
    for asked in [instance.clone(), remembered("nightly", &instance.id)] {
        let detail = source.detail(&asked).await.unwrap();
        assert_eq!((detail.instance.key(), detail.instance.end_time), (instance.key(), Some(ago(240))));
        let nodes: Vec<_> = detail.nodes.iter().map(|node| (node.name.as_str(), node.status, node.retries)).collect();
        assert_eq!(nodes, [("load", Status::Success, Some(2)), ("sum_up", Status::Fail, Some(2))]);
        let expected = "sum_up: exit code 1, token: <redacted>\npassword=<redacted>\ntable is locked";
        assert_eq!(detail.instance.error.as_deref(), Some(expected));
    }
    // A run of a job of that name is still found: ids tell them apart.
    bench.sim.put_job(3, "nightly");
    bench.sim.put(SimRun { job_id: 3, ..success(55, 600) });
    bench.clock.set(now() + jiff::SignedDuration::from_mins(6));
    let listing = source.list(day()).await.unwrap();
    assert!(listing.warnings.iter().any(|words| words.contains("are both called \"nightly\"")), "{listing:?}");
    for id in ["55", "9007199254740993"] {
        assert_eq!(source.detail(&remembered("nightly", id)).await.unwrap().instance.id, id);
    }
    assert_eq!(source.detail(&remembered("nightly", "1")).await.unwrap_err().kind, SourceErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_older_than_the_window_is_left_out_and_what_is_asked_costs_a_call_each() {
    let bench = Bench::start().await;
    bench.sim.put_workflow(7, "nightly");
    bench.sim.put_workflow(8, "weekly");
    for (id, hours) in [(1, 30), (2, 25), (3, 23), (4, 0)] {
        bench.sim.put_flow_run(run(id, if id == 4 { 1 } else { 4 }, hours * 3600));
    }
    let source = listening(&bench);
    for polls in 1..=3 {
        let listing = source.list(day()).await.unwrap();
        assert_eq!(ids(&listing).into_iter().collect::<Vec<_>>(), ["3", "4"]);
        assert_eq!((bench.sim.calls(ALL), bench.sim.calls(LIST), bench.sim.calls(DETAIL)), (1, 2 * polls, 0));
    }
    let deaf = bench.source();
    assert_eq!(deaf.list(day()).await.unwrap().instances.len(), 0);
    assert_eq!(bench.sim.calls(LIST), 6, "nobody who did not ask for workflows pays for them");
}

#[tokio::test]
async fn a_workflow_that_was_removed_costs_nothing_else() {
    let bench = Bench::start().await;
    bench.sim.put_workflow(7, "nightly");
    bench.sim.put_workflow(8, "weekly");
    bench.sim.put_flow_run(SimFlowRun { workflow_id: 8, ..run(2, 4, 60) });
    let source = listening(&bench);
    source.list(day()).await.unwrap();
    bench.sim.remove_workflow(7);
    let listing = source.list(day()).await.unwrap();
    assert_eq!((listing.instances.len(), listing.coverage.unread.len()), (1, 0), "{listing:?}");
}

#[tokio::test]
async fn more_workflows_than_a_poll_may_ask_take_turns_and_that_is_said() {
    let bench = Bench::start().await;
    for id in 0..100 {
        bench.sim.put_workflow(1000 + id, &format!("flow {id}"));
        bench.sim.put_flow_run(SimFlowRun { workflow_id: 1000 + id, ..run(id, 4, 60) });
    }
    let source = listening(&bench);
    let mut seen = std::collections::BTreeSet::new();
    for poll in 0..3 {
        let listing = source.list(day()).await.unwrap();
        assert!(listing.requests <= 45, "{}", listing.requests);
        assert_eq!(
            listing.warnings.iter().any(|words| words.contains("100 workflows")),
            poll == 0,
            "said once an hour"
        );
        seen.extend(ids(&listing));
    }
    assert_eq!(seen.len(), 100, "three polls reach them all");
}

#[tokio::test]
async fn workflows_that_cannot_be_read_are_said_to_be_unread_and_hold_up_nothing_else() {
    let bench = Bench::with(|config| config.has_workflows = false).await;
    bench.sim.put(success(1, 60));
    let source = listening(&bench);
    for _ in 0..3 {
        let listing = source.list(day()).await.unwrap();
        assert_eq!((listing.instances.len(), listing.coverage.is_whole()), (1, true));
        assert!(
            listing.coverage.unread.len() == 1 && listing.coverage.reasons()[0].contains("basic edition"),
            "{listing:?}"
        );
    }
    assert_eq!(bench.sim.calls(ALL), 1, "a refusal is not asked for at every poll");
    bench.sim.configure(|config| config.has_workflows = true);
    bench.sim.put_workflow(7, "nightly");
    bench.sim.put_flow_run(run(2, 4, 60));
    bench.clock.set(now() + jiff::SignedDuration::from_hours(1));
    assert_eq!(source.list(day()).await.unwrap().coverage.unread.len(), 0);
    // Trouble in the middle is over at the next poll; names of a while ago serve meanwhile.
    for action in [LIST, ALL] {
        bench.clock.set(nightbell::clock::Clock::now(&bench.clock) + jiff::SignedDuration::from_mins(10));
        let busy = Fault::answer(503, r#"{"Code":"ServiceUnavailable","Message":"later"}"#);
        bench.sim.inject(busy.on(Operation::Action(action)).times(2));
        let listing = source.list(day()).await.unwrap();
        assert_eq!(listing.coverage.unread.len(), usize::from(action == LIST), "{action}: {listing:?}");
        assert_eq!(source.list(day()).await.unwrap().coverage.unread.len(), 0);
    }
}

#[tokio::test]
async fn odd_answers_about_workflows_are_told() {
    let bench = Bench::start().await;
    bench.sim.put_workflow(7, "nightly");
    bench.sim.put_flow_run(run(1, 4, 60));
    let source = listening(&bench);
    let ok = |data: &str| Fault::answer(200, format!(r#"{{"Success":true,"Code":200,"Data":{data}}}"#));
    bench
        .sim
        .inject(ok(r#"{"WfInstanceInfos":[{"Status":5},{"WfInstanceId":2,"Status":77}]}"#).on(Operation::Action(LIST)));
    let listing = source.list(day()).await.unwrap();
    assert_eq!((listing.coverage.set_aside.len(), listing.instances.len()), (1, 1), "{listing:?}");
    assert_eq!((listing.instances[0].status, listing.instances[0].raw_status.as_str()), (Status::Unknown, "77"));
    bench.sim.inject(ok("[1]").on(Operation::Action(LIST)));
    let listing = source.list(day()).await.unwrap();
    assert!(listing.coverage.reasons()[0].contains("nightly"), "{listing:?}");
    bench.sim.inject(ok("null").on(Operation::Action(DETAIL)));
    assert_eq!(source.detail(&remembered("nightly", "1")).await.unwrap_err().kind, SourceErrorKind::NotFound);
    bench.sim.inject(ok("7").on(Operation::Action(DETAIL)));
    assert_eq!(source.detail(&remembered("nightly", "1")).await.unwrap_err().kind, SourceErrorKind::BadAnswer);
}

#[tokio::test]
async fn an_examination_tells_whether_workflows_can_be_read() {
    let bench = Bench::start().await;
    let asked = async |settings: &Settings| {
        let findings = bench.open(settings).examine().await;
        findings.into_iter().find(|found| found.question.contains("workflows")).unwrap()
    };
    let (deaf, listening) = (bench.settings(), Settings { workflows: true, ..bench.settings() });
    let found = asked(&deaf).await;
    assert_eq!((found.answer.as_str(), found.grade, found.help), ("yes: there are 0", Grade::Good, None));
    bench.sim.put_workflow(7, "nightly");
    assert!(asked(&deaf).await.help.unwrap().contains("workflows: true"));
    assert_eq!(asked(&listening).await.help, None);
    bench.sim.configure(|config| config.has_workflows = false);
    assert_eq!((asked(&deaf).await.grade, asked(&listening).await.grade), (Grade::Notice, Grade::Bad));
}
