//! The calls that an account may make in a day: how often that lets a source be polled, and how many are left.
//!
//! Pure: counts what it is told, by the hour, over the last 24 hours.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

const HOUR: i64 = 3600;
const HOURS: i64 = 24;
const MINUTES_OF_A_DAY: u32 = 24 * 60;

/// Minutes between two polls of so many calls each, so that they use up no more than a day's calls: one of an interval
/// that a crontab can say.
pub(super) fn minutes(per_poll: u32, calls_per_day: u32) -> u32 {
    let least = (MINUTES_OF_A_DAY * per_poll.max(1)).div_ceil(calls_per_day.max(1));
    let intervals = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720];
    intervals.into_iter().find(|interval| *interval >= least).unwrap_or(MINUTES_OF_A_DAY)
}

/// The crontab of an interval.
pub(super) fn crontab(minutes: u32) -> String {
    match minutes {
        0 | 1 => "* * * * *".to_string(),
        2..60 => format!("*/{minutes} * * * *"),
        60 => "0 * * * *".to_string(),
        61..MINUTES_OF_A_DAY => format!("0 */{} * * *", minutes / 60),
        _ => "0 0 * * *".to_string(),
    }
}

/// An interval in words.
pub(super) fn span(minutes: u32) -> String {
    match minutes {
        1 => "minute".to_string(),
        60 => "hour".to_string(),
        ..60 => format!("{minutes} minutes"),
        MINUTES_OF_A_DAY => "day".to_string(),
        _ => format!("{} hours", minutes / 60),
    }
}

/// Whether an alarm may be that late that somebody should know.
pub(super) fn is_coarse(minutes: u32) -> bool {
    minutes > 5
}

/// The calls of the last day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spent(BTreeMap<i64, u32>);

impl Spent {
    /// Counts one call at `now`.
    ///
    /// # Errors
    /// When no call is left: how long until there is one.
    pub(super) fn take(&mut self, now: Timestamp, calls_per_day: u32) -> Result<(), SignedDuration> {
        let hour = now.as_second().div_euclid(HOUR);
        self.0.retain(|at, _| *at > hour - HOURS && *at <= hour);
        if self.count() < calls_per_day {
            *self.0.entry(hour).or_default() += 1;
            return Ok(());
        }
        let oldest = self.0.keys().next().copied().unwrap_or(hour);
        Err(SignedDuration::from_secs((oldest + HOURS) * HOUR - now.as_second()))
    }

    /// How many there were.
    pub(super) fn count(&self) -> u32 {
        self.0.values().sum()
    }

    /// As a text to be taken along over a restart.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(hour, count)| format!("{hour}:{count}")).collect::<Vec<_>>().join(",")
    }

    /// What such a text says; nothing of what makes no sense.
    pub(super) fn parse(text: &str) -> Spent {
        let pair = |pair: &str| {
            let (hour, count) = pair.split_once(':')?;
            Some((hour.parse().ok()?, count.parse().ok()?))
        };
        Spent(text.split(',').filter_map(pair).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_uses_up_no_more_than_the_calls_of_a_day() {
        for (per_poll, calls, interval, crontab_text) in [
            (1, 100, 15, "*/15 * * * *"),
            (2, 100, 30, "*/30 * * * *"),
            (4, 100, 60, "0 * * * *"),
            (5, 100, 120, "0 */2 * * *"),
            (1, 100_000, 1, "* * * * *"),
            (1, 1, 1440, "0 0 * * *"),
            (3, 1, 1440, "0 0 * * *"),
        ] {
            let found = minutes(per_poll, calls);
            assert_eq!((found, crontab(found).as_str()), (interval, crontab_text), "{per_poll} of {calls}");
        }
        for calls in 1..2000 {
            let interval = minutes(1, calls);
            assert!(MINUTES_OF_A_DAY / interval <= calls, "{calls}: every {interval} minutes");
        }
    }

    #[test]
    fn no_more_calls_than_a_day_has_are_let_go() {
        let at = |minutes: i64| Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap();
        let mut spent = Spent::default();
        let granted = (0..48 * 60).filter(|minute| spent.take(at(*minute), 100).is_ok()).count();
        assert_eq!(granted, 200, "a hundred on each of two days");
        let wait = spent.take(at(48 * 60), 100);
        assert!(wait.is_ok() || wait.is_err_and(|wait| wait.is_positive() && wait.as_hours() < 24), "{wait:?}");
        assert_eq!(Spent::parse(&spent.text()), spent);
        assert_eq!(Spent::parse("nonsense,1:x,:2,"), Spent::default());
    }
}
