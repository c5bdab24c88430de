//! One run as it is now, with its steps and the end of its log, as far as the description says how they are asked for.
//!
//! Reads the requests `run`, `detail` and `log`.

use std::borrow::Cow;

use super::api::{Purpose, bad};
use super::connection::HttpSource;
use super::fill::{Name, Place, Values};
use super::listing;
use super::map::Step;
use crate::limits::{LOG_TAIL_BYTES_MAX, LOG_TAIL_LINES};
use crate::model::{Instance, Status};
use crate::source::contract::{Detail, SourceError, SourceErrorKind};
use crate::source::kit::excerpt;
use crate::source::kit::json::Json;

/// Of a log so much is kept while it is read: more than is told of it.
const LOG_BYTES: usize = 7 * LOG_TAIL_BYTES_MAX;

impl HttpSource {
    /// The run that was asked for.
    pub(super) async fn look_at(&self, asked: &Instance) -> Result<Detail, SourceError> {
        let values = self.values(asked);
        let mut instance = self.look_at_run(asked, &values).await?;
        let mut steps = Vec::new();
        // The steps of a run that waits, runs or went well tell nobody anything.
        let is_telling = !matches!(instance.status, Status::Waiting | Status::Running | Status::Success);
        if is_telling && let Some((request, items, map)) = &self.settings().detail {
            let answer = self.ask(request, &values, None, Purpose::One).await?;
            let json = answer.json()?;
            let rows = listing::rows(&json.root(), items)?;
            steps = rows.iter().filter_map(|row| map.read(row)).collect();
        }
        if instance.status.is_failure() {
            let failed = steps.iter_mut().filter(|step| step.node.status == Status::Fail);
            let failed = failed.max_by_key(|step| step.node.start_time);
            let log = self.log_tail(&values, failed.as_deref()).await;
            if let Some(step) = failed.filter(|_| self.has_logs_of_nodes()) {
                step.node.log_tail = excerpt::tail(&log, LOG_TAIL_LINES);
            }
            let said = steps.iter().filter(|step| step.node.status == Status::Fail).find_map(|step| step.error.clone());
            instance.error =
                excerpt::failure_text(instance.error.as_deref().or(said.as_deref()), &log).or(instance.error);
        }
        let (told, console) = (self.state().told.get(&asked.id).cloned(), self.settings().console_url.as_ref());
        let url = told.as_ref().and_then(|told| told.url.clone());
        let url = url.or_else(|| console.map(|console| console.fill(&values, Place::Address)));
        let nodes = steps.into_iter().map(|step| step.node).collect();
        Ok(Detail { url, owner: told.and_then(|told| told.owner), ..Detail::new(instance, nodes) })
    }

    /// The run as it is now; as it was asked for, where no request tells.
    async fn look_at_run(&self, asked: &Instance, values: &Values) -> Result<Instance, SourceError> {
        let Some((request, pointer)) = &self.settings().run else { return Ok(asked.clone()) };
        let answer = self.ask(request, values, None, Purpose::One).await?;
        let json = answer.json()?;
        let gone = |words: &str| SourceError::new(SourceErrorKind::NotFound, words);
        let row = pointer.find(&json.root()).ok_or_else(|| gone("the scheduler knows no such run"))?;
        let mut run = self.settings().map.read(&row).map_err(|aside| bad(aside.reason))?;
        if run.whole_id() != asked.id {
            return Err(gone("the scheduler has another run in its place"));
        }
        run.job.clone_from(&asked.job.name);
        run.job_id = run.job_id.or_else(|| asked.job.id.clone());
        Ok(self.instance(run))
    }

    /// Whether the log that is asked for is that of a step, and not the run's.
    fn has_logs_of_nodes(&self) -> bool {
        self.settings().log.as_ref().is_some_and(|(request, _)| request.names().contains(&Name::Node))
    }

    /// The last lines of a failed run's log, or of that of its step that failed last, oldest first. Nothing where there is none: the
    /// alarm says enough.
    async fn log_tail(&self, values: &Values, failed: Option<&Step>) -> Vec<String> {
        let Some((request, pointer)) = &self.settings().log else { return Vec::new() };
        let node = failed.and_then(|step| step.id.clone());
        if request.names().contains(&Name::Node) && node.is_none() {
            return Vec::new();
        }
        let values = Values { node, ..values.clone() };
        let text = match pointer {
            // Only the end of a text is told, and it can be long; one that says whether it is a success is read whole.
            None if request.success.is_none() => {
                self.ask_for_end(request, &values, LOG_BYTES).await.map(|end| lossy(&end))
            }
            None => self.ask(request, &values, None, Purpose::One).await.map(|answer| lossy(&answer.body)),
            Some(pointer) => self.ask(request, &values, None, Purpose::One).await.map(|answer| {
                let json = Json::read(&answer.body).ok();
                json.and_then(|json| pointer.word(&json.root()).map(Cow::into_owned)).unwrap_or_default()
            }),
        };
        let text = text.unwrap_or_else(|error| {
            tracing::debug!(source = %self.id, "no log of a failed run: {error}");
            String::new()
        });
        text.lines().map(str::to_string).collect()
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
