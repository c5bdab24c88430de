//! The stage that holds back: silences, mute windows and inhibitions; and the last one, that says what people are notified
//! of.
//!
//! Alerts that begin are held back where something mutes them, and those whose time has come are let go. What is
//! suspended inhibits nothing, and waits itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::address::Addressed;
use super::answers::{Answers, Questions};
use super::decided::{Audience, Decided, Notice, Place};
use super::decider::Decider;
use super::episodes::Episodes;
use super::look::Look;
use super::memory::Memory;
use crate::alert::{Ending, end, is_superseded};
use crate::model::{Alert, AlertId, EndReason, InstanceKey, MessageKind, ReasonCode, RuleId, Suppression};
use crate::rule::inhibit::{Upstream, was_told};

/// What is held back, and what is let go.
#[derive(Debug)]
pub(super) struct Muted {
    addressed: Addressed,
    /// Alerts that were held back before and still fire: let go, or held back by something else.
    held: Vec<Alert>,
}

impl Decider {
    /// What muting needs to know of the store.
    pub(super) fn ask_for_muting(&self, memory: &Memory, questions: &mut Questions) {
        questions.upstream = self.muting.upstream_of(&self.source);
        let by_silence = memory.firing.firing().filter_map(|alert| match alert.suppressed_by {
            Some(Suppression::Silence(id)) => Some(id),
            _ => None,
        });
        questions.silences.extend(by_silence);
    }

    /// Holds back what begins and something mutes, and lets go of what nothing mutes any more.
    pub(super) fn mute(&self, mut addressed: Addressed, answers: &Answers, look: &Look) -> Muted {
        let now = look.now;
        let episodes = &mut addressed.0.episodes;
        for alert in episodes.fired.iter_mut().filter(|alert| alert.suppressed_by.is_none()) {
            if let Some(by) = self.muting.mutes(alert, now) {
                Arc::make_mut(alert).hold_back(by);
            }
        }
        for alert in episodes.overdue.iter_mut().filter(|alert| alert.suppressed_by.is_none()) {
            // The warning was told: whoever heard it keeps the right to hear of the end.
            alert.suppressed_by = self.muting.mutes(alert, now);
        }
        self.inhibit(episodes, answers.inhibiting(), now);
        for alert in &episodes.fired {
            episodes.ledger.replace(Arc::clone(alert));
        }
        for alert in &episodes.overdue {
            episodes.ledger.replace(alert.clone());
        }
        self.end_lapsed(episodes, now);
        let held = self.let_go(episodes, answers, now);
        // Of an alert that is both, what was just decided is the later word.
        let ids: HashSet<&AlertId> = held.iter().map(|alert| &alert.id).collect();
        episodes.overdue.retain(|alert| !ids.contains(&alert.id));
        episodes.continued.retain(|alert| !ids.contains(&alert.id));
        Muted { addressed, held }
    }

    /// Holds back those that begin downstream of an alert that was told and fires, or that is told now.
    fn inhibit(&self, episodes: &mut Episodes, elsewhere: &[Alert], now: Timestamp) {
        let inhibitions = self.muting.inhibitions();
        if inhibitions.is_empty() {
            return;
        }
        let Episodes { ledger, fired, overdue, .. } = episodes;
        let begun: HashSet<&AlertId> = fired.iter().map(|alert| &alert.id).collect();
        let own =
            ledger.firing().map(|alert| &**alert).filter(|alert| holds_others(alert) && !begun.contains(&alert.id));
        let mut upstream = Upstream::new(&inhibitions, own.chain(elsewhere));
        let is_told = |alert: &&Alert| alert.suppressed_by.is_none();
        let new = fired.iter().map(|alert| &**alert).chain(&*overdue).filter(is_told);
        // What was held back until now counts as well, where it is about to be told.
        let is_free = |alert: &&Alert| alert.is_held_back() && self.muting.mutes(alert, now).is_none();
        let freed = ledger.firing().map(|alert| &**alert).filter(|alert| !begun.contains(&alert.id)).filter(is_free);
        let new: Vec<&Alert> = new.chain(freed).collect();
        let held = upstream.settle(&new);
        let held: HashMap<AlertId, Suppression> =
            new.iter().zip(held).filter_map(|(alert, by)| Some((alert.id.clone(), by?))).collect();
        for alert in fired {
            if let Some(by) = held.get(&alert.id) {
                Arc::make_mut(alert).hold_back(by.clone());
            }
        }
        for alert in overdue {
            if let Some(by) = held.get(&alert.id) {
                alert.suppressed_by = Some(by.clone());
            }
        }
    }

    /// Ends what was held back over days off and is not to be told when they end: runs that never came up for a due time
    /// within them.
    fn end_lapsed(&self, episodes: &mut Episodes, now: Timestamp) {
        let ended = episodes.ledger.end_where(|alert| {
            let is_over = self.muting.has_lapsed(alert) && self.muting.mutes(alert, now).is_none();
            is_over.then(|| end(alert, Ending::new(EndReason::Over, ReasonCode::DayOff, now), now))
        });
        episodes.ended.extend(ended);
    }

    /// Lets go of what was held back and still fires, once nothing mutes it any more; notes what holds it back from now
    /// on where that has changed.
    fn let_go(&self, episodes: &Episodes, answers: &Answers, now: Timestamp) -> Vec<Alert> {
        // What has just begun is decided: should its alert upstream have ended in this very look, the next one tells it.
        let begun: HashSet<&AlertId> = episodes.fired.iter().map(|alert| &alert.id).collect();
        let firing = episodes.ledger.firing().map(|alert| &**alert);
        let held: Vec<&Alert> = firing.filter(|alert| alert.is_held_back() && !begun.contains(&alert.id)).collect();
        let holders = self.holders(&held, episodes, answers.inhibiting(), now);
        let each = held.into_iter().zip(holders);
        let changed =
            each.filter_map(|(alert, by)| alert.held_on(by, &answers.silences, |it| self.receivers_of(it, now), now));
        changed.collect()
    }

    /// What holds back each of these alerts from now on. A silence or a window comes before an alert upstream, unless
    /// that has held it until now and still does.
    fn holders(
        &self,
        held: &[&Alert],
        episodes: &Episodes,
        elsewhere: &[Alert],
        now: Timestamp,
    ) -> Vec<Option<Suppression>> {
        let mut holders: Vec<Option<Suppression>> = held.iter().map(|alert| self.muting.mutes(alert, now)).collect();
        let inhibitions = self.muting.inhibitions();
        if inhibitions.is_empty() {
            return holders;
        }
        let told = episodes.ledger.firing().map(|alert| &**alert).filter(|alert| holds_others(alert));
        let mut upstream = Upstream::new(&inhibitions, told.chain(elsewhere));
        for (alert, by) in held.iter().zip(&mut holders).filter(|(_, by)| by.is_some()) {
            if let Some(before) = upstream.holds(alert).filter(|before| alert.suppressed_by.as_ref() == Some(before)) {
                *by = Some(before);
            }
        }
        let free: Vec<&Alert> =
            held.iter().zip(&holders).filter(|(_, by)| by.is_none()).map(|(alert, _)| *alert).collect();
        let settled = upstream.settle(&free);
        for (by, settled) in holders.iter_mut().filter(|by| by.is_none()).zip(settled) {
            *by = settled;
        }
        holders
    }
}

/// Whether the alert may hold back others: people have heard of it, and something watches it.
fn holds_others(alert: &Alert) -> bool {
    was_told(alert) && alert.suspended_at.is_none()
}

impl Muted {
    /// What follows for people, and what is to be stored.
    pub(super) fn pending(self) -> Decided {
        let Muted { addressed: Addressed(lived), held } = self;
        let Episodes { ledger, fired, ended, continued, overdue } = lived.episodes;
        // It shares what begins, which is ours alone from here on.
        drop(ledger);
        let mut notices = Vec::new();
        let superseded: HashMap<(&RuleId, InstanceKey), &AlertId> = ended
            .iter()
            .filter(|alert| is_superseded(alert))
            .map(|alert| ((&alert.rule, alert.facts.subject()), &alert.id))
            .collect();
        let is_told = |alert: &Alert| alert.suppressed_by.is_none();
        for (at, alert) in fired.iter().enumerate().filter(|(_, alert)| is_told(alert)) {
            // A breach that was over when it was first seen opens no incident.
            let kind = MessageKind::about(alert.state());
            let again_after = superseded.get(&(&alert.rule, alert.facts.subject())).map(|earlier| (*earlier).clone());
            let (audience, held) = (Audience::All, Vec::new());
            notices.push(Notice { alert: Place::Fired(at), kind, audience, again_after, held });
        }
        let mut changed = Vec::new();
        for alert in overdue.into_iter().chain(held) {
            if is_told(&alert) {
                let alert = Place::Changed(changed.len());
                notices.push(Notice {
                    alert,
                    kind: MessageKind::AlertFiring,
                    audience: Audience::All,
                    again_after: None,
                    held: Vec::new(),
                });
            }
            changed.push(alert);
        }
        for alert in ended {
            // What was told as a warning and is held back now still has its receivers: they hear of its end.
            let audience = if is_superseded(&alert) { Audience::KeepIncidents } else { Audience::WantEnds };
            let (place, kind) = (Place::Changed(changed.len()), MessageKind::AlertResolved);
            notices.push(Notice { alert: place, kind, audience, again_after: None, held: Vec::new() });
            changed.push(alert);
        }
        changed.extend(continued);
        Decided { instances: lived.instances, fired, changed, notices, ..Decided::default() }
    }
}
