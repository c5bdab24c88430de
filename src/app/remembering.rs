//! A receiver that remembers over a restart what its attempts have taught: that a password was refused, which the next run
//! must not try again at once.
//!
//! Stands between a lane and its notifier. It keeps what was learnt in the store, where what was learnt of sources is, under
//! a name that no source can have.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;

use crate::lock::locked;
use crate::model::{Attempt, Delivery, ReceiverId, SourceId};
use crate::notify::{AnyNotifier, Notifier};
use crate::store::{PollLedger as _, SqlStore, StoreError};

/// How long the store may take to keep what was learnt: the outcome of the attempt waits for it.
const KEEPING_TIME_MAX: Duration = Duration::from_secs(5);

/// The notifier of a receiver, and what the store knows of it.
pub(super) struct Remembering {
    notifier: Arc<AnyNotifier>,
    id: SourceId,
    store: Arc<SqlStore>,
    kept: Mutex<BTreeMap<String, String>>,
}

impl Remembering {
    /// A notifier of which the store knows what it has learnt so far.
    pub(super) fn new(notifier: Arc<AnyNotifier>, receiver: &ReceiverId, store: Arc<SqlStore>) -> Remembering {
        let kept = Mutex::new(notifier.learnt());
        Remembering { notifier, id: key(receiver), store, kept }
    }

    /// Stores what was learnt by the way. Nothing but caution rests on it: when the store refuses, the attempt counts all
    /// the same.
    async fn keep_learnt(&self) {
        let (learnt, kept) = (self.notifier.learnt(), self.kept().clone());
        if kept == learnt {
            return;
        }
        let saving = self.store.save_learnt(&self.id, &kept, &learnt);
        match tokio::time::timeout(KEEPING_TIME_MAX, saving).await {
            Ok(Ok(())) => *self.kept() = learnt,
            Ok(Err(error)) => warn!(receiver = %self.id, "what was learnt of the receiver is not kept: {error}"),
            Err(_) => {
                warn!(receiver = %self.id, "what was learnt of the receiver is not kept: the store takes too long")
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        locked(&self.kept)
    }
}

impl Notifier for Remembering {
    async fn send(&self, delivery: &Delivery, now: Timestamp) -> Attempt {
        let attempt = self.notifier.send(delivery, now).await;
        self.keep_learnt().await;
        attempt
    }

    fn concurrency(&self) -> usize {
        self.notifier.concurrency()
    }

    fn patience(&self) -> Duration {
        self.notifier.patience()
    }
}

/// Hands a receiver that was just opened what was learnt of it before.
pub(super) async fn teach(notifier: &AnyNotifier, id: &ReceiverId, store: &SqlStore) -> Result<(), StoreError> {
    notifier.learn(&store.load_learnt(&key(id)).await?);
    Ok(())
}

/// By what name the store knows it: sources have no slash in theirs.
fn key(receiver: &ReceiverId) -> SourceId {
    SourceId::new(format!("receiver/{receiver}"))
}
