//! The list of alerts: what fires, what is suspended, what is over.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::frame::{Page, alert_link, encoded, job_link, shown};
use crate::limits::PAGE_ROWS;
use crate::model::{Ack, Alert, AlertId, AlertState, RuleId, Severity, SourceId};
use crate::store::{AlertAsk, Board as _};
use crate::web::cursor;
use crate::web::fault::Fault;
use crate::web::state::Web;
use crate::web::waiting::{Waiting, Waits};

/// What can be asked of the page.
#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct Asked {
    #[serde(default)]
    state: String,
    rule: Option<String>,
    source: Option<String>,
    job: Option<String>,
    /// With which severity the page begins, of those that fire.
    from: Option<String>,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "web/alerts.html")]
struct AlertsPage {
    p: Page,
    state: &'static str,
    narrowed: String,
    rows: Vec<Row>,
    next: Option<String>,
}

/// One alert in a list.
pub(super) struct Row {
    pub(super) link: String,
    pub(super) summary: String,
    pub(super) severity: Severity,
    pub(super) state: &'static str,
    pub(super) job: String,
    pub(super) job_link: String,
    pub(super) source: String,
    pub(super) rule: String,
    pub(super) since: Timestamp,
    pub(super) until: Option<Timestamp>,
    pub(super) ended: Option<String>,
    pub(super) ack: Option<Ack>,
    pub(super) waits: Option<String>,
}

/// The word for where an alert stands.
pub(super) fn standing(alert: &Alert) -> &'static str {
    match (alert.state(), alert.suspended_at) {
        (AlertState::Resolved, _) => "resolved",
        (AlertState::Firing, Some(_)) => "suspended",
        (AlertState::Firing, None) => "firing",
    }
}

/// The rows of these alerts.
pub(super) async fn rows(web: &Web, p: &Page, alerts: &[Alert]) -> Result<Vec<Row>, Fault> {
    let ids: Vec<AlertId> = alerts.iter().map(|alert| alert.id.clone()).collect();
    let acks = web.store.acks_of(&ids).await?;
    let waiting = Waiting::of(web, &p.sight, alerts, acks.keys().cloned().collect()).await?;
    Ok(alerts.iter().map(|alert| row(p, alert, &acks, &waiting)).collect())
}

fn row(p: &Page, alert: &Alert, acks: &HashMap<AlertId, Ack>, waiting: &Waiting) -> Row {
    let part = &alert.facts.alert;
    let name = &alert.facts.job.name;
    Row {
        link: alert_link(alert.id.as_str()),
        summary: p.summary(alert),
        severity: part.severity,
        state: standing(alert),
        job: p.plain(name),
        job_link: job_link(alert.source.as_str(), name),
        source: alert.source.to_string(),
        rule: alert.rule.to_string(),
        since: part.starts_at,
        until: part.ends_at,
        ended: part.ended.as_ref().map(|ended| p.say(&format!("web.ended.{}", ended.reason.as_str()))),
        ack: acks.get(&alert.id).cloned(),
        waits: waits(p, waiting, alert),
    }
}

/// What an alert waits for, in words.
pub(super) fn waits(p: &Page, waiting: &Waiting, alert: &Alert) -> Option<String> {
    Some(match waiting.next(&p.in_force, alert, p.now)? {
        Waits::Covered => p.say("web.waits.suspended"),
        Waits::HeldBack(by) => p.say_with("web.waits.held_back", "by", p.held_back_by(&by)),
        Waits::Silence(silence) => {
            let (n, at, who) = (silence.id.to_string(), p.clock(&silence.ends_at), p.plain(&silence.by));
            p.language.say("web.waits.silenced", &[("n", &n), ("at", &at), ("who", &who)])
        }
        Waits::Group(at) => p.say_with("web.waits.group", "in", p.ahead(&at)),
        Waits::Window(at) => p.say_with("web.waits.window", "in", p.ahead(&at)),
        Waits::Step(at, to) => {
            let to = to.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            p.language.say("web.waits.step", &[("to", &to), ("in", &p.ahead(&at))])
        }
    })
}

/// `GET /alerts`.
pub(in crate::web) async fn alerts(
    State(web): State<Web>,
    Query(asked): Query<Asked>,
    p: Page,
) -> Result<Response, Fault> {
    let state = match asked.state.as_str() {
        "all" => "all",
        "resolved" => "resolved",
        "suspended" => "suspended",
        _ => "firing",
    };
    let ask = AlertAsk {
        state: match state {
            "all" => None,
            "resolved" => Some(AlertState::Resolved),
            _ => Some(AlertState::Firing),
        },
        is_suspended: match state {
            "firing" => Some(false),
            "suspended" => Some(true),
            _ => None,
        },
        rule: asked.rule.as_ref().map(RuleId::new),
        source: asked.source.as_ref().map(SourceId::new),
        job: asked.job.clone(),
        after: cursor::after(asked.cursor.as_deref())?,
        ..AlertAsk::default()
    };
    let narrowed: String = [("rule", &asked.rule), ("source", &asked.source), ("job", &asked.job)]
        .into_iter()
        .filter_map(|(key, value)| Some(format!("&{key}={}", encoded(value.as_ref()?))))
        .collect();
    let (found, next) = if state == "firing" {
        let severity = asked.from.as_deref().and_then(Severity::from_word);
        let (found, rest) = p.sight.worst_first(&web, AlertAsk { severity, ..ask }, PAGE_ROWS).await?;
        let after = |cursor: String| format!("&cursor={cursor}");
        let next = rest.map(|rest| format!("&from={}{}", rest.severity, rest.cursor.map(after).unwrap_or_default()));
        (found, next)
    } else {
        let (found, next) = p.sight.alerts(&web, ask, PAGE_ROWS).await?;
        (found, next.map(|after| format!("&cursor={after}")))
    };
    let next = next.map(|next| format!("/alerts?state={state}{narrowed}{next}"));
    let rows = rows(&web, &p, &found).await?;
    let page = AlertsPage { p, state, narrowed, rows, next };
    shown(&page.p, &page)
}
