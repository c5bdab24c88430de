//! What the routes of the API share: how a list, a body and an answer are read and written.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::coding::hex;
use crate::limits::{API_ROWS, API_ROWS_MAX};
use crate::model::Status;
use crate::web::fault::Fault;
use crate::words::Saying;

/// How many rows are asked for.
pub(in crate::web) fn limit(asked: Option<usize>) -> Result<usize, Fault> {
    let limit = asked.unwrap_or(API_ROWS);
    if (1..=API_ROWS_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(Fault::bad_request(format!("limit: 1 to {API_ROWS_MAX}")))
    }
}

/// A page of a list.
pub(in crate::web) fn list(items: Vec<Value>, next: Option<String>) -> Value {
    json!({ "items": items, "next": next })
}

/// An answer; nothing but a word where the asker has it already.
pub(in crate::web) fn answer(headers: &HeaderMap, value: &Value) -> Response {
    let text = value.to_string();
    let opaque = format!("\"{}\"", hex(&Sha256::digest(to_the_minute(value).to_string().as_bytes())[..12]));
    let tag = format!("W/{opaque}");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    let own = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "private, no-cache".to_string())];
    let is_known = |known: &str| known == "*" || known.trim_start_matches("W/") == opaque;
    if known.split(',').any(|known| is_known(known.trim())) {
        return (StatusCode::NOT_MODIFIED, own).into_response();
    }
    (own, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// What an answer is known by: with the duration of what goes on, and with the turns of loops, to the minute. Each second
/// changes them and tells nothing.
fn to_the_minute(value: &Value) -> Value {
    const MINUTE: &str = "2026-11-21T00:05";
    match value {
        Value::Array(items) => items.iter().map(to_the_minute).collect(),
        Value::Object(object) => {
            let status = object.get("status").and_then(Value::as_str).and_then(Status::from_word);
            let goes_on = status.is_some_and(|status| !status.has_ended());
            let one = |(key, value): (&String, &Value)| {
                let value = match (key.as_str(), value) {
                    ("duration_ms", Value::Number(lasted)) if goes_on => json!(lasted.as_u64().map(|ms| ms / 60_000)),
                    ("looked_at" | "next_due", Value::String(at)) => json!(at.get(..MINUTE.len())),
                    _ => to_the_minute(value),
                };
                (key.clone(), value)
            };
            Value::Object(object.iter().map(one).collect())
        }
        _ => value.clone(),
    }
}

/// What the query asks for; of one that cannot be understood it is told which part cannot, and why.
pub(in crate::web) struct Queried<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Queried<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Queried<T>, Fault> {
        const HEAD: &str = "Failed to deserialize query string: ";
        let refused = |text: String| Fault::bad_request(text.strip_prefix(HEAD).unwrap_or(&text));
        let asked = Query::<T>::from_request_parts(parts, state).await;
        asked.map(|Query(asked)| Queried(asked)).map_err(|rejection| refused(rejection.body_text()))
    }
}

/// A body that is JSON; what is wrong with another one is told in words.
pub(in crate::web) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Fault> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Body(value)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Fault::new(rejection.status(), Saying::of("refused.too-large")))
            }
            Err(JsonRejection::BytesRejection(rejection)) => {
                Err(Fault::new(rejection.status(), "the body cannot be read"))
            }
            Err(JsonRejection::JsonDataError(rejection)) => {
                const HEAD: &str = "Failed to deserialize the JSON body into the target type: ";
                let text = rejection.body_text();
                Err(Fault::new(rejection.status(), text.strip_prefix(HEAD).unwrap_or(&text)))
            }
            Err(rejection) => Err(Fault::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// What somebody says to what they do.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::web) struct Said {
    pub(super) reason: String,
}
