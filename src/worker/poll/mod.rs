//! The poll loop of one source: list, follow, decide, ask for details, commit.
//!
//! Reads the source and the store; writes the store, once per poll, in one transaction that moves cursor, snapshots,
//! alerts and outbox together. A poll that fails anywhere before that leaves everything as it was and is simply made
//! again: the next one sees the same instances and comes to the same decisions under the same names. A source that
//! cannot be read is recorded as unreadable, with why, and moves nothing. This module must never know a channel or a
//! scheduler's wire format.

mod decide;
mod details;
mod gaps;
mod group;
mod history;
mod jobs;
mod mute;
mod plans;
mod terms;
mod timely;
mod window;

pub(super) use details::GONE;
pub use terms::Terms;
pub(super) use window::is_silent;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::alert::identity::{delivery_id, overdue_delivery_id};
use crate::alert::{Ledger, message_of};
use crate::clock::Clock;
use crate::limits::{SET_ASIDE_LOGGED_MAX, SOURCE_LISTING_TIME_MAX};
use crate::model::{
    Alert, Delivery, DeliveryId, GapCause, InstanceKey, Job, Message, MessageKind, ReceiverId, Stage, Window,
};
use crate::notify::Renderer;
use crate::rule::history::Past;
use crate::rule::plans::Plans;
use crate::rule::{MatchCache, Muting, RuleSet};
use crate::source::{Learnt, Listing, Source, SourceError, SourceErrorKind, SourceSettings};
use crate::store::{Desk, PollCommit, PollLedger, SourceMemory, StoreError};
use crate::yaml::duration_text;

use decide::Decision;

/// What a poll needs to know of a receiver.
#[derive(Debug)]
pub struct Addressee {
    /// Makes its messages.
    pub renderer: Renderer,
    /// Whether it is told of resolutions.
    pub send_resolved: bool,
    /// Wakes its lane when something new is owed to it.
    pub nudge: Arc<Notify>,
}

impl Addressee {
    /// The delivery of this name that owes `receiver`, which this is, a message about an alert.
    pub(super) fn delivery(
        &self,
        id: DeliveryId,
        alert: &Alert,
        receiver: &ReceiverId,
        message: &Message,
        now: Timestamp,
    ) -> Delivery {
        let content = self.renderer.render(message).into_content(receiver, &alert.id);
        Delivery::owed(id, receiver.clone(), message.kind, content, now).about(alert)
    }
}

/// The receivers, by key.
pub type Addressees = HashMap<ReceiverId, Addressee>;

/// Polls one source.
pub struct Poller<C, S> {
    /// The source's settings.
    pub settings: SourceSettings,
    /// The source.
    pub source: C,
    /// The store.
    pub store: Arc<S>,
    /// The rules.
    pub rules: RuleSet,
    /// The receivers.
    pub addressees: Arc<Addressees>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Wakes the loop that has alerts go further, when some have begun or ended.
    pub escalations: Arc<Notify>,
    /// What was decided by name patterns before; a job's name matches the same rules at every poll.
    pub matches: MatchCache,
    /// What mutes new alerts.
    pub muting: Muting,
    /// Labels, routes, and the generation of the configuration.
    pub terms: Terms,
    /// When instances outside the listing were last asked after, so that they take turns.
    pub followed_at: HashMap<InstanceKey, Timestamp>,
    /// What the store holds of what was learnt about the source.
    pub learnt: Learnt,
    /// Past runs of jobs that a rule compares with, by job; kept between polls as long as the memory is.
    pub past: HashMap<String, Past>,
    /// The schedules that the jobs have in the scheduler, as they were read last.
    pub plans: Plans,
    /// What the store remembers, kept between polls and checked against the store's generation.
    pub memory: Option<SourceMemory>,
}

/// When a poller has polled last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastPoll {
    ended: Timestamp,
}

/// What a poll did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollReport {
    /// Instances listed.
    pub listed: usize,
    /// Of those, new or changed.
    pub changed: usize,
    /// Instances asked after one by one.
    pub followed: usize,
    /// Alerts that began.
    pub fired: usize,
    /// Alerts that ended.
    pub resolved: usize,
    /// Alerts recorded and not told.
    pub suppressed: usize,
    /// Alerts that were held back until now, and are told.
    pub released: usize,
    /// Deliveries now owed.
    pub deliveries: usize,
    /// Why the listing was not whole, where it was not.
    pub incomplete: Option<String>,
}

/// Why a poll failed. Nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The source could not be read.
    #[error("cannot read source {id}: {error}")]
    Source {
        /// The source.
        id: String,
        /// What it said.
        error: SourceError,
    },
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<C, S> Poller<C, S> {
    /// A poller that has seen nothing yet: nothing mutes, nobody else is told, and nobody waits for later steps.
    pub fn new(
        settings: SourceSettings,
        source: C,
        store: Arc<S>,
        rules: RuleSet,
        addressees: Arc<Addressees>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Poller {
            settings,
            source,
            store,
            rules,
            addressees,
            clock,
            escalations: Arc::default(),
            matches: MatchCache::default(),
            muting: Muting::default(),
            terms: Terms::default(),
            followed_at: HashMap::new(),
            learnt: Learnt::default(),
            past: HashMap::new(),
            plans: Plans::default(),
            memory: None,
        }
    }
}

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Polls now and then whenever the schedule says, until `shutdown`, which gives up the poll under way.
    pub async fn run(self, shutdown: CancellationToken) {
        self.run_until(&shutdown, &shutdown.child_token(), None).await;
    }

    /// The same, or until `retire`, a child of it, which lets the poll under way finish. `last` is when who polled before has polled
    /// last: then the next due time is awaited. Returns itself and when it has polled last, for who comes after.
    pub async fn run_until(
        mut self,
        shutdown: &CancellationToken,
        retire: &CancellationToken,
        mut last: Option<LastPoll>,
    ) -> (Self, Option<LastPoll>) {
        let mut is_first = last.is_none();
        if is_first {
            let lookback = duration_text(self.settings.lookback);
            info!(source = %self.settings.id, "the first poll reads what was planned in the last {lookback}, or since the last run");
        }
        loop {
            if let Some(polled) = last
                && self.wait_for_schedule(polled, retire).await.is_break()
            {
                return (self, last);
            }
            if retire.is_cancelled() || shutdown.is_cancelled() {
                return (self, last);
            }
            let began = self.clock.now();
            tokio::select! {
                () = shutdown.cancelled() => return (self, last),
                outcome = AssertUnwindSafe(self.turn()).catch_unwind() => match outcome {
                    Ok(outcome) => {
                        self.log(&outcome, is_first);
                        is_first &= outcome.is_err();
                    }
                    // What the memory holds may be half of a poll: the next one starts from what is stored.
                    Err(_) => {
                        self.memory = None;
                        error!(source = %self.settings.id, "the poll panicked; it is tried again at the next due time");
                    }
                },
            }
            let ended = self.clock.now();
            if self.settings.poll.next_after(began).is_some_and(|next| next < ended) {
                warn!(source = %self.settings.id, "the poll took longer than its interval; due times were skipped");
            }
            last = Some(LastPoll { ended });
        }
    }

    /// Waits for the first due time after now. Times that passed while the poll was under way are skipped: polls never
    /// overlap.
    async fn wait_for_schedule(&self, last: LastPoll, retire: &CancellationToken) -> std::ops::ControlFlow<()> {
        /// The wall clock may step; looking again this often bounds how long a step goes unnoticed.
        const LOOK_AGAIN: Duration = Duration::from_secs(20);
        let ended = last.ended;
        let Some(due) = self.settings.poll.next_after(ended) else {
            warn!(source = %self.settings.id, "the poll schedule never comes due again");
            retire.cancelled().await;
            return std::ops::ControlFlow::Break(());
        };
        loop {
            let now = self.clock.now();
            // A clock set back by more than one interval must not stop the polling.
            let stepped_back = self.settings.poll.next_after(now).is_some_and(|next| next < due);
            if now >= due || stepped_back && now < ended {
                return std::ops::ControlFlow::Continue(());
            }
            let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
            tokio::select! {
                () = retire.cancelled() => return std::ops::ControlFlow::Break(()),
                () = tokio::time::sleep(left.min(LOOK_AGAIN)) => {}
            }
        }
    }

    /// Says how a poll went: aloud when there is news, and the first time, when somebody waits to see whether it works.
    fn log(&self, outcome: &Result<PollReport, PollError>, is_first: bool) {
        let source = &self.settings.id;
        match outcome {
            Ok(PollReport { listed, changed, followed, fired, resolved, suppressed, released, deliveries, .. }) => {
                if is_first || fired + resolved + suppressed + released > 0 {
                    let generation = self.terms.generation;
                    info!(%source, generation, listed, changed, followed, fired, resolved, suppressed, released, deliveries, "polled");
                } else {
                    debug!(%source, listed, changed, followed, "polled");
                }
            }
            Err(error) => warn!(%source, "{error}; its state is unknown until it can be read"),
        }
    }

    /// Polls when it is due, and notes for how long nobody did.
    async fn turn(&mut self) -> Result<PollReport, PollError> {
        self.note_silence().await?;
        self.poll().await
    }

    /// Polls once.
    ///
    /// # Errors
    /// [`PollError`]; nothing was moved, except that an unreadable source is recorded as such.
    pub async fn poll(&mut self) -> Result<PollReport, PollError> {
        let now = self.clock.now();
        self.refresh_memory().await?;
        let read_until = self.memory.as_ref().and_then(|memory| memory.read_until);
        let lookback = window::lookback(&self.settings, &self.rules, read_until.is_none());
        let (window, lost) = window::window(now, lookback, read_until);
        let gap = lost.map(|(from, until)| {
            format!(
                "instances planned between {from} and {until} were not read: the source was unreadable for too long"
            )
        });
        let listing = match self.list(window).await {
            Ok(listing) => listing,
            Err(error) => {
                self.store.record_unreadable(&self.settings.id, now, &error.to_string()).await?;
                if let Some(memory) = &mut self.memory {
                    memory.polled_at = Some(now);
                }
                return Err(PollError::Source { id: self.settings.id.to_string(), error });
            }
        };
        self.keep_learnt().await;
        let (jobs, jobs_unread) = self.list_jobs().await;
        let plans_unread = self.read_plans(now).await;
        let has_gap = lost.is_some();
        if let (Some((from, until)), Some(reason)) = (lost, &gap) {
            self.record_gap(GapCause::Lost, from, until, reason.clone(), now).await?;
        }
        let mut reasons = listing.coverage.reasons();
        reasons.extend([gap, jobs_unread, plans_unread.clone()].into_iter().flatten());
        let incomplete = (!reasons.is_empty()).then(|| reasons.join("; "));
        if let Some(reason) = &incomplete {
            warn!(source = %self.settings.id, "the listing is not whole: {reason}");
        }
        for item in listing.coverage.set_aside.iter().take(SET_ASIDE_LOGGED_MAX) {
            warn!(source = %self.settings.id, snippet = item.snippet, "an item could not be read: {}", item.reason);
        }
        for warning in &listing.warnings {
            warn!(source = %self.settings.id, "{warning}");
        }
        let listed = listing.instances.len();
        let mut seen = listing.instances;
        let followed = self.follow(&mut seen, now).await;
        let moves_cursor = listing.coverage.is_whole() && plans_unread.is_none();
        let known_from = if read_until.is_some() && !has_gap { Timestamp::MIN } else { window.from };
        let result = self.conclude(seen, jobs.as_deref(), known_from, now, moves_cursor, incomplete).await;
        if result.is_err() {
            // What the memory holds may be ahead of the store: read it anew next time.
            self.memory = None;
        }
        result.map(|report| PollReport { listed, followed, ..report })
    }

    /// Lists the window, within a time: a source that trickles must not keep its own loop for ever.
    async fn list(&self, window: Window) -> Result<Listing, SourceError> {
        tokio::time::timeout(SOURCE_LISTING_TIME_MAX, self.source.list(window)).await.unwrap_or_else(|_| {
            let reason = format!("the list was not read to its end within {} s", SOURCE_LISTING_TIME_MAX.as_secs());
            Err(SourceError::new(SourceErrorKind::Transient, reason)
                .help("a shorter \"lookback\", a \"jobs\" list or more \"requests_per_second\" make it shorter"))
        })
    }

    /// Stores what the source has learnt by the way, so that it need not be found out again. Nothing rests on it: when the
    /// store cannot take it, the poll goes on.
    async fn keep_learnt(&mut self) {
        let learnt = self.source.learnt();
        if learnt == self.learnt {
            return;
        }
        match self.store.save_learnt(&self.settings.id, &learnt).await {
            Ok(()) => self.learnt = learnt,
            Err(error) => warn!(source = %self.settings.id, "what was learnt of the source is not kept: {error}"),
        }
    }

    /// Decides, asks for details, and commits.
    async fn conclude(
        &mut self,
        seen: Vec<crate::model::Instance>,
        jobs: Option<&[Job]>,
        known_from: Timestamp,
        now: Timestamp,
        moves_cursor: bool,
        incomplete: Option<String>,
    ) -> Result<PollReport, PollError> {
        let mut decision = self.decide(seen, moves_cursor, known_from, now).await?;
        if let Some(jobs) = jobs {
            self.decide_jobs(jobs, &mut decision, now).await?;
        }
        self.apply_terms(&mut decision);
        let elsewhere = self.mute(&mut decision, now).await?;
        let Decision { instances, unseen, fired, overdue, .. } = &mut decision;
        self.add_details(fired, instances.iter().chain(&*unseen)).await;
        self.add_details(overdue, instances.iter().chain(&*unseen)).await;
        decision.resolve(now);
        decision.spare_what_is_over();
        self.let_go(&mut decision, &elsewhere, now).await?;
        let deliveries = self.owed(&decision, now).await;
        let report = PollReport {
            changed: decision.instances.len(),
            fired: decision.fired.iter().filter(|alert| alert.suppressed_by.is_none()).count(),
            suppressed: decision.fired.iter().filter(|alert| alert.suppressed_by.is_some()).count(),
            released: decision.held.iter().filter(|alert| alert.suppressed_by.is_none()).count(),
            resolved: decision.resolved.len(),
            deliveries: deliveries.len(),
            incomplete: incomplete.clone(),
            ..PollReport::default()
        };
        decision.settle_short_episodes();
        let has_news = report.deliveries + report.resolved > 0;
        let nudged: Vec<ReceiverId> = deliveries.iter().map(|delivery| delivery.receiver.clone()).collect();
        let memory = self.memory.get_or_insert_default();
        let Decision { instances, fired, resolved, closed, overdue, held, ledger, known_rules, .. } = decision;
        let mut changed = resolved;
        changed.extend(closed);
        changed.extend(overdue);
        changed.extend(held);
        let commit = PollCommit {
            source: self.settings.id.clone(),
            generation: memory.generation,
            now,
            read_until: moves_cursor.then_some(now),
            incomplete,
            known_rules,
            instances,
            fired,
            changed,
            deliveries,
        };
        self.store.commit_poll(&commit).await?;
        remember(memory, commit, ledger, now);
        if has_news {
            self.escalations.notify_one();
        }
        for receiver in nudged {
            if let Some(addressee) = self.addressees.get(&receiver) {
                addressee.nudge.notify_one();
            }
        }
        Ok(report)
    }

    /// Makes sure that the memory is what the store holds.
    async fn refresh_memory(&mut self) -> Result<(), StoreError> {
        if let Some(memory) = &self.memory
            && memory.generation == self.store.generation(&self.settings.id).await?
        {
            return Ok(());
        }
        self.memory = Some(self.store.load_source(&self.settings.id).await?);
        self.past.clear();
        Ok(())
    }

    /// The deliveries that the decision owes, rendered.
    async fn owed(&self, decision: &Decision, now: Timestamp) -> Vec<Delivery> {
        let mut owed = Vec::new();
        let mut began = Instant::now();
        for (alert, kind) in decision.told() {
            let message = message_of(alert, kind, now);
            for receiver in &alert.receivers {
                let Some(addressee) = self.addressees.get(receiver) else { continue };
                if kind == MessageKind::AlertFiring || addressee.send_resolved {
                    let owed_now = delivery(alert, receiver, addressee, &message, now);
                    owed.push(group::placed(owed_now, alert, self.rules.get(&alert.rule), addressee, now));
                }
            }
            // A storm of thousands must not keep the lanes of other receivers from their turn.
            if began.elapsed() > Duration::from_millis(5) {
                tokio::task::yield_now().await;
                began = Instant::now();
            }
        }
        owed
    }
}

/// The delivery that owes a receiver the message of an alert's beginning or end.
pub(super) fn delivery(
    alert: &Alert,
    receiver: &ReceiverId,
    addressee: &Addressee,
    message: &Message,
    now: Timestamp,
) -> Delivery {
    // A deadline that was warned of is told a second time, and the end follows the second telling.
    let firing = match alert.facts.alert.measures.stage {
        // Nobody was told that the deadline has passed, while that was held back.
        Some(Stage::Overdue) if alert.suppressed_by.is_none() => overdue_delivery_id(&alert.id, receiver),
        _ => delivery_id(&alert.id, receiver, MessageKind::AlertFiring),
    };
    let (id, follows) = match message.kind {
        MessageKind::AlertFiring => (firing, None),
        MessageKind::AlertResolved => (delivery_id(&alert.id, receiver, message.kind), Some(firing)),
        _ => (delivery_id(&alert.id, receiver, message.kind), None),
    };
    Delivery { follows, ..addressee.delivery(id, alert, receiver, message, now) }
}

/// Takes over what was committed.
fn remember(memory: &mut SourceMemory, commit: PollCommit, ledger: Ledger, now: Timestamp) {
    memory.generation += 1;
    memory.polled_at = Some(now);
    memory.read_until = commit.read_until.or(memory.read_until);
    if let Some(known_rules) = commit.known_rules {
        memory.known_rules = known_rules;
    }
    for instance in commit.instances {
        memory.snapshots.insert(instance.key(), instance.snapshot());
    }
    memory.firing = ledger.into_firing();
    window::forget_old(memory, now);
}
