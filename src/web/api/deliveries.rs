//! Deliveries and digests over the API.

use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::exchange::{Body, Queried, Said, answer, limit, list};
use crate::desk::json;
use crate::model::{AlertId, Delivery, DeliveryState, MessageKind, ReceiverId};
use crate::store::{DeliveryAsk, Desk as _};
use crate::web::access::Person;
use crate::web::cursor;
use crate::web::deeds::{self, Doer};
use crate::web::fault::Fault;
use crate::web::sight::Sight;
use crate::web::state::Web;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Asked {
    state: Option<DeliveryState>,
    receiver: Option<String>,
    alert: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct DigestsAsked {
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /api/v1/deliveries`.
pub(in crate::web) async fn deliveries(
    State(web): State<Web>,
    Queried(asked): Queried<Asked>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let limit = limit(asked.limit)?;
    let ask = DeliveryAsk {
        state: asked.state,
        receiver: asked.receiver.map(ReceiverId::new),
        alert: asked.alert.map(AlertId::new),
        digests: false,
        after: cursor::after(asked.cursor.as_deref())?,
    };
    let (found, next) = sight.deliveries(&web, ask, limit).await?;
    Ok(answer(&headers, &list(found.iter().map(json::delivery).collect(), next)))
}

/// `GET /api/v1/deliveries/{id}`.
pub(in crate::web) async fn delivery(
    State(web): State<Web>,
    Path(id): Path<String>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let record = sight.delivery(&web, &id).await?;
    let mut object = json::delivery_record(&record);
    let done = web.store.actions_on_deliveries(std::slice::from_ref(&record.delivery.id)).await?;
    object["actions"] = done.iter().map(json::action).collect();
    Ok(answer(&headers, &object))
}

/// `POST /api/v1/deliveries/{id}/retry`.
pub(in crate::web) async fn retry(
    State(web): State<Web>,
    Path(id): Path<String>,
    Extension(person): Extension<Person>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let revived = deeds::retry(&web, &Doer { by: &person.name, sight: &sight }, &id).await?;
    Ok(answer(&headers, &json!({ "pending": revived })))
}

/// `POST /api/v1/deliveries/{id}/drop`.
pub(in crate::web) async fn drop_delivery(
    State(web): State<Web>,
    Path(id): Path<String>,
    Extension(person): Extension<Person>,
    sight: Sight,
    headers: HeaderMap,
    Body(said): Body<Said>,
) -> Result<Response, Fault> {
    let doer = Doer { by: &person.name, sight: &sight };
    let dropped = deeds::drop_delivery(&web, &doer, &id, &said.reason).await?;
    Ok(answer(&headers, &json!({ "dead": dropped })))
}

/// `GET /api/v1/digests`.
pub(in crate::web) async fn digests(
    State(web): State<Web>,
    Queried(asked): Queried<DigestsAsked>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let limit = limit(asked.limit)?;
    let after = cursor::after(asked.cursor.as_deref())?;
    let ask = DeliveryAsk { digests: true, after, ..DeliveryAsk::default() };
    let (found, next) = sight.deliveries(&web, ask, limit).await?;
    let item = |delivery: &Delivery| {
        let mut item = json::delivery(delivery);
        item["subject"] = json!(delivery.content.part("subject"));
        item
    };
    Ok(answer(&headers, &list(found.iter().map(item).collect(), next)))
}

/// `GET /api/v1/digests/{id}`: as it was sent.
pub(in crate::web) async fn digest(
    State(web): State<Web>,
    Path(id): Path<String>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let record = sight.delivery(&web, &id).await?;
    if record.delivery.kind != MessageKind::Digest {
        return Err(Fault::not_found());
    }
    Ok(answer(&headers, &json::delivery_record(&record)))
}
