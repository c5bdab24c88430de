//! A workflow's run as it is now, with the runs of its jobs.
//!
//! Reads the network through the service.

use super::answer::{State, Step, read_detail};
use super::known::Workflow;
use crate::limits::LOG_TAIL_LINES;
use crate::model::{Instance, InstanceType, JobRef};
use crate::source::contract::{Detail, SourceError, SourceErrorKind};
use crate::source::kit::excerpt;
use crate::source::kit::fault::bad_answer;
use crate::source::schedulerx::answer::{Row, Timing};
use crate::source::schedulerx::directory::Job;
use crate::source::schedulerx::service::SchedulerX;
use crate::source::schedulerx::status;

/// An instance of a workflow.
pub(super) fn instance(source: &SchedulerX, workflow: &Workflow, state: State) -> Instance {
    let State { id, status, raw_status, plan_time, start_time, end_time } = state;
    Instance {
        source: source.id.clone(),
        id: id.unwrap_or_default(),
        job: JobRef { name: workflow.name.clone(), id: Some(workflow.id.clone()) },
        name: None,
        status,
        raw_status,
        // The service does not tell what triggered it.
        kind: InstanceType::Unknown,
        plan_time,
        start_time,
        end_time,
        error: None,
    }
}

/// An instance of a workflow as it is now, with the runs of its jobs.
pub(in crate::source::schedulerx) async fn detail(
    source: &SchedulerX,
    workflow: &Workflow,
    asked: &Instance,
) -> Result<Detail, SourceError> {
    let (state, mut steps) = read_run(source, workflow, &asked.id).await?;
    let plan_time = state.plan_time.or(asked.plan_time);
    let state = State { id: Some(asked.id.clone()), plan_time, ..state };
    let mut instance = instance(source, workflow, state);
    if status::is_failure(instance.status) {
        instance.error = failure_text(source, workflow, &mut steps).await;
    }
    Ok(Detail::new(instance, steps.into_iter().map(|step| step.node).collect()))
}

/// A workflow's run and the runs of its jobs; which those are is remembered.
pub(super) async fn read_run(
    source: &SchedulerX,
    workflow: &Workflow,
    id: &str,
) -> Result<(State, Vec<Step>), SourceError> {
    let pairs = vec![
        ("GroupId", workflow.group.clone()),
        ("WorkflowId", workflow.id.clone()),
        ("WfInstanceId", id.to_string()),
    ];
    let data = source.client.call("GetWorkflowInstance", pairs).await?;
    let gone = || SourceError::new(SourceErrorKind::NotFound, "the service knows no such instance of the workflow");
    let (state, steps) =
        read_detail(&data, &source.client.api.settings.timezone).map_err(bad_answer)?.ok_or_else(gone)?;
    let now = source.client.clock.now();
    source.state().workflows.runs.learn(&workflow.id, id, &state, &steps, now);
    Ok((state, steps))
}

/// What the failed nodes say of themselves, and under it the end of the first one's log.
async fn failure_text(source: &SchedulerX, workflow: &Workflow, steps: &mut [Step]) -> Option<String> {
    let is_failed = |step: &Step| status::is_failure(step.node.status);
    let said: Vec<String> = steps
        .iter()
        .filter(|step| is_failed(step))
        .filter_map(|step| step.result.as_ref().map(|result| format!("{}: {}", step.node.name, result.trim())))
        .collect();
    let mut failed = steps.iter_mut().filter(|step| is_failed(step));
    let log = match failed.find_map(|step| Some((run_of(step)?, step))) {
        Some((run, step)) => {
            let job = Job {
                gone_at: None,
                id: run.job_id.clone(),
                name: String::new(),
                group: workflow.group.clone(),
                is_enabled: true,
                timing: Timing::Called,
            };
            let log = source.log_tail(&job, &run).await;
            step.node.log_tail = excerpt::tail(&log, LOG_TAIL_LINES);
            log
        }
        None => Vec::new(),
    };
    excerpt::failure_text((!said.is_empty()).then(|| said.join("\n")).as_deref(), &log)
}

/// The run of a job that a node stands for, as far as its log is looked for by it.
fn run_of(step: &Step) -> Option<Row> {
    Some(Row {
        id: step.instance_id.clone()?,
        job_id: step.job_id.clone()?,
        job_name: None,
        status: step.node.status,
        raw_status: step.node.raw_status.clone(),
        kind: InstanceType::Unknown,
        plan_time: None,
        start_time: step.node.start_time,
        end_time: step.node.end_time,
        error: None,
    })
}
