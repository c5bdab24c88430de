//! What is kept of the runs between two listings, and whether that is enough to ask for what has changed.
//!
//! Plain data. It knows nothing of how a list is read.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::model::{Instance, InstanceKey, Window};

/// How far a listing of changes reaches back before the listing before it began: a row is stamped before it is seen.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);
/// How long changes are listed before the whole window is, for what was deleted is no change.
const WHOLE_AGAIN: SignedDuration = SignedDuration::from_mins(15);

/// What is kept between listings.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) runs: HashMap<InstanceKey, Instance>,
    /// The beginning of the window that is kept.
    pub(super) from: Option<Timestamp>,
    /// When the latest listing that was whole began.
    pub(super) read_at: Option<Timestamp>,
    /// When the latest one of the whole window began.
    pub(super) whole_at: Option<Timestamp>,
}

/// From when on changes are enough; nothing where the whole window must be listed.
pub(super) fn changes_since(kept: &Kept, window: Window, now: Timestamp) -> Option<Timestamp> {
    let is_wide_enough = kept.from.is_some_and(|from| from <= window.from);
    let is_recent = kept.whole_at.is_some_and(|at| now >= at && now.duration_since(at) < WHOLE_AGAIN);
    kept.read_at.filter(|_| is_wide_enough && is_recent).and_then(|at| at.checked_sub(OVERLAP).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    #[test]
    fn changes_are_enough_while_the_whole_window_was_read_lately() {
        let window = |from| Window { from: at(from), to: at(0) };
        let kept = |from, read, whole| Kept {
            from: Some(at(from)),
            read_at: Some(at(read)),
            whole_at: Some(at(whole)),
            ..Kept::default()
        };
        let table = [
            ("nothing is kept", Kept::default(), -60, None),
            ("a minute ago", kept(-60, -1, -1), -60, Some(at(-2))),
            ("a narrower window is kept", kept(-50, -1, -1), -60, None),
            ("a wider one", kept(-70, -1, -1), -60, Some(at(-2))),
            ("long ago", kept(-60, -1, -15), -60, None),
            ("the clock was set back", kept(-60, 5, 5), -60, None),
        ];
        for (name, kept, from, expected) in table {
            assert_eq!(changes_since(&kept, window(from), at(0)), expected, "{name}");
        }
    }
}
