//! Schedules: the traps of crontab(5) as a table, the changes of the clocks, and random expressions against an
//! implementation that was not written here.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use nightbell::schedule::Schedule;
use proptest::prelude::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// The next `count` instants after `from`, as the wall clock of `zone_name` shows them.
fn next(expression: &str, zone_name: &str, from: &str, count: usize) -> Vec<String> {
    let zone = zone(zone_name);
    let schedule = Schedule::parse(expression, &zone).unwrap();
    let mut at: Timestamp = from.parse().unwrap();
    let mut shown = Vec::new();
    for _ in 0..count {
        at = schedule.next_after(at).unwrap();
        shown.push(at.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S%:z").to_string());
    }
    shown
}

#[test]
fn fields_mean_what_crontab_says() {
    // 2026-11-21 is a Saturday.
    let table: &[(&str, &[&str])] = &[
        ("0 9 * * 1-5", &["Mon 2026-11-23 09:00:00+00:00", "Tue 2026-11-24 09:00:00+00:00"]),
        ("0 9 * * 0", &["Sun 2026-11-22 09:00:00+00:00", "Sun 2026-11-29 09:00:00+00:00"]),
        ("0 9 * * 7", &["Sun 2026-11-22 09:00:00+00:00", "Sun 2026-11-29 09:00:00+00:00"]),
        (
            "0 9 * * 5-7",
            &["Sat 2026-11-21 09:00:00+00:00", "Sun 2026-11-22 09:00:00+00:00", "Fri 2026-11-27 09:00:00+00:00"],
        ),
        (
            "0 9 * * Fri-Sun",
            &["Sat 2026-11-21 09:00:00+00:00", "Sun 2026-11-22 09:00:00+00:00", "Fri 2026-11-27 09:00:00+00:00"],
        ),
        ("0 9 * * mon,WED", &["Mon 2026-11-23 09:00:00+00:00", "Wed 2026-11-25 09:00:00+00:00"]),
        // Both day fields restricted: either suffices.
        (
            "0 0 24 * Mon",
            &["Mon 2026-11-23 00:00:00+00:00", "Tue 2026-11-24 00:00:00+00:00", "Mon 2026-11-30 00:00:00+00:00"],
        ),
        // A stepped star counts as a star: both must match, odd days that are Mondays.
        ("0 0 */2 * Mon", &["Mon 2026-11-23 00:00:00+00:00", "Mon 2026-12-07 00:00:00+00:00"]),
        ("0 0 * * 0-6", &["Sun 2026-11-22 00:00:00+00:00", "Mon 2026-11-23 00:00:00+00:00"]),
        (
            "*/20 * * * *",
            &["Sat 2026-11-21 00:20:00+00:00", "Sat 2026-11-21 00:40:00+00:00", "Sat 2026-11-21 01:00:00+00:00"],
        ),
        (
            "5-59/20 * * * *",
            &["Sat 2026-11-21 00:05:00+00:00", "Sat 2026-11-21 00:25:00+00:00", "Sat 2026-11-21 00:45:00+00:00"],
        ),
        ("*/10 * * * * *", &["Sat 2026-11-21 00:00:10+00:00", "Sat 2026-11-21 00:00:20+00:00"]),
        ("0 0 29 2 *", &["Tue 2028-02-29 00:00:00+00:00", "Sun 2032-02-29 00:00:00+00:00"]),
        ("0 0 31 * *", &["Thu 2026-12-31 00:00:00+00:00", "Sun 2027-01-31 00:00:00+00:00"]),
        ("@hourly", &["Sat 2026-11-21 01:00:00+00:00"]),
        ("@daily", &["Sun 2026-11-22 00:00:00+00:00"]),
        ("@midnight", &["Sun 2026-11-22 00:00:00+00:00"]),
        ("@weekly", &["Sun 2026-11-22 00:00:00+00:00"]),
        ("@monthly", &["Tue 2026-12-01 00:00:00+00:00"]),
        ("@yearly", &["Fri 2027-01-01 00:00:00+00:00"]),
        ("@Annually", &["Fri 2027-01-01 00:00:00+00:00"]),
        ("  0\t9 * jan-mar *  ", &["Fri 2027-01-01 09:00:00+00:00"]),
    ];
    for (expression, expected) in table {
        assert_eq!(next(expression, "UTC", "2026-11-21T00:00:00Z", expected.len()), *expected, "{expression}");
    }
}

#[test]
fn what_is_no_schedule_is_refused_with_words() {
    let table = [
        ("", "is empty"),
        ("* * * *", "has 4 fields"),
        ("0 0 0 * * * 2026", "has 7 fields"),
        ("60 * * * *", "60 is outside 0-59"),
        ("* 24 * * *", "24 is outside 0-23"),
        ("* * 0 * *", "0 is outside 1-31"),
        ("* * * 13 *", "13 is outside 1-12"),
        ("* * * * 8", "8 is outside 0-7"),
        ("5/15 * * * *", "write 5-59/15"),
        ("* 22-2 * * *", "write 22-23,0-2"),
        ("* * * * Fri-Mon", "runs backwards"),
        ("*/0 * * * *", "not a number above 0"),
        ("*/90 * * * *", "longer than the whole field"),
        ("* * ? * *", "write * for"),
        ("* * L * *", "not part of crontab(5)"),
        ("* * * * 5#2", "not part of crontab(5)"),
        ("* * 15W * *", "not part of crontab(5)"),
        ("* * * * Funday", "neither a number nor a name"),
        ("* * * janvier *", "neither a number nor a name"),
        ("1,,2 * * * *", "a number is missing"),
        ("-1 * * * *", "a number is missing"),
        ("+1 * * * *", "is not a number"),
        ("*5 * * * *", "is not a number"),
        ("@every 5m", "write @hourly"),
        ("@reboot", "write @hourly"),
        ("TZ=Asia/Tokyo 0 9 * * *", "timezone"),
        ("0 0 31 2 *", "never due"),
        ("99999999999999999999 * * * *", "is not a number"),
        ("0 8 * * \u{661}", "neither a number nor a name"),
    ];
    for (expression, expected) in table {
        let error = Schedule::parse(expression, &TimeZone::UTC).unwrap_err();
        assert!(error.contains(expected), "{expression}: {error}");
    }
}

#[test]
fn a_listed_hour_in_a_gap_is_due_when_the_gap_ends() {
    // New York, 2026-03-08: 02:00 -05:00 becomes 03:00 -04:00.
    assert_eq!(
        next("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", 2),
        ["Sun 2026-03-08 03:00:00-04:00", "Mon 2026-03-09 02:30:00-04:00"]
    );
    // Two times in one gap are due once, not twice at the same instant.
    assert_eq!(
        next("10,50 2 * * *", "America/New_York", "2026-03-08T06:30:00Z", 2),
        ["Sun 2026-03-08 03:00:00-04:00", "Mon 2026-03-09 02:10:00-04:00"]
    );
    // Apia left out 30 December 2011 as a whole.
    assert_eq!(
        next("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", 2),
        ["Sat 2011-12-31 00:00:00+14:00", "Sat 2011-12-31 12:00:00+14:00"]
    );
}

#[test]
fn a_listed_hour_in_a_fold_is_due_at_its_first_pass_only() {
    // New York, 2026-11-01: 02:00 -04:00 becomes 01:00 -05:00.
    assert_eq!(
        next("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2),
        ["Sun 2026-11-01 01:30:00-04:00", "Mon 2026-11-02 01:30:00-05:00"]
    );
    // Asked in the second pass, it is tomorrow's turn: never an instant in the past.
    assert_eq!(next("30 1 * * *", "America/New_York", "2026-11-01T06:10:00Z", 1), ["Mon 2026-11-02 01:30:00-05:00"]);
}

#[test]
fn a_star_in_the_hour_field_keeps_real_intervals_through_both_changes() {
    assert_eq!(
        next("*/20 * * * *", "America/New_York", "2026-11-01T05:30:00Z", 5),
        [
            "Sun 2026-11-01 01:40:00-04:00",
            "Sun 2026-11-01 01:00:00-05:00",
            "Sun 2026-11-01 01:20:00-05:00",
            "Sun 2026-11-01 01:40:00-05:00",
            "Sun 2026-11-01 02:00:00-05:00",
        ]
    );
    for (zone_name, from) in [
        ("America/New_York", "2026-03-08T05:00:00Z"),
        ("America/New_York", "2026-11-01T03:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T12:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T12:00:00Z"),
        ("Africa/Casablanca", "2026-02-14T22:00:00Z"),
    ] {
        let schedule = Schedule::parse("*/10 * * * *", &zone(zone_name)).unwrap();
        let mut at: Timestamp = from.parse().unwrap();
        for _ in 0..60 {
            let due = schedule.next_after(at).unwrap();
            assert_eq!(due.duration_since(at), SignedDuration::from_mins(10), "{zone_name} after {at}");
            at = due;
        }
    }
}

#[test]
fn fractions_of_a_second_do_not_make_an_instant_due_twice() {
    let schedule = Schedule::parse("* * * * *", &TimeZone::UTC).unwrap();
    for (after, due) in [
        ("2026-11-21T08:00:00Z", "2026-11-21T08:01:00Z"),
        ("2026-11-21T08:00:00.001Z", "2026-11-21T08:01:00Z"),
        ("2026-11-21T07:59:59.999Z", "2026-11-21T08:00:00Z"),
        ("1969-12-31T23:59:59.500Z", "1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(schedule.next_after(after.parse().unwrap()), Some(due.parse().unwrap()), "{after}");
    }
    assert_eq!(schedule.next_after("2150-01-01T00:00:00Z".parse().unwrap()), None);
}

/// Every zone of the database, every change of its clocks from 2020 to 2035: a daily schedule is due once per local
/// day around it, and a day that the zone leaves out as a whole counts for nothing.
#[test]
fn a_daily_schedule_is_due_once_per_local_day_in_every_zone() {
    let start: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let end: Timestamp = "2035-12-31T00:00:00Z".parse().unwrap();
    let mut changes_seen = 0;
    for name in jiff::tz::db().available() {
        let Ok(zone) = TimeZone::get(name.as_str()) else { continue };
        let changes: Vec<Timestamp> =
            zone.following(start).map(|change| change.timestamp()).take_while(|at| *at < end).collect();
        changes_seen += changes.len();
        for expression in ["0 0 * * *", "30 0 * * *", "30 1 * * *", "15 2 * * *", "30 2 * * *", "0 3 * * *"] {
            let schedule = Schedule::parse(expression, &zone).unwrap();
            for change in &changes {
                let first_day = change.to_zoned(zone.clone()).date().yesterday().unwrap();
                let from = zone.to_zoned(first_day.at(0, 0, 0, 0)).unwrap().timestamp() - 1.second();
                let mut due = Vec::new();
                let mut at = from;
                for _ in 0..3 {
                    let next = schedule.next_after(at).unwrap();
                    assert!(next > at, "{name} {expression} after {at}");
                    due.push(next.to_zoned(zone.clone()).date());
                    at = next;
                }
                let days: Vec<_> = first_day.series(1.day()).take(3).collect();
                assert_eq!(due, days, "{name} {expression} around {change}");
            }
        }
    }
    assert!(changes_seen > 1_000, "only {changes_seen} changes of clocks were looked at");
}

/// One field: a star, a stepped star, or a list of numbers and ranges.
fn field(first: u32, last: u32) -> impl Strategy<Value = String> {
    let item = prop_oneof![
        (first..=last).prop_map(|number| number.to_string()),
        (first..=last, first..=last).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        (first..=last, first..=last, 1..=5u32).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
    ];
    prop_oneof![
        4 => Just("*".to_string()),
        2 => (1..=(last - first) / 2).prop_map(|step| format!("*/{step}")),
        4 => prop::collection::vec(item, 1..4).prop_map(|items| items.join(",")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).prop_map(
        |(minute, hour, day, month, weekday)| {
            // Here the two differ by design: crontab(5) counts a stepped star as a star when it joins the day fields.
            let (day, weekday) = match (day.starts_with("*/"), weekday.starts_with("*/")) {
                (true, _) => (day, "*".to_string()),
                (false, true) => ("*".to_string(), weekday),
                (false, false) => (day, weekday),
            };
            format!("{minute} {hour} {day} {month} {weekday}")
        },
    )
}

const ZONES: [&str; 8] = [
    "UTC",
    "Asia/Shanghai",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/St_Johns",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("NIGHTBELL_THOROUGH").is_some() { 20_000 } else { 1_000 }))]

    #[test]
    fn agrees_with_croner(expression in expression(), zone_index in 0..ZONES.len(), second in 1_577_836_800i64..2_000_000_000) {
        let fields: Vec<&str> = expression.split(' ').collect();
        let zone = zone(ZONES[zone_index]);
        let ours = Schedule::parse(&expression, &zone).unwrap();
        let theirs = croner::parser::CronParser::new().parse(&expression).unwrap();
        let mut at = Timestamp::from_second(second).unwrap();
        for _ in 0..10 {
            let Some(due) = ours.next_after(at) else { break };
            prop_assert!(due > at, "{expression} went backwards from {at} to {due}");
            let expected = theirs.find_next_occurrence(&at.to_zoned(zone.clone()), false).unwrap().timestamp();
            if due != expected {
                // Listed hours within a change of the clocks, where the two may differ.
                let near = zone.following(at - 26.hours()).next().is_some_and(|change| change.timestamp() <= due.max(expected));
                prop_assert!(near && !fields[1].starts_with('*'), "{expression} in {zone:?} after {at}: {due}, croner says {expected}");
            }
            at = due;
        }
    }
}

/// The next due times of a Quartz expression after 21 November 2026, a Saturday, in UTC.
fn next_quartz(expression: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse_quartz(expression, &TimeZone::UTC).unwrap();
    let mut at: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
    let mut shown = Vec::new();
    for _ in 0..count {
        at = schedule.next_after(at).unwrap();
        shown.push(at.strftime("%a %Y-%m-%d %H:%M:%S").to_string());
    }
    shown
}

#[test]
fn quartz_expressions_mean_what_quartz_says() {
    let table: &[(&str, &[&str])] = &[
        ("0 0 2 * * ?", &["Sat 2026-11-21 02:00:00", "Sun 2026-11-22 02:00:00"]),
        ("0 0 2 ? * *", &["Sat 2026-11-21 02:00:00", "Sun 2026-11-22 02:00:00"]),
        ("30 0/20 1 * * ?", &["Sat 2026-11-21 01:00:30", "Sat 2026-11-21 01:20:30", "Sat 2026-11-21 01:40:30"]),
        ("0 5/20 * * * ? *", &["Sat 2026-11-21 00:05:00", "Sat 2026-11-21 00:25:00"]),
        ("0 0 22-1 * * ?", &["Sat 2026-11-21 01:00:00", "Sat 2026-11-21 22:00:00"]),
        // Sunday is 1.
        ("0 0 9 ? * 1", &["Sun 2026-11-22 09:00:00", "Sun 2026-11-29 09:00:00"]),
        ("0 0 9 ? * 2-6", &["Mon 2026-11-23 09:00:00", "Tue 2026-11-24 09:00:00"]),
        ("0 0 9 ? * 7", &["Sat 2026-11-21 09:00:00", "Sat 2026-11-28 09:00:00"]),
        ("0 0 9 ? * FRI-sun", &["Sat 2026-11-21 09:00:00", "Sun 2026-11-22 09:00:00", "Fri 2026-11-27 09:00:00"]),
        ("0 0 9 ? * L", &["Sat 2026-11-21 09:00:00"]),
        ("0 0 9 ? * 6L", &["Fri 2026-11-27 09:00:00", "Fri 2026-12-25 09:00:00", "Fri 2027-01-29 09:00:00"]),
        ("0 0 9 ? * MON#1", &["Mon 2026-12-07 09:00:00", "Mon 2027-01-04 09:00:00"]),
        ("0 0 9 ? * 2#5", &["Mon 2026-11-30 09:00:00", "Mon 2027-03-29 09:00:00"]),
        ("0 0 9 L * ?", &["Mon 2026-11-30 09:00:00", "Thu 2026-12-31 09:00:00"]),
        ("0 0 9 L 2 ?", &["Sun 2027-02-28 09:00:00", "Tue 2028-02-29 09:00:00"]),
        ("0 0 9 L-2 2 ?", &["Fri 2027-02-26 09:00:00", "Sun 2028-02-27 09:00:00"]),
        // The last working day: 31 January and 28 February 2027 are Sundays.
        ("0 0 9 LW 1,2 ?", &["Fri 2027-01-29 09:00:00", "Fri 2027-02-26 09:00:00", "Mon 2028-01-31 09:00:00"]),
        // 15 November 2026 was a Sunday, 15 May 2027 is a Saturday, 15 August 2027 a Sunday.
        ("0 0 9 15W 5,8,12 ?", &["Tue 2026-12-15 09:00:00", "Fri 2027-05-14 09:00:00", "Mon 2027-08-16 09:00:00"]),
        // The first is a Saturday in May 2027 and a Sunday in August 2027; neither leaves its month.
        ("0 0 9 1W 5,8 ?", &["Mon 2027-05-03 09:00:00", "Mon 2027-08-02 09:00:00"]),
        ("0 0 9 31 * ?", &["Thu 2026-12-31 09:00:00", "Sun 2027-01-31 09:00:00"]),
        ("0 0 9 1/10 12 ?", &["Tue 2026-12-01 09:00:00", "Fri 2026-12-11 09:00:00"]),
        ("0 0 9 1 NOV-FEB ?", &["Tue 2026-12-01 09:00:00", "Fri 2027-01-01 09:00:00", "Mon 2027-02-01 09:00:00"]),
        ("0 0 9 1 1 ? 2028-2030", &["Sat 2028-01-01 09:00:00", "Mon 2029-01-01 09:00:00"]),
        ("0 0 9 1 1 ? 2027/2", &["Fri 2027-01-01 09:00:00", "Mon 2029-01-01 09:00:00"]),
    ];
    for (expression, expected) in table {
        assert_eq!(next_quartz(expression, expected.len()), *expected, "{expression}");
    }
}

#[test]
fn a_quartz_schedule_whose_years_are_over_is_not_due_again() {
    let schedule = Schedule::parse_quartz("0 0 2 * * ? 2020-2025", &TimeZone::UTC).unwrap();
    assert_eq!(schedule.next_after("2026-11-21T00:00:00Z".parse().unwrap()), None);
}

#[test]
fn what_quartz_does_not_read_or_cannot_be_followed_exactly_is_refused() {
    for expression in [
        "",
        "0 2 * * *",
        "0 0 2 * * ? * *",
        "0 0 2 1 * MON",
        "0 0 2 ? * 0",
        "0 0 2 ? * 8",
        "0 0 24 * * ?",
        "0 60 2 * * ?",
        "0 0/0 2 * * ?",
        "0 0/61 2 * * ?",
        "0 0 2 31W * ?",
        "0 0 2 L,15 * ?",
        "0 0 2 L-30 * ?",
        "0 0 2 ? * 6#6",
        "0 0 2 ? * MON#1,FRI#2",
        "0 0 2 ? * 2,6L",
        "0 0 2 30 2 ?",
        "0 0 22-2/2 * * ?",
        "0 0 +2 * * ?",
        "0 0 2 ** * ?",
        "0 0 2 * * ? 1900",
    ] {
        assert!(Schedule::parse_quartz(expression, &TimeZone::UTC).is_err(), "{expression:?}");
    }
}
