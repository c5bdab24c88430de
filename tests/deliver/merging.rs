//! Floods: more alerts than a channel takes, through hours that pass second by second by hand.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nightbell::alert::identity::delivery_id;
use nightbell::config::{Config, LoadOptions};
use nightbell::limits::RATE_MINUTE;
use nightbell::model::{AlertId, Content, Delivery, DeliveryId, DeliveryState, MessageKind, Notification, Severity};
use nightbell::notify::{Rate, ReceiverSettings, Renderer};
use nightbell::store::{
    Deliveries as _, DigestCommit, DigestCursor, Digests as _, Groups as _, Outbox as _, PollCommit, PollLedger as _,
    Upkeep as _,
};
use nightbell::template::sample_digest;
use nightbell::worker::budget::Budget;

use super::super::sample::{Place, alert, at, commit, delivery, resolution};
use super::flood::{World, lane, name, numbered};
use super::sink::{Hook, OK, Sink};
use super::{lane_to, pager, states, with_pending};

#[tokio::test]
async fn ten_thousand_alerts_to_slack_are_few_messages_and_a_critical_one_overtakes_them() {
    let mut world = World::new("slack", |_| (200, "ok")).await;
    // Of two kinds, the lesser one first in every other order.
    let mut all = numbered(0, 4_000, Severity::Warning);
    all.extend(numbered(4_000, 6_000, Severity::Error));
    world.fire(all).await;
    // A poll takes a moment to commit what it has found.
    world.pass(2).await;
    for _ in 0..30 {
        world.pass(1).await;
    }
    world.fire(numbered(10_000, 1, Severity::Critical)).await;
    for _ in 0..29 {
        world.pass(1).await;
    }
    let first = world.told.lock().unwrap()[0].1.clone();
    let named = (0..10_000).filter(|number| first.contains(&name(*number))).count();
    let follow = nightbell::words::grouped(10_000 - named as u64);
    assert!(named > 500 && first.contains(&format!("and {follow} more, which follow")), "{named}: {first}");
    let last_error = (4_000..10_000).map(|number| world.told_at(&name(number))[0]).max();
    let first_warning = (0..4_000).map(|number| world.told_at(&name(number))[0]).min();
    assert!(last_error <= first_warning, "{last_error:?} and {first_warning:?}: the worst go first");
    assert!(world.calls.lock().unwrap().len() <= 20, "{} messages in a minute", world.calls.lock().unwrap().len());
    let critical = world.told_at(&name(10_000));
    assert!(critical.len() == 1 && critical[0] <= 40, "{critical:?}");
    world.run_dry(1, 3600).await;
    world.assert_told_once((0..=10_000).map(name)).await;
    assert!(world.most_in_a_minute() <= 20, "{}", world.most_in_a_minute());
    let messages = world.told.lock().unwrap().len();
    assert!(messages <= 20, "{messages} messages: each could name more");
    let longest = world.told.lock().unwrap().iter().map(|(_, body)| body.len()).max();
    println!("{messages} messages in {} s, the longest of {longest:?} bytes", world.now);
}

/// Names that are too long for the messages of a minute are shortened, so that each job is named in it all the same: what
/// neighbours share is written once, and what shares nothing loses its middle.
#[tokio::test]
async fn ten_thousand_jobs_with_long_names_are_named_within_a_minute() {
    let mut world = World::new("slack", |_| (200, "ok")).await;
    let long = |number: usize| match number % 3 {
        0 => format!("dwd_trade_settlement_detail_{number:05}_di"),
        1 => format!("ods_customer_orders_snapshot_hourly_{number:05}"),
        _ => {
            format!("{:032x}_{number:05}", (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
        }
    };
    let one = |number: usize| {
        let mut alert = alert(&format!("a{number:05}"), &long(number));
        alert.receivers = vec![pager()];
        alert
    };
    world.fire((0..10_000).map(one).collect()).await;
    world.pass(2).await;
    for _ in 0..58 {
        world.pass(1).await;
    }
    let told = world.told.lock().unwrap().clone();
    assert!(told.len() <= 20, "{} messages in the first minute", told.len());
    let numbers: BTreeSet<&str> = told
        .iter()
        .flat_map(|(_, body)| body.split(|c: char| !c.is_ascii_digit()))
        .filter(|word| word.len() == 5)
        .collect();
    let unnamed: Vec<String> = (0..10_000).map(|number| format!("{number:05}")).collect();
    let unnamed: Vec<&String> = unnamed.iter().filter(|number| !numbers.contains(number.as_str())).collect();
    assert!(unnamed.is_empty(), "{} are not named: {:?}", unnamed.len(), &unnamed[..unnamed.len().min(5)]);
    assert!(told[0].1.contains("{00003_di, 00015_di, "), "{}", told[0].1);
}

/// The same with names that fit: they stand in full.
#[tokio::test]
async fn names_that_fit_into_the_messages_of_a_minute_are_not_shortened() {
    let mut world = World::new("slack", |_| (200, "ok")).await;
    let full = |number: usize| format!("dwd_trade_settlement_detail_{number:05}");
    let one = |number: usize| {
        let mut alert = alert(&format!("a{number:05}"), &full(number));
        alert.receivers = vec![pager()];
        alert
    };
    world.fire((0..2_000).map(one).collect()).await;
    world.pass(2).await;
    for _ in 0..58 {
        world.pass(1).await;
    }
    let told = world.told.lock().unwrap().clone();
    let all: String = told.iter().map(|(_, body)| body.as_str()).collect();
    assert!(told.len() <= 20 && (0..2_000).all(|number| all.contains(&full(number))), "{} messages", told.len());
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

/// Whoever reads that more follows waits for it: the number is that of the alerts in the messages behind.
#[tokio::test]
async fn what_is_said_to_follow_follows() {
    let of = |critical: usize, warnings: usize| {
        let mut all = numbered(0, critical, Severity::Critical);
        all.extend(numbered(critical, warnings, Severity::Warning));
        all
    };
    for (critical, warnings) in [(3, 2), (0, 5), (1, 9), (5, 5), (12, 30)] {
        let mut world = World::new("slack", |_| (200, "ok")).await;
        world.fire(of(critical, warnings)).await;
        world.run_dry(1, 600).await;
        world.assert_told_once((0..critical + warnings).map(name)).await;
        let told: Vec<String> = world.told.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
        for (index, body) in told.iter().enumerate() {
            let Some((before, _)) = body.split_once(" more, which follow") else { continue };
            let said: usize = before.rsplit(' ').next().unwrap().parse().unwrap();
            let later = |number: &usize| told[index + 1..].iter().any(|body| body.contains(&name(*number)));
            let follow = (0..critical + warnings).filter(later).count();
            assert_eq!(said, follow, "{critical} and {warnings}: {body}");
        }
    }
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
    assert_eq!((group.severity, group.alert.clone()), (Some(Severity::Error), None));
    world.resolve(alerts[..1].to_vec()).await;
    let resolution = delivery_id(&alerts[0].id, &world.settings.id, MessageKind::AlertResolved);
    let follows = |all: Vec<Delivery>| all.into_iter().find(|one| one.id == resolution).unwrap().notification.follows;
    assert_eq!(follows(world.store.deliveries(20).await.unwrap()), Some(group.notification.id));
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
    assert!(told[0].1.contains("🔴 9 alerts: 6 errors, 3 resolved"), "{}", told[0].1);
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
    let others: Vec<DeliveryId> =
        claimed.into_iter().map(|one| one.notification.id).filter(|id| *id != uncertain).collect();
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
        Notification::new(DeliveryId::new(id), receiver.clone(), MessageKind::AlertGroup, Content::default(), at(0))
    };
    let before = states(&world.store).await;
    let held = world.store.claim(&receiver, at(0), 1).await.unwrap().remove(0).notification.id;
    assert!(!world.store.merge(&group("g"), &members).await.unwrap(), "one of them is under way");
    world.store.release(std::slice::from_ref(&held)).await.unwrap();
    assert!(!world.store.merge(&group(members[0].as_str()), &members[1..]).await.unwrap(), "its name is taken");
    assert_eq!(states(&world.store).await, before);
    assert!(world.store.merge(&group("g"), &members).await.unwrap());
    assert!(!world.store.merge(&group("h"), &members).await.unwrap(), "they are told already");
    assert_eq!(states(&world.store).await.values().filter(|state| state.0 == DeliveryState::Merged).count(), 3);
    // Old, and delivered: it goes with the last of its members, and those with their alerts.
    let month = at(40 * 24 * 3600);
    assert_eq!(
        world.store.purge(month, &Default::default(), &jiff::tz::TimeZone::UTC).await.unwrap(),
        1,
        "the alerts still fire: only the poll itself is forgotten"
    );
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

/// A lane that runs by itself keeps to the budget, wakes when there is room, and lets a critical alert go at once.
#[tokio::test]
async fn a_running_lane_lets_a_critical_alert_overtake() {
    let mut world = World::new("slack", |_| (200, "ok")).await;
    world.fire(numbered(0, 5000, Severity::Error)).await;
    let spare = lane(&world.store, &world.settings, &world.renderer, &world.clock);
    let running_lane = std::mem::replace(&mut world.lane, spare);
    let nudge = running_lane.nudge();
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(running_lane.run(stop.clone()));
    // The clock stands still: the burst goes, but for the place that is kept.
    super::sink::until(|| world.told.lock().unwrap().len() == 4).await;
    world.fire(numbered(9000, 1, Severity::Critical)).await;
    nudge.notify_one();
    super::sink::until(|| world.told_at(&name(9000)).len() == 1).await;
    assert_eq!(world.told.lock().unwrap().len(), 5);
    let began = Instant::now();
    while world.store.count_due(&world.settings.id, at(world.now)).await.unwrap() > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "still pending: {:?}", world.still_pending().await);
        world.now += 8;
        world.clock.set(at(world.now));
        nudge.notify_one();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stop.cancel();
    running.await.unwrap();
    world.assert_told_once((0..5000).chain([9000]).map(name)).await;
    // A turn that makes a message of many does not send one of few beside it.
    let told = world.told.lock().unwrap();
    assert!(told.len() <= 8, "{} messages: each could name more", told.len());
    assert!(told[0].1.contains(" more, which follow"), "{}", told[0].1);
}

/// What a message about one alert stands for may be told together with others later: whatever follows follows the last.
#[tokio::test]
async fn a_resolution_does_not_overtake_what_was_merged_twice() {
    let place = Place::new();
    let store = with_pending(
        &place,
        vec![delivery("warned", "pager"), delivery("firing", "pager"), delivery("other", "pager")],
    )
    .await;
    let ids = |ids: &[&str]| ids.iter().map(|id| DeliveryId::new(*id)).collect::<Vec<_>>();
    assert!(store.merge(&delivery("as-it-is", "pager"), &ids(&["warned", "firing"])).await.unwrap());
    assert!(store.merge(&delivery("group", "pager"), &ids(&["as-it-is", "other"])).await.unwrap());
    let over = vec![resolution("over", "pager", "firing")];
    store.commit_poll(&PollCommit { deliveries: over, ..commit(1) }).await.unwrap();
    let claimed = store.claim(&pager(), at(0), 10).await.unwrap();
    assert_eq!(claimed.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["group"]);
    for one in store.deliveries(10).await.unwrap() {
        let is_merged = one.state == DeliveryState::Merged;
        assert_eq!(one.merged_into.as_ref().map(DeliveryId::as_str), is_merged.then_some("group"), "{one:?}");
    }
}

/// A Slack receiver becomes one for mail under the same name, while messages are pending for it.
#[tokio::test]
async fn what_was_rendered_for_another_kind_is_rendered_again() {
    let mut world = World::new("slack", |_| (503, "")).await;
    let of_slack = |one: Notification| Notification { rendered_for: Some("slack".into()), ..one };
    let alert = numbered(1, 1, Severity::Error).remove(0);
    let mut deliveries = vec![of_slack(world.pending(&alert, MessageKind::AlertFiring))];
    let digest = |id| of_slack(Notification { kind: MessageKind::Digest, ..delivery(id, "pager") });
    // One of an older version, which kept no facts of it.
    deliveries.push(digest("old"));
    world.commit(PollCommit { fired: vec![alert], deliveries, ..commit(0) }).await;
    let from = world.store.begin_digest("daily", at(0)).await.unwrap();
    let to = DigestCursor { sequence: from.sequence + 1, ..from };
    let facts = sample_digest(at(0)).digest().cloned().unwrap();
    let made = DigestCommit { name: "daily".into(), from, to, facts, deliveries: vec![digest("new")] };
    world.store.commit_digest(&made).await.unwrap();
    assert_eq!(world.pass(0).await.attempted, 3);
    let mail = flood_mail(&world);
    let renderer = Arc::new(Renderer::open(&mail).unwrap());
    let sink = Sink::new(|_, _| OK).await;
    let mut lane = lane_to("pager", &world.store, Hook::new(&sink.url, 1), &world.clock)
        .within(Budget::unlimited(), Arc::clone(&renderer));
    assert_eq!(lane.attempt_due(at(60)).await.unwrap().delivered, 2);
    let all = world.store.deliveries(10).await.unwrap();
    let sent = all.iter().find(|one| one.alert.is_some()).unwrap();
    assert!(
        sent.content.part("subject").contains(&name(1)) && sent.content.part("body").is_empty(),
        "{:?}",
        sent.content
    );
    assert_eq!((sent.state, sent.rendered_for.as_deref()), (DeliveryState::Delivered, Some("email")));
    let [old, new] = ["old", "new"].map(|id| all.iter().find(|one| one.id.as_str() == id).unwrap());
    assert_eq!((new.state, new.rendered_for.as_deref()), (DeliveryState::Delivered, Some("email")));
    let as_mail = renderer.render(&sample_digest(new.created_at)).into_content(&new.receiver, "new");
    assert_eq!(new.content.part("subject"), as_mail.part("subject"));
    assert!(!new.content.part("html").is_empty() && new.content.part("body").is_empty(), "{:?}", new.content);
    assert_eq!(old.state, DeliveryState::Dead);
    assert!(old.last_error.as_ref().unwrap().contains("rendered for the kind slack"), "{:?}", old.last_error);
}

/// The receiver of `world` as one for mail.
fn flood_mail(world: &World) -> ReceiverSettings {
    let text = "version: 1\nsources:\n  s: { type: dataarts, region: r, project_id: p, auth: { token: t } }\nreceivers:\n  \
        pager: { type: email, smtp_url: 'smtp+plain://127.0.0.1:1', from: a@example.com, to: [b@example.com] }\n";
    let base = world.place.directory.path();
    let loaded = Config::from_text(text.into(), "test", base, &LoadOptions { offline: true });
    loaded.unwrap_or_else(|problem| panic!("{problem}")).config.receivers.remove(0)
}
