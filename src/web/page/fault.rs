//! A fault, for people.

use std::sync::Arc;

use askama::Template;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use jiff::Timestamp;

use super::frame::Page;
use crate::web::fault::Fault;
use crate::web::state::InForce;

#[derive(Template)]
#[template(path = "web/fault.html")]
struct FaultPage {
    p: Page,
    status: u16,
    title: String,
    detail: String,
}

/// The page of a fault; it asks nothing of the store, which may be what is at fault.
pub(in crate::web) fn page(fault: &Fault, headers: &HeaderMap, in_force: Arc<InForce>, now: Timestamp) -> Response {
    let p = Page::bare(headers, in_force, now);
    let key = match fault.status {
        StatusCode::NOT_FOUND => "web.fault.missing",
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED | StatusCode::MISDIRECTED_REQUEST => "web.fault.forbidden",
        status if status.is_server_error() => "web.fault.broken",
        _ => "web.fault.wrong",
    };
    let (title, detail) = (p.say(key), p.says(&fault.detail));
    let page = FaultPage { p, status: fault.status.as_u16(), title, detail };
    match page.render() {
        Ok(text) => (fault.status, Html(text)).into_response(),
        Err(_) => fault.problem(),
    }
}
