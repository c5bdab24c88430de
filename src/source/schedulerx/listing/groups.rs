//! The instances of one group: as a whole, or job by job where the service wants that.
//!
//! Reads the network through the service, and learns how each group is listed.

use super::reader::Reader;
use crate::limits::{SCHEDULERX_LISTING_CALLS_MAX, SCHEDULERX_PROBED_JOBS};
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::schedulerx::answer::Row;
use crate::source::schedulerx::state::Way;

impl Reader<'_> {
    pub(super) async fn read_group(&mut self, group: &str) -> Result<(), SourceError> {
        let known = self.source.state().ways.get(group).copied();
        if known == Some(Way::ByJob) {
            return self.read_jobs_of(group).await.map(drop);
        }
        match self.read_pages(group, None).await {
            Ok(0) if known.is_none() => self.probe(group).await,
            Ok(_) => {
                self.learn(group, Way::ByGroup);
                Ok(())
            }
            Err(error) if !is_refusal(&error) => Err(error),
            // It could be listed before: the next poll finds out anew whether it still can.
            Err(error) if known.is_some() => {
                self.source.state().ways.remove(group);
                Err(error)
            }
            Err(error) => {
                // Perhaps the service wants to be asked job by job; if not, its first words are the true reason.
                match self.read_jobs_of(group).await {
                    Ok(answered) if answered > 0 => {
                        self.learn(group, Way::ByJob);
                        Ok(())
                    }
                    _ => Err(error),
                }
            }
        }
    }

    /// A group that is silent as a whole: some of its jobs are asked, others at each poll. Where one of them has
    /// instances, the silence meant nothing.
    pub(super) async fn probe(&mut self, group: &str) -> Result<(), SourceError> {
        let jobs = self.wanted_jobs(group);
        let start = self.source.state().probed;
        let count = SCHEDULERX_PROBED_JOBS.min(jobs.len());
        self.source.state().probed = start.wrapping_add(count);
        for job in jobs.iter().cycle().skip(start % jobs.len().max(1)).take(count) {
            match self.read_pages(group, Some(job)).await {
                Ok(0) => {}
                Err(error) if is_refusal(&error) => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    self.learn(group, Way::ByJob);
                    return self.read_jobs_of(group).await.map(drop);
                }
            }
        }
        Ok(())
    }

    /// Lists job by job, and tells how many jobs there was an answer about.
    pub(super) async fn read_jobs_of(&mut self, group: &str) -> Result<usize, SourceError> {
        let jobs = self.wanted_jobs(group);
        // Jobs that the list of jobs left out are not asked.
        self.is_cut |= self.source.state().directory.is_short;
        let mut answered = 0;
        for job in &jobs {
            if self.calls >= SCHEDULERX_LISTING_CALLS_MAX {
                self.is_cut = true;
                let message = format!(
                    "listing {} jobs of {group} one by one takes too many calls; name those that matter in \"jobs\"",
                    jobs.len()
                );
                self.warn(group, message);
                break;
            }
            match self.read_pages(group, Some(job)).await {
                // A job that was removed meanwhile.
                Err(error) if error.kind == SourceErrorKind::NotFound => self.source.state().directory.retire(job),
                Err(error) => return Err(error),
                Ok(_) => answered += 1,
            }
        }
        Ok(answered)
    }

    pub(super) fn wanted_jobs(&self, group: &str) -> Vec<String> {
        let wanted = &self.source.client.api.settings.jobs;
        let mut jobs = self.source.state().directory.ids_of(group, self.source.client.clock.now());
        jobs.retain(|id| wanted.is_empty() || wanted.contains(id));
        jobs
    }

    /// The first instances of a group, and how they were got; learns whether it can be listed as a whole.
    pub(super) async fn peek(&mut self, group: &str) -> Result<Vec<Row>, SourceError> {
        let whole = self.fetch(group, None, 1).await;
        let refusal = match whole {
            Ok(rows) if !rows.is_empty() => {
                self.learn(group, Way::ByGroup);
                return Ok(rows.into_iter().flatten().collect());
            }
            Ok(_) => None,
            Err(error) if is_refusal(&error) => Some(error),
            Err(error) => return Err(error),
        };
        for job in self.wanted_jobs(group).iter().take(SCHEDULERX_PROBED_JOBS) {
            let rows = self.fetch(group, Some(job), 1).await?;
            if refusal.is_some() || !rows.is_empty() {
                self.learn(group, Way::ByJob);
            }
            if !rows.is_empty() {
                return Ok(rows.into_iter().flatten().collect());
            }
        }
        match refusal {
            Some(error) if self.source.state().ways.get(group) != Some(&Way::ByJob) => Err(error),
            _ => Ok(Vec::new()),
        }
    }
}

/// Whether an error may mean that the service wants to be asked otherwise.
fn is_refusal(error: &SourceError) -> bool {
    matches!(error.kind, SourceErrorKind::Configuration | SourceErrorKind::NotFound)
}
