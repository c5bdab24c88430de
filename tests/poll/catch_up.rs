//! The source was out for three days and lists slowly: what it missed is read in slices, up to now.

use jiff::SignedDuration;
use nightbell::model::{Instance, Status};
use nightbell::store::PollLedger as _;
use nightbell::worker::poll::{PollError, PollReport};

use super::world::{Scene, run, told};

const OUT_FOR: i64 = 72;

/// How the polls after the outage are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One after the other, while a report says that there is more.
    OneByOne,
    /// All that there are at once.
    All,
    /// One after the other, and the program is started anew after each.
    WithRestarts,
}

/// A poll. One whose list did not come in time leaves the next a shorter one.
async fn poll(scene: &mut Scene, way: Way) -> Option<PollReport> {
    let outcome = if way == Way::All { scene.try_poll_all().await } else { scene.try_poll().await };
    match outcome {
        Ok(report) => Some(report),
        Err(PollError::Source { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// A day of the source takes eighteen minutes to list, and a listing may take fifteen.
#[tokio::test]
async fn after_three_days_without_the_source_all_is_read_in_slices_and_told_once() {
    for (way, lists_at_most) in [(Way::OneByOne, 11), (Way::All, 11), (Way::WithRestarts, 16)] {
        let mut scene = Scene::open("  failed: { when: { status: [fail] }, notify: [hook] }\n").await;
        scene.poll().await;
        let last = scene.now();
        scene.pass(SignedDuration::from_hours(OUT_FOR));
        let at = |hour: i64| last + SignedDuration::from_hours(hour);
        let failure = |hour: i64| run(&format!("job{hour}"), "1", Status::Fail, at(hour), Some(at(hour)));
        scene.show((1..OUT_FOR).map(failure).collect::<Vec<Instance>>());
        scene.slow_down(SignedDuration::from_secs(45));
        let before = scene.source.shown().lists;
        loop {
            let report = poll(&mut scene, way).await;
            let lists = scene.source.shown().lists - before;
            assert!(lists <= lists_at_most, "{way:?}: {lists} lists");
            if report.as_ref().is_some_and(|report| !report.is_behind) {
                break;
            }
            if way == Way::WithRestarts && report.is_some() {
                scene.restart();
            }
        }
        let covered = scene.store.load_source(&"warehouse".into()).await.unwrap().covered;
        assert!(covered.until.is_some_and(|until| until >= at(OUT_FOR)), "{way:?}: {covered:?}");
        assert_eq!(covered.caught_up, None, "{way:?}");
        let mut told = told(&scene.store).await;
        told.sort();
        let mut expected: Vec<String> = (1..OUT_FOR).map(|hour| format!("alert.firing job{hour} 1")).collect();
        expected.sort();
        assert_eq!(told, expected, "{way:?}");
    }
}
