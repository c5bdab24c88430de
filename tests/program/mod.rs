//! The real binary, started as a process, against the simulated workspace and endpoints on loopback.

mod backtest;
mod commands;
mod database;
mod dead_letters;
mod digest;
mod doctor;
mod escalation;
mod heartbeat;
mod jobs;
pub(crate) mod kill;
mod language;
mod leave;
mod life;
mod look;
mod odd;
mod on_call;
mod operation;
mod outages;
mod pictures;
mod proxies;
mod reload;
mod replicas;
mod requests;
mod schedulerx;
mod secrets;
mod sign_in;
mod silence;
pub(crate) mod sink;
mod story;
mod together;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nightbell::clock::{Clock, SystemClock};
use nightbell::sim::{SimConfig, SimInstance, SimNode, SimWorkspace};

pub(crate) use kill::Random;
use sink::Sink;

use crate::sample::Database;

/// A directory with a configuration, a workspace to poll, and a sink to tell.
pub(crate) struct Stage {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) workspace: SimWorkspace,
    pub(crate) sink: Sink,
    /// Where the store is, if it is no file.
    database: Option<Database>,
}

impl Stage {
    /// A stage with the source `warehouse` and the receiver `hook`; `rules` is the rest of the file.
    pub(crate) async fn set(rules: &str) -> Stage {
        Stage::set_before(SimConfig::default(), rules).await
    }

    /// The same before a workspace of this kind. The store is a file, or in a run of the tests that is about databases one of
    /// them.
    pub(crate) async fn set_before(workspace: SimConfig, rules: &str) -> Stage {
        Stage::set_on(Database::of_this_run(), workspace, rules).await
    }

    /// A stage whose store several processes share, in any run of the tests.
    pub(crate) async fn set_on_server(workspace: SimConfig, rules: &str) -> Stage {
        let database = tokio::task::spawn_blocking(Database::fresh).await.unwrap();
        Stage::set_on(Some(database), workspace, rules).await
    }

    async fn set_on(database: Option<Database>, workspace: SimConfig, rules: &str) -> Stage {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let workspace = SimWorkspace::start(workspace, clock).await.unwrap();
        let (directory, sink) = (tempfile::tempdir().unwrap(), Sink::open().await);
        let stage = Stage { directory, workspace, sink, database };
        stage.write_config(rules);
        stage
    }

    /// The address of the store.
    pub(crate) fn store(&self) -> String {
        let file = || format!("sqlite://{}", self.path("nightbell.db").display());
        self.database.as_ref().map_or_else(file, |database| database.0.clone())
    }

    /// Everything that the store holds.
    pub(crate) async fn stored(&self) -> Vec<u8> {
        match &self.database {
            Some(database) => database.rows().await.into_bytes(),
            None => std::fs::read(self.path("nightbell.db")).unwrap(),
        }
    }

    /// Writes the configuration anew with `rules` at its end.
    pub(crate) fn write_config(&self, rules: &str) {
        let text = format!(
            "version: 1\nstore: {store}\nsources:\n{source}receivers:\n  hook: {{ type: webhook, url: {hook} }}\n{rules}",
            store = self.store(),
            source = self.source("warehouse"),
            hook = self.sink.url("hook"),
        );
        std::fs::write(self.path("rules.yaml"), text).unwrap();
    }

    /// The section of a source called `name` that polls the workspace every second.
    pub(crate) fn source(&self, name: &str) -> String {
        let sim = self.workspace.config();
        format!(
            "  {name}:\n    type: dataarts\n    endpoint: {}\n    project_id: {}\n    poll: \"* * * * * *\"\n    \
             requests_per_second: 1000\n    auth: {{ access_key: {}, secret_key: {} }}\n",
            self.workspace.endpoint(),
            sim.project_id,
            sim.access_key,
            sim.secret_key
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A command of the binary on the stage's configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = nightbell(arguments);
        command.arg("-c").arg(self.path("rules.yaml")).current_dir(self.directory.path());
        command
    }

    /// Runs a command to its end. The simulated world goes on meanwhile.
    pub(crate) async fn output(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// `run --once`, which must exit with `code`.
    pub(crate) async fn once(&self, code: i32) -> Output {
        let output = self.output(&["run", "--once"]).await;
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        output
    }

    /// The lines of a `--json` listing.
    pub(crate) async fn listed(&self, what: &str) -> Vec<serde_json::Value> {
        let output = self.output(&[what, "--json"]).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Starts `run`, its log going to `log` in the stage's directory.
    pub(crate) fn start(&self) -> Running {
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let child = self.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Running(child)
    }
}

/// A running binary; killed when dropped.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A command of the binary.
pub(crate) fn nightbell(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightbell"));
    command.args(arguments);
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The instant `seconds` ago, to the millisecond.
pub(crate) fn ago(seconds: i64) -> Timestamp {
    SystemClock.now().checked_sub(SignedDuration::from_secs(seconds)).unwrap()
}

/// A run of `job` that was planned two minutes ago and failed just now, its node `load` with a log path.
pub(crate) fn failed(job: &str, id: u64) -> SimInstance {
    let node = SimNode::ended("load", "DWS SQL", "fail", ago(100), ago(1)).log_path(&format!("obs://log/{job}/{id}"));
    SimInstance::waiting(job, id, ago(120)).ended("fail", ago(1)).node(node)
}

/// Rules that tell the hook of every failure.
pub(crate) const TELL_FAILURES: &str =
    "rules:\n  failed: { when: { status: [fail] }, severity: critical, notify: [hook] }\n";

/// A pause while a process works; never what a test's outcome rests on.
pub(crate) async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// Whether `path` holds a file, for tests that look at what was left alone.
pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}
