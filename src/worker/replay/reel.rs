//! A source that shows what it is told to: how each run was at the instant that is played.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::super::poll::GONE;
use crate::model::{Coverage, Instance, InstanceKey, Part, Sighting, SourceId, Status, Window};
use crate::source::{Detail, Listing, Source, SourceError, SourceErrorKind};
use crate::store::{PollOutcome, PollRecord};

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

/// The source itself; a copy shows the same.
#[derive(Debug, Clone)]
pub(super) struct Projector {
    kind: &'static str,
    stage: Arc<Mutex<Stage>>,
}

#[derive(Debug)]
struct Stage {
    /// Still to come, the next one last.
    coming: Vec<Sighting>,
    /// How each run is.
    shown: Vec<Sighting>,
    places: HashMap<InstanceKey, usize>,
    /// How the poll that is made now goes.
    outcome: PollOutcome,
}

impl Projector {
    /// Shows what `before` knows, and nothing of what is to come.
    pub(super) fn new(kind: &'static str, before: &[Instance], mut coming: Vec<Sighting>) -> Projector {
        coming.sort_by_key(|sighting| sighting.at);
        coming.reverse();
        let mut stage = Stage { coming, shown: Vec::new(), places: HashMap::new(), outcome: PollOutcome::Whole };
        for instance in before {
            stage.show(Sighting { at: Timestamp::MIN, instance: instance.clone(), nodes: Vec::new() });
        }
        Projector { kind, stage: Arc::new(Mutex::new(stage)) }
    }

    /// Goes on to `now`, when a poll goes as `outcome` says.
    pub(super) fn advance(&self, now: Timestamp, outcome: PollOutcome) {
        let mut stage = self.stage();
        stage.outcome = outcome;
        while let Some(next) = stage.coming.pop_if(|next| next.at <= now) {
            stage.show(next);
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    fn show(&mut self, sighting: Sighting) {
        let key = sighting.instance.key();
        match self.places.get(&key) {
            Some(place) => self.shown[*place] = sighting,
            None => {
                self.places.insert(key, self.shown.len());
                self.shown.push(sighting);
            }
        }
    }

    fn check(&self) -> Result<(), SourceError> {
        match self.outcome {
            PollOutcome::Unread => Err(SourceError::new(SourceErrorKind::Transient, "it could not be read then")),
            PollOutcome::Whole | PollOutcome::Short => Ok(()),
        }
    }
}

/// Whether the poll that saw this had found that the source knew the run no more.
fn is_gone(instance: &Instance) -> bool {
    instance.status == Status::Unknown && instance.raw_status == GONE
}

impl Source for Projector {
    fn kind(&self) -> &'static str {
        self.kind
    }

    async fn list(&self, window: Window) -> Result<Listing, SourceError> {
        let stage = self.stage();
        stage.check()?;
        let inside = |time: Option<Timestamp>| time.is_none_or(|time| (window.from..=window.to).contains(&time));
        let listed = stage.shown.iter().map(|shown| &shown.instance);
        let instances: Vec<Instance> =
            listed.filter(|instance| inside(instance.plan_time) && !is_gone(instance)).cloned().collect();
        let mut coverage = Coverage::whole(window, "");
        if stage.outcome == PollOutcome::Short {
            // What was missing then is not known; that something was is what counts.
            coverage = coverage.without(Part::AnyRun, "it was not read as a whole then");
        }
        Ok(Listing::new(instances, coverage))
    }

    async fn detail(&self, instance: &Instance) -> Result<Detail, SourceError> {
        let stage = self.stage();
        stage.check()?;
        let shown = stage.places.get(&instance.key()).map(|place| &stage.shown[*place]);
        match shown.filter(|shown| !is_gone(&shown.instance)) {
            Some(shown) => Ok(Detail { instance: shown.instance.clone(), nodes: shown.nodes.clone() }),
            None => Err(SourceError::new(SourceErrorKind::NotFound, "there was no such instance then")),
        }
    }
}
