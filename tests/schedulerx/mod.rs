//! The SchedulerX source against the simulated service: the real client, over real HTTP on loopback.

mod access;
mod detail;
mod listing;
mod roots;
mod schedules;
mod strict;
mod workflow;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nightbell::clock::{Clock, ManualClock};
use nightbell::model::{Instance, InstanceType, JobRef, SourceId, Status, Window};
use nightbell::secret::{Secret, SecretRef};
use nightbell::sim::{Operation, SimRun, SimSchedulerX, SimSchedulerXConfig};
use nightbell::source::Listing;
use nightbell::source::Patience;
use nightbell::source::schedulerx::{SchedulerX, Settings};

const NOW: &str = "2026-11-21T00:00:00Z";
pub(crate) const LIST: Operation = Operation::Action("GetJobInstanceList");

/// A service with the job `load` (1), and the clock that it and its clients share.
pub(crate) struct Bench {
    pub(crate) sim: SimSchedulerX,
    pub(crate) clock: ManualClock,
}

impl Bench {
    pub(crate) async fn start() -> Bench {
        Bench::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut SimSchedulerXConfig)) -> Bench {
        // Calls are counted for the whole process by key: each bench has one of its own.
        static KEYS: AtomicUsize = AtomicUsize::new(0);
        let mut config = SimSchedulerXConfig {
            access_key: format!("LTAI5tBenchKey{:04}", KEYS.fetch_add(1, Ordering::Relaxed)),
            calls_per_minute: 10_000,
            ..SimSchedulerXConfig::default()
        };
        change(&mut config);
        let clock = ManualClock::at(now());
        let sim = SimSchedulerX::start(config, Arc::new(clock.clone())).await.unwrap();
        sim.put_job(1, "load");
        Bench { sim, clock }
    }

    /// The right settings for the service.
    pub(crate) fn settings(&self) -> Settings {
        let config = self.sim.config();
        Settings {
            endpoint: self.sim.endpoint().to_string(),
            region: Some(config.region),
            namespace: config.namespace,
            groups: config.groups,
            jobs: Vec::new(),
            workflows: false,
            access_key: inline(&config.access_key),
            secret_key: inline(&config.secret_key),
            security_token: config.security_token.as_deref().map(inline),
            timezone: TimeZone::get("Asia/Shanghai").unwrap(),
            ca_file: None,
            calls_per_minute: 10_000,
        }
    }

    fn source(&self) -> SchedulerX {
        self.open(&self.settings())
    }

    fn open(&self, settings: &Settings) -> SchedulerX {
        open_with(settings, Arc::new(self.clock.clone()))
    }
}

fn open_with(settings: &Settings, clock: Arc<dyn Clock>) -> SchedulerX {
    let patience = Patience::without_pauses(Duration::from_secs(20));
    SchedulerX::open(SourceId::new("billing"), settings, clock).unwrap().with_patience(patience)
}

fn inline(text: &str) -> SecretRef {
    SecretRef::Inline(Secret::new(text))
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn day() -> Window {
    Window { from: ago(24 * 3600), to: now() }
}

pub(crate) fn success(id: u64, seconds_ago: i64) -> SimRun {
    SimRun::waiting(1, id, ago(seconds_ago)).ended(4, ago(seconds_ago - 18), "ok")
}

fn failed(id: u64, seconds_ago: i64, result: &str) -> SimRun {
    SimRun::waiting(1, id, ago(seconds_ago)).ended(5, ago(seconds_ago - 60), result)
}

fn ids(listing: &Listing) -> BTreeSet<String> {
    listing.instances.iter().map(|instance| instance.id.clone()).collect()
}

/// An instance as a poll remembers it: without its job's id.
fn remembered(job: &str, id: &str) -> Instance {
    Instance {
        source: SourceId::new("billing"),
        id: id.to_string(),
        job: JobRef { name: job.to_string(), id: None },
        name: None,
        status: Status::Running,
        raw_status: "running".to_string(),
        kind: InstanceType::Scheduled,
        plan_time: None,
        start_time: None,
        end_time: None,
        error: None,
    }
}
