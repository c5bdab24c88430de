//! The times in which a source was not asked, or can no longer be: noted for the digests.

use jiff::Timestamp;

use super::{Poller, window};
use crate::model::{GapCause, GapPart};
use crate::source::Source;
use crate::store::{Store, StoreError};

impl<C: Source, S: Store> Poller<C, S> {
    /// Records that the source was not asked when it should have been, if that is so: Nightbell was not running, or could
    /// not keep up. What happened then is read by the polls that follow.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_silence(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.refresh_memory().await?;
        let polled_at = self.memory.as_ref().and_then(|memory| memory.polled_at);
        let Some(from) = polled_at.filter(|from| window::is_silent(&self.settings.poll, *from, now)) else {
            return Ok(());
        };
        let reason = "nobody asked: nightbell was not running, or could not keep up".to_string();
        self.record_gap(GapCause::Silent, from, now, reason, now).await
    }

    pub(super) async fn record_gap(
        &self,
        cause: GapCause,
        from: Timestamp,
        until: Timestamp,
        reason: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let gap = GapPart { source: self.settings.id.clone(), cause, from, until: Some(until), reason };
        self.store.record_gap(&gap, now).await
    }
}
