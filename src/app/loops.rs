//! The running loops: one for each source and each receiver, one for fallbacks, one for digests, one that watches the
//! others, and the heartbeat.
//!
//! # Design
//! A loop belongs to a name and outlives the configuration. What is in force stands in one place, and a new configuration
//! takes effect by being put there. Each loop takes it up between two of its turns: a poll under way ends by the
//! configuration it began by, a delivery under way is settled before the lane changes. A loop whose part is gone ends.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::generation::{Generation, Polling, Reach};
use super::ground::Ground;
use super::leases::{Grant, Leases};
use crate::clock::Clock;
use crate::limits::{LEASE_LOOK_EVERY, LEASE_TURN_ENDS_WITHIN, STORE_BACKOFF_MIN};
use crate::model::{ReceiverId, SourceId};
use crate::source::Learnt;
use crate::store::{Leases as _, Outbox as _, SqlStore};
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
    leases: Leases,
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
        let runner = if ground.store.is_shared() { runner.beside_others() } else { runner };
        let leases = &ground.leases;
        let keeper = |lease| Keeper {
            lease,
            leases: leases.clone(),
            runner: runner.clone(),
            in_force: in_force.subscribe(),
            shutdown: shutdown.clone(),
        };
        tasks.spawn(keeper("digest").keep(|all, store| Some(all.digester(store)).filter(|it| !it.digests.is_empty())));
        tasks.spawn(keeper("fallback").keep(|all, store| Some(all.fallbacks(store))));
        tasks.spawn(keeper("remind").keep(|all, store| Some(all.reminders(store)).filter(|it| it.is_wanted)));
        tasks.spawn(keeper("escalation").keep(|all, store| Some(all.escalations(store))));
        tasks.spawn(keeper("unwatched").keep(|all, store| Some(all.unwatched(store))));
        tasks.spawn(keeper("own").keep(|all, store| Some(all.watch(store))));
        tasks.spawn(keeper("heartbeat").keep(Generation::heartbeat));
        tasks.spawn(keeper("housekeeping").keep(|all, store| Some(all.housekeeping(store))));
        let shutdown = shutdown.clone();
        let (sources, receivers, leases) = (HashSet::new(), HashSet::new(), ground.leases.clone());
        let mut loops = Loops { tasks, sources, receivers, leases, in_force, shutdown };
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
            self.tasks.spawn(keep_delivering(
                id,
                self.leases.clone(),
                self.in_force.subscribe(),
                self.shutdown.clone(),
            ));
        }
        for id in generation.source_ids().filter(|id| !self.sources.contains(*id)).cloned().collect::<Vec<_>>() {
            self.sources.insert(id.clone());
            self.tasks.spawn(keep_polling(id, self.leases.clone(), self.in_force.subscribe(), self.shutdown.clone()));
        }
    }
}

/// Polls a source by whatever is in force, as long as its lease is this process's.
async fn keep_polling(
    id: SourceId,
    leases: Leases,
    mut in_force: watch::Receiver<InForce>,
    shutdown: CancellationToken,
) -> Ended {
    let mut before: Option<Polling> = None;
    loop {
        let InForce { generation, retired } = in_force.borrow_and_update().clone();
        let Some(lease) = generation.lease_of_source(&id) else {
            info!(source = %id, generation = generation.number, "no longer polled");
            return Ended::Source(id);
        };
        let granted = granted(&leases, &lease, &retired).await;
        if let Some(mut grant) = granted {
            let (store, is_shared) = (grant.store(), grant.is_shared());
            let stop = shutdown.child_token();
            let known = before.take();
            let polling = async {
                let learnt = if is_shared { taken_over_source(&generation, &id, &store).await } else { None };
                let (poller, last) = generation.poller(&id, store, learnt, known)?;
                drop(generation);
                Some(poller.run_until(&shutdown, &stop, last).await)
            };
            // Nobody is told by a poll: whoever takes the lease polls anew, and sooner than this one would end.
            let polling = in_time(polling, &stop, is_shared);
            let polled = grant.run(&stop, retired.cancelled(), polling).await.flatten().flatten();
            // Where another replica may have polled since, what is remembered may be old.
            before = polled.filter(|_| !is_shared);
        }
        if shutdown.is_cancelled() {
            return Ended::Source(id);
        }
        // It may have had something for a receiver that is gone by now.
        in_force.borrow().generation.look_for_removed();
    }
}

/// What the store holds of what was learnt of a source. Nothing rests on it: where the store does not answer, the poll says so.
async fn taken_over_source(generation: &Generation, id: &SourceId, store: &SqlStore) -> Option<Learnt> {
    let taken = generation.take_over_source(id, store).await;
    taken.inspect_err(|error| debug!(source = %id, %error, "what was learnt of the source is not known")).ok()
}

/// Does the work, which ends soon after `stop`: where others wait for the lease it is cut when it takes long, and whoever
/// takes the lease does it anew. None when it was cut.
async fn in_time<T>(work: impl Future<Output = T>, stop: &CancellationToken, is_shared: bool) -> Option<T> {
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(LEASE_TURN_ENDS_WITHIN).await;
    };
    tokio::select! {
        biased;
        outcome = work => Some(outcome),
        () = too_late, if is_shared => None,
    }
}

/// The lease, or none when another configuration is in force before it is granted.
async fn granted(leases: &Leases, name: &str, retired: &CancellationToken) -> Option<Grant> {
    tokio::select! {
        biased;
        () = retired.cancelled() => None,
        grant = leases.granted(name) => Some(grant),
    }
}

/// Delivers to a receiver by whatever is in force, as long as its lease is this process's. A lane of which nothing has changed
/// goes on.
async fn keep_delivering(
    id: ReceiverId,
    leases: Leases,
    mut in_force: watch::Receiver<InForce>,
    shutdown: CancellationToken,
) -> Ended {
    loop {
        let InForce { generation, retired } = in_force.borrow_and_update().clone();
        let found = generation.reach(&id).map(Arc::clone).zip(generation.lease_of_receiver(&id));
        let Some((reach, lease)) = found else {
            info!(receiver = %id, generation = generation.number, "the receiver was removed");
            generation.look_for_removed();
            return Ended::Receiver(id);
        };
        let Some(mut grant) = granted(&leases, &lease, &retired).await else {
            if shutdown.is_cancelled() {
                return Ended::Receiver(id);
            }
            continue;
        };
        let store = grant.store();
        let is_shared = grant.is_shared();
        let lane = generation.lane(&reach, Arc::clone(&store), grant.trust());
        let lane = if is_shared { lane.waited_for(leases.waiting()) } else { lane };
        let stop = CancellationToken::new();
        let is_another = |present: &InForce| {
            present.generation.reach(&id).is_none_or(|now| !Arc::ptr_eq(now, &reach))
                || is_shared && present.generation.lease_of_receiver(&id).as_deref() != Some(&lease)
        };
        let replaced = async {
            // The sender lives as long as the loops; without it there is nothing to wait for.
            if in_force.wait_for(is_another).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let delivering = async {
            if is_shared && !taken_over(&generation, &id, &store, &stop, &shutdown).await {
                return;
            }
            let clock = generation.clock();
            drop(generation);
            tokio::select! {
                () = lane.run_until(&shutdown, &stop) => {}
                () = keep_pauses(&id, &reach, &store, clock), if is_shared => {}
            }
        };
        grant.run(&stop, replaced, delivering).await;
        drop(grant);
        if shutdown.is_cancelled() {
            return Ended::Receiver(id);
        }
    }
}

/// Takes over what another replica has left of a receiver, as often as it takes. False when the lane is to stop before that: the
/// next one takes over as much.
async fn taken_over(
    generation: &Generation,
    id: &ReceiverId,
    store: &SqlStore,
    stop: &CancellationToken,
    shutdown: &CancellationToken,
) -> bool {
    loop {
        let outcome = tokio::select! {
            biased;
            outcome = generation.take_over(id, store) => outcome,
            () = stop.cancelled() => return false,
            () = shutdown.cancelled() => return false,
        };
        match outcome {
            Ok(()) => return true,
            Err(error) => {
                warn!(receiver = %id, %error, "cannot take over what another replica has left; it is tried again")
            }
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = shutdown.cancelled() => return false,
            () = tokio::time::sleep(STORE_BACKOFF_MIN) => {}
        }
    }
}

/// Notes what the channel asks for, so that whoever delivers next keeps to it, too. Does not end.
async fn keep_pauses(id: &ReceiverId, reach: &Reach, store: &SqlStore, clock: Arc<dyn Clock>) {
    let mut kept = None;
    loop {
        tokio::time::sleep(LEASE_LOOK_EVERY).await;
        let until = reach.receiver.channel.paused_until(clock.now());
        if let Some(until) = until.filter(|until| kept != Some(*until)) {
            match store.keep_pause(id, until).await {
                Ok(()) => kept = Some(until),
                Err(error) => debug!(receiver = %id, %error, "cannot note that the channel wants to be left alone"),
            }
        }
    }
}

/// Keeps a loop running by whatever is in force, as long as its lease is this process's.
struct Keeper {
    lease: &'static str,
    leases: Leases,
    runner: Runner,
    in_force: watch::Receiver<InForce>,
    shutdown: CancellationToken,
}

impl Keeper {
    /// Runs what `start` makes of whatever is in force, each time another configuration is. Where there is nothing to run
    /// it waits for one that has something.
    async fn keep<T: Turn>(mut self, start: impl Fn(&Generation, Arc<SqlStore>) -> Option<T>) -> Ended {
        loop {
            let InForce { generation, retired } = self.in_force.borrow_and_update().clone();
            if let Some(mut grant) = granted(&self.leases, self.lease, &retired).await {
                let (work, is_shared) = (start(&generation, grant.store()), grant.is_shared());
                drop(generation);
                let stop = self.shutdown.child_token();
                let running = async {
                    match work {
                        Some(work) => self.runner.run(work, &stop).await,
                        None => stop.cancelled().await,
                    }
                };
                let running = in_time(running, &stop, is_shared);
                grant.run(&stop, retired.cancelled(), running).await;
            }
            if self.shutdown.is_cancelled() {
                return Ended::Stopped;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    /// A turn that waits for the store must not keep its lease from the replica that is there for it.
    #[tokio::test(start_paused = true)]
    async fn a_turn_that_takes_long_is_cut_where_others_wait_for_its_lease() {
        const LONG: Duration = Duration::from_secs(20);
        let table = [
            // How long the turn takes after it was told to stop, whether others wait, and how long it took in the end.
            (LEASE_TURN_ENDS_WITHIN / 2, true, Some(LEASE_TURN_ENDS_WITHIN / 2)),
            (LONG, true, None),
            (LONG, false, Some(LONG)),
        ];
        for (takes, is_shared, expected) in table {
            let stop = CancellationToken::new();
            let turn = async {
                tokio::time::sleep(LONG).await;
                stop.cancel();
                let stopped = Instant::now();
                tokio::time::sleep(takes).await;
                stopped.elapsed()
            };
            let began = Instant::now();
            let outcome = in_time(turn, &stop, is_shared).await;
            assert_eq!(outcome, expected, "{takes:?} {is_shared}");
            let lasted = expected.unwrap_or(LEASE_TURN_ENDS_WITHIN);
            assert_eq!(began.elapsed(), LONG + lasted, "{takes:?} {is_shared}");
        }
    }
}
