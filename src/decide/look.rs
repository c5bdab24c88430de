//! The circumstances of one look at a source, and from when on a first look tells.
//!
//! Pure. It must never know what is looked at.

use std::time::Duration;

use jiff::Timestamp;

use crate::limits::SOURCE_OVERLAP;
use crate::model::JobList;

/// The circumstances of one look at a source.
#[derive(Debug, Clone)]
pub struct Look {
    /// When it began.
    pub now: Timestamp,
    /// Whether the source is read up to now by it: a catch-up reads it in slices.
    pub is_last_slice: bool,
    /// The jobs there are, where a rule asks for them and they could be read.
    pub jobs: Option<JobList>,
    /// Whether the schedules of the jobs are known, where a rule goes by them.
    pub has_schedules: bool,
}

impl Look {
    /// A look that reads the source up to now.
    pub fn at(now: Timestamp) -> Look {
        Look { now, is_last_slice: true, jobs: None, has_schedules: true }
    }
}

/// From when on failures are told on a rule's first look at the source. What ended since the last complete poll is told
/// in any case: a rule that was edited during an outage has missed it like every other.
pub(super) fn told_from(now: Timestamp, first_poll: Duration, covered_until: Option<Timestamp>) -> Timestamp {
    let horizon = now.checked_sub(first_poll).unwrap_or(Timestamp::MIN);
    let missed = covered_until.and_then(|until| until.checked_sub(SOURCE_OVERLAP).ok());
    missed.map_or(horizon, |missed| missed.min(horizon))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    #[test]
    fn what_ended_since_the_last_complete_poll_is_told_by_a_rule_that_is_new() {
        let hour = Duration::from_secs(3600);
        let cases = [
            ("the first poll of all", None, at(540)),
            ("read a minute ago", Some(at(599)), at(540)),
            ("read six hours ago", Some(at(240)), at(230)),
            ("the clock was set back", Some(at(900)), at(540)),
        ];
        for (name, covered_until, expected) in cases {
            assert_eq!(told_from(at(600), hour, covered_until), expected, "{name}");
        }
    }
}
