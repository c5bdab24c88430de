//! What is kept of runs: the last ones that rules count, and counts of those that are gone.

use std::collections::BTreeMap;

use nightbell::model::{GapCause, Status};
use nightbell::store::{Digests as _, KeptRuns, PollLedger as _, Since, Upkeep as _};
use sqlx::Row as _;

use super::meddle;
use crate::digest::world::{empty_tally, finished};
use crate::sample::{Place, at, commit, instance, source};

const DAY: i64 = 24 * 3600;

/// Runs of two jobs, one a day, the oldest 100 days ago, every third of them failed.
async fn store(place: &Place) -> nightbell::store::SqlStore {
    let store = place.open().await;
    for days in (40..100).rev() {
        let mut poll = commit(99 - days);
        poll.now = at(-days * DAY);
        let run = |job: &str| {
            let status = if days % 3 == 0 { Status::Fail } else { Status::Success };
            let mut run = instance(job, &days.to_string(), status);
            (run.plan_time, run.start_time) = (Some(at(-days * DAY)), Some(at(-days * DAY)));
            run.end_time = Some(at(-days * DAY + 60));
            run
        };
        poll.instances = vec![run("counted"), run("other")];
        store.commit_poll(&poll).await.unwrap();
    }
    store.commit_poll(&commit(60)).await.unwrap();
    store
}

#[tokio::test]
async fn the_last_runs_that_rules_count_stay_and_the_others_are_counted_by_day() {
    let place = Place::new();
    let store = store(&place).await;
    let kept = KeptRuns::from([(source(), BTreeMap::from([("counted".to_string(), 20)]))]);
    for _ in 0..2 {
        // A second purge finds nothing more to count.
        store.purge(at(-30 * DAY), &kept, &jiff::tz::TimeZone::UTC).await.unwrap();
    }
    let rows = meddle(&place, "SELECT job, id FROM instance ORDER BY job, plan_time").await;
    let left: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected: Vec<(String, String)> = (40..60).rev().map(|days| ("counted".into(), days.to_string())).collect();
    assert_eq!(left, expected);
    let counts = "SELECT job, status, CAST(SUM(runs) AS BIGINT), CAST(SUM(timed) AS BIGINT), CAST(SUM(took_ms) AS BIGINT), \
           MAX(longest_ms) FROM job_day \
         GROUP BY job, status ORDER BY job, status";
    let rows = meddle(&place, counts).await;
    let counted: Vec<(String, String, i64, i64, i64, i64)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4), row.get(5))).collect();
    let row =
        |job: &str, status: &str, runs: i64| (job.to_string(), status.to_string(), runs, runs, runs * 60_000, 60_000);
    assert_eq!(
        counted,
        [
            row("counted", "fail", 14),
            row("counted", "success", 26),
            row("other", "fail", 20),
            row("other", "success", 40)
        ]
    );
    // Four hundred days after they could have gone.
    store.purge(at(365 * DAY), &kept, &jiff::tz::TimeZone::UTC).await.unwrap();
    assert!(meddle(&place, "SELECT job FROM job_day WHERE job = 'other'").await.is_empty());
}

#[tokio::test]
async fn a_digest_of_purged_runs_says_what_is_missing() {
    let place = Place::new();
    let store = store(&place).await;
    let whole = {
        let mut tally = empty_tally(at(0));
        store.tally(Since::Sequence(i64::MIN), &mut tally).await.unwrap();
        finished(tally)
    };
    assert!(whole.completeness.gaps.shown.iter().all(|gap| gap.cause != GapCause::Purged));
    store.purge(at(-30 * DAY), &KeptRuns::new(), &jiff::tz::TimeZone::UTC).await.unwrap();
    let mut tally = empty_tally(at(0));
    store.tally(Since::Sequence(i64::MIN), &mut tally).await.unwrap();
    let mut digest = finished(tally);
    let gap = digest.completeness.gaps.shown.iter().find(|gap| gap.cause == GapCause::Purged).unwrap();
    assert_eq!(gap.reason, "120 runs, 40 of them failed");
    assert!(!digest.completeness.complete);
    assert_ne!(digest.verdict.state, nightbell::model::VerdictState::Well);
    // Whoever reads Chinese is told in Chinese.
    nightbell::words::say_digest(&mut digest, nightbell::words::Language::Zh);
    let gap = digest.completeness.gaps.shown.iter().find(|gap| gap.cause == GapCause::Purged).unwrap();
    assert_eq!((gap.reason.as_str(), gap.runs, gap.failed), ("120 次运行，其中 40 次失败", Some(120), Some(40)));
}
