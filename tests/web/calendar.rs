//! The calendar of a job: the same before and after its runs are counted instead of kept, and unknown where nothing was read.

use std::sync::Arc;

use jiff::tz::TimeZone;
use nightbell::clock::ManualClock;
use nightbell::model::{Covered, Status};
use nightbell::store::{KeptRuns, PollLedger as _, SqlStore, Upkeep as _};
use serde_json::Value;

use super::Served;
use crate::sample::{Place, at, commit, instance};

const DAY: i64 = 24 * 3600;
const RULES: &str = "timezone: Asia/Shanghai\nweb: { listen: \"127.0.0.1:0\" }\nsources:\n  \
    s: { type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, auth: { token: t } }\nreceivers:\n  \
    hook: { type: webhook, url: \"http://127.0.0.1:9/\" }\nrules:\n  \
    failed: { match: { job: [often, daily, never] }, when: { status: [fail] }, notify: [hook] }\n";

/// Midnight where the configuration is: `at(0)` is midnight in UTC.
fn midnight() -> i64 {
    -8 * 3600
}

/// Runs of the last 33 days: of one job every quarter of an hour, of another one each night, every third of which failed.
async fn fill(store: &SqlStore) {
    for day in (0..33).rev() {
        let begin = midnight() - day * DAY;
        let mut poll = commit(32 - day);
        (poll.source, poll.now) = ("s".into(), at(begin + 23 * 3600));
        poll.covered = Covered { from: Some(at(midnight() - 32 * DAY)), until: Some(poll.now), ..Covered::default() };
        let run = |job: &str, id: i64, status: Status, seconds: i64| {
            let mut run = instance(job, &format!("{day}-{id}"), status);
            run.source = "s".into();
            (run.plan_time, run.start_time, run.end_time) =
                (Some(at(seconds)), Some(at(seconds)), Some(at(seconds + 60)));
            run
        };
        poll.instances = (0..90).map(|n| run("often", n, Status::Success, begin + n * 900)).collect();
        let status = if day % 3 == 0 { Status::Fail } else { Status::Success };
        poll.instances.push(run("daily", 0, status, begin + 2 * 3600));
        store.commit_poll(&poll).await.unwrap();
    }
}

async fn went(served: &Served, job: &str) -> Vec<(String, String, u64, u64)> {
    let answer = served.get(&format!("/api/v1/jobs/s/{job}/calendar"), &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let items = answer.json()["items"].as_array().unwrap().clone();
    let day = |it: &Value| {
        let text = |key: &str| it[key].as_str().unwrap().to_string();
        (text("date"), text("went"), it["runs"]["well"].as_u64().unwrap(), it["runs"]["badly"].as_u64().unwrap())
    };
    items.iter().map(day).collect()
}

/// The words of the cells on the page.
async fn cells(served: &Served, job: &str) -> Vec<String> {
    let page = served.get(&format!("/jobs/s/{job}"), &[]).await;
    assert_eq!(page.status, 200, "{page:?}");
    let cells = page.body.split("<div class=\"day ").skip(1);
    cells.map(|cell| cell.split('"').next().unwrap().to_string()).collect()
}

async fn serve(place: Place) -> Served {
    Served::start_with(place, RULES, Arc::new(ManualClock::at(at(midnight() + 23 * 3600 + 600)))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_day_is_told_however_many_runs_there_were_and_whether_or_not_they_are_kept() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store).await;
    store.close().await;
    drop(store);
    let served = serve(place).await;
    let before = [went(&served, "often").await, went(&served, "daily").await];
    let [often, daily] = &before;
    assert_eq!(
        (often.len(), often[0].1.as_str(), often[1].1.as_str()),
        (35, "unknown", "unknown"),
        "before the first poll"
    );
    assert!(often[2..].iter().all(|(_, went, well, _)| went == "met" && *well == 90), "{often:?}");
    for (index, (_, went, well, badly)) in daily[2..].iter().rev().enumerate() {
        let expected = if index % 3 == 0 { ("failed", 0, 1) } else { ("met", 1, 0) };
        assert_eq!((went.as_str(), *well, *badly), expected, "{index} days ago");
    }
    let on_page: Vec<String> = daily.iter().map(|(_, went, ..)| went.clone()).collect();
    assert_eq!(cells(&served, "daily").await, on_page, "the page says the same");
    // What is removed is counted by the day.
    let store = served.store().await;
    let removed = store
        .purge(at(midnight() - 10 * DAY), &KeptRuns::new(), &TimeZone::get("Asia/Shanghai").unwrap())
        .await
        .unwrap();
    assert!(removed > 1500, "{removed}");
    store.close().await;
    assert_eq!([went(&served, "often").await, went(&served, "daily").await], before);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_was_not_read_is_unknown_and_none_without_a_run() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store).await;
    let pool = sqlx::AnyPool::connect(&place.raw_url()).await.unwrap();
    let (from, until) = (at(midnight() - 9 * DAY - 3600), at(midnight() - 7 * DAY - 3600));
    let lost = format!(
        "INSERT INTO gap (source, cause, reason, began_at, ended_at, opened_moment, closed_moment) \
         VALUES ('s', 'lost', 'away', {0}, {1}, {1}, {1})",
        from.as_millisecond(),
        until.as_millisecond()
    );
    sqlx::query(sqlx::AssertSqlSafe(lost)).execute(&pool).await.unwrap();
    pool.close().await;
    store.close().await;
    drop(store);
    let served = serve(place).await;
    // A job of which nothing is known but its name.
    let cells = cells(&served, "never").await;
    let unknown: Vec<usize> = (0..35).filter(|day| cells[34 - day] == "unknown").collect();
    assert_eq!(unknown, [8, 9, 10, 33, 34], "days ago: {cells:?}");
    assert_eq!(cells.iter().filter(|cell| *cell == "nothing").count(), 30, "{cells:?}");
    served.stop().await;
}
