//! How long the pages, the API and a scrape take with a large store against a small one: the real binary, asked over loopback.
//!
//! The small store has 1,000 runs and 20 alerts, the large one 1,000,000 runs over 25 days and 20,000 alerts, all of which
//! fire, with a delivery pending for each. `cargo bench --bench pages`. The bar is a ratio of 3.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench reports on stdout and panics when it is broken")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nightbell::clock::{Clock as _, SystemClock};
use nightbell::model::{Covered, Instance, InstanceType, JobRef, PollOutcome, SourceId, Status};
use nightbell::sim::{SimConfig, SimInstance, SimWorkspace};
use nightbell::store::{Archive as _, Mode, PollCommit, PollLedger as _, SqlStore};

const TOKEN: &str = "a-token-for-the-bench";
/// How often each page is asked for.
const TIMES: usize = 21;

/// What is asked for: what it is called, and its address. `ALERT` stands for an alert's id.
const PAGES: [(&str, &str); 15] = [
    ("night", "/"),
    ("wall", "/wall"),
    ("alerts", "/alerts"),
    ("ended alerts", "/alerts?state=ended"),
    ("alert", "/alerts/ALERT"),
    ("jobs", "/jobs"),
    ("job", "/jobs/s/etl_0007"),
    ("explain", "/explain?what=etl_0007"),
    ("deliveries", "/deliveries"),
    ("silences", "/silences"),
    ("digests", "/digests"),
    ("status", "/status"),
    ("API alerts", "/api/v1/alerts?limit=100"),
    ("API instances", "/api/v1/jobs/s/etl_0007/instances?limit=100"),
    ("metrics", "/metrics"),
];

/// A store of some size, and the program that serves it.
struct Served {
    program: Child,
    port: u16,
    alert: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
    }
}

fn main() {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(compare());
}

async fn compare() {
    let (small, large) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let served = [serve(small.path(), 1_000, 20).await, serve(large.path(), 1_000_000, 20_000).await];
    println!("{:<14} {:>9} {:>9} {:>6}  (medians in ms; bar 3)", "", "small", "large", "ratio");
    for (name, path) in PAGES {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..TIMES {
            for (times, served) in times.iter_mut().zip(&served) {
                times.push(asked(served, path).await);
            }
        }
        times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
        let [few, many] = times.map(|times| times[times.len() / 2]);
        println!("{name:<14} {few:>9.2} {many:>9.2} {:>6.2}", many / few);
    }
}

/// How many milliseconds an answer takes, its body read.
async fn asked(served: &Served, path: &str) -> f64 {
    let url = format!("http://127.0.0.1:{}{}", served.port, path.replace("ALERT", &served.alert));
    let began = Instant::now();
    let answer = reqwest::get(&url).await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    drop(answer.bytes().await.unwrap());
    began.elapsed().as_secs_f64() * 1000.0
}

/// Fills a store with runs that went well, has as many fail as there are to be alerts, and serves it.
async fn serve(directory: &Path, runs: u64, alerts: u64) -> Served {
    let config = SimConfig { token: Some(TOKEN.to_string()), ..SimConfig::default() };
    let workspace = SimWorkspace::start(config, Arc::new(SystemClock)).await.unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = directory.join("nightbell.db");
    let text = format!(
        "version: 1\nstore: sqlite://{}\nweb: {{ listen: \"127.0.0.1:{port}\" }}\nsources:\n  s:\n    type: dataarts\n    \
         endpoint: {}\n    project_id: {}\n    requests_per_second: 10000\n    poll: \"0 0 1 1 *\"\n    lookback: 1h\n    \
         auth: {{ token: {TOKEN} }}\nreceivers:\n  r: {{ type: webhook, url: \"http://127.0.0.1:9/\" }}\nrules:\n  \
         failed: {{ match: {{ job: \"*\" }}, when: {{ status: [fail] }}, notify: [r] }}\n",
        store.display(),
        workspace.endpoint(),
        workspace.config().project_id,
    );
    let rules = directory.join("rules.yaml");
    std::fs::write(&rules, text).unwrap();
    let url = format!("sqlite://{}", store.display());
    let now = SystemClock.now();
    fill(&url, runs, now).await;
    let back = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
    workspace.put_all((0..alerts).map(|number| {
        SimInstance::waiting(&format!("etl_{:04}", number % 2_000), 9_000_000 + number, back(1_200))
            .ended("fail", back(60 + number % 600))
    }));
    let once = nightbell().args(["--log", "off", "run", "--once", "-c"]).arg(&rules).stderr(Stdio::null()).status();
    assert!(once.is_ok(), "it does not run");
    let store = SqlStore::open(&url, Mode::Read).await.unwrap();
    let begun = store.alerts(usize::MAX).await.unwrap();
    assert_eq!(begun.len() as u64, alerts, "not every failure is an alert");
    let alert = begun[begun.len() / 2].id.to_string();
    let program = nightbell().args(["--log", "off", "run", "-c"]).arg(&rules).stdout(Stdio::null()).spawn().unwrap();
    let served = Served { program, port, alert };
    let began = Instant::now();
    while reqwest::get(format!("http://127.0.0.1:{port}/-/healthy")).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not serve");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    served
}

fn nightbell() -> Command {
    Command::new(env!("CARGO_BIN_EXE_nightbell"))
}

/// Puts `runs` runs of the past 25 days into the store.
async fn fill(url: &str, runs: u64, now: Timestamp) {
    let store = SqlStore::open(url, Mode::Work).await.unwrap();
    let run = |number: u64| {
        let ago = 25 * 86_400 * (runs - number) / runs;
        let planned = now.checked_sub(Duration::from_secs(7_200 + ago)).ok();
        Instance {
            source: SourceId::new("s"),
            id: format!("{}", 1_000_000 + number),
            job: JobRef { name: format!("etl_{:04}", number % 2_000), id: Some("600000".to_string()) },
            name: None,
            status: Status::Success,
            raw_status: "success".to_string(),
            kind: InstanceType::Scheduled,
            plan_time: planned,
            start_time: planned,
            end_time: planned.and_then(|planned| planned.checked_add(Duration::from_secs(60)).ok()),
            error: None,
        }
    };
    for (generation, first) in (0..).zip((0..runs).step_by(20_000)) {
        let instances: Vec<Instance> = (first..(first + 20_000).min(runs)).map(run).collect();
        let read = instances.last().and_then(|last| last.end_time).unwrap();
        let commit = PollCommit {
            source: SourceId::new("s"),
            generation,
            now: read,
            covered: Covered { from: Some(read), until: Some(now), ..Covered::default() },
            outcome: PollOutcome::Whole,
            incomplete: None,
            known_rules: Some(std::collections::BTreeSet::new()),
            instances,
            fired: Vec::new(),
            changed: Vec::new(),
            deliveries: Vec::new(),
        };
        store.commit_poll(&commit).await.unwrap();
    }
    store.close().await;
}
