//! Alibaba Cloud SchedulerX (API of 2019-04-30).
//!
//! ```text
//! settings -> client (signed calls, paced over the whole process; fault classes what fails)
//!                |  data of one answer
//!             answer (status: the numbers; excerpt: the failure text) -> listing, with names from directory
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
mod directory;
mod examine;
mod fault;
mod listing;
mod pace;
mod settings;
mod status;
mod workflow;
mod zone;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::{SignedDuration, Timestamp};

pub use settings::{KEYS, Settings};

use self::answer::{Row, read_detail, read_log};
use self::client::{Client, Pairs};
use self::directory::{Directory, Job};
use self::workflow::Workflows;
use crate::clock::Clock;
use crate::limits::{LOG_TAIL_LINES, SCHEDULERX_PAGE_RECORDS};
use crate::model::{Instance, JobRef, JobSchedule, SourceId, Window, WorkflowRun};
use crate::source::contract::{Detail, Finding, Learnt, Listing, Source, SourceError, SourceErrorKind};
use crate::source::kit::foreign::HELP_BAD_ANSWER;
use crate::source::kit::{Patience, excerpt};

/// How long after a group refused its logs they are asked for again.
const LOGS_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// How long something odd is not said again.
const TOLD_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// How far around a run its log is looked for: the clocks of workers differ.
const LOG_MARGIN: SignedDuration = SignedDuration::from_mins(1);
/// Jobs of one name that a detail is asked of, one after the other.
const NAMESAKES_MAX: usize = 4;

/// Groups of a SchedulerX namespace.
pub struct SchedulerX {
    id: SourceId,
    client: Client,
    state: Mutex<State>,
    /// Held while it is asked which workflow's run a job's run belongs to: what one question finds out serves the others.
    asking_roots: tokio::sync::Mutex<()>,
}

/// What is known of the service between calls.
#[derive(Default)]
struct State {
    /// Whether every configured group was seen since the last error.
    has_seen_groups: bool,
    directory: Directory,
    workflows: Workflows,
    /// How each group can be listed, where that is known.
    ways: BTreeMap<String, Way>,
    /// Records of the fullest page so far: a page with fewer is a list's last.
    fullest_page: usize,
    /// Groups whose logs cannot be read, and since when.
    without_logs: BTreeMap<String, Timestamp>,
    /// Records of a page that the service was asked for and gave, by operation.
    page_sizes: BTreeMap<&'static str, usize>,
    /// Where the next search for a silent group's instances begins among its jobs.
    probed: usize,
    /// Ids that no list of jobs names and the service could not name either.
    nameless: BTreeSet<String>,
    /// When something was last said, by what it is about.
    told: HashMap<String, Timestamp>,
}

impl State {
    /// Those of the warnings that were not given lately: what is odd stays so for long, and polls come every minute.
    fn not_told_lately(&mut self, warnings: Vec<(String, String)>, now: Timestamp) -> Vec<String> {
        self.told.retain(|_, at| now.duration_since(*at).abs() < TOLD_AGAIN);
        let mut fresh = Vec::new();
        for (about, text) in warnings {
            if let Entry::Vacant(untold) = self.told.entry(about) {
                untold.insert(now);
                fresh.push(text);
            }
        }
        fresh
    }
}

/// How the instances of a group can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All at once.
    ByGroup,
    /// Job by job.
    ByJob,
}

impl SchedulerX {
    /// A connection to the groups that `settings` describe; nothing is sent yet.
    ///
    /// # Errors
    /// [`SourceErrorKind::Configuration`] when the `ca_file` cannot be used.
    pub fn open(id: SourceId, settings: &Settings, clock: Arc<dyn Clock>) -> Result<SchedulerX, SourceError> {
        let client = Client::new(settings.clone(), clock)?;
        Ok(SchedulerX { id, client, state: Mutex::default(), asking_roots: tokio::sync::Mutex::default() })
    }

    /// The same with other times to wait.
    pub fn with_patience(mut self, patience: Patience) -> SchedulerX {
        self.client.patience = patience;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The groups of the namespace that the account can see.
    async fn seen_groups(&self) -> Result<Vec<String>, SourceError> {
        let data = self.client.call("ListGroups", Vec::new()).await?;
        answer::read_groups(&data).map_err(bad_answer)
    }

    /// Whether every configured group is among those that are seen.
    fn check_groups(&self, seen: &[String]) -> Result<(), SourceError> {
        let wanted = &self.client.settings.groups;
        let unseen: Vec<&str> = wanted.iter().filter(|group| !seen.contains(group)).map(String::as_str).collect();
        if unseen.is_empty() {
            return Ok(());
        }
        let (kind, count) = match seen.len() {
            0 => (SourceErrorKind::Credentials, "no group".to_string()),
            1 => (SourceErrorKind::Configuration, "one group".to_string()),
            several => (SourceErrorKind::Configuration, format!("{several} groups")),
        };
        let message = format!("the account sees {count} in the namespace, and not {}", unseen.join(", "));
        let help = "check \"namespace\" and \"groups\" (the application id), and grant the RAM user the applications: \
                    without the right, the service shows empty lists";
        Err(SourceError::new(kind, message).help(help))
    }

    /// One page of a list, the first has the number 1. A service that refuses the size of a page is asked for smaller ones.
    async fn page(
        &self,
        action: &'static str,
        pairs: &Pairs,
        page: usize,
        calls: &mut usize,
    ) -> Result<String, SourceError> {
        let known = self.state().page_sizes.get(action).copied();
        let mut refusal: Option<SourceError> = None;
        for size in PAGE_SIZES.into_iter().filter(|size| known.is_none_or(|known| known == *size)) {
            let mut pairs = pairs.clone();
            pairs.extend([("PageNum", page.to_string()), ("PageSize", size.to_string())]);
            *calls += 1;
            match self.client.call(action, pairs).await {
                Ok(data) => {
                    self.state().page_sizes.insert(action, size);
                    return Ok(data);
                }
                Err(error) if known.is_none() && is_about_size(&error) => refusal = refusal.or(Some(error)),
                Err(error) => return Err(refusal.unwrap_or(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| bad_answer("no size of a page is accepted")))
    }

    /// The detail of an instance in one job, as the service has it now.
    async fn row(&self, job: &Job, instance_id: &str) -> Result<Row, SourceError> {
        let pairs =
            vec![("GroupId", job.group.clone()), ("JobId", job.id.clone()), ("JobInstanceId", instance_id.to_string())];
        let data = self.client.call("GetJobInstance", pairs).await?;
        let gone = || SourceError::new(SourceErrorKind::NotFound, "the service knows no such instance");
        read_detail(&data, &self.client.settings.timezone).map_err(bad_answer)?.ok_or_else(gone)
    }

    /// The last lines of a failed instance's log, oldest first. Nothing where the edition keeps none: the result says
    /// enough.
    async fn log_tail(&self, job: &Job, row: &Row) -> Vec<String> {
        let now = self.client.clock.now();
        let since = self.state().without_logs.get(&job.group).copied();
        let Some(start) = row.start_time.or(row.plan_time) else { return Vec::new() };
        if since.is_some_and(|since| now.duration_since(since) < LOGS_AGAIN) {
            return Vec::new();
        }
        let from = start.saturating_sub(LOG_MARGIN).unwrap_or(start);
        let until = row.end_time.unwrap_or(now);
        let until = until.saturating_add(LOG_MARGIN).unwrap_or(until);
        let pairs = vec![
            ("GroupId", job.group.clone()),
            ("JobId", row.job_id.clone()),
            ("JobInstanceId", row.id.clone()),
            // Without a span, only the last thirty minutes are searched.
            ("StartTimestamp", from.as_millisecond().to_string()),
            ("EndTimestamp", until.as_millisecond().to_string()),
            ("Line", LOG_TAIL_LINES.to_string()),
            ("Reverse", "true".to_string()),
        ];
        match self.client.call("GetLog", pairs).await {
            Ok(data) => {
                let mut lines = read_log(&data);
                lines.reverse();
                lines
            }
            Err(error) => {
                tracing::debug!(source = %self.id, group = job.group, "no log of a failed instance: {error}");
                if !matches!(error.kind, SourceErrorKind::Transient | SourceErrorKind::Throttled) {
                    self.state().without_logs.insert(job.group.clone(), now);
                }
                Vec::new()
            }
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
                    return Ok(Detail { instance: self.instance(row, named), nodes: Vec::new() });
                }
                Err(error) if error.kind == SourceErrorKind::NotFound => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    fn instance(&self, row: Row, job: JobRef) -> Instance {
        Instance {
            source: self.id.clone(),
            id: row.id,
            job,
            name: None,
            status: row.status,
            raw_status: row.raw_status,
            kind: row.kind,
            plan_time: row.plan_time,
            start_time: row.start_time,
            end_time: row.end_time,
            error: row.error,
        }
    }
}

impl Source for SchedulerX {
    fn kind(&self) -> &'static str {
        "schedulerx"
    }

    async fn list(&self, window: Window) -> Result<Listing, SourceError> {
        let listed = listing::read(self, window).await;
        listed.map_err(|error| {
            self.state().has_seen_groups = false;
            match error.kind {
                // What a whole list does not find is no instance that is gone, but a place that never was.
                SourceErrorKind::NotFound => {
                    SourceError::new(SourceErrorKind::Configuration, error.message).help(fault::HELP_PARAMETERS)
                }
                _ => error,
            }
        })
    }

    async fn detail(&self, instance: &Instance) -> Result<Detail, SourceError> {
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

    async fn workflow_of(&self, instance: &Instance) -> Option<WorkflowRun> {
        workflow::workflow_of(self, instance).await
    }

    async fn schedules(&self) -> Result<Option<Vec<JobSchedule>>, SourceError> {
        let settings = &self.client.settings;
        Ok(Some(listing::read_jobs(self).await?.schedules(&settings.jobs, &settings.timezone)))
    }

    async fn examine(&self) -> Vec<Finding> {
        examine::examine(self).await
    }

    fn learn(&self, learnt: &Learnt) {
        let mut state = self.state();
        for (question, answer) in learnt {
            if question == FULLEST_PAGE {
                state.fullest_page = answer.parse().unwrap_or_default();
            } else if let Some(group) = question.strip_prefix(GROUP_LIST) {
                match answer.as_str() {
                    "whole" => drop(state.ways.insert(group.to_string(), Way::ByGroup)),
                    "by job" => drop(state.ways.insert(group.to_string(), Way::ByJob)),
                    _ => {}
                }
            }
        }
    }

    fn learnt(&self) -> Learnt {
        let state = self.state();
        let word = |way: &Way| if *way == Way::ByGroup { "whole" } else { "by job" };
        let ways = state.ways.iter().map(|(group, way)| (format!("{GROUP_LIST}{group}"), word(way).to_string()));
        let fullest = (state.fullest_page > 0).then(|| (FULLEST_PAGE.to_string(), state.fullest_page.to_string()));
        ways.chain(fullest).collect()
    }
}

/// Records of a page that are asked for; the smaller ones where the service refuses the larger.
const PAGE_SIZES: [usize; 4] = [SCHEDULERX_PAGE_RECORDS, 50, 20, 10];

/// Whether a refusal can be about the size of a page.
fn is_about_size(error: &SourceError) -> bool {
    let words = error.message.to_ascii_lowercase();
    error.kind == SourceErrorKind::Configuration && ["size", "param"].iter().any(|word| words.contains(word))
}

/// What is learnt: how a group is listed (the group's id follows), and how full a page gets.
const GROUP_LIST: &str = "list of group ";
const FULLEST_PAGE: &str = "records of a full page";

fn bad_answer(message: &'static str) -> SourceError {
    SourceError::new(SourceErrorKind::BadAnswer, message).help(HELP_BAD_ANSWER)
}
