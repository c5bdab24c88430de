//! What is asked of the source beside its runs: its jobs, their schedules, and what was learnt by the way.

use jiff::Timestamp;
use tracing::{debug, warn};

use super::poller::Poller;
use crate::limits::{JOBS_LOOK, SOURCE_LISTING_TIME_MAX};
use crate::model::{JobList, Window};
use crate::source::{Listing, Source, SourceError, SourceErrorKind};
use crate::store::{Desk, PollLedger};

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Lists the window, within a time: a source that trickles must not keep its own loop for ever.
    ///
    /// # Errors
    /// As for [`Source::list`]. The second value says whether it was the time that ran out.
    pub(super) async fn list(&self, window: Window) -> Result<Listing, (SourceError, bool)> {
        let listing = tokio::time::timeout(SOURCE_LISTING_TIME_MAX, self.source.list(window)).await;
        listing.map(|listing| listing.map_err(|error| (error, false))).unwrap_or_else(|_| {
            let reason = format!("the list was not read to its end within {} s", SOURCE_LISTING_TIME_MAX.as_secs());
            let help = "a shorter \"lookback\", a \"jobs\" list or more \"requests_per_second\" make it shorter";
            Err((SourceError::new(SourceErrorKind::Transient, reason).help(help), true))
        })
    }

    /// Stores what the source has learnt by the way, so that it need not be found out again. Nothing rests on it: when the
    /// store cannot take it, the poll goes on.
    pub(super) async fn keep_learnt(&mut self) {
        let learnt = self.source.learnt();
        if learnt == self.learnt {
            return;
        }
        match self.store.save_learnt(&self.settings.id, &self.learnt, &learnt).await {
            Ok(()) => self.learnt = learnt,
            Err(error) => warn!(source = %self.settings.id, "what was learnt of the source is not kept: {error}"),
        }
    }

    /// All jobs, where a rule asks for them and they could be read; with it, why they could not be. A list that cannot be
    /// read leaves the alerts about jobs as they are and holds up nothing else. Now and then they are asked for without such a
    /// rule, because an alert about a job fires that may be gone: then nobody misses a list that cannot be read.
    pub(super) async fn list_jobs(&mut self, now: Timestamp) -> (Option<JobList>, Option<String>) {
        let is_needed = self.decider.rules.asks_for_jobs(&self.settings.id);
        let is_due = self.jobs_asked_at.is_none_or(|asked| now.duration_since(asked).unsigned_abs() >= JOBS_LOOK);
        let wonders = || self.memory.as_ref().is_some_and(|memory| self.decider.wonders_about_jobs(memory));
        if !(is_needed || is_due && wonders()) {
            return (None, None);
        }
        // Where the source tells none, nothing is known of them; that a rule asks for it is said when the file is read.
        let Some(source) = self.source.tells_jobs() else { return (None, None) };
        self.jobs_asked_at = Some(now);
        match in_time(source.jobs()).await {
            Ok(list) => {
                let shortfall = list.shortfall.as_ref().filter(|_| is_needed);
                let reason =
                    shortfall.map(|why| format!("the list of jobs is not whole, so none is called gone: {why}"));
                (Some(list), reason)
            }
            Err(reason) if !is_needed => {
                debug!(source = %self.settings.id, "whether jobs are gone is not known, for they could not be read: {reason}");
                (None, None)
            }
            Err(reason) => {
                let reason = format!("the jobs could not be read: {reason}");
                warn!(source = %self.settings.id, "{reason}");
                (None, Some(reason))
            }
        }
    }

    /// Reads the schedules where a rule needs them as they are now. Returns why that could not be done. While they cannot be
    /// read, nothing is missing by them: the truth is told when they can be read again.
    pub(super) async fn read_schedules(&mut self, now: Timestamp) -> Option<String> {
        let covered_until = self.memory.as_ref().and_then(|memory| memory.covered.until);
        if !self.decider.needs_schedules(covered_until, now) {
            return None;
        }
        // Where the source tells none, nothing is missing by them.
        let source = self.source.tells_schedules()?;
        match in_time(source.schedules()).await {
            Ok(told) => {
                if let Some(warning) = self.decider.take_schedules(told, now) {
                    warn!(source = %self.settings.id, "{warning}");
                }
                None
            }
            Err(reason) => {
                Some(format!("the schedules of the jobs could not be read, so no run is missed yet: {reason}"))
            }
        }
    }
}

/// The answer of a source to what is asked beside its runs, or why there is none.
async fn in_time<T>(asked: impl Future<Output = Result<T, SourceError>>) -> Result<T, String> {
    match tokio::time::timeout(SOURCE_LISTING_TIME_MAX, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", SOURCE_LISTING_TIME_MAX.as_secs())),
    }
}
