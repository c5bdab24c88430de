//! Why somebody was told, or not, over the API.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::exchange::{Queried, answer, limit, list};
use crate::desk::explain::explain as explained;
use crate::desk::json;
use crate::limits::EXPLAINED_RUNS_MAX;
use crate::web::fault::Fault;
use crate::web::meant::{meant, named};
use crate::web::sight::Sight;
use crate::web::state::Web;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Asked {
    /// A job, a run's id, or both, as on the command line.
    subject: Option<String>,
    /// A job in full instead, and with `run` one run of it.
    source: Option<String>,
    job: Option<String>,
    run: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /api/v1/explain`.
pub(in crate::web) async fn explain(
    State(web): State<Web>,
    Queried(asked): Queried<Asked>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let in_force = web.in_force();
    let (rules, zone, now) = (&in_force.config.rules, &in_force.config.timezone, web.now());
    let limit = limit(Some(asked.limit.unwrap_or(EXPLAINED_RUNS_MAX)))?;
    let cursor = asked.cursor.as_deref();
    let (found, next) = match (&asked.subject, &asked.source, &asked.job, asked.run.as_deref()) {
        (Some(text), None, None, None) => {
            meant(&web, &sight, text.trim(), cursor, limit).await?.map_err(|_| Fault::not_found())?
        }
        (None, Some(source), Some(job), run) => {
            (named(&web, &sight, (source, job), run).await?.into_iter().collect(), None)
        }
        _ => {
            return Err(Fault::bad_request(
                "say \"subject\"; or \"source\" and \"job\", with \"run\" for one run of it",
            ));
        }
    };
    if found.is_empty() && cursor.is_none() {
        return Err(Fault::not_found());
    }
    let mut items = Vec::new();
    for subject in found {
        let mut explanation = explained(&web.store, rules, subject, now).await?;
        sight.narrow(&mut explanation);
        items.push(json::explanation(&explanation, zone, now));
    }
    Ok(answer(&headers, &list(items, next)))
}
