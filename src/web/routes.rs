//! The table of routes: what there is, and what each one needs of who asks.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post};

use super::fault::Fault;
use super::needs::Needs;
use super::state::Web;
use super::{access, api, health, page, scrape};
use crate::limits::WEB_BODY_BYTES_MAX;
use crate::model::Role;

/// One thing that can be asked for.
pub struct Route {
    /// How.
    pub method: Method,
    /// Where, with `{names}` for what differs.
    pub path: &'static str,
    /// What it needs.
    pub needs: Needs,
    handler: MethodRouter<Web>,
}

/// A route that is looked at.
fn look(path: &'static str, needs: Needs, handler: MethodRouter<Web>) -> Route {
    Route { method: Method::GET, path, needs, handler }
}

/// A route by which somebody does something.
fn act(method: Method, path: &'static str, handler: MethodRouter<Web>) -> Route {
    Route { method, path, needs: Needs::Role(Role::Responder), handler }
}

/// A route that anybody may send a form to: to sign in, or to say how they read.
fn open(path: &'static str, handler: MethodRouter<Web>) -> Route {
    Route { method: Method::POST, path, needs: Needs::Nothing, handler }
}

/// What somebody needs to look.
const VIEWER: Needs = Needs::Role(Role::Viewer);

/// Every route.
pub fn routes() -> Vec<Route> {
    let mut all = vec![
        look("/-/healthy", Needs::Nothing, get(health::healthy)),
        look("/-/ready", Needs::Nothing, get(health::ready)),
        look("/metrics", VIEWER, get(scrape::metrics)),
    ];
    all.extend(pages());
    all.extend(api());
    all
}

fn pages() -> Vec<Route> {
    vec![
        look("/style.css", Needs::Nothing, get(page::style)),
        look("/page.js", Needs::Nothing, get(page::script)),
        look("/icon.svg", Needs::Nothing, get(page::icon)),
        look("/sign-in", Needs::Nothing, get(page::sign_in)),
        open("/sign-in", post(page::begin)),
        open("/sign-out", post(page::sign_out)),
        open("/reading", post(page::prefer)),
        // Who has the link has received the message: its signature is what it needs.
        look("/ack/{id}", Needs::Nothing, get(page::link)),
        open("/ack/{id}", post(page::follow)),
        look("/", VIEWER, get(page::night)),
        look("/wall", VIEWER, get(page::wall)),
        look("/alerts", VIEWER, get(page::alerts)),
        look("/alerts/{id}", VIEWER, get(page::alert)),
        act(Method::POST, "/alerts/{id}/ack", post(page::ack)),
        act(Method::POST, "/alerts/{id}/unack", post(page::unack)),
        act(Method::POST, "/alerts/{id}/close", post(page::close)),
        look("/jobs", VIEWER, get(page::jobs)),
        look("/jobs/{source}/{job}", VIEWER, get(page::job)),
        look("/explain", VIEWER, get(page::explain)),
        look("/deliveries", VIEWER, get(page::deliveries)),
        look("/deliveries/{id}", VIEWER, get(page::delivery)),
        act(Method::POST, "/deliveries/{id}/retry", post(page::retry)),
        act(Method::POST, "/deliveries/{id}/drop", post(page::drop_delivery)),
        look("/silences", VIEWER, get(page::silences)),
        act(Method::POST, "/silences", post(page::add)),
        act(Method::POST, "/silences/{id}/expire", post(page::expire)),
        look("/digests", VIEWER, get(page::digests)),
        look("/digests/{id}", VIEWER, get(page::digest)),
        look("/digests/{id}/html", VIEWER, get(page::digest_html)),
        look("/status", VIEWER, get(page::status)),
        act(Method::POST, "/sources/{id}/poll", post(page::poll)),
    ]
}

fn api() -> Vec<Route> {
    vec![
        look("/api/v1/openapi.json", Needs::Nothing, get(api::document)),
        look("/api/v1/night", VIEWER, get(api::night)),
        look("/api/v1/status", VIEWER, get(api::status)),
        act(Method::POST, "/api/v1/sources/{id}/poll", post(api::poll)),
        look("/api/v1/alerts", VIEWER, get(api::alerts)),
        look("/api/v1/alerts/{id}", VIEWER, get(api::alert)),
        act(Method::POST, "/api/v1/alerts/{id}/ack", post(api::ack)),
        act(Method::DELETE, "/api/v1/alerts/{id}/ack", delete(api::unack)),
        act(Method::POST, "/api/v1/alerts/{id}/close", post(api::close)),
        look("/api/v1/deliveries", VIEWER, get(api::deliveries)),
        look("/api/v1/deliveries/{id}", VIEWER, get(api::delivery)),
        act(Method::POST, "/api/v1/deliveries/{id}/retry", post(api::retry)),
        act(Method::POST, "/api/v1/deliveries/{id}/drop", post(api::drop_delivery)),
        look("/api/v1/silences", VIEWER, get(api::silences)),
        act(Method::POST, "/api/v1/silences", post(api::add)),
        act(Method::POST, "/api/v1/silences/preview", post(api::preview)),
        look("/api/v1/silences/{id}", VIEWER, get(api::silence)),
        act(Method::DELETE, "/api/v1/silences/{id}", delete(api::expire)),
        look("/api/v1/jobs", VIEWER, get(api::jobs)),
        look("/api/v1/jobs/{source}/{job}", VIEWER, get(api::job)),
        look("/api/v1/jobs/{source}/{job}/instances", VIEWER, get(api::instances)),
        look("/api/v1/jobs/{source}/{job}/calendar", VIEWER, get(api::calendar)),
        look("/api/v1/explain", VIEWER, get(api::explain)),
        look("/api/v1/actions", VIEWER, get(api::actions)),
        look("/api/v1/digests", VIEWER, get(api::digests)),
        look("/api/v1/digests/{id}", VIEWER, get(api::digest)),
    ]
}

/// The router of all routes, each behind its guard.
pub(super) fn router(web: &Web) -> Router {
    let mut router = Router::new();
    for Route { path, needs, handler, .. } in routes() {
        let guard = from_fn_with_state((web.clone(), needs), access::guard);
        router = router.route(path, handler.route_layer(guard));
    }
    router
        .fallback(|| async { Fault::not_found() })
        .layer(DefaultBodyLimit::max(WEB_BODY_BYTES_MAX))
        .with_state(web.clone())
}
