//! Nightbell watching itself, on a real store: what is told of sources, receivers and the configuration, when, to whom
//! and how often. Time is moved by hand.

mod golden;
mod heart;
mod random;
mod unwatched;

pub(crate) use self::golden::messages;

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use nightbell::config::{Config, LoadOptions};
use nightbell::metrics::Metrics;
use nightbell::model::{
    Alert, AlertState, Attempt, AttemptOutcome, Concerns, Delivery, DeliveryId, DeliveryState, EndReason, GapCause,
    GapPart, Notification, RuleId, SourcePart,
};
use nightbell::notify::Renderer;
use nightbell::rule::Muting;
use nightbell::store::{
    Archive as _, Deliveries as _, Desk as _, FallbackDeliveries as _, KnownReceiver, NewSilence, Outbox as _,
    OwnAlerts as _, OwnCommit, PollCommit, PollLedger as _, Settled, SqlStore,
};
use nightbell::worker::own::{Outdated, OwnWatch, Reloads};
use nightbell::worker::pending::{Receiver, Receivers};
use nightbell::worker::turn::{Failing, Statuses};

use super::sample::{Place, at, commit, covered, delivery, metrics_text, source};

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

const FILE: &str = "version: 1\nsources:\n  warehouse: { type: dataarts, region: r, project_id: p, auth: { token: { env: T } } }\n\
    receivers:\n  oncall: { type: webhook, url: 'http://127.0.0.1:1/a' }\n  team: { type: webhook, url: 'http://127.0.0.1:1/b' }\n  \
    mail: { type: email, smtp_url: 'smtp+plain://127.0.0.1:1', from: a@example.com, to: [b@example.com] }\nrules: {}\n";

pub(crate) fn config(own: &str) -> Config {
    let options = LoadOptions { offline: true };
    let loaded = Config::from_text(format!("{FILE}{own}\n"), "test", Path::new(""), &options);
    loaded.unwrap_or_else(|problem| panic!("{problem}")).config
}

/// A store, and what watches it.
struct World {
    store: Arc<SqlStore>,
    config: Config,
    watch: OwnWatch<SqlStore>,
    generation: i64,
    told: usize,
    _place: Place,
}

pub(crate) fn watch(config: &Config, store: &Arc<SqlStore>, started_at: Timestamp) -> OwnWatch<SqlStore> {
    let receivers: Receivers =
        config.receivers.iter().map(|settings| Receiver::new(settings, Renderer::open(settings).unwrap())).collect();
    OwnWatch {
        watch: config.watch.clone(),
        sources: vec![SourcePart { id: source(), kind: "dataarts".into() }],
        store: Arc::clone(store),
        receivers: Arc::new(receivers),
        muting: Muting::new(Arc::clone(&config.mute_windows)),
        started_at,
        reloads: Reloads::default(),
        statuses: Statuses::default(),
        metrics: Metrics::default(),
        outdated: Outdated::default(),
    }
}

impl World {
    async fn open(own: &str) -> World {
        let place = Place::new();
        let (store, config) = (Arc::new(place.open().await), config(own));
        let watch = watch(&config, &store, at(0));
        World { store, config, watch, generation: 0, told: 0, _place: place }
    }

    /// Another process on the same store.
    fn restart(&mut self, now: Timestamp) {
        self.watch = watch(&self.config, &self.store, now);
    }

    async fn unreadable(&self, now: Timestamp, why: &str) {
        self.store.record_unreadable(&source(), now, why).await.unwrap();
    }

    async fn readable(&mut self, now: Timestamp, incomplete: Option<&str>) {
        let incomplete = incomplete.map(str::to_string);
        let poll = PollCommit { now, covered: covered(now), incomplete, ..commit(self.generation) };
        self.store.commit_poll(&poll).await.unwrap();
        self.generation += 1;
    }

    async fn gap(&self, cause: GapCause, from: Timestamp, until: Timestamp, now: Timestamp) {
        let gap = GapPart {
            source: source(),
            cause,
            from,
            until: Some(until),
            reason: "it was out".into(),
            runs: None,
            failed: None,
        };
        self.store.record_gap(&gap, now).await.unwrap();
    }

    /// An attempt to send `receiver` something that is made for it ends.
    async fn attempt(&self, id: &str, receiver: &str, number: u32, ended: Timestamp, attempt: Attempt) {
        let state = match attempt.outcome {
            AttemptOutcome::Delivered => DeliveryState::Delivered,
            AttemptOutcome::Rejected => DeliveryState::Dead,
            _ => DeliveryState::Pending,
        };
        if number == 1 {
            let deliveries = vec![Notification { due_at: ended, ..delivery(id, receiver) }];
            let own = OwnCommit { now: ended, fired: vec![], changed: vec![], deliveries };
            self.store.commit_own(&own).await.unwrap();
        }
        self.store.settle(&[settled(id, number, ended, attempt, state)]).await.unwrap();
    }

    /// What is told when it looks at `now`, as "receiver kind rule: summary".
    async fn look(&mut self, now: Timestamp) -> Vec<String> {
        self.watch.pass(now).await.unwrap();
        // Looking again tells nothing.
        assert_eq!(self.watch.pass(now).await.unwrap(), 0);
        let mut all: Vec<Delivery> = self.store.deliveries(1000).await.unwrap();
        all.retain(|one| one.rule.is_some());
        let news = all.len() - self.told;
        self.told = all.len();
        // The newest come first.
        let mut told: Vec<String> = all.iter().take(news).map(line).collect();
        told.sort();
        told
    }

    async fn alerts(&self) -> Vec<Alert> {
        self.store.alerts(1000).await.unwrap()
    }
}

fn line(one: &Delivery) -> String {
    let said = match one.content.parts.get("subject") {
        Some(subject) => subject.clone(),
        None => {
            let body: serde_json::Value = serde_json::from_str(one.content.part("body")).unwrap();
            body["data"]["alert"]["summary"].as_str().unwrap().to_string()
        }
    };
    format!("{} {} {}: {said}", one.receiver, one.kind, one.rule.as_ref().unwrap())
}

fn settled(id: &str, number: u32, ended: Timestamp, attempt: Attempt, state: DeliveryState) -> Settled {
    Settled {
        id: DeliveryId::new(id),
        attempt_number: number,
        started_at: ended,
        ended_at: ended,
        last_error: attempt.error.clone(),
        attempt,
        state,
        next_attempt_at: (state == DeliveryState::Pending).then_some(ended + SignedDuration::from_hours(1)),
        patience_spent: std::time::Duration::ZERO,
    }
}

fn refused() -> Attempt {
    Attempt::failed(AttemptOutcome::Unauthorized, Some("401".into()), "answered 401: no_token")
}

fn busy() -> Attempt {
    Attempt::failed(AttemptOutcome::Retry, Some("503".into()), "answered 503")
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[tokio::test]
async fn an_unreadable_source_is_told_once_after_fifteen_minutes_and_its_return_once_over_restarts() {
    let mut world = World::open("self: { notify: [oncall, mail] }").await;
    world.readable(at(0), None).await;
    world.unreadable(at(MINUTE), "HTTP 401").await;
    assert_eq!(world.look(at(15 * MINUTE)).await, nothing());
    world.unreadable(at(15 * MINUTE), "HTTP 403").await;
    let said = "source warehouse has been unreadable for 15m 0s; the state of its jobs is unknown";
    let told = world.look(at(16 * MINUTE)).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("mail alert.firing self/source-unreadable: [ERROR] source warehouse"), "{told:?}");
    assert_eq!(told[1], format!("oncall alert.firing self/source-unreadable: {said}"));
    let alert = &world.alerts().await[0];
    assert_eq!((alert.facts.alert.starts_at, alert.source.clone()), (at(MINUTE), source()));
    assert_eq!(alert.facts.alert.measures.error.as_deref(), Some("HTTP 403"));
    let counted = metrics_text(&world.watch.metrics);
    let begun = "nightbell_alerts_total{rule=\"self/source-unreadable\",severity=\"error\"} 1\n";
    assert!(counted.contains(begun), "{counted}");

    // Nobody has asked it yet after the restart: it may be as it was.
    world.restart(at(HOUR));
    assert_eq!(world.look(at(HOUR)).await, nothing());
    world.unreadable(at(HOUR), "HTTP 401").await;
    assert_eq!(world.look(at(HOUR + 1)).await, nothing());
    world.readable(at(2 * HOUR), None).await;
    world.restart(at(2 * HOUR));
    // A mailbox wants no ends, unless it says so.
    let over = "oncall alert.resolved self/source-unreadable: source warehouse can be read again after 1h 59m; \
                what happened meanwhile is reported now";
    assert_eq!(world.look(at(2 * HOUR)).await, [over]);

    // A later outage is another episode.
    world.unreadable(at(3 * HOUR), "no answer").await;
    assert_eq!(world.look(at(4 * HOUR)).await.len(), 2);
    assert_eq!(world.alerts().await.len(), 2);
}

#[tokio::test]
async fn one_that_came_back_between_two_looks_and_went_again_has_two_episodes() {
    let mut world = World::open("self: { notify: [oncall], unreadable_after: 1m }").await;
    world.unreadable(at(0), "no answer").await;
    assert_eq!(world.look(at(MINUTE)).await.len(), 1);
    world.readable(at(2 * MINUTE), None).await;
    world.unreadable(at(3 * MINUTE), "no answer").await;
    let told = world.look(at(3 * MINUTE)).await;
    assert!(told.len() == 1 && told[0].contains("can be read again after 3m 0s"), "{told:?}");
    let told = world.look(at(4 * MINUTE)).await;
    assert!(told.len() == 1 && told[0].starts_with("oncall alert.firing"), "{told:?}");
}

/// Started into an outage: what the store says of the time before counts only once it is found to be so still.
#[tokio::test]
async fn a_source_that_was_out_before_the_stop_is_told_when_it_still_is() {
    let mut world = World::open("self: { notify: [oncall] }").await;
    world.unreadable(at(0), "no answer").await;
    world.restart(at(3 * HOUR));
    assert_eq!(world.look(at(3 * HOUR)).await, nothing());
    world.unreadable(at(3 * HOUR), "no answer").await;
    let told = world.look(at(3 * HOUR)).await;
    assert!(told.len() == 1 && told[0].contains("unreadable for 3h 0m;"), "{told:?}");
    let back = World::open("self: { notify: [oncall] }").await;
    back.unreadable(at(0), "no answer").await;
    let mut back = back;
    back.restart(at(3 * HOUR));
    back.readable(at(3 * HOUR), None).await;
    assert_eq!(back.look(at(3 * HOUR)).await, nothing());
}

#[tokio::test]
async fn two_that_look_at_the_same_store_tell_it_once() {
    let world = World::open("self: { notify: [oncall, team] }").await;
    world.unreadable(at(0), "no answer").await;
    let mut watches: Vec<_> = (0..4).map(|_| watch(&world.config, &world.store, at(0))).collect();
    let passes = watches.iter_mut().map(|watch| watch.pass(at(HOUR)));
    for outcome in futures_util::future::join_all(passes).await {
        outcome.unwrap();
    }
    assert_eq!((world.alerts().await.len(), world.store.deliveries(99).await.unwrap().len()), (1, 2));
}

#[tokio::test]
async fn a_receiver_that_refuses_is_told_to_the_others_once_and_its_next_success_ends_it() {
    let mut world = World::open("self: { notify: [oncall, team] }").await;
    world.attempt("d1", "oncall", 1, at(0), refused()).await;
    assert_eq!(world.look(at(59)).await, nothing());
    let said = "team alert.firing self/receiver-dead: messages do not reach receiver oncall";
    assert_eq!(world.look(at(MINUTE)).await, [said]);
    // More of the same is the same outage, also to another process.
    for number in 2..5 {
        world.attempt("d1", "oncall", number, at(i64::from(number) * HOUR), refused()).await;
    }
    let gone = Attempt::failed(AttemptOutcome::Rejected, Some("404".into()), "answered 404: no_service");
    world.attempt("d2", "oncall", 1, at(5 * HOUR), gone).await;
    world.restart(at(5 * HOUR));
    assert_eq!(world.look(at(5 * HOUR)).await, nothing());
    let facts = world.alerts().await[0].facts.clone();
    assert_eq!((facts.source.id.as_str(), facts.job.name.as_str()), ("nightbell", "oncall"));
    world.attempt("d3", "oncall", 1, at(6 * HOUR), Attempt::delivered("200")).await;
    let over = "team alert.resolved self/receiver-dead: messages reach receiver oncall again after 6h 0m";
    assert_eq!(world.look(at(6 * HOUR)).await, [over]);
}

#[tokio::test]
async fn what_may_mend_itself_is_told_after_fifteen_minutes_and_what_came_right_in_between_is_not() {
    let mut world = World::open("self: { notify: [team] }").await;
    world.attempt("d1", "oncall", 1, at(0), busy()).await;
    world.attempt("d2", "mail", 1, at(0), busy()).await;
    world.attempt("d3", "mail", 1, at(MINUTE), Attempt::delivered("250")).await;
    assert_eq!(world.look(at(14 * MINUTE)).await, nothing());
    assert_eq!(world.look(at(15 * MINUTE)).await.len(), 1);
    // One message of many that is refused is that message's trouble.
    let bad = Attempt::failed(AttemptOutcome::Rejected, Some("400".into()), "answered 400: invalid_blocks");
    world.attempt("d4", "mail", 1, at(HOUR), bad).await;
    world.attempt("d5", "mail", 1, at(HOUR + 30), Attempt::delivered("250")).await;
    assert_eq!(world.look(at(2 * HOUR)).await, nothing());
}

/// One message that is rejected, however long nothing else is sent, was taken for a dead receiver until the next success.
#[tokio::test]
async fn a_single_message_that_is_rejected_is_not_the_receivers_fault() {
    let mut world = World::open("self: { notify: [team] }").await;
    let bad = || Attempt::failed(AttemptOutcome::Rejected, Some("400".into()), "answered 400: invalid_blocks");
    world.attempt("poison", "oncall", 1, at(0), bad()).await;
    assert_eq!(world.look(at(HOUR)).await, nothing());
    world.attempt("other", "mail", 1, at(0), bad()).await;
    // An outage that begins later began then.
    world.attempt("d2", "mail", 1, at(2 * HOUR), busy()).await;
    assert_eq!(world.look(at(2 * HOUR + 14 * MINUTE)).await, nothing());
    world.attempt("d3", "mail", 1, at(2 * HOUR + 14 * MINUTE), Attempt::delivered("250")).await;
    // It rejects whatever it is sent.
    world.attempt("d4", "oncall", 1, at(3 * HOUR), bad()).await;
    let said = "team alert.firing self/receiver-dead: messages do not reach receiver oncall";
    assert_eq!(world.look(at(3 * HOUR + MINUTE)).await, [said]);
    world.attempt("d5", "oncall", 1, at(4 * HOUR), Attempt::delivered("200")).await;
    assert_eq!(world.look(at(4 * HOUR)).await.len(), 1);
    world.attempt("d6", "oncall", 1, at(5 * HOUR), bad()).await;
    assert_eq!(world.look(at(9 * HOUR)).await, nothing(), "it counts anew after a success");
}

/// A loop that goes on failing is an alert, until it works again; what the heartbeat says outside is not told again here.
#[tokio::test]
async fn a_loop_that_has_failed_for_ten_minutes_is_told_once_and_its_recovery_once() {
    let mut world = World::open("self: { notify: [team] }").await;
    let failing = Some(Failing { since: at(0), error: "it panicked (this is a bug)".into() });
    let published = ["escalation", "heartbeat"].map(|name| world.watch.statuses.publisher(name));
    published.iter().for_each(|one| one.publish(|status| status.failing = failing.clone()));
    assert_eq!(world.look(at(9 * MINUTE)).await, nothing());
    let said = "team alert.firing self/loop-failing: the escalation loop of Nightbell has not worked for 10m 0s";
    assert_eq!(world.look(at(10 * MINUTE)).await, [said]);
    published.iter().for_each(|one| one.publish(|status| status.failing = None));
    let over = "team alert.resolved self/loop-failing: the escalation loop of Nightbell works again after 15m 0s";
    assert_eq!(world.look(at(15 * MINUTE)).await, [over]);
}

/// Whoever is dead is not told of it, and that nobody is stands in the store.
#[tokio::test]
async fn the_only_receiver_is_not_told_that_it_is_dead() {
    let mut world = World::open("self: { notify: [oncall] }").await;
    world.attempt("d1", "oncall", 1, at(0), refused()).await;
    assert_eq!(world.look(at(HOUR)).await, nothing());
    let alerts = world.alerts().await;
    assert_eq!((alerts.len(), alerts[0].receivers.len(), alerts[0].state()), (1, 0, AlertState::Firing));
}

/// What one transaction settles is taken in the order in which it happened.
#[tokio::test]
async fn outcomes_that_are_settled_together_count_in_the_order_of_their_ends() {
    let world = World::open("").await;
    let deliveries = ["a", "b", "c"].map(|id| delivery(id, "oncall")).to_vec();
    let own = OwnCommit { now: at(0), fired: vec![], changed: vec![], deliveries };
    world.store.commit_own(&own).await.unwrap();
    let of = |id, seconds, attempt, state| settled(id, 1, at(seconds), attempt, state);
    let failed = of("a", 3, busy(), DeliveryState::Pending);
    let arrived = of("b", 2, Attempt::delivered("200"), DeliveryState::Delivered);
    let refused = of("c", 1, refused(), DeliveryState::Pending);
    let batch = [failed, arrived, refused];
    for _ in 0..2 {
        world.store.settle(&batch).await.unwrap();
        let health = world.store.own_state(at(0)).await.unwrap().health;
        assert_eq!(health.len(), 1);
        // The refusal came before the success, and says nothing any more.
        assert_eq!((health[0].since, health[0].is_lasting, health[0].error.as_str()), (at(3), false, "answered 503"));
    }
}

#[tokio::test]
async fn a_listing_in_part_is_one_episode_also_over_a_time_in_which_there_was_none() {
    let mut world = World::open("self: { notify: [oncall], source_unreadable: false }").await;
    world.readable(at(0), Some("3 of 5 instances could be read")).await;
    assert_eq!(world.look(at(14 * MINUTE)).await, nothing());
    world.readable(at(15 * MINUTE), Some("3 of 5 instances could be read")).await;
    let said = "oncall alert.firing self/source-incomplete: source warehouse has been read only in part for 15m 0s";
    assert_eq!(world.look(at(15 * MINUTE)).await, [said]);
    world.unreadable(at(HOUR), "no answer").await;
    assert_eq!(world.look(at(HOUR)).await, nothing());
    world.readable(at(2 * HOUR), Some("4 of 5 instances could be read")).await;
    assert_eq!(world.look(at(2 * HOUR)).await, nothing());
    world.readable(at(3 * HOUR), None).await;
    let over = "oncall alert.resolved self/source-incomplete: source warehouse is read completely again after 3h 0m";
    assert_eq!(world.look(at(3 * HOUR)).await, [over]);
}

#[tokio::test]
async fn what_can_no_longer_be_read_is_told_once_as_over() {
    let mut world = World::open("self: { notify: [oncall] }").await;
    world.gap(GapCause::Lost, at(-48 * HOUR), at(-36 * HOUR), at(0)).await;
    world.readable(at(0), Some("what was lost")).await;
    let told = world.look(at(0)).await;
    let said = "oncall alert.firing self/source-incomplete: source warehouse was not read for 12h 0m, and that time can no longer be read";
    assert_eq!(told, [said]);
    let alert = &world.alerts().await[0];
    assert_eq!((alert.state(), alert.facts.alert.ends_at), (AlertState::Resolved, Some(at(-36 * HOUR))));
    world.restart(at(MINUTE));
    world.readable(at(MINUTE), None).await;
    assert_eq!(world.look(at(MINUTE)).await, nothing());
}

#[tokio::test]
async fn a_time_in_which_nobody_asked_is_told_when_it_was_long() {
    let mut world = World::open("self: { notify: [oncall] }").await;
    world.gap(GapCause::Silent, at(-2 * MINUTE), at(0), at(0)).await;
    world.readable(at(0), None).await;
    assert_eq!(world.look(at(0)).await, nothing());
    world.gap(GapCause::Silent, at(0), at(2 * HOUR), at(2 * HOUR)).await;
    world.readable(at(2 * HOUR), None).await;
    let told = world.look(at(2 * HOUR)).await;
    assert!(told.len() == 1 && told[0].contains("source warehouse was not polled for 2h 0m"), "{told:?}");
}

#[tokio::test]
async fn a_configuration_is_refused_once_until_one_is_accepted() {
    let mut world = World::open("self: { notify: [oncall] }").await;
    world.watch.reloads.accepted();
    assert_eq!(world.look(at(0)).await, nothing());
    world.watch.reloads.refused("rules.yaml:3:1: unknown key \"sourcs\"", at(1));
    let told = world.look(at(1)).await;
    assert!(told.len() == 1 && told[0].contains("the changed configuration was refused"), "{told:?}");
    world.watch.reloads.refused("rules.yaml:4:1: another mistake", at(2));
    assert_eq!(world.look(at(2)).await, nothing());
    world.watch.reloads.accepted();
    let over = "oncall alert.resolved self/reload-refused: the configuration is accepted again after 1m 0s";
    assert_eq!(world.look(at(61)).await, [over]);
    world.watch.reloads.refused("rules.yaml:4:1: another mistake", at(70));
    assert_eq!(world.look(at(70)).await.len(), 1);
    // Whoever starts has accepted the file.
    world.restart(at(80));
    assert_eq!(world.look(at(80)).await.len(), 1);
}

#[tokio::test]
async fn a_silence_holds_it_back_and_what_still_fires_is_told_then() {
    let mut world = World::open("self: { notify: [oncall] }").await;
    let concerns = Concerns { rules: vec![RuleId::new("self/*")], ..Concerns::default() };
    let new = NewSilence { concerns, reason: "moving".into(), by: "li".into(), ends_at: at(HOUR) };
    world.store.add_silence(&new, at(0)).await.unwrap();
    world.unreadable(at(0), "no answer").await;
    assert_eq!(world.look(at(20 * MINUTE)).await, nothing());
    assert_eq!(world.alerts().await[0].suppressed_by.as_ref().unwrap().to_string(), "silence:1");
    world.restart(at(30 * MINUTE));
    assert_eq!(world.look(at(30 * MINUTE)).await, nothing());
    let told = world.look(at(HOUR)).await;
    assert!(told.len() == 1 && told[0].ends_with("(held back until now by silence 1 of li: moving)"), "{told:?}");
    world.unreadable(at(HOUR + 1), "no answer").await;
    assert_eq!(world.look(at(HOUR + 2)).await, nothing());
}

/// Without `self:` everything is recorded, and nobody is pending anything.
#[tokio::test]
async fn without_anybody_to_tell_it_is_recorded() {
    let mut world = World::open("").await;
    world.unreadable(at(0), "no answer").await;
    world.attempt("d1", "oncall", 1, at(0), refused()).await;
    assert_eq!(world.look(at(HOUR)).await, nothing());
    assert_eq!(world.alerts().await.len(), 2);
}

/// What is not watched any more is suspended, and ended without a word before: incidents stayed open for ever.
#[tokio::test]
async fn what_is_turned_off_or_gone_from_the_file_ends_as_unwatched_after_ten_minutes() {
    let mut world = World::open("self: { notify: [oncall] }").await;
    world.unreadable(at(0), "no answer").await;
    world.attempt("d1", "team", 1, at(0), refused()).await;
    assert_eq!(world.look(at(HOUR)).await.len(), 2);
    world.config = config("self: { notify: [oncall], source_unreadable: false, receiver_dead: false }");
    world.restart(at(HOUR));
    world.unreadable(at(HOUR), "no answer").await;
    assert_eq!(world.look(at(HOUR)).await, nothing());
    assert_eq!(world.look(at(HOUR + 9 * MINUTE)).await, nothing());
    assert!(world.alerts().await.iter().all(|alert| alert.state() == AlertState::Firing));
    assert_eq!(world.look(at(HOUR + 10 * MINUTE)).await.len(), 2);
    let reasons = world.alerts().await.into_iter().map(|alert| alert.facts.alert.ended.unwrap().reason);
    assert!(reasons.collect::<Vec<_>>().iter().all(|reason| *reason == EndReason::Unwatched));
    let mut world = World::open("self: { notify: [oncall] }").await;
    world.unreadable(at(0), "no answer").await;
    assert_eq!(world.look(at(HOUR)).await.len(), 1);
    let sources = std::mem::take(&mut world.watch.sources);
    assert_eq!(world.look(at(2 * HOUR)).await, nothing());
    // It is back within the time, and goes on.
    world.watch.sources = sources;
    world.look(at(2 * HOUR + 9 * MINUTE)).await;
    assert_eq!(world.alerts().await[0].suspended_at, None);
    world.watch.sources.clear();
    assert_eq!(world.look(at(3 * HOUR)).await, nothing());
    assert_eq!(world.look(at(3 * HOUR + 10 * MINUTE)).await.len(), 1);
}

/// A poll knows nothing of them: it would end what no rule of its file began.
#[tokio::test]
async fn polls_leave_them_alone() {
    let mut world = World::open("self: { notify: [oncall] }").await;
    world.unreadable(at(0), "no answer").await;
    world.look(at(HOUR)).await;
    assert!(world.store.load_source(&source()).await.unwrap().firing.is_empty());
    assert_eq!(world.store.own_state(at(0)).await.unwrap().firing.len(), 1);
}

/// A receiver is renamed while something is pending for it: that can never arrive, and the others hear of it.
#[tokio::test]
async fn what_is_lost_with_a_receiver_that_is_gone_from_the_file_is_told_to_the_others() {
    let mut world = World::open("self: { notify: [oncall, team] }").await;
    let known = |ids: &[&str]| -> Vec<KnownReceiver> {
        ids.iter().map(|id| KnownReceiver { id: (*id).into(), fallback: None }).collect()
    };
    world.store.keep_receivers(&known(&["oncall", "team", "renamed"]), None, at(0)).await.unwrap();
    let deliveries = vec![delivery("d1", "renamed")];
    world.store.commit_own(&OwnCommit { now: at(0), fired: vec![], changed: vec![], deliveries }).await.unwrap();
    assert_eq!(world.look(at(HOUR)).await, nothing());
    world.store.keep_receivers(&known(&["oncall", "team"]), None, at(HOUR)).await.unwrap();
    let told = world.look(at(HOUR + MINUTE)).await;
    let said =
        |receiver: &str| format!("{receiver} alert.firing self/receiver-dead: messages do not reach receiver renamed");
    assert_eq!(told, [said("oncall"), said("team")]);
}
