//! A channel that is flooded: a real notifier with its limits, a real store, and a clock that moves by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use nightbell::alert::identity::delivery_id;
use nightbell::alert::{firing_message, resolved_message};
use nightbell::clock::{Clock as _, ManualClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{Alert, Delivery, DeliveryState, MessageKind, Notification, ReceiverId, Severity};
use nightbell::notify::{AnyNotifier, ReceiverSettings, Renderer};
use nightbell::store::{Deliveries as _, Outbox as _, PollCommit, PollLedger as _, SqlStore};
use nightbell::worker::budget::Budget;
use nightbell::worker::deliver::{Lane, Progress};

use super::super::sample::{Place, alert, at, commit, resolved};

/// What the channel is told, with the seconds at which it was.
pub(crate) type Told = Arc<Mutex<Vec<(i64, String)>>>;

/// How the channel answers at a second: status and body.
pub(crate) type Answer = Arc<dyn Fn(i64) -> (u16, &'static str) + Send + Sync>;

/// A channel on loopback, the lane to it, and a clock that moves by hand.
pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) store: Arc<SqlStore>,
    pub(crate) clock: ManualClock,
    pub(crate) settings: ReceiverSettings,
    pub(crate) renderer: Arc<Renderer>,
    pub(crate) lane: Lane<SqlStore, AnyNotifier>,
    /// All that arrived, whatever was answered.
    pub(crate) calls: Told,
    /// What was taken.
    pub(crate) told: Told,
    pub(crate) generation: i64,
    pub(crate) now: i64,
}

pub(crate) fn lane(
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
    pub(crate) async fn new(kind: &str, answer: impl Fn(i64) -> (u16, &'static str) + Send + Sync + 'static) -> World {
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
    pub(crate) async fn fire(&mut self, alerts: Vec<Alert>) {
        let deliveries = alerts.iter().map(|alert| self.pending(alert, MessageKind::AlertFiring)).collect();
        self.commit(PollCommit { fired: alerts, deliveries, ..commit(self.generation) }).await;
    }

    /// Alerts end.
    pub(crate) async fn resolve(&mut self, alerts: Vec<Alert>) {
        let changed: Vec<Alert> = alerts.into_iter().map(|alert| resolved(alert, at(self.now))).collect();
        let deliveries = changed.iter().map(|alert| self.pending(alert, MessageKind::AlertResolved)).collect();
        self.commit(PollCommit { changed, deliveries, ..commit(self.generation) }).await;
    }

    pub(crate) async fn commit(&mut self, commit: PollCommit) {
        self.store.commit_poll(&PollCommit { now: at(self.now), known_rules: None, ..commit }).await.unwrap();
        self.generation += 1;
    }

    pub(crate) fn pending(&self, alert: &Alert, kind: MessageKind) -> Notification {
        let receiver = &self.settings.id;
        let message = match kind {
            MessageKind::AlertResolved => resolved_message(alert, at(self.now)),
            _ => firing_message(alert, at(self.now)),
        };
        let content = self.renderer.render(&message).content;
        let firing = delivery_id(&alert.id, receiver, MessageKind::AlertFiring);
        let pending =
            Notification::new(delivery_id(&alert.id, receiver, kind), receiver.clone(), kind, content, at(self.now));
        Notification {
            alert: Some(alert.id.clone()),
            rule: Some(alert.rule.clone()),
            severity: Some(alert.facts.alert.severity),
            follows: (kind == MessageKind::AlertResolved).then_some(firing),
            ..pending
        }
    }

    /// The next pass, `seconds` later.
    pub(crate) async fn pass(&mut self, seconds: i64) -> Progress {
        self.now += seconds;
        self.clock.set(at(self.now));
        self.lane.attempt_due(at(self.now)).await.unwrap()
    }

    /// Passes until nothing is pending any more; none of it may take longer than until the second `end`.
    pub(crate) async fn run_dry(&mut self, step: i64, end: i64) {
        self.pass(0).await;
        while self.store.next_due(&self.settings.id, at(self.now)).await.unwrap().is_some() {
            assert!(self.now < end, "still pending: {:?}", self.still_pending().await);
            self.pass(step).await;
        }
    }

    pub(crate) async fn still_pending(&self) -> Vec<String> {
        let all = self.store.deliveries(20_000).await.unwrap();
        all.iter().filter(|one| one.state == DeliveryState::Pending).take(5).map(|one| format!("{one:?}")).collect()
    }

    /// The seconds of the messages that name `name`.
    pub(crate) fn told_at(&self, name: &str) -> Vec<i64> {
        self.told.lock().unwrap().iter().filter(|(_, body)| body.contains(name)).map(|(second, _)| *second).collect()
    }

    /// Each of the names stands in one message, and every delivery is delivered or part of one that is.
    pub(crate) async fn assert_told_once(&self, names: impl Iterator<Item = String>) {
        let told: Vec<String> = self.told.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for body in &told {
            // Names are words: a job_ with digits. A line break in JSON ends a word.
            let body = body.replace("\\n", " ");
            let words: BTreeSet<String> = body
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .filter(|word| word.starts_with("job_"))
                .map(str::to_string)
                .collect();
            for word in words {
                *counts.entry(word).or_default() += 1;
            }
        }
        let mut all = 0;
        for name in names {
            assert_eq!(counts.get(&name), Some(&1), "{name}");
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
    pub(crate) fn most_in_a_minute(&self) -> usize {
        let calls = self.calls.lock().unwrap();
        let within = |first: i64| calls.iter().filter(|(at, _)| (first..=first + 60).contains(at)).count();
        calls.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
    }
}

/// A vendor: notes what arrives, and answers as it is told. Returns where it is.
pub(crate) async fn channel(clock: &ManualClock, calls: &Told, told: &Told, answer: Answer) -> String {
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

pub(crate) fn receiver(place: &Place, kind: &str, base: &str) -> ReceiverSettings {
    let path = place.directory.path().join("rules.yaml");
    let text = format!(
        "version: 1\nsources:\n  s: {{ type: dataarts, region: r, project_id: p, auth: {{ token: t }} }}\nreceivers:\n  \
         pager: {{ type: {kind}, webhook_url: \"{base}/hook\" }}\n"
    );
    std::fs::write(&path, text).unwrap();
    Config::load(&path, &LoadOptions { offline: false }).unwrap().config.receivers.remove(0)
}

pub(crate) fn name(number: usize) -> String {
    format!("job_{number:05}")
}

pub(crate) fn numbered(from: usize, count: usize, severity: Severity) -> Vec<Alert> {
    let one = |number: usize| {
        let mut alert = alert(&format!("a{number:05}"), &name(number));
        alert.facts.alert.severity = severity;
        alert.receivers = vec![ReceiverId::new("pager")];
        alert
    };
    (from..from + count).map(one).collect()
}
