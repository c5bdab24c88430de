//! Nightbell watching itself (`self` in the configuration, `own` in code, where that word is taken): looks every few
//! seconds how sources, receivers and loops fare, and has people told when something stays wrong, and when it is over.
//!
//! Reads the store and writes it, in a transaction of its own: alerts and what is pending for them. What begins and ends is
//! decided by [`own::decide`]. Polls and lanes only leave their traces in the store, and know nothing of this. A fault of
//! the store itself cannot be told this way: it is logged, and keeps the heartbeat from going out.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::counting::count_alerts;
use super::heartbeat;
use super::lease;
use super::pending::Receivers;
use super::turn::{Pace, Statuses, Turn, TurnError, Turned};
use crate::alert::own::{self, Ailment, OwnDecided, OwnSeen, ReceiverSeen, SourceSeen, Watch};
use crate::limits::{OWN_GAP_AGE_MAX, OWN_SLEEP};
use crate::lock::locked;
use crate::metrics::Metrics;
use crate::model::{
    Alert, GapCause, MessageKind, Notification, ReceiverId, Silence, SilenceId, SourcePart, Suppression,
};
use crate::rule::Muting;
use crate::store::{Desk, Leases, OwnAlerts, OwnCommit, OwnState, PollLedger, Replica, Standing, StoreError};

/// What became of the last try to change the configuration while the program runs. Whoever tries says so here.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    refused: Arc<Mutex<Option<(Timestamp, String)>>>,
    nudge: Arc<Notify>,
}

impl Reloads {
    /// The changed configuration was refused at `now`, and the one before stays in force. `reason` holds no secret. Refused
    /// again, it is the same refusal.
    pub fn refused(&self, reason: impl Into<String>, now: Timestamp) {
        self.lock().get_or_insert_with(|| (now, reason.into()));
        self.nudge.notify_one();
    }

    /// The configuration was accepted.
    pub fn accepted(&self) {
        *self.lock() = None;
        self.nudge.notify_one();
    }

    /// Since when the configuration that is wanted is refused, and why; none while what is wanted is in force.
    pub fn refusal(&self) -> Option<(Timestamp, String)> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Timestamp, String)>> {
        locked(&self.refused)
    }
}

/// The replicas that were seen with another configuration than the one in force, each with since when.
#[derive(Debug, Clone, Default)]
pub struct Outdated(BTreeMap<String, Timestamp>);

impl Outdated {
    /// What there is to tell of them at `now`, as the leases stand.
    fn seen(&mut self, standing: &Standing, now: Timestamp) -> Vec<(String, Timestamp, String)> {
        let differing: Vec<&Replica> = lease::outdated(standing).collect();
        self.0.retain(|id, _| differing.iter().any(|one| one.id == *id));
        let told = differing.into_iter().map(|one| {
            let since = *self.0.entry(one.id.clone()).or_insert(now);
            let (own, in_force) = (one.configuration, standing.in_force.0);
            let words = format!("it has configuration {own}, and configuration {in_force} is in force");
            (format!("{} ({})", one.host, one.pid), since.min(now), words)
        });
        told.collect()
    }
}

/// By what name its status is known.
pub const NAME: &str = "own";

/// Watches sources and receivers.
pub struct OwnWatch<S> {
    /// What is watched, and who is told.
    pub watch: Watch,
    /// The sources, each with its kind.
    pub sources: Vec<SourcePart>,
    /// The store.
    pub store: Arc<S>,
    /// The receivers.
    pub receivers: Arc<Receivers>,
    /// What mutes new alerts.
    pub muting: Muting,
    /// Since when the program runs: what the store says of sources that were not asked since is old.
    pub started_at: Timestamp,
    /// Whether the configuration is in force that is wanted.
    pub reloads: Reloads,
    /// How the loops fare.
    pub statuses: Statuses,
    /// Where alerts that begin and end are counted.
    pub metrics: Metrics,
    /// The replicas whose configuration is another one.
    pub outdated: Outdated,
}

impl<S: Desk + Leases + OwnAlerts + PollLedger> OwnWatch<S> {
    /// Looks once, and adds what follows. Returns how many deliveries that are.
    ///
    /// # Errors
    /// When the store fails; nothing was written.
    pub async fn pass(&mut self, now: Timestamp) -> Result<usize, StoreError> {
        // Where the clock was set back, what it says now is all there is to go by.
        self.started_at = self.started_at.min(now);
        let state = self.store.own_state(now.checked_sub(OWN_GAP_AGE_MAX).unwrap_or(Timestamp::MIN)).await?;
        let outdated = match self.store.is_shared() {
            true => self.outdated.seen(&self.store.look(None).await?, now),
            false => Vec::new(),
        };
        let seen = OwnSeen { outdated, ..self.seen(&state, now) };
        let OwnDecided { mut begun, ended, changed } = own::decide(&self.watch, &seen, &state.firing, now);
        let known = self.store.known_alerts(&begun.iter().map(|alert| alert.id.clone()).collect::<Vec<_>>()).await?;
        begun.retain(|alert| !known.contains(&alert.id));
        let over: Vec<&Alert> = ended.iter().chain(&changed).collect();
        let still: Vec<Alert> =
            state.firing.iter().filter(|alert| over.iter().all(|over| over.id != alert.id)).cloned().collect();
        let released = self.mute(&mut begun, still, now).await?;
        if begun.is_empty() && ended.is_empty() && changed.is_empty() && released.is_empty() {
            return Ok(0);
        }
        let told = released.iter().filter(|alert| alert.suppressed_by.is_none()).chain(&begun);
        let mut deliveries: Vec<Notification> =
            told.flat_map(|alert| self.receivers.deliveries(alert, MessageKind::AlertFiring, now)).collect();
        deliveries
            .extend(ended.iter().flat_map(|alert| self.receivers.deliveries(alert, MessageKind::AlertResolved, now)));
        log(&begun, &ended, &seen);
        let changed = ended.into_iter().chain(changed).chain(released).collect();
        let commit = OwnCommit { now, fired: begun, changed, deliveries };
        self.store.commit_own(&commit).await?;
        count_alerts(&self.metrics, commit.fired.iter(), &commit.changed);
        self.receivers.wake(commit.deliveries.iter().map(|delivery| &delivery.receiver));
        Ok(commit.deliveries.len())
    }

    /// What the store says of the sources and receivers that there are.
    fn seen(&self, state: &OwnState, now: Timestamp) -> OwnSeen {
        let sources = self.sources.iter().map(|source| {
            let condition = state.sources.iter().find(|condition| condition.id == source.id);
            let gaps = || state.gaps.iter().filter(|gap| gap.source == source.id);
            let in_part = gaps().find(|gap| gap.until.is_none() && gap.cause == GapCause::Incomplete);
            SourceSeen {
                source: source.clone(),
                was_asked: condition.is_some_and(|condition| condition.polled_at >= self.started_at),
                unreadable: condition.and_then(|condition| condition.unreadable.clone()),
                incomplete: in_part.map(|gap| (gap.from, gap.reason.clone())),
                past: gaps().filter_map(|gap| Some((gap.cause, gap.from, gap.until?, gap.reason.clone()))).collect(),
            }
        });
        let ids = self.receivers.ids();
        // Those that are gone are told of for what was lost with them.
        let gone: Vec<&ReceiverId> =
            state.health.iter().map(|health| &health.receiver).filter(|id| !ids.contains(id)).collect();
        let receivers = ids.into_iter().chain(gone).map(|id| {
            let health = state.health.iter().find(|health| health.receiver == *id && health.is_bad());
            let ailment = health.map(|health| Ailment {
                since: health.since,
                is_lasting: health.is_lasting,
                error: health.error.clone(),
            });
            ReceiverSeen { id: id.clone(), ailment }
        });
        // A heartbeat that stays away says so outside, and this loop is at work.
        let others = self.statuses.all().into_iter().filter(|(name, _)| name != NAME && name != heartbeat::NAME);
        let loops = others.filter_map(|(name, status)| {
            let fault = status.fault(now)?;
            Some((name, fault.since, fault.error))
        });
        let refused = self.reloads.lock().clone();
        OwnSeen {
            sources: sources.collect(),
            receivers: receivers.collect(),
            refused,
            loops: loops.collect(),
            outdated: Vec::new(),
        }
    }

    /// Holds back those that begin which something mutes. Returns those of `still`, which fire, that are told now or are
    /// held back by something else.
    async fn mute(&mut self, begun: &mut [Alert], still: Vec<Alert>, now: Timestamp) -> Result<Vec<Alert>, StoreError> {
        let held: Vec<Alert> = still.into_iter().filter(Alert::is_held_back).collect();
        if begun.is_empty() && held.is_empty() {
            return Ok(Vec::new());
        }
        for fault in self.muting.set_silences(&self.store.active_silences(now).await?) {
            tracing::warn!("{fault}");
        }
        for alert in begun {
            if let Some(by) = self.muting.mutes(alert, now) {
                alert.hold_back(by);
            }
        }
        let mut silences: HashMap<SilenceId, Silence> = HashMap::new();
        for alert in &held {
            if let Some(Suppression::Silence(id)) = alert.suppressed_by {
                silences.extend(self.store.silence(id).await?.map(|silence| (id, silence)));
            }
        }
        let receivers = |alert: &Alert| own::receivers(&self.watch, alert);
        let changed =
            held.iter().filter_map(|alert| alert.held_on(self.muting.mutes(alert, now), &silences, receivers, now));
        Ok(changed.collect())
    }
}

impl<S: Desk + Leases + OwnAlerts + PollLedger> Turn for OwnWatch<S> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn pace(&self) -> Pace {
        Pace::every(OWN_SLEEP)
    }

    fn nudge(&self) -> Option<Arc<Notify>> {
        Some(Arc::clone(&self.reloads.nudge))
    }

    async fn turn(&mut self, now: Timestamp) -> Result<Turned, TurnError> {
        Ok(Turned { done: self.pass(now).await? as u64, next_due: None })
    }
}

/// Says in the log what begins and ends: as an error where nobody hears of it otherwise.
fn log(begun: &[Alert], ended: &[Alert], seen: &OwnSeen) {
    let is_unwell = |id: &ReceiverId| seen.receivers.iter().any(|one| one.id == *id && one.ailment.is_some());
    for alert in begun {
        let part = &alert.facts.alert;
        let (rule, error) = (alert.rule.as_str(), part.measures.error.as_deref());
        if let Some(by) = &alert.suppressed_by {
            tracing::warn!(rule, error, "{} (not sent: {by})", part.summary);
        } else if alert.receivers.is_empty() {
            tracing::error!(
                rule,
                error,
                "{}; nobody is notified: self: {{ notify: [...] }} names who is to be",
                part.summary
            );
        } else if alert.receivers.iter().all(is_unwell) {
            tracing::error!(
                rule,
                error,
                "{}; and none of those who are to be notified can be reached now",
                part.summary
            );
        } else {
            tracing::warn!(rule, error, "{}", part.summary);
        }
    }
    for alert in ended {
        tracing::info!(rule = alert.rule.as_str(), "{}", alert.facts.alert.summary);
    }
}
