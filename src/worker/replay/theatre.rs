//! Plays the recorded polls of several sources again, and takes down who would have been told.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::subscriber::NoSubscriber;

use super::super::pending::{Receiver, Receivers};
use super::lanes::{Lanes, Sent};
use super::log::Log;
use super::people::People;
use super::repeats::Repeats;
use super::stage::{Reel, Stage};
use super::steps::Steps;
use super::telling::Telling;
use crate::config::Config;
use crate::limits::INHIBITING_MAX;
use crate::model::{Ack, Alert, AlertId, Notification, PollOutcome, Silence, SourceId};
use crate::notify::Renderer;
use crate::rule::inhibit::was_told;

/// What is played.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The sources.
    pub reels: Vec<Reel>,
    /// The silences, each from when it was made until it ended.
    pub silences: Vec<Silence>,
    /// Who took on which alert.
    pub acks: Vec<(AlertId, Ack)>,
    /// Until when steps are taken and messages go out; until the last poll where nobody says.
    pub until: Option<Timestamp>,
}

/// What was decided.
#[derive(Debug, Clone, Default)]
pub struct Played {
    /// The alerts, as they are at the end; the earliest first.
    pub alerts: Vec<Alert>,
    /// What is pending for whom, as it was decided; the earliest first.
    pub deliveries: Vec<Notification>,
    /// What people are told; the earliest first.
    pub tellings: Vec<Telling>,
    /// The messages that go out for that, alone or together; the earliest first.
    pub sent: Vec<Sent>,
    /// How many polls were made.
    pub polls: usize,
    /// What the log of the running program would have warned of, each once.
    pub warnings: Vec<String>,
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
}

/// Everything that does not change from one play to the next: making it takes longer than many polls.
pub struct Theatre {
    receivers: Arc<Receivers>,
    /// Is told how many of how many polls were made.
    watcher: Box<dyn Fn(usize, usize) + Send + Sync>,
}

impl Theatre {
    /// Compiles the receivers' templates.
    ///
    /// # Errors
    /// When one of them is wrong.
    pub fn open(config: &Config) -> Result<Theatre, ReplayError> {
        let receivers = config.receivers.iter().map(|settings| {
            let renderer = Renderer::open(settings).map_err(|problems| {
                let reasons: Vec<String> = problems.iter().map(ToString::to_string).collect();
                ReplayError::Receiver { id: settings.id.to_string(), reason: reasons.join("\n") }
            })?;
            Ok(Receiver::new(settings, renderer))
        });
        let receivers = Arc::new(receivers.collect::<Result<_, ReplayError>>()?);
        Ok(Theatre { receivers, watcher: Box::new(|_, _| {}) })
    }

    /// The same, and somebody is told how many of how many polls were made.
    #[must_use]
    pub fn watched_by(self, watcher: impl Fn(usize, usize) + Send + Sync + 'static) -> Theatre {
        Theatre { watcher: Box::new(watcher), ..self }
    }

    /// Plays a script under the rules of `config`, which must have the receivers that this was opened with.
    ///
    /// # Errors
    /// [`ReplayError::NoSource`].
    pub fn play(&self, config: &Config, script: Script) -> Result<Played, ReplayError> {
        // What there is to log is about a time that is over.
        tracing::subscriber::with_default(NoSubscriber::default(), || self.play_aloud(config, script))
    }

    fn play_aloud(&self, config: &Config, script: Script) -> Result<Played, ReplayError> {
        let mut stages = Vec::new();
        let mut due: Vec<(Timestamp, usize, PollOutcome)> = Vec::new();
        for Reel { source, before, sightings, polls } in script.reels {
            let settings = config.sources.iter().find(|settings| settings.id == source);
            let Some(settings) = settings.cloned() else { return Err(ReplayError::NoSource(source)) };
            due.extend(polls.iter().map(|poll| (poll.polled_at, stages.len(), poll.outcome)));
            let decider = config.decider(&settings, None);
            stages.push(Stage::new(settings, decider, before, sightings));
        }
        due.sort_by_key(|(at, stage, _)| (*at, *stage));
        let polls = due.len();
        let mut play = Play {
            receivers: &self.receivers,
            people: People::new(script.silences, script.acks),
            log: Log::default(),
            steps: Steps::of(config, &self.receivers),
            repeats: Repeats::of(config),
            lanes: Lanes::of(config, &self.receivers),
            now: Timestamp::MIN,
        };
        let mut warnings: Vec<String> = Vec::new();
        for (made, (now, stage, outcome)) in due.into_iter().enumerate() {
            (self.watcher)(made, polls);
            play.go_on_before(now);
            play.people.act(now, |alert| play.log.has(alert));
            let elsewhere = elsewhere(&stages, stage);
            if let Some(decided) = stages[stage].poll(now, outcome, play.people.silences(), elsewhere) {
                play.log.take(&decided, &self.receivers, &config.rules, now);
                let source = &stages[stage].decider.source;
                for warning in decided.warnings.iter().map(|warning| format!("{source}: {warning}")) {
                    if !warnings.contains(&warning) {
                        warnings.push(warning);
                    }
                }
            }
            play.act(now);
        }
        if let Some(until) = script.until {
            play.go_on_before(until);
        }
        let Play { log, lanes, .. } = play;
        let (alerts, deliveries, tellings) = log.into_parts();
        Ok(Played { alerts, deliveries, tellings, sent: lanes.into_sent(), polls, warnings })
    }
}

/// What goes on beside the polls.
pub(super) struct Play<'a> {
    receivers: &'a Receivers,
    people: People,
    log: Log,
    steps: Steps,
    repeats: Repeats,
    lanes: Lanes,
    /// Up to when it has gone on.
    now: Timestamp,
}

impl Play<'_> {
    /// Does all that is due before `next`, each at its time.
    fn go_on_before(&mut self, next: Timestamp) {
        while let Some(due) = self.next_due().filter(|due| *due < next) {
            self.act(due);
        }
    }

    fn next_due(&self) -> Option<Timestamp> {
        let step = self.steps.next_due(&self.log, &self.people, self.now);
        let repeat = self.repeats.next_due(&self.log, &self.people, &self.lanes, self.now);
        [step, repeat, self.lanes.next_due(self.now)].into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    fn act(&mut self, now: Timestamp) {
        self.now = now;
        self.people.act(now, |alert| self.log.has(alert));
        self.lanes.pass(&self.log, now);
        self.steps.pass(&mut self.log, &self.people, now, |delivery| self.lanes.has_arrived(delivery));
        self.repeats.pass(&self.log, &self.people, (&mut self.lanes, self.receivers), now);
        self.lanes.pass(&self.log, now);
    }
}

/// The alerts of other sources that people were told of, that fire, and that may inhibit those of this one: one more than are
/// looked at, where there are more.
pub(super) fn elsewhere(stages: &[Stage], own: usize) -> Vec<Alert> {
    let decider = &stages[own].decider;
    let upstream = decider.muting.upstream_of(&decider.source);
    let meant = stages.iter().filter(|stage| upstream.contains(&stage.decider.source));
    let firing = meant.flat_map(|stage| stage.known.memory.firing.firing());
    let holding = firing.filter(|alert| was_told(alert) && alert.suspended_at.is_none());
    let mut alerts: Vec<Alert> = holding.map(|alert| (**alert).clone()).collect();
    alerts.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    alerts.truncate(INHIBITING_MAX + 1);
    alerts
}
