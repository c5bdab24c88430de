//! Whether Nightbell is well, for whoever starts it again or sends requests to it.
//!
//! `/-/healthy` asks the loops alone and never the store: a database that is away must not have the process killed, which
//! would mend nothing. `/-/ready` asks the store for a write, and whether every source was asked since the start.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio::time::Instant;

use super::state::Web;
use crate::limits::WEB_READY_AGE_MAX;
use crate::store::{Archive as _, Upkeep as _};

/// `GET /-/healthy`.
pub(super) async fn healthy(State(web): State<Web>) -> Response {
    let hanging: Vec<String> =
        web.statuses.all().into_iter().filter(|(_, status)| status.hangs()).map(|(name, _)| name).collect();
    answer(if hanging.is_empty() { Ok(()) } else { Err(format!("these loops hang: {}", hanging.join(", "))) })
}

/// `GET /-/ready`. Several who ask at once are answered by one look.
pub(super) async fn ready(State(web): State<Web>) -> Response {
    let mut known = web.ready.lock().await;
    let outcome = match &*known {
        Some((at, outcome)) if at.elapsed() < WEB_READY_AGE_MAX => outcome.clone(),
        _ => {
            let outcome = look(&web).await;
            *known = Some((Instant::now(), outcome.clone()));
            outcome
        }
    };
    drop(known);
    answer(outcome)
}

async fn look(web: &Web) -> Result<(), String> {
    let failed = |error: crate::store::StoreError| {
        tracing::warn!(%error, "not ready");
        "the store takes no write; the log says why".to_string()
    };
    web.store.beat(web.now()).await.map_err(failed)?;
    let asked = web.store.sources().await.map_err(failed)?;
    let in_force = web.in_force();
    let is_asked = |id| asked.iter().any(|source| source.id == id && source.polled_at >= web.started_at);
    let waits = in_force.config.sources.iter().map(|source| source.id.clone()).find(|id| !is_asked(id.clone()));
    waits.map_or(Ok(()), |id| Err(format!("source {id} has not been asked yet")))
}

fn answer(outcome: Result<(), String>) -> Response {
    match outcome {
        Ok(()) => Json(json!({ "status": "ok" })).into_response(),
        Err(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "failing", "reason": reason }))).into_response()
        }
    }
}
