//! An explanation as a JSON object.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::{alerts, deliveries};
use super::text::standing_text;
use crate::app::explain::{Explanation, Letter, Outcome, RuleExplained, Told, fate};
use crate::model::Instance;
use crate::rule::Standing;
use crate::store::Transition;

pub(super) fn object(explanation: &Explanation<'_>, zone: &TimeZone, now: Timestamp) -> Value {
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
    let rules: Vec<Value> = explanation.rules.iter().map(|explained| rule_object(explained, zone)).collect();
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
        "alerts_of_gone_rules": explanation.of_gone_rules.iter().map(told_object).collect::<Vec<_>>(),
    })
}

fn rule_object(explained: &RuleExplained<'_>, zone: &TimeZone) -> Value {
    let (code, why) = match &explained.outcome {
        Outcome::NotTold { code, why } => (Some(*code), Some(why.as_str())),
        Outcome::Told | Outcome::Owed => (None, None),
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
        "evaluated": standing_text(explained, zone),
        "outcome": explained.outcome.as_str(),
        "reason": code,
        "why": why,
        "alerts": explained.told.iter().map(told_object).collect::<Vec<_>>(),
    })
}

fn told_object(told: &Told) -> Value {
    let deliveries: Vec<Value> = told.letters.iter().map(letter_object).collect();
    let outcome = fate(&told.alert, &told.letters);
    let mut object = alerts::line(&told.alert, told.ack.as_ref());
    object["outcome"] = json!(outcome.as_str());
    object["generation"] = json!(told.alert.generation);
    object["deliveries"] = json!(deliveries);
    object
}

fn letter_object(letter: &Letter) -> Value {
    let teller = letter.group.as_ref().unwrap_or(&letter.record);
    let mut object = deliveries::line(&letter.record.delivery);
    object["told_as"] = json!(letter.state());
    object["step"] = json!(letter.step());
    object["gathers_until"] = json!(letter.gathers_until());
    object["fallback"] = json!(letter.record.fallback);
    object["attempt_log"] = deliveries::attempt_objects(&teller.attempts);
    object
}
