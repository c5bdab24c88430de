//! Attempts under way, and how each of them ended: also one whose task was lost.
//!
//! Talks to a notifier, in one task for each attempt, and knows nothing of the store. Each attempt that was begun ends here
//! exactly once, so that no claim outlives its attempt. None goes on, and none sends anything, once the lease of its lane is
//! no longer to be trusted.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::task::{Id, JoinSet};

use super::super::trust::Trust;
use crate::clock::Clock;
use crate::limits::ATTEMPT_SLACK;
use crate::model::{Attempt, AttemptOutcome, Delivery};
use crate::notify::Notifier;

/// What the log says of an attempt that was cut.
const CUT: &str = "no answer before this replica had to leave the receiver to another one";

/// What the log says of one that was under way when the lease was lost.
const LOST: &str = "the lease was lost before there was an answer: another replica may have gone on";

/// An attempt that has ended.
pub(super) struct Finished {
    pub(super) delivery: Arc<Delivery>,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Timestamp,
    pub(super) attempt: Attempt,
}

/// The attempts of one lane.
pub(super) struct Attempts<N> {
    notifier: Arc<N>,
    clock: Arc<dyn Clock>,
    trust: Trust,
    tasks: JoinSet<(Attempt, Timestamp)>,
    begun: HashMap<Id, (Arc<Delivery>, Timestamp)>,
    is_cut: bool,
}

impl<N: Notifier + 'static> Attempts<N> {
    pub(super) fn new(notifier: Arc<N>, clock: Arc<dyn Clock>, trust: Trust) -> Self {
        Attempts { notifier, clock, trust, tasks: JoinSet::new(), begun: HashMap::new(), is_cut: false }
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Begins an attempt.
    pub(super) fn begin(&mut self, delivery: Delivery, now: Timestamp) {
        let (notifier, clock, delivery) = (Arc::clone(&self.notifier), Arc::clone(&self.clock), Arc::new(delivery));
        let task = attempt(notifier, clock, self.trust.clone(), Arc::clone(&delivery), now);
        self.begun.insert(self.tasks.spawn(task).id(), (delivery, now));
    }

    /// Cuts every attempt under way: each ends at once, and what became of it is not known.
    pub(super) fn cut(&mut self) {
        self.is_cut = true;
        self.tasks.abort_all();
    }

    /// The next attempt that ends; none where none is under way. Dropped before that, it has missed nothing.
    pub(super) async fn next(&mut self) -> Option<Finished> {
        loop {
            let (id, (attempt, ended_at)) = match self.tasks.join_next_with_id().await? {
                Ok(ended) => ended,
                Err(error) if self.is_cut && error.is_cancelled() => {
                    let cut = Attempt::failed(AttemptOutcome::Uncertain, None, CUT);
                    (error.id(), (cut, self.clock.now()))
                }
                Err(error) => {
                    tracing::error!(%error, "an attempt was lost");
                    let lost = Attempt::failed(AttemptOutcome::Uncertain, None, "the attempt was lost (this is a bug)");
                    (error.id(), (lost, self.clock.now()))
                }
            };
            // Every task has its entry.
            let Some((delivery, started_at)) = self.begun.remove(&id) else { continue };
            // A clock that was set back must not make an attempt end before it began.
            return Some(Finished { delivery, started_at, ended_at: ended_at.max(started_at), attempt });
        }
    }
}

/// Makes one attempt. A notifier that panics or never returns has made a failed attempt.
async fn attempt<N: Notifier>(
    notifier: Arc<N>,
    clock: Arc<dyn Clock>,
    trust: Trust,
    delivery: Arc<Delivery>,
    started_at: Timestamp,
) -> (Attempt, Timestamp) {
    let send = AssertUnwindSafe(async { notifier.send(&delivery, started_at).await }).catch_unwind();
    let limit = notifier.patience() + ATTEMPT_SLACK;
    let attempt = match tokio::time::timeout(limit, trust.guard(send)).await {
        Ok(Some(Ok(attempt))) => attempt,
        Ok(None) => Attempt::failed(AttemptOutcome::Uncertain, None, LOST),
        Ok(Some(Err(_))) => Attempt::failed(AttemptOutcome::Uncertain, None, "the notifier broke down (this is a bug)"),
        Err(_) => Attempt::failed(
            AttemptOutcome::Uncertain,
            Some("timeout".into()),
            format!("no outcome within {} s", limit.as_secs()),
        ),
    };
    (attempt, clock.now())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::Instant;

    use super::*;
    use crate::clock::ManualClock;
    use crate::model::{Content, MessageKind, Notification};

    /// Never comes back.
    struct Silent;

    impl Notifier for Silent {
        async fn send(&self, _: &Delivery, _: Timestamp) -> Attempt {
            std::future::pending().await
        }

        fn concurrency(&self) -> usize {
            2
        }
    }

    /// Is ready to send when it is told so, and counts what it sends.
    #[derive(Default)]
    struct Ready {
        is_connected: Notify,
        sent: AtomicUsize,
    }

    impl Notifier for Ready {
        async fn send(&self, _: &Delivery, _: Timestamp) -> Attempt {
            self.is_connected.notified().await;
            self.sent.fetch_add(1, Ordering::Relaxed);
            Attempt::delivered("200")
        }

        fn concurrency(&self) -> usize {
            1
        }
    }

    fn owed(id: &str, now: Timestamp) -> Delivery {
        let content = Content::default();
        Delivery::pending(Notification::new(id.into(), "hook".into(), MessageKind::AlertFiring, content, now))
    }

    /// A process that was frozen finds what it waited for: it was another replica's meanwhile.
    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_was_not_sent_while_its_lease_was_trusted_is_not_sent() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for frozen in [Duration::from_secs(12), Duration::from_secs(13)] {
            let until = Instant::now() + Duration::from_secs(13);
            let trust = Trust::as_long_as(move || Instant::now() < until);
            let notifier = Arc::new(Ready::default());
            let mut attempts = Attempts::new(Arc::clone(&notifier), Arc::new(ManualClock::at(now)), trust);
            attempts.begin(owed("a", now), now);
            // It has begun, and waits for its connection.
            tokio::task::yield_now().await;
            tokio::time::advance(frozen).await;
            notifier.is_connected.notify_one();
            let ended = attempts.next().await.unwrap().attempt;
            let is_trusted = frozen < Duration::from_secs(13);
            assert_eq!(notifier.sent.load(Ordering::Relaxed), usize::from(is_trusted), "after {frozen:?}");
            let expected = if is_trusted { AttemptOutcome::Delivered } else { AttemptOutcome::Uncertain };
            assert_eq!(ended.outcome, expected, "{ended:?}");
        }
    }

    /// A task that is aborted ends like any other: its claim must not outlive it.
    #[tokio::test]
    async fn an_attempt_whose_task_is_aborted_has_ended_without_a_known_outcome() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut attempts = Attempts::new(Arc::new(Silent), Arc::new(ManualClock::at(now)), Trust::default());
        for id in ["a", "b"] {
            attempts.begin(owed(id, now), now);
        }
        attempts.tasks.abort_all();
        let mut ended = Vec::new();
        while let Some(finished) = attempts.next().await {
            assert_eq!(finished.attempt.outcome, AttemptOutcome::Uncertain);
            ended.push(finished.delivery.notification.id.to_string());
        }
        ended.sort();
        assert_eq!(ended, ["a", "b"]);
        assert!(attempts.is_empty() && attempts.begun.is_empty());
    }
}
