//! Huawei Cloud DataArts Factory.
//!
//! ```text
//! settings -> client (signed, paced requests; fault classes what fails)
//!                |  one page
//!             answer (record: the JSON object) -> paging -> Listing
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
mod client;
mod examine;
mod fault;
mod jobs;
mod pace;
mod paging;
mod record;
mod settings;
mod streams;

use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use settings::{KEYS, Settings};

use self::answer::Item;
use self::client::{Client, Query};
use self::paging::{Meaning, PageQuery, Whole};
use self::streams::Streams;
use crate::clock::Clock;
pub use crate::iam::Auth;
use crate::limits::SOURCE_WINDOW_MAX;
use crate::model::{Coverage, Instance, Job, Node, Part, PartOf, SourceId, Window};
use crate::source::contract::{Detail, Finding, Learnt, Listing, Source, SourceError, SourceErrorKind};
use crate::source::kit::{Patience, foreign};

/// A DataArts workspace.
pub struct DataArts {
    id: SourceId,
    client: Client,
    clock: Arc<dyn Clock>,
    /// Requests a second.
    pace: f64,
    /// The jobs to read; all when empty.
    jobs: Vec<String>,
    offset_meaning: Mutex<Option<Meaning>>,
    /// The real-time jobs, by which sub-jobs are told apart.
    streams: Streams,
    /// What else was learnt, by question.
    learnt: Mutex<Learnt>,
}

/// The question what `offset` counts; the answers are `records` and `pages`.
const OFFSET: &str = "offset";
/// When a password was refused, which must not be tried again at once by the next run.
const SIGN_IN: &str = "sign_in_refused";
/// The question how many days one query may span; the answer is a number.
const SPAN_DAYS: &str = "span_days";
/// Spans that services are known to accept, the longest first, in days.
const SPANS_DAYS: [u64; 3] = [7, 3, 1];

impl DataArts {
    /// A connection to the workspace that `settings` describe; nothing is sent yet.
    ///
    /// # Errors
    /// [`SourceErrorKind::Configuration`] when the `ca_file` cannot be used.
    pub fn open(id: SourceId, settings: &Settings, clock: Arc<dyn Clock>) -> Result<DataArts, SourceError> {
        let client = Client::new(settings.clone(), Arc::clone(&clock))?;
        let pace = settings.requests_per_second;
        Ok(DataArts {
            id,
            client,
            pace,
            clock,
            jobs: settings.jobs.clone(),
            offset_meaning: Mutex::new(None),
            streams: Streams::default(),
            learnt: Mutex::default(),
        })
    }

    /// The same with other times to wait.
    pub fn with_patience(mut self, patience: Patience) -> DataArts {
        self.client.patience = patience;
        self
    }

    /// A page of the instance list, of all jobs or of the one that is named.
    async fn page(&self, job: Option<&str>, query: PageQuery) -> Result<paging::Page<Item>, SourceError> {
        // The documents say "later than" and "earlier than": a millisecond more on both sides asks for what is meant
        // whether the ends are included or not.
        let min = query.window.from.as_millisecond().saturating_sub(1);
        let max = query.window.to.as_millisecond().saturating_add(1);
        let mut pairs = vec![
            ("limit", query.limit.to_string()),
            ("maxPlanTime", max.to_string()),
            ("minPlanTime", min.to_string()),
            ("offset", query.offset.to_string()),
        ];
        if let Some(job) = job {
            pairs.extend([("jobName", job.to_string()), ("preciseQuery", "true".to_string())]);
        }
        let body = self
            .client
            .get(&Query {
                path: ["jobs", "instances", "detail"].map(str::to_string).to_vec(),
                pairs: pairs.into_iter().map(|(key, value)| (key.to_string(), value)).collect(),
            })
            .await?;
        answer::read_page(&self.id, &body).map_err(bad_answer)
    }

    async fn list_of(&self, job: Option<&str>, window: Window) -> Result<Listing, SourceError> {
        let mut meaning = *self.meaning();
        let whole = self.read_whole(job, window, &mut meaning).await?;
        if *self.meaning() != meaning {
            tracing::debug!(source = %self.id, ?meaning, "learnt what offsets count");
            *self.meaning() = meaning;
        }
        let mut coverage = Coverage::whole(window, self.jobs.join(","));
        if let Some(reason) = whole.shortfall {
            coverage = match job {
                Some(job) => coverage.without(Part::Job(job.to_string()), format!("{reason} of {job}")),
                None => coverage.without(Part::AnyRun, reason),
            };
        }
        let mut listing = Listing { requests: whole.requests, ..Listing::new(Vec::new(), coverage) };
        listing.instances.reserve(whole.rows.len());
        for item in whole.rows {
            match item {
                Item::Read(instance) => listing.instances.push(instance),
                Item::SetAside(item) => listing.coverage.set_aside.push(item),
            }
        }
        Ok(listing)
    }

    /// Every row of the window. Some services accept shorter spans only, and say no more than that a parameter is wrong: a
    /// window that is refused is asked for in shorter parts, and what works is learnt.
    async fn read_whole(
        &self,
        job: Option<&str>,
        window: Window,
        meaning: &mut Option<Meaning>,
    ) -> Result<Whole<Item>, SourceError> {
        let fetch = |query| self.page(job, query);
        let refusal = match paging::read_all(window, self.span_max(), meaning, fetch).await {
            Err(error) if error.kind == SourceErrorKind::Configuration => error,
            other => return other,
        };
        let asked = window.to.duration_since(window.from).unsigned_abs().min(self.span_max());
        for days in SPANS_DAYS {
            let span = Duration::from_secs(days * 24 * 3600);
            // A span that is as long as the window is asked for in two parts: each query reaches a millisecond further.
            if span > asked || span >= self.span_max() {
                continue;
            }
            if let Ok(whole) = paging::read_all(window, span, meaning, fetch).await {
                lock(&self.learnt).insert(SPAN_DAYS.to_string(), days.to_string());
                return Ok(whole);
            }
        }
        Err(refusal)
    }

    /// The longest span of plan times that one query may ask for.
    fn span_max(&self) -> Duration {
        let learnt = lock(&self.learnt).get(SPAN_DAYS).and_then(|days| days.parse::<u64>().ok());
        let days = learnt.filter(|days| *days > 0).map(|days| Duration::from_secs(days * 24 * 3600));
        days.map_or(SOURCE_WINDOW_MAX, |span| span.min(SOURCE_WINDOW_MAX))
    }

    fn meaning(&self) -> std::sync::MutexGuard<'_, Option<Meaning>> {
        lock(&self.offset_meaning)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Source for DataArts {
    fn kind(&self) -> &'static str {
        "dataarts"
    }

    async fn list(&self, window: Window) -> Result<Listing, SourceError> {
        if self.jobs.is_empty() {
            return self.list_of(None, window).await;
        }
        let mut listing = Listing::new(Vec::new(), Coverage::whole(window, self.jobs.join(",")));
        let mut refused = Vec::new();
        for job in &self.jobs {
            let mut part = match self.list_of(Some(job), window).await {
                Ok(part) => part,
                // A service may answer an error for a name that it does not know: the others are read all the same.
                Err(error) if matches!(error.kind, SourceErrorKind::NotFound | SourceErrorKind::Configuration) => {
                    refused.push((job, error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            // A service of the older dialect takes the name for a part of a name.
            part.instances.retain(|instance| instance.job.name == *job);
            listing.instances.append(&mut part.instances);
            listing.coverage.join(part.coverage);
            listing.requests += part.requests;
        }
        let none_is_read = refused.len() == self.jobs.len();
        for (job, error) in refused {
            let reason = format!("the job {job:?} that \"jobs\" names could not be read: {}", error.message);
            if none_is_read {
                return Err(SourceError { message: reason, ..error });
            }
            listing.coverage = listing.coverage.without(Part::Job(job.clone()), reason);
        }
        Ok(listing)
    }

    async fn detail(&self, instance: &Instance) -> Result<Detail, SourceError> {
        let path = ["jobs", &instance.job.name, "instances", &instance.id];
        let query = Query { path: path.map(str::to_string).to_vec(), pairs: Vec::new() };
        let body = self.client.get(&query).await?;
        answer::read_detail(instance, &body).map_err(bad_answer)
    }

    async fn jobs(&self) -> Result<Vec<Job>, SourceError> {
        self.read_jobs().await
    }

    async fn job_nodes(&self, job: &Job) -> Result<Vec<Node>, SourceError> {
        self.read_job_nodes(&job.name).await
    }

    async fn part_of(&self, instance: &Instance) -> Option<PartOf> {
        self.real_time_job_of(instance).await
    }

    async fn examine(&self) -> Vec<Finding> {
        self.ask_all().await
    }

    fn learn(&self, learnt: &Learnt) {
        if let Some(meaning) = learnt.get(OFFSET).and_then(|word| Meaning::from_word(word)) {
            *self.meaning() = Some(meaning);
        }
        let mut learnt = learnt.clone();
        if let Some(refusal) = learnt.remove(SIGN_IN) {
            self.client.caller.recall(&refusal);
        }
        *lock(&self.learnt) = learnt;
    }

    fn learnt(&self) -> Learnt {
        let mut learnt = lock(&self.learnt).clone();
        if let Some(meaning) = *self.meaning() {
            learnt.insert(OFFSET.to_string(), meaning.as_str().to_string());
        }
        if let Some(refusal) = self.client.caller.refusal() {
            learnt.insert(SIGN_IN.to_string(), refusal);
        }
        learnt
    }
}

fn bad_answer(message: String) -> SourceError {
    SourceError::new(SourceErrorKind::BadAnswer, message).help(foreign::HELP_BAD_ANSWER)
}
