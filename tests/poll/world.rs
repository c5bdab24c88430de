//! A source that does as it is told, and the real poller over a real store before it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use nightbell::clock::{Clock, ManualClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::limits::{LOOKBACK_MAX, SOURCE_LISTING_TIME_MAX};
use nightbell::model::{
    Alert, Coverage, Instance, InstanceType, JobRef, JobSchedule, Part, SetAside, SourceId, Status, Window,
};
use nightbell::notify::Renderer;
use nightbell::rule::Muting;
use nightbell::source::{Detail, Finding, Listing, LogEnd, Source, SourceError, SourceErrorKind, TellsSchedules};
use nightbell::store::{Archive as _, Deliveries as _, SqlStore};
use nightbell::worker::escalation::Escalations;
use nightbell::worker::pending::{Receiver, Receivers};
use nightbell::worker::poll::{PollError, PollReport, Poller};

use crate::sample::{Place, at};

/// What the source shows.
#[derive(Default)]
pub(crate) struct Shown {
    /// What the list holds.
    pub(crate) listed: Vec<Instance>,
    /// What the list should hold and does not.
    pub(crate) withheld: u64,
    /// Items of the list that nobody understands.
    pub(crate) set_aside: Vec<SetAside>,
    /// The kinds that the list lacks, for they are refused.
    pub(crate) refused: Vec<InstanceType>,
    /// What the source is configured to list.
    pub(crate) scope: String,
    /// What a detail call answers, by instance id, where that is not what is listed.
    pub(crate) details: BTreeMap<String, Instance>,
    /// Instances of which the source knows nothing.
    pub(crate) lost: HashSet<String>,
    /// What the last list answered.
    pub(crate) answered: Vec<Instance>,
    /// Ids that detail calls asked for.
    pub(crate) asked: Vec<String>,
    /// Why every call fails.
    pub(crate) fails: Option<SourceErrorKind>,
    /// The schedules of its jobs, where it tells them.
    pub(crate) schedules: Option<Vec<JobSchedule>>,
    /// Whether asking for them fails.
    pub(crate) hides_schedules: bool,
    /// How often they were asked for.
    pub(crate) schedules_asked: usize,
    /// Whether a list never comes.
    pub(crate) hangs: bool,
    /// Whether a list is a bug of this program.
    pub(crate) panics: bool,
    /// The longest span that it can be asked for, where it is not the usual one.
    pub(crate) span_max: Option<Duration>,
    /// What it was asked for.
    pub(crate) windows: Vec<Window>,
    /// How long a list takes for each hour of plan times that is asked for, by the clock that is moved. One that takes longer
    /// than a listing may never comes.
    pub(crate) pace: Option<(ManualClock, SignedDuration)>,
    /// How many lists were asked for.
    pub(crate) lists: usize,
    /// How long the log of a run takes, which is read apart; none for a source that has no such logs.
    pub(crate) log_takes: Option<Duration>,
    /// How many logs are being read.
    logs_under_way: usize,
}

#[derive(Clone, Default)]
pub(crate) struct Puppet(Arc<Mutex<Shown>>);

/// Lets the runtime's clock run again when the call that stopped it is given up.
struct Resume;

impl Drop for Resume {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}

impl Puppet {
    pub(crate) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap()
    }
}

/// Stops the runtime's clock while logs are read: whatever they take is over at once.
struct Stopped(Puppet);

impl Stopped {
    fn by(puppet: &Puppet) -> Stopped {
        let mut shown = puppet.shown();
        if shown.logs_under_way == 0 {
            tokio::time::pause();
        }
        shown.logs_under_way += 1;
        Stopped(puppet.clone())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let mut shown = self.0.shown();
        shown.logs_under_way -= 1;
        if shown.logs_under_way == 0 {
            tokio::time::resume();
        }
    }
}

impl Puppet {
    /// Lets the time pass that the list takes. Says whether it never comes.
    fn takes_too_long(&self, window: Window) -> bool {
        let mut shown = self.shown();
        shown.lists += 1;
        let Some((clock, pace)) = &shown.pace else { return shown.hangs };
        let hours = window.to.duration_since(window.from).as_secs_f64() / 3600.0;
        let takes = SignedDuration::from_secs_f64(pace.as_secs_f64() * hours);
        let at_most = SignedDuration::try_from(SOURCE_LISTING_TIME_MAX).unwrap();
        clock.set(clock.now() + takes.min(at_most));
        takes > at_most
    }

    async fn listed(&self, window: Window) -> Result<Listing, SourceError> {
        let panics = self.shown().panics;
        assert!(!panics, "as the test has it");
        if self.takes_too_long(window) {
            // With the runtime's clock stopped, the next deadline comes at once.
            tokio::time::pause();
            let _resume = Resume;
            return std::future::pending().await;
        }
        let mut shown = self.shown();
        shown.windows.push(window);
        if let Some(kind) = shown.fails {
            return Err(SourceError::new(kind, "out of order"));
        }
        let inside = |time: Option<Timestamp>| time.is_none_or(|time| (window.from..=window.to).contains(&time));
        let is_refused = |instance: &&Instance| shown.refused.contains(&instance.kind);
        let instances: Vec<Instance> = shown
            .listed
            .iter()
            .filter(|instance| inside(instance.plan_time) && !is_refused(instance))
            .cloned()
            .collect();
        shown.answered.clone_from(&instances);
        let mut coverage = Coverage::whole(window, shown.scope.clone());
        if shown.withheld > 0 {
            let (read, all) = (instances.len(), instances.len() as u64 + shown.withheld);
            coverage = coverage.without(Part::AnyRun, format!("{read} of {all} instances could be read"));
        }
        coverage.set_aside.clone_from(&shown.set_aside);
        for kind in &shown.refused {
            coverage = coverage.without(Part::Kind(*kind), "it was refused");
        }
        Ok(Listing::new(instances, coverage))
    }

    fn detailed(&self, instance: &Instance) -> Result<Detail, SourceError> {
        let mut shown = self.shown();
        if let Some(kind) = shown.fails {
            return Err(SourceError::new(kind, "out of order"));
        }
        shown.asked.push(instance.id.clone());
        let known = shown.details.get(&instance.id);
        let known = known.or_else(|| shown.listed.iter().find(|listed| listed.id == instance.id));
        match known {
            Some(instance) if !shown.lost.contains(&instance.id) => {
                let log = shown.log_takes.map(|_| format!("the log of {}", instance.id));
                Ok(Detail { log, ..Detail::new(instance.clone(), Vec::new()) })
            }
            _ => Err(SourceError::new(SourceErrorKind::NotFound, "no such instance")),
        }
    }
}

impl Source for Puppet {
    fn kind(&self) -> &'static str {
        "dataarts"
    }

    fn list(&self, window: Window) -> BoxFuture<'_, Result<Listing, SourceError>> {
        Box::pin(self.listed(window))
    }

    fn detail<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<Detail, SourceError>> {
        Box::pin(async { self.detailed(instance) })
    }

    fn with_log<'a>(&'a self, _: Option<&'a str>, log: &'a str) -> BoxFuture<'a, Option<LogEnd>> {
        Box::pin(async move {
            let takes = self.shown().log_takes?;
            let _stopped = Stopped::by(self);
            tokio::time::sleep(takes).await;
            Some(LogEnd { error: log.to_string(), tail: Some(log.to_string()) })
        })
    }

    fn examine(&self) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(async { Vec::new() })
    }

    fn span_max(&self) -> Duration {
        self.shown().span_max.unwrap_or(LOOKBACK_MAX)
    }

    fn tells_schedules(&self) -> Option<&dyn TellsSchedules> {
        let shown = self.shown();
        (shown.schedules.is_some() || shown.hides_schedules).then_some(self)
    }
}

impl TellsSchedules for Puppet {
    fn schedules(&self) -> BoxFuture<'_, Result<Vec<JobSchedule>, SourceError>> {
        Box::pin(async {
            let mut shown = self.shown();
            shown.schedules_asked += 1;
            match shown.hides_schedules {
                true => Err(SourceError::new(SourceErrorKind::Transient, "out of order")),
                false => Ok(shown.schedules.clone().unwrap_or_default()),
            }
        })
    }
}

/// A run planned and begun at `began`.
pub(crate) fn run(job: &str, id: &str, status: Status, began: Timestamp, ended: Option<Timestamp>) -> Instance {
    Instance {
        source: SourceId::new("warehouse"),
        id: id.into(),
        job: JobRef { name: job.into(), id: None },
        name: None,
        status,
        raw_status: status.to_string(),
        kind: InstanceType::Scheduled,
        plan_time: Some(began),
        start_time: Some(began),
        end_time: ended,
        error: None,
    }
}

/// The poller of one source, with everything it needs.
pub(crate) struct Scene {
    pub(crate) store: Arc<SqlStore>,
    pub(crate) source: Puppet,
    clock: ManualClock,
    config: Config,
    poller: Poller<Puppet, SqlStore>,
    escalations: Escalations<SqlStore>,
    _place: Option<Place>,
}

impl Scene {
    /// A scene with a source that shows nothing, the receivers `hook` and `mail`, and these rules.
    pub(crate) async fn open(rules: &str) -> Scene {
        Scene::open_in(Place::new(), at(0), rules).await
    }

    /// The same over the store that is there already, at that instant.
    pub(crate) async fn open_in(place: Place, now: Timestamp, rules: &str) -> Scene {
        let store = Arc::new(place.open().await);
        let (source, clock, config) = (Puppet::default(), ManualClock::at(now), configuration(rules));
        let poller = poller(&config, 0, &source, &store, &clock);
        let escalations = escalations(&config, &store);
        Scene { store, source, clock, config, poller, escalations, _place: Some(place) }
    }

    /// The second source of the same program, which is there where the rules speak of a `lake`. It must not outlive the
    /// scene.
    pub(crate) fn lake(&self) -> Scene {
        let (store, clock, config) = (Arc::clone(&self.store), self.clock.clone(), self.config.clone());
        let source = Puppet::default();
        let poller = poller(&config, 1, &source, &store, &clock);
        let escalations = escalations(&config, &store);
        Scene { store, source, clock, config, poller, escalations, _place: None }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// It is that instant, and the clock is read to it.
    pub(super) fn set(&self, now: Timestamp) {
        self.clock.set(now);
    }

    pub(crate) fn pass(&self, span: SignedDuration) {
        self.clock.set(self.now() + span);
    }

    /// The list holds these from now on.
    pub(crate) fn show(&self, instances: impl IntoIterator<Item = Instance>) {
        self.source.shown().listed = instances.into_iter().collect();
    }

    pub(crate) fn fail_with(&self, kind: Option<SourceErrorKind>) {
        self.source.shown().fails = kind;
    }

    pub(crate) fn hang(&self) {
        self.source.shown().hangs = true;
    }

    /// From now on a list takes so long for each hour of plan times.
    pub(crate) fn slow_down(&self, per_hour: SignedDuration) {
        self.source.shown().pace = Some((self.clock.clone(), per_hour));
    }

    pub(crate) fn lose(&self, id: &str) {
        self.source.shown().lost.insert(id.to_string());
    }

    /// A poller of its source, to be run as a loop.
    pub(crate) fn another_poller(&self) -> Poller<Puppet, SqlStore> {
        poller(&self.config, 0, &self.source, &self.store, &self.clock)
    }

    /// What the loop does before it polls.
    pub(crate) async fn note_silence(&mut self) {
        self.poller.note_silence().await.unwrap();
    }

    /// What `run --once` does before it polls.
    pub(crate) async fn note_silence_between_calls(&mut self) {
        self.poller.note_silence_between_calls().await.unwrap();
    }

    pub(crate) async fn try_poll(&mut self) -> Result<PollReport, PollError> {
        self.poller.poll().await
    }

    /// What the loop does where there is a backlog.
    pub(crate) async fn try_poll_all(&mut self) -> Result<PollReport, PollError> {
        self.poller.poll_all().await
    }

    pub(crate) async fn poll(&mut self) -> PollReport {
        self.try_poll().await.unwrap()
    }

    /// What the loop does that has alerts go further. Returns how many messages that made.
    pub(crate) async fn escalate(&mut self) -> u64 {
        self.escalations.pass(self.now()).await.unwrap()
    }

    /// When the next alert goes further.
    pub(crate) async fn next_step(&self) -> Option<Timestamp> {
        self.escalations.next_due(self.now()).await.unwrap()
    }

    /// Another process on the same store.
    pub(crate) fn restart(&mut self) {
        self.poller = poller(&self.config, 0, &self.source, &self.store, &self.clock);
        self.escalations = escalations(&self.config, &self.store);
    }

    /// The same with other rules.
    pub(crate) fn restart_with(&mut self, rules: &str) {
        self.config = configuration(rules);
        self.restart();
    }

    /// The receivers that there are, by what the configuration says from now on.
    pub(crate) fn has_receivers(&mut self, receivers: &[&str]) {
        let known = receivers.iter().map(nightbell::model::ReceiverId::new).collect();
        self.poller.decider.terms.receivers = Some(Arc::new(known));
    }

    /// The settings of its source.
    pub(crate) fn settings(&self) -> &nightbell::source::SourceSettings {
        &self.config.sources[0]
    }

    pub(crate) fn rules(&self) -> &nightbell::rule::RuleSet {
        &self.config.rules
    }

    pub(crate) async fn alerts(&self) -> Vec<Alert> {
        self.store.alerts(usize::MAX).await.unwrap()
    }
}

pub(crate) fn configuration(rules: &str) -> Config {
    // Only some kinds tell the schedules of their jobs.
    let kind = match rules.contains("missing: { grace") {
        true => "schedulerx, namespace: n, groups: [g], auth: { access_key: a, secret_key: s }",
        false => "dataarts, project_id: p, auth: { token: t }",
    };
    let source = |name| format!("  {name}: {{ type: {kind}, endpoint: \"http://127.0.0.1:9\" }}\n");
    let lake = if rules.contains("lake") { source("lake") } else { String::new() };
    let text = format!(
        "version: 1\nsources:\n{}{lake}receivers:\n  hook: {{ type: webhook, url: \"http://127.0.0.1:9/\" }}\n  \
         lead: {{ type: webhook, url: \"http://127.0.0.1:9/lead\" }}\n  boss: {{ type: webhook, url: \"http://127.0.0.1:9/boss\" }}\n  \
         pager: {{ type: pagerduty, routing_key: k }}\n  \
         quiet-pager: {{ type: pagerduty, routing_key: k, send_resolved: false }}\n  \
         mail: {{ type: email, smtp_url: \"smtp+plain://127.0.0.1:9\", from: a@example.com, to: [b@example.com] }}\n\
         rules:\n{rules}",
        source("warehouse")
    );
    Config::from_text(text, "rules.yaml", Path::new("."), &LoadOptions { offline: true }).unwrap().config
}

/// The receivers; their templates are checked once, for that takes longer than many polls.
pub(crate) fn receivers() -> Arc<Receivers> {
    static RECEIVERS: LazyLock<Arc<Receivers>> = LazyLock::new(|| {
        let receivers = configuration("  any: { when: { status: [fail] }, notify: [hook, mail] }\n").receivers;
        let receiver = |settings| Receiver::new(settings, Renderer::open(settings).unwrap());
        Arc::new(receivers.iter().map(receiver).collect())
    });
    Arc::clone(&RECEIVERS)
}

fn escalations(config: &Config, store: &Arc<SqlStore>) -> Escalations<SqlStore> {
    let (store, rules) = (Arc::clone(store), config.rules.clone());
    Escalations::new(store, receivers(), rules, muting(config))
}

fn poller(
    config: &Config,
    place: usize,
    source: &Puppet,
    store: &Arc<SqlStore>,
    clock: &ManualClock,
) -> Poller<Puppet, SqlStore> {
    let settings = config.sources[place].clone();
    let decider = config.decider(&settings, None);
    Poller::new(settings, source.clone(), Arc::clone(store), decider, receivers(), Arc::new(clock.clone()))
}

fn muting(config: &Config) -> Muting {
    let sources = config.sources.iter().map(|source| source.id.clone()).collect();
    Muting::new(Arc::clone(&config.mute_windows)).inhibiting(Arc::clone(&config.inhibitions), sources)
}

/// What `hook` is told, as "kind: summary", in the order it was decided.
pub(super) async fn summaries(store: &SqlStore) -> Vec<String> {
    let mut told: Vec<(Timestamp, String)> = bodies(store)
        .await
        .into_iter()
        .map(|(at, body)| {
            let kind = body["type"].as_str().unwrap().trim_start_matches("alert.").to_string();
            (at, format!("{kind}: {}", body["data"]["alert"]["summary"].as_str().unwrap()))
        })
        .collect();
    told.sort();
    told.into_iter().map(|(_, line)| line).collect()
}

/// The bodies that `hook` is sent, with when they were made.
pub(super) async fn bodies(store: &SqlStore) -> Vec<(Timestamp, serde_json::Value)> {
    let deliveries = store.deliveries(usize::MAX).await.unwrap();
    let hook = deliveries.iter().filter(|delivery| delivery.receiver.as_str() == "hook");
    hook.map(|delivery| (delivery.created_at, serde_json::from_str(delivery.content.part("body")).unwrap())).collect()
}

/// What `hook` is told, as "kind job instance", in the order it was decided.
pub(crate) async fn told(store: &SqlStore) -> Vec<String> {
    told_to(store, "hook").await
}

/// What a webhook is told, in the same form.
pub(crate) async fn told_to(store: &SqlStore, receiver: &str) -> Vec<String> {
    let mut told: Vec<(Timestamp, String)> = store
        .deliveries(usize::MAX)
        .await
        .unwrap()
        .iter()
        .filter(|delivery| delivery.receiver.as_str() == receiver)
        .map(|delivery| {
            let body: serde_json::Value = serde_json::from_str(delivery.content.part("body")).unwrap();
            let (job, id) = (&body["data"]["job"]["name"], &body["data"]["instance"]["id"]);
            (delivery.created_at, format!("{} {} {}", delivery.kind, job.as_str().unwrap(), id.as_str().unwrap_or("-")))
        })
        .collect();
    told.sort();
    told.into_iter().map(|(_, line)| line).collect()
}
