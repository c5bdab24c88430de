//! A day that real loops have polled and delivered, and the same day played again: as many messages to each receiver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use nightbell::app::recorded;
use nightbell::clock::Clock as _;
use nightbell::model::{Attempt, Delivery, DeliveryState, MessageKind, ReceiverId};
use nightbell::notify::Notifier;
use nightbell::sim::SimInstance;
use nightbell::store::{Deliveries as _, Outbox as _, SqlStore};
use nightbell::worker::budget::Budget;
use nightbell::worker::deliver::Lane;
use nightbell::worker::remind::Reminders;
use nightbell::worker::replay::{Played, Theatre};

use super::day::Day;

const RULES: &str = r#"
  failed: { match: { job: "etl_*" }, when: { status: [fail, running-exception] }, severity: critical, notify: [{ to: [chat, hook] }, { after: 38m, unless: acked, to: mail }, { after: 3h, to: chat }] }
  loads: { match: { job: "load_*" }, when: { status: [fail, manual-stop] }, notify: [chat, mail, hook], group: { by: [source], wait: 40s, interval: 7m, repeat: 30m } }
  flood: { match: { job: "flood_*" }, when: { status: fail }, severity: warning, notify: [chat, hook, page] }
  waiting: { when: { status: waiting, duration: 30m }, notify: [chat], group: { by: [job], wait: 10s, interval: 90s } }
mute_windows:
  noon: { match: { severity: [error] }, from: "11:00", to: "14:00" }
"#;
const REPEAT: SignedDuration = SignedDuration::from_mins(30);

/// A channel at which everything arrives at once.
struct Arrives;

impl Notifier for Arrives {
    async fn send(&self, _: &Delivery, _: Timestamp) -> Attempt {
        Attempt::delivered("200")
    }

    fn concurrency(&self) -> usize {
        1
    }
}

/// The loops that deliver.
struct Delivering {
    lanes: Vec<(ReceiverId, Lane<SqlStore, Arrives>)>,
    reminders: Reminders<SqlStore>,
    /// When a group may have been silent for so long that it is told again.
    looks: BTreeSet<Timestamp>,
}

impl Delivering {
    fn of(day: &Day) -> Delivering {
        let lane = |settings: &nightbell::notify::ReceiverSettings| {
            let (store, clock, id) = (Arc::clone(&day.store), Arc::new(day.clock.clone()), settings.id.clone());
            let lane = Lane::new(id.clone(), store, Arc::new(Arrives), clock, Box::new(|| 0.5));
            let renderer = Arc::clone(&day.receivers.get(&id).unwrap().renderer);
            (id, lane.within(Budget::new(settings.rate), renderer))
        };
        let reminders = Reminders {
            store: Arc::clone(&day.store),
            receivers: Arc::clone(&day.receivers),
            muting: day.config.muting(),
            is_wanted: true,
        };
        let lanes = day.config.receivers.iter().map(lane).collect();
        Delivering { lanes, reminders, looks: BTreeSet::new() }
    }

    async fn pass(&mut self, now: Timestamp) {
        let mut attempted = 0;
        for round in 0..2 {
            for (_, lane) in &mut self.lanes {
                attempted += lane.attempt_due(now).await.unwrap().attempted;
            }
            if round == 0 {
                self.reminders.pass(now).await.unwrap();
            }
        }
        if attempted > 0 {
            self.looks.insert(now + REPEAT);
        }
    }

    /// The next instant after `now` at which there is something to do.
    async fn next(&mut self, store: &SqlStore, now: Timestamp) -> Option<Timestamp> {
        self.looks.retain(|look| *look > now);
        let mut next = self.looks.first().copied();
        for (id, _) in &self.lanes {
            // What is due already and waits for its place is tried again every second.
            let due = store.next_due(id, now).await.unwrap().map(|due| due.max(now + SignedDuration::from_secs(1)));
            next = [next, due].into_iter().flatten().min();
        }
        next
    }
}

/// Goes on until then: steps are taken and messages go out, each when it is due.
async fn go_on(
    day: &Day,
    escalations: &mut nightbell::worker::escalation::Escalations<SqlStore>,
    delivering: &mut Delivering,
    until: Timestamp,
) {
    loop {
        let now = day.clock.now();
        let due = [escalations.next_due(now).await.unwrap(), delivering.next(&day.store, now).await];
        let Some(due) = due.into_iter().flatten().min().filter(|due| *due < until) else { break };
        day.clock.set(due);
        act(escalations, delivering, due).await;
    }
    day.clock.set(until);
}

async fn act(
    escalations: &mut nightbell::worker::escalation::Escalations<SqlStore>,
    delivering: &mut Delivering,
    now: Timestamp,
) {
    delivering.pass(now).await;
    escalations.pass(now).await.unwrap();
    delivering.pass(now).await;
}

/// Messages by receiver and kind.
type Counts = BTreeMap<(ReceiverId, MessageKind), usize>;

fn counts(messages: impl Iterator<Item = (ReceiverId, MessageKind)>) -> Counts {
    let mut counts = Counts::new();
    for message in messages {
        *counts.entry(message).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_played_again_sends_as_many_messages_to_each_receiver() {
    let seed = 0x0c0f_fee0_9a6e;
    println!("seed {seed:#x}");
    let receivers = "  chat: { type: slack, webhook_url: \"http://127.0.0.1:9/chat\" }\n  \
                     page: { type: pagerduty, routing_key: k, api_url: \"http://127.0.0.1:9/\" }\n";
    let mut day = Day::begin_with(seed, receivers, RULES).await;
    let (mut poller, mut escalations, mut delivering) = (day.poller(), day.escalations(), Delivering::of(&day));
    for poll in 1..=15 * 12 {
        let due = day.clock.now() + SignedDuration::from_mins(5);
        day.go_on();
        // Two storms: one at once, one over three polls.
        let failing = match poll {
            60 => 70,
            150..=152 => 30,
            _ => 0,
        };
        for number in 0..failing {
            let now = day.clock.now();
            let run = SimInstance::waiting(&format!("flood_{number}"), 900_000 + poll * 100 + number, now);
            let ended = (Some(now), Some(now));
            day.workspace.put(SimInstance { status: "fail".into(), start_time: ended.0, end_time: ended.1, ..run });
        }
        go_on(&day, &mut escalations, &mut delivering, due - SignedDuration::from_secs(30)).await;
        day.hush().await;
        go_on(&day, &mut escalations, &mut delivering, due).await;
        poller.poll().await.unwrap();
        act(&mut escalations, &mut delivering, due).await;
    }
    let until = day.clock.now() + SignedDuration::from_mins(4);
    go_on(&day, &mut escalations, &mut delivering, until).await;

    let stored = day.store.deliveries(usize::MAX).await.unwrap();
    let sent = stored.iter().filter(|delivery| delivery.state == DeliveryState::Delivered);
    let expected = counts(sent.map(|delivery| (delivery.receiver.clone(), delivery.kind)));
    let all = recorded(&*day.store, &day.config.sources, Timestamp::UNIX_EPOCH, until).await.unwrap();
    let Played { sent, tellings, .. } = Theatre::open(&day.config).unwrap().play(&day.config, all.script).unwrap();
    assert_eq!(counts(sent.iter().map(|sent| (sent.receiver.clone(), sent.kind))), expected);

    // The day is worth something: much was told together, and groups were told again.
    let merged = stored.iter().filter(|delivery| delivery.state == DeliveryState::Merged).count();
    let alone: usize = tellings.iter().map(|telling| telling.messages.len()).sum();
    assert!(merged > 120 && sent.len() + 80 < alone, "{merged} merged, {} messages for {alone}", sent.len());
    let is_repeat = |delivery: &&Delivery| {
        let is_group = delivery.kind == MessageKind::AlertGroup && delivery.group.is_some();
        is_group && !stored.iter().any(|member| member.merged_into.as_ref() == Some(&delivery.id))
    };
    let repeats = stored.iter().filter(is_repeat).count();
    assert!(repeats >= 2, "groups were told again {repeats} times");
    let is_answered = |delivery: &&Delivery| delivery.kind == MessageKind::AlertResolved && delivery.follows.is_some();
    assert!(stored.iter().any(|delivery| is_answered(&delivery)), "nothing ended");
}
