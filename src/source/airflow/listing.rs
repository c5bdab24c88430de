//! Listing the runs of all DAGs: a whole window now and then, and in between what has changed since.
//!
//! What changes a run changes its `updated_at`, by which the list can be filtered though it does not show it. So the runs of
//! the last whole listing are kept, and each further one takes in what has changed since the one before began, by the
//! server's own clock and with an overlap. What a run that was deleted leaves behind goes with the next whole listing.
//!
//! Pages follow a cursor where the server has one; older servers ignore that, and are read by offset, each page with the
//! last row of the one before in it, which shows whether rows have moved.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::api::{PAGE_ROWS, get};
use super::connection::Airflow;
use super::kept::changes_since;
use super::record::read_run;
use crate::limits::SOURCE_LISTING_REQUESTS_MAX;
use crate::lock::locked;
use crate::model::{Coverage, Instance, InstanceKey, Part, SetAside, SourceId, Window};
use crate::source::contract::{Listing, SourceError, SourceErrorKind};
use crate::source::kit::Call;
use crate::source::kit::fault::bad_answer;
use crate::source::kit::json::Json;

/// DAGs that are asked for runs of their own where the list of all is empty.
const PROBED: usize = 3;

/// What one list gave.
struct Read {
    runs: Vec<Instance>,
    set_aside: Vec<SetAside>,
    shortfall: Option<String>,
    requests: usize,
    /// When the first page was made, by the server's clock.
    made_at: Option<Timestamp>,
}

/// Reads all runs planned in `window`.
pub(super) async fn read(source: &Airflow, window: Window) -> Result<Listing, SourceError> {
    let now = source.client.clock.now();
    let since = changes_since(&locked(&source.kept), window, now);
    let asked = since.unwrap_or(window.from);
    let mut read = read_list(source, asked).await?;
    if read.shortfall.is_some() {
        let again = read_list(source, asked).await?;
        read = Read { requests: read.requests + again.requests, ..again };
    }
    if since.is_none() && read.runs.is_empty() && read.set_aside.is_empty() {
        read.requests += check_sight(source, window).await?;
    }
    let mut coverage = Coverage::whole(window, source.client.api.settings.scope());
    coverage.set_aside = read.set_aside;
    let (is_whole, made_at) = (read.shortfall.is_none(), read.made_at);
    if let Some(reason) = read.shortfall {
        coverage = coverage.without(Part::AnyRun, reason);
    }
    let mut kept = locked(&source.kept);
    if since.is_none() {
        kept.runs.clear();
        (kept.from, kept.whole_at) = (Some(window.from), is_whole.then_some(now));
    }
    kept.runs.extend(read.runs.into_iter().map(|run| (run.key(), run)));
    if is_whole {
        // The service may have stamped a row by its clock while this one was behind, or ahead.
        kept.read_at = Some(made_at.unwrap_or(now));
    }
    let instances = kept.runs.values().cloned().collect();
    Ok(Listing { requests: read.requests, ..Listing::new(instances, coverage) })
}

/// The list of the runs that have changed since an instant, as far as every page of it asks alike. What was planned in a
/// window has changed since the window began; so has what was planned before it and is made again, or made only now: a
/// backfill's runs have plan times of long ago.
fn list_call(dag: &str, since: Timestamp) -> Call {
    let second = Timestamp::from_second(since.as_second()).unwrap_or(since);
    get(&["dags", dag, "dagRuns"]).query("updated_at_gte", second).query("order_by", "id").query("limit", PAGE_ROWS)
}

/// Where a list goes on.
enum Next {
    Cursor(String),
    Offset(usize),
}

/// A list as far as it is read.
struct Pages {
    next: Next,
    cursors: HashSet<String>,
    /// Rows that were read, those that stand in two pages once.
    read: usize,
    /// How many there are, by the largest count that was told.
    total: Option<u64>,
    /// The last row of the page before.
    last: Option<String>,
    has_moved: bool,
    runs: HashMap<InstanceKey, Instance>,
    set_aside: Vec<SetAside>,
}

impl Pages {
    fn new() -> Pages {
        Pages {
            next: Next::Cursor(String::new()),
            cursors: HashSet::new(),
            read: 0,
            total: None,
            last: None,
            has_moved: false,
            runs: HashMap::new(),
            set_aside: Vec::new(),
        }
    }

    fn call(&self, since: Timestamp) -> Call {
        let call = list_call("~", since);
        match &self.next {
            Next::Cursor(cursor) => call.query("cursor", cursor),
            Next::Offset(offset) => call.query("offset", offset),
        }
    }

    /// Takes in a page; whether it is the last.
    fn take(&mut self, source: &SourceId, json: &Json) -> Result<bool, SourceError> {
        let root = json.root();
        let rows = root.list("/dag_runs").map_err(bad_answer)?;
        let counted = root.find("/total_entries").and_then(|spot| spot.count());
        self.total = self.total.max(counted);
        let overlap = usize::from(matches!(self.next, Next::Offset(offset) if offset > 0));
        for (index, row) in rows.iter().enumerate() {
            let name = match read_run(source, row) {
                Ok(run) => {
                    let name = format!("{}/{}", run.job.name, run.id);
                    self.runs.insert(run.key(), run);
                    name
                }
                Err(aside) => {
                    let name = aside.snippet.clone();
                    self.set_aside.push(aside);
                    name
                }
            };
            // The first row of a page by offset is the last one of the page before, unless rows have moved.
            self.has_moved |= index == 0 && overlap > 0 && self.last.as_ref() != Some(&name);
            self.last = Some(name);
        }
        self.read += rows.len().saturating_sub(overlap);
        match (root.find("/next_cursor").and_then(|spot| spot.text()), root.has("next_cursor")) {
            (Some(cursor), _) => {
                let cursor = cursor.into_owned();
                if !self.cursors.insert(cursor.clone()) {
                    return Err(bad_answer("the list leads back to a page that was read"));
                }
                self.next = Next::Cursor(cursor);
                Ok(false)
            }
            (None, true) => Ok(true),
            // A server without cursors, which counts its rows.
            (None, false) => {
                self.next = Next::Offset(self.read.saturating_sub(1));
                Ok(rows.len() <= overlap || counted.is_some_and(|counted| self.read as u64 >= counted))
            }
        }
    }

    /// Why it may not be whole.
    fn shortfall(&self) -> Option<String> {
        let is_counted = matches!(self.next, Next::Offset(_));
        let short = self.total.filter(|total| is_counted && (self.read as u64) < *total);
        let moved = || self.has_moved.then(|| "runs came or went while the pages were read".to_string());
        short.map(|total| format!("the list counts {total} runs and gave {}", self.read)).or_else(moved)
    }
}

async fn read_list(source: &Airflow, since: Timestamp) -> Result<Read, SourceError> {
    let (mut pages, mut made_at) = (Pages::new(), None);
    for requests in 1..=SOURCE_LISTING_REQUESTS_MAX {
        let json = source.ask(&pages.call(since)).await?;
        made_at = made_at.or_else(|| source.client.server_time());
        if !pages.take(&source.id, &json)? {
            continue;
        }
        let wanted = source.client.api.settings.wanted();
        let shortfall = pages.shortfall();
        let Pages { runs, mut set_aside, .. } = pages;
        set_aside.retain(|aside| aside.job.as_deref().is_none_or(|job| wanted.takes(job)));
        let runs = runs.into_values().filter(|run| wanted.takes(&run.job.name)).collect();
        return Ok(Read { runs, set_aside, shortfall, requests, made_at });
    }
    let many = bad_answer(format!("the list has more than {SOURCE_LISTING_REQUESTS_MAX} pages"));
    Err(many.help("a shorter \"lookback\" makes it shorter"))
}

/// Whether an empty list means that nothing ran: an account that may not see the DAGs gets one too, and some versions give
/// it to an account that may see some of them. Returns the requests that took.
async fn check_sight(source: &Airflow, window: Window) -> Result<usize, SourceError> {
    let unseen = |message: String| {
        SourceError::new(SourceErrorKind::Credentials, message).help(
            "let the user read all DAGs and their runs (the role Viewer can); without the right, the lists are empty",
        )
    };
    let json = source.ask(&get(&["dags"]).query("limit", PAGE_ROWS).query("paused", "false")).await?;
    let dags = json.root().list("/dags").map_err(bad_answer)?;
    let wanted = source.client.api.settings.wanted();
    let dags: Vec<String> = dags
        .iter()
        .filter_map(|dag| Some(dag.find("/dag_id")?.id()?.into_owned()))
        .filter(|dag| wanted.takes(dag))
        .collect();
    let mut requests = 1;
    if dags.is_empty() {
        // All of them may be paused.
        let json = source.ask(&get(&["dags"]).query("limit", 1)).await?;
        let is_blind = json.root().list("/dags").map_err(bad_answer)?.is_empty();
        return if is_blind { Err(unseen("the account sees no DAG".to_string())) } else { Ok(requests + 1) };
    }
    for dag in dags.iter().take(PROBED) {
        requests += 1;
        let json = source.ask(&list_call(dag, window.from)).await?;
        if !json.root().list("/dag_runs").map_err(bad_answer)?.is_empty() {
            return Err(unseen(format!("the list of all runs is empty, though the DAG {dag} has some")));
        }
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_asked_for_in_whole_seconds_and_utc() {
        let call = list_call("~", "2026-11-20T00:00:00.7Z".parse().unwrap());
        let value = |key: &str| call.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        assert_eq!(value("updated_at_gte"), Some("2026-11-20T00:00:00Z"));
        assert_eq!((value("order_by"), value("limit")), (Some("id"), Some("100")));
    }
}
