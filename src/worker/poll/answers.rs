//! The questions of a decision, put to the store.

use std::collections::HashMap;

use jiff::Timestamp;
use tracing::warn;

use super::poller::Poller;
use crate::decide::{Answers, Questions};
use crate::limits::{HISTORY_RUNS_MAX, INHIBITING_MAX};
use crate::source::Source;
use crate::store::{Desk, PollLedger, StoreError};

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// What the store knows of what is asked, at `now`.
    pub(super) async fn answer(&self, asked: &Questions, now: Timestamp) -> Result<Answers, StoreError> {
        let (store, source) = (&*self.store, &self.settings.id);
        let jobs: Vec<String> = asked.past.iter().cloned().collect();
        let past =
            if jobs.is_empty() { HashMap::new() } else { store.counted_runs(source, &jobs, HISTORY_RUNS_MAX).await? };
        let (jobs, count) = (&asked.latest.0, asked.latest.1);
        let jobs: Vec<String> = jobs.iter().cloned().collect();
        let latest = if jobs.is_empty() { HashMap::new() } else { store.past_runs(source, &jobs, count).await? };
        let runs = match asked.runs {
            Some((from, until)) => store.runs_between(source, from, until).await?,
            None => Vec::new(),
        };
        let mut answers = Answers { past, latest, runs, ..Answers::default() };
        for (from, until) in &asked.planned {
            let jobs = store.planned_jobs(source, *from, *until).await?;
            answers.planned.insert((*from, *until), jobs);
        }
        answers.active_silences = store.active_silences(now).await?;
        for id in &asked.silences {
            if let Some(silence) = store.silence(*id).await? {
                answers.silences.insert(*id, silence);
            }
        }
        if !asked.upstream.is_empty() {
            answers.elsewhere = store.told_and_firing(&asked.upstream, INHIBITING_MAX).await?;
            if answers.elsewhere.len() == INHIBITING_MAX {
                warn!(%source, "more than {INHIBITING_MAX} alerts of other sources fire; the later ones inhibit nothing here");
            }
        }
        Ok(answers)
    }
}
