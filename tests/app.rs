//! The wired program in process: what no test from outside can bring about.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use nightbell::app::{App, AppError};
use nightbell::clock::{Clock, ManualClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{AlertState, Status};
use nightbell::store::{Archive as _, PollLedger as _};
use tokio_util::sync::CancellationToken;

use super::sample::{Place, alert, at, commit, instance, resolved};

/// A configuration whose source and receiver nobody listens for.
fn configuration(place: &Place) -> Config {
    let text = format!(
        "version: 1\nstore: {}\nsources:\n  s: {{ type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, \
         auth: {{ token: t }} }}\nreceivers:\n  hook: {{ type: webhook, url: \"http://127.0.0.1:9/\" }}\n\
         rules:\n  failed: {{ when: {{ status: [fail] }}, notify: [hook] }}\n",
        place.url()
    );
    Config::from_text(text, "rules.yaml", Path::new("."), &LoadOptions { offline: true }).unwrap().config
}

/// A clock that breaks down when it is told to, and whoever reads it from then on with it.
struct Breakable(AtomicBool);

impl Clock for Breakable {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "the clock broke down (as this test wants)");
        at(0)
    }
}

/// A loop that panics must not leave a program that looks alive and polls or tells no more. On a server it is whoever keeps the
/// leases who reads the clock first: without that every other loop would wait for ever.
#[tokio::test]
async fn a_loop_that_breaks_down_ends_the_program_with_an_error() {
    let place = Place::new();
    let clock = Arc::new(Breakable(AtomicBool::new(false)));
    let app = App::open(&configuration(&place), clock.clone()).await.unwrap();
    clock.0.store(true, Ordering::SeqCst);
    let outcome = tokio::time::timeout(Duration::from_secs(60), app.run(CancellationToken::new())).await;
    assert!(matches!(outcome, Ok(Err(AppError::LoopEnded))), "{outcome:?}");
}

/// Who has a crontab call `run --once` has no housekeeping loop.
#[tokio::test]
async fn a_single_cycle_removes_what_is_older_than_the_retention() {
    let place = Place::new();
    let day = 24 * 3600;
    let store = place.open().await;
    let mut old = commit(0);
    old.now = at(-40 * day);
    let mut failed = instance("gone", "7", Status::Fail);
    failed.plan_time = Some(at(-41 * day));
    old.instances = vec![failed];
    old.fired = vec![resolved(alert("a-gone", "gone"), at(-39 * day))];
    assert_eq!(old.fired[0].state(), AlertState::Resolved);
    store.commit_poll(&old).await.unwrap();
    store.commit_poll(&commit(1)).await.unwrap();
    assert_eq!(store.alerts(10).await.unwrap().len(), 1);
    store.close().await;
    drop(store);

    place.hold_clock(at(0));
    let app = App::open(&configuration(&place), Arc::new(ManualClock::at(at(0)))).await.unwrap();
    let report = app.run_once().await.unwrap();
    assert!(!report.is_clean(), "nobody listens: {report}");
    assert!(place.open().await.alerts(10).await.unwrap().is_empty());
}
