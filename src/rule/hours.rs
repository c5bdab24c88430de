//! Hours: in which times a step or a route tells, and until when it holds back what may wait.
//!
//! # Design
//! A step or a route of a closed window (`during`) does not count at that moment: somebody else has the duty then, and
//! `check` looks for times that nobody has. What is held back (`hold`) does count: its receiver is among those who are told,
//! and what it is told goes out when the window opens, together. Both go by the instant that is handed in, so that whoever
//! plays a time again comes to the same. An end is for everybody who heard of the beginning, whoever has the duty by then.

use std::sync::Arc;

use jiff::Timestamp;

use crate::limits::HOLD_MAX;
use crate::model::ReceiverId;
use crate::schedule::RecurringWindow;

/// A window of time by its name.
#[derive(Debug, Clone)]
pub struct NamedWindow {
    /// Its key in the configuration.
    pub name: Arc<str>,
    /// When it is open.
    pub window: RecurringWindow,
}

/// In which times somebody is told.
#[derive(Debug, Clone, Default)]
pub struct Hours {
    /// Only while this is open; at any time without.
    pub during: Option<NamedWindow>,
    /// Not before this opens; at once without, and while it is open.
    pub hold: Option<NamedWindow>,
}

/// Those whom a rule tells at once, in these hours.
#[derive(Debug, Clone)]
pub struct FirstStep {
    /// Who is told.
    pub to: Vec<ReceiverId>,
    /// When.
    pub hours: Hours,
}

/// Something is told later, when a window opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The window.
    pub window: Arc<str>,
    /// When it opens; of one that stays closed for very long, the longest that anything is held back.
    pub until: Timestamp,
}

impl Hours {
    /// Whether they make no difference.
    pub fn are_all(&self) -> bool {
        self.during.is_none() && self.hold.is_none()
    }

    /// Whether somebody is told of what comes at `now`.
    pub fn include(&self, now: Timestamp) -> bool {
        self.during.as_ref().is_none_or(|during| during.window.is_open(now))
    }

    /// Until when what comes at `now` is held back; none for what is told at once.
    pub fn hold(&self, now: Timestamp) -> Option<Hold> {
        let hold = self.hold.as_ref().filter(|hold| !hold.window.is_open(now))?;
        let longest = now.checked_add(HOLD_MAX).unwrap_or(Timestamp::MAX);
        let opens = hold.window.next_opening(now).filter(|opens| *opens < longest);
        Some(Hold { window: Arc::clone(&hold.name), until: opens.unwrap_or(longest) })
    }
}

/// The first time from `from` on, before `until`, in which none of these windows is open: when it begins, and when it ends.
pub fn first_gap(windows: &[&RecurringWindow], from: Timestamp, until: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let opens = |after| windows.iter().filter_map(|window| window.next_opening(after)).min();
    let mut at = from;
    // Each turn goes on to where an open window closes; a year has some thousands of these.
    for _ in 0..10_000 {
        let closes =
            windows.iter().filter(|window| window.is_open(at)).filter_map(|window| window.closes_after(at)).max();
        match closes {
            None => return Some((at, opens(at).unwrap_or(until).min(until))),
            Some(closes) if closes >= until || closes <= at => return None,
            Some(closes) => at = closes,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use jiff::civil::Weekday;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::{DailyWindow, Days, Schedule};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn daily(from: i32, to: i32, zone: &str, days: Days) -> RecurringWindow {
        RecurringWindow::Daily(DailyWindow { days, from: from * 60, to: to * 60, zone: TimeZone::get(zone).unwrap() })
    }

    fn weekdays() -> Days {
        let five = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
        Days::on(five)
    }

    fn held_by(window: RecurringWindow) -> Hours {
        Hours { hold: Some(NamedWindow { name: "work".into(), window }), during: None }
    }

    #[test]
    fn what_is_held_back_goes_out_when_the_clock_of_the_zone_says_so() {
        let berlin = || held_by(daily(9 * 60, 18 * 60, "Europe/Berlin", weekdays()));
        let early = || held_by(daily(2 * 60 + 30, 4 * 60, "Europe/Berlin", Days::every()));
        let new_york = || held_by(daily(9 * 60, 17 * 60, "America/New_York", Days::every()));
        let shanghai = || held_by(daily(9 * 60, 18 * 60, "Asia/Shanghai", Days::every()));
        let table: [(&str, Hours, &str, Option<&str>); 10] = [
            ("an ordinary night", berlin(), "2026-11-24T02:00:00Z", Some("2026-11-24T08:00:00Z")),
            ("open", berlin(), "2026-11-24T08:00:00Z", None),
            ("closed to the second", berlin(), "2026-11-24T17:00:00Z", Some("2026-11-25T08:00:00Z")),
            (
                "over the weekend on which the clocks go forward",
                berlin(),
                "2026-03-27T17:00:00Z",
                Some("2026-03-30T07:00:00Z"),
            ),
            ("over the weekend on which they go back", berlin(), "2026-10-23T16:00:00Z", Some("2026-10-26T08:00:00Z")),
            ("the clocks leap over the opening", early(), "2026-03-28T23:00:00Z", Some("2026-03-29T01:00:00Z")),
            (
                "the clocks show the opening twice: the first counts",
                early(),
                "2026-10-24T23:00:00Z",
                Some("2026-10-25T00:30:00Z"),
            ),
            ("it stays open while they show it again", early(), "2026-10-25T01:15:00Z", None),
            ("forward, elsewhere", new_york(), "2026-03-08T04:00:00Z", Some("2026-03-08T13:00:00Z")),
            ("no such clocks", shanghai(), "2026-03-29T12:00:00Z", Some("2026-03-30T01:00:00Z")),
        ];
        for (name, hours, now, until) in table {
            let held = hours.hold(at(now)).map(|hold| hold.until.to_string());
            assert_eq!(held.as_deref(), until, "{name}");
        }
    }

    #[test]
    fn nothing_is_held_back_for_longer_than_the_limit() {
        let once_a_year = Schedule::parse("0 9 1 1 *", &TimeZone::UTC).unwrap();
        let hours =
            held_by(RecurringWindow::Scheduled { schedule: once_a_year, lasts: jiff::SignedDuration::from_hours(1) });
        let now = at("2026-11-24T00:00:00Z");
        assert_eq!(hours.hold(now).unwrap().until, now.checked_add(HOLD_MAX).unwrap());
        assert_eq!(hours.hold(at("2026-12-31T00:00:00Z")).unwrap().until, at("2027-01-01T09:00:00Z"));
        assert_eq!(hours.hold(at("2027-01-01T09:30:00Z")), None);
    }

    #[test]
    fn times_that_no_window_has_are_found() {
        let (from, until) = (at("2026-11-23T00:00:00Z"), at("2027-11-23T00:00:00Z"));
        let gap = |windows: &[RecurringWindow]| {
            let windows: Vec<&RecurringWindow> = windows.iter().collect();
            first_gap(&windows, from, until).map(|(from, to)| format!("{from} {to}"))
        };
        let (utc, all) = ("UTC", Days::every);
        let day = || daily(9 * 60, 18 * 60, utc, all());
        assert_eq!(gap(&[day(), daily(18 * 60, 9 * 60, utc, all())]), None);
        let short = daily(18 * 60, 8 * 60 + 30, utc, all());
        assert_eq!(gap(&[day(), short]).unwrap(), "2026-11-23T08:30:00Z 2026-11-23T09:00:00Z");
        let work = daily(9 * 60, 18 * 60, utc, weekdays());
        let nights = daily(18 * 60, 9 * 60, utc, all());
        assert_eq!(gap(&[work, nights]).unwrap(), "2026-11-28T09:00:00Z 2026-11-28T18:00:00Z");
        // Between the changes of their clocks they are an hour apart.
        let here = daily(8 * 60, 20 * 60, "Europe/Berlin", all());
        let there = daily(14 * 60, 2 * 60, "America/New_York", all());
        assert_eq!(gap(&[here, there]).unwrap(), "2027-03-15T06:00:00Z 2027-03-15T07:00:00Z");
    }

    proptest! {
        /// Over every change of the clocks: what is held back is told at an opening, and at the next one.
        #[test]
        fn a_hold_ends_with_the_next_opening(
            second in 1_767_225_600_i64..1_830_297_600,
            from in 0i32..1440,
            length in 1i32..1440,
            zone in prop::sample::select(vec![
                "UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago",
                "Africa/Cairo", "Pacific/Apia",
            ]),
            on_weekdays in any::<bool>(),
        ) {
            let days = if on_weekdays { weekdays() } else { Days::every() };
            let window = daily(from, (from + length) % 1440, zone, days);
            let hours = held_by(window.clone());
            let now = Timestamp::from_second(second).unwrap();
            match hours.hold(now) {
                None => prop_assert!(window.is_open(now)),
                Some(Hold { until, .. }) => {
                    prop_assert!(!window.is_open(now) && until > now);
                    prop_assert!(window.is_open(until), "closed at {until}");
                    // Nothing opens before.
                    let mut before = now;
                    while before < until {
                        prop_assert!(!window.is_open(before), "open at {before}, held until {until}");
                        before = before.checked_add(jiff::SignedDuration::from_mins(7)).unwrap();
                    }
                    let just_before = until.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
                    prop_assert!(just_before < now || !window.is_open(just_before));
                }
            }
        }
    }
}
