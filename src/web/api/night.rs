//! The night over the API: what the page draws, a job a row, the worst first.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::exchange::{Queried, answer, limit};
use crate::clock::minute_of;
use crate::desk::json;
use crate::limits::{NIGHT_HOURS, NIGHT_HOURS_MAX};
use crate::web::cursor;
use crate::web::fault::Fault;
use crate::web::night::{Between, Lane, Night, Rank, gather, rank, span_of};
use crate::web::sight::Sight;
use crate::web::state::Web;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Asked {
    hours: Option<i64>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /api/v1/night`: the jobs that matter now, those that fail or are late first.
pub(in crate::web) async fn night(
    State(web): State<Web>,
    Queried(asked): Queried<Asked>,
    sight: Sight,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let limit = limit(asked.limit)?;
    let hours = asked.hours.unwrap_or(NIGHT_HOURS);
    if !(1..=NIGHT_HOURS_MAX).contains(&hours) {
        return Err(Fault::bad_request(format!("hours: 1 to {NIGHT_HOURS_MAX}")));
    }
    let after: Option<Rank> = cursor::after_place(asked.cursor.as_deref())?;
    let now = web.now();
    let minute = minute_of(now);
    let span = span_of(minute, hours);
    let night = gather(&web, &sight, span, (now, minute)).await?;
    // The night changes between two pages: the next one goes on behind the rank of the last row, wherever that is now.
    let lanes = night.lanes.iter().filter(|lane| after.as_ref().is_none_or(|after| rank(lane) > *after));
    let (lanes, next) = cursor::page(lanes.take(limit + 1).collect(), limit, |lane| cursor::of(&rank(lane)));
    let items: Vec<Value> = lanes.into_iter().map(|lane| object(&sight, &night, lane, (span, now))).collect();
    let list = json!({
        "from": span.0,
        "until": span.1,
        "known_from": night.cut,
        "is_worst_only": night.is_worst_only,
        "has_more_open": night.has_more_open,
        "items": items,
        "next": next,
    });
    Ok(answer(&headers, &list))
}

fn object(sight: &Sight, night: &Night, lane: &Lane, (span, now): (Between, Timestamp)) -> Value {
    let spans = |spans: &Vec<Between>| -> Vec<Value> {
        spans.iter().map(|(from, until)| json!({ "from": from, "until": until })).collect()
    };
    let alerts = lane.alerts.iter().map(|alert| {
        let ack = night.acks.get(&alert.id);
        json!({
            "id": alert.id,
            "rule": alert.rule,
            "severity": alert.facts.alert.severity,
            "starts_at": alert.facts.alert.starts_at,
            "acked_by": ack.map(|ack| &ack.by),
        })
    });
    let dues = lane.dues(sight, span).into_iter().map(|due| {
        let trigger = due.daily.map_or("missing", |daily| daily.kind().as_str());
        json!({ "at": due.at, "rule": due.rule.id, "trigger": trigger, "is_passed": due.at <= now })
    });
    json!({
        "source": lane.source,
        "job": lane.job,
        "urgency": lane.urgency.as_str(),
        "alerts": alerts.collect::<Vec<Value>>(),
        "instances": lane.last_runs().iter().map(|run| json::instance(run, now)["instance"].take()).collect::<Vec<Value>>(),
        "usual_ms": lane.usual(sight).map(|usual| u64::try_from(usual.as_millis()).unwrap_or(0)),
        "due": dues.collect::<Vec<Value>>(),
        "unread": night.unread.get(&lane.source).map(spans).unwrap_or_default(),
    })
}
