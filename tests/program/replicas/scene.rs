//! Three replicas as processes, each with a rules file, a clock and a way to the database of its own; and the database,
//! which notes when each lease is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Row as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::apart::Way;
use crate::cluster::{self, Cluster};
use crate::program::kill::Random;
use crate::program::sink::Hit;
use crate::program::{Running, Stage, failed, nightbell, pause};

pub(super) const RECEIVERS: usize = 6;
pub(super) const REPLICAS: usize = 3;
/// What the clocks of the replicas are wrong by: they are an hour apart.
const CLOCKS: [&str; REPLICAS] = ["+0", "+1h", "-1h"];
/// How long anything may take that is waited for; the machine that tests is slower than any that serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// Notes each taking of a lease.
const NOTE_TAKINGS: &str = "\
    CREATE TABLE taking (name TEXT, token BIGINT, holder TEXT, at BIGINT); \
    CREATE FUNCTION note_taking() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
      INSERT INTO taking VALUES (NEW.name, NEW.token, NEW.holder, EXTRACT(EPOCH FROM clock_timestamp()) * 1000); \
      RETURN NULL; END $$; \
    CREATE TRIGGER note_taking AFTER INSERT OR UPDATE OF holder ON lease FOR EACH ROW EXECUTE FUNCTION note_taking()";

/// Has commits take as long as the table says: those of polls that found something, and those of outcomes.
const SLOW_COMMITS: &str = "\
    CREATE TABLE slow (ms BIGINT); INSERT INTO slow VALUES (0); \
    CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
      IF current_setting('night.has_waited', true) IS DISTINCT FROM 'yes' THEN \
        PERFORM set_config('night.has_waited', 'yes', true); PERFORM pg_sleep(ms / 1000.0) FROM slow WHERE ms > 0; \
      END IF; RETURN NULL; END $$; \
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON delivery DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
      EXECUTE FUNCTION slow_commit(); \
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON attempt DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
      EXECUTE FUNCTION slow_commit()";

/// What must be told: the instance and the receiver.
pub(super) type Telling = (String, String);

/// The leases that a process held when something befell it.
pub(super) struct Befallen {
    pub(super) held: BTreeMap<String, i64>,
    /// By the database's clock, in milliseconds.
    at: i64,
}

pub(super) struct Scene {
    pub(super) stage: Stage,
    pub(super) cluster: Cluster,
    pub(super) ways: Vec<Way>,
    pub(super) replicas: Vec<Running>,
    pub(super) demanded: BTreeSet<Telling>,
    next_id: u64,
    /// Where each machine serves its page.
    ports: [u16; REPLICAS],
    /// What was told so far, of so many messages.
    told: (BTreeSet<Telling>, usize),
}

impl Scene {
    /// Three replicas that have this text as the rest of their rules file, after their sources and receivers.
    pub(super) async fn set(rules: &str) -> Scene {
        let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
        let (stage, admin) =
            (Stage::set(crate::program::TELL_FAILURES).await, format!("{}/postgres", cluster.address()));
        tokio::task::spawn_blocking(move || cluster::run(&admin, "CREATE DATABASE night")).await.unwrap();
        let port = cluster.address().rsplit(':').next().unwrap().parse().unwrap();
        let ways = (0..REPLICAS).map(|number| Way::to(number, port)).collect();
        let (demanded, ports, told) = (BTreeSet::new(), [8910; REPLICAS], (BTreeSet::new(), 0));
        let mut scene = Scene { stage, cluster, ways, replicas: Vec::new(), demanded, next_id: 100, ports, told };
        for which in 0..REPLICAS {
            std::fs::create_dir(scene.stage.path(&format!("machine{which}"))).unwrap();
            scene.write_rules(which, rules);
            let fresh = scene.start(which);
            scene.replicas.push(fresh);
        }
        scene.until("the tables are there", "SELECT 1 FROM pg_tables WHERE tablename = 'lease'").await;
        for statements in [NOTE_TAKINGS, SLOW_COMMITS] {
            scene.ask(statements.into()).await;
        }
        scene
    }

    /// Writes the rules file of one machine.
    pub(super) fn write_rules(&self, which: usize, rules: &str) {
        let hook = |number| {
            format!("  hook{number}: {{ type: webhook, url: {} }}\n", self.stage.sink.url(&format!("hook{number}")))
        };
        let text = format!(
            "version: 1\nstore: \"postgres://nightbell@${{NIGHTBELL_HOST}}:{}/night\"\nweb: {{ listen: \"${{NIGHTBELL_HOST}}:${{NIGHTBELL_PORT}}\" }}\n\
             sources:\n{}receivers:\n{}{rules}",
            self.ways[which].port,
            self.stage.source("warehouse"),
            (0..RECEIVERS).map(hook).collect::<String>(),
        );
        std::fs::write(self.rules_file(which), text).unwrap();
    }

    fn rules_file(&self, which: usize) -> std::path::PathBuf {
        self.stage.path(&format!("machine{which}/rules.yaml"))
    }

    /// A command on one of the machines.
    pub(super) fn command(&self, which: usize, arguments: &[&str]) -> Command {
        let mut command = nightbell(arguments);
        command.arg("-c").arg(self.rules_file(which)).current_dir(self.stage.directory.path());
        command.env("NIGHTBELL_HOST", self.ways[which].host()).env("NIGHTBELL_PORT", self.ports[which].to_string());
        command.env("LD_PRELOAD", wrong_clock()).env("FAKETIME", CLOCKS[which]);
        // What measures how long something takes is not wrong, on no machine.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DISABLE_SHM", "1").env("NO_FAKE_STAT", "1");
        command
    }

    /// Waits until the page of a machine says this so often.
    pub(super) async fn says_on_page(&self, which: usize, path: &str, words: &str, times: usize) {
        let began = Instant::now();
        loop {
            let page = self.page(which, path).await;
            if page.matches(words).count() == times {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{words:?} is not {times} times in {page}");
            pause(200).await;
        }
    }

    async fn page(&self, which: usize, path: &str) -> String {
        let host = self.ways[which].host();
        let mut stream = tokio::net::TcpStream::connect((host.as_str(), self.ports[which])).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}:{}\r\n\r\n", self.ports[which]);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    pub(super) fn start(&mut self, which: usize) -> Running {
        // The one before may be ending still, and has its port.
        self.ports[which] += 1;
        let log = std::fs::File::options().create(true).append(true).open(self.log(which)).unwrap();
        Running(self.command(which, &["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn log(&self, which: usize) -> std::path::PathBuf {
        self.stage.path(&format!("log{which}"))
    }

    /// Waits until a replica has written this to its log.
    pub(super) async fn says(&self, which: usize, words: &str) {
        self.says_times(which, words, 1).await;
    }

    /// Waits until a replica, or those before it on its machine, have written this so often.
    pub(super) async fn says_times(&self, which: usize, words: &str, times: usize) {
        let began = Instant::now();
        while self.said(which, words) < times {
            assert!(began.elapsed() < PATIENCE, "replica {which} never says {words:?}");
            pause(50).await;
        }
    }

    /// How often the replicas of a machine have written this so far.
    pub(super) fn said(&self, which: usize, words: &str) -> usize {
        std::fs::read_to_string(self.log(which)).unwrap().matches(words).count()
    }

    pub(super) fn pid(&self, which: usize) -> u32 {
        self.replicas[which].0.id()
    }

    /// How many jobs have failed.
    pub(super) fn failed(&self) -> u64 {
        self.next_id - 100
    }

    /// So many more jobs fail.
    pub(super) fn fail(&mut self, jobs: u64) {
        for _ in 0..jobs {
            self.next_id += 1;
            self.stage.workspace.put(failed(&format!("etl_{}", self.next_id), self.next_id));
            for number in 0..RECEIVERS {
                self.demanded.insert((self.next_id.to_string(), format!("/hook{number}")));
            }
        }
    }

    /// The same, told at one more path.
    pub(super) fn fail_also_at(&mut self, path: &str, jobs: u64) {
        for _ in 0..jobs {
            self.fail(1);
            self.demanded.insert((self.next_id.to_string(), format!("/{path}")));
        }
    }

    /// The job that failed last.
    pub(super) fn last_failed(&self) -> String {
        self.next_id.to_string()
    }

    /// The address of the database, not by the way of any replica.
    pub(super) fn database(&self) -> String {
        format!("{}/night", self.cluster.address())
    }

    /// How often a lane's lease was taken from somebody who had not given it up.
    pub(super) async fn lost_lanes(&self) -> usize {
        let query = "SELECT COUNT(*) FROM (SELECT holder, LAG(holder) OVER (PARTITION BY name ORDER BY token, at) AS was \
            FROM taking WHERE name LIKE 'deliver/%') AS change WHERE holder IS NOT NULL AND was IS NOT NULL";
        usize::try_from(self.ask(query.into()).await[0].get::<i64, _>(0)).unwrap()
    }

    /// Has commits that begin from now on take so long.
    pub(super) async fn commits_take(&self, time: Duration) {
        self.ask(format!("UPDATE slow SET ms = {}", time.as_millis())).await;
    }

    /// Which machine holds a lease.
    pub(super) async fn holder_of(&self, lease: &str) -> usize {
        for which in 0..REPLICAS {
            if self.held_by(which).await.held.contains_key(lease) {
                return which;
            }
        }
        panic!("nobody holds {lease}")
    }

    /// Asks the database.
    pub(super) async fn ask(&self, query: String) -> Vec<sqlx::any::AnyRow> {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&self.database()).await.unwrap();
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap();
        drop(connection.close().await);
        rows
    }

    /// Waits until a query finds something.
    pub(super) async fn until(&self, what: &str, query: &str) {
        self.until_within(PATIENCE, what, query).await;
    }

    /// The same, for what may take longer.
    pub(super) async fn until_within(&self, patience: Duration, what: &str, query: &str) {
        let began = Instant::now();
        while self.ask(query.into()).await.is_empty() {
            assert!(began.elapsed() < patience, "waited in vain until {what}");
            pause(50).await;
        }
    }

    /// Which leases the process holds, each with its token, at this moment.
    pub(super) async fn held_by(&self, which: usize) -> Befallen {
        let query = format!(
            "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT), name, token FROM moment LEFT JOIN lease \
             ON holder IN (SELECT id FROM replica WHERE pid = {})",
            self.pid(which)
        );
        let rows = self.ask(query).await;
        let held = rows.iter().filter_map(|row| Some((row.get::<Option<String>, _>(1)?, row.get(2)))).collect();
        Befallen { held, at: rows[0].get(0) }
    }

    /// Waits for a replica that holds something, chosen at random.
    pub(super) async fn holder(&self, random: &mut Random) -> (usize, Befallen) {
        let began = Instant::now();
        loop {
            let which = usize::try_from(random.below(REPLICAS as u64)).unwrap();
            let befallen = self.held_by(which).await;
            if !befallen.held.is_empty() {
                return (which, befallen);
            }
            assert!(began.elapsed() < PATIENCE, "replica {which} never holds anything");
            pause(100).await;
        }
    }

    /// How long each of these leases was without a holder: none for what nobody has taken over yet.
    pub(super) async fn gaps(&self, befallen: &Befallen) -> Vec<Option<Duration>> {
        let rows = self.ask("SELECT name, token, at FROM taking WHERE holder IS NOT NULL ORDER BY at".into()).await;
        let takings: Vec<(String, i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        let taken_over = |(name, token): (&String, &i64)| {
            let later = takings.iter().find(|(lease, later, _)| lease == name && later > token);
            later.map(|(_, _, at)| Duration::from_millis(u64::try_from(at - befallen.at).unwrap_or(0)))
        };
        befallen.held.iter().map(taken_over).collect()
    }

    /// Waits until others hold all of these leases.
    pub(super) async fn taken_over(&self, befallen: &[&Befallen]) {
        for one in befallen {
            let began = Instant::now();
            while self.gaps(one).await.contains(&None) {
                assert!(began.elapsed() < PATIENCE, "nobody took over all of {:?}", one.held);
                pause(100).await;
            }
        }
    }

    /// SIGTERM, and nobody in its place.
    pub(super) async fn stop(&mut self, which: usize) {
        signal(self.pid(which), "-TERM");
        while self.replicas[which].0.try_wait().unwrap().is_none() {
            pause(20).await;
        }
    }

    /// Waits until one of the replicas runs everything by this configuration.
    pub(super) async fn one_runs_everything(&self, configuration: i64) {
        let all = format!(
            "SELECT 1 FROM lease HAVING COUNT(DISTINCT holder) = 1 AND COUNT(holder) = COUNT(*) \
             AND MIN(configuration) = {configuration}"
        );
        self.until("one replica runs everything", &all).await;
    }

    /// SIGTERM, and another process in its place, which starts while the old one ends.
    pub(super) fn replace(&mut self, which: usize) {
        signal(self.pid(which), "-TERM");
        let fresh = self.start(which);
        let mut old = std::mem::replace(&mut self.replicas[which], fresh);
        tokio::task::spawn_blocking(move || drop(old.0.wait()));
    }

    /// Waits until everything that must be told is, and nothing else.
    pub(super) async fn everything_is_told(&mut self) -> Vec<Hit> {
        let began = Instant::now();
        loop {
            let hits = self.stage.sink.hits();
            self.told.0.extend(hits[self.told.1..].iter().map(telling));
            self.told.1 = hits.len();
            let told = &self.told.0;
            if told.is_superset(&self.demanded) {
                let invented: Vec<&Telling> = told.difference(&self.demanded).collect();
                assert!(invented.is_empty(), "invented: {invented:?}");
                return hits;
            }
            let missing = self.demanded.difference(told).count();
            assert!(began.elapsed() < Duration::from_secs(300), "{missing} of {} never came", self.demanded.len());
            pause(300).await;
        }
    }
}

fn telling(hit: &Hit) -> Telling {
    (hit.json()["data"]["instance"]["id"].as_str().unwrap().to_string(), hit.path.clone())
}

pub(super) fn signal(pid: u32, name: &str) {
    drop(Command::new("kill").args([name, &pid.to_string()]).status());
}

/// The library that has a process believe another time.
fn wrong_clock() -> std::path::PathBuf {
    let libraries = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut found =
        libraries.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).filter(|path| path.exists());
    found.next().expect("libfaketime is not installed: tests/setup.sh installs it")
}
