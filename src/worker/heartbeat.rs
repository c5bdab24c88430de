//! The heartbeat: tells somebody outside, who rings when it stays away, that Nightbell works.
//!
//! It goes out only while polling, storing and delivering really work, and each beat finds that out anew:
//!
//! - every source was asked when it should have been. One that cannot be read was asked, too, and is told of by an alert;
//!   when none of them can be read, no beat goes out, for then nothing is watched.
//! - the store takes a write.
//! - nothing is due to a receiver that nobody has tried for long, unless its channel has asked to be left alone.
//!
//! A beat that is not taken is logged, and the next one comes in its own time. The URL is a secret. Reads and writes the
//! store, a small row each time, and asks one URL; must never know what an alert is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, Request};

use super::deliver::status_name;
use super::poll::is_silent;
use super::turn::{Failing, Pace, Statuses, Turn, TurnError, Turned};
use crate::http::{HttpClient, Outgoing, secret_url, secrets_in};
use crate::limits::{HEARTBEAT_ANSWER_BYTES_MAX, HEARTBEAT_POLL_SLACK, HEARTBEAT_TIMEOUT, LANE_HANGS_AFTER};
use crate::model::{ReceiverId, SourceId};
use crate::schedule::Schedule;
use crate::secret::SecretRef;
use crate::store::{Archive, Outbox, Pending, SourceCondition, StoreError, Upkeep};

/// How long after the start the first beat is tried at most: by then a source can have been asked.
const FIRST_AFTER: Duration = Duration::from_secs(5);

/// By what name its status is known.
pub const NAME: &str = "heartbeat";

/// Beats.
pub struct Heartbeat<S> {
    /// Where to.
    pub url: SecretRef,
    /// How often.
    pub every: Duration,
    /// What asks.
    pub client: HttpClient,
    /// The sources, each with when it is asked.
    pub sources: Vec<(SourceId, Schedule)>,
    /// The store.
    pub store: Arc<S>,
    /// Since when the program runs: who was asked before that was asked by another one.
    pub started_at: Timestamp,
    /// How the sources were asked so far.
    pub asked: Asked,
    /// How the other loops fare.
    pub statuses: Statuses,
}

/// When each source was asked last, and how long after the time before: a source whose list takes long is asked as often
/// as that allows, and is not thereby silent.
#[derive(Debug, Clone, Default)]
pub struct Asked(HashMap<SourceId, (Timestamp, SignedDuration)>);

impl Asked {
    /// Notes when a source was asked last, and returns how long after the time before that was.
    fn note(&mut self, source: &SourceId, polled_at: Timestamp) -> SignedDuration {
        let (last, step) = self.0.entry(source.clone()).or_insert((polled_at, SignedDuration::ZERO));
        if polled_at > *last {
            (*last, *step) = (polled_at, polled_at.duration_since(*last));
        } else {
            // Where the clock was set back the steps begin anew.
            *last = polled_at;
        }
        *step
    }
}

/// Why no beat goes out.
#[derive(Debug, thiserror::Error)]
pub enum Missed {
    /// The program has just begun.
    #[error("source {0} has not been polled yet")]
    NotYet(SourceId),
    /// A poll loop hangs.
    #[error("source {id} was not polled since {since}")]
    Silent {
        /// The source.
        id: SourceId,
        /// When it was asked last.
        since: Timestamp,
    },
    /// Nothing is watched.
    #[error("none of the sources can be read")]
    Blind,
    /// A lane hangs.
    #[error("what is due to receiver {id} since {since} was not tried")]
    Stuck {
        /// The receiver.
        id: ReceiverId,
        /// Since when.
        since: Timestamp,
    },
    /// Another loop does not work.
    #[error("{name} has not worked since {since}: {error}")]
    Loop {
        /// Its name.
        name: String,
        /// Since when.
        since: Timestamp,
        /// Why.
        error: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whoever listens did not take it.
    #[error("it was not taken: {0}")]
    Refused(String),
}

impl<S: Archive + Outbox + Upkeep> Heartbeat<S> {
    /// Beats once if all works.
    ///
    /// # Errors
    /// [`Missed`], and nothing was sent but for [`Missed::Refused`].
    pub async fn beat(&mut self, now: Timestamp) -> Result<(), Missed> {
        self.examine(now).await?;
        self.send().await.map_err(Missed::Refused)
    }

    /// Finds out whether all works. Writes to the store.
    ///
    /// # Errors
    /// With the first thing that does not.
    pub async fn examine(&mut self, now: Timestamp) -> Result<(), Missed> {
        // Where the clock was set back, what it says now is all there is to go by.
        self.started_at = self.started_at.min(now);
        self.store.beat(now).await?;
        let conditions = self.store.sources().await?;
        self.examine_sources(&conditions, now)?;
        self.examine_loops(now)?;
        let long_ago = now.checked_sub(LANE_HANGS_AFTER).unwrap_or(Timestamp::MIN);
        for Pending { receiver, next_due, .. } in self.store.pending().await? {
            if next_due.is_none_or(|due| due > long_ago) || self.was_asked_to_wait(&receiver, long_ago) {
                continue;
            }
            // Another replica was asked to wait.
            if self.store.paused_until(&receiver).await?.is_some_and(|until| until > long_ago) {
                continue;
            }
            // What waits for a predecessor, or is being tried, is not due.
            let Some(since) = self.store.next_due(&receiver, now).await?.filter(|due| *due <= long_ago) else {
                continue;
            };
            // A receiver with more messages than it takes is behind, and not forgotten.
            let tried = self.store.attempts_since(long_ago).await?;
            if !tried.iter().any(|(id, _)| *id == receiver) {
                return Err(Missed::Stuck { id: receiver, since });
            }
        }
        Ok(())
    }

    fn examine_sources(&mut self, conditions: &[SourceCondition], now: Timestamp) -> Result<(), Missed> {
        let mut is_blind = true;
        for (id, schedule) in &self.sources {
            let condition = conditions.iter().find(|condition| condition.id == *id);
            let asked = condition.filter(|condition| condition.polled_at >= self.started_at);
            let Some(asked) = asked else {
                // One whose first turn is far off has not been forgotten.
                if is_silent(schedule, self.started_at, now) {
                    return Err(Missed::Silent { id: id.clone(), since: self.started_at });
                }
                return Err(Missed::NotYet(id.clone()));
            };
            let step = self.asked.note(id, asked.polled_at);
            let allowed = step + step + SignedDuration::try_from(HEARTBEAT_POLL_SLACK).unwrap_or_default();
            if is_silent(schedule, asked.polled_at, now) && now.duration_since(asked.polled_at) > allowed {
                return Err(Missed::Silent { id: id.clone(), since: asked.polled_at });
            }
            is_blind &= asked.unreadable.is_some();
        }
        if is_blind { Err(Missed::Blind) } else { Ok(()) }
    }

    /// Whether the channel of a receiver asked to be left alone until `long_ago` or later: its lane does not hang.
    fn was_asked_to_wait(&self, receiver: &ReceiverId, long_ago: Timestamp) -> bool {
        let until = self.statuses.get(&status_name(receiver)).and_then(|status| status.asked_to_wait_until);
        until.is_some_and(|until| until > long_ago)
    }

    fn examine_loops(&self, now: Timestamp) -> Result<(), Missed> {
        let others = self.statuses.all().into_iter().filter(|(name, _)| name != NAME);
        let fault = others.filter_map(|(name, status)| Some((name, status.fault(now)?))).next();
        fault.map_or(Ok(()), |(name, Failing { since, error })| Err(Missed::Loop { name, since, error }))
    }

    async fn send(&self) -> Result<(), String> {
        let url = self.url.resolve().map_err(|error| error.to_string())?;
        let url = secret_url(&url)?;
        let secrets = secrets_in(&url);
        let outgoing = Outgoing::new(Request::new(Method::GET, url), secrets);
        let answer = self.client.send(outgoing, HEARTBEAT_TIMEOUT, HEARTBEAT_ANSWER_BYTES_MAX).await;
        match answer {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => Err(format!("answered {}", answer.status)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl<S: Archive + Outbox + Upkeep> Turn for Heartbeat<S> {
    fn name(&self) -> &'static str {
        NAME
    }

    /// A beat that is due late is not made up for, and one under way waits for nobody at the end.
    fn pace(&self) -> Pace {
        let pace = Pace::every(self.every);
        Pace { first_after: self.every.min(FIRST_AFTER), backoff_max: self.every, is_given_up: true, ..pace }
    }

    async fn turn(&mut self, now: Timestamp) -> Result<Turned, TurnError> {
        let next_due = now.checked_add(self.every).ok();
        match self.beat(now).await {
            Ok(()) => Ok(Turned { done: 1, next_due }),
            Err(Missed::NotYet(id)) => {
                tracing::debug!(source = %id, "no heartbeat yet: the source has not been polled");
                Ok(Turned { done: 0, next_due })
            }
            Err(missed) => Err(missed.into()),
        }
    }
}
