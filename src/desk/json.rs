//! What is shown, as JSON: the lines of the commands' `--json` and the objects of the API. A key is never renamed.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use regex::Regex;
use serde_json::{Value, json};

use super::explain::{Explanation, Outcome, RuleExplained, Told, TracedDelivery, fate};
use crate::model::{Ack, Action, ActionKind, Alert, Concerns, Delivery, Instance, Silence};
use crate::rule::Standing;
use crate::store::{AttemptRecord, DeliveryRecord, Transition};
use crate::words::{Language, Saying};

/// A text without the signatures of links in it: who looks at a message has not received it, and may not do what its
/// links do.
pub fn without_signatures(text: &str) -> std::borrow::Cow<'_, str> {
    static SIGNATURE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("sign=[A-Za-z0-9_-]{43}").ok());
    match &*SIGNATURE {
        Some(signature) => signature.replace_all(text, "sign=<secret>"),
        None => "".into(),
    }
}

/// An alert.
pub fn alert(alert: &Alert, ack: Option<&Ack>) -> Value {
    json!({
        "alert": alert.facts.alert,
        "source": alert.facts.source,
        "job": alert.facts.job,
        "instance": alert.facts.instance,
        "suppressed_by": alert.suppressed_by,
        "acked": ack,
        "generation": alert.generation,
    })
}

/// A delivery.
pub fn delivery(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.id,
        "alert": delivery.alert,
        "rule": delivery.rule,
        "receiver": delivery.receiver,
        "kind": delivery.kind,
        "state": delivery.state,
        "merged_into": delivery.merged_into,
        "attempts": delivery.attempts,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "created_at": delivery.created_at,
        "next_attempt_at": delivery.next_attempt_at,
        "delivered_at": delivery.delivered_at,
        "dropped_at": delivery.dropped_at,
        "stands_in_for": delivery.fallback_for,
    })
}

/// Attempts, in a list.
pub fn attempts(attempts: &[AttemptRecord]) -> Value {
    let attempt = |one: &AttemptRecord| {
        json!({
            "number": one.number,
            "started_at": one.started_at,
            "ended_at": one.ended_at,
            "outcome": one.outcome,
            "status": one.status,
            "error": one.error,
        })
    };
    attempts.iter().map(attempt).collect()
}

/// Something that somebody did. Of what it was done to, the one that it is.
pub fn action(action: &Action) -> Value {
    use ActionKind::{Ack as Acked, Close, Drop, Expire, Poll, Retry, Silence as Silenced, Unack};
    let of = |is: bool| is.then_some(action.subject.as_str());
    json!({
        "at": action.at,
        "by": action.by,
        "action": action.kind,
        "alert": of(matches!(action.kind, Acked | Unack | Close)).or(action.alert.as_ref().map(|id| id.as_str())),
        "delivery": of(matches!(action.kind, Retry | Drop)),
        "silence": of(matches!(action.kind, Silenced | Expire)).and_then(|id| id.parse::<i64>().ok()),
        "source": of(action.kind == Poll),
        "reason": action.reason,
    })
}

/// A delivery with what lists leave out.
pub fn delivery_record(record: &DeliveryRecord) -> Value {
    let DeliveryRecord { delivery: of, alert, attempts: made, fallback } = record;
    let mut shown = delivery(of);
    shown["follows"] = json!(of.follows);
    shown["fallback"] = json!(fallback);
    shown["retried_at"] = json!(of.revived.map(|revival| revival.at));
    shown["recipients_done"] = json!(of.done);
    shown["attempt_log"] = attempts(made);
    shown["alert_data"] = json!(alert.as_ref().map(|alert| &alert.facts));
    let parts = of.content.parts.iter().map(|(name, text)| (name, without_signatures(text)));
    shown["content"] = json!(parts.collect::<std::collections::BTreeMap<_, _>>());
    shown
}

/// A message of an alert, with the one that told it together with others.
pub fn traced_delivery(traced: &TracedDelivery) -> Value {
    let teller = traced.group.as_ref().unwrap_or(&traced.record);
    let mut object = delivery(&traced.record.delivery);
    object["told_as"] = json!(traced.state());
    object["step"] = json!(traced.step());
    object["gathers_until"] = json!(traced.gathers_until());
    object["held_for"] = json!(traced.held_for());
    object["fallback"] = json!(traced.record.fallback);
    object["attempt_log"] = attempts(&teller.attempts);
    object
}

/// A silence, with how many alerts it holds back or held back.
pub fn silence(silence: &Silence, held: u64, now: Timestamp) -> Value {
    let Concerns { sources, jobs, rules, severities, labels } = &silence.concerns;
    json!({
        "id": silence.id,
        "state": silence.state(now),
        "sources": sources,
        "jobs": jobs,
        "rules": rules,
        "severities": severities,
        "labels": labels,
        "reason": silence.reason,
        "by": silence.by,
        "created_at": silence.created_at,
        "ends_at": silence.ends_at,
        "expired_at": silence.expired.as_ref().map(|(at, _)| at),
        "expired_by": silence.expired.as_ref().map(|(_, by)| by),
        "alerts": held,
    })
}

/// An instance, under the names of the webhook body.
pub fn instance(instance: &Instance, now: Timestamp) -> Value {
    json!({
        "source": instance.source,
        "job": { "name": instance.job.name, "id": instance.job.id },
        "instance": {
            "id": instance.id,
            "name": instance.name,
            "status": instance.status,
            "raw_status": instance.raw_status,
            "type": instance.kind,
            "plan_time": instance.plan_time,
            "start_time": instance.start_time,
            "end_time": instance.end_time,
            "duration_ms": instance.duration(now).map(|lasted| u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX)),
        },
    })
}

/// Everything that can be said of one run or one job.
pub fn explanation(explanation: &Explanation<'_>, zone: &TimeZone, now: Timestamp) -> Value {
    let run = |run: &Instance| {
        json!({
            "id": run.id,
            "status": run.status,
            "raw_status": run.raw_status,
            "type": run.kind,
            "plan_time": run.plan_time,
            "start_time": run.start_time,
            "end_time": run.end_time,
            "duration_ms": run.duration(now).and_then(|lasted| u64::try_from(lasted.as_millis()).ok()),
        })
    };
    let transition = |transition: &Transition| {
        let Instance { status, raw_status, .. } = &transition.instance;
        json!({ "seen_at": transition.seen_at, "status": status, "raw_status": raw_status })
    };
    let rules: Vec<Value> = explanation.rules.iter().map(|explained| rule(explained, zone)).collect();
    json!({
        "source": explanation.source,
        "job": explanation.job,
        "asked_for": if explanation.is_about_job { "job" } else { "instance" },
        "instance": explanation.run.as_ref().map(run),
        "transitions": explanation.transitions.iter().map(transition).collect::<Vec<_>>(),
        "transitions_before": explanation.transitions_before,
        "last_instances": explanation.runs.iter().map(run).collect::<Vec<_>>(),
        "polled_at": explanation.polled_at,
        "unreadable_since": explanation.unreadable.as_ref().map(|(since, _)| since),
        "unreadable_reason": explanation.unreadable.as_ref().map(|(_, reason)| reason),
        "rules": rules,
        "alerts_of_gone_rules": explanation.of_gone_rules.iter().map(told).collect::<Vec<_>>(),
    })
}

fn rule(explained: &RuleExplained<'_>, zone: &TimeZone) -> Value {
    let (code, why) = match &explained.outcome {
        Outcome::NotTold { code, why } => (Some(*code), Some(english(why, zone))),
        Outcome::Told | Outcome::Pending => (None, None),
    };
    let objection = match &explained.standing {
        Some(Standing::Fails(objection)) => Some(objection),
        _ => None,
    };
    json!({
        "rule": explained.rule.id,
        "severity": explained.rule.severity,
        "notify": explained.rule.notify,
        "matches": !objection.is_some_and(|objection| objection.is_of_match()),
        "holds": explained.standing.as_ref().map(|standing| matches!(standing, Standing::Holds(_))),
        "standing": objection.map(|objection| objection.code()),
        "evaluated": explained.measured().map(|found| english(&found, zone)),
        "outcome": explained.outcome.as_str(),
        "reason": code,
        "why": why,
        "alerts": explained.told.iter().map(told).collect::<Vec<_>>(),
    })
}

/// What programs read is in English, whatever people read.
fn english(saying: &Saying, zone: &TimeZone) -> String {
    saying.words(Language::En, zone)
}

fn told(told: &Told) -> Value {
    let deliveries: Vec<Value> = told.deliveries.iter().map(traced_delivery).collect();
    let outcome = fate(&told.alert, &told.deliveries);
    let mut object = alert(&told.alert, told.ack.as_ref());
    object["outcome"] = json!(outcome.as_str());
    object["generation"] = json!(told.alert.generation);
    object["deliveries"] = json!(deliveries);
    object
}
