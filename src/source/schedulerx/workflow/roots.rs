//! Which workflow's run the run of a job belongs to.
//!
//! Reads what the lists of workflows told, and `GetWorkflowInstance` of the runs that come into question.
//!
//! # Design
//! - Neither the list of a job's runs nor the detail of one names a workflow. The other way round it can be told: the
//!   detail of a workflow's run names the runs of its jobs.
//! - A failed run may belong to any workflow's run that was under way then. One that has the job, as far as that is known,
//!   is asked first, and one that is known not to have it, not at all: so one call is usually enough, and it finds the
//!   workflow also while that still runs.
//! - A poll may spend a few calls on it, for all its failures together. What cannot be found out is told by itself.

use jiff::Timestamp;

use super::detail::read_run;
use super::known::{Workflow, Workflows};
use crate::limits::SCHEDULERX_ROOT_CALLS_PER_POLL;
use crate::model::{Instance, WorkflowRun};
use crate::source::contract::SourceErrorKind;
use crate::source::schedulerx::service::SchedulerX;

impl Workflows {
    /// The workflow's run that is known to hold a job's run.
    fn holder(&self, id: &str) -> Option<WorkflowRun> {
        self.by_id.values().find_map(|workflow| {
            let run = self.runs.listed.get(&workflow.id)?.iter().find(|run| run.parts.contains(id))?;
            Some(WorkflowRun { workflow: workflow.name.clone(), instance: run.id.clone() })
        })
    }

    /// The likeliest run that was not looked at yet and may hold `instance`, a run of one of `jobs`.
    fn likeliest(&self, instance: &Instance, jobs: &[String], now: Timestamp) -> Option<(Workflow, String)> {
        let at = instance.start_time.or(instance.plan_time).or(instance.end_time);
        let mut best = None;
        for workflow in self.by_id.values() {
            let has_job = self.runs.has_job(&workflow.id, jobs, now);
            if has_job == Some(false) {
                continue;
            }
            for run in self.runs.listed.get(&workflow.id).into_iter().flatten() {
                let was_looked_at = self.runs.looked_at.contains(&(workflow.id.clone(), run.id.clone()));
                let is_known = run.ended.is_some() && run.settled == run.ended;
                if was_looked_at || is_known || !run.may_hold(at) {
                    continue;
                }
                let rank = (has_job.is_none(), !run.is_failure, run.distance(at));
                if best.as_ref().is_none_or(|(least, _, _)| rank < *least) {
                    best = Some((rank, workflow, run));
                }
            }
        }
        best.map(|(_, workflow, run)| (workflow.clone(), run.id.clone()))
    }

    /// The next run to look at, unless the poll has spent its calls. It counts as looked at, whatever comes of it.
    fn next_to_ask(&mut self, instance: &Instance, jobs: &[String], now: Timestamp) -> Option<(Workflow, String)> {
        if self.runs.spent >= SCHEDULERX_ROOT_CALLS_PER_POLL {
            return None;
        }
        let (workflow, run) = self.likeliest(instance, jobs, now)?;
        self.runs.spent += 1;
        self.runs.looked_at.insert((workflow.id.clone(), run.clone()));
        Some((workflow, run))
    }
}

/// The workflow's run that `instance` is a part of. `None` when it is none, when workflows are not listened to, or when it
/// cannot be told.
pub(in crate::source::schedulerx) async fn workflow_of(
    source: &SchedulerX,
    instance: &Instance,
) -> Option<WorkflowRun> {
    if !source.client.api.settings.workflows {
        return None;
    }
    let _turn = source.asking_roots.lock().await;
    let now = source.client.clock.now();
    let jobs: Vec<String> = {
        let state = source.state();
        let jobs = state.directory.candidates(&instance.job);
        let workflows = state.workflows.candidates(&instance.job);
        let is_listed = workflows.iter().any(|workflow| state.workflows.runs.has(&workflow.id, &instance.id));
        if is_listed || jobs.is_empty() && !workflows.is_empty() {
            // It is itself the run of a workflow.
            return None;
        }
        jobs.into_iter().map(|job| job.id).collect()
    };
    loop {
        let (workflow, run) = {
            let mut state = source.state();
            if let Some(found) = state.workflows.holder(&instance.id) {
                return Some(found);
            }
            state.workflows.next_to_ask(instance, &jobs, now)?
        };
        match read_run(source, &workflow, &run).await {
            Ok(_) => {}
            Err(error) if error.kind == SourceErrorKind::NotFound => {}
            Err(error) => {
                let (source, workflow) = (&source.id, &workflow.name);
                tracing::debug!(%source, workflow, "it cannot be told what belongs to its run {run}: {error}");
                return None;
            }
        }
    }
}
