//! What came of a rule and a run: told, pending, or not told, for one reason. Pure: it is given what the store holds.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::traced::{Told, TracedDelivery};
use crate::model::{Alert, AlertState, DeliveryState, Instance, MessageKind, Suppression};
use crate::rule::history::Past;
use crate::rule::{Rule, Standing};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A receiver has it.
    Told,
    /// It is pending and on its way.
    Pending,
    /// Nobody was told, and this is why.
    NotTold {
        /// One word for the reason, the same in every version.
        code: &'static str,
        /// The reason for people.
        why: String,
    },
}

impl Outcome {
    /// The word for it: `told`, `pending` or `not-told`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Told => "told",
            Outcome::Pending => "pending",
            Outcome::NotTold { .. } => "not-told",
        }
    }
}

/// What the outcome is told from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    /// The run that the rules are asked about.
    pub(super) run: Option<&'a Instance>,
    /// The job's runs.
    pub(super) past: &'a Past,
    /// The alerts about the job and all its runs, the newest first.
    pub(super) of_job: &'a [Alert],
    /// When the source was last asked, and the marks of the rules that have looked at it.
    pub(super) looked: Option<&'a (Timestamp, Vec<String>)>,
    pub(super) now: Timestamp,
    pub(super) zone: &'a TimeZone,
}

/// The outcome of a rule with these alerts of its own.
pub(super) fn outcome(rule: &Rule, standing: Option<&Standing>, told: &[Told], ground: &Ground<'_>) -> Outcome {
    if let Some(newest) = told.first() {
        return fate(&newest.alert, &newest.deliveries);
    }
    match standing {
        None => not_told("no-run", "no run of the job is known"),
        Some(Standing::Fails(objection)) => not_told(objection.code(), objection.words(rule, ground.zone)),
        Some(Standing::Holds(_)) => why_untold(rule, ground),
    }
}

/// What became of one alert.
pub fn fate(alert: &Alert, deliveries: &[TracedDelivery]) -> Outcome {
    let kind = |traced: &&TracedDelivery| traced.record.delivery.kind;
    let is_firing = |it: &&TracedDelivery| kind(it) != MessageKind::AlertResolved && !kind(it).is_about_ack();
    let firing: Vec<&TracedDelivery> = deliveries.iter().filter(is_firing).collect();
    if firing.iter().any(|traced| traced.state() == DeliveryState::Delivered) {
        return Outcome::Told;
    }
    if firing.iter().any(|traced| traced.state() == DeliveryState::Pending) {
        return Outcome::Pending;
    }
    if let Some(by) = &alert.suppressed_by {
        return not_told("suppressed", format!("recorded and not sent: {}", held_back_by(by)));
    }
    if let Some(traced) = firing.last() {
        let delivery = &traced.group.as_ref().unwrap_or(&traced.record).delivery;
        let why = delivery.last_error.as_deref().unwrap_or("nobody knows why");
        return not_told("dead", format!("given up, {}: {why}", delivery.receiver));
    }
    if alert.receivers.is_empty() {
        return not_told("nobody-to-tell", "the rule notifies nobody");
    }
    not_told("receivers-gone", "its receivers are not in the configuration")
}

/// What held an alert back, by the word that the store and `--json` have for it, and what that means.
fn held_back_by(by: &Suppression) -> String {
    let meaning = match by {
        Suppression::FirstPoll => "for it is older than first_poll",
        Suppression::TooManyEpisodes => "for its source shows it failing again and again with the same times",
        Suppression::Silence(_) | Suppression::MuteWindow(_) => return by.to_string(),
        Suppression::Inhibition(_) => "for it follows from an alert upstream that was sent",
    };
    format!("{by}, {meaning}")
}

/// The condition holds by what is stored, and there is no alert of this rule about this run.
fn why_untold(rule: &Rule, ground: &Ground<'_>) -> Outcome {
    if let Some(alert) = with_another(rule, ground) {
        return told_with(alert);
    }
    let Some((polled_at, marks)) = ground.looked else {
        return not_told("never-polled", "the source was never read");
    };
    if !marks.contains(&rule.mark()) {
        return not_told("rule-is-new", "the rule is new or was changed: the source was not read with it yet");
    }
    let held_then = ground
        .run
        .is_none_or(|run| matches!(rule.stand(run, ground.past, *polled_at, ground.zone), Standing::Holds(_)));
    if !held_then {
        let at = polled_at.to_zoned(ground.zone.clone()).strftime("%H:%M:%S");
        return not_told("next-poll", format!("it came to hold after the last poll, at {at}"));
    }
    not_told("settled-before", "it was settled before this rule looked at it, or its message is no longer kept")
}

/// The alert of the same rule about another run of the job, or about the job itself, that stood at the run's time or
/// began within a day of it: of several runs that a poll saw together, the newest is told.
fn with_another<'a>(rule: &Rule, ground: &Ground<'a>) -> Option<&'a Alert> {
    rule.when.trigger.as_ref()?;
    let run = ground.run?;
    let at = run.end_time.or(run.start_time).or(run.plan_time)?;
    let soon = at.checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    // The newest stands first, and the one that began first is the run's own.
    ground.of_job.iter().rev().find(|alert| {
        let part = &alert.facts.alert;
        let still_stood = part.state == AlertState::Firing || part.ends_at.is_none_or(|end| end >= at);
        alert.rule == rule.id && part.starts_at <= soon && still_stood
    })
}

fn told_with(alert: &Alert) -> Outcome {
    let of = alert.facts.instance.as_ref().map_or_else(|| "the job".to_string(), |run| format!("run {}", run.id));
    not_told("same-episode", format!("the same episode was sent with {of}: alert {}", alert.id.short()))
}

fn not_told(code: &'static str, why: impl Into<String>) -> Outcome {
    Outcome::NotTold { code, why: why.into() }
}
