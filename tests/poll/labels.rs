//! Labels and routes, told by what people hear: who else is told, what a window of a team's holds back, and what the
//! body says.

use jiff::SignedDuration;
use nightbell::model::{Concerns, LabelMatch, Status};
use nightbell::store::{Desk as _, NewSilence};

use super::world::{Scene, bodies, run, told};

const RULES: &str = "  failed: { when: { status: [fail] }, severity: critical, labels: { team: finance }, notify: [mail] }\n  \
                     quiet: { when: { status: [fail] }, match: { job: \"other*\" }, severity: info }\n";

fn failed(scene: &Scene, job: &str, id: &str) -> nightbell::model::Instance {
    let minutes = SignedDuration::from_mins;
    run(job, id, Status::Fail, scene.now() - minutes(5), Some(scene.now() - minutes(1)))
}

async fn receivers(scene: &Scene) -> Vec<(String, Vec<String>)> {
    let of = |alert: nightbell::model::Alert| {
        (alert.rule.to_string(), alert.receivers.iter().map(ToString::to_string).collect())
    };
    let mut all: Vec<_> = scene.alerts().await.into_iter().map(of).collect();
    all.sort();
    all
}

#[tokio::test]
async fn routes_add_receivers_and_each_is_told_once() {
    let routes = "routes:\n  finance: { match: { labels: { team: finance } }, notify: [hook, mail] }\n  \
                  worst: { match: { severity: critical }, notify: hook }\n  \
                  hr: { match: { labels: { team: hr } }, notify: hook }\n";
    let mut scene = Scene::open(&format!("{RULES}{routes}")).await;
    scene.poll().await;
    scene.show([failed(&scene, "etl", "1"), failed(&scene, "other", "2")]);
    scene.poll().await;
    let both = vec!["mail".to_string(), "hook".to_string()];
    let expected =
        [("failed".to_string(), both.clone()), ("failed".to_string(), both), ("quiet".to_string(), Vec::new())];
    assert_eq!(receivers(&scene).await, expected);
    assert_eq!(told(&scene.store).await, ["alert.firing etl 1", "alert.firing other 2"]);
    let (_, body) = &bodies(&scene.store).await[0];
    assert_eq!(body["data"]["alert"]["labels"], serde_json::json!({ "team": "finance" }));
    scene.show([run("etl", "1", Status::Success, scene.now(), Some(scene.now()))]);
    scene.poll().await;
    assert_eq!(told(&scene.store).await.len(), 4, "who was told by a route hears of the end, and of one that is gone");
}

/// A window and a silence of a team's hold back that team's alerts alone; what is let go is told by its routes, too.
#[tokio::test]
async fn what_mutes_by_label_mutes_the_team_alone() {
    let windows = "routes:\n  all: { notify: hook }\nmute_windows:\n  \
                   finance: { match: { labels: { team: [hr, finance] } }, schedule: \"20 * * * *\", for: 20m }\n";
    let mut scene = Scene::open(&format!("{RULES}{windows}")).await;
    scene.poll().await;
    let labels = LabelMatch([("team".to_string(), vec!["finance".to_string()])].into());
    let concerns = Concerns { labels, ..Concerns::default() };
    let ends_at = scene.now() + SignedDuration::from_mins(50);
    let new = NewSilence { concerns, reason: "deploy".into(), by: "wang".into(), ends_at };
    scene.store.add_silence(&new, scene.now()).await.unwrap();
    scene.pass(SignedDuration::from_mins(25));
    scene.show([failed(&scene, "other", "1")]);
    scene.poll().await;
    assert_eq!(receivers(&scene).await, [("failed".into(), Vec::new()), ("quiet".into(), vec!["hook".to_string()])]);
    scene.pass(SignedDuration::from_mins(20));
    scene.poll().await;
    assert_eq!(told(&scene.store).await.len(), 1, "the window has closed and the silence has not");
    scene.pass(SignedDuration::from_mins(10));
    scene.poll().await;
    assert_eq!(receivers(&scene).await[0].1, ["mail", "hook"]);
}

/// An alert that an older version stored, and a silence of one, know of no labels.
#[test]
fn what_an_older_version_stored_has_no_labels() {
    let concerns: Concerns =
        serde_json::from_str("{\"sources\":[],\"jobs\":[\"a\"],\"rules\":[],\"severities\":[]}").unwrap();
    assert!(concerns.labels.is_empty());
    assert_eq!(
        serde_json::to_string(&concerns).unwrap(),
        "{\"sources\":[],\"jobs\":[\"a\"],\"rules\":[],\"severities\":[]}"
    );
}
