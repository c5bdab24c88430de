//! Conditions on a job's history, over polls, restarts and outages.

use jiff::{SignedDuration, Timestamp};
use nightbell::model::{Instance, Status};

use super::world::{Scene, bodies, run, summaries};

const THREE: &str = "  thrice: { when: { consecutive: 3 }, notify: [hook] }\n";

/// A run that was due so many minutes before `now` and took five of them.
fn ended(id: &str, status: Status, now: Timestamp, before: i64) -> Instance {
    let began = now - SignedDuration::from_mins(before);
    run("etl", id, status, began, Some(began + SignedDuration::from_mins(5)))
}

#[tokio::test]
async fn the_third_failure_in_a_row_is_told_once_and_the_next_success_ends_it() {
    let mut scene = Scene::open(THREE).await;
    let mut runs: Vec<Instance> = Vec::new();
    let story =
        [Status::Fail, Status::Fail, Status::Success, Status::Fail, Status::ManualStop, Status::Fail, Status::Fail];
    for (index, status) in story.into_iter().enumerate() {
        scene.pass(SignedDuration::from_mins(30));
        assert!(summaries(&scene.store).await.is_empty(), "before run {index}");
        runs.push(ended(&index.to_string(), status, scene.now(), 6));
        scene.show(runs.clone());
        scene.poll().await;
    }
    let first = "firing: etl failed 3 times in a row: the last run failed after 5m 0s";
    assert_eq!(summaries(&scene.store).await, [first]);
    // A fourth failure, and the program starts anew: the same episode.
    for (id, is_restart) in [("8", false), ("9", true)] {
        scene.pass(SignedDuration::from_mins(30));
        runs.push(ended(id, Status::Fail, scene.now(), 6));
        scene.show(runs.clone());
        if is_restart {
            scene.restart();
        }
        scene.poll().await;
    }
    assert_eq!(summaries(&scene.store).await.len(), 1);
    scene.pass(SignedDuration::from_mins(30));
    runs.push(ended("10", Status::Success, scene.now(), 6));
    scene.show(runs.clone());
    scene.poll().await;
    let last = "resolved: etl recovered: a later run succeeded after 5m 0s";
    assert_eq!(summaries(&scene.store).await, [first, last]);
    let told = bodies(&scene.store).await;
    let firing = told.iter().find(|(_, body)| body["type"] == "alert.firing").unwrap();
    let alert = &firing.1["data"]["alert"];
    assert_eq!((&alert["condition"], &alert["runs_failed"]), (&"consecutive".into(), &3.into()));
    assert_eq!(firing.1["data"]["instance"]["id"], "6", "the run that made it three");
}

/// The first of three failures is made again and succeeds: two in a row are fewer than three.
#[tokio::test]
async fn a_row_of_failures_is_over_when_an_earlier_run_of_it_recovers() {
    let mut scene = Scene::open(THREE).await;
    let now = scene.now();
    let mut runs = vec![ended("0", Status::Success, now, 50)];
    runs.extend([("1", 40), ("2", 30), ("3", 20)].map(|(id, before)| ended(id, Status::Fail, now, before)));
    scene.show(runs.clone());
    scene.poll().await;
    let first = "firing: etl failed 3 times in a row: the last run failed after 5m 0s";
    assert_eq!(summaries(&scene.store).await, [first]);
    scene.pass(SignedDuration::from_mins(5));
    runs[1] = Instance { status: Status::Running, start_time: Some(scene.now()), end_time: None, ..runs[1].clone() };
    scene.show(runs.clone());
    scene.poll().await;
    assert_eq!(summaries(&scene.store).await, [first], "a rerun under way changes nothing yet");
    scene.restart();
    scene.pass(SignedDuration::from_mins(5));
    runs[1] = Instance { status: Status::Success, end_time: Some(scene.now()), ..runs[1].clone() };
    scene.show(runs);
    scene.poll().await;
    let last = "resolved: etl recovered: 2 failures in a row now";
    assert_eq!(summaries(&scene.store).await, [first, last]);
    let ended = &scene.alerts().await[0].facts.alert.ended;
    assert_eq!(ended.as_ref().unwrap().reason, nightbell::model::EndReason::Over);
    scene.poll().await;
    assert_eq!(summaries(&scene.store).await.len(), 2);
}

/// One poll sees the success that ends a row of failures and a whole row after it.
#[tokio::test]
async fn a_row_of_failures_that_begins_as_another_ends_is_told() {
    let mut scene = Scene::open(THREE).await;
    let now = scene.now();
    let mut runs = [55, 50, 45].map(|before| ended(&before.to_string(), Status::Fail, now, before)).to_vec();
    scene.show(runs.clone());
    scene.poll().await;
    scene.pass(SignedDuration::from_mins(1));
    // It was under way when the row began.
    runs.push(Instance { end_time: Some(now), ..ended("40", Status::Success, now, 40) });
    runs.extend([35, 30, 25].map(|before| ended(&before.to_string(), Status::Fail, now, before)));
    scene.show(runs);
    scene.poll().await;
    scene.poll().await;
    let told = summaries(&scene.store).await;
    assert_eq!(told.iter().filter(|line| line.starts_with("firing")).count(), 2, "{told:?}");
    assert_eq!(scene.alerts().await.iter().filter(|alert| alert.facts.alert.ends_at.is_none()).count(), 1);
}

/// Failures of long ago, that the memory of the poll has forgotten, are in the store.
#[tokio::test]
async fn failures_of_a_weekly_job_are_counted_over_weeks() {
    let mut scene = Scene::open(THREE).await;
    for week in 0..3 {
        scene.show([ended(&week.to_string(), Status::Fail, scene.now(), 6)]);
        scene.poll().await;
        assert_eq!(summaries(&scene.store).await.len(), usize::from(week == 2), "week {week}");
        scene.restart();
        scene.pass(SignedDuration::from_hours(7 * 24));
    }
}

#[tokio::test]
async fn on_the_first_look_failures_of_long_ago_are_recorded_and_not_told() {
    let mut scene = Scene::open(THREE).await;
    let now = scene.now();
    scene.show(["1", "2", "3"].map(|id| ended(id, Status::Fail, now, 400)));
    scene.poll().await;
    scene.poll().await;
    assert!(summaries(&scene.store).await.is_empty());
    assert_eq!(scene.alerts().await.len(), 1);
}

#[tokio::test]
async fn a_share_of_failures_is_told_of_the_job_and_ends_when_it_has_fallen() {
    let rule = "  often: { when: { failure_rate: { over: 4, above: 25% } }, severity: warning, notify: [hook] }\n";
    let mut scene = Scene::open(rule).await;
    let mut runs: Vec<Instance> = Vec::new();
    // One in four is not above 25%; two are, and stay so until four runs hold one of them only.
    let story = [
        (Status::Fail, 0),
        (Status::Success, 0),
        (Status::Success, 0),
        (Status::Success, 0),
        (Status::Fail, 0),
        (Status::Fail, 1),
        (Status::Fail, 1),
        (Status::Success, 1),
        (Status::Success, 1),
        (Status::Success, 2),
    ];
    for (index, (status, told)) in story.into_iter().enumerate() {
        scene.pass(SignedDuration::from_mins(30));
        runs.push(ended(&index.to_string(), status, scene.now(), 6));
        scene.show(runs.clone());
        scene.poll().await;
        if index == 6 {
            scene.restart();
        }
        scene.poll().await;
        assert_eq!(summaries(&scene.store).await.len(), told, "after run {index}");
    }
    assert_eq!(
        summaries(&scene.store).await,
        [
            "firing: etl fails too often: 2 of its last 4 runs failed (50%, limit 25%)",
            "resolved: etl recovered: 1 of its last 4 runs failed (25%, limit 25%)"
        ]
    );
    assert!(bodies(&scene.store).await[0].1["data"]["instance"].is_null());
}

/// A run due earlier fails after the share had fallen: it is the share of another episode, though the newest failure is
/// the same.
#[tokio::test]
async fn a_share_of_failures_that_grows_again_by_an_earlier_run_is_told_again() {
    let rule = "  often: { when: { failure_rate: { over: 4, above: 50% } }, notify: [hook] }\n";
    let mut scene = Scene::open(rule).await;
    let now = scene.now();
    let of = |id: &str, status, before| ended(id, status, now, before);
    let mut runs = vec![
        of("1", Status::Fail, 50),
        of("2", Status::Success, 40),
        of("3", Status::Fail, 30),
        Instance { status: Status::Running, end_time: None, ..of("4", Status::Running, 25) },
        of("5", Status::Fail, 20),
    ];
    for told in 1..=3 {
        match told {
            1 => {}
            2 => runs.push(of("6", Status::Success, 10)),
            _ => runs[3] = Instance { end_time: Some(now), ..of("4", Status::Fail, 25) },
        }
        scene.show(runs.clone());
        scene.poll().await;
        assert_eq!(summaries(&scene.store).await.len(), told, "{:?}", summaries(&scene.store).await);
        scene.pass(SignedDuration::from_mins(1));
    }
}

#[tokio::test]
async fn a_run_slower_than_usual_is_told_while_it_runs_and_not_on_a_cold_start() {
    let rule = "  slow: { when: { slower_than_usual: { factor: 2, min_runs: 5 } }, notify: [hook] }\n";
    for past in [4, 5] {
        let mut scene = Scene::open(rule).await;
        for day in 0..past {
            let began = scene.now() - SignedDuration::from_mins(30);
            let took = SignedDuration::from_mins(20 + day % 2);
            scene.show([run("etl", &day.to_string(), Status::Success, began, Some(began + took))]);
            scene.poll().await;
            scene.pass(SignedDuration::from_hours(24));
        }
        scene.restart();
        let began = scene.now();
        scene.show([run("etl", "today", Status::Running, began, None)]);
        for _ in 0..8 {
            scene.pass(SignedDuration::from_mins(5));
            scene.poll().await;
            scene.poll().await;
        }
        let told = summaries(&scene.store).await;
        if past < 5 {
            assert!(told.is_empty(), "{told:?}");
            continue;
        }
        let firing = "firing: etl has been running for 40m 0s, usually 20m (limit 40m)";
        assert_eq!(told, [firing]);
        scene.show([run("etl", "today", Status::Fail, began, Some(scene.now()))]);
        scene.poll().await;
        let resolved = "resolved: etl ended (fail) after 40m 0s, usually 20m";
        assert_eq!(summaries(&scene.store).await, [firing, resolved]);
    }
}

/// The runs that a rule counts are kept whatever their age: a job that runs once a month has three failures in a row.
#[tokio::test]
async fn runs_that_a_rule_counts_outlive_the_retention() {
    use nightbell::worker::housekeeping::Retention;
    let mut scene = Scene::open(THREE).await;
    for month in 0..3 {
        scene.pass(SignedDuration::from_hours(31 * 24));
        // Only what was planned of late is listed.
        scene.show([ended(&month.to_string(), Status::Fail, scene.now(), 6)]);
        scene.poll().await;
        let retention = Retention::new(std::time::Duration::from_secs(30 * 86_400), scene.rules().clone());
        retention.purge(&*scene.store, scene.now()).await.unwrap();
        scene.restart();
    }
    let told = summaries(&scene.store).await;
    assert_eq!(told, ["firing: etl failed 3 times in a row: the last run failed after 5m 0s"]);
}

/// The same for a share: of ten weekly runs the oldest is older than the retention by weeks.
#[tokio::test]
async fn a_share_of_weekly_runs_is_counted_over_more_weeks_than_are_kept() {
    use nightbell::worker::housekeeping::Retention;
    let rule = "  often: { when: { failure_rate: { over: 10, above: 40% } }, notify: [hook] }\n";
    let mut scene = Scene::open(rule).await;
    for week in 0..10 {
        scene.pass(SignedDuration::from_hours(7 * 24));
        // The first four and the last one: half of the ten.
        let status = if week < 4 || week == 9 { Status::Fail } else { Status::Success };
        scene.show([ended(&week.to_string(), status, scene.now(), 6)]);
        assert!(summaries(&scene.store).await.is_empty(), "week {week}");
        scene.poll().await;
        let retention = Retention::new(std::time::Duration::from_secs(30 * 86_400), scene.rules().clone());
        retention.purge(&*scene.store, scene.now()).await.unwrap();
        scene.restart();
    }
    let told = summaries(&scene.store).await;
    assert_eq!(told, ["firing: etl fails too often: 5 of its last 10 runs failed (50%, limit 40%)"]);
}
