//! What the program needs of its store as a whole: which configuration is in force, the proof of a write, the purge.

use std::collections::BTreeMap;
use std::future::Future;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::error::StoreError;
use crate::model::SourceId;

/// How many of the last runs of jobs are kept whatever their age, by source and job.
pub type KeptRuns = BTreeMap<SourceId, BTreeMap<String, usize>>;

/// Looking after the store.
pub trait Upkeep: Send + Sync {
    /// Counts a configuration that takes effect at `now`, and returns its number: one more than the one before it. When the
    /// program starts (`!is_reload`) with the `fingerprint` of the last one, that one goes on.
    fn begin_generation(
        &self,
        fingerprint: &str,
        is_reload: bool,
        now: Timestamp,
    ) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Proves that the store takes a write, and that the write will be there after a restart.
    fn beat(&self, now: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes what ended before `before`, in small transactions. Returns how many rows went. What the source can still
    /// list again, what is pending and what fires stays, however old it is, and so do the `kept` runs; a delivery stays as long
    /// as its alert. The runs that go are counted by job and day of `zone`.
    fn purge(
        &self,
        before: Timestamp,
        kept: &KeptRuns,
        zone: &TimeZone,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
