//! Another configuration takes the place of the one in force, while the program runs.
//!
//! It is opened and checked as a whole before anything changes. Then it counts as the next generation, and takes effect in
//! one step. What is refused leaves everything as it was.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use super::error::AppError;
use super::generation::{Generation, Prepared};
use super::ground::Ground;
use super::loops::Loops;
use crate::config::Config;
use crate::store::{Leases as _, Upkeep as _};
use crate::web::InForce;

/// Asks the running program to go by another configuration. Cheap to copy.
#[derive(Debug, Clone)]
pub struct Reloader(mpsc::Sender<Request>);

/// A configuration, and who wants to know what became of it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) config: Box<Config>,
    pub(super) answer: oneshot::Sender<Result<i64, ReloadError>>,
}

/// Why a configuration was not taken up. What was in force still is.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It names another store.
    #[error("the store cannot change while nightbell runs: restart it to go by another \"store\"")]
    Store,
    /// It has the page served elsewhere, or no longer, or only now.
    #[error("the address of \"web\" cannot change while nightbell runs: restart it to go by another \"listen\"")]
    Listen,
    /// Something that it names cannot be opened, or the store failed.
    #[error(transparent)]
    App(#[from] AppError),
    /// The program stops.
    #[error("nightbell is stopping")]
    Stopped,
}

impl Reloader {
    pub(super) fn new() -> (Reloader, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(1);
        (Reloader(sender), receiver)
    }

    /// Has `config` take the place of the one in force. Returns its generation.
    ///
    /// # Errors
    /// [`ReloadError`]; then what was in force still is.
    pub async fn reload(&self, config: Config) -> Result<i64, ReloadError> {
        let (answer, outcome) = oneshot::channel();
        let request = Request { config: Box::new(config), answer };
        self.0.send(request).await.map_err(|_| ReloadError::Stopped)?;
        outcome.await.unwrap_or(Err(ReloadError::Stopped))
    }
}

/// Why a configuration is taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The files have changed, or somebody wants them read again.
    Files,
    /// Nobody is left who has the one in force.
    NobodyIsLeft,
}

/// Puts `config` in force, if everything it names can be opened. Where other processes share the store, reading unchanged files
/// does not put their configuration back in force, unless nobody is left who has the one in force.
pub(super) async fn take_up(
    config: Box<Config>,
    why: Why,
    loops: &mut Loops,
    ground: &Ground,
    shown: &watch::Sender<Arc<InForce>>,
) -> Result<i64, ReloadError> {
    let before = loops.generation();
    if config.store != before.config.store {
        return Err(ReloadError::Store);
    }
    let listen = |config: &Config| config.web.as_ref().map(|web| web.listen);
    if listen(&config) != listen(&before.config) {
        return Err(ReloadError::Listen);
    }
    let now = ground.clock.now();
    for gap in config.calendar_gaps(now).into_iter().chain(config.uncovered_hours(now)) {
        warn!("{gap}");
    }
    let prepared = Prepared::open(*config, Some(&before), &ground.clock)?;
    let fingerprint = prepared.fingerprint().to_string();
    let is_change = why == Why::NobodyIsLeft || !ground.store.is_shared() || fingerprint != before.config.fingerprint;
    let number = ground.store.begin_generation(&fingerprint, is_change, now).await.map_err(AppError::from)?;
    let next = Generation::new(prepared, number, Some(&before), ground, now).await.map_err(AppError::from)?;
    next.begin_digests(now).await.map_err(AppError::from)?;
    let known = next.shown(now);
    let (sources, receivers, rules) =
        (next.config.sources.len(), next.config.receivers.len(), next.config.rules.rules().len());
    ground.leases.go_by(number, &fingerprint, next.leases());
    loops.replace(next);
    shown.send_replace(known);
    let word = if is_change { "is in force" } else { "is as it was" };
    info!(generation = number, sources, receivers, rules, "the configuration was read again and {word}");
    Ok(number)
}
