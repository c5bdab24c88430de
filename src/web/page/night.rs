//! The night: one row a job, bars for its runs on a time axis, with deadlines and what was not read; and the same for a
//! wall.
//!
//! Jobs of which an alert fires or the last run failed come first, then those that run, then the rest, folded. What was not
//! read, of the source or of the store, is hatched.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::frame::{Page, alert_link, job_link, shown};
use super::lane::{Bar, Due, bar, dues};
use super::svg::{Axis, Extent, Tick};
use crate::limits::{
    NIGHT_ALERTS_MAX, NIGHT_HOURS, NIGHT_HOURS_MAX, NIGHT_ROWS_MAX, NIGHT_RUNS_MAX, WEB_REFRESH_EVERY,
};
use crate::model::{Ack, AlertId, Severity, SourceId, Status};
use crate::store::{Counts as _, SourceCondition};
use crate::web::fault::Fault;
use crate::web::night::{Between, Lane, Night as Known, Urgency, gather, span_of};
use crate::web::state::Web;

/// The spans that can be chosen, in hours.
const SPANS: [i64; 4] = [6, NIGHT_HOURS, 24, NIGHT_HOURS_MAX];

/// What can be asked of the page.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct Asked {
    /// How many hours back.
    hours: Option<i64>,
}

#[derive(Template)]
#[template(path = "web/night.html")]
struct NightPage {
    p: Page,
    hours: i64,
    spans: [i64; 4],
    is_wall: bool,
    night: Night,
    /// After how many seconds a browser without a script asks for it anew.
    refresh: u64,
}

/// What is shown.
pub(super) struct Night {
    pub(super) sources: Vec<Tile>,
    pub(super) numbers: Vec<Number>,
    pub(super) ticks: Vec<Tick>,
    pub(super) now_x: String,
    pub(super) groups: Vec<Group>,
    /// What there is too much of to be on one page, in words.
    pub(super) cut: Vec<String>,
    /// Whether a name says nothing without its source's.
    pub(super) has_sources: bool,
}

/// How a source fares.
pub(super) struct Tile {
    pub(super) id: String,
    pub(super) mark: &'static str,
    pub(super) read_until: Option<Timestamp>,
    pub(super) polled_at: Option<Timestamp>,
    pub(super) unknown_since: Option<Timestamp>,
    pub(super) error: Option<String>,
}

/// How many there are of something.
pub(super) struct Number {
    pub(super) class: &'static str,
    pub(super) count: usize,
    pub(super) key: &'static str,
}

/// Rows of one kind.
pub(super) struct Group {
    pub(super) key: &'static str,
    pub(super) is_folded: bool,
    pub(super) rows: Vec<Row>,
    pub(super) more: usize,
}

/// One job.
pub(super) struct Row {
    pub(super) job: String,
    pub(super) source: String,
    pub(super) link: String,
    pub(super) severity: Option<Severity>,
    pub(super) alert_link: Option<String>,
    pub(super) since: Option<Timestamp>,
    /// Who is on the alert.
    pub(super) taken_by: Option<String>,
    pub(super) status: Option<Status>,
    pub(super) status_since: Option<Timestamp>,
    pub(super) bars: Vec<Bar>,
    pub(super) dues: Vec<Due>,
    pub(super) unread: Vec<Extent>,
}

/// `GET /`.
pub(in crate::web) async fn night(
    State(web): State<Web>,
    Query(asked): Query<Asked>,
    p: Page,
) -> Result<Response, Fault> {
    show(&web, asked, p, false).await
}

/// `GET /wall`: the same for a screen that nobody touches.
pub(in crate::web) async fn wall(
    State(web): State<Web>,
    Query(asked): Query<Asked>,
    p: Page,
) -> Result<Response, Fault> {
    show(&web, asked, p, true).await
}

async fn show(web: &Web, asked: Asked, p: Page, is_wall: bool) -> Result<Response, Fault> {
    let hours = asked.hours.filter(|hours| SPANS.contains(hours)).unwrap_or(NIGHT_HOURS);
    let night = gathered(web, &p, hours).await?;
    let page = NightPage { p, hours, spans: SPANS, is_wall, night, refresh: WEB_REFRESH_EVERY.as_secs() };
    shown(&page.p, &page)
}

async fn gathered(web: &Web, p: &Page, hours: i64) -> Result<Night, Fault> {
    let (from, until) = span_of(p.minute, hours);
    let axis = Axis { from, until };
    let night = gather(web, &p.sight, (from, until), (p.now, p.minute)).await?;
    let by_severity = by_severity(web, p, &night.lanes).await?;
    let sources = p.in_force.config.sources.iter().filter(|source| p.sight.sees_source(&source.id));
    Ok(Night {
        sources: sources.map(|source| tile(&source.id, &night.sources)).collect(),
        numbers: numbers(&night.lanes, &by_severity),
        ticks: axis.ticks(&p.zone),
        now_x: axis.x(p.minute),
        groups: groups(p, &night, &axis),
        has_sources: night.unread.len() > 1,
        cut: cut(p, &night),
    })
}

/// What there is too much of to be on one page.
fn cut(p: &Page, night: &Known) -> Vec<String> {
    let since = night.cut.map(|since| p.say_with("web.night.cut", "at", p.clock(&since)));
    let alerts = night.is_worst_only.then(|| p.say_with("web.night.worst", "n", NIGHT_ALERTS_MAX));
    let runs = night.has_more_open.then(|| p.say_with("web.night.open", "n", NIGHT_RUNS_MAX));
    since.into_iter().chain(alerts).chain(runs).collect()
}

fn tile(id: &SourceId, conditions: &[SourceCondition]) -> Tile {
    let condition = conditions.iter().find(|condition| condition.id == *id);
    let unreadable = condition.and_then(|condition| condition.unreadable.clone());
    let incomplete = condition.and_then(|condition| condition.incomplete.clone());
    let mark = match (condition, &unreadable, &incomplete) {
        (None, ..) => "none",
        (_, Some(_), _) => "bad",
        (_, None, Some(_)) => "warn",
        _ => "",
    };
    Tile {
        id: id.to_string(),
        mark,
        read_until: condition.and_then(|condition| condition.read_until),
        polled_at: condition.map(|condition| condition.polled_at),
        unknown_since: unreadable.as_ref().map(|(since, _)| *since),
        error: unreadable.map(|(_, why)| why).or(incomplete),
    }
}

/// How many alerts about jobs fire, by severity: all of them where all may be seen, otherwise those that are shown.
async fn by_severity(web: &Web, p: &Page, lanes: &[Lane]) -> Result<HashMap<Severity, usize>, Fault> {
    let mut counts = HashMap::new();
    if p.sight.is_whole() {
        for (rule, severity, count) in web.store.firing_counts().await? {
            if let Some(severity) = severity.filter(|_| !rule.as_str().starts_with("self/")) {
                *counts.entry(severity).or_default() += usize::try_from(count).unwrap_or(usize::MAX);
            }
        }
    } else {
        for alert in lanes.iter().flat_map(|lane| &lane.alerts) {
            *counts.entry(alert.facts.alert.severity).or_default() += 1;
        }
    }
    Ok(counts)
}

fn numbers(lanes: &[Lane], by_severity: &HashMap<Severity, usize>) -> Vec<Number> {
    let of = |severity| by_severity.get(&severity).copied().unwrap_or(0);
    let runs = |is: fn(Status) -> bool| lanes.iter().flat_map(|lane| &lane.runs).filter(|run| is(run.status)).count();
    let running = runs(|status| matches!(status, Status::Running | Status::RunningException));
    let done = runs(|status| matches!(status, Status::Success | Status::ForcedSuccess));
    let all = [
        Number { class: "critical", count: of(Severity::Critical), key: "web.number.critical" },
        Number { class: "error", count: of(Severity::Error), key: "web.number.error" },
        Number { class: "warning", count: of(Severity::Warning), key: "web.number.warning" },
        Number { class: "info", count: of(Severity::Info), key: "web.number.info" },
        Number { class: "", count: running, key: "web.number.running" },
        Number { class: "ok", count: done, key: "web.number.done" },
    ];
    all.into_iter().filter(|number| number.count > 0).collect()
}

fn groups(p: &Page, night: &Known, axis: &Axis) -> Vec<Group> {
    let unread = |spans: &Vec<Between>| spans.iter().map(|(from, until)| axis.extent(*from, *until)).collect();
    let unread: HashMap<&SourceId, Vec<Extent>> =
        night.unread.iter().map(|(source, spans)| (source, unread(spans))).collect();
    let group = |urgency: Urgency| {
        let lanes: Vec<&Lane> = night.lanes.iter().filter(|lane| lane.urgency == urgency).collect();
        let rows = lanes.iter().take(NIGHT_ROWS_MAX).map(|lane| {
            let unread = unread.get(&lane.source).cloned().unwrap_or_default();
            row(p, lane, unread, &night.acks, axis)
        });
        let key = match urgency {
            Urgency::Failing => "web.night.failing",
            Urgency::Running => "web.night.running",
            Urgency::Rest => "web.night.rest",
        };
        let more = lanes.len().saturating_sub(NIGHT_ROWS_MAX);
        Group { key, is_folded: urgency == Urgency::Rest, rows: rows.collect(), more }
    };
    let all = [Urgency::Failing, Urgency::Running, Urgency::Rest].map(group);
    all.into_iter().filter(|group| !group.rows.is_empty()).collect()
}

fn row(p: &Page, lane: &Lane, unread: Vec<Extent>, acks: &HashMap<AlertId, Ack>, axis: &Axis) -> Row {
    let (worst, last, usual) = (lane.worst(), lane.last(), lane.usual(&p.sight));
    Row {
        link: job_link(lane.source.as_str(), &lane.job),
        severity: worst.map(|alert| alert.facts.alert.severity),
        alert_link: worst.map(|alert| alert_link(alert.id.as_str())),
        since: worst.map(|alert| alert.facts.alert.starts_at),
        taken_by: worst.and_then(|alert| acks.get(&alert.id)).map(|ack| p.plain(&ack.by)),
        status: last.map(|run| run.status),
        status_since: last.and_then(|run| run.end_time.or(run.start_time).or(run.plan_time)),
        bars: lane.last_runs().iter().filter_map(|run| bar(p, run, usual, axis)).collect(),
        dues: dues(p, lane, axis),
        unread,
        job: p.plain(&lane.job),
        source: lane.source.to_string(),
    }
}
