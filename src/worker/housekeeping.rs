//! Housekeeping: removes from the store what is older than the retention, at the start and then hourly.
//!
//! It writes the store. What may be removed is the store's own affair.

use std::sync::Arc;

use jiff::Timestamp;

use super::turn::{Pace, Turn, TurnError, Turned};
use crate::limits::{PURGE_INTERVAL, RETENTION};
use crate::store::{StoreError, Upkeep};

/// The loop over a store.
pub struct Housekeeping<S>(pub Arc<S>);

impl<S: Upkeep> Turn for Housekeeping<S> {
    fn name(&self) -> &'static str {
        "housekeeping"
    }

    fn pace(&self) -> Pace {
        Pace::every(PURGE_INTERVAL)
    }

    async fn turn(&mut self, now: Timestamp) -> Result<Turned, TurnError> {
        let rows = purge(&*self.0, now).await?;
        if rows > 0 {
            tracing::info!(rows, "removed what is older than the retention");
        }
        Ok(Turned { done: rows, next_due: None })
    }
}

/// Removes what ended longer ago than the retention. Returns how many rows went.
///
/// # Errors
/// When the store fails; what was removed until then stays removed.
pub async fn purge<S: Upkeep>(store: &S, now: Timestamp) -> Result<u64, StoreError> {
    store.purge(now.checked_sub(RETENTION).unwrap_or(Timestamp::MIN)).await
}
