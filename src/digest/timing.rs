//! How long runs took: the slowest, the most changed, and what is usual.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;

use super::rows::{BeforeRow, HistoryRow, OpenRow, SettledRow};
use crate::limits::{DIGEST_HISTORY_RUNS_MIN, DIGEST_RANKED_MAX, DIGEST_RUNNING_MAX};
use crate::model::{ChangePart, RunPart, SourceId, Status, UsualRange};

/// A run under way takes longer than usual when it is past the usual range by half.
const LONGER_THAN_USUAL: f64 = 1.5;
/// A job has changed when its runs take half as long again, or two thirds; and by this much at least, in milliseconds.
const CHANGED_RATIO: f64 = 1.5;
const CHANGED_MS_MIN: u64 = 30_000;

/// A value for each job of each source.
type ByJob<T> = HashMap<SourceId, HashMap<String, T>>;

/// The value of a job, made when it is not there; the name is copied only then.
pub(super) fn of_job<'a, T: Default>(values: &'a mut ByJob<T>, source: &SourceId, job: &str) -> &'a mut T {
    let jobs = match values.contains_key(source.as_str()) {
        true => values.get_mut(source.as_str()),
        false => Some(values.entry(source.clone()).or_default()),
    };
    let jobs = jobs.expect("it is there or was just made");
    if !jobs.contains_key(job) {
        jobs.insert(job.to_string(), T::default());
    }
    jobs.get_mut(job).expect("it is there or was just made")
}

#[derive(Default)]
struct Times {
    runs: u64,
    total_ms: u64,
    before: Option<(u64, u64)>,
}

/// What is known of durations while rows come in.
#[derive(Default)]
pub(super) struct Timing {
    slowest: Vec<RunPart>,
    running: Vec<RunPart>,
    times: ByJob<Times>,
    history: ByJob<Vec<u64>>,
}

impl Timing {
    pub(super) fn settled(&mut self, row: &SettledRow) {
        let Some(duration_ms) = between(row.start_time, row.end_time) else { return };
        if row.status.has_ended() {
            let run = || RunPart {
                source: row.source.clone(),
                job: row.job.clone(),
                instance: row.id.clone(),
                status: row.status,
                start_time: row.start_time,
                duration_ms,
                usual: None,
            };
            self.rank_slowest(&row.source, &row.job, duration_ms, run);
        }
        if row.status.is_ok() {
            let times = of_job(&mut self.times, &row.source, &row.job);
            times.runs += 1;
            times.total_ms = times.total_ms.saturating_add(duration_ms);
        }
    }

    /// Keeps the longest run of each of the slowest jobs.
    fn rank_slowest(&mut self, source: &SourceId, job: &str, duration_ms: u64, run: impl FnOnce() -> RunPart) {
        let slowest = &mut self.slowest;
        let is_full = slowest.len() == DIGEST_RANKED_MAX;
        if is_full && slowest.last().is_some_and(|last| last.duration_ms >= duration_ms) {
            return;
        }
        match slowest.iter_mut().find(|known| known.job == job && known.source == *source) {
            Some(known) if known.duration_ms >= duration_ms => return,
            Some(known) => *known = run(),
            None => slowest.push(run()),
        }
        slowest.sort_by_key(|run| Reverse(run.duration_ms));
        slowest.truncate(DIGEST_RANKED_MAX);
    }

    pub(super) fn open(&mut self, row: OpenRow, now: Timestamp) {
        if row.status != Status::Running {
            return;
        }
        let Some(duration_ms) = between(row.start_time, Some(now)) else { return };
        let OpenRow { source, job, id: instance, status, start_time, .. } = row;
        self.running.push(RunPart { source, job, instance, status, start_time, duration_ms, usual: None });
        if self.running.len() >= 2 * DIGEST_RUNNING_MAX {
            self.keep_longest_running();
        }
    }

    fn keep_longest_running(&mut self) {
        self.running.sort_by_key(|run| Reverse(run.duration_ms));
        self.running.truncate(DIGEST_RUNNING_MAX);
    }

    pub(super) fn before(&mut self, row: &BeforeRow) {
        // A job without a run in this period has nothing to be compared with.
        if let Some(times) = self.times.get_mut(row.source.as_str()).and_then(|jobs| jobs.get_mut(row.job.as_str())) {
            times.before = Some((row.runs, row.total_ms));
        }
    }

    /// The jobs whose usual durations are wanted.
    pub(super) fn wanted(&mut self) -> Vec<(SourceId, String)> {
        self.keep_longest_running();
        let runs = self.slowest.iter().chain(&self.running);
        let mut jobs: Vec<(SourceId, String)> = runs.map(|run| (run.source.clone(), run.job.clone())).collect();
        jobs.sort();
        jobs.dedup();
        jobs
    }

    pub(super) fn history(&mut self, row: &HistoryRow) {
        of_job(&mut self.history, &row.source, &row.job).push(row.duration_ms);
    }

    fn usual(&self, run: &RunPart) -> Option<UsualRange> {
        usual(self.history.get(run.source.as_str())?.get(run.job.as_str())?)
    }

    /// The slowest runs, and those under way that take longer than usual.
    pub(super) fn ranked(&mut self) -> (Vec<RunPart>, Vec<RunPart>) {
        let with_usual = |run: &RunPart| RunPart { usual: self.usual(run), ..run.clone() };
        let slowest = self.slowest.iter().map(with_usual).collect();
        let is_long = |run: &RunPart| {
            run.usual.is_some_and(|usual| run.duration_ms as f64 > usual.to_ms as f64 * LONGER_THAN_USUAL)
        };
        let mut running: Vec<RunPart> = self.running.iter().map(with_usual).filter(is_long).collect();
        running.sort_by_key(|run| Reverse(run.duration_ms));
        (slowest, running)
    }

    /// The jobs that changed most, by how many times.
    pub(super) fn changed(&self) -> Vec<ChangePart> {
        let all =
            self.times.iter().flat_map(|(source, jobs)| jobs.iter().map(move |(job, times)| (source, job, times)));
        let mut changed: Vec<(f64, ChangePart)> =
            all.filter_map(|(source, job, times)| change(source, job, times)).collect();
        changed.sort_by(|(one, a), (other, b)| other.total_cmp(one).then_with(|| a.job.cmp(&b.job)));
        changed.truncate(DIGEST_RANKED_MAX);
        changed.into_iter().map(|(_, change)| change).collect()
    }
}

fn change(source: &SourceId, job: &str, times: &Times) -> Option<(f64, ChangePart)> {
    let (runs_before, total_before) = times.before?;
    let mean_ms = times.total_ms.checked_div(times.runs)?;
    let mean_before_ms = total_before.checked_div(runs_before)?;
    let ratio = mean_ms.max(1) as f64 / mean_before_ms.max(1) as f64;
    let times_more = if ratio < 1.0 { 1.0 / ratio } else { ratio };
    if mean_ms.abs_diff(mean_before_ms) < CHANGED_MS_MIN || times_more < CHANGED_RATIO {
        return None;
    }
    let (source, job, runs) = (source.clone(), job.to_string(), times.runs);
    let percent = ((ratio - 1.0) * 100.0).round() as i64;
    Some((times_more, ChangePart { source, job, runs, mean_ms, runs_before, mean_before_ms, percent }))
}

/// The range that eight runs in ten fall into; none when too few are known.
fn usual(durations: &[u64]) -> Option<UsualRange> {
    if durations.len() < DIGEST_HISTORY_RUNS_MIN {
        return None;
    }
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let place = |tenths: usize| sorted.get((sorted.len() - 1) * tenths / 10).copied();
    Some(UsualRange { from_ms: place(1)?, to_ms: place(9)?, runs: sorted.len() as u64 })
}

/// The milliseconds from one instant to another; none when one is unknown or they contradict each other.
pub(super) fn between(from: Option<Timestamp>, until: Option<Timestamp>) -> Option<u64> {
    let milliseconds = until?.as_millisecond().checked_sub(from?.as_millisecond())?;
    u64::try_from(milliseconds).ok()
}
