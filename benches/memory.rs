//! How much memory the real binary holds, and how long it takes to start, beside a simulated workspace in this process.
//!
//! - `flood`: 10,000 alerts begin in one poll, told to a Slack channel and to a webhook that cannot be reached; then the
//!   program is started anew on that store;
//! - `history`: a million runs stored over 25 days, of which 10,000 are listed at each poll and none changes;
//! - `start`: 100,000 rules and a store of 5 million runs over 30 days (`STORED=` for another number; it takes some minutes and
//!   2 GB of disk to fill), held against one rule and 10,000 runs. It is not run unless it is named.
//!
//! `cargo bench --bench memory`, or `cargo bench --bench memory -- flood`. With `NIGHTBELL=path` it is another binary that is
//! looked at. The peak is `VmHWM` of `/proc/PID/status`, what stays is `VmRSS`: on Linux alone.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench reports on stdout and panics when it is broken")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nightbell::clock::{Clock as _, SystemClock};
use nightbell::model::{Covered, Instance, InstanceType, JobRef, PollOutcome, SourceId, Status};
use nightbell::sim::{SimConfig, SimInstance, SimNode, SimWorkspace};
use nightbell::store::{Mode, Outbox as _, PollCommit, PollLedger as _, SqlStore};

const INSTANCES: u64 = 10_000;
const TOKEN: &str = "a-token-for-the-bench";
/// How long the program is watched once what was waited for has come to pass: several polls.
const SETTLES: Duration = Duration::from_secs(10);

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if is_wanted("flood") {
            for receiver in ["slack", "webhook"] {
                flood(receiver).await;
            }
        }
        if is_wanted("history") {
            history().await;
        }
        if wanted.iter().any(|word| word == "start") {
            start().await;
        }
    });
}

async fn workspace() -> SimWorkspace {
    let config = SimConfig { token: Some(TOKEN.to_string()), ..SimConfig::default() };
    SimWorkspace::start(config, Arc::new(SystemClock)).await.unwrap()
}

fn configure(workspace: &SimWorkspace, directory: &Path, receiver: &str) {
    configure_rules(workspace, directory, receiver, 0);
}

/// The same, with so many rules more: each is about a job of its own.
fn configure_rules(workspace: &SimWorkspace, directory: &Path, receiver: &str, more: usize) {
    let more: String = (0..more)
        .map(|number| {
            format!("  r{number}: {{ match: {{ job: \"job_{number}\" }}, when: {{ status: [fail] }}, notify: [r] }}\n")
        })
        .collect();
    let text = format!(
        "version: 1\nstore: sqlite://{}\nsources:\n  s:\n    type: dataarts\n    endpoint: {}\n    project_id: {}\n    \
         requests_per_second: 10000\n    poll: \"* * * * * *\"\n    auth: {{ token: {TOKEN} }}\nreceivers:\n  \
         r: {{ type: {receiver} }}\nrules:\n  \
         failed: {{ match: {{ job: \"*\" }}, when: {{ status: [fail] }}, notify: [r] }}\n{more}",
        directory.join("nightbell.db").display(),
        workspace.endpoint(),
        workspace.config().project_id,
    );
    std::fs::write(directory.join("rules.yaml"), text).unwrap();
}

/// The program to look at.
fn nightbell() -> Command {
    Command::new(std::env::var("NIGHTBELL").unwrap_or_else(|_| env!("CARGO_BIN_EXE_nightbell").to_string()))
}

fn back(seconds: u64) -> Timestamp {
    SystemClock.now().checked_sub(Duration::from_secs(seconds)).unwrap()
}

/// The running program.
struct Running(Child);

impl Running {
    fn start(directory: &Path) -> Running {
        let program = nightbell()
            .args(["--log", "off", "run", "-c"])
            .arg(directory.join("rules.yaml"))
            .stdout(Stdio::null())
            .spawn();
        Running(program.unwrap())
    }

    /// What it holds now and has held at most, in MB.
    fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let megabytes = |key: &str| -> f64 {
            let line = status.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
        };
        (megabytes("VmRSS"), megabytes("VmHWM"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Waits until `is_so`, two minutes at most.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(120), "it does not come to pass: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn flood(receiver: &str) {
    let (workspace, directory) = (workspace().await, tempfile::tempdir().unwrap());
    let settings = match receiver {
        "slack" => "slack, webhook_url: \"http://127.0.0.1:9/hook\"",
        _ => "webhook, url: \"http://127.0.0.1:9/hook\"",
    };
    configure(&workspace, directory.path(), settings);
    let run = |id: u64| {
        let node = |name: &str, status: &str| SimNode {
            name: name.to_string(),
            kind: "DWS SQL".to_string(),
            status: status.to_string(),
            retries: 1,
            start_time: Some(back(600)),
            end_time: Some(back(10)),
            log_path: Some(format!("obs://dlf-log/etl_{id}/2026-11-21 00_05_00.000/{name}/{name}.job")),
        };
        SimInstance::waiting(&format!("etl_orders_daily_{:04}", id % 5_000), 1_000_000 + id, back(600 + id / 4))
            .running()
            .node(node("extract_orders", "success"))
            .node(node("load_orders", "fail"))
    };
    workspace.put_all((0..INSTANCES).map(run));
    let program = Running::start(directory.path());
    // A page is asked for again where the poll before has ended.
    until("it has polled twice", async || workspace.requests().list > 25).await;
    let (calm, _) = program.memory();
    workspace.put_all((0..INSTANCES).map(|id| run(id).ended("fail", back(5))));
    let url = format!("sqlite://{}", directory.path().join("nightbell.db").display());
    let store = SqlStore::open(&url, Mode::Read).await.unwrap();
    let source = SourceId::new("s");
    until("the alerts begin", async || {
        !store.told_and_firing(std::slice::from_ref(&source), 1).await.unwrap().is_empty()
    })
    .await;
    tokio::time::sleep(SETTLES).await;
    let pending: u64 = store.pending().await.unwrap().iter().map(|pending| pending.count).sum();
    let (now, most) = program.memory();
    println!("{receiver}: {INSTANCES} alerts begin in one poll");
    println!(
        "  before {calm:.1} MB, at most {most:.1} MB (bar 80), with {pending} deliveries pending {now:.1} MB (bar 64)"
    );
    drop(program);

    let before = workspace.requests().list;
    let program = Running::start(directory.path());
    until("it has polled again", async || workspace.requests().list > before + 25).await;
    tokio::time::sleep(SETTLES).await;
    let (now, most) = program.memory();
    println!("  started anew on that store {now:.1} MB (bar 64), at most {most:.1} MB (bar 80)");
}

const STORED: u64 = 1_000_000;

/// How much is stored, and over how long.
#[derive(Clone, Copy)]
struct Past {
    runs: u64,
    days: u64,
}

const HISTORY: Past = Past { runs: STORED, days: 25 };

/// A run of the past: the last 10,000 of them are those that the workspace lists.
fn stored(past: Past, number: u64, now: Timestamp) -> Instance {
    let ago = past.days * 86_400 * (past.runs - number) / past.runs;
    let planned = now.checked_sub(Duration::from_secs(600 + ago)).ok();
    Instance {
        source: SourceId::new("s"),
        id: format!("{}", 1_000_000 + number),
        job: JobRef { name: format!("etl_orders_daily_{:04}", number % 2_000), id: Some("600000".to_string()) },
        name: None,
        status: Status::Success,
        raw_status: "success".to_string(),
        kind: InstanceType::Scheduled,
        plan_time: planned,
        start_time: planned,
        end_time: planned.and_then(|planned| planned.checked_add(Duration::from_secs(60)).ok()),
        error: None,
    }
}

async fn fill(directory: &Path, past: Past, from: u64, now: Timestamp) {
    let url = format!("sqlite://{}", directory.join("nightbell.db").display());
    let store = SqlStore::open(&url, Mode::Work).await.unwrap();
    for (generation, first) in (0..).zip((from..past.runs).step_by(20_000)) {
        let instances: Vec<Instance> =
            (first..(first + 20_000).min(past.runs)).map(|number| stored(past, number, now)).collect();
        let read = instances.last().and_then(|last| last.end_time).unwrap();
        let commit = PollCommit {
            source: SourceId::new("s"),
            generation,
            now: read,
            covered: Covered { from: Some(read), until: Some(now), ..Covered::default() },
            outcome: PollOutcome::Whole,
            incomplete: None,
            known_rules: None,
            instances,
            fired: Vec::new(),
            changed: Vec::new(),
            deliveries: Vec::new(),
        };
        store.commit_poll(&commit).await.unwrap();
    }
    store.close().await;
}

fn once(directory: &Path) -> Duration {
    let began = Instant::now();
    let done = nightbell()
        .args(["--log", "off", "run", "--once", "-c"])
        .arg(directory.join("rules.yaml"))
        .stderr(Stdio::null())
        .status();
    assert!(done.unwrap().success());
    began.elapsed()
}

/// Has the workspace list the last of what is stored.
fn list_the_last(workspace: &SimWorkspace, past: Past, now: Timestamp) {
    workspace.put_all((past.runs - INSTANCES..past.runs).map(|number| {
        let run = stored(past, number, now);
        SimInstance::waiting(&run.job.name, 1_000_000 + number, run.plan_time.unwrap())
            .ended("success", run.end_time.unwrap())
    }));
}

async fn history() {
    let (workspace, now) = (workspace().await, back(0));
    list_the_last(&workspace, HISTORY, now);
    let (small, large) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (directory, from) in [(&small, STORED - INSTANCES), (&large, 0)] {
        configure(&workspace, directory.path(), "webhook, url: \"http://127.0.0.1:9/hook\"");
        fill(directory.path(), HISTORY, from, now).await;
        // The first look of the rule, and the first purge.
        once(directory.path());
    }
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..7 {
        for (times, directory) in times.iter_mut().zip([&small, &large]) {
            times.push(once(directory.path()).as_secs_f64() * 1000.0);
        }
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    let [few, many] = times.map(|times| times[times.len() / 2]);
    println!("{STORED} runs stored over 25 days, {INSTANCES} listed, nothing changed");
    println!("  run --once {many:.0} ms instead of {few:.0} ms: ratio {:.2} (bar 1.5)", many / few);
    let before = workspace.requests().list;
    let program = Running::start(large.path());
    until("it has polled", async || workspace.requests().list > before + 25).await;
    tokio::time::sleep(SETTLES).await;
    let (now, most) = program.memory();
    println!("  run holds {now:.1} MB, at most {most:.1} MB (bar 80)");
}

/// What the program held on a store.
struct Held {
    /// From its start to its first question, and to the end of the first poll, in seconds.
    asked: f64,
    polled: f64,
    /// After that poll, and at most, in MB.
    now: f64,
    most: f64,
    /// The store's file, in bytes.
    file: u64,
}

async fn started(workspace: &SimWorkspace, directory: &Path) -> Held {
    let file = directory.join("nightbell.db");
    let store = SqlStore::open(&format!("sqlite://{}", file.display()), Mode::Read).await.unwrap();
    let source = SourceId::new("s");
    let (generation, asked_before) = (store.generation(&source).await.unwrap(), workspace.requests().list);
    let began = Instant::now();
    let program = Running::start(directory);
    until("it asks", async || workspace.requests().list > asked_before).await;
    let asked = began.elapsed().as_secs_f64();
    until("the poll is stored", async || store.generation(&source).await.unwrap() > generation).await;
    let polled = began.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLES).await;
    let (now, most) = program.memory();
    Held { asked, polled, now, most, file: std::fs::metadata(file).unwrap().len() }
}

async fn start() {
    let runs = std::env::var("STORED").map_or(5_000_000, |number| number.parse().unwrap());
    let past = Past { runs, days: 30 };
    let (workspace, now) = (workspace().await, back(0));
    list_the_last(&workspace, past, now);
    let (small, large) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut held = Vec::new();
    for (directory, from, rules) in [(&small, runs - INSTANCES, 0), (&large, 0, 100_000)] {
        configure_rules(&workspace, directory.path(), "webhook, url: \"http://127.0.0.1:9/hook\"", rules);
        fill(directory.path(), past, from, now).await;
        held.push(started(&workspace, directory.path()).await);
        // Once more, now that every rule is known and the first purge is over.
        held.push(started(&workspace, directory.path()).await);
    }
    for (what, held) in
        ["1 rule, 10,000 runs", "the same, again", "100,000 rules, all runs", "the same, again"].iter().zip(&held)
    {
        let Held { asked, polled, now, most, file } = held;
        let file = *file as f64 / 1e6;
        println!(
            "{what}: first question after {asked:.2} s, first poll stored after {polled:.2} s, holds {now:.1} MB, at most \
             {most:.1} MB, store {file:.0} MB"
        );
    }
    let more = (runs - INSTANCES) as f64;
    println!(
        "growth per stored run: {:.0} bytes of disk, {:.2} bytes of memory (rules included)",
        (held[3].file - held[1].file) as f64 / more,
        (held[3].now - held[1].now) * 1_048_576.0 / more
    );
}
