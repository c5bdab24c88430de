//! `nightbell run`: poll, decide and deliver.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::output::complain;
use super::{Exit, Failure};
use crate::app::App;
use crate::clock::SystemClock;
use crate::config::Config;

pub(super) async fn run(config: &Config, once: bool) -> Result<Exit, Failure> {
    let app = App::open(config, Arc::new(SystemClock)).await?;
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
    let shutdown = CancellationToken::new();
    let stopper = shutdown.clone();
    tokio::spawn(async move {
        let signal = first_signal().await;
        info!("{signal}: stopping; what is under way may finish, what is owed stays in the store");
        stopper.cancel();
        let signal = first_signal().await;
        warn!("{signal} again: stopping at once");
        // 128 + 15, as a shell reports a terminated process. Nothing is lost: what is owed is in the store.
        super::log::flush(Duration::from_millis(200));
        std::process::exit(143);
    });
    app.run(shutdown).await?;
    Ok(Exit::Done)
}

/// Waits for the next request to stop and names it.
async fn first_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the signals end the process at once, which loses nothing.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
