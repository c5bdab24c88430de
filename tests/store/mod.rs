//! The store on real files: what it keeps, what it refuses, and what it survives.

mod dead_letters;
mod growth;
mod lately;
mod learnt;
mod migration;
mod opening;
mod retention;
mod silence;
mod transition;

pub(crate) use learnt::read_learnt;

use std::collections::BTreeSet;

use jiff::Timestamp;
use nightbell::decide::memory::Recalled;
use nightbell::decide::{Memory, ToRecall};
use nightbell::model::{
    Alert, AlertState, Attempt, AttemptOutcome, Coverage, Delivery, DeliveryId, DeliveryState, Instance, InstanceKey,
    Notification, PollOutcome, ReceiverId, SourceId, Status, Window,
};
use nightbell::store::{
    Archive as _, Deliveries as _, Outbox as _, PollCommit, PollLedger as _, Settled, SqlStore, StoreError, Upkeep as _,
};
use sqlx::Row as _;

use super::sample::{Place, alert, at, commit, covered, delivery, instance, resolution, resolved, source};

fn pager() -> ReceiverId {
    ReceiverId::new("pager")
}

fn settled(id: &str, attempt_number: u32, attempt: Attempt, state: DeliveryState, next: Option<Timestamp>) -> Settled {
    Settled {
        id: DeliveryId::new(id),
        attempt_number,
        started_at: at(1),
        ended_at: at(2),
        last_error: attempt.error.clone(),
        attempt,
        state,
        next_attempt_at: next,
        patience_spent: std::time::Duration::ZERO,
    }
}

fn delivered(id: &str) -> Settled {
    settled(id, 1, Attempt::delivered("200"), DeliveryState::Delivered, None)
}

fn dead(id: &str) -> Settled {
    settled(id, 1, Attempt::failed(AttemptOutcome::Rejected, Some("404".into()), "gone"), DeliveryState::Dead, None)
}

/// What fires, by id.
fn firing(memory: &Memory) -> Vec<Alert> {
    let mut firing: Vec<Alert> = memory.firing.firing().map(|alert| (**alert).clone()).collect();
    firing.sort_by(|one, other| one.id.cmp(&other.id));
    firing
}

/// What is sent by these deliveries.
fn notifications(deliveries: Vec<Delivery>) -> Vec<Notification> {
    deliveries.into_iter().map(|delivery| delivery.notification).collect()
}

async fn claimed(store: &SqlStore, now: Timestamp, limit: usize) -> Vec<String> {
    let deliveries = store.claim(&pager(), now, limit).await.unwrap();
    deliveries.iter().map(|delivery| delivery.id.to_string()).collect()
}

/// Every delivery as "id state attempts error", by id.
async fn outbox(store: &SqlStore) -> Vec<String> {
    let mut lines: Vec<String> = store
        .deliveries(1000)
        .await
        .unwrap()
        .iter()
        .map(|one| {
            format!("{} {} {} {}", one.id, one.state.as_str(), one.attempts, one.last_error.as_deref().unwrap_or("-"))
        })
        .collect();
    lines.sort();
    lines
}

/// Runs a statement on the file beside the store, as an operator or an accident would.
pub(crate) async fn meddle(place: &Place, statement: &'static str) -> Vec<sqlx::any::AnyRow> {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&place.raw_url()).await.unwrap();
    let rows = sqlx::query(statement).fetch_all(&pool).await.unwrap();
    pool.close().await;
    rows
}

/// The attempt log as "delivery number outcome".
async fn attempts(place: &Place) -> Vec<String> {
    meddle(place, "SELECT delivery || ' ' || number || ' ' || outcome FROM attempt ORDER BY delivery, number")
        .await
        .iter()
        .map(|row| row.get(0))
        .collect()
}

#[tokio::test]
async fn what_a_poll_commits_is_there_after_a_restart() {
    let place = Place::new();
    let store = place.open().await;
    assert_eq!(store.load_source(&source()).await.unwrap().generation, 0);
    let names = ["etl_orders", "a\u{1}b", "引\u{301}\"'\\; DROP TABLE alert", ""];
    let ids = ["9007199254740993", "9007199254740992", "007", "7"];
    let mut first = commit(0);
    for name in names {
        first.instances.extend(ids.map(|id| instance(name, id, Status::Running)));
    }
    first.fired = vec![alert("a1", names[2])];
    first.deliveries = vec![delivery("d1", "pager")];
    store.commit_poll(&first).await.unwrap();
    store.close().await;
    drop(store);

    let store = place.open().await;
    let memory = store.load_source(&source()).await.unwrap();
    assert_eq!((memory.generation, &memory.covered), (1, &covered(at(0))));
    assert_eq!(store.generation(&source()).await.unwrap(), 1);
    assert_eq!(Some(&memory.known_rules), first.known_rules.as_ref());
    assert_eq!(memory.runs.len(), names.len() * ids.len());
    for instance in &first.instances {
        assert_eq!(memory.runs.open(&instance.key()), Some(&instance.snapshot()), "{:?}", instance.key());
    }
    assert_eq!(firing(&memory), first.fired);
    assert_eq!(store.alerts(10).await.unwrap(), first.fired);
    assert_eq!(notifications(store.deliveries(10).await.unwrap()), first.deliveries);
    assert_eq!(store.load_source(&SourceId::new("other")).await.unwrap().generation, 0);
}

#[tokio::test]
async fn a_commit_on_a_stale_generation_writes_nothing() {
    let place = Place::new();
    let store = place.open().await;
    store.commit_poll(&commit(0)).await.unwrap();
    let late = PollCommit {
        instances: vec![instance("etl", "1", Status::Fail)],
        fired: vec![alert("a1", "etl")],
        deliveries: vec![delivery("d1", "pager")],
        ..commit(0)
    };
    for generation in [0, 2, 7] {
        let refused = store.commit_poll(&PollCommit { generation, ..late.clone() }).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Conflict(id) if *id == source()), "{refused}");
    }
    let memory = store.load_source(&source()).await.unwrap();
    assert_eq!((memory.generation, memory.runs.len(), memory.firing.is_empty()), (1, 0, true));
    assert!(store.deliveries(10).await.unwrap().is_empty());
    store.commit_poll(&PollCommit { generation: 1, ..late }).await.unwrap();
    assert_eq!(store.load_source(&source()).await.unwrap().generation, 2);
}

/// Messages are made while the poll is written, and are part of the same transaction.
#[tokio::test]
async fn messages_that_come_in_slices_are_there_all_or_none() {
    let place = Place::new();
    let store = std::sync::Arc::new(place.open().await);
    let slice =
        |number: usize| vec![delivery(&format!("d{number}a"), "pager"), delivery(&format!("d{number}b"), "mail")];
    let first = PollCommit { fired: vec![alert("a1", "etl")], ..commit(0) };
    let broken = {
        let (store, first) = (std::sync::Arc::clone(&store), first.clone());
        let mut slices =
            (0..3).map(move |number| if number < 2 { slice(number) } else { panic!("as the test has it") });
        tokio::spawn(async move { store.commit_rendering(&first, &mut slices).await })
    };
    assert!(broken.await.is_err());
    assert_eq!(store.generation(&source()).await.unwrap(), 0);
    assert!(store.deliveries(10).await.unwrap().is_empty() && store.alerts(10).await.unwrap().is_empty());

    store.commit_rendering(&first, &mut (0..3).map(slice)).await.unwrap();
    assert_eq!(store.deliveries(10).await.unwrap().len(), 6);
    assert_eq!(claimed(&store, at(1), 10).await, ["d0a", "d1a", "d2a"]);
    store.settle(&[dead("d0a")]).await.unwrap();
    // What cannot be written is not even made.
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let mut never = std::iter::from_fn(|| {
        asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        None
    });
    assert!(store.commit_rendering(&first, &mut never).await.is_err());
    assert_eq!(asked.into_inner(), 0);
    // A slice may answer what is dead by now; one after it changes nothing of that.
    let ends = [vec![resolution("r0", "pager", "d0a")], vec![resolution("r1", "mail", "d1b")]];
    store.commit_rendering(&commit(1), &mut ends.into_iter()).await.unwrap();
    let lines = outbox(&store).await;
    assert!(lines.iter().any(|line| line.starts_with("r0 dead")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("r1 pending")), "{lines:?}");
}

/// A job of every minute has more runs that wait than any rule counts, and a hand may have made up for a year.
#[tokio::test]
async fn runs_that_say_nothing_take_no_place_from_those_that_rules_count() {
    let place = Place::new();
    let store = place.open().await;
    let run = |id: usize, status, kind, minute: i64| Instance {
        kind,
        plan_time: Some(at(minute * 60)),
        ..instance("etl", &id.to_string(), status)
    };
    use nightbell::model::InstanceType::{Backfill, Scheduled};
    let failed = (0..3).map(|id| run(id, Status::Fail, Scheduled, id as i64));
    let waiting = (0..60).map(|id| run(100 + id, Status::Waiting, Scheduled, 100 + id as i64));
    let made_up = (0..60).map(|id| run(200 + id, Status::Success, Backfill, 200 + id as i64));
    store
        .commit_poll(&PollCommit { instances: failed.chain(waiting).chain(made_up).collect(), ..commit(0) })
        .await
        .unwrap();
    let runs = store.counted_runs(&source(), &["etl".to_string()], 50).await.unwrap().remove("etl").unwrap();
    let count = |status| runs.iter().filter(|(_, run)| run.status == status).count();
    assert_eq!([Status::Fail, Status::Waiting, Status::Success].map(count), [3, 0, 50]);
    assert_eq!(store.past_runs(&source(), &["etl".to_string()], 50).await.unwrap()["etl"].len(), 50);
}

#[tokio::test]
async fn a_repeated_alert_does_not_reopen_and_is_not_told_again() {
    let place = Place::new();
    let store = place.open().await;
    let fired = alert("a1", "etl");
    let of_alert = |id: &str, receiver: &str| {
        let mut delivery = delivery(id, receiver);
        delivery.alert = Some(fired.id.clone());
        delivery
    };
    let firing = PollCommit { fired: vec![fired.clone()], deliveries: vec![of_alert("d1", "pager")], ..commit(0) };
    store.commit_poll(&firing).await.unwrap();
    assert_eq!(claimed(&store, at(1), 10).await, ["d1"]);
    store.settle(&[delivered("d1")]).await.unwrap();
    let end = PollCommit { changed: vec![resolved(fired.clone(), at(60))], generation: 1, ..commit(1) };
    store.commit_poll(&end).await.unwrap();

    // The same failure is listed once more, and a receiver was added meanwhile.
    let repeat = PollCommit {
        generation: 2,
        deliveries: vec![of_alert("d1", "pager"), of_alert("d2", "pager")],
        ..firing.clone()
    };
    store.commit_poll(&repeat).await.unwrap();
    assert_eq!(store.alerts(10).await.unwrap(), [resolved(fired, at(60))]);
    assert_eq!(outbox(&store).await, ["d1 delivered 1 -"]);
    assert!(claimed(&store, at(9000), 10).await.is_empty());
}

#[tokio::test]
async fn an_ended_episode_stays_ended_and_makes_room_for_the_next_in_one_commit() {
    let place = Place::new();
    let store = place.open().await;
    let first = alert("a1", "etl");
    store.commit_poll(&PollCommit { fired: vec![first.clone()], ..commit(0) }).await.unwrap();
    let second = alert("a2", "etl");
    let both = PollCommit { changed: vec![resolved(first.clone(), at(60))], fired: vec![second.clone()], ..commit(1) };
    store.commit_poll(&both).await.unwrap();
    assert_eq!(firing(&store.load_source(&source()).await.unwrap()), [second]);

    store.commit_poll(&PollCommit { changed: vec![first.clone()], ..commit(2) }).await.unwrap();
    let alerts = store.alerts(10).await.unwrap();
    let states: Vec<(&str, AlertState)> = alerts.iter().map(|alert| (alert.id.as_str(), alert.state())).collect();
    assert_eq!(states, [("a2", AlertState::Firing), ("a1", AlertState::Resolved)]);
}

#[tokio::test]
async fn a_condition_fires_once_at_a_time() {
    let place = Place::new();
    let store = place.open().await;
    store.commit_poll(&PollCommit { fired: vec![alert("a1", "etl")], ..commit(0) }).await.unwrap();
    let (twin, other) = (alert("a2", "etl"), alert("a3", "other"));
    let mut deliveries = vec![delivery("d2", "pager"), delivery("d3", "pager")];
    deliveries[0].alert = Some(twin.id.clone());
    deliveries[1].alert = Some(other.id.clone());
    store.commit_poll(&PollCommit { fired: vec![twin, other], deliveries, ..commit(1) }).await.unwrap();
    let firing = firing(&store.load_source(&source()).await.unwrap());
    assert_eq!(firing.iter().map(|alert| alert.id.as_str()).collect::<Vec<_>>(), ["a1", "a3"]);
    assert_eq!(outbox(&store).await, ["d3 pending 0 -"]);
}

#[tokio::test]
async fn a_source_remembers_what_its_next_poll_can_meet() {
    let place = Place::new();
    let store = place.open().await;
    let day = 24 * 3600;
    let mut first = commit(0);
    let planned = |job: &str, status, seconds| {
        let mut instance = instance(job, "7", status);
        instance.plan_time = Some(at(seconds));
        instance
    };
    first.instances = vec![
        planned("recent", Status::Success, -7 * day),
        planned("old", Status::Success, -9 * day),
        planned("old-running", Status::Running, -50 * day),
        planned("old-unknown", Status::Unknown, -50 * day),
        planned("old-firing", Status::Fail, -50 * day),
    ];
    first.fired = vec![alert("a1", "old-firing")];
    store.commit_poll(&first).await.unwrap();
    let mut memory = store.load_source(&source()).await.unwrap();
    let known_to = |memory: &Memory| -> Vec<String> {
        let is_known = |run: &&Instance| memory.runs.recall(run) == Recalled::Same;
        first.instances.iter().filter(is_known).map(|run| run.job.name.clone()).collect()
    };
    // Of what has ended and fires nothing, nothing is read before it is listed again.
    assert_eq!(known_to(&memory), ["old-running", "old-unknown", "old-firing"]);
    memory.covered.scope = Some("narrower".into());
    let coverage = Coverage::whole(Window { from: at(-10 * day), to: at(0) }, "wider");
    let asked = ToRecall::of(&memory, &first.instances, &coverage);
    assert_eq!(asked.runs, [first.instances[0].key(), first.instances[1].key()]);
    assert_eq!(asked.jobs, ["recent", "old"].map(str::to_string).into());
    let recalled = store.snapshots(&source(), &asked.runs).await.unwrap();
    let jobs = ["recent", "old", "none"].map(str::to_string).into();
    let jobs = store.known_jobs(&source(), &jobs).await.unwrap();
    assert_eq!(jobs, ["recent", "old"].map(str::to_string).into());
    memory.runs.learn(&recalled, jobs.iter().map(String::as_str));
    assert_eq!(known_to(&memory), ["recent", "old", "old-running", "old-unknown", "old-firing"]);
}

#[tokio::test]
async fn the_last_word_on_an_instance_counts() {
    let place = Place::new();
    let store = place.open().await;
    let twice = vec![instance("etl", "1", Status::Running), instance("etl", "1", Status::Fail)];
    store.commit_poll(&PollCommit { instances: twice, ..commit(0) }).await.unwrap();
    store.commit_poll(&PollCommit { instances: vec![instance("etl", "2", Status::Fail)], ..commit(1) }).await.unwrap();
    let keys = ["1", "2"].map(|id| InstanceKey { job: "etl".into(), id: id.into() });
    let known = store.snapshots(&source(), &keys).await.unwrap();
    assert_eq!(keys.map(|key| known[&key].status), [Status::Fail, Status::Fail]);
}

#[tokio::test]
async fn a_source_that_cannot_be_read_keeps_its_cursor() {
    let place = Place::new();
    let store = place.open().await;
    store.record_unreadable(&source(), at(-60), "401").await.unwrap();
    assert_eq!(store.load_source(&source()).await.unwrap().generation, 0);
    store.commit_poll(&commit(0)).await.unwrap();
    assert_eq!(store.sources().await.unwrap()[0].unreadable, None);
    store.record_unreadable(&source(), at(60), "503").await.unwrap();
    store.record_unreadable(&source(), at(120), "HTML").await.unwrap();
    let condition = store.sources().await.unwrap().remove(0);
    assert_eq!(condition.unreadable, Some((at(60), "HTML".into())));
    assert_eq!((condition.read_until, condition.polled_at), (Some(at(0)), at(120)));
    let short = PollCommit {
        covered: Default::default(),
        outcome: PollOutcome::Short,
        incomplete: Some("9 of 10".into()),
        ..commit(1)
    };
    store.commit_poll(&short).await.unwrap();
    let condition = store.sources().await.unwrap().remove(0);
    assert_eq!((condition.read_until, condition.incomplete.as_deref()), (Some(at(0)), Some("9 of 10")));
    assert_eq!(condition.unreadable, None);
}

#[tokio::test]
async fn a_claim_takes_what_is_due_longest_due_first_and_nothing_else() {
    let place = Place::new();
    let store = place.open().await;
    let due = |id: &str, seconds| {
        let mut delivery = delivery(id, "pager");
        delivery.due_at = at(seconds);
        delivery
    };
    let mut elsewhere = due("elsewhere", 0);
    elsewhere.receiver = ReceiverId::new("team");
    let deliveries = vec![due("c", 3), due("a", 1), due("later", 11), due("b", 2), elsewhere];
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    assert_eq!(store.count_due(&pager(), at(10)).await.unwrap(), 3);
    assert_eq!(store.next_due(&pager(), at(0)).await.unwrap(), Some(at(1)));
    assert_eq!(claimed(&store, at(10), 2).await, ["a", "b"]);
    assert_eq!(store.next_due(&pager(), at(0)).await.unwrap(), Some(at(3)));
    assert_eq!(claimed(&store, at(10), 2).await, ["c"]);
    assert!(claimed(&store, at(10), 2).await.is_empty());
    assert_eq!(store.next_due(&pager(), at(0)).await.unwrap(), Some(at(11)));
    store.release(&[DeliveryId::new("b"), DeliveryId::new("c")]).await.unwrap();
    assert_eq!(claimed(&store, at(11), 9).await, ["b", "c", "later"]);
    assert_eq!(store.next_due(&pager(), at(0)).await.unwrap(), None);
    assert_eq!(store.next_due(&ReceiverId::new("team"), at(0)).await.unwrap(), Some(at(0)));
}

#[tokio::test]
async fn a_resolution_does_not_overtake_its_firing() {
    let place = Place::new();
    let store = place.open().await;
    let deliveries = vec![resolution("r1", "pager", "f1"), delivery("f1", "pager")];
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    assert_eq!(claimed(&store, at(1), 9).await, ["f1"]);
    assert!(claimed(&store, at(1), 9).await.is_empty());
    assert_eq!(store.next_due(&pager(), at(0)).await.unwrap(), None, "what waits for another has no time of its own");
    assert_eq!(store.count_due(&pager(), at(1)).await.unwrap(), 2);
    let failed = Attempt::failed(AttemptOutcome::Retry, None, "refused");
    store.settle(&[settled("f1", 1, failed, DeliveryState::Pending, Some(at(6)))]).await.unwrap();
    assert!(claimed(&store, at(2), 9).await.is_empty());
    assert_eq!(claimed(&store, at(6), 9).await, ["f1"]);
    let settled = settled("f1", 2, Attempt::delivered("200"), DeliveryState::Delivered, None);
    store.settle(&[settled]).await.unwrap();
    assert_eq!(claimed(&store, at(6), 9).await, ["r1"]);
}

#[tokio::test]
async fn a_resolution_dies_with_its_firing() {
    let place = Place::new();
    let store = place.open().await;
    let deliveries = vec![delivery("f1", "pager"), resolution("r1", "pager", "f1"), delivery("f2", "pager")];
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    claimed(&store, at(1), 9).await;
    store.settle(&[dead("f1"), dead("f2")]).await.unwrap();
    // The resolution of an episode whose firing died before is born dead.
    let late = vec![resolution("r2", "pager", "f2"), resolution("r3", "pager", "not-there")];
    store.commit_poll(&PollCommit { deliveries: late, ..commit(1) }).await.unwrap();
    assert_eq!(
        outbox(&store).await,
        [
            "f1 dead 1 gone",
            "f2 dead 1 gone",
            "r1 dead 0 the firing message was never delivered",
            "r2 dead 0 the firing message was never delivered",
            "r3 pending 0 -",
        ]
    );
}

#[tokio::test]
async fn settling_twice_is_settling_once() {
    let place = Place::new();
    let store = place.open().await;
    let deliveries = vec![delivery("d1", "pager"), delivery("d2", "pager")];
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    claimed(&store, at(1), 9).await;
    let failed = Attempt::failed(AttemptOutcome::Retry, Some("503".into()), "busy");
    let group = [
        delivered("d1"),
        settled("d2", 1, failed, DeliveryState::Pending, Some(at(7))),
        // A delivery that is gone must not hold up the others.
        delivered("not-there"),
    ];
    store.settle(&group).await.unwrap();
    let once = (store.deliveries(9).await.unwrap(), attempts(&place).await);
    assert_eq!(claimed(&store, at(7), 9).await, ["d2"]);
    store.settle(&group).await.unwrap();
    store.release(&[DeliveryId::new("d2")]).await.unwrap();
    assert_eq!((store.deliveries(9).await.unwrap(), attempts(&place).await), once);
    assert_eq!(once.1, ["d1 1 delivered", "d2 1 retry"]);
    assert_eq!(once.0.iter().find(|one| one.id.as_str() == "d1").unwrap().delivered_at, Some(at(2)));
}

#[tokio::test]
async fn recipients_that_have_it_add_up() {
    let place = Place::new();
    let store = place.open().await;
    store.commit_poll(&PollCommit { deliveries: vec![delivery("d1", "pager")], ..commit(0) }).await.unwrap();
    let reached = [vec!["a@x", "b@x"], vec![], vec!["b@x", "c@x"]];
    for (number, done) in (1..).zip(reached) {
        claimed(&store, at(1), 9).await;
        let mut attempt = Attempt::failed(AttemptOutcome::Retry, Some("451".into()), "later");
        attempt.done = done.into_iter().map(String::from).collect();
        store.settle(&[settled("d1", number, attempt, DeliveryState::Pending, Some(at(1)))]).await.unwrap();
    }
    assert_eq!(store.deliveries(1).await.unwrap()[0].done, ["a@x", "b@x", "c@x"]);
}

#[tokio::test]
async fn claims_of_a_dead_process_are_taken_back_as_unknown() {
    let place = Place::new();
    let store = place.open().await;
    let deliveries = vec![delivery("d1", "pager"), delivery("d2", "pager"), delivery("d3", "pager")];
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    assert_eq!(claimed(&store, at(1), 2).await, ["d1", "d2"]);
    store.settle(&[delivered("d1")]).await.unwrap();
    drop(store);
    let store = place.open().await;
    assert!(claimed(&store, at(0), 9).await == ["d3"], "d2 is not free before it is taken back");
    store.release(&[DeliveryId::new("d3")]).await.unwrap();
    assert_eq!(store.reclaim(at(30)).await.unwrap(), 1);
    assert_eq!(store.reclaim(at(30)).await.unwrap(), 0);
    assert_eq!(attempts(&place).await, ["d1 1 delivered", "d2 1 unknown"]);
    assert_eq!(claimed(&store, at(30), 9).await, ["d3", "d2"]);
}

#[tokio::test]
async fn a_damaged_row_is_left_out_and_its_neighbours_live() {
    let place = Place::new();
    let store = place.open().await;
    let first = PollCommit {
        instances: vec![instance("good", "1", Status::Running), instance("bad", "1", Status::Running)],
        fired: vec![alert("a1", "good"), alert("a2", "bad")],
        deliveries: vec![delivery("d1", "pager"), delivery("d2", "pager"), resolution("r2", "pager", "d2")],
        ..commit(0)
    };
    store.commit_poll(&first).await.unwrap();
    meddle(&place, "UPDATE delivery SET content = '{\"body\":' WHERE id = 'd2'").await;
    meddle(&place, "UPDATE alert SET facts = 'x' WHERE id = 'a2'").await;
    meddle(&place, "UPDATE instance SET status = 'dancing' WHERE job = 'bad'").await;
    let memory = store.load_source(&source()).await.unwrap();
    assert_eq!((memory.runs.len(), firing(&memory).len()), (1, 1));
    assert_eq!(store.alerts(9).await.unwrap().len(), 1);
    assert_eq!(claimed(&store, at(1), 9).await, ["d1"]);
    meddle(&place, "UPDATE delivery SET content = '{}' WHERE id = 'd2'").await;
    let lines = outbox(&store).await;
    assert!(lines[1].starts_with("d2 dead 0 a stored row cannot be understood: delivery d2: "), "{}", lines[1]);
    assert_eq!(lines[2], "r2 dead 0 the firing message was never delivered");
}

#[tokio::test]
async fn the_purge_removes_what_is_over_and_nothing_that_can_come_back() {
    let place = Place::new();
    let store = place.open().await;
    let day = 24 * 3600;
    let mut all = commit(0);
    all.now = at(-40 * day);
    let planned = |job: &str, status, days: i64| {
        let mut instance = instance(job, "7", status);
        instance.plan_time = Some(at(-days * day));
        instance
    };
    let timeless = Instance { plan_time: None, start_time: None, ..planned("timeless", Status::Fail, 41) };
    all.instances = vec![
        timeless,
        planned("gone", Status::Fail, 41),
        planned("listed", Status::Fail, 3),
        planned("running", Status::Running, 41),
        planned("firing", Status::Fail, 41),
        planned("pending", Status::Fail, 41),
    ];
    let over = |id: &str, job: &str| resolved(alert(id, job), at(-39 * day));
    all.fired = vec![
        over("a-gone", "gone"),
        over("a-listed", "listed"),
        alert("a-firing", "firing"),
        over("a-pending", "pending"),
    ];
    let of = |id: &str, about: Option<&str>| {
        let mut delivery = delivery(id, "pager");
        delivery.alert = about.map(nightbell::model::AlertId::new);
        delivery.created_at = at(-40 * day);
        delivery
    };
    all.deliveries = vec![
        of("d-gone", Some("a-gone")),
        of("d-listed", Some("a-listed")),
        of("d-firing", Some("a-firing")),
        of("d-pending", Some("a-pending")),
        of("digest-dead", None),
        of("digest-pending", None),
    ];
    all.deliveries.extend((0..2500).map(|n| of(&format!("x{n}"), None)));
    store.commit_poll(&all).await.unwrap();
    meddle(
        &place,
        "UPDATE delivery SET state = CASE id WHEN 'digest-dead' THEN 'dead' ELSE 'delivered' END, next_attempt_at = NULL, \
         delivered_at = CASE id WHEN 'digest-dead' THEN NULL ELSE created_at END WHERE id NOT IN ('d-pending', 'digest-pending')",
    )
    .await;
    meddle(
        &place,
        "INSERT INTO attempt (delivery, number, started_at, ended_at, outcome) VALUES ('d-gone', 1, 0, 0, 'delivered')",
    )
    .await;
    // The source was polled since; nothing changed.
    store.commit_poll(&commit(1)).await.unwrap();

    let removed = store.purge(at(-30 * day), &Default::default(), &jiff::tz::TimeZone::UTC).await.unwrap();
    let names = |rows: Vec<sqlx::any::AnyRow>| rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>();
    assert_eq!(names(meddle(&place, "SELECT job FROM instance ORDER BY job").await), ["firing", "listed", "running"]);
    assert_eq!(names(meddle(&place, "SELECT id FROM alert ORDER BY id").await), ["a-firing", "a-listed", "a-pending"]);
    assert_eq!(
        names(meddle(&place, "SELECT id FROM delivery ORDER BY id").await),
        ["d-firing", "d-listed", "d-pending", "digest-pending"]
    );
    assert!(attempts(&place).await.is_empty(), "attempts go with their delivery");
    // Three instances with how they were, an alert, the deliveries, and the poll itself.
    assert_eq!(removed, 3 + 3 + 1 + 2502 + 1);
    // A clock far ahead asks for everything: what the source can list again stays.
    store.purge(at(4000 * day), &Default::default(), &jiff::tz::TimeZone::UTC).await.unwrap();
    assert_eq!(names(meddle(&place, "SELECT job FROM instance ORDER BY job").await), ["firing", "listed", "running"]);
    assert_eq!(names(meddle(&place, "SELECT id FROM alert ORDER BY id").await), ["a-firing", "a-listed", "a-pending"]);
}

#[tokio::test]
async fn writers_at_once_wait_for_their_turn() {
    let place = Place::new();
    let store = std::sync::Arc::new(place.open().await);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = std::sync::Arc::clone(&store);
        writers.spawn(async move {
            for generation in 0..25 {
                let mut commit = commit(generation);
                commit.source = SourceId::new(format!("source-{writer}"));
                commit.deliveries = vec![delivery(&format!("d-{writer}-{generation}"), "pager")];
                commit.known_rules = Some(BTreeSet::from(["etl-failed".to_string()]));
                store.commit_poll(&commit).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    assert_eq!(store.deliveries(1000).await.unwrap().len(), 200);
}
