//! Deadlines in every time zone, on every day on which its clocks change, from 2020 to 2035.

use std::sync::Arc;

use jiff::civil::{Date, Time, Weekday, date, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nightbell::model::{InstanceType, Snapshot, Status};
use nightbell::rule::daily::{Daily, Due, Goal, KnownRun, Late};
use nightbell::rule::recurring::{Recurring, missed};
use nightbell::schedule::{Calendar, Days, Schedule};

fn daily(by: Time, zone: &TimeZone) -> Daily {
    Daily { goal: Goal::Finished, by, warn_at: None, days: Days::every(), zone: zone.clone(), sole_source: None }
}

/// The days on which the clocks of a zone change, with the wall-clock time at which they do.
fn changes(zone: &TimeZone) -> Vec<(Date, Time)> {
    let [from, until] = [2020, 2036].map(|year| date(year, 1, 1).to_zoned(TimeZone::UTC).unwrap().timestamp());
    let inside = zone.following(from).take_while(|change| change.timestamp() < until);
    inside
        .map(|change| {
            let before = (change.timestamp() - SignedDuration::from_secs(1)).to_zoned(zone.clone());
            (before.date(), before.time())
        })
        .collect()
}

fn zones() -> Vec<TimeZone> {
    jiff::tz::db().available().filter_map(|name| TimeZone::get(name.as_str()).ok()).collect()
}

/// The deadline is the first instant of the day at which the clock shows its time or has gone forward over it, each day
/// has one, and the runs of one begin where those of the last end.
#[test]
fn every_day_of_every_zone_has_one_deadline_at_the_first_instant_that_is_right() {
    let zones = zones();
    assert!(zones.len() > 300, "only {} zones", zones.len());
    let (mut days, mut gaps) = (0, 0);
    for zone in zones {
        for (day, changed_at) in changes(&zone) {
            for by in [time(0, 0, 0, 0), time(2, 0, 0, 0), time(2, 30, 0, 0), changed_at, time(23, 59, 0, 0)] {
                let by = time(by.hour(), by.minute(), 0, 0);
                let rule = daily(by, &zone);
                let around = [day.yesterday().unwrap(), day, day.tomorrow().unwrap()];
                let dues: Vec<Due> = around.iter().map(|day| rule.due_on(*day).unwrap()).collect();
                for (due, day) in dues.iter().zip(around) {
                    let name = format!("{} {day} {by}", zone.iana_name().unwrap_or_default());
                    let shown = due.at.to_zoned(zone.clone()).datetime();
                    let just_before = (due.at - SignedDuration::from_millis(1)).to_zoned(zone.clone()).datetime();
                    assert!(just_before < day.to_datetime(by), "{name}: {just_before} is not before");
                    if shown != day.to_datetime(by) {
                        gaps += 1;
                        let change = zone.preceding(due.at + SignedDuration::from_millis(1)).next().unwrap();
                        assert_eq!(change.timestamp(), due.at, "{name}: shows {shown} and is no change of clocks");
                        assert!(shown > day.to_datetime(by), "{name}: shows {shown}");
                    }
                    days += 1;
                }
                assert!(dues.windows(2).all(|pair| pair[1].planned_after == pair[0].at && pair[0].at < pair[1].at));
            }
        }
    }
    println!("{days} deadlines, {gaps} of them over which the clock went forward");
    assert!(days > 10_000 && gaps > 100, "{days} {gaps}");
}

/// However the polls fall, each deadline and each due time of the days around a change of the clocks is met by exactly
/// one of them.
#[test]
fn polls_meet_every_deadline_and_every_due_time_once() {
    for name in [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Shanghai",
        "Africa/Casablanca",
        "America/Santiago",
    ] {
        let zone = TimeZone::get(name).unwrap();
        let days = changes(&zone).into_iter().map(|(day, _)| day).chain([date(2026, 11, 21)]);
        for day in days {
            let rule = Daily { warn_at: Some(time(23, 45, 0, 0)), ..daily(time(2, 30, 0, 0), &zone) };
            let schedule = Schedule::parse("30 2 * * *", &zone).unwrap();
            let owed = Recurring {
                schedule,
                grace: std::time::Duration::from_secs(900),
                sole_source: None,
                days: Days::every(),
            };
            let from = day.yesterday().unwrap().to_zoned(zone.clone()).unwrap().timestamp();
            let (mut met, mut warned, mut due_times) = (Vec::new(), Vec::new(), Vec::new());
            let mut polled = from;
            for step in [7_i64, 31, 61, 127, 1, 59].into_iter().cycle() {
                let now = polled + SignedDuration::from_mins(step);
                if now > from + SignedDuration::from_hours(72) {
                    break;
                }
                for due in rule.dues(polled, now) {
                    if due.at <= now {
                        met.push(due.at);
                    } else {
                        assert!(due.warn_at.unwrap() <= now);
                        warned.push(due.at);
                    }
                }
                due_times.extend(owed.due_times(polled, now).0.into_iter().map(|due| due.at));
                polled = now;
            }
            assert_eq!((met.len(), due_times.len()), (3, 3), "{name} {day}: {met:?} {due_times:?}");
            assert_eq!(met, due_times, "{name} {day}");
            // The first one was warned of before the polls began.
            assert!(met[1..].iter().all(|due| warned.contains(due)), "{name} {day}: {warned:?}");
        }
    }
}

#[test]
fn a_due_time_knows_what_it_was_a_week_before() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let instant = |text: &str| -> Timestamp { text.parse().unwrap() };
    // Schedule, due time, the same a week before.
    let table = [
        ("0 2 * * *", "2026-11-21T01:00:00Z", "2026-11-14T01:00:00Z"),
        // The clocks went forward and back in between.
        ("0 2 * * *", "2026-03-30T00:00:00Z", "2026-03-23T01:00:00Z"),
        ("0 2 * * *", "2026-10-26T01:00:00Z", "2026-10-19T00:00:00Z"),
        ("0 2 1 * *", "2026-11-01T01:00:00Z", "2026-10-01T00:00:00Z"),
        ("0 2 * * 1-5", "2026-11-23T01:00:00Z", "2026-11-16T01:00:00Z"),
    ];
    for (schedule, due, before) in table {
        let schedule = Schedule::parse(schedule, &zone).unwrap();
        let owed =
            Recurring { schedule, grace: std::time::Duration::from_secs(900), sole_source: None, days: Days::every() };
        let after = instant(due) - SignedDuration::from_secs(1);
        let (dues, _) = owed.due_times(after, after + SignedDuration::from_mins(16));
        let found = dues.iter().find(|found| found.at == instant(due)).unwrap();
        assert_eq!(owed.week_before(*found).map(|due| due.at), Some(instant(before)), "{due}");
    }
}

#[test]
fn some_days_have_a_deadline_and_others_do_not() {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let days = Days::on([Weekday::Monday, Weekday::Friday]);
    let rule = Daily { days, ..daily(time(6, 30, 0, 0), &zone) };
    let from = date(2026, 11, 16).to_zoned(zone.clone()).unwrap().timestamp();
    let dues = rule.dues(from, from + SignedDuration::from_hours(7 * 24));
    let days: Vec<Date> = dues.iter().map(|due| due.at.to_zoned(zone.clone()).date()).collect();
    assert_eq!(days, [date(2026, 11, 16), date(2026, 11, 20)]);
}

/// A job that is planned before midnight has a deadline on the next morning.
#[test]
fn the_runs_of_a_deadline_are_those_planned_in_the_day_before_it() {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let rule = daily(time(6, 30, 0, 0), &zone);
    let due = rule.due_on(date(2026, 11, 21)).unwrap();
    let run = |planned: &str| Snapshot {
        status: Status::Running,
        kind: InstanceType::Scheduled,
        plan_time: Some(format!("{planned}:00+08:00").parse().unwrap()),
        start_time: None,
        end_time: None,
    };
    let table = [
        ("2026-11-20T06:30", false),
        ("2026-11-20T06:31", true),
        ("2026-11-20T23:00", true),
        ("2026-11-21T06:30", true),
        ("2026-11-21T06:31", false),
    ];
    for (planned, concerned) in table {
        let late = rule.late(&due, &[KnownRun { id: "1", now: run(planned), before: None }], |_| true);
        assert_eq!(late, [if concerned { Late::Run("1") } else { Late::NoRun }], "{planned}");
    }
}

#[test]
fn a_due_time_is_met_until_its_grace_ends_or_the_next_one_comes() {
    let at = |minute: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
    let owed = |schedule: &str| Recurring {
        schedule: Schedule::parse(schedule, &TimeZone::UTC).unwrap(),
        grace: std::time::Duration::from_secs(900),
        sole_source: None,
        days: Days::every(),
    };
    // Schedule, the minutes at which runs were planned, the due times missed in the first hour.
    let table: [(&str, &[i64], &[i64]); 7] = [
        ("0 * * * *", &[60], &[]),
        ("0 * * * *", &[75], &[]),
        ("0 * * * *", &[59, 76], &[60]),
        ("*/20 * * * *", &[20, 40, 60], &[]),
        ("*/20 * * * *", &[20, 60], &[40]),
        ("*/10 * * * *", &[10, 20, 30, 40, 60], &[50]),
        ("*/10 * * * *", &[], &[10, 20, 30, 40, 50, 60]),
    ];
    for (schedule, planned, expected) in table {
        let (dues, _) = owed(schedule).due_times(at(15), at(75));
        let runs: Vec<_> = planned.iter().map(|minute| (Some(at(*minute)), None)).collect();
        let missed = missed(&dues, &runs).map(|missed| (missed.first, missed.last, missed.count));
        let expected = expected
            .first()
            .map(|first| (at(*first), at(*expected.last().unwrap()), u32::try_from(expected.len()).unwrap()));
        assert_eq!(missed, expected, "{schedule} {planned:?}");
    }
}

/// A calendar with National Day and the Mid-Autumn weekend that is worked for it.
fn china() -> Arc<Calendar> {
    let holidays = (1..=7).map(|day| date(2026, 10, day));
    Arc::new(Calendar::new(vec![Weekday::Saturday, Weekday::Sunday], [2026], holidays, [date(2026, 10, 10)]))
}

/// Which days have a deadline, whose runs it is about, and with which earlier ones it is compared.
#[test]
fn the_runs_of_a_deadline_go_by_the_days_that_have_one() {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let workdays = Days { workdays: true, calendar: china(), ..Days::default() };
    let monthly = Days { month_days: vec![1], ..Days::default() };
    let last = Days { last_of_month: true, ..Days::default() };
    let at = |day: Date| day.at(6, 30, 0, 0).to_zoned(TimeZone::get("Asia/Shanghai").unwrap()).unwrap().timestamp();
    // days, the day, runs are planned after, the same a week before; nothing for a day without a deadline
    let cases = [
        (&workdays, date(2026, 9, 30), Some((date(2026, 9, 29), (date(2026, 9, 22), date(2026, 9, 23))))),
        (&workdays, date(2026, 10, 1), None),
        (&workdays, date(2026, 10, 7), None),
        // The runs of the holiday are those of the first working day, a week back at most.
        (&workdays, date(2026, 10, 8), Some((date(2026, 10, 1), (date(2026, 9, 29), date(2026, 9, 30))))),
        (&workdays, date(2026, 10, 10), Some((date(2026, 10, 9), (date(2026, 9, 29), date(2026, 9, 30))))),
        (&workdays, date(2026, 10, 12), Some((date(2026, 10, 10), (date(2026, 9, 29), date(2026, 9, 30))))),
        (&monthly, date(2026, 11, 1), Some((date(2026, 10, 25), (date(2026, 9, 24), date(2026, 10, 1))))),
        (&monthly, date(2026, 11, 2), None),
        (&last, date(2026, 11, 30), Some((date(2026, 11, 23), (date(2026, 10, 24), date(2026, 10, 31))))),
        (&last, date(2026, 2, 28), Some((date(2026, 2, 21), (date(2026, 1, 24), date(2026, 1, 31))))),
    ];
    for (days, day, expected) in cases {
        let rule = Daily { days: days.clone(), ..daily(time(6, 30, 0, 0), &zone) };
        let found = rule.due_on(day).map(|due| (due.planned_after, due.week_before));
        let expected = expected.map(|(after, (from, until))| (at(after), (at(from), at(until))));
        assert_eq!(found, expected, "{days:?} {day}");
    }
}

/// Over every change of the clocks of every zone: days without a deadline have none, and no run belongs to two.
#[test]
fn deadlines_of_some_days_hold_over_every_change_of_the_clocks() {
    let some = [
        Days { workdays: true, calendar: china(), ..Days::default() },
        Days { month_days: vec![1, 15], last_of_month: true, ..Days::default() },
        Days::on([Weekday::Sunday]),
    ];
    let mut seen = 0;
    for zone in zones() {
        for (day, changed_at) in changes(&zone) {
            let by = time(changed_at.hour(), changed_at.minute(), 0, 0);
            for days in &some {
                let rule = Daily { days: days.clone(), ..daily(by, &zone) };
                let from = day.yesterday().unwrap().to_zoned(zone.clone()).unwrap().timestamp();
                let dues = rule.dues(from, from + SignedDuration::from_hours(14 * 24));
                for due in &dues {
                    assert!(
                        days.include((due.at - SignedDuration::from_hours(3)).to_zoned(zone.clone()).date())
                            || days.include(due.at.to_zoned(zone.clone()).date())
                    );
                    assert!(due.planned_after < due.at && due.week_before.1 <= due.planned_after + rule.reach());
                    assert!(due.at.duration_since(due.planned_after) <= rule.reach(), "{zone:?} {day} {days:?}");
                }
                assert!(dues.windows(2).all(|pair| pair[0].at <= pair[1].planned_after), "{zone:?} {day} {days:?}");
                seen += dues.len();
            }
        }
    }
    assert!(seen > 10_000, "only {seen}");
}

#[test]
fn due_times_count_on_their_days_alone() {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let owed = Recurring {
        schedule: Schedule::parse("0 2 * * *", &zone).unwrap(),
        days: Days { workdays: true, calendar: china(), ..Days::default() },
        grace: std::time::Duration::from_secs(900),
        sole_source: None,
    };
    let at = |day: Date| day.at(2, 0, 0, 0).to_zoned(TimeZone::get("Asia/Shanghai").unwrap()).unwrap().timestamp();
    let (dues, _) = owed.due_times(at(date(2026, 9, 29)) + SignedDuration::from_hours(1), at(date(2026, 10, 11)));
    let days: Vec<Timestamp> = dues.iter().map(|due| due.at).collect();
    assert_eq!(days, [date(2026, 9, 30), date(2026, 10, 8), date(2026, 10, 9), date(2026, 10, 10)].map(at));
    assert_eq!(owed.week_before(dues[1]).map(|due| due.at), Some(at(date(2026, 9, 30))));
    assert_eq!(owed.last_due(at(date(2026, 10, 5))).map(|due| due.at), Some(at(date(2026, 9, 30))));
}
