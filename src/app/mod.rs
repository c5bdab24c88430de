//! Wires the checked configuration into running loops: opens the store, takes back what a dead process had claimed,
//! makes one poller per source and one lane per receiver, starts and stops them.
//!
//! Everything fallible happens in [`App::open`], before any loop runs. This module decides nothing and sends nothing.

mod examine;
mod once;
mod parts;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::notify::AnyNotifier;
use crate::source::{AnySource, SourceError};
use crate::store::{Mode, SqlStore, Store as _, StoreError};
use crate::worker::deliver::Lane;
use crate::worker::housekeeping;
use crate::worker::poll::Poller;

pub use examine::{Examined, Kept, examine, keep_learnt};
pub use once::OnceReport;
pub use parts::{check_templates, send_test};

/// How long loops may take to stop after they were asked to: as long as an attempt that is under way.
const STOP_TIME_MAX: Duration = Duration::from_secs(35);

/// The program, wired and ready to run.
pub struct App {
    store: Arc<SqlStore>,
    pollers: Vec<Poller<AnySource, SqlStore>>,
    lanes: Vec<Lane<SqlStore, AnyNotifier>>,
    clock: Arc<dyn Clock>,
}

/// Why the program cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A source's settings cannot be used.
    #[error("source {id}: {error}")]
    Source {
        /// The source.
        id: String,
        /// What is wrong.
        error: SourceError,
    },
    /// A receiver's settings cannot be used.
    #[error("receiver {id}: {reason}")]
    Receiver {
        /// The receiver.
        id: String,
        /// What is wrong.
        reason: String,
    },
}

impl App {
    /// Opens everything the configuration names.
    ///
    /// # Errors
    /// [`AppError`]; nothing was polled or sent.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<App, AppError> {
        let receivers = parts::open_receivers(config)?;
        let sources = parts::open_sources(config, &clock)?;
        let store = Arc::new(SqlStore::open(&config.store, Mode::Work).await?);
        let reclaimed = store.reclaim(clock.now()).await?;
        if reclaimed > 0 {
            info!(reclaimed, "took back deliveries that were under way when the last run ended");
        }
        let sources = parts::teach(config, sources, &store).await?;
        let (addressees, lanes) = parts::lanes(receivers, &store, &clock);
        let pollers = parts::pollers(config, sources, &store, addressees, &clock);
        Ok(App { store, pollers, lanes, clock })
    }

    /// Runs every loop until `shutdown`, then lets what is under way finish.
    ///
    /// # Errors
    /// None once the loops run; they mend themselves or log what they cannot do.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AppError> {
        info!(sources = self.pollers.len(), receivers = self.lanes.len(), "nightbell runs");
        let tasks = TaskTracker::new();
        for lane in self.lanes {
            tasks.spawn(lane.run(shutdown.clone()));
        }
        for poller in self.pollers {
            tasks.spawn(poller.run(shutdown.clone()));
        }
        tasks.spawn(housekeeping::run(self.store.clone(), self.clock.clone(), shutdown.clone()));
        tasks.close();
        shutdown.cancelled().await;
        if tokio::time::timeout(STOP_TIME_MAX, tasks.wait()).await.is_err() {
            warn!("some loops did not stop in time; what they had claimed is taken back at the next start");
        }
        Ok(())
    }
}
