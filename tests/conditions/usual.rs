//! How well "slower than usual" tells slow runs from usual ones: labelled synthetic histories of the kinds that jobs have.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nightbell::model::{InstanceType, Snapshot, Status};
use nightbell::rule::history::{Past, Slower, Usual};

/// Numbers that look random and are the same every time (splitmix64).
struct Numbers(u64);

impl Numbers {
    /// Between 0 and 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of a bell curve around 0 with a deviation of 1.
    fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

fn slower() -> Slower {
    Slower { factor: 2.0, over: Duration::from_secs(30 * 86_400), min_runs: 10, zone: TimeZone::UTC }
}

fn day(day: i64) -> Timestamp {
    // A Monday.
    Timestamp::from_second(1_793_577_600).unwrap() + SignedDuration::from_hours(24 * day)
}

fn took(due: Timestamp, minutes: f64) -> Snapshot {
    let seconds = SignedDuration::from_secs_f64(minutes * 60.0);
    Snapshot {
        status: Status::Success,
        kind: InstanceType::Scheduled,
        plan_time: Some(due),
        start_time: Some(due),
        end_time: Some(due + seconds),
    }
}

/// A kind of job: its usual duration in minutes on a day, and how its slow runs compare with that.
type Kind = (&'static str, fn(&mut Numbers, i64) -> f64, f64);

const KINDS: [Kind; 6] = [
    ("steady", |numbers, _| 20.0 + numbers.bell() * 0.5, 2.5),
    ("varies by a quarter", |numbers, _| 40.0 * (1.0 + numbers.bell() * 0.25), 3.5),
    ("long tail", |numbers, _| 30.0 * (numbers.bell() * 0.3).exp(), 4.0),
    ("grows by the day", |numbers, day| 20.0 + day as f64 * 0.2 + numbers.bell(), 3.0),
    ("heavy on the first day of the week", |numbers, day| if day % 7 == 0 { 45.0 } else { 30.0 } + numbers.bell(), 3.5),
    ("under a minute", |numbers, _| 0.3 + numbers.next() * 0.2, 10.0),
];

/// Of 28 histories of a kind each has 60 days; from day 14 on every run is judged as it would be while it runs, one in
/// ten is slow by its label, and one past run in twenty was slow as well.
#[test]
fn slow_runs_are_told_from_usual_ones() {
    let (mut all_hits, mut all_alarms, mut all_slow) = (0, 0, 0);
    for (name, usual, slow_by) in KINDS {
        let (mut hits, mut alarms, mut slow) = (0, 0, 0);
        for seed in 0..28 {
            let mut numbers = Numbers(seed);
            let mut past = Past::default();
            for at in 0..60 {
                let is_slow = numbers.next() < 0.1;
                let minutes = usual(&mut numbers, at).max(0.1) * if is_slow { slow_by } else { 1.0 };
                let limit = past.usual(&slower(), day(at), |_| true).map(|usual| usual.limit);
                if at >= 14 {
                    let is_told = limit.is_some_and(|limit| minutes * 60.0 >= limit.as_secs_f64());
                    hits += usize::from(is_told && is_slow);
                    alarms += usize::from(is_told);
                    slow += usize::from(is_slow);
                } else {
                    assert!(at >= 10 || limit.is_none(), "a cold start is silent");
                }
                past.enter(&at.to_string(), &took(day(at), minutes));
            }
        }
        println!("{name:36} {}", quality(hits, alarms, slow));
        all_hits += hits;
        all_alarms += alarms;
        all_slow += slow;
    }
    println!("{:36} {}", "all", quality(all_hits, all_alarms, all_slow));
    let (precision, recall) = (share(all_hits, all_alarms), share(all_hits, all_slow));
    assert!(precision > 0.95 && recall > 0.9, "{}", quality(all_hits, all_alarms, all_slow));
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn quality(hits: usize, alarms: usize, slow: usize) -> String {
    let (precision, recall) = (share(hits, alarms), share(hits, slow));
    format!("precision {precision:.3}, recall {recall:.3} ({alarms} alarms, {slow} slow runs)")
}

fn usual_of(durations: &[f64]) -> Option<Usual> {
    let mut past = Past::default();
    for (at, minutes) in durations.iter().enumerate() {
        past.enter(&at.to_string(), &took(day(i64::try_from(at).unwrap()), *minutes));
    }
    past.usual(&slower(), day(i64::try_from(durations.len()).unwrap()), |_| true)
}

#[test]
fn what_is_usual_is_the_middle_and_is_not_moved_by_a_few_bad_nights() {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let usual = |median, limit, runs| Some(Usual { median: minutes(median), limit: minutes(limit), runs });
    assert_eq!(usual_of(&[20.0; 9]), None);
    assert_eq!(usual_of(&[20.0; 10]), usual(20, 40, 10));
    assert_eq!(usual_of(&[20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 900.0, 900.0]), usual(20, 40, 10));
    // Twice a short run is nothing to tell of: it has to be a minute longer.
    assert_eq!(usual_of(&[1.0 / 6.0; 12]).unwrap().limit, Duration::from_secs(70));
}

/// A job that takes three hours on Mondays is compared with its Mondays once there are enough of them.
#[test]
fn a_day_of_the_week_is_compared_with_itself_where_there_is_enough() {
    let mut past = Past::default();
    let hourly = |at: i64, hour: i64| day(at) + SignedDuration::from_hours(hour);
    for at in 0..28 {
        for hour in 0..4 {
            let minutes = if at % 7 == 0 { 180.0 } else { 20.0 };
            past.enter(&format!("{at}-{hour}"), &took(hourly(at, hour), minutes));
        }
    }
    let usual = |at| past.usual(&slower(), day(at), |_| true).unwrap();
    assert_eq!((usual(28).median, usual(28).runs), (Duration::from_secs(180 * 60), 16));
    assert_eq!(usual(29).median, Duration::from_secs(20 * 60));
}
