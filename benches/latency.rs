//! From a failure at the scheduler to the sink: the real binary polls a simulated workspace each second, 200 runs fail at random
//! moments, and a webhook in this process notes when it is told of each.
//!
//! `cargo bench --bench latency`; `RUNS=10000` has the workspace list so many runs (1,000 by itself), `NIGHTBELL_SEED=…` repeats
//! the moments. The bar is the interval and 50 ms for 99 of 100.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench reports on stdout and panics when it is broken")]

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nightbell::clock::{Clock as _, SystemClock};
use nightbell::sim::{SimConfig, SimInstance, SimNode, SimWorkspace};

const FAILURES: u64 = 200;
/// The moments lie in so many milliseconds after one another, 100 on average.
const SPREAD: u64 = 200;
const INTERVAL: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_millis(50);
const TOKEN: &str = "a-token-for-the-bench";

/// When the sink was told of each job.
type Told = Arc<Mutex<HashMap<String, Instant>>>;

/// Ends the program with the bench, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

async fn sink(told: Told) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let take = move |body: axum::body::Bytes| {
        let (told, at) = (Arc::clone(&told), Instant::now());
        async move {
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let job = body["data"]["job"]["name"].as_str().unwrap_or_default().to_string();
            told.lock().unwrap().entry(job).or_insert(at);
            "ok"
        }
    };
    let app = axum::Router::new().route("/hook", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// Numbers that look random and are the same for a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

fn back(seconds: u64) -> Timestamp {
    SystemClock.now().checked_sub(Duration::from_secs(seconds)).unwrap()
}

/// Waits until `is_so`, two minutes at most.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(120), "it does not come to pass: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::main]
async fn main() {
    let seed = number("NIGHTBELL_SEED").unwrap_or_else(|| SystemClock.now().as_millisecond().unsigned_abs());
    let runs = number("RUNS").unwrap_or(1_000).max(FAILURES);
    let config = SimConfig { token: Some(TOKEN.to_string()), ..SimConfig::default() };
    let workspace = SimWorkspace::start(config, Arc::new(SystemClock)).await.unwrap();
    let planned = back(1_800);
    let run = |id: u64| SimInstance::waiting(&format!("etl_{id:05}"), 1_000_000 + id, planned).running();
    workspace.put_all((0..runs).map(run));
    let told = Told::default();
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().join("rules.yaml");
    let text = format!(
        "version: 1\nstore: sqlite://{}\nsources:\n  s:\n    type: dataarts\n    endpoint: {}\n    project_id: {}\n    \
         requests_per_second: 10000\n    poll: \"* * * * * *\"\n    auth: {{ token: {TOKEN} }}\nreceivers:\n  \
         r: {{ type: webhook, url: \"{}\" }}\nrules:\n  failed: {{ match: {{ job: \"*\" }}, when: {{ status: [fail] }}, notify: \
         [r] }}\n",
        directory.path().join("nightbell.db").display(),
        workspace.endpoint(),
        workspace.config().project_id,
        sink(Arc::clone(&told)).await,
    );
    std::fs::write(&rules, text).unwrap();
    let program = std::env::var("NIGHTBELL").unwrap_or_else(|_| env!("CARGO_BIN_EXE_nightbell").to_string());
    let program = Command::new(program).args(["--log", "off", "run", "-c"]).arg(&rules).stdout(Stdio::null()).spawn();
    let program = Running(program.unwrap());
    // A page holds a thousand runs, and the last one is asked for again where the poll before has ended.
    let twice = usize::try_from(runs / 500).unwrap() + 2;
    until("it has polled twice", || workspace.requests().list > twice).await;
    tokio::time::sleep(3 * INTERVAL).await;

    let (mut numbers, mut failed) = (Numbers(seed), HashMap::new());
    for id in 0..FAILURES {
        tokio::time::sleep(Duration::from_millis(numbers.below(SPREAD))).await;
        let now = SystemClock.now();
        let node = SimNode::ended("load", "DWS SQL", "fail", back(30), now).log_path("obs://dlf-log/load/load.job");
        failed.insert(format!("etl_{id:05}"), Instant::now());
        workspace.put(run(id).ended("fail", now).node(node));
    }
    until("every failure is told", || told.lock().unwrap().len() >= failed.len()).await;
    drop(program);
    let told = told.lock().unwrap();
    let mut took: Vec<Duration> = failed.iter().map(|(job, at)| told[job].duration_since(*at)).collect();
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share).div_ceil(100) - 1].as_millis();
    let (median, most, bar) = (at(50), took[took.len() - 1].as_millis(), (INTERVAL + SLACK).as_millis());
    println!("{FAILURES} failures among {runs} runs, a poll a second, seed {seed}: from the failure to the sink");
    println!("  half within {median} ms, 99 of 100 within {} ms (bar {bar}), the last {most} ms", at(99));
    assert!(at(99) <= bar, "99 of 100 took {} ms, and may take {bar} ms", at(99));
}
