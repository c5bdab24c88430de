//! Digests as they were sent.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::frame::{Page, encoded, shown};
use crate::desk::json::without_signatures;
use crate::desk::{is_picture, page_of};
use crate::limits::PAGE_ROWS;
use crate::model::{Delivery, MessageKind};
use crate::store::DeliveryAsk;
use crate::web::cursor;
use crate::web::fault::Fault;
use crate::web::sight::Sight;
use crate::web::state::Web;

#[derive(Debug, Deserialize)]
pub(in crate::web) struct Asked {
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "web/digests.html")]
struct DigestsPage {
    p: Page,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    link: String,
    made: Timestamp,
    receiver: String,
    subject: String,
    state: &'static str,
}

fn row(p: &Page, delivery: &Delivery) -> Row {
    Row {
        link: format!("/digests/{}", encoded(delivery.id.as_str())),
        made: delivery.created_at,
        receiver: delivery.receiver.to_string(),
        subject: p.plain(delivery.content.part("subject")),
        state: delivery.state.as_str(),
    }
}

/// `GET /digests`.
pub(in crate::web) async fn digests(
    State(web): State<Web>,
    Query(asked): Query<Asked>,
    p: Page,
) -> Result<Response, Fault> {
    let after = cursor::after(asked.cursor.as_deref())?;
    let ask = DeliveryAsk { digests: true, after, ..DeliveryAsk::default() };
    let (found, next) = p.sight.deliveries(&web, ask, PAGE_ROWS).await?;
    let next = next.map(|after| format!("/digests?cursor={after}"));
    let rows = found.iter().map(|delivery| row(&p, delivery)).collect();
    let page = DigestsPage { p, rows, next };
    shown(&page.p, &page)
}

#[derive(Template)]
#[template(path = "web/digest.html")]
struct DigestPage {
    p: Page,
    row: Row,
    delivery_link: String,
    html_link: Option<String>,
    texts: Vec<String>,
}

async fn found(web: &Web, sight: &Sight, id: &str) -> Result<Delivery, Fault> {
    let record = sight.delivery(web, id).await?;
    Some(record.delivery).filter(|delivery| delivery.kind == MessageKind::Digest).ok_or_else(Fault::not_found)
}

/// `GET /digests/{id}`.
pub(in crate::web) async fn digest(State(web): State<Web>, Path(id): Path<String>, p: Page) -> Result<Response, Fault> {
    let delivery = found(&web, &p.sight, &id).await?;
    let is_text = |name: &str| !matches!(name, "html" | "subject") && !is_picture(name);
    let parts = delivery.content.parts.iter().filter(|(name, _)| is_text(name));
    let lines = |text: &str| without_signatures(text).lines().map(|line| p.plain(line)).collect::<Vec<_>>().join("\n");
    let page = DigestPage {
        row: row(&p, &delivery),
        delivery_link: format!("/deliveries/{}", encoded(&id)),
        html_link: delivery.content.parts.contains_key("html").then(|| format!("/digests/{}/html", encoded(&id))),
        texts: parts.map(|(_, text)| lines(text)).collect(),
        p,
    };
    shown(&page.p, &page)
}

/// `GET /digests/{id}/html`: the page of the mail, in a box of its own: it may use its own styles and nothing else, and
/// counts as a page of no site.
pub(in crate::web) async fn digest_html(
    State(web): State<Web>,
    Path(id): Path<String>,
    sight: Sight,
) -> Result<Response, Fault> {
    let delivery = found(&web, &sight, &id).await?;
    if !delivery.content.parts.contains_key("html") {
        return Err(Fault::not_found());
    }
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
                  frame-ancestors 'none'; sandbox";
    let mut response = Html(page_of(&delivery.content)).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    Ok(response)
}
