//! Keeping to a rate of requests: so many within a time.
//!
//! A service that counts by user and operation counts whichever source asks, so a pace can be shared by the whole process
//! ([`Pace::shared`]). Reads the monotonic clock and knows nothing of what is asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::lock::locked;
use crate::secret::Secret;

/// Lets so many requests pass within any span of a time.
#[derive(Debug)]
pub(in crate::source) struct Pace {
    most: usize,
    within: Duration,
    /// When the latest requests went out or will, the oldest first; never more than `most`.
    granted: Mutex<VecDeque<Instant>>,
}

/// A digest of who asks, what for, and what is allowed.
type Shared = ([u8; 32], &'static str, usize, Duration);

static PACES: LazyLock<Mutex<HashMap<Shared, Arc<Pace>>>> = LazyLock::new(Mutex::default);

impl Pace {
    /// At most `most` requests, at least one, within any span of `within`.
    pub(in crate::source) fn new(most: usize, within: Duration) -> Pace {
        Pace { most: most.max(1), within, granted: Mutex::default() }
    }

    /// So many requests in any second, which must be positive; of a rate below one, one in as many seconds as that takes.
    pub(in crate::source) fn per_second(rate: f64) -> Pace {
        let most = rate.floor().max(1.0);
        Pace::new(most as usize, Duration::try_from_secs_f64(most / rate).unwrap_or(Duration::ZERO))
    }

    /// The pace that everybody shares who asks as `owner`, of whom only a digest is kept, for this operation.
    pub(in crate::source) fn shared(
        owner: &Secret,
        operation: &'static str,
        most: usize,
        within: Duration,
    ) -> Arc<Pace> {
        let digest: [u8; 32] = Sha256::digest(owner.expose()).into();
        let new = || Arc::new(Pace::new(most, within));
        Arc::clone(locked(&PACES).entry((digest, operation, most, within)).or_insert_with(new))
    }

    /// Waits until one more request may go out.
    pub(in crate::source) async fn wait(&self) {
        let at = self.reserve(Instant::now());
        tokio::time::sleep_until(at).await;
    }

    /// Grants one request, and tells from when on it may go out.
    fn reserve(&self, now: Instant) -> Instant {
        let mut granted = locked(&self.granted);
        let oldest = (granted.len() >= self.most).then(|| granted.pop_front()).flatten();
        // Never before one that was granted earlier: callers pass in the order in which they came.
        let latest = granted.back().copied().unwrap_or(now);
        let at = oldest.map_or(now, |oldest| oldest + self.within).max(now).max(latest);
        granted.push_back(at);
        at
    }

    /// After the service refused a request: nobody asks again before `pause` is over.
    pub(in crate::source) fn hold(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut granted = locked(&self.granted);
        // Whoever is granted a request next is granted none before the latest one.
        if granted.back().is_none_or(|latest| *latest < until) {
            if granted.len() >= self.most {
                granted.pop_front();
            }
            granted.push_back(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_sees_more_requests_than_are_allowed() {
        let (pace, start) = (Pace::new(3, Duration::from_secs(60)), Instant::now());
        let after = |seconds: u64| (pace.reserve(start + Duration::from_secs(seconds)) - start).as_secs();
        let times: Vec<_> = [0, 10, 20, 20, 20, 20, 20, 200, 200].map(after).to_vec();
        assert_eq!(times, [0, 10, 20, 60, 70, 80, 120, 200, 200]);
        for (index, time) in times.iter().enumerate() {
            let within = times.iter().filter(|other| **other >= *time && **other < *time + 60).count();
            assert!(within <= 3, "{index}: {times:?}");
        }
    }

    #[test]
    fn a_rate_is_kept_above_and_below_one_a_second() {
        let start = Instant::now();
        let times = |pace: &Pace, at: Instant, count: usize| -> Vec<_> {
            (0..count).map(|_| (pace.reserve(at) - start).as_millis()).collect()
        };
        let pace = Pace::per_second(2.0);
        assert_eq!(times(&pace, start, 5), [0, 0, 1000, 1000, 2000]);
        assert_eq!(times(&pace, start + Duration::from_secs(60), 3), [60_000, 60_000, 61_000]);
        assert_eq!(times(&Pace::per_second(2.5), start, 4), [0, 0, 800, 800]);
        assert_eq!(times(&Pace::per_second(0.1), start, 3), [0, 10_000, 20_000]);
    }

    #[test]
    fn who_asks_as_the_same_shares_a_pace_and_others_do_not() {
        let (key, other) = (Secret::new("pace-test-one"), Secret::new("pace-test-two"));
        let of = |key, operation| Pace::shared(key, operation, 80, Duration::from_secs(60));
        assert!(Arc::ptr_eq(&of(&key, "ListJobs"), &of(&key, "ListJobs")));
        assert!(!Arc::ptr_eq(&of(&key, "ListJobs"), &of(&key, "GetLog")));
        assert!(!Arc::ptr_eq(&of(&key, "ListJobs"), &of(&other, "ListJobs")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_request_holds_everybody_up() {
        let (pace, start) = (Pace::new(80, Duration::from_secs(60)), Instant::now());
        pace.hold(Duration::from_secs(5));
        pace.wait().await;
        assert_eq!((Instant::now() - start).as_secs(), 5);
    }
}
