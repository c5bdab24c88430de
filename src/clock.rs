//! The only place that reads the wall clock.
//!
//! Everything that decides takes `now` as an argument; the loops get a [`Clock`] and ask it. Tests hand in a
//! [`ManualClock`] and move it, so that days of retries run in milliseconds.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::lock::locked;

/// How far a clock may be set back without anything being taken for due before its time.
const STEP_SLACK: Duration = Duration::from_secs(60);

/// Where the loops read the time of day from.
pub trait Clock: Send + Sync {
    /// The present instant, to the millisecond: what is stored and what is compared have the same precision.
    fn now(&self) -> Timestamp;
}

/// Whether what is `stored` as the time at which something is due has come at `now`. A time further ahead than the
/// `longest` wait that is ever stored comes from a clock that was set back since, and is over: nothing may hang on it.
pub fn is_due(stored: Timestamp, now: Timestamp, longest: Duration) -> bool {
    stored <= now || stored > latest_due(now, longest)
}

/// The latest time at which something can be due that waits for `longest` at most: what [`is_due`] measures by, for
/// statements that compare many rows.
pub fn latest_due(now: Timestamp, longest: Duration) -> Timestamp {
    now.checked_add(longest + STEP_SLACK).unwrap_or(Timestamp::MAX)
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

/// A clock that shows another time than the machine's, for a simulated world that has its own time of day. It stands until
/// that world begins, however long the preparations take, and then goes as the machine's does; it is never set back.
#[derive(Debug, Clone)]
pub struct ShiftedClock(Arc<Mutex<Hands>>);

#[derive(Debug, Clone, Copy)]
enum Hands {
    Stand(Timestamp),
    /// Go with the machine's clock, and show so much more.
    Go(SignedDuration),
}

impl Hands {
    fn show(self) -> Timestamp {
        match self {
            Hands::Stand(instant) => instant,
            Hands::Go(ahead) => {
                let now = SystemClock.now();
                to_millisecond(now.checked_add(ahead).unwrap_or(now))
            }
        }
    }
}

impl ShiftedClock {
    /// A clock that stands at `instant`.
    pub fn standing_at(instant: Timestamp) -> Self {
        ShiftedClock(Arc::new(Mutex::new(Hands::Stand(to_millisecond(instant)))))
    }

    /// Lets the clock go from what it shows, and all its clones.
    pub fn go(&self) {
        let mut hands = locked(&self.0);
        *hands = Hands::Go(hands.show().duration_since(SystemClock.now()));
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        locked(&self.0).show()
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
        *locked(&self.0) = to_millisecond(now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *locked(&self.0)
    }
}

/// Cuts an instant to whole milliseconds, the precision of the store and of every scheduler.
pub fn to_millisecond(instant: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(instant.as_millisecond()).unwrap_or(instant)
}

/// The number of a day: days since 1970.
pub fn day_number(date: Date) -> i64 {
    i64::from(date.since(Date::constant(1970, 1, 1)).map_or(0, |span| span.get_days()))
}

/// The number of the day of an instant in a zone.
pub fn day_of(at: Timestamp, zone: &TimeZone) -> i64 {
    day_number(at.to_zoned(zone.clone()).date())
}

/// The minute of an instant, by its beginning.
pub fn minute_of(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second().div_euclid(60) * 60).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shifted_clock_stands_until_it_is_told_to_go_and_is_never_set_back() {
        let begins = Timestamp::from_second(1_800_000_000).unwrap();
        let clock = ShiftedClock::standing_at(begins);
        let other = clock.clone();
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_millis(5) {
            assert_eq!(clock.now(), begins);
        }
        clock.go();
        let gone = std::time::Instant::now();
        while gone.elapsed() < Duration::from_millis(20) {}
        assert!(other.now() > begins);
        let ahead = other.now().duration_since(begins);
        assert!(ahead < SignedDuration::try_from(began.elapsed()).unwrap() + SignedDuration::from_millis(2), "{ahead}");
        let before = clock.now();
        clock.go();
        assert!(clock.now() >= before);
    }

    #[test]
    fn a_time_further_ahead_than_the_longest_wait_is_over() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let hour = Duration::from_secs(3600);
        let slack = i64::try_from(STEP_SLACK.as_secs()).unwrap();
        let table = [(-1, true), (0, true), (1, false), (3600, false), (3600 + slack, false), (3601 + slack, true)];
        for (ahead, due) in table.into_iter().chain([(86_400, true)]) {
            assert_eq!(is_due(at(ahead), at(0), hour), due, "{ahead} s ahead");
        }
        assert!(!is_due(Timestamp::MAX, Timestamp::MAX - Duration::from_secs(5), Duration::MAX / 2));
    }
}
