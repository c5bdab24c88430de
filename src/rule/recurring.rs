//! Due times by a schedule: for each of them a run must be planned or started.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::limits::DUE_TIMES_PER_POLL_MAX;
use crate::model::SourceId;
use crate::schedule::{Days, Schedule};

/// When a job must run.
#[derive(Clone)]
pub struct Recurring {
    /// The due times.
    pub schedule: Schedule,
    /// The days on which they count.
    pub days: Days,
    /// How long after a due time a run may be planned or started for it.
    pub grace: Duration,
    /// The one source in which a job that is named in full must be, though it may never have been seen there.
    pub sole_source: Option<SourceId>,
}

/// The due times for which one job had no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// How many.
    pub count: u32,
    /// The first time after the last of them at which a run was planned or started, if there was one.
    pub over_at: Option<Timestamp>,
}

/// One due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueTime {
    /// When it is.
    pub at: Timestamp,
    /// The last instant at which a run planned or started is one for it: before the next due time, within the grace.
    pub until: Timestamp,
}

impl fmt::Debug for Recurring {
    /// What the rule means; a zone's tables say nothing to a reader.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.schedule, self.grace, self.sole_source)?;
        if self.days.are_all() { Ok(()) } else { write!(f, " {:?}", self.days) }
    }
}

impl Recurring {
    /// A due time as a person says it, on the clock of the schedule's zone: `02:00`.
    pub fn text(&self, at: Timestamp) -> String {
        at.to_zoned(self.schedule.zone().clone()).strftime("%H:%M").to_string()
    }

    /// The due times whose grace ends after `after` and not after `until`, the earliest first; of more than
    /// [`DUE_TIMES_PER_POLL_MAX`] the latest. Whether there were more is the second value.
    pub fn due_times(&self, after: Timestamp, until: Timestamp) -> (Vec<DueTime>, bool) {
        let grace = SignedDuration::try_from(self.grace).unwrap_or(SignedDuration::ZERO);
        let earlier = |instant: Timestamp| instant.checked_sub(grace).unwrap_or(Timestamp::MIN);
        let (mut at, last) = (earlier(after), earlier(until));
        let mut dues = std::collections::VecDeque::new();
        let mut are_more = false;
        while let Some(next) = self.schedule.next_after(at).filter(|next| *next <= last) {
            if self.is_meant(next) {
                dues.push_back(self.due_time(next));
            }
            if dues.len() > DUE_TIMES_PER_POLL_MAX {
                dues.pop_front();
                are_more = true;
            }
            at = next;
        }
        (dues.into(), are_more)
    }

    /// The due time a week before, in the schedule's zone, or the last one before that: a job that ran then is one that
    /// is planned at such a time.
    pub fn week_before(&self, due: DueTime) -> Option<DueTime> {
        /// A change of the clocks moves a due time by so much at most.
        const CHANGE_OF_CLOCKS: SignedDuration = SignedDuration::from_hours(1);
        let wall = due.at.to_zoned(self.schedule.zone().clone()).checked_sub(jiff::Span::new().days(7)).ok()?;
        let around = wall.timestamp().checked_add(CHANGE_OF_CLOCKS).ok()?.min(due.at);
        self.last_due(around)
    }

    /// The last due time at or before an instant.
    pub fn last_due(&self, until: Timestamp) -> Option<DueTime> {
        /// Due times on days that do not count which are passed over: a year of every hour.
        const PASSED_OVER: usize = 366 * 24;
        let before = |at: &Timestamp| self.schedule.last_until(at.checked_sub(SignedDuration::from_millis(1)).ok()?);
        let times = std::iter::successors(self.schedule.last_until(until), before);
        times.take(PASSED_OVER).find(|at| self.is_meant(*at)).map(|at| self.due_time(at))
    }

    /// Whether a due time is on a day that counts.
    fn is_meant(&self, at: Timestamp) -> bool {
        self.days.include(at.to_zoned(self.schedule.zone().clone()).date())
    }

    fn due_time(&self, at: Timestamp) -> DueTime {
        let grace_ends = at.checked_add(self.grace).unwrap_or(Timestamp::MAX);
        let next = self.schedule.next_after(at).and_then(|next| next.checked_sub(SignedDuration::from_millis(1)).ok());
        DueTime { at, until: next.map_or(grace_ends, |next| next.min(grace_ends)) }
    }
}

/// Which of `dues` a job missed, by when its runs were planned and started; `None` when it missed none.
pub fn missed(dues: &[DueTime], runs: &[(Option<Timestamp>, Option<Timestamp>)]) -> Option<Missed> {
    let is_missed = |due: &&DueTime| !runs.iter().any(|(plan, start)| due.is_met_by(*plan, *start));
    let missed: Vec<&DueTime> = dues.iter().filter(is_missed).collect();
    let (first, last) = (missed.first()?.at, missed.last()?.at);
    let times = runs.iter().flat_map(|(plan, start)| [*plan, *start]).flatten();
    let over_at = times.filter(|time| *time >= last).min();
    Some(Missed { first, last, count: u32::try_from(missed.len()).unwrap_or(u32::MAX), over_at })
}

impl DueTime {
    /// Whether a run planned or started then is one for this due time.
    pub fn is_met_by(&self, plan: Option<Timestamp>, start: Option<Timestamp>) -> bool {
        [plan, start].into_iter().flatten().any(|time| self.at <= time && time <= self.until)
    }
}
