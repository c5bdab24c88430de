//! One cycle: every source polled, every due delivery attempted once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{join_all, select_all};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::error::AppError;
use super::generation::Generation;
use super::ground::Ground;
use super::leases::{Grant, Leases};
use super::program::{App, close_store};
use crate::limits::{LEASE_CALL_MAX, LEASE_SPAN};
use crate::store::{Outbox as _, Pending, SqlStore};
use crate::words::count_of;
use crate::worker::deliver::Lane;
use crate::worker::housekeeping::Retention;
use crate::worker::poll::PollReport;
use crate::worker::trust::Trust;

/// What one cycle did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnceReport {
    /// What each poll did.
    pub polls: Vec<PollReport>,
    /// Why polls failed.
    pub failed_polls: Vec<String>,
    /// Deliveries attempted.
    pub attempted: u64,
    /// Of those, confirmed.
    pub delivered: u64,
    /// What is pending, to every receiver, also to those that the configuration no longer has.
    pub pending: Vec<Pending>,
}

impl OnceReport {
    /// Whether every source was read as a whole, and nothing is pending but what is held back until a window opens.
    pub fn is_clean(&self) -> bool {
        self.failed_polls.is_empty()
            && self.pending.iter().all(|pending| pending.count == pending.held)
            && self.polls.iter().all(|poll| poll.incomplete.is_none())
    }
}

impl fmt::Display for OnceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |count: fn(&PollReport) -> usize| self.polls.iter().map(count).sum::<usize>();
        write!(
            f,
            "{} listed, {} changed, {} fired, {} resolved, {} recorded and not sent; {} of {} arrived, {} pending",
            sum(|poll| poll.listed),
            sum(|poll| poll.changed),
            count_of(sum(|poll| poll.fired) as u64, "alert"),
            sum(|poll| poll.resolved),
            sum(|poll| poll.suppressed),
            self.delivered,
            count_of(self.attempted, "delivery"),
            self.pending.iter().map(|pending| pending.count).sum::<u64>()
        )?;
        for Pending { receiver, count, next_due, held } in &self.pending {
            let held =
                if *held > 0 { format!(", {held} of them held back until a window opens") } else { String::new() };
            let due = next_due.map(|due| format!(", the next attempt is due at {due}")).unwrap_or_default();
            write!(f, "\npending to {receiver}: {count}{held}{due}")?;
        }
        for poll in &self.polls {
            if let Some(reason) = &poll.incomplete {
                write!(f, "\nnot whole: {reason}")?;
            }
        }
        for reason in &self.failed_polls {
            write!(f, "\n{reason}")?;
        }
        Ok(())
    }
}

impl App {
    /// Polls every source once without waiting for its schedule, then attempts every due delivery once.
    ///
    /// # Errors
    /// When the store fails while it delivers, or others hold a lease that the cycle needs, or take it. A poll that failed is
    /// part of the report.
    pub async fn run_once(self) -> Result<OnceReport, AppError> {
        let App { ground, generation, shared_clock, .. } = self;
        let over = CancellationToken::new();
        let keeping = tokio::spawn(ground.leases.clone().keep(shared_clock, over.clone(), || {}));
        let outcome = match all_granted(&ground.leases, generation.leases()).await {
            Ok(grants) => run_by(grants, &ground, &generation).await,
            Err(error) => Err(error),
        };
        over.cancel();
        if tokio::time::timeout(LEASE_CALL_MAX, keeping).await.is_err() {
            warn!("some leases could not be given up; they run out by themselves");
        }
        generation.take_leave().await;
        close_store(&ground.store).await;
        outcome
    }
}

/// The leases of the cycle by name: under each, the store, and whether what is done by it may go on.
type Held = BTreeMap<String, (Arc<SqlStore>, Trust)>;

/// The cycle, which is cut when one of its leases is lost. They are held no longer at its end.
async fn run_by(
    mut grants: BTreeMap<String, Grant>,
    ground: &Ground,
    generation: &Generation,
) -> Result<OnceReport, AppError> {
    let held: Held = grants.iter().map(|(name, grant)| (name.clone(), (grant.store(), grant.trust()))).collect();
    tokio::select! {
        biased;
        name = lost(&mut grants) => Err(AppError::LeaseLost(name)),
        outcome = cycle(ground, generation, &held) => outcome,
    }
}

/// The cycle itself.
async fn cycle(ground: &Ground, generation: &Generation, held: &Held) -> Result<OnceReport, AppError> {
    let by = |lease: &str| held.get(lease).cloned().unwrap_or_else(|| (Arc::clone(&ground.store), Trust::default()));
    let store = |lease: &str| by(lease).0;
    let ids = generation.config.sources.iter().map(|settings| &settings.id);
    let mut pollers: Vec<_> =
        ids.filter_map(|id| generation.poller(id, store(&generation.lease_of_source(id)?), None, None)).collect();
    let mut lanes = Vec::new();
    for id in generation.config.receivers.iter().map(|settings| &settings.id) {
        let Some((reach, lease)) = generation.reach(id).zip(generation.lease_of_receiver(id)) else { continue };
        let (store, trust) = by(&lease);
        generation.take_over(id, &store).await?;
        lanes.push(generation.lane(reach, store, trust));
    }
    let mut escalations = generation.escalations(store("escalation"));
    let mut reminders = generation.reminders(store("remind"));
    let (fallbacks, digester) = (generation.fallbacks(store("fallback")), generation.digester(store("digest")));
    let (mut watch, heartbeat) = (generation.watch(store("own")), generation.heartbeat(store("heartbeat")));
    let unwatched = generation.unwatched(store("unwatched"));
    let mut report = OnceReport::default();
    let polls = pollers.iter_mut().map(|(poller, _)| async move {
        if let Err(error) = poller.note_silence_between_calls().await {
            warn!(%error, "cannot record for how long nobody asked");
        }
        poller.poll_all().await
    });
    for outcome in join_all(polls).await {
        match outcome {
            Ok(poll) => report.polls.push(poll),
            // Whatever befell it, the others go on, and what is pending is attempted.
            Err(error) => report.failed_polls.push(error.to_string()),
        }
    }
    let now = ground.clock.now();
    unwatched.pass(now).await?;
    escalations.pass(now).await?;
    reminders.pass(now).await?;
    // Nobody is there later on to whom it could be left: what is told with its group does not wait for more of it.
    lanes = lanes.into_iter().map(Lane::waiting_for_nobody).collect();
    digester.make_due(now, false).await?;
    // What was pending too long before this cycle goes to the fallbacks, and so does what dies in it: a chain of them
    // is as long as there are receivers at most.
    fallbacks.pass(now).await?;
    watch.pass(now).await?;
    for _ in 0..=lanes.len() {
        let attempts = lanes.iter_mut().map(|lane| lane.attempt_due(now));
        for progress in join_all(attempts).await {
            let progress = progress?;
            report.attempted += progress.attempted;
            report.delivered += progress.delivered;
        }
        if fallbacks.pass(now).await? == 0 && watch.pass(now).await? == 0 {
            break;
        }
    }
    report.pending = ground.store.pending().await?;
    if let Some(mut heartbeat) = heartbeat {
        match heartbeat.beat(ground.clock.now()).await {
            Ok(()) => {}
            Err(missed) => error!("no heartbeat: {missed}"),
        }
    }
    // Who has a crontab call it lets no housekeeping loop live long enough.
    if let Err(error) = Retention::of(&generation.config).purge(&*store("housekeeping"), now).await {
        warn!(%error, "cannot remove what is older than the retention");
    }
    Ok(report)
}

/// Waits until one of the leases is lost. Returns its name.
async fn lost(grants: &mut BTreeMap<String, Grant>) -> String {
    let each = grants.iter_mut().map(|(name, grant)| grant.lost().map(|()| name.clone()).boxed());
    select_all(each).await.0
}

/// Every lease, each granted to this process; one round of everything needs all of them.
async fn all_granted(leases: &Leases, names: BTreeSet<String>) -> Result<BTreeMap<String, Grant>, AppError> {
    let by = Instant::now() + LEASE_SPAN + LEASE_CALL_MAX;
    let mut grants = BTreeMap::new();
    for name in names {
        match tokio::time::timeout_at(by, leases.granted(&name)).await {
            Ok(grant) => drop(grants.insert(name, grant)),
            Err(_) => return Err(AppError::HeldByOthers(name)),
        }
    }
    Ok(grants)
}
