//! The rows of Airflow's answers: DAG runs, task instances, DAGs, import errors.
//!
//! Pure: takes one row and gives what it tells. A row whose fields are not what the API's document says is set aside, and
//! costs no other.

use jiff::Timestamp;

use crate::http::cut_to;
use crate::limits::FIELD_BYTES_MAX;
use crate::model::{Instance, InstanceType, JobRef, Node, SetAside, SourceId, Status};
use crate::source::kit::json::Spot;

/// The page of a run, for people.
pub(super) fn run_address(url: &str, dag: &str, run: &str) -> String {
    format!("{url}/dags/{}/runs/{}", crate::coding::percent_encoded(dag), crate::coding::percent_encoded(run))
}

/// A run of a DAG.
///
/// # Errors
/// The row, set aside, with the reason.
pub(super) fn read_run(source: &SourceId, row: &Spot<'_>) -> Result<Instance, SetAside> {
    let text =
        |key: &str| row.find(key).and_then(|spot| spot.id()).map(|text| cut_to(text.into_owned(), FIELD_BYTES_MAX));
    let dag = text("/dag_id");
    let aside = |reason: &str| row.set_aside(reason, dag.clone());
    let name = dag.clone().ok_or_else(|| aside("no dag_id that can be used"))?;
    let id = text("/dag_run_id").ok_or_else(|| aside("no dag_run_id that can be used"))?;
    let raw_status = text("/state").ok_or_else(|| aside("no state that can be used"))?;
    let status = match raw_status.as_str() {
        "queued" => Status::Waiting,
        "running" => Status::Running,
        "success" => Status::Success,
        "failed" => Status::Fail,
        _ => Status::Unknown,
    };
    let time = |key: &str| row.find(key).and_then(|spot| spot.instant());
    let kind = type_of(text("/run_type").as_deref());
    // A run that is started by hand may have no logical date, and no logical date says when a run was due. One that fills in
    // the past was due when somebody asked for it.
    let plan_time = match kind {
        InstanceType::Backfill => time("/queued_at").or_else(|| time("/run_after")),
        _ => time("/run_after").or_else(|| time("/queued_at")),
    };
    Ok(Instance {
        source: source.clone(),
        id,
        job: JobRef { name, id: None },
        name: None,
        status,
        raw_status,
        kind,
        plan_time,
        start_time: time("/start_date"),
        end_time: time("/end_date").filter(|_| status.has_ended()),
        error: None,
    })
}

fn type_of(word: Option<&str>) -> InstanceType {
    match word {
        // What an asset triggers is as regular as what a clock does.
        Some("scheduled" | "asset_triggered") => InstanceType::Scheduled,
        Some("manual" | "operator_triggered" | "asset_materialization") => InstanceType::Manual,
        Some("backfill") => InstanceType::Backfill,
        _ => InstanceType::Unknown,
    }
}

/// A try of a task, and where its log is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Task {
    pub(super) node: Node,
    pub(super) task: String,
    pub(super) map_index: i64,
    pub(super) try_number: u64,
}

/// A task of a run; nothing of a row without a name. `run` is the address of the run's page.
pub(super) fn read_task(run: &str, row: &Spot<'_>) -> Option<Task> {
    let text =
        |key: &str| row.find(key).and_then(|spot| spot.text()).map(|text| cut_to(text.into_owned(), FIELD_BYTES_MAX));
    let time = |key: &str| row.find(key).and_then(|spot| spot.instant());
    let task = text("/task_id").filter(|task| !task.is_empty())?;
    let map_index = text("/map_index").and_then(|index| index.parse().ok()).unwrap_or(-1);
    let try_number = row.find("/try_number").and_then(|spot| spot.count()).unwrap_or(0);
    let raw_status = text("/state").unwrap_or_else(|| "not scheduled yet".to_string());
    let is_mapped = map_index >= 0;
    let mapped = if is_mapped { format!("/mapped/{map_index}") } else { String::new() };
    let log_path = format!("{run}/tasks/{}{mapped}?try_number={try_number}", crate::coding::percent_encoded(&task));
    Some(Task {
        node: Node {
            name: if is_mapped { format!("{task}[{map_index}]") } else { task.clone() },
            kind: text("/operator_name").or_else(|| text("/operator")),
            status: task_status(&raw_status),
            raw_status,
            retries: Some(try_number.saturating_sub(1)),
            start_time: time("/start_date"),
            end_time: time("/end_date"),
            // What never ran has no log.
            log_path: (try_number > 0).then_some(log_path),
            log_tail: None,
        },
        task,
        map_index,
        try_number,
    })
}

/// What a task's state means for who looks for what failed: only a task that failed, or could not run because one did.
fn task_status(word: &str) -> Status {
    match word {
        "failed" | "upstream_failed" => Status::Fail,
        "success" => Status::Success,
        "skipped" | "removed" => Status::Skip,
        "running" | "restarting" => Status::Running,
        "queued" | "scheduled" | "up_for_retry" | "up_for_reschedule" | "deferred" | "awaiting_input"
        | "not scheduled yet" => Status::Waiting,
        _ => Status::Unknown,
    }
}

/// Puts the tasks that failed first, the latest start before the others, and those that could not run because of them last.
pub(super) fn sort_failed(tasks: &mut [Task]) {
    tasks.sort_by_key(|task| {
        (task.node.status != Status::Fail, task.node.raw_status != "failed", std::cmp::Reverse(task.node.start_time))
    });
}

/// A DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dag {
    pub(super) id: String,
    pub(super) is_paused: bool,
    pub(super) is_stale: bool,
    pub(super) has_import_errors: bool,
    pub(super) owners: Vec<String>,
    /// The crontab, or another text that says when it runs; nothing where no clock says.
    pub(super) timetable: Option<String>,
    pub(super) next_run_after: Option<Timestamp>,
    pub(super) file: Option<String>,
}

/// A DAG; nothing of a row without an id.
pub(super) fn read_dag(row: &Spot<'_>) -> Option<Dag> {
    let text =
        |key: &str| row.find(key).and_then(|spot| spot.text()).map(|text| cut_to(text.into_owned(), FIELD_BYTES_MAX));
    let flag = |key: &str| row.find(key).and_then(|spot| spot.flag()).unwrap_or(false);
    let owners = row.list("/owners").unwrap_or_default();
    Some(Dag {
        id: row.find("/dag_id")?.id()?.into_owned(),
        is_paused: flag("/is_paused"),
        is_stale: flag("/is_stale"),
        has_import_errors: flag("/has_import_errors"),
        owners: owners.iter().filter_map(|owner| owner.text().map(std::borrow::Cow::into_owned)).collect(),
        timetable: text("/timetable_summary"),
        next_run_after: row.find("/next_dagrun_run_after").and_then(|spot| spot.instant()),
        file: text("/relative_fileloc"),
    })
}

#[cfg(test)]
mod tests;
