//! What is held of one workspace between requests: the connection, and what was learnt of the service.
//!
//! Reads and writes memory only.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::client::{Connection, Gateway};
use super::obs::LogReader;
use super::settings::Settings;
use super::streams::Streams;
use crate::clock::Clock;
use crate::limits::DATAARTS_SPAN_MAX;
use crate::lock::locked;
use crate::model::SourceId;
use crate::source::contract::{Learnt, SourceError};
use crate::source::kit::Patience;
use crate::source::kit::paging::Meaning;

/// The question what `offset` counts; the answers are `records` and `pages`.
pub(super) const OFFSET: &str = "offset";
/// When a password was refused, which must not be tried again at once by the next run.
const SIGN_IN: &str = "sign_in_refused";
/// The question how many days one query may span; the answer is a number.
pub(super) const SPAN_DAYS: &str = "span_days";
/// Spans that services are known to accept, the longest first, in days.
pub(super) const SPANS_DAYS: [u64; 3] = [7, 3, 1];

/// A DataArts workspace.
pub struct DataArts {
    pub(super) id: SourceId,
    pub(super) client: Connection,
    /// Requests a second.
    pub(super) pace: f64,
    /// The jobs to read; all when empty.
    pub(super) jobs: Vec<String>,
    /// The ends of logs, where they are wanted.
    pub(super) logs: Option<LogReader>,
    /// The real-time jobs, by which sub-jobs are told apart.
    pub(super) streams: Streams,
    offset_meaning: Mutex<Option<Meaning>>,
    /// What else was learnt, by question.
    learnt: Mutex<Learnt>,
}

impl DataArts {
    /// A connection to the workspace that `settings` describe; nothing is sent yet.
    ///
    /// # Errors
    /// [`crate::source::SourceErrorKind::Configuration`] when the `ca_file` cannot be used.
    pub fn open(id: SourceId, settings: &Settings, clock: Arc<dyn Clock>) -> Result<DataArts, SourceError> {
        let logs = settings.logs.clone();
        let logs = logs.map(|logs| LogReader::open(logs, settings.ca_file.clone(), Arc::clone(&clock))).transpose()?;
        let client = Connection::new(Gateway::new(settings.clone()), settings.ca_file.clone(), clock)?;
        Ok(DataArts {
            id,
            client,
            pace: settings.requests_per_second,
            jobs: settings.jobs.clone(),
            logs,
            streams: Streams::default(),
            offset_meaning: Mutex::default(),
            learnt: Mutex::default(),
        })
    }

    /// The same with other times to wait.
    pub fn with_patience(mut self, patience: Patience) -> DataArts {
        self.client.patience = patience;
        self
    }

    /// What `offset` counts, as far as that is known.
    pub(super) fn meaning(&self) -> MutexGuard<'_, Option<Meaning>> {
        locked(&self.offset_meaning)
    }

    /// The longest span of plan times that one query may ask for.
    pub(super) fn query_span_max(&self) -> Duration {
        let learnt = locked(&self.learnt).get(SPAN_DAYS).and_then(|days| days.parse::<u64>().ok());
        let days = learnt.filter(|days| *days > 0).map(|days| Duration::from_secs(days * 24 * 3600));
        days.map_or(DATAARTS_SPAN_MAX, |span| span.min(DATAARTS_SPAN_MAX))
    }

    /// Keeps the answer to a question.
    pub(super) fn remember(&self, question: &str, answer: &str) {
        locked(&self.learnt).insert(question.to_string(), answer.to_string());
    }

    pub(super) fn take_learnt(&self, learnt: &Learnt) {
        if let Some(meaning) = learnt.get(OFFSET).and_then(|word| Meaning::from_word(word)) {
            *self.meaning() = Some(meaning);
        }
        let mut learnt = learnt.clone();
        if let Some(refusal) = learnt.remove(SIGN_IN) {
            self.client.api.caller.recall(&refusal);
        }
        *locked(&self.learnt) = learnt;
    }

    pub(super) fn all_learnt(&self) -> Learnt {
        let mut learnt = locked(&self.learnt).clone();
        if let Some(meaning) = *self.meaning() {
            learnt.insert(OFFSET.to_string(), meaning.as_str().to_string());
        }
        if let Some(refusal) = self.client.api.caller.refusal() {
            learnt.insert(SIGN_IN.to_string(), refusal);
        }
        learnt
    }
}
