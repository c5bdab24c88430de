//! Playing a past or an imagined time again: what would have been told?
//!
//! The decisions are those of the running program, because it is the running program that makes them: the real poller,
//! before a source that shows what it is told to, and the real loop that has alerts go further, on a store in memory, with
//! the clock set from poll to poll. Nothing is sent, and nothing outside is read or written. This module must never decide anything by itself.

mod cues;
mod difference;
mod fetch;
mod record;
mod reel;
mod rehearsal;
mod steps;
mod telling;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

pub use difference::{Difference, How, differences};
pub use fetch::fetched;
pub use record::{OnRecord, Recorded, recorded};
pub use reel::{Before, Reel};
pub use rehearsal::{Problem, Rehearsal};
pub use telling::{Telling, tellings};

use self::cues::Cues;
use self::reel::Projector;
use self::steps::Steps;
use super::poll::{Addressee, Addressees, PollError, Poller};
use crate::config::Config;
use crate::decide::Memory;
use crate::model::{Ack, Alert, AlertId, Covered, Delivery, Silence, SourceId};
use crate::notify::Renderer;
use crate::store::{Archive as _, Deliveries as _, PollCommit, PollLedger as _, PollOutcome, SqlStore, StoreError};

/// What is played.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The sources.
    pub reels: Vec<Reel>,
    /// The silences, each from when it was made until it ended.
    pub silences: Vec<Silence>,
    /// Who took on which alert.
    pub acks: Vec<(AlertId, Ack)>,
}

/// What was decided.
#[derive(Debug, Clone, Default)]
pub struct Played {
    /// The alerts, as they are at the end; the earliest first.
    pub alerts: Vec<Alert>,
    /// What is owed to whom; the earliest first.
    pub deliveries: Vec<Delivery>,
    /// How many polls were made.
    pub polls: usize,
    /// What was said of each alert in one line, from when on.
    said: Said,
}

/// What was said of alerts while they fired, each with when that began to be said.
type Said = HashMap<AlertId, Vec<(Timestamp, String)>>;

impl Played {
    /// What was said of an alert at an instant, while it fired.
    fn said_at(&self, alert: &AlertId, at: Timestamp) -> Option<&str> {
        let lines = self.said.get(alert)?;
        lines.iter().rev().find(|(since, _)| *since <= at).map(|(_, line)| line.as_str())
    }
}

/// Why something cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The configuration has no such source, or it cannot be read without values that are missing.
    #[error("the source {0} is not there, or cannot be used without values that are missing")]
    NoSource(SourceId),
    /// A receiver's templates.
    #[error("receiver {id}: {reason}")]
    Receiver {
        /// The receiver.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// The store in memory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A poll that should have gone well.
    #[error(transparent)]
    Poll(#[from] PollError),
}

/// Everything that does not change from one play to the next: making it takes longer than many polls.
pub struct Theatre {
    addressees: Arc<Addressees>,
    /// Is told how many of how many polls were made.
    watcher: Box<dyn Fn(usize, usize) + Send + Sync>,
}

impl Theatre {
    /// Compiles the receivers' templates.
    ///
    /// # Errors
    /// When one of them is wrong.
    pub fn open(config: &Config) -> Result<Theatre, ReplayError> {
        let addressees = config.receivers.iter().map(|settings| {
            let renderer = Renderer::open(settings).map_err(|problems| {
                let reasons: Vec<String> = problems.iter().map(ToString::to_string).collect();
                ReplayError::Receiver { id: settings.id.to_string(), reason: reasons.join("\n") }
            })?;
            let addressee = Addressee { renderer, send_resolved: settings.send_resolved, nudge: Arc::default() };
            Ok((settings.id.clone(), addressee))
        });
        let addressees = Arc::new(addressees.collect::<Result<_, ReplayError>>()?);
        Ok(Theatre { addressees, watcher: Box::new(|_, _| {}) })
    }

    /// The same, and somebody is told how many of how many polls were made.
    #[must_use]
    pub fn watched_by(self, watcher: impl Fn(usize, usize) + Send + Sync + 'static) -> Theatre {
        Theatre { watcher: Box::new(watcher), ..self }
    }

    /// Plays a script under the rules of `config`, which must have the receivers that this was opened with.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn play(&self, config: &Config, script: Script) -> Result<Played, ReplayError> {
        // What the polls have to say is about a time that is over.
        self.play_aloud(config, script).with_subscriber(NoSubscriber::default()).await
    }

    async fn play_aloud(&self, config: &Config, script: Script) -> Result<Played, ReplayError> {
        let store = Arc::new(SqlStore::in_memory().await?);
        let clock = crate::clock::ManualClock::at(Timestamp::UNIX_EPOCH);
        let rules = config.rules.clone();
        let mut stages = Vec::new();
        let mut due: Vec<(Timestamp, usize, PollOutcome)> = Vec::new();
        for reel in script.reels {
            let settings = config.sources.iter().find(|settings| settings.id == reel.source);
            let Some(settings) = settings.cloned() else { return Err(ReplayError::NoSource(reel.source)) };
            let known = reel.before.as_ref().map_or(&[][..], |before| &before.instances);
            let source = Projector::new(settings.scheduler.kind(), known, reel.sightings);
            if let Some(before) = reel.before {
                store.commit_poll(&known_before(&settings.id, before, rules.marks())).await?;
            }
            due.extend(reel.polls.iter().map(|poll| (poll.polled_at, stages.len(), poll.outcome)));
            let decider = config.decider(&settings, None);
            let (store, addressees) = (Arc::clone(&store), Arc::clone(&self.addressees));
            stages.push(Poller::new(settings, source, store, decider, addressees, Arc::new(clock.clone())));
        }
        due.sort_by_key(|(at, stage, _)| (*at, *stage));
        let mut cues = Cues::new(script.silences, script.acks);
        let mut steps = Steps::of(config, &store, &clock, &self.addressees);
        let (polls, mut said, mut last) = (due.len(), Said::new(), Timestamp::MIN);
        for (made, (now, stage, outcome)) in due.into_iter().enumerate() {
            (self.watcher)(made, polls);
            steps.between(last, now, &mut cues).await?;
            clock.set(now);
            cues.give(&store, now).await?;
            stages[stage].source.advance(now, outcome);
            let is_told = match stages[stage].poll().await {
                Ok(report) => report.deliveries > 0,
                Err(PollError::Source { .. }) if outcome == PollOutcome::Unread => false,
                Err(error) => return Err(error.into()),
            };
            if is_told {
                note(&mut said, stages[stage].memory.as_ref(), now);
            }
            steps.after_poll(now, is_told).await?;
            last = now;
        }
        let mut played = Played { polls, said, ..told(&store).await? };
        cues.name_as_before(&mut played.alerts);
        Ok(played)
    }
}

/// Notes what is said now of what fires, where that is something new: an end changes what is said.
fn note(said: &mut Said, memory: Option<&Memory>, now: Timestamp) {
    for alert in memory.into_iter().flat_map(|memory| memory.firing.firing()) {
        let lines = said.entry(alert.id.clone()).or_default();
        let summary = &alert.facts.alert.summary;
        if lines.last().is_none_or(|(_, last)| last != summary) {
            lines.push((now, summary.clone()));
        }
    }
}

/// What a source told before anything is played, as one poll that nobody heard of.
fn known_before(source: &SourceId, before: Before, marks: &[String]) -> PollCommit {
    PollCommit {
        source: source.clone(),
        generation: 0,
        now: before.read_until,
        covered: Covered { from: Some(Timestamp::MIN), until: Some(before.read_until), ..Covered::default() },
        outcome: PollOutcome::Whole,
        incomplete: None,
        known_rules: Some(marks.iter().cloned().collect()),
        instances: before.instances,
        fired: Vec::new(),
        changed: Vec::new(),
        deliveries: Vec::new(),
    }
}

async fn told(store: &SqlStore) -> Result<Played, StoreError> {
    let (mut alerts, mut deliveries) = (store.alerts(usize::MAX).await?, store.deliveries(usize::MAX).await?);
    alerts.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    deliveries.sort_by(|one, other| {
        let order = |it: &Delivery| (it.created_at, it.alert.clone(), it.kind.as_str(), it.receiver.clone());
        order(one).cmp(&order(other))
    });
    Ok(Played { alerts, deliveries, ..Played::default() })
}
