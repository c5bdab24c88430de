//! What PostgreSQL costs against SQLite, what three replicas bring against one, and what a long memory costs a poll: ratios
//! within one run, on a cluster of its own. Both databases are on the same disk (`TMPDIR` says which), and both have what is
//! committed on it before they say so: the server by `fsync`, as it is usual, and the file by `synchronous = FULL`.
//!
//! - committing polls of 10,000 instances (all new, nothing changed), and draining an outbox of 10,000 signed webhooks;
//! - 10,000 deliveries to six receivers that take 50 ms each, by three processes and by one;
//! - polling 10,000 instances with 5,000,000 stored, against 10,000 stored, on both databases: of which nothing has changed,
//!   of which one in a hundred has, and by a process that has just started and remembers nothing. Each may take 1.2 times as
//!   long; the bench fails when one takes longer.
//!
//! `cargo bench --bench replicas`. `BENCH_STORED` and `BENCH_DELIVERIES` make it smaller. PostgreSQL must be installed.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench reports on stdout and panics when it is broken")]

#[path = "../tests/cluster.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nightbell::clock::{Clock, SystemClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{Content, Covered, DeliveryId, MessageKind, Notification, PollOutcome, ReceiverId, SourceId};
use nightbell::notify::AnyNotifier;
use nightbell::sim::{SimConfig, SimInstance, SimWorkspace};
use nightbell::source::Source;
use nightbell::store::{Mode, Outbox as _, PollCommit, PollLedger as _, SqlStore};
use nightbell::worker::deliver::Lane;
use nightbell::worker::poll::Poller;
use sqlx::{Connection as _, Row as _};
use tokio_util::sync::CancellationToken;

const INSTANCES: u64 = 10_000;
const ROUNDS: usize = 5;
const RECEIVERS: usize = 6;
const TOKEN: &str = "a-token-for-the-bench";
/// How many times as long a poll may take with a long memory.
const BAR: f64 = 1.2;
/// How long a receiver takes.
const SLOW: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() {
    let asked = |name, usual| std::env::var(name).map_or(usual, |number| number.parse::<u64>().unwrap());
    let (stored, count) = (asked("BENCH_STORED", 5_000_000), asked("BENCH_DELIVERIES", 10_000));
    tokio::task::spawn_blocking(cluster::start_durable).await.unwrap();
    let workspace = workspace().await;
    let mut missed = Vec::new();
    let mut polls = Vec::new();
    let mut drains = Vec::new();
    for kind in [Database::Sqlite, Database::Postgres] {
        polls.push(polling(&workspace, kind).await);
        drains.push(draining(kind, count).await);
    }
    for (which, name) in ["everything new", "nothing changed"].iter().enumerate() {
        let [file, server] = [polls[0][which], polls[1][which]];
        println!("poll of {INSTANCES}, {name}: PostgreSQL {server:.0} ms, {:.2} times SQLite", server / file);
    }
    println!("{count} webhooks: PostgreSQL {:.2} s, {:.2} times SQLite", drains[1], drains[1] / drains[0]);
    for kind in [Database::Sqlite, Database::Postgres] {
        let (few, many) = (remembering(&workspace, kind, INSTANCES).await, remembering(&workspace, kind, stored).await);
        for (which, name) in ["nothing changed", "one in a hundred changed", "just started"].iter().enumerate() {
            let (few, many) = (few[which], many[which]);
            let ratio = many / few;
            let what = format!("poll of {INSTANCES} on {kind:?}, {name}, with {stored} stored");
            println!("{what}: {many:.0} ms, {ratio:.2} times (bar {BAR})");
            if ratio > BAR {
                missed.push(format!("{what}: {ratio:.2} times"));
            }
        }
    }
    let (one, three) = (working(1, count).await, working(3, count).await);
    println!(
        "{count} deliveries to {RECEIVERS} receivers of {SLOW:?}: one replica {one:.1} s, three {:.2} times",
        three / one
    );
    assert!(missed.is_empty(), "these take more than {BAR} times as long as with {INSTANCES} stored: {missed:#?}");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Database {
    Sqlite,
    Postgres,
}

/// A fresh place for a store; a file's folder is removed with it.
async fn place(kind: Database) -> (String, Option<tempfile::TempDir>) {
    match kind {
        Database::Sqlite => {
            let directory = tempfile::tempdir().unwrap();
            (format!("sqlite://{}/bench.db", directory.path().canonicalize().unwrap().display()), Some(directory))
        }
        Database::Postgres => (tokio::task::spawn_blocking(|| cluster::empty_database("")).await.unwrap(), None),
    }
}

async fn removed(url: String) {
    if url.starts_with("postgres") {
        tokio::task::spawn_blocking(move || cluster::remove(&url)).await.unwrap();
    }
}

async fn workspace() -> SimWorkspace {
    let config = SimConfig { token: Some(TOKEN.to_string()), ..SimConfig::default() };
    let workspace = SimWorkspace::start(config, Arc::new(SystemClock)).await.unwrap();
    let now = SystemClock.now();
    let back = |seconds: u64| now.checked_sub(Duration::from_secs(seconds)).unwrap();
    workspace.put_all((0..INSTANCES).map(|id| {
        let plan = 600 + (id * 7) % 80_000;
        SimInstance::waiting(&format!("etl_{}", id % 2_000), 1_000_000 + id, back(plan))
            .ended("success", back(plan - 60))
    }));
    workspace
}

/// Writes a rules file: a source that is polled each second, and receivers at these addresses, of which all are told.
fn rules_file(directory: &Path, store: &str, workspace: &SimWorkspace, receivers: &[String]) -> PathBuf {
    let path = directory.join("rules.yaml");
    let section: String = receivers
        .iter()
        .enumerate()
        .map(|(number, url)| format!("  hook{number}: {{ type: webhook, url: \"{url}\" }}\n"))
        .collect();
    let all: Vec<String> = (0..receivers.len()).map(|number| format!("hook{number}")).collect();
    let text = format!(
        "version: 1\nstore: \"{store}\"\nsources:\n  s:\n    type: dataarts\n    endpoint: {}\n    project_id: {}\n    \
         requests_per_second: 10000\n    poll: \"* * * * * *\"\n    auth: {{ token: {TOKEN} }}\nreceivers:\n{section}\
         rules:\n  failed: {{ when: {{ status: [fail] }}, notify: [{}] }}\n",
        workspace.endpoint(),
        workspace.config().project_id,
        all.join(", ")
    );
    std::fs::write(&path, text).unwrap();
    path
}

async fn poller(workspace: &SimWorkspace, store: &str) -> Poller<Arc<dyn Source>, SqlStore> {
    let directory = tempfile::tempdir().unwrap();
    let path = rules_file(directory.path(), store, workspace, &["http://127.0.0.1:9/".to_string()]);
    let config = Config::load(&path, &LoadOptions { offline: false }).unwrap().config;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let source = config.sources[0].open(Arc::clone(&clock)).unwrap();
    let store = Arc::new(SqlStore::open(&config.store, Mode::Work).await.unwrap());
    let settings = config.sources[0].clone();
    let decider = config.decider(&settings, None);
    Poller::new(settings, source, store, decider, Arc::default(), clock)
}

/// The median of a first poll, to which everything is new, and of one that finds nothing changed, in milliseconds.
async fn polling(workspace: &SimWorkspace, kind: Database) -> [f64; 2] {
    let (mut new, mut same) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (url, _directory) = place(kind).await;
        let mut poller = poller(workspace, &url).await;
        for times in [&mut new, &mut same] {
            let began = Instant::now();
            poller.poll().await.unwrap();
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        drop(poller);
        removed(url).await;
    }
    [median(new), median(same)]
}

/// The medians of polls while so many instances are stored, in milliseconds: that find nothing changed, that find one in a
/// hundred changed, and of a poller that has just started.
async fn remembering(workspace: &SimWorkspace, kind: Database, stored: u64) -> [f64; 3] {
    let (url, _directory) = place(kind).await;
    let mut present = poller(workspace, &url).await;
    present.poll().await.unwrap();
    fill(&url, kind, stored.saturating_sub(INSTANCES)).await;
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..2 * ROUNDS {
        for (which, times) in times.iter_mut().enumerate() {
            if which == 1 {
                change(workspace, round);
            }
            if which == 2 {
                // A file has one process at a time.
                drop(present);
                present = poller(workspace, &url).await;
            }
            let began = Instant::now();
            present.poll().await.unwrap();
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    drop(present);
    removed(url).await;
    times.map(median)
}

/// One in a hundred runs is made to run again, and ends in another way than the last time.
fn change(workspace: &SimWorkspace, round: usize) {
    let status = ["fail", "success"][round % 2];
    for id in (0..INSTANCES).step_by(100) {
        let job = format!("etl_{}", id % 2_000);
        assert!(workspace.update(&job, 1_000_000 + id, |run| run.status = status.to_string()));
    }
}

/// So many runs of the year before, of as many jobs as the workspace has.
async fn fill(url: &str, kind: Database, count: u64) {
    let numbers = match kind {
        Database::Sqlite => {
            format!("WITH RECURSIVE row(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM row WHERE n < {count}) ")
        }
        Database::Postgres => format!("WITH row AS (SELECT n FROM generate_series(1::bigint, {count}) AS n) "),
    };
    let begins = SystemClock.now().as_millisecond() - 2 * 86_400_000;
    let text = format!(
        "{numbers}INSERT INTO instance (source, job, id, status, raw_status, kind, plan_time, start_time, end_time, ended, \
           changed_at, settled_moment) SELECT 's', 'etl_' || n % 2000, 'old' || n, 'success', 'success', 'scheduled', \
           {begins} - n * 5000, {begins} - n * 5000, {begins} - n * 5000 + 60000, 1, {begins} - n * 5000, 1 FROM row"
    );
    let filled = Some(text).filter(|_| count > 0);
    // A server counts and tidies by itself after a while, which must be over before anything is measured, with few rows as with
    // many. A file is never counted: nobody has it do that where the program runs either.
    let tidied = (kind == Database::Postgres).then(|| "VACUUM ANALYZE".to_string());
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
    for statement in filled.into_iter().chain(tidied) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// Webhooks that came: how many, and their ids.
type Seen = Arc<Mutex<(u64, BTreeSet<String>)>>;

/// An endpoint that takes so long for each message.
async fn sink(seen: Seen, time: Duration) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let take = move |headers: axum::http::HeaderMap, _body: axum::body::Bytes| {
        let seen = Arc::clone(&seen);
        async move {
            tokio::time::sleep(time).await;
            let mut seen = seen.lock().unwrap();
            seen.0 += 1;
            seen.1.insert(headers["webhook-id"].to_str().unwrap().to_string());
            "ok"
        }
    };
    let app = axum::Router::new().fallback(take);
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// How many seconds one lane takes to drain an outbox.
async fn draining(kind: Database, count: u64) -> f64 {
    let (url, _directory) = place(kind).await;
    let store = Arc::new(SqlStore::open(&url, Mode::Work).await.unwrap());
    let now = SystemClock.now();
    let content =
        Content { parts: BTreeMap::from([("body".to_string(), format!("{{\"data\":\"{}\"}}", "x".repeat(1200)))]) };
    let delivery = |number: u64| {
        let id = DeliveryId::new(format!("delivery-{number:032}"));
        Notification::new(id, ReceiverId::new("pager"), MessageKind::AlertFiring, content.clone(), now)
    };
    let commit = PollCommit {
        source: SourceId::new("bench"),
        generation: 0,
        now,
        covered: Covered { until: Some(now), ..Covered::default() },
        outcome: PollOutcome::Whole,
        incomplete: None,
        known_rules: None,
        instances: Vec::new(),
        fired: Vec::new(),
        changed: Vec::new(),
        deliveries: (0..count).map(delivery).collect(),
    };
    store.commit_poll(&commit).await.unwrap();
    let seen = Seen::default();
    let directory = tempfile::tempdir().unwrap();
    let workspace = SimWorkspace::start(SimConfig::default(), Arc::new(SystemClock)).await.unwrap();
    let hook = sink(Arc::clone(&seen), Duration::ZERO).await;
    let path = rules_file(directory.path(), "sqlite://none.db", &workspace, &[hook]);
    let settings = Config::load(&path, &LoadOptions { offline: false }).unwrap().config;
    let hook = AnyNotifier::open(&settings.receivers[0]).unwrap();
    let pager = ReceiverId::new("pager");
    let clock = Arc::new(SystemClock);
    let lane = Lane::new(pager.clone(), Arc::clone(&store), Arc::new(hook), clock, Box::new(|| 0.5));
    let stop = CancellationToken::new();
    let began = Instant::now();
    let running = tokio::spawn(lane.run(stop.clone()));
    while store.count_due(&pager, now).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed().as_secs_f64();
    stop.cancel();
    running.await.unwrap();
    assert_all_once(&seen, count);
    drop(store);
    removed(url).await;
    took
}

/// How many seconds so many replicas take for a storm, from the first message to the last.
async fn working(replicas: usize, count: u64) -> f64 {
    let (url, _directory) = place(Database::Postgres).await;
    let config = SimConfig { token: Some(TOKEN.to_string()), ..SimConfig::default() };
    let workspace = SimWorkspace::start(config, Arc::new(SystemClock)).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let seen = Seen::default();
    let mut hooks = Vec::new();
    for _ in 0..RECEIVERS {
        hooks.push(sink(Arc::clone(&seen), SLOW).await);
    }
    let path = rules_file(directory.path(), &url, &workspace, &hooks);
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nightbell"));
        command.args(["--log", "error", "run", "-c"]).arg(&path).stdout(Stdio::null());
        Process(command.spawn().unwrap())
    };
    let running: Vec<Process> = (0..replicas).map(|_| start()).collect();
    spread(&url, replicas).await;
    let jobs = count.div_ceil(RECEIVERS as u64);
    let now = SystemClock.now();
    let back = |seconds: u64| now.checked_sub(Duration::from_secs(seconds)).unwrap();
    workspace
        .put_all((0..jobs).map(|id| SimInstance::waiting(&format!("etl_{id}"), id, back(120)).ended("fail", back(1))));
    let came = || seen.lock().unwrap().0;
    while came() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let began = Instant::now();
    while came() < jobs * RECEIVERS as u64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed().as_secs_f64();
    assert_all_once(&seen, jobs * RECEIVERS as u64);
    drop(running);
    removed(url).await;
    took
}

/// Waits until the lanes are spread over so many replicas: each has one, and nobody has two more than its share, which is of
/// all loops. Whoever was there first has all of them: its leases are over then, and each takes its share.
async fn spread(url: &str, replicas: usize) {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
    let each = i64::try_from(RECEIVERS / replicas).unwrap();
    for turn in 0.. {
        assert!(turn < 120, "the lanes are not spread over {replicas} replicas");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let held = "SELECT COUNT(*) FROM lease WHERE name LIKE 'deliver/%' AND holder IS NOT NULL \
            AND until > EXTRACT(EPOCH FROM clock_timestamp()) * 1000 GROUP BY holder";
        // Before the first replica has made them there are no tables.
        let Ok(rows) = sqlx::raw_sql(held).fetch_all(&mut connection).await else { continue };
        if rows.len() == replicas && rows.iter().all(|row| row.get::<i64, _>(0) <= each + 1) {
            break;
        }
        if turn % 15 == 12 {
            let free = "UPDATE lease SET until = CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
            sqlx::raw_sql(free).execute(&mut connection).await.unwrap();
        }
    }
    connection.close().await.unwrap();
}

fn assert_all_once(seen: &Seen, count: u64) {
    let seen = seen.lock().unwrap();
    assert_eq!((seen.0, seen.1.len() as u64), (count, count), "every message once: none lost, none twice");
}

/// A running binary; killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
