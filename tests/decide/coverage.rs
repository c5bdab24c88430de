//! What was not read is unknown; what is covered since a moment ago is history.

use jiff::SignedDuration;
use nightbell::decide::Look;
use nightbell::model::{Coverage, Instance, InstanceType, Part, SetAside, Status};

use super::{Night, notices};
use crate::poll::world::run;

const FAILED: &str = "  failed: { when: { status: [fail] }, notify: [hook] }\n";

#[test]
fn a_first_poll_that_is_short_makes_no_news_of_what_the_second_reads() {
    let mut night = Night::new(FAILED);
    let hours = |hours: i64| night.ended(&hours.to_string(), Status::Fail, hours * 60);
    let runs = [hours(10), hours(20), hours(15), hours(5)];
    assert!(night.poll_with([runs[0].clone()], night.short()).is_empty());
    night.pass(1);
    assert!(night.poll(runs).is_empty(), "recorded, not told");
}

#[test]
fn what_a_longer_lookback_or_a_wider_scope_brings_is_history() {
    let mut night = Night::new(FAILED);
    let old = night.ended("old", Status::Fail, 3 * 24 * 60);
    let other = Instance {
        job: nightbell::model::JobRef { name: "other".into(), id: None },
        ..night.ended("7", Status::Fail, 600)
    };
    assert!(night.poll([]).is_empty());
    night.pass(1);
    night.lookback = SignedDuration::from_hours(7 * 24);
    assert!(night.poll([old.clone()]).is_empty(), "the lookback was lengthened");
    night.pass(1);
    night.scope = "other too".into();
    assert!(night.poll([old.clone(), other.clone()]).is_empty(), "another job was added");
    night.pass(1);
    let news = night.ended("new", Status::Fail, 6);
    assert_eq!(night.poll([old, other, news]), ["failed etl/new firing"]);
}

/// What leaves a run out of a listing that is whole otherwise.
fn lacks(coverage: Coverage, by: usize) -> Coverage {
    let aside = |job: Option<&str>| SetAside {
        reason: "no id".into(),
        snippet: "{}".into(),
        job: job.map(str::to_string),
        at: "/0".into(),
    };
    match by {
        0 => Coverage { set_aside: vec![aside(None)], ..coverage },
        1 => Coverage { set_aside: vec![aside(Some("etl"))], ..coverage },
        _ => coverage.without(Part::Kind(InstanceType::Scheduled), "it was refused"),
    }
}

#[test]
fn what_was_never_read_since_the_first_look_is_history_once_it_is_read() {
    for by in 0..3 {
        let mut night = Night::new(FAILED);
        let old = night.ended("old", Status::Fail, 600);
        for _ in 0..3 {
            assert!(night.poll_with([], lacks(night.whole(), by)).is_empty());
            night.pass(30);
            night.restart();
        }
        let news = night.ended("news", Status::Fail, 6);
        assert_eq!(night.poll([old.clone(), news.clone()]), ["failed etl/news firing"], "{by}");
        assert_eq!(night.firing(), ["failed etl/news", "failed etl/old"], "{by}: it is recorded");
        night.pass(1);
        assert!(night.poll([old, news]).is_empty(), "{by}");
        assert!(night.known.memory.covered.left_out.is_empty(), "{by}");
    }
}

/// The same once something was read: then what is left out for a while is news when it is read.
#[test]
fn what_is_left_out_for_a_while_is_told_once_it_is_read() {
    for by in 0..3 {
        let mut night = Night::new(FAILED);
        night.poll([]);
        night.pass(1);
        night.poll([]);
        night.pass(30);
        let failed = night.ended("1", Status::Fail, 20);
        for _ in 0..4 {
            assert!(night.poll_with([], lacks(night.whole(), by)).is_empty(), "{by}");
            night.pass(30);
            night.restart();
        }
        assert_eq!(night.poll([failed]), ["failed etl/1 firing"], "{by}");
    }
}

/// Another run of the job of an item that nobody understood at first was read when it came.
#[test]
fn an_item_that_stays_unclear_makes_no_history_of_what_comes_later() {
    let mut night = Night::new(FAILED);
    for _ in 0..10 {
        assert!(night.poll_with([], lacks(night.whole(), 1)).is_empty());
        night.pass(30);
    }
    // The source was out for two hours.
    night.pass(120);
    let failed = night.ended("1", Status::Fail, 100);
    assert_eq!(night.poll_with([failed], lacks(night.whole(), 1)), ["failed etl/1 firing"]);
}

#[test]
fn a_new_rule_that_looks_while_a_kind_is_unread_has_yet_to_look() {
    let mut night = Night::new("  other: { when: { status: [pause] }, notify: [hook] }\n");
    let failed = night.ended("1", Status::Fail, 30);
    night.poll([failed.clone()]);
    night.pass(1);
    night.rules(FAILED);
    assert!(night.poll_with([], lacks(night.whole(), 2)).is_empty());
    night.pass(1);
    assert_eq!(night.poll([failed.clone()]), ["failed etl/1 firing"]);
    // A kind that stays unread for days keeps no rule waiting.
    night.rules("  late: { when: { status: [fail] }, notify: [hook] }\n");
    for _ in 0..3 {
        night.poll_with([], lacks(night.whole(), 2));
        night.pass(13 * 60);
    }
    assert_eq!(night.known.memory.known_rules.len(), 1);
}

#[test]
fn a_new_rule_whose_first_listing_is_short_has_yet_to_look() {
    let mut night = Night::new("  other: { when: { status: [pause] }, notify: [hook] }\n");
    let failed = night.ended("1", Status::Fail, 30);
    night.poll([failed.clone()]);
    night.pass(1);
    night.rules(FAILED);
    assert!(night.poll_with([], night.short()).is_empty());
    night.pass(1);
    assert_eq!(night.poll([failed]), ["failed etl/1 firing"], "it was in the part that was not read");
}

#[test]
fn a_poll_that_reads_nothing_changes_nothing() {
    let mut night = Night::new(FAILED);
    let failed = night.ended("1", Status::Fail, 30);
    night.poll([failed]);
    let before = night.known.memory.covered.clone();
    night.pass(60);
    assert!(night.poll_with([], night.short()).is_empty());
    assert_eq!((night.firing(), night.known.memory.covered.clone()), (vec!["failed etl/1".to_string()], before));
}

/// An item without an id may be the very run that seems to be missing.
#[test]
fn a_run_is_not_missing_while_an_item_of_the_list_is_not_understood() {
    let rule = "  owed: { match: { job: etl }, when: { missing: { schedule: \"0 * * * *\", grace: 10m } }, notify: [hook] }\n\
                \u{20} also: { match: { job: other }, when: { missing: { schedule: \"0 * * * *\", grace: 10m } }, notify: [hook] }\n";
    for (job, expected) in
        [(None, &[][..]), (Some("etl"), &["also other/- firing"][..]), (Some("other"), &["owed etl/- firing"][..])]
    {
        let mut night = Night::new(rule);
        let hours = SignedDuration::from_hours;
        let planned = |job: &str, id: &str, at| run(job, id, Status::Success, at, Some(at));
        let runs: Vec<Instance> = [1, 0]
            .into_iter()
            .flat_map(|before| {
                let at = night.now - hours(before);
                ["etl", "other"].map(|job| planned(job, &before.to_string(), at))
            })
            .collect();
        assert!(night.poll(runs.clone()).is_empty());
        let due = night.now.as_second() / 3600 * 3600 + 3600;
        night.now = jiff::Timestamp::from_second(due + 11 * 60).unwrap();
        let item =
            SetAside { reason: "no id".into(), snippet: "{}".into(), job: job.map(str::to_string), at: "/0".into() };
        let mut coverage = night.whole();
        coverage.set_aside.push(item);
        assert_eq!(night.poll_with(runs.clone(), coverage), expected, "{job:?}");
        night.pass(1);
        let told = night.poll(runs);
        assert_eq!(told.len() + expected.len(), 2, "once it was read, the other one is told: {told:?}");
    }
}

/// Schedules that cannot be read hold up the rules that go by them, and no others.
#[test]
fn schedules_that_cannot_be_read_hold_up_no_other_rule() {
    let rules = "  owed: { match: { job: etl }, when: { missing: { grace: 10m } }, notify: [hook] }\n\
                 \u{20} failed: { when: { status: [fail] }, notify: [hook] }\n";
    let mut night = Night::new(rules);
    night.poll([]);
    night.pass(1);
    let failed = night.ended("1", Status::Fail, 6);
    let look = Look { has_schedules: false, ..Look::at(night.now) };
    let coverage = night.whole();
    let decided = night.known.poll(&mut night.decider, vec![failed], coverage, &look);
    assert_eq!(notices(&decided), ["failed etl/1 firing"]);
    assert_eq!(decided.covered.until, Some(night.now), "the cursor moves");
    assert_eq!(decided.covered.lagging.len(), 1, "one rule lags");
}

#[test]
fn a_catch_up_in_slices_tells_each_failure_once() {
    let mut night = Night::new(FAILED);
    night.poll([]);
    let last = night.now;
    night.now = last + SignedDuration::from_hours(72);
    let at = |hours: i64| last + SignedDuration::from_hours(hours);
    let failures: Vec<Instance> =
        (1..72).map(|hour| run(&format!("job{hour}"), "1", Status::Fail, at(hour), Some(at(hour)))).collect();
    let mut told = Vec::new();
    for (from, to) in [(0, 24), (24, 48), (48, 72)] {
        let window = nightbell::model::Window { from: at(from), to: at(to) };
        let listed = failures.iter().filter(|run| run.plan_time.is_some_and(|plan| at(from) <= plan && plan <= at(to)));
        let look = Look { is_last_slice: to == 72, ..Look::at(night.now) };
        let coverage = nightbell::model::Coverage::whole(window, "");
        let decided = night.known.poll(&mut night.decider, listed.cloned().collect(), coverage, &look);
        told.extend(notices(&decided));
        night.restart();
        night.pass(6);
    }
    assert_eq!(told.len(), 71, "{told:?}");
    assert_eq!(night.known.memory.covered.caught_up, None);
}

/// A replica that is a page behind answers the first look of a new rule: the rule has yet to look at what was left out for that.
#[test]
fn a_new_rule_that_meets_an_older_page_first_has_yet_to_look() {
    let mut night = Night::new("  other: { match: { job: none }, when: { status: [fail] }, notify: [hook] }\n");
    let running = night.began("1", Status::Running, 30);
    night.poll([running.clone()]);
    night.pass(1);
    let failed = Instance { status: Status::Fail, end_time: Some(night.now), ..running.clone() };
    assert!(night.poll([failed.clone()]).is_empty());
    night.pass(1);
    night.rules("  failed: { when: { status: [fail] }, notify: [hook] }\n");
    assert!(night.poll([running]).is_empty(), "it is an older page");
    night.pass(1);
    assert_eq!(night.poll([failed]), ["failed etl/1 firing"]);
}

/// What is over keeps the times that are known of it while its source leaves them out: the next page shows nothing new, also where the
/// start was corrected before.
#[test]
fn a_page_that_leaves_out_both_times_of_what_is_over_tells_nothing_and_neither_does_the_next() {
    let mut night = Night::new("  long: { when: { duration: 45m }, notify: [hook] }\n");
    let running = night.began("1", Status::Running, 50);
    assert_eq!(night.poll([running.clone()]), ["long etl/1 firing"]);
    night.pass(1);
    let began = running.start_time.map(|start| start - SignedDuration::from_secs(20));
    let over = Instance { status: Status::Success, start_time: began, end_time: Some(night.now), ..running };
    assert_eq!(night.poll([over.clone()]), ["long etl/1 over over"]);
    let less = Instance { start_time: None, end_time: None, ..over.clone() };
    for page in [less.clone(), over.clone(), less, over] {
        night.pass(1);
        assert!(night.poll([page]).is_empty());
        night.restart();
    }
}

/// A run is held up by an exception, goes on, and fails while its rule is away for a moment: that failure is another one.
#[test]
fn a_failure_after_an_exception_that_is_over_is_told_by_a_rule_that_was_away() {
    const BAD: &str = "  failed: { when: { status: [fail, running-exception] }, notify: [hook] }\n";
    let mut night = Night::new(BAD);
    let running = night.began("1", Status::Running, 30);
    let held_up = Instance { status: Status::RunningException, ..running.clone() };
    assert_eq!(night.poll([held_up]), ["failed etl/1 firing"]);
    night.pass(1);
    assert_eq!(night.poll([running.clone()]), ["failed etl/1 over over"]);
    night.pass(1);
    night.rules("  other: { match: { job: none }, when: { status: [fail] }, notify: [hook] }\n");
    let failed = Instance { status: Status::Fail, end_time: Some(night.now), ..running };
    assert!(night.poll([failed.clone()]).is_empty());
    night.pass(1);
    night.rules(BAD);
    for told in [vec!["failed etl/1 firing"], vec![]] {
        assert_eq!(night.poll([failed.clone()]), told);
        night.rules(&format!(
            "{BAD}  other: {{ match: {{ job: none }}, when: {{ status: [fail] }}, notify: [hook] }}\n"
        ));
    }
}
