//! Huawei Cloud DataArts Factory.
//!
//! ```text
//! listing | jobs | belonging | examine    what is asked of a workspace
//! obs          the end of a failing node's log
//! workspace    the connection, and what was learnt
//! client       signed requests; fault classes what fails
//! answer       instances and nodes out of a record, the JSON object
//! settings | streams
//! ```
//!
//! Reads `GET /v1/{project_id}/jobs/instances/detail` and `GET /v1/{project_id}/jobs/{job}/instances/{id}`; for rules
//! about jobs themselves also `GET /v1/{project_id}/jobs` and `GET /v1/{project_id}/jobs/{job}/status`. What the
//! documents leave open is learnt, by the way (what `offset` counts) or by an examination, and handed on as [`Learnt`].
//!
//! # Design
//! A source is one workspace, for the header `workspace` names one; several workspaces are several sources. One request
//! lists a thousand instances of all jobs, so that a workspace costs one request a poll. The filters of the API are
//! used where they save something, which is for `jobs` alone: a source that names its jobs does not read the others,
//! one exact list each. `status` and `instanceType` take one value each and save nothing: rules ask for several, each
//! would cost a request of its own, and what a run became after its failure (the recovery) shows only where nothing is
//! filtered away.

mod answer;
mod belonging;
mod client;
mod examine;
mod fault;
mod jobs;
mod listing;
mod obs;
mod record;
mod settings;
mod streams;
mod workspace;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

pub use self::settings::{KEYS, Logs, Settings};
pub use self::workspace::DataArts;
use crate::clock::Clock;
pub use crate::iam::Auth;
use crate::limits::DATAARTS_SPAN_MAX;
use crate::model::{Belonging, Instance, Job, JobList, Node, SourceId, Window};
use crate::secret::SecretRef;
use crate::source::contract::{Detail, Finding, Learnt, Listing, LogEnd, Scheduler, Source, SourceError, TellsJobs};

/// The word for `type`.
const KIND: &str = "dataarts";

impl Source for DataArts {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn list(&self, window: Window) -> BoxFuture<'_, Result<Listing, SourceError>> {
        Box::pin(self.listed(window))
    }

    fn detail<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<Detail, SourceError>> {
        Box::pin(self.detailed(instance))
    }

    fn with_log<'a>(&'a self, error: Option<&'a str>, log: &'a str) -> BoxFuture<'a, Option<LogEnd>> {
        Box::pin(self.error_with_log(error, log))
    }

    fn examine(&self) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(self.ask_all())
    }

    /// A longer one is read in parts of this span at most, so that a catch-up commits them one by one.
    fn span_max(&self) -> Duration {
        DATAARTS_SPAN_MAX
    }

    fn tells_jobs(&self) -> Option<&dyn TellsJobs> {
        Some(self)
    }

    fn belonging<'a>(&'a self, instance: &'a Instance, _needs_root: bool) -> BoxFuture<'a, Option<Belonging>> {
        Box::pin(async { self.real_time_job_of(instance).await.map(Belonging::Node) })
    }

    fn learn(&self, learnt: &Learnt) {
        self.take_learnt(learnt);
    }

    fn learnt(&self) -> Learnt {
        self.all_learnt()
    }
}

impl TellsJobs for DataArts {
    fn jobs(&self) -> BoxFuture<'_, Result<JobList, SourceError>> {
        Box::pin(self.read_jobs())
    }

    fn nodes_of<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Vec<Node>, SourceError>> {
        Box::pin(self.read_job_nodes(&job.name))
    }
}

impl Scheduler for Settings {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn stands_still(&self) -> bool {
        true
    }

    fn tells_jobs(&self) -> bool {
        true
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        Settings::secrets(self)
    }

    fn open(&self, id: SourceId, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>, SourceError> {
        DataArts::open(id, self, clock).map(|source| Arc::new(source) as Arc<dyn Source>)
    }
}
