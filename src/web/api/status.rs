//! How Nightbell fares, over the API; and what the API is, as an OpenAPI document.

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::exchange::answer;
use crate::store::{Archive as _, Gauges as _, SourceCondition};
use crate::web::access::Person;
use crate::web::deeds;
use crate::web::fault::Fault;
use crate::web::state::Web;
use crate::worker::turn::Status;

/// `GET /api/v1/status`.
pub(in crate::web) async fn status(State(web): State<Web>, headers: HeaderMap) -> Result<Response, Fault> {
    let (now, in_force) = (web.now(), web.in_force());
    let counted = web.store.gauges(now).await?;
    let source = |it: &SourceCondition| {
        json!({
            "id": it.id,
            "read_until": it.read_until,
            "polled_at": it.polled_at,
            "unreadable_since": it.unreadable.as_ref().map(|(since, _)| since),
            "error": it.unreadable.as_ref().map(|(_, why)| why).or(it.incomplete.as_ref()),
        })
    };
    let work = |(name, it): (String, Status)| {
        json!({
            "name": name,
            "looked_at": it.looked_at,
            "next_due": it.next_due,
            "failing_since": it.failing.as_ref().map(|failing| failing.since),
            "error": it.failing.as_ref().map(|failing| &failing.error),
            "is_faulty": it.fault(now).is_some(),
        })
    };
    let receivers: Vec<Value> = in_force
        .config
        .receivers
        .iter()
        .map(|settings| {
            let pending = counted.pending.iter().find(|(id, ..)| *id == settings.id);
            let dead = counted.dead.iter().find(|(id, _)| *id == settings.id);
            json!({
                "id": settings.id,
                "type": settings.channel.kind().word,
                "pending": pending.map_or(0, |(_, count, _)| *count),
                "oldest_pending_at": pending.map(|(.., made)| made),
                "dead": dead.map_or(0, |(_, count)| *count),
            })
        })
        .collect();
    let object = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": web.started_at,
        "configuration": {
            "generation": in_force.number,
            "since": in_force.since,
            "fingerprint": in_force.config.fingerprint,
            "refused_since": web.reloads.refusal().map(|(since, _)| since),
            "refusal": web.reloads.refusal().map(|(_, why)| why),
        },
        "sources": web.store.sources().await?.iter().map(source).collect::<Vec<_>>(),
        "receivers": receivers,
        "loops": web.statuses.all().into_iter().map(work).collect::<Vec<_>>(),
        "alerts_firing": counted.firing.iter().map(|(.., count)| count).sum::<u64>(),
        "silences_active": counted.silences,
    });
    Ok(answer(&headers, &object))
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
) -> Result<Response, Fault> {
    deeds::poll(&web, &id, &person.name)?;
    Ok(StatusCode::ACCEPTED.into_response())
}
