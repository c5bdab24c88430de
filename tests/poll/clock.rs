//! Conditions on the clock, over polls, restarts and outages.

use jiff::{SignedDuration, Timestamp};
use nightbell::model::{Instance, InstanceType, Status};
use nightbell::source::SourceErrorKind;

use super::world::{Scene, bodies, run, summaries};

/// A Saturday in November, in Shanghai.
fn at(time: &str) -> Timestamp {
    let day = if time.len() > 5 { "" } else { "2026-11-21T" };
    format!("{day}{time}:00+08:00").parse().unwrap()
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

const DEADLINE: &str = "  due: { match: { job: settlement }, timezone: Asia/Shanghai, \
     when: { not_finished_by: \"06:30\", warn_at: \"06:00\" }, severity: critical, notify: [hook] }\n";

/// Polls every half hour until `until`.
async fn live(scene: &mut Scene, until: &str) {
    while scene.now() + minutes(30) <= at(until) {
        scene.pass(minutes(30));
        scene.poll().await;
    }
}

/// A scene with a source that has been read since the evening before.
async fn night(rules: &str) -> Scene {
    let mut scene = Scene::open(rules).await;
    scene.set(at("00:00"));
    scene.poll().await;
    scene
}

fn settlement(id: &str, status: Status, ended: Option<&str>) -> Instance {
    run("settlement", id, status, at("02:00"), ended.map(at))
}

#[tokio::test]
async fn a_deadline_is_warned_of_told_and_over_once_each() {
    let mut scene = night(DEADLINE).await;
    live(&mut scene, "01:30").await;
    scene.show([settlement("1", Status::Running, None)]);
    live(&mut scene, "05:30").await;
    assert!(summaries(&scene.store).await.is_empty());
    live(&mut scene, "06:00").await;
    let warning = "firing: settlement has not finished (due 06:30): it has been running for 4h 0m";
    assert_eq!(summaries(&scene.store).await, [warning]);
    scene.restart();
    scene.poll().await;
    scene.set(at("06:31"));
    for _ in 0..2 {
        scene.poll().await;
        scene.restart();
    }
    let overdue = "firing: settlement has not finished by 06:30 (1m 0s late): it has been running for 4h 31m";
    assert_eq!(summaries(&scene.store).await, [warning, overdue]);
    scene.set(at("06:43"));
    scene.show([settlement("1", Status::Success, Some("06:42"))]);
    for _ in 0..2 {
        scene.poll().await;
        scene.restart();
    }
    let over = "resolved: settlement recovered: it succeeded after 4h 42m, 12m 0s after 06:30";
    assert_eq!(summaries(&scene.store).await, [warning, overdue, over]);
    let bodies = bodies(&scene.store).await;
    let of = |key: &str| -> Vec<String> {
        let mut told: Vec<_> = bodies.iter().map(|(at, body)| (*at, body["data"]["alert"][key].to_string())).collect();
        told.sort();
        told.into_iter().map(|(_, value)| value.trim_matches('"').to_string()).collect()
    };
    assert_eq!(of("severity"), ["warning", "critical", "critical"]);
    assert_eq!(of("stage"), ["warning", "overdue", "overdue"]);
    assert_eq!(of("late_ms"), ["null", "60000", "720000"]);
    assert_eq!(of("due_at")[0], "2026-11-20T22:30:00Z");
    let (ids, alerts) = (of("id"), scene.alerts().await);
    assert!(ids.iter().all(|id| *id == ids[0]) && alerts.len() == 1, "one episode: {ids:?}");
}

#[tokio::test]
async fn what_is_there_in_time_is_not_told_and_what_is_nearly_late_is_only_warned_of() {
    let mut scene = night(DEADLINE).await;
    scene.show([settlement("1", Status::Success, Some("03:00"))]);
    live(&mut scene, "23:30").await;
    assert!(summaries(&scene.store).await.is_empty());

    let mut scene = night(DEADLINE).await;
    scene.show([settlement("1", Status::Running, None)]);
    live(&mut scene, "06:00").await;
    scene.set(at("06:12"));
    scene.show([settlement("1", Status::Success, Some("06:10"))]);
    scene.poll().await;
    live(&mut scene, "23:30").await;
    let told = summaries(&scene.store).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1], "resolved: settlement recovered: it succeeded after 4h 10m, in time for 06:30");
}

/// What a deadline says of the states a job can be in, of runs side by side, of manual runs and of backfill.
#[tokio::test]
async fn every_planned_run_has_to_meet_the_deadline_by_itself() {
    let second = |status, ended: Option<&str>| run("settlement", "2", status, at("02:05"), ended.map(at));
    let manual = |instance: Instance| Instance { kind: InstanceType::Manual, ..instance };
    use Status::{Fail, Freeze, IgnoredFailure, Running, Skip, Success};
    // Name, the runs, how many alerts.
    let table: Vec<(&str, Vec<Instance>, usize)> = vec![
        ("failed", vec![settlement("1", Fail, Some("02:30"))], 1),
        ("frozen", vec![settlement("1", Freeze, None)], 1),
        ("skipped: it has not succeeded", vec![settlement("1", Skip, Some("02:30"))], 1),
        ("a failure ignored: it has", vec![settlement("1", IgnoredFailure, Some("02:30"))], 0),
        ("two run", vec![settlement("1", Running, None), second(Running, None)], 2),
        ("one of two runs", vec![settlement("1", Running, None), second(Success, Some("03:00"))], 1),
        (
            "failed, and a later one did it",
            vec![settlement("1", Fail, Some("02:30")), second(Success, Some("03:00"))],
            0,
        ),
        (
            "failed, and a manual one did it",
            vec![settlement("1", Fail, Some("02:30")), manual(second(Success, Some("03:00")))],
            0,
        ),
        (
            "a manual one failed after it",
            vec![settlement("1", Success, Some("02:30")), manual(second(Fail, Some("03:00")))],
            0,
        ),
        ("nothing at all", vec![], 1),
    ];
    for (name, runs, expected) in table {
        let mut scene = night(DEADLINE).await;
        scene.show(runs);
        live(&mut scene, "05:30").await;
        scene.set(at("06:35"));
        scene.poll().await;
        let told = summaries(&scene.store).await;
        assert_eq!(told.len(), expected, "{name}: {told:?}");
    }
}

/// The deadline passes while the source is out. When it can be read again the truth is told, once.
#[tokio::test]
async fn an_outage_over_the_deadline_makes_the_truth_late_and_not_wrong() {
    let (in_time, late) =
        (settlement("1", Status::Success, Some("06:10")), settlement("1", Status::Success, Some("06:50")));
    let cases = [
        ("it was in time", Some(in_time), vec![]),
        ("it was late and is over", Some(late), vec!["resolved: settlement finished 20m 0s after 06:30"]),
        (
            "it runs",
            Some(settlement("1", Status::Running, None)),
            vec!["firing: settlement has not finished by 06:30 (1h 0m late): it has been running for 5h 30m"],
        ),
        ("it never was", None, vec!["firing: settlement has not finished by 06:30 (1h 0m late): no run was planned"]),
    ];
    for (name, run, expected) in cases {
        let mut scene = night(DEADLINE).await;
        if run.is_some() {
            scene.show([settlement("1", Status::Running, None)]);
        }
        live(&mut scene, "05:30").await;
        scene.fail_with(Some(SourceErrorKind::Transient));
        for time in ["06:00", "06:30", "07:00"] {
            scene.set(at(time));
            scene.try_poll().await.unwrap_err();
            assert!(summaries(&scene.store).await.is_empty(), "{name}: told of what nobody knows");
        }
        scene.fail_with(None);
        scene.show(run);
        scene.set(at("07:30"));
        for _ in 0..3 {
            scene.poll().await;
            scene.restart();
        }
        assert_eq!(summaries(&scene.store).await, expected, "{name}");
    }
}

/// A run that was through in time and is made again later is not late; nor is one judged again.
#[tokio::test]
async fn a_rerun_of_what_was_in_time_is_not_late() {
    let mut scene = night(DEADLINE).await;
    scene.show([settlement("1", Status::Success, Some("03:00"))]);
    live(&mut scene, "06:00").await;
    scene.fail_with(Some(SourceErrorKind::Transient));
    scene.set(at("07:00"));
    scene.try_poll().await.unwrap_err();
    scene.fail_with(None);
    let again = Instance { start_time: Some(at("06:20")), ..settlement("1", Status::Running, None) };
    scene.show([again]);
    scene.set(at("08:00"));
    scene.poll().await;
    live(&mut scene, "12:00").await;
    assert!(summaries(&scene.store).await.is_empty(), "{:?}", summaries(&scene.store).await);
}

#[tokio::test]
async fn a_job_without_a_run_is_told_and_over_when_a_run_of_it_succeeds() {
    let mut scene = night(DEADLINE).await;
    live(&mut scene, "06:00").await;
    assert_eq!(summaries(&scene.store).await, ["firing: settlement has not finished (due 06:30): no run was planned"]);
    scene.show([run("settlement", "1", Status::Running, at("06:20"), None)]);
    scene.set(at("06:31"));
    scene.poll().await;
    let told = summaries(&scene.store).await;
    assert_eq!(told[1], "firing: settlement has not finished by 06:30 (1m 0s late)");
    scene.show([run("settlement", "1", Status::Success, at("06:20"), Some(at("06:40")))]);
    scene.set(at("06:41"));
    scene.poll().await;
    scene.restart();
    live(&mut scene, "23:30").await;
    let told = summaries(&scene.store).await;
    assert_eq!(told[2..], ["resolved: settlement recovered: a later run succeeded after 20m 0s, 10m 0s after 06:30"]);
}

/// A job that a pattern finds is expected when it ran at such a time a week before; a list that is not whole says
/// nothing of what it does not hold.
#[tokio::test]
async fn a_pattern_expects_what_ran_a_week_before_and_only_of_a_whole_list() {
    let rules = DEADLINE.replace("settlement", "\"settle*\"").replace(", warn_at: \"06:00\"", "");
    for (before, is_whole, expected) in [("02:00", true, 1), ("2026-11-15T02:00", true, 0), ("02:00", false, 0)] {
        let mut scene = Scene::open(&rules).await;
        let before = if before.len() > 5 { at(before) } else { at(before) - SignedDuration::from_hours(7 * 24) };
        scene.set(before + minutes(60));
        scene.show([run("settlement", "0", Status::Success, before, Some(before + minutes(10)))]);
        scene.poll().await;
        scene.show([]);
        while scene.now() < at("06:20") {
            scene.pass(SignedDuration::from_hours(6).min(at("06:20").duration_since(scene.now())));
            scene.poll().await;
        }
        scene.source.shown().withheld = u64::from(!is_whole);
        scene.set(at("06:31"));
        scene.poll().await;
        let told = summaries(&scene.store).await;
        assert_eq!(told.len(), expected, "{before} {is_whole}: {told:?}");
        scene.source.shown().withheld = 0;
        scene.set(at("06:40"));
        scene.poll().await;
        let in_the_end = usize::from(expected == 1 || !is_whole);
        assert_eq!(summaries(&scene.store).await.len(), in_the_end, "when the list is whole again");
    }
}

#[tokio::test]
async fn a_run_that_waits_past_its_time_is_told_and_over_when_it_starts() {
    let rules = DEADLINE.replace("not_finished_by: \"06:30\", warn_at: \"06:00\"", "not_started_by: \"02:15\"");
    let mut scene = night(&rules).await;
    let waiting = Instance { start_time: None, ..settlement("1", Status::Waiting, None) };
    scene.show([waiting.clone()]);
    live(&mut scene, "02:00").await;
    assert!(summaries(&scene.store).await.is_empty());
    live(&mut scene, "02:30").await;
    let firing = "firing: settlement has not started by 02:15 (15m 0s late): it has been waiting to start for 30m 0s";
    assert_eq!(summaries(&scene.store).await, [firing]);
    scene.show([Instance { start_time: Some(at("02:40")), ..settlement("1", Status::Running, None) }]);
    live(&mut scene, "03:00").await;
    assert_eq!(summaries(&scene.store).await, [firing, "resolved: settlement started, 25m 0s after 02:15"]);
}

/// A run that ends late, as a poll finds at once, while a later one had succeeded in time: the deadline is over when it
/// is found, and its lateness is told all the same.
#[tokio::test]
async fn a_run_that_was_warned_of_and_ended_late_is_told_as_late_though_a_later_one_was_in_time() {
    let mut scene = night(DEADLINE).await;
    let later = run("settlement", "2", Status::Success, at("02:05"), Some(at("02:10")));
    scene.show([settlement("1", Status::Running, None), later.clone()]);
    live(&mut scene, "06:00").await;
    scene.show([settlement("1", Status::Success, Some("06:31")), later]);
    scene.set(at("06:31"));
    scene.poll().await;
    assert_eq!(
        summaries(&scene.store).await,
        [
            "firing: settlement has not finished (due 06:30): it has been running for 4h 0m",
            "resolved: settlement recovered: it succeeded after 4h 31m, 1m 0s after 06:30"
        ]
    );
}

const OWED: &str = "  owed: { match: { job: settlement }, timezone: Asia/Shanghai, \
     when: { missing: { schedule: \"0 * * * *\", grace: 15m } }, notify: [hook] }\n";

/// The runs of these hours.
fn hourly(hours: &[i64]) -> Vec<Instance> {
    let began = |hour: i64| at("00:00") + SignedDuration::from_hours(hour);
    hours.iter().map(|hour| run("settlement", &hour.to_string(), Status::Running, began(*hour), None)).collect()
}

/// A scene at midnight with a job that ran an hour before.
async fn watch(rules: &str) -> Scene {
    let mut scene = Scene::open(rules).await;
    scene.set(at("00:00"));
    scene.show(hourly(&[-1]));
    scene.poll().await;
    scene
}

#[tokio::test]
async fn a_run_that_is_missing_is_told_after_the_grace_and_over_when_there_is_one_again() {
    let mut scene = watch(OWED).await;
    scene.show(hourly(&[-1, 0, 1, 2]));
    live(&mut scene, "03:00").await;
    assert!(summaries(&scene.store).await.is_empty());
    scene.set(at("03:14"));
    scene.poll().await;
    assert!(summaries(&scene.store).await.is_empty(), "the grace is not over");
    scene.set(at("03:15"));
    for _ in 0..3 {
        scene.poll().await;
        scene.restart();
    }
    let missing = "firing: settlement did not run at 03:00: no run was planned or started";
    assert_eq!(summaries(&scene.store).await, [missing]);
    scene.set(at("04:30"));
    scene.poll().await;
    assert_eq!(summaries(&scene.store).await, [missing], "still the same episode");
    scene.show(hourly(&[-1, 0, 1, 2, 5]));
    scene.set(at("05:01"));
    for _ in 0..3 {
        scene.poll().await;
        scene.restart();
    }
    let again = "resolved: settlement is running again, 2h 0m after 03:00";
    assert_eq!(summaries(&scene.store).await, [missing, again]);
}

#[tokio::test]
async fn an_outage_over_due_times_tells_the_truth_once_it_can_be_read_again() {
    // Name, the hours that ran, what is told at 05:20.
    let cases = [
        ("all ran", vec![-1, 0, 1, 2, 3, 4, 5], vec![]),
        (
            "none ran",
            vec![-1, 0, 1],
            vec![
                "firing: settlement did not run at 05:00, the last of 4 due times missed: no run was planned or started",
            ],
        ),
        (
            "one did not",
            vec![-1, 0, 1, 2, 4, 5],
            vec!["resolved: settlement did not run at 03:00: no run was planned or started; it has run since"],
        ),
    ];
    for (name, hours, expected) in cases {
        let mut scene = watch(OWED).await;
        scene.show(hourly(&[-1, 0, 1]));
        live(&mut scene, "01:30").await;
        scene.fail_with(Some(SourceErrorKind::Transient));
        for time in ["02:30", "03:30", "04:30"] {
            scene.set(at(time));
            scene.try_poll().await.unwrap_err();
            assert!(summaries(&scene.store).await.is_empty(), "{name}: told of what nobody knows");
        }
        scene.fail_with(None);
        scene.show(hourly(&hours));
        scene.set(at("05:20"));
        for _ in 0..3 {
            scene.poll().await;
            scene.restart();
        }
        assert_eq!(summaries(&scene.store).await, expected, "{name}");
    }
}

/// A rule that is new does not tell of due times before anything was read.
#[tokio::test]
async fn on_the_first_poll_only_what_was_just_due_is_told() {
    let mut scene = Scene::open(OWED).await;
    scene.set(at("12:20"));
    scene.poll().await;
    assert_eq!(
        summaries(&scene.store).await,
        ["firing: settlement did not run at 12:00: no run was planned or started"]
    );
}

/// What a workday's deadline says of the days around National Day, and a monthly one of the second of the month.
#[tokio::test]
async fn only_the_days_of_a_deadline_are_told_of() {
    let rule = |days: &str| {
        format!(
            "  due: {{ match: {{ job: settlement }}, timezone: Asia/Shanghai, \
             when: {{ not_finished_by: \"06:30\", {days} }}, notify: [hook] }}\n"
        )
    };
    // days, when the polls begin and end, how many deadlines were missed
    let cases = [
        ("days: workdays, calendar: cn", "2026-09-30T12:00", "2026-10-08T00:30", 0),
        ("days: workdays, calendar: cn", "2026-09-30T12:00", "2026-10-08T07:00", 1),
        ("days: 1", "2026-10-01T12:00", "2026-10-03T12:00", 0),
        // The second one goes on with the first: the job still has not run.
        ("days: [1, last]", "2026-10-30T12:00", "2026-11-03T12:00", 1),
    ];
    for (days, from, until, missed) in cases {
        let mut scene = Scene::open(&rule(days)).await;
        scene.set(at(from));
        scene.poll().await;
        live(&mut scene, until).await;
        assert_eq!(scene.alerts().await.len(), missed, "{days} until {until}");
    }
}

/// A window of days off holds back what fell due in it. At its end what never ran is over: nobody waited for it.
#[tokio::test]
async fn what_fell_due_on_a_day_off_is_not_told_on_the_first_working_day_unless_it_is_still_late() {
    let rules = format!(
        "{}mute_windows:\n  off: {{ days: [days-off], calendar: cn, timezone: Asia/Shanghai }}\n",
        DEADLINE.replace(", warn_at: \"06:00\"", "")
    );
    for (is_running, expected) in [(false, 0), (true, 1)] {
        let mut scene = Scene::open(&rules).await;
        scene.set(at("2026-10-06T00:00"));
        scene.poll().await;
        if is_running {
            scene.show([run("settlement", "1", Status::Running, at("2026-10-06T02:00"), None)]);
        }
        live(&mut scene, "2026-10-08T06:00").await;
        let told = summaries(&scene.store).await;
        assert_eq!(told.len(), expected, "{told:?}");
        live(&mut scene, "2026-10-08T07:00").await;
        let told = summaries(&scene.store).await;
        assert_eq!(told.len(), expected + 1, "the working day has its own: {told:?}");
    }
}
