//! Silences and mute windows, told by what people hear: nothing while it is muted, and what still fires afterwards.

use jiff::SignedDuration;
use nightbell::model::{AlertState, Concerns, SilenceId, Status, Suppression};
use nightbell::store::{Deliveries as _, Desk as _, NewSilence};

use super::world::{Scene, run, told};

const RULES: &str = "  failed: { when: { status: [fail] }, severity: critical, notify: [hook] }\n";
/// Open from 12:20 to 12:40; the scene begins at midnight in UTC plus some hours, on the hour.
const WINDOW: &str = "mute_windows:\n  maintenance: { match: { job: \"etl*\" }, schedule: \"20 * * * *\", for: 20m }\n";

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn of_job(pattern: &str) -> Concerns {
    Concerns { jobs: vec![pattern.into()], ..Concerns::default() }
}

async fn silence(scene: &Scene, concerns: Concerns, lasts: i64) -> SilenceId {
    let ends_at = scene.now() + minutes(lasts);
    let new = NewSilence { concerns, reason: "deploy of the warehouse".into(), by: "wang".into(), ends_at };
    scene.store.add_silence(&new, scene.now()).await.unwrap()
}

/// A run that failed a minute ago.
fn failed(scene: &Scene, job: &str, id: &str) -> nightbell::model::Instance {
    run(job, id, Status::Fail, scene.now() - minutes(5), Some(scene.now() - minutes(1)))
}

#[tokio::test]
async fn what_fails_and_recovers_while_silenced_is_never_told() {
    let mut scene = Scene::open(RULES).await;
    scene.poll().await;
    let id = silence(&scene, of_job("etl*"), 120).await;
    let (etl, other) = (failed(&scene, "etl", "1"), failed(&scene, "other", "2"));
    scene.show([etl.clone(), other.clone()]);
    let report = scene.poll().await;
    assert_eq!((report.fired, report.suppressed), (1, 1));
    assert_eq!(told(&scene.store).await, ["alert.firing other 2"]);
    scene.pass(minutes(10));
    scene.show([run("etl", "1", Status::Success, scene.now() - minutes(4), Some(scene.now())), other]);
    scene.poll().await;
    scene.pass(minutes(200));
    scene.poll().await;
    assert_eq!(told(&scene.store).await, ["alert.firing other 2"]);
    let alerts = scene.alerts().await;
    let alert = alerts.iter().find(|alert| alert.facts.job.name == "etl").unwrap();
    assert_eq!((alert.state(), &alert.suppressed_by), (AlertState::Resolved, &Some(Suppression::Silence(id))));
    assert_eq!(scene.store.silences().await.unwrap()[0].1, 1, "the silence tells what it has held back");
}

/// However it ends, and whether or not the program was started anew meanwhile.
#[tokio::test]
async fn what_still_fires_when_the_silence_ends_is_told_then_and_once() {
    for (is_expired, is_restarted) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut scene = Scene::open(RULES).await;
        scene.poll().await;
        let id = silence(&scene, of_job("etl"), 60).await;
        scene.show([failed(&scene, "etl", "1")]);
        scene.poll().await;
        scene.source.shown().asked.clear();
        scene.pass(minutes(59));
        scene.poll().await;
        assert!(told(&scene.store).await.is_empty());
        if is_restarted {
            scene.restart();
        }
        if is_expired {
            scene.store.expire_silence(id, "li", scene.now()).await.unwrap();
        } else {
            // The instant at which it ends does not belong to it.
            scene.pass(minutes(1));
        }
        let report = scene.poll().await;
        assert_eq!((report.fired, report.released), (0, 1));
        scene.poll().await;
        scene.restart();
        scene.poll().await;
        assert_eq!(told(&scene.store).await, ["alert.firing etl 1"], "{is_expired} {is_restarted}");
        let delivery = &scene.store.deliveries(1).await.unwrap()[0];
        let body: serde_json::Value = serde_json::from_str(delivery.content.part("body")).unwrap();
        let alert = &body["data"]["alert"];
        assert_eq!(
            alert["summary"],
            "etl failed after 4m 0s (held back until now by silence 1 of wang: deploy of the warehouse)"
        );
        let held_back = serde_json::json!({ "by": "silence:1", "who": "wang", "reason": "deploy of the warehouse",
            "until": delivery.created_at });
        assert_eq!(alert["held_back"], held_back);
        assert_eq!(body["data"]["node_details"], "ok", "its nodes are asked for when it is told");
        scene.show([run("etl", "1", Status::Success, scene.now(), Some(scene.now()))]);
        scene.poll().await;
        assert_eq!(told(&scene.store).await, ["alert.firing etl 1", "alert.resolved etl 1"]);
    }
}

/// Whoever was woken by it wants to know that it is over.
#[tokio::test]
async fn the_end_of_what_was_told_before_the_silence_is_told_in_it() {
    let mut scene = Scene::open(RULES).await;
    scene.show([failed(&scene, "etl", "1")]);
    scene.poll().await;
    silence(&scene, of_job("*"), 120).await;
    scene.pass(minutes(5));
    scene.show([run("etl", "1", Status::Success, scene.now() - minutes(2), Some(scene.now()))]);
    scene.poll().await;
    assert_eq!(told(&scene.store).await, ["alert.firing etl 1", "alert.resolved etl 1"]);
}

#[tokio::test]
async fn a_rerun_that_fails_again_in_the_silence_is_another_episode_and_is_not_told_either() {
    let mut scene = Scene::open(RULES).await;
    scene.poll().await;
    silence(&scene, of_job("etl"), 120).await;
    scene.show([failed(&scene, "etl", "1")]);
    scene.poll().await;
    scene.pass(minutes(30));
    scene.show([failed(&scene, "etl", "1")]);
    scene.poll().await;
    assert!(told(&scene.store).await.is_empty());
    scene.pass(minutes(90));
    scene.poll().await;
    assert_eq!(told(&scene.store).await, ["alert.firing etl 1"]);
    let alerts = scene.alerts().await;
    assert_eq!(alerts.iter().filter(|alert| alert.state() == AlertState::Firing).count(), 1);
    assert_eq!(alerts.len(), 2);
}

/// A deadline that was warned of passes while a silence holds, and another one takes over from that: it is told when
/// nothing mutes it any more. When it is over before, whoever was warned hears of that all the same.
#[tokio::test]
async fn overdue_while_silenced() {
    let rules = "  due: { match: { job: etl }, when: { not_finished_by: \"06:30\", warn_at: \"06:00\" }, \
                 severity: critical, notify: [hook] }\n";
    let at = |time: &str| -> jiff::Timestamp { format!("2026-11-21T{time}:00Z").parse().unwrap() };
    for (is_over, is_restarted) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut scene = Scene::open(rules).await;
        let run = |status, ended| run("etl", "1", status, at("02:00"), ended);
        scene.set(at("01:00"));
        scene.poll().await;
        scene.show([run(Status::Running, None)]);
        for time in ["02:30", "06:00"] {
            scene.set(at(time));
            scene.poll().await;
        }
        silence(&scene, of_job("etl"), 120).await;
        scene.set(at("06:31"));
        scene.poll().await;
        scene.set(at("07:00"));
        silence(&scene, of_job("etl"), 120).await;
        scene.set(at("08:00"));
        if is_restarted {
            scene.restart();
        }
        scene.poll().await;
        assert_eq!(told(&scene.store).await, ["alert.firing etl 1"], "the warning");
        let alert = scene.alerts().await.remove(0);
        assert_eq!(alert.suppressed_by, Some(Suppression::Silence(SilenceId(2))));
        if is_over {
            scene.show([run(Status::Success, Some(at("08:30")))]);
            scene.set(at("08:31"));
            scene.poll().await;
        }
        scene.set(at("09:00"));
        scene.poll().await;
        scene.restart();
        scene.poll().await;
        let expected = if is_over { "alert.resolved etl 1" } else { "alert.firing etl 1" };
        assert_eq!(told(&scene.store).await, ["alert.firing etl 1", expected]);
        let deliveries = scene.store.deliveries(9).await.unwrap();
        if is_over {
            let end = deliveries.iter().find(|one| one.follows.is_some()).unwrap();
            assert!(deliveries.iter().any(|one| Some(&one.id) == end.follows.as_ref()), "it follows what was told");
        } else {
            let summary = scene.alerts().await.remove(0).facts.alert.summary;
            assert!(summary.contains("has not finished by 06:30 (1m 0s late)"), "{summary}");
            assert!(
                summary.ends_with("(held back until now by silence 2 of wang: deploy of the warehouse)"),
                "{summary}"
            );
        }
    }
}

/// The silence ends while the window is open, and the window closes while it still fires.
#[tokio::test]
async fn a_mute_window_takes_over_from_a_silence() {
    let mut scene = Scene::open(&format!("{RULES}{WINDOW}")).await;
    scene.poll().await;
    silence(&scene, of_job("etl"), 30).await;
    scene.show([failed(&scene, "etl", "1"), failed(&scene, "other", "2")]);
    scene.poll().await;
    // minutes on the scene's clock, what suppresses the alert, how much was told
    let cases = [(25, Some("silence:1"), 1), (35, Some("mute-window:maintenance"), 1), (40, None, 2), (80, None, 2)];
    let begun = scene.now();
    for (minute, by, count) in cases {
        scene.pass((begun + minutes(minute)).duration_since(scene.now()));
        scene.poll().await;
        let alerts = scene.alerts().await;
        let alert = alerts.iter().find(|alert| alert.facts.job.name == "etl").unwrap();
        assert_eq!(alert.suppressed_by.as_ref().map(ToString::to_string).as_deref(), by, "{minute}");
        assert_eq!(told(&scene.store).await.len(), count, "{minute}");
    }
    let alerts = scene.alerts().await;
    let alert = alerts.iter().find(|alert| alert.facts.job.name == "etl").unwrap();
    let summary = &alert.facts.alert.summary;
    assert!(summary.ends_with("(held back until now by the mute window maintenance)"), "{summary}");
}

#[tokio::test]
async fn a_silence_concerns_what_meets_all_that_it_names() {
    let rules = format!("{RULES}  also: {{ when: {{ status: [fail] }}, severity: warning, notify: [hook] }}\n");
    // what is named, the alerts told of etl 1
    let by_rule = Concerns { rules: vec!["also".into()], ..Concerns::default() };
    let cases = [
        (of_job("etl"), 0),
        (of_job("/e.*/"), 0),
        (of_job("etl_*"), 2),
        (by_rule.clone(), 1),
        (Concerns { severities: vec![nightbell::model::Severity::Critical], ..by_rule }, 2),
        (Concerns { sources: vec!["warehouse".into()], ..Concerns::default() }, 0),
        (Concerns { sources: vec!["elsewhere".into()], ..of_job("etl") }, 2),
    ];
    for (concerns, count) in cases {
        let mut scene = Scene::open(&rules).await;
        scene.poll().await;
        silence(&scene, concerns.clone(), 60).await;
        scene.show([failed(&scene, "etl", "1")]);
        scene.poll().await;
        assert_eq!(told(&scene.store).await.len(), count, "{concerns}");
    }
}

/// A rule that is gone leaves nothing to tell, muted or not.
#[tokio::test]
async fn what_is_held_back_ends_with_its_rule() {
    let mut scene = Scene::open(RULES).await;
    scene.poll().await;
    silence(&scene, of_job("etl"), 10).await;
    scene.show([failed(&scene, "etl", "1")]);
    scene.poll().await;
    scene.restart_with("  other: { when: { status: [pause] }, notify: [hook] }\n");
    scene.pass(minutes(20));
    scene.poll().await;
    assert_eq!(scene.alerts().await[0].suspended_at, Some(scene.now()));
    scene.pass(minutes(10));
    scene.poll().await;
    assert!(told(&scene.store).await.is_empty());
    assert_eq!(scene.alerts().await[0].state(), AlertState::Resolved);
}
