//! Wires the checked configuration into running loops: opens the store, takes back what a dead process had claimed,
//! makes one poller per source and one lane per receiver, starts and stops them.
//!
//! Everything fallible happens in [`App::open`], before any loop runs. This module decides nothing and sends nothing.

mod examine;
mod once;
mod own;
mod parts;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::limits::{STOP_TIME_MAX, STORE_CLOSE_TIME_MAX};
use crate::notify::AnyNotifier;
use crate::source::{AnySource, SourceError};
use crate::store::{Mode, SqlStore, Store as _, StoreError};
use crate::worker::deliver::Lane;
use crate::worker::digest::{Digester, Grounds};
use crate::worker::fallback::Fallbacks;
use crate::worker::heartbeat::Heartbeat;
use crate::worker::housekeeping;
use crate::worker::own::{Reloads, SelfWatch};
use crate::worker::poll::Poller;
use crate::worker::remind::Reminders;

pub use examine::{Examined, Kept, examine, keep_learnt};
pub use once::OnceReport;
pub use parts::{check_templates, send_once, send_test};

/// The program, wired and ready to run.
pub struct App {
    store: Arc<SqlStore>,
    pollers: Vec<Poller<AnySource, SqlStore>>,
    lanes: Vec<Lane<SqlStore, AnyNotifier>>,
    fallbacks: Fallbacks<SqlStore>,
    reminders: Reminders<SqlStore>,
    digester: Digester<SqlStore>,
    watch: SelfWatch<SqlStore>,
    heartbeat: Option<Heartbeat<SqlStore>>,
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
    /// The heartbeat's settings cannot be used.
    #[error("heartbeat: {0}")]
    Heartbeat(String),
    /// A loop broke down.
    #[error("a loop broke down (this is a bug); start nightbell again: what is owed is in the store")]
    LoopEnded,
}

impl App {
    /// Opens everything the configuration names.
    ///
    /// # Errors
    /// [`AppError`]; nothing was polled or sent.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<App, AppError> {
        for gap in config.calendar_gaps(clock.now()) {
            warn!("{gap}");
        }
        let receivers = parts::open_receivers(config)?;
        let sources = parts::open_sources(config, &clock)?;
        let store = Arc::new(SqlStore::open(&config.store, Mode::Work).await?);
        let now = clock.now();
        store.reclaim(now).await?;
        let sources = parts::teach(config, sources, &store).await?;
        let budgets = parts::budgets(config, &store, now).await?;
        let parts::Wired { addressees, lanes, fallbacks } = parts::lanes(receivers, &budgets, &store, &clock);
        let pollers = parts::pollers(config, sources, &store, &addressees, &clock);
        let own::Own { watch, heartbeat } = own::open(config, &store, &addressees, &clock, now)?;
        let reminders = parts::reminders(config, &store, &addressees, &clock);
        let digester = Digester {
            digests: config.digests.clone(),
            grounds: Grounds::of(config),
            store: Arc::clone(&store),
            addressees,
            clock: Arc::clone(&clock),
        };
        digester.begin(now).await?;
        Ok(App { store, pollers, lanes, fallbacks, reminders, digester, watch, heartbeat, clock })
    }

    /// Where to say whether a changed configuration was accepted.
    pub fn reloads(&self) -> Reloads {
        self.watch.reloads.clone()
    }

    /// Runs every loop until `shutdown`, then lets what is under way finish, for at most [`STOP_TIME_MAX`].
    ///
    /// # Errors
    /// [`AppError::LoopEnded`]; otherwise the loops mend themselves or log what they cannot do.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AppError> {
        info!(sources = self.pollers.len(), receivers = self.lanes.len(), "nightbell runs");
        // Before any poll: what was asked from now on is fresh.
        let digester = (!self.digester.digests.is_empty()).then(|| (self.clock.now(), self.digester));
        let mut loops = JoinSet::new();
        for lane in self.lanes {
            loops.spawn(lane.run(shutdown.clone()));
        }
        for poller in self.pollers {
            loops.spawn(poller.run(shutdown.clone()));
        }
        if !self.fallbacks.is_idle() {
            loops.spawn(self.fallbacks.run(shutdown.clone()));
        }
        if self.reminders.is_wanted {
            loops.spawn(self.reminders.run(shutdown.clone()));
        }
        if let Some((began, digester)) = digester {
            loops.spawn(digester.run(began, shutdown.clone()));
        }
        loops.spawn(self.watch.run(shutdown.clone()));
        if let Some(heartbeat) = self.heartbeat {
            loops.spawn(heartbeat.run(shutdown.clone()));
        }
        loops.spawn(housekeeping::run(self.store.clone(), self.clock.clone(), shutdown.clone()));
        // A loop that ends by itself has panicked. Half a Nightbell, of which nobody knows that it is deaf to a source or
        // tells a receiver nothing, is worse than one that is started anew.
        let outcome = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            _ = loops.join_next() => if shutdown.is_cancelled() { Ok(()) } else { Err(AppError::LoopEnded) },
        };
        shutdown.cancel();
        let all_ended = async { while loops.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIME_MAX, all_ended).await.is_err() {
            warn!("some loops did not stop in time; what they had claimed is taken back at the next start");
        }
        loops.abort_all();
        close(&self.store).await;
        outcome
    }
}

/// Closes the store, so that everything is in its one file. It is as safe without.
async fn close(store: &SqlStore) {
    if tokio::time::timeout(STORE_CLOSE_TIME_MAX, store.close()).await.is_err() {
        warn!("the store could not be closed in time; its log beside it is read at the next start");
    }
}
