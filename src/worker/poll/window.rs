//! Which plan times a poll reads.
//!
//! Pure: takes what is covered and gives the next window. After an outage, and where one listing cannot take in all that is
//! wanted, the source is read in slices, the oldest first; each of them is committed, so that it comes to an end whatever
//! the backlog is and however often the program is restarted.

use std::time::Duration;

use jiff::Timestamp;

use crate::limits::{LOOKBACK_MAX, POLL_GAP_SLACK, SLICE_MIN, SOURCE_LISTING_TIME_MAX, SOURCE_OVERLAP};
use crate::model::{Covered, Window};
use crate::rule::RuleSet;
use crate::schedule::Schedule;
use crate::source::SourceSettings;

/// What a poll reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) struct Slice {
    /// The plan times.
    pub(in crate::worker) window: Window,
    /// The plan times between which nothing is read any more: the source was unreadable for too long.
    pub(in crate::worker) lost: Option<(Timestamp, Timestamp)>,
    /// Whether it reaches up to now.
    pub(in crate::worker) is_last: bool,
}

/// How long a slice may be, as far as that was found out.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::worker) struct SliceSpan(Option<Duration>);

impl SliceSpan {
    /// A listing of this span did not come to its end in time, or not whole: the next one is half as long.
    pub(in crate::worker) fn shrink(&mut self, window: Window) {
        let half = window.to.duration_since(window.from).unsigned_abs() / 2;
        self.0 = Some(half.max(SLICE_MIN));
    }

    /// A listing of this span took so long and was whole: what fits is known better now.
    pub(in crate::worker) fn learn(&mut self, window: Window, took: Duration) {
        let span = window.to.duration_since(window.from).unsigned_abs();
        // Half of the time is left for a service that is slower the next time.
        let fits = SOURCE_LISTING_TIME_MAX.as_secs_f64() / 2.0 / took.as_secs_f64().max(0.001);
        let fitting = span.mul_f64(fits.min(1000.0));
        self.0 = (fitting < LOOKBACK_MAX).then_some(fitting.max(SLICE_MIN));
    }

    /// How long a slice may be of a source of which one listing takes `span_max` at most.
    pub(in crate::worker) fn within(self, span_max: Duration) -> Duration {
        self.0.map_or(span_max, |fitting| fitting.min(span_max))
    }
}

/// How far back to list: the source's own `lookback`, and what the rules need to know that a run is not there.
pub(in crate::worker) fn lookback(settings: &SourceSettings, rules: &RuleSet, is_first_poll: bool) -> Duration {
    let at_first = rules.reach_at_first(&settings.id).filter(|_| is_first_poll);
    let at_first = at_first.map(|reach| reach + settings.first_poll).unwrap_or_default();
    settings.lookback.max(rules.reach(&settings.id)).max(at_first)
}

/// What to read at `now`: the last `lookback`, and further back when the last complete poll is longer ago, at most
/// [`LOOKBACK_MAX`]; of that the part that follows what a catch-up under way has read, at most `span` long.
pub(in crate::worker) fn next(now: Timestamp, lookback: Duration, covered: &Covered, span: Duration) -> Slice {
    let back = |span: Duration| now.checked_sub(span).unwrap_or(Timestamp::MIN);
    let oldest = back(LOOKBACK_MAX);
    let usual = back(lookback).max(oldest);
    let (mut from, mut lost) = (usual, None);
    if let Some(until) = covered.until {
        // A cursor ahead of the clock (the clock was set back) tells nothing about what lies before it.
        let wanted = until.min(now).checked_sub(SOURCE_OVERLAP).unwrap_or(Timestamp::MIN);
        from = usual.min(wanted).max(oldest);
        lost =
            (wanted < oldest && covered.caught_up.is_none_or(|reached| reached < oldest)).then_some((wanted, oldest));
    }
    let from = covered.caught_up.filter(|reached| from <= *reached && *reached <= now).unwrap_or(from);
    let to = from.checked_add(span).unwrap_or(now).min(now);
    Slice { window: Window { from, to }, lost, is_last: to == now }
}

/// Whether a source that was last asked at `polled_at` has missed two polls by `now`, with some slack.
pub fn is_silent(poll: &Schedule, polled_at: Timestamp, now: Timestamp) -> bool {
    let second = poll.next_after(polled_at).and_then(|next| poll.next_after(next));
    second.and_then(|due| due.checked_add(POLL_GAP_SLACK).ok()).is_some_and(|due| due <= now)
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
        for (name, until, lookback, from, has_gap) in cases {
            let covered = Covered { until, ..Covered::default() };
            let slice = next(at(0), HOUR * lookback, &covered, LOOKBACK_MAX);
            assert_eq!((slice.window.from, slice.lost.is_some()), (from, has_gap), "{name}");
            assert_eq!((slice.window.to, slice.is_last), (at(0), true), "{name}");
        }
    }

    /// However long a listing takes, the slices follow each other up to now.
    #[test]
    fn a_backlog_is_read_in_slices_that_come_to_an_end() {
        let mut covered = Covered { from: Some(at(-200)), until: Some(at(-72)), ..Covered::default() };
        let (mut span, mut slices) = (SliceSpan::default(), Vec::new());
        // A listing of more than 20 hours is never read to its end.
        for _ in 0..20 {
            let slice = next(at(0), HOUR * 24, &covered, span.within(LOOKBACK_MAX));
            let hours = slice.window.to.duration_since(slice.window.from).as_hours();
            if hours > 20 {
                span.shrink(slice.window);
                continue;
            }
            slices.push((slice.window.from, slice.window.to));
            let listing = crate::model::Coverage::whole(slice.window, "");
            covered = covered.after(&listing, at(0), slice.is_last);
            if slice.is_last {
                break;
            }
        }
        assert_eq!((covered.from, covered.until, covered.caught_up), (Some(at(-200)), Some(at(0)), None));
        assert!(slices.len() >= 4 && slices.windows(2).all(|pair| pair[0].1 == pair[1].0), "{slices:?}");
        assert!(slices[0].0 <= at(-72));
    }

    #[test]
    fn a_slice_is_as_long_as_fits() {
        let window = |hours: i64| Window { from: at(-hours), to: at(0) };
        let mut span = SliceSpan::default();
        span.learn(window(24), Duration::from_secs(60));
        assert_eq!(span.within(LOOKBACK_MAX), LOOKBACK_MAX, "seven days take seven minutes");
        assert_eq!(span.within(HOUR * 24), HOUR * 24, "a source that takes a day at most");
        span.learn(window(24), Duration::from_secs(400));
        assert_eq!(span.within(LOOKBACK_MAX).as_secs() / 3600, 27);
        span.shrink(window(1));
        assert_eq!(span.within(LOOKBACK_MAX), SLICE_MIN, "an hour is read in any case");
    }
}
