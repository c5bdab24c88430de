//! The program, wired: opened from a checked configuration, run until it is told to stop.
//!
//! Reads the configuration and the clock, opens the store, the loops and the page; decides nothing and sends nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch as watched};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::error::AppError;
use super::generation::{Generation, Prepared};
use super::ground::Ground;
use super::leases::Leases;
use super::loops::Loops;
use super::reload::{Reloader, Why};
use super::shared_clock::SharedClock;
use super::watch::RuleWatch;
use super::{reload, supervisor};
use crate::clock::Clock;
use crate::config::Config;
use crate::desk::new_secret;
use crate::limits::{LEASE_CALL_MAX, STOP_TIME_MAX, STORE_CLOSE_TIME_MAX};
use crate::metrics::Metrics;
use crate::sign::LinkKey;
use crate::store::{Access as _, Leases as _, Mode, Outbox as _, Replica, SqlStore, Upkeep as _};
use crate::web::{self, InForce, Web};
use crate::worker::own::Reloads;
use crate::worker::turn::{Runner, Statuses};

/// The program, wired and ready to run.
pub struct App {
    pub(super) ground: Ground,
    pub(super) generation: Generation,
    /// The configuration in force, for who looks.
    shown: watched::Sender<Arc<InForce>>,
    /// The clock of a store that others work on, too.
    pub(super) shared_clock: Arc<SharedClock>,
    requests: mpsc::Receiver<reload::Request>,
    reloader: Reloader,
    /// Where the page is served, once it is listened on.
    listener: Option<TcpListener>,
    /// What takes up the rule files when they change, where somebody wants that.
    watch: Option<RuleWatch>,
}

impl App {
    /// Opens everything the configuration names.
    ///
    /// # Errors
    /// [`AppError`]; nothing was polled or sent.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<App, AppError> {
        let now = clock.now();
        for gap in config.calendar_gaps(now).into_iter().chain(config.uncovered_hours(now)) {
            warn!("{gap}");
        }
        let shared_clock = Arc::new(SharedClock::new(Arc::clone(&clock)));
        // What is opened goes by it, too: a scheduler refuses what was signed by a clock that is wrong.
        let clock: Arc<dyn Clock> = if config.store.is_shared() { Arc::clone(&shared_clock) as _ } else { clock };
        let prepared = Prepared::open(config.clone(), None, &clock)?;
        let store = Arc::new(SqlStore::open(&config.store, Mode::Work).await?);
        if store.is_shared() {
            shared_clock.set_by(&store).await?;
        }
        let now = clock.now();
        if !store.is_shared() {
            // What others have claimed is theirs: who takes a lane over takes that back.
            store.reclaim(now).await?;
        }
        let number = store.begin_generation(&config.fingerprint, false, now).await?;
        let links = LinkKey::new(store.link_key(&new_secret()?).await?);
        let statuses = Statuses::default();
        let metrics = Metrics::default();
        let me = this_replica();
        let replica = Arc::from(me.id.as_str());
        let leases = Leases::new(Arc::clone(&store), me, statuses.clone(), metrics.clone());
        let ground = Ground {
            store,
            leases,
            clock,
            replica,
            started_at: now,
            started: Instant::now(),
            dead_letters: Arc::default(),
            escalations: Arc::default(),
            reloads: Reloads::default(),
            statuses,
            metrics,
            links,
        };
        let generation = Generation::new(prepared, number, None, &ground, now).await?;
        let shown = watched::Sender::new(generation.shown(now));
        generation.begin_digests(now).await?;
        ground.leases.go_by(number, &config.fingerprint, generation.leases());
        let (reloader, requests) = Reloader::new();
        Ok(App { ground, generation, shown, shared_clock, requests, reloader, listener: None, watch: None })
    }

    /// Says to who supervises this process what it waits for before it can be opened, and for how long.
    pub fn waits(what: &str, time: Duration) {
        supervisor::waiting(what, time);
    }

    /// Where to say whether a changed configuration was accepted.
    pub fn reloads(&self) -> Reloads {
        self.ground.reloads.clone()
    }

    /// The clock that the program goes by: the database's, where others work on it, too.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.ground.clock)
    }

    /// What has another configuration take the place of the one in force, while the program runs.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Has the rule files be watched while the program runs.
    pub fn watch(&mut self, watch: RuleWatch) {
        self.watch = Some(watch);
    }

    /// Listens where the configuration says that the page is served, so that [`App::run`] answers there. Returns the
    /// address; none where nothing is to be served.
    ///
    /// # Errors
    /// [`AppError::Web`].
    pub async fn listen(&mut self) -> Result<Option<SocketAddr>, AppError> {
        let Some(settings) = &self.generation.config.web else { return Ok(None) };
        let address = settings.listen;
        let cannot = |error| AppError::Web { address, error };
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let bound = listener.local_addr().map_err(cannot)?;
        self.listener = Some(listener);
        Ok(Some(bound))
    }

    /// Runs every loop until `shutdown`, then lets what is under way finish, for at most [`STOP_TIME_MAX`].
    ///
    /// # Errors
    /// [`AppError::LoopEnded`]; otherwise the loops mend themselves or log what they cannot do.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AppError> {
        let App { ground, generation, shown, shared_clock, mut requests, reloader: _open, listener, watch } = self;
        let (sources, receivers) = (generation.config.sources.len(), generation.config.receivers.len());
        info!(generation = generation.number, sources, receivers, "nightbell runs");
        let serving = listener.map(|listener| serve(listener, &ground, &shown, &shutdown));
        let mut loops = Loops::start(generation, &ground, &shutdown);
        supervisor::ready();
        tokio::spawn(supervisor::attend(ground.statuses.clone(), shutdown.clone()));
        let (takes_effect, mut effects) = mpsc::channel(1);
        let leases = ground.leases.clone();
        let keeping = leases.keep(shared_clock, shutdown.clone(), move || {
            // One word of it is enough.
            let _ = takes_effect.try_send(());
        });
        let (mut keeping, mut has_kept) = (tokio::spawn(keeping), false);
        let mut watching = watched_files(watch, &ground, &shutdown);
        let ended = || if shutdown.is_cancelled() { Ok(()) } else { Err(AppError::LoopEnded) };
        // A loop that ends by itself has panicked. Half a Nightbell, of which nobody knows that it is deaf to a source or
        // tells a receiver nothing, is worse than one that is started anew. Without the keeper of the leases none of them may
        // do anything, and without the watch no file is taken up.
        let outcome = loop {
            tokio::select! {
                () = shutdown.cancelled() => break Ok(()),
                is_well = loops.watch_over() => {
                    if !is_well {
                        break ended();
                    }
                }
                _ = &mut keeping, if ground.store.is_shared() => {
                    has_kept = true;
                    break ended();
                }
                () = &mut watching => break ended(),
                Some(()) = effects.recv() => {
                    let config = Box::new(loops.generation().config.clone());
                    if let Err(error) = reload::take_up(config, Why::NobodyIsLeft, &mut loops, &ground, &shown).await {
                        warn!("the configuration could not be put in force: {error}");
                    }
                }
                Some(request) = requests.recv() => {
                    let outcome = reload::take_up(request.config, Why::Files, &mut loops, &ground, &shown).await;
                    // Who asked may have gone; it is logged all the same.
                    drop(request.answer.send(outcome));
                }
            }
        };
        supervisor::stopping();
        shutdown.cancel();
        if tokio::time::timeout(STOP_TIME_MAX, loops.end()).await.is_err() {
            warn!("some loops did not stop in time; deliveries that they had begun are tried again at the next start");
        }
        loops.abort();
        // With the last loop the last lease is given up.
        if !has_kept && tokio::time::timeout(LEASE_CALL_MAX, keeping).await.is_err() {
            warn!("some leases could not be given up; they run out by themselves");
        }
        loops.generation().take_leave().await;
        if let Some(serving) = serving {
            // It ends by itself within its own time, before the store is closed under it.
            drop(serving.await);
        }
        close_store(&ground.store).await;
        outcome
    }
}

/// Watches the rule files until `shutdown`, where somebody wants that. It ends earlier only when it breaks down.
fn watched_files(watch: Option<RuleWatch>, ground: &Ground, shutdown: &CancellationToken) -> BoxFuture<'static, ()> {
    let Some(watch) = watch else { return Box::pin(std::future::pending()) };
    let runner = Runner::new(Arc::clone(&ground.clock), ground.statuses.clone());
    let shutdown = shutdown.clone();
    let watching = tokio::spawn(async move { runner.run(watch, &shutdown).await });
    Box::pin(async { drop(watching.await) })
}

/// Serves the page.
fn serve(
    listener: TcpListener,
    ground: &Ground,
    shown: &watched::Sender<Arc<InForce>>,
    shutdown: &CancellationToken,
) -> JoinHandle<()> {
    let Ground { store, clock, statuses, reloads, metrics, replica, started_at, links, .. } = ground;
    let counted = (statuses.clone(), reloads.clone(), metrics.clone());
    let process = (Arc::clone(replica), *started_at);
    let web = Web::new(Arc::clone(store), Arc::clone(clock), counted, shown.subscribe(), process, links.clone());
    tokio::spawn(web::serve(listener, web, shutdown.clone()))
}

/// Who this process is to others on the same store.
fn this_replica() -> Replica {
    let host = hostname::get().map_or_else(|_| "unknown".into(), |name| name.to_string_lossy().into_owned());
    let pid = std::process::id();
    let random = getrandom::u32().unwrap_or(0);
    Replica {
        id: format!("{host}-{pid}-{random:08x}"),
        host,
        pid,
        version: env!("CARGO_PKG_VERSION").into(),
        clock_ahead_ms: 0,
        configuration: 0,
        fingerprint: String::new(),
    }
}

/// Closes the store, so that everything is in its one file. It is as safe without.
pub(super) async fn close_store(store: &SqlStore) {
    if tokio::time::timeout(STORE_CLOSE_TIME_MAX, store.close()).await.is_err() {
        warn!("the store could not be closed in time; its log beside it is read at the next start");
    }
}
