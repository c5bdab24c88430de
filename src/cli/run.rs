//! `nightbell run`: poll, decide and deliver.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::ground::{Exit, Failure};
use super::output::complain;
use crate::app::{App, AppError, Attempted, RuleWatch};
use crate::clock::SystemClock;
use crate::config::{Config, ConfigProblem, RuleFiles};
use crate::limits::{STORE_BACKOFF_MIN, STORE_START_PAUSE_MAX};

pub(super) async fn run(path: &Path, once: bool) -> Result<Exit, Failure> {
    let refused = |problem: ConfigProblem| Failure::Config(Box::new(problem));
    let files = RuleFiles::read(path).map_err(|none| refused(none.into()))?;
    let loaded = Config::from_files_at_work(&files.files).map_err(refused)?;
    for warning in loaded.rendered_warnings() {
        complain(warning);
    }
    let mut app = match once {
        true => App::open(&loaded.config, Arc::new(SystemClock)).await?,
        false => opened(&loaded.config).await?,
    };
    if once {
        // A pipe gets no progress: a hidden bar draws nothing.
        let progress = indicatif::ProgressBar::new_spinner().with_message("polling and delivering");
        progress.enable_steady_tick(Duration::from_millis(120));
        let report = app.run_once().await;
        progress.finish_and_clear();
        let report = report?;
        complain(&report);
        return Ok(if report.is_clean() { Exit::Done } else { Exit::Failed });
    }
    if let Some(address) = app.listen().await? {
        info!("the page is at http://{address}");
    }
    let shutdown = CancellationToken::new();
    let stopper = shutdown.clone();
    if let Some(mut requests) = StopRequests::listen() {
        tokio::spawn(async move {
            let signal = requests.next().await;
            info!("{signal}: stopping; deliveries under way may finish, pending ones stay in the store");
            stopper.cancel();
            let signal = requests.next().await;
            warn!("{signal} again: stopping at once");
            super::log::flush(Duration::from_millis(200));
            // 128 and the signal's number, as a shell reports it. Nothing is lost: pending deliveries are in the store.
            std::process::exit(if signal == "SIGINT" { 130 } else { 143 });
        });
    }
    let (reloads, clock) = (app.reloads(), app.clock());
    let on_reload = move |attempted: &Attempted| match attempted.summary() {
        None => reloads.accepted(),
        Some(summary) => reloads.refused(summary, clock.now()),
    };
    let watch = RuleWatch::new(path, files, app.reloader(), Arc::new(on_reload));
    let asked = watch.asked();
    app.watch(watch);
    match signal(SignalKind::hangup()) {
        Ok(mut hangups) => {
            tokio::spawn(async move {
                while hangups.recv().await.is_some() {
                    asked.ask();
                }
            });
        }
        Err(error) => warn!(%error, "SIGHUP cannot be heard; changed files are taken up all the same"),
    }
    app.run(shutdown).await?;
    Ok(Exit::Done)
}

/// Opens everything. A database that cannot be reached is waited for: it may be started together with this machine, or be
/// on its way to another one. So is one in which others hold up what a start has to write.
async fn opened(config: &Config) -> Result<App, AppError> {
    let mut pause = STORE_BACKOFF_MIN;
    loop {
        match App::open(config, Arc::new(SystemClock)).await {
            Err(AppError::Store(error)) if error.passes() => {
                warn!("{error}; nothing is polled or sent without it; it is tried again in {} s", pause.as_secs());
                App::waits("waits for the database", pause);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(STORE_START_PAUSE_MAX);
            }
            outcome => return outcome,
        }
    }
}

/// Requests to stop. Listened for from the start to the end, so that none falls between two.
struct StopRequests {
    terminate: Signal,
    interrupt: Signal,
}

impl StopRequests {
    /// Without handlers the signals end the process at once, which loses nothing.
    fn listen() -> Option<StopRequests> {
        let [terminate, interrupt] = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        Some(StopRequests { terminate: terminate.ok()?, interrupt: interrupt.ok()? })
    }

    /// Waits for the next one and names it.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
