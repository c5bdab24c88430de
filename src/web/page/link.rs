//! The acknowledge link of a message: a page that says what it would do, and does it when somebody presses its button.
//!
//! To look changes nothing: mail and chat programs open links by themselves. Who has the link has received the message;
//! it acknowledges that one episode until its time is over, and once is as good as twice.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::frame::{Page, rendered};
use crate::desk::{self, one_line};
use crate::model::{Ack, Alert, AlertId, AlertState};
use crate::sign::{ACK, Link};
use crate::store::Board as _;
use crate::web::fault::Fault;
use crate::web::state::Web;
use crate::words::Saying;

/// What the link's address holds beside the alert.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct Signed {
    until: i64,
    sign: String,
}

/// Who presses the button, as they say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Who {
    who: String,
    reason: String,
    /// When somebody had taken it, as the page said on which they press; empty where nobody had.
    had: String,
}

#[derive(Template)]
#[template(path = "web/link.html")]
struct LinkPage {
    p: Page,
    summary: String,
    is_over: bool,
    ack: Option<Ack>,
    is_done: bool,
    wrong: Option<String>,
    here: String,
}

/// The alert, if the link is ours and its time is not over. A link that is not is told like one to nothing.
async fn meant(web: &Web, id: &str, signed: &Signed) -> Result<Alert, Fault> {
    let until = Timestamp::from_second(signed.until).map_err(|_| Fault::not_found())?;
    let alert = web.store.alert(&AlertId::new(id)).await?.ok_or_else(Fault::not_found)?;
    let link = Link { alert: id, episode: alert.facts.alert.episode, action: ACK, until };
    if !web.links.is_signed(&link, &signed.sign) {
        return Err(Fault::not_found());
    }
    if until < web.now() {
        return Err(Fault::new(StatusCode::GONE, Saying::of("refused.link-over")));
    }
    Ok(alert)
}

/// `GET /ack/{id}`.
pub(in crate::web) async fn link(
    State(web): State<Web>,
    Path(id): Path<String>,
    Query(signed): Query<Signed>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let alert = meant(&web, &id, &signed).await?;
    show(&web, &headers, &alert, &signed, false, None).await
}

/// `POST /ack/{id}`.
pub(in crate::web) async fn follow(
    State(web): State<Web>,
    Path(id): Path<String>,
    Query(signed): Query<Signed>,
    headers: HeaderMap,
    Form(said): Form<Who>,
) -> Result<Response, Fault> {
    let alert = meant(&web, &id, &signed).await?;
    let known = web.store.acks_of(std::slice::from_ref(&alert.id)).await?.remove(&alert.id);
    let by = match one_line("who", &said.who) {
        Ok(who) => format!("{who} (link)"),
        Err(wrong) => return show(&web, &headers, &alert, &signed, false, Some(wrong.saying())).await,
    };
    // Somebody else was faster: to take over is asked for by another press, on a page that says so.
    if let Some(known) = known.as_ref().filter(|known| known.by != by && known.at.to_string() != said.had) {
        tracing::debug!(alert = id, by, has = known.by, "somebody else has it already");
        return show(&web, &headers, &alert, &signed, false, None).await;
    }
    // Pressed twice, or by a second one of the same name: nothing is new.
    let is_news = alert.state() == AlertState::Firing && known.is_none_or(|known| known.by != by);
    if is_news {
        let reason = Some(said.reason.trim()).filter(|reason| !reason.is_empty());
        let reason = reason.map(|reason| one_line("reason", reason)).transpose()?;
        let (ack, in_force) = (Ack { by: by.clone(), reason, at: web.now() }, web.in_force());
        desk::acknowledge(&web.store, &in_force.receivers, std::slice::from_ref(&alert), &ack).await?;
        tracing::info!(alert = id, by, "acknowledged by the link of a message");
    }
    show(&web, &headers, &alert, &signed, true, None).await
}

async fn show(
    web: &Web,
    headers: &HeaderMap,
    alert: &Alert,
    signed: &Signed,
    is_done: bool,
    wrong: Option<Saying>,
) -> Result<Response, Fault> {
    let p = Page::bare(headers, web.in_force(), web.now());
    let page = LinkPage {
        summary: p.summary(alert),
        is_over: alert.state() == AlertState::Resolved,
        ack: web.store.acks_of(std::slice::from_ref(&alert.id)).await?.remove(&alert.id),
        here: format!("/ack/{}?until={}&sign={}", alert.id, signed.until, signed.sign),
        is_done,
        wrong: wrong.map(|wrong| p.says(&wrong)),
        p,
    };
    Ok(Html(rendered(&page)?).into_response())
}
