//! When a digest is to be made, and how its receivers are spread over the seconds after that.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::limits::{DIGEST_AHEAD_MAX, DIGEST_MISSED_COUNTED_MAX};
use crate::schedule::Schedule;

/// A digest that is to be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DuePeriod {
    /// The latest due time that has come.
    pub at: Timestamp,
    /// How many due times before it were missed.
    pub missed: u64,
    /// The first of them.
    pub first_missed_at: Option<Timestamp>,
}

/// Whether a digest is due at `now` that was last made for the due time `handled`. All due times that were missed become
/// one.
///
/// A date is served once: after the clock was set back nothing is due before `handled` has passed again. Only a record
/// that is ahead by more than [`DIGEST_AHEAD_MAX`] is that of a clock that was plainly wrong, and counts for nothing: a
/// team must not wait ten years for its next mail.
pub fn due(schedule: &Schedule, handled: Timestamp, now: Timestamp) -> Option<DuePeriod> {
    let wrong_from = now.checked_add(DIGEST_AHEAD_MAX).unwrap_or(Timestamp::MAX);
    let handled = if handled > wrong_from { now.checked_sub(DIGEST_AHEAD_MAX).unwrap_or(now) } else { handled };
    let mut at = schedule.next_after(handled).filter(|at| *at <= now)?;
    let (first, mut missed) = (at, 0);
    while let Some(next) = schedule.next_after(at).filter(|next| *next <= now) {
        at = next;
        missed += 1;
        if missed == DIGEST_MISSED_COUNTED_MAX {
            // The last due time up to now, without counting on: it is where the next one starts from.
            at = now;
            break;
        }
    }
    Some(DuePeriod { at, missed, first_missed_at: (missed > 0).then_some(first) })
}

/// How long after a digest is made it goes out to one receiver: the same for the same receiver, different for others, so
/// that not everybody asks a chat's gateway at the full hour. Always below `spread`.
pub fn spread_of(receiver: &str, spread: Duration) -> Duration {
    let hash = Sha256::digest(receiver.as_bytes());
    let number = u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]);
    Duration::from_secs(number.checked_rem(spread.as_secs()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::SignedDuration;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn daily(zone: &str) -> Schedule {
        Schedule::parse("30 2 * * *", &TimeZone::get(zone).unwrap()).unwrap()
    }

    #[test]
    fn a_digest_is_due_once_and_missed_ones_become_one() {
        let schedule = daily("UTC");
        let made = at("2026-11-20T02:30:00Z");
        let one = |text: &str| Some(DuePeriod { at: at(text), missed: 0, first_missed_at: None });
        assert_eq!(due(&schedule, made, at("2026-11-21T02:29:59Z")), None);
        assert_eq!(due(&schedule, made, at("2026-11-21T02:30:00Z")), one("2026-11-21T02:30:00Z"));
        assert_eq!(due(&schedule, made, at("2026-11-21T20:00:00Z")), one("2026-11-21T02:30:00Z"));
        let three = due(&schedule, made, at("2026-11-23T20:00:00Z")).unwrap();
        assert_eq!((three.at, three.missed), (at("2026-11-23T02:30:00Z"), 2));
        assert_eq!(three.first_missed_at, Some(at("2026-11-21T02:30:00Z")));
        // The clock was set back over the due time, and comes to it again.
        assert_eq!(due(&schedule, made, at("2026-11-20T02:31:00Z")), None);
        assert_eq!(due(&schedule, made, at("2026-11-19T02:31:00Z")), None);
        // It had leapt ten years ahead, and was set right.
        let wrong = at("2036-11-20T02:30:00Z");
        assert_eq!(
            due(&schedule, wrong, at("2026-11-21T02:31:00Z")).map(|due| due.at),
            Some(at("2026-11-21T02:30:00Z"))
        );
    }

    #[test]
    fn years_of_missed_digests_are_counted_up_to_a_limit() {
        let schedule = Schedule::parse("* * * * * *", &TimeZone::UTC).unwrap();
        let now = at("2026-11-21T02:31:00Z");
        let due = due(&schedule, at("2024-11-21T02:31:00Z"), now).unwrap();
        assert_eq!((due.at, due.missed), (now, DIGEST_MISSED_COUNTED_MAX));
    }

    #[test]
    fn receivers_are_spread_each_at_its_own_place() {
        let minute = Duration::from_secs(60);
        let offsets: BTreeSet<Duration> = (0..20).map(|n| spread_of(&format!("team-{n}"), minute)).collect();
        assert!(offsets.len() > 10 && offsets.iter().all(|offset| *offset < minute), "{offsets:?}");
        assert_eq!(spread_of("team", minute), spread_of("team", minute));
        assert_eq!(spread_of("team", Duration::ZERO), Duration::ZERO);
    }

    proptest! {
            /// Through changes of the clocks and steps of up to a day and a half, forwards and backwards, no local date is
            /// served twice; and without steps none is left out.
            #[test]
            fn each_date_is_served_once(
                zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai"]),
                day in 0i64..400,
                looks in prop::collection::vec((1i64..200, -36i64..36, 0u8..8), 1..200),
                steps in any::<bool>(),
            ) {
                let schedule = daily(zone);
                let zone = TimeZone::get(zone).unwrap();
                let start = at("2026-01-01T00:00:00Z") + SignedDuration::from_hours(24 * day);
                let (mut now, mut handled) = (start, start);
                let mut served = BTreeSet::new();
                for (minutes, step, dice) in looks {
                    now += SignedDuration::from_mins(minutes);
                    if steps && dice == 0 {
                        now += SignedDuration::from_hours(step);
                    }
                    // The steps add up: a record further ahead than the limit belongs to another test.
    prop_assume!(handled.duration_since(now) < SignedDuration::from_hours(47));
                    if let Some(due) = due(&schedule, handled, now) {
                        let date = due.at.to_zoned(zone.clone()).date();
                        prop_assert!(served.insert(date), "{date} twice");
                        prop_assert!(steps || due.missed == 0);
                        handled = due.at;
                    }
                }
            }
        }
}
