//! Windows of time that open again and again.
//!
//! # Design
//! A window is open from an instant on, and closed again at the instant at which it ends: the end does not belong to
//! it. One that is written in wall-clock times opens when the clock first shows its beginning and closes when the clock
//! last shows its end, so that it is open whenever the clock shows a time inside it, in one piece, also on the day on
//! which the clocks are set back. A time that the clocks leap over counts as the instant at which they do.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::cron::Schedule;
use super::days::Days;

/// The seconds of a day by the clock.
pub const DAY_SECONDS: i32 = 86_400;

/// A window that opens again and again.
#[derive(Debug, Clone)]
pub enum RecurringWindow {
    /// On certain days, between two times of the wall clock.
    Daily(DailyWindow),
    /// From each instant that a schedule names, for a time.
    Scheduled {
        /// When it opens.
        schedule: Schedule,
        /// How long it stays open.
        lasts: SignedDuration,
    },
}

/// A window between two times of the wall clock.
#[derive(Debug, Clone)]
pub struct DailyWindow {
    /// The days it opens on.
    pub days: Days,
    /// When it opens, in seconds of the day.
    pub from: i32,
    /// When it closes, in seconds of the day up to [`DAY_SECONDS`]; of the next day unless it is later than `from`.
    pub to: i32,
    /// Whose wall clock it goes by.
    pub zone: TimeZone,
}

impl RecurringWindow {
    /// Whether it is open at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        match self {
            RecurringWindow::Daily(daily) => daily.is_open(now),
            RecurringWindow::Scheduled { schedule, lasts } => {
                let opened_after = now.checked_sub(*lasts).unwrap_or(Timestamp::MIN);
                schedule.next_after(opened_after).is_some_and(|due| due <= now)
            }
        }
    }

    /// When it opens next, later than `now`; none where it does not within some years.
    pub fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            RecurringWindow::Daily(daily) => daily.next_opening(now),
            RecurringWindow::Scheduled { schedule, .. } => schedule.next_after(now),
        }
    }

    /// When it closes that is open at `now`; none where it is closed. It may open again at that very instant.
    pub fn closes_after(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            RecurringWindow::Daily(daily) => daily.around(now).map(|(_, closes)| closes).max(),
            RecurringWindow::Scheduled { schedule, lasts } => {
                let opened_after = now.checked_sub(*lasts).unwrap_or(Timestamp::MIN);
                let due = std::iter::successors(schedule.next_after(opened_after), |due| schedule.next_after(*due));
                due.take_while(|due| *due <= now).last()?.checked_add(*lasts).ok()
            }
        }
    }

    /// Whether it is open because nobody works then: it goes by the days off or the holidays of a calendar.
    pub fn is_of_days_off(&self) -> bool {
        matches!(self, RecurringWindow::Daily(daily) if daily.days.days_off || daily.days.holidays)
    }

    /// Whether it never closes, so that nothing would ever be told.
    pub fn never_closes(&self) -> bool {
        match self {
            RecurringWindow::Daily(daily) => daily.from == 0 && daily.to == DAY_SECONDS && daily.days.are_all(),
            RecurringWindow::Scheduled { schedule, lasts } => {
                /// Enough due times to meet every pause of a week of quarter-hours.
                const DUE_TIMES: usize = 1000;
                // From 2026 on; which year it is makes no difference to a crontab's longest pause.
                let start = Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH);
                let mut last = schedule.next_after(start);
                (0..DUE_TIMES).all(|_| {
                    let next = last.and_then(|last| schedule.next_after(last));
                    let is_tight = last.zip(next).is_some_and(|(last, next)| next.duration_since(last) <= *lasts);
                    last = next;
                    is_tight
                })
            }
        }
    }
}

impl DailyWindow {
    fn is_open(&self, now: Timestamp) -> bool {
        self.around(now).next().is_some()
    }

    /// The openings that are under way at `now`.
    fn around(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today = self.zone.to_datetime(now).date();
        // Yesterday's may reach over midnight; tomorrow's may have opened before the clocks went back over midnight.
        [today.yesterday().ok(), Some(today), today.tomorrow().ok()]
            .into_iter()
            .flatten()
            .filter_map(|date| self.opening(date))
            .filter(move |(opens, closes)| *opens <= now && now < *closes)
    }

    fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        /// Days of which one at least is meant: a leap year has one more than others.
        const DAYS: usize = 366 * 8;
        let today = self.zone.to_datetime(now).date();
        let dates = std::iter::successors(Some(today), |date| date.tomorrow().ok()).take(DAYS);
        let openings = dates.filter_map(|date| self.opening(date));
        // One that the clocks leap over never opens.
        openings.filter(|(opens, closes)| *opens > now && closes > opens).map(|(opens, _)| opens).next()
    }

    /// When the window of a day opens and closes; `None` on days that are not its own. Where the clocks leap over the
    /// whole of it, the two are the same.
    pub fn opening(&self, date: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days.include(date) {
            return None;
        }
        let closes_on = if self.to > self.from { date } else { date.tomorrow().ok()? };
        let [from, to] = [wall(date, self.from)?, wall(closes_on, self.to)?];
        let before_the_end = to.checked_sub(SignedDuration::from_secs(1)).ok()?;
        let last = passes(&self.zone, before_the_end)?;
        let closes = match last {
            Passes::Shown { last, .. } => last.checked_add(SignedDuration::from_secs(1)).ok()?,
            Passes::LeaptOver { at } => at,
        };
        let opens = match passes(&self.zone, from)? {
            Passes::Shown { first, .. } => first,
            Passes::LeaptOver { at } => at,
        };
        Some((opens, closes.max(opens)))
    }
}

fn wall(date: Date, seconds: i32) -> Option<DateTime> {
    date.at(0, 0, 0, 0).checked_add(SignedDuration::from_secs(i64::from(seconds))).ok()
}

/// When a wall clock shows a time.
enum Passes {
    /// Once, or twice.
    Shown { first: Timestamp, last: Timestamp },
    /// Never: the clocks leap over it at this instant.
    LeaptOver { at: Timestamp },
}

fn passes(zone: &TimeZone, shown: DateTime) -> Option<Passes> {
    let at = |offset: Offset| offset.to_timestamp(shown).ok();
    match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } => Some(Passes::Shown { first: at(offset)?, last: at(offset)? }),
        AmbiguousOffset::Fold { before, after } => Some(Passes::Shown { first: at(before)?, last: at(after)? }),
        AmbiguousOffset::Gap { after, .. } => {
            let change = zone.following(at(after)?).find(|change| change.offset() == after)?;
            Some(Passes::LeaptOver { at: change.timestamp() })
        }
    }
}
