//! Apache Airflow 3 (REST API v2).
//!
//! ```text
//! settings -> api (who asks; what a refusal means) -> connection, with what is kept of it
//!                 listing: runs of all DAGs | detail: one run, and the log of a failed try | jobs: DAGs and when they are due
//!                                             record: rows
//! ```
//!
//! Reads `/dags/~/dagRuns`, `/dags`, `/importErrors` and, of runs that alert, the run, its task instances and a log. Jobs are
//! DAGs, instances are DAG runs, nodes are task instances.
//!
//! # Design
//! - A run that is cleared keeps its id and runs again: its new start makes a second failure another episode.
//! - A poll costs one request while nothing much happens, whatever the number of DAGs.
//! - An account without rights gets empty lists and no error, so an empty list is held against the list of DAGs.

mod api;
mod connection;
mod detail;
mod examine;
mod jobs;
mod kept;
mod listing;
mod log;
mod record;
mod settings;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use connection::Airflow;
pub use settings::{Auth, KEYS, Settings};

use crate::clock::Clock;
use crate::model::{Instance, Job, JobList, JobSchedule, Node, SourceId, Window};
use crate::secret::SecretRef;
use crate::source::contract::{Detail, Finding, Listing, Scheduler, Source, SourceError, TellsJobs, TellsSchedules};

/// The word for `type`.
const KIND: &str = "airflow";

impl Source for Airflow {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn list(&self, window: Window) -> BoxFuture<'_, Result<Listing, SourceError>> {
        Box::pin(listing::read(self, window))
    }

    fn detail<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<Detail, SourceError>> {
        Box::pin(self.look_at(instance))
    }

    fn examine(&self) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(examine::examine(self))
    }

    fn tells_jobs(&self) -> Option<&dyn TellsJobs> {
        Some(self)
    }

    fn tells_schedules(&self) -> Option<&dyn TellsSchedules> {
        Some(self)
    }
}

impl TellsJobs for Airflow {
    fn jobs(&self) -> BoxFuture<'_, Result<JobList, SourceError>> {
        Box::pin(jobs::read_jobs(self))
    }

    fn nodes_of<'a>(&'a self, _job: &'a Job) -> BoxFuture<'a, Result<Vec<Node>, SourceError>> {
        // A DAG has no nodes of its own: only its runs do.
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

impl TellsSchedules for Airflow {
    fn schedules(&self) -> BoxFuture<'_, Result<Vec<JobSchedule>, SourceError>> {
        Box::pin(jobs::read_schedules(self))
    }
}

impl Scheduler for Settings {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn tells_jobs(&self) -> bool {
        true
    }

    fn tells_schedules(&self) -> bool {
        true
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        Settings::secrets(self)
    }

    fn open(&self, id: SourceId, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>, SourceError> {
        Airflow::open(id, self, clock).map(|source| Arc::new(source) as Arc<dyn Source>)
    }
}
