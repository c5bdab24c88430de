//! `nightbell explain`: why somebody was told of a run or a job, or why not. Lines for a phone, not a wide table.

use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::output::{fail, local, print};
use super::{Exit, Failure, alerts, deliveries};
use crate::app::explain::{Asked, Explanation, Letter, Outcome, RuleExplained, Told, explain, fate, find};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::limits::EXPLAINED_OTHERS_MAX;
use crate::model::{DeliveryState, Instance, MessageKind};
use crate::rule::Standing;
use crate::store::{Mode, SqlStore, Transition};
use crate::template::display_text;
use crate::yaml::duration_text;

/// The command's arguments, without the configuration file.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A job's name, an instance's id, or both: etl_orders, 34765, etl_orders/34765.
    #[arg(value_name = "INSTANCE|JOB")]
    subject: String,
    /// One JSON object for each run or job of that name.
    #[arg(long)]
    json: bool,
    /// Every rule, those about other jobs too.
    #[arg(long)]
    all: bool,
}

pub(super) async fn explain_one(config: &Config, arguments: &Arguments) -> Result<Exit, Failure> {
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let now = SystemClock.now();
    let found = match find(&store, &arguments.subject, &config.rules).await? {
        Ok(found) => found,
        Err(near) => {
            let help = near.map_or_else(
                || "`nightbell jobs` and `nightbell instances` list what is remembered".to_string(),
                |near| format!("did you mean {near:?}?"),
            );
            fail(format_args!("there is no job and no instance {:?}; {help}", arguments.subject));
            return Ok(Exit::Failed);
        }
    };
    for (index, asked) in found.into_iter().enumerate() {
        let explanation = explain(&store, &config.rules, Asked::clone(&asked), now, &config.timezone).await?;
        if arguments.json {
            print(object(&explanation, &config.timezone, now))?;
        } else {
            let gap = if index > 0 { "\n" } else { "" };
            print(format_args!("{gap}{}", as_text(&explanation, &config.timezone, now, arguments.all).trim_end()))?;
        }
    }
    Ok(Exit::Done)
}

fn as_text(explanation: &Explanation<'_>, zone: &TimeZone, now: Timestamp, all: bool) -> String {
    let mut text = heading(explanation, zone, now);
    let (about, others) = explanation.matching();
    for explained in about {
        text.push('\n');
        text.push_str(&rule_text(explained, zone));
    }
    for told in &explanation.of_gone_rules {
        let _ = write!(text, "\n{}: the rule is not in the configuration any more\n", told.alert.rule);
        text.push_str(&told_text(told, zone));
    }
    if others.is_empty() {
        return text;
    }
    let _ = writeln!(text, "\nabout other jobs: {}", rules(others.len()));
    let shown = if all { others.len() } else { EXPLAINED_OTHERS_MAX };
    for explained in others.iter().take(shown) {
        let why = standing_text(explained, zone).unwrap_or_default();
        let _ = writeln!(text, "  {}: {}", explained.rule.id, display_text(&why));
    }
    if others.len() > shown {
        let _ = writeln!(text, "  and {} more: --all names them", others.len() - shown);
    }
    text
}

fn rules(number: usize) -> String {
    format!("{number} rule{}", if number == 1 { "" } else { "s" })
}

fn heading(explanation: &Explanation<'_>, zone: &TimeZone, now: Timestamp) -> String {
    let job = display_text(&explanation.job);
    let mut text = String::new();
    match &explanation.run {
        Some(run) if !explanation.is_about_job => {
            let _ = writeln!(text, "{job}/{} in {}", display_text(&run.id), explanation.source);
            let _ = writeln!(text, "{}", run_text(run, zone, now));
            text.push_str(&transitions_text(explanation, zone));
        }
        _ => {
            let _ = writeln!(text, "the job {job} in {}", explanation.source);
            for run in &explanation.runs {
                let planned = run.plan_time.or(run.start_time).map(|at| format!(", planned {}", local(at, zone)));
                let lasted = run.duration(now).map(|lasted| format!(", lasted {}", duration_text(lasted)));
                let (planned, lasted) = (planned.unwrap_or_default(), lasted.unwrap_or_default());
                let _ = writeln!(text, "  {}: {}{planned}{lasted}", display_text(&run.id), run.status);
            }
            if explanation.runs.is_empty() {
                text.push_str("  no run of it is remembered\n");
            }
        }
    }
    if let Some(polled_at) = explanation.polled_at {
        let _ = writeln!(text, "as of the last poll, {}", local(polled_at, zone));
    }
    text
}

/// A line for each state that a poll saw: `  2026-11-21 02:05:00 running (RUNNING)`.
fn transitions_text(explanation: &Explanation<'_>, zone: &TimeZone) -> String {
    let mut text = String::new();
    if explanation.transitions.is_empty() {
        return text;
    }
    text.push_str("as polls saw it\n");
    if explanation.transitions_before > 0 {
        let _ = writeln!(text, "  ({} earlier states)", explanation.transitions_before);
    }
    for transition in &explanation.transitions {
        let Instance { status, raw_status, .. } = &transition.instance;
        let raw =
            if raw_status == status.as_str() { String::new() } else { format!(" ({})", display_text(raw_status)) };
        let _ = writeln!(text, "  {} {status}{raw}", local(transition.seen_at, zone));
    }
    text
}

/// `fail, scheduled, planned 2026-11-21 02:00:00, began …, lasted 12m 3s`.
fn run_text(run: &Instance, zone: &TimeZone, now: Timestamp) -> String {
    let mut text = format!("{}, {}", run.status, run.kind.as_str());
    let times = [("planned", run.plan_time), ("began", run.start_time), ("ended", run.end_time)];
    for (what, at) in times {
        if let Some(at) = at {
            let _ = write!(text, ", {what} {}", local(at, zone));
        }
    }
    if let Some(lasted) = run.duration(now) {
        let _ = write!(text, ", lasted {}", duration_text(lasted));
    }
    text
}

fn rule_text(explained: &RuleExplained<'_>, zone: &TimeZone) -> String {
    let RuleExplained { rule, outcome, told, .. } = explained;
    let mut text = format!("{} ({}): {}\n", rule.id, rule.severity, outcome_text(outcome));
    if let Some(standing) = standing_text(explained, zone) {
        // What was told once may hold no more: both are said.
        let is_said = matches!(outcome, Outcome::NotTold { why, .. } if *why == standing);
        if !is_said {
            let now = if told.is_empty() { "" } else { "now: " };
            let _ = writeln!(text, "  {now}{}", display_text(&standing));
        }
    }
    told.iter().for_each(|told| text.push_str(&told_text(told, zone)));
    text
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Told => "told".to_string(),
        Outcome::Owed => "owed".to_string(),
        Outcome::NotTold { why, .. } => format!("not told: {}", display_text(why)),
    }
}

fn standing_text(explained: &RuleExplained<'_>, zone: &TimeZone) -> Option<String> {
    Some(match explained.standing.as_ref()? {
        Standing::Holds(found) => found.clone(),
        Standing::Fails(objection) => objection.words(explained.rule, zone),
    })
}

fn told_text(told: &Told, zone: &TimeZone) -> String {
    let part = &told.alert.facts.alert;
    let id: String = told.alert.id.as_str().chars().take(alerts::ID_SHOWN).collect();
    let until = part.ends_at.map(|end| format!(" until {}", local(end, zone))).unwrap_or_default();
    let under = told.alert.generation.map(|number| format!(", configuration {number}")).unwrap_or_default();
    let since = local(part.starts_at, zone);
    let mut text = format!("  alert {id}, {} since {since}{until}{under}\n", part.state.as_str());
    let _ = writeln!(text, "    {}", display_text(&part.summary));
    if let Some(by) = &told.alert.suppressed_by {
        let _ = writeln!(text, "    not told: {by}");
    }
    if let Some(ack) = &told.ack {
        let _ = writeln!(text, "    acknowledged by {} since {}", display_text(&ack.by), local(ack.at, zone));
    }
    told.letters.iter().for_each(|letter| text.push_str(&letter_text(letter, zone)));
    text
}

fn letter_text(letter: &Letter, zone: &TimeZone) -> String {
    let delivery = &letter.record.delivery;
    let teller = letter.group.as_ref().unwrap_or(&letter.record);
    let what = match (delivery.kind, letter.step()) {
        (MessageKind::AlertFiring, Some(step)) => format!(" (as step {step} at {})", local(delivery.created_at, zone)),
        (MessageKind::AlertFiring, None) => String::new(),
        (MessageKind::AlertResolved, _) => " (its end)".to_string(),
        _ => " (with others)".to_string(),
    };
    let merged = match (&delivery.merged_into, &delivery.group) {
        (Some(group), Some(_)) => format!(", told with its group in {group}"),
        (Some(group), None) => format!(", merged into {group}"),
        (None, _) => String::new(),
    };
    let state = match (teller.delivery.state, teller.delivery.delivered_at, teller.delivery.next_attempt_at) {
        (DeliveryState::Delivered, Some(at), _) => format!("delivered {}", local(at, zone)),
        (DeliveryState::Pending, _, Some(until)) if letter.gathers_until().is_some() => {
            format!("owed, waits for others of its group until {}", local(until, zone))
        }
        (DeliveryState::Pending, _, Some(next)) => format!("owed, next attempt {}", local(next, zone)),
        (state, ..) => state.as_str().to_string(),
    };
    let mut text = format!("    {}{what}: {state}{merged}\n", delivery.receiver);
    for attempt in &teller.attempts {
        let status = attempt.status.as_deref().unwrap_or("-");
        let error = attempt.error.as_deref().map(|error| format!(", {}", display_text(error))).unwrap_or_default();
        let at = local(attempt.started_at, zone);
        let _ = writeln!(text, "      {at} {}: {}{error}", attempt.outcome, display_text(status));
    }
    if let (DeliveryState::Dead, Some(error)) = (teller.delivery.state, &teller.delivery.last_error) {
        let _ = writeln!(text, "      given up: {}", display_text(error));
    }
    if let Some(fallback) = &letter.record.fallback {
        let _ = writeln!(text, "      its fallback was told: {fallback}");
    }
    text
}

fn object(explanation: &Explanation<'_>, zone: &TimeZone, now: Timestamp) -> Value {
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
