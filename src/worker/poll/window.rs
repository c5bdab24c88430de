//! Which plan times a poll reads, and which instances it may forget.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::limits::{SOURCE_OVERLAP, SOURCE_WINDOW_MAX};
use crate::model::{InstanceKey, Window};
use crate::store::SourceMemory;

/// The window to read at `now`: the last `lookback`, and further back when the last complete poll is longer ago, at
/// most [`SOURCE_WINDOW_MAX`]. When that is not far enough, the second value names the gap.
pub(super) fn window(now: Timestamp, lookback: Duration, read_until: Option<Timestamp>) -> (Window, Option<String>) {
    let back = |span: Duration| now.checked_sub(span).unwrap_or(Timestamp::MIN);
    let oldest = back(SOURCE_WINDOW_MAX);
    let usual = back(lookback).max(oldest);
    let Some(read_until) = read_until else {
        return (Window { from: usual, to: now }, None);
    };
    // A cursor ahead of the clock (the clock was set back) tells nothing about what lies before it.
    let wanted = read_until.min(now).checked_sub(SOURCE_OVERLAP).unwrap_or(Timestamp::MIN);
    let gap = (wanted < oldest).then(|| {
        format!("instances planned between {wanted} and {oldest} were not read: the source was unreadable for too long")
    });
    (Window { from: usual.min(wanted).max(oldest), to: now }, gap)
}

/// Drops the snapshots of instances that are over, fire nothing, and are too old to be listed again.
pub(super) fn forget_old(memory: &mut SourceMemory, now: Timestamp) {
    let Ok(horizon) = now.checked_sub(SOURCE_WINDOW_MAX + SOURCE_OVERLAP) else { return };
    let firing: HashSet<InstanceKey> = memory
        .firing
        .iter()
        .map(|alert| InstanceKey { job: alert.facts.job.name.clone(), id: alert.facts.instance.id.clone() })
        .collect();
    memory.snapshots.retain(|key, snapshot| {
        !snapshot.status.has_ended()
            || snapshot.plan_time.or(snapshot.start_time).is_none_or(|time| time >= horizon)
            || firing.contains(key)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
    }

    #[test]
    fn the_window_reaches_back_over_an_outage() {
        let cases = [
            ("first poll", None, 24, at(-24), false),
            ("read a minute ago", Some(at(0)), 24, at(-24), false),
            ("read two days ago", Some(at(-48)), 24, at(-48) - SOURCE_OVERLAP, false),
            ("read eight days ago", Some(at(-8 * 24)), 24, at(-7 * 24), true),
            ("the clock was set back", Some(at(30)), 24, at(-24), false),
            ("a lookback of seven days", Some(at(0)), 7 * 24, at(-7 * 24), false),
        ];
        for (name, read_until, lookback, from, has_gap) in cases {
            let (window, gap) = window(at(0), HOUR * lookback, read_until);
            assert_eq!((window.from, gap.is_some()), (from, has_gap), "{name}");
            assert_eq!(window.to, at(0), "{name}");
        }
    }
}
