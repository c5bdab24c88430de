//! Listing the runs of a window: day by day where the scheduler is asked so, page by page, each run once.
//!
//! A list that comes out shorter than it counts, or whose rows moved while it was read, is read once more; what is still
//! short then is said to be unread.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::api::{Purpose, bad};
use super::connection::{Answer, HttpSource};
use super::fill::Values;
use super::map::{Run, RunMap};
use super::pages::{Mark, Page, Paging, Reader};
use super::settings::{Items, ListSettings};
use crate::model::{Coverage, Part, SetAside, Window};
use crate::source::contract::{Listing, SourceError};
use crate::source::kit::json::Spot;

/// How long names of jobs are believed before they are read again.
const NAMES_AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// Days of one window at most: the longest window has seven.
const DAYS_MAX: usize = 40;

/// What a list gave.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) runs: Vec<Run>,
    pub(super) set_aside: Vec<SetAside>,
    pub(super) shortfall: Option<String>,
    pub(super) requests: usize,
}

/// Reads all runs of `window`.
pub(super) async fn read(source: &HttpSource, window: Window) -> Result<Listing, SourceError> {
    let list = &source.settings().list;
    let mut listed = Listed::default();
    for values in questions(source, window) {
        let mut one = read_list(source, window, &values).await?;
        if one.shortfall.is_some() {
            let again = read_list(source, window, &values).await?;
            one = Listed { requests: one.requests + again.requests, ..again };
        }
        listed.requests += one.requests;
        listed.runs.append(&mut one.runs);
        listed.set_aside.append(&mut one.set_aside);
        listed.shortfall = listed.shortfall.or(one.shortfall);
    }
    if !list.has_window() {
        listed.runs.retain(|run| !is_before(run, window.from));
    }
    let (requests, unnamed) = name_jobs(source, &mut listed.runs).await?;
    listed.set_aside.extend(unnamed);
    Ok(listing_of(source, listed, window, requests))
}

/// What was read, as a listing.
fn listing_of(source: &HttpSource, listed: Listed, window: Window, requests: usize) -> Listing {
    let Listed { runs, set_aside, shortfall, requests: listing_requests } = listed;
    let mut coverage = Coverage::whole(window, source.settings().scope());
    coverage.set_aside = set_aside;
    if let Some(reason) = shortfall {
        coverage = coverage.without(Part::AnyRun, reason);
    }
    // The later page was read later: of a run that stands in two, what it says holds.
    let mut latest: BTreeMap<String, Run> = BTreeMap::new();
    for run in runs {
        latest.insert(run.whole_id(), run);
    }
    // What is odd in the same way is said once.
    let mut said = BTreeSet::new();
    for run in latest.values() {
        for doubt in run.doubts.iter().filter(|doubt| said.insert((*doubt).clone())) {
            let snippet = format!("run {} of {}", run.whole_id(), run.job);
            let (reason, job) = (doubt.clone(), Some(run.job.clone()));
            coverage.set_aside.push(SetAside { reason, snippet, job, at: String::new() });
        }
    }
    source.remember(latest.values());
    let instances = latest.into_values().map(|run| source.instance(run)).collect();
    Listing { requests: requests + listing_requests, ..Listing::new(instances, coverage) }
}

/// What is filled in, once for each list that is read: one, or one for each day that the window touches.
pub(super) fn questions(source: &HttpSource, window: Window) -> Vec<Values> {
    let settings = source.settings();
    let zone = settings.timezone.clone().unwrap_or(TimeZone::UTC);
    let values = Values { from: Some(window.from), to: Some(window.to), zone: Some(zone.clone()), ..Values::default() };
    if !settings.list.goes_by_day() {
        return vec![values];
    }
    let beginning = |instant: Timestamp| instant.to_zoned(zone.clone()).start_of_day().ok();
    let mut days = Vec::new();
    let mut day = beginning(window.from);
    while let Some(start) = day.filter(|start| start.timestamp() <= window.to && days.len() < DAYS_MAX) {
        let before = start.timestamp().checked_sub(SignedDuration::from_secs(1)).ok().and_then(beginning);
        days.push(Values {
            day: Some(start.timestamp()),
            day_before: before.map(|before| before.timestamp()),
            ..values.clone()
        });
        day = start.tomorrow().ok().and_then(|next| next.start_of_day().ok());
    }
    days
}

/// Reads one list to its end.
async fn read_list(source: &HttpSource, window: Window, values: &Values) -> Result<Listed, SourceError> {
    let settings = source.settings();
    let mut listed = Listed::default();
    let mut reader = Reader::new(&settings.list.paging);
    loop {
        let answer = ask_page(source, &settings.list, &reader, values).await?;
        listed.requests += 1;
        let (page, runs, mut set_aside) = read_page(&answer, &settings.list, &settings.map, window)?;
        listed.runs.extend(runs);
        listed.set_aside.append(&mut set_aside);
        if !reader.take(&page).map_err(paging_trouble)? {
            break;
        }
    }
    listed.shortfall = reader.shortfall();
    Ok(listed)
}

pub(super) fn paging_trouble(reason: String) -> SourceError {
    bad(reason).help("check \"paging\": where the next page is given, and \"max_pages\"")
}

/// Asks for the page at which a reader is.
pub(super) async fn ask_page(
    source: &HttpSource,
    list: &ListSettings,
    reader: &Reader<'_>,
    values: &Values,
) -> Result<Answer, SourceError> {
    let place = reader.place();
    let values = Values { page: place.page, offset: place.offset, cursor: place.cursor.clone(), ..values.clone() };
    source.ask(&list.request, &values, place.link.as_deref(), Purpose::List).await
}

/// The rows of an answer.
pub(super) fn rows<'a>(root: &Spot<'a>, items: &Items) -> Result<Vec<Spot<'a>>, SourceError> {
    match items.pointer.find(root) {
        Some(_) => items.pointer.list(root).map_err(bad),
        None if items.is_optional => Ok(Vec::new()),
        None => {
            let help = "check \"items\"; where an empty list is left out, write items: { pointer: …, optional: true }";
            Err(bad(format!("there is no list at {}", items.pointer)).help(help))
        }
    }
}

/// What a page says of its list.
pub(super) fn page_of(root: &Spot<'_>, rows: &[Spot<'_>], answer: &Answer, list: &ListSettings) -> Page {
    let paging = &list.paging;
    let next = match &paging.paging {
        Paging::Cursor(Mark::Answer(pointer)) | Paging::Link(Some(pointer)) => pointer.word(root),
        Paging::Cursor(Mark::LastRow(pointer)) => rows.last().and_then(|row| pointer.word(row)),
        _ => None,
    };
    let next = next.map(std::borrow::Cow::into_owned);
    Page {
        rows: Vec::new(),
        total: paging.total.as_ref().and_then(|pointer| pointer.find(root)?.count()),
        more: paging.more.as_ref().and_then(|pointer| pointer.word(root)).map(|word| word == "true"),
        next: if paging.paging == Paging::Link(None) { answer.link.clone() } else { next },
        is_older: false,
    }
}

type PageRead = (Page, Vec<Run>, Vec<SetAside>);

/// Reads a page of runs.
pub(super) fn read_page(
    answer: &Answer,
    list: &ListSettings,
    map: &RunMap,
    window: Window,
) -> Result<PageRead, SourceError> {
    let json = answer.json()?;
    let root = json.root();
    let rows = rows(&root, &list.items)?;
    let mut page = page_of(&root, &rows, answer, list);
    let (mut runs, mut set_aside) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in &rows {
        match map.read(row) {
            Ok(run) => {
                page.rows.push(run.whole_id());
                runs.push(run);
            }
            Err(aside) => {
                // It counts as a row that was read, under what of it can be told.
                page.rows.push(format!("?{}", aside.snippet));
                set_aside.push(aside);
            }
        }
    }
    page.is_older = set_aside.is_empty() && runs.iter().all(|run| is_before(run, window.from));
    Ok((page, runs, set_aside))
}

/// Whether a run was over before an instant, as far as its times tell.
fn is_before(run: &Run, from: Timestamp) -> bool {
    let last = [run.planned, run.started, run.ended].into_iter().flatten().max();
    run.status.has_ended() && last.is_some_and(|last| last < from)
}

/// Gives the runs the names of their jobs, where those stand in a list of their own. What is not in it keeps its id for
/// a name: a job that was removed still has runs. Returns the requests that took. Where the list of names is not whole, one
/// of those runs is set aside: it may be of any job.
async fn name_jobs(source: &HttpSource, runs: &mut [Run]) -> Result<(usize, Option<SetAside>), SourceError> {
    if source.settings().jobs.is_none() {
        return Ok((0, None));
    }
    let now = source.client.clock.now();
    let is_known = {
        let state = source.state();
        let is_young = state.names_read_at.is_some_and(|at| now.duration_since(at).unsigned_abs() < NAMES_AGE_MAX);
        is_young && runs.iter().all(|run| state.names.contains_key(&run.job))
    };
    let mut requests = 0;
    if !is_known && !runs.is_empty() {
        let Names { names, shortfall, requests: count } = read_names(source).await?;
        requests = count;
        let mut state = source.state();
        (state.names, state.names_read_at, state.names_shortfall) = (names, Some(now), shortfall);
    }
    let state = source.state();
    let mut unnamed = None;
    for run in runs {
        let name = state.names.get(&run.job).cloned();
        if let (None, None, Some(reason)) = (&name, &unnamed, &state.names_shortfall) {
            let (reason, snippet) = (format!("the list of jobs is not whole: {reason}"), format!("job {}", run.job));
            unnamed = Some(SetAside { reason, snippet, job: None, at: String::new() });
        }
        let id = run.job.clone();
        run.job = name.unwrap_or_else(|| id.clone());
        run.job_id = run.job_id.take().or(Some(id));
    }
    Ok((requests, unnamed))
}

/// The names of all jobs, by id.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) names: HashMap<String, String>,
    /// Why there may be others.
    pub(super) shortfall: Option<String>,
    /// The requests that took.
    pub(super) requests: usize,
}

/// Reads the names of all jobs.
pub(super) async fn read_names(source: &HttpSource) -> Result<Names, SourceError> {
    let Some((list, id, name)) = &source.settings().jobs else { return Ok(Names::default()) };
    let (mut names, mut requests) = (HashMap::new(), 0);
    let mut reader = Reader::new(&list.paging);
    loop {
        let answer = ask_page(source, list, &reader, &Values::default()).await?;
        requests += 1;
        let json = answer.json()?;
        let root = json.root();
        let rows = rows(&root, &list.items)?;
        let mut page = page_of(&root, &rows, &answer, list);
        for row in &rows {
            let Some((id, name)) = id.text(row).zip(name.text(row)) else {
                return Err(bad(format!("a job has no id at {} or no name at {}", id.place(), name.place())));
            };
            page.rows.push(id.clone());
            names.insert(id, name);
        }
        if !reader.take(&page).map_err(paging_trouble)? {
            return Ok(Names { names, shortfall: reader.shortfall(), requests });
        }
    }
}
