//! The list of alerts: what fires, what is suspended, what is over.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::frame::{Page, alert_link, encoded, job_link, shown};
use crate::limits::PAGE_ROWS;
use crate::model::{Ack, Alert, AlertId, AlertState, RuleId, Severity, Silence, SourceId, Suppression};
use crate::store::{AlertAsk, Board as _};
use crate::web::cursor;
use crate::web::fault::Fault;
use crate::web::state::Web;

/// What can be asked of the page.
#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct Asked {
    #[serde(default)]
    state: String,
    rule: Option<String>,
    source: Option<String>,
    job: Option<String>,
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
    let waiting = Waiting::of(web, p, alerts).await?;
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
        waits: waiting.words(p, alert),
    }
}

/// What alerts wait for next, as far as anything is known of that.
pub(super) struct Waiting {
    silences: Vec<Silence>,
    /// When the messages go out that wait for others of their group.
    gathering: HashMap<AlertId, Timestamp>,
}

impl Waiting {
    /// What is known of these alerts.
    pub(super) async fn of(web: &Web, p: &Page, alerts: &[Alert]) -> Result<Waiting, Fault> {
        let firing: Vec<&Alert> = alerts.iter().filter(|alert| alert.state() == AlertState::Firing).collect();
        let is_silenced = |alert: &&Alert| matches!(alert.suppressed_by, Some(Suppression::Silence(_)));
        let silences = if firing.iter().any(is_silenced) { p.sight.silences(web).await? } else { Vec::new() };
        let ids: Vec<AlertId> = firing.iter().map(|alert| alert.id.clone()).collect();
        let gathering = web.store.gathering(&ids).await?;
        Ok(Waiting { silences: silences.into_iter().map(|(silence, _)| silence).collect(), gathering })
    }

    /// What an alert waits for.
    pub(super) fn words(&self, p: &Page, alert: &Alert) -> Option<String> {
        if alert.state() == AlertState::Resolved {
            return None;
        }
        if alert.suspended_at.is_some() {
            return Some(p.say("web.waits.suspended"));
        }
        if let Some(by) = &alert.suppressed_by {
            return Some(
                self.silenced(p, by)
                    .unwrap_or_else(|| p.say_with("web.waits.held_back", "by", p.plain(&by.to_string()))),
            );
        }
        if let Some(at) = self.gathering.get(&alert.id) {
            return Some(p.say_with("web.waits.group", "in", p.ahead(at)));
        }
        let rule = p.in_force.config.rules.get(&alert.rule)?;
        rule.escalation.iter().find_map(|step| {
            let at = alert.created_at.checked_add(step.after).ok()?;
            let to = step.to.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let is_ahead = at > p.now && step.hours.include(at);
            is_ahead.then(|| p.language.say("web.waits.step", &[("to", &to), ("in", &p.ahead(&at))]))
        })
    }

    /// Until when a silence holds it back, and whose it is.
    fn silenced(&self, p: &Page, by: &Suppression) -> Option<String> {
        let Suppression::Silence(id) = by else { return None };
        let silence = self.silences.iter().find(|silence| silence.id == *id && silence.is_active(p.now))?;
        let (n, at, who) = (id.to_string(), p.clock(&silence.ends_at), p.plain(&silence.by));
        Some(p.language.say("web.waits.silenced", &[("n", &n), ("at", &at), ("who", &who)]))
    }
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
        rule: asked.rule.as_ref().map(RuleId::new),
        source: asked.source.as_ref().map(SourceId::new),
        job: asked.job.clone(),
        since: None,
        after: cursor::after(asked.cursor.as_deref())?,
    };
    let narrowed: String = [("rule", &asked.rule), ("source", &asked.source), ("job", &asked.job)]
        .into_iter()
        .filter_map(|(key, value)| Some(format!("&{key}={}", encoded(value.as_ref()?))))
        .collect();
    let (mut found, next) = p.sight.alerts(&web, ask, PAGE_ROWS).await?;
    let next = next.map(|after| format!("/alerts?state={state}{narrowed}&cursor={after}"));
    found.retain(|alert| match state {
        "suspended" => alert.suspended_at.is_some(),
        "firing" => alert.suspended_at.is_none(),
        _ => true,
    });
    if state == "firing" {
        // The worst first, among those of this page.
        found.sort_by_key(|alert| (std::cmp::Reverse(alert.facts.alert.severity), alert.facts.alert.starts_at));
    }
    let rows = rows(&web, &p, &found).await?;
    let page = AlertsPage { p, state, narrowed, rows, next };
    shown(&page.p, &page)
}
