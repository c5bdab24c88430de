//! Whether the condition behind an alert about a run still holds.
//!
//! Judged anew from the run as it is seen, and from the state in which the alert last held, which its facts keep. Of a
//! run that had ended, that is the end: a rerun under way changes nothing yet. Of one that had not, it is the state it was
//! in: leaving it is the end. What is not understood is unknown, and changes nothing.
//!
//! Each try of a run begins later than the one before it. A start earlier than the one that was known is that of the same
//! try, which its source has corrected: what is older than what is known was left out before.

use jiff::Timestamp;

use super::memory::is_gone;
use super::observe::{Seen, may_be_same_end};
use crate::alert::{Ending, is_about};
use crate::model::{Alert, ConditionKind, EndReason, Instance, InstancePart, ReasonCode, Status};
use crate::rule::{Rule, Verdict};

/// How an alert about a run stands.
#[derive(Debug)]
pub(super) enum AlertStanding<'a> {
    /// It goes on as it is.
    Holds,
    /// It goes on, and the run is to be told as it is now.
    HoldsOtherwise,
    /// It is over.
    Over(Box<Ending<'a>>),
    /// It is over because the run failed once more: another episode begins.
    FailedAgain,
}

/// How the alert of `rule` stands, now that its run is seen so.
pub(super) fn of_run<'a>(alert: &Alert, rule: &Rule, seen: &'a Seen, now: Timestamp) -> AlertStanding<'a> {
    let run = &seen.instance;
    if is_gone(&run.snapshot()) {
        return AlertStanding::Over(Box::new(Ending::new(EndReason::Gone, ReasonCode::RunGone, now)));
    }
    let Some(held) = alert.facts.instance.as_ref().filter(|_| run.status != Status::Unknown) else {
        return AlertStanding::Holds;
    };
    match alert.facts.alert.measures.condition {
        Some(ConditionKind::SlowerThanUsual) if is_same_state(held, run) => holds_since_its_start(held, run),
        Some(ConditionKind::SlowerThanUsual) => over_from_state(run, now),
        // How many fail in a row is for all of the job's runs to say.
        Some(ConditionKind::Consecutive) => AlertStanding::Holds,
        Some(_) => of_history(alert, run, now),
        None if held.status.has_ended() => of_ended(held, rule, seen, now),
        None => of_state(held, rule, run, now),
    }
}

/// The run had ended in a status that the rule asks for.
fn of_ended<'a>(held: &InstancePart, rule: &Rule, seen: &'a Seen, now: Timestamp) -> AlertStanding<'a> {
    let run = &seen.instance;
    let has_same_end = held.end_time == run.end_time && run.end_time.is_some();
    // What was seen to go on has ended anew, however soon.
    let may_be_corrected = held.end_time.is_none() || run.end_time.is_none() || !seen.went_on();
    let may_be_same_end = may_be_corrected && may_be_same_end(held.end_time, run.end_time);
    let is_same_status = held.status == run.status;
    let may_be_same_start = is_same_start(held, run) || is_same_status && run.start_time.is_none();
    let is_same_try = has_same_end || may_be_same_start && may_be_same_end;
    let is_asked_for = matches!(rule.judge(run, now), Verdict::Holds { .. });
    match (run.status.has_ended(), is_asked_for) {
        (_, true) if is_same_try && is_same_status => holds_since_its_start(held, run),
        (true, true) if is_same_try => AlertStanding::HoldsOtherwise,
        (true, true) => AlertStanding::FailedAgain,
        // A rerun that is suspended by an exception has failed again, where the rule asks for that.
        (false, true) if run.status.is_failure() && !is_same_start(held, run) => AlertStanding::FailedAgain,
        (false, _) => AlertStanding::Holds,
        (true, false) => over(run, now),
    }
}

/// The run had not ended.
fn of_state<'a>(held: &InstancePart, rule: &Rule, run: &'a Instance, now: Timestamp) -> AlertStanding<'a> {
    let is_asked_for = match rule.judge(run, now) {
        Verdict::Holds { .. } => true,
        // Nobody can say how long it lasts.
        Verdict::DoesNotHold(crate::rule::Unmet::DurationUnknown) => is_same_state(held, run),
        Verdict::DoesNotHold(_) => false,
    };
    let goes_by_state = rule.when.statuses.is_empty() || rule.when.duration.is_some();
    match (run.status.has_ended(), is_asked_for) {
        (true, true) if !rule.when.statuses.is_empty() => AlertStanding::HoldsOtherwise,
        (false, true) if is_same_state(held, run) => holds_since_its_start(held, run),
        // To a rule that asks how long a run lasts, it lasts from its start on, whatever holds it up.
        (false, true) if rule.when.statuses.is_empty() && is_same_start(held, run) => holds_since_its_start(held, run),
        // The next try of the run.
        (false, true) if !is_same_start(held, run) && run.status.is_failure() => AlertStanding::FailedAgain,
        (false, true) if !goes_by_state && is_same_start(held, run) => AlertStanding::HoldsOtherwise,
        _ => over_from_state(run, now),
    }
}

/// The alert is of a condition on the history of its job, or on a deadline, and the run is the one that it names.
pub(super) fn of_history<'a>(alert: &Alert, run: &'a Instance, now: Timestamp) -> AlertStanding<'a> {
    // A deadline is met by a run whose failure was ignored: its scheduler counts it as done.
    let is_ignored = run.status == Status::IgnoredFailure && !is_about(alert, ConditionKind::NotStartedBy);
    if run.status.is_recovery() {
        over(run, now)
    } else if is_ignored {
        AlertStanding::Over(Box::new(Ending::by_run(EndReason::Over, ReasonCode::Recovered, run, now)))
    } else {
        AlertStanding::Holds
    }
}

/// Whether the run is in the state in which it was, and in the same try. A start that was not known, or is not any more, is no
/// other try.
fn is_same_state(held: &InstancePart, run: &Instance) -> bool {
    let is_unknown = held.start_time.is_none() || run.start_time.is_none();
    held.status == run.status && (is_unknown || is_same_start(held, run))
}

/// Whether the run began when it did, but for what its source has corrected of that.
pub(super) fn is_same_start(held: &InstancePart, run: &Instance) -> bool {
    let is_corrected = matches!((held.start_time, run.start_time), (Some(held), Some(run)) if run < held);
    held.start_time == run.start_time || is_corrected
}

/// It goes on. Where the run turns out to have begun or ended at another time, it is told so from now on. A time that the source
/// does not show just now is known all the same.
fn holds_since_its_start<'a>(held: &InstancePart, run: &Instance) -> AlertStanding<'a> {
    let times = [(held.start_time, run.start_time), (held.end_time, run.end_time)];
    let shows_less = times.iter().any(|(held, shown)| held.is_some() && shown.is_none());
    let is_other = times.iter().any(|(held, shown)| held != shown) && run.start_time.is_some();
    if is_other && !shows_less { AlertStanding::HoldsOtherwise } else { AlertStanding::Holds }
}

fn over(run: &Instance, now: Timestamp) -> AlertStanding<'_> {
    let ending = match run.status {
        status if status.is_recovery() => Ending::by_run(EndReason::Recovered, ReasonCode::Recovered, run, now),
        status if status.has_ended() => Ending::by_run(EndReason::Over, ReasonCode::Ended, run, now),
        _ => Ending { run: Some(run), ..Ending::new(EndReason::Over, ReasonCode::LeftStatus, now) },
    };
    AlertStanding::Over(Box::new(ending))
}

/// The run has left the state that was asked for: that is over, however well it went on.
fn over_from_state(run: &Instance, now: Timestamp) -> AlertStanding<'_> {
    match over(run, now) {
        AlertStanding::Over(ending) => AlertStanding::Over(Box::new(Ending { reason: EndReason::Over, ..*ending })),
        other => other,
    }
}
