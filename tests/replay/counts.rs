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
const BY_HOURS: &str = r#"
  failed: { match: { job: "etl_*" }, when: { status: [fail, running-exception] }, severity: critical, notify: [{ to: mail, during: work }, { after: 38m, unless: acked, to: lead, hold: until work }, { after: 3h, to: mail, during: nights }] }
  loads: { match: { job: ["load_*", "flood_*"] }, when: { status: [fail, manual-stop] }, severity: warning }
  waiting: { when: { status: waiting, duration: 30m }, severity: info, notify: [{ to: lead, hold: until work }], group: { by: [job], wait: 10s, interval: 90s } }
routes:
  nightly: { match: { severity: critical }, notify: night, during: nights }
  daily: { match: { severity: critical }, notify: hook, during: work }
  later: { match: { severity: warning }, notify: chat, hold: until work }
windows:
  work: { from: "09:00", to: "18:00" }
  nights: { from: "18:00", to: "09:00" }
timezone: UTC
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

/// A day as the loops have lived it, and as it is played again.
struct Twice {
    day: Day,
    stored: Vec<Delivery>,
    played: Played,
}

impl Twice {
    /// A day under these rules.
    async fn live(seed: u64, receivers: &str, rules: &str) -> Twice {
        println!("seed {seed:#x}");
        let mut day = Day::begin_with(seed, receivers, rules).await;
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
        let all = recorded(&*day.store, &day.config.sources, Timestamp::UNIX_EPOCH, until).await.unwrap();
        let played = Theatre::open(&day.config).unwrap().play(&day.config, all.script).unwrap();
        Twice { day, stored, played }
    }

    /// What the log of the day says was sent, and what the play says.
    fn counts(&self) -> [Counts; 2] {
        let sent = self.stored.iter().filter(|delivery| delivery.state == DeliveryState::Delivered);
        let lived = counts(sent.map(|delivery| (delivery.receiver.clone(), delivery.kind)));
        [lived, counts(self.played.sent.iter().map(|sent| (sent.receiver.clone(), sent.kind)))]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_played_again_sends_as_many_messages_to_each_receiver() {
    let receivers = "  chat: { type: slack, webhook_url: \"http://127.0.0.1:9/chat\" }\n  \
                     page: { type: pagerduty, routing_key: k, api_url: \"http://127.0.0.1:9/\" }\n";
    let twice = Twice::live(0x0c0f_fee0_9a6e, receivers, RULES).await;
    let [lived, played] = twice.counts();
    assert_eq!(played, lived);

    // The day is worth something: much was told together, and groups were told again.
    let Twice { stored, played: Played { sent, tellings, .. }, .. } = &twice;
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

/// A day that begins at midnight: by night one route has the duty and by day another, and what may wait is held back until
/// work begins, by a route and by a later step.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_routes_by_hours_sends_as_many_messages_when_it_is_played_again() {
    let receivers = "  chat: { type: slack, webhook_url: \"http://127.0.0.1:9/chat\" }\n  \
                     night: { type: webhook, url: \"http://127.0.0.1:9/night\" }\n  \
                     lead: { type: webhook, url: \"http://127.0.0.1:9/lead\" }\n";
    let twice = Twice::live(0x0005_e117_da7e, receivers, BY_HOURS).await;
    let [lived, played] = twice.counts();
    assert_eq!(played, lived);

    // The day is worth something: both windows had their messages, and bundles went out when one opened.
    let opens = twice.day.start() + SignedDuration::from_hours(9);
    let created = |to: &str| {
        let of = twice.stored.iter().filter(|delivery| delivery.receiver.as_str() == to);
        of.map(|delivery| delivery.created_at).collect::<Vec<_>>()
    };
    let firing = |to: &str| {
        let is_meant = |it: &&Delivery| it.receiver.as_str() == to && it.kind == MessageKind::AlertFiring;
        twice.stored.iter().filter(is_meant).map(|delivery| delivery.created_at).collect::<Vec<_>>()
    };
    let (nightly, daily) = (firing("night"), firing("hook"));
    assert!(nightly.len() > 3 && nightly.iter().all(|at| *at < opens), "{nightly:?}");
    assert!(daily.len() > 3 && daily.iter().all(|at| *at >= opens), "{daily:?}");
    let at_opening = |to: &str| {
        let sent = twice.played.sent.iter().filter(|sent| sent.receiver.as_str() == to);
        sent.map(|sent| (sent.at, sent.kind)).collect::<Vec<_>>()
    };
    // Of all that failed by night the chat is told once, when work begins.
    let of_chat = at_opening("chat");
    let first = of_chat.first().copied();
    assert_eq!(first, Some((opens, MessageKind::AlertGroup)), "{of_chat:?}");
    let held = created("chat").into_iter().filter(|at| *at < opens).count();
    assert!(held > 10 && of_chat.len() > 3, "{held} were held back: {of_chat:?}");
    // A step is held back like that, too.
    let of_lead = at_opening("lead");
    assert!(of_lead.len() > 1 && of_lead[0].0 == opens, "{of_lead:?}");
}
