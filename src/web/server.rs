//! The server: connections, and the one place where every answer is dressed.
//!
//! # Limits
//! There is a place for a number of connections; more are told so and let go at once. The head of a request has its time
//! and its size, so has the body with the answer; a connection that makes no progress is given up, and so is one that
//! lives too long: who sends or reads byte by byte holds a place for a while and nothing else. What answers here never
//! holds a lock or a transaction while it waits for the other side.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::fault::{self, Fault};
use super::needs::Peer;
use super::page;
use super::routes::router;
use super::state::Web;
use crate::limits::{
    WEB_CONNECTION_LIFE_MAX, WEB_CONNECTIONS_MAX, WEB_HEAD_BYTES_MAX, WEB_HEAD_TIME_MAX, WEB_IDLE_TIME_MAX,
    WEB_REQUEST_TIME_MAX, WEB_STOP_TIME_MAX,
};
use crate::words::Saying;

/// What a connection is told for which there is no place.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n";

/// What a browser may do with an answer: nothing but what was sent with it from here. Others are told no address of the
/// page, for it may hold the signature of a link in a message; the page itself is: a browser that may not say whence a form
/// comes calls its origin `null`, and over plain HTTP it says nothing else by which the form is known to be the page's own.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Answers on `listener` until `shutdown`; then what is under way may finish, within [`WEB_STOP_TIME_MAX`].
pub async fn serve(listener: TcpListener, web: Web, shutdown: CancellationToken) {
    let router = router(&web);
    let places = Arc::new(Semaphore::new(WEB_CONNECTIONS_MAX));
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = open.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, most likely: it passes, and asking again at once would not help.
                tracing::warn!(%error, "the page cannot take a connection");
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                continue;
            }
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => drop(open.spawn(talk(stream, peer, router.clone(), web.clone(), shutdown.clone(), place))),
            Err(_) => {
                web.metrics.refused_connection();
                // Whoever takes no few bytes is not told.
                drop(stream.try_write(NO_PLACE));
            }
        }
    }
    drop(listener);
    let ended = async { while open.join_next().await.is_some() {} };
    if timeout(WEB_STOP_TIME_MAX, ended).await.is_err() {
        tracing::debug!("some connections of the page did not end in time");
    }
}

/// Answers what comes over one connection.
async fn talk(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    web: Web,
    shutdown: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_read_timeout(Some(WEB_IDLE_TIME_MAX));
    stream.set_write_timeout(Some(WEB_IDLE_TIME_MAX));
    let service = service_fn(move |request| answer(request, peer, router.clone(), web.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(WEB_HEAD_TIME_MAX)
        .max_buf_size(WEB_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::pin!(connection);
    let life = tokio::time::sleep(WEB_CONNECTION_LIFE_MAX);
    tokio::select! {
        // How it ended is the other side's affair.
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => {}
        () = life => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(timeout(WEB_STOP_TIME_MAX, connection).await);
}

/// Answers one request.
fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    router: Router,
    web: Web,
) -> impl Future<Output = Result<Response, Infallible>> + Send {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Peer(peer));
    if let Some(looked_up) = without_nul(request.uri()) {
        *request.uri_mut() = looked_up;
    }
    async move {
        let began = Instant::now();
        let asked = Asked::of(&request);
        let response = match timeout(WEB_REQUEST_TIME_MAX, router.oneshot(request)).await {
            Ok(Ok(response)) => dressed(response, &asked, &web),
            Ok(Err(never)) => match never {},
            Err(_) => {
                let late = Fault::new(StatusCode::SERVICE_UNAVAILABLE, Saying::of("refused.too-slow"));
                let mut response = dressed(late.problem(), &asked, &web);
                // The rest of the request may still come.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                response
            }
        };
        web.metrics.answered(response.status().as_u16(), began.elapsed());
        Ok(response)
    }
}

/// The address with each NUL replaced as in stored text; none where it has no NUL. Nothing in the store has a NUL in its name, and
/// PostgreSQL refuses to look for one.
fn without_nul(uri: &Uri) -> Option<Uri> {
    let address = uri.path_and_query()?.as_str();
    let replaced = address.contains("%00").then(|| address.replace("%00", "%EF%BF%BD"))?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(replaced.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// What was asked for, as far as a fault is told by it.
struct Asked {
    headers: HeaderMap,
    /// Where a person who has to sign in is to come back to; none where a program asks.
    page: Option<String>,
    is_look: bool,
}

impl Asked {
    fn of(request: &Request<Body>) -> Asked {
        let path = request.uri().path();
        let is_program = ["/api/", "/-/", "/metrics"].iter().any(|head| path.starts_with(head));
        let here = request.uri().path_and_query().map_or_else(|| "/".into(), ToString::to_string);
        Asked {
            headers: request.headers().clone(),
            page: (!is_program).then_some(here),
            is_look: request.method() == Method::GET,
        }
    }
}

/// A fault as whoever asked understands it: a program a problem document, a person a page, or the way to sign in.
fn told(fault: &Fault, asked: &Asked, web: &Web) -> Response {
    match &asked.page {
        None => fault.problem(),
        Some(here) if fault.status == StatusCode::UNAUTHORIZED => {
            let next = if asked.is_look { here.as_str() } else { "/" };
            Redirect::to(&format!("/sign-in?next={}", page::encoded(next))).into_response()
        }
        Some(_) => page::fault_page(fault, &asked.headers, web.in_force(), web.now()),
    }
}

/// The answer as it goes out: faults in words, and what browsers must keep to.
fn dressed(response: Response, asked: &Asked, web: &Web) -> Response {
    let mut response = match fault::fault_of(&response) {
        Some(fault) => {
            let mut problem = told(&fault, asked, web);
            for name in [header::ALLOW, header::SET_COOKIE] {
                for value in response.headers().get_all(&name) {
                    problem.headers_mut().append(name.clone(), value.clone());
                }
            }
            problem
        }
        None => response,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        // A page in a box of its own has a stricter policy.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
