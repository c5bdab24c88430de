//! A described scheduler: the connection, and what is known of it between calls.
//!
//! It knows how a run that was read becomes an instance, and not how one is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::api::{HttpApi, Purpose, Question, bad};
use super::fill::Values;
use super::map::{Origin, Run};
use super::request::RequestSettings;
use super::settings::Settings;
use crate::clock::Clock;
use crate::lock::locked;
use crate::model::{Instance, SourceId};
use crate::source::contract::SourceError;
use crate::source::kit::json::Json;
use crate::source::kit::{Client, Patience};

/// A scheduler as the configuration describes it.
pub struct HttpSource {
    pub(super) id: SourceId,
    pub(super) client: Client<HttpApi>,
    pub(super) state: Mutex<State>,
}

/// An answer that was a success.
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    /// The address in a header `Link` that calls itself the next.
    pub(super) link: Option<String>,
}

impl Answer {
    /// The answer as JSON.
    pub(super) fn json(&self) -> Result<Json, SourceError> {
        Json::read(&self.body).map_err(bad)
    }
}

/// What is known of the scheduler between calls.
#[derive(Default)]
pub(super) struct State {
    /// The names of jobs, and when they were read.
    pub(super) names: HashMap<String, String>,
    pub(super) names_read_at: Option<Timestamp>,
    /// Why there may be names that were not read.
    pub(super) names_shortfall: Option<String>,
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
        let client = Client::new(HttpApi::new(settings.clone())?, settings.ca_file.clone(), clock)?;
        Ok(HttpSource { id, client, state: Mutex::default() })
    }

    /// The same with other times to wait.
    pub fn with_patience(mut self, patience: Patience) -> HttpSource {
        self.client.patience = patience;
        self
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.client.api.settings
    }

    /// The answer to a request; `link` is an address that a page before told.
    pub(super) async fn ask(
        &self,
        request: &RequestSettings,
        values: &Values,
        link: Option<&str>,
        purpose: Purpose,
    ) -> Result<Answer, SourceError> {
        let answer = self.client.answer(&question(request, values, link, purpose)).await?;
        let link = answer.whole_header("link").and_then(next_link);
        Ok(Answer { body: answer.into_body(), link })
    }

    /// About the last `bytes` of the text that a request is answered with.
    pub(super) async fn ask_for_end(
        &self,
        request: &RequestSettings,
        values: &Values,
        bytes: usize,
    ) -> Result<Vec<u8>, SourceError> {
        self.client.end_of(&question(request, values, None, Purpose::Text), bytes).await
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
        let parts = match &self.settings().map.id.origin {
            Origin::Join(pointers) => pointers.len(),
            _ => 1,
        };
        Values {
            id: instance.id.splitn(parts, '/').map(str::to_string).collect(),
            job: Some(instance.job.name.clone()),
            job_id: instance.job.id.clone().or_else(|| told.and_then(|told| told.job_id.clone())).or_else(by_name),
            zone: Some(self.settings().timezone.clone().unwrap_or(TimeZone::UTC)),
            ..Values::default()
        }
    }
}

fn question(request: &RequestSettings, values: &Values, link: Option<&str>, purpose: Purpose) -> Question {
    Question { request: request.clone(), values: values.clone(), link: link.map(str::to_string), purpose }
}

/// The address of the next page in a header `Link` (RFC 8288).
fn next_link(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (address, parameters) = link.split_once('>')?;
        let is_next = parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split(' ').any(|word| word.eq_ignore_ascii_case("next"))
        });
        is_next.then(|| address.trim().trim_start_matches('<').to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_a_link_header() {
        let table = [
            ("<https://x/y?page=2>; rel=\"next\", <https://x/y?page=9>; rel=\"last\"", Some("https://x/y?page=2")),
            ("<https://x/y?page=1>; rel=\"prev\", </y?page=3>; rel=next", Some("/y?page=3")),
            ("<https://x/y?page=9>; rel=\"last\"", None),
            ("nonsense", None),
        ];
        for (header, expected) in table {
            assert_eq!(next_link(header).as_deref(), expected, "{header}");
        }
    }
}
