//! How much memory the real binary holds, and how long it takes to start, beside a simulated workspace in this process.
//!
//! - `flood`: 10,000 alerts begin in one poll, told to a Slack channel and to a webhook that cannot be reached; then the
//!   program is started anew on that store;
//! - `history`: a million runs stored over 25 days, of which 10,000 are listed at each poll and none changes.
//!
//! `cargo bench --bench memory`, or `cargo bench --bench memory -- flood`. With `NIGHTBELL=path` it is another binary that is
//! looked at. The peak is `VmHWM` of `/proc/PID/status`, what stays is `VmRSS`: on Linux alone.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench reports on stdout and panics when it is broken")]

mod large;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nightbell::clock::{Clock as _, SystemClock};
use nightbell::model::{Instance, SourceId};
use nightbell::sim::{SimInstance, SimNode, SimWorkspace};
use nightbell::store::{Mode, Outbox as _, PollLedger as _, SqlStore};

use large::{Running, TOKEN, fill, nightbell, run, workspace};

const INSTANCES: u64 = 10_000;
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

fn back(seconds: u64) -> Timestamp {
    SystemClock.now().checked_sub(Duration::from_secs(seconds)).unwrap()
}

/// What the program holds now and has held at most, in MB.
fn memory(program: &Running) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.0.id())).unwrap();
    let megabytes = |key: &str| -> f64 {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    (megabytes("VmRSS"), megabytes("VmHWM"))
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
    let listed = |id: u64| {
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
    workspace.put_all((0..INSTANCES).map(listed));
    let program = Running::start(directory.path());
    // A page is asked for again where the poll before has ended.
    until("it has polled twice", async || workspace.requests().list > 25).await;
    let (calm, _) = memory(&program);
    workspace.put_all((0..INSTANCES).map(|id| listed(id).ended("fail", back(5))));
    let url = format!("sqlite://{}", directory.path().join("nightbell.db").display());
    let store = SqlStore::open(&url, Mode::Read).await.unwrap();
    let source = SourceId::new("s");
    until("the alerts begin", async || {
        !store.told_and_firing(std::slice::from_ref(&source), 1).await.unwrap().is_empty()
    })
    .await;
    tokio::time::sleep(SETTLES).await;
    let pending: u64 = store.pending().await.unwrap().iter().map(|pending| pending.count).sum();
    let (now, most) = memory(&program);
    println!("{receiver}: {INSTANCES} alerts begin in one poll");
    println!(
        "  before {calm:.1} MB, at most {most:.1} MB (bar 80), with {pending} deliveries pending {now:.1} MB (bar 64)"
    );
    drop(program);

    let before = workspace.requests().list;
    let program = Running::start(directory.path());
    until("it has polled again", async || workspace.requests().list > before + 25).await;
    tokio::time::sleep(SETTLES).await;
    let (now, most) = memory(&program);
    println!("  started anew on that store {now:.1} MB (bar 64), at most {most:.1} MB (bar 80)");
}

const STORED: u64 = 1_000_000;

/// A run of the past 25 days: the last 10,000 of them are those that the workspace lists.
fn stored(number: u64, now: Timestamp) -> Instance {
    run(number, STORED, 600, now)
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
        fill(directory.path(), (from..STORED).map(|number| stored(number, now)), now).await;
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
    let (now, most) = memory(&program);
    println!("  run holds {now:.1} MB, at most {most:.1} MB (bar 80)");
}
