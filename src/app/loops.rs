//! The running loops: one for each source and each receiver, one for fallbacks, one for digests, one that watches the
//! others, and the heartbeat.
//!
//! # Design
//! A loop belongs to a name and outlives the configuration. What is in force stands in one place, and a new configuration
//! takes effect by being put there. Each loop takes it up between two of its turns: a poll under way ends by the
//! configuration it began by, a delivery under way is settled before the lane changes. A loop whose part is gone ends.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::generation::{Generation, Polling};
use super::ground::Ground;
use crate::model::{ReceiverId, SourceId};
use crate::worker::turn::{Runner, Turn};

/// The configuration in force, and the word that it no longer is.
#[derive(Clone)]
struct InForce {
    generation: Arc<Generation>,
    /// Cancelled once another one is in force, or the program stops.
    retired: CancellationToken,
}

/// Why a loop has ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The source is gone.
    Source(SourceId),
    /// The receiver is gone.
    Receiver(ReceiverId),
    /// The program stops.
    Stopped,
}

/// All loops of the program.
pub(super) struct Loops {
    tasks: JoinSet<Ended>,
    /// The sources and receivers that have a loop.
    sources: HashSet<SourceId>,
    receivers: HashSet<ReceiverId>,
    in_force: watch::Sender<InForce>,
    shutdown: CancellationToken,
}

impl Loops {
    /// Starts the loops of the first configuration.
    pub(super) fn start(generation: Generation, ground: &Ground, shutdown: &CancellationToken) -> Loops {
        let present = InForce { generation: Arc::new(generation), retired: shutdown.child_token() };
        let in_force = watch::Sender::new(present);
        let mut tasks = JoinSet::new();
        let runner = Runner::new(Arc::clone(&ground.clock), ground.statuses.clone());
        let keeper = || Keeper { runner: runner.clone(), in_force: in_force.subscribe(), shutdown: shutdown.clone() };
        tasks.spawn(keeper().keep(|generation| Some(generation.digester()).filter(|it| !it.digests.is_empty())));
        tasks.spawn(keeper().keep(|generation| Some(generation.fallbacks()).filter(|it| !it.is_idle())));
        tasks.spawn(keeper().keep(|generation| Some(generation.reminders()).filter(|it| it.is_wanted)));
        tasks.spawn(keeper().keep(|generation| Some(generation.escalations())));
        tasks.spawn(keeper().keep(|generation| Some(generation.unwatched())));
        tasks.spawn(keeper().keep(|generation| Some(generation.watch())));
        tasks.spawn(keeper().keep(Generation::heartbeat));
        tasks.spawn(keeper().keep(|generation| Some(generation.housekeeping())));
        let shutdown = shutdown.clone();
        let mut loops = Loops { tasks, sources: HashSet::new(), receivers: HashSet::new(), in_force, shutdown };
        loops.tend();
        loops
    }

    /// The configuration in force.
    pub(super) fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.in_force.borrow().generation)
    }

    /// Puts another configuration in force: from here on every turn that begins is by it.
    pub(super) fn replace(&mut self, generation: Generation) {
        let present = InForce { generation: Arc::new(generation), retired: self.shutdown.child_token() };
        let before = self.in_force.send_replace(present);
        before.retired.cancel();
        self.tend();
    }

    /// Waits for a loop to end. False when it should not have.
    pub(super) async fn watch_over(&mut self) -> bool {
        match self.tasks.join_next().await {
            Some(Ok(Ended::Source(id))) => self.sources.remove(&id),
            Some(Ok(Ended::Receiver(id))) => self.receivers.remove(&id),
            Some(Ok(Ended::Stopped) | Err(_)) | None => return false,
        };
        // It may have come back while its loop was ending.
        if !self.shutdown.is_cancelled() {
            self.tend();
        }
        true
    }

    /// Waits until every loop has ended.
    pub(super) async fn end(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Ends those that have not.
    pub(super) fn abort(&mut self) {
        self.tasks.abort_all();
    }

    /// Starts a loop for every source and receiver that has none.
    fn tend(&mut self) {
        let generation = self.generation();
        // Lanes first: what is polled then finds somebody to tell.
        for id in generation.receiver_ids().filter(|id| !self.receivers.contains(*id)).cloned().collect::<Vec<_>>() {
            self.receivers.insert(id.clone());
            self.tasks.spawn(keep_delivering(id, self.in_force.subscribe(), self.shutdown.clone()));
        }
        for id in generation.source_ids().filter(|id| !self.sources.contains(*id)).cloned().collect::<Vec<_>>() {
            self.sources.insert(id.clone());
            self.tasks.spawn(keep_polling(id, self.in_force.subscribe(), self.shutdown.clone()));
        }
    }
}

/// Polls a source by whatever is in force.
async fn keep_polling(id: SourceId, mut in_force: watch::Receiver<InForce>, shutdown: CancellationToken) -> Ended {
    let mut before: Option<Polling> = None;
    loop {
        let InForce { generation, retired } = in_force.borrow_and_update().clone();
        let Some((poller, last)) = generation.poller(&id, before.take()) else {
            info!(source = %id, generation = generation.number, "no longer polled");
            return Ended::Source(id);
        };
        drop(generation);
        before = Some(poller.run_until(&shutdown, &retired, last).await);
        if shutdown.is_cancelled() {
            return Ended::Source(id);
        }
        // It may have had something for a receiver that is gone by now.
        let generation = Arc::clone(&in_force.borrow().generation);
        generation.give_up_removed().await;
    }
}

/// Delivers to a receiver by whatever is in force. A lane of which nothing has changed goes on.
async fn keep_delivering(id: ReceiverId, mut in_force: watch::Receiver<InForce>, shutdown: CancellationToken) -> Ended {
    loop {
        let InForce { generation, .. } = in_force.borrow_and_update().clone();
        let Some(reach) = generation.reach(&id).map(Arc::clone) else {
            info!(receiver = %id, generation = generation.number, "the receiver was removed");
            generation.give_up_removed().await;
            return Ended::Receiver(id);
        };
        let lane = generation.lane(&reach);
        drop(generation);
        let retire = CancellationToken::new();
        let is_another = |present: &InForce| present.generation.reach(&id).is_none_or(|now| !Arc::ptr_eq(now, &reach));
        let replaced = async {
            // The sender lives as long as the loops; without it there is nothing to wait for.
            if in_force.wait_for(is_another).await.is_err() {
                std::future::pending::<()>().await;
            }
            retire.cancel();
        };
        let running = lane.run_until(&shutdown, &retire);
        tokio::pin!(running);
        tokio::select! {
            () = &mut running => {}
            () = replaced => running.await,
        }
        if shutdown.is_cancelled() {
            return Ended::Receiver(id);
        }
    }
}

/// Keeps a loop running by whatever is in force.
struct Keeper {
    runner: Runner,
    in_force: watch::Receiver<InForce>,
    shutdown: CancellationToken,
}

impl Keeper {
    /// Runs what `start` makes of whatever is in force, each time another configuration is. Where there is nothing to run
    /// it waits for one that has something.
    async fn keep<T: Turn>(mut self, start: impl Fn(&Generation) -> Option<T>) -> Ended {
        loop {
            let InForce { generation, retired } = self.in_force.borrow_and_update().clone();
            let work = start(&generation);
            drop(generation);
            match work {
                Some(work) => self.runner.run(work, &retired).await,
                None => retired.cancelled().await,
            }
            if self.shutdown.is_cancelled() {
                return Ended::Stopped;
            }
        }
    }
}
