//! How much memory the real binary holds, and how long it takes to start, beside a simulated workspace in this process.
//!
//! - `flood`: 10,000 alerts begin in one poll, told to a Slack channel and to a webhook that cannot be reached; then the
//!   program is started anew on that store;
//! - `history`: a million runs stored over 25 days, of which 10,000 are listed at each poll and none changes;
//! - `start`: 100,000 rules and a store of 5 million runs over 30 days (`STORED=` for another number; it takes some minutes and
//!   4 GB of disk to fill), held against one rule with 10,000 runs, and one rule with all of them. It is not run unless it is
//!   named.
//!
//! `cargo bench --bench memory`, or `cargo bench --bench memory -- flood`. With `NIGHTBELL=path` it is another binary that is
//! looked at. The peak is `VmHWM` of `/proc/PID/status`, what stays is `VmRSS`: on Linux alone. What misses its bar fails.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench reports on stdout and panics when it is broken")]

mod bars;
mod large;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nightbell::clock::{Clock as _, SystemClock};
use nightbell::model::{Instance, SourceId};
use nightbell::sim::{SimInstance, SimNode, SimWorkspace};
use nightbell::store::{Mode, Outbox as _, PollLedger as _, SqlStore};

use bars::Bars;
use large::{Running, TOKEN, fill, nightbell, run, workspace};

const INSTANCES: u64 = 10_000;
/// How long the program is watched once what was waited for has come to pass: several polls.
const SETTLES: Duration = Duration::from_secs(10);

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let mut bars = Bars::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if is_wanted("flood") {
            for receiver in ["slack", "webhook"] {
                flood(receiver, &mut bars).await;
            }
        }
        if is_wanted("history") {
            history(&mut bars).await;
        }
        if wanted.iter().any(|word| word == "start") {
            start().await;
        }
    });
    bars.end();
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

/// How long is waited for anything: the first poll on a store of 5 million runs that nothing has cached may take minutes.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// Waits until `is_so`.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "it does not come to pass: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn flood(receiver: &str, bars: &mut Bars) {
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
    bars.hold(&format!("{receiver}, a flood, at most, in MB"), most, 80.0);
    bars.hold(&format!("{receiver}, after a flood, in MB"), now, 64.0);
    drop(program);

    let before = workspace.requests().list;
    let program = Running::start(directory.path());
    until("it has polled again", async || workspace.requests().list > before + 25).await;
    tokio::time::sleep(SETTLES).await;
    let (now, most) = memory(&program);
    println!("  started anew on that store {now:.1} MB (bar 64), at most {most:.1} MB (bar 80)");
    bars.hold(&format!("{receiver}, started anew, at most, in MB"), most, 80.0);
    bars.hold(&format!("{receiver}, started anew, in MB"), now, 64.0);
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
    run(number, past.runs, (past.days, 600), now)
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

async fn history(bars: &mut Bars) {
    let (workspace, now) = (workspace().await, back(0));
    list_the_last(&workspace, HISTORY, now);
    let (small, large) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (directory, from) in [(&small, STORED - INSTANCES), (&large, 0)] {
        configure(&workspace, directory.path(), "webhook, url: \"http://127.0.0.1:9/hook\"");
        fill(directory.path(), (from..STORED).map(|number| stored(HISTORY, number, now)), now).await;
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
    bars.hold("run --once with a long memory", many / few, 1.5);
    let before = workspace.requests().list;
    let program = Running::start(large.path());
    until("it has polled", async || workspace.requests().list > before + 25).await;
    tokio::time::sleep(SETTLES).await;
    let (now, most) = memory(&program);
    println!("  run holds {now:.1} MB, at most {most:.1} MB (bar 80)");
    bars.hold("run with a long memory, at most, in MB", most, 80.0);
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
    let (now, most) = memory(&program);
    Held { asked, polled, now, most, file: std::fs::metadata(file).unwrap().len() }
}

async fn start() {
    let runs = std::env::var("STORED").map_or(5_000_000, |number| number.parse().unwrap());
    let past = Past { runs, days: 30 };
    let (workspace, now) = (workspace().await, back(0));
    list_the_last(&workspace, past, now);
    // What a rule costs and what a run costs are two things: the second store has the first one's rules and the third one's runs.
    let mut held = Vec::new();
    for (what, from, rules) in [
        ("1 rule, 10,000 runs", runs - INSTANCES, 0),
        ("1 rule, all runs", 0, 0),
        ("100,000 rules, all runs", 0, 100_000),
    ] {
        let directory = tempfile::tempdir().unwrap();
        configure_rules(&workspace, directory.path(), "webhook, url: \"http://127.0.0.1:9/hook\"", rules);
        fill(directory.path(), (from..runs).map(|number| stored(past, number, now)), now).await;
        held.push((what, started(&workspace, directory.path()).await));
        // Once more, now that every rule is known and the first purge is over.
        held.push(("the same, again", started(&workspace, directory.path()).await));
    }
    for (what, held) in &held {
        let Held { asked, polled, now, most, file } = held;
        let file = *file as f64 / 1e6;
        println!(
            "{what}: first question after {asked:.2} s, first poll stored after {polled:.2} s, holds {now:.1} MB, at most \
             {most:.1} MB, store {file:.0} MB"
        );
    }
    let more = (runs - INSTANCES) as f64;
    let [few, many, ruled] = [1, 3, 5].map(|again| &held[again].1);
    println!(
        "growth per stored run: {:.0} bytes of disk, {:.2} bytes of memory; per rule {:.0} bytes of memory",
        (many.file - few.file) as f64 / more,
        (many.now - few.now) * 1_048_576.0 / more,
        (ruled.now - many.now) * 1_048_576.0 / 100_000.0
    );
}
