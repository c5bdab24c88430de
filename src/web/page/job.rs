//! The list of jobs, and one job: how long its runs took against what is usual and what rules allow, how each day went,
//! and which rules mean it.

use std::time::Duration;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::alerts;
use super::frame::{Page, encoded, job_link, run_link, shown};
use super::svg::percent;
use crate::limits::{EXPLAINED_ALERTS_MAX, EXPLAINED_RUNS_MAX, HISTORY_RUNS_MAX, PAGE_ROWS};
use crate::model::{Instance, SourceId};
use crate::rule::{Rule, Trigger};
use crate::store::Inquiry as _;
use crate::web::calendar::{self, Day};
use crate::web::durations::Durations;
use crate::web::fault::Fault;
use crate::web::state::Web;

#[derive(Debug, Deserialize)]
pub(in crate::web) struct Asked {
    source: Option<String>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "web/jobs.html")]
struct JobsPage {
    p: Page,
    sources: Vec<String>,
    source: String,
    rows: Vec<JobRow>,
    next: Option<String>,
}

struct JobRow {
    name: String,
    link: String,
    last: Option<RunRow>,
}

/// A run in a list.
pub(super) struct RunRow {
    pub(super) id: String,
    pub(super) link: String,
    pub(super) status: &'static str,
    pub(super) plan: Option<Timestamp>,
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) lasted: String,
}

/// The row of a run.
pub(super) fn run_row(p: &Page, run: &Instance) -> RunRow {
    RunRow {
        id: p.plain(&run.id),
        link: run_link(run.source.as_str(), &run.job.name, &run.id),
        status: run.status.as_str(),
        plan: run.plan_time,
        start: run.start_time,
        end: run.end_time,
        lasted: p.run_lasted(run).unwrap_or_default(),
    }
}

/// `GET /jobs`.
pub(in crate::web) async fn jobs(
    State(web): State<Web>,
    Query(asked): Query<Asked>,
    p: Page,
) -> Result<Response, Fault> {
    let seen = p.in_force.config.sources.iter().filter(|source| p.sight.sees_source(&source.id));
    let sources: Vec<String> = seen.map(|source| source.id.to_string()).collect();
    let source = asked.source.or_else(|| sources.first().cloned()).unwrap_or_default();
    let id = SourceId::new(&source);
    let (names, next) = p.sight.jobs(&web, &id, &asked.after.unwrap_or_default(), PAGE_ROWS).await?;
    let next = next.map(|last| format!("/jobs?source={}&after={}", encoded(&source), encoded(&last)));
    let mut rows = Vec::with_capacity(names.len());
    for name in names {
        let last = web.store.runs_of(&id, &name, 1).await?;
        let last = last.first().map(|run| run_row(&p, run));
        rows.push(JobRow { link: job_link(&source, &name), name: p.plain(&name), last });
    }
    let page = JobsPage { p, sources, source, rows, next };
    shown(&page.p, &page)
}

#[derive(Template)]
#[template(path = "web/job.html")]
struct JobPage {
    p: Page,
    name: String,
    source: String,
    explain_link: String,
    chart: Option<Chart>,
    days: Vec<Cell>,
    rules: Vec<(String, &'static str, String)>,
    runs: Vec<RunRow>,
    alerts: Vec<alerts::Row>,
}

/// One day of the calendar.
struct Cell {
    label: String,
    title: String,
    class: &'static str,
    text: String,
}

fn cell(p: &Page, day: &Day) -> Cell {
    let text = match (day.went.well, day.went.badly) {
        (0, 0) => String::new(),
        (well, 0) => format!("✓ {well}"),
        (0, badly) => format!("✗ {badly}"),
        (well, badly) => format!("✓ {well} ✗ {badly}"),
    };
    Cell {
        label: day.date.strftime("%-m/%-d").to_string(),
        title: format!("{}: {} {text}", day.date, p.say(&format!("web.day.{}", day.class))),
        class: day.class,
        text,
    }
}

/// How long runs took.
struct Chart {
    bars: Vec<ChartBar>,
    band: Option<(String, String)>,
    median: Option<(String, String)>,
    /// A line for each limit, with what it says.
    limits: Vec<(String, String)>,
    /// All limits in a few words.
    allowed: Option<String>,
    longest: String,
    from: String,
    to: String,
}

struct ChartBar {
    x: String,
    y: String,
    width: String,
    height: String,
    status: &'static str,
    link: String,
    title: String,
}

/// `GET /jobs/{source}/{job}`.
pub(in crate::web) async fn job(
    State(web): State<Web>,
    Path((source, job)): Path<(String, String)>,
    p: Page,
) -> Result<Response, Fault> {
    let id = SourceId::new(&source);
    if !p.sight.sees_job(&id, &job) {
        return Err(Fault::not_found());
    }
    let mut found = web.store.alerts_about(&id, &job, EXPLAINED_ALERTS_MAX).await?;
    found.retain(|alert| p.sight.sees(alert));
    let runs = web.store.runs_of(&id, &job, HISTORY_RUNS_MAX).await?;
    let meaning: Vec<&Rule> = p.sight.rules_about(&id, &job).collect();
    let is_named = |rule: &&Rule| rule.matches.jobs.iter().any(|pattern| pattern.literal() == Some(job.as_str()));
    if runs.is_empty() && found.is_empty() && !meaning.iter().any(is_named) {
        return Err(Fault::not_found());
    }
    let days = calendar::days(&web, (&id, &job), (&meaning, &found), (&p.zone, p.now)).await?;
    found.truncate(EXPLAINED_RUNS_MAX);
    let page = JobPage {
        name: p.plain(&job),
        explain_link: format!("/explain?source={}&job={}", encoded(&source), encoded(&job)),
        chart: chart(&p, &Durations::of(&runs, &meaning, p.minute)),
        days: days.iter().map(|day| cell(&p, day)).collect(),
        rules: meaning.iter().map(|rule| (rule.id.to_string(), rule.severity.as_str(), says(&p, rule))).collect(),
        alerts: alerts::rows(&web, &p, &found).await?,
        runs: runs.iter().take(2 * EXPLAINED_RUNS_MAX).map(|run| run_row(&p, run)).collect(),
        source,
        p,
    };
    shown(&page.p, &page)
}

/// What a rule asks for, in a few words.
fn says(p: &Page, rule: &Rule) -> String {
    let mut parts = Vec::new();
    if let Some(trigger) = &rule.when.trigger {
        parts.push(match trigger {
            Trigger::Daily(daily) => {
                format!("{} {}", p.say(&format!("web.condition.{}", trigger.kind().as_str())), daily.text())
            }
            other => p.say(&format!("web.condition.{}", other.kind().as_str())),
        });
    }
    let words: Vec<String> = rule.when.statuses.iter().map(|status| p.word(status.as_str())).collect();
    parts.extend((!words.is_empty()).then(|| words.join(", ")));
    parts.extend(rule.when.duration.map(|limit| format!("≥ {}", p.language.duration(limit))));
    parts.extend(rule.when.job_statuses.iter().map(|status| status.as_str().to_string()));
    let to: Vec<String> = rule.receivers().map(ToString::to_string).collect();
    if to.is_empty() { parts.join(" · ") } else { format!("{} → {}", parts.join(" · "), to.join(", ")) }
}

fn chart(p: &Page, durations: &Durations<'_>) -> Option<Chart> {
    let timed = &durations.timed;
    let (newest, oldest) = (timed.first()?, timed.last()?);
    let limits = durations.limits.iter().map(|(limit, _)| *limit);
    let highest = timed.iter().map(|(_, lasted)| *lasted).chain(limits).max()?;
    let top = highest.max(Duration::from_secs(1)).as_secs_f64() * 1.08;
    let y = |lasted: Duration| 100.0 - lasted.as_secs_f64() / top * 100.0;
    let step = 100.0 / timed.len() as f64;
    let width = (step * 0.76).min(4.0);
    let when = |run: &Instance| run.plan_time.or(run.start_time).map(|at| p.clock(&at)).unwrap_or_default();
    let bar = |(index, (run, lasted)): (usize, &(&Instance, Duration))| ChartBar {
        x: percent((index as f64 + 0.5) * step - width / 2.0),
        y: percent(y(*lasted).min(99.0)),
        width: percent(width),
        height: percent((100.0 - y(*lasted)).max(1.0)),
        status: run.status.as_str(),
        link: run_link(run.source.as_str(), &run.job.name, &run.id),
        title: format!("{}: {}, {}", when(run), p.word(run.status.as_str()), p.run_lasted(run).unwrap_or_default()),
    };
    let line = |(limit, rule): &(Duration, &Rule)| {
        let title = format!("{}: {}", rule.id, p.say_with("web.job.limit", "n", p.language.duration(*limit)));
        (percent(y(*limit)), title)
    };
    let named: Vec<String> = durations.limits.iter().map(|(limit, _)| p.language.duration(*limit)).collect();
    Some(Chart {
        bars: timed.iter().rev().enumerate().map(bar).collect(),
        band: durations.usual.map(|[low, _, high]| (percent(y(high)), percent((y(low) - y(high)).max(0.5)))),
        median: durations.usual.map(|[_, median, _]| (percent(y(median)), p.lasted(median))),
        limits: durations.limits.iter().map(line).collect(),
        allowed: (!named.is_empty()).then(|| named.join(p.language.say("comma", &[]).as_str())),
        longest: p.lasted(timed.iter().map(|(_, lasted)| *lasted).max()?),
        from: when(oldest.0),
        to: when(newest.0),
    })
}
