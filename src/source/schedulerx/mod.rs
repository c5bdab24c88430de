//! Alibaba Cloud SchedulerX (API of 2019-04-30).
//!
//! ```text
//! detail | listing | workflow | examine    what is asked
//! told        lists that tell their total
//! service     the connection, and what is known of the service (state)
//! client      signed calls, paced over the whole process; fault classes what fails
//! answer      the data of one answer (status: the numbers)
//! directory | zone | settings
//! ```
//!
//! Reads `ListGroups`, `ListJobs`, `GetJobInstanceList`, `GetJobInstance` and `GetLog`; for workflows see [`workflow`]. What is learnt of the service (whether
//! it lists a whole group at once, how many records fill a page) is remembered, and can be taken along with
//! [`Source::learnt`].
//!
//! # Design
//! - A mis-permissioned account gets empty lists and no error. So [`SchedulerX`] asks first whether it sees its groups,
//!   and asks again after any error and whenever a group is silent.
//! - Lists tell ids of jobs, and names stand in another list. What an instance is called decides which rules match it
//!   and which episode it belongs to, so a name that is not known is asked for before the instance is told of.

mod answer;
mod client;
mod detail;
mod directory;
mod examine;
mod fault;
mod listing;
mod service;
mod settings;
mod state;
mod status;
mod told;
mod workflow;
mod zone;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use self::fault::HELPS;
pub use self::service::SchedulerX;
pub use self::settings::{KEYS, Settings};
use crate::clock::Clock;
use crate::model::{Belonging, Instance, JobSchedule, SourceId, Window};
use crate::secret::SecretRef;
use crate::source::contract::{
    Detail, Finding, Learnt, Listing, Scheduler, Source, SourceError, SourceErrorKind, TellsSchedules,
};

/// The word for `type`.
const KIND: &str = "schedulerx";

impl SchedulerX {
    async fn listed(&self, window: Window) -> Result<Listing, SourceError> {
        let listed = listing::read(self, window).await;
        listed.map_err(|error| {
            self.state().has_seen_groups = false;
            match error.kind {
                // What a whole list does not find is no instance that is gone, but a place that never was.
                SourceErrorKind::NotFound => {
                    SourceError::new(SourceErrorKind::Configuration, error.message).help(HELPS.parameters)
                }
                _ => error,
            }
        })
    }

    async fn planned(&self) -> Result<Vec<JobSchedule>, SourceError> {
        let settings = &self.client.api.settings;
        Ok(listing::read_jobs(self).await?.schedules(&settings.jobs, &settings.timezone))
    }

    async fn run_around(&self, instance: &Instance, needs_root: bool) -> Option<Belonging> {
        if !needs_root {
            return None;
        }
        workflow::workflow_of(self, instance).await.map(Belonging::Workflow)
    }
}

impl Source for SchedulerX {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn list(&self, window: Window) -> BoxFuture<'_, Result<Listing, SourceError>> {
        Box::pin(self.listed(window))
    }

    fn detail<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<Detail, SourceError>> {
        Box::pin(self.detailed(instance))
    }

    fn examine(&self) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(examine::examine(self))
    }

    fn tells_schedules(&self) -> Option<&dyn TellsSchedules> {
        Some(self)
    }

    fn belonging<'a>(&'a self, instance: &'a Instance, needs_root: bool) -> BoxFuture<'a, Option<Belonging>> {
        Box::pin(self.run_around(instance, needs_root))
    }

    fn learn(&self, learnt: &Learnt) {
        self.state().learn(learnt);
    }

    fn learnt(&self) -> Learnt {
        self.state().learnt()
    }
}

impl TellsSchedules for SchedulerX {
    fn schedules(&self) -> BoxFuture<'_, Result<Vec<JobSchedule>, SourceError>> {
        Box::pin(self.planned())
    }
}

impl Scheduler for Settings {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn rate_group(&self) -> Option<&'static str> {
        // Its calls are paced over the whole process.
        Some("schedulerx")
    }

    fn tells_schedules(&self) -> bool {
        true
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        Settings::secrets(self)
    }

    fn open(&self, id: SourceId, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>, SourceError> {
        SchedulerX::open(id, self, clock).map(|source| Arc::new(source) as Arc<dyn Source>)
    }
}
