//! One Airflow: the connection, and what is known of it between calls.
//!
//! It knows neither runs nor jobs: the modules that read them are above it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;

use super::api::AirflowApi;
use super::kept::Kept;
use super::settings::Settings;
use crate::clock::Clock;
use crate::model::SourceId;
use crate::source::contract::SourceError;
use crate::source::kit::json::Json;
use crate::source::kit::{Call, Client, Patience};

/// One Airflow.
pub struct Airflow {
    pub(super) id: SourceId,
    pub(super) client: Client<AirflowApi>,
    pub(super) kept: Mutex<Kept>,
    /// The zones of DAGs' clocks.
    pub(super) zones: Mutex<HashMap<String, TimeZone>>,
}

impl Airflow {
    /// A connection to the Airflow that `settings` describe; nothing is sent yet.
    ///
    /// # Errors
    /// [`crate::source::SourceErrorKind::Configuration`] when the `ca_file` cannot be used.
    pub fn open(id: SourceId, settings: &Settings, clock: Arc<dyn Clock>) -> Result<Airflow, SourceError> {
        let client = Client::new(AirflowApi::new(settings.clone()), settings.ca_file.clone(), clock)?;
        Ok(Airflow { id, client, kept: Mutex::default(), zones: Mutex::default() })
    }

    /// The same with other times to wait.
    pub fn with_patience(mut self, patience: Patience) -> Airflow {
        self.client.patience = patience;
        self
    }

    pub(super) async fn ask(&self, call: &Call) -> Result<Json, SourceError> {
        self.client.json(call).await
    }
}
