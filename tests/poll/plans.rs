//! Runs that are missing by the schedules that jobs have in their scheduler.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nightbell::model::{JobSchedule, Status};
use nightbell::schedule::Schedule;

use super::world::{Scene, run, summaries};

const RULE: &str = "  owed: { match: { job: \"load*\" }, when: { missing: { grace: 15m } }, notify: [hook] }\n";

/// A Saturday in November, in Shanghai.
fn at(time: &str) -> Timestamp {
    format!("2026-11-21T{time}:00+08:00").parse().unwrap()
}

fn due(job: &str, expression: &str) -> JobSchedule {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    JobSchedule { job: job.into(), due: Schedule::parse_quartz(expression, &zone) }
}

/// A scene whose source tells these schedules, read first at midnight.
async fn night(schedules: impl IntoIterator<Item = JobSchedule>) -> Scene {
    let mut scene = Scene::open(RULE).await;
    tell(&scene, schedules);
    scene.set(at("00:00"));
    scene.poll().await;
    scene
}

fn tell(scene: &Scene, schedules: impl IntoIterator<Item = JobSchedule>) {
    scene.source.shown().schedules = Some(schedules.into_iter().collect());
}

/// Polls every five minutes until `until`, and has each poll made by a process of its own when `restarts`.
async fn live(scene: &mut Scene, until: &str, restarts: bool) {
    while scene.now() < at(until) {
        scene.pass(SignedDuration::from_mins(5));
        if restarts {
            scene.restart();
        }
        scene.poll().await;
    }
}

#[tokio::test]
async fn a_job_that_its_scheduler_does_not_plan_is_told_once_and_over_when_it_runs() {
    for restarts in [false, true] {
        let mut scene =
            night([due("load_a", "0 0 2 * * ?"), due("load_b", "0 0 3 * * ?"), due("other", "0 0 2 * * ?")]).await;
        live(&mut scene, "02:10", restarts).await;
        assert!(summaries(&scene.store).await.is_empty(), "the grace still runs");
        scene.show([run("load_b", "1", Status::Running, at("03:00"), None)]);
        live(&mut scene, "05:00", restarts).await;
        assert_eq!(
            summaries(&scene.store).await,
            ["firing: load_a did not run at 02:00: no run was planned or started"]
        );
        scene.show([run("load_a", "2", Status::Running, at("05:05"), None)]);
        live(&mut scene, "06:00", restarts).await;
        let told = summaries(&scene.store).await;
        assert_eq!((told.len(), told[1].starts_with("resolved: load_a")), (2, true), "{told:?}");
    }
}

#[tokio::test]
async fn a_job_whose_schedule_is_off_or_cannot_be_followed_is_never_missing() {
    let mut scene = night([due("load_a", "0 0 2 * * ?"), due("load_b", "0 0 2 1 * MON")]).await;
    live(&mut scene, "01:55", false).await;
    // Somebody switches it off while the schedules that are known are still young.
    tell(&scene, [due("load_b", "0 0 2 1 * MON")]);
    live(&mut scene, "06:00", false).await;
    assert!(summaries(&scene.store).await.is_empty(), "{:?}", summaries(&scene.store).await);
}

#[tokio::test]
async fn a_schedule_that_is_changed_counts_from_then_on() {
    let mut scene = night([due("load_a", "0 0 2 * * ?")]).await;
    live(&mut scene, "01:55", false).await;
    tell(&scene, [due("load_a", "0 30 1,3 * * ?")]);
    live(&mut scene, "03:40", false).await;
    assert!(summaries(&scene.store).await.is_empty(), "neither the old 02:00 nor the new 01:30");
    live(&mut scene, "06:00", false).await;
    assert_eq!(summaries(&scene.store).await, ["firing: load_a did not run at 03:30: no run was planned or started"]);
}

#[tokio::test]
async fn while_the_schedules_cannot_be_read_nothing_is_missing_and_the_truth_is_told_later() {
    let mut scene = night([due("load_a", "0 0 2 * * ?")]).await;
    live(&mut scene, "01:00", false).await;
    scene.source.shown().hides_schedules = true;
    live(&mut scene, "03:00", false).await;
    assert!(summaries(&scene.store).await.is_empty());
    let report = scene.poll().await;
    assert!(report.incomplete.is_some_and(|why| why.contains("schedules of the jobs could not be read")));
    scene.source.shown().hides_schedules = false;
    live(&mut scene, "06:00", false).await;
    assert_eq!(summaries(&scene.store).await, ["firing: load_a did not run at 02:00: no run was planned or started"]);
}

/// Read in another zone than the job's own, its due times would be wrong every day.
#[tokio::test]
async fn a_job_whose_runs_keep_to_another_clock_is_not_missing() {
    let mut scene = night([due("load_a", "0 0 2 * * ?")]).await;
    scene.show([run("load_a", "1", Status::Success, at("01:00"), Some(at("01:10")))]);
    live(&mut scene, "06:00", false).await;
    assert!(summaries(&scene.store).await.is_empty(), "{:?}", summaries(&scene.store).await);
}

#[tokio::test]
async fn the_schedules_are_read_seldom_while_nothing_is_due() {
    let mut scene = night([due("load_a", "0 0 23 * * ?")]).await;
    live(&mut scene, "02:00", false).await;
    let asked = scene.source.shown().schedules_asked;
    assert!((2..=13).contains(&asked), "{asked} times in 25 polls");
}
