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
mod detail;
pub(super) mod known;
mod roots;
mod runs;

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use self::answer::{State, read_states, read_workflows};
pub(super) use self::detail::detail;
use self::detail::instance;
use self::known::Workflow;
pub(super) use self::roots::workflow_of;
use super::service::SchedulerX;
use super::told::{Told, read_told, set_aside_of};
use crate::limits::{SCHEDULERX_JOBS_AGE_MAX, SCHEDULERX_WORKFLOWS_PER_POLL, SCHEDULERX_WORKFLOWS_REFUSED_PAUSE};
use crate::model::{Instance, InstanceType, Part as CoveragePart, SetAside, Unread, Window};
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::fault::bad_answer;

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
    part.set_aside.extend(set_aside_of(source.state().workflows.unclear, "ListWorkFlows"));
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
        let zone = &source.client.api.settings.timezone;
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
                Err(item) if part.set_aside.iter().any(|known| known.is_same(&item)) => {}
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
    let (mut fresh, mut unclear) = (BTreeMap::new(), 0);
    for group in &source.client.api.settings.groups {
        match all_of(source, group, &mut part.calls).await {
            Ok(told) => {
                unclear += told.unclear;
                fresh.extend(told.items);
            }
            // They change seldom: those of a while ago serve while the service has trouble.
            Err(error) if error.is_passing() && source.state().workflows.read_at.is_some() => return Ok(()),
            Err(error) => {
                if !error.is_passing() {
                    source.state().workflows.refused = Some((now, error.to_string()));
                }
                return Err(error);
            }
        }
    }
    let mut state = source.state();
    (state.workflows.by_id, state.workflows.read_at, state.workflows.refused) = (fresh, Some(now), None);
    state.workflows.unclear = unclear;
    Ok(())
}

/// The workflows of a group.
///
/// # Errors
/// As for a list; also when not all of them could be read.
pub(super) async fn all_of(source: &SchedulerX, group: &str, calls: &mut usize) -> Result<Told<Workflow>, SourceError> {
    let named = |data: &str| {
        let (rows, count, total) = read_workflows(data)?;
        let workflow = |(id, name): (String, String)| (id.clone(), Workflow { id, name, group: group.to_string() });
        Ok((rows.into_iter().map(workflow).collect(), count, total))
    };
    let told = read_told(source, "ListWorkFlows", group, calls, named).await?;
    match told.short {
        Some(reason) => Err(SourceError::new(SourceErrorKind::Transient, format!("the list is not whole: {reason}"))),
        None => Ok(told),
    }
}
