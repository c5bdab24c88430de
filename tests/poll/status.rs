//! What a poll loop says of itself.

use std::sync::Arc;

use nightbell::source::SourceErrorKind;
use nightbell::worker::turn::{Failing, Statuses};
use tokio_util::sync::CancellationToken;

use super::world::Scene;
use super::{FAILURES, minutes};
use crate::deliver::sink::until;

#[tokio::test]
async fn a_poll_loop_says_when_it_looked_what_is_due_and_that_it_panicked() {
    let scene = Scene::open(FAILURES).await;
    let (statuses, stop) = (Statuses::default(), CancellationToken::new());
    let nudge: Arc<tokio::sync::Notify> = Arc::default();
    let poller = scene.another_poller().publishing(&statuses).woken_by(Arc::clone(&nudge));
    let status = || statuses.get("poll/warehouse").unwrap_or_default();
    let due = || scene.settings().poll.next_after(scene.now());
    let running = tokio::spawn(poller.run(stop.clone()));
    until(|| status().next_due.is_some()).await;
    assert_eq!((status().looked_at, status().next_due, status().failing), (Some(scene.now()), due(), None));

    scene.pass(minutes(1));
    scene.source.shown().panics = true;
    nudge.notify_one();
    until(|| status().failing.is_some()).await;
    let error = "it panicked (this is a bug)".to_string();
    assert_eq!(status().failing, Some(Failing { since: scene.now(), error }));

    // Of a source that cannot be read there is an alert of its own: the loop works.
    scene.pass(minutes(1));
    scene.source.shown().panics = false;
    scene.fail_with(Some(SourceErrorKind::Transient));
    nudge.notify_one();
    until(|| status().failing.is_none()).await;
    assert_eq!((status().looked_at, status().next_due), (Some(scene.now()), due()));
    stop.cancel();
    running.await.unwrap();
    assert_eq!(statuses.get("poll/warehouse"), None, "a loop that has ended has no status");
}
