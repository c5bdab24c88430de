//! Escalating: an alert that still fires a while after it was told goes to the next people of its rule, once.
//!
//! It looks into the store for alerts that have come to a later step of their rule's `notify`, renders each anew with a
//! line that says who was told before, how long ago, and whether anybody is on it, and commits delivery and step together:
//! a restart or a kill repeats nothing. Where all whom a step went to are gone from the configuration, renamed perhaps, it goes to
//! whom the step names now, ten minutes later, as an alert does whose first receivers are gone. Time counts from the first telling, so that an alert that was held back begins to
//! count when it is told, and a deadline that is told a second time does not begin anew. While a silence or a mute window
//! concerns the alert, the step waits. When the alert ends, those to whom it went hear of that.
//!
//! Whether somebody has acknowledged the alert is asked in the transaction that takes the step: an acknowledgement counts
//! from the moment it is stored, whichever process stored it. What is pending by then is sent.
//!
//! The loop must never know of channels, of pollers, or of how the steps are written in the configuration.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::pending::Receivers;
use super::turn::{Pace, Turn, TurnError, Turned};
use crate::alert::{firing_message, resolved_message};
use crate::limits::{ESCALATION_BATCH, ESCALATION_LATE_MAX, ESCALATION_SLEEP_MAX};
use crate::model::{DueStep, EscalatedEnd, Escalation, Notification, ReceiverId, RuleStep, StepTaken};
use crate::rule::{Hours, Muting, Rule, RuleSet};
use crate::store::{AfterStep, Desk, Steps, StoreError};

/// By what name its status is known.
pub const NAME: &str = "escalation";

/// The steps of all rules, as one loop.
pub struct Escalations<S> {
    store: Arc<S>,
    ladder: Ladder,
    muting: Muting,
    nudge: Arc<Notify>,
}

/// What the later steps of rules say, and to whom. Pure: which step is due is found out by somebody else.
pub struct Ladder {
    receivers: Arc<Receivers>,
    rules: RuleSet,
    steps: Vec<RuleStep>,
}

impl<S: Desk + Steps> Escalations<S> {
    /// The loop over the steps of `rules`, to receivers among `receivers`; what `muting` mutes waits.
    pub fn new(store: Arc<S>, receivers: Arc<Receivers>, rules: RuleSet, muting: Muting) -> Self {
        Escalations { store, ladder: Ladder::new(receivers, rules), muting, nudge: Arc::default() }
    }

    /// The same loop, woken by `nudge` when alerts have begun or ended: `notify_one` after the commit.
    #[must_use]
    pub fn woken_by(self, nudge: Arc<Notify>) -> Self {
        Escalations { nudge, ..self }
    }

    /// When the next step after `now` is due, if its alert fires until then.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        if self.ladder.steps.is_empty() { Ok(None) } else { self.store.next_step(&self.ladder.steps, now).await }
    }

    /// Takes every step that is due at `now`, tells those who were escalated to of the ends since, and wakes their lanes.
    /// Returns how many messages that were.
    ///
    /// # Errors
    /// When the store fails; what was committed before stays.
    pub async fn pass(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let taken = if self.ladder.steps.is_empty() { 0 } else { self.take_steps(now).await? };
        Ok(taken + self.tell_ends(now).await?)
    }

    async fn take_steps(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let active = self.store.active_silences(now).await?;
        // A silence that cannot be understood is told of by every poll.
        drop(self.muting.set_silences(&active));
        let from = now.checked_sub(ESCALATION_LATE_MAX).unwrap_or(Timestamp::MIN);
        let (mut pending, mut after) = (0, None);
        loop {
            let due = self.store.due_steps(&self.ladder.steps, (from, now), after.as_ref(), ESCALATION_BATCH).await?;
            let taken: Vec<StepTaken> = due
                .iter()
                .filter(|due| self.muting.mutes(&due.alert, now).is_none())
                .filter_map(|due| self.ladder.step(due, now))
                .collect();
            let new = self.store.take_steps(&taken, now).await?;
            if new > 0 {
                tracing::info!(deliveries = new, "alerts that still fire go further");
                self.ladder
                    .receivers
                    .wake(taken.iter().flat_map(|step| &step.deliveries).map(|delivery| &delivery.receiver));
            }
            pending += new;
            let Some(last) = due.last().filter(|_| due.len() == ESCALATION_BATCH) else { return Ok(pending) };
            after = Some(AfterStep { due_at: last.due_at, alert: last.alert.id.clone(), number: last.number });
        }
    }

    async fn tell_ends(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut told = 0;
        loop {
            let mut ends = self.store.escalated_ends(ESCALATION_BATCH).await?;
            for end in &mut ends {
                end.answer = self.ladder.answer(end, now);
            }
            told += self.store.settle_ends(&ends).await?;
            self.ladder.receivers.wake(ends.iter().filter(|end| end.answer.is_some()).map(|end| &end.receiver));
            if ends.len() < ESCALATION_BATCH {
                return Ok(told);
            }
        }
    }
}

impl Ladder {
    /// The steps of `rules`, to receivers among `receivers`.
    pub fn new(receivers: Arc<Receivers>, rules: RuleSet) -> Ladder {
        let steps = rules.rules().iter().flat_map(steps_of).collect();
        Ladder { receivers, rules, steps }
    }

    /// The later steps of all rules.
    pub fn steps(&self) -> &[RuleStep] {
        &self.steps
    }

    /// What a due step tells whom. None when the rule has no such step, or when it came to it outside its hours.
    ///
    /// The steps of later rounds are counted on: with two steps, the first of the second round is step 3.
    pub fn step(&self, due: &DueStep, now: Timestamp) -> Option<StepTaken> {
        let rule = self.rules.get(&due.alert.rule)?;
        let (round, place) = place_of(rule, due.number)?;
        let told = told_by(rule, place, due.due_at).filter(|told| !told.is_empty())?;
        let seconds = u64::try_from(now.duration_since(due.told_at).as_secs()).unwrap_or(0);
        let of = |has_arrived| {
            let pending = due.notified.iter().filter(move |(_, arrived)| *arrived == has_arrived);
            pending.map(|(receiver, _)| receiver.clone()).collect()
        };
        let note = Escalation {
            step: due.number,
            after_ms: seconds * 1000,
            told: of(true),
            unreached: of(false),
            acked_by: due.acked_by.clone(),
        };
        let alert = due.alert.escalated(note.clone());
        let message = firing_message(&alert, now);
        let deliveries = told.into_iter().filter_map(|(receiver, hours)| {
            Some(self.receivers.get(receiver)?.escalation(&alert, due.number, &message, hours, now))
        });
        let deliveries = deliveries.collect();
        let unless_acked = round > 0 || rule.escalation.get(place - 1).is_some_and(|step| step.unless_acked);
        Some(StepTaken { alert: due.alert.id.clone(), number: due.number, unless_acked, note, deliveries })
    }

    /// The message that tells a receiver of the end: none if it wants no such word, and none of an alert whose run has failed
    /// again unless it keeps incidents. The rule may be gone, which is what ended the alert then.
    pub fn answer(&self, end: &EscalatedEnd, now: Timestamp) -> Option<Notification> {
        let receiver = self.receivers.get(&end.receiver).filter(|it| it.hears_of_end(&end.alert))?;
        receiver.resolution(&end.alert, &resolved_message(&end.alert, now), end.told_by.clone(), now)
    }
}

/// The step that an alert of this rule comes to next after `now`, if it fires until then: when, and whom that tells.
/// `told_at` is when it was first told.
pub fn next_step(
    rule: &Rule,
    told_at: Timestamp,
    is_acked: bool,
    now: Timestamp,
) -> Option<(Timestamp, Vec<&ReceiverId>)> {
    let ahead = steps_of(rule).into_iter().filter(|step| !(is_acked && step.unless_acked)).filter_map(|step| {
        let at = told_at.checked_add(step.after).ok().filter(|at| *at > now)?;
        let told = told_by(rule, place_of(rule, step.number)?.1, at)?;
        let told: Vec<&ReceiverId> = told.into_iter().map(|(receiver, _)| receiver).collect();
        (!told.is_empty()).then_some((at, told))
    });
    ahead.min_by_key(|(at, _)| *at)
}

/// In which round of a rule's steps one of this number is, and in which place of it; none of what is no later step.
fn place_of(rule: &Rule, number: u32) -> Option<(usize, usize)> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    let (round, place) = (index / (rule.escalation.len() + 1), index % (rule.escalation.len() + 1));
    let rounds = rule.rounds.map_or(0, |rounds| usize::try_from(rounds.times).unwrap_or(0));
    (index > 0 && round <= rounds).then_some((round, place))
}

/// Whom the step in this place of a round tells that is due at an instant, each with the hours that it is told in.
fn told_by(rule: &Rule, place: usize, due_at: Timestamp) -> Option<Vec<(&ReceiverId, &Hours)>> {
    let told: Vec<(&ReceiverId, &Hours)> = match place.checked_sub(1) {
        Some(later) => {
            let step = rule.escalation.get(later)?;
            step.to.iter().map(|receiver| (receiver, &step.hours)).collect()
        }
        None => rule.first_steps().collect(),
    };
    let mut seen = BTreeSet::new();
    Some(told.into_iter().filter(|(to, hours)| hours.include(due_at) && seen.insert(*to)).collect())
}

/// The steps of a rule behind the first telling, those of later rounds too: they begin anew only while nobody has
/// acknowledged the alert.
fn steps_of(rule: &Rule) -> Vec<RuleStep> {
    let (every, times) = rule.rounds.map_or((Duration::ZERO, 0), |rounds| (rounds.every, rounds.times));
    let first = (Duration::ZERO, true);
    let of_round: Vec<(Duration, bool)> =
        std::iter::once(first).chain(rule.escalation.iter().map(|step| (step.after, step.unless_acked))).collect();
    let rounds = (0..=times).flat_map(|round| of_round.iter().map(move |step| (round, *step)));
    // The first of all is the first telling.
    rounds
        .zip(1..)
        .skip(1)
        .map(|((round, (after, unless_acked)), number)| RuleStep {
            rule: rule.id.clone(),
            number,
            after: every * round + after,
            unless_acked: unless_acked || round > 0,
        })
        .collect()
}

impl<S: Desk + Steps> Turn for Escalations<S> {
    fn name(&self) -> &'static str {
        NAME
    }

    /// What is due and muted is looked at again after the longest sleep: nobody says when a silence is ended by hand.
    fn pace(&self) -> Pace {
        Pace::every(ESCALATION_SLEEP_MAX)
    }

    fn nudge(&self) -> Option<Arc<Notify>> {
        Some(Arc::clone(&self.nudge))
    }

    async fn turn(&mut self, now: Timestamp) -> Result<Turned, TurnError> {
        Ok(Turned { done: self.pass(now).await?, next_due: self.next_due(now).await? })
    }
}
