//! Due times by the schedules that the scheduler itself has, job by job.
//!
//! Pure: is told what each job's schedule is whenever somebody has read it, and since when that is known. A due time
//! counts only when its schedule is known to have stood then: one that has just changed, or come to be, says nothing of
//! the time before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::recurring::{DueTime, Recurring};
use crate::limits::PLAN_TIME_TOLERANCE;
use crate::model::{JobSchedule, SourceId};
use crate::schedule::{Days, Schedule};

/// A run must be planned or started for each due time of the job's own schedule.
#[derive(Debug, Clone)]
pub struct OwnSchedule {
    /// How long after a due time a run may be planned or started for it.
    pub grace: Duration,
    /// The one source in which a job that is named in full must be.
    pub sole_source: Option<SourceId>,
    /// The days on which due times count.
    pub days: Days,
}

/// The schedule of one job.
#[derive(Debug, Clone)]
pub struct Plan {
    /// When the job is due.
    pub schedule: Schedule,
    /// Since when it is known to be that; `None` when it was so at the first look.
    pub since: Option<Timestamp>,
}

/// The schedules of a source's jobs, as they were read last.
#[derive(Debug, Clone, Default)]
pub struct Plans {
    by_job: BTreeMap<String, Plan>,
    unclear: BTreeMap<String, String>,
    read_at: Option<Timestamp>,
    warned_of: BTreeSet<String>,
}

impl Plans {
    /// Takes over what was read at `now`: all schedules there are.
    pub fn take(&mut self, told: Vec<JobSchedule>, now: Timestamp) {
        let mut before = std::mem::take(&mut self.by_job);
        self.unclear.clear();
        for JobSchedule { job, due } in told {
            match due {
                Ok(schedule) => {
                    let known = before.remove(&job).filter(|plan| plan.is_by(&schedule));
                    let since = known.map_or(self.read_at.map(|_| now), |plan| plan.since);
                    self.by_job.insert(job, Plan { schedule, since });
                }
                Err(why) => drop(self.unclear.insert(job, why)),
            }
        }
        self.read_at = Some(now);
    }

    /// When they were read last.
    pub fn read_at(&self) -> Option<Timestamp> {
        self.read_at
    }

    /// The jobs whose schedules are known, with these.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Plan)> {
        self.by_job.iter().map(|(job, plan)| (job.as_str(), plan))
    }

    /// The jobs whose due times cannot be followed, each with why.
    pub fn unclear(&self) -> impl Iterator<Item = (&str, &str)> {
        self.unclear.iter().map(|(job, why)| (job.as_str(), why.as_str()))
    }

    /// Whether a job has a schedule, clear or not.
    pub fn has(&self, job: &str) -> bool {
        self.by_job.contains_key(job) || self.unclear.contains_key(job)
    }

    /// Whether nobody was warned of this job before; from now on somebody was.
    pub fn is_first_warning(&mut self, job: &str) -> bool {
        self.warned_of.insert(job.to_string())
    }
}

impl Plan {
    fn is_by(&self, schedule: &Schedule) -> bool {
        self.schedule.to_string() == schedule.to_string() && self.schedule.zone() == schedule.zone()
    }

    /// The due times whose grace ends after `after` and not after `until`, and at which this schedule is known to have
    /// stood; the latest of them when they are very many.
    pub fn due_times(&self, own: &OwnSchedule, after: Timestamp, until: Timestamp) -> Vec<DueTime> {
        let (mut dues, _) = self.recurring(own).due_times(after, until);
        dues.retain(|due| self.since.is_none_or(|since| due.at > since));
        dues
    }

    /// A due time as a person says it.
    pub fn text(&self, own: &OwnSchedule, at: Timestamp) -> String {
        self.recurring(own).text(at)
    }

    fn recurring(&self, own: &OwnSchedule) -> Recurring {
        let (sole_source, days) = (own.sole_source.clone(), own.days.clone());
        Recurring { schedule: self.schedule.clone(), days, grace: own.grace, sole_source }
    }

    /// Whether the runs that the scheduler has planned, at these times, are planned by this schedule: the last of them
    /// since it is known must be. If not, it is read wrongly here (in another zone than the job's own, say), and what
    /// it says is missing may not be.
    pub fn agrees_with(&self, planned: impl Iterator<Item = Timestamp>) -> bool {
        let Some(last) = planned.filter(|at| self.since.is_none_or(|since| *at > since)).max() else { return true };
        let around = SignedDuration::try_from(PLAN_TIME_TOLERANCE).unwrap_or(SignedDuration::ZERO);
        let (Ok(from), Ok(until)) = (last.checked_sub(around), last.checked_add(around)) else { return true };
        self.schedule.next_after(from).is_some_and(|due| due <= until)
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-21T{time}:00Z").parse().unwrap()
    }

    fn told(expression: &str) -> Vec<JobSchedule> {
        vec![JobSchedule { job: "load".into(), due: Schedule::parse_quartz(expression, &TimeZone::UTC) }]
    }

    fn dues(plans: &Plans, after: &str, until: &str) -> Vec<String> {
        let own = OwnSchedule { grace: Duration::from_secs(900), sole_source: None, days: Days::every() };
        let of_plan = |(_, plan): (&str, &Plan)| plan.due_times(&own, at(after), at(until));
        plans.iter().flat_map(of_plan).map(|due| due.at.strftime("%H:%M").to_string()).collect()
    }

    #[test]
    fn what_stood_at_the_first_look_counts_as_far_back_as_one_looks() {
        let mut plans = Plans::default();
        plans.take(told("0 0 * * * ?"), at("05:30"));
        plans.take(told("0 0 * * * ?"), at("06:30"));
        assert_eq!(dues(&plans, "03:15", "06:30"), ["04:00", "05:00", "06:00"]);
    }

    #[test]
    fn a_schedule_that_has_changed_says_nothing_of_the_time_before() {
        let mut plans = Plans::default();
        plans.take(told("0 0 2 * * ?"), at("01:00"));
        plans.take(told("0 0 * * * ?"), at("05:30"));
        assert_eq!(dues(&plans, "00:15", "07:30"), ["06:00", "07:00"]);
        plans.take(Vec::new(), at("08:00"));
        assert!(dues(&plans, "00:15", "09:00").is_empty(), "its schedule is off");
        plans.take(told("0 0 * * * ?"), at("09:30"));
        assert_eq!(dues(&plans, "00:15", "11:30"), ["10:00", "11:00"]);
    }

    #[test]
    fn a_schedule_that_the_runs_do_not_keep_to_is_read_wrongly() {
        let mut plans = Plans::default();
        plans.take(told("0 0 2 * * ?"), at("01:00"));
        let agrees = |times: &[&str]| plans.iter().all(|(_, plan)| plan.agrees_with(times.iter().map(|time| at(time))));
        assert!(agrees(&[]) && agrees(&["02:00"]) && agrees(&["00:30", "02:00"]));
        assert!(!agrees(&["02:00", "10:00"]) && !agrees(&["02:05"]));
    }
}
