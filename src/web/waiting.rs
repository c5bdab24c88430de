//! What an alert that fires waits for next, for pages and the API: the next step of its rule, others of its group, its
//! receiver's window, the end of what holds it back.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::fault::Fault;
use super::sight::Sight;
use super::state::{InForce, Web};
use crate::model::{Alert, AlertId, AlertState, ReceiverId, Silence, Suppression};
use crate::store::{Board as _, ToldWhen};
use crate::worker::escalation::next_step;

/// What is known of what some alerts wait for.
pub(super) struct Waiting {
    silences: Vec<Silence>,
    told: HashMap<AlertId, ToldWhen>,
    acked: HashSet<AlertId>,
}

/// What an alert waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Waits {
    /// That something in the configuration covers it again.
    Covered,
    /// The end of a silence.
    Silence(Box<Silence>),
    /// The end of something else that holds it back, by the store's word for that.
    HeldBack(String),
    /// Others of its group.
    Group(Timestamp),
    /// That a receiver's window opens.
    Window(Timestamp),
    /// The next step of its rule, and whom that tells.
    Step(Timestamp, Vec<ReceiverId>),
}

impl Waiting {
    /// What is known of these alerts, some of which somebody has acknowledged.
    pub(super) async fn of(
        web: &Web,
        sight: &Sight,
        alerts: &[Alert],
        acked: HashSet<AlertId>,
    ) -> Result<Waiting, Fault> {
        let firing: Vec<&Alert> = alerts.iter().filter(|alert| alert.state() == AlertState::Firing).collect();
        let is_silenced = |alert: &&Alert| matches!(alert.suppressed_by, Some(Suppression::Silence(_)));
        let silences = if firing.iter().any(is_silenced) { sight.active_silences(web).await? } else { Vec::new() };
        let ids: Vec<AlertId> = firing.iter().map(|alert| alert.id.clone()).collect();
        let told = web.store.told_when(&ids).await?;
        Ok(Waiting { silences, told, acked })
    }

    /// What an alert waits for at `now`; nothing, of what is over or is told to nobody else.
    pub(super) fn next(&self, in_force: &InForce, alert: &Alert, now: Timestamp) -> Option<Waits> {
        if alert.state() == AlertState::Resolved {
            return None;
        }
        if alert.suspended_at.is_some() {
            return Some(Waits::Covered);
        }
        if let Some(by) = &alert.suppressed_by {
            let is_it = |silence: &&Silence| *by == Suppression::Silence(silence.id) && silence.is_active(now);
            let silence = self.silences.iter().find(is_it).cloned();
            return Some(
                silence.map_or_else(|| Waits::HeldBack(by.to_string()), |silence| Waits::Silence(Box::new(silence))),
            );
        }
        let told = self.told.get(&alert.id).copied().unwrap_or_default();
        if let Some(at) = told.gathers_until {
            return Some(Waits::Group(at));
        }
        if let Some(at) = told.held_until {
            return Some(Waits::Window(at));
        }
        let rule = in_force.config.rules.get(&alert.rule)?;
        let (at, to) = next_step(rule, told.first_at?, self.acked.contains(&alert.id), now)?;
        Some(Waits::Step(at, to.into_iter().cloned().collect()))
    }
}

impl Waits {
    /// The word for it.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Waits::Covered => "covered",
            Waits::Silence(_) => "silence",
            Waits::HeldBack(_) => "held-back",
            Waits::Group(_) => "group",
            Waits::Window(_) => "window",
            Waits::Step(..) => "step",
        }
    }

    /// Until when it waits, as far as that is known.
    pub(super) fn until(&self) -> Option<Timestamp> {
        match self {
            Waits::Silence(silence) => Some(silence.ends_at),
            Waits::Group(at) | Waits::Window(at) | Waits::Step(at, _) => Some(*at),
            Waits::Covered | Waits::HeldBack(_) => None,
        }
    }
}
