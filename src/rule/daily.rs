//! Deadlines by the clock: what must have started, or succeeded, by a time of day.
//!
//! # Design
//! Each day that has a deadline has one: the first instant at which the clock of the zone shows that time, or at which it
//! goes forward over it. The runs it is about are those planned since the deadline before it, a week back at most: so a
//! job that is planned at 23:00 can have a deadline at 06:30, the runs of a holiday belong to the first working day after
//! it, and no planned run has two.

use std::fmt;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::model::{ConditionKind, InstanceType, Snapshot, SourceId, Status};
use crate::schedule::{Days, first_pass};

/// What must have come to pass by the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The run has started.
    Started,
    /// It has succeeded.
    Finished,
}

/// A deadline of every day, or of some days.
#[derive(Clone)]
pub struct Daily {
    /// What must have come to pass.
    pub goal: Goal,
    /// By when, on the clock of the zone.
    pub by: Time,
    /// When the deadline is warned of, on the same clock: the last such time before it.
    pub warn_at: Option<Time>,
    /// The days that have a deadline.
    pub days: Days,
    /// The zone of the clock.
    pub zone: TimeZone,
    /// The one source in which a job that is named in full must be, though it may never have been seen there.
    pub sole_source: Option<SourceId>,
}

/// One deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When it is.
    pub at: Timestamp,
    /// When it is warned of.
    pub warn_at: Option<Timestamp>,
    /// Runs planned after this instant and not after `at` are concerned.
    pub planned_after: Timestamp,
    /// The same a week before, or of the last deadline before that, to know which jobs are planned at such a time: planned
    /// after the first, up to the second.
    pub week_before: (Timestamp, Timestamp),
}

/// A run as it is known at a deadline.
#[derive(Debug, Clone, Copy)]
pub struct KnownRun<'a> {
    /// The instance id.
    pub id: &'a str,
    /// As it is now.
    pub now: Snapshot,
    /// As it was when it was seen last: a run that was through in time and is made again is not late.
    pub before: Option<Snapshot>,
}

/// What is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late<'a> {
    /// This run is not where it should be.
    Run(&'a str),
    /// This run came there too late, and when.
    Over(&'a str, Timestamp),
    /// No run was planned.
    NoRun,
}

/// How a run stands to a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoalState {
    /// It is where it should be; since when, where that is known.
    Reached(Option<Timestamp>),
    /// It is not.
    NotReached,
}

impl fmt::Debug for Daily {
    /// What the rule means; a zone's tables say nothing to a reader.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.iana_name().unwrap_or("fixed offset");
        write!(
            f,
            "{:?} by {} warn {:?} {:?} {zone} {:?}",
            self.goal, self.by, self.warn_at, self.days, self.sole_source
        )
    }
}

impl Daily {
    /// The condition's name.
    pub fn kind(&self) -> ConditionKind {
        match self.goal {
            Goal::Started => ConditionKind::NotStartedBy,
            Goal::Finished => ConditionKind::NotFinishedBy,
        }
    }

    /// The deadline as a person says it: `06:30`.
    pub fn text(&self) -> String {
        self.by.strftime("%H:%M").to_string()
    }

    /// The deadlines that come, or are warned of, after `after` and not after `until`, the earliest first.
    pub fn dues(&self, after: Timestamp, until: Timestamp) -> Vec<Due> {
        let mut dues = Vec::new();
        let Ok(mut date) = after.to_zoned(self.zone.clone()).date().yesterday() else { return dues };
        // A deadline after midnight may be warned of on the day before.
        let last = until.to_zoned(self.zone.clone()).date();
        let last = last.tomorrow().unwrap_or(last);
        while date <= last {
            let due = self.due_on(date).filter(|due| {
                let is_inside = |instant: Timestamp| after < instant && instant <= until;
                is_inside(due.at) || due.warn_at.is_some_and(is_inside)
            });
            dues.extend(due);
            let Ok(next) = date.tomorrow() else { break };
            date = next;
        }
        dues
    }

    /// The deadline of a calendar day, if that day has one.
    pub fn due_on(&self, date: Date) -> Option<Due> {
        if !self.days.include(date) {
            return None;
        }
        let at = self.clock(date)?;
        let warn_at = self.warn_at.and_then(|time| {
            let day = if time < self.by { date } else { date.yesterday().ok()? };
            first_pass(&self.zone, day.to_datetime(time)).filter(|warn_at| *warn_at < at)
        });
        let a_week_before = days_before(date, WEEK)?;
        let same_before = self.days.last_until(a_week_before).unwrap_or(a_week_before);
        let week_before = (self.planned_after(same_before)?, self.clock(same_before)?);
        Some(Due { at, warn_at, planned_after: self.planned_after(date)?, week_before })
    }

    /// How long before its deadline a run can be planned: a day, or a week where not every day has a deadline.
    pub fn reach(&self) -> SignedDuration {
        // The clocks may go back in between, by three hours at most.
        SignedDuration::from_hours(if self.days.are_all() { 24 } else { 24 * WEEK } + 3)
    }

    /// When the clock shows the deadline's time on a day.
    fn clock(&self, date: Date) -> Option<Timestamp> {
        first_pass(&self.zone, date.to_datetime(self.by))
    }

    /// The deadline before that of `date`, or the same time a week before.
    fn planned_after(&self, date: Date) -> Option<Timestamp> {
        let since = (1..WEEK).filter_map(|days| days_before(date, days)).find(|date| self.days.include(*date));
        self.clock(since.or_else(|| days_before(date, WEEK))?)
    }

    /// How a run stands.
    pub fn standing(&self, run: &Snapshot) -> GoalState {
        match (self.goal, run.status) {
            (Goal::Finished, Status::Success | Status::ForcedSuccess | Status::IgnoredFailure) => {
                GoalState::Reached(run.end_time)
            }
            (Goal::Finished, _) | (Goal::Started, Status::Waiting | Status::Freeze | Status::Rejected) => {
                GoalState::NotReached
            }
            // It may have been called off before it started: then it will not start late either.
            (Goal::Started, _) => GoalState::Reached(run.start_time),
        }
    }

    /// What of one job is late for the deadline, each of its runs by itself. `expects` says which types of runs the
    /// deadline is about. A run that failed is not late when a later one did its work in time.
    pub fn late<'a>(&self, due: &Due, runs: &[KnownRun<'a>], expects: impl Fn(InstanceType) -> bool) -> Vec<Late<'a>> {
        let planned = |run: &Snapshot| run.plan_time.or(run.start_time);
        let in_time = |run: &Snapshot| match self.standing(run) {
            GoalState::Reached(at) => at.is_none_or(|at| at <= due.at),
            GoalState::NotReached => false,
        };
        let is_settled = |run: &Snapshot| {
            let did_its_work = |other: &KnownRun<'_>| {
                let is_later = planned(&other.now) > planned(run);
                other.now.kind != InstanceType::Backfill && is_later && in_time(&other.now)
            };
            let is_in_vain = run.status.has_ended() && self.standing(run) == GoalState::NotReached;
            is_in_vain && runs.iter().any(did_its_work)
        };
        let concerned: Vec<&KnownRun<'a>> = runs
            .iter()
            .filter(|run| expects(run.now.kind) && planned(&run.now).is_some_and(|planned| due.concerns(planned)))
            .collect();
        if concerned.is_empty() {
            return vec![Late::NoRun];
        }
        let late = |run: &&KnownRun<'a>| {
            if in_time(&run.now) || run.before.as_ref().is_some_and(in_time) || is_settled(&run.now) {
                return None;
            }
            match self.standing(&run.now) {
                GoalState::Reached(Some(at)) => Some(Late::Over(run.id, at)),
                _ => Some(Late::Run(run.id)),
            }
        };
        concerned.iter().filter_map(late).collect()
    }
}

/// The days of a week.
const WEEK: i64 = 7;

fn days_before(date: Date, days: i64) -> Option<Date> {
    date.checked_sub(SignedDuration::from_hours(24 * days)).ok()
}

impl Due {
    /// Whether a run planned then is concerned.
    pub fn concerns(&self, planned: Timestamp) -> bool {
        self.planned_after < planned && planned <= self.at
    }
}
