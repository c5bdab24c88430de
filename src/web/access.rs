//! Who asks, and whether they may: the guard before every route.
//!
//! Somebody is known by a token in `Authorization`, by the cookie of a session that was begun with one, or by the header
//! of a proxy that the configuration names. Where none of that is configured the address is one of this machine alone, and
//! whoever is on it may do everything, as on its command line; then the page goes by names of this machine only, so that
//! no page from elsewhere can reach it under a name of its own. What changes something is refused when it comes from
//! another site's page: browsers say so.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::fault::Fault;
use super::needs::{Needs, Peer};
use super::state::Web;
use crate::config::{TrustedProxy, WebSettings};
use crate::desk::{TOKEN_HEAD, hash_of};
use crate::limits::REASON_BYTES_MAX;
use crate::model::{LabelMatch, Role};
use crate::store::Access as _;
use crate::words::Saying;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// By what name they are recorded.
    pub(super) name: String,
    /// What they may.
    pub(super) role: Role,
    /// Which alerts and jobs they see, by labels; empty, all of them.
    pub(super) scope: LabelMatch,
    /// How they are known.
    pub(super) known_by: KnownBy,
}

/// How somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownBy {
    /// They are on this machine, and it is open to whoever is.
    Machine,
    /// A token in the request.
    Token,
    /// The cookie of a session.
    Session,
    /// The proxy says so.
    Proxy,
}

/// The name of whoever is on the machine.
const LOCAL: &str = "local";

/// Lets through who may, with who they are; turns away everybody else.
pub(super) async fn guard(State((web, needs)): State<(Web, Needs)>, request: Request<Body>, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let settings = web.in_force().web();
    if !is_safe(&parts.method)
        && let Err(fault) = check_site(&parts.headers, &settings)
    {
        return fault.into_response();
    }
    if let Needs::Role(role) = needs {
        match person(&web, &parts, &settings).await {
            Ok(Some(person)) if person.role >= role => drop(parts.extensions.insert(person)),
            Ok(Some(_)) => {
                let detail = Saying::of("refused.role").with("role", role);
                return Fault::new(StatusCode::FORBIDDEN, detail).into_response();
            }
            Ok(None) => return Fault::new(StatusCode::UNAUTHORIZED, Saying::of("refused.sign-in")).into_response(),
            Err(fault) => return fault.into_response(),
        }
    }
    next.run(Request::from_parts(parts, body)).await
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Who asks; nobody, where nothing says who it is.
async fn person(web: &Web, parts: &Parts, settings: &WebSettings) -> Result<Option<Person>, Fault> {
    if let Some(proxy) = &settings.trusted_proxy
        && let Some(person) = by_proxy(proxy, parts)?
    {
        return Ok(Some(person));
    }
    if settings.tokens {
        let (hash, known_by) = match (bearer(&parts.headers)?, cookie(&parts.headers, session_cookie(settings))) {
            (Some(token), _) => (hash_of(token), KnownBy::Token),
            (None, Some(session)) => (hash_of(session), KnownBy::Session),
            (None, None) => return Ok(None),
        };
        let record = match known_by {
            KnownBy::Session => web.store.session(&hash, web.now()).await?,
            _ => web.store.token(&hash, web.now()).await?,
        };
        return Ok(record.map(|record| Person { name: record.name, role: record.role, scope: record.scope, known_by }));
    }
    if settings.is_open() {
        check_host(&parts.headers, settings)?;
        let (name, scope) = (LOCAL.into(), LabelMatch::default());
        return Ok(Some(Person { name, role: Role::Responder, scope, known_by: KnownBy::Machine }));
    }
    Ok(None)
}

/// Who it is by the word of the proxy; nobody, where the header is not there. A header that somebody else sends, or that
/// comes twice, is an attempt to be somebody else.
fn by_proxy(proxy: &TrustedProxy, parts: &Parts) -> Result<Option<Person>, Fault> {
    let mut values = parts.headers.get_all(proxy.header.as_str()).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Fault::bad_request(Saying::of("refused.header-twice")));
    }
    if !parts.extensions.get::<Peer>().is_some_and(|peer| proxy.is_at(peer.0.ip())) {
        return Err(Fault::new(StatusCode::FORBIDDEN, Saying::of("refused.header-elsewhere")));
    }
    let name = std::str::from_utf8(value.as_bytes()).unwrap_or_default().trim();
    if name.is_empty() || name.len() > REASON_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Fault::bad_request(Saying::of("refused.header-empty")));
    }
    let (name, scope) = (name.to_string(), LabelMatch::default());
    Ok(Some(Person { name, role: proxy.role, scope, known_by: KnownBy::Proxy }))
}

/// The token in `Authorization: Bearer nb_…`.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| text.split_once(' ')).filter(|(scheme, _)| {
        // As all names of schemes, in any case.
        scheme.eq_ignore_ascii_case("bearer")
    });
    match token.map(|(_, token)| token.trim()).filter(|token| token.starts_with(TOKEN_HEAD)) {
        Some(token) => Ok(Some(token)),
        None => Err(Fault::new(StatusCode::UNAUTHORIZED, "write Authorization: Bearer nb_…")),
    }
}

/// The name of the session's cookie. Over TLS the browser itself holds it to this host, to all paths and to TLS.
pub(super) fn session_cookie(settings: &WebSettings) -> &'static str {
    if settings.is_over_tls() { "__Host-nightbell" } else { "nightbell" }
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Whether the page is asked for by a name of this machine, or by the one that the configuration has for it.
fn check_host(headers: &HeaderMap, settings: &WebSettings) -> Result<(), Fault> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |it| it.0);
    let is_address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_known = is_address || name.eq_ignore_ascii_case("localhost") || own_authority(settings) == Some(host);
    if is_known {
        return Ok(());
    }
    Err(Fault::new(StatusCode::MISDIRECTED_REQUEST, Saying::of("refused.host")))
}

/// Host and port of `web.url`.
fn own_authority(settings: &WebSettings) -> Option<&str> {
    settings.url.as_deref()?.split_once("://").map(|(_, authority)| authority)
}

/// Whether a request that changes something comes from this page itself, or from no page at all. A browser says which site
/// the page is of that asks; an old one says at least its origin; what says neither is no browser.
fn check_site(headers: &HeaderMap, settings: &WebSettings) -> Result<(), Fault> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let refused = || Err(Fault::new(StatusCode::FORBIDDEN, Saying::of("refused.other-site")));
    let is_own = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some() && (authority == text("host") || authority == own_authority(settings))
    };
    match (text("sec-fetch-site"), text("origin")) {
        (None | Some("same-origin" | "none"), None) => Ok(()),
        // A browser that is told to say nothing of whence it comes knows it all the same.
        (Some("same-origin"), Some("null")) => Ok(()),
        (None | Some("same-origin" | "none"), Some(origin)) if is_own(origin) => Ok(()),
        _ => refused(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn settings() -> WebSettings {
        WebSettings { url: Some("https://bell.example.com".into()), ..WebSettings::anywhere() }
    }

    #[test]
    fn what_another_page_asks_for_is_refused() {
        let table: [(&[(&'static str, &str)], bool); 15] = [
            (&[], true),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://bell.example.com")], true),
            (
                &[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8910"), ("host", "127.0.0.1:8910")],
                true,
            ),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example.com")], false),
            (&[("sec-fetch-site", "same-origin"), ("origin", "null")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "none"), ("origin", "https://evil.example.com")], false),
            (&[("sec-fetch-site", "none"), ("origin", "null")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://bell.example.com")], false),
            (&[("origin", "https://bell.example.com")], true),
            (&[("origin", "http://127.0.0.1:8910"), ("host", "127.0.0.1:8910")], true),
            (&[("origin", "https://evil.example.com"), ("host", "127.0.0.1:8910")], false),
            (&[("origin", "null"), ("host", "127.0.0.1:8910")], false),
            (&[("origin", "")], false),
        ];
        for (pairs, is_taken) in table {
            assert_eq!(check_site(&headers(pairs), &settings()).is_ok(), is_taken, "{pairs:?}");
        }
    }

    #[test]
    fn an_open_page_goes_by_names_of_this_machine() {
        for (host, is_taken) in [
            ("127.0.0.1:8910", true),
            ("localhost:8910", true),
            ("LOCALHOST", true),
            ("[::1]:8910", true),
            ("bell.example.com", true),
            ("evil.example.com:8910", false),
            ("127.0.0.1.evil.example.com", false),
            ("", false),
        ] {
            assert_eq!(check_host(&headers(&[("host", host)]), &settings()).is_ok(), is_taken, "{host}");
        }
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let headers = headers(&[("cookie", "xnightbell=1; nightbell=two; other=3")]);
        assert_eq!(cookie(&headers, "nightbell"), Some("two"));
        assert_eq!(cookie(&headers, "night"), None);
    }
}
