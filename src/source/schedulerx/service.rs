//! The groups of a namespace: the connection, what is known of the service, and the questions that all parts of the source
//! ask.
//!
//! Reads the network through the connection, and writes what it finds out of the service to the state.

use std::sync::{Arc, Mutex, MutexGuard};

use jiff::SignedDuration;

use super::answer::{Row, read_detail, read_groups, read_log};
use super::client::{Connection, Gateway, Pairs, THROTTLED_PAUSE};
use super::directory::Job;
use super::settings::Settings;
use super::state::State;
use crate::clock::Clock;
use crate::limits::{LOG_TAIL_LINES, SCHEDULERX_PAGE_RECORDS};
use crate::lock::locked;
use crate::model::{Instance, JobRef, SourceId};
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::Patience;
use crate::source::kit::fault::bad_answer;

/// How long after a group refused its logs they are asked for again.
const LOGS_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// How far around a run its log is looked for: the clocks of workers differ.
const LOG_MARGIN: SignedDuration = SignedDuration::from_mins(1);
/// Records of a page that are asked for; the smaller ones where the service refuses the larger.
const PAGE_SIZES: [usize; 4] = [SCHEDULERX_PAGE_RECORDS, 50, 20, 10];

/// Groups of a SchedulerX namespace.
pub struct SchedulerX {
    pub(super) id: SourceId,
    pub(super) client: Connection,
    state: Mutex<State>,
    /// Held while it is asked which workflow's run a job's run belongs to: what one question finds out serves the others.
    pub(super) asking_roots: tokio::sync::Mutex<()>,
}

impl SchedulerX {
    /// A connection to the groups that `settings` describe; nothing is sent yet.
    ///
    /// # Errors
    /// [`SourceErrorKind::Configuration`] when the `ca_file` cannot be used.
    pub fn open(id: SourceId, settings: &Settings, clock: Arc<dyn Clock>) -> Result<SchedulerX, SourceError> {
        let mut client = Connection::new(Gateway { settings: settings.clone() }, settings.ca_file.clone(), clock)?;
        client.patience.throttled_pause = THROTTLED_PAUSE;
        Ok(SchedulerX { id, client, state: Mutex::default(), asking_roots: tokio::sync::Mutex::default() })
    }

    /// The same with other times to wait.
    pub fn with_patience(mut self, patience: Patience) -> SchedulerX {
        self.client.patience = patience;
        self
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// The groups of the namespace that the account can see.
    pub(super) async fn seen_groups(&self) -> Result<Vec<String>, SourceError> {
        let data = self.client.call("ListGroups", Vec::new()).await?;
        read_groups(&data).map_err(bad_answer)
    }

    /// Whether every configured group is among those that are seen.
    pub(super) fn check_groups(&self, seen: &[String]) -> Result<(), SourceError> {
        let wanted = &self.client.api.settings.groups;
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
    pub(super) async fn page(
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
    pub(super) async fn row(&self, job: &Job, instance_id: &str) -> Result<Row, SourceError> {
        let pairs =
            vec![("GroupId", job.group.clone()), ("JobId", job.id.clone()), ("JobInstanceId", instance_id.to_string())];
        let data = self.client.call("GetJobInstance", pairs).await?;
        let gone = || SourceError::new(SourceErrorKind::NotFound, "the service knows no such instance");
        read_detail(&data, &self.client.api.settings.timezone).map_err(bad_answer)?.ok_or_else(gone)
    }

    /// The last lines of a failed instance's log, oldest first. Nothing where the edition keeps none: the result says
    /// enough.
    pub(super) async fn log_tail(&self, job: &Job, row: &Row) -> Vec<String> {
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

    pub(super) fn instance(&self, row: Row, job: JobRef) -> Instance {
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

/// Whether a refusal can be about the size of a page.
fn is_about_size(error: &SourceError) -> bool {
    let words = error.message.to_ascii_lowercase();
    error.kind == SourceErrorKind::Configuration && ["size", "param"].iter().any(|word| words.contains(word))
}
