//! Which plan times a poll reads, and which instances it may forget.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use super::details;
use crate::limits::{FOLLOWED_AGE_MAX, POLL_GAP_SLACK, SOURCE_OVERLAP, SOURCE_WINDOW_MAX};
use crate::model::{InstanceKey, Window};
use crate::rule::RuleSet;
use crate::schedule::Schedule;
use crate::source::SourceSettings;
use crate::store::SourceMemory;

/// How far back to list: the source's own `lookback`, and what the rules need to know that a run is not there.
pub(super) fn lookback(settings: &SourceSettings, rules: &RuleSet, is_first_poll: bool) -> Duration {
    let at_first = rules.reach_at_first(&settings.id).filter(|_| is_first_poll);
    let at_first = at_first.map(|reach| reach + settings.first_poll).unwrap_or_default();
    settings.lookback.max(rules.reach(&settings.id)).max(at_first)
}

/// The window to read at `now`: the last `lookback`, and further back when the last complete poll is longer ago, at
/// most [`SOURCE_WINDOW_MAX`]. When that is not far enough, the second value says between which plan times
/// nothing is read.
pub(super) fn window(
    now: Timestamp,
    lookback: Duration,
    read_until: Option<Timestamp>,
) -> (Window, Option<(Timestamp, Timestamp)>) {
    let back = |span: Duration| now.checked_sub(span).unwrap_or(Timestamp::MIN);
    let oldest = back(SOURCE_WINDOW_MAX);
    let usual = back(lookback).max(oldest);
    let Some(read_until) = read_until else {
        return (Window { from: usual, to: now }, None);
    };
    // A cursor ahead of the clock (the clock was set back) tells nothing about what lies before it.
    let wanted = read_until.min(now).checked_sub(SOURCE_OVERLAP).unwrap_or(Timestamp::MIN);
    let gap = (wanted < oldest).then_some((wanted, oldest));
    (Window { from: usual.min(wanted).max(oldest), to: now }, gap)
}

/// Whether a source that was last asked at `polled_at` has missed two polls by `now`, with some slack.
pub(in crate::worker) fn is_silent(poll: &Schedule, polled_at: Timestamp, now: Timestamp) -> bool {
    let second = poll.next_after(polled_at).and_then(|next| poll.next_after(next));
    second.and_then(|due| due.checked_add(POLL_GAP_SLACK).ok()).is_some_and(|due| due <= now)
}

/// Drops the snapshots of instances that fire nothing and will not be met again: those that are over and too old to be
/// listed, and those that never ended and are too old to be followed.
pub(super) fn forget_old(memory: &mut SourceMemory, now: Timestamp) {
    let ago = |span: Duration| now.checked_sub(span).unwrap_or(Timestamp::MIN);
    let (listed_from, followed_from) = (ago(SOURCE_WINDOW_MAX + SOURCE_OVERLAP), ago(FOLLOWED_AGE_MAX));
    let firing: HashSet<InstanceKey> = memory.firing.iter().map(|alert| alert.facts.subject()).collect();
    memory.snapshots.retain(|key, snapshot| {
        let is_over = snapshot.status.has_ended() || details::is_gone(snapshot);
        let needed_from = if is_over { listed_from } else { followed_from };
        snapshot.plan_time.or(snapshot.start_time).is_none_or(|time| time >= needed_from) || firing.contains(key)
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

    #[test]
    fn what_never_ends_is_not_remembered_for_ever() {
        use crate::model::{InstanceType, Snapshot, Status};
        let day = 24;
        // status, planned so many days ago, whether an end is known, whether it is still remembered
        let cases = [
            (Status::Success, 6, true, true),
            (Status::Success, 8, true, false),
            (Status::Running, 8, false, true),
            (Status::Freeze, 62, false, false),
            // Its source no longer knows it.
            (Status::Unknown, 8, true, false),
        ];
        for (status, days, has_end, remembered) in cases {
            let plan_time = Some(at(-days * day));
            let end_time = has_end.then(|| at(0));
            let snapshot =
                Snapshot { status, kind: InstanceType::Scheduled, plan_time, start_time: plan_time, end_time };
            let mut memory = SourceMemory::default();
            memory.snapshots.insert(InstanceKey { job: "etl".into(), id: "1".into() }, snapshot);
            forget_old(&mut memory, at(0));
            assert_eq!(!memory.snapshots.is_empty(), remembered, "{status} for {days} days");
        }
    }
}
