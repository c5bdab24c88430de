//! How long a span of plan times is asked for at once: the source says it, and no other source's limit counts.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nightbell::model::Window;
use nightbell::worker::replay::fetched;

use super::FAILURES;
use super::world::Scene;

const HOUR: Duration = Duration::from_secs(3600);

/// A scene whose source takes one hour at a time.
async fn scene() -> Scene {
    let scene = Scene::open(FAILURES).await;
    scene.source.shown().span_max = Some(HOUR);
    scene
}

/// What the source was asked for since the last look, which is all of `from` to `to`, an hour at a time at most.
fn check(scene: &Scene, from: Timestamp, to: Timestamp) {
    let windows: Vec<Window> = std::mem::take(&mut scene.source.shown().windows);
    let longest = windows.iter().map(|window| window.to.duration_since(window.from).unsigned_abs()).max();
    assert_eq!(longest, Some(HOUR), "{windows:#?}");
    let mut reached = from;
    for window in &windows {
        let slack = SignedDuration::from_millis(1);
        assert!(window.from <= reached + slack, "nothing between {reached} and {}", window.from);
        reached = reached.max(window.to);
    }
    assert!(windows[0].from <= from && reached == to, "{windows:#?}");
}

#[tokio::test]
async fn a_poller_asks_for_no_longer_spans_than_the_source_takes() {
    let mut scene = scene().await;
    // The first look goes back as far as `lookback`, the second over an outage of three days.
    for away in [24, 72] {
        while scene.poll().await.is_behind {}
        check(&scene, scene.now() - SignedDuration::from_hours(away), scene.now());
        scene.pass(SignedDuration::from_hours(72));
    }
}

#[tokio::test]
async fn a_replay_asks_for_no_longer_spans_than_the_source_takes() {
    let scene = scene().await;
    let since = scene.now() - SignedDuration::from_hours(30);
    fetched(&scene.source, scene.settings(), since, scene.now()).await.unwrap();
    check(&scene, since, scene.now());
}
