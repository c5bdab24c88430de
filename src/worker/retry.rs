//! When a delivery is tried again, and when it is given up. Pure: the instant and the jitter are arguments.
//!
//! Attempts come at 0, 5 s, 30 s, 2 min, 10 min and 30 min, then hourly; each wait is stretched or shortened by up to a
//! fifth, so that the messages of one outage do not come back in one wave. A channel's own `Retry-After` is kept when
//! it asks for longer. A delivery is dead once 24 hours of such waits are through: what counts is the time in which it could
//! be attempted, so that a process that was stopped for days, or a clock that was set, costs none of it.

use std::time::Duration;

use jiff::Timestamp;

use crate::limits::{DELIVERY_PATIENCE, NOTIFY_SMTP_TIMEOUT, RETRY_AFTER_MAX};
use crate::model::{Attempt, AttemptOutcome, DeliveryState};

/// The waits after the first, second … attempt; after the last of them it is [`HOURLY`].
const WAITS: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(25),
    Duration::from_secs(90),
    Duration::from_secs(480),
    Duration::from_secs(1200),
];
/// The wait when all of [`WAITS`] are through, and while credentials are refused.
const HOURLY: Duration = Duration::from_secs(3600);
/// By what part of itself a wait is stretched or shortened at most.
const JITTER: f64 = 0.2;

/// What an attempt ends, of what a delivery may take.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// Attempts made, this one included.
    pub attempts: u32,
    /// Patience spent before it.
    pub spent: Duration,
    /// How long it took.
    pub took: Duration,
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The delivery's new state.
    pub state: DeliveryState,
    /// When it is tried again; none when it is not.
    pub next_attempt_at: Option<Timestamp>,
    /// The patience spent once that has come.
    pub patience_spent: Duration,
    /// What is wrong with the delivery; nothing when it arrived.
    pub last_error: Option<String>,
}

/// What follows from `attempt`, which ended at `now`. `jitter` is a random number from 0 up to 1.
pub fn verdict(tries: Tries, attempt: &Attempt, now: Timestamp, jitter: f64) -> Verdict {
    let spent = tries.spent + tries.took.min(NOTIFY_SMTP_TIMEOUT);
    let ended = |state, last_error| Verdict { state, next_attempt_at: None, patience_spent: spent, last_error };
    match attempt.outcome {
        AttemptOutcome::Delivered => return ended(DeliveryState::Delivered, None),
        AttemptOutcome::Rejected => return ended(DeliveryState::Dead, Some(reason(attempt))),
        AttemptOutcome::Retry
        | AttemptOutcome::Throttled
        | AttemptOutcome::Unauthorized
        | AttemptOutcome::Uncertain => {}
    }
    let wait = match attempt.outcome {
        AttemptOutcome::Unauthorized => HOURLY,
        _ => after(tries.attempts),
    };
    let wait = wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * jitter.clamp(0.0, 1.0));
    let wait = wait.max(attempt.retry_after.unwrap_or(Duration::ZERO).min(RETRY_AFTER_MAX));
    let patience_spent = spent + wait;
    if patience_spent > DELIVERY_PATIENCE {
        let (attempts, hours) = (tries.attempts, DELIVERY_PATIENCE.as_secs() / 3600);
        let reason = format!("given up after {attempts} attempts within {hours} h; the last: {}", reason(attempt));
        return ended(DeliveryState::Dead, Some(reason));
    }
    let next_attempt_at = Some(now.checked_add(wait).unwrap_or(Timestamp::MAX));
    Verdict { state: DeliveryState::Pending, next_attempt_at, patience_spent, last_error: Some(reason(attempt)) }
}

/// The unjittered wait after the `attempts`-th attempt.
fn after(attempts: u32) -> Duration {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    WAITS.get(index).copied().unwrap_or(HOURLY)
}

fn reason(attempt: &Attempt) -> String {
    match (&attempt.error, &attempt.status) {
        (Some(error), _) => error.clone(),
        (None, Some(status)) => format!("the channel answered {status}"),
        (None, None) => attempt.outcome.as_str().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MADE: i64 = 1_700_000_000_000;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    fn failed(outcome: AttemptOutcome) -> Attempt {
        Attempt::failed(outcome, Some("503".into()), "no luck")
    }

    fn tries(attempts: usize, spent: Duration) -> Tries {
        Tries { attempts: u32::try_from(attempts).unwrap(), spent, took: Duration::ZERO }
    }

    /// Seconds after the making at which the attempts of a delivery come that never gets through.
    fn attempts(outcome: AttemptOutcome, retry_after: Option<Duration>, jitter: f64) -> (Vec<i64>, Verdict) {
        let (mut now, mut seconds, mut spent) = (at(MADE), Vec::new(), Duration::ZERO);
        loop {
            seconds.push((now.as_millisecond() - MADE) / 1000);
            let attempt = Attempt { retry_after, ..failed(outcome) };
            let verdict = verdict(tries(seconds.len(), spent), &attempt, now, jitter);
            spent = verdict.patience_spent;
            match verdict.next_attempt_at {
                Some(next) => now = next,
                None => return (seconds, verdict),
            }
        }
    }

    #[test]
    fn the_schedule_is_the_one_that_is_promised() {
        let (seconds, end) = attempts(AttemptOutcome::Retry, None, 0.5);
        let mut promised = vec![0, 5, 30, 120, 600, 1800];
        promised.extend((1..=23).map(|hour| 1800 + hour * 3600));
        assert_eq!(seconds, promised);
        assert_eq!(end.state, DeliveryState::Dead);
        assert_eq!(end.last_error.unwrap(), "given up after 29 attempts within 24 h; the last: no luck");
    }

    #[test]
    fn an_uncertain_outcome_is_retried_like_a_failure() {
        assert_eq!(attempts(AttemptOutcome::Uncertain, None, 0.5).0, attempts(AttemptOutcome::Retry, None, 0.5).0,);
    }

    #[test]
    fn what_each_outcome_leads_to() {
        let hour = Duration::from_secs(3600);
        let seconds = Duration::from_secs;
        // outcome, attempts made, what the channel asked for, seconds until the next attempt
        let table = [
            (AttemptOutcome::Retry, 1, None, Some(5)),
            (AttemptOutcome::Retry, 1, Some(seconds(2)), Some(5)),
            (AttemptOutcome::Retry, 1, Some(seconds(7)), Some(7)),
            (AttemptOutcome::Throttled, 1, None, Some(5)),
            (AttemptOutcome::Throttled, 3, Some(seconds(600)), Some(600)),
            (AttemptOutcome::Throttled, 1, Some(hour * 1000), Some(3600)),
            (AttemptOutcome::Unauthorized, 1, None, Some(3600)),
            (AttemptOutcome::Unauthorized, 1, Some(seconds(1)), Some(3600)),
            (AttemptOutcome::Rejected, 1, Some(hour), None),
            (AttemptOutcome::Delivered, 9, None, None),
        ];
        for (outcome, made, retry_after, wait) in table {
            let attempt = Attempt { retry_after, ..failed(outcome) };
            let verdict = verdict(tries(made, Duration::ZERO), &attempt, at(MADE), 0.5);
            let next = verdict.next_attempt_at.map(|next| (next.as_millisecond() - MADE) / 1000);
            assert_eq!(next, wait, "{outcome:?} after {made}, asked for {retry_after:?}");
        }
    }

    #[test]
    fn a_rejection_is_the_end_and_says_why() {
        let verdict = verdict(tries(1, Duration::ZERO), &failed(AttemptOutcome::Rejected), at(MADE), 0.5);
        assert_eq!(verdict.state, DeliveryState::Dead);
        assert_eq!(verdict.last_error.as_deref(), Some("no luck"));
    }

    #[test]
    fn jitter_spreads_the_waits_evenly() {
        let mut buckets = [0_u32; 10];
        for step in 0..10_000_i64 {
            let verdict =
                verdict(tries(3, Duration::ZERO), &failed(AttemptOutcome::Retry), at(MADE), step as f64 / 10_000.0);
            let wait = verdict.next_attempt_at.unwrap().as_millisecond() - MADE;
            assert!((72_000..108_000).contains(&wait), "{wait} ms is not within a fifth of 90 s");
            buckets[usize::try_from((wait - 72_000) / 3_600).unwrap()] += 1;
        }
        assert!(buckets.iter().all(|count| (990..=1010).contains(count)), "{buckets:?}");
    }

    proptest! {
        #[test]
        fn no_attempt_is_early_and_every_delivery_ends(
            outcome in prop::sample::select(vec![
                AttemptOutcome::Retry, AttemptOutcome::Throttled, AttemptOutcome::Unauthorized, AttemptOutcome::Uncertain,
            ]),
            jitters in prop::collection::vec(0.0_f64..1.0, 64),
            asked in prop::collection::vec(prop::option::of(0_u64..1_000_000), 64),
            durations in prop::collection::vec(0_u64..90_000, 64),
            stops in prop::collection::vec(0_u64..1_000_000, 64),
        ) {
            let (mut now, mut made, mut spent) = (at(MADE), 0_usize, Duration::ZERO);
            loop {
                let retry_after = asked[made % 64].map(Duration::from_secs);
                let attempt = Attempt { retry_after, ..failed(outcome) };
                let took = Duration::from_millis(durations[made % 64]);
                let ended = now + took;
                made += 1;
                let verdict = verdict(Tries { took, ..tries(made, spent) }, &attempt, ended, jitters[made % 64]);
                spent = verdict.patience_spent;
                let Some(next) = verdict.next_attempt_at else {
                    prop_assert_eq!(verdict.state, DeliveryState::Dead);
                    break;
                };
                prop_assert_eq!(verdict.state, DeliveryState::Pending);
                let wait = next.as_millisecond() - ended.as_millisecond();
                let own = after(u32::try_from(made).unwrap()).as_millis() as i64;
                prop_assert!(wait >= own * 8 / 10 - 1, "{} ms after attempt {}", wait, made);
                if let Some(asked) = retry_after {
                    prop_assert!(wait >= (asked.min(RETRY_AFTER_MAX)).as_millis() as i64);
                }
                // Hours in which the process does not run cost nothing.
                prop_assert!(spent <= DELIVERY_PATIENCE);
                now = next + Duration::from_secs(stops[made % 64]);
            }
            prop_assert!(spent > DELIVERY_PATIENCE - 2 * HOURLY.max(RETRY_AFTER_MAX), "dead after {spent:?}");
            prop_assert!(made <= 64, "{} attempts", made);
        }
    }
}
