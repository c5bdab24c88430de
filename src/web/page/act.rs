//! What people do from a page. Each is recorded with who did it; afterwards the page shows what it came to.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::frame::{Page, alert_link, encoded};
use crate::web::deeds::{self, Doer};
use crate::web::fault::Fault;
use crate::web::state::Web;

/// What somebody says to what they do.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Said {
    reason: String,
}

impl Said {
    fn reason(&self) -> Option<&str> {
        Some(self.reason.trim()).filter(|reason| !reason.is_empty())
    }
}

/// `POST /alerts/{id}/ack`.
pub(in crate::web) async fn ack(
    State(web): State<Web>,
    Path(id): Path<String>,
    p: Page,
    Form(said): Form<Said>,
) -> Result<Response, Fault> {
    deeds::ack(&web, &doer(&p, &p.who()), &id, said.reason()).await?;
    Ok(Redirect::to(&alert_link(&id)).into_response())
}

/// `POST /alerts/{id}/unack`.
pub(in crate::web) async fn unack(State(web): State<Web>, Path(id): Path<String>, p: Page) -> Result<Response, Fault> {
    deeds::unack(&web, &doer(&p, &p.who()), &id).await?;
    Ok(Redirect::to(&alert_link(&id)).into_response())
}

/// `POST /alerts/{id}/close`.
pub(in crate::web) async fn close(
    State(web): State<Web>,
    Path(id): Path<String>,
    p: Page,
    Form(said): Form<Said>,
) -> Result<Response, Fault> {
    deeds::close(&web, &doer(&p, &p.who()), &id, &said.reason).await?;
    Ok(Redirect::to(&alert_link(&id)).into_response())
}

/// `POST /deliveries/{id}/retry`.
pub(in crate::web) async fn retry(State(web): State<Web>, Path(id): Path<String>, p: Page) -> Result<Response, Fault> {
    deeds::retry(&web, &doer(&p, &p.who()), &id).await?;
    Ok(Redirect::to(&format!("/deliveries/{}", encoded(&id))).into_response())
}

/// `POST /deliveries/{id}/drop`.
pub(in crate::web) async fn drop_delivery(
    State(web): State<Web>,
    Path(id): Path<String>,
    p: Page,
    Form(said): Form<Said>,
) -> Result<Response, Fault> {
    deeds::drop_delivery(&web, &doer(&p, &p.who()), &id, &said.reason).await?;
    Ok(Redirect::to(&format!("/deliveries/{}", encoded(&id))).into_response())
}

/// `POST /sources/{id}/poll`.
pub(in crate::web) async fn poll(State(web): State<Web>, Path(id): Path<String>, p: Page) -> Result<Response, Fault> {
    deeds::poll(&web, &doer(&p, &p.who()), &id).await?;
    Ok(Redirect::to("/status").into_response())
}

/// Who does something, by this name.
pub(super) fn doer<'a>(p: &'a Page, by: &'a str) -> Doer<'a> {
    Doer { by, sight: &p.sight }
}
