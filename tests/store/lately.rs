//! How jobs have fared before their alerts: counted by the store, for all alerts of a poll at once.

use jiff::SignedDuration;
use nightbell::model::{Alert, EndReason, Ended, Instance, InstanceType, Lately, Status};
use nightbell::store::{PollCommit, PollLedger as _};

use crate::sample::{Place, alert, at, commit, instance, resolved};

const DAY: i64 = 86_400;

/// The run `id` of a job, planned so many days after the samples' own, that took so many seconds.
fn run(job: &str, id: &str, status: Status, days: i64, seconds: i64) -> Instance {
    let run = instance(job, id, status);
    let moved = |time: Option<jiff::Timestamp>| time.map(|time| time + SignedDuration::from_secs(days * DAY));
    let start_time = moved(run.start_time);
    let end_time = start_time.map(|start| start + SignedDuration::from_secs(seconds));
    Instance { plan_time: moved(run.plan_time), start_time, end_time, ..run }
}

fn named(id: &str, job: &str) -> Alert {
    let mut alert = alert(id, job);
    alert.facts.instance.as_mut().unwrap().id = id.to_string();
    alert
}

#[tokio::test]
async fn an_alert_knows_how_its_job_has_fared() {
    let place = Place::new();
    let store = place.open().await;
    let backfill = Instance { kind: InstanceType::Backfill, ..run("etl", "b", Status::Fail, -1, 9) };
    let instances = vec![
        run("etl", "old", Status::Fail, -9, 100),
        run("etl", "1", Status::Success, -8, 300),
        run("etl", "2", Status::Fail, -6, 100),
        run("etl", "3", Status::Success, -5, 500),
        run("etl", "4", Status::Success, -4, 400),
        run("etl", "5", Status::ManualStop, -3, 100),
        run("etl", "6", Status::Rejected, -2, 0),
        // Under way, and the one that the alert is about.
        run("etl", "7", Status::Running, 0, 0),
        run("etl", "now", Status::Fail, 0, 60),
        backfill,
        run("other", "1", Status::Fail, -1, 60),
    ];
    let first = named("first", "etl");
    let of_another_rule = Alert { rule: "other-rule".into(), ..named("elsewhere", "etl") };
    let fired = vec![first.clone(), of_another_rule.clone()];
    store.commit_poll(&PollCommit { instances, fired, ..commit(0) }).await.unwrap();
    let by = |alert: Alert, who: &str, seconds: i64| {
        let mut over = resolved(alert, at(seconds));
        let ended = Ended { reason: EndReason::Closed, by: Some(who.to_string()), note: None, at: at(seconds) };
        over.facts.alert.ended = Some(Box::new(ended));
        over
    };
    let changed = vec![by(first, "kim", 700), by(of_another_rule, "eve", 800)];
    store.commit_poll(&PollCommit { changed, ..commit(1) }).await.unwrap();

    let asked = [named("now", "etl"), named("1", "other"), named("x", "unknown")];
    let since = at(-7 * DAY);
    let found = store.lately(&asked.iter().collect::<Vec<_>>(), since).await.unwrap();
    let etl = &found["now"];
    assert_eq!((etl.runs, etl.failed), (5, 2));
    let last = run("etl", "4", Status::Success, -4, 400).end_time;
    assert_eq!((etl.last_success_at, etl.usual_ms), (last, Some(400_000)));
    assert_eq!(etl.last_ended.as_ref().map(|ended| ended.by.as_deref()), Some(Some("kim")));
    assert_eq!(etl.last_lasted_ms, Some(1_200_000));
    let nothing =
        Lately { runs: 0, failed: 0, last_success_at: None, usual_ms: None, last_ended: None, last_lasted_ms: None };
    assert_eq!((&found["1"], &found["x"]), (&nothing, &nothing));
}
