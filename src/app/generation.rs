//! A configuration in force, with everything it names: what the loops work by until the next one takes its place.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::Notify;
use tracing::debug;

use super::error::AppError;
use super::ground::Ground;
use super::lease_names;
use super::own;
use super::parts::{self, Budgets, Opened};
use super::remembering::{self, Remembering};
use crate::alert::own as watched;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::HttpClient;
use crate::limits::{LEAVE_TIME_MAX, RATE_MINUTE};
use crate::model::{EndReason, ReceiverId, SourceId};
use crate::notify::{AnyNotifier, Fallback, ReceiverSettings};
use crate::rule::{Rule, RuleSet};
use crate::sign::LinkKey;
use crate::source::{Learnt, Source, SourceSettings};
use crate::store::{KnownReceiver, Leases as _, Outbox as _, SqlStore, StoreError};
use crate::web::InForce;
use crate::worker::budget::Budget;
use crate::worker::deliver::Lane;
use crate::worker::digest::{Digester, Grounds};
use crate::worker::escalation::Escalations;
use crate::worker::fallback::{Fallbacks, Known, Route};
use crate::worker::heartbeat::Heartbeat;
use crate::worker::housekeeping::{Housekeeping, Retention};
use crate::worker::own::OwnWatch;
use crate::worker::pending::{Receiver, Receivers};
use crate::worker::poll::{LastPoll, Poller};
use crate::worker::remind::Reminders;
use crate::worker::trust::Trust;
use crate::worker::unwatched::Unwatched;

/// A poller of the program, with when it has polled last.
pub(super) type Polling = (Poller<Arc<dyn Source>, SqlStore>, Option<LastPoll>);

/// A configuration, its parts opened, and nothing done yet.
pub(super) struct Prepared {
    config: Config,
    receivers: Vec<Opened>,
    sources: Vec<Arc<dyn Source>>,
    heartbeat: Option<HttpClient>,
}

/// A configuration in force.
pub(super) struct Generation {
    /// Its number.
    pub(super) number: i64,
    pub(super) config: Config,
    ground: Ground,
    rules: RuleSet,
    receivers: Arc<Receivers>,
    reaches: HashMap<ReceiverId, Arc<Reach>>,
    sources: HashMap<SourceId, Tended>,
    budgets: Budgets,
    heartbeat: Option<HttpClient>,
}

/// The way to a receiver.
pub(super) struct Reach {
    /// Nudge and channel are the same for all configurations that have the receiver: whoever wakes it wakes the lane of
    /// now, and that one goes on where the lane before it was.
    pub(super) receiver: Arc<Receiver>,
    pub(super) notifier: Arc<AnyNotifier>,
    budget: Budget,
    fallback: Option<Fallback>,
}

/// A source that is polled.
struct Tended {
    settings: SourceSettings,
    source: Arc<dyn Source>,
    learnt: Learnt,
    /// Has it polled now; the same for all configurations that have the source.
    nudge: Arc<Notify>,
}

impl Prepared {
    /// Opens everything the configuration names, as far as `before` has not got it open.
    ///
    /// # Errors
    /// [`AppError`]; nothing has changed.
    pub(super) fn open(
        config: Config,
        before: Option<&Generation>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Prepared, AppError> {
        let same = |id: &ReceiverId| {
            let reach = before?.same_reach(&config, id)?;
            Some((Arc::clone(&reach.notifier), Arc::clone(&reach.receiver.renderer)))
        };
        let were_about_jobs = before.is_some_and(|before| parts::tells_of_jobs(&before.config));
        let receivers = parts::open_receivers(&config, were_about_jobs, same)?;
        let sources = parts::open_sources(&config, |id| before?.same_source(&config, id), clock)?;
        let heartbeat = own::heartbeat_client(&config)?;
        Ok(Prepared { config, receivers, sources, heartbeat })
    }

    /// By what the files of the configuration are known again.
    pub(super) fn fingerprint(&self) -> &str {
        &self.config.fingerprint
    }
}

impl Generation {
    /// Makes a prepared configuration ready to be in force as generation `number`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn new(
        prepared: Prepared,
        number: i64,
        before: Option<&Generation>,
        ground: &Ground,
        now: Timestamp,
    ) -> Result<Generation, StoreError> {
        let Prepared { config, receivers, sources, heartbeat } = prepared;
        let known = before.map(|before| &before.budgets);
        let budgets = parts::budgets(&config, known, &ground.store, now).await?;
        let mut tended = HashMap::new();
        for (settings, source) in config.sources.iter().zip(sources) {
            let same = before.and_then(|before| before.sources.get(&settings.id));
            let learnt = match same.filter(|same| Arc::ptr_eq(&same.source, &source)) {
                Some(same) => same.learnt.clone(),
                None => parts::teach(&source, &settings.id, &ground.store).await?,
            };
            let nudge = same.map(|same| Arc::clone(&same.nudge)).unwrap_or_default();
            tended.insert(settings.id.clone(), Tended { settings: settings.clone(), source, learnt, nudge });
        }
        for opened in &receivers {
            let id = &opened.settings.id;
            let known = before.and_then(|before| before.reaches.get(id));
            if !known.is_some_and(|known| Arc::ptr_eq(&known.notifier, &opened.notifier)) {
                remembering::teach(&opened.notifier, id, &ground.store).await?;
            }
        }
        let reaches: HashMap<ReceiverId, Arc<Reach>> = receivers
            .into_iter()
            .map(|opened| (opened.settings.id.clone(), reach(opened, before, &config, (&budgets, &ground.links))))
            .collect();
        let receivers = Arc::new(reaches.values().map(|reach| Arc::clone(&reach.receiver)).collect());
        let (rules, ground) = (config.rules.clone(), ground.clone());
        Ok(Generation { number, config, ground, rules, receivers, reaches, sources: tended, budgets, heartbeat })
    }

    /// The configuration for who looks, in force since `now`; every series of its names is there from now on.
    pub(super) fn shown(&self, now: Timestamp) -> Arc<InForce> {
        let metrics = &self.ground.metrics;
        metrics.expect_common();
        self.sources.keys().for_each(|id| metrics.expect_source(id.as_str()));
        self.reaches.keys().for_each(|id| metrics.expect_receiver(id.as_str()));
        for rule in self.rules.rules() {
            metrics.expect_rule(rule.id.as_str(), rule.severity.as_str(), EndReason::ALL.map(EndReason::as_str));
        }
        for rule in watched::RULES {
            metrics.expect_rule(rule, watched::severity_of(rule).as_str(), EndReason::ALL.map(EndReason::as_str));
        }
        let (number, config, receivers) = (self.number, self.config.clone(), Arc::clone(&self.receivers));
        let polls = self.sources.iter().map(|(id, tended)| (id.clone(), Arc::clone(&tended.nudge))).collect();
        Arc::new(InForce { number, since: now, config, receivers, polls })
    }

    /// Has the loop of the fallbacks look for what is pending for receivers that are gone: to be called when something of the
    /// configuration before has ended.
    pub(super) fn look_for_removed(&self) {
        self.ground.dead_letters.notify_one();
    }

    /// The source of this name, if `config` says the same of it.
    pub(super) fn same_source(&self, config: &Config, id: &SourceId) -> Option<Arc<dyn Source>> {
        let is_same = self.config.marks.have_same_source(&config.marks, id.as_str());
        self.sources.get(id).filter(|_| is_same).map(|tended| Arc::clone(&tended.source))
    }

    /// The way to the receiver of this name, if `config` says the same of it.
    pub(super) fn same_reach(&self, config: &Config, id: &ReceiverId) -> Option<&Arc<Reach>> {
        let is_same = self.config.marks.have_same_receiver(&config.marks, id.as_str());
        self.reaches.get(id).filter(|_| is_same)
    }

    /// The lease of the loop that polls a source. Sources that share a limit share it.
    pub(super) fn lease_of_source(&self, id: &SourceId) -> Option<String> {
        lease_names::of_source(&self.config, id)
    }

    /// The lease of the lane to a receiver. Receivers of one destination share it, as they share its budget.
    pub(super) fn lease_of_receiver(&self, id: &ReceiverId) -> Option<String> {
        lease_names::of_receiver(&self.config, id)
    }

    /// The leases of all loops that this configuration has.
    pub(super) fn leases(&self) -> BTreeSet<String> {
        lease_names::of_all(&self.config)
    }

    /// Takes over a receiver from whoever delivered to it before, by the lease that `store` writes under: what that had begun,
    /// the pause that was asked of it, what it has learnt; and has the budget of the destination be what the attempts of the
    /// last minute have left of it, whoever made them.
    pub(super) async fn take_over(&self, id: &ReceiverId, store: &SqlStore) -> Result<(), StoreError> {
        let Some((reach, token)) = self.reaches.get(id).zip(store.writes_under()) else { return Ok(()) };
        let now = self.ground.clock.now();
        store.inherit(id, now).await?;
        remembering::teach(&reach.notifier, id, store).await?;
        if let Some(until) = store.paused_until(id).await?.filter(|until| *until > now) {
            reach.receiver.channel.resume_pause(until);
        }
        if reach.budget.is_unlimited() {
            return Ok(());
        }
        let same = lease_names::of_same_destination(&self.config, id).unwrap_or_default();
        // What was begun for the others of the destination counts too, and is on record from here on.
        for other in same.iter().filter(|other| *other != id) {
            store.inherit(other, now).await?;
        }
        let since = now.checked_sub(RATE_MINUTE).unwrap_or(Timestamp::MIN);
        let made = store.attempts_since(since).await?.into_iter().filter(|(other, _)| same.contains(other));
        reach.budget.begin_anew(token, made.map(|(_, at)| at));
        Ok(())
    }

    /// Takes over a source from whoever polled it before: what that has learnt of it, which is returned.
    pub(super) async fn take_over_source(&self, id: &SourceId, store: &SqlStore) -> Result<Learnt, StoreError> {
        match self.sources.get(id) {
            Some(tended) => parts::teach(&tended.source, id, store).await,
            None => Ok(Learnt::default()),
        }
    }

    /// The sources.
    pub(super) fn source_ids(&self) -> impl Iterator<Item = &SourceId> {
        self.sources.keys()
    }

    /// The receivers.
    pub(super) fn receiver_ids(&self) -> impl Iterator<Item = &ReceiverId> {
        self.reaches.keys()
    }

    /// The clock that the loops go by.
    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.ground.clock)
    }

    /// The way to a receiver.
    pub(super) fn reach(&self, id: &ReceiverId) -> Option<&Arc<Reach>> {
        self.reaches.get(id)
    }

    /// Takes leave of the receivers' servers: connections that are kept for the next message end as their protocol wants it.
    pub(super) async fn take_leave(&self) {
        let all = join_all(self.reaches.values().map(|reach| reach.notifier.close()));
        if tokio::time::timeout(LEAVE_TIME_MAX, all).await.is_err() {
            debug!("not every server took notice of the end of its connection in time");
        }
    }

    /// A poller for a source, which goes on from where `before` has stopped; none if there is no such source. `learnt` is what
    /// the store holds of what was learnt about it, where another replica may have polled meanwhile.
    pub(super) fn poller(
        &self,
        id: &SourceId,
        store: Arc<SqlStore>,
        learnt: Option<Learnt>,
        before: Option<Polling>,
    ) -> Option<Polling> {
        let tended = self.sources.get(id)?;
        let (settings, source) = (tended.settings.clone(), Arc::clone(&tended.source));
        let (clock, receivers) = (Arc::clone(&self.ground.clock), Arc::clone(&self.receivers));
        let decider = self.config.decider(&settings, Some(self.number));
        let fresh = Poller::new(settings, source, store, decider, receivers, clock)
            .waking(Arc::clone(&self.ground.escalations))
            .woken_by(Arc::clone(&tended.nudge))
            .counting(self.ground.metrics.clone())
            .publishing(&self.ground.statuses)
            .having_learnt(learnt.unwrap_or_else(|| tended.learnt.clone()));
        // Another scheduler under the same name is asked at once, and remembered as the store remembers it.
        let Some((known, last)) = before.filter(|(known, _)| Arc::ptr_eq(&known.source, &tended.source)) else {
            return Some((fresh, None));
        };
        Some((fresh.after(known), last))
    }

    /// The lane to a receiver, whose attempts go on as long as `trust` lasts.
    pub(super) fn lane(&self, reach: &Reach, store: Arc<SqlStore>, trust: Trust) -> Lane<SqlStore, Remembering> {
        let Ground { clock, dead_letters, .. } = &self.ground;
        let clock = Arc::clone(clock);
        let id = reach.receiver.id.clone();
        let notifier = Arc::new(Remembering::new(Arc::clone(&reach.notifier), &id, Arc::clone(&store)));
        let is_shared = store.is_shared();
        let lane = Lane::new(id, store, notifier, clock, parts::jitter());
        let lane = if is_shared { lane.fed_by_others() } else { lane };
        lane.within(reach.budget.clone(), Arc::clone(&reach.receiver.renderer))
            .trusting(trust)
            .woken_by(Arc::clone(&reach.receiver.nudge))
            .through(reach.receiver.channel.clone())
            .reporting_dead_letters(Arc::clone(dead_letters))
            .publishing(&self.ground.statuses)
            .counting(self.ground.metrics.clone())
    }

    /// The loop that has fallbacks told.
    pub(super) fn fallbacks(&self, store: Arc<SqlStore>) -> Fallbacks<SqlStore> {
        let Ground { dead_letters, .. } = &self.ground;
        // In the order of the file, so that what one has told the next can take on in the same pass.
        let in_order = self.config.receivers.iter().filter_map(|settings| self.reaches.get(&settings.id));
        let routes = in_order
            .filter_map(|reach| Some(Route { receiver: reach.receiver.id.clone(), fallback: reach.fallback.clone()? }))
            .collect();
        let known = Known {
            receivers: self.config.receivers.iter().map(known_receiver).collect(),
            configuration: store.is_shared().then(|| self.config.fingerprint.clone()),
        };
        Fallbacks::new(store, Arc::clone(&self.receivers), routes).keeping(known).woken_by(Arc::clone(dead_letters))
    }

    /// The loop that has alerts go further.
    pub(super) fn escalations(&self, store: Arc<SqlStore>) -> Escalations<SqlStore> {
        let (escalations, receivers) = (&self.ground.escalations, Arc::clone(&self.receivers));
        Escalations::new(store, receivers, self.rules.clone(), self.config.muting()).woken_by(Arc::clone(escalations))
    }

    /// The loop that removes what is old.
    pub(super) fn housekeeping(&self, store: Arc<SqlStore>) -> Housekeeping<SqlStore> {
        Housekeeping::new(store, Retention::of(&self.config))
    }

    /// The loop that tells groups again.
    pub(super) fn reminders(&self, store: Arc<SqlStore>) -> Reminders<SqlStore> {
        Reminders {
            store,
            receivers: Arc::clone(&self.receivers),
            muting: self.config.muting(),
            is_wanted: self.rules.rules().iter().any(Rule::repeats),
        }
    }

    /// The loop that ends the alerts of sources that are gone.
    pub(super) fn unwatched(&self, store: Arc<SqlStore>) -> Unwatched<SqlStore> {
        let sources = self.sources.keys().cloned().collect();
        Unwatched::new(store, sources, Arc::clone(&self.receivers), self.ground.metrics.clone())
    }

    /// The loop that watches sources and receivers.
    pub(super) fn watch(&self, store: Arc<SqlStore>) -> OwnWatch<SqlStore> {
        own::watch(&self.config, &self.ground, store, &self.receivers)
    }

    /// The heartbeat, if there is one.
    pub(super) fn heartbeat(&self, store: Arc<SqlStore>) -> Option<Heartbeat<SqlStore>> {
        own::heartbeat(&self.config, &self.ground, store, self.heartbeat.clone()?)
    }

    /// Begins the digests that are new, where this configuration is the one in force: who has another begins nothing that its own
    /// alone has. To be called before anything is polled.
    pub(super) async fn begin_digests(&self, now: Timestamp) -> Result<(), StoreError> {
        let store = &self.ground.store;
        if self.config.digests.is_empty() {
            return Ok(());
        }
        if store.is_shared() && store.look(None).await?.in_force.1 != self.config.fingerprint {
            return Ok(());
        }
        self.digester(Arc::clone(store)).begin(now).await
    }

    /// The loop that makes digests.
    pub(super) fn digester(&self, store: Arc<SqlStore>) -> Digester<SqlStore> {
        Digester {
            digests: self.config.digests.clone(),
            grounds: Grounds::of(&self.config),
            store,
            receivers: Arc::clone(&self.receivers),
            began: self.ground.started_at,
            started: self.ground.started,
        }
    }
}

fn known_receiver(settings: &ReceiverSettings) -> KnownReceiver {
    KnownReceiver {
        id: settings.id.clone(),
        fallback: settings.fallback.as_ref().map(|fallback| (fallback.to.clone(), fallback.after)),
    }
}

/// The way to a receiver: the one there was before, if nothing of it has changed.
fn reach(
    opened: Opened,
    before: Option<&Generation>,
    config: &Config,
    (budgets, links): (&Budgets, &LinkKey),
) -> Arc<Reach> {
    let Opened { settings, notifier, renderer } = opened;
    let destination = settings.channel.destination();
    let (rate, budget) =
        budgets.get(&destination).cloned().unwrap_or_else(|| (settings.rate, Budget::new(settings.rate)));
    if let Some(before) = before
        && let Some(same) = before.same_reach(config, &settings.id)
        && before.budgets.get(&destination).is_some_and(|(known, _)| *known == rate)
    {
        return Arc::clone(same);
    }
    let known = before.and_then(|before| before.reaches.get(&settings.id));
    let renderer = Arc::unwrap_or_clone(renderer).signing(links.clone());
    let receiver = Receiver::new(&settings, renderer);
    let receiver = Arc::new(match known {
        Some(known) => receiver.woken_by(Arc::clone(&known.receiver.nudge)).through(known.receiver.channel.clone()),
        None => receiver,
    });
    Arc::new(Reach { receiver, notifier, budget, fallback: settings.fallback })
}
