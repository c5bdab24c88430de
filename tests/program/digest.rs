//! Digests by the real binary: killed around the boundaries of periods, nothing may be missing or told twice.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use nightbell::clock::{Clock as _, SystemClock};
use nightbell::limits::DIGEST_LISTED_MAX;
use nightbell::model::DeliveryState;
use nightbell::store::{Archive as _, Deliveries as _, Digests as _, Mode, SqlStore};

use super::kill::Random;
use super::{Stage, ago, exists, failed, pause, text};

/// Kills in one run of the test, at least.
const KILLS: u64 = 50;
/// Of those, how many must have come between the reading of what a digest tells and the digest, at least.
const IN_BETWEEN: u64 = 12;
/// Kills after which that is given up: many times what it takes, on any machine.
const KILLS_MAX: u64 = 1000;

/// A digest due every second, so that there is a boundary wherever the process dies.
const EACH_SECOND: &str = "rules: {}\ndigests:\n  beat: { schedule: \"* * * * * *\", spread: 0s, notify: [hook] }\n";

#[tokio::test(flavor = "multi_thread")]
async fn kills_around_the_boundary_leave_each_run_in_exactly_one_digest() {
    let mut random = Random::from_environment();
    let stage = Stage::set(EACH_SECOND).await;
    let mut demanded: BTreeSet<String> = BTreeSet::new();
    let mut fell: BTreeMap<Fell, u64> = BTreeMap::new();
    // How many milliseconds after the first poll a process lives on average: it is found out, for machines differ.
    let mut reach = 100;
    let mut kill = 0;
    while kill < KILLS || fell.get(&Fell::InBetween).is_none_or(|count| *count < IN_BETWEEN) {
        assert!(kill < KILLS_MAX, "{kill} kills did not hit what they are aimed at: {fell:?}");
        let asked = stage.workspace.requests().list;
        let began = SystemClock.now();
        let mut running = stage.start();
        // At most as many in all as one digest lists: on a slow machine a single one may have to tell of all of them.
        if random.below(3) > 0 && demanded.len() < DIGEST_LISTED_MAX {
            let id = 1000 + kill;
            stage.workspace.put(failed(&format!("etl_{id}"), id));
            demanded.insert(id.to_string());
        }
        // A digest is made right after the first poll that the process makes, for one was missed: it dies around then.
        while stage.workspace.requests().list == asked {
            pause(5).await;
        }
        pause(random.below(2 * reach + 1)).await;
        running.kill();
        let place = place(&stage, began).await;
        *fell.entry(place).or_default() += 1;
        reach = match place {
            Fell::TooSoon => reach + reach / 4 + 5,
            Fell::InBetween | Fell::Pending => reach,
            Fell::TooLate => reach - reach / 6,
        };
        kill += 1;
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
    let repeats = hits.len() - json.len();
    println!("{kill} kills ({fell:?}), {} runs, {} digests, {repeats} repeats", demanded.len(), json.len());
}

/// Where in the making of a digest a process died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fell {
    /// Before it had read anything.
    TooSoon,
    /// It had recorded what the digest tells, and not the digest.
    InBetween,
    /// The digest was recorded and not yet told.
    Pending,
    /// It was told.
    TooLate,
}

/// Where a process died that began at `began`: the store tells.
async fn place(stage: &Stage, began: Timestamp) -> Fell {
    let store = SqlStore::open(&stage.store(), Mode::Read).await.unwrap();
    let polled_at = store.sources().await.unwrap().first().map(|source| source.polled_at);
    let made_at = store.digest_cursor("beat").await.unwrap().map(|cursor| cursor.made_at);
    let is_pending = store.deliveries(1).await.unwrap().iter().any(|latest| latest.state == DeliveryState::Pending);
    store.close().await;
    match (polled_at, made_at) {
        (Some(polled_at), Some(made_at)) if polled_at >= began && made_at >= polled_at => {
            if is_pending {
                Fell::Pending
            } else {
                Fell::TooLate
            }
        }
        (Some(polled_at), _) if polled_at >= began => Fell::InBetween,
        _ => Fell::TooSoon,
    }
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
    // A file is there before anything is in it.
    let is_made = |stage: &Stage| !stage.store().starts_with("sqlite:") || exists(&stage.path("nightbell.db"));
    while !is_made(&stage) || stage.output(&["jobs", "--json"]).await.stdout.is_empty() {
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
    assert!(text(&output.stderr).contains("did you mean \"daily\"?"), "{}", text(&output.stderr));
    assert!(stage.sink.hits().is_empty(), "nothing was sent");
    // A file that was saved half-written takes nothing away from who looks, and sends nothing.
    let whole = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let broken = [
        (whole.replace("rules: {}", "rules: { x: { wen: 1 } }"), "rules.yaml:"),
        (whole.replace("type: webhook", "type: webhok"), "rules.yaml:"),
        (whole.replace("daily:", "[daily:"), "there is no digest \"daily\", or its settings cannot be read"),
    ];
    for (rules, expected) in broken {
        std::fs::write(stage.path("rules.yaml"), rules).unwrap();
        let output = stage.output(&["digest", "daily"]).await;
        let (shown, said) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains(expected) && said.contains("the configuration is broken"), "{said}");
        assert!(shown.contains("1 job still broken · 0 of 1 ok") && shown.contains("etl_orders"), "{shown}");
        let output = stage.output(&["digest", "daily", "--send"]).await;
        assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
    }
    std::fs::write(stage.path("rules.yaml"), whole).unwrap();
    assert!(stage.sink.hits().is_empty(), "nothing was sent");
    let output = stage.output(&["digest", "daily", "--send"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(stage.sink.hits()[0].json()["data"]["broken"]["total"], 1);
    drop(running);
}
