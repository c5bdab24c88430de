//! Calendars of working days: what is a holiday, and which weekend is worked to make up for it.
//!
//! A calendar knows the years it was made for. Of any other year it knows the weekdays only, and can say so.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};

/// Mainland China's public holidays and make-up working days, in the form of every calendar file.
pub const CN: &str = include_str!("calendars/cn.yaml");

/// Working days and holidays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    weekend: Vec<Weekday>,
    years: BTreeSet<i16>,
    holidays: BTreeSet<Date>,
    workdays: BTreeSet<Date>,
}

impl Default for Calendar {
    /// Saturday and Sunday are off, and nothing is known of any year.
    fn default() -> Self {
        Calendar {
            weekend: vec![Weekday::Saturday, Weekday::Sunday],
            years: BTreeSet::new(),
            holidays: BTreeSet::new(),
            workdays: BTreeSet::new(),
        }
    }
}

impl Calendar {
    /// A calendar of the years `years`: `holidays` are off, `workdays` are worked, every other day goes by `weekend`.
    pub fn new(
        weekend: Vec<Weekday>,
        years: impl IntoIterator<Item = i16>,
        holidays: impl IntoIterator<Item = Date>,
        workdays: impl IntoIterator<Item = Date>,
    ) -> Calendar {
        let years = years.into_iter().collect();
        let (holidays, workdays) = (holidays.into_iter().collect(), workdays.into_iter().collect());
        Calendar { weekend, years, holidays, workdays }
    }

    /// Adds what another calendar knows; of the years it covers, nothing of what was known before stays.
    pub fn take_over(&mut self, newer: Calendar) {
        self.holidays.retain(|date| !newer.years.contains(&date.year()));
        self.workdays.retain(|date| !newer.years.contains(&date.year()));
        self.weekend = newer.weekend;
        self.years.extend(newer.years);
        self.holidays.extend(newer.holidays);
        self.workdays.extend(newer.workdays);
    }

    /// Whether the day is a public holiday, an ordinary weekend not among them.
    pub fn is_holiday(&self, date: Date) -> bool {
        self.holidays.contains(&date)
    }

    /// Whether the day is worked.
    pub fn is_workday(&self, date: Date) -> bool {
        let is_weekend = self.weekend.contains(&date.weekday());
        self.workdays.contains(&date) || !is_weekend && !self.holidays.contains(&date)
    }

    /// Whether it names any holiday at all.
    pub fn has_holidays(&self) -> bool {
        !self.holidays.is_empty()
    }

    /// The years it was made for, in order.
    pub fn years(&self) -> impl Iterator<Item = i16> {
        self.years.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn a_newer_file_replaces_the_years_it_covers_and_leaves_the_others() {
        let weekend = vec![Weekday::Saturday, Weekday::Sunday];
        let mut calendar = Calendar::new(
            weekend.clone(),
            [2026, 2027],
            [date("2026-10-01"), date("2027-10-01")],
            [date("2026-10-10"), date("2027-10-09")],
        );
        calendar.take_over(Calendar::new(weekend, [2027, 2028], [date("2027-01-01")], []));
        assert_eq!(calendar.years().collect::<Vec<_>>(), [2026, 2027, 2028]);
        // day, holiday, workday
        let cases = [
            ("2026-10-01", true, false),
            ("2026-10-10", false, true),
            ("2027-10-01", false, true),
            ("2027-10-09", false, false),
            ("2027-01-01", true, false),
            ("2029-06-02", false, false),
            ("2029-06-04", false, true),
        ];
        for (day, holiday, workday) in cases {
            assert_eq!((calendar.is_holiday(date(day)), calendar.is_workday(date(day))), (holiday, workday), "{day}");
        }
    }
}
