//! How many messages a destination may get now: a token bucket. Pure arithmetic; the instant is an argument.
//!
//! A minute's messages are spread: a burst goes at once, the rest one by one, so that no rolling minute has more than
//! allowed, retries counted. Where a burst has room for two, the last place of it is kept for what is critical: that
//! goes at once even while a queue is worked off.
//!
//! After a restart the bucket is filled with the attempts that the store remembers of the last minute, so that the
//! promise holds across it. Receivers that share a destination share its [`Budget`].

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::limits::RATE_MINUTE;
use crate::lock::locked;
use crate::model::Severity;
use crate::notify::{Rate, ReceiverSettings};

const SECOND: Duration = Duration::from_secs(1);

/// The messages that a destination may still get, as plain arithmetic.
#[derive(Debug, Clone)]
struct Bucket {
    rate: Rate,
    /// How long a place in the burst takes to become free again; none without a limit by the minute.
    interval: Option<Duration>,
    /// When the whole burst is free again.
    full_at: Timestamp,
    /// When the messages of the last second went.
    last_second: VecDeque<Timestamp>,
    /// The token of the lease by which it went by what the store remembers.
    begun_by: Option<i64>,
}

impl Bucket {
    fn new(rate: Rate) -> Bucket {
        // With b at once and one more each i, a span of w holds b + w/i of them, rounded down.
        let interval = rate.per_minute.map(|minute| {
            let spread = minute.saturating_sub(rate.burst) + 1;
            RATE_MINUTE / spread.max(1)
        });
        Bucket { rate, interval, full_at: Timestamp::MIN, last_second: VecDeque::new(), begun_by: None }
    }

    /// How many messages of this urgency may go at `now`.
    fn available(&self, now: Timestamp, severity: Option<Severity>) -> usize {
        let by_minute = self.interval.map_or(usize::MAX, |interval| {
            let free = places(self.rate.burst, interval, self.debt(now));
            free.saturating_sub(self.kept_back(severity))
        });
        let by_second = self.rate.per_second.map_or(usize::MAX, |most| {
            let gone = self.last_second.iter().filter(|at| is_within(**at, now, SECOND)).count();
            usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(gone)
        });
        by_minute.min(by_second)
    }

    /// The places in the burst that are for critical messages only.
    fn kept_back(&self, severity: Option<Severity>) -> usize {
        usize::from(severity != Some(Severity::Critical) && self.rate.burst > 1)
    }

    /// How long from `now` the whole burst is free again.
    fn debt(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.full_at.duration_since(now)).unwrap_or_default()
    }

    /// A debt that is larger than one can be comes from a wall clock that was set back: it begins anew as the largest.
    fn notice(&mut self, now: Timestamp) {
        let most = self.interval.unwrap_or_default() * self.rate.burst;
        self.full_at = self.full_at.min(later(now, most));
    }

    /// Counts a message that goes at `now`, whether it was allowed or not.
    fn count(&mut self, now: Timestamp) {
        if let Some(interval) = self.interval {
            self.full_at = later(now, self.debt(now) + interval);
        }
        if self.rate.per_second.is_some() {
            self.last_second.retain(|at| is_within(*at, now, SECOND));
            self.last_second.push_back(now);
        }
    }

    /// The first instant from `now` on at which a message of this urgency may go.
    fn free_at(&self, now: Timestamp, severity: Option<Severity>) -> Timestamp {
        let by_minute = self.interval.map_or(now, |interval| {
            let wanted = 1 + u32::from(self.kept_back(severity) > 0);
            let bearable = interval * self.rate.burst.saturating_sub(wanted);
            later(now, self.debt(now).saturating_sub(bearable))
        });
        let by_second = self.rate.per_second.map_or(now, |most| {
            let recent: Vec<Timestamp> =
                self.last_second.iter().copied().filter(|at| is_within(*at, now, SECOND)).collect();
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            recent.len().checked_sub(most).and_then(|index| recent.get(index)).map_or(now, |at| later(*at, SECOND))
        });
        by_minute.max(by_second)
    }
}

/// How many of `burst` places are free while `debt` is left, each of which takes `interval` to become so.
fn places(burst: u32, interval: Duration, debt: Duration) -> usize {
    let taken = debt.as_nanos().div_ceil(interval.as_nanos().max(1));
    usize::try_from(u128::from(burst).saturating_sub(taken)).unwrap_or(usize::MAX)
}

/// Whether `at` lies within `span` before `now`. What lies ahead comes from a wall clock that was set back.
fn is_within(at: Timestamp, now: Timestamp, span: Duration) -> bool {
    let ago = now.duration_since(at);
    ago >= SignedDuration::ZERO && ago.unsigned_abs() < span
}

fn later(instant: Timestamp, span: Duration) -> Timestamp {
    instant.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// How often each destination of these receivers may be told something: as the strictest of those says that lead there.
pub fn rates(receivers: &[ReceiverSettings]) -> HashMap<String, Rate> {
    let mut rates: HashMap<String, Rate> = HashMap::new();
    for receiver in receivers {
        let rate = rates.entry(receiver.channel.destination()).or_insert(receiver.rate);
        *rate = rate.stricter(receiver.rate);
    }
    rates
}

/// What a destination may be sent, shared by the lanes that lead to it.
#[derive(Debug, Clone)]
pub struct Budget {
    rate: Rate,
    bucket: Arc<Mutex<Bucket>>,
}

impl Budget {
    /// A budget of which nothing is used up.
    pub fn new(rate: Rate) -> Budget {
        Budget { rate, bucket: Arc::new(Mutex::new(Bucket::new(rate))) }
    }

    /// Goes by these attempts alone from now on, the earliest first: another process may have made them. Once for each lease,
    /// known by its `token`: what was sent under it since is counted here, and some of it is not on record yet.
    pub fn begin_anew(&self, token: i64, attempts: impl Iterator<Item = Timestamp>) {
        let mut bucket = locked(&self.bucket);
        if bucket.begun_by == Some(token) {
            return;
        }
        *bucket = Bucket { begun_by: Some(token), ..Bucket::new(self.rate) };
        for at in attempts.filter(|_| !self.is_unlimited()) {
            bucket.notice(at);
            bucket.count(at);
        }
    }

    /// A budget without a limit.
    pub fn unlimited() -> Budget {
        Budget::new(Rate::UNLIMITED)
    }

    /// Whether there is no limit.
    pub fn is_unlimited(&self) -> bool {
        self.rate.is_unlimited()
    }

    /// How long the channel is left alone when it says "too often" without naming a time.
    pub fn penalty(&self) -> Option<Duration> {
        Some(self.rate.penalty).filter(|penalty| !penalty.is_zero())
    }

    /// How many messages of this urgency may go at `now`.
    pub fn available(&self, now: Timestamp, severity: Option<Severity>) -> usize {
        if self.is_unlimited() { usize::MAX } else { self.bucket(now).available(now, severity) }
    }

    /// Takes the place of one message of this urgency that goes at `now`; false when there is none.
    pub fn take(&self, now: Timestamp, severity: Option<Severity>) -> bool {
        if self.is_unlimited() {
            return true;
        }
        let mut bucket = self.bucket(now);
        let allowed = bucket.available(now, severity) > 0;
        if allowed {
            bucket.count(now);
        }
        allowed
    }

    /// Counts a message that went earlier, before this process began.
    pub fn remember(&self, at: Timestamp) {
        if !self.is_unlimited() {
            self.bucket(at).count(at);
        }
    }

    /// The first instant from `now` on at which a message of this urgency may go.
    pub fn free_at(&self, now: Timestamp, severity: Option<Severity>) -> Timestamp {
        if self.is_unlimited() { now } else { self.bucket(now).free_at(now, severity) }
    }

    /// The bucket as it is at `now`. Arithmetic cannot be left half done: a poisoned bucket is as good as any.
    fn bucket(&self, now: Timestamp) -> MutexGuard<'_, Bucket> {
        let mut bucket = locked(&self.bucket);
        bucket.notice(now);
        bucket
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_795_219_200_000 + milliseconds).unwrap()
    }

    fn rate(per_second: Option<u32>, per_minute: Option<u32>, burst: u32) -> Rate {
        Rate { per_second, per_minute, burst, penalty: Duration::ZERO }
    }

    const LOW: Option<Severity> = Some(Severity::Warning);
    const CRITICAL: Option<Severity> = Some(Severity::Critical);

    #[test]
    fn a_burst_goes_at_once_and_its_last_place_is_for_what_is_critical() {
        let budget = Budget::new(crate::notify::KINDS[0].rate);
        assert_eq!((budget.available(at(0), LOW), budget.available(at(0), CRITICAL)), (4, 5));
        for _ in 0..4 {
            assert!(budget.take(at(0), LOW));
        }
        assert!(!budget.take(at(0), LOW) && !budget.take(at(0), None));
        assert!(budget.take(at(0), CRITICAL) && !budget.take(at(0), CRITICAL));
        let (low, critical) = (budget.free_at(at(0), LOW), budget.free_at(at(0), CRITICAL));
        assert_eq!((low, critical), (at(7687) + Duration::from_micros(500), at(3843) + Duration::from_micros(750)));
        let just_before = critical - Duration::from_nanos(1);
        assert_eq!((budget.available(just_before, CRITICAL), budget.available(critical, CRITICAL)), (0, 1));
        assert!(!budget.take(critical, LOW) && budget.take(low, LOW));
    }

    #[test]
    fn a_limit_of_one_a_minute_keeps_nothing_back() {
        let budget = Budget::new(rate(None, Some(1), 1));
        assert!(budget.take(at(0), LOW) && !budget.take(at(60_000), CRITICAL));
        assert!(budget.take(budget.free_at(at(1), LOW), LOW));
    }

    #[test]
    fn a_limit_by_the_second_counts_the_last_second() {
        let budget = Budget::new(rate(Some(2), None, 0));
        assert!(budget.take(at(0), LOW) && budget.take(at(400), LOW) && !budget.take(at(999), LOW));
        assert_eq!(budget.free_at(at(999), LOW), at(1000));
        assert!(budget.take(at(1000), LOW) && !budget.take(at(1399), LOW) && budget.take(at(1400), LOW));
    }

    #[test]
    fn a_clock_that_is_set_back_blocks_nobody_for_long() {
        let budget = Budget::new(rate(Some(5), Some(20), 5));
        while budget.take(at(86_400_000), CRITICAL) {}
        let free = budget.free_at(at(0), CRITICAL);
        assert!(free <= at(61_500) && budget.take(free, CRITICAL), "{free}");
    }

    #[test]
    fn what_went_before_a_restart_counts() {
        let budget = Budget::new(rate(None, Some(20), 5));
        for second in 0..3 {
            budget.remember(at(second * 1000));
        }
        assert_eq!(budget.available(at(2500), CRITICAL), 2);
    }

    /// Receivers of one destination take it over one after the other, each with what the store remembers.
    #[test]
    fn what_was_sent_under_a_lease_is_forgotten_by_no_other_receiver_that_takes_over_by_it() {
        let budget = Budget::new(rate(None, Some(20), 5));
        budget.begin_anew(7, [at(0)].into_iter());
        for _ in 0..3 {
            assert!(budget.take(at(100), CRITICAL));
        }
        budget.begin_anew(7, [at(0)].into_iter());
        assert_eq!(budget.available(at(200), CRITICAL), 1, "three are under way, and not on record yet");
        budget.begin_anew(8, [at(0), at(100)].into_iter());
        assert_eq!(budget.available(at(200), CRITICAL), 3, "another process had it meanwhile");
    }

    proptest! {
        /// However they come, no minute and no second has more than allowed, and whoever waits until it is free may go.
        #[test]
        fn no_rolling_span_has_too_many(
            per_second in proptest::option::of(1_u32..8),
            per_minute in 1_u32..60,
            part in 0_u32..100,
            steps in proptest::collection::vec((0_i64..4000, any::<bool>(), any::<bool>()), 1..400),
        ) {
            let burst = (per_minute * part / 100).max(1);
            let budget = Budget::new(rate(per_second, Some(per_minute), burst));
            let (mut now, mut sent) = (at(0), Vec::new());
            for (pause, is_critical, waits) in steps {
                let severity = if is_critical { CRITICAL } else { LOW };
                now += Duration::from_millis(pause.unsigned_abs());
                if waits {
                    now = now.max(budget.free_at(now, severity));
                    prop_assert!(budget.available(now, severity) > 0);
                }
                if budget.take(now, severity) {
                    sent.push(now);
                } else {
                    prop_assert!(!waits && budget.free_at(now, severity) > now);
                }
            }
            for (index, first) in sent.iter().enumerate() {
                let within = |span| sent[index..].iter().filter(|at| at.duration_since(*first).unsigned_abs() <= span).count();
                prop_assert!(within(Duration::from_secs(60)) <= per_minute as usize);
                if let Some(per_second) = per_second {
                    prop_assert!(within(Duration::from_millis(999)) <= per_second as usize);
                }
            }
        }
    }
}
