//! Housekeeping: removes from the store what is older than the retention, at the start and then hourly.
//!
//! It reads the clock and writes the store. What may be removed is the store's own affair.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::limits::{PURGE_INTERVAL, RETENTION};
use crate::store::{StoreError, Upkeep};

/// Purges until `shutdown`. A store that fails is asked again at the next turn.
pub async fn run<S: Upkeep>(store: Arc<S>, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
    loop {
        match purge(&*store, clock.now()).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "removed what is older than the retention"),
            Err(error) => tracing::error!(%error, "cannot remove what is older than the retention"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PURGE_INTERVAL) => {}
        }
    }
}

/// Removes what ended longer ago than the retention. Returns how many rows went.
///
/// # Errors
/// When the store fails; what was removed until then stays removed.
pub async fn purge<S: Upkeep>(store: &S, now: Timestamp) -> Result<u64, StoreError> {
    store.purge(now.checked_sub(RETENTION).unwrap_or(Timestamp::MIN)).await
}
