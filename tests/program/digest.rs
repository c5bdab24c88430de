//! Digests by the real binary: killed around the boundaries of periods, nothing may be missing or told twice.

use std::collections::{BTreeMap, BTreeSet};

use super::kill::Random;
use super::{Stage, ago, exists, failed, pause, text};

/// Kills in one run of the test.
const KILLS: u64 = 50;

/// A digest due every second, so that there is a boundary wherever the process dies.
const EACH_SECOND: &str = "rules: {}\ndigests:\n  beat: { schedule: \"* * * * * *\", spread: 0s, notify: [hook] }\n";

#[tokio::test(flavor = "multi_thread")]
async fn kills_around_the_boundary_leave_each_run_in_exactly_one_digest() {
    let mut random = Random::from_environment();
    let stage = Stage::set(EACH_SECOND).await;
    let mut demanded: BTreeSet<String> = BTreeSet::new();
    for kill in 0..KILLS {
        let asked = stage.workspace.requests().list;
        let mut running = stage.start();
        // At most as many in all as one digest lists: on a slow machine a single one may have to tell of all of them.
        if random.below(3) > 0 {
            let id = 1000 + kill;
            stage.workspace.put(failed(&format!("etl_{id}"), id));
            demanded.insert(id.to_string());
        }
        // A digest is made right after the first poll that the process makes, for one was missed: it dies around then.
        while stage.workspace.requests().list == asked {
            pause(5).await;
        }
        pause(random.below(450)).await;
        running.kill();
    }
    let running = stage.start();
    let hits = stage.sink.wait("every run to be in a digest", |hits| told(hits).keys().len() == demanded.len()).await;
    drop(running);

    let told = told(&hits);
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), demanded);
    let twice: Vec<_> = told.iter().filter(|(_, digests)| digests.len() != 1).collect();
    assert!(twice.is_empty(), "in more than one digest: {twice:?}");
    let mut bodies: BTreeMap<String, &str> = BTreeMap::new();
    for hit in &hits {
        assert_eq!(*bodies.entry(hit.id()).or_insert(&hit.body), hit.body, "a repeat with other bytes");
    }
    let json: BTreeMap<String, serde_json::Value> = hits.iter().map(|hit| (hit.id(), hit.json())).collect();
    let ended: u64 = json.values().map(|body| body["data"]["totals"]["ended"].as_u64().unwrap()).sum();
    assert_eq!(ended, demanded.len() as u64, "the totals count each run once");
    let dates: BTreeSet<_> = json.values().map(|body| body["data"]["digest"]["due_at"].as_str().unwrap()).collect();
    assert_eq!(dates.len(), json.len(), "two digests for one due time");
    // The periods touch: none begins before the one before it ended.
    let mut periods: Vec<_> = json
        .values()
        .map(|body| {
            ["from", "until"]
                .map(|end| body["data"]["period"][end].as_str().unwrap().parse::<jiff::Timestamp>().unwrap())
        })
        .collect();
    periods.sort();
    assert!(periods.windows(2).all(|pair| pair[0][1] == pair[1][0]), "{periods:?}");
    println!("{KILLS} kills, {} runs, {} digests, {} repeats", demanded.len(), json.len(), hits.len() - json.len());
}

/// The ids of the digests that tell of each run as new.
fn told(hits: &[super::sink::Hit]) -> BTreeMap<String, BTreeSet<String>> {
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for hit in hits {
        let body = hit.json();
        for job in body["data"]["broken"]["shown"].as_array().unwrap() {
            if job["is_new"] == true {
                told.entry(job["instance"].as_str().unwrap().to_string()).or_default().insert(hit.id());
            }
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn run_once_makes_the_digest_that_is_due_and_delivers_it() {
    let stage = Stage::set(EACH_SECOND).await;
    stage.workspace.put(failed("etl_orders", 1));
    stage.once(0).await;
    stage.workspace.put(super::SimInstance::waiting("etl_users", 2, ago(100)).ended("success", ago(5)));
    pause(1100).await;
    stage.once(0).await;
    let hits = stage.sink.hits();
    let last = hits.last().expect("a digest").json();
    assert_eq!(last["type"], "digest");
    let told: BTreeSet<String> = told(&hits).into_keys().collect();
    assert!(told.contains("1"), "{last}");
    let listed = stage.listed("deliveries").await;
    assert!(listed.iter().all(|it| it["kind"] == "digest" && it["alert"].is_null() && it["state"] == "delivered"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_a_digest_beside_a_running_nightbell_and_moves_nothing() {
    let rules = "rules: {}\ndigests:\n  daily: { schedule: \"0 8 * * *\", notify: [hook] }\n";
    let stage = Stage::set(rules).await;
    stage.workspace.put(failed("etl_orders", 1));
    let running = stage.start();
    let is_read = |stage: &Stage| exists(&stage.path("nightbell.db"));
    while !is_read(&stage) || stage.output(&["jobs", "--json"]).await.stdout.is_empty() {
        pause(50).await;
    }
    for _ in 0..2 {
        let output = stage.output(&["digest", "daily"]).await;
        let shown = text(&output.stdout);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(shown.contains("1 job still broken · 0 of 1 ok") && shown.contains("etl_orders"), "{shown}");
    }
    let output = stage.output(&["digest", "daily", "--json", "--period", "1h"]).await;
    let body: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&body["type"], &body["data"]["digest"]["preview"]), (&"digest".into(), &true.into()));
    let page = stage.path("digest.html");
    stage.output(&["digest", "daily", "--out", page.to_str().unwrap()]).await;
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("data:image/png;base64,") && !html.contains("cid:"), "{html}");
    let output = stage.output(&["digest", "dayly"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there are daily"), "{}", text(&output.stderr));
    assert!(stage.sink.hits().is_empty(), "nothing was sent");
    let output = stage.output(&["digest", "daily", "--send"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(stage.sink.hits()[0].json()["data"]["broken"]["total"], 1);
    drop(running);
}
