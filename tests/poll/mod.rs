//! The poll loop in process: the real poller and a real store, a source that does as it is told, and time by hand.

mod catch_up;
mod clock;
mod conditions;
mod escalation;
mod follow;
mod history;
mod incidents;
mod inhibit;
mod labels;
mod machine;
mod mute;
mod plans;
mod property;
mod spans;
mod status;
pub(crate) mod world;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nightbell::limits::LOGS_TIME_MAX;
use nightbell::model::{Alert, AlertState, Status};
use nightbell::source::SourceErrorKind;
use nightbell::worker::poll::PollError;

use world::{Scene, run, summaries, told};

const FAILURES: &str = "  failed: { when: { status: [fail] }, notify: [hook] }\n";

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A run that the first poll recorded without telling is made again and fails again: that is news.
#[tokio::test]
async fn a_failure_that_the_first_poll_kept_quiet_about_is_told_when_its_rerun_fails() {
    let mut scene = Scene::open(FAILURES).await;
    let now = scene.now();
    scene.show([run("etl", "1", Status::Fail, now - minutes(180), Some(now - minutes(170)))]);
    scene.poll().await;
    assert!(told(&scene.store).await.is_empty());
    scene.pass(minutes(30));
    let now = scene.now();
    scene.show([run("etl", "1", Status::Fail, now - minutes(10), Some(now - minutes(2)))]);
    scene.poll().await;
    assert_eq!(told(&scene.store).await, ["alert.firing etl 1"]);
    scene.poll().await;
    scene.show([run("etl", "1", Status::Success, now, Some(now))]);
    scene.poll().await;
    assert_eq!(told(&scene.store).await, ["alert.firing etl 1", "alert.resolved etl 1"]);
    assert!(scene.alerts().await.iter().all(|alert| alert.state() == AlertState::Resolved));
}

/// A stale page shows a run as it was while it was under way; the next one shows the failure that was told long ago.
#[tokio::test]
async fn a_stale_page_that_shows_a_run_under_way_makes_no_second_episode() {
    let mut scene = Scene::open(FAILURES).await;
    let now = scene.now();
    let [began, ended] = [now - minutes(20), now - minutes(10)];
    let failed = run("etl", "1", Status::Fail, began, Some(ended));
    let next = run("etl", "2", Status::Success, now - minutes(5), Some(now));
    scene.show([failed.clone(), next.clone()]);
    scene.poll().await;
    assert_eq!(told(&scene.store).await, ["alert.resolved etl 1"], "it was over when it was first seen");
    for stale in [
        run("etl", "1", Status::Running, began, None),
        nightbell::model::Instance { start_time: None, ..run("etl", "1", Status::Waiting, began, None) },
    ] {
        scene.show([stale, next.clone()]);
        scene.poll().await;
        scene.show([failed.clone(), next.clone()]);
        scene.poll().await;
    }
    assert_eq!(told(&scene.store).await.len(), 1, "{:?}", told(&scene.store).await);
}

/// The rule was edited while the source was out for six hours: what failed meanwhile is told all the same.
#[tokio::test]
async fn a_rule_that_was_edited_during_an_outage_tells_what_failed_in_it() {
    let mut scene = Scene::open(FAILURES).await;
    scene.poll().await;
    scene.fail_with(Some(SourceErrorKind::Transient));
    for _ in 0..6 {
        scene.pass(minutes(60));
        assert!(matches!(scene.try_poll().await, Err(PollError::Source { .. })));
    }
    let now = scene.now();
    scene.fail_with(None);
    scene.show([run("etl", "1", Status::Fail, now - minutes(290), Some(now - minutes(280)))]);
    scene.restart_with("  failed: { when: { status: [fail, rejected] }, notify: [hook] }\n");
    scene.poll().await;
    assert_eq!(told(&scene.store).await, ["alert.firing etl 1"]);
}

/// A source that sends a byte now and then would keep its loop for ever.
#[tokio::test]
async fn a_listing_that_never_ends_is_given_up_and_the_source_is_unknown() {
    let mut scene = Scene::open(FAILURES).await;
    scene.poll().await;
    scene.hang();
    let Err(PollError::Source { error, .. }) = scene.try_poll().await else { panic!("the listing came to an end") };
    assert!(error.to_string().contains("not read to its end within 900 s"), "{error}");
    let conditions = nightbell::store::Archive::sources(&*scene.store).await.unwrap();
    assert!(conditions[0].unreadable.is_some(), "{conditions:?}");
}

/// The storage of the logs is slow, or answers nobody: every alert has its nodes all the same, and goes out soon.
#[tokio::test]
async fn a_slow_storage_of_logs_costs_no_alert_its_nodes() {
    for (takes, read) in [(Duration::from_millis(2500), 12), (Duration::from_secs(3600), 0)] {
        let mut scene = Scene::open(FAILURES).await;
        scene.poll().await;
        scene.pass(minutes(5));
        let now = scene.now();
        let failed = |n: i64| run(&format!("etl_{n}"), &n.to_string(), Status::Fail, now - minutes(3), Some(now));
        scene.show((0..30).map(failed));
        scene.source.shown().log_takes = Some(takes);
        let begun = tokio::time::Instant::now();
        scene.poll().await;
        assert!(begun.elapsed() < LOGS_TIME_MAX + Duration::from_secs(5), "{:?}", begun.elapsed());
        let alerts = scene.alerts().await;
        assert_eq!(alerts.iter().filter(|alert| alert.facts.node_details == "ok").count(), 30);
        let log = |alert: &Alert| alert.facts.instance.as_ref()?.error.clone();
        assert_eq!(alerts.iter().filter_map(log).count(), read);
    }
}

/// A run that its source had lost sight of, and that turns out to have failed before that was noticed.
#[tokio::test]
async fn a_run_that_was_lost_and_is_found_again_is_told() {
    let mut scene = Scene::open(FAILURES).await;
    let began = scene.now() - minutes(30);
    scene.show([run("etl", "1", Status::Running, began, None)]);
    scene.poll().await;
    scene.show([]);
    scene.lose("1");
    scene.pass(minutes(1));
    scene.poll().await;
    assert!(told(&scene.store).await.is_empty());
    let ended: Timestamp = scene.now() - minutes(1);
    scene.show([run("etl", "1", Status::Fail, began, Some(ended))]);
    scene.pass(minutes(1));
    scene.poll().await;
    assert_eq!(told(&scene.store).await, ["alert.firing etl 1"]);
}

/// A run failed, was made again and failed again; meanwhile a later run succeeded. That success says nothing about the
/// second failure, whether one poll sees all of it or the success is listed late.
#[tokio::test]
async fn a_success_between_two_failures_of_an_earlier_run_does_not_hide_the_second() {
    for is_listed_late in [false, true] {
        let mut scene = Scene::open(FAILURES).await;
        let now = scene.now();
        scene.show([run("etl", "1", Status::Fail, now - minutes(20), Some(now - minutes(15)))]);
        scene.poll().await;
        scene.pass(minutes(1));
        let again = nightbell::model::Instance {
            start_time: Some(now - minutes(8)),
            ..run("etl", "1", Status::Fail, now - minutes(20), Some(now - minutes(5)))
        };
        let other = run("etl", "2", Status::Success, now - minutes(12), Some(now - minutes(10)));
        if is_listed_late {
            scene.show([again.clone()]);
            scene.poll().await;
            scene.restart();
        }
        scene.show([again.clone(), other]);
        scene.poll().await;
        assert!(scene.alerts().await.iter().any(|alert| alert.state() == AlertState::Firing), "{is_listed_late}");
        let third = run("etl", "3", Status::Success, now - minutes(4), Some(now));
        scene.show([again, third]);
        scene.poll().await;
        assert_eq!(told(&scene.store).await, ["alert.firing etl 1", "alert.firing etl 1", "alert.resolved etl 1"]);
    }
}

/// A rule about every run tells of each once, when it has ended, and never of its end.
#[tokio::test]
async fn every_run_is_told_once_when_it_has_ended() {
    let mut scene = Scene::open("  all: { match: { job: \"*\" }, when: { any: true }, notify: [hook] }\n").await;
    scene.poll().await;
    let start = scene.now();
    scene.show([run("etl", "1", Status::Running, start, None), run("etl", "2", Status::Waiting, start, None)]);
    scene.pass(minutes(5));
    scene.poll().await;
    assert!(summaries(&scene.store).await.is_empty());
    let end = Some(scene.now());
    scene.show([run("etl", "1", Status::Fail, start, end), run("etl", "2", Status::Success, start, end)]);
    for _ in 0..3 {
        scene.pass(minutes(1));
        scene.poll().await;
    }
    let mut told = summaries(&scene.store).await;
    told.sort();
    assert_eq!(told, ["resolved: etl ran and failed after 5m 0s", "resolved: etl ran and succeeded after 5m 0s"]);
}
