//! What becomes of the rows that were read: instances with names, and what they prove to have been read.

use super::reader::Reader;
use crate::model::{Coverage, Instance, JobRef, Part, Unread};
use crate::source::contract::{Listing, SourceError};
use crate::source::schedulerx::answer::Row;
use crate::source::schedulerx::told::set_aside_of;
use crate::source::schedulerx::zone;

impl Reader<'_> {
    /// Names the rows and makes the listing of them.
    pub(super) async fn finish(mut self) -> Result<Listing, SourceError> {
        let wanted = &self.source.client.api.settings.jobs;
        let mut rows = std::mem::take(&mut self.rows);
        rows.retain(|row| wanted.is_empty() || wanted.contains(&row.job_id));
        self.name_unknown_jobs(&rows).await?;
        let count = rows.len();
        let mut instances = self.named(rows);
        let is_waited_for = instances.len() < count;
        self.warn_of_oddities(&instances);
        let unread = self.add_workflows(&mut instances).await;
        let mut coverage = Coverage::whole(self.window, self.source.client.api.settings.scope());
        coverage.unread.extend(unread);
        if is_waited_for {
            coverage.unread.push(Unread { part: Part::AnyRun, reason: None });
        }
        if self.is_cut {
            let reason = format!("only {} instances could be read within the calls of one poll", instances.len());
            coverage = coverage.without(Part::AnyRun, reason);
        }
        self.set_aside_unclear_jobs();
        coverage.set_aside = self.set_aside;
        let now = self.source.client.clock.now();
        Ok(Listing {
            instances,
            coverage,
            requests: self.calls,
            warnings: self.source.state().not_told_lately(self.warnings, now),
        })
    }

    /// The instances of rows, but for those whose jobs have no name yet.
    fn named(&self, rows: Vec<Row>) -> Vec<Instance> {
        let (directory, nameless) = {
            let state = self.source.state();
            (state.directory.clone(), state.nameless.clone())
        };
        let named = rows.into_iter().filter_map(|row| {
            // The name decides which rules match and which episode it is: one that is still to be asked for is
            // waited for. One that nobody knows has to be made up.
            let name = match directory.get(&row.job_id) {
                Some(job) => job.name.clone(),
                None if nameless.contains(&row.job_id) => format!("job {}", row.job_id),
                None => return None,
            };
            let job = JobRef { name, id: Some(row.job_id.clone()) };
            Some(self.source.instance(row, job))
        });
        named.collect()
    }

    /// A row of the list of jobs that could not be understood may be any job, unless those that are listened to are all known.
    fn set_aside_unclear_jobs(&mut self) {
        let wanted = &self.source.client.api.settings.jobs;
        let (unclear, is_known) = {
            let state = self.source.state();
            let is_known = |id: &String| state.directory.get(id).is_some();
            (state.directory.unclear, !wanted.is_empty() && wanted.iter().all(is_known))
        };
        self.set_aside.extend(set_aside_of(unclear, "ListJobs").filter(|_| !is_known));
    }

    fn warn_of_oddities(&mut self, instances: &[Instance]) {
        let directory = self.source.state().directory.clone();
        for (name, ids) in directory.namesakes() {
            let ids = ids.join(", ");
            let text = format!(
                "the jobs {ids} are all called {name:?}: a success of one is taken for a success of the others"
            );
            self.warn(&ids, text);
        }
        let settings = &self.source.client.api.settings;
        for id in settings.jobs.iter().filter(|id| directory.get(id).is_none()) {
            self.warn(id, format!("the job {id} that \"jobs\" names is in none of the groups"));
        }
        let now = self.source.client.clock.now();
        if let Some(doubt) = zone::doubt(instances, self.window, now, &settings.timezone) {
            self.warn("zone", doubt);
        }
    }
}
