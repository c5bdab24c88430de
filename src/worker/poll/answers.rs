//! The questions of a decision, and of how the jobs that alert have fared before, put to the store.

use std::collections::HashMap;

use jiff::Timestamp;

use super::poller::Poller;
use crate::decide::{Answers, Decided, Questions, to_detail};
use crate::limits::{HISTORY_RUNS_MAX, INHIBITING_MAX, LATELY_TIME};
use crate::model::Alert;
use crate::source::Source;
use crate::store::{Desk, PollLedger, StoreError};

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Has each alert that is told now say how its job has fared before it.
    pub(super) async fn add_history(&self, decided: &mut Decided, now: Timestamp) -> Result<(), StoreError> {
        let Decided { fired, changed, .. } = decided;
        let alerts: Vec<&Alert> = to_detail(fired, changed).map(|alert| &*alert).collect();
        if alerts.is_empty() {
            return Ok(());
        }
        let since = now.checked_sub(LATELY_TIME).unwrap_or(Timestamp::MIN);
        let mut lately = self.store.lately(&alerts, since).await?;
        for alert in to_detail(fired, changed) {
            alert.facts.alert.history = lately.remove(&alert.id).map(Box::new);
        }
        Ok(())
    }

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
            // One more than are looked at, so that it is known whether there are more.
            answers.elsewhere = store.told_and_firing(&asked.upstream, INHIBITING_MAX + 1).await?;
        }
        Ok(answers)
    }
}
