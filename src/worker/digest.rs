//! Digests: made when they are due, out of what the store holds, and pending for their receivers.
//!
//! Reads the store and the clock; writes the store, once per digest, in one transaction that moves the digest on and adds
//! its deliveries. A process that dies before that makes the digest again, with other words perhaps, for nobody has
//! seen any; one that dies after it leaves what it rendered pending. This module must never know a channel or SQL.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{info, warn};

use super::pending::Receivers;
use super::poll::is_silent;
use super::turn::{Pace, Turn, TurnError, Turned};
use crate::config::{Config, DigestSettings};
use crate::digest::{DuePeriod, Limits, Selects, Tally, due, message};
use crate::limits::DIGEST_WAIT_MAX;
use crate::model::{
    DigestFacts, DigestPart, GapCause, GapPart, InstanceType, Labels, Notification, PeriodPart, RuleId, Severity,
    SourceId, joined_labels,
};
use crate::rule::{Condition, MatchCache, Recovers, Rule, RuleSet, RuleSetError};
use crate::schedule::Schedule;
use crate::store::{Archive, DigestCommit, DigestCursor, Digests, Since, StoreError};

/// By what name its status is known.
pub const NAME: &str = "digest";

/// Longest sleep, so that a step of the wall clock is noticed.
const LOOK_AGAIN: Duration = Duration::from_secs(20);

/// What digests are made of, beside the store: the sources and the rules of the configuration.
#[derive(Debug, Clone)]
pub struct Grounds {
    /// The sources, with when they are polled, where that is known.
    sources: Vec<(SourceId, Option<Schedule>)>,
    /// How long runs may take, by rule.
    limits: Limits,
    /// The labels of the sources.
    labels: HashMap<SourceId, Labels>,
    /// The rules, for what they call their jobs by.
    rules: RuleSet,
}

impl Grounds {
    /// The grounds of a configuration.
    pub fn of(config: &Config) -> Grounds {
        let sources = config.sources.iter().map(|source| (source.id.clone(), Some(source.poll.clone()))).collect();
        let limit = |rule: &Rule| Some((rule.id.clone(), rule.when.duration?));
        let limits = config.rules.rules().iter().filter_map(limit).collect();
        let labels = config.sources.iter().map(|source| (source.id.clone(), source.labels.clone())).collect();
        Grounds { sources, limits, labels, rules: config.rules.clone() }
    }

    /// Takes in sources that the configuration does not name, or that cannot be read there: nobody knows when they are polled.
    pub fn know(&mut self, sources: impl Iterator<Item = SourceId>) {
        for id in sources {
            if self.sources.iter().all(|(known, _)| *known != id) {
                self.sources.push((id, None));
            }
        }
    }

    /// The sources that a digest is about.
    fn sources_of<'a>(
        &'a self,
        settings: &'a DigestSettings,
    ) -> impl Iterator<Item = &'a (SourceId, Option<Schedule>)> {
        let named = &settings.matches.sources;
        self.sources.iter().filter(move |(source, _)| named.is_empty() || named.contains(source))
    }
}

/// What a digest is to say of itself.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// From where on it is about.
    pub since: Since,
    /// The same by the wall clock.
    pub from: Timestamp,
    /// When it was due, and for how many others it stands; none for one that was asked for.
    pub due: Option<DuePeriod>,
}

/// What a digest says at `now`, and the latest sequence number that it covers.
///
/// # Errors
/// When the store cannot be read.
pub async fn facts<S: Archive + Digests>(
    store: &S,
    settings: &DigestSettings,
    grounds: &Grounds,
    asked: &Asked,
    now: Timestamp,
) -> Result<(DigestFacts, i64), StoreError> {
    let selects = selects(settings, grounds).map_err(|error| StoreError::Row(error.to_string()))?;
    let sources = grounds.sources_of(settings).map(|(source, _)| source.clone());
    let mut tally = Tally::new(sources, selects, grounds.limits.clone(), settings.timezone.clone(), now);
    for condition in store.sources().await? {
        let polls = grounds.sources_of(settings).find(|(source, _)| *source == condition.id);
        let polls = polls.and_then(|(_, schedule)| schedule.as_ref());
        if polls.is_some_and(|schedule| is_silent(schedule, condition.polled_at, now)) {
            let (source, from) = (condition.id, condition.polled_at);
            let reason = "not polled since: nightbell is not running, or cannot keep up".to_string();
            tally.gap(GapPart { source, cause: GapCause::Silent, from, until: None, reason, runs: None, failed: None });
        }
    }
    let sequence = store.tally(asked.since, &mut tally).await?;
    let digest = DigestPart {
        name: settings.name.clone(),
        due_at: asked.due.map_or(now, |due| due.at),
        missed: asked.due.map_or(0, |due| due.missed),
        first_missed_at: asked.due.and_then(|due| due.first_missed_at),
        preview: asked.due.is_none(),
        timezone: settings.timezone.iana_name().unwrap_or("local").to_string(),
    };
    Ok((tally.finish(digest, PeriodPart { from: asked.from, until: now }), sequence))
}

/// Which jobs a digest is about, as its `match` says: the same patterns as a rule's.
/// A job has the labels of its source and of each rule about it.
fn selects(settings: &DigestSettings, grounds: &Grounds) -> Result<Selects, RuleSetError> {
    let rule = Rule {
        group: None,
        repeat: None,
        rounds: None,
        recovers: Recovers::default(),
        id: RuleId::new(&settings.name),
        matches: settings.matches.clone(),
        when: Condition::default(),
        severity: Severity::Info,
        notify: Vec::new(),
        hours: Vec::new(),
        labels: Labels::new(),
        escalation: Vec::new(),
    };
    let matches = settings.matches.clone();
    let (set, mut cache) = (RuleSet::compile(vec![rule])?, MatchCache::default());
    let (wanted, mut labelled) = (settings.labels.clone(), MatchCache::default());
    let (labels, rules) = (grounds.labels.clone(), grounds.rules.clone());
    let mut has_labels = move |source: &SourceId, job: &str| {
        let none = Labels::new();
        let of_source = labels.get(source).unwrap_or(&none);
        let of_rule = |index: &usize| wanted.holds(&joined_labels(of_source, &rules.rules()[*index].labels));
        wanted.holds(of_source) || rules.matching(source, job, &mut labelled).iter().any(of_rule)
    };
    Ok(Box::new(move |source: &SourceId, job: &str, kind: InstanceType| {
        matches.takes(kind) && !set.matching(source, job, &mut cache).is_empty() && has_labels(source, job)
    }))
}

/// Makes the digests of a configuration.
pub struct Digester<S> {
    /// The digests.
    pub digests: Vec<DigestSettings>,
    /// What they are made of.
    pub grounds: Grounds,
    /// The store.
    pub store: Arc<S>,
    /// The receivers.
    pub receivers: Arc<Receivers>,
    /// Since when the program runs: what was asked from then on is fresh.
    pub began: Timestamp,
    /// The same by the clock that cannot be set.
    pub started: Instant,
}

impl<S: Archive + Digests> Digester<S> {
    /// Makes a digest if it is due and what it tells of has been read. Returns when to look at it again.
    async fn make_if_due(&self, settings: &DigestSettings, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let cursor = self.store.begin_digest(&settings.name, now).await?;
        let Some(due) = due(&settings.schedule, cursor.due_at, now) else {
            return Ok(settings.schedule.next_after(now));
        };
        if !self.is_read(settings, due.at.max(self.began).min(now)).await? {
            let waited = Duration::try_from(now.duration_since(due.at)).unwrap_or_default().min(self.started.elapsed());
            if waited < DIGEST_WAIT_MAX {
                return Ok(Some(now));
            }
            warn!(digest = settings.name, "not every source could be polled in time; the digest says so");
        }
        self.make(settings, cursor, due, now, true).await?;
        Ok(Some(now))
    }

    /// Whether every source of a digest was asked at or after `from`.
    async fn is_read(&self, settings: &DigestSettings, from: Timestamp) -> Result<bool, StoreError> {
        let known = self.store.sources().await?;
        let is_asked = |source: &SourceId| known.iter().any(|it| it.id == *source && it.polled_at >= from);
        Ok(self.grounds.sources_of(settings).all(|(source, _)| is_asked(source)))
    }

    /// Begins the digests that are new: they cover what is recorded from `now` on. To be called before anything is polled.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin(&self, now: Timestamp) -> Result<(), StoreError> {
        for settings in &self.digests {
            self.store.begin_digest(&settings.name, now).await?;
        }
        Ok(())
    }

    /// Makes every digest that is due at `now`, for sending at once unless `is_spread`. For who polls once and goes.
    /// Returns how many.
    ///
    /// # Errors
    /// When the store fails; what was made until then is pending.
    pub async fn make_due(&self, now: Timestamp, is_spread: bool) -> Result<usize, StoreError> {
        let mut made = 0;
        for settings in &self.digests {
            let cursor = self.store.begin_digest(&settings.name, now).await?;
            if let Some(due) = due(&settings.schedule, cursor.due_at, now) {
                self.make(settings, cursor, due, now, is_spread).await?;
                made += 1;
            }
        }
        Ok(made)
    }

    /// Makes one digest: reads, renders, and moves it on.
    async fn make(
        &self,
        settings: &DigestSettings,
        cursor: DigestCursor,
        due: DuePeriod,
        now: Timestamp,
        is_spread: bool,
    ) -> Result<(), StoreError> {
        let (since, from) = match settings.period {
            Some(period) => (Since::Ago(period), now.checked_sub(period).unwrap_or(Timestamp::MIN)),
            None => (Since::Sequence(cursor.sequence), cursor.made_at),
        };
        let asked = Asked { since, from, due: Some(due) };
        let (facts, sequence) = facts(&*self.store, settings, &self.grounds, &asked, now).await?;
        let summary = facts.verdict.summary.clone();
        let message = message(facts.clone(), now);
        let spread = if is_spread { settings.spread } else { Duration::ZERO };
        let receivers = settings.notify.iter().filter_map(|receiver| self.receivers.get(receiver));
        let deliveries: Vec<Notification> =
            receivers.map(|receiver| receiver.digest(&settings.name, &message, sequence, spread, now)).collect();
        let to = DigestCursor { sequence, made_at: now, due_at: due.at };
        let commit = DigestCommit { name: settings.name.clone(), from: cursor, to, facts, deliveries };
        self.store.commit_digest(&commit).await?;
        info!(digest = settings.name, missed = due.missed, "made a digest: {summary}");
        self.receivers.wake(commit.deliveries.iter().map(|delivery| &delivery.receiver));
        Ok(())
    }
}

impl<S: Archive + Digests> Turn for Digester<S> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn pace(&self) -> Pace {
        Pace::every(LOOK_AGAIN)
    }

    /// A digest that cannot be made holds up no other.
    async fn turn(&mut self, now: Timestamp) -> Result<Turned, TurnError> {
        let (mut turned, mut failed) = (Turned::default(), None);
        for settings in &self.digests {
            match self.make_if_due(settings, now).await {
                Ok(next) => turned.next_due = [turned.next_due, next].into_iter().flatten().min(),
                Err(error) => failed = Some(format!("digest {} cannot be made: {error}", settings.name)),
            }
        }
        failed.map_or(Ok(turned), |failed| Err(failed.into()))
    }
}
