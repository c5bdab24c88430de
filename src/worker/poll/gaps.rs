//! The times in which a source was not asked, or can no longer be: noted for the digests.

use std::time::Duration;

use jiff::Timestamp;

use super::poller::Poller;
use super::window;
use crate::limits::ONCE_SILENCE_MIN;
use crate::model::{Coverage, Covered, GapCause, GapPart, InstanceType, Part};
use crate::source::Source;
use crate::store::{Desk, PollLedger, StoreError};

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Records that the source was not asked when it should have been, if that is so: Nightbell was not running, or could
    /// not keep up. What happened then is read by the polls that follow.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_silence(&mut self) -> Result<(), StoreError> {
        self.note_silence_of(Duration::ZERO).await
    }

    /// The same for who is called to poll once, by a crontab of his own: that may call less often than the source's `poll`
    /// says, and each of its pauses would be a gap. So only a longer one than most such crontabs leave counts,
    /// [`ONCE_SILENCE_MIN`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_silence_between_calls(&mut self) -> Result<(), StoreError> {
        self.note_silence_of(ONCE_SILENCE_MIN).await
    }

    async fn note_silence_of(&mut self, at_least: Duration) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.refresh_memory().await?;
        let polled_at = self.memory.as_ref().and_then(|memory| memory.polled_at);
        let is_long = |from: &Timestamp| from.checked_add(at_least).is_ok_and(|least| least <= now);
        let is_silent = |from: &Timestamp| is_long(from) && window::is_silent(&self.settings.poll, *from, now);
        let Some(from) = polled_at.filter(is_silent) else { return Ok(()) };
        let reason = "not polled: nightbell was not running, or could not keep up".to_string();
        self.record_gap(GapCause::Silent, from, now, reason, now).await
    }

    /// Records which runs of a kind can no longer be read, where that kind alone could not be for longer than a listing
    /// reaches back: the cursor goes on without it. `covered` is what was covered before the listing.
    pub(super) async fn note_lost_kinds(
        &self,
        covered: &Covered,
        listing: &Coverage,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let until = listing.window.from;
        for unread in &listing.unread {
            let Part::Kind(kind) = unread.part else { continue };
            let Some(from) = covered.lost_sight_of(kind).filter(|from| *from < until) else { continue };
            let why = unread.reason.as_deref().unwrap_or("it could not be read");
            // A source that cannot say of which type they are says in the reason what was not read.
            let reason = match kind {
                InstanceType::Unknown => why.to_string(),
                kind => format!("runs of the type {} were not read: {why}", kind.as_str()),
            };
            self.record_gap(GapCause::Lost, from, until, reason, now).await?;
        }
        Ok(())
    }

    pub(super) async fn record_gap(
        &self,
        cause: GapCause,
        from: Timestamp,
        until: Timestamp,
        reason: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let gap = GapPart {
            source: self.settings.id.clone(),
            cause,
            from,
            until: Some(until),
            reason,
            runs: None,
            failed: None,
        };
        self.store.record_gap(&gap, now).await
    }
}
