//! The log of transitions: what changed when, as often as it changed, and no longer than it is wanted.

use nightbell::model::{Instance, PollOutcome, Status};
use nightbell::store::{Archive as _, PollCommit, PollLedger as _, Transition, Upkeep as _};

use crate::sample::{Place, at, commit, covered, instance, source};

fn poll(generation: i64, seconds: i64, instances: Vec<Instance>) -> PollCommit {
    PollCommit { now: at(seconds), instances, ..commit(generation) }
}

/// Each as "seen after so many seconds, job, id, status", in their order.
fn lines(transitions: &[Transition]) -> Vec<String> {
    let line = |it: &Transition| {
        let (seconds, instance) = (it.seen_at.duration_since(at(0)).as_secs(), &it.instance);
        format!("{seconds} {} {} {}", instance.job.name, instance.id, instance.status)
    };
    transitions.iter().map(line).collect()
}

#[tokio::test]
async fn what_changes_is_noted_once_for_each_change() {
    let place = Place::new();
    let store = place.open().await;
    let running = instance("etl", "1", Status::Running);
    let renamed = Instance { raw_status: "ABORTED".into(), ..instance("etl", "1", Status::Fail) };
    let polls = [
        poll(0, 0, vec![running.clone(), instance("dwd", "2", Status::Success)]),
        // Named again because an alert begins, and not because it has changed.
        poll(1, 60, vec![running.clone()]),
        poll(2, 120, vec![renamed.clone()]),
        PollCommit {
            covered: Default::default(),
            outcome: PollOutcome::Short,
            incomplete: Some("short".into()),
            ..poll(3, 180, Vec::new())
        },
    ];
    for commit in &polls {
        store.commit_poll(commit).await.unwrap();
    }
    store.record_unreadable(&source(), at(240), "timeout").await.unwrap();

    let of_run = store.transitions(&source(), "etl", "1").await.unwrap();
    assert_eq!(lines(&of_run), ["0 etl 1 running", "120 etl 1 fail"]);
    assert_eq!(of_run[0].instance, running);
    assert_eq!(of_run[1].instance, renamed);
    let between = store.transitions_between(&source(), at(0), at(119)).await.unwrap();
    assert_eq!(lines(&between), ["0 dwd 2 success", "0 etl 1 running"]);
    assert_eq!(lines(&store.states_before(&source(), at(120)).await.unwrap()), ["0 dwd 2 success", "0 etl 1 running"]);
    assert_eq!(lines(&store.states_before(&source(), at(121)).await.unwrap()), ["0 dwd 2 success", "120 etl 1 fail"]);
    let polls = store.polls_between(&source(), at(60), at(600)).await.unwrap();
    let polls: Vec<_> =
        polls.iter().map(|poll| (poll.polled_at.duration_since(at(0)).as_secs(), poll.outcome)).collect();
    let expected = [(60, PollOutcome::Whole), (120, PollOutcome::Whole), (180, PollOutcome::Short)];
    assert_eq!(polls, [&expected[..], &[(240, PollOutcome::Unread)]].concat());
}

/// A clock that is set back must not lose a state, nor change their order.
#[tokio::test]
async fn a_clock_that_was_set_back_loses_no_transition() {
    let place = Place::new();
    let store = place.open().await;
    for (generation, status) in (0..).zip([Status::Waiting, Status::Running, Status::Fail]) {
        store.commit_poll(&poll(generation, 60 - 30 * generation, vec![instance("etl", "1", status)])).await.unwrap();
    }
    let seen = store.transitions(&source(), "etl", "1").await.unwrap();
    assert_eq!(lines(&seen), ["60 etl 1 waiting", "30 etl 1 running", "0 etl 1 fail"]);
}

#[tokio::test]
async fn the_purge_keeps_how_every_known_run_was_at_the_end_of_the_retention() {
    let day = 86_400;
    let place = Place::new();
    let store = place.open().await;
    let long = |status| Instance { plan_time: Some(at(19 * day)), ..instance("long", "1", status) };
    let polls = [
        poll(0, 0, vec![instance("old", "2", Status::Success), long(Status::Waiting)]),
        poll(1, 2 * day, vec![long(Status::Running)]),
        PollCommit { covered: covered(at(40 * day)), ..poll(2, 40 * day, vec![long(Status::Fail)]) },
    ];
    for commit in &polls {
        store.commit_poll(commit).await.unwrap();
    }
    store.purge(at(20 * day), &Default::default(), &jiff::tz::TimeZone::UTC).await.unwrap();
    let all = store.transitions_between(&source(), at(0), at(50 * day)).await.unwrap();
    assert_eq!(lines(&all), [format!("{} long 1 running", 2 * day), format!("{} long 1 fail", 40 * day)]);
    assert_eq!(store.polls_between(&source(), at(0), at(50 * day)).await.unwrap().len(), 1);
}
