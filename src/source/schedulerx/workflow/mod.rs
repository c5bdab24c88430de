//! Workflows: their instances, with the runs of their jobs as nodes.
//!
//! Reads `ListWorkFlows`, `ListWorkflowInstance` and `GetWorkflowInstance`, where the configuration asks for them and the
//! edition has them.
//!
//! # Design
//! - A list of instances names one workflow and no span, so each workflow costs a call, and what is older than the poll's
//!   window is left out here. The service bears so many calls a minute: where there are more workflows than one poll may
//!   ask, they take turns.
//! - The runs of a workflow's jobs stand in the list of instances too, and rules may match either. So workflows are read
//!   only where the configuration says so: nobody is to hear twice of one failure without having asked for it.
//! - Workflows that cannot be read hold up nothing else, and are said to be unread at every poll until they can be.

mod answer;
mod roots;

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use self::answer::{State, Step, read_detail, read_states, read_workflows};
use self::roots::Runs;
pub(super) use self::roots::workflow_of;
use super::answer::Row;
use super::answer::Timing;
use super::directory::Job;
use super::listing::is_passing;
use super::{SchedulerX, bad_answer, status};
use crate::limits::{SCHEDULERX_JOBS_AGE_MAX, SCHEDULERX_WORKFLOWS_PER_POLL, SCHEDULERX_WORKFLOWS_REFUSED_PAUSE};
use crate::model::{Instance, InstanceType, JobRef, Part as CoveragePart, SetAside, Unread, Window};
use crate::source::contract::{Detail, SourceError, SourceErrorKind};
use crate::source::kit::excerpt;

/// A workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Workflow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) group: String,
}

/// What is known of the workflows between polls.
#[derive(Debug, Default)]
pub(super) struct Workflows {
    by_id: BTreeMap<String, Workflow>,
    read_at: Option<Timestamp>,
    /// When they were refused, and with which words.
    refused: Option<(Timestamp, String)>,
    /// The workflow that was asked last.
    asked_last: Option<String>,
    runs: Runs,
}

impl Workflows {
    /// The workflows that an instance of `job` may belong to: the one with the id and the name, or all of the name.
    pub(super) fn candidates(&self, job: &JobRef) -> Vec<Workflow> {
        let is_meant = |known: &&Workflow| known.name == job.name && job.id.as_ref().is_none_or(|id| *id == known.id);
        self.by_id.values().filter(is_meant).cloned().collect()
    }

    /// The names, each with its workflow's id.
    pub(super) fn names(&self) -> Vec<(String, String)> {
        self.by_id.values().map(|known| (known.name.clone(), known.id.clone())).collect()
    }

    /// Those to ask now: at most `count`, beginning behind the one that was asked last.
    fn turn(&mut self, count: usize) -> Vec<Workflow> {
        let last = self.asked_last.take().unwrap_or_default();
        let behind = self.by_id.values().filter(|known| known.id > last);
        let before = self.by_id.values().filter(|known| known.id <= last);
        let turn: Vec<Workflow> = behind.chain(before).take(count).cloned().collect();
        self.asked_last = turn.last().map(|workflow| workflow.id.clone());
        turn
    }
}

/// What a poll reads of the workflows.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) instances: Vec<Instance>,
    pub(super) set_aside: Vec<SetAside>,
    pub(super) calls: usize,
    /// What was not read of them.
    pub(super) unread: Vec<Unread>,
    /// How many there are, where they take turns.
    pub(super) taking_turns: Option<usize>,
}

/// Reads the instances of the workflows that lie in `window`.
pub(super) async fn read(source: &SchedulerX, window: Window) -> Part {
    let mut part = Part::default();
    source.state().workflows.runs.begin_poll();
    if let Err(error) = refresh(source, &mut part).await {
        part.unread.push(unread(format!("the workflows could not be read: {error}")));
        return part;
    }
    let (turn, count) = {
        let mut state = source.state();
        (state.workflows.turn(SCHEDULERX_WORKFLOWS_PER_POLL), state.workflows.by_id.len())
    };
    part.taking_turns = (turn.len() < count).then_some(count);
    if part.taking_turns.is_some() {
        let asked: HashSet<&str> = turn.iter().map(|workflow| workflow.id.as_str()).collect();
        let state = source.state();
        let others = state.workflows.by_id.values().filter(|workflow| !asked.contains(workflow.id.as_str()));
        let later = |workflow: &Workflow| Unread { part: CoveragePart::Job(workflow.name.clone()), reason: None };
        part.unread.extend(others.map(later));
    }
    for workflow in turn {
        let pairs = vec![("GroupId", workflow.group.clone()), ("WorkflowId", workflow.id.clone())];
        part.calls += 1;
        let data = source.client.call("ListWorkflowInstance", pairs).await;
        let zone = &source.client.settings.timezone;
        let rows = match data.and_then(|data| read_states(&data, zone).map_err(bad_answer)) {
            Ok(rows) => rows,
            // A workflow that was removed meanwhile.
            Err(error) if error.kind == SourceErrorKind::NotFound => continue,
            Err(error) => {
                part.unread.push(unread(format!("the workflow {} could not be read: {error}", workflow.name)));
                // The next one would fare no better.
                break;
            }
        };
        let first = part.instances.len();
        for row in rows {
            match row {
                Ok(state) if is_in(&state, window) => part.instances.push(instance(source, &workflow, state)),
                Ok(_) => {}
                Err(item) if part.set_aside.contains(&item) => {}
                Err(item) => part.set_aside.push(SetAside { job: Some(workflow.name.clone()), ..item }),
            }
        }
        source.state().workflows.runs.take(&workflow.id, &part.instances[first..]);
    }
    part
}

/// The workflows are a kind of their own: their instances tell no type.
fn unread(reason: String) -> Unread {
    Unread { part: CoveragePart::Kind(InstanceType::Unknown), reason: Some(reason) }
}

/// An instance belongs to the window by its plan time, or by another where it tells none.
fn is_in(state: &State, window: Window) -> bool {
    let time = state.plan_time.or(state.start_time).or(state.end_time);
    time.is_none_or(|time| time >= window.from)
}

/// Reads which workflows there are, unless that is known well enough.
async fn refresh(source: &SchedulerX, part: &mut Part) -> Result<(), SourceError> {
    let now = source.client.clock.now();
    let age = |at: Timestamp| now.duration_since(at).unsigned_abs();
    {
        let state = source.state();
        if let Some((at, words)) = &state.workflows.refused
            && age(*at) < SCHEDULERX_WORKFLOWS_REFUSED_PAUSE
        {
            return Err(SourceError::new(SourceErrorKind::Configuration, words.clone()));
        }
        if state.workflows.read_at.is_some_and(|at| age(at) < SCHEDULERX_JOBS_AGE_MAX) {
            return Ok(());
        }
    }
    let mut fresh = BTreeMap::new();
    for group in &source.client.settings.groups {
        match all_of(source, group, &mut part.calls).await {
            Ok(workflows) => fresh.extend(workflows.into_iter().map(|workflow| (workflow.id.clone(), workflow))),
            // They change seldom: those of a while ago serve while the service has trouble.
            Err(error) if is_passing(&error) && source.state().workflows.read_at.is_some() => return Ok(()),
            Err(error) => {
                if !is_passing(&error) {
                    source.state().workflows.refused = Some((now, error.to_string()));
                }
                return Err(error);
            }
        }
    }
    let mut state = source.state();
    (state.workflows.by_id, state.workflows.read_at, state.workflows.refused) = (fresh, Some(now), None);
    Ok(())
}

/// The workflows of a group.
///
/// # Errors
/// As for a list; also when not all of them could be read.
pub(super) async fn all_of(source: &SchedulerX, group: &str, calls: &mut usize) -> Result<Vec<Workflow>, SourceError> {
    let named = |data: &str| {
        let (rows, count, total) = read_workflows(data)?;
        let workflow = |(id, name): (String, String)| (id.clone(), Workflow { id, name, group: group.to_string() });
        Ok((rows.into_iter().map(workflow).collect(), count, total))
    };
    let told = super::listing::read_told(source, "ListWorkFlows", group, calls, named).await?;
    match told.short {
        Some(reason) => Err(SourceError::new(SourceErrorKind::Transient, format!("the list is not whole: {reason}"))),
        None => Ok(told.items.into_values().collect()),
    }
}

fn instance(source: &SchedulerX, workflow: &Workflow, state: State) -> Instance {
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
pub(super) async fn detail(source: &SchedulerX, workflow: &Workflow, asked: &Instance) -> Result<Detail, SourceError> {
    let (state, steps) = read_run(source, workflow, &asked.id).await?;
    let plan_time = state.plan_time.or(asked.plan_time);
    let state = State { id: Some(asked.id.clone()), plan_time, ..state };
    let mut instance = instance(source, workflow, state);
    if status::is_failure(instance.status) {
        instance.error = failure_text(source, workflow, &steps).await;
    }
    Ok(Detail { instance, nodes: steps.into_iter().map(|step| step.node).collect() })
}

/// A workflow's run and the runs of its jobs; which those are is remembered.
async fn read_run(source: &SchedulerX, workflow: &Workflow, id: &str) -> Result<(State, Vec<Step>), SourceError> {
    let pairs = vec![
        ("GroupId", workflow.group.clone()),
        ("WorkflowId", workflow.id.clone()),
        ("WfInstanceId", id.to_string()),
    ];
    let data = source.client.call("GetWorkflowInstance", pairs).await?;
    let gone = || SourceError::new(SourceErrorKind::NotFound, "the service knows no such instance of the workflow");
    let (state, steps) = read_detail(&data, &source.client.settings.timezone).map_err(bad_answer)?.ok_or_else(gone)?;
    let now = source.client.clock.now();
    source.state().workflows.runs.learn(&workflow.id, id, &state, &steps, now);
    Ok((state, steps))
}

/// What the failed nodes say of themselves, and under it the end of the first one's log.
async fn failure_text(source: &SchedulerX, workflow: &Workflow, steps: &[Step]) -> Option<String> {
    let failed = || steps.iter().filter(|step| status::is_failure(step.node.status));
    let said: Vec<String> = failed()
        .filter_map(|step| step.result.as_ref().map(|result| format!("{}: {}", step.node.name, result.trim())))
        .collect();
    let log = match failed().find_map(run_of) {
        Some(run) => {
            let job = Job {
                gone_at: None,
                id: run.job_id.clone(),
                name: String::new(),
                group: workflow.group.clone(),
                is_enabled: true,
                timing: Timing::Called,
            };
            source.log_tail(&job, &run).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflows_take_turns() {
        let known = |id: &str| {
            let workflow = Workflow { id: id.to_string(), name: format!("w{id}"), group: "g".to_string() };
            (id.to_string(), workflow)
        };
        let mut workflows = Workflows { by_id: ["1", "2", "3"].map(known).into(), ..Workflows::default() };
        let mut turn = |count| workflows.turn(count).into_iter().map(|it| it.id).collect::<Vec<_>>().join(" ");
        assert_eq!([turn(2), turn(2), turn(2), turn(9)], ["1 2", "3 1", "2 3", "1 2 3"]);
    }
}
