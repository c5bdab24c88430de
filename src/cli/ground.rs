//! What the commands share: how a list is asked for, how a command ends, how a duration is read.

use std::time::Duration;

use clap::Args;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::clock::{Clock as _, SystemClock};
use crate::config::ConfigProblem;
use crate::limits::HEARTBEAT_POLL_SLACK;
use crate::schedule::Schedule;
use crate::store::{Leases as _, SqlStore, StoreError};
use crate::yaml::parse_duration;

#[derive(Debug, Args)]
pub(super) struct Listing {
    /// One JSON object a line.
    #[arg(long)]
    pub(super) json: bool,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(super) limit: usize,
}

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Config = 78,
}

/// Why a command did not do its work.
pub(super) enum Failure {
    Config(Box<ConfigProblem>),
    /// The command line names what the configuration does not have.
    Usage(String),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Other(error.into())
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write it as 30s, 5m or 1h30m".to_string())
}

/// Whether a source that was polled then should have been polled again by now, and again after that: a poll takes its time.
pub(super) fn is_overdue(poll: &Schedule, polled_at: Timestamp, now: Timestamp) -> bool {
    let second = poll.next_after(polled_at).and_then(|next| poll.next_after(next));
    let slack = SignedDuration::try_from(HEARTBEAT_POLL_SLACK).unwrap_or_default();
    second.is_some_and(|second| second.checked_add(slack).is_ok_and(|latest| latest < now))
}

/// What time it is for whoever works on the store: the database's, where several machines do, for their own need not agree.
pub(super) async fn now_of(store: &SqlStore) -> Result<Timestamp, StoreError> {
    if store.is_shared() { Ok(store.look(None).await?.now) } else { Ok(SystemClock.now()) }
}

/// The instant that somebody means at `now`: so long ago, a day or a time in `zone`, or an instant with its own zone.
pub(super) fn instant(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Some(ago) = parse_duration(text) {
        return Ok(now.checked_sub(ago).unwrap_or(Timestamp::MIN));
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let there = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(|day| day.at(0, 0, 0, 0)));
    let at = there.and_then(|there| there.to_zoned(zone.clone()));
    at.map(|at| at.timestamp()).map_err(|_| {
        format!(
            "{text:?} is not a valid time: write 6h or 2d (ago), 2026-11-21, 2026-11-21T03:00 or 2026-11-21T03:00:00Z"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that was asked for the second time in vain is overdue; one whose poll takes a little is not.
    #[test]
    fn a_source_is_overdue_when_it_was_passed_over_twice() {
        let poll = Schedule::parse("*/5 * * * *", &TimeZone::UTC).unwrap();
        let at = |time: &str| format!("2026-11-21T{time}Z").parse::<Timestamp>().unwrap();
        for (now, expected) in [("03:00:05", false), ("03:07:00", false), ("03:10:01", false), ("03:30:00", true)] {
            assert_eq!(is_overdue(&poll, at("03:00:00"), at(now)), expected, "{now}");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let now: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        let table = [
            ("2026-11-21", "2026-11-20T16:00:00Z"),
            ("2026-11-21T03:00", "2026-11-20T19:00:00Z"),
            ("2026-11-21 03:00:07", "2026-11-20T19:00:07Z"),
            ("2026-11-21T03:00:00Z", "2026-11-21T03:00:00Z"),
            ("2026-11-21T03:00:00+01:00", "2026-11-21T02:00:00Z"),
        ];
        for (text, expected) in table {
            assert_eq!(instant(text, &zone, now).map(|at| at.to_string()), Ok(expected.to_string()), "{text}");
        }
        assert_eq!(instant("6h", &zone, now).map(|at| at.to_string()), Ok("2026-11-21T21:00:00Z".to_string()));
        for wrong in ["", "yesterday", "25:00", "2026-13-01"] {
            assert!(instant(wrong, &zone, now).is_err(), "{wrong}");
        }
    }
}
