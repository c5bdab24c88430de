//! The leases of this process: a keeper takes, renews and gives them up; each loop runs only while it is granted its own.
//!
//! Where one process has the store for itself, every loop is granted its lease at once and for ever. Otherwise the keeper
//! looks at the store every second, and asks in between whether a lease is free. A loop that is to end in order (another
//! replica takes it over, or the program stops) finishes what is under way, and then its lease is given up, whatever the
//! other loops do; a lease that is lost cuts what is under way. The rules are in [`crate::worker::lease`]. This module knows
//! no loop's work.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::lease_status::in_words;
use super::shared_clock::SharedClock;
use crate::limits::{
    LEASE_CALL_MAX, LEASE_LOOK_EVERY, LEASE_LOOK_SOON, LEASE_RENEW_EVERY, LEASE_SPAN, REPLICA_LONELY_LOOKS,
};
use crate::lock::locked;
use crate::metrics::Metrics;
use crate::store::{Fence, Leases as _, Replica, SqlStore, Standing};
use crate::worker::deliver::Waiting;
use crate::worker::lease::{Part, are_others, is_in_force_somewhere, is_something_free, strays, trusted_until, wish};
use crate::worker::trust::Trust;
use crate::worker::turn::Statuses;

/// The right to run a loop, as a loop sees it.
#[derive(Clone)]
struct Right {
    fence: Fence,
    trusted_until: Instant,
    /// Cancelled when the loop is to end in order.
    retire: CancellationToken,
}

/// One lease as this process stands to it.
#[derive(Default)]
struct Entry {
    right: watch::Sender<Option<Right>>,
    /// How many loops run by it.
    users: usize,
}

/// The leases of this process. Cheap to copy.
#[derive(Clone)]
pub(super) struct Leases {
    shared: Option<Arc<Shared>>,
    store: Arc<SqlStore>,
    /// The leases that the configuration in force has loops for.
    wanted: Arc<Mutex<BTreeSet<String>>>,
    metrics: Metrics,
}

struct Shared {
    me: Mutex<Replica>,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// Wakes the keeper.
    nudge: Notify,
    /// How the loops fare.
    statuses: Statuses,
    /// Whether other replicas were there at the last look.
    are_others: AtomicBool,
}

/// A loop's lease while the loop runs by it.
pub(super) struct Grant {
    right: Option<(Right, watch::Receiver<Option<Right>>, Arc<Shared>)>,
    store: Arc<SqlStore>,
}

impl Leases {
    /// The leases of a process that has `store` open. `me` says who it is where it is not alone, `statuses` how its loops fare.
    pub(super) fn new(store: Arc<SqlStore>, me: Replica, statuses: Statuses, metrics: Metrics) -> Leases {
        let shared = store.is_shared().then(|| {
            Arc::new(Shared {
                me: Mutex::new(me),
                entries: Mutex::default(),
                nudge: Notify::new(),
                statuses,
                are_others: AtomicBool::new(false),
            })
        });
        Leases { shared, store, wanted: Arc::default(), metrics }
    }

    /// Says whether other replicas wait for what this process gives up.
    pub(super) fn waiting(&self) -> Waiting {
        let shared = self.shared.clone();
        Arc::new(move || shared.as_ref().is_some_and(|shared| shared.are_others.load(Ordering::Relaxed)))
    }

    /// Goes by another configuration from now on, whose loops have these leases.
    pub(super) fn go_by(&self, configuration: i64, fingerprint: &str, wanted: BTreeSet<String>) {
        let before = std::mem::replace(&mut *locked(&self.wanted), wanted);
        before.difference(&locked(&self.wanted)).for_each(|name| self.metrics.forget_lease(name));
        self.count();
        let Some(shared) = &self.shared else { return };
        {
            let mut me = locked(&shared.me);
            me.configuration = configuration;
            me.fingerprint = fingerprint.to_string();
        }
        shared.nudge.notify_one();
    }

    /// Has the metrics tell which leases this process holds.
    fn count(&self) {
        let held = self.shared.as_ref().map(|shared| shared.held());
        for name in &*locked(&self.wanted) {
            // Who is alone holds all of them, and needs no token.
            let token = held.as_ref().map_or(Some(0), |held| held.get(name).map(|fence| fence.token));
            self.metrics.lease(name, token);
        }
    }

    /// Waits until the lease is this process's.
    pub(super) async fn granted(&self, name: &str) -> Grant {
        let Some(shared) = &self.shared else { return Grant { right: None, store: Arc::clone(&self.store) } };
        loop {
            let mut receiver = locked(&shared.entries).entry(name.to_string()).or_default().right.subscribe();
            let right = receiver.wait_for(|right| right.as_ref().is_some_and(Right::holds)).await;
            // The sender lives as long as the process's leases.
            let Some(right) = right.ok().and_then(|right| right.clone()) else { continue };
            let mut entries = locked(&shared.entries);
            let entry = entries.entry(name.to_string()).or_default();
            // It may have gone while this waited for the lock.
            if !entry.right.borrow().as_ref().is_some_and(|now| now.fence == right.fence && now.holds()) {
                continue;
            }
            entry.users += 1;
            drop(entries);
            let store = Arc::new(self.store.fenced(right.fence.clone()));
            return Grant { right: Some((right, receiver, Arc::clone(shared))), store };
        }
    }

    /// Takes part until `shutdown` and until every lease was given up. `takes_effect` is called when the configuration that
    /// this process has is to be the one in force, because nobody is left who has that.
    pub(super) async fn keep(self, ground: Arc<SharedClock>, shutdown: CancellationToken, takes_effect: impl Fn()) {
        let Some(shared) = self.shared.clone() else { return };
        let mut keeper = Keeper {
            leases: self,
            shared,
            clock: ground,
            renewed: None,
            handed_over: None,
            ended: Vec::new(),
            has_left: false,
            has_said_goodbye: false,
            may_take: false,
            lonely: 0,
            pause: LEASE_LOOK_EVERY,
            says: Says::default(),
        };
        loop {
            let is_over = keeper.turn(&shutdown, &takes_effect).await;
            keeper.leases.count();
            if is_over {
                return;
            }
            keeper.rest(&shutdown).await;
        }
    }
}

impl Right {
    fn holds(&self) -> bool {
        Instant::now() < self.trusted_until && !self.retire.is_cancelled()
    }
}

impl Shared {
    fn grant(&self, name: &str, token: i64, asked: Instant) {
        let fence = Fence { name: name.to_string(), token };
        let right = Right { fence, trusted_until: trusted_until(asked), retire: CancellationToken::new() };
        let mut entries = locked(&self.entries);
        entries.entry(name.to_string()).or_default().right.send_replace(Some(right));
    }

    /// The leases that are held and trusted, with their tokens.
    fn held(&self) -> BTreeMap<String, Fence> {
        let entries = locked(&self.entries);
        let trusted = |entry: &Entry| {
            let right = entry.right.borrow();
            right.as_ref().filter(|right| Instant::now() < right.trusted_until).map(|right| right.fence.clone())
        };
        entries.iter().filter_map(|(name, entry)| Some((name.clone(), trusted(entry)?))).collect()
    }

    /// The leases that this process has an answer of, trusted or not, with their tokens.
    fn tokens(&self) -> BTreeSet<Fence> {
        let entries = locked(&self.entries);
        entries.values().filter_map(|entry| Some(entry.right.borrow().as_ref()?.fence.clone())).collect()
    }

    /// Has the loops of these leases end in order.
    fn retire<'a>(&self, names: impl Iterator<Item = &'a String>) {
        let entries = locked(&self.entries);
        for right in names.filter_map(|name| entries.get(name)?.right.borrow().clone()) {
            right.retire.cancel();
        }
    }

    /// The leases whose loops have ended in order, which are no longer held from here on.
    fn ended(&self, is_stopping: bool) -> Vec<Fence> {
        let entries = locked(&self.entries);
        let mut ended = Vec::new();
        for entry in entries.values().filter(|entry| entry.users == 0) {
            let right = entry.right.borrow().clone();
            if let Some(right) = right.filter(|right| is_stopping || right.retire.is_cancelled()) {
                entry.right.send_replace(None);
                ended.push(right.fence);
            }
        }
        ended
    }

    /// Whether a loop runs by this lease.
    fn is_run(&self, name: &str) -> bool {
        locked(&self.entries).get(name).is_some_and(|entry| entry.users > 0)
    }

    fn holds_nothing(&self) -> bool {
        locked(&self.entries).values().all(|entry| entry.right.borrow().is_none())
    }
}

impl Grant {
    /// The store, which takes writes as long as the lease is held.
    pub(super) fn store(&self) -> Arc<SqlStore> {
        Arc::clone(&self.store)
    }

    /// Whether others may have run the loop before.
    pub(super) fn is_shared(&self) -> bool {
        self.right.is_some()
    }

    /// Whether what is done by the lease in other tasks may go on.
    pub(super) fn trust(&self) -> Trust {
        let Some((right, receiver, _)) = &self.right else { return Trust::default() };
        let (fence, receiver) = (right.fence.clone(), receiver.clone());
        Trust::as_long_as(move || {
            receiver.borrow().as_ref().is_some_and(|now| now.fence == fence && Instant::now() < now.trusted_until)
        })
    }

    /// Does the work. `stop` has it end in order: when `until` comes, or when the lease is to be given up. None when the lease was
    /// lost, and what was under way is cut.
    pub(super) async fn run<T>(
        &mut self,
        stop: &CancellationToken,
        until: impl Future<Output = ()>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::pin!(work, until);
        let retire = self.right.as_ref().map(|(right, ..)| right.retire.clone());
        let retired = async {
            match &retire {
                Some(retire) => retire.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(retired);
        let lost = self.lost();
        tokio::pin!(lost);
        let mut is_stopping = false;
        loop {
            tokio::select! {
                biased;
                () = &mut lost => return None,
                outcome = &mut work => return Some(outcome),
                () = &mut until, if !is_stopping => is_stopping = true,
                () = &mut retired, if !is_stopping => is_stopping = true,
            }
            stop.cancel();
        }
    }

    /// Waits until the lease is no longer to be trusted.
    pub(super) async fn lost(&mut self) {
        let Some((right, receiver, _)) = &mut self.right else { return std::future::pending().await };
        loop {
            let until = match &*receiver.borrow_and_update() {
                Some(now) if now.fence == right.fence => now.trusted_until,
                _ => break,
            };
            // A process that was frozen goes on with what was ready to run, before it hears of any timer: the clock itself
            // is looked at each time.
            let is_over = std::future::poll_fn(|_| match Instant::now() >= until {
                true => Poll::Ready(()),
                false => Poll::Pending,
            });
            tokio::select! {
                biased;
                () = is_over => break,
                () = tokio::time::sleep_until(until) => break,
                changed = receiver.changed() => if changed.is_err() { break },
            }
        }
        warn!(lease = right.fence.name, "the lease is lost: another replica may have it; what was under way is cut");
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some((right, _, shared)) = &self.right {
            if let Some(entry) = locked(&shared.entries).get_mut(&right.fence.name) {
                entry.users = entry.users.saturating_sub(1);
            }
            shared.nudge.notify_one();
        }
    }
}

/// What was said already, so that it is said once.
#[derive(Default)]
struct Says {
    is_away: bool,
    is_outdated: bool,
}

struct Keeper {
    leases: Leases,
    shared: Arc<Shared>,
    clock: Arc<SharedClock>,
    /// When the leases were last renewed, and for which configuration.
    renewed: Option<(Instant, i64)>,
    /// The lease that was handed over last.
    handed_over: Option<(String, Instant)>,
    /// Leases whose loops have ended and of which the store has not heard yet.
    ended: Vec<Fence>,
    /// Whether it has begun to stop.
    has_left: bool,
    /// Whether the others have been told that.
    has_said_goodbye: bool,
    /// Whether this replica takes what is free: who stands by does not.
    may_take: bool,
    /// Looks in a row at which nobody was there who has the configuration in force.
    lonely: u32,
    /// Until the next look.
    pause: Duration,
    says: Says,
}

impl Keeper {
    /// Looks, and does what follows. Returns whether it is over.
    async fn turn(&mut self, shutdown: &CancellationToken, takes_effect: &impl Fn()) -> bool {
        let store = Arc::clone(&self.leases.store);
        if shutdown.is_cancelled() {
            self.has_left = true;
            return self.leave(&store).await;
        }
        self.give_up_ended(&store, false).await;
        // Who hears nothing does not renew: its words may arrive still, and would keep a lease from others by which it can
        // do nothing.
        match self.look(&store).await {
            Ok(standing) => {
                let are_others = are_others(&standing, &locked(&self.shared.me).id);
                self.shared.are_others.store(are_others, Ordering::Relaxed);
                self.renew(&store).await;
                // Who stands by takes nothing.
                self.may_take = standing.in_force.1 == locked(&self.shared.me).fingerprint;
                let is_free = self.may_take && is_something_free(&standing, &locked(&self.leases.wanted));
                let knows = self.shared.tokens().into_iter().chain(self.ended.iter().cloned()).collect();
                self.ended.extend(strays(&standing, &locked(&self.shared.me).id, &knows));
                let is_soon = is_free || !self.ended.is_empty();
                self.give_up_ended(&store, false).await;
                self.pause = if is_soon { LEASE_LOOK_SOON } else { LEASE_LOOK_EVERY };
                self.act(&store, &standing, takes_effect).await;
            }
            Err(error) => {
                (self.may_take, self.pause) = (false, LEASE_LOOK_EVERY);
                if !self.says.is_away {
                    error!("the leases cannot be looked at: {error}; it is tried again every second");
                }
                self.says.is_away = true;
            }
        }
        false
    }

    /// Stops: the others hear of it first of all, for they share among themselves what it gives up; then each lease is given
    /// up as its loop ends. Returns whether everything is.
    async fn leave(&mut self, store: &SqlStore) -> bool {
        self.pause = LEASE_LOOK_SOON;
        if !self.has_said_goodbye {
            let me = locked(&self.shared.me).id.clone();
            self.has_said_goodbye = matches!(timeout(LEASE_CALL_MAX, store.leave(&me)).await, Ok(Ok(())));
        }
        self.give_up_ended(store, true).await;
        if self.shared.holds_nothing() {
            return self.ended.is_empty() && self.has_said_goodbye;
        }
        self.renew(store).await;
        false
    }

    /// Gives up the leases whose loops have ended. What the store does not hear of is said again.
    async fn give_up_ended(&mut self, store: &SqlStore, is_stopping: bool) {
        self.ended.extend(self.shared.ended(is_stopping));
        if self.ended.is_empty() {
            return;
        }
        match timeout(LEASE_CALL_MAX, store.give_up(&self.ended)).await {
            Ok(Ok(())) => self.ended.clear(),
            Ok(Err(error)) => debug!(%error, "leases could not be given up"),
            Err(_) => debug!("leases could not be given up in time"),
        }
    }

    /// Waits until the next look, or until something happens: this replica is to stop, a loop of it has ended, or a lease
    /// is free that others have given up.
    async fn rest(&mut self, shutdown: &CancellationToken) {
        let until = Instant::now() + self.pause;
        loop {
            let next = until.min(Instant::now() + LEASE_LOOK_SOON);
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.shared.nudge.notified() => return,
                () = shutdown.cancelled(), if !self.has_left => return,
            }
            if next == until || self.may_take && self.is_one_free().await {
                return;
            }
        }
    }

    /// Whether a lease is free that this replica has a loop for. The next look tells more.
    async fn is_one_free(&self) -> bool {
        let wanted: Vec<String> = locked(&self.leases.wanted).iter().cloned().collect();
        matches!(timeout(LEASE_CALL_MAX, self.leases.store.is_one_free(&wanted)).await, Ok(Ok(true)))
    }

    async fn renew(&mut self, store: &SqlStore) {
        let configuration = locked(&self.shared.me).configuration;
        // A new configuration is said at once: others take nothing as long as something runs by an older one.
        if self.renewed.is_some_and(|(at, by)| at.elapsed() < LEASE_RENEW_EVERY && by == configuration) {
            return;
        }
        let held = self.shared.held();
        if held.is_empty() {
            return;
        }
        let asked = Instant::now();
        let with_status: Vec<(Fence, Option<String>)> = held
            .values()
            .map(|fence| (fence.clone(), in_words(&fence.name, &self.shared.statuses, self.shared.is_run(&fence.name))))
            .collect();
        let renewed = match timeout(LEASE_CALL_MAX, store.renew(&with_status, configuration, LEASE_SPAN)).await {
            Ok(Ok(renewed)) => renewed,
            Ok(Err(error)) => return debug!(%error, "the leases could not be renewed"),
            Err(_) => return debug!("the leases could not be renewed in time"),
        };
        self.renewed = Some((asked, configuration));
        let renewed: BTreeSet<String> = renewed.into_iter().collect();
        let entries = locked(&self.shared.entries);
        for (name, fence) in held {
            let Some(entry) = entries.get(&name) else { continue };
            entry.right.send_modify(|right| match right {
                Some(known) if known.fence != fence => {}
                Some(known) if renewed.contains(&name) => known.trusted_until = trusted_until(asked),
                _ => *right = None,
            });
        }
    }

    async fn look(&mut self, store: &SqlStore) -> Result<Standing, String> {
        let mut me = locked(&self.shared.me).clone();
        me.clock_ahead_ms = self.clock.ahead_ms();
        let asked = (self.clock.own(), Instant::now());
        let standing = match timeout(LEASE_CALL_MAX, store.look(Some(&me))).await {
            Ok(outcome) => outcome.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("no answer within {} s", LEASE_CALL_MAX.as_secs())),
        };
        self.clock.correct(standing.now, asked.0, asked.1.elapsed());
        if std::mem::take(&mut self.says.is_away) {
            info!("the leases can be looked at again");
        }
        Ok(standing)
    }

    async fn act(&mut self, store: &SqlStore, standing: &Standing, takes_effect: &impl Fn()) {
        let me = locked(&self.shared.me).clone();
        if standing.in_force.1 != me.fingerprint {
            return self.stand_by(standing, &me, takes_effect);
        }
        if std::mem::take(&mut self.says.is_outdated) {
            info!("the configuration of this replica is the one in force");
        }
        let held = self.shared.held();
        let (wanted, names) = (locked(&self.leases.wanted).clone(), held.keys().cloned().collect::<BTreeSet<_>>());
        // What the configuration no longer has is given up.
        self.shared.retire(names.difference(&wanted));
        let handed_over = self.handed_over.as_ref().map(|(name, at)| (name.as_str(), at.elapsed()));
        let part = Part { me: &me.id, fingerprint: &me.fingerprint, wanted: &wanted, held: &names, handed_over };
        let wish = wish(standing, part);
        if !wish.take.is_empty() {
            let asked = Instant::now();
            match timeout(LEASE_CALL_MAX, store.take(&wish.take, &me, LEASE_SPAN)).await {
                Ok(Ok(taken)) => {
                    for Fence { name, token } in taken {
                        info!(lease = name, token, "took the lease");
                        self.shared.grant(&name, token, asked);
                    }
                }
                Ok(Err(error)) => debug!(%error, "leases could not be taken"),
                Err(_) => debug!("leases could not be taken in time"),
            }
        }
        if let Some(name) = wish.hand_over {
            info!(lease = name, "hands the lease over: this replica has more than its share");
            self.shared.retire(std::iter::once(&name));
            self.handed_over = Some((name, Instant::now()));
        }
    }

    /// Another configuration is in force: nothing is run by this one.
    fn stand_by(&mut self, standing: &Standing, me: &Replica, takes_effect: &impl Fn()) {
        let held = self.shared.held();
        self.shared.retire(held.keys());
        if !std::mem::replace(&mut self.says.is_outdated, true) {
            warn!(
                own = me.configuration,
                in_force = standing.in_force.0,
                "the configuration of this replica is not the one in force: it stands by until its files are the same"
            );
        }
        self.lonely = if is_in_force_somewhere(standing, &me.id) { 0 } else { self.lonely + 1 };
        if self.lonely >= REPLICA_LONELY_LOOKS {
            self.lonely = 0;
            warn!("nobody is left who has the configuration in force: this replica's takes effect");
            takes_effect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LEASE_MARGIN;

    const LEASE: &str = "deliver/hook";
    const TRUSTED: Duration = LEASE_SPAN.saturating_sub(LEASE_MARGIN);

    /// The leases of a process that is not alone, which holds [`LEASE`] under token 7. From here on the clock stands still.
    async fn held() -> (Leases, Arc<Shared>) {
        let store = Arc::new(SqlStore::in_memory().await.unwrap());
        tokio::time::pause();
        let me = Replica {
            id: "me".into(),
            host: "here".into(),
            pid: 1,
            version: "1".into(),
            clock_ahead_ms: 0,
            configuration: 1,
            fingerprint: "f".into(),
        };
        let shared = Arc::new(Shared {
            me: Mutex::new(me),
            entries: Mutex::default(),
            nudge: Notify::new(),
            statuses: Statuses::default(),
            are_others: AtomicBool::new(false),
        });
        shared.grant(LEASE, 7, Instant::now());
        let leases =
            Leases { shared: Some(Arc::clone(&shared)), store, wanted: Arc::default(), metrics: Metrics::default() };
        (leases, shared)
    }

    /// Renews the lease, or takes another one of its name, as if that had been asked for now.
    fn answered(shared: &Shared, token: i64) {
        let entries = locked(&shared.entries);
        entries[LEASE].right.send_modify(|right| {
            let right = right.as_mut().unwrap();
            (right.fence.token, right.trusted_until) = (token, trusted_until(Instant::now()));
        });
    }

    #[tokio::test]
    async fn a_lease_that_is_not_renewed_is_cut_when_its_trust_is_over_and_not_before() {
        let (leases, shared) = held().await;
        let (began, mut grant) = (Instant::now(), leases.granted(LEASE).await);
        let trust = grant.trust();
        let forever = std::future::pending::<()>();
        assert_eq!(grant.run(&CancellationToken::new(), std::future::pending(), forever).await, None);
        let lasted = began.elapsed();
        assert!(lasted >= TRUSTED && lasted < TRUSTED + Duration::from_millis(5), "{lasted:?}");
        assert!(trust.is_over());
        drop(grant);
        assert!(!shared.is_run(LEASE));
        // What is over is granted to nobody.
        let again = timeout(Duration::from_secs(60), leases.granted(LEASE)).await;
        assert!(again.is_err());
    }

    #[tokio::test]
    async fn a_lease_that_is_renewed_goes_on_from_when_that_was_asked_for() {
        let (leases, shared) = held().await;
        let (began, mut grant) = (Instant::now(), leases.granted(LEASE).await);
        let trust = grant.trust();
        let renewing = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            answered(&shared, 7);
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(!trust.is_over());
            std::future::pending::<()>().await;
        };
        assert_eq!(grant.run(&CancellationToken::new(), std::future::pending(), renewing).await, None);
        let lasted = began.elapsed().saturating_sub(Duration::from_secs(10));
        assert!(lasted >= TRUSTED && lasted < TRUSTED + Duration::from_millis(5), "{lasted:?}");
    }

    #[tokio::test]
    async fn a_lease_that_was_taken_anew_is_another_one() {
        let (leases, shared) = held().await;
        let mut grant = leases.granted(LEASE).await;
        let trust = grant.trust();
        let taking = async {
            answered(&shared, 8);
            std::future::pending::<()>().await;
        };
        let began = Instant::now();
        assert_eq!(grant.run(&CancellationToken::new(), std::future::pending(), taking).await, None);
        assert!(began.elapsed() < Duration::from_millis(5) && trust.is_over());
        assert!(!leases.granted(LEASE).await.trust().is_over(), "the loop runs by the new one");
    }

    /// Whoever is to give a lease up ends in order: nothing is cut.
    #[tokio::test]
    async fn a_lease_that_is_handed_over_has_its_loop_end_in_order() {
        let (leases, shared) = held().await;
        let mut grant = leases.granted(LEASE).await;
        let stop = CancellationToken::new();
        let work = async {
            shared.retire(std::iter::once(&LEASE.to_string()));
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            "finished"
        };
        assert!(shared.ended(false).is_empty());
        assert_eq!(grant.run(&stop, std::future::pending(), work).await, Some("finished"));
        assert!(shared.ended(false).is_empty(), "the loop has it still");
        drop(grant);
        assert_eq!(shared.ended(false).len(), 1);
        assert!(shared.holds_nothing());
    }

    /// A process that was frozen finds work that is ready, and its lease another's.
    #[tokio::test]
    async fn what_is_ready_when_a_process_wakes_does_not_go_on() {
        let (leases, _shared) = held().await;
        let mut grant = leases.granted(LEASE).await;
        let (ready, done) = (Notify::new(), AtomicBool::new(false));
        let work = async {
            ready.notified().await;
            done.store(true, Ordering::Relaxed);
        };
        let stop = CancellationToken::new();
        let running = grant.run(&stop, std::future::pending(), work);
        tokio::pin!(running);
        assert!(futures_util::poll!(&mut running).is_pending());
        tokio::time::advance(Duration::from_secs(30)).await;
        ready.notify_one();
        assert_eq!(running.await, None);
        assert!(!done.load(Ordering::Relaxed), "it went on without its lease");
    }
}
