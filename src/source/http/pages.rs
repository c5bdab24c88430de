//! From page to page of a list: where the next one is, when the list has ended, and what proves that it was read whole.
//!
//! Pure. A short page is no end, and a page that repeats is no progress; what a list counts is held against what was read.

use std::collections::HashSet;

use super::pointer::Pointer;

/// How a list is divided into pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Paging {
    /// It is not.
    None,
    /// By number; the first page has this one.
    Page(u64),
    /// By the records before the page.
    Offset,
    /// By a mark that the page before told.
    Cursor(Mark),
    /// By an address that the page before told; nothing stands for the header `Link`.
    Link(Option<Pointer>),
}

/// Where a page tells where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// At this place in the answer.
    Answer(Pointer),
    /// At this place in the last row.
    LastRow(Pointer),
}

/// How a list is read.
#[derive(Debug, Clone)]
pub(super) struct PagingSettings {
    pub(super) paging: Paging,
    /// Where the list's count of rows stands.
    pub(super) total: Option<Pointer>,
    /// Where it says whether there is more.
    pub(super) more: Option<Pointer>,
    /// With more pages than this, something is wrong.
    pub(super) pages_max: usize,
    /// Whether the newest rows come first, so that reading can end where the window begins.
    pub(super) is_newest_first: bool,
}

/// What a page told.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    /// What identifies its rows, in their order.
    pub(super) rows: Vec<String>,
    /// How many rows the list has, by its own count.
    pub(super) total: Option<u64>,
    /// Whether it says that there is more.
    pub(super) more: Option<bool>,
    /// Its mark or its link, where it has one.
    pub(super) next: Option<String>,
    /// Whether all of its rows were over before the window began.
    pub(super) is_older: bool,
}

/// Which page is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) page: Option<u64>,
    pub(super) offset: Option<u64>,
    pub(super) cursor: Option<String>,
    pub(super) link: Option<String>,
}

/// Reads one list.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    settings: &'a PagingSettings,
    place: Place,
    seen: HashSet<String>,
    before: Vec<String>,
    marks: HashSet<String>,
    last: Option<String>,
    pages: usize,
    total: Option<u64>,
    has_moved: bool,
    was_empty: bool,
    was_repeated: bool,
    has_stopped: bool,
}

impl<'a> Reader<'a> {
    /// A list of which nothing is read.
    pub(super) fn new(settings: &'a PagingSettings) -> Reader<'a> {
        let place = match settings.paging {
            Paging::Page(first) => Place { page: Some(first), ..Place::default() },
            Paging::Offset => Place { offset: Some(0), ..Place::default() },
            _ => Place::default(),
        };
        Reader {
            settings,
            place,
            seen: HashSet::new(),
            before: Vec::new(),
            marks: HashSet::new(),
            last: None,
            pages: 0,
            total: None,
            has_moved: false,
            was_empty: false,
            was_repeated: false,
            has_stopped: false,
        }
    }

    /// Which page is asked for now.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Takes in a page. Whether there is another one.
    ///
    /// # Errors
    /// When the list cannot come to an end, in words.
    pub(super) fn take(&mut self, page: &Page) -> Result<bool, String> {
        self.pages += 1;
        // What lies between two counts has come or gone while the pages were read.
        self.has_moved |= self.total.is_some() && page.total.is_some() && self.total != page.total;
        self.total = self.total.max(page.total);
        let is_new = |row: &&String| !self.seen.contains(*row);
        let fresh = page.rows.iter().filter(is_new).count();
        let overlap = usize::from(self.place.offset.is_some_and(|offset| offset > 0));
        if overlap > 0 && self.last.is_some() && page.rows.first() != self.last.as_ref() {
            // The row before this page is another one than it was.
            self.has_moved = true;
        }
        let is_repeated = page.rows.len() > overlap && page.rows == self.before;
        // By offset, as many rows as a page has may have come meanwhile; it is seen to go on all the same.
        if is_repeated && (overlap == 0 || self.was_repeated) {
            return Err(format!("page {} repeats the rows of the page before", self.pages));
        }
        self.was_repeated = is_repeated;
        // Rows that came at the head have pushed others into this page, which were read before.
        self.has_moved |= fresh == 0 && page.rows.len() > overlap;
        self.before.clone_from(&page.rows);
        self.seen.extend(page.rows.iter().cloned());
        self.last = page.rows.last().cloned().or(self.last.take());
        if page.more == Some(false) || self.settings.paging == Paging::None || self.is_all_there() {
            return Ok(false);
        }
        if self.settings.is_newest_first && page.is_older && !page.rows.is_empty() {
            self.has_stopped = true;
            return Ok(false);
        }
        let is_empty = page.rows.len() <= overlap;
        if !self.advance(page, is_empty)? {
            return Ok(false);
        }
        self.was_empty = is_empty;
        if self.pages >= self.settings.pages_max {
            return Err(format!("the list has more than {} pages", self.settings.pages_max));
        }
        Ok(true)
    }

    /// Goes on to the next page; false where there is none.
    fn advance(&mut self, page: &Page, is_empty: bool) -> Result<bool, String> {
        match &self.settings.paging {
            Paging::None => Ok(false),
            Paging::Page(_) => {
                self.place.page = self.place.page.map(|number| number + 1);
                Ok(!is_empty)
            }
            Paging::Offset => {
                // The last row stands in the next page once more, which shows whether the rows have moved.
                let read = self.place.offset.unwrap_or(0) + page.rows.len() as u64;
                self.place.offset = Some(read.saturating_sub(1));
                Ok(!is_empty)
            }
            Paging::Cursor(_) | Paging::Link(_) => {
                let Some(mark) = page.next.clone().filter(|mark| !mark.is_empty()) else { return Ok(false) };
                // One empty page may stand between full ones; a list that has ended may give marks for ever.
                if is_empty && (self.was_empty || matches!(&self.settings.paging, Paging::Cursor(Mark::LastRow(_)))) {
                    return Ok(false);
                }
                if !self.marks.insert(mark.clone()) {
                    return Err(format!("page {} leads back to a page that was read", self.pages));
                }
                match self.settings.paging {
                    Paging::Link(_) => self.place.link = Some(mark),
                    _ => self.place.cursor = Some(mark),
                }
                Ok(true)
            }
        }
    }

    fn is_all_there(&self) -> bool {
        self.total.is_some_and(|total| self.seen.len() as u64 >= total)
    }

    /// Why the list may not be whole, when it has come to its end; nothing when it is.
    pub(super) fn shortfall(&self) -> Option<String> {
        if self.has_stopped {
            return None;
        }
        let read = self.seen.len() as u64;
        match self.total {
            Some(total) if read < total => Some(format!("the list counts {total} rows and gave {read}")),
            // All that it counted is there: what has moved has come.
            Some(_) => None,
            None if self.has_moved => Some("rows came or went while the pages were read".to_string()),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(paging: Paging) -> PagingSettings {
        PagingSettings { paging, total: None, more: None, pages_max: 10, is_newest_first: false }
    }

    fn page(rows: &[&str]) -> Page {
        Page { rows: rows.iter().map(|row| (*row).to_string()).collect(), ..Page::default() }
    }

    fn marked(rows: &[&str], next: Option<&str>) -> Page {
        Page { next: next.map(str::to_string), ..page(rows) }
    }

    fn counted(rows: &[&str], total: u64) -> Page {
        Page { total: Some(total), ..page(rows) }
    }

    fn cursor() -> Paging {
        Paging::Cursor(Mark::Answer(Pointer::parse("/next").unwrap()))
    }

    /// Feeds the pages one after the other; how many were wanted, and how it ended.
    fn feed(settings: &PagingSettings, pages: &[Page]) -> (usize, Result<Option<String>, String>) {
        let mut reader = Reader::new(settings);
        for (at, page) in pages.iter().enumerate() {
            match reader.take(page) {
                Ok(true) => {}
                Ok(false) => return (at + 1, Ok(reader.shortfall())),
                Err(reason) => return (at + 1, Err(reason)),
            }
        }
        (pages.len() + 1, Ok(reader.shortfall()))
    }

    #[test]
    fn a_list_ends_where_it_ends() {
        let whole = Ok(None);
        let numbered = settings(Paging::Page(1));
        assert_eq!(feed(&settings(Paging::None), &[page(&["a"])]), (1, whole.clone()));
        assert_eq!(
            feed(&numbered, &[page(&["a", "b"]), page(&["c"]), page(&[])]),
            (3, whole.clone()),
            "a short page is no end"
        );
        assert_eq!(
            feed(&numbered, &[counted(&["a", "b"], 3), counted(&["c"], 3)]),
            (2, whole.clone()),
            "all that is counted is there"
        );
        assert_eq!(feed(&settings(cursor()), &[marked(&["a"], Some("x")), marked(&["b"], None)]), (2, whole.clone()));
        assert_eq!(
            feed(&settings(cursor()), &[marked(&["a"], Some("x")), marked(&["b"], Some(""))]),
            (2, whole.clone())
        );
        let gap = [marked(&["a"], Some("x")), marked(&[], Some("y")), marked(&["b"], None)];
        assert_eq!(feed(&settings(cursor()), &gap), (3, whole.clone()), "an empty page between full ones");
        let tail = [marked(&["a"], Some("x")), marked(&[], Some("y")), marked(&[], Some("z"))];
        assert_eq!(feed(&settings(cursor()), &tail), (3, whole.clone()), "marks for ever");
        let offset = settings(Paging::Offset);
        assert_eq!(feed(&offset, &[page(&["a", "b"]), page(&["b", "c"]), page(&["c"])]), (3, whole.clone()));
        let more = Page { more: Some(false), ..marked(&["a"], Some("x")) };
        assert_eq!(feed(&settings(cursor()), &[more]), (1, whole.clone()));
        let newest = PagingSettings { is_newest_first: true, ..numbered };
        let old = Page { is_older: true, ..counted(&["c"], 100) };
        assert_eq!(feed(&newest, &[counted(&["a", "b"], 100), old]), (2, whole));
    }

    #[test]
    fn a_list_that_leads_nowhere_is_an_error() {
        let table = [
            (settings(Paging::Page(1)), vec![page(&["a", "b"]), page(&["a", "b"])], "repeats"),
            (settings(Paging::Offset), vec![page(&["a", "b"]), page(&["a", "b"]), page(&["a", "b"])], "repeats"),
            (settings(cursor()), vec![marked(&["a"], Some("x")), marked(&["b"], Some("x"))], "leads back"),
            (
                PagingSettings { pages_max: 2, ..settings(Paging::Page(1)) },
                vec![page(&["a"]), page(&["b"])],
                "more than 2 pages",
            ),
        ];
        for (settings, pages, words) in table {
            let (_, ended) = feed(&settings, &pages);
            assert!(ended.as_ref().is_err_and(|reason| reason.contains(words)), "{ended:?}");
        }
    }

    #[test]
    fn what_was_not_read_is_said() {
        let short = |settings: &PagingSettings, pages: &[Page]| feed(settings, pages).1.unwrap().unwrap_or_default();
        let numbered = settings(Paging::Page(1));
        assert!(
            short(&numbered, &[counted(&["a", "b"], 5), counted(&["c"], 5), counted(&[], 5)])
                .contains("counts 5 rows and gave 3")
        );
        // A row of the first page went: one of the second moved into it, and was not read.
        assert!(short(&numbered, &[counted(&["a", "b"], 4), counted(&["d"], 3), counted(&[], 3)]).contains("counts 4"));
        assert!(
            short(&settings(Paging::Offset), &[page(&["a", "b"]), page(&["c", "d"]), page(&["d"])])
                .contains("while the pages")
        );
        assert!(short(&numbered, &[page(&["a", "b"]), page(&["b"]), page(&[])]).contains("while the pages"));
        // A row came: what was there is all there.
        assert_eq!(short(&numbered, &[counted(&["a", "b"], 3), counted(&["b", "c"], 4), counted(&["d"], 4)]), "");
    }

    #[test]
    fn pages_are_asked_for_in_their_turn() {
        let numbered = settings(Paging::Page(0));
        let mut reader = Reader::new(&numbered);
        assert_eq!(reader.place().page, Some(0));
        reader.take(&page(&["a"])).unwrap();
        assert_eq!(reader.place().page, Some(1));
        let offset = settings(Paging::Offset);
        let mut reader = Reader::new(&offset);
        assert_eq!(reader.place().offset, Some(0));
        reader.take(&page(&["a", "b", "c"])).unwrap();
        assert_eq!(reader.place().offset, Some(2));
        reader.take(&page(&["c", "d", "e"])).unwrap();
        assert_eq!(reader.place().offset, Some(4));
    }
}
