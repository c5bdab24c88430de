//! Keeping within the calls that the service bears in a minute.
//!
//! The service counts by user and operation, whichever source asks, so the counts are kept for the whole process: one
//! for each access key (of which only a digest is kept) and operation. Reads the monotonic clock and knows nothing of
//! what is asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::secret::Secret;

const MINUTE: Duration = Duration::from_secs(60);

/// Calls of one operation by one key.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the latest calls went out or will, oldest first; never more than are allowed in a minute.
    granted: Mutex<VecDeque<Instant>>,
}

/// A digest of the access key, and the operation.
type Caller = ([u8; 32], &'static str);

static PACES: LazyLock<Mutex<HashMap<Caller, Arc<Pace>>>> = LazyLock::new(Mutex::default);

impl Pace {
    /// The pace that all sources of this key share for this operation.
    pub(super) fn shared(access_key: &Secret, operation: &'static str) -> Arc<Pace> {
        let digest: [u8; 32] = Sha256::digest(access_key.expose()).into();
        let mut paces = PACES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Arc::clone(paces.entry((digest, operation)).or_default())
    }

    /// Waits until one more call may go out where `per_minute` are allowed.
    pub(super) async fn wait(&self, per_minute: usize) {
        let at = self.reserve(Instant::now(), per_minute);
        tokio::time::sleep_until(at).await;
    }

    /// Grants one call, and tells from when on it may go out.
    fn reserve(&self, now: Instant, per_minute: usize) -> Instant {
        let mut granted = self.granted.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while granted.len() > per_minute.max(1) {
            granted.pop_front();
        }
        let oldest = (granted.len() == per_minute.max(1)).then(|| granted.pop_front()).flatten();
        // Never before a call that was granted earlier: callers pass in the order in which they came.
        let latest = granted.back().copied().unwrap_or(now);
        let at = oldest.map_or(now, |oldest| oldest + MINUTE).max(now).max(latest);
        granted.push_back(at);
        at
    }

    /// After the service refused a call: nobody calls again before `pause` is over.
    pub(super) fn hold(&self, pause: Duration, per_minute: usize) {
        let until = Instant::now() + pause;
        let mut granted = self.granted.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Whoever is granted a call next is granted none before the latest one.
        if granted.back().is_none_or(|latest| *latest < until) {
            if granted.len() >= per_minute.max(1) {
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
    fn no_minute_sees_more_calls_than_are_allowed() {
        let (pace, start) = (Pace::default(), Instant::now());
        let after = |seconds: u64| (pace.reserve(start + Duration::from_secs(seconds), 3) - start).as_secs();
        let times: Vec<_> = [0, 10, 20, 20, 20, 20, 20, 200, 200].map(after).to_vec();
        assert_eq!(times, [0, 10, 20, 60, 70, 80, 120, 200, 200]);
        for (index, time) in times.iter().enumerate() {
            let within = times.iter().filter(|other| **other >= *time && **other < *time + 60).count();
            assert!(within <= 3, "{index}: {times:?}");
        }
    }

    #[test]
    fn sources_of_one_key_share_a_pace_and_others_do_not() {
        let (key, other) = (Secret::new("pace-test-one"), Secret::new("pace-test-two"));
        assert!(Arc::ptr_eq(&Pace::shared(&key, "ListJobs"), &Pace::shared(&key, "ListJobs")));
        assert!(!Arc::ptr_eq(&Pace::shared(&key, "ListJobs"), &Pace::shared(&key, "GetLog")));
        assert!(!Arc::ptr_eq(&Pace::shared(&key, "ListJobs"), &Pace::shared(&other, "ListJobs")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_call_holds_everybody_up() {
        let (pace, start) = (Pace::default(), Instant::now());
        pace.hold(Duration::from_secs(5), 80);
        pace.wait(80).await;
        assert_eq!((Instant::now() - start).as_secs(), 5);
    }
}
