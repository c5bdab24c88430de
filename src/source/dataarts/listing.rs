//! Reading the instances of a window, and one of them with its nodes.
//!
//! Reads the network through the workspace's connection. It knows queries and pages, and nothing of what rules want.

use std::time::Duration;

use super::answer::{Item, read_detail, read_page};
use super::workspace::{DataArts, SPAN_DAYS, SPANS_DAYS};
use crate::alert::failing_nodes;
use crate::limits::SOURCE_PAGE_RECORDS;
use crate::model::{Coverage, Instance, Part, Status, Window};
use crate::source::contract::{Detail, Listing, LogEnd, SourceError, SourceErrorKind};
use crate::source::kit::fault::bad_answer;
use crate::source::kit::paging::{Limits, Meaning, Page, PageQuery, Whole, read_all};
use crate::source::kit::{Call, excerpt};

impl DataArts {
    /// Every instance planned in `window`.
    pub(super) async fn listed(&self, window: Window) -> Result<Listing, SourceError> {
        if self.jobs.is_empty() {
            return self.list_of(None, window).await;
        }
        let mut listing = Listing::new(Vec::new(), Coverage::whole(window, self.jobs.join(",")));
        let mut refused = Vec::new();
        for job in &self.jobs {
            let mut part = match self.list_of(Some(job), window).await {
                Ok(part) => part,
                // A service may answer an error for a name that it does not know: the others are read all the same.
                Err(error) if matches!(error.kind, SourceErrorKind::NotFound | SourceErrorKind::Configuration) => {
                    refused.push((job, error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            // A service of the older dialect takes the name for a part of a name.
            part.instances.retain(|instance| instance.job.name == *job);
            listing.instances.append(&mut part.instances);
            listing.coverage.join(part.coverage);
            listing.requests += part.requests;
        }
        let none_is_read = refused.len() == self.jobs.len();
        for (job, error) in refused {
            let reason = format!("the job {job:?} that \"jobs\" names could not be read: {}", error.message);
            if none_is_read {
                return Err(SourceError { message: reason, ..error });
            }
            listing.coverage = listing.coverage.without(Part::Job(job.clone()), reason);
        }
        Ok(listing)
    }

    /// An instance with its nodes, and of a run that failed where the log of the failing node is.
    pub(super) async fn detailed(&self, instance: &Instance) -> Result<Detail, SourceError> {
        let call = Call::get(&["jobs", &instance.job.name, "instances", &instance.id]);
        let mut detail = read_detail(instance, &self.client.body(&call).await?).map_err(bad_answer)?;
        let is_failure = matches!(detail.instance.status, Status::Fail | Status::RunningException);
        if self.logs.is_some() && is_failure {
            detail.log = failing_nodes(&detail.nodes).into_iter().find_map(|node| node.log_path);
        }
        Ok(detail)
    }

    /// The error with the end of the failing node's log under it, as far as it can be had.
    pub(super) async fn error_with_log(&self, error: Option<&str>, path: &str) -> Option<LogEnd> {
        let logs = self.logs.as_ref()?;
        let lines = logs.tail(&self.id, path).await;
        if lines.is_empty() {
            return None;
        }
        let error = excerpt::with_tail(error, &lines, logs.lines())?;
        Some(LogEnd { error, tail: excerpt::tail(&lines, logs.lines()) })
    }

    /// A page of the instance list, of all jobs or of the one that is named.
    async fn page(&self, job: Option<&str>, query: PageQuery) -> Result<Page<Item>, SourceError> {
        // The documents say "later than" and "earlier than": a millisecond more on both sides asks for what is meant
        // whether the ends are included or not.
        let min = query.window.from.as_millisecond().saturating_sub(1);
        let max = query.window.to.as_millisecond().saturating_add(1);
        let call = Call::get(&["jobs", "instances", "detail"])
            .query("limit", query.limit)
            .query("maxPlanTime", max)
            .query("minPlanTime", min)
            .query("offset", query.offset);
        let call = match job {
            Some(job) => call.query("jobName", job).query("preciseQuery", true),
            None => call,
        };
        read_page(&self.id, &self.client.body(&call).await?).map_err(bad_answer)
    }

    async fn list_of(&self, job: Option<&str>, window: Window) -> Result<Listing, SourceError> {
        let mut meaning = *self.meaning();
        let whole = self.read_whole(job, window, &mut meaning).await?;
        if *self.meaning() != meaning {
            tracing::debug!(source = %self.id, ?meaning, "learnt what offsets count");
            *self.meaning() = meaning;
        }
        let mut coverage = Coverage::whole(window, self.jobs.join(","));
        if let Some(reason) = whole.shortfall {
            coverage = match job {
                Some(job) => coverage.without(Part::Job(job.to_string()), format!("{job}: {reason}")),
                None => coverage.without(Part::AnyRun, reason),
            };
        }
        let mut listing = Listing { requests: whole.requests, ..Listing::new(Vec::new(), coverage) };
        listing.instances.reserve(whole.rows.len());
        for item in whole.rows {
            match item {
                Item::Read(instance) => listing.instances.push(instance),
                Item::SetAside(item) => listing.coverage.set_aside.push(item),
            }
        }
        Ok(listing)
    }

    /// Every row of the window. Some services accept shorter spans only, and say no more than that a parameter is wrong: a
    /// window that is refused is asked for in shorter parts, and what works is learnt.
    async fn read_whole(
        &self,
        job: Option<&str>,
        window: Window,
        meaning: &mut Option<Meaning>,
    ) -> Result<Whole<Item>, SourceError> {
        let fetch = |query| self.page(job, query);
        let longest = Limits { span_max: self.query_span_max(), page_max: SOURCE_PAGE_RECORDS };
        let refusal = match read_all(window, longest, meaning, fetch).await {
            Err(error) if error.kind == SourceErrorKind::Configuration => error,
            other => return other,
        };
        let asked = window.to.duration_since(window.from).unsigned_abs().min(longest.span_max);
        for days in SPANS_DAYS {
            let span = Duration::from_secs(days * 24 * 3600);
            // A span that is as long as the window is asked for in two parts: each query reaches a millisecond further.
            if span > asked || span >= longest.span_max {
                continue;
            }
            if let Ok(whole) = read_all(window, Limits { span_max: span, ..longest }, meaning, fetch).await {
                self.remember(SPAN_DAYS, &days.to_string());
                return Ok(whole);
            }
        }
        Err(refusal)
    }
}
