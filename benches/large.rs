//! A store with many runs in it, and the real binary on it: what benches of large stores share.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nightbell::clock::SystemClock;
use nightbell::model::{Covered, Instance, InstanceType, JobRef, PollOutcome, SourceId, Status};
use nightbell::sim::{SimConfig, SimWorkspace};
use nightbell::store::{Mode, PollCommit, PollLedger as _, SqlStore};

/// The token of the simulated workspace.
pub(crate) const TOKEN: &str = "a-token-for-the-bench";
/// Jobs that the runs belong to.
pub(crate) const JOBS: u64 = 2_000;

/// A simulated workspace, in this process.
pub(crate) async fn workspace() -> SimWorkspace {
    let config = SimConfig { token: Some(TOKEN.to_string()), ..SimConfig::default() };
    SimWorkspace::start(config, Arc::new(SystemClock)).await.unwrap()
}

/// The program to look at.
pub(crate) fn nightbell() -> Command {
    Command::new(std::env::var("NIGHTBELL").unwrap_or_else(|_| env!("CARGO_BIN_EXE_nightbell").to_string()))
}

/// The running program; it ends with this.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Starts it on the configuration in a directory.
    pub(crate) fn start(directory: &Path) -> Running {
        let program = nightbell()
            .args(["--log", "off", "run", "-c"])
            .arg(directory.join("rules.yaml"))
            .stdout(Stdio::null())
            .spawn();
        Running(program.unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The name of the job that a run belongs to.
pub(crate) fn job_of(number: u64) -> String {
    format!("etl_orders_daily_{:04}", number % JOBS)
}

/// Run `number` of so many, which went well; they are spread over so many days, and the last one was planned `newest` seconds
/// ago.
pub(crate) fn run(number: u64, of: u64, (days, newest): (u64, u64), now: Timestamp) -> Instance {
    let ago = days * 86_400 * (of - number) / of;
    let planned = now.checked_sub(Duration::from_secs(newest + ago)).ok();
    Instance {
        source: SourceId::new("s"),
        id: format!("{}", 1_000_000 + number),
        job: JobRef { name: job_of(number), id: Some("600000".to_string()) },
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

/// Puts runs into the store of a directory, as polls would that read up to now.
pub(crate) async fn fill(directory: &Path, runs: impl IntoIterator<Item = Instance>, now: Timestamp) {
    let url = format!("sqlite://{}", directory.join("nightbell.db").display());
    let store = SqlStore::open(&url, Mode::Work).await.unwrap();
    let mut runs = runs.into_iter();
    for generation in 0.. {
        let instances: Vec<Instance> = runs.by_ref().take(20_000).collect();
        let Some(read) = instances.last().and_then(|last| last.end_time) else { break };
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
