//! Silences over the API.

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::exchange::{Body, Queried, answer, limit, list};
use crate::desk::{Hits, ends_after, json, preview_silence};
use crate::model::{Alert, Concerns, LabelMatch, RuleId, Severity, Silence, SourceId};
use crate::store::{Desk as _, NewSilence, Place};
use crate::web::access::Person;
use crate::web::cursor;
use crate::web::deeds::{self, Doer};
use crate::web::fault::Fault;
use crate::web::sight::Sight;
use crate::web::state::Web;
use crate::yaml::parse_duration;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Asked {
    /// `active`, or `all`.
    state: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// Which alerts somebody wants silenced.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::web) struct Wish {
    sources: Vec<SourceId>,
    jobs: Vec<String>,
    rules: Vec<RuleId>,
    severities: Vec<Severity>,
    labels: LabelMatch,
    reason: String,
    /// How long it holds, as `2h`.
    #[serde(rename = "for")]
    lasts: Option<String>,
    /// When it ends, instead.
    ends_at: Option<Timestamp>,
    /// Whether it may hit everything.
    everything: bool,
}

impl Wish {
    fn concerns(&self) -> Concerns {
        let Wish { sources, jobs, rules, severities, labels, .. } = self;
        Concerns {
            sources: sources.clone(),
            jobs: jobs.clone(),
            rules: rules.clone(),
            severities: severities.clone(),
            labels: labels.clone(),
        }
    }
}

/// `GET /api/v1/silences`, the newest first.
pub(in crate::web) async fn silences(
    State(web): State<Web>,
    Queried(asked): Queried<Asked>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let (limit, now) = (limit(asked.limit)?, web.now());
    let all = match asked.state.as_deref() {
        None | Some("active") => false,
        Some("all") => true,
        Some(_) => return Err(Fault::bad_request("state: active or all")),
    };
    let after = cursor::after(asked.cursor.as_deref())?;
    let before = after.map(|place| place.id.parse::<i64>().map_err(|_| cursor::none_of_ours())).transpose()?;
    let mut found = sight.silences(&web).await?;
    found.retain(|(silence, _)| (all || silence.is_active(now)) && before.is_none_or(|before| silence.id.0 < before));
    let place = |silence: &Silence| Place { at: silence.created_at, id: silence.id.to_string() };
    let (found, next) = cursor::page(found, limit, |(silence, _)| cursor::write(&place(silence)));
    let items = found.iter().map(|(silence, held)| json::silence(silence, *held, now)).collect();
    Ok(answer(&headers, &list(items, next)))
}

/// `GET /api/v1/silences/{id}`.
pub(in crate::web) async fn silence(
    State(web): State<Web>,
    Path(id): Path<i64>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let (silence, held) = sight.silence(&web, id).await?;
    Ok(answer(&headers, &json::silence(&silence, held, web.now())))
}

/// What would be hit of what the asker sees.
async fn hits(web: &Web, sight: &Sight, wish: &Wish) -> Result<Hits, Fault> {
    let in_force = web.in_force();
    let sees = |alert: &Alert| sight.sees(alert);
    Ok(preview_silence(&*web.store, &in_force.config, &wish.concerns(), sees, web.now()).await??)
}

/// `POST /api/v1/silences/preview`.
pub(in crate::web) async fn preview(
    State(web): State<Web>,
    sight: Sight,
    headers: HeaderMap,
    Body(wish): Body<Wish>,
) -> Result<Response, Fault> {
    let hits = hits(&web, &sight, &wish).await?;
    let examples: Vec<_> =
        hits.examples.iter().map(|alert| json!({ "id": alert.id, "summary": alert.facts.alert.summary })).collect();
    let object = json!({
        "firing": hits.firing,
        "firing_of": hits.firing_of,
        "last_7_days": hits.week,
        "last_7_days_of": hits.week_of,
        "is_at_least": hits.is_at_least,
        "is_everything": hits.is_everything,
        "examples": examples,
    });
    Ok(answer(&headers, &object))
}

/// `POST /api/v1/silences`.
pub(in crate::web) async fn add(
    State(web): State<Web>,
    Extension(person): Extension<Person>,
    sight: Sight,
    Body(wish): Body<Wish>,
) -> Result<Response, Fault> {
    let now = web.now();
    let concerns = wish.concerns();
    let ends_at = match (wish.ends_at, wish.lasts.as_deref().map(parse_duration)) {
        (Some(ends_at), None) => ends_at,
        (None, Some(Some(lasts))) => ends_after(lasts, now)?,
        _ => return Err(Fault::bad_request("say when it ends: \"for\": \"2h\", or \"ends_at\"")),
    };
    if !wish.everything && hits(&web, &sight, &wish).await?.is_everything {
        return Err(Fault::conflict("this would silence everything; say \"everything\": true if that is meant"));
    }
    let concerns = sight.narrowed(concerns)?;
    let new = NewSilence { concerns, reason: wish.reason, by: person.name.clone(), ends_at };
    let id = deeds::silence(&web, &Doer { by: &person.name, sight: &sight }, new).await?;
    let silence = web.store.silence(id).await?.ok_or_else(Fault::not_found)?;
    let place = [(axum::http::header::LOCATION, format!("/api/v1/silences/{id}"))];
    Ok((StatusCode::CREATED, place, axum::Json(json::silence(&silence, 0, now))).into_response())
}

/// `DELETE /api/v1/silences/{id}`: it ends now.
pub(in crate::web) async fn expire(
    State(web): State<Web>,
    Path(id): Path<i64>,
    Extension(person): Extension<Person>,
    sight: Sight,
) -> Result<Response, Fault> {
    deeds::expire(&web, &Doer { by: &person.name, sight: &sight }, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
