//! How much memory the real binary holds, and how long it takes to start, beside a simulated workspace in this process.
//!
//! - `flood`: 10,000 alerts begin in one poll, told to a Slack channel and to a webhook that cannot be reached; then the
//!   program is started anew on that store;
//! - `history`: a million runs stored over 25 days, of which 10,000 are listed at each poll and none changes.
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
    });
}

async fn workspace() -> SimWorkspace {
    let config = SimConfig { token: Some(TOKEN.to_string()), ..SimConfig::default() };
    SimWorkspace::start(config, Arc::new(SystemClock)).await.unwrap()
}

fn configure(workspace: &SimWorkspace, directory: &Path, receiver: &str) {
    let text = format!(
        "version: 1\nstore: sqlite://{}\nsources:\n  s:\n    type: dataarts\n    endpoint: {}\n    project_id: {}\n    \
         requests_per_second: 10000\n    poll: \"* * * * * *\"\n    auth: {{ token: {TOKEN} }}\nreceivers:\n  \
         r: {{ type: {receiver} }}\nrules:\n  \
         failed: {{ match: {{ job: \"*\" }}, when: {{ status: [fail] }}, notify: [r] }}\n",
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

/// A run of the past 25 days: the last 10,000 of them are those that the workspace lists.
fn stored(number: u64, now: Timestamp) -> Instance {
    let ago = 25 * 86_400 * (STORED - number) / STORED;
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

async fn fill(directory: &Path, from: u64, now: Timestamp) {
    let url = format!("sqlite://{}", directory.join("nightbell.db").display());
    let store = SqlStore::open(&url, Mode::Work).await.unwrap();
    for (generation, first) in (0..).zip((from..STORED).step_by(20_000)) {
        let instances: Vec<Instance> =
            (first..(first + 20_000).min(STORED)).map(|number| stored(number, now)).collect();
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

async fn history() {
    let (workspace, now) = (workspace().await, back(0));
    workspace.put_all((STORED - INSTANCES..STORED).map(|number| {
        let run = stored(number, now);
        SimInstance::waiting(&run.job.name, 1_000_000 + number, run.plan_time.unwrap())
            .ended("success", run.end_time.unwrap())
    }));
    let (small, large) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (directory, from) in [(&small, STORED - INSTANCES), (&large, 0)] {
        configure(&workspace, directory.path(), "webhook, url: \"http://127.0.0.1:9/hook\"");
        fill(directory.path(), from, now).await;
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
