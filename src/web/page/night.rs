//! The night: one row a job, bars for its runs on a time axis, with deadlines and what was not read; and the same for a
//! wall.
//!
//! Jobs of which an alert fires or the last run failed come first, then those that run, then the rest, folded. It reads what
//! is open, and of each source a bounded number of runs in the span that is shown. What was not read, of the source or of
//! the store, is hatched.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::frame::{Page, alert_link, job_link, shown};
use super::lane::{Bar, Due, bar, dues, in_order, last_of, unread_of, usual};
use super::svg::{Axis, Extent, Tick};
use crate::limits::{
    NIGHT_ALERTS_MAX, NIGHT_JOBS_READ_MAX, NIGHT_ROWS_MAX, NIGHT_RUNS_MAX, NIGHT_RUNS_OF_A_JOB_MAX, OWN_GAP_AGE_MAX,
    WEB_REFRESH_EVERY,
};
use crate::model::{Ack, Alert, AlertId, AlertState, Instance, Severity, SourceId, Status};
use crate::store::{AlertAsk, Board as _, Gauges as _, Inquiry as _, OwnAlerts as _, SourceCondition};
use crate::web::fault::Fault;
use crate::web::state::Web;

/// The spans that can be chosen, in hours.
const SPANS: [i64; 4] = [6, 12, 24, 48];

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
    /// Since when runs are shown, where there are too many for all of the span.
    pub(super) cut: Option<Timestamp>,
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
    let hours = asked.hours.filter(|hours| SPANS.contains(hours)).unwrap_or(12);
    let night = gather(web, &p, hours).await?;
    let page = NightPage { p, hours, spans: SPANS, is_wall, night, refresh: WEB_REFRESH_EVERY.as_secs() };
    shown(&page.p, &page)
}

/// A job, while its row is put together.
#[derive(Default)]
struct Lane {
    runs: BTreeMap<String, Instance>,
    alerts: Vec<Alert>,
}

type Key = (SourceId, String);

async fn gather(web: &Web, p: &Page, hours: i64) -> Result<Night, Fault> {
    let ahead = SignedDuration::from_mins(hours * 60 / 8);
    let from = p.minute.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN);
    let axis = Axis { from, until: p.minute.checked_add(ahead).unwrap_or(Timestamp::MAX) };
    let state =
        web.store.own_state(p.now.checked_sub(OWN_GAP_AGE_MAX.max(hours_of(hours))).unwrap_or(Timestamp::MIN)).await?;
    let mut lanes: BTreeMap<Key, Lane> = BTreeMap::new();
    let firing = AlertAsk { state: Some(AlertState::Firing), ..AlertAsk::default() };
    let (firing, _) = p.sight.worst_first(web, firing, NIGHT_ALERTS_MAX).await?;
    let ids: Vec<AlertId> = firing.iter().map(|alert| alert.id.clone()).collect();
    let acks = web.store.acks_of(&ids).await?;
    for alert in firing.iter().filter(|alert| !alert.rule.as_str().starts_with("self/")) {
        let key = (alert.source.clone(), alert.facts.job.name.clone());
        lanes.entry(key).or_default().alerts.push(alert.clone());
    }
    let named: Vec<Key> = lanes.keys().cloned().collect();
    let enter = |lanes: &mut BTreeMap<Key, Lane>, run: Instance| {
        let key = (run.source.clone(), run.job.name.clone());
        lanes.entry(key).or_default().runs.insert(run.id.clone(), run);
    };
    for run in web.store.open_runs(NIGHT_RUNS_MAX).await? {
        enter(&mut lanes, run);
    }
    let (mut unread, mut cut) = (HashMap::new(), None);
    for source in p.in_force.config.sources.iter().filter(|source| p.sight.sees_source(&source.id)) {
        let found = web.store.runs_between(&source.id, (axis.from, axis.until), NIGHT_RUNS_MAX).await?;
        let oldest = found.last().and_then(|run| run.plan_time.or(run.start_time));
        let since = oldest.filter(|_| found.len() == NIGHT_RUNS_MAX);
        let span = web.store.read_span(&source.id, axis.from).await?;
        unread.insert(source.id.clone(), unread_of(&source.id, &state.gaps, (&span, since), (&axis, p.minute)));
        cut = cut.max(since);
        for run in found {
            enter(&mut lanes, run);
        }
    }
    // Runs of jobs that an alert is about may lie outside of what was read so far.
    for (source, job) in named.iter().take(NIGHT_JOBS_READ_MAX) {
        for run in web.store.runs_of(source, job, NIGHT_RUNS_OF_A_JOB_MAX).await? {
            enter(&mut lanes, run);
        }
    }
    // A job is there for the runs that may be seen, or for an alert alone.
    for ((source, job), lane) in &mut lanes {
        if !p.sight.sees_job(source, job) {
            lane.runs.clear();
        }
    }
    lanes.retain(|_, lane| !lane.runs.is_empty() || !lane.alerts.is_empty());
    let by_severity = by_severity(web, p, &lanes).await?;
    let sources = p.in_force.config.sources.iter().filter(|source| p.sight.sees_source(&source.id));
    Ok(Night {
        sources: sources.map(|source| tile(&source.id, &state.sources)).collect(),
        numbers: numbers(&lanes, &by_severity),
        ticks: axis.ticks(&p.zone),
        now_x: axis.x(p.minute),
        groups: groups(p, lanes, &acks, &axis, &unread),
        has_sources: unread.len() > 1,
        cut,
    })
}

fn hours_of(hours: i64) -> std::time::Duration {
    std::time::Duration::from_secs(u64::try_from(hours).unwrap_or(0) * 3600)
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
async fn by_severity(web: &Web, p: &Page, lanes: &BTreeMap<Key, Lane>) -> Result<HashMap<Severity, usize>, Fault> {
    let mut counts = HashMap::new();
    if p.sight.is_whole() {
        for (rule, severity, count) in web.store.gauges(p.now).await?.firing {
            if let Some(severity) = severity.filter(|_| !rule.as_str().starts_with("self/")) {
                *counts.entry(severity).or_default() += usize::try_from(count).unwrap_or(usize::MAX);
            }
        }
    } else {
        for alert in lanes.values().flat_map(|lane| &lane.alerts) {
            *counts.entry(alert.facts.alert.severity).or_default() += 1;
        }
    }
    Ok(counts)
}

fn numbers(lanes: &BTreeMap<Key, Lane>, by_severity: &HashMap<Severity, usize>) -> Vec<Number> {
    let of = |severity| by_severity.get(&severity).copied().unwrap_or(0);
    let runs = |is: fn(Status) -> bool| {
        lanes.values().flat_map(|lane| lane.runs.values()).filter(|run| is(run.status)).count()
    };
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

fn groups(
    p: &Page,
    lanes: BTreeMap<Key, Lane>,
    acks: &HashMap<AlertId, Ack>,
    axis: &Axis,
    unread: &HashMap<SourceId, Vec<Extent>>,
) -> Vec<Group> {
    let (mut failing, mut running, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for (key, lane) in lanes {
        let is_under_way = |run: &Instance| matches!(run.status, Status::Running | Status::RunningException);
        let has_failed = last_of(&in_order(&lane.runs)).is_some_and(|run| run.status.is_failure());
        let place = match () {
            () if !lane.alerts.is_empty() || has_failed => &mut failing,
            () if lane.runs.values().any(is_under_way) => &mut running,
            () => &mut rest,
        };
        place.push((key, lane));
    }
    // The worst first, and of the same the one that has fired longest.
    failing.sort_by_key(|(_, lane)| {
        let worst = lane.alerts.iter().map(|alert| alert.facts.alert.severity).max();
        let since = lane.alerts.iter().map(|alert| alert.facts.alert.starts_at).min();
        (std::cmp::Reverse(worst), since)
    });
    let group = |key, is_folded, lanes: Vec<(Key, Lane)>| {
        let more = lanes.len().saturating_sub(NIGHT_ROWS_MAX);
        let shown = lanes.into_iter().take(NIGHT_ROWS_MAX);
        let rows = shown.map(|(key, lane)| row(p, key, lane, acks, (axis, unread))).collect();
        Group { key, is_folded, rows, more }
    };
    let all = [
        group("web.night.failing", false, failing),
        group("web.night.running", false, running),
        group("web.night.rest", true, rest),
    ];
    all.into_iter().filter(|group| !group.rows.is_empty()).collect()
}

fn row(
    p: &Page,
    (source, job): Key,
    lane: Lane,
    acks: &HashMap<AlertId, Ack>,
    (axis, unread): (&Axis, &HashMap<SourceId, Vec<Extent>>),
) -> Row {
    let worst = lane.alerts.iter().max_by_key(|alert| alert.facts.alert.severity);
    let runs = in_order(&lane.runs);
    let last = last_of(&runs);
    let usual = usual(p, &source, &job, &runs);
    let skip = runs.len().saturating_sub(NIGHT_RUNS_OF_A_JOB_MAX);
    Row {
        link: job_link(source.as_str(), &job),
        severity: worst.map(|alert| alert.facts.alert.severity),
        alert_link: worst.map(|alert| alert_link(alert.id.as_str())),
        since: worst.map(|alert| alert.facts.alert.starts_at),
        taken_by: worst.and_then(|alert| acks.get(&alert.id)).map(|ack| p.plain(&ack.by)),
        status: last.map(|run| run.status),
        status_since: last.and_then(|run| run.end_time.or(run.start_time).or(run.plan_time)),
        bars: runs.iter().skip(skip).filter_map(|run| bar(p, run, usual, axis)).collect(),
        dues: dues(p, &source, &job, axis),
        unread: unread.get(&source).cloned().unwrap_or_default(),
        job: p.plain(&job),
        source: source.to_string(),
    }
}
