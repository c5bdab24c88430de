//! Housekeeping: removes from the store what is older than the retention, at the start and then hourly.
//!
//! It reads the configuration's retention and rules, and writes the store. The last runs of each job that some rule counts
//! are kept whatever their age. What else may be removed is the store's own affair.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::turn::{Pace, Turn, TurnError, Turned};
use crate::config::Config;
use crate::limits::PURGE_INTERVAL;
use crate::rule::{MatchCache, RuleSet};
use crate::store::{Archive, KeptRuns, StoreError, Upkeep};

/// By what name its status is known.
pub const NAME: &str = "housekeeping";

/// The loop over a store.
pub struct Housekeeping<S> {
    store: Arc<S>,
    retention: Retention,
}

/// What is kept, and for how long.
#[derive(Debug, Clone)]
pub struct Retention {
    /// How long what has ended is kept.
    span: Duration,
    /// The rules, which say how many runs of a job they count.
    rules: RuleSet,
    /// By whose days the runs that go are counted.
    zone: TimeZone,
}

impl<S> Housekeeping<S> {
    /// Keeps in `store` what `retention` says.
    pub fn new(store: Arc<S>, retention: Retention) -> Housekeeping<S> {
        Housekeeping { store, retention }
    }
}

impl<S: Upkeep + Archive> Turn for Housekeeping<S> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn pace(&self) -> Pace {
        // Whatever was removed until then stays so, and the rest goes the next time: nobody waits for it.
        Pace { is_given_up: true, ..Pace::every(PURGE_INTERVAL) }
    }

    async fn turn(&mut self, now: Timestamp) -> Result<Turned, TurnError> {
        let rows = self.retention.purge(&*self.store, now).await?;
        if rows > 0 {
            tracing::info!(rows, "removed what is older than the retention");
        }
        Ok(Turned { done: rows, next_due: None })
    }
}

impl Retention {
    /// What a configuration keeps.
    pub fn of(config: &Config) -> Retention {
        Retention { zone: config.timezone.clone(), ..Retention::new(config.retention, config.rules.clone()) }
    }

    /// What ended is kept for `span`, and the runs that `rules` count whatever their age; days are those of UTC.
    pub fn new(span: Duration, rules: RuleSet) -> Retention {
        Retention { span, rules, zone: TimeZone::UTC }
    }

    /// Removes what ended longer ago than the retention. Returns how many rows went.
    ///
    /// # Errors
    /// When the store fails; what was removed until then stays removed.
    pub async fn purge<S: Upkeep + Archive>(&self, store: &S, now: Timestamp) -> Result<u64, StoreError> {
        let kept = self.kept_runs(store).await?;
        store.purge(now.checked_sub(self.span).unwrap_or(Timestamp::MIN), &kept, &self.zone).await
    }

    /// How many runs of each job the rules count.
    async fn kept_runs<S: Archive>(&self, store: &S) -> Result<KeptRuns, StoreError> {
        let mut kept = KeptRuns::new();
        let mut cache = MatchCache::default();
        for source in store.sources().await?.into_iter().map(|source| source.id) {
            if !self.rules.counts_runs(&source) {
                continue;
            }
            let jobs = store.job_names(Some(&source)).await?;
            let counted = jobs.into_iter().filter_map(|job| {
                let runs = self.rules.runs_counted(&source, &job, &mut cache);
                (runs > 0).then_some((job, runs))
            });
            kept.insert(source.clone(), counted.collect());
        }
        Ok(kept)
    }
}
