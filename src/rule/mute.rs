//! Muting: which alerts are recorded and not told for now.
//!
//! # Design
//! A silence and a mute window ask for the same thing in two ways: new alerts of some kind are held back for some time.
//! What resolves meanwhile is never told; what still fires at the end is told then, once. An alert that was told
//! before stays told, and so is its end: whoever was woken by it wants to know that it is over.

use std::sync::Arc;

use jiff::Timestamp;

use super::concerns::AlertMatch;
use super::inhibit::Inhibition;
use crate::model::{Alert, Silence, SilenceId, SourceId, Suppression};
use crate::schedule::RecurringWindow;

/// A recurring time in which new alerts of some kind are held back.
#[derive(Debug, Clone)]
pub struct MuteWindow {
    /// Its key in the configuration.
    pub name: Arc<str>,
    /// Which alerts it concerns.
    pub matches: AlertMatch,
    /// When it is open.
    pub window: RecurringWindow,
}

/// Everything that mutes, as one source sees it.
#[derive(Debug, Clone, Default)]
pub struct Muting {
    windows: Arc<[MuteWindow]>,
    silences: Vec<(SilenceId, Timestamp, AlertMatch)>,
    inhibitions: Arc<[Inhibition]>,
    /// The sources of the configuration: alerts of one that was removed never end, and must not hold back others.
    sources: Vec<SourceId>,
}

impl Muting {
    /// The mute windows, and no silence.
    pub fn new(windows: Arc<[MuteWindow]>) -> Muting {
        Muting { windows, ..Muting::default() }
    }

    /// The same with inhibitions, whose alerts upstream may be of any of these sources.
    #[must_use]
    pub fn inhibiting(self, inhibitions: Arc<[Inhibition]>, sources: Vec<SourceId>) -> Muting {
        Muting { inhibitions, sources, ..self }
    }

    /// The inhibitions.
    pub fn inhibitions(&self) -> Arc<[Inhibition]> {
        Arc::clone(&self.inhibitions)
    }

    /// The sources beside `own` whose alerts may hold back others.
    pub fn upstream_of(&self, own: &SourceId) -> Vec<SourceId> {
        let may_hold = |source: &&SourceId| self.inhibitions.iter().any(|one| one.by.concerns_source(source));
        self.sources.iter().filter(|source| *source != own).filter(may_hold).cloned().collect()
    }

    /// Whether an alert that was held back is not to be told when that ends: it is of a run that never came up, for a due
    /// time inside the window of days off that has held it. A run that is still late then is told.
    pub fn has_lapsed(&self, alert: &Alert) -> bool {
        let Some(Suppression::MuteWindow(name)) = &alert.suppressed_by else { return false };
        let due_at = alert.facts.alert.measures.due_at.filter(|_| alert.facts.instance.is_none());
        let held_by = self.windows.iter().find(|one| one.name == *name).map(|one| &one.window);
        let days_off = held_by.filter(|window| window.is_of_days_off());
        days_off.zip(due_at).is_some_and(|(window, due_at)| window.is_open(due_at))
    }

    /// Takes over the silences that hold now. One that was there before keeps what it was compiled to: a silence is
    /// never changed. Returns what is wrong with those that cannot be understood; they silence nothing.
    pub fn set_silences(&mut self, active: &[Silence]) -> Vec<String> {
        let mut before = std::mem::take(&mut self.silences);
        let mut faults = Vec::new();
        for silence in active {
            let known = before.iter().position(|(id, _, _)| *id == silence.id).map(|at| before.swap_remove(at).2);
            match known.map_or_else(|| AlertMatch::of(&silence.concerns), Ok) {
                Ok(matches) => self.silences.push((silence.id, silence.ends_at, matches)),
                Err(fault) => faults.push(format!("silence {} silences nothing: {fault}", silence.id)),
            }
        }
        self.silences.sort_by_key(|(id, _, _)| *id);
        faults
    }

    /// What mutes the alert at `now`, if anything does: one thing, though several may. What has muted it until now is
    /// named as long as it does; then silences, the oldest first, and windows in the order of the file.
    pub fn mutes(&self, alert: &Alert, now: Timestamp) -> Option<Suppression> {
        let silences = self.silences.iter().filter(|(_, ends_at, matches)| now < *ends_at && matches.concerns(alert));
        let windows = self.windows.iter().filter(|window| window.window.is_open(now) && window.matches.concerns(alert));
        let mut all = silences
            .map(|(id, _, _)| Suppression::Silence(*id))
            .chain(windows.map(|window| Suppression::MuteWindow(Arc::clone(&window.name))));
        let first = all.next()?;
        match &alert.suppressed_by {
            Some(before) if *before != first && all.any(|by| by == *before) => Some(before.clone()),
            _ => Some(first),
        }
    }
}
