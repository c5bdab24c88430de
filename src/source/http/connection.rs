//! A described scheduler: the connection, and what is known of it between calls.
//!
//! It knows how a run that was read becomes an instance, and not how one is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::client::Client;
use super::fill::Values;
use super::map::{Origin, Run};
use super::settings::Settings;
use crate::clock::Clock;
use crate::model::{Instance, SourceId};
use crate::source::contract::SourceError;
use crate::source::kit::{Patience, locked};

/// A scheduler as the configuration describes it.
pub struct HttpSource {
    pub(super) id: SourceId,
    pub(super) client: Client,
    pub(super) state: Mutex<State>,
}

/// What is known of the scheduler between calls.
#[derive(Default)]
pub(super) struct State {
    /// The names of jobs, and when they were read.
    pub(super) names: HashMap<String, String>,
    pub(super) names_read_at: Option<Timestamp>,
    /// What the last listing told of runs beside what every run has.
    pub(super) told: HashMap<String, Told>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Told {
    pub(super) job_id: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) url: Option<String>,
}

impl HttpSource {
    /// A connection to the scheduler that `settings` describe; nothing is sent yet.
    ///
    /// # Errors
    /// [`crate::source::SourceErrorKind::Configuration`] when the `ca_file` cannot be used.
    pub fn open(id: SourceId, settings: &Settings, clock: Arc<dyn Clock>) -> Result<HttpSource, SourceError> {
        Ok(HttpSource { id, client: Client::new(settings.clone(), clock)?, state: Mutex::default() })
    }

    /// The same with other times to wait.
    pub fn with_patience(mut self, patience: Patience) -> HttpSource {
        self.client.patience = patience;
        self
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Keeps what is told of the listed runs beside what every run has, until the next listing.
    pub(super) fn remember<'r>(&self, runs: impl Iterator<Item = &'r Run>) {
        let told = runs.map(|run| {
            let told = Told { job_id: run.job_id.clone(), owner: run.owner.clone(), url: run.url.clone() };
            (run.whole_id(), told)
        });
        self.state().told = told.filter(|(_, told)| *told != Told::default()).collect();
    }

    pub(super) fn instance(&self, run: Run) -> Instance {
        run.into_instance(&self.id)
    }

    /// What is filled in about one run.
    pub(super) fn values(&self, instance: &Instance) -> Values {
        let state = self.state();
        let told = state.told.get(&instance.id);
        let by_name = || state.names.iter().find(|(_, name)| **name == instance.job.name).map(|(id, _)| id.clone());
        let parts = match &self.client.settings.map.id.origin {
            Origin::Join(pointers) => pointers.len(),
            _ => 1,
        };
        Values {
            id: instance.id.splitn(parts, '/').map(str::to_string).collect(),
            job: Some(instance.job.name.clone()),
            job_id: instance.job.id.clone().or_else(|| told.and_then(|told| told.job_id.clone())).or_else(by_name),
            zone: Some(self.client.settings.timezone.clone().unwrap_or(TimeZone::UTC)),
            ..Values::default()
        }
    }
}
