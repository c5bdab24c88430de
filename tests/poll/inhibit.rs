//! Inhibition, told by what people hear: of the alert upstream, and of what only follows from it once that is over.

use jiff::SignedDuration;
use nightbell::model::{Alert, AlertState, Concerns, Instance, Status, Suppression};
use nightbell::store::{Desk as _, NewSilence};

use super::world::{Scene, run, told};

const RULES: &str = "  failed: { when: { status: [fail] }, severity: critical, notify: [hook] }\n";
/// What loads the warehouse holds back what reads from it.
const LOAD: &str = "inhibit:\n  load: { by: { job: \"load_*\" }, match: { job: \"mart_*\" } }\n";

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A run that began some minutes ago and failed a minute ago.
fn failed(scene: &Scene, job: &str, id: &str, began: i64) -> Instance {
    run(job, id, Status::Fail, scene.now() - minutes(began), Some(scene.now() - minutes(1)))
}

fn well(scene: &Scene, job: &str, id: &str) -> Instance {
    run(job, id, Status::Success, scene.now() - minutes(1), Some(scene.now()))
}

async fn scene(inhibit: &str) -> Scene {
    let mut scene = Scene::open(&format!("{RULES}{inhibit}")).await;
    scene.poll().await;
    scene
}

async fn alert_of(scene: &Scene, job: &str) -> Alert {
    scene.alerts().await.into_iter().find(|alert| alert.facts.job.name == job).unwrap()
}

fn by(name: &str) -> Option<Suppression> {
    Some(Suppression::Inhibition(name.into()))
}

#[tokio::test]
async fn what_follows_from_a_told_alert_is_not_told_and_still_resolves() {
    let mut scene = scene(LOAD).await;
    let load = failed(&scene, "load_orders", "1", 5);
    scene.show([load.clone()]);
    scene.poll().await;
    scene.pass(minutes(5));
    let (mart, other) = (failed(&scene, "mart_sales", "2", 3), failed(&scene, "other", "3", 3));
    scene.show([load.clone(), mart, other.clone()]);
    let report = scene.poll().await;
    assert_eq!((report.fired, report.suppressed), (1, 1));
    assert_eq!(alert_of(&scene, "mart_sales").await.suppressed_by, by("load"));
    scene.pass(minutes(5));
    scene.show([load, well(&scene, "mart_sales", "2"), other]);
    scene.poll().await;
    scene.show([well(&scene, "load_orders", "1")]);
    scene.pass(minutes(5));
    scene.poll().await;
    scene.poll().await;
    let told = told(&scene.store).await;
    let gone = "alert.resolved other 3";
    assert_eq!(told, ["alert.firing load_orders 1", "alert.firing other 3", "alert.resolved load_orders 1", gone]);
    let mart = alert_of(&scene, "mart_sales").await;
    assert_eq!((mart.state(), mart.suppressed_by), (AlertState::Resolved, by("load")));
}

#[tokio::test]
async fn what_still_fires_when_the_alert_upstream_ends_is_told_then_and_once() {
    for restarts in [false, true] {
        let mut scene = scene(LOAD).await;
        let (load, mart) = (failed(&scene, "load_orders", "1", 5), failed(&scene, "mart_sales", "2", 3));
        scene.show([load.clone(), mart.clone()]);
        scene.poll().await;
        scene.pass(minutes(30));
        if restarts {
            scene.restart();
        }
        scene.poll().await;
        assert_eq!(told(&scene.store).await, ["alert.firing load_orders 1"]);
        scene.show([well(&scene, "load_orders", "1"), mart.clone()]);
        assert_eq!(scene.poll().await.released, 1);
        if restarts {
            scene.restart();
        }
        scene.pass(minutes(1));
        scene.poll().await;
        let told = told(&scene.store).await;
        assert_eq!(
            told,
            ["alert.firing load_orders 1", "alert.firing mart_sales 2", "alert.resolved load_orders 1"],
            "{restarts}"
        );
        let alert = alert_of(&scene, "mart_sales").await;
        let summary = &alert.facts.alert.summary;
        assert!(summary.ends_with("(held back until now by the inhibition load)"), "{summary}");
        assert_eq!(alert.facts.alert.held_back.unwrap().by, "inhibited:load");
        assert_eq!(alert.facts.node_details, "ok", "its nodes are asked for when it is told");
    }
}

/// The alert upstream counts whichever of the two failed first, and wherever the rules and jobs stand.
#[tokio::test]
async fn of_alerts_that_begin_together_the_one_upstream_is_told() {
    for (load, mart) in [(20, 3), (3, 20)] {
        let mut scene = scene(LOAD).await;
        scene.show([failed(&scene, "mart_sales", "2", mart), failed(&scene, "load_orders", "1", load)]);
        scene.poll().await;
        assert_eq!(told(&scene.store).await, ["alert.firing load_orders 1"]);
    }
}

/// The alert upstream ends in the poll in which the other begins: it holds back nothing any more.
#[tokio::test]
async fn what_begins_as_the_alert_upstream_ends_is_told() {
    let mut scene = scene(LOAD).await;
    scene.show([failed(&scene, "load_orders", "1", 5)]);
    scene.poll().await;
    scene.pass(minutes(5));
    let mart = failed(&scene, "mart_sales", "2", 3);
    scene.show([well(&scene, "load_orders", "1"), mart]);
    scene.poll().await;
    let expected = ["alert.firing load_orders 1", "alert.firing mart_sales 2", "alert.resolved load_orders 1"];
    assert_eq!(told(&scene.store).await, expected);
    assert_eq!(scene.alerts().await.len(), 2);
}

#[tokio::test]
async fn of_two_that_hold_back_each_other_the_earlier_is_told_and_of_a_circle_somebody_is() {
    let both =
        "inhibit:\n  one: { by: { job: a }, match: { job: b } }\n  other: { by: { job: b }, match: { job: a } }\n";
    let circle = "inhibit:\n  one: { by: { job: a }, match: { job: b } }\n  two: { by: { job: b }, match: { job: c } }\n  \
                  three: { by: { job: c }, match: { job: a } }\n";
    let itself = "inhibit:\n  any: { by: { job: \"?\" }, match: { job: \"?\" } }\n";
    let chain =
        "inhibit:\n  one: { by: { job: a }, match: { job: b } }\n  two: { by: { job: b }, match: { job: c } }\n";
    /// The inhibitions, jobs with minutes since they failed, who is told.
    type Case<'a> = (&'a str, &'a [(&'a str, i64)], &'a [&'a str]);
    let cases: [Case<'_>; 7] = [
        (both, &[("a", 9), ("b", 5)], &["a"]),
        (both, &[("a", 5), ("b", 9)], &["b"]),
        (circle, &[("a", 5), ("b", 9), ("c", 3)], &["a", "b"]),
        (itself, &[("a", 5), ("b", 9), ("c", 3)], &["b"]),
        (itself, &[("a", 5)], &["a"]),
        // What is held back itself holds back nothing.
        (chain, &[("a", 1), ("b", 5), ("c", 9)], &["a", "c"]),
        (chain, &[("b", 5), ("c", 9)], &["b"]),
    ];
    for (inhibit, jobs, expected) in cases {
        let mut scene = scene(inhibit).await;
        let now = scene.now();
        scene.show(
            jobs.iter().map(|(job, ago)| run(job, job, Status::Fail, now - minutes(30), Some(now - minutes(*ago)))),
        );
        scene.poll().await;
        let mut told = told(&scene.store).await;
        told.sort();
        let expected: Vec<String> = expected.iter().map(|job| format!("alert.firing {job} {job}")).collect();
        assert_eq!(told, expected, "{jobs:?}\n{inhibit}");
        // What was told stays told, and holds back what comes later, whatever that would hold back.
        scene.restart();
        scene.pass(minutes(1));
        scene.poll().await;
        assert_eq!(self::told(&scene.store).await.len(), expected.len(), "{inhibit}");
    }
}

/// A silence ends, and both of those that hold back each other are free to be told at once.
#[tokio::test]
async fn of_two_that_are_let_go_together_the_one_upstream_is_told() {
    let mut scene = scene(LOAD).await;
    let ends_at = scene.now() + minutes(30);
    let concerns = Concerns { jobs: vec!["*".into()], ..Concerns::default() };
    let new = NewSilence { concerns, reason: "deploy".into(), by: "wang".into(), ends_at };
    scene.store.add_silence(&new, scene.now()).await.unwrap();
    scene.show([failed(&scene, "mart_sales", "2", 9), failed(&scene, "load_orders", "1", 5)]);
    scene.poll().await;
    assert_eq!(alert_of(&scene, "mart_sales").await.suppressed_by.unwrap().to_string(), "silence:1");
    scene.pass(minutes(30));
    scene.poll().await;
    assert_eq!(told(&scene.store).await, ["alert.firing load_orders 1"]);
    assert_eq!(alert_of(&scene, "mart_sales").await.suppressed_by, by("load"));
}

/// An alert that nobody hears of takes no others with it. What its inhibition has held, a silence made later does not
/// claim for itself.
#[tokio::test]
async fn a_silenced_alert_holds_back_nothing() {
    let mut scene = scene(LOAD).await;
    let silence = |job: &str| NewSilence {
        concerns: Concerns { jobs: vec![job.into()], ..Concerns::default() },
        reason: "deploy".into(),
        by: "wang".into(),
        ends_at: scene.now() + minutes(60),
    };
    let (of_load, of_mart) = (silence("load_*"), silence("mart_*"));
    scene.store.add_silence(&of_load, scene.now()).await.unwrap();
    let load = failed(&scene, "load_orders", "1", 5);
    scene.show([load.clone(), failed(&scene, "mart_sales", "2", 3)]);
    scene.poll().await;
    assert_eq!(told(&scene.store).await, ["alert.firing mart_sales 2"]);
    scene.pass(minutes(60));
    let stock = failed(&scene, "mart_stock", "3", 3);
    scene.show([load.clone(), stock.clone()]);
    scene.poll().await;
    scene.store.add_silence(&NewSilence { ends_at: scene.now() + minutes(9), ..of_mart }, scene.now()).await.unwrap();
    scene.pass(minutes(1));
    scene.poll().await;
    scene.pass(minutes(1));
    scene.poll().await;
    assert_eq!(alert_of(&scene, "mart_stock").await.suppressed_by, by("load"), "it begins as the silence ends");
    scene.show([well(&scene, "load_orders", "1"), stock]);
    scene.poll().await;
    assert_eq!(alert_of(&scene, "mart_stock").await.suppressed_by.unwrap().to_string(), "silence:2");
}

#[tokio::test]
async fn both_must_share_what_the_inhibition_says() {
    let rules = |equal: &str| {
        format!(
            "  failed: {{ when: {{ status: [fail] }}, severity: critical, notify: [hook] }}\n  \
             slow: {{ when: {{ duration: 30m }}, severity: warning, notify: [hook] }}\n\
             inhibit:\n  worse: {{ by: {{ severity: critical }}, match: {{ severity: warning }}, equal: {equal} }}\n"
        )
    };
    // a and b failed and were slow; c is slow.
    for (equal, count) in [("[job]", 3), ("[source, job]", 3), ("[source]", 2), ("[severity]", 5), ("[rule]", 5)] {
        let mut scene = Scene::open(&rules(equal)).await;
        scene.poll().await;
        let now = scene.now();
        let long = |job: &str| run(job, job, Status::Fail, now - minutes(90), Some(now - minutes(2)));
        let other = run("c", "c", Status::Running, now - minutes(60), None);
        scene.show([long("a"), long("b"), other]);
        scene.poll().await;
        let told = told(&scene.store).await;
        assert_eq!(told.len(), count, "{equal}: {told:?}");
    }
}

#[tokio::test]
async fn an_alert_of_another_source_holds_back_and_lets_go() {
    let inhibit = "inhibit:\n  lake: { by: { source: lake }, match: { source: warehouse } }\n";
    let mut scene = scene(inhibit).await;
    let mut lake = scene.lake();
    lake.poll().await;
    let of_lake = |instance: Instance| Instance { source: "lake".into(), ..instance };
    lake.show([of_lake(failed(&scene, "ingest", "1", 5))]);
    lake.poll().await;
    scene.show([failed(&scene, "mart_sales", "2", 3)]);
    scene.poll().await;
    assert_eq!(alert_of(&scene, "mart_sales").await.suppressed_by, by("lake"));
    scene.pass(minutes(10));
    scene.restart();
    scene.poll().await;
    assert_eq!(told(&scene.store).await, ["alert.firing ingest 1"]);
    lake.show([of_lake(well(&scene, "ingest", "1"))]);
    lake.poll().await;
    scene.pass(minutes(1));
    scene.poll().await;
    let told = told(&scene.store).await;
    assert_eq!(told, ["alert.firing ingest 1", "alert.resolved ingest 1", "alert.firing mart_sales 2"]);
}

/// Nothing ends the alerts of a source that is no more.
#[tokio::test]
async fn an_alert_of_a_source_that_was_removed_holds_back_nothing() {
    let mut scene = scene("inhibit:\n  any: { by: { job: ingest }, match: { job: \"mart_*\" } }\n# lake\n").await;
    let mut lake = scene.lake();
    lake.poll().await;
    lake.show([Instance { source: "lake".into(), ..failed(&scene, "ingest", "1", 5) }]);
    lake.poll().await;
    scene.restart_with(&format!("{RULES}inhibit:\n  any: {{ by: {{ job: ingest }}, match: {{ job: \"mart_*\" }} }}\n"));
    scene.show([failed(&scene, "mart_sales", "2", 3)]);
    scene.poll().await;
    assert_eq!(alert_of(&scene, "mart_sales").await.suppressed_by, None);
}
