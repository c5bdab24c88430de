//! Alerts that no poll ends: those of sources that the configuration no longer has, for nobody polls them, and those that
//! somebody closes.
//!
//! Reads the store for alerts that fire elsewhere than in the sources that there are, and commits what
//! [`alert::unwatched`](crate::alert::unwatched) says of them: suspended at first, over as unwatched after ten minutes, and
//! then those are notified who were notified of the beginning. An alert whose source comes back within that time goes on
//! by that source's next poll. What somebody closes has ended already, whether on the page or by a command: it is counted from
//! the record of what people did, by the one replica that runs this loop. It must never know what a rule asks for, or how
//! a poll decides.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::counting::count_alerts;
use super::pending::Receivers;
use super::turn::{Pace, Turn, TurnError, Turned};
use crate::alert::unwatched;
use crate::limits::{CLOSED_COUNTED_AFTER, UNWATCHED_LOOK};
use crate::metrics::Metrics;
use crate::model::{Alert, AlertState, EndReason, MessageKind, Notification, SourceId};
use crate::store::{Desk, OwnAlerts, OwnCommit, StoreError};

/// By what name its status is known.
pub const NAME: &str = "unwatched";

/// The loop.
pub struct Unwatched<S> {
    store: Arc<S>,
    sources: Vec<SourceId>,
    receivers: Arc<Receivers>,
    /// Where alerts that end are counted.
    pub metrics: Metrics,
    /// Up to when those are counted that somebody has closed.
    counted_until: Option<Timestamp>,
}

impl<S: OwnAlerts + Desk> Unwatched<S> {
    /// A loop over `store` where there are these sources and receivers; alerts that end are counted in `metrics`.
    pub fn new(store: Arc<S>, sources: Vec<SourceId>, receivers: Arc<Receivers>, metrics: Metrics) -> Unwatched<S> {
        Unwatched { store, sources, receivers, metrics, counted_until: None }
    }

    /// Counts the alerts that somebody has closed since the last time; the first time, none.
    ///
    /// # Errors
    /// When the store fails; they are counted the next time.
    pub async fn count_closed(&mut self, now: Timestamp) -> Result<(), StoreError> {
        // What was done a moment ago may not be on record yet.
        let until = now.checked_sub(CLOSED_COUNTED_AFTER).unwrap_or(now);
        if let Some(behind) = self.counted_until.filter(|behind| *behind < until) {
            for rule in self.store.closed_between(behind, until).await? {
                self.metrics.ended(rule.as_str(), EndReason::Closed.as_str());
            }
        }
        self.counted_until = self.counted_until.max(Some(until));
        Ok(())
    }

    /// Suspends and ends what is due to be at `now`, and wakes the lanes. Returns how many alerts ended.
    ///
    /// # Errors
    /// When the store fails; nothing was written.
    pub async fn pass(&self, now: Timestamp) -> Result<u64, StoreError> {
        let firing = self.store.firing_elsewhere(&self.sources).await?;
        let changed: Vec<Alert> = firing.iter().filter_map(|alert| unwatched(alert, now)).collect();
        if changed.is_empty() {
            return Ok(0);
        }
        let ended = || changed.iter().filter(|alert| alert.state() == AlertState::Resolved);
        let deliveries: Vec<Notification> =
            ended().flat_map(|alert| self.receivers.deliveries(alert, MessageKind::AlertResolved, now)).collect();
        for source in changed.iter().map(|alert| &alert.source).collect::<BTreeSet<_>>() {
            tracing::warn!(%source, "alerts fire of a source that is not in the configuration; nobody watches them");
        }
        let count = ended().count() as u64;
        let commit = OwnCommit { now, fired: Vec::new(), changed, deliveries };
        self.store.commit_own(&commit).await?;
        count_alerts(&self.metrics, std::iter::empty(), &commit.changed);
        self.receivers.wake(commit.deliveries.iter().map(|delivery| &delivery.receiver));
        Ok(count)
    }
}

impl<S: OwnAlerts + Desk> Turn for Unwatched<S> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn pace(&self) -> Pace {
        Pace::every(UNWATCHED_LOOK)
    }

    async fn turn(&mut self, now: Timestamp) -> Result<Turned, TurnError> {
        self.count_closed(now).await?;
        Ok(Turned { done: self.pass(now).await?, next_due: None })
    }
}
