//! `nightbell simulate`: a simulated workspace that goes on, with a configuration that watches it. For trials that take long
//! or stand elsewhere: packages that are tried where they are installed, soaks, comparisons.
//!
//! It listens on loopback, writes one configuration into the directory that it is given, and prints what its webhook is told,
//! one JSON object a line. What is polled and told is the real thing; only the workspace is made up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::ground::{Exit, Failure, duration};
use super::output::{complain, print};
use crate::clock::{Clock, SystemClock};
use crate::sim::{Inbox, Received, SimConfig, SimInstance, SimNode, SimWorkspace};

/// What happens in the workspace.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where rules.yaml is written; a file of that name is replaced.
    directory: PathBuf,
    /// How many jobs there are, each with a run of its own.
    #[arg(long, value_name = "N", default_value_t = 100)]
    jobs: u64,
    /// How many of them have failed when it begins.
    #[arg(long, value_name = "N", default_value_t = 0)]
    failed: u64,
    /// How often a run fails, and the one that failed before recovers.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    every: Duration,
    /// When the configuration polls.
    #[arg(long, value_name = "CRON", default_value = "*/2 * * * * *")]
    poll: String,
}

/// Goes on until it is stopped.
pub(super) async fn simulate(arguments: &Arguments) -> Result<Exit, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let workspace = SimWorkspace::start(SimConfig::default(), Arc::clone(&clock)).await?;
    let mut inbox = Inbox::open().await?;
    let planned = before(clock.now(), 1800);
    workspace.put_all((0..arguments.jobs).map(|number| run(number, planned).ended("success", before(planned, -60))));
    let begun = clock.now();
    workspace.put_all((0..arguments.failed.min(arguments.jobs)).map(|number| failed(run(number, planned), begun)));
    let path = arguments.directory.join("rules.yaml");
    std::fs::write(&path, rules(&workspace, &inbox, &arguments.poll))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    complain(format_args!("a simulated workspace of {} jobs; nightbell run -c {}", arguments.jobs, path.display()));
    let mut tick = tokio::time::interval(arguments.every);
    tick.tick().await;
    let (mut failing, mut next) = (None, 0);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let now = clock.now();
                if let Some(number) = failing.replace(next) {
                    workspace.put(run(number, planned).ended("success", now));
                }
                workspace.put(failed(run(next, planned), now));
                next = (next + 1) % arguments.jobs.max(1);
            }
            received = inbox.received.recv() => match received {
                Some(Received::Webhook { id, body, .. }) => print(told(&id, &body, clock.now()))?,
                Some(_) => {}
                None => return Ok(Exit::Done),
            },
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
        }
    }
}

fn run(number: u64, planned: Timestamp) -> SimInstance {
    SimInstance::waiting(&format!("etl_{number:05}"), 100_000 + number, planned)
}

fn failed(run: SimInstance, now: Timestamp) -> SimInstance {
    let node = SimNode::ended("load", "DWS SQL", "fail", before(now, 30), now);
    let node = node.log_path(&format!("obs://dlf-log/{}/load/load.job", run.job));
    run.ended("fail", now).node(node)
}

/// One message, as a line says it.
fn told(id: &str, body: &str, at: Timestamp) -> Value {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let (alert, job) = (&body["data"]["alert"], &body["data"]["job"]);
    let (job, summary) = (&job["name"], &alert["summary"]);
    json!({ "at": at, "id": id, "type": body["type"], "alert": alert["id"], "job": job, "summary": summary })
}

fn rules(workspace: &SimWorkspace, inbox: &Inbox, poll: &str) -> String {
    let SimConfig { project_id, access_key, secret_key, .. } = workspace.config();
    format!(
        "version: 1\nsources:\n  warehouse:\n    type: dataarts\n    endpoint: {}\n    project_id: {project_id}\n    auth: {{ \
         access_key: {access_key}, secret_key: {secret_key} }}\n    poll: \"{poll}\"\n    requests_per_second: 1000\n\
         receivers:\n  hook: {{ type: webhook, url: \"http://{}/webhook\" }}\nrules:\n  failed: {{ match: {{ job: \
         \"etl_*\" }}, when: {{ status: fail }}, severity: critical, notify: [hook] }}\nself: {{ notify: [hook] }}\n",
        workspace.endpoint(),
        inbox.http
    )
}

fn before(instant: Timestamp, seconds: i64) -> Timestamp {
    instant.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(instant)
}
