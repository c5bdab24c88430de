//! Reading a whole list through pages, without knowing what `offset` means.
//!
//! Takes a `fetch` of one page and gives every row once. It reads nothing itself and knows neither HTTP nor what the
//! rows are, so that its tests drive it against a model of the server.
//!
//! # Design
//! The documentation leaves open whether `offset` counts pages or records, and a wrong guess ends with an empty page:
//! rows would be missed in silence. So nothing here is believed that is not shown:
//!
//! - The meaning is learnt from the second request, `offset=1`. Where offsets count records, its answer is the first
//!   page moved by one; where they count pages, it is new but for the overlap. What later contradicts it makes the next
//!   sweep learn again.
//! - Consecutive pages overlap by at least one row, under both meanings: where offsets count pages, a fitting smaller
//!   `limit` moves the page's start back ([`Meaning::next_place`]). A list keeps its order, so a page that shows a row
//!   already reached continues the list without a gap, whatever was inserted or removed meanwhile. A page that shows
//!   none is fetched again from further back. The last page must show the row that was reached last.
//! - What a sweep collected is counted against `total`. Too few: the sweep is repeated, then the window is halved by
//!   time until its parts fit in one page each. Still too few: the shortfall is reported.

mod page;
mod place;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::time::Duration;

use self::page::Fetched;
pub(in crate::source) use self::page::{Page, Row};
pub(in crate::source) use self::place::{Meaning, PageQuery};
use self::place::{Place, halves, parts};
use crate::limits::{SOURCE_LISTING_FRUITLESS_MAX, SOURCE_LISTING_REQUESTS_MAX};
use crate::model::Window;

/// Sweeps over one window before it is halved.
const SWEEPS_MAX: usize = 3;
/// How often one sweep steps back over a gap.
const STEPS_BACK_MAX: usize = 6;
/// By how much the overlap grows with each step back.
const STEP_BACK_FACTOR: u64 = 6;
/// Windows in a row without anything new that are borne where even the first page was shorter than asked for: the
/// total is then more likely wrong than the list long.
const FRUITLESS_SHORT_MAX: usize = 8;

/// What one query may ask for.
#[derive(Debug, Clone, Copy)]
pub(in crate::source) struct Limits {
    /// The longest span of time.
    pub(in crate::source) span_max: Duration,
    /// The most rows of a page.
    pub(in crate::source) page_max: usize,
}

/// What reading a window gave.
#[derive(Debug)]
pub(in crate::source) struct Whole<R> {
    /// Every row once, each as it was last seen.
    pub(in crate::source) rows: Vec<R>,
    /// Why it is not every row, where the total says so.
    pub(in crate::source) shortfall: Option<String>,
    /// Queries it took.
    pub(in crate::source) requests: usize,
}

/// Reads every row of `window`, which may be longer than one query may ask for. `meaning` is what was learnt before, or what
/// the API's documents say, and holds afterwards what is known now.
pub(in crate::source) async fn read_all<R, E, F, Fut>(
    window: Window,
    limits: Limits,
    meaning: &mut Option<Meaning>,
    fetch: F,
) -> Result<Whole<R>, E>
where
    R: Row,
    F: Fn(PageQuery) -> Fut,
    Fut: Future<Output = Result<Page<R>, E>>,
{
    let mut reader = Reader::new(fetch, *meaning, limits.page_max as u64);
    let mut missing = 0;
    for part in parts(window, limits.span_max) {
        missing += reader.read_part(part).await?;
    }
    *meaning = reader.meaning;
    let read = reader.rows.len() as u64;
    let shortfall = (missing > 0).then(|| format!("{read} of {} instances could be read", read + missing));
    Ok(Whole { rows: reader.rows, shortfall, requests: reader.requests })
}

/// What is known of a row that was seen.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Where it stands among the rows.
    index: usize,
    /// The last request, window and part of the whole that showed it.
    request: usize,
    window: usize,
    part: usize,
    /// The last sweep whose unbroken run of pages reached it; 0 for none.
    sweep: usize,
}

/// How a sweep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Swept {
    /// Every row was reached.
    Whole,
    /// Fewer rows than told.
    Short,
    /// What came contradicts what was believed of offsets or totals.
    Contradicted,
}

/// Counts of the sweep under way.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    reached: u64,
    /// The smallest and the largest total that the sweep was told.
    told: Option<(u64, u64)>,
    /// The row reached last: what follows it in the list is still to be reached.
    frontier: Option<usize>,
    /// Whether two pages had to stand side by side without an overlap.
    unproven: bool,
}

struct Reader<R: Row, F> {
    fetch: F,
    meaning: Option<Meaning>,
    page_max: u64,
    rows: Vec<R>,
    seen: HashMap<R::Key, Seen>,
    requests: usize,
    /// Windows in a row that brought nothing new, and how many of them are borne.
    fruitless: usize,
    fruitless_max: usize,
    /// Numbers of the present sweep, window and part.
    sweep: usize,
    window: usize,
    part: usize,
    /// Distinct rows that the present window, and the present part, have shown.
    window_rows: u64,
    part_rows: u64,
    tally: Tally,
}

impl<R, E, F, Fut> Reader<R, F>
where
    R: Row,
    F: Fn(PageQuery) -> Fut,
    Fut: Future<Output = Result<Page<R>, E>>,
{
    fn new(fetch: F, meaning: Option<Meaning>, page_max: u64) -> Self {
        Reader {
            fetch,
            meaning,
            page_max,
            rows: Vec::new(),
            seen: HashMap::new(),
            requests: 0,
            fruitless: 0,
            fruitless_max: SOURCE_LISTING_FRUITLESS_MAX,
            sweep: 0,
            window: 0,
            part: 0,
            window_rows: 0,
            part_rows: 0,
            tally: Tally::default(),
        }
    }

    /// Reads one part of the whole and gives the number of rows that are still missing.
    async fn read_part(&mut self, part: Window) -> Result<u64, E> {
        self.part += 1;
        self.part_rows = 0;
        self.fruitless = 0;
        self.fruitless_max = SOURCE_LISTING_FRUITLESS_MAX;
        let Some(told) = self.read_window(part, SWEEPS_MAX).await? else { return Ok(0) };
        let mut is_whole = true;
        let mut open: Vec<Window> = halves(part).into_iter().flatten().collect();
        is_whole &= !open.is_empty();
        while let Some(window) = open.pop() {
            if self.is_spent() {
                is_whole = false;
                break;
            }
            let halves = halves(window);
            // Only a single millisecond, which cannot be halved, is worth repeating.
            let sweeps = if halves.is_some() { 1 } else { SWEEPS_MAX };
            if self.read_window(window, sweeps).await?.is_some() {
                is_whole &= halves.is_some();
                open.extend(halves.into_iter().flatten());
            }
        }
        if is_whole && told > self.part_rows {
            // Each piece is whole by its own count. Either rows went meanwhile, or the server contradicts itself.
            let page = self.fetch(part, Place { offset: 0, limit: 1, start: 0 }).await?;
            let told = told.min(page.believed_total(0).unwrap_or(told));
            return Ok(told.saturating_sub(self.part_rows));
        }
        // A server that tells no total and repeats itself leaves at least one row to be missed.
        Ok(told.saturating_sub(self.part_rows).max(u64::from(!is_whole)))
    }

    /// Reads one window; `None` when it is whole, otherwise how many rows it has by the server's word.
    async fn read_window(&mut self, window: Window, sweeps_max: usize) -> Result<Option<u64>, E> {
        let before = self.rows.len();
        let told = self.sweep_window(window, sweeps_max).await?;
        self.fruitless = if self.rows.len() > before { 0 } else { self.fruitless + 1 };
        Ok(told)
    }

    async fn sweep_window(&mut self, window: Window, sweeps_max: usize) -> Result<Option<u64>, E> {
        self.window += 1;
        self.window_rows = 0;
        let mut told: Option<(u64, u64)> = None;
        for _ in 0..sweeps_max {
            let swept = self.sweep(window).await?;
            if swept == Swept::Whole {
                return Ok(None);
            }
            told = merged(told, self.tally.told);
            // Rows may come in another order each time: then all sweeps together may have seen each of them.
            if told.is_some_and(|(least, most)| least == most && self.window_rows >= most) {
                return Ok(None);
            }
            if swept == Swept::Contradicted {
                self.meaning = None;
            }
            if self.is_spent() {
                break;
            }
        }
        Ok(Some(told.map_or(0, |(least, _)| least)))
    }

    fn is_spent(&self) -> bool {
        self.requests >= SOURCE_LISTING_REQUESTS_MAX || self.fruitless >= self.fruitless_max
    }

    /// Goes through the pages of a window once, from the first to the last.
    async fn sweep(&mut self, window: Window) -> Result<Swept, E> {
        self.sweep += 1;
        self.tally = Tally::default();
        let place = Place { offset: 0, limit: self.page_max, start: 0 };
        let first = self.fetch(window, place).await?;
        let (mut end, mut total_before) = (first.len, first.total);
        if first.is_last(place) {
            self.take(first, true);
            return Ok(Swept::Whole);
        }
        if first.len == 0 {
            return Ok(Swept::Contradicted);
        }
        self.take(first, true);
        // A page shorter than asked for, with more to come: the server's own cap, or a total that is none.
        let limit = end.min(self.page_max);
        if limit < self.page_max {
            self.fruitless_max = FRUITLESS_SHORT_MAX;
        }
        let mut overlap = 1;
        let mut steps_back = 0;
        while !self.is_spent() {
            let (place, page) = self.next_page(window, end, overlap, limit).await?;
            if !page.fits(place) || self.denies(place, &page, end) {
                self.take(page, false);
                return Ok(Swept::Contradicted);
            }
            let is_beside = place.start >= end;
            if page.known == 0 && !is_beside {
                // A gap: rows before this page were removed. Whatever lies in between is reached from further back.
                self.take(page, false);
                steps_back += 1;
                overlap *= STEP_BACK_FACTOR;
                if steps_back > STEPS_BACK_MAX || overlap >= end {
                    return Ok(Swept::Contradicted);
                }
                continue;
            }
            self.tally.unproven |= is_beside;
            let (is_last, has_frontier) = (page.is_last(place), page.frontier_at.is_some());
            let is_repeat = overlap == 1 && page.known == page.len && page.total <= total_before;
            (end, total_before) = (place.start + page.len, page.total);
            overlap = 1;
            self.take(page, true);
            if is_last {
                self.tally.unproven |= !has_frontier;
                return Ok(self.verdict());
            }
            if is_repeat {
                return Ok(Swept::Contradicted);
            }
        }
        Ok(Swept::Short)
    }

    /// The page that continues the list at `end`, reaching back over `overlap` rows. While it is unknown what offsets
    /// count, the page with the offset 1 is asked for first, and shows it.
    async fn next_page(
        &mut self,
        window: Window,
        end: u64,
        overlap: u64,
        limit: u64,
    ) -> Result<(Place, Fetched<R>), E> {
        if self.meaning.is_none() {
            // One row less than the first page had: where offsets count pages, this one overlaps it by one.
            let narrow = if limit > 2 { limit - 1 } else { limit };
            let place = Place { offset: 1, limit: narrow, start: narrow };
            let page = self.fetch(window, place).await?;
            let meaning = page.meaning(place.start >= end);
            self.meaning = Some(meaning);
            if meaning == Meaning::Pages {
                return Ok((place, page));
            }
            self.take(page, true);
        }
        let place = self.meaning.unwrap_or(Meaning::Records).next_place(end, overlap, limit);
        let page = self.fetch(window, place).await?;
        Ok((place, page))
    }

    /// Whether a page with the offset 1 shows that offsets do not count pages, as was believed.
    fn denies(&self, place: Place, page: &Fetched<R>, end: u64) -> bool {
        self.meaning == Some(Meaning::Pages)
            && place.offset == 1
            && page.meaning(place.start >= end) == Meaning::Records
    }

    /// Whether a sweep that came to the end has reached every row. The joined pages show that none was jumped over, as
    /// long as the list keeps its order; the count shows it where the order may be another each time.
    fn verdict(&self) -> Swept {
        let Some((least, most)) = self.tally.told else { return Swept::Whole };
        let is_proven = least == most || !self.tally.unproven;
        if self.tally.reached >= least && is_proven { Swept::Whole } else { Swept::Short }
    }

    /// Fetches a page.
    async fn fetch(&mut self, window: Window, place: Place) -> Result<Fetched<R>, E> {
        self.requests += 1;
        let page = (self.fetch)(PageQuery { window, offset: place.offset, limit: place.limit }).await?;
        let len = page.rows.len() as u64;
        let (mut known, mut frontier_at) = (0, None);
        let mut rows = Vec::with_capacity(page.rows.len());
        for (at, row) in (0..).zip(page.rows) {
            let key = row.key();
            if let Some(seen) = self.seen.get(&key).filter(|seen| seen.sweep == self.sweep) {
                known += 1;
                frontier_at = frontier_at.or((Some(seen.index) == self.tally.frontier).then_some(at));
            }
            rows.push((key, row));
        }
        Ok(Fetched { total: page.total, len, rows, known, frontier_at })
    }

    /// Takes a page's rows in. `is_joined` tells whether it continues what the sweep has reached.
    fn take(&mut self, page: Fetched<R>, is_joined: bool) {
        self.tally.told = merged(self.tally.told, page.believed_total(0).map(|total| (total, total)));
        let moves_frontier = page.frontier_at.is_some() || page.known == 0;
        let mut last = None;
        for (key, row) in page.rows {
            let sweep = if is_joined { self.sweep } else { 0 };
            let index;
            let now =
                Seen { index: self.rows.len(), request: self.requests, window: self.window, part: self.part, sweep };
            match self.seen.entry(key) {
                Entry::Vacant(vacant) => {
                    index = now.index;
                    vacant.insert(now);
                    self.rows.push(row);
                    self.window_rows += 1;
                    self.part_rows += 1;
                    self.tally.reached += u64::from(is_joined);
                }
                Entry::Occupied(mut occupied) => {
                    let seen = occupied.get_mut();
                    index = seen.index;
                    self.window_rows += u64::from(seen.window != now.window);
                    self.part_rows += u64::from(seen.part != now.part);
                    // The same row twice in one page counts twice, as it does in the server's total.
                    let is_new_here = seen.sweep != now.sweep || seen.request == now.request;
                    self.tally.reached += u64::from(is_joined && is_new_here);
                    let sweep = if is_joined { now.sweep } else { seen.sweep };
                    *seen = Seen { index: seen.index, sweep, ..now };
                    self.rows[seen.index] = row;
                }
            }
            last = Some(index);
        }
        // A page that lies before the frontier does not move it.
        if is_joined && (moves_frontier || self.tally.frontier.is_none()) {
            self.tally.frontier = last.or(self.tally.frontier);
        }
    }
}

/// The smallest and largest of both.
fn merged(a: Option<(u64, u64)>, b: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (a, b) {
        (Some((least, most)), Some((lesser, more))) => Some((least.min(lesser), most.max(more))),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
