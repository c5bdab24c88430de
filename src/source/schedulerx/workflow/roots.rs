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

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::answer::{State, Step};
use super::{Workflow, Workflows, read_run};
use crate::limits::{SCHEDULERX_ROOT_CALLS_PER_POLL, SCHEDULERX_WORKFLOW_JOBS_AGE_MAX, SCHEDULERX_WORKFLOW_RUNS_KEPT};
use crate::model::{Instance, WorkflowRun};
use crate::source::contract::SourceErrorKind;
use crate::source::schedulerx::{SchedulerX, status};

/// How far the times of a job's run may lie outside those of its workflow's: several machines write them.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

/// The runs of workflows that were listed lately, and what their details have told.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// By workflow.
    listed: HashMap<String, Vec<Run>>,
    /// The jobs of each workflow by its latest run that was looked at, and when that was.
    jobs: HashMap<String, (Timestamp, BTreeSet<String>)>,
    /// The runs that were looked at since the last listing, by workflow and id: looking again would tell the same.
    looked_at: BTreeSet<(String, String)>,
    /// Calls spent since the last listing.
    spent: usize,
}

/// A run of a workflow.
#[derive(Debug, Clone, PartialEq)]
struct Run {
    id: String,
    began: Option<Timestamp>,
    ended: Option<Timestamp>,
    is_failure: bool,
    /// The runs of jobs in it, as far as it was looked at.
    parts: BTreeSet<String>,
    /// The end that it had when it was looked at: until it has another one, all of it is known.
    settled: Option<Timestamp>,
}

impl Runs {
    /// What was looked at may have gone on since.
    pub(super) fn begin_poll(&mut self) {
        self.looked_at.clear();
        self.spent = 0;
    }

    /// Takes over the runs of a workflow, as they were listed.
    pub(super) fn take(&mut self, workflow: &str, instances: &[Instance]) {
        let known = self.listed.remove(workflow).unwrap_or_default();
        let mut known: HashMap<String, Run> = known.into_iter().map(|run| (run.id.clone(), run)).collect();
        let mut runs: Vec<Run> = instances
            .iter()
            .map(|instance| {
                let earlier = known.remove(&instance.id);
                let (parts, settled) = earlier.map(|run| (run.parts, run.settled)).unwrap_or_default();
                Run {
                    id: instance.id.clone(),
                    began: instance.start_time.or(instance.plan_time),
                    ended: instance.end_time,
                    is_failure: status::is_failure(instance.status),
                    parts,
                    settled,
                }
            })
            .collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.began));
        runs.truncate(SCHEDULERX_WORKFLOW_RUNS_KEPT);
        self.listed.insert(workflow.to_string(), runs);
    }

    /// Takes over what a look at a workflow's run has told.
    pub(super) fn learn(&mut self, workflow: &str, run: &str, state: &State, steps: &[Step], now: Timestamp) {
        self.looked_at.insert((workflow.to_string(), run.to_string()));
        let jobs: Option<BTreeSet<String>> = steps.iter().map(|step| step.job_id.clone()).collect();
        if let Some(jobs) = jobs.filter(|jobs| !jobs.is_empty()) {
            self.jobs.insert(workflow.to_string(), (now, jobs));
        }
        let listed = self.listed.get_mut(workflow).into_iter().flatten().find(|listed| listed.id == run);
        if let Some(listed) = listed {
            // A job that was made to run again has another run there: the earlier one belonged to it all the same.
            listed.settled = state.end_time;
            listed.parts.extend(steps.iter().filter_map(|step| step.instance_id.clone()));
        }
    }

    fn has(&self, workflow: &str, id: &str) -> bool {
        self.listed.get(workflow).is_some_and(|runs| runs.iter().any(|run| run.id == id))
    }

    /// Whether a workflow has one of these jobs; `None` when that is not known well enough.
    fn has_job(&self, workflow: &str, jobs: &[String], now: Timestamp) -> Option<bool> {
        let (at, known) = self.jobs.get(workflow)?;
        let is_fresh = now.duration_since(*at).unsigned_abs() < SCHEDULERX_WORKFLOW_JOBS_AGE_MAX;
        (is_fresh && !jobs.is_empty()).then(|| jobs.iter().any(|job| known.contains(job)))
    }
}

impl Run {
    /// Whether something that began at `at` may have begun in it.
    fn may_hold(&self, at: Option<Timestamp>) -> bool {
        let Some(at) = at else { return true };
        let is_late = self.began.is_some_and(|began| began.duration_since(at) > MARGIN);
        let is_over = self.ended.is_some_and(|ended| at.duration_since(ended) > MARGIN);
        !is_late && !is_over
    }

    /// How long before `at` it began; the latest one is the likeliest.
    fn distance(&self, at: Option<Timestamp>) -> SignedDuration {
        self.began.zip(at).map_or(SignedDuration::MAX, |(began, at)| at.duration_since(began).abs())
    }
}

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
    if !source.client.settings.workflows {
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
