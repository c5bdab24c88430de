//! One instance as it is now: of a job with the end of its log, or of a workflow with the runs of its jobs.
//!
//! Reads the network through the service.

use super::answer::Row;
use super::directory::Job;
use super::service::SchedulerX;
use super::{status, workflow};
use crate::model::{Instance, JobRef};
use crate::source::contract::{Detail, SourceError, SourceErrorKind};
use crate::source::kit::excerpt;

/// Jobs of one name that a detail is asked of, one after the other.
const NAMESAKES_MAX: usize = 4;

impl SchedulerX {
    /// The instance with its nodes.
    pub(super) async fn detailed(&self, instance: &Instance) -> Result<Detail, SourceError> {
        // A workflow's instance has the id and the name of its workflow; of one that was remembered from an earlier run
        // of the program only the name is known, and a job may have it too.
        let (jobs, workflows) = {
            let state = self.state();
            (state.directory.candidates(&instance.job), state.workflows.candidates(&instance.job))
        };
        let mut last = None;
        for workflow in workflows.iter().take(NAMESAKES_MAX) {
            match workflow::detail(self, workflow, instance).await {
                Err(error) if error.kind == SourceErrorKind::NotFound => last = Some(error),
                answered => return answered,
            }
        }
        match last {
            Some(error) if jobs.is_empty() => Err(error),
            _ => self.detail_of_job(jobs, instance).await,
        }
    }

    /// The detail of an instance that belongs to one of `jobs`: several may have its job's name, and only one of them knows
    /// the instance.
    async fn detail_of_job(&self, jobs: Vec<Job>, instance: &Instance) -> Result<Detail, SourceError> {
        let mut last = SourceError::new(
            SourceErrorKind::NotFound,
            format!("no job called {:?} is in the groups any more", instance.job.name),
        );
        for job in jobs.into_iter().take(NAMESAKES_MAX) {
            match self.row(&job, &instance.id).await {
                Ok(row) => {
                    let mut row = Row { plan_time: row.plan_time.or(instance.plan_time), ..row };
                    if status::is_failure(row.status) {
                        let log = self.log_tail(&job, &row).await;
                        if !log.is_empty() {
                            row.error = excerpt::failure_text(row.error.as_deref(), &log);
                        }
                    }
                    let named = JobRef { name: instance.job.name.clone(), id: Some(job.id) };
                    return Ok(Detail::new(self.instance(row, named), Vec::new()));
                }
                Err(error) if error.kind == SourceErrorKind::NotFound => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}
