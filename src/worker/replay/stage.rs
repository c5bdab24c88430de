//! One source while a time is played: it shows how each run was at that instant, and what a poll makes of it is decided.
//!
//! Takes what was recorded, or made up, and gives what is decided. Which plan times are read, which runs are asked after
//! one by one, and what follows from what was seen is decided where it is decided for a poll. Pure: it must never know
//! where any of it was recorded, or who is notified.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::poll::Followed;
use super::super::poll::follow::{gone, was_gone};
use super::super::poll::window::{self, SliceSpan};
use crate::alert::{attach_error, attach_nodes, is_about_job_status};
use crate::decide::{Decided, Decider, InMemory, Look, to_detail};
use crate::limits::LOOKBACK_MAX;
use crate::model::{
    Alert, Coverage, Instance, InstanceKey, NodeDetails, Part, PollOutcome, PollRecord, Sighting, Silence, SourceId,
    Window,
};
use crate::source::SourceSettings;

/// What is played of one source.
#[derive(Debug, Clone)]
pub struct Reel {
    /// The source.
    pub source: SourceId,
    /// What is known already when the first poll is made, and up to when the source had been read by then; `None` where
    /// nothing was ever read before.
    pub before: Option<Before>,
    /// How runs are from when on. Those of one instant are taken in their order.
    pub sightings: Vec<Sighting>,
    /// When the source is polled, and with what success; the earliest first.
    pub polls: Vec<PollRecord>,
}

/// What is known of a source before anything is played.
#[derive(Debug, Clone)]
pub struct Before {
    /// Up to when it had been read.
    pub read_until: Timestamp,
    /// How its runs were then.
    pub instances: Vec<Instance>,
}

/// A source with what is known of it.
pub(super) struct Stage {
    settings: SourceSettings,
    pub(super) decider: Decider,
    pub(super) known: InMemory,
    followed: Followed,
    span: SliceSpan,
    /// Still to come, the next one last.
    coming: Vec<Sighting>,
    /// How each run is.
    shown: Vec<Sighting>,
    places: HashMap<InstanceKey, usize>,
}

impl Stage {
    /// Shows what was known before, and nothing of what is to come.
    pub(super) fn new(
        settings: SourceSettings,
        decider: Decider,
        before: Option<Before>,
        coming: Vec<Sighting>,
    ) -> Stage {
        let (mut known, mut shown) = (InMemory::default(), Vec::new());
        if let Some(Before { read_until, instances }) = before {
            let at = Timestamp::MIN;
            shown.extend(instances.iter().cloned().map(|instance| Sighting { at, instance, nodes: Vec::new() }));
            known = InMemory::read_until(read_until, instances, decider.rules.marks());
        }
        let places = shown.iter().enumerate().map(|(place, shown)| (shown.instance.key(), place)).collect();
        let (followed, span) = (Followed::default(), SliceSpan::default());
        let mut stage = Stage { settings, decider, known, followed, span, coming, shown, places };
        stage.coming.sort_by_key(|sighting| sighting.at);
        stage.coming.reverse();
        stage
    }

    /// What a poll at `now` decides that goes as `outcome` says; nothing where the source could not be read. `elsewhere` has
    /// the alerts of other sources that may inhibit those of this one.
    pub(super) fn poll(
        &mut self,
        now: Timestamp,
        outcome: PollOutcome,
        silences: &[Silence],
        elsewhere: Vec<Alert>,
    ) -> Option<Decided> {
        self.advance(now);
        if outcome == PollOutcome::Unread {
            self.known.memory.polled_at = Some(now);
            return None;
        }
        let covered = &self.known.memory.covered;
        let lookback = window::lookback(&self.settings, &self.decider.rules, covered.until.is_none());
        let slice = window::next(now, lookback, covered, self.span.within(LOOKBACK_MAX));
        let (mut seen, coverage) = self.list(slice.window, outcome);
        if coverage.is_whole() {
            self.span.learn(slice.window, Duration::ZERO);
        } else if slice.window.to.duration_since(slice.window.from).unsigned_abs() > lookback {
            self.span.shrink(slice.window);
        }
        if slice.is_last {
            self.follow(&mut seen, now);
        }
        if self.known.silences != silences {
            self.known.silences = silences.to_vec();
        }
        self.known.elsewhere = elsewhere;
        let look = Look { is_last_slice: slice.is_last, ..Look::at(now) };
        let mut decided = self.known.decide(&mut self.decider, seen, coverage, &look);
        self.add_details(&mut decided);
        self.known.take(&decided, now);
        Some(decided)
    }

    /// Goes on to `now`.
    fn advance(&mut self, now: Timestamp) {
        while let Some(next) = self.coming.pop_if(|next| next.at <= now) {
            let key = next.instance.key();
            match self.places.get(&key) {
                Some(place) => self.shown[*place] = next,
                None => {
                    self.places.insert(key, self.shown.len());
                    self.shown.push(next);
                }
            }
        }
    }

    fn list(&self, window: Window, outcome: PollOutcome) -> (Vec<Instance>, Coverage) {
        let inside = |time: Option<Timestamp>| time.is_none_or(|time| (window.from..=window.to).contains(&time));
        let shown = self.shown.iter().map(|shown| &shown.instance);
        let listed = shown.filter(|run| inside(run.plan_time) && !was_gone(run)).cloned().collect();
        let mut coverage = Coverage::whole(window, "");
        if outcome == PollOutcome::Short {
            // What was missing then is not known; that something was is what counts.
            coverage = coverage.without(Part::AnyRun, "it was not read as a whole then");
        }
        (listed, coverage)
    }

    /// Asks after the runs that the listing no longer holds and whose story is not over.
    fn follow(&mut self, seen: &mut Vec<Instance>, now: Timestamp) {
        for run in self.followed.next(&self.settings.id, &self.known.memory, seen, now) {
            self.followed.note(&run, now);
            seen.push(match self.shown(&run.key()) {
                Some(shown) => shown.instance.clone(),
                None => gone(run, now),
            });
        }
    }

    /// Puts the nodes and the failure text of what begins into its alerts, as far as they are known.
    fn add_details(&self, decided: &mut Decided) {
        for alert in to_detail(&mut decided.fired, &mut decided.changed) {
            if alert.facts.instance.is_none() || is_about_job_status(alert) {
                continue;
            }
            match self.shown(&alert.facts.subject()) {
                Some(shown) => {
                    attach_nodes(alert, &NodeDetails::Known(shown.nodes.clone()));
                    attach_error(alert, shown.instance.error.clone());
                }
                None => {
                    let reason = "could not be read: there was no such instance then".to_string();
                    attach_nodes(alert, &NodeDetails::Unreadable(reason));
                }
            }
        }
    }

    /// A run as the source knows it.
    fn shown(&self, key: &InstanceKey) -> Option<&Sighting> {
        let shown = self.places.get(key).map(|place| &self.shown[*place]);
        shown.filter(|shown| !was_gone(&shown.instance))
    }
}
