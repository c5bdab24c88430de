//! Which calendar days are meant: weekdays, days of the month, working days, days off, holidays.

use std::fmt;
use std::sync::Arc;

use jiff::civil::{Date, Weekday};

use super::calendar::Calendar;

/// The days of which any of these is true.
#[derive(Clone, Default)]
pub struct Days {
    /// The weekday is one of these.
    pub weekdays: Vec<Weekday>,
    /// The day of the month is one of these.
    pub month_days: Vec<i8>,
    /// It is the last day of its month.
    pub last_of_month: bool,
    /// It is worked.
    pub workdays: bool,
    /// It is not worked: weekends that are not made up for, and holidays.
    pub days_off: bool,
    /// It is a public holiday.
    pub holidays: bool,
    /// What is worked and what is a holiday.
    pub calendar: Arc<Calendar>,
}

impl Days {
    /// Every day.
    pub fn every() -> Days {
        Days::on((0..7).filter_map(|day| Weekday::from_monday_zero_offset(day).ok()))
    }

    /// These days of the week.
    pub fn on(weekdays: impl IntoIterator<Item = Weekday>) -> Days {
        Days { weekdays: weekdays.into_iter().collect(), ..Days::default() }
    }

    /// Whether the day is among them.
    pub fn include(&self, date: Date) -> bool {
        let is_workday = || self.calendar.is_workday(date);
        self.weekdays.contains(&date.weekday())
            || self.month_days.contains(&date.day())
            || self.last_of_month && date.day() == date.days_in_month()
            || self.workdays && is_workday()
            || self.days_off && !is_workday()
            || self.holidays && self.calendar.is_holiday(date)
    }

    /// Whether every day is among them.
    pub fn are_all(&self) -> bool {
        self.workdays && self.days_off
            || (0..7).all(|day| Weekday::from_monday_zero_offset(day).is_ok_and(|day| self.weekdays.contains(&day)))
            || (1..=31).all(|day| self.month_days.contains(&day))
    }

    /// Whether it takes a calendar to know them.
    pub fn go_by_calendar(&self) -> bool {
        self.workdays || self.days_off || self.holidays
    }

    /// The last such day at or before `date`, of the 400 days before it.
    pub fn last_until(&self, date: Date) -> Option<Date> {
        const LOOKED_AT: usize = 400;
        let back = std::iter::successors(Some(date), |date| date.yesterday().ok());
        back.take(LOOKED_AT).find(|date| self.include(*date))
    }
}

impl fmt::Debug for Days {
    /// What the words mean; a calendar's dates say nothing to a reader.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weekdays = self.weekdays.iter().fold(0_u8, |all, day| all | 1 << day.to_monday_zero_offset());
        write!(f, "Days({weekdays})")?;
        if !self.month_days.is_empty() || self.last_of_month {
            write!(f, " of month {:?} {}", self.month_days, self.last_of_month)?;
        }
        if self.go_by_calendar() {
            write!(f, " by calendar {} {} {}", self.workdays, self.days_off, self.holidays)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_month() {
        let days = Days { month_days: vec![1, 31], last_of_month: true, ..Days::default() };
        // day, whether it is meant
        let cases = [
            ("2026-01-01", true),
            ("2026-01-30", false),
            ("2026-01-31", true),
            ("2026-02-28", true),
            ("2028-02-28", false),
            ("2028-02-29", true),
            ("2026-04-30", true),
        ];
        for (day, meant) in cases {
            assert_eq!(days.include(day.parse().unwrap()), meant, "{day}");
        }
        let last = days.last_until("2026-03-20".parse().unwrap()).unwrap();
        assert_eq!(last.to_string(), "2026-03-01");
    }
}
