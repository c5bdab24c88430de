//! What pages are dressed with: one style sheet, one script, one picture. Built into the program.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};

/// `GET /style.css`.
pub(in crate::web) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("../../../templates/web/style.css"))
}

/// `GET /page.js`.
pub(in crate::web) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../../templates/web/page.js"))
}

/// `GET /icon.svg`.
pub(in crate::web) async fn icon() -> Response {
    asset("image/svg+xml", include_str!("../../../templates/web/icon.svg"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    // Their address has the version in it.
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=86400")], text).into_response()
}
