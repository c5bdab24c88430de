//! Nightbell's alerts about itself: a source that cannot be read, or only in part; a receiver that cannot be told; a
//! changed configuration that was refused; a background loop that does not work; a replica that stands by because its
//! configuration is not the one in force.
//!
//! Pure: what was seen of sources and receivers comes in, episodes that begin and end come out. They are alerts like all
//! others, under rules of reserved names: a user's rule has no slash in its own. An episode is named by what it is about
//! and since when, so that whoever looks again, also after a restart, comes to the same one. This module must never know
//! where that was seen, or by what channel it is told.
//!
//! What is not known ends nothing: a source that has not been asked since the program started may be as it was, and one
//! that cannot be read at all says nothing of whether it could be read as a whole.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::end::unwatched;
use super::identity::own_alert_id;
use super::summary;
use crate::limits::{INSTANCE_ERROR_BYTES_MAX, OWN_TROUBLE_SETTLES, REPLICA_OUTDATED_AFTER};
use crate::model::{
    Alert, AlertFacts, AlertPart, AlertState, EndReason, Ended, GapCause, JobPart, Measures, Rare, Reason, ReasonCode,
    ReceiverId, RuleId, Severity, SourceId, SourcePart,
};

/// What the names of all of them begin with.
pub const PREFIX: &str = "self/";
/// All of them, where somebody names rules.
pub const ALL: &str = "self/*";
/// A source cannot be read.
pub const SOURCE_UNREADABLE: &str = "self/source-unreadable";
/// A source is read in part, was not asked, or was not read while it still could be.
pub const SOURCE_INCOMPLETE: &str = "self/source-incomplete";
/// A receiver cannot be told.
pub const RECEIVER_DEAD: &str = "self/receiver-dead";
/// A changed configuration was refused.
pub const RELOAD_REFUSED: &str = "self/reload-refused";
/// A background loop does not work.
pub const LOOP_FAILING: &str = "self/loop-failing";
/// A replica has another configuration than the one in force.
pub const REPLICA_OUTDATED: &str = "self/replica-outdated";
/// Their names.
pub const RULES: [&str; 6] =
    [SOURCE_UNREADABLE, SOURCE_INCOMPLETE, RECEIVER_DEAD, RELOAD_REFUSED, LOOP_FAILING, REPLICA_OUTDATED];

/// How bad it is what an alert of one of these names tells.
pub fn severity_of(rule: &str) -> Severity {
    if matches!(rule, SOURCE_INCOMPLETE | REPLICA_OUTDATED) { Severity::Warning } else { Severity::Error }
}

/// What stands in the place of the source, and of the job, where it is Nightbell itself.
const NIGHTBELL: &str = "nightbell";
/// What stands in the place of the job in an alert about the configuration.
const CONFIGURATION: &str = "configuration";

/// What is watched, and who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Whom it tells; nobody where the configuration does not say.
    pub notify: Vec<ReceiverId>,
    /// How long a source is unreadable, or read in part, and a receiver fails, before that is told.
    pub unreadable_after: Duration,
    /// Whether it tells of sources that cannot be read.
    pub source_unreadable: bool,
    /// Whether it tells of gaps in what was read.
    pub source_incomplete: bool,
    /// Whether it tells of receivers that cannot be told.
    pub receiver_dead: bool,
    /// Whether it tells of configurations that were refused.
    pub reload_refused: bool,
    /// Whether it tells of background loops that do not work.
    pub loop_failing: bool,
    /// Whether it tells of replicas that stand by because of their configuration.
    pub replica_outdated: bool,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct OwnSeen {
    /// The sources there are.
    pub sources: Vec<SourceSeen>,
    /// The receivers there are.
    pub receivers: Vec<ReceiverSeen>,
    /// Since when the changed configuration is refused, and why.
    pub refused: Option<(Timestamp, String)>,
    /// The background loops that do not work: since when, and why.
    pub loops: Vec<(String, Timestamp, String)>,
    /// The replicas whose configuration is not the one in force: since when, and what they do.
    pub outdated: Vec<(String, Timestamp, String)>,
}

/// A source, as it is.
#[derive(Debug, Clone)]
pub struct SourceSeen {
    /// The source with its kind.
    pub source: SourcePart,
    /// Whether it has been asked since the program started.
    pub was_asked: bool,
    /// Since when it cannot be read, and why.
    pub unreadable: Option<(Timestamp, String)>,
    /// Since when it is read in part only, and why.
    pub incomplete: Option<(Timestamp, String)>,
    /// Gaps that are over: what they were, from when, until when, and why.
    pub past: Vec<(GapCause, Timestamp, Timestamp, String)>,
}

/// A receiver, as it is.
#[derive(Debug, Clone)]
pub struct ReceiverSeen {
    /// The receiver.
    pub id: ReceiverId,
    /// What is wrong with it, since its last success.
    pub ailment: Option<Ailment>,
}

/// Messages do not reach a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ailment {
    /// When the first attempt failed.
    pub since: Timestamp,
    /// Whether waiting will not help: a message was given up, or the credentials were refused.
    pub is_lasting: bool,
    /// What the last failed attempt was told; holds no secret.
    pub error: String,
}

/// What follows.
#[derive(Debug, Clone, Default)]
pub struct OwnDecided {
    /// Alerts that begin; those that are over already are told once, as that.
    pub begun: Vec<Alert>,
    /// Alerts that end.
    pub ended: Vec<Alert>,
    /// Alerts that are suspended, because what they are about is not watched any more, or are not any longer.
    pub changed: Vec<Alert>,
}

/// Something that is wrong.
struct Fault {
    rule: &'static str,
    source: SourcePart,
    subject: String,
    severity: Severity,
    code: ReasonCode,
    since: Timestamp,
    /// When it was over, where that is known from the start.
    until: Option<Timestamp>,
    error: String,
}

/// What becomes of an alert that fires.
enum OwnStanding {
    GoesOn,
    Over(ReasonCode, Timestamp),
    Unwatched,
}

/// Decides what begins and what ends. `firing` are the alerts of these rules that fire.
pub fn decide(watch: &Watch, seen: &OwnSeen, firing: &[Alert], now: Timestamp) -> OwnDecided {
    let mut decided = OwnDecided::default();
    let mut going_on: Vec<&Alert> = Vec::new();
    for alert in firing {
        match standing(watch, seen, alert, now) {
            OwnStanding::GoesOn => {
                going_on.push(alert);
                if alert.suspended_at.is_some() {
                    decided.changed.push(Alert { suspended_at: None, ..alert.clone() });
                }
            }
            OwnStanding::Over(code, at) => decided.ended.push(end(alert, code, at)),
            OwnStanding::Unwatched => match unwatched(alert, now) {
                Some(over) if over.state() == AlertState::Resolved => decided.ended.push(over),
                suspended => decided.changed.extend(suspended),
            },
        }
    }
    for fault in faults(watch, seen, now) {
        let is_known = |alert: &&&Alert| {
            alert.rule.as_str() == fault.rule
                && alert.source == fault.source.id
                && alert.facts.job.name == fault.subject
        };
        // What is over already stands beside what goes on.
        if fault.until.is_some() || !going_on.iter().any(|alert| is_known(&alert)) {
            decided.begun.push(begin(watch, fault, now));
        }
    }
    decided
}

/// Everything that is wrong and has been for long enough to be told.
fn faults(watch: &Watch, seen: &OwnSeen, now: Timestamp) -> Vec<Fault> {
    let has_lasted = |since: Timestamp, span: Duration| now.duration_since(since) >= signed(span);
    let mut faults = Vec::new();
    for one in seen.sources.iter().filter(|one| one.was_asked) {
        let about = |rule, code, since, until, error: &str| Fault {
            rule,
            source: one.source.clone(),
            subject: NIGHTBELL.to_string(),
            severity: severity_of(rule),
            code,
            since,
            until,
            error: error.to_string(),
        };
        if let Some((since, why)) =
            one.unreadable.as_ref().filter(|(since, _)| has_lasted(*since, watch.unreadable_after))
            && watch.source_unreadable
        {
            let code = ReasonCode::SourceUnreadable;
            faults.push(about(SOURCE_UNREADABLE, code, *since, None, why));
        }
        if !watch.source_incomplete {
            continue;
        }
        if let (None, Some((since, why))) = (&one.unreadable, &one.incomplete)
            && has_lasted(*since, watch.unreadable_after)
        {
            let code = ReasonCode::SourceIncomplete;
            faults.push(about(SOURCE_INCOMPLETE, code, *since, None, why));
        }
        for (cause, from, until, why) in &one.past {
            let code = match cause {
                GapCause::Lost => ReasonCode::SourceLost,
                // Whoever starts Nightbell anew need not hear of the minute that took.
                GapCause::Silent if until.duration_since(*from) >= signed(watch.unreadable_after) => {
                    ReasonCode::SourceSilent
                }
                GapCause::Silent | GapCause::Unreadable | GapCause::Incomplete | GapCause::Purged => continue,
            };
            faults.push(about(SOURCE_INCOMPLETE, code, *from, Some(*until), why));
        }
    }
    for one in seen.receivers.iter().filter(|_| watch.receiver_dead) {
        let Some(ailment) = &one.ailment else { continue };
        let settles = OWN_TROUBLE_SETTLES.min(watch.unreadable_after);
        if has_lasted(ailment.since, if ailment.is_lasting { settles } else { watch.unreadable_after }) {
            faults.push(of_nightbell(
                RECEIVER_DEAD,
                one.id.as_str(),
                ReasonCode::ReceiverDead,
                ailment.since,
                &ailment.error,
            ));
        }
    }
    if let Some((since, why)) = seen.refused.as_ref().filter(|_| watch.reload_refused) {
        faults.push(of_nightbell(RELOAD_REFUSED, CONFIGURATION, ReasonCode::ReloadRefused, *since, why));
    }
    for (name, since, why) in seen.loops.iter().filter(|_| watch.loop_failing) {
        faults.push(of_nightbell(LOOP_FAILING, name, ReasonCode::LoopFailing, *since, why));
    }
    for (name, since, why) in seen.outdated.iter().filter(|_| watch.replica_outdated) {
        // Files are changed on one machine after the other.
        if has_lasted(*since, REPLICA_OUTDATED_AFTER) {
            faults.push(of_nightbell(REPLICA_OUTDATED, name, ReasonCode::ReplicaOutdated, *since, why));
        }
    }
    faults
}

/// A fault that concerns no source.
fn of_nightbell(rule: &'static str, subject: &str, code: ReasonCode, since: Timestamp, error: &str) -> Fault {
    Fault {
        rule,
        source: SourcePart { id: SourceId::new(NIGHTBELL), kind: NIGHTBELL.to_string() },
        subject: subject.to_string(),
        severity: severity_of(rule),
        code,
        since,
        until: None,
        error: error.to_string(),
    }
}

fn standing(watch: &Watch, seen: &OwnSeen, alert: &Alert, now: Timestamp) -> OwnStanding {
    let since = alert.facts.alert.starts_at;
    match alert.rule.as_str() {
        rule @ (SOURCE_UNREADABLE | SOURCE_INCOMPLETE) => {
            let is_watched = if rule == SOURCE_UNREADABLE { watch.source_unreadable } else { watch.source_incomplete };
            let source = seen.sources.iter().find(|one| one.source.id == alert.source);
            match source.filter(|_| is_watched) {
                None => OwnStanding::Unwatched,
                Some(source) if !source.was_asked => OwnStanding::GoesOn,
                Some(source) if rule == SOURCE_UNREADABLE => match &source.unreadable {
                    None => OwnStanding::Over(ReasonCode::SourceReadable, now),
                    // It was readable in between: that is another episode.
                    Some((again, _)) if *again > since => OwnStanding::Over(ReasonCode::SourceReadable, *again),
                    Some(_) => OwnStanding::GoesOn,
                },
                Some(source) if source.incomplete.is_some() || source.unreadable.is_some() => OwnStanding::GoesOn,
                Some(_) => OwnStanding::Over(ReasonCode::SourceWhole, now),
            }
        }
        RECEIVER_DEAD => {
            let receiver = seen.receivers.iter().find(|one| one.id.as_str() == alert.facts.job.name);
            match receiver.filter(|_| watch.receiver_dead).map(|receiver| &receiver.ailment) {
                None => OwnStanding::Unwatched,
                Some(None) => OwnStanding::Over(ReasonCode::ReceiverWorks, now),
                Some(Some(ailment)) if ailment.since > since => {
                    OwnStanding::Over(ReasonCode::ReceiverWorks, ailment.since)
                }
                Some(Some(_)) => OwnStanding::GoesOn,
            }
        }
        RELOAD_REFUSED if watch.reload_refused => match seen.refused {
            None => OwnStanding::Over(ReasonCode::ReloadAccepted, now),
            Some(_) => OwnStanding::GoesOn,
        },
        LOOP_FAILING if watch.loop_failing => {
            match seen.loops.iter().find(|(name, ..)| *name == alert.facts.job.name) {
                None => OwnStanding::Over(ReasonCode::LoopWorks, now),
                Some((_, again, _)) if *again > since => OwnStanding::Over(ReasonCode::LoopWorks, *again),
                Some(_) => OwnStanding::GoesOn,
            }
        }
        // Since when is counted anew by each replica that looks.
        REPLICA_OUTDATED if watch.replica_outdated => {
            match seen.outdated.iter().any(|(name, ..)| *name == alert.facts.job.name) {
                false => OwnStanding::Over(ReasonCode::ReplicaCurrent, now),
                true => OwnStanding::GoesOn,
            }
        }
        _ => OwnStanding::Unwatched,
    }
}

/// What one of these alerts is about, which is no job: "source warehouse", "receiver oncall". None of any other alert.
pub fn subject(alert: &Alert) -> Option<String> {
    match alert.rule.as_str() {
        SOURCE_UNREADABLE | SOURCE_INCOMPLETE => Some(format!("source {}", alert.source)),
        RECEIVER_DEAD => Some(format!("receiver {}", alert.facts.job.name)),
        LOOP_FAILING => Some(format!("loop {}", alert.facts.job.name)),
        REPLICA_OUTDATED => Some(format!("replica {}", alert.facts.job.name)),
        RELOAD_REFUSED => Some(CONFIGURATION.to_string()),
        _ => None,
    }
}

/// Whom an alert of these tells: a receiver that cannot be told is not told of that.
pub fn receivers(watch: &Watch, alert: &Alert) -> Vec<ReceiverId> {
    let is_dead = |id: &ReceiverId| alert.rule.as_str() == RECEIVER_DEAD && id.as_str() == alert.facts.job.name;
    watch.notify.iter().filter(|id| !is_dead(id)).cloned().collect()
}

fn begin(watch: &Watch, fault: Fault, now: Timestamp) -> Alert {
    let id = own_alert_id(fault.rule, &fault.source.id, &fault.subject, fault.since);
    let rule = RuleId::new(fault.rule);
    let mut facts = AlertFacts {
        alert: AlertPart {
            id: id.clone(),
            rule: rule.clone(),
            severity: fault.severity,
            state: if fault.until.is_some() { AlertState::Resolved } else { AlertState::Firing },
            starts_at: fault.since.min(now),
            ends_at: fault.until,
            summary: String::new(),
            reason: None,
            measures: Rare::from(Measures { error: Some(cut(fault.error)), ..Measures::default() }),
            held_back: None,
            escalation: None,
            episode: 1,
            ended: None,
            history: None,
            acked: None,
            acked_before: None,
            links: Rare::default(),
            labels: Default::default(),
        },
        source: fault.source.clone(),
        job: JobPart { name: fault.subject, ..JobPart::default() },
        instance: None,
        failing_nodes: Vec::new(),
        node_details: "ok".to_string(),
    };
    let lasted = lasted(fault.since, fault.until.unwrap_or(now));
    summary::tell(&mut facts, Reason { lasted_ms: lasted, ..Reason::new(fault.code) });
    let source = fault.source.id;
    let mut alert = Alert {
        id,
        source,
        rule,
        facts,
        suspended_at: None,
        receivers: Vec::new(),
        suppressed_by: None,
        created_at: now,
        generation: None,
    };
    alert.receivers = receivers(watch, &alert);
    alert
}

fn end(alert: &Alert, code: ReasonCode, at: Timestamp) -> Alert {
    let mut alert = alert.clone();
    let part = &mut alert.facts.alert;
    let at = at.max(part.starts_at);
    (part.state, part.ends_at) = (AlertState::Resolved, Some(at));
    part.ended = Some(Box::new(Ended { reason: EndReason::Over, by: None, note: None, at }));
    let lasted = lasted(part.starts_at, at);
    summary::tell(&mut alert.facts, Reason { lasted_ms: lasted, ..Reason::new(code) });
    alert
}

/// How long it lasted, in milliseconds; nothing where that is no time worth telling.
fn lasted(since: Timestamp, until: Timestamp) -> Option<u64> {
    u64::try_from(until.duration_since(since).as_millis()).ok().filter(|lasted| *lasted >= 1000)
}

fn signed(span: Duration) -> SignedDuration {
    SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX)
}

fn cut(mut text: String) -> String {
    let mut end = text.len().min(INSTANCE_ERROR_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
