//! The only place that reads the wall clock.
//!
//! Everything that decides takes `now` as an argument; the loops get a [`Clock`] and ask it. Tests hand in a
//! [`ManualClock`] and move it, so that days of retries run in milliseconds.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

/// Where the loops read the time of day from.
pub trait Clock: Send + Sync {
    /// The present instant, to the millisecond: what is stored and what is compared have the same precision.
    fn now(&self) -> Timestamp;
}

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may read the wall clock")]
    fn now(&self) -> Timestamp {
        to_millisecond(Timestamp::now())
    }
}

/// A clock that goes as the machine's does and shows another time: for a simulated world that has its own time of day.
#[derive(Debug, Clone)]
pub struct ShiftedClock(Arc<Mutex<SignedDuration>>);

impl ShiftedClock {
    /// A clock that shows `instant` now.
    pub fn showing(instant: Timestamp) -> Self {
        let clock = ShiftedClock(Arc::default());
        clock.show(instant);
        clock
    }

    /// Sets the clock, and all its clones.
    pub fn show(&self, instant: Timestamp) {
        let shift = instant.duration_since(SystemClock.now());
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = shift;
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        let shift = *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let now = SystemClock.now();
        to_millisecond(now.checked_add(shift).unwrap_or(now))
    }
}

/// A clock that moves only when it is told to.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        ManualClock(Arc::new(Mutex::new(to_millisecond(now))))
    }

    /// Moves the clock, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = to_millisecond(now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Cuts an instant to whole milliseconds, the precision of the store and of every scheduler.
pub fn to_millisecond(instant: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(instant.as_millisecond()).unwrap_or(instant)
}
