//! Jobs and their runs over the API.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::exchange::{Queried, answer, limit, list};
use crate::desk::json;
use crate::limits::{EXPLAINED_ALERTS_MAX, HISTORY_RUNS_MAX};
use crate::model::{Instance, SourceId};
use crate::rule::Rule;
use crate::store::{Board as _, Inquiry as _, Place};
use crate::web::calendar::{self, Went};
use crate::web::cursor;
use crate::web::durations::Durations;
use crate::web::fault::Fault;
use crate::web::sight::Sight;
use crate::web::state::Web;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Asked {
    source: String,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct RunsAsked {
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /api/v1/jobs`: the jobs of a source of which runs are known, by name.
pub(in crate::web) async fn jobs(
    State(web): State<Web>,
    Queried(asked): Queried<Asked>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let limit = limit(asked.limit)?;
    let after =
        asked.cursor.map(|cursor| URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|it| String::from_utf8(it).ok()));
    let after = match after {
        Some(None) => return Err(cursor::none_of_ours()),
        Some(Some(after)) => after,
        None => String::new(),
    };
    let source = SourceId::new(&asked.source);
    let (names, next) = sight.jobs(&web, &source, &after, limit).await?;
    let next = next.map(|name| URL_SAFE_NO_PAD.encode(name));
    let mut items = Vec::with_capacity(names.len());
    for name in names {
        let last = web.store.runs_of(&source, &name, 1).await?;
        items.push(
            json!({ "source": source, "job": name, "last_instance": last.first().map(|run| run_object(&web, run)) }),
        );
    }
    Ok(answer(&headers, &list(items, next)))
}

fn run_object(web: &Web, run: &Instance) -> Value {
    json::instance(run, web.now())["instance"].take()
}

/// `GET /api/v1/jobs/{source}/{job}`.
pub(in crate::web) async fn job(
    State(web): State<Web>,
    Path((source, job)): Path<(String, String)>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let source = SourceId::new(&source);
    if !sight.sees_job(&source, &job) {
        return Err(Fault::not_found());
    }
    let matching: Vec<&Rule> = sight.rules_about(&source, &job).collect();
    let runs = web.store.runs_of(&source, &job, HISTORY_RUNS_MAX).await?;
    let last = runs.first().ok_or_else(Fault::not_found)?;
    let durations = Durations::of(&runs, &matching, web.now());
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let limits = durations.limits.iter().map(|(limit, rule)| json!({ "rule": rule.id, "limit_ms": ms(*limit) }));
    let limits: Vec<Value> = limits.collect();
    let rules: Vec<Value> = matching.iter().map(|rule| json!({ "id": rule.id, "severity": rule.severity })).collect();
    let days = web.store.days_of(&source, &job, 0).await?;
    let days: Vec<Value> =
        days.iter().map(|it| json!({ "day": it.day, "status": it.status, "runs": it.runs })).collect();
    let object = json!({
        "source": source,
        "job": { "name": last.job.name, "id": last.job.id },
        "last_instance": run_object(&web, last),
        "rules": rules,
        "usual_ms": durations.usual.map(|usual| usual.map(ms)),
        "limits": limits,
        "days_no_longer_kept": days,
    });
    Ok(answer(&headers, &object))
}

/// `GET /api/v1/jobs/{source}/{job}/calendar`: how each of the last days went, by the days of the configuration's zone.
pub(in crate::web) async fn calendar(
    State(web): State<Web>,
    Path((source, job)): Path<(String, String)>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let source = SourceId::new(&source);
    if !sight.sees_job(&source, &job) || web.store.runs_of(&source, &job, 1).await?.is_empty() {
        return Err(Fault::not_found());
    }
    let mut alerts = web.store.alerts_about(&source, &job, EXPLAINED_ALERTS_MAX).await?;
    alerts.retain(|alert| sight.sees(alert));
    let in_force = web.in_force();
    let matching: Vec<&Rule> = sight.rules_about(&source, &job).collect();
    let zone = &in_force.config.timezone;
    let days = calendar::days(&web, (&source, &job), (&matching, &alerts), (zone, web.now())).await?;
    let items = days.iter().map(|day| {
        let Went { well, badly, open, unknown } = day.went;
        json!({
            "date": day.date,
            "went": day.class,
            "runs": { "well": well, "badly": badly, "open": open, "unknown": unknown },
        })
    });
    Ok(answer(&headers, &list(items.collect(), None)))
}

/// `GET /api/v1/jobs/{source}/{job}/instances`: its runs, the latest planned first.
pub(in crate::web) async fn instances(
    State(web): State<Web>,
    Path((source, job)): Path<(String, String)>,
    Queried(asked): Queried<RunsAsked>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let limit = limit(asked.limit)?;
    let after = cursor::after(asked.cursor.as_deref())?;
    let source = SourceId::new(&source);
    if !sight.sees_job(&source, &job) {
        return Err(Fault::not_found());
    }
    let found = web.store.run_page(&source, &job, after.as_ref(), limit + 1).await?;
    if found.is_empty() && after.is_none() {
        return Err(Fault::not_found());
    }
    let (found, next) = cursor::page(found, limit, |(at, run)| cursor::write(&Place { at: *at, id: run.id.clone() }));
    let items = found.iter().map(|(_, run)| json::instance(run, web.now())).collect();
    Ok(answer(&headers, &list(items, next)))
}
