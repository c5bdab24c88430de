//! A hundred thousand rules: how long the file takes to load and how much memory, and how long a poll of ten thousand
//! instances takes against them. Run with `cargo bench --bench rules`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that fails should say where, and what it measures"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use nightbell::clock::ManualClock;
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{Coverage, Instance, InstanceType, JobRef, SourceId, Status, Window};
use nightbell::source::{Detail, Finding, Listing, Source, SourceError};
use nightbell::store::{Mode, SqlStore};
use nightbell::worker::poll::Poller;

const RULES: usize = 100_000;
const INSTANCES: usize = 10_000;
/// What the bench holds itself to.
const LOAD_MAX: Duration = Duration::from_secs(5);
const POLL_MAX: Duration = Duration::from_secs(5);
const MEMORY_MAX_KB: u64 = 512 << 10;

/// Rules of every shape: one job in full, all of a team, a middle left open, an expression now and then.
fn file() -> String {
    let mut text = String::from(
        "version: 1\nsources: {s: {type: dataarts, region: r, project_id: p, auth: {token: {env: T}}}}\n\
         receivers: {a: {type: webhook, url: {env: A}}}\nrules:\n",
    );
    for rule in 0..RULES {
        let job = match rule % 20 {
            0 => format!("'/t{rule}_\\d+/'"),
            1..=4 => format!("'t{rule}_*_day'"),
            5..=9 => format!("'t{rule}_*'"),
            10 => format!("'*_{rule}'"),
            _ => format!("t{rule}_1"),
        };
        let when = if rule % 3 == 0 { "status: fail, duration: 9m" } else { "status: fail" };
        writeln!(text, " r{rule}: {{match: {{job: {job}}}, when: {{{when}}}}}").unwrap();
    }
    text
}

/// A source that lists the same instances at every poll.
struct Steady(Vec<Instance>);

impl Source for Steady {
    fn kind(&self) -> &'static str {
        "dataarts"
    }

    fn list(&self, window: Window) -> BoxFuture<'_, Result<Listing, SourceError>> {
        Box::pin(async move { Ok(Listing::new(self.0.clone(), Coverage::whole(window, ""))) })
    }

    fn detail<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<Detail, SourceError>> {
        Box::pin(async { Ok(Detail::new(instance.clone(), Vec::new())) })
    }

    fn examine(&self) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(async { Vec::new() })
    }
}

fn instances(now: Timestamp) -> Vec<Instance> {
    let instance = |number: usize| Instance {
        source: SourceId::new("s"),
        id: number.to_string(),
        job: JobRef { name: format!("t{}_{}", number * 7 % RULES, number % 3), id: None },
        name: None,
        status: if number.is_multiple_of(50) { Status::Fail } else { Status::Success },
        raw_status: "x".into(),
        kind: InstanceType::Scheduled,
        plan_time: Some(now - SignedDuration::from_mins(20)),
        start_time: Some(now - SignedDuration::from_mins(20)),
        end_time: Some(now - SignedDuration::from_mins(5)),
        error: None,
    };
    (0..INSTANCES).map(instance).collect()
}

/// The most memory that the process has held, in kB; nothing where the system does not tell.
fn peak_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

fn main() {
    let text = file();
    let size = text.len() as f64 / f64::from(1 << 20);
    let begun = Instant::now();
    let options = LoadOptions { offline: true };
    let config = Config::from_text(text, "rules.yaml", Path::new("."), &options).unwrap().config;
    let (load, memory) = (begun.elapsed(), peak_kb());
    println!("{RULES} rules, {size:.1} MiB: loaded in {load:.2?}, {} MB at most", memory.unwrap_or_default() / 1024);

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let poll = runtime.block_on(poll(config));
    println!("{INSTANCES} instances against them: first poll {:.2?}, the next {:.2?}", poll[0], poll[1]);
    assert!(load < LOAD_MAX, "loading takes {load:?}");
    assert!(memory.is_none_or(|kilobytes| kilobytes < MEMORY_MAX_KB), "{memory:?} kB");
    assert!(poll[0] < POLL_MAX, "a poll takes {:?}", poll[0]);
}

async fn poll(config: Config) -> [Duration; 2] {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("bench.db").display());
    let store = Arc::new(SqlStore::open(&url, Mode::Work).await.unwrap());
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let (settings, clock) = (config.sources[0].clone(), Arc::new(ManualClock::at(now)));
    let source = Steady(instances(now));
    let decider = config.decider(&settings, None);
    let mut poller = Poller::new(settings, source, Arc::clone(&store), decider, Arc::default(), clock);
    let mut took = [Duration::ZERO; 2];
    for span in &mut took {
        let begun = Instant::now();
        let report = poller.poll().await.unwrap();
        *span = begun.elapsed();
        assert!(report.listed == INSTANCES);
    }
    store.close().await;
    took
}
