//! How Nightbell fares, over the API; and what the API is, as an OpenAPI document.

use std::collections::HashMap;

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::exchange::{Queried, answer, limit, list};
use crate::desk::json as said;
use crate::store::{
    Archive as _, Counts as _, Lease, Leases as _, OwnAlerts as _, PollLedger as _, Present, SourceCondition, Standing,
};
use crate::web::access::Person;
use crate::web::cursor;
use crate::web::deeds::{self, Doer};
use crate::web::fault::Fault;
use crate::web::sight::Sight;
use crate::web::state::Web;
use crate::worker::turn::Status;

/// `GET /api/v1/status`.
pub(in crate::web) async fn status(
    State(web): State<Web>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let (now, in_force) = (web.now(), web.in_force());
    let counted = web.store.gauges(now).await?;
    let health = web.store.own_state(now).await?.health;
    let mut learnt = HashMap::new();
    for settings in in_force.config.sources.iter().filter(|settings| sight.sees_source(&settings.id)) {
        learnt.insert(&settings.id, web.store.load_learnt(&settings.id).await?);
    }
    let source = |it: &SourceCondition| {
        json!({
            "learnt": learnt.get(&it.id).cloned().unwrap_or_default(),
            "id": it.id,
            "read_until": it.read_until,
            "polled_at": it.polled_at,
            "unreadable_since": it.unreadable.as_ref().map(|(since, _)| since),
            "error": it.unreadable.as_ref().map(|(_, why)| why).or(it.incomplete.as_ref()),
            "incomplete": it.incomplete,
        })
    };
    let work = |(name, it): (String, Status)| {
        json!({
            "name": name,
            "looked_at": it.looked_at,
            "next_due": it.next_due,
            "failing_since": it.failing.as_ref().map(|failing| failing.since),
            // What went wrong may be about anything.
            "error": it.failing.as_ref().filter(|_| sight.is_whole()).map(|failing| &failing.error),
            "asked_to_wait_until": it.asked_to_wait_until,
            "is_faulty": it.fault(now).is_some(),
        })
    };
    let receivers: Vec<Value> = in_force
        .config
        .receivers
        .iter()
        .filter(|_| sight.is_whole())
        .map(|settings| {
            let pending = counted.pending.iter().find(|(id, ..)| *id == settings.id);
            let dead = counted.dead.iter().find(|(id, _)| *id == settings.id);
            let failing = health.iter().find(|health| health.receiver == settings.id).filter(|health| health.is_bad());
            json!({
                "id": settings.id,
                "type": settings.channel.kind().word,
                "pending": pending.map_or(0, |(_, count, _)| *count),
                "oldest_pending_at": pending.map(|(.., made)| made),
                "dead": dead.map_or(0, |(_, count)| *count),
                "failing_since": failing.map(|health| health.since),
                "error": failing.map(|health| &health.error),
            })
        })
        .collect();
    let standing = if sight.is_whole() && web.store.is_shared() { Some(web.store.look(None).await?) } else { None };
    let ((firing, _), silences) = (sight.counted(&web).await?, sight.active_silences(&web).await?);
    let object = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": web.started_at,
        "configuration": {
            "generation": in_force.number,
            "since": in_force.since,
            "fingerprint": in_force.config.fingerprint,
            "refused_since": web.reloads.refusal().map(|(since, _)| since),
            "refusal": web.reloads.refusal().filter(|_| sight.is_whole()).map(|(_, why)| why),
        },
        "sources": web.store.sources().await?.iter().filter(|it| sight.sees_source(&it.id)).map(source).collect::<Vec<_>>(),
        "receivers": receivers,
        "replicas": standing.iter().flat_map(|it| it.replicas.iter().map(|one| replica(it, one))).collect::<Vec<_>>(),
        "leases": standing.iter().flat_map(|it| it.leases.iter().map(|one| lease(it, one))).collect::<Vec<_>>(),
        "loops": web.statuses.all().into_iter().filter(|(name, _)| sight.sees_loop(name)).map(work).collect::<Vec<_>>(),
        "alerts_firing": firing,
        "silences_active": silences.len(),
    });
    Ok(answer(&headers, &object))
}

/// One of the processes that share the store.
fn replica(standing: &Standing, it: &Present) -> Value {
    json!({
        "id": it.replica.id,
        "host": it.replica.host,
        "pid": it.replica.pid,
        "version": it.replica.version,
        "started_at": it.started_at,
        "seen_at": it.seen_at,
        "clock_ahead_ms": it.replica.clock_ahead_ms,
        "is_of_configuration_in_force": it.replica.fingerprint == standing.in_force.1,
    })
}

/// The right to run a loop, and which of them has it.
fn lease(standing: &Standing, it: &Lease) -> Value {
    json!({
        "loop": it.name,
        "holder": it.holder.as_ref().filter(|_| it.until > standing.now),
        "token": it.token,
        "taken_at": it.taken_at,
        "until": it.until,
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct ActionsAsked {
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /api/v1/actions`: what people did, the latest first.
pub(in crate::web) async fn actions(
    State(web): State<Web>,
    Queried(asked): Queried<ActionsAsked>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let (limit, after) = (limit(asked.limit)?, cursor::after(asked.cursor.as_deref())?);
    let (found, next) = sight.actions(&web, after, limit).await?;
    Ok(answer(&headers, &list(found.iter().map(said::action).collect(), next)))
}

/// `GET /api/v1/openapi.json`.
pub(in crate::web) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("../../../docs/openapi.json")).into_response()
}

/// `POST /api/v1/sources/{id}/poll`.
pub(in crate::web) async fn poll(
    State(web): State<Web>,
    Path(id): Path<String>,
    Extension(person): Extension<Person>,
    sight: Sight,
) -> Result<Response, Fault> {
    deeds::poll(&web, &Doer { by: &person.name, sight: &sight }, &id).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}
