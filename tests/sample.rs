//! Sample values for tests of the store and of delivering.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use nightbell::model::{
    Alert, AlertFacts, AlertId, AlertPart, AlertState, Content, Covered, DeliveryId, Instance, InstancePart,
    InstanceType, JobPart, JobRef, MessageKind, Notification, PollOutcome, Rare, ReceiverId, RuleId, Severity,
    SourceId, SourcePart, Status,
};
use nightbell::store::{Mode, PollCommit, Replica, SqlStore};

use super::cluster;

/// A process that shares a store with others.
pub(crate) fn replica(id: &str, fingerprint: &str) -> Replica {
    Replica {
        id: id.into(),
        host: "host".into(),
        pid: 7,
        version: "1".into(),
        clock_ahead_ms: 0,
        configuration: 1,
        fingerprint: fingerprint.into(),
    }
}

/// The instant that samples are made at, plus `seconds`.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_219_200 + seconds).unwrap()
}

/// Whether this run of the tests has its stores in a PostgreSQL database.
pub(crate) fn is_on_server() -> bool {
    std::env::var_os(cluster::GIVEN).is_some()
}

/// How many cases a property is tried with that is tried with so many on a file: a server takes longer for each, and is to show
/// that nothing of it rests on the database.
pub(crate) fn cases(on_a_file: u32) -> u32 {
    if is_on_server() { on_a_file.div_ceil(8) } else { on_a_file }
}

/// The address of a fresh database that is a store with nothing in it.
pub(crate) fn fresh_database() -> String {
    cluster::copy_of("nightbell_template", |url| {
        cluster::outside(|| async { SqlStore::open(url, Mode::Work).await.unwrap().close().await });
    })
}

/// A database of a test's own; removed when dropped.
pub(crate) struct Database(pub(crate) String);

impl Database {
    /// A fresh store, where this run of the tests has its stores in databases.
    pub(crate) fn of_this_run() -> Option<Database> {
        is_on_server().then(Database::fresh)
    }

    /// A fresh store in any case.
    pub(crate) fn fresh() -> Database {
        Database(fresh_database())
    }

    /// Has the database's own clock stand still at this instant, for all connections that are made from now on. May be called
    /// again, to set it.
    pub(crate) fn hold_clock(&self, instant: Timestamp) {
        let (_, name) = self.0.rsplit_once('/').unwrap();
        // A function of this name that is found before the server's own.
        let statement = format!(
            "CREATE SCHEMA IF NOT EXISTS held; \
             CREATE TABLE IF NOT EXISTS held.instant (id INTEGER PRIMARY KEY, ms BIGINT NOT NULL); \
             INSERT INTO held.instant VALUES (1, {}) ON CONFLICT (id) DO UPDATE SET ms = excluded.ms; \
             CREATE OR REPLACE FUNCTION held.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE \
               AS 'SELECT to_timestamp(ms / 1000.0) FROM held.instant'; \
             ALTER DATABASE {name} SET search_path = public, held, pg_catalog",
            instant.as_millisecond()
        );
        cluster::run(&self.0, &statement);
    }

    /// Everything that is in it, row by row.
    pub(crate) async fn rows(&self) -> String {
        use sqlx::{Connection as _, Executor as _, Row as _};
        let mut connection = sqlx::AnyConnection::connect(&self.0).await.unwrap();
        let tables = "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'";
        let mut all = String::new();
        for table in connection.fetch_all(tables).await.unwrap() {
            let table = table.get::<String, _>(0);
            let rows = sqlx::AssertSqlSafe(format!("SELECT CAST(one AS TEXT) FROM {table} AS one"));
            for row in connection.fetch_all(sqlx::raw_sql(rows)).await.unwrap() {
                all.push_str(&row.get::<String, _>(0));
                all.push('\n');
            }
        }
        connection.close().await.unwrap();
        all
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let url = std::mem::take(&mut self.0);
        // Beside the tests: nobody waits for it.
        std::thread::spawn(move || cluster::remove(&url));
    }
}

/// A directory with a store in it, or beside one in a database.
pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    database: Option<Database>,
}

impl Place {
    /// A place on the kind of database that this run of the tests is about.
    pub(crate) fn new() -> Place {
        Place { database: Database::of_this_run(), ..Place::file() }
    }

    /// A place whose store is a file in any case: for what is about files.
    pub(crate) fn file() -> Place {
        Place { directory: tempfile::tempdir().unwrap(), database: None }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("nightbell.db")
    }

    pub(crate) fn url(&self) -> String {
        self.on_server().unwrap_or_else(|| format!("sqlite://{}", self.path().display()))
    }

    /// For a connection beside the store.
    pub(crate) fn raw_url(&self) -> String {
        self.on_server().unwrap_or_else(|| format!("{}?mode=rw", self.url()))
    }

    fn on_server(&self) -> Option<String> {
        self.database.as_ref().map(|database| database.0.clone())
    }

    pub(crate) async fn open(&self) -> SqlStore {
        SqlStore::open(&self.url(), Mode::Work).await.unwrap()
    }

    /// Has the clock of the store stand still at this instant, if it has one of its own. Returns whether it has.
    pub(crate) fn hold_clock(&self, instant: Timestamp) -> bool {
        let Some(database) = &self.database else { return false };
        database.hold_clock(instant);
        true
    }
}

pub(crate) fn source() -> SourceId {
    SourceId::new("warehouse")
}

pub(crate) fn instance(job: &str, id: &str, status: Status) -> Instance {
    Instance {
        source: source(),
        id: id.into(),
        job: JobRef { name: job.into(), id: Some("608627".into()) },
        name: Some(format!("{job}_{id}")),
        status,
        raw_status: status.as_str().into(),
        kind: InstanceType::Scheduled,
        plan_time: Some(at(-600)),
        start_time: Some(at(-590)),
        end_time: status.has_ended().then(|| at(-500)),
        error: None,
    }
}

/// A firing alert of rule `etl-failed` for instance `7` of `job`.
pub(crate) fn alert(id: &str, job: &str) -> Alert {
    Alert {
        id: AlertId::new(id),
        source: source(),
        rule: RuleId::new("etl-failed"),
        facts: AlertFacts {
            alert: AlertPart {
                id: AlertId::new(id),
                rule: RuleId::new("etl-failed"),
                severity: Severity::Error,
                state: AlertState::Firing,
                starts_at: at(-500),
                ends_at: None,
                summary: format!("{job} failed"),
                measures: Default::default(),
                reason: None,
                held_back: None,
                labels: Default::default(),
                escalation: None,
                episode: 1,
                ended: None,
                history: None,
                acked: None,
                acked_before: None,
                links: Rare::default(),
            },
            source: SourcePart { id: source(), kind: "dataarts".into() },
            job: JobPart { name: job.into(), ..JobPart::default() },
            instance: Some(InstancePart {
                id: "7".into(),
                name: None,
                status: Status::Fail,
                raw_status: "fail".into(),
                kind: InstanceType::Scheduled,
                plan_time: Some(at(-600)),
                start_time: None,
                end_time: Some(at(-500)),
                duration_ms: None,
                url: None,
                error: None,
                workflow_instance: None,
            }),
            failing_nodes: Vec::new(),
            node_details: "ok".into(),
        },
        suspended_at: None,
        receivers: vec![ReceiverId::new("pager")],
        suppressed_by: None,
        created_at: at(0),
        generation: None,
    }
}

/// The same alert at its end.
pub(crate) fn resolved(mut alert: Alert, at: Timestamp) -> Alert {
    alert.facts.alert.state = AlertState::Resolved;
    alert.facts.alert.ends_at = Some(at);
    alert
}

/// A delivery pending for `receiver` since `at(0)`.
pub(crate) fn delivery(id: &str, receiver: &str) -> Notification {
    let content = Content { parts: BTreeMap::from([("body".into(), format!("body of {id}"))]) };
    Notification::new(DeliveryId::new(id), ReceiverId::new(receiver), MessageKind::AlertFiring, content, at(0))
}

/// The resolution that follows the delivery `firing`.
pub(crate) fn resolution(id: &str, receiver: &str, firing: &str) -> Notification {
    Notification { kind: MessageKind::AlertResolved, follows: Some(DeliveryId::new(firing)), ..delivery(id, receiver) }
}

/// Everything is covered up to then.
pub(crate) fn covered(until: Timestamp) -> Covered {
    Covered { from: Some(at(-86_400)), until: Some(until), ..Covered::default() }
}

/// A commit at `at(0)` that changes nothing but the source.
pub(crate) fn commit(generation: i64) -> PollCommit {
    PollCommit {
        source: source(),
        generation,
        now: at(0),
        covered: covered(at(0)),
        outcome: PollOutcome::Whole,
        incomplete: None,
        known_rules: Some(BTreeSet::from(["etl-failed".to_string()])),
        instances: Vec::new(),
        fired: Vec::new(),
        changed: Vec::new(),
        deliveries: Vec::new(),
    }
}

/// A job of which nothing but the name is known.
pub(crate) fn job() -> nightbell::model::Job {
    nightbell::model::Job {
        source: source(),
        name: "etl".into(),
        is_real_time: false,
        status: nightbell::model::JobStatus::Scheduling,
        raw_status: "SCHEDULING".into(),
        owner: None,
        create_user: None,
        start_time: None,
        end_time: None,
        last_instance_status: None,
        last_instance_end_time: None,
    }
}

/// What is counted, as `/metrics` says it.
pub(crate) fn metrics_text(metrics: &nightbell::metrics::Metrics) -> String {
    let mut registry = prometheus_client::registry::Registry::with_prefix("nightbell");
    metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}
