//! Why the store cannot do what it should.

use crate::model::SourceId;
use crate::words::Saying;

/// Why the store cannot do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process has committed for the source in between: decide again.
    #[error("another process committed for source {0} in between")]
    Conflict(SourceId),
    /// A digest has moved on in between: it was made already.
    #[error("the digest {0} was made in between")]
    DigestMoved(String),
    /// Another process holds the store.
    #[error("{path} is in use by process {pid}: only one nightbell can work on a store file")]
    Held {
        /// The store file.
        path: String,
        /// The holder.
        pid: String,
    },
    /// The file is no store of ours, or of a newer version.
    #[error("{0}")]
    Unusable(String),
    /// The database cannot be reached just now.
    #[error("{0}")]
    Away(String),
    /// The server does not let us in, as the configuration has it.
    #[error("{0}")]
    Misconfigured(String),
    /// The disk or the database refused; nothing was acknowledged.
    #[error("the store failed: {0}")]
    Database(String),
    /// The lease is not held any more: another replica may run the loop. Nothing was written.
    #[error("the lease {0} is not held any more")]
    Fenced(String),
    /// The database gave this up because others were in its way, again and again; nothing of it is there.
    #[error("the store is too busy: {0}")]
    Contended(String),
    /// What this needs is locked by others, or the database is too slow, for longer than anything waits; nothing of it was done.
    #[error("the store is held up by others: {0}; pg_stat_activity shows by whom")]
    HeldUp(String),
    /// What was asked for is more than the store takes.
    #[error("{}", .0.in_english())]
    Refused(Saying),
    /// A stored row cannot be understood.
    #[error("a stored row cannot be understood: {0}")]
    Row(String),
}

impl StoreError {
    /// Whether it passes by itself: the same may well be done in a while, with nothing changed by anybody.
    pub fn passes(&self) -> bool {
        matches!(self, StoreError::Away(_) | StoreError::HeldUp(_) | StoreError::Contended(_))
    }
}
