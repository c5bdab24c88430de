//! An explanation for people: lines for a phone, not a wide table.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::ground::is_overdue;
use super::super::output::{beyond_status, lived, local};
use crate::desk::explain::{Explanation, Outcome, RuleExplained, Told, TracedDelivery};
use crate::limits::{EXPLAINED_IN_FULL_MAX, EXPLAINED_OTHERS_MAX};
use crate::model::{DeliveryState, Instance, MessageKind, SourceId};
use crate::source::SourceSettings;
use crate::template::display_text;
use crate::words::{Language, Saying, summary, suppression};
use crate::yaml::duration_text;

/// How an explanation is shown.
pub(super) struct Shown<'a> {
    pub(super) zone: &'a TimeZone,
    pub(super) now: Timestamp,
    /// Whether every rule is named.
    pub(super) all: bool,
    /// Whether it is one of several explanations: then rules about other jobs are counted alone, unless all are named.
    pub(super) is_one_of_several: bool,
    /// Whether the configuration could be read as a whole.
    pub(super) is_whole: bool,
    /// The sources, which say when they are polled.
    pub(super) sources: &'a [SourceSettings],
}

impl Shown<'_> {
    /// Whether a source that was polled then should have been polled since.
    fn is_overdue(&self, source: &SourceId, polled_at: Timestamp) -> bool {
        let settings = self.sources.iter().find(|settings| settings.id == *source);
        settings.is_some_and(|settings| is_overdue(&settings.poll, polled_at, self.now))
    }
}

pub(super) fn as_text(explanation: &Explanation<'_>, how: &Shown<'_>) -> String {
    let zone = how.zone;
    let mut text = heading(explanation, how);
    let (about, others) = explanation.matching();
    for explained in about {
        text.push('\n');
        text.push_str(&rule_text(explained, zone));
    }
    for told in &explanation.of_gone_rules {
        let why = if how.is_whole { "is not in the configuration any more" } else { "cannot be read" };
        let _ = write!(text, "\n{}: the rule {why}\n", told.alert.rule);
        text.push_str(&told_text(told, zone));
    }
    if others.is_empty() {
        return text;
    }
    if how.is_one_of_several && !how.all {
        let _ = writeln!(text, "\nabout other jobs: {}; --all names them", rules(others.len()));
        return text;
    }
    let _ = writeln!(text, "\nabout other jobs: {}", rules(others.len()));
    let shown = if how.all { others.len() } else { EXPLAINED_OTHERS_MAX };
    for explained in others.iter().take(shown) {
        let why = explained.measured().map(|why| said(&why, zone)).unwrap_or_default();
        let _ = writeln!(text, "  {}: {why}", explained.rule.id);
    }
    if others.len() > shown {
        let _ = writeln!(text, "  and {} more: --all names them", others.len() - shown);
    }
    text
}

fn rules(number: usize) -> String {
    format!("{number} rule{}", if number == 1 { "" } else { "s" })
}

fn heading(explanation: &Explanation<'_>, how: &Shown<'_>) -> String {
    let (zone, now) = (how.zone, how.now);
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
    match (&explanation.unreadable, explanation.polled_at) {
        (Some((since, reason)), _) => {
            let (since, reason) = (local(*since, zone), display_text(reason));
            let _ = writeln!(text, "{} has been unreadable since {since}: {reason}", explanation.source);
            text.push_str("what follows is as of before that\n");
        }
        (None, Some(polled_at)) => {
            let _ = writeln!(text, "as of the last poll, {}", local(polled_at, zone));
            if how.is_overdue(&explanation.source, polled_at) {
                let _ =
                    writeln!(text, "{} was not polled when it was due: nightbell status says more", explanation.source);
            }
        }
        (None, None) => {}
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
    let mut text = format!("{} ({}): {}\n", rule.id, rule.severity, outcome_text(outcome, zone));
    if let Some(standing) = explained.measured() {
        // What was told once may hold no more: both are said.
        let is_said = matches!(outcome, Outcome::NotTold { why, .. } if *why == standing);
        if !is_said {
            let now = if told.is_empty() { "" } else { "now: " };
            let _ = writeln!(text, "  {now}{}", said(&standing, zone));
        }
    }
    told.iter().for_each(|told| text.push_str(&told_text(told, zone)));
    text
}

/// What the command line says is in English.
fn said(saying: &Saying, zone: &TimeZone) -> String {
    display_text(&saying.words(Language::En, zone))
}

fn outcome_text(outcome: &Outcome, zone: &TimeZone) -> String {
    match outcome {
        Outcome::Told => "notified".to_string(),
        Outcome::Pending => "pending".to_string(),
        Outcome::NotTold { why, .. } => format!("not notified: {}", said(why, zone)),
    }
}

fn told_text(told: &Told, zone: &TimeZone) -> String {
    let part = &told.alert.facts.alert;
    let id = told.alert.id.short();
    let under = told.alert.generation.map(|number| format!(", configuration {number}")).unwrap_or_default();
    let mut text = format!("  alert {id}, {}{under}\n", lived(part, zone));
    let _ = writeln!(text, "    {}", display_text(&summary(&told.alert.facts, Language::En)));
    if let Some(by) = &told.alert.suppressed_by {
        let _ = writeln!(text, "    not sent: {}", display_text(&suppression(&by.to_string(), Language::En)));
    }
    if let Some(ack) = &told.ack {
        let _ = writeln!(text, "    acknowledged by {} since {}", display_text(&ack.by), local(ack.at, zone));
    }
    text.push_str(&failure_text(told));
    let receivers: BTreeSet<&str> = told.deliveries.iter().map(|it| it.record.delivery.receiver.as_str()).collect();
    if receivers.len() > EXPLAINED_IN_FULL_MAX {
        receivers.iter().for_each(|receiver| text.push_str(&receiver_line(receiver, told, zone)));
    } else {
        told.deliveries.iter().for_each(|traced| text.push_str(&delivery_text(traced, zone)));
    }
    text
}

/// What failed, as the messages said it: the error, and each failing node with its log.
fn failure_text(told: &Told) -> String {
    let facts = &told.alert.facts;
    let mut text = String::new();
    let error = facts.instance.as_ref().and_then(|it| it.error.as_deref());
    if let Some(error) = error {
        let lines: Vec<String> = error.lines().map(display_text).collect();
        let _ = writeln!(text, "    error: {}", lines.join("\n      "));
    }
    for node in &facts.failing_nodes {
        let retries = node.retries.filter(|number| *number > 0).map(|number| number.to_string());
        let retried = retries.map(|number| format!(", {}", Language::En.say("retried", &[("n", &number)])));
        let line = format!("node {}: {}{}", node.name, node.status, retried.unwrap_or_default());
        let _ = writeln!(text, "    {}", display_text(&line));
        if let Some(path) = &node.log_path {
            let _ = writeln!(text, "      {}", display_text(path));
        }
    }
    text
}

/// One of many receivers: `    hook: delivered 2026-11-21 02:05:00; resolution pending, next attempt …`.
fn receiver_line(receiver: &str, told: &Told, zone: &TimeZone) -> String {
    let deliveries = told.deliveries.iter().filter(|traced| traced.record.delivery.receiver.as_str() == receiver);
    let states = deliveries.map(|traced| {
        let what = match traced.record.delivery.kind {
            MessageKind::AlertResolved => "resolution ",
            MessageKind::AlertAcknowledged => "acknowledgement ",
            MessageKind::AlertUnacknowledged => "removed acknowledgement ",
            _ => "",
        };
        let delivery = &traced.group.as_ref().unwrap_or(&traced.record).delivery;
        let failed = delivery.state != DeliveryState::Delivered;
        let error = delivery.last_error.as_deref().filter(|_| failed);
        let error = error.map(|error| format!(" ({})", display_text(error))).unwrap_or_default();
        format!("{what}{}{error}", state_text(traced, zone))
    });
    format!("    {receiver}: {}\n", states.collect::<Vec<_>>().join("; "))
}

/// Where a message stands, and since or until when.
fn state_text(traced: &TracedDelivery, zone: &TimeZone) -> String {
    let teller = traced.group.as_ref().unwrap_or(&traced.record);
    if let (Some(window), Some(until)) = (traced.held_for(), traced.gathers_until()) {
        return format!("pending, held back until the window {window} opens, {}", local(until, zone));
    }
    match (teller.delivery.state, teller.delivery.delivered_at, teller.delivery.next_attempt_at) {
        (DeliveryState::Delivered, Some(at), _) => format!("delivered {}", local(at, zone)),
        (DeliveryState::Pending, _, Some(until)) if traced.gathers_until().is_some() => {
            format!("pending, waits for others of its group until {}", local(until, zone))
        }
        (DeliveryState::Pending, _, Some(next)) => format!("pending, next attempt {}", local(next, zone)),
        (state, ..) => state.as_str().to_string(),
    }
}

fn delivery_text(traced: &TracedDelivery, zone: &TimeZone) -> String {
    let delivery = &traced.record.delivery;
    let teller = traced.group.as_ref().unwrap_or(&traced.record);
    let what = match (delivery.kind, traced.step()) {
        (MessageKind::AlertFiring, Some(step)) => format!("step {step} at {}, ", local(delivery.created_at, zone)),
        (MessageKind::AlertFiring, None) => String::new(),
        (MessageKind::AlertResolved, _) => "resolution ".to_string(),
        (MessageKind::AlertAcknowledged, _) => "acknowledgement ".to_string(),
        (MessageKind::AlertUnacknowledged, _) => "removed acknowledgement ".to_string(),
        _ => "with others, ".to_string(),
    };
    let merged = match (&delivery.merged_into, &delivery.group) {
        (Some(group), Some(_)) => format!(", sent with its group in {group}"),
        (Some(group), None) => format!(", merged into {group}"),
        (None, _) => String::new(),
    };
    let state = state_text(traced, zone);
    let mut text = format!("    {}: {what}{state}{merged}\n", delivery.receiver);
    for attempt in &teller.attempts {
        let status = attempt.status.as_deref().unwrap_or("-");
        let error = beyond_status(attempt.status.as_deref(), attempt.error.as_deref());
        let error = if error.is_empty() { String::new() } else { format!(", {}", display_text(error)) };
        let at = local(attempt.started_at, zone);
        let _ = writeln!(text, "      {at} {}: {}{error}", attempt.outcome, display_text(status));
    }
    if let (DeliveryState::Dead, Some(error)) = (teller.delivery.state, &teller.delivery.last_error) {
        let _ = writeln!(text, "      given up: {}", display_text(error));
    }
    if let Some(fallback) = &traced.record.fallback {
        let _ = writeln!(text, "      its fallback was notified: {fallback}");
    }
    text
}
