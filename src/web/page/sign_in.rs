//! Signing in with a token, which begins a session; and out again.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::frame::{Page, rendered};
use crate::desk::{hash_of, new_secret};
use crate::limits::WEB_SESSION_TIME;
use crate::store::Access as _;
use crate::web::access::{cookie, session_cookie};
use crate::web::fault::Fault;
use crate::web::state::Web;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Asked {
    next: String,
}

#[derive(Debug, Deserialize)]
pub(in crate::web) struct Shown {
    token: String,
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "web/sign_in.html")]
struct SignInPage {
    p: Page,
    next: String,
    takes_tokens: bool,
    is_wrong: bool,
}

/// A path on this page; the front page in the place of anything else.
fn local(next: &str) -> &str {
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_path = is_plain && next.starts_with('/') && !next.starts_with("//");
    if is_path { next } else { "/" }
}

/// `GET /sign-in`.
pub(in crate::web) async fn sign_in(
    State(web): State<Web>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    form(&web, &headers, &asked.next, false)
}

fn form(web: &Web, headers: &HeaderMap, next: &str, is_wrong: bool) -> Result<Response, Fault> {
    let p = Page::bare(headers, web.in_force(), web.now());
    let takes_tokens = p.in_force.web().tokens;
    let page = SignInPage { p, next: local(next).to_string(), takes_tokens, is_wrong };
    let status = if is_wrong { StatusCode::FORBIDDEN } else { StatusCode::OK };
    Ok((status, Html(rendered(&page)?)).into_response())
}

/// `POST /sign-in`.
pub(in crate::web) async fn begin(
    State(web): State<Web>,
    headers: HeaderMap,
    Form(shown): Form<Shown>,
) -> Result<Response, Fault> {
    let settings = web.in_force().web();
    let now = web.now();
    let hash = hash_of(shown.token.trim());
    let record = if settings.tokens { web.store.token(&hash, now).await? } else { None };
    let Some(record) = record else { return form(&web, &headers, &shown.next, true) };
    let session = new_secret()?;
    let until = now.checked_add(WEB_SESSION_TIME).unwrap_or(now);
    web.store.begin_session(&hash_of(&session), &record.hash, now, until).await?;
    tracing::info!(name = record.name, role = %record.role, "somebody has signed in to the page");
    let secure = if settings.is_over_tls() { "; Secure" } else { "" };
    let name = session_cookie(&settings);
    let life = WEB_SESSION_TIME.as_secs();
    let cookie = format!("{name}={session}; Path=/; Max-Age={life}; HttpOnly; SameSite=Lax{secure}");
    Ok(with_cookie(&cookie, local(&shown.next)))
}

/// `POST /sign-out`: the session is over, whoever may have copied its cookie.
pub(in crate::web) async fn sign_out(State(web): State<Web>, headers: HeaderMap) -> Result<Response, Fault> {
    let settings = web.in_force().web();
    let name = session_cookie(&settings);
    if let Some(session) = cookie(&headers, name) {
        web.store.end_session(&hash_of(session)).await?;
    }
    let secure = if settings.is_over_tls() { "; Secure" } else { "" };
    Ok(with_cookie(&format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{secure}"), "/sign-in"))
}

fn with_cookie(cookie: &str, to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for (next, to) in [
            ("/alerts/1?x=2", "/alerts/1?x=2"),
            ("", "/"),
            ("//evil.example.com", "/"),
            ("/\\evil.example.com", "/"),
            ("https://evil.example.com", "/"),
            ("/a\r\nset-cookie: x", "/"),
        ] {
            assert_eq!(local(next), to, "{next:?}");
        }
    }
}
