//! Whether Nightbell is well, for whoever starts it again or sends requests to it.
//!
//! `/-/healthy` asks the loops alone and never the store: a database that is away must not have the process killed, which
//! would mend nothing. `/-/ready` asks the store for a write, and whether every source is looked after: it was asked since the
//! start, or another process on the same store polls it. Who stands by, because other files than its own are in force, is
//! ready too: an update waits for that before it stops those whose files these are.
//!
//! Anybody may ask: what is told are numbers. Which ones they are the log says, and the page says to who may look.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio::time::Instant;

use super::state::Web;
use crate::limits::WEB_READY_AGE_MAX;
use crate::source::SourceSettings;
use crate::store::{Archive as _, Leases as _, SourceCondition, Upkeep as _};
use crate::worker::lease::{is_in_force_somewhere, polled_by_others};
use crate::worker::poll::is_silent;

/// `GET /-/healthy`.
pub(super) async fn healthy(State(web): State<Web>) -> Response {
    let all = web.statuses.all();
    let hanging: Vec<&str> = all.iter().filter(|(_, status)| status.hangs()).map(|(name, _)| name.as_str()).collect();
    if hanging.is_empty() {
        return answer(Ok(()));
    }
    tracing::warn!(loops = hanging.join(", "), "not healthy: these loops hang");
    answer(Err(format!("{} of {} loops hang", hanging.len(), all.len())))
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
    let (now, in_force) = (web.now(), web.in_force());
    web.store.beat(now).await.map_err(failed)?;
    let asked = web.store.sources().await.map_err(failed)?;
    let is_shared = web.store.is_shared();
    let mut others = BTreeSet::new();
    if is_shared {
        let standing = web.store.look(None).await.map_err(failed)?;
        // By files that are not those in force it polls nothing, and others do what there is to do: it stands by.
        let is_another = standing.in_force.1 != in_force.config.fingerprint;
        if is_another && is_in_force_somewhere(&standing, &web.replica) {
            return Ok(());
        }
        others = polled_by_others(&standing, &web.replica);
    }
    let is_known = |settings: &&SourceSettings| {
        let condition = asked.iter().find(|source| source.id == settings.id);
        // Who takes a source over from another process asks it when its schedule says so, and not at once.
        let is_in_turn = |it: &SourceCondition| is_shared && !is_silent(&settings.poll, it.polled_at, now);
        others.contains(&settings.id) || condition.is_some_and(|it| it.polled_at >= web.started_at || is_in_turn(it))
    };
    let sources = &in_force.config.sources;
    let waiting: Vec<&str> = sources.iter().filter(|it| !is_known(it)).map(|it| it.id.as_str()).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    tracing::debug!(sources = waiting.join(", "), "not ready: these were not polled yet");
    Err(format!("{} of {} sources have not been polled yet", waiting.len(), sources.len()))
}

fn answer(outcome: Result<(), String>) -> Response {
    match outcome {
        Ok(()) => Json(json!({ "status": "ok" })).into_response(),
        Err(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "failing", "reason": reason }))).into_response()
        }
    }
}
