//! Where pages lie: in the list, by what `offset` counts, and in time, by the window that is asked for.
//!
//! Pure arithmetic.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::Window;

/// What `offset` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum Meaning {
    /// Records: a page starts at `offset`.
    Records,
    /// Pages: a page starts at `offset * limit`.
    Pages,
}

/// One page to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) struct PageQuery {
    pub(in crate::source) window: Window,
    pub(in crate::source) offset: u64,
    pub(in crate::source) limit: u64,
}

/// Where a page lies in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) limit: u64,
    pub(super) start: u64,
}

impl Meaning {
    /// The word it is remembered by.
    pub(in crate::source) const fn as_str(self) -> &'static str {
        match self {
            Meaning::Records => "records",
            Meaning::Pages => "pages",
        }
    }

    /// The meaning that a remembered word names.
    pub(in crate::source) fn from_word(word: &str) -> Option<Meaning> {
        [Meaning::Records, Meaning::Pages].into_iter().find(|meaning| meaning.as_str() == word)
    }

    /// The page of at most `limit` rows that holds the row at `position` and reaches furthest beyond it.
    ///
    /// Where offsets count pages, a page starts at a multiple of its limit, so some limits reach further than others.
    pub(super) fn place(self, position: u64, limit: u64) -> Place {
        match self {
            Meaning::Records => Place { offset: position, limit, start: position },
            Meaning::Pages => {
                let reach = |limit: &u64| (position / limit + 1) * limit;
                let limit = (1..=limit).max_by_key(reach).unwrap_or(1);
                Place { offset: position / limit, limit, start: position / limit * limit }
            }
        }
    }

    /// The page that continues a list known up to `end`, reaching back over `overlap` of its rows. Rarely no page
    /// reaches beyond the end and overlaps it; then the one that begins there.
    pub(super) fn next_place(self, end: u64, overlap: u64, limit: u64) -> Place {
        let place = self.place(end.saturating_sub(overlap), limit);
        if overlap == 1 && place.start + place.limit <= end { self.place(end, limit) } else { place }
    }
}

/// The window in parts that one query each may ask for. The queries go out a millisecond wider at both ends and must
/// not exceed the longest span with that.
pub(super) fn parts(window: Window, span_max: Duration) -> Vec<Window> {
    let span_max = i64::try_from(span_max.as_millis()).unwrap_or(i64::MAX) - 2;
    let (mut from, to) = (window.from.as_millisecond(), window.to.as_millisecond());
    let mut parts = Vec::new();
    while from <= to {
        let end = to.min(from.saturating_add(span_max));
        parts.extend(span(from, end));
        from = end + 1;
    }
    parts
}

pub(super) fn span(from: i64, to: i64) -> Option<Window> {
    let instant = |milliseconds| Timestamp::from_millisecond(milliseconds).ok();
    Some(Window { from: instant(from)?, to: instant(to)? })
}

/// Both halves of a window; `None` when it is a single millisecond.
pub(super) fn halves(window: Window) -> Option<[Window; 2]> {
    let (from, to) = (window.from.as_millisecond(), window.to.as_millisecond());
    let middle = from + (to - from) / 2;
    (from < to).then(|| Some([span(from, middle)?, span(middle + 1, to)?])).flatten()
}
