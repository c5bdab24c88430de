//! Deliveries, dead letters among them; and one of them in full.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::action::Done;
use super::frame::{Page, alert_link, encoded, shown};
use crate::desk::is_picture;
use crate::desk::json::without_signatures;
use crate::limits::PAGE_ROWS;
use crate::model::{Alert, AlertId, AlertState, Delivery, DeliveryId, DeliveryState, MessageKind, ReceiverId};
use crate::store::{AttemptRecord, Board as _, DeliveryAsk, DeliveryRecord, Desk as _};
use crate::web::cursor;
use crate::web::fault::Fault;
use crate::web::state::Web;

#[derive(Debug, Deserialize)]
pub(in crate::web) struct Asked {
    #[serde(default)]
    state: String,
    receiver: Option<String>,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "web/deliveries.html")]
struct DeliveriesPage {
    p: Page,
    state: String,
    receiver: String,
    receivers: Vec<String>,
    rows: Vec<Row>,
    next: Option<String>,
}

/// One delivery in a list.
pub(super) struct Row {
    pub(super) link: String,
    pub(super) made: Timestamp,
    pub(super) receiver: String,
    pub(super) kind_key: &'static str,
    pub(super) state: &'static str,
    pub(super) state_key: String,
    pub(super) attempts: u32,
    pub(super) rule: Option<String>,
    /// What the alert says of which it tells, or its job; of a digest, its subject.
    pub(super) summary: Option<String>,
    /// Of how many it tells together.
    pub(super) several: Option<String>,
    pub(super) alert_link: String,
    pub(super) error: Option<String>,
    pub(super) next: Option<Timestamp>,
}

/// The key of the phrase for a kind of message.
pub(super) fn kind_key(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::AlertFiring => "web.kind.firing",
        MessageKind::AlertResolved => "web.kind.resolved",
        MessageKind::AlertAcknowledged => "web.kind.acknowledged",
        MessageKind::AlertUnacknowledged => "web.kind.unacknowledged",
        MessageKind::AlertGroup => "web.kind.group",
        MessageKind::Digest => "web.kind.digest",
        MessageKind::Test => "web.kind.test",
    }
}

/// What a message of this kind is about: what its alert says, where that is still what the message told of, and otherwise
/// the job.
fn about(p: &Page, kind: MessageKind, alert: &Alert) -> String {
    let (tells_end, is_over) = (kind == MessageKind::AlertResolved, alert.state() == AlertState::Resolved);
    let is_own = alert.rule.as_str().starts_with("self/");
    if tells_end == is_over || is_own { p.summary(alert) } else { p.plain(&alert.facts.job.name) }
}

/// The row of a delivery; of which alert it tells, or of how many.
fn row(p: &Page, delivery: &Delivery, alert: Option<&Alert>, told: Option<&u64>) -> Row {
    let subject = Some(p.plain(delivery.content.part("subject")));
    let digest = subject.filter(|subject| delivery.kind == MessageKind::Digest && !subject.is_empty());
    Row {
        link: format!("/deliveries/{}", encoded(delivery.id.as_str())),
        made: delivery.created_at,
        receiver: delivery.receiver.to_string(),
        kind_key: kind_key(delivery.kind),
        state: if delivery.dropped_at.is_some() { "merged" } else { delivery.state.as_str() },
        state_key: match delivery.dropped_at {
            Some(_) => "web.delivery.dropped".to_string(),
            None => format!("web.delivery.{}", delivery.state.as_str()),
        },
        attempts: delivery.attempts,
        rule: delivery.rule.as_ref().map(ToString::to_string),
        summary: alert.map(|alert| about(p, delivery.kind, alert)).or(digest),
        several: told.map(|told| p.say_with("web.deliveries.several", "n", told)),
        alert_link: delivery.alert.as_ref().map(|alert| alert_link(alert.as_str())).unwrap_or_default(),
        error: delivery.last_error.as_deref().map(|error| p.reason(error)),
        next: delivery.next_attempt_at,
    }
}

/// `GET /deliveries`.
pub(in crate::web) async fn deliveries(
    State(web): State<Web>,
    Query(asked): Query<Asked>,
    p: Page,
) -> Result<Response, Fault> {
    let receiver = asked.receiver.filter(|receiver| !receiver.is_empty());
    let ask = DeliveryAsk {
        state: DeliveryState::from_word(&asked.state),
        receiver: receiver.as_ref().map(ReceiverId::new),
        after: cursor::after(asked.cursor.as_deref())?,
        ..DeliveryAsk::default()
    };
    let state = ask.state.map_or("", DeliveryState::as_str).to_string();
    let narrowed = receiver.as_ref().map(|it| format!("&receiver={}", encoded(it))).unwrap_or_default();
    let (found, next) = p.sight.deliveries(&web, ask, PAGE_ROWS).await?;
    let next = next.map(|after| format!("/deliveries?state={state}{narrowed}&cursor={after}"));
    let receivers = p.in_force.config.receivers.iter().filter(|it| p.sight.sees_receiver(&it.id));
    let receivers = receivers.map(|it| it.id.to_string()).collect();
    let ids: Vec<AlertId> = found.iter().filter_map(|delivery| delivery.alert.clone()).collect();
    let alerts = web.store.alerts_of(&ids).await?;
    let groups = found.iter().filter(|delivery| delivery.kind == MessageKind::AlertGroup);
    let told = web.store.told_counts(&groups.map(|delivery| delivery.id.clone()).collect::<Vec<_>>()).await?;
    let alert_of = |delivery: &Delivery| alerts.get(delivery.alert.as_ref()?);
    let rows = found.iter().map(|delivery| row(&p, delivery, alert_of(delivery), told.get(&delivery.id))).collect();
    let page = DeliveriesPage { p, state, receiver: receiver.unwrap_or_default(), receivers, rows, next };
    shown(&page.p, &page)
}

#[derive(Template)]
#[template(path = "web/delivery.html")]
struct DeliveryPage {
    p: Page,
    record: DeliveryRecord,
    row: Row,
    parts: Vec<(String, String)>,
    links: Vec<(String, String, String)>,
    done: Vec<Done>,
}

/// `GET /deliveries/{id}`.
pub(in crate::web) async fn delivery(
    State(web): State<Web>,
    Path(id): Path<String>,
    p: Page,
) -> Result<Response, Fault> {
    let record = p.sight.delivery(&web, &id).await?;
    let delivery = &record.delivery;
    let done = web.store.actions_on_deliveries(std::slice::from_ref(&delivery.id)).await?;
    let link = |key: &str, id: &Option<DeliveryId>| {
        id.as_ref().map(|id| (p.say(key), format!("/deliveries/{}", encoded(id.as_str())), id.to_string()))
    };
    let links = [
        link("web.delivery.follows", &delivery.follows),
        link("web.delivery.merged_into", &delivery.merged_into),
        link("web.delivery.stands_in_for", &delivery.fallback_for),
        link("web.delivery.fallback", &record.fallback),
    ];
    let texts = delivery.content.parts.iter().filter(|(name, _)| !is_picture(name));
    let page = DeliveryPage {
        row: row(&p, delivery, record.alert.as_ref(), None),
        parts: texts.map(|(name, text)| (name.clone(), laid_out(&p, name, text))).collect(),
        links: links.into_iter().flatten().collect(),
        done: done.iter().map(|action| Done::of(&p, action)).collect(),
        record,
        p,
    };
    shown(&page.p, &page)
}

/// A part as a person reads it: JSON laid out, a page of HTML as its source.
fn laid_out(p: &Page, part: &str, text: &str) -> String {
    let text = &*without_signatures(text);
    let value = serde_json::from_str::<serde_json::Value>(text).ok().filter(|it| it.is_object() || it.is_array());
    let laid_out = value.and_then(|value| serde_json::to_string_pretty(&value).ok()).filter(|_| part != "html");
    laid_out.as_deref().unwrap_or(text).lines().map(|line| p.plain(line)).collect::<Vec<_>>().join("\n")
}

impl DeliveryPage {
    fn is_dead(&self) -> bool {
        self.record.delivery.state == DeliveryState::Dead
    }

    /// Whether a person may give it up: it is pending, or dead and nobody has.
    fn may_be_dropped(&self) -> bool {
        self.is_pending() || self.is_dead() && self.record.delivery.dropped_at.is_none()
    }

    /// Whether a person may have it sent now: it is dead, or it was tried and waits.
    fn may_be_retried(&self) -> bool {
        self.is_dead() || self.is_pending() && self.record.delivery.attempts > 0
    }

    fn is_pending(&self) -> bool {
        self.record.delivery.state == DeliveryState::Pending
    }

    /// What the channel answered, without what the reason says once more.
    fn answered(&self, attempt: &AttemptRecord) -> String {
        self.p.answer(attempt.status.as_deref(), attempt.error.as_deref())
    }

    fn took(&self, from: &Timestamp, until: &Timestamp) -> String {
        self.p.lasted(until.duration_since(*from).unsigned_abs())
    }
}
