//! One page, and what it says when it is held against what is known.

use std::hash::Hash;

use super::place::{Meaning, Place};

/// One page as it came.
#[derive(Debug, Clone)]
pub(in crate::source) struct Page<R> {
    /// How many rows the window has by the server's word; `None` when the word is no count.
    pub(in crate::source) total: Option<u64>,
    pub(in crate::source) rows: Vec<R>,
}

/// What a row is told apart by.
pub(in crate::source) trait Row {
    type Key: Eq + Hash;
    fn key(&self) -> Self::Key;
}

/// A page with its rows' keys.
pub(super) struct Fetched<R: Row> {
    pub(super) total: Option<u64>,
    pub(super) len: u64,
    pub(super) rows: Vec<(R::Key, R)>,
    /// How many of its rows this sweep had reached before.
    pub(super) known: u64,
    /// Where on it stands the row that the sweep had reached last.
    pub(super) frontier_at: Option<u64>,
}

impl<R: Row> Fetched<R> {
    /// The total, where it does not contradict the page that it came with.
    pub(super) fn believed_total(&self, start: u64) -> Option<u64> {
        self.total.filter(|total| *total >= start + self.len)
    }

    /// Whether the list ends with this page.
    pub(super) fn is_last(&self, place: Place) -> bool {
        match self.believed_total(place.start) {
            Some(total) => place.start + self.len >= total,
            None => self.len < place.limit,
        }
    }

    /// What offsets count, told from the page with the offset 1 after the one with the offset 0.
    ///
    /// Where they count records it is the first page moved by one: it ends with the row that the first page ended with,
    /// or, when rows came meanwhile, before it. Where they count pages it begins with that row, or, when rows came,
    /// shows it a little later; when rows went, it shows nothing of the first page. Pages of one or two rows are too
    /// small to overlap (`is_beside`).
    pub(super) fn meaning(&self, is_beside: bool) -> Meaning {
        match self.frontier_at {
            Some(at) if at < self.len / 2 && !is_beside => Meaning::Pages,
            None if self.known == 0 => Meaning::Pages,
            _ => Meaning::Records,
        }
    }

    /// Whether the page is as long as its own total says that it must be at this place.
    pub(super) fn fits(&self, place: Place) -> bool {
        let total = self.believed_total(place.start);
        total.is_none_or(|total| self.len == place.limit.min(total - place.start))
    }
}
