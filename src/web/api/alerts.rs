//! Alerts over the API.

use std::collections::HashMap;

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::exchange::{Body, Queried, Said, answer, limit, list};
use crate::desk::explain::{actions_on, traced_deliveries};
use crate::desk::json;
use crate::model::{Ack, Alert, AlertId, AlertState, ReceiverId, RuleId, Severity, SourceId};
use crate::store::{AlertAsk, Board as _};
use crate::template::Locale;
use crate::web::access::Person;
use crate::web::cursor;
use crate::web::deeds::{self, Doer};
use crate::web::fault::Fault;
use crate::web::sight::Sight;
use crate::web::state::Web;
use crate::web::waiting::{Waiting, Waits};
use crate::words::Language;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Asked {
    state: Option<Stands>,
    severity: Option<Severity>,
    source: Option<String>,
    job: Option<String>,
    rule: Option<String>,
    since: Option<Timestamp>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// How alerts stand that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stands {
    Firing,
    /// Those of what fires that nothing in the configuration covers.
    Suspended,
    Resolved,
}

/// The object of an alert, with what it waits for and where its page is.
fn object(web: &Web, alert: &Alert, ack: Option<&Ack>, waiting: &Waiting) -> Value {
    let in_force = web.in_force();
    let mut alert = alert.clone();
    let receiver = ReceiverId::new("api");
    let locale = Locale { timezone: in_force.config.timezone.clone(), receiver, language: Language::En };
    in_force.config.guides.put(&mut alert.facts, web.now(), &locale);
    let mut object = json::alert(&alert, ack);
    object["suspended_at"] = json!(alert.suspended_at);
    let url = in_force.web().url.map(|url| format!("{url}/alerts/{}", alert.id));
    object["url"] = json!(url);
    object["waits"] = waiting.next(&in_force, &alert, web.now()).map_or(Value::Null, |waits| {
        let (by, to) = match &waits {
            Waits::HeldBack(by) => (Some(by.clone()), Vec::new()),
            Waits::Silence(silence) => (Some(format!("silence:{}", silence.id)), Vec::new()),
            Waits::Step(_, to) => (None, to.clone()),
            _ => (None, Vec::new()),
        };
        json!({ "for": waits.as_str(), "until": waits.until(), "by": by, "to": to })
    });
    object
}

/// `GET /api/v1/alerts`.
pub(in crate::web) async fn alerts(
    State(web): State<Web>,
    Queried(asked): Queried<Asked>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let limit = limit(asked.limit)?;
    let ask = AlertAsk {
        state: asked.state.map(|stands| match stands {
            Stands::Firing | Stands::Suspended => AlertState::Firing,
            Stands::Resolved => AlertState::Resolved,
        }),
        // As on the page: what is suspended fires, too, and is a list of its own.
        is_suspended: match asked.state {
            Some(Stands::Firing) => Some(false),
            Some(Stands::Suspended) => Some(true),
            Some(Stands::Resolved) | None => None,
        },
        severity: asked.severity,
        source: asked.source.map(SourceId::new),
        job: asked.job,
        rule: asked.rule.map(RuleId::new),
        since: asked.since,
        after: cursor::after(asked.cursor.as_deref())?,
    };
    let (found, next) = sight.alerts(&web, ask, limit).await?;
    let ids: Vec<AlertId> = found.iter().map(|alert| alert.id.clone()).collect();
    let acks: HashMap<AlertId, Ack> = web.store.acks_of(&ids).await?;
    let waiting = Waiting::of(&web, &sight, &found, acks.keys().cloned().collect()).await?;
    let items = found.iter().map(|alert| object(&web, alert, acks.get(&alert.id), &waiting)).collect();
    Ok(answer(&headers, &list(items, next)))
}

/// `GET /api/v1/alerts/{id}`: the alert with its whole story.
pub(in crate::web) async fn alert(
    State(web): State<Web>,
    Path(id): Path<String>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let alert = sight.alert(&web, &id).await?;
    let id = alert.id.clone();
    let ack = web.store.acks_of(std::slice::from_ref(&id)).await?.remove(&id);
    let deliveries = traced_deliveries(&web.store, &id).await?;
    let steps = web.store.steps_of(&id).await?;
    let acked = ack.as_ref().map(|_| id.clone()).into_iter().collect();
    let waiting = Waiting::of(&web, &sight, std::slice::from_ref(&alert), acked).await?;
    let mut whole = object(&web, &alert, ack.as_ref(), &waiting);
    whole["failing_nodes"] = json!(alert.facts.failing_nodes);
    whole["node_details"] = json!(alert.facts.node_details);
    whole["created_at"] = json!(alert.created_at);
    whole["deliveries"] = deliveries.iter().map(json::traced_delivery).collect();
    whole["steps"] = steps
        .iter()
        .map(|step| json!({ "step": step.step, "receiver": step.receiver, "delivery": step.delivery, "taken_at": step.taken_at }))
        .collect();
    whole["actions"] = actions_on(&web.store, &id, &deliveries).await?.iter().map(json::action).collect();
    Ok(answer(&headers, &whole))
}

/// `POST /api/v1/alerts/{id}/ack`.
pub(in crate::web) async fn ack(
    State(web): State<Web>,
    Path(id): Path<String>,
    Extension(person): Extension<Person>,
    sight: Sight,
    headers: HeaderMap,
    Body(said): Body<Said>,
) -> Result<Response, Fault> {
    let doer = Doer { by: &person.name, sight: &sight };
    let reason = Some(said.reason.as_str()).filter(|reason| !reason.trim().is_empty());
    let before = deeds::ack(&web, &doer, &id, reason).await?;
    let now = web.store.acks_of(&[AlertId::new(&id)]).await?.remove(id.as_str());
    Ok(answer(&headers, &json!({ "acked": now, "instead_of": before })))
}

/// `DELETE /api/v1/alerts/{id}/ack`.
pub(in crate::web) async fn unack(
    State(web): State<Web>,
    Path(id): Path<String>,
    Extension(person): Extension<Person>,
    sight: Sight,
) -> Result<Response, Fault> {
    deeds::unack(&web, &Doer { by: &person.name, sight: &sight }, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/v1/alerts/{id}/close`.
pub(in crate::web) async fn close(
    State(web): State<Web>,
    Path(id): Path<String>,
    Extension(person): Extension<Person>,
    sight: Sight,
    headers: HeaderMap,
    Body(said): Body<Said>,
) -> Result<Response, Fault> {
    let doer = Doer { by: &person.name, sight: &sight };
    let notified = deeds::close(&web, &doer, &id, &said.reason).await?;
    Ok(answer(&headers, &json!({ "notified": notified })))
}
