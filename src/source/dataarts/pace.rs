//! Keeping to a rate of requests.
//!
//! Holds the time up to which requests have been allowed, on the monotonic clock. Knows nothing of what is asked.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Lets so many requests pass in a second; after a pause, one second's worth at once.
#[derive(Debug)]
pub(super) struct Pace {
    /// Time that one request takes of the allowance.
    cost: Duration,
    /// How much allowance gathers while nothing is asked.
    burst: Duration,
    /// The instant up to which the allowance is spent.
    spent_until: Mutex<Option<Instant>>,
}

impl Pace {
    /// A pace of `per_second` requests, which must be positive.
    pub(super) fn new(per_second: f64) -> Pace {
        let cost = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::ZERO);
        Pace { cost, burst: Duration::from_secs(1).max(cost), spent_until: Mutex::new(None) }
    }

    /// Waits until one more request may go out.
    pub(super) async fn wait(&self) {
        let at = self.reserve(Instant::now());
        tokio::time::sleep_until(at).await;
    }

    /// Spends the allowance of one request, and tells from when on it may go out.
    fn reserve(&self, now: Instant) -> Instant {
        let mut spent_until = self.spent_until.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let spent = spent_until.map_or(now, |spent| spent.max(now)) + self.cost;
        *spent_until = Some(spent);
        spent.checked_sub(self.burst).map_or(now, |at| at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_goes_at_once_and_then_at_the_pace() {
        let (pace, start) = (Pace::new(2.0), Instant::now());
        let after = |now| (pace.reserve(now) - start).as_millis();
        let times: Vec<_> = (0..5).map(|_| after(start)).collect();
        assert_eq!(times, [0, 0, 500, 1000, 1500]);
        let later = start + Duration::from_secs(60);
        let times: Vec<_> = (0..3).map(|_| after(later)).collect();
        assert_eq!(times, [60_000, 60_000, 60_500]);
    }

    #[test]
    fn a_pace_below_one_a_second_holds_too() {
        let (pace, start) = (Pace::new(0.1), Instant::now());
        let times: Vec<_> = (0..3).map(|_| (pace.reserve(start) - start).as_secs()).collect();
        assert_eq!(times, [0, 10, 20]);
    }
}
