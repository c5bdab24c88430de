//! Groups: what is told together on purpose. Seconds pass by hand; wait, interval and repeat are those of the rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nightbell::model::{
    Ack, Alert, AlertId, Delivery, DeliveryState, MessageKind, Notification, RuleId, Severity, SourceId,
};
use nightbell::notify::Renderer;
use nightbell::rule::{GroupBy, Grouping, Muting};
use nightbell::store::{Deliveries as _, Desk as _, FallbackDeliveries as _, NewSilence, Outbox as _, PollCommit};
use nightbell::worker::budget::Budget;
use nightbell::worker::pending::{Receiver, Receivers};
use nightbell::worker::remind::Reminders;
use proptest::prelude::*;

use super::super::sample::{at, commit, resolved};
use super::flood::{World, lane, name, numbered};
use super::states;

const WAIT: i64 = 30;
const INTERVAL: i64 = 300;
const REPEAT: i64 = 4 * 3600;

fn grouping(by: &[GroupBy]) -> Grouping {
    let span = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
    Grouping { by: by.iter().copied().collect(), wait: span(WAIT), interval: span(INTERVAL), repeat: None }
}

fn errors(from: usize, count: usize) -> Vec<Alert> {
    numbered(from, count, Severity::Error)
}

async fn world() -> World {
    World::new("slack", |_| (200, "ok")).await
}

impl World {
    fn grouped(&self, alert: &Alert, kind: MessageKind, grouping: &Grouping) -> Notification {
        let (group, due) = grouping.place(&alert.facts, at(self.now));
        Notification { group: Some(group), due_at: due, ..self.pending(alert, kind) }
    }

    async fn fire_into(&mut self, grouping: &Grouping, alerts: Vec<Alert>) {
        let deliveries = alerts.iter().map(|alert| self.grouped(alert, MessageKind::AlertFiring, grouping)).collect();
        self.commit(PollCommit { fired: alerts, deliveries, ..commit(self.generation) }).await;
    }

    async fn resolve_into(&mut self, grouping: &Grouping, alerts: Vec<Alert>) {
        let changed: Vec<Alert> = alerts.into_iter().map(|alert| resolved(alert, at(self.now))).collect();
        let deliveries =
            changed.iter().map(|alert| self.grouped(alert, MessageKind::AlertResolved, grouping)).collect();
        self.commit(PollCommit { changed, deliveries, ..commit(self.generation) }).await;
    }

    /// A pass whenever something is due, and one at `second`.
    async fn until(&mut self, second: i64) {
        while self.now < second {
            let due = self.store.next_due(&self.settings.id, at(self.now)).await.unwrap();
            let due = due.map_or(second, |due| due.duration_since(at(0)).as_secs());
            let next = due.clamp(self.now + 1, second);
            self.pass(next - self.now).await;
        }
    }

    /// The process ends, and another one opens the store.
    async fn restarted(self) -> World {
        let World { place, store, clock, settings, renderer, lane: old, calls, told, generation, now } = self;
        drop(old);
        store.close().await;
        drop(store);
        let store = Arc::new(place.open().await);
        let lane = lane(&store, &settings, &renderer, &clock);
        World { place, store, clock, settings, renderer, lane, calls, told, generation, now }
    }

    /// From here on nothing but groups holds up a message.
    fn lift_limit(&mut self) {
        self.lane = lane(&self.store, &self.settings, &self.renderer, &self.clock)
            .within(Budget::unlimited(), Arc::clone(&self.renderer));
    }

    /// When each message went, and how many alerts it names.
    fn messages(&self) -> Vec<(i64, usize)> {
        self.told.lock().unwrap().iter().map(|(second, body)| (*second, jobs(body).len())).collect()
    }

    fn reminders(&self) -> Reminders<nightbell::store::SqlStore> {
        let receiver = Receiver::new(&self.settings, Arc::clone(&self.renderer)).woken_by(self.lane.nudge());
        Reminders {
            store: Arc::clone(&self.store),
            receivers: Arc::new(Receivers::from_iter([receiver])),
            muting: Muting::new(Arc::default()),
            is_wanted: true,
        }
    }
}

/// The jobs that a message names.
fn jobs(body: &str) -> BTreeSet<&str> {
    // A line break in JSON ends a word.
    let words = body.split("\\n").flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    words.filter(|word| word.starts_with("job_")).collect()
}

#[tokio::test]
async fn the_first_waits_and_others_join_it() {
    let (mut world, all) = (world().await, grouping(&[]));
    world.fire_into(&all, errors(0, 1)).await;
    world.until(10).await;
    world.fire_into(&all, errors(1, 3)).await;
    world.until(WAIT - 1).await;
    assert_eq!(world.messages(), []);
    world.until(600).await;
    assert_eq!(world.messages(), [(WAIT, 4)]);
    world.assert_told_once((0..4).map(name)).await;
    let merged = states(&world.store).await.values().filter(|state| state.0 == DeliveryState::Merged).count();
    assert_eq!(merged, 4);
}

#[tokio::test]
async fn one_that_stays_alone_is_told_by_its_own_message() {
    let (mut world, all) = (world().await, grouping(&[]));
    world.fire_into(&all, errors(0, 1)).await;
    world.until(WAIT).await;
    assert_eq!(world.messages(), [(WAIT, 1)]);
    assert!(world.told.lock().unwrap()[0].1.contains("etl-failed"), "the whole message, with the rule's name");
    let states = states(&world.store).await;
    assert_eq!(states.values().collect::<Vec<_>>(), [&(DeliveryState::Delivered, 1)]);
}

#[tokio::test]
async fn a_group_is_told_at_most_once_in_its_interval() {
    let (mut world, all) = (world().await, grouping(&[]));
    world.fire_into(&all, errors(0, 2)).await;
    world.until(40).await;
    world.fire_into(&all, errors(2, 1)).await;
    world.until(200).await;
    world.fire_into(&all, errors(3, 1)).await;
    world.resolve_into(&all, errors(0, 1)).await;
    world.until(WAIT + INTERVAL - 1).await;
    assert_eq!(world.messages(), [(WAIT, 2)]);
    world.until(WAIT + INTERVAL).await;
    assert_eq!(world.messages(), [(WAIT, 2), (WAIT + INTERVAL, 3)]);
    let told = world.told.lock().unwrap()[1].1.clone();
    assert!(told.contains("3 alerts: 2 errors, 1 resolved"), "{told}");
    // What comes after a quiet interval waits as the first one did.
    world.until(1000).await;
    world.fire_into(&all, errors(4, 2)).await;
    world.until(1000 + WAIT - 1).await;
    assert_eq!(world.messages().len(), 2);
    world.until(1000 + WAIT).await;
    assert_eq!(world.messages()[2], (1000 + WAIT, 2));
}

/// Nothing is dropped: who was not told of the beginning hears that it was there, and is over.
#[tokio::test]
async fn what_begins_and_ends_within_the_wait_is_told_once_as_over() {
    let (mut world, all) = (world().await, grouping(&[]));
    world.fire_into(&all, errors(0, 1)).await;
    world.until(10).await;
    world.resolve_into(&all, errors(0, 1)).await;
    world.until(1000).await;
    assert_eq!(world.messages(), [(WAIT, 1)]);
    let body = world.told.lock().unwrap()[0].1.clone();
    assert!(body.contains("RESOLVED") && !body.contains("CRITICAL"), "{body}");
    world.assert_told_once([name(0)].into_iter()).await;
    // The same among others.
    world.fire_into(&all, errors(1, 3)).await;
    world.resolve_into(&all, errors(1, 1)).await;
    world.until(2000).await;
    assert_eq!(world.messages()[1..], [(1000 + WAIT, 3)]);
    assert!(world.told.lock().unwrap()[1].1.contains("3 alerts: 2 errors, 1 resolved"));
    world.assert_told_once((0..4).map(name)).await;
}

/// A receiver that hears of no resolutions is not told that something fires which is over.
#[tokio::test]
async fn what_ends_within_the_wait_is_over_also_for_those_who_hear_of_no_ends() {
    let (mut world, all) = (world().await, grouping(&[]));
    world.fire_into(&all, errors(0, 1)).await;
    let changed = errors(0, 1).into_iter().map(|alert| resolved(alert, at(5))).collect();
    world.commit(PollCommit { changed, ..commit(world.generation) }).await;
    world.until(WAIT).await;
    let body = world.told.lock().unwrap()[0].1.clone();
    assert!(body.contains("RESOLVED"), "{body}");
}

#[tokio::test]
async fn a_restart_keeps_wait_and_interval() {
    let (mut world, all) = (world().await, grouping(&[]));
    world.fire_into(&all, errors(0, 2)).await;
    world.until(20).await;
    let mut world = world.restarted().await;
    world.until(WAIT + 100).await;
    assert_eq!(world.messages(), [(WAIT, 2)]);
    world.fire_into(&all, errors(2, 2)).await;
    world.until(WAIT + 200).await;
    let mut world = world.restarted().await;
    world.until(WAIT + INTERVAL + 100).await;
    assert_eq!(world.messages(), [(WAIT, 2), (WAIT + INTERVAL, 2)]);
    world.assert_told_once((0..4).map(name)).await;
}

#[tokio::test]
async fn each_group_has_its_own_message_and_rules_with_equal_settings_share_one() {
    let (mut world, by_source) = (world().await, grouping(&[GroupBy::Source]));
    let mut alerts = errors(0, 6);
    for alert in &mut alerts[3..] {
        alert.facts.source.id = SourceId::new("elsewhere");
    }
    for alert in &mut alerts[1..2] {
        alert.rule = RuleId::new("another");
        alert.facts.alert.rule = RuleId::new("another");
    }
    world.fire_into(&by_source, alerts).await;
    world.until(600).await;
    assert_eq!(world.messages(), [(WAIT, 3), (WAIT, 3)]);
    let told: Vec<BTreeSet<String>> = world
        .told
        .lock()
        .unwrap()
        .iter()
        .map(|(_, body)| jobs(body).into_iter().map(str::to_string).collect())
        .collect();
    assert!(told.contains(&(0..3).map(name).collect()), "{told:?}");
}

/// The sub-jobs of one real-time job fail one after the other: the first failure is named first.
#[tokio::test]
async fn a_chain_of_failures_is_told_under_its_root() {
    let (mut world, by_root) = (world().await, grouping(&[GroupBy::Root]));
    let mut alerts = errors(0, 4);
    for (alert, began) in alerts.iter_mut().zip([-100, -300, -200, -50]).take(3) {
        alert.facts.job.more.real_time_job = Some("stream_orders".into());
        alert.facts.alert.starts_at = at(began);
    }
    world.fire_into(&by_root, alerts).await;
    world.until(600).await;
    let messages = world.messages();
    assert_eq!(BTreeSet::from_iter(messages.clone()), BTreeSet::from([(WAIT, 3), (WAIT, 1)]));
    let chain = messages.iter().position(|(_, named)| *named == 3).unwrap();
    let body = world.told.lock().unwrap()[chain].1.clone();
    let places: Vec<usize> = [1, 2, 0].map(|number| body.find(&name(number)).unwrap()).to_vec();
    assert!(places.is_sorted(), "{body}");
}

/// Alerts without a group go at once, with the same receiver and beside a group that waits.
#[tokio::test]
async fn what_has_no_group_waits_for_nobody() {
    let (mut world, all) = (world().await, grouping(&[]));
    world.fire_into(&all, errors(0, 2)).await;
    world.fire(errors(2, 1)).await;
    world.until(600).await;
    assert_eq!(world.messages(), [(1, 1), (WAIT, 2)]);
}

/// More than one message can name: all of it goes at once, for all of it has waited.
#[tokio::test]
async fn a_large_group_takes_several_messages_and_loses_nothing() {
    let (mut world, all) = (world().await, grouping(&[]));
    world.lift_limit();
    world.fire_into(&all, errors(0, 1000)).await;
    world.until(WAIT).await;
    world.assert_told_once((0..1000).map(name)).await;
    let messages = world.messages();
    assert!(messages.len() < 30 && messages.iter().all(|(second, _)| *second == WAIT), "{messages:?}");
}

/// One cycle and an end: nobody is there to tell later what waits.
#[tokio::test]
async fn one_cycle_waits_for_nobody_and_tells_together() {
    let (mut world, all) = (world().await, grouping(&[]));
    world.lane = lane(&world.store, &world.settings, &world.renderer, &world.clock).waiting_for_nobody();
    world.fire_into(&all, errors(0, 3)).await;
    let progress = world.pass(0).await;
    assert_eq!((progress.delivered, progress.left_due), (1, 0));
    world.fire_into(&all, errors(3, 1)).await;
    world.pass(1).await;
    assert_eq!(world.messages(), [(0, 3), (1, 1)]);
}

/// While it waits it is not pending, so nobody stands in; from then on the time counts.
#[tokio::test]
async fn a_fallback_does_not_stand_in_for_what_waits_for_its_group() {
    let mut world = World::new("slack", |_| (503, "")).await;
    let all = grouping(&[]);
    world.fire_into(&all, errors(0, 1)).await;
    let receiver = world.settings.id.clone();
    let untold = async |world: &World, second: i64| {
        world.store.undelivered(&receiver, (at(second), at(second)), 10, at(second)).await.unwrap().len()
    };
    world.until(20).await;
    assert_eq!(untold(&world, 20).await, 0);
    world.until(WAIT + 1).await;
    world.fire_into(&all, errors(1, 2)).await;
    assert_eq!(untold(&world, WAIT - 1).await, 0, "it was not pending before");
    assert_eq!(untold(&world, WAIT).await, 1);
    world.until(WAIT + INTERVAL + 1).await;
    assert_eq!(untold(&world, WAIT + INTERVAL - 1).await, 1);
    assert_eq!(untold(&world, WAIT + INTERVAL).await, 3, "what was merged counts as its message");
}

/// The wall clock was set back after the group was told: it is not silent until the clock is there again.
#[tokio::test]
async fn a_clock_that_is_set_back_silences_no_group() {
    let (mut world, all) = (world().await, grouping(&[]));
    world.lift_limit();
    world.now = 100_000;
    world.fire_into(&all, errors(0, 2)).await;
    world.until(100_000 + WAIT).await;
    world.now = 0;
    world.fire_into(&all, errors(2, 2)).await;
    world.until(40).await;
    world.fire_into(&all, errors(4, 1)).await;
    world.until(WAIT + INTERVAL).await;
    assert_eq!(world.messages(), [(100_000 + WAIT, 2), (WAIT, 2), (WAIT + INTERVAL, 1)]);
}

#[tokio::test]
async fn what_still_fires_is_told_again_and_what_is_over_held_or_taken_care_of_is_not() {
    let (mut world, mut all) = (world().await, grouping(&[]));
    all.repeat = Some(Duration::from_secs(REPEAT.unsigned_abs()));
    world.fire_into(&all, errors(0, 5)).await;
    world.until(WAIT).await;
    world.resolve_into(&all, errors(0, 1)).await;
    world.until(WAIT + INTERVAL).await;
    assert_eq!(world.messages(), [(WAIT, 5), (WAIT + INTERVAL, 1)]);
    // The last word was the resolution; from there it counts.
    world.now = WAIT + INTERVAL + REPEAT - 1;
    assert_eq!(world.reminders().pass(at(world.now)).await.unwrap(), 0);
    world.now += 1;
    let ack = Ack { by: "li.wei".into(), reason: None, at: at(world.now) };
    world.store.ack(&[AlertId::new("a00001")], &ack).await.unwrap();
    let concerns = nightbell::model::Concerns { jobs: vec![name(2)], ..Default::default() };
    let silence = NewSilence { concerns, reason: "known".into(), by: "li.wei".into(), ends_at: at(world.now + 60) };
    world.store.add_silence(&silence, at(world.now)).await.unwrap();
    assert_eq!(world.reminders().pass(at(world.now)).await.unwrap(), 1);
    // A process that was killed right then makes the same one, and so none.
    assert_eq!(world.reminders().pass(at(world.now)).await.unwrap(), 0);
    let mut world = world.restarted().await;
    assert_eq!(world.reminders().pass(at(world.now)).await.unwrap(), 0);
    world.pass(0).await;
    let body = world.told.lock().unwrap()[2].1.clone();
    assert_eq!(jobs(&body), BTreeSet::from([name(3).as_str(), name(4).as_str()]));
    assert!(body.contains("Still failing: 2 errors"), "{body}");
    // Once more, as long after; the silence is over by then.
    world.now += REPEAT;
    assert_eq!(world.reminders().pass(at(world.now)).await.unwrap(), 1);
    world.pass(0).await;
    assert_eq!(jobs(&world.told.lock().unwrap()[3].1).len(), 3);
    world.resolve_into(&all, errors(0, 5)).await;
    world.until(world.now + INTERVAL).await;
    assert_eq!(world.reminders().pass(at(world.now + 10 * REPEAT)).await.unwrap(), 0, "all of it is over");
}

#[tokio::test]
async fn nothing_is_told_again_while_the_channel_owes_the_first_message_or_without_repeat() {
    let mut world = World::new("slack", |second| if second < 20_000 { (503, "") } else { (200, "ok") }).await;
    let mut repeated = grouping(&[]);
    world.fire_into(&repeated, errors(0, 2)).await;
    repeated.repeat = Some(Duration::from_secs(REPEAT.unsigned_abs()));
    world.fire_into(&repeated, errors(2, 2)).await;
    world.until(WAIT).await;
    world.now = 16_000;
    assert_eq!(world.reminders().pass(at(world.now)).await.unwrap(), 0);
    world.now = 20_000;
    world.run_dry(60, 40_000).await;
    assert_eq!(world.messages().len(), 2);
    let due = at(world.now + REPEAT);
    assert_eq!(world.reminders().pass(due).await.unwrap(), 1);
    assert_eq!(world.reminders().pass(due).await.unwrap(), 0);
}

/// An episode that was warned of and has run over its deadline has two beginnings pending: the message names it once.
#[tokio::test]
async fn an_alert_with_two_beginnings_is_named_once() {
    let (mut world, all) = (world().await, grouping(&[]));
    let alerts = errors(0, 2);
    world.fire_into(&all, alerts.clone()).await;
    let again = world.grouped(&alerts[0], MessageKind::AlertFiring, &all);
    let id = nightbell::alert::identity::overdue_delivery_id(&alerts[0].id, &world.settings.id);
    let deliveries = vec![Notification { id, ..again }];
    world.commit(PollCommit { deliveries, ..commit(world.generation) }).await;
    world.until(600).await;
    assert_eq!(world.messages(), [(WAIT, 2)]);
    assert!(world.told.lock().unwrap()[0].1.contains("2 errors"));
    world.assert_told_once((0..2).map(name)).await;
}

/// With a bot, what is over answers the group's message, which says from then on what has become of all.
#[tokio::test]
async fn ends_answer_the_message_of_their_group_and_bring_it_up_to_date() {
    let mut world = World::new("slack", |_| (200, "{\"ok\":true,\"channel\":\"C1\",\"ts\":\"1.1\"}")).await;
    let hook = match world.settings.channel.secrets()[0].1 {
        nightbell::secret::SecretRef::Inline(url) => url.expose().trim_end_matches("/hook").to_string(),
        _ => unreachable!(),
    };
    let path = world.place.directory.path().join("rules.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, _) = text.split_once("  pager:").unwrap();
    let bot = format!("{before}  pager: {{ type: slack, bot_token: xoxb-1, channel: C1, api_url: \"{hook}\" }}\n");
    std::fs::write(&path, bot).unwrap();
    let options = nightbell::config::LoadOptions { offline: false };
    world.settings = nightbell::config::Config::load(&path, &options).unwrap().config.receivers.remove(0);
    world.renderer = Arc::new(Renderer::open(&world.settings).unwrap());
    world.lift_limit();
    let all = grouping(&[]);
    world.fire_into(&all, errors(0, 4)).await;
    world.until(WAIT).await;
    world.resolve_into(&all, errors(0, 2)).await;
    world.until(WAIT + INTERVAL).await;
    world.resolve_into(&all, errors(2, 1)).await;
    world.until(WAIT + 2 * INTERVAL).await;
    let calls: Vec<serde_json::Value> =
        world.told.lock().unwrap().iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    let said: Vec<(&str, Option<&str>, Option<&str>)> = calls
        .iter()
        .map(|call| {
            // The names of the first jobs stand behind it.
            let headline = call["text"].as_str().unwrap().split(['(', '·']).next().unwrap().trim();
            (headline, call["ts"].as_str(), call["thread_ts"].as_str())
        })
        .collect();
    assert_eq!(
        said[..4],
        [
            ("🔴 4 errors", None, None),
            ("🔴 4 alerts: 2 errors, 2 resolved", Some("1.1"), None),
            ("✅ 2 alerts resolved", None, Some("1.1")),
            ("🔴 4 alerts: 1 error, 3 resolved", Some("1.1"), None),
        ]
    );
    assert!(said[4].0.starts_with("✅ RESOLVED: job_00002") && said[4].2 == Some("1.1"), "{said:?}");
    assert_eq!(said.len(), 5);
}

/// What may happen between two looks at the groups.
#[derive(Debug, Clone)]
struct Step {
    seconds: i64,
    begin: usize,
    end: usize,
    restart: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (1_i64..120, 0_usize..4, 0_usize..3, proptest::bool::weighted(0.1))
        .prop_map(|(seconds, begin, end, restart)| Step { seconds, begin, end, restart })
}

/// Whatever begins, ends and restarts when: see the assertions.
async fn assert_groups_keep_their_promises(steps: Vec<Step>, groups: usize) {
    let mut world = world().await;
    let by_source = grouping(&[GroupBy::Source]);
    world.lift_limit();
    let mut began: BTreeMap<usize, i64> = BTreeMap::new();
    let mut open: Vec<Alert> = Vec::new();
    for step in steps {
        let to = world.now + step.seconds;
        world.until(to).await;
        let mut alerts = errors(began.len(), step.begin);
        for (alert, number) in alerts.iter_mut().zip(began.len()..) {
            alert.facts.source.id = SourceId::new(format!("source-{}", number % groups));
        }
        began.extend((began.len()..began.len() + step.begin).map(|number| (number, world.now)));
        open.extend(alerts.clone());
        world.fire_into(&by_source, alerts).await;
        let ended: Vec<Alert> = open.drain(..step.end.min(open.len())).collect();
        world.resolve_into(&by_source, ended).await;
        if step.restart {
            world = world.restarted().await;
            world.lift_limit();
        }
    }
    let end = world.now + WAIT + INTERVAL + 1;
    world.until(end).await;
    assert!(world.store.next_due(&world.settings.id, at(world.now)).await.unwrap().is_none(), "still pending");
    let told = world.told.lock().unwrap().clone();
    let mut tellings: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    let mut of_group: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for (second, body) in &told {
        let numbers: BTreeSet<usize> = jobs(body).iter().map(|job| job["job_".len()..].parse().unwrap()).collect();
        let groups: BTreeSet<usize> = numbers.iter().map(|number| number % groups).collect();
        assert_eq!(groups.len(), 1, "a message about two groups");
        of_group.entry(*groups.first().unwrap()).or_default().push(*second);
        for number in numbers {
            tellings.entry(number).or_default().push(*second);
        }
    }
    for (number, began) in &began {
        let first = tellings[number][0];
        assert!(first >= began + WAIT.min(1), "{number} was told before it was there");
        assert!(first <= began + WAIT + INTERVAL, "{number} began at {began} and was told at {first}");
        assert!(tellings[number].len() <= 2, "{number} was told at {:?}", tellings[number]);
    }
    for (group, seconds) in &of_group {
        assert!(seconds[0] >= began[group] + WAIT, "nobody waited in group {group}");
        for pair in seconds.windows(2) {
            assert!(pair[1] - pair[0] >= INTERVAL, "group {group} was told at {seconds:?}: {told:?}");
        }
    }
    let deliveries = world.store.deliveries(10_000).await.unwrap();
    let by_id: BTreeMap<&str, &Delivery> = deliveries.iter().map(|one| (one.id.as_str(), one)).collect();
    for one in &deliveries {
        let end = one.merged_into.as_ref().map_or(one, |group| by_id[group.as_str()]);
        assert_eq!(end.state, DeliveryState::Delivered, "{one:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::sample::cases(12), ..ProptestConfig::default() })]

    /// Every alert is told in one message, and its end in that or one other; none sooner or later than its group may be
    /// told; no group more often than its interval says; nothing stays pending.
    #[test]
    fn groups_keep_their_promises(steps in proptest::collection::vec(step(), 1..14), groups in 1_usize..3) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(assert_groups_keep_their_promises(steps, groups));
    }
}

/// A lane that runs by itself wakes when the wait is over, with nobody to nudge it.
#[tokio::test]
async fn a_running_lane_wakes_for_a_group_whose_wait_is_over() {
    let (mut world, all) = (world().await, grouping(&[]));
    let short = Grouping { wait: Duration::from_millis(50), ..all };
    // A clock that goes on by itself: the lane sleeps until its next reading of it.
    let clock = nightbell::clock::SystemClock;
    let notifier = Arc::new(nightbell::notify::AnyNotifier::open(&world.settings).unwrap());
    let running_lane = nightbell::worker::deliver::Lane::new(
        world.settings.id.clone(),
        Arc::clone(&world.store),
        notifier,
        Arc::new(clock),
        Box::new(|| 0.5),
    )
    .within(Budget::unlimited(), Arc::clone(&world.renderer));
    let nudge = running_lane.nudge();
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(running_lane.run(stop.clone()));
    world.now = nightbell::clock::Clock::now(&clock).duration_since(at(0)).as_secs();
    world.fire_into(&short, errors(0, 2)).await;
    nudge.notify_one();
    super::sink::until(|| world.told.lock().unwrap().len() == 1).await;
    stop.cancel();
    running.await.unwrap();
    world.assert_told_once((0..2).map(name)).await;
}
