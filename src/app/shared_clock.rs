//! A clock that goes with that of the database, so that replicas agree about the time whatever their own clocks say.
//!
//! It is corrected by each look at the leases. It knows nothing else of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::store::{Leases as _, SqlStore, StoreError};

/// A clock that goes with the database's, so that replicas agree about the time whatever their own clocks say.
pub(super) struct SharedClock {
    own: Arc<dyn Clock>,
    ahead_ms: AtomicI64,
}

impl SharedClock {
    /// Beside the clock `own`; not corrected yet.
    pub(super) fn new(own: Arc<dyn Clock>) -> SharedClock {
        SharedClock { own, ahead_ms: AtomicI64::new(0) }
    }

    /// Sets it by the clock of the database.
    pub(super) async fn set_by(&self, store: &SqlStore) -> Result<(), StoreError> {
        let (asked, began) = (self.own(), Instant::now());
        let standing = store.look(None).await?;
        self.correct(standing.now, asked, began.elapsed());
        Ok(())
    }

    /// This machine's clock.
    pub(super) fn own(&self) -> Timestamp {
        self.own.now()
    }

    /// How far this machine's clock is ahead of the database's, in milliseconds.
    pub(super) fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    /// The database's clock said `there` to a question asked when this machine's said `asked`, and the answer took so long.
    pub(super) fn correct(&self, there: Timestamp, asked: Timestamp, took: Duration) {
        let middle = asked.checked_add(took / 2).unwrap_or(asked);
        let ahead = i64::try_from(middle.duration_since(there).as_millis()).unwrap_or(0);
        // What is less than an answer's time says nothing.
        let slack = i64::try_from(took.as_millis()).unwrap_or(i64::MAX) / 2 + 20;
        if (ahead - self.ahead_ms()).abs() > slack {
            self.ahead_ms.store(ahead, Ordering::Relaxed);
        }
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.ahead_ms());
        self.own.now().checked_sub(ahead).unwrap_or(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
    }

    #[test]
    fn an_hour_of_difference_is_taken_off_and_noise_is_not_followed() {
        const HOUR: i64 = 3_600_000;
        let clock = SharedClock::new(Arc::new(ManualClock::at(at(HOUR))));
        assert_eq!(clock.now(), at(HOUR), "not corrected yet");
        // Asked at its own hour; the answer took 40 ms, and the database looked at its clock in the middle of that.
        clock.correct(at(20), at(HOUR), Duration::from_millis(40));
        assert_eq!((clock.now(), clock.ahead_ms()), (at(0), HOUR));
        // An answer that was slow says little: the difference stays.
        clock.correct(at(0), at(HOUR), Duration::from_millis(900));
        assert_eq!(clock.ahead_ms(), HOUR);
        // Its own clock is set right.
        clock.correct(at(5_000), at(5_000), Duration::from_millis(2));
        assert!(clock.ahead_ms().abs() <= 2, "{}", clock.ahead_ms());
    }
}
