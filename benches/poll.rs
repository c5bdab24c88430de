//! What a poll of 10,000 instances in ten pages costs, as ratios within one run.
//!
//! - against only fetching the same pages and parsing them as JSON: a poll that finds nothing changed, and a first poll
//!   to which everything is new, both with 200 rules and a store on disk;
//! - matching 10,000 names against 1,000 rules, against 10 rules;
//! - the memory of the real binary while it polls the same workspace.
//!
//! `cargo bench --bench poll`. Times are medians; machines are noisy, so only the ratios mean much. What misses its bar fails.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench reports on stdout and panics when it is broken")]

mod bars;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nightbell::clock::{Clock, SystemClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::http::{HttpClient, HttpSettings, Outgoing};
use nightbell::model::SourceId;
use nightbell::rule::MatchCache;
use nightbell::secret::Secrets;
use nightbell::sim::{SimConfig, SimInstance, SimWorkspace};
use nightbell::source::Source;
use nightbell::store::{Mode, SqlStore};
use nightbell::worker::poll::Poller;

use bars::Bars;

const INSTANCES: u64 = 10_000;
const PAGE: u64 = 1_000;
const ROUNDS: usize = 9;
const TOKEN: &str = "a-token-for-the-bench";

fn main() {
    let mut bars = Bars::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let workspace = full_workspace().await;
        polling(&workspace, &mut bars).await;
        memory(&workspace, &mut bars).await;
    });
    matching(&mut bars);
    bars.end();
}

async fn full_workspace() -> SimWorkspace {
    let config = SimConfig { token: Some(TOKEN.to_string()), ..SimConfig::default() };
    let workspace = SimWorkspace::start(config, Arc::new(SystemClock)).await.unwrap();
    let now = SystemClock.now();
    let back = |seconds: u64| now.checked_sub(Duration::from_secs(seconds)).unwrap();
    workspace.put_all((0..INSTANCES).map(|id| {
        let plan = 600 + (id * 7) % 80_000;
        let job = format!("etl_{}", id % 2_000);
        SimInstance::waiting(&job, 1_000_000 + id, back(plan)).ended("success", back(plan - 60))
    }));
    workspace
}

fn configuration(workspace: &SimWorkspace, directory: &Path, rules: usize) -> Config {
    let mut text = format!(
        "version: 1\nstore: sqlite://{}\nsources:\n  s:\n    type: dataarts\n    endpoint: {}\n    project_id: {}\n    \
         requests_per_second: 10000\n    poll: \"* * * * * *\"\n    auth: {{ token: {TOKEN} }}\nreceivers:\n  \
         r: {{ type: webhook, url: \"http://127.0.0.1:9/\" }}\nrules:\n",
        directory.join("nightbell.db").display(),
        workspace.endpoint(),
        workspace.config().project_id,
    );
    for rule in 0..rules {
        let job = match rule % 4 {
            0 => format!("etl_{rule}"),
            1 => format!("etl_{rule}*"),
            2 => format!("*_{rule}"),
            _ => format!("team{rule}_*_daily"),
        };
        text.push_str(&format!(
            "  r{rule}: {{ match: {{ job: \"{job}\" }}, when: {{ status: [fail] }}, notify: [r] }}\n"
        ));
    }
    std::fs::write(directory.join("rules.yaml"), text).unwrap();
    Config::load(&directory.join("rules.yaml"), &LoadOptions { offline: false }).unwrap().config
}

async fn poller(config: &Config) -> Poller<Arc<dyn Source>, SqlStore> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let source = config.sources[0].open(Arc::clone(&clock)).unwrap();
    let store = Arc::new(SqlStore::open(&config.store, Mode::Work).await.unwrap());
    let settings = config.sources[0].clone();
    let decider = config.decider(&settings, None);
    Poller::new(settings, source, store, decider, Arc::default(), clock)
}

/// Only what any poller must do: get the pages and parse them.
async fn fetch_and_parse(workspace: &SimWorkspace, client: &HttpClient) {
    let now = SystemClock.now();
    let from = now.checked_sub(Duration::from_secs(86_400)).unwrap().as_millisecond();
    for page in 0..INSTANCES / PAGE {
        let url = format!(
            "{}/v1/{}/jobs/instances/detail?minPlanTime={from}&maxPlanTime={}&limit={PAGE}&offset={}",
            workspace.endpoint(),
            workspace.config().project_id,
            now.as_millisecond(),
            page * PAGE
        );
        let request = client.inner().get(url).header("X-Auth-Token", TOKEN).build().unwrap();
        let answer =
            client.send(Outgoing::new(request, Secrets::new()), Duration::from_secs(30), 64 << 20).await.unwrap();
        let value: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(value["instances"].as_array().unwrap().len() as u64, PAGE);
    }
}

async fn polling(workspace: &SimWorkspace, bars: &mut Bars) {
    let client = HttpClient::new(&HttpSettings::default()).unwrap();
    let warm = tempfile::tempdir().unwrap();
    let mut unchanged = poller(&configuration(workspace, warm.path(), 200)).await;
    unchanged.poll().await.unwrap();
    let (mut base, mut same, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        fetch_and_parse(workspace, &client).await;
        base.push(began.elapsed());

        let began = Instant::now();
        let report = unchanged.poll().await.unwrap();
        same.push(began.elapsed());
        assert_eq!((report.listed as u64, report.changed), (INSTANCES, 0));

        let fresh = tempfile::tempdir().unwrap();
        let mut first = poller(&configuration(workspace, fresh.path(), 200)).await;
        let began = Instant::now();
        let report = first.poll().await.unwrap();
        new.push(began.elapsed());
        assert_eq!(report.changed as u64, INSTANCES);
    }
    println!("{INSTANCES} instances in {} pages, 200 rules, medians of {ROUNDS} rounds", INSTANCES / PAGE);
    println!("  fetch and parse only      {:>8.1} ms", milliseconds(&base));
    for (what, times, bar) in [("poll, nothing changed", &same, 1.5), ("poll, everything new", &new, 4.0)] {
        let ratio = ratio(times, &base);
        println!("  {what:<22}    {:>8.1} ms   ratio {ratio:.2} (bar {bar})", milliseconds(times));
        bars.hold(what, ratio, bar);
    }
}

async fn memory(workspace: &SimWorkspace, bars: &mut Bars) {
    let directory = tempfile::tempdir().unwrap();
    configuration(workspace, directory.path(), 200);
    let before = workspace.requests().list;
    let mut child = Command::new(env!("CARGO_BIN_EXE_nightbell"))
        .args(["--log", "error", "run", "-c"])
        .arg(directory.path().join("rules.yaml"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    // Five polls of eleven pages, or as many as a minute allows.
    while workspace.requests().list < before + 55 && began.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let megabytes = |key: &str| -> f64 {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    let (now, most) = (megabytes("VmRSS"), megabytes("VmHWM"));
    println!("resident memory while polling {INSTANCES} instances: {now:.1} MB, at most {most:.1} MB (bar 64)");
    bars.hold("resident memory in MB", most, 64.0);
}

fn matching(bars: &mut Bars) {
    let names: Vec<String> = (0..INSTANCES).map(|id| format!("etl_{id}")).collect();
    let source = SourceId::new("s");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let workspace = runtime.block_on(SimWorkspace::start(SimConfig::default(), Arc::new(SystemClock))).unwrap();
    let few = configuration(&workspace, directory.path(), 10).rules;
    let many = configuration(&workspace, directory.path(), 1_000).rules;
    let (mut cold, mut warm) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        for (index, set) in [&few, &many].into_iter().enumerate() {
            let mut cache = MatchCache::default();
            for times in [&mut cold[index], &mut warm[index]] {
                let began = Instant::now();
                for name in &names {
                    std::hint::black_box(set.matching(&source, name, &mut cache));
                }
                times.push(began.elapsed());
            }
        }
    }
    println!("matching {INSTANCES} names against 1,000 rules instead of 10 (bar 2)");
    for (what, [few, many]) in [("names not seen before", &cold), ("names seen before", &warm)] {
        let ratio = ratio(many, few);
        println!("  {what:<22}    {:>8.1} ms   ratio {ratio:.2}", milliseconds(many));
        bars.hold(what, ratio, 2.0);
    }
}

fn milliseconds(times: &[Duration]) -> f64 {
    median(times.iter().map(|time| time.as_secs_f64() * 1000.0).collect())
}

/// The median of the rounds' own ratios: what disturbs one round disturbs both of its parts.
fn ratio(times: &[Duration], base: &[Duration]) -> f64 {
    median(times.iter().zip(base).map(|(time, base)| time.as_secs_f64() / base.as_secs_f64()).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
