//! How far each digest has got, and what it sums up.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use super::error::StoreError;
use crate::digest::Tally;
use crate::model::{DigestFacts, Notification};

/// What digests read and move.
pub trait Digests: Send + Sync {
    /// How far a digest has got; none for one that was never begun.
    fn digest_cursor(&self, name: &str) -> impl Future<Output = Result<Option<DigestCursor>, StoreError>> + Send;

    /// Begins a digest that is not known: it will cover what is recorded from now on. Returns how far it has got.
    fn begin_digest(&self, name: &str, now: Timestamp)
    -> impl Future<Output = Result<DigestCursor, StoreError>> + Send;

    /// Puts everything that was recorded after `since` into the tally, with what is still open and still broken, by a
    /// bounded number of queries on one state of the store; the rows are not held. Returns the latest sequence, which
    /// everything up to now has and nothing later will have.
    fn tally(&self, since: Since, tally: &mut Tally) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Moves a digest on and adds its deliveries, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::DigestMoved`] when it is not where the commit takes it from; nothing was written.
    fn commit_digest(&self, commit: &DigestCommit) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// How far a digest has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestCursor {
    /// The last sequence that it has covered.
    pub sequence: i64,
    /// When it was last made.
    pub made_at: Timestamp,
    /// The due time that it was made for; at its beginning, when that was.
    pub due_at: Timestamp,
}

/// From where on a digest is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// After this sequence.
    Sequence(i64),
    /// This long before the latest sequence.
    Ago(Duration),
}

/// A digest that was made.
#[derive(Debug, Clone)]
pub struct DigestCommit {
    /// Its name.
    pub name: String,
    /// Where it stood when it was made.
    pub from: DigestCursor,
    /// Where it stands now.
    pub to: DigestCursor,
    /// What it says, which is kept beside each delivery.
    pub facts: DigestFacts,
    /// One for each receiver.
    pub deliveries: Vec<Notification>,
}
