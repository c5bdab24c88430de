//! The page of a job: how long its runs take against what is usual and what the rules allow, and which rules mean it.

use std::sync::Arc;

use nightbell::clock::ManualClock;
use nightbell::model::{Instance, Status};
use nightbell::store::PollLedger as _;
use serde_json::json;

use super::Served;
use crate::sample::{Place, at, commit, instance};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const RULES: &str = "web: { listen: \"127.0.0.1:0\" }\nsources:\n  \
    s: { type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, auth: { token: t } }\nreceivers:\n  \
    hook: { type: webhook, url: \"http://127.0.0.1:9/\" }\nrules:\n  \
    slower: { match: { job: 'load_*' }, when: { slower_than_usual: { factor: 3, min_runs: 4 } }, severity: warning, notify: [hook] }\n  \
    long: { match: { job: load_often }, when: { status: [running], duration: 45m }, notify: [hook] }\n  \
    failed: { match: { job: other }, when: { status: [fail] }, notify: [hook] }\n";

/// A run of so many minutes that began so many hours before the last one.
fn run(job: &str, hours: i64, minutes: i64, status: Status) -> Instance {
    let (begin, end) = (at(-hours * HOUR), at(-hours * HOUR + minutes * MINUTE));
    Instance {
        source: "s".into(),
        plan_time: Some(begin),
        start_time: Some(begin),
        end_time: Some(end),
        ..instance(job, &format!("{job}-{hours}"), status)
    }
}

async fn served() -> Served {
    let place = Place::new();
    let store = place.open().await;
    let mut poll = commit(0);
    (poll.source, poll.now) = ("s".into(), at(HOUR));
    // Those that failed are no measure of how long it takes.
    let often = [(6, 30), (5, 10), (4, 50), (3, 20), (2, 40)];
    poll.instances = often.map(|(hours, minutes)| run("load_often", hours, minutes, Status::Success)).into();
    poll.instances.push(run("load_often", 1, 55, Status::Fail));
    poll.instances
        .extend([(2, 10), (1, 20)].map(|(hours, minutes)| run("load_seldom", hours, minutes, Status::Success)));
    store.commit_poll(&poll).await.unwrap();
    store.close().await;
    drop(store);
    Served::start_with(place, RULES, Arc::new(ManualClock::at(at(HOUR)))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_usual_and_what_is_allowed_is_drawn_and_told() {
    let served = served().await;
    let minutes = |minutes: i64| minutes * MINUTE * 1000;
    let often = served.get("/api/v1/jobs/s/load_often", &[]).await.json();
    assert_eq!(often["usual_ms"], json!([minutes(10), minutes(30), minutes(40)]), "{often:#}");
    // Thrice the middle of 30 minutes, or four deviations above it.
    let limits = often["limits"].as_array().unwrap();
    let rules: Vec<&str> = limits.iter().map(|it| it["rule"].as_str().unwrap()).collect();
    assert_eq!((rules, &limits[0]["limit_ms"]), (vec!["long", "slower"], &json!(minutes(45))), "{often:#}");
    assert!(limits[1]["limit_ms"].as_i64().unwrap() >= minutes(90), "{often:#}");
    let meant: Vec<&str> = often["rules"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(meant, ["slower", "long"]);
    let page = served.get("/jobs/s/load_often", &[]).await.body;
    for (what, times) in
        [("class=\"band\"", 1), ("class=\"median\"", 1), ("class=\"limit\"", 2), ("<rect class=\"run success\"", 5)]
    {
        assert_eq!(page.matches(what).count(), times, "{what} in {page}");
    }
    assert!(page.contains("<title>long: "), "a limit says whose it is: {page}");
    let rules = page.split("Rules about this job").nth(1).unwrap_or_else(|| panic!("no rules in {page}"));
    for said in [">slower<", "slower than usual → hook", ">long<", "running · ≥ 45m → hook"] {
        assert!(rules.contains(said), "{said:?} is not in {rules}");
    }
    assert!(!rules.contains(">failed<"), "a rule about another job: {rules}");
    // Of two runs nothing is usual.
    let seldom = served.get("/api/v1/jobs/s/load_seldom", &[]).await.json();
    assert_eq!((&seldom["usual_ms"], &seldom["limits"]), (&json!(null), &json!([])), "{seldom:#}");
    let page = served.get("/jobs/s/load_seldom", &[]).await.body;
    for what in ["class=\"band\"", "class=\"median\"", "class=\"limit\""] {
        assert!(!page.contains(what), "{what} in {page}");
    }
    served.stop().await;
}
