//! What a job's past runs say: failures in a row, the share of failures, how long it usually takes.
//!
//! # Design
//! A run counts once it is known whether it went well: one that is under way, waits, was skipped or was cancelled by a
//! person says nothing of the job and is passed over. How long a job usually takes is the median of its successful runs,
//! and how much that varies their median absolute deviation: both stay where they are when one night in ten goes
//! wrong, as a mean and a standard deviation do not.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::limits::{HISTORY_RUNS_MAX, SLOWER_EXCESS_MIN};
use crate::model::{Instance, InstanceType, Snapshot, Status};

/// A share of failed runs that is too much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailureRate {
    /// How many runs are counted; with fewer nothing is said.
    pub over: usize,
    /// More than this share of them failed, in percent.
    pub above: f64,
}

/// How much longer than usual is too long.
#[derive(Debug, Clone)]
pub struct Slower {
    /// So many times the usual duration.
    pub factor: f64,
    /// How far back runs are compared with.
    pub over: Duration,
    /// With fewer runs to compare with nothing is said.
    pub min_runs: usize,
    /// The zone whose weekdays count.
    pub zone: TimeZone,
}

/// How long a job usually takes, and what is too long by a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usual {
    /// The median of the runs compared with.
    pub median: Duration,
    /// From here on it is slower than usual.
    pub limit: Duration,
    /// How many runs were compared with.
    pub runs: usize,
}

/// The runs of one job, the newest of them, by when they were due.
#[derive(Debug, Clone, Default)]
pub struct Past {
    runs: BTreeMap<(Timestamp, Arc<str>), Snapshot>,
    /// When each of them was due, by id.
    dues: HashMap<Arc<str>, Timestamp>,
    /// How many there are of each class.
    counts: HashMap<Class, usize>,
}

/// Runs of one type of which it is known whether they went well, and those of which it is not.
type Class = (InstanceType, bool);

fn class(run: &Snapshot) -> Class {
    (run.kind, went_well(run.status).is_some())
}

/// Whether a run went well; `None` for one that says nothing.
pub fn went_well(status: Status) -> Option<bool> {
    match status {
        Status::Success | Status::ForcedSuccess | Status::IgnoredFailure => Some(true),
        Status::Fail | Status::RunningException | Status::Rejected => Some(false),
        Status::Waiting
        | Status::Running
        | Status::Pause
        | Status::ManualStop
        | Status::Skip
        | Status::Freeze
        | Status::Unknown => None,
    }
}

impl Past {
    /// Enters a run, or what has become of it. One whose time nobody knows has no place in the order and is left out.
    /// Of more than [`HISTORY_RUNS_MAX`] runs of one type the oldest go; those that say nothing of the job make no room for
    /// themselves among those that do.
    pub fn enter(&mut self, id: &str, run: &Snapshot) {
        let Some(due) = run.plan_time.or(run.start_time) else { return };
        // It may have been due at another time before, or of another class.
        self.remove(id);
        let id: Arc<str> = Arc::from(id);
        self.runs.insert((due, Arc::clone(&id)), *run);
        self.dues.insert(id, due);
        let count = self.counts.entry(class(run)).or_default();
        *count += 1;
        if *count > HISTORY_RUNS_MAX {
            let oldest = self.runs.iter().find(|(_, other)| class(other) == class(run));
            if let Some(id) = oldest.map(|((_, id), _)| Arc::clone(id)) {
                self.remove(&id);
            }
        }
    }

    fn remove(&mut self, id: &str) {
        let Some((id, due)) = self.dues.remove_entry(id) else { return };
        if let Some(run) = self.runs.remove(&(due, id))
            && let Some(count) = self.counts.get_mut(&class(&run))
        {
            *count -= 1;
        }
    }

    /// The run of this id.
    pub fn run(&self, id: &str) -> Option<Snapshot> {
        let (id, due) = self.dues.get_key_value(id)?;
        self.runs.get(&(*due, Arc::clone(id))).copied()
    }

    /// How many runs it holds.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The newest `count` runs of which it is known whether they went well, the newest first.
    fn counted(&self, count: usize, concerns: impl Fn(InstanceType) -> bool) -> Vec<(&str, bool)> {
        self.counted_runs(count, concerns).into_iter().map(|(id, is_well, _)| (id, is_well)).collect()
    }

    fn counted_runs(&self, count: usize, concerns: impl Fn(InstanceType) -> bool) -> Vec<(&str, bool, &Snapshot)> {
        let newest = self.runs.iter().rev().filter(|(_, run)| concerns(run.kind));
        newest.filter_map(|((_, id), run)| Some((&**id, went_well(run.status)?, run))).take(count).collect()
    }

    /// The newest run, if it and those before it failed, `count` of them in a row; with it, how many failed in a row.
    pub fn failed_in_a_row(&self, count: usize, concerns: impl Fn(InstanceType) -> bool) -> Option<(&str, usize)> {
        let runs = self.counted(HISTORY_RUNS_MAX, &concerns);
        let row = self.row(concerns);
        runs.first().filter(|_| row >= count.max(1)).map(|(id, _)| (*id, row))
    }

    /// How many runs in a row failed, the newest of which it is known whether it went well the last of them.
    pub fn row(&self, concerns: impl Fn(InstanceType) -> bool) -> usize {
        self.counted(HISTORY_RUNS_MAX, concerns).iter().take_while(|(_, is_well)| !is_well).count()
    }

    /// How many runs in a row may have failed, the newest of which it is known whether it went well the last of them: one that
    /// is under way among them (it is made again, or takes long) may fail, too. `None` where no run that went well is known to
    /// stand before them: then nobody knows how far the row goes back.
    pub fn row_at_most(&self, concerns: impl Fn(InstanceType) -> bool) -> Option<usize> {
        let (mut row, mut has_failed) = (0, false);
        for run in self.runs.values().rev().filter(|run| concerns(run.kind)) {
            match went_well(run.status) {
                Some(true) => return Some(row),
                Some(false) => (row, has_failed) = (row + 1, true),
                None => row += usize::from(has_failed && !run.status.has_ended()),
            }
        }
        None
    }

    /// How many runs there are of which it is known whether they went well.
    pub fn count(&self, concerns: impl Fn(InstanceType) -> bool) -> usize {
        self.counted(HISTORY_RUNS_MAX, concerns).len()
    }

    /// The runs with their ids, the earliest due first.
    pub fn runs(&self) -> impl Iterator<Item = (&str, Snapshot)> {
        self.runs.iter().map(|((_, id), run)| (&**id, *run))
    }

    /// The runs up to this one, as it is: what was known when nothing later had come.
    #[must_use]
    pub fn until(&self, run: &Instance) -> Past {
        let Some(due) = run.plan_time.or(run.start_time) else { return Past::default() };
        let mut until = Past::default();
        for ((_, id), run) in self.runs.range(..=(due, Arc::from(run.id.as_str()))) {
            until.enter(id, run);
        }
        until.enter(&run.id, &run.snapshot());
        until
    }

    /// How many of the last `over` runs failed; `None` when there are not so many.
    pub fn failures(&self, over: usize, concerns: impl Fn(InstanceType) -> bool) -> Option<usize> {
        let runs = self.counted(over, concerns);
        (over > 0 && runs.len() == over).then(|| runs.iter().filter(|(_, is_well)| !is_well).count())
    }

    /// Those of the last `over` runs that failed, the newest first.
    pub fn failed_runs(&self, over: usize, concerns: impl Fn(InstanceType) -> bool) -> Vec<(&str, &Snapshot)> {
        let counted = self.counted_runs(over, concerns).into_iter();
        counted.filter(|(_, is_well, _)| !is_well).map(|(id, _, run)| (id, run)).collect()
    }

    /// How long the job's runs took before `due`: those of the same day of the week where there are enough, all
    /// otherwise; `None` where there are too few.
    pub fn usual(&self, slower: &Slower, due: Timestamp, concerns: impl Fn(InstanceType) -> bool) -> Option<Usual> {
        let runs = self.compared(slower, due, concerns);
        (runs.len() >= slower.min_runs.max(1)).then(|| slower.usual(runs))
    }

    /// How many runs there are to compare one with that was due at `due`.
    pub fn comparable(&self, slower: &Slower, due: Timestamp, concerns: impl Fn(InstanceType) -> bool) -> usize {
        self.compared(slower, due, concerns).len()
    }

    fn compared(&self, slower: &Slower, due: Timestamp, concerns: impl Fn(InstanceType) -> bool) -> Vec<Duration> {
        let reach = SignedDuration::try_from(slower.over).ok().and_then(|over| due.checked_sub(over).ok());
        let Some(from) = reach else { return Vec::new() };
        let weekday = |time: Timestamp| time.to_zoned(slower.zone.clone()).weekday();
        let today = weekday(due);
        let (mut all, mut same_day) = (Vec::new(), Vec::new());
        for ((was_due, _), run) in self.runs.range((from, Arc::from(""))..(due, Arc::from(""))) {
            let took = run.start_time.zip(run.end_time).map(|(start, end)| end.duration_since(start));
            let Some(took) = took.and_then(|took| Duration::try_from(took).ok()) else { continue };
            if run.status == Status::Success && concerns(run.kind) {
                all.push(took);
                if weekday(*was_due) == today {
                    same_day.push(took);
                }
            }
        }
        let enough = slower.min_runs.max(1);
        if same_day.len() >= enough { same_day } else { all }
    }
}

impl Slower {
    fn usual(&self, mut runs: Vec<Duration>) -> Usual {
        /// Makes the median absolute deviation of a normal distribution its standard deviation.
        const NORMAL: f64 = 1.4826;
        /// So many deviations above the median a job that varies by itself hardly ever comes.
        const DEVIATIONS: f64 = 4.0;
        let middle = median(&mut runs);
        let mut deviations: Vec<Duration> = runs.iter().map(|run| run.abs_diff(middle)).collect();
        let deviation = median(&mut deviations).as_secs_f64() * NORMAL;
        let limit = (middle.as_secs_f64() * self.factor)
            .max(middle.as_secs_f64() + DEVIATIONS * deviation)
            .max(middle.as_secs_f64() + SLOWER_EXCESS_MIN.as_secs_f64());
        Usual { median: middle, limit: Duration::try_from_secs_f64(limit).unwrap_or(Duration::MAX), runs: runs.len() }
    }
}

/// The middle one; of an even number, the mean of the middle two. Of none, zero.
fn median(durations: &mut [Duration]) -> Duration {
    durations.sort_unstable();
    let middle = durations.len() / 2;
    match (durations.get(middle), durations.len() % 2) {
        (None, _) => Duration::ZERO,
        (Some(upper), 0) => (durations[middle - 1] + *upper) / 2,
        (Some(one), _) => *one,
    }
}
