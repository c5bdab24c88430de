//! Windows of time: the meaning of their words as a table, and every change of the clocks against a clock that is
//! watched minute by minute.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use nightbell::schedule::{Calendar, DAY_SECONDS, DailyWindow, Days, RecurringWindow, Schedule};

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn clock(text: &str) -> i32 {
    let (hour, minute) = text.split_once(':').unwrap();
    hour.parse::<i32>().unwrap() * 3600 + minute.parse::<i32>().unwrap() * 60
}

fn every_day() -> Days {
    Days { weekdays: (0..7).map(|day| Weekday::from_monday_zero_offset(day).unwrap()).collect(), ..Days::default() }
}

fn daily(days: Days, from: &str, to: &str, zone: &TimeZone) -> DailyWindow {
    DailyWindow { days, from: clock(from), to: clock(to), zone: zone.clone() }
}

#[test]
fn a_window_is_open_from_its_beginning_to_just_before_its_end() {
    let zone = zone("Asia/Shanghai");
    let weekend = Days { weekdays: vec![Weekday::Saturday, Weekday::Sunday], ..Days::default() };
    let nights = RecurringWindow::Daily(daily(weekend, "22:00", "06:00", &zone));
    // 2026-11-21 is a Saturday.
    let cases = [
        ("2026-11-20T23:00:00", false),
        ("2026-11-21T05:00:00", false),
        ("2026-11-21T21:59:59.999", false),
        ("2026-11-21T22:00:00", true),
        ("2026-11-22T05:59:59.999", true),
        ("2026-11-22T06:00:00", false),
        ("2026-11-22T22:00:00", true),
        ("2026-11-23T05:00:00", true),
        ("2026-11-23T22:30:00", false),
    ];
    for (at, open) in cases {
        let now: Timestamp = format!("{at}+08:00").parse().unwrap();
        assert_eq!(nights.is_open(now), open, "{at}");
    }
    let schedule = Schedule::parse("0 2 * * Sun", &zone).unwrap();
    let maintenance = RecurringWindow::Scheduled { schedule, lasts: SignedDuration::from_hours(3) };
    for (at, open) in [
        ("2026-11-22T01:59:59.999", false),
        ("2026-11-22T02:00:00", true),
        ("2026-11-22T04:59:59.999", true),
        ("2026-11-22T05:00:00", false),
        ("2026-11-23T03:00:00", false),
    ] {
        let now: Timestamp = format!("{at}+08:00").parse().unwrap();
        assert_eq!(maintenance.is_open(now), open, "{at}");
    }
}

#[test]
fn days_go_by_the_calendar() {
    let date = |text: &str| text.parse::<Date>().unwrap();
    let calendar = Arc::new(Calendar::new(
        vec![Weekday::Saturday, Weekday::Sunday],
        [2026],
        [date("2026-10-01"), date("2026-10-03")],
        [date("2026-10-10")],
    ));
    // An ordinary Friday, a holiday in the week, a holiday on a Saturday, a Sunday, a Saturday that is worked.
    let dates = ["2026-10-02", "2026-10-01", "2026-10-03", "2026-10-04", "2026-10-10"];
    let with = |workdays, days_off, holidays| Days {
        workdays,
        days_off,
        holidays,
        calendar: Arc::clone(&calendar),
        ..Days::default()
    };
    let cases = [
        (with(true, false, false), [true, false, false, false, true]),
        (with(false, true, false), [false, true, true, true, false]),
        (with(false, false, true), [false, true, true, false, false]),
        (with(true, false, true), [true, true, true, false, true]),
        (Days { weekdays: vec![Weekday::Saturday], ..with(false, false, true) }, [false, true, true, false, true]),
    ];
    for (days, expected) in cases {
        assert_eq!(dates.map(|day| days.include(date(day))), expected, "{days:?}");
    }
}

#[test]
fn a_window_that_never_closes_is_found_out() {
    let zone = zone("Europe/Berlin");
    let scheduled = |text: &str, hours| RecurringWindow::Scheduled {
        schedule: Schedule::parse(text, &zone).unwrap(),
        lasts: SignedDuration::from_hours(hours),
    };
    let cases = [
        (RecurringWindow::Daily(daily(every_day(), "00:00", "24:00", &zone)), true),
        (
            RecurringWindow::Daily(daily(
                Days { workdays: true, days_off: true, ..Days::default() },
                "00:00",
                "24:00",
                &zone,
            )),
            true,
        ),
        (RecurringWindow::Daily(daily(every_day(), "00:00", "23:59", &zone)), false),
        (RecurringWindow::Daily(daily(Days { workdays: true, ..Days::default() }, "00:00", "24:00", &zone)), false),
        (scheduled("0 * * * *", 1), true),
        (scheduled("0 8-18 * * *", 1), false),
        (scheduled("0 2 * * *", 26), true),
        (scheduled("0 2 * * 0", 24), false),
    ];
    for (window, never) in cases {
        assert_eq!(window.never_closes(), never, "{window:?}");
    }
}

/// Every zone of the database, every change of its clocks from 2020 to 2035: a window opens in the first minute at which
/// the clock on the wall shows a time inside it and closes after the last one.
#[test]
fn windows_agree_with_a_clock_that_is_watched_minute_by_minute() {
    const SPANS: [(&str, &str); 7] = [
        ("00:00", "24:00"),
        ("22:00", "06:00"),
        ("01:00", "02:00"),
        ("01:30", "02:30"),
        ("02:10", "02:50"),
        ("23:30", "00:30"),
        ("02:00", "01:00"),
    ];
    let start: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let end: Timestamp = "2035-12-31T00:00:00Z".parse().unwrap();
    // Zones that change their clocks alike are looked at once.
    let mut seen = HashSet::new();
    for name in jiff::tz::db().available() {
        let Ok(zone) = TimeZone::get(name.as_str()) else { continue };
        for change in zone.following(start).take_while(|change| change.timestamp() < end) {
            let at = change.timestamp();
            let before = zone.to_offset(at - 1.second());
            if seen.insert((at, before, change.offset())) {
                around(&zone, at, &SPANS, &name.to_string());
            }
        }
    }
    assert!(seen.len() > 500, "only {} changes of clocks were looked at", seen.len());
}

/// Holds the windows of the day before a change, of the day itself and of the day after against the clock on the wall.
fn around(zone: &TimeZone, change: Timestamp, spans: &[(&str, &str)], name: &str) {
    let day = change.to_zoned(zone.clone()).date();
    let days: Vec<Date> = day.yesterday().unwrap().series(1.day()).take(3).collect();
    // Every minute on which a window of one of the three days may be open, with what the clock shows.
    let watched: Vec<(Timestamp, i64)> = (-50 * 60..=74 * 60)
        .map(|minute| {
            let at = change + SignedDuration::from_mins(minute);
            let shown = zone.to_datetime(at);
            let shown = jiff::tz::Offset::UTC.to_timestamp(shown).unwrap().as_second();
            (at, shown)
        })
        .collect();
    for (from, to) in spans {
        let daily = daily(every_day(), from, to, zone);
        for date in &days {
            let midnight = jiff::tz::Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).unwrap().as_second();
            let begins = midnight + i64::from(daily.from);
            let ends = midnight + i64::from(daily.to) + if daily.to > daily.from { 0 } else { i64::from(DAY_SECONDS) };
            let mut inside = watched.iter().filter(|(_, shown)| (begins..ends).contains(shown)).map(|(at, _)| *at);
            let (opens, closes) = daily.opening(*date).unwrap();
            let Some(first) = inside.next() else {
                assert_eq!(opens, closes, "{name} {date} {from}-{to}: leapt over");
                continue;
            };
            let last = inside.next_back().unwrap_or(first);
            assert_eq!((opens, closes), (first, last + 1.minute()), "{name} {date} {from}-{to} around {change}");
            let window = RecurringWindow::Daily(DailyWindow { days: only(*date), ..daily.clone() });
            for (at, open) in [(opens - 1.second(), false), (opens, true), (closes - 1.second(), true), (closes, false)]
            {
                assert_eq!(window.is_open(at), open, "{name} {date} {from}-{to} at {at}");
            }
        }
    }
}

/// That day alone, within a month.
fn only(date: Date) -> Days {
    let calendar = Calendar::new(vec![], [date.year()], [date], []);
    Days { holidays: true, calendar: Arc::new(calendar), ..Days::default() }
}
