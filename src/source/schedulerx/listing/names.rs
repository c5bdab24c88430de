//! The names of the jobs whose instances are listed: from the list of jobs, and where that has none, from an instance.

use std::collections::HashMap;
use std::time::Duration;

use super::reader::Reader;
use crate::source::contract::SourceError;
use crate::source::schedulerx::answer::{JobRow, Row, Timing, read_jobs};
use crate::source::schedulerx::directory::{Directory, Job};
use crate::source::schedulerx::service::SchedulerX;
use crate::source::schedulerx::told::{Told, read_told};

/// Names that are asked for one by one in a listing; instances whose names come later are told later.
const NAMES_ASKED_MAX: usize = 20;

impl Reader<'_> {
    /// Reads the jobs of all groups, unless what is known is younger than `age_max`.
    pub(super) async fn refresh_directory(&mut self, age_max: Duration) -> Result<(), SourceError> {
        let now = self.source.client.clock.now();
        let known = self.source.state().directory.clone();
        let is_fresh = known.read_at.is_some_and(|at| now.duration_since(at).unsigned_abs() < age_max);
        if is_fresh {
            return Ok(());
        }
        let mut fresh = Directory::default();
        fresh.read_at = Some(now);
        let by_id = |data: &str| {
            let (rows, count, total) = read_jobs(data)?;
            Ok((rows.into_iter().map(|row| (row.id.clone(), row)).collect(), count, total))
        };
        for group in &self.source.client.api.settings.groups {
            match read_told(self.source, "ListJobs", group, &mut self.calls, by_id).await {
                Ok(Told { items, unclear, short }) => {
                    fresh.add(group, items.into_values());
                    fresh.unclear += unclear;
                    fresh.is_short |= short.is_some();
                    if let Some(reason) = short {
                        self.warn("jobs", format!("the list of jobs is not whole: {reason}"));
                    }
                }
                // Names change seldom: those of a while ago serve while the service has trouble.
                Err(error) if known.read_at.is_some() && error.is_passing() => {
                    self.warn("names", format!("the names of the jobs are those of a while ago: {error}"));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        fresh.inherit(&known, now);
        self.source.state().directory = fresh;
        Ok(())
    }

    /// Finds the names of jobs that are not in the directory: new ones by reading it again, others from an instance.
    pub(super) async fn name_unknown_jobs(&mut self, rows: &[Row]) -> Result<(), SourceError> {
        let unknown = |source: &SchedulerX| -> Vec<Row> {
            let state = source.state();
            let mut found: HashMap<&str, &Row> = HashMap::new();
            for row in rows {
                if state.directory.get(&row.job_id).is_none() && !state.nameless.contains(&row.job_id) {
                    found.entry(&row.job_id).or_insert(row);
                }
            }
            found.into_values().cloned().collect()
        };
        if unknown(self.source).is_empty() {
            return Ok(());
        }
        self.refresh_directory(Duration::ZERO).await?;
        let mut open = unknown(self.source);
        open.sort_by(|a, b| a.job_id.cmp(&b.job_id));
        for row in open.into_iter().take(NAMES_ASKED_MAX) {
            let group = self.groups.get(&row.job_id).cloned().unwrap_or_default();
            let job = Job {
                gone_at: None,
                id: row.job_id.clone(),
                name: String::new(),
                group: group.clone(),
                is_enabled: false,
                timing: Timing::Called,
            };
            self.calls += 1;
            let name = match self.source.row(&job, &row.id).await {
                Ok(detail) => detail.job_name,
                Err(error) if error.is_passing() => {
                    self.warn("names", format!("some instances wait for the names of their jobs: {error}"));
                    return Ok(());
                }
                Err(_) => None,
            };
            let mut state = self.source.state();
            match name {
                Some(name) => {
                    let row = JobRow { id: row.job_id, name, is_enabled: false, timing: Timing::Called };
                    state.directory.add(&group, [row]);
                }
                None => {
                    state.nameless.insert(row.job_id.clone());
                    drop(state);
                    self.warn(&row.job_id, format!("the job {} has no name that could be read", row.job_id));
                }
            }
        }
        Ok(())
    }
}
