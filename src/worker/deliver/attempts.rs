//! Attempts under way, and how each of them ended: also one whose task was lost.
//!
//! Talks to a notifier, in one task for each attempt, and knows nothing of the store. Each attempt that was begun ends here
//! exactly once, so that no claim outlives its attempt.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::task::{Id, JoinSet};

use crate::clock::Clock;
use crate::limits::ATTEMPT_SLACK;
use crate::model::{Attempt, AttemptOutcome, Delivery};
use crate::notify::Notifier;

/// What the log says of an attempt that was cut.
const CUT: &str = "no answer before this replica had to leave the receiver to another one";

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
    tasks: JoinSet<(Attempt, Timestamp)>,
    begun: HashMap<Id, (Arc<Delivery>, Timestamp)>,
    is_cut: bool,
}

impl<N: Notifier + 'static> Attempts<N> {
    pub(super) fn new(notifier: Arc<N>, clock: Arc<dyn Clock>) -> Self {
        Attempts { notifier, clock, tasks: JoinSet::new(), begun: HashMap::new(), is_cut: false }
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
        let task = attempt(notifier, clock, Arc::clone(&delivery), now);
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
    delivery: Arc<Delivery>,
    started_at: Timestamp,
) -> (Attempt, Timestamp) {
    let send = AssertUnwindSafe(async { notifier.send(&delivery, started_at).await }).catch_unwind();
    let limit = notifier.patience() + ATTEMPT_SLACK;
    let attempt = match tokio::time::timeout(limit, send).await {
        Ok(Ok(attempt)) => attempt,
        Ok(Err(_)) => Attempt::failed(AttemptOutcome::Uncertain, None, "the notifier broke down (this is a bug)"),
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

    /// A task that is aborted ends like any other: its claim must not outlive it.
    #[tokio::test]
    async fn an_attempt_whose_task_is_aborted_has_ended_without_a_known_outcome() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut attempts = Attempts::new(Arc::new(Silent), Arc::new(ManualClock::at(now)));
        for id in ["a", "b"] {
            let content = Content::default();
            let one = Notification::new(id.into(), "hook".into(), MessageKind::AlertFiring, content, now);
            attempts.begin(Delivery::pending(one), now);
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
