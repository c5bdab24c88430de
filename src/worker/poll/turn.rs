//! One poll: ask, observe, decide, ask for the details of what begins, render and commit.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use jiff::Timestamp;
use tracing::warn;

use super::poller::{PollError, PollReport, Poller};
use super::rendering::Rendering;
use super::window::{self, Slice};
use crate::decide::{Change, Decided, Look, Observed, ToRecall};
use crate::limits::SET_ASIDE_LOGGED_MAX;
use crate::model::{Alert, AlertState, Coverage, GapCause, PollOutcome};
use crate::source::{Listing, Source};
use crate::store::{Desk, PollCommit, PollLedger, StoreError};
use crate::worker::counting::count_alerts;

/// What a look at the source brought.
struct Read {
    slice: Slice,
    listing: Listing,
    /// Why it is not whole, beside what the listing says itself.
    reasons: Vec<String>,
    look: Look,
}

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Polls once. Where there is a backlog that one listing cannot take in, a part of it is read, and the report says that
    /// there is more.
    ///
    /// # Errors
    /// [`PollError`]; nothing was moved, except that an unreadable source is recorded as such.
    pub async fn poll(&mut self) -> Result<PollReport, PollError> {
        let now = self.clock.now();
        self.refresh_memory().await?;
        let Read { slice, listing, mut reasons, look } = self.read(now).await?;
        let listed = listing.instances.len();
        let (mut seen, coverage) = (listing.instances, listing.coverage);
        let mut all = coverage.reasons();
        all.append(&mut reasons);
        let incomplete = (!all.is_empty()).then(|| all.join("; "));
        if let Some(reason) = &incomplete {
            warn!(source = %self.settings.id, "the listing is not whole: {reason}");
        }
        for item in coverage.set_aside.iter().take(SET_ASIDE_LOGGED_MAX) {
            let (at, snippet) = (&item.at, &item.snippet);
            warn!(source = %self.settings.id, at, snippet, "an item could not be read: {}", item.reason);
        }
        for warning in &listing.warnings {
            warn!(source = %self.settings.id, "{warning}");
        }
        let is_whole = coverage.is_whole();
        let followed = if slice.is_last { self.follow(&mut seen, now).await } else { 0 };
        let result = self.conclude(seen, coverage, &look, incomplete).await;
        if result.is_err() {
            // What the memory holds may be ahead of the store: read it anew next time.
            self.memory = None;
        }
        // A slice that is not whole is read again when the schedule says so, and not at once.
        let is_behind = is_whole && !slice.is_last;
        result.map(|report| PollReport { listed, followed, is_behind, ..report })
    }

    /// Polls until there is no backlog left.
    ///
    /// # Errors
    /// [`PollError`]; what was committed before stays.
    pub async fn poll_all(&mut self) -> Result<PollReport, PollError> {
        let mut report = self.poll().await?;
        while report.is_behind {
            let next = self.poll().await?;
            report.add(next);
        }
        Ok(report)
    }

    /// Reads the next slice of the source, with what rules ask for beside it. Where it could not be read to its end in time,
    /// the next one is shorter.
    async fn read(&mut self, now: Timestamp) -> Result<Read, PollError> {
        let covered = self.memory.get_or_insert_default().covered.clone();
        let lookback = window::lookback(&self.settings, &self.decider.rules, covered.until.is_none());
        let slice = window::next(now, lookback, &covered, self.span.within(self.source.span_max()));
        let began = self.clock.now();
        let listing = match self.list(slice.window).await {
            Ok(listing) => listing,
            Err((error, is_out_of_time)) => {
                if is_out_of_time {
                    self.span.shrink(slice.window);
                }
                // Of a source that cannot be read, too: a refused password is not to be tried again by the next run.
                self.keep_learnt().await;
                self.store.record_unreadable(&self.settings.id, now, &error.to_string()).await?;
                if let Some(memory) = &mut self.memory {
                    memory.polled_at = Some(now);
                }
                return Err(PollError::Source { id: self.settings.id.to_string(), error });
            }
        };
        if !listing.coverage.is_whole() && slice.window.to.duration_since(slice.window.from).unsigned_abs() > lookback {
            // A backlog that no single listing takes in as a whole is read in parts.
            self.span.shrink(slice.window);
        } else if listing.coverage.is_whole() {
            self.span.learn(slice.window, self.clock.now().duration_since(began).unsigned_abs());
        }
        self.keep_learnt().await;
        let mut reasons = Vec::new();
        if let Some((from, until)) = slice.lost {
            let why = "the source was unreadable for too long".to_string();
            self.record_gap(GapCause::Lost, from, until, why, now).await?;
            reasons.push(format!(
                "instances planned between {from} and {until} were not read: the source was unreadable for too long"
            ));
        }
        if slice.is_last {
            self.note_lost_kinds(&covered, &listing.coverage, now).await?;
        }
        let (jobs, jobs_unread) = if slice.is_last { self.list_jobs(now).await } else { (None, None) };
        let schedules_unread = if slice.is_last { self.read_schedules(now).await } else { None };
        let look = Look { now, is_last_slice: slice.is_last, jobs, has_schedules: schedules_unread.is_none() };
        reasons.extend([jobs_unread, schedules_unread].into_iter().flatten());
        Ok(Read { slice, listing, reasons, look })
    }

    /// Decides, asks for details, renders and commits.
    async fn conclude(
        &mut self,
        seen: Vec<crate::model::Instance>,
        coverage: Coverage,
        look: &Look,
        incomplete: Option<String>,
    ) -> Result<PollReport, PollError> {
        let now = look.now;
        let outcome = if coverage.is_whole() { PollOutcome::Whole } else { PollOutcome::Short };
        let observed = self.observe(seen, coverage, now).await?;
        let memory = self.memory.get_or_insert_default();
        let asked = self.decider.ask(memory, &observed, look);
        let answers = self.answer(&asked, now).await?;
        let memory = self.memory.get_or_insert_default();
        let mut decided = self.decider.decide(memory, observed, &answers, look);
        for warning in &decided.warnings {
            warn!(source = %self.settings.id, "{warning}");
        }
        self.add_history(&mut decided, now).await?;
        let jobs = look.jobs.as_ref().map(|list| list.jobs.as_slice());
        self.add_details(&mut decided, jobs).await;
        let mut report = PollReport::of(&decided, incomplete.clone(), now);
        let Decided { instances, fired, changed, notices, covered, listed_from, known_rules, .. } = decided;
        let memory = self.memory.get_or_insert_default();
        let commit = PollCommit {
            source: self.settings.id.clone(),
            generation: memory.generation,
            now,
            covered,
            outcome,
            incomplete,
            known_rules,
            instances,
            fired,
            changed,
            deliveries: Vec::new(),
        };
        let alerts = (commit.fired.as_slice(), commit.changed.as_slice());
        let mut rendering = Rendering::new(&notices, alerts, &self.receivers, &self.decider.rules, now);
        let began = Instant::now();
        self.store.commit_rendering(&commit, &mut rendering).await?;
        self.metrics.stored("poll", began.elapsed());
        let Rendering { count, nudged, .. } = rendering;
        report.deliveries = count;
        let fired = || commit.fired.iter().map(|alert| &**alert);
        count_alerts(&self.metrics, fired(), &commit.changed);
        for alert in fired() {
            self.metrics.decided(now.duration_since(alert.facts.alert.starts_at).try_into().unwrap_or_default());
        }
        let PollCommit { covered, known_rules, instances, fired, changed, .. } = commit;
        memory.take(Change { now, covered, listed_from, known_rules, instances, fired, changed });
        if report.deliveries + report.resolved > 0 {
            self.escalations.notify_one();
        }
        self.receivers.wake(&nudged);
        Ok(report)
    }

    /// Holds what was seen against the memory; how runs were of which it does not know is asked of the store.
    async fn observe(
        &mut self,
        seen: Vec<crate::model::Instance>,
        coverage: Coverage,
        now: Timestamp,
    ) -> Result<Observed, StoreError> {
        let memory = self.memory.get_or_insert_default();
        let (id, asked) = (&self.settings.id, ToRecall::of(memory, &seen, &coverage));
        let recalled =
            if asked.runs.is_empty() { HashMap::new() } else { self.store.snapshots(id, &asked.runs).await? };
        let jobs = if asked.jobs.is_empty() { HashSet::new() } else { self.store.known_jobs(id, &asked.jobs).await? };
        memory.runs.learn(&recalled, jobs.iter().map(String::as_str));
        Ok(self.decider.observe(memory, seen, coverage, (&asked, &recalled), now))
    }

    /// Makes sure that the memory is what the store holds.
    pub(super) async fn refresh_memory(&mut self) -> Result<(), StoreError> {
        if let Some(memory) = &self.memory
            && memory.generation == self.store.generation(&self.settings.id).await?
        {
            return Ok(());
        }
        self.memory = Some(self.store.load_source(&self.settings.id).await?);
        self.decider.forget_past();
        Ok(())
    }
}

impl PollReport {
    fn of(decided: &Decided, incomplete: Option<String>, now: Timestamp) -> PollReport {
        let fired = |is_told: bool| decided.fired.iter().filter(move |alert| alert.suppressed_by.is_none() == is_told);
        let changed = |state: AlertState| decided.changed.iter().filter(move |alert| alert.state() == state);
        let is_let_go = |alert: &&Alert| alert.facts.alert.held_back.as_ref().is_some_and(|held| held.until == now);
        PollReport {
            changed: decided.instances.len(),
            fired: fired(true).count(),
            suppressed: fired(false).count(),
            released: changed(AlertState::Firing).filter(is_let_go).count(),
            resolved: changed(AlertState::Resolved).count(),
            incomplete,
            ..PollReport::default()
        }
    }

    /// Takes in what a further poll of a backlog did.
    fn add(&mut self, next: PollReport) {
        self.listed += next.listed;
        self.changed += next.changed;
        self.followed += next.followed;
        self.fired += next.fired;
        self.resolved += next.resolved;
        self.suppressed += next.suppressed;
        self.released += next.released;
        self.deliveries += next.deliveries;
        (self.incomplete, self.is_behind) = (next.incomplete, next.is_behind);
    }
}
