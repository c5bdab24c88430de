//! Why there is no answer, as a page or as a problem document (RFC 9457).

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::desk::DeskError;
use crate::store::StoreError;
use crate::words::Saying;

/// Why there is no answer. The words go to who asks: they hold no secret, and nothing of the store's innards.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// What kind of fault it is.
    pub(super) status: StatusCode,
    /// What is wrong: a program reads it in English, a person in their language.
    pub(super) detail: Saying,
}

impl Fault {
    /// A fault of this kind.
    pub(super) fn new(status: StatusCode, detail: impl Into<Saying>) -> Fault {
        Fault { status, detail: detail.into() }
    }

    /// Nothing of that name is there, or not for who asks: both are told alike.
    pub(super) fn not_found() -> Fault {
        Fault::new(StatusCode::NOT_FOUND, Saying::of("refused.not-found"))
    }

    /// What was sent cannot be used.
    pub(super) fn bad_request(detail: impl Into<Saying>) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, detail)
    }

    /// What was sent is understood, and makes no sense now.
    pub(super) fn conflict(detail: impl Into<Saying>) -> Fault {
        Fault::new(StatusCode::CONFLICT, detail)
    }

    /// Of an answer that was made without one: by its status.
    fn of(status: StatusCode) -> Fault {
        let detail = match status {
            StatusCode::NOT_FOUND => return Fault::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => Saying::of("refused.method"),
            StatusCode::PAYLOAD_TOO_LARGE => Saying::of("refused.too-large"),
            _ => Saying::of("refused.unusable"),
        };
        Fault::new(status, detail)
    }

    /// The problem document.
    pub(super) fn problem(&self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let (status, detail) = (self.status.as_u16(), self.detail.in_english());
        let body = json!({ "type": "about:blank", "title": title, "status": status, "detail": detail });
        let mut response = (self.status, Json(body)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// The fault of an answer that has one, or that the framework has made by itself.
pub(super) fn fault_of(response: &Response<Body>) -> Option<Fault> {
    let of_ours = response.extensions().get::<Fault>().cloned();
    let status = response.status();
    let has_own_body =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind != "text/plain; charset=utf-8");
    of_ours.or_else(|| (status.as_u16() >= 400 && !has_own_body).then(|| Fault::of(status)))
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        match error {
            StoreError::Refused(reason) => Fault::conflict(reason),
            StoreError::Conflict(_) => Fault::conflict(Saying::of("refused.poll-between")),
            other => {
                tracing::error!(error = %other, "the page cannot read the store");
                Fault::new(StatusCode::SERVICE_UNAVAILABLE, Saying::of("refused.store-away"))
            }
        }
    }
}

impl From<DeskError> for Fault {
    fn from(error: DeskError) -> Fault {
        match error {
            DeskError::Store(error) => error.into(),
            other => {
                tracing::error!(error = %other, "the page cannot do what it was asked for");
                Fault::new(StatusCode::INTERNAL_SERVER_ERROR, Saying::of("refused.failed"))
            }
        }
    }
}
