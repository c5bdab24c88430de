//! The poller of one source: what it holds between its turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::super::lease::POLL;
use super::super::pending::Receivers;
use super::super::turn::{Course, Statuses, TurnError, Turned};
use super::followed::Followed;
use super::window::SliceSpan;
use crate::clock::Clock;
use crate::decide::{Decider, Memory};
use crate::limits::{POLL_HANGS_AFTER, STORE_BACKOFF_MAX};
use crate::metrics::{Metrics, Polled};
use crate::model::SourceId;
use crate::source::{Learnt, Source, SourceError, SourceSettings};
use crate::store::{Desk, PollLedger, StoreError};
use crate::yaml::duration_text;

/// Polls one source.
pub struct Poller<C, S> {
    /// The source's settings.
    pub settings: SourceSettings,
    /// The source.
    pub source: C,
    /// Decides.
    pub decider: Decider,
    /// Wakes the loop that has alerts go further, when some have begun or ended.
    pub(super) escalations: Arc<Notify>,
    /// Has it poll now, whatever the schedule says.
    pub(super) nudge: Arc<Notify>,
    /// Where it counts what it does.
    pub(super) metrics: Metrics,
    /// Where it says how it fares.
    pub(super) statuses: Statuses,
    /// What the store holds of what was learnt about the source.
    pub(super) learnt: Learnt,
    /// What the store remembers, kept between polls and checked against the store's generation.
    pub(super) memory: Option<Memory>,
    pub(super) store: Arc<S>,
    pub(super) receivers: Arc<Receivers>,
    pub(super) clock: Arc<dyn Clock>,
    /// When the list of jobs was asked for last.
    pub(super) jobs_asked_at: Option<Timestamp>,
    pub(super) followed: Followed,
    pub(super) span: SliceSpan,
}

/// When a poller has polled last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastPoll {
    pub(super) ended: Timestamp,
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
    /// Deliveries now pending.
    pub deliveries: usize,
    /// Why the listing was not whole, where it was not.
    pub incomplete: Option<String>,
    /// Whether there is a backlog that further polls are to read at once.
    pub is_behind: bool,
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

impl<C: Source, S> Poller<C, S> {
    /// A poller that has seen nothing yet.
    pub fn new(
        settings: SourceSettings,
        source: C,
        store: Arc<S>,
        decider: Decider,
        receivers: Arc<Receivers>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Poller {
            settings,
            source,
            decider,
            escalations: Arc::default(),
            nudge: Arc::default(),
            metrics: Metrics::default(),
            statuses: Statuses::default(),
            learnt: Learnt::default(),
            memory: None,
            store,
            receivers,
            clock,
            jobs_asked_at: None,
            followed: Followed::default(),
            span: SliceSpan::default(),
        }
    }

    /// The same, which wakes the loop that has alerts go further when some have begun or ended.
    #[must_use]
    pub fn waking(self, escalations: Arc<Notify>) -> Self {
        Poller { escalations, ..self }
    }

    /// The same, woken by `nudge` whatever the schedule says.
    #[must_use]
    pub fn woken_by(self, nudge: Arc<Notify>) -> Self {
        Poller { nudge, ..self }
    }

    /// The same, which counts what it does.
    #[must_use]
    pub fn counting(self, metrics: Metrics) -> Self {
        Poller { metrics, ..self }
    }

    /// The same, which says how it fares.
    #[must_use]
    pub fn publishing(self, statuses: &Statuses) -> Self {
        Poller { statuses: statuses.clone(), ..self }
    }

    /// The same, which knows what the store holds of what was learnt about the source.
    #[must_use]
    pub fn having_learnt(self, learnt: Learnt) -> Self {
        Poller { learnt, ..self }
    }

    /// The same, which goes on from what `before` has found out of the same source.
    #[must_use]
    pub fn after(self, before: Poller<C, S>) -> Self {
        let decider = self.decider.after(before.decider);
        let Poller { learnt, memory, jobs_asked_at, followed, span, .. } = before;
        Poller { decider, learnt, memory, jobs_asked_at, followed, span, ..self }
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
        let name = status_name(&self.settings.id);
        let mut course = Course::new(name, &self.statuses, STORE_BACKOFF_MAX).patient(POLL_HANGS_AFTER);
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
            let started = Instant::now();
            let mut outcome = None;
            tokio::select! {
                () = shutdown.cancelled() => return (self, last),
                // When it is tried again the schedule says.
                _ = course.turn(began, self.watched(&mut outcome)) => {}
            }
            let mut is_behind = false;
            match outcome {
                Some(outcome) => {
                    self.log(&outcome, is_first);
                    self.count(&outcome, started.elapsed());
                    is_first &= outcome.is_err();
                    is_behind = outcome.is_ok_and(|report| report.is_behind);
                }
                // It panicked: what the memory holds may be half of a poll, and the next one starts from what is stored.
                None => self.memory = None,
            }
            let ended = self.clock.now();
            if self.settings.poll.next_after(began).is_some_and(|next| next < ended) {
                warn!(source = %self.settings.id, "the poll took longer than its interval; due times were skipped");
            }
            last = if is_behind { None } else { Some(LastPoll { ended }) };
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
                () = self.nudge.notified() => return std::ops::ControlFlow::Continue(()),
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
                    let generation = self.decider.terms.generation;
                    info!(%source, generation, listed, changed, followed, fired, resolved, suppressed, released, deliveries, "polled");
                } else {
                    debug!(%source, listed, changed, followed, "polled");
                }
            }
            Err(error @ PollError::Source { .. }) => {
                warn!(%source, "{error}; its state is unknown until it can be read");
            }
            // How the loop fares is said where it is published.
            Err(PollError::Store(_)) => {}
        }
    }

    /// Counts how a poll went.
    fn count(&self, outcome: &Result<PollReport, PollError>, took: Duration) {
        let (word, listed) = match outcome {
            Ok(report) if report.incomplete.is_some() => ("short", report.listed),
            Ok(report) => ("whole", report.listed),
            Err(PollError::Source { .. }) => ("unread", 0),
            Err(PollError::Store(_)) => ("failed", 0),
        };
        let ended_at = self.clock.now().as_duration().as_secs_f64();
        self.metrics.polled(self.settings.id.as_str(), Polled { outcome: word, listed, took, ended_at });
    }

    /// A turn as the course of the loop sees it, its outcome kept for others. Of a source that cannot be read there is an alert of
    /// its own: the loop works.
    async fn watched(&mut self, outcome: &mut Option<Result<PollReport, PollError>>) -> Result<Turned, TurnError> {
        let polled = outcome.insert(self.turn().await);
        let now = self.clock.now();
        let (done, is_behind) = match polled {
            Ok(report) => (report.changed as u64, report.is_behind),
            Err(PollError::Source { .. }) => (0, false),
            Err(error @ PollError::Store(_)) => return Err(error.to_string().into()),
        };
        let next_due = if is_behind { Some(now) } else { self.settings.poll.next_after(now) };
        Ok(Turned { done, next_due })
    }

    /// Polls when it is due, and notes for how long nobody did.
    async fn turn(&mut self) -> Result<PollReport, PollError> {
        self.note_silence().await?;
        self.poll().await
    }
}

/// By what name the status of the poll loop of a source is known.
pub fn status_name(source: &SourceId) -> String {
    format!("{POLL}{source}")
}
