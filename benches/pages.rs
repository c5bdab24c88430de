//! How long the pages, the API and a scrape take with a large store against a small one: the real binary, asked over loopback.
//!
//! The small store has 1,000 runs and as many alerts as the night reads at most, so that pages draw the same; the large one
//! 1,000,000 runs over 25 days and 20,000 alerts. All of them fire, with a delivery pending for each. The bar is a ratio of 3:
//! it fails when a page misses it, unless that takes no longer than a few milliseconds, which are no more than noise.
//! `cargo bench --bench pages`; for a quicker look with fewer, `cargo bench --bench pages -- RUNS ALERTS`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench reports on stdout and panics when it is broken")]

mod large;

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nightbell::clock::{Clock as _, SystemClock};
use nightbell::limits::NIGHT_ALERTS_MAX;
use nightbell::sim::SimInstance;
use nightbell::store::{Archive as _, Mode, SqlStore};

use large::{Running, TOKEN, fill, job_of, nightbell, run, workspace};

/// How often each page is asked for.
const TIMES: usize = 21;
/// So many times as long may it take with the large store, and what is no matter.
const BAR: f64 = 3.0;
const NOISE_MS: f64 = 5.0;

/// What is asked for: what it is called, and its address. `ALERT` stands for an alert's id, `JOB` for a
/// job's name.
const PAGES: [(&str, &str); 19] = [
    ("night", "/"),
    ("wall", "/wall"),
    ("alerts", "/alerts"),
    ("ended alerts", "/alerts?state=resolved"),
    ("suspended", "/alerts?state=suspended"),
    ("alert", "/alerts/ALERT"),
    ("jobs", "/jobs"),
    ("job", "/jobs/s/JOB"),
    ("explain", "/explain?subject=JOB"),
    ("deliveries", "/deliveries"),
    ("silences", "/silences"),
    ("digests", "/digests"),
    ("status", "/status"),
    ("API alerts", "/api/v1/alerts?limit=100"),
    ("API status", "/api/v1/status"),
    ("API actions", "/api/v1/actions"),
    ("API instances", "/api/v1/jobs/s/JOB/instances?limit=100"),
    ("API calendar", "/api/v1/jobs/s/JOB/calendar"),
    ("metrics", "/metrics"),
];

/// A store of some size, and the program that serves it.
struct Served {
    _program: Running,
    port: u16,
    alert: String,
    client: reqwest::Client,
}

fn main() {
    nightbell::http::install_crypto();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(compare());
}

async fn compare() {
    let (small, large) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let asked_for: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let (runs, alerts) = (asked_for.first().copied().unwrap_or(1_000_000), asked_for.get(1).copied().unwrap_or(20_000));
    let began = Instant::now();
    let few_alerts = (NIGHT_ALERTS_MAX as u64).min(alerts);
    let served = [serve(small.path(), 1_000, few_alerts).await, serve(large.path(), runs, alerts).await];
    let made = began.elapsed().as_secs();
    println!("1,000 runs and {few_alerts} alerts against {runs} and {alerts}, made in {made} s");
    println!("{:<14} {:>9} {:>9} {:>6} {:>9}  (medians in ms; bar {BAR})", "", "small", "large", "ratio", "bytes");
    let mut missed = Vec::new();
    for (name, path) in PAGES {
        let (mut times, mut bytes) = ([Vec::new(), Vec::new()], 0);
        for _ in 0..TIMES {
            for (times, served) in times.iter_mut().zip(&served) {
                let (took, size) = asked(served, path).await;
                times.push(took);
                bytes = size;
            }
        }
        times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
        let [few, many] = times.map(|times| times[times.len() / 2]);
        println!("{name:<14} {few:>9.2} {many:>9.2} {:>6.2} {bytes:>9}", many / few);
        if many > BAR * few && many > NOISE_MS {
            missed.push(name);
        }
    }
    assert!(missed.is_empty(), "these take more than {BAR} times as long: {}", missed.join(", "));
}

/// How many milliseconds an answer takes, its body read, and how many bytes that has.
async fn asked(served: &Served, path: &str) -> (f64, usize) {
    let url =
        format!("http://127.0.0.1:{}{}", served.port, path.replace("ALERT", &served.alert).replace("JOB", &job_of(7)));
    let began = Instant::now();
    let answer = served.client.get(&url).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    let size = answer.bytes().await.unwrap().len();
    (began.elapsed().as_secs_f64() * 1000.0, size)
}

/// Fills a store with runs that went well, has as many fail as there are to be alerts, and serves it.
async fn serve(directory: &Path, runs: u64, alerts: u64) -> Served {
    let workspace = workspace().await;
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
    fill(directory, (0..runs).map(|number| run(number, runs, (25, 7_200), now)), now).await;
    let back = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
    workspace.put_all((0..alerts).map(|number| {
        SimInstance::waiting(&job_of(number), 9_000_000 + number, back(1_200)).ended("fail", back(60 + number % 600))
    }));
    let once = nightbell().args(["--log", "off", "run", "--once", "-c"]).arg(&rules).stderr(Stdio::null()).status();
    assert!(once.is_ok(), "it does not run");
    let store = SqlStore::open(&url, Mode::Read).await.unwrap();
    let begun = store.alerts(usize::MAX).await.unwrap();
    assert_eq!(begun.len() as u64, alerts, "not every failure is an alert");
    let alert = begun[begun.len() / 2].id.to_string();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let served = Served { _program: Running::start(directory), port, alert, client };
    let began = Instant::now();
    while served.client.get(format!("http://127.0.0.1:{port}/-/healthy")).send().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not serve");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    served
}
