//! From what was seen to what follows: which instances changed, which alerts begin, which end.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use tracing::debug;

use super::Poller;
use crate::alert::{Holding, Ledger};
use crate::limits::SOURCE_OVERLAP;
use crate::model::{
    Alert, AlertId, AlertState, Instance, InstanceKey, MessageKind, Snapshot, Stage, Status, Suppression,
};
use crate::rule::{Rule, Trigger, Verdict};
use crate::source::Source;
use crate::store::{Desk, PollLedger, StoreError};

/// How a poll came to see what it saw.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// When it began.
    pub(super) now: Timestamp,
    /// Whether nothing is missing from the list: only then is what it does not hold not there.
    pub(super) is_whole: bool,
    /// From when on everything planned has been read, by this poll or one before.
    pub(super) known_from: Timestamp,
    /// For each rule, whether it looks at the source for the first time.
    pub(super) is_first: Vec<bool>,
    /// From when on failures are told by a rule that looks for the first time.
    pub(super) told_from: Timestamp,
}

/// What a poll decided.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// Everything that was seen, but for what is older than what is known.
    pub(super) seen: Vec<Instance>,
    /// For each of them, whether it is new, has changed, or alerts.
    pub(super) stirred: Vec<bool>,
    /// Instances that are new or changed, and those that alert.
    pub(super) instances: Vec<Instance>,
    /// Instances that alert without having been seen in this poll.
    pub(super) unseen: Vec<Instance>,
    /// Alerts that were told as a warning and whose deadline has passed.
    pub(super) overdue: Vec<Alert>,
    /// Alerts that begin.
    pub(super) fired: Vec<Alert>,
    /// Alerts that end.
    pub(super) resolved: Vec<Alert>,
    /// Alerts that are over without anything to tell: their rule is gone, or a new failure takes their place.
    pub(super) closed: Vec<Alert>,
    /// Alerts that were held back before and still fire: told now, or held back by something else.
    pub(super) held: Vec<Alert>,
    /// The alerts that fire after this poll.
    pub(super) ledger: Ledger,
    /// Marks of the rules that have looked at this source, where they are others than before.
    pub(super) known_rules: Option<BTreeSet<String>>,
    /// Instances that are over, changed or not: what may end an alert.
    over: Vec<Instance>,
    /// When the runs behind the firing alerts last ended, as far as they did.
    last_ends: HashMap<InstanceKey, Timestamp>,
}

/// What becomes of an instance that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing is new about it.
    Quiet,
    /// It is new, has changed, or alerts.
    Stirred,
    /// What was seen is older than what is known: it counts for nothing.
    Stale,
}

/// An alert that may begin.
struct Candidate<'a> {
    instance: Instance,
    holding: Holding<'a>,
    /// Whether the instance was seen in another status before: then a known name means a second episode, and not one
    /// that was told already.
    has_turned: bool,
}

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Decides about everything that was seen.
    pub(super) async fn decide(
        &mut self,
        seen: Vec<Instance>,
        is_whole: bool,
        known_from: Timestamp,
        now: Timestamp,
    ) -> Result<Decision, StoreError> {
        let memory = self.memory.get_or_insert_default();
        let is_first = self.rules.marks().iter().map(|mark| !memory.known_rules.contains(mark)).collect();
        let told_from = told_from(now, self.settings.first_poll, memory.read_until);
        let look = Look { now, is_whole, known_from, is_first, told_from };
        let mut decision = self.judge_each(seen, &look).await?;
        self.judge_by_history(&mut decision, &look).await?;
        self.judge_by_clock(&mut decision, &look).await?;
        self.wind_up(&mut decision);
        Ok(decision)
    }

    /// Judges every instance by itself.
    async fn judge_each(&mut self, mut seen: Vec<Instance>, look: &Look) -> Result<Decision, StoreError> {
        let memory = self.memory.get_or_insert_default();
        let (now, rules) = (look.now, self.rules.clone());
        let mut ledger = Ledger::new(memory.firing.iter().cloned());
        let mut closed = ledger.close_where(|alert| rules.get(&alert.rule).is_some_and(|rule| is_of(alert, rule)), now);
        let marks = rules.marks();
        let any_first_look = look.is_first.contains(&true);
        let are_same_rules = !any_first_look && marks.len() == memory.known_rules.len();
        let known_rules = (!are_same_rules).then(|| marks.iter().cloned().collect());

        let mut decision = Decision { known_rules, ..Decision::default() };
        let mut candidates = Vec::new();
        let mut fates = vec![Fate::Quiet; seen.len()];
        for (instance, fate) in seen.iter().zip(&mut fates) {
            let key = instance.key();
            let before = memory.snapshots.get(&key);
            let snapshot = instance.snapshot();
            if before.is_some_and(|before| is_older(&snapshot, before)) {
                debug!(job = instance.job.name, instance = instance.id, "the source showed an older state; ignored");
                *fate = Fate::Stale;
                continue;
            }
            let has_changed = before != Some(&snapshot);
            let is_settled = !has_changed && instance.status.has_ended();
            if has_changed {
                *fate = Fate::Stirred;
            }
            if !is_settled || any_first_look {
                let matching = rules.matching(&self.settings.id, &instance.job.name, &mut self.matches);
                for &index in matching.iter().filter(|&&index| !is_settled || look.is_first[index]) {
                    let rule = &rules.rules()[index];
                    let Verdict::Holds { since } = rule.judge(instance, now) else { continue };
                    closed.extend(ledger.close_outdated(instance, &rule.id, now));
                    if ledger.fires(&key, &rule.id) {
                        continue;
                    }
                    let is_past = look.is_first[index] && ended_before(instance, since, look.told_from);
                    let holding = Holding {
                        rule: &rule.id,
                        severity: rule.severity,
                        receivers: &rule.notify,
                        limit: rule.when.duration,
                        since,
                        suppressed_by: is_past.then_some(Suppression::FirstPoll),
                    };
                    let has_turned = before.is_some_and(|before| turns(before, &snapshot));
                    candidates.push(Candidate { instance: instance.clone(), holding, has_turned });
                    *fate = Fate::Stirred;
                }
            }
        }
        (decision.ledger, decision.closed) = (ledger, closed);
        self.begin(candidates, &mut decision, now).await?;
        decision.stirred =
            fates.iter().filter(|fate| **fate != Fate::Stale).map(|fate| *fate == Fate::Stirred).collect();
        let mut fates = fates.into_iter();
        seen.retain(|_| fates.next() != Some(Fate::Stale));
        decision.seen = seen;
        Ok(decision)
    }

    /// Sorts out what the rest of the poll needs of everything that was seen.
    fn wind_up(&self, decision: &mut Decision) {
        decision.last_ends = self.last_ends(&decision.ledger, &decision.seen);
        let (ledger, mut seen) = (&decision.ledger, std::mem::take(&mut decision.seen));
        let is_over = |instance: &&Instance| instance.status.has_ended() && ledger.concerns(&instance.job.name);
        decision.over = seen.iter().filter(is_over).cloned().collect();
        let mut stirred = decision.stirred.iter();
        seen.retain(|_| stirred.next() == Some(&true));
        decision.instances = seen;
    }

    /// Begins alerts that history or clock have found, except those whose episode the store knows already.
    pub(super) async fn begin_found(&self, found: Vec<Alert>, decision: &mut Decision) -> Result<(), StoreError> {
        if found.is_empty() {
            return Ok(());
        }
        let ids: Vec<AlertId> = found.iter().map(|alert| alert.id.clone()).collect();
        let known = self.store.known_alerts(&ids).await?;
        for alert in found.into_iter().filter(|alert| !known.contains(&alert.id)) {
            if decision.ledger.fires(&alert.facts.subject(), &alert.rule) {
                continue;
            }
            if alert.state() == AlertState::Firing {
                decision.ledger.insert(alert.clone());
            }
            decision.fired.push(alert);
        }
        Ok(())
    }

    /// When each run behind a firing alert last ended: as it was just seen, or as it is remembered.
    pub(super) fn last_ends(&self, ledger: &Ledger, fresh: &[Instance]) -> HashMap<InstanceKey, Timestamp> {
        let snapshots = self.memory.as_ref().map(|memory| &memory.snapshots);
        let remembered = ledger.firing().filter_map(|alert| {
            let key = alert.facts.subject();
            let end = snapshots?.get(&key)?.end_time?;
            Some((key, end))
        });
        let mut ends: HashMap<InstanceKey, Timestamp> = remembered.collect();
        for instance in fresh.iter().filter(|instance| ledger.concerns(&instance.job.name)) {
            let key = instance.key();
            if ledger.concerns_run(&key) {
                match instance.end_time {
                    Some(end) => ends.insert(key, end),
                    None => ends.remove(&key),
                };
            }
        }
        ends
    }

    /// Begins the candidates' alerts, except those whose episode the store knows already.
    async fn begin(
        &self,
        candidates: Vec<Candidate<'_>>,
        decision: &mut Decision,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        /// A source that flips a run between two states with the same times this often has told nothing new for long.
        const EPISODES_MAX: u32 = 100;
        let mut open = candidates;
        for ordinal in 1..=EPISODES_MAX {
            let kind = self.source.kind();
            let begun: Vec<(Candidate<'_>, Alert)> = open
                .drain(..)
                .filter_map(|candidate| {
                    let alert = decision.ledger.begin(&candidate.instance, kind, &candidate.holding, now, ordinal)?;
                    Some((candidate, alert))
                })
                .collect();
            if begun.is_empty() {
                return Ok(());
            }
            let ids: Vec<AlertId> = begun.iter().map(|(_, alert)| alert.id.clone()).collect();
            let known = self.store.known_alerts(&ids).await?;
            for (candidate, alert) in begun {
                if !known.contains(&alert.id) {
                    if alert.state() == AlertState::Firing {
                        decision.ledger.insert(alert.clone());
                    }
                    decision.fired.push(alert);
                } else if candidate.has_turned {
                    open.push(candidate);
                }
            }
        }
        Ok(())
    }
}

impl Decision {
    /// Ends what ends, among what fired before and what has just begun.
    pub(super) fn resolve(&mut self, now: Timestamp) {
        // The ledger got the new alerts before their nodes were known.
        self.ledger.update(&self.fired);
        self.ledger.update(&self.overdue);
        self.resolved.extend(self.ledger.resolve(&std::mem::take(&mut self.over), &self.last_ends, now));
    }

    /// A deadline that passed is not told any more when it is over by now: it was warned of, and its end is told.
    pub(super) fn spare_what_is_over(&mut self) {
        let overdue = std::mem::take(&mut self.overdue);
        for alert in overdue {
            match self.resolved.iter_mut().find(|ended| ended.id == alert.id) {
                Some(ended) => ended.facts.alert.measures.stage = Some(Stage::Warning),
                None => self.overdue.push(alert),
            }
        }
    }

    /// An alert that began and ended in this very poll is stored once, as it is now. To be called when its two messages
    /// have been made.
    pub(super) fn settle_short_episodes(&mut self) {
        let fired = &mut self.fired;
        self.resolved.retain(|ended| match fired.iter_mut().find(|begun| begun.id == ended.id) {
            Some(begun) => {
                *begun = ended.clone();
                false
            }
            None => true,
        });
    }

    /// The alerts to tell of, with the kind of message, beginnings first.
    pub(super) fn told(&self) -> impl Iterator<Item = (&Alert, MessageKind)> {
        // What was told as a warning and is held back now still has its receivers: they hear of its end.
        let later = self.overdue.iter().chain(&self.held).filter(|alert| alert.suppressed_by.is_none());
        let fired = self.fired.iter().chain(later).map(|alert| (alert, MessageKind::AlertFiring));
        fired.chain(self.resolved.iter().map(|alert| (alert, MessageKind::AlertResolved)))
    }
}

/// Whether a state is older than what is known of the run: a page from a stale replica must not begin or end anything.
fn is_older(new: &Snapshot, known: &Snapshot) -> bool {
    match (new.start_time, known.start_time) {
        (Some(new), Some(known)) if new < known => return true,
        (Some(new), Some(known)) if new > known => return false,
        // What waits was not begun yet, or is to be made again: that is news once it begins.
        (None, Some(_)) if new.status == Status::Waiting => return true,
        _ => {}
    }
    // The end of a run that its source had lost sight of is the time at which that was noticed, and proves nothing.
    let Some(known_end) = known.end_time.filter(|_| known.status != Status::Unknown) else { return false };
    match new.end_time {
        Some(new_end) => new_end < known_end,
        // A run that began at this very instant has ended since.
        None => new.status == Status::Running && known.status.has_ended() && new.start_time == known.start_time,
    }
}

/// Whether a state with the times of one that was told already begins another episode. It does when the run was over in
/// between, and when nobody knows its end. A run that had ended and is said to be under way and to have ended then was
/// shown by a stale replica. That a run was out of sight for a while says nothing of what it did.
fn turns(before: &Snapshot, now: &Snapshot) -> bool {
    let was_out_of_sight = before.status == Status::Unknown && before.end_time.is_some();
    !was_out_of_sight && before.status != now.status && (before.status.has_ended() || now.end_time.is_none())
}

/// From when on failures are told on a rule's first look at the source. What ended since the last complete poll is told
/// in any case: a rule that was edited during an outage has missed it like every other.
pub(super) fn told_from(now: Timestamp, first_poll: std::time::Duration, read_until: Option<Timestamp>) -> Timestamp {
    let horizon = now.checked_sub(first_poll).unwrap_or(Timestamp::MIN);
    let missed = read_until.and_then(|read_until| read_until.checked_sub(SOURCE_OVERLAP).ok());
    missed.map_or(horizon, |missed| missed.min(horizon))
}

/// Whether the alert is of the condition that its rule has: one that was edited may have another.
fn is_of(alert: &Alert, rule: &Rule) -> bool {
    alert.facts.alert.measures.condition == rule.when.trigger.as_ref().map(Trigger::kind)
}

/// Whether the instance ended before `told_from`.
pub(super) fn ended_before(instance: &Instance, since: Timestamp, told_from: Timestamp) -> bool {
    instance.status.has_ended() && instance.end_time.unwrap_or(since) < told_from
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InstanceType;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn state(status: Status, start: Option<i64>, end: Option<i64>) -> Snapshot {
        let [start_time, end_time] = [start, end].map(|minute| minute.map(at));
        Snapshot { status, kind: InstanceType::Scheduled, plan_time: Some(at(0)), start_time, end_time }
    }

    #[test]
    fn which_states_are_older_than_what_is_known() {
        use Status::{Fail, Running, RunningException, Success, Unknown, Waiting};
        let failed = state(Fail, Some(1), Some(5));
        let cases = [
            ("the same", failed, failed, false),
            ("an earlier run", failed, state(Running, Some(6), None), true),
            ("a rerun", state(Running, Some(6), None), failed, false),
            ("not begun yet, or to be made again", state(Waiting, None, None), failed, true),
            ("under way, which is over", state(Running, Some(1), None), failed, true),
            ("under way, by another word", state(RunningException, Some(1), None), failed, false),
            ("a later end", state(Success, Some(1), Some(9)), failed, false),
            ("an earlier end", state(Success, Some(1), Some(4)), failed, true),
            // The follow-up found it gone at minute 7; then the list shows that it had failed at minute 5.
            ("found again", failed, state(Unknown, Some(1), Some(7)), false),
        ];
        for (name, new, known, expected) in cases {
            assert_eq!(is_older(&new, &known), expected, "{name}");
        }
    }

    #[test]
    fn what_ended_since_the_last_complete_poll_is_told_by_a_rule_that_is_new() {
        let hour = std::time::Duration::from_secs(3600);
        let cases = [
            ("the first poll of all", None, at(540)),
            ("read a minute ago", Some(at(599)), at(540)),
            ("read six hours ago", Some(at(240)), at(230)),
            ("the clock was set back", Some(at(900)), at(540)),
        ];
        for (name, read_until, expected) in cases {
            assert_eq!(told_from(at(600), hour, read_until), expected, "{name}");
        }
    }
}
