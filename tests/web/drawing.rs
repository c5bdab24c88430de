//! What the night draws: jobs in their order, bars, planned windows, deadlines, now, and what was not read.

use std::sync::Arc;

use nightbell::clock::ManualClock;
use nightbell::limits::{NIGHT_ALERTS_MAX, NIGHT_RUNS_MAX};
use nightbell::model::{Covered, Instance, Severity, Status};
use nightbell::store::PollLedger as _;
use serde_json::{Value, json};

use super::Served;
use crate::sample::{Place, alert, at, commit, instance};

/// `at(0)` is midnight in UTC.
const RULES: &str = "web: { listen: \"127.0.0.1:0\" }\nsources:\n  \
    s: { type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, auth: { token: t } }\n  \
    away: { type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, auth: { token: t }, poll: \"0 5 * * *\" }\nreceivers:\n  \
    hook: { type: webhook, url: \"http://127.0.0.1:9/\" }\nrules:\n  \
    failed: { match: { job: told }, when: { status: [fail] }, notify: [hook] }\n  \
    by-one: { match: { job: well }, when: { not_finished_by: \"01:00\" }, notify: [hook] }\n  \
    by-three: { match: { job: well }, when: { not_finished_by: \"03:00\" }, notify: [hook] }\n  \
    unlisted-by: { match: { source: s, job: unlisted }, when: { not_started_by: \"03:00\" }, notify: [hook] }\n  \
    tomorrow: { match: { source: s, job: tomorrow }, when: { not_started_by: \"12:00\" }, notify: [hook] }\n";

fn run(job: &str, id: &str, status: Status, plan: i64, start: i64, end: Option<i64>) -> Instance {
    let mut run = instance(job, id, status);
    run.source = "s".into();
    (run.plan_time, run.start_time, run.end_time) = (Some(at(plan)), Some(at(start)), end.map(at));
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn the_night_draws_what_is_known_and_hatches_the_rest() {
    const HOUR: i64 = 3600;
    let place = Place::new();
    let store = place.open().await;
    let mut poll = commit(0);
    (poll.source, poll.now) = ("s".into(), at(2 * HOUR));
    // It was first polled four hours behind the beginning of what is drawn.
    poll.covered = Covered { from: Some(at(-6 * HOUR)), until: Some(at(2 * HOUR)), ..Covered::default() };
    poll.instances = vec![
        run("well", "-1", Status::Success, -5 * HOUR, -5 * HOUR, Some(-4 * HOUR)),
        run("well", "0", Status::Success, -4 * HOUR, -4 * HOUR, Some(-3 * HOUR)),
        run("well", "1", Status::Success, -2 * HOUR, -2 * HOUR, Some(-HOUR)),
        run("well", "2", Status::Success, 0, 600, Some(HOUR)),
        run("under-way", "3", Status::Running, HOUR, HOUR, None),
        run("told", "4", Status::Fail, HOUR, HOUR, Some(HOUR + 60)),
        run("untold", "5", Status::Fail, 0, 0, Some(60)),
    ];
    let mut fired = alert("a1", "told");
    (fired.source, fired.rule) = ("s".into(), "failed".into());
    poll.fired = vec![fired];
    store.commit_poll(&poll).await.unwrap();
    let mut good = commit(0);
    (good.source, good.now) = ("away".into(), at(HOUR));
    good.covered = Covered { from: Some(at(-6 * HOUR)), until: Some(at(HOUR)), ..Covered::default() };
    store.commit_poll(&good).await.unwrap();
    for minute in [70, 118] {
        store.record_unreadable(&"away".into(), at(minute * 60), "the gateway answers 503").await.unwrap();
    }
    store.close().await;
    drop(store);
    let served = Served::start_with(place, RULES, Arc::new(ManualClock::at(at(2 * HOUR)))).await;
    let body = served.get("/?hours=12", &[]).await.body;
    let order = ["Failing or late", ">told<", ">untold<", ">under-way<", "<details", ">well<"];
    let places: Vec<Option<usize>> = order.iter().map(|text| body.find(text)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{order:?} stand at {places:?} in {body}");
    let lane = |job: &str| {
        let lane = body.split("<div class=\"lane\">").find(|lane| lane.contains(&format!(">{job}<")));
        let lane = lane.unwrap_or_else(|| panic!("no lane of {job} in {body}"));
        lane.split("<div class=\"last\">").next().unwrap().to_string()
    };
    // Twelve hours, and one and a half ahead: an hour is 7.41 percent.
    for job in ["told", "untold", "under-way", "well"] {
        let lane = lane(job);
        assert_eq!(lane.matches("class=\"hatched\"").count(), 1, "{lane}");
        assert!(lane.contains("class=\"hatched\" x=\"0.00%\" width=\"29.63%\""), "before the first poll: {lane}");
        assert!(lane.contains("class=\"now-line\" x1=\"88.89%\""), "{lane}");
        assert_eq!(lane.contains("class=\"open-end"), job == "under-way", "what has ended has an end: {lane}");
    }
    let under_way = lane("under-way");
    assert!(under_way.contains("class=\"run running\" x=\"81.48%\" width=\"7.41%\""), "up to now: {under_way}");
    for job in ["told", "under-way"] {
        assert!(!lane(job).contains("class=\"window\""), "nobody knows how long it takes: {}", lane(job));
    }
    let well = lane("well");
    assert!(well.contains("class=\"due-line passed\" x1=\"81.48%\""), "the deadline that is over: {well}");
    assert!(well.contains("class=\"due-line\" x1=\"96.30%\""), "the one that is ahead: {well}");
    // From when it was planned, for as long as such runs take.
    assert!(well.contains("class=\"window\" x=\"74.07%\" width=\"7.41%\""), "{well}");
    assert!(well.contains("class=\"delay\" x1=\"74.07%\" x2=\"75.31%\""), "it began late: {well}");
    // What is due is there before it is listed, where the rule says which job of which source it is.
    let unlisted = lane("unlisted");
    assert!(unlisted.contains("class=\"due-line\" x1=\"96.30%\"") && !unlisted.contains("class=\"run "), "{unlisted}");
    assert!(!body.contains(">tomorrow<"), "it is due later: {body}");
    assert!(
        lane("told").contains("href=\"/alerts/a1\"") && lane("untold").contains("href=\"/jobs/s/untold\""),
        "{body}"
    );
    let tile = |source: &str| {
        let tile = body.split("<div class=\"tile\">").find(|tile| tile.contains(&format!("</span>{source}</div>")));
        tile.unwrap_or_else(|| panic!("no tile of {source} in {body}")).to_string()
    };
    // Of a source that cannot be read it says since when, up to when things are known all the same, and why.
    let away = tile("away");
    for said in ["unknown since 01:10", "read as a whole 1h ago", "polled 2m ago", "the gateway answers 503"] {
        assert!(away.contains(said), "{said:?} is not in {away}");
    }
    assert!(!tile("s").contains("unknown"), "{body}");
    let night = served.get("/api/v1/night?hours=12", &[]).await.json();
    let row = |job: &str| {
        let rows = night["items"].as_array().unwrap();
        rows.iter().find(|row| row["job"] == job).unwrap_or_else(|| panic!("no {job} in {night:#}"))
    };
    let hatched = json!([{ "from": at(-10 * HOUR), "until": at(-6 * HOUR) }]);
    assert_eq!(row("well")["unread"], hatched);
    let due = |hour: i64, rule: &str, is_passed: bool| json!({ "at": at(hour * HOUR), "rule": rule, "trigger": "not-finished-by", "is_passed": is_passed });
    assert_eq!(row("well")["due"], json!([due(1, "by-one", true), due(3, "by-three", false)]));
    let usual = [("well", json!(3_600_000)), ("under-way", Value::Null), ("told", Value::Null)];
    for (job, usual) in usual {
        assert_eq!(row(job)["usual_ms"], usual, "{job}");
    }
    let known = [("known_from", Value::Null), ("is_worst_only", json!(false)), ("has_more_open", json!(false))];
    for (key, expected) in known {
        assert_eq!(night[key], expected, "{key}");
    }
    served.stop().await;
}

/// Of a job that runs once a day a night holds one run, and that one says nothing of how long it should take.
#[tokio::test(flavor = "multi_thread")]
async fn the_window_of_a_run_goes_by_the_runs_before_what_is_drawn() {
    const HOUR: i64 = 3600;
    let place = Place::new();
    let store = place.open().await;
    let mut poll = commit(0);
    (poll.source, poll.now) = ("s".into(), at(2 * HOUR));
    poll.covered = Covered { from: Some(at(-200 * HOUR)), until: Some(at(2 * HOUR)), ..Covered::default() };
    let daily = |day: i64| {
        let plan = HOUR - day * 24 * HOUR;
        run("daily", &day.to_string(), Status::Success, plan, plan, Some(plan + HOUR / 2))
    };
    poll.instances = (1..=5).map(daily).collect();
    poll.instances.push(run("daily", "0", Status::Running, HOUR, HOUR, None));
    poll.instances.push(run("once", "1", Status::Success, HOUR, HOUR, Some(HOUR + 600)));
    store.commit_poll(&poll).await.unwrap();
    store.close().await;
    drop(store);
    let served = Served::start_with(place, RULES, Arc::new(ManualClock::at(at(2 * HOUR)))).await;
    let body = served.get("/?hours=12", &[]).await.body;
    let lane = |job: &str| {
        let lane = body.split("<div class=\"lane\">").find(|lane| lane.contains(&format!(">{job}<")));
        lane.unwrap_or_else(|| panic!("no lane of {job} in {body}"))
    };
    // Half an hour from one o'clock on: an hour is 7.41 percent.
    assert!(lane("daily").contains("class=\"window\" x=\"81.48%\" width=\"3.70%\""), "{}", lane("daily"));
    assert!(!lane("once").contains("class=\"window\""), "one run is not usual: {}", lane("once"));
    let night = served.get("/api/v1/night?hours=12", &[]).await.json();
    let job = served.get("/api/v1/jobs/s/daily", &[]).await.json();
    let row = night["items"].as_array().unwrap().iter().find(|row| row["job"] == "daily").unwrap();
    assert_eq!((&row["usual_ms"], &job["usual_ms"][1]), (&json!(1_800_000), &json!(1_800_000)), "they say the same");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_with_too_much_in_it_shows_the_worst_and_what_is_under_way_and_says_so() {
    let place = Place::new();
    let store = place.open().await;
    let mut poll = commit(0);
    (poll.source, poll.now) = ("s".into(), at(7200));
    // By their names those that wait stand before the one that runs.
    let waits = |number: usize| run(&format!("a_{number}"), &number.to_string(), Status::Waiting, 3600, 3600, None);
    poll.instances = (0..NIGHT_RUNS_MAX).map(waits).collect();
    poll.instances.push(run("under-way", "z", Status::Running, 0, 0, None));
    let fires = |number: usize| {
        let mut fired = alert(&format!("f{number}"), &format!("told_{number}"));
        (fired.source, fired.rule) = ("s".into(), "failed".into());
        fired
    };
    poll.fired = (0..=NIGHT_ALERTS_MAX).map(fires).collect();
    // The worst is the last by its name, and ran before what is shown.
    let mut worst = fires(NIGHT_ALERTS_MAX + 1);
    (worst.facts.job.name, worst.facts.alert.severity) = ("zz".into(), Severity::Critical);
    poll.fired.push(worst);
    poll.instances.push(run("zz", "long-ago", Status::Fail, -48 * 3600, -48 * 3600, Some(-47 * 3600)));
    store.commit_poll(&poll).await.unwrap();
    store.close().await;
    drop(store);
    let served = Served::start_with(place, RULES, Arc::new(ManualClock::at(at(7200)))).await;
    let body = served.get("/?hours=12", &[]).await.body;
    let said = [
        format!("More alerts fire than can be drawn: the worst {NIGHT_ALERTS_MAX} are shown."),
        format!("More than {NIGHT_RUNS_MAX} runs have not ended: those under way are shown before those that wait."),
        ">under-way<".to_string(),
    ];
    assert!(said.iter().all(|text| body.contains(text)), "{said:?} in {} bytes", body.len());
    let night = served.get("/api/v1/night?hours=12&limit=1", &[]).await.json();
    assert_eq!((&night["is_worst_only"], &night["has_more_open"]), (&json!(true), &json!(true)));
    let first = &night["items"][0];
    assert_eq!((&first["job"], &first["instances"][0]["id"]), (&json!("zz"), &json!("long-ago")), "{first:#}");
    served.stop().await;
}
