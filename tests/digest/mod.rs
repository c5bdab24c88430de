//! Digests over a real store: every run and alert in exactly one, the numbers those of an independent count, every gap
//! named. Time is handed in.

mod alerts;
mod gaps;
mod mail;
mod queries;
mod truth;
pub(crate) mod world;

pub(crate) use mail::page;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use nightbell::model::{DeliveryState, InstanceType, Status, VerdictState};
use nightbell::store::{Deliveries as _, DigestCommit, DigestCursor, Digests as _, PollLedger as _, Since, StoreError};
use nightbell::template::sample_digest;
use proptest::prelude::*;

use crate::sample::{Place, alert, at, commit, instance};
use world::{World, broken, jobs};

#[tokio::test]
async fn a_run_belongs_to_the_digest_after_its_end_and_to_no_other() {
    let mut world = World::open("schedule: \"0 * * * *\"").await;
    world.show([instance("etl", "1", Status::Running), instance("etl", "2", Status::Fail)]).await;
    world.pass(3600);
    let first = world.made().await.unwrap();
    assert_eq!((first.totals.outcomes.ended, first.totals.outcomes.failed), (1, 1));
    assert_eq!(first.open.iter().map(|open| (open.status, open.count)).collect::<Vec<_>>(), [(Status::Running, 1)]);
    assert_eq!((first.verdict.state, broken(&first)), (VerdictState::Broken, vec!["etl 2 new".to_string()]));
    assert!(world.made().await.is_none(), "made twice for one due time");

    // The run that was under way ends well, and a success after the failure makes the job well.
    world.show([instance("etl", "1", Status::Success)]).await;
    world.pass(3600);
    let second = world.made().await.unwrap();
    assert_eq!((second.totals.outcomes.ended, second.totals.outcomes.ok), (1, 1));
    assert_eq!(second.period.from, first.period.until);
    // Run 1 was due with run 2, and so vouches for nothing.
    assert_eq!(broken(&second), ["etl 2 old"]);
    world.show([World::later(instance("etl", "3", Status::Success), 600)]).await;
    world.pass(3600);
    let third = world.made().await.unwrap();
    // What was called broken twice is well again, which is told once.
    assert_eq!((third.verdict.state, third.broken.total, third.recovered.total), (VerdictState::Recovered, 0, 1));
    world.pass(3600);
    let fourth = world.made().await.unwrap();
    assert_eq!((fourth.verdict.state, fourth.recovered.total), (VerdictState::Quiet, 0));
}

#[tokio::test]
async fn a_rerun_counts_for_the_digest_of_its_first_end() {
    let mut world = World::open("schedule: \"0 * * * *\"").await;
    world.show([instance("etl", "1", Status::Fail)]).await;
    world.show([instance("etl", "1", Status::Running)]).await;
    world.show([instance("etl", "1", Status::Success)]).await;
    world.pass(3600);
    let first = world.made().await.unwrap();
    assert_eq!((first.totals.outcomes.ended, first.totals.outcomes.ok), (1, 1));
    assert_eq!(
        (first.verdict.state, jobs(&first.recovered.shown)),
        (VerdictState::Recovered, vec!["etl 1 new".to_string()])
    );
    assert_eq!(first.recovered.shown[0].recovered_by.as_deref(), Some("rerun"));
    world.show([instance("etl", "1", Status::Fail)]).await;
    world.pass(3600);
    let second = world.made().await.unwrap();
    assert_eq!((second.totals.outcomes.ended, broken(&second)), (0, vec!["etl 1 old".to_string()]));
}

#[tokio::test]
async fn missed_digests_become_one_that_says_so() {
    let mut world = World::open("schedule: \"0 * * * *\"").await;
    world.show([instance("etl", "1", Status::Success)]).await;
    world.pass(3 * 3600 + 60);
    let only = world.made().await.unwrap();
    assert_eq!((only.digest.missed, only.totals.outcomes.ended), (2, 1));
    assert!(only.digest.first_missed_at.unwrap() < only.digest.due_at);
    assert!(world.made().await.is_none());
}

/// With a period of its own a digest is a look back from where it stands: it may say again what the last one said, and
/// leaves out what is older.
#[tokio::test]
async fn a_period_is_a_look_back_that_may_overlap_and_leave_out() {
    for (period, expected) in [("3h", [1, 1, 1, 0]), ("30m", [0, 0, 0, 0])] {
        let mut world = World::open(&format!("schedule: \"0 * * * *\"\n    period: {period}")).await;
        world.pass(60);
        world.commit(vec![instance("etl", "1", Status::Success)], vec![alert("a", "etl")]).await;
        world.pass(-60);
        for (hour, expected) in expected.into_iter().enumerate() {
            world.pass(3600);
            let digest = world.made().await.unwrap();
            let told = (digest.totals.outcomes.ended, digest.alerts.fired);
            assert_eq!(told, (expected, expected), "{period}, hour {hour}");
        }
    }
}

#[tokio::test]
async fn receivers_get_the_same_digest_each_at_its_own_second() {
    let mut world = World::open("schedule: \"0 * * * *\"\n    spread: 10m").await;
    world.pass(3600);
    world.made().await.unwrap();
    let deliveries = world.store.deliveries(10).await.unwrap();
    let due: Vec<_> = deliveries.iter().map(|it| it.next_attempt_at.unwrap()).collect();
    assert_eq!(deliveries.len(), 2);
    assert!(due.iter().all(|due| *due >= world.now() && *due < world.now() + SignedDuration::from_mins(10)));
    assert_ne!(due[0], due[1], "{due:?}");
    assert!(deliveries.iter().all(|it| it.state == DeliveryState::Pending));
}

#[tokio::test]
async fn match_chooses_jobs_and_backfill_must_be_named() {
    let backfill = |id: &str| {
        let instance = instance("etl_a", id, Status::Success);
        nightbell::model::Instance { kind: InstanceType::Backfill, ..instance }
    };
    for (matches, expected) in
        [("job: \"etl_*\", not: \"*_b\"", 1), ("instance_type: [backfill]", 1), ("job: \"*\"", 3)]
    {
        let mut world = World::open(&format!("schedule: \"0 * * * *\"\n    match: {{ {matches} }}")).await;
        let names = ["etl_a", "etl_b", "other"];
        world.show(names.map(|job| instance(job, "1", Status::Success)).into_iter().chain([backfill("2")])).await;
        world.pass(3600);
        assert_eq!(world.made().await.unwrap().totals.outcomes.ended, expected, "{matches}");
    }
}

#[tokio::test]
async fn a_digest_that_was_made_in_between_is_not_made_again() {
    let place = Place::new();
    let store = place.open().await;
    let from = store.begin_digest("daily", at(0)).await.unwrap();
    assert_eq!(store.begin_digest("daily", at(500)).await.unwrap(), from, "it begins once");
    let to = DigestCursor { sequence: from.sequence + 5, made_at: at(10), due_at: at(10) };
    let facts = sample_digest(at(10)).digest().cloned().unwrap();
    let deliveries = vec![crate::sample::delivery("d1", "pager")];
    let made = DigestCommit { name: "daily".into(), from, to, facts, deliveries };
    store.commit_digest(&made).await.unwrap();
    assert_eq!(store.digest_cursor("daily").await.unwrap(), Some(to));
    let again = DigestCommit { deliveries: vec![crate::sample::delivery("d2", "pager")], ..made };
    assert!(matches!(store.commit_digest(&again).await, Err(StoreError::DigestMoved(name)) if name == "daily"));
    assert_eq!(store.deliveries(10).await.unwrap().len(), 1);
    assert_eq!(store.digest_cursor("weekly").await.unwrap(), None);
}

/// What moments are, seen from outside: a clock that stands still or goes back does not stop them.
#[tokio::test]
async fn moments_grow_whatever_the_clock_does() {
    let place = Place::new();
    let store = place.open().await;
    let mut last = i64::MIN;
    for (generation, seconds) in (0..).zip([0, 0, 3600, -86_400, -86_399, 10]) {
        let change = nightbell::store::PollCommit {
            now: at(seconds),
            generation,
            instances: vec![instance("etl", &generation.to_string(), Status::Success)],
            ..commit(0)
        };
        store.commit_poll(&change).await.unwrap();
        let mut tally = world::empty_tally(at(seconds));
        let moment = store.tally(Since::Sequence(last), &mut tally).await.unwrap();
        assert!(moment > last);
        assert_eq!(world::finished(tally).totals.outcomes.ended, 1, "only what came since, at {seconds}");
        last = moment;
    }
}

#[tokio::test]
async fn an_alert_counts_in_one_digest_and_a_breach_says_by_how_much() {
    let mut world = World::open("schedule: \"0 * * * *\"").await;
    let mut slow = alert("slow", "etl");
    slow.rule = "slow".into();
    let run = World::later(instance("etl", "7", Status::Running), -3000);
    let suppressed = nightbell::model::Alert {
        suppressed_by: Some(nightbell::model::Suppression::FirstPoll),
        ..alert("quiet", "other")
    };
    world.commit(vec![run], vec![slow, suppressed]).await;
    world.pass(3600);
    let first = world.made().await.unwrap();
    assert_eq!((first.alerts.fired, first.alerts.firing, first.alerts.suppressed), (2, 2, 1));
    assert_eq!(first.alerts.suppressed_by[0].reason, "first-poll");
    let breach = &first.breaches.shown[0];
    assert_eq!((breach.job.as_str(), breach.limit_ms, breach.is_running), ("etl", Some(45 * 60_000), true));
    assert_eq!(breach.over_ms.unwrap() + 45 * 60_000, breach.duration_ms.unwrap());
    world.pass(3600);
    let second = world.made().await.unwrap();
    // Both fire on, and what takes too long takes longer by now.
    assert_eq!((second.alerts.fired, second.alerts.firing, second.alerts.suppressed), (0, 2, 0));
    assert_eq!(second.breaches.shown[0].over_ms, breach.over_ms.map(|over| over + 3_600_000));
}

#[tokio::test]
async fn what_runs_longer_than_usual_is_told_with_what_is_usual() {
    let mut world = World::open("schedule: \"0 * * * *\"").await;
    let lasting = |id: i64, minutes: i64| World::lasting("etl", &id.to_string(), id, minutes);
    world.show((0..20).map(|id| lasting(id, 5 + id % 3))).await;
    let running = World::later(instance("etl", "99", Status::Running), 0);
    let fresh = World::later(instance("new", "98", Status::Running), 0);
    world.show([running, fresh]).await;
    world.pass(3600);
    let digest = world.made().await.unwrap();
    assert_eq!(digest.running_long.total, 1);
    let run = &digest.running_long.shown[0];
    let usual = run.usual.unwrap();
    assert_eq!((run.instance.as_str(), usual.from_ms, usual.to_ms, usual.runs), ("99", 300_000, 420_000, 20));
    assert_eq!(digest.slowest.shown.iter().map(|run| run.job.as_str()).collect::<Vec<_>>(), ["etl"]);
    assert_eq!(digest.slowest.shown[0].duration_ms, 420_000);
}

#[tokio::test]
async fn what_became_slower_is_told_against_the_period_before() {
    let mut world = World::open("schedule: \"0 * * * *\"").await;
    world.pass(3600);
    world.made().await.unwrap();
    world.show((0..3).map(|id| World::lasting("etl", &id.to_string(), id, 10))).await;
    world.pass(3600);
    assert_eq!(world.made().await.unwrap().changed.total, 0);
    world.show((3..6).map(|id| World::lasting("etl", &id.to_string(), id, 25))).await;
    world.pass(3600);
    let digest = world.made().await.unwrap();
    let change = &digest.changed.shown[0];
    assert_eq!((change.mean_before_ms, change.mean_ms, change.percent), (600_000, 1_500_000, 150));
}

fn arbitrary_status() -> impl Strategy<Value = Status> {
    prop::sample::select(Status::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::sample::cases(24), failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Runs change their status at random polls while the clock steps about and digests are made in between: each run
    /// that was ever seen to be over, and each alert, is in exactly one digest, and the bars of the chart hold as many as
    /// the totals.
    #[test]
    fn each_run_and_each_alert_is_in_exactly_one_digest(
        steps in prop::collection::vec((0u8..10, 0usize..30, arbitrary_status(), -7200i64..14_400), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::open("schedule: \"*/10 * * * *\"").await;
            let mut ended: BTreeMap<usize, u64> = BTreeMap::new();
            let (mut counted, mut fired, mut alerts_counted) = (0, 0, 0);
            let mut count = |digest: Option<nightbell::model::DigestFacts>| {
                if let Some(digest) = digest {
                    let bars: u64 = digest.chart.bars.iter().map(|bar| bar.outcomes.ended).sum();
                    assert_eq!(bars, digest.totals.outcomes.ended);
                    counted += bars;
                    alerts_counted += digest.alerts.fired;
                }
            };
            for (dice, id, status, seconds) in steps {
                world.pass(if dice == 0 { seconds } else { seconds.abs() % 300 });
                let alerts = (dice % 3 == 0).then(|| {
                    fired += 1;
                    alert(&format!("a{fired}"), &format!("etl_a{fired}"))
                });
                let run = instance(&format!("etl_{id}"), "1", status);
                world.commit(vec![run], alerts.into_iter().collect()).await;
                if status.has_ended() {
                    *ended.entry(id).or_default() += 1;
                }
                count(world.made().await);
            }
            world.pass(Duration::from_secs(6 * 86_400).as_secs() as i64);
            count(world.made().await);
            assert_eq!((counted, alerts_counted), (ended.len() as u64, fired));
        });
    }
}
