//! How the reader reads: language, theme, zone. Kept in cookies of the reader's, and nowhere else.

use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::frame::encoded;
use crate::web::fault::Fault;
use crate::web::state::Web;
use crate::words::{Language, Saying};

#[derive(Debug, Deserialize)]
pub(in crate::web) struct Reading {
    lang: String,
    theme: String,
    zone: String,
}

/// `POST /reading`.
pub(in crate::web) async fn prefer(State(web): State<Web>, Form(reading): Form<Reading>) -> Result<Response, Fault> {
    let is_over_tls = web.in_force().web().is_over_tls();
    let mut headers = HeaderMap::new();
    let mut remember = |name: &str, value: &str| {
        let life = if value.is_empty() { 0 } else { 31_536_000 };
        let secure = if is_over_tls { "; Secure" } else { "" };
        let cookie = format!("{name}={value}; Path=/; Max-Age={life}; SameSite=Lax{secure}");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            headers.append(header::SET_COOKIE, cookie);
        }
    };
    let language =
        Language::from_word(&reading.lang).ok_or_else(|| Fault::bad_request(Saying::of("refused.language")))?;
    remember("lang", language.as_str());
    remember("theme", if matches!(reading.theme.as_str(), "light" | "dark") { &reading.theme } else { "" });
    let zone = reading.zone.trim();
    if !zone.is_empty() && TimeZone::get(zone).is_err() {
        return Err(Fault::bad_request(Saying::of("refused.zone")));
    }
    remember("zone", &encoded(zone));
    remember("zone_chosen", if zone.is_empty() { "" } else { "1" });
    Ok((headers, Redirect::to("/status")).into_response())
}
