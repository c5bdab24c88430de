//! One run as it is now, with the tasks that failed and the end of a log.
//!
//! Reads the run, its failed task instances and one log, and only of a run that failed the latter two.

use super::api::{PAGE_ROWS, get};
use super::connection::Airflow;
use super::log;
use super::record::{Task, read_run, read_task, run_address, sort_failed};
use crate::limits::LOG_TAIL_LINES;
use crate::model::{Instance, Status};
use crate::source::contract::{Detail, SourceError};
use crate::source::kit::excerpt;
use crate::source::kit::fault::bad_answer;

/// What is told of a run that failed though none of its tasks did.
const NO_TASK_FAILED: &str =
    "no task of the run failed: it took longer than dagrun_timeout allows, or somebody set it to failed";

impl Airflow {
    pub(super) async fn look_at(&self, asked: &Instance) -> Result<Detail, SourceError> {
        let json = self.ask(&get(&["dags", &asked.job.name, "dagRuns", &asked.id])).await?;
        let mut run = read_run(&self.id, &json.root()).map_err(|aside| bad_answer(aside.reason))?;
        let url = run_address(&self.client.api.settings.url, &run.job.name, &run.id);
        let mut tasks = Vec::new();
        if run.status == Status::Fail {
            tasks = self.failed_tasks(&run, &url).await?;
            let said = tasks.is_empty().then_some(NO_TASK_FAILED);
            let failed = tasks.iter_mut().find(|task| task.try_number > 0 && task.node.raw_status == "failed");
            let mut log = Vec::new();
            if let Some(task) = failed {
                log = log_of(self, &run, task).await;
                task.node.log_tail = excerpt::tail(&log, LOG_TAIL_LINES);
            }
            run.error = excerpt::failure_text(said, &log);
        }
        let nodes = tasks.into_iter().map(|task| task.node).collect();
        Ok(Detail { url: Some(url), ..Detail::new(run, nodes) })
    }

    /// The tasks that failed, and after them those that could not run because of that.
    async fn failed_tasks(&self, run: &Instance, url: &str) -> Result<Vec<Task>, SourceError> {
        let call = get(&["dags", &run.job.name, "dagRuns", &run.id, "taskInstances"])
            .query("state", "failed")
            .query("state", "upstream_failed")
            .query("limit", PAGE_ROWS);
        let json = self.ask(&call).await?;
        let rows = json.root().list("/task_instances").map_err(bad_answer)?;
        let mut tasks: Vec<Task> = rows.iter().filter_map(|row| read_task(url, row)).collect();
        sort_failed(&mut tasks);
        Ok(tasks)
    }
}

/// The last lines of the log of a task. Nothing where there is none: the alarm says enough.
async fn log_of(source: &Airflow, run: &Instance, task: &Task) -> Vec<String> {
    log::read_tail(source, run, task).await.unwrap_or_else(|error| {
        tracing::debug!(source = %source.id, dag = run.job.name, "no log of a failed task: {error}");
        Vec::new()
    })
}
