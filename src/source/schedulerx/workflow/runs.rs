//! The runs of workflows that were listed lately, and what their details have told.
//!
//! Pure memory.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::answer::{State, Step};
use crate::limits::{SCHEDULERX_WORKFLOW_JOBS_AGE_MAX, SCHEDULERX_WORKFLOW_RUNS_KEPT};
use crate::model::Instance;
use crate::source::schedulerx::status;

/// How far the times of a job's run may lie outside those of its workflow's: several machines write them.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

/// The runs of workflows that were listed lately, and what their details have told.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// By workflow.
    pub(super) listed: HashMap<String, Vec<Run>>,
    /// The jobs of each workflow by its latest run that was looked at, and when that was.
    pub(super) jobs: HashMap<String, (Timestamp, BTreeSet<String>)>,
    /// The runs that were looked at since the last listing, by workflow and id: looking again would tell the same.
    pub(super) looked_at: BTreeSet<(String, String)>,
    /// Calls spent since the last listing.
    pub(super) spent: usize,
}

/// A run of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) began: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    pub(super) is_failure: bool,
    /// The runs of jobs in it, as far as it was looked at.
    pub(super) parts: BTreeSet<String>,
    /// The end that it had when it was looked at: until it has another one, all of it is known.
    pub(super) settled: Option<Timestamp>,
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

    pub(super) fn has(&self, workflow: &str, id: &str) -> bool {
        self.listed.get(workflow).is_some_and(|runs| runs.iter().any(|run| run.id == id))
    }

    /// Whether a workflow has one of these jobs; `None` when that is not known well enough.
    pub(super) fn has_job(&self, workflow: &str, jobs: &[String], now: Timestamp) -> Option<bool> {
        let (at, known) = self.jobs.get(workflow)?;
        let is_fresh = now.duration_since(*at).unsigned_abs() < SCHEDULERX_WORKFLOW_JOBS_AGE_MAX;
        (is_fresh && !jobs.is_empty()).then(|| jobs.iter().any(|job| known.contains(job)))
    }
}

impl Run {
    /// Whether something that began at `at` may have begun in it.
    pub(super) fn may_hold(&self, at: Option<Timestamp>) -> bool {
        let Some(at) = at else { return true };
        let is_late = self.began.is_some_and(|began| began.duration_since(at) > MARGIN);
        let is_over = self.ended.is_some_and(|ended| at.duration_since(ended) > MARGIN);
        !is_late && !is_over
    }

    /// How long before `at` it began; the latest one is the likeliest.
    pub(super) fn distance(&self, at: Option<Timestamp>) -> SignedDuration {
        self.began.zip(at).map_or(SignedDuration::MAX, |(began, at)| at.duration_since(began).abs())
    }
}
