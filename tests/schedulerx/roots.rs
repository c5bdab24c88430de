//! Which workflow's run a job's run belongs to: how it is found out, what that costs, and what people are told by it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use nightbell::clock::Clock as _;
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{Belonging, Instance, WorkflowRun};
use nightbell::notify::{AnyNotifier, Renderer};
use nightbell::sim::{Fault, Operation, SimFlowRun, SimRun, SimStep};
use nightbell::source::Source as _;
use nightbell::source::schedulerx::{SchedulerX, Settings};
use nightbell::store::SqlStore;
use nightbell::worker::budget::Budget;
use nightbell::worker::deliver::Lane;
use nightbell::worker::pending::{Receiver, Receivers};
use nightbell::worker::poll::Poller;

use super::{Bench, ago, day, now, open_with};
use crate::deliver::sink::{OK, Sink};
use crate::sample::Place;

const DETAIL: &str = "GetWorkflowInstance";
const JOBS: [&str; 5] = ["load", "sum_up", "check", "publish", "notify"];

fn step(number: u64, status: i64) -> SimStep {
    let has_run = status > 3;
    SimStep {
        job_id: number,
        job_name: JOBS[usize::try_from(number).unwrap() - 1].to_string(),
        instance_id: if has_run { 100 + number } else { 0 },
        status,
        attempt: 0,
        result: if status == 5 { "exit code 1" } else { "" }.to_string(),
        start_time: has_run.then(|| ago(290 - i64::try_from(number).unwrap())),
        end_time: has_run.then(|| ago(240)),
    }
}

/// A workflow of five jobs: the first is done, the second has failed, the others wait.
fn chain(status: i64) -> SimFlowRun {
    SimFlowRun {
        workflow_id: 7,
        id: 9_007_199_254_740_993,
        status,
        schedule_time: ago(300),
        start_time: Some(ago(300)),
        end_time: (status > 3).then(|| ago(240)),
        steps: vec![step(1, 4), step(2, 5), step(3, 1), step(4, 1), step(5, 1)],
    }
}

fn run_of_job(job_id: u64, id: u64, status: i64) -> SimRun {
    let waiting = SimRun { start_time: Some(ago(280)), ..SimRun::waiting(job_id, id, ago(300)) };
    SimRun { start_time: waiting.start_time, ..waiting.ended(status, ago(240), "exit code 1") }
}

/// A service with the workflow, whose second job has just failed.
async fn bench() -> Bench {
    let bench = Bench::start().await;
    for (name, id) in JOBS.iter().zip(1..) {
        bench.sim.put_job(id, name);
    }
    bench.sim.put_workflow(7, "nightly");
    bench.sim.put_flow_run(chain(3));
    bench.sim.put(run_of_job(1, 101, 4));
    bench.sim.put(run_of_job(2, 102, 5));
    bench
}

fn listening(bench: &Bench) -> SchedulerX {
    bench.open(&Settings { workflows: true, ..bench.settings() })
}

/// The instances of a poll, by id.
async fn poll(source: &SchedulerX) -> HashMap<String, Instance> {
    let listing = source.list(day()).await.unwrap();
    listing.instances.into_iter().map(|instance| (instance.id.clone(), instance)).collect()
}

fn nightly() -> Option<Belonging> {
    Some(Belonging::Workflow(WorkflowRun { workflow: "nightly".into(), instance: "9007199254740993".into() }))
}

#[tokio::test]
async fn a_job_s_run_finds_its_workflow_while_that_still_runs_and_one_call_serves_all_of_it() {
    let bench = bench().await;
    bench.sim.put_job(6, "alone");
    bench.sim.put(run_of_job(6, 106, 5));
    let source = listening(&bench);
    let seen = poll(&source).await;
    assert_eq!(source.belonging(&seen["102"], true).await, nightly());
    assert_eq!(source.belonging(&seen["101"], true).await, nightly());
    assert_eq!(source.belonging(&seen["106"], true).await, None);
    assert_eq!(source.belonging(&seen["9007199254740993"], true).await, None, "it is no part, but the whole");
    assert_eq!(bench.sim.calls(DETAIL), 1);
    // What is known stays known, also that a job is in none of the workflows.
    let seen = poll(&source).await;
    assert_eq!(source.belonging(&seen["102"], true).await, nightly());
    assert_eq!(source.belonging(&seen["106"], true).await, None);
    assert_eq!(bench.sim.calls(DETAIL), 1);
    // One that comes to run later is found then.
    bench.sim.put_flow_run(SimFlowRun { steps: vec![step(1, 4), step(2, 5), step(3, 5)], ..chain(5) });
    bench.sim.put(run_of_job(3, 103, 5));
    let seen = poll(&source).await;
    assert_eq!(source.belonging(&seen["103"], true).await, nightly());
    assert_eq!(bench.sim.calls(DETAIL), 2);
    // A run that is over is looked at once: somebody made the job run by hand beside it.
    bench.sim.put(run_of_job(2, 302, 5));
    let seen = poll(&source).await;
    assert_eq!((source.belonging(&seen["302"], true).await, bench.sim.calls(DETAIL)), (None, 2));
    // Who does not listen to workflows pays nothing for them.
    let deaf = bench.source();
    let seen = poll(&deaf).await;
    assert_eq!((deaf.belonging(&seen["102"], true).await, bench.sim.calls(DETAIL)), (None, 2));
}

#[tokio::test]
async fn the_detail_of_a_workflow_that_failed_tells_its_parts_by_the_way() {
    let bench = bench().await;
    bench.sim.put_flow_run(chain(5));
    let source = listening(&bench);
    let seen = poll(&source).await;
    source.detail(&seen["9007199254740993"]).await.unwrap();
    assert_eq!(source.belonging(&seen["102"], true).await, nightly());
    assert_eq!(bench.sim.calls(DETAIL), 1);
}

#[tokio::test]
async fn among_many_workflows_a_poll_spends_a_few_calls_and_later_ones_know_more() {
    let bench = bench().await;
    for id in 20..30 {
        bench.sim.put_workflow(id, &format!("other {id}"));
        // Of the same minute, and likelier by their times.
        let steps = vec![SimStep { job_id: 500 + id, instance_id: 1000 + id, ..step(1, 4) }];
        let start_time = Some(ago(290));
        bench.sim.put_flow_run(SimFlowRun { workflow_id: id, id, start_time, steps, ..chain(3) });
    }
    let source = listening(&bench);
    let mut found = Vec::new();
    for _ in 0..3 {
        let before = bench.sim.calls(DETAIL);
        let seen = poll(&source).await;
        found.push(source.belonging(&seen["102"], true).await);
        assert_eq!(source.belonging(&seen["101"], true).await, found[found.len() - 1]);
        assert!(bench.sim.calls(DETAIL) - before <= 4);
    }
    assert_eq!(found, [None, None, nightly()]);
    // Another run of the workflow: its jobs are known, and so it is asked first.
    let (start_time, steps) = (Some(ago(285)), vec![SimStep { instance_id: 202, ..step(2, 5) }]);
    bench.sim.put_flow_run(SimFlowRun { id: 8, start_time, steps, ..chain(3) });
    bench.sim.put(run_of_job(2, 202, 5));
    let before = bench.sim.calls(DETAIL);
    let seen = poll(&source).await;
    let Some(Belonging::Workflow(run)) = source.belonging(&seen["202"], true).await else { unreachable!() };
    assert_eq!((run.instance.as_str(), bench.sim.calls(DETAIL) - before), ("8", 1));
}

#[tokio::test]
async fn trouble_leaves_it_untold_until_the_next_poll() {
    let bench = bench().await;
    let source = listening(&bench);
    let seen = poll(&source).await;
    bench.sim.inject(Fault::answer(400, "no").on(Operation::Action(DETAIL)));
    assert_eq!(source.belonging(&seen["102"], true).await, None);
    assert_eq!(source.belonging(&seen["102"], true).await, None);
    assert_eq!(bench.sim.calls(DETAIL), 1, "it was not asked twice");
    let seen = poll(&source).await;
    assert_eq!(source.belonging(&seen["102"], true).await, nightly());
}

/// A program that polls the service and tells a webhook, with a rule that groups by `by`.
struct Program<'a> {
    bench: &'a Bench,
    place: Place,
    config: Config,
    sink: Sink,
}

/// One process of it.
struct Process {
    store: Arc<SqlStore>,
    poller: Poller<SchedulerX, SqlStore>,
    lane: Lane<SqlStore, AnyNotifier>,
}

impl<'a> Program<'a> {
    async fn new(bench: &'a Bench, by: &str) -> Program<'a> {
        let sink = Sink::new(|_, _| OK).await;
        let text = format!(
            "version: 1\nsources:\n  billing: {{ type: schedulerx, endpoint: \"{}\", namespace: n, groups: [g], \
             auth: {{ access_key: a, secret_key: b }} }}\nreceivers:\n  hook: {{ type: webhook, url: \"{}\" }}\nrules:\n  \
             failed: {{ when: {{ status: [fail] }}, notify: [hook], group: {{ by: [{by}], wait: 30s }} }}\n",
            bench.sim.endpoint(),
            sink.url,
        );
        let options = LoadOptions { offline: true };
        let config = Config::from_text(text, "rules.yaml", Path::new("."), &options).unwrap().config;
        Program { bench, place: Place::new(), config, sink }
    }

    async fn start(&self) -> Process {
        let (store, config) = (Arc::new(self.place.open().await), &self.config);
        let (settings, clock) = (&config.receivers[0], Arc::new(self.bench.clock.clone()));
        let renderer = Renderer::open(settings).unwrap();
        let notifier = Arc::new(AnyNotifier::open(settings).unwrap());
        let lane = Lane::new(settings.id.clone(), Arc::clone(&store), notifier, clock.clone(), Box::new(|| 0.5))
            .within(Budget::unlimited(), Arc::new(renderer.clone()));
        let receiver = Receiver::new(settings, renderer).woken_by(lane.nudge());
        let source = Settings { workflows: true, ..self.bench.settings() };
        let receivers = Arc::new(Receivers::from_iter([receiver]));
        let reader = open_with(&source, clock.clone());
        let decider = config.decider(&config.sources[0], None);
        let poller = Poller::new(config.sources[0].clone(), reader, Arc::clone(&store), decider, receivers, clock);
        Process { store, poller, lane }
    }

    /// The names of the jobs in each message, in their order.
    fn told(&self) -> Vec<Vec<String>> {
        let seen = self.sink.seen.lock().unwrap();
        let name = |alert: &serde_json::Value| alert["job"]["name"].as_str().unwrap().to_string();
        let names = |(_, body): &(String, String)| {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            match body["data"]["alerts"].as_array() {
                Some(alerts) => alerts.iter().map(name).collect(),
                None => vec![name(&body["data"])],
            }
        };
        seen.iter().map(names).collect()
    }
}

impl Process {
    async fn stop(self) {
        drop((self.poller, self.lane));
        self.store.close().await;
    }

    async fn deliver(&mut self, bench: &Bench, seconds: i64) {
        bench.clock.set(now() + SignedDuration::from_secs(seconds));
        self.lane.attempt_due(bench.clock.now()).await.unwrap();
    }
}

/// The second of five jobs fails and the others never run; the workflow's run fails of it when another process polls.
async fn told_of_the_chain(by: &str) -> Vec<Vec<String>> {
    let bench = bench().await;
    let program = Program::new(&bench, by).await;
    let mut first = program.start().await;
    assert_eq!(first.poller.poll().await.unwrap().fired, 1);
    first.deliver(&bench, 10).await;
    first.stop().await;
    assert!(program.told().is_empty(), "it waits for others");
    let mut second = program.start().await;
    bench.sim.put_flow_run(chain(5));
    assert_eq!(second.poller.poll().await.unwrap().fired, 1);
    second.deliver(&bench, 29).await;
    assert!(program.told().is_empty());
    second.deliver(&bench, 41).await;
    let told = program.told();
    second.stop().await;
    told
}

#[tokio::test]
async fn a_workflow_that_fails_of_its_second_job_is_told_in_one_message_by_root_and_in_two_without() {
    assert_eq!(told_of_the_chain("root").await, [["sum_up", "nightly"]]);
    let mut told = told_of_the_chain("job").await;
    told.sort();
    assert_eq!(told, [["nightly"], ["sum_up"]]);
}

/// Both are seen by one poll, and the times of their ends are the same second: what failed first stands first.
#[tokio::test]
async fn what_one_poll_finds_of_a_chain_is_told_with_the_job_before_the_workflow() {
    let bench = bench().await;
    bench.sim.put_flow_run(chain(5));
    let program = Program::new(&bench, "root").await;
    let mut process = program.start().await;
    assert_eq!(process.poller.poll().await.unwrap().fired, 2);
    process.deliver(&bench, 31).await;
    assert_eq!(program.told(), [["sum_up", "nightly"]]);
    let body: serde_json::Value = serde_json::from_str(&program.sink.seen.lock().unwrap()[0].1).unwrap();
    let [part, whole] = [0, 1].map(|number| &body["data"]["alerts"][number]);
    assert_eq!(part["job"]["workflow"], whole["job"]["name"]);
    assert_eq!(part["instance"]["workflow_instance"], whole["instance"]["id"]);
    assert!(whole["job"]["workflow"].is_null() && whole["instance"]["workflow_instance"].is_null());
}
