//! Floods: lanes with real channels, real limits and a real store, through hours that pass second by second by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use nightbell::alert::identity::delivery_id;
use nightbell::alert::{firing_message, resolved_message};
use nightbell::clock::{Clock as _, ManualClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::limits::RATE_MINUTE;
use nightbell::model::{
    Alert, AlertId, Content, Delivery, DeliveryId, DeliveryState, MessageKind, ReceiverId, Severity,
};
use nightbell::notify::{AnyNotifier, Rate, ReceiverSettings, Renderer};
use nightbell::store::{Mode, PollCommit, SqlStore, Store as _};
use nightbell::worker::budget::Budget;
use nightbell::worker::deliver::{Lane, Progress};
use proptest::prelude::*;

use super::super::sample::{Place, alert, at, commit, resolved};
use super::states;

/// What the channel is told, with the seconds at which it was.
type Told = Arc<Mutex<Vec<(i64, String)>>>;

/// How the channel answers at a second: status and body.
type Answer = Arc<dyn Fn(i64) -> (u16, &'static str) + Send + Sync>;

/// A channel on loopback, the lane to it, and a clock that moves by hand.
struct World {
    place: Place,
    store: Arc<SqlStore>,
    clock: ManualClock,
    settings: ReceiverSettings,
    renderer: Arc<Renderer>,
    lane: Lane<SqlStore, AnyNotifier>,
    /// All that arrived, whatever was answered.
    calls: Told,
    /// What was taken.
    told: Told,
    generation: i64,
    now: i64,
}

fn lane(
    store: &Arc<SqlStore>,
    settings: &ReceiverSettings,
    renderer: &Arc<Renderer>,
    clock: &ManualClock,
) -> Lane<SqlStore, AnyNotifier> {
    let notifier = Arc::new(AnyNotifier::open(settings).unwrap());
    Lane::new(settings.id.clone(), Arc::clone(store), notifier, Arc::new(clock.clone()), Box::new(|| 0.5))
        .within(Budget::new(settings.rate), Arc::clone(renderer))
}

impl World {
    async fn new(kind: &str, answer: impl Fn(i64) -> (u16, &'static str) + Send + Sync + 'static) -> World {
        let clock = ManualClock::at(at(0));
        let (calls, told) = (Told::default(), Told::default());
        let base = channel(&clock, &calls, &told, Arc::new(answer)).await;
        let place = Place::new();
        let settings = receiver(&place, kind, &base);
        let store = Arc::new(place.open().await);
        let renderer = Arc::new(Renderer::open(&settings).unwrap());
        let lane = lane(&store, &settings, &renderer, &clock);
        World { place, store, clock, settings, renderer, lane, calls, told, generation: 0, now: 0 }
    }

    /// Alerts begin, all in one poll.
    async fn fire(&mut self, alerts: Vec<Alert>) {
        let deliveries = alerts.iter().map(|alert| self.owed(alert, MessageKind::AlertFiring)).collect();
        self.commit(PollCommit { fired: alerts, deliveries, ..commit(self.generation) }).await;
    }

    /// Alerts end.
    async fn resolve(&mut self, alerts: Vec<Alert>) {
        let changed: Vec<Alert> = alerts.into_iter().map(|alert| resolved(alert, at(self.now))).collect();
        let deliveries = changed.iter().map(|alert| self.owed(alert, MessageKind::AlertResolved)).collect();
        self.commit(PollCommit { changed, deliveries, ..commit(self.generation) }).await;
    }

    async fn commit(&mut self, commit: PollCommit) {
        self.store.commit_poll(&PollCommit { now: at(self.now), known_rules: None, ..commit }).await.unwrap();
        self.generation += 1;
    }

    fn owed(&self, alert: &Alert, kind: MessageKind) -> Delivery {
        let receiver = &self.settings.id;
        let message = match kind {
            MessageKind::AlertResolved => resolved_message(alert, at(self.now)),
            _ => firing_message(alert, at(self.now)),
        };
        let content = self.renderer.render(&message).content;
        let firing = delivery_id(&alert.id, receiver, MessageKind::AlertFiring);
        let owed =
            Delivery::owed(delivery_id(&alert.id, receiver, kind), receiver.clone(), kind, content, at(self.now));
        Delivery {
            alert: Some(alert.id.clone()),
            rule: Some(alert.rule.clone()),
            severity: Some(alert.facts.alert.severity),
            follows: (kind == MessageKind::AlertResolved).then_some(firing),
            ..owed
        }
    }

    /// The next pass, `seconds` later.
    async fn pass(&mut self, seconds: i64) -> Progress {
        self.now += seconds;
        self.clock.set(at(self.now));
        self.lane.attempt_due(at(self.now)).await.unwrap()
    }

    /// Passes until nothing is owed any more; none of it may take longer than until the second `end`.
    async fn run_dry(&mut self, step: i64, end: i64) {
        self.pass(0).await;
        while self.store.next_due(&self.settings.id).await.unwrap().is_some() {
            assert!(self.now < end, "still owed: {:?}", self.owed_still().await);
            self.pass(step).await;
        }
    }

    async fn owed_still(&self) -> Vec<String> {
        let all = self.store.deliveries(20_000).await.unwrap();
        all.iter().filter(|one| one.state == DeliveryState::Pending).take(5).map(|one| format!("{one:?}")).collect()
    }

    /// The seconds of the messages that name `name`.
    fn told_at(&self, name: &str) -> Vec<i64> {
        self.told.lock().unwrap().iter().filter(|(_, body)| body.contains(name)).map(|(second, _)| *second).collect()
    }

    /// Each of the names stands in one message, and every delivery is delivered or part of one that is.
    async fn assert_told_once(&self, names: impl Iterator<Item = String>) {
        let told: Vec<String> = self.told.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for body in &told {
            // Names are words: a job_ with digits.
            let words: BTreeSet<&str> = body
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .filter(|word| word.starts_with("job_"))
                .collect();
            for word in words {
                *counts.entry(word).or_default() += 1;
            }
        }
        let mut all = 0;
        for name in names {
            assert_eq!(counts.get(name.as_str()), Some(&1), "{name}");
            all += 1;
        }
        assert_eq!(counts.len(), all);
        let deliveries = self.store.deliveries(50_000).await.unwrap();
        let by_id: BTreeMap<&str, &Delivery> = deliveries.iter().map(|one| (one.id.as_str(), one)).collect();
        for one in &deliveries {
            let end = one.merged_into.as_ref().map_or(one, |group| by_id[group.as_str()]);
            assert_eq!(end.state, DeliveryState::Delivered, "{one:?}");
            assert_eq!(one.merged_into.is_some(), one.state == DeliveryState::Merged);
        }
    }

    /// The most calls in any rolling minute.
    fn most_in_a_minute(&self) -> usize {
        let calls = self.calls.lock().unwrap();
        let within = |first: i64| calls.iter().filter(|(at, _)| (first..=first + 60).contains(at)).count();
        calls.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
    }
}

/// A vendor: notes what arrives, and answers as it is told. Returns where it is.
async fn channel(clock: &ManualClock, calls: &Told, told: &Told, answer: Answer) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (clock, calls, told) = (clock.clone(), Arc::clone(calls), Arc::clone(told));
    let take = move |body: String| {
        let second = clock.now().duration_since(at(0)).as_secs();
        let (status, said) = answer(second);
        calls.lock().unwrap().push((second, body.clone()));
        if status == 200 {
            told.lock().unwrap().push((second, body));
        }
        async move { (StatusCode::from_u16(status).unwrap(), said) }
    };
    let app = axum::Router::new().fallback(axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, app).await });
    base
}

fn receiver(place: &Place, kind: &str, base: &str) -> ReceiverSettings {
    let path = place.directory.path().join("rules.yaml");
    let text = format!(
        "version: 1\nsources:\n  s: {{ type: dataarts, region: r, project_id: p, auth: {{ token: t }} }}\nreceivers:\n  \
         pager: {{ type: {kind}, webhook_url: \"{base}/hook\" }}\n"
    );
    std::fs::write(&path, text).unwrap();
    Config::load(&path, &LoadOptions { offline: false }).unwrap().config.receivers.remove(0)
}

fn name(number: usize) -> String {
    format!("job_{number:05}")
}

fn numbered(from: usize, count: usize, severity: Severity) -> Vec<Alert> {
    let one = |number: usize| {
        let mut alert = alert(&format!("a{number:05}"), &name(number));
        alert.facts.alert.severity = severity;
        alert.receivers = vec![ReceiverId::new("pager")];
        alert
    };
    (from..from + count).map(one).collect()
}

#[tokio::test]
async fn ten_thousand_alerts_to_slack_are_few_messages_and_a_critical_one_overtakes_them() {
    let mut world = World::new("slack", |_| (200, "ok")).await;
    world.fire(numbered(0, 10_000, Severity::Error)).await;
    world.pass(0).await;
    for _ in 0..30 {
        world.pass(1).await;
    }
    world.fire(numbered(10_000, 1, Severity::Critical)).await;
    for _ in 0..30 {
        world.pass(1).await;
    }
    assert!(world.calls.lock().unwrap().len() <= 20, "{} messages in a minute", world.calls.lock().unwrap().len());
    let critical = world.told_at(&name(10_000));
    assert!(critical.len() == 1 && critical[0] <= 40, "{critical:?}");
    world.run_dry(1, 3600).await;
    world.assert_told_once((0..=10_000).map(name)).await;
    assert!(world.most_in_a_minute() <= 20, "{}", world.most_in_a_minute());
    let messages = world.told.lock().unwrap().len();
    assert!(messages < 200, "{messages} messages: each could name more");
    let longest = world.told.lock().unwrap().iter().map(|(_, body)| body.len()).max();
    println!("{messages} messages in {} s, the longest of {longest:?} bytes", world.now);
}

#[tokio::test]
async fn five_hundred_failures_in_ten_seconds_keep_to_dingtalks_twenty_a_minute() {
    let mut world = World::new("dingtalk", |_| (200, "{\"errcode\":0}")).await;
    for second in 0..10 {
        world.fire(numbered(second * 50, 50, Severity::Error)).await;
        world.pass(1).await;
    }
    world.run_dry(1, 600).await;
    world.assert_told_once((0..500).map(name)).await;
    assert!(world.most_in_a_minute() <= 20);
    assert!(world.calls.lock().unwrap().iter().all(|(_, body)| body.len() <= 20_000));
}

#[tokio::test]
async fn a_channel_that_refuses_for_an_hour_gets_all_of_it_later_and_once() {
    let mut world = World::new("slack", |second| if second < 3600 { (429, "slow down") } else { (200, "ok") }).await;
    for tenth in 0..6 {
        world.fire(numbered(tenth * 40, 40, Severity::Error)).await;
        for _ in 0..600 {
            world.pass(1).await;
        }
    }
    let asked = world.calls.lock().unwrap().len();
    assert!((20..=80).contains(&asked), "it was asked {asked} times in an hour");
    world.fire(numbered(1000, 1, Severity::Critical)).await;
    world.run_dry(1, 3 * 3600).await;
    world.assert_told_once((0..240).chain([1000]).map(name)).await;
    let critical = world.told_at(&name(1000))[0];
    assert!(critical <= 3600 + 90, "a critical alert after the pause came at {critical}");
}

#[tokio::test]
async fn a_channel_that_is_dead_for_six_hours_gets_all_of_it_later_and_once() {
    let mut world =
        World::new("wecom", |second| if second < 6 * 3600 { (503, "") } else { (200, "{\"errcode\":0}") }).await;
    for hour in 0..6 {
        world.fire(numbered(hour * 30, 30, Severity::Warning)).await;
        for _ in 0..360 {
            world.pass(10).await;
        }
    }
    assert!(world.told.lock().unwrap().is_empty());
    world.fire(numbered(1000, 1, Severity::Critical)).await;
    world.pass(0).await;
    assert_eq!(world.told_at(&name(1000)), [6 * 3600], "what is new need not wait for what is old");
    world.run_dry(10, 8 * 3600).await;
    world.assert_told_once((0..180).chain([1000]).map(name)).await;
    assert!(world.most_in_a_minute() <= 20);
}

/// A resolution never overtakes the message that its firing became part of, whenever it is decided.
#[tokio::test]
async fn a_resolution_follows_the_message_its_firing_was_merged_into() {
    let mut world = World::new("slack", |second| if second < 60 { (503, "") } else { (200, "ok") }).await;
    let alerts = numbered(0, 10, Severity::Error);
    world.fire(alerts.clone()).await;
    world.pass(0).await;
    let all = world.store.deliveries(20).await.unwrap();
    let group = all.into_iter().find(|one| one.kind == MessageKind::AlertGroup).expect("ten are more than a burst");
    assert_eq!((group.state, group.attempts), (DeliveryState::Pending, 1));
    assert_eq!((group.severity, group.alert), (Some(Severity::Error), None));
    world.resolve(alerts[..1].to_vec()).await;
    let resolution = delivery_id(&alerts[0].id, &world.settings.id, MessageKind::AlertResolved);
    let follows = |all: Vec<Delivery>| all.into_iter().find(|one| one.id == resolution).unwrap().follows;
    assert_eq!(follows(world.store.deliveries(20).await.unwrap()), Some(group.id));
    world.run_dry(1, 600).await;
    let told: Vec<bool> = world.told.lock().unwrap().iter().map(|(_, body)| body.contains("RESOLVED")).collect();
    assert_eq!(told, [false, true]);
}

/// What is over before it could be told is told once, as over.
#[tokio::test]
async fn an_alert_that_ends_while_it_waits_is_told_with_its_end() {
    let mut world = World::new("slack", |_| (200, "ok")).await;
    let alerts = numbered(0, 9, Severity::Error);
    world.fire(alerts.clone()).await;
    world.resolve(alerts[..3].to_vec()).await;
    world.run_dry(1, 600).await;
    world.assert_told_once((0..9).map(name)).await;
    let told = world.told.lock().unwrap().clone();
    assert_eq!(told.len(), 1);
    assert!(told[0].1.contains("🔴 9 alerts · 6 error · 3 resolved"), "{}", told[0].1);
    assert_eq!(states(&world.store).await.values().filter(|state| state.0 == DeliveryState::Merged).count(), 12);
}

/// What a burst bears is told one by one, and what may have arrived already keeps its name.
#[tokio::test]
async fn few_alerts_are_told_one_by_one_and_an_uncertain_one_under_its_own_name() {
    let mut world = World::new("slack", |_| (200, "ok")).await;
    world.fire(numbered(0, 4, Severity::Error)).await;
    world.pass(0).await;
    assert_eq!(world.told.lock().unwrap().len(), 4);
    world.fire(numbered(4, 3, Severity::Error)).await;
    let uncertain = delivery_id(&AlertId::new("a00005"), &world.settings.id, MessageKind::AlertFiring);
    let claimed = world.store.claim(&world.settings.id, at(0), 2).await.unwrap();
    assert_eq!(claimed.len(), 2);
    let others: Vec<DeliveryId> = claimed.into_iter().map(|one| one.id).filter(|id| *id != uncertain).collect();
    world.store.release(&others).await.unwrap();
    let count = world.store.reclaim(at(0)).await.unwrap();
    world.run_dry(1, 600).await;
    world.assert_told_once((0..7).map(name)).await;
    let unsure = states(&world.store)
        .await
        .into_iter()
        .filter(|(_, (state, attempts))| *state == DeliveryState::Delivered && *attempts == 2);
    assert_eq!(unsure.count() as u64, count, "what may have arrived was merged");
}

#[tokio::test]
async fn a_merge_is_whole_or_not_at_all() {
    let mut world = World::new("slack", |_| (200, "ok")).await;
    world.fire(numbered(0, 3, Severity::Error)).await;
    let receiver = world.settings.id.clone();
    let members: Vec<DeliveryId> =
        world.store.queue(&receiver, at(0), 9).await.unwrap().into_iter().map(|one| one.id).collect();
    let group = |id: &str| {
        Delivery::owed(DeliveryId::new(id), receiver.clone(), MessageKind::AlertGroup, Content::default(), at(0))
    };
    let before = states(&world.store).await;
    let held = world.store.claim(&receiver, at(0), 1).await.unwrap().remove(0).id;
    assert!(!world.store.merge(&group("g"), &members).await.unwrap(), "one of them is under way");
    world.store.release(std::slice::from_ref(&held)).await.unwrap();
    assert!(!world.store.merge(&group(members[0].as_str()), &members[1..]).await.unwrap(), "its name is taken");
    assert_eq!(states(&world.store).await, before);
    assert!(world.store.merge(&group("g"), &members).await.unwrap());
    assert!(!world.store.merge(&group("h"), &members).await.unwrap(), "they are told already");
    assert_eq!(states(&world.store).await.values().filter(|state| state.0 == DeliveryState::Merged).count(), 3);
    // Old, and delivered: it goes with the last of its members, and those with their alerts.
    let month = at(40 * 24 * 3600);
    assert_eq!(world.store.purge(month).await.unwrap(), 0, "the alerts still fire");
}

/// Attempts of the last minute count after a restart: the promise to the channel holds across it.
#[tokio::test]
async fn a_restart_does_not_double_the_rate() {
    let mut world = World::new("dingtalk", |_| (200, "{\"errcode\":0}")).await;
    for restart in 0..6 {
        world.fire(numbered(restart * 100, 100, Severity::Error)).await;
        for _ in 0..10 {
            world.pass(1).await;
        }
        let budget = Budget::new(world.settings.rate);
        let since = at(world.now) - RATE_MINUTE;
        for (receiver, at) in world.store.attempts_since(since).await.unwrap() {
            assert_eq!(receiver, world.settings.id);
            budget.remember(at);
        }
        world.lane = lane(&world.store, &world.settings, &world.renderer, &world.clock)
            .within(budget, Arc::clone(&world.renderer));
    }
    world.run_dry(1, 1200).await;
    world.assert_told_once((0..600).map(name)).await;
    assert!(world.most_in_a_minute() <= 20, "{}", world.most_in_a_minute());
}

/// PagerDuty and others that take one alert a message: the lane queues and merges nothing.
#[tokio::test]
async fn a_budget_without_merging_queues() {
    let mut world = World::new("slack", |_| (200, "ok")).await;
    let template = world.place.directory.path().join("body.json.hbs");
    std::fs::write(&template, "{\"text\": {{json data.alert.summary}} }").unwrap();
    // A webhook whose body is the user's own has no form of ours for several alerts.
    let base = match world.settings.channel.secrets()[0].1 {
        nightbell::secret::SecretRef::Inline(url) => url.expose().to_string(),
        _ => unreachable!(),
    };
    let path = world.place.directory.path().join("rules.yaml");
    let text = format!(
        "version: 1\nsources:\n  s: {{ type: dataarts, region: r, project_id: p, auth: {{ token: t }} }}\nreceivers:\n  \
         pager: {{ type: webhook, url: \"{base}\", template: body.json.hbs, rate: {{ per_minute: 6, burst: 2 }} }}\n"
    );
    std::fs::write(&path, text).unwrap();
    world.settings = Config::load(&path, &LoadOptions { offline: false }).unwrap().config.receivers.remove(0);
    assert_eq!(world.settings.rate, Rate { per_second: None, per_minute: Some(6), burst: 2, penalty: Duration::ZERO });
    world.renderer = Arc::new(Renderer::open(&world.settings).unwrap());
    assert!(!world.renderer.merges());
    world.lane = lane(&world.store, &world.settings, &world.renderer, &world.clock);
    world.fire(numbered(0, 20, Severity::Error)).await;
    world.run_dry(1, 600).await;
    world.assert_told_once((0..20).map(name)).await;
    assert_eq!(world.told.lock().unwrap().len(), 20);
    assert!(world.most_in_a_minute() <= 6, "{}", world.most_in_a_minute());
}

/// What may happen between two looks at the queue.
#[derive(Debug, Clone)]
struct Step {
    seconds: i64,
    arrivals: usize,
    is_critical: bool,
    /// After how long the process is killed in the midst of what it does, in microseconds.
    killed_after: Option<u64>,
    works: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let killed_after = proptest::option::weighted(0.4, 0_u64..20_000);
    (0_i64..40, 0_usize..30, proptest::bool::weighted(0.2), killed_after, proptest::bool::weighted(0.7)).prop_map(
        |(seconds, arrivals, is_critical, killed_after, works)| Step {
            seconds,
            arrivals,
            is_critical,
            killed_after,
            works,
        },
    )
}

impl World {
    /// A receiver with a limit of its own, and what `works` says is answered.
    async fn limited(per_minute: u32, burst: u32, works: Arc<AtomicBool>) -> World {
        let answer = move |_| if works.load(Ordering::SeqCst) { (200, "ok") } else { (503, "") };
        let mut world = World::new("slack", answer).await;
        world.settings.rate = Rate { per_second: None, per_minute: Some(per_minute), burst, penalty: Duration::ZERO };
        world.lane = lane(&world.store, &world.settings, &world.renderer, &world.clock);
        world
    }

    /// The process is gone, in the midst of a pass, and another one takes its place.
    async fn killed(mut self, after: u64) -> World {
        let pass = self.lane.attempt_due(at(self.now));
        // Whether the pass is through by then is no matter: any moment must do.
        drop(tokio::time::timeout(Duration::from_micros(after), pass).await);
        let World { place, store, clock, settings, renderer, lane: dead, calls, told, generation, now } = self;
        drop(dead);
        drop(store);
        let mut opened = SqlStore::open(&place.url(), Mode::Work).await;
        // Attempts that were cut off let go of the file when the runtime gets to it.
        while opened.is_err() {
            tokio::task::yield_now().await;
            opened = SqlStore::open(&place.url(), Mode::Work).await;
        }
        let store = Arc::new(opened.unwrap());
        store.reclaim(at(now)).await.unwrap();
        let budget = Budget::new(settings.rate);
        for (_, begun) in store.attempts_since(at(now) - RATE_MINUTE).await.unwrap() {
            budget.remember(begun);
        }
        let lane = lane(&store, &settings, &renderer, &clock).within(budget, Arc::clone(&renderer));
        World { place, store, clock, settings, renderer, lane, calls, told, generation, now }
    }
}

async fn nothing_is_lost_or_told_in_two_messages(per_minute: u32, burst: u32, steps: Vec<Step>) {
    let works = Arc::new(AtomicBool::new(true));
    let mut world = World::limited(per_minute, burst, Arc::clone(&works)).await;
    let mut fired = 0;
    for Step { seconds, arrivals, is_critical, killed_after, works: answers } in steps {
        works.store(answers, Ordering::SeqCst);
        let severity = if is_critical { Severity::Critical } else { Severity::Warning };
        world.now += seconds;
        world.clock.set(at(world.now));
        world.fire(numbered(fired, arrivals, severity)).await;
        fired += arrivals;
        match killed_after {
            Some(after) => world = world.killed(after).await,
            None => drop(world.pass(0).await),
        }
    }
    works.store(true, Ordering::SeqCst);
    while let Some(next) = world.store.next_due(&world.settings.id).await.unwrap() {
        assert!(world.now < 12 * 3600, "still owed: {:?}", world.owed_still().await);
        let wait = next.duration_since(at(world.now)).as_secs().max(1);
        world.pass(wait).await;
    }
    assert!(world.most_in_a_minute() <= per_minute as usize, "{} in a minute", world.most_in_a_minute());
    // A kill may make a message come again: the same message.
    {
        let mut told = world.told.lock().unwrap();
        told.sort_by(|one, other| one.1.cmp(&other.1));
        told.dedup_by(|one, other| one.1 == other.1);
    }
    world.assert_told_once((0..fired).map(name)).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn floods_failures_and_kills_lose_nothing(
        per_minute in 2_u32..40,
        part in 0_u32..100,
        steps in proptest::collection::vec(step(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let burst = (per_minute * part / 100).max(1);
        runtime.block_on(nothing_is_lost_or_told_in_two_messages(per_minute, burst, steps));
    }
}

/// A lane that runs by itself keeps to the budget, wakes when there is room, and lets a critical alert go at once.
#[tokio::test]
async fn a_running_lane_lets_a_critical_alert_overtake() {
    let mut world = World::new("slack", |_| (200, "ok")).await;
    world.fire(numbered(0, 2000, Severity::Error)).await;
    let spare = lane(&world.store, &world.settings, &world.renderer, &world.clock);
    let running_lane = std::mem::replace(&mut world.lane, spare);
    let nudge = running_lane.nudge();
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(running_lane.run(stop.clone()));
    // The clock stands still: the burst goes, but for the place that is kept.
    super::sink::until(|| world.told.lock().unwrap().len() == 4).await;
    world.fire(numbered(5000, 1, Severity::Critical)).await;
    nudge.notify_one();
    super::sink::until(|| world.told_at(&name(5000)).len() == 1).await;
    assert_eq!(world.told.lock().unwrap().len(), 5);
    let mut expected = 5;
    while world.store.next_due(&world.settings.id).await.unwrap().is_some() {
        world.now += 8;
        world.clock.set(at(world.now));
        nudge.notify_one();
        expected += 1;
        let (told, store) = (Arc::clone(&world.told), Arc::clone(&world.store));
        super::sink::until(|| told.lock().unwrap().len() >= expected).await;
        drop(store);
    }
    stop.cancel();
    running.await.unwrap();
    world.assert_told_once((0..2000).chain([5000]).map(name)).await;
}
