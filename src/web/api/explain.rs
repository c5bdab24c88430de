//! Why somebody was told, or not, over the API.

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::exchange::{answer, list};
use crate::desk::explain::{Asked as Subject, explain as explained, find};
use crate::desk::json;
use crate::limits::EXPLAINED_RUNS_MAX;
use crate::web::fault::Fault;
use crate::web::sight::Sight;
use crate::web::state::Web;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Asked {
    /// A job, a run's id, or both, as on the command line.
    subject: String,
}

/// `GET /api/v1/explain`.
pub(in crate::web) async fn explain(
    State(web): State<Web>,
    Query(asked): Query<Asked>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let in_force = web.in_force();
    let (rules, zone, now) = (&in_force.config.rules, &in_force.config.timezone, web.now());
    let found: Vec<Subject> = find(&web.store, asked.subject.trim(), rules).await?.map_err(|_| Fault::not_found())?;
    let found = sight.asked(found);
    if found.is_empty() {
        return Err(Fault::not_found());
    }
    let mut items = Vec::new();
    for subject in found.into_iter().take(EXPLAINED_RUNS_MAX) {
        let mut explanation = explained(&web.store, rules, subject, now, zone).await?;
        sight.narrow(&mut explanation);
        items.push(json::explanation(&explanation, zone, now));
    }
    Ok(answer(&headers, &list(items, None)))
}
