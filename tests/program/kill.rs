//! The binary is killed at random moments while a storm of failures is read and delivered. Nothing may be lost, nothing
//! invented, and a repeat must be the same message under the same id.

use std::collections::{BTreeMap, BTreeSet};

use nightbell::sim::SimInstance;

use super::{Stage, ago, failed, pause};

/// Kills in one run of the test.
const KILLS: u64 = 60;

/// A small random generator, seeded and printed, so that a run can be repeated.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn from_environment() -> Random {
        let seed = match std::env::var("NIGHTBELL_SEED") {
            Ok(seed) => seed.parse().expect("NIGHTBELL_SEED is no number"),
            Err(_) => u64::from(getrandom::u32().unwrap()),
        };
        println!("NIGHTBELL_SEED={seed}");
        Random(seed)
    }

    /// A number below `end`. (SplitMix64.)
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What must be told: kind of message and instance.
type Telling = (String, String);

#[tokio::test(flavor = "multi_thread")]
async fn kill_at_random_moments_loses_and_invents_nothing() {
    let mut random = Random::from_environment();
    let stage = Stage::set(super::TELL_FAILURES).await;
    // Two successes that nobody must hear of.
    stage.workspace.put(SimInstance::waiting("quiet", 1, ago(300)).ended("success", ago(200)));
    stage.workspace.put(SimInstance::waiting("quiet", 2, ago(200)).ended("success", ago(100)));

    let mut demanded: BTreeSet<Telling> = BTreeSet::new();
    let mut broken: Vec<(String, u64)> = Vec::new();
    let mut id = 100;
    for _ in 0..KILLS {
        let mut running = stage.start();
        // Some jobs fail, and some that failed before succeed at their next attempt, while the binary is at work.
        for _ in 0..random.below(12) {
            id += 1;
            let job = format!("etl_{id}");
            stage.workspace.put(failed(&job, id));
            demanded.insert(("alert.firing".into(), id.to_string()));
            broken.push((job, id));
        }
        pause(20 + random.below(380)).await;
        running.kill();
    }
    // Everything is healthy now: the rest must arrive, and then nothing more.
    let running = stage.start();
    let wanted = demanded.clone();
    stage.sink.wait("every failure to be told", |hits| told(hits).is_superset(&wanted)).await;
    // Recoveries are told too, also those of alerts that began before a kill.
    for (job, id) in &broken {
        stage.workspace.update(job, *id, |instance| {
            *instance = instance.clone().ended("success", ago(0));
            instance.start_time = Some(ago(1));
        });
        demanded.insert(("alert.resolved".into(), id.to_string()));
    }
    let hits = stage.sink.wait("every recovery to be told", |hits| told(hits).is_superset(&demanded)).await;
    drop(running);

    let told = told(&hits);
    let invented: Vec<&Telling> = told.difference(&demanded).collect();
    assert!(invented.is_empty(), "invented: {invented:?}");
    let mut bodies: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut ids: BTreeMap<Telling, BTreeSet<String>> = BTreeMap::new();
    for hit in &hits {
        bodies.entry(hit.id()).or_default().insert(&hit.body);
        ids.entry(telling(hit)).or_default().insert(hit.id());
    }
    assert!(bodies.values().all(|bodies| bodies.len() == 1), "a repeat with other bytes");
    assert!(ids.values().all(|ids| ids.len() == 1), "a repeat under another id");
    let repeats = hits.len() - told.len();
    println!("{KILLS} kills, {} messages demanded, {} repeats, all recognisable", demanded.len(), repeats);
    assert!(!demanded.is_empty(), "the seed made no failures");
}

/// The same with a receiver that takes few messages: what waits is told together, and a kill in the midst of that tells
/// nothing in two messages.
#[tokio::test(flavor = "multi_thread")]
async fn kills_while_alerts_are_merged_lose_and_repeat_nothing() {
    let mut random = Random::from_environment();
    let stage = Stage::set(super::TELL_FAILURES).await;
    stage.write_config(&format!(
        "  slow: {{ type: webhook, url: {}, rate: {{ per_minute: 600, burst: 2 }} }}\nrules:\n  failed: {{ when: {{ status: \
         [fail] }}, notify: [slow] }}\n",
        stage.sink.url("slow")
    ));
    let mut demanded: BTreeSet<String> = BTreeSet::new();
    let mut id = 100;
    for _ in 0..20 {
        let mut running = stage.start();
        for _ in 0..random.below(20) {
            id += 1;
            stage.workspace.put(failed(&format!("etl_{id}"), id));
            demanded.insert(id.to_string());
        }
        pause(20 + random.below(380)).await;
        running.kill();
    }
    let running = stage.start();
    let named = |hit: &super::sink::Hit| -> Vec<String> {
        let data = hit.json()["data"].take();
        let alerts = data["alerts"].as_array().cloned().unwrap_or_else(|| vec![data]);
        alerts.iter().map(|alert| alert["instance"]["id"].as_str().unwrap().to_string()).collect()
    };
    let all = |hits: &[super::sink::Hit]| hits.iter().flat_map(named).collect::<BTreeSet<String>>();
    let hits = stage.sink.wait("every failure to be told", |hits| all(hits).is_superset(&demanded)).await;
    drop(running);
    assert_eq!(all(&hits), demanded);
    let mut messages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for hit in &hits {
        for instance in named(hit) {
            messages.entry(instance).or_default().insert(hit.id());
        }
    }
    let twice: Vec<_> = messages.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "told in two messages: {twice:?}");
    println!("{} failures in {} messages", demanded.len(), hits.len());
}

/// The same with groups: what waits for others when the process dies is told with them, once.
#[tokio::test(flavor = "multi_thread")]
async fn kills_while_alerts_wait_for_their_group_lose_and_repeat_nothing() {
    let mut random = Random::from_environment();
    let stage = Stage::set(super::TELL_FAILURES).await;
    stage.write_config(
        "rules:\n  failed: { when: { status: [fail] }, group: { by: [source], wait: 1s, interval: 2s }, notify: [hook] }\n",
    );
    let mut demanded: BTreeSet<String> = BTreeSet::new();
    let mut id = 100;
    for _ in 0..20 {
        let mut running = stage.start();
        for _ in 0..random.below(20) {
            id += 1;
            stage.workspace.put(failed(&format!("etl_{id}"), id));
            demanded.insert(id.to_string());
        }
        pause(20 + random.below(1480)).await;
        running.kill();
    }
    let running = stage.start();
    let named = |hit: &super::sink::Hit| -> Vec<String> {
        let data = hit.json()["data"].take();
        let alerts = data["alerts"].as_array().cloned().unwrap_or_else(|| vec![data]);
        alerts.iter().map(|alert| alert["instance"]["id"].as_str().unwrap().to_string()).collect()
    };
    let all = |hits: &[super::sink::Hit]| hits.iter().flat_map(named).collect::<BTreeSet<String>>();
    let hits = stage.sink.wait("every failure to be told", |hits| all(hits).is_superset(&demanded)).await;
    drop(running);
    assert_eq!(all(&hits), demanded);
    let mut messages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for hit in &hits {
        for instance in named(hit) {
            messages.entry(instance).or_default().insert(hit.id());
        }
    }
    let twice: Vec<_> = messages.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "told in two messages: {twice:?}");
    let ids: BTreeSet<String> = hits.iter().map(super::sink::Hit::id).collect();
    assert!(ids.len() <= demanded.len() / 2, "{} failures in {} messages", demanded.len(), ids.len());
}

/// One cycle tells a group at once and leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn one_cycle_tells_a_group_in_one_message() {
    let stage = Stage::set(super::TELL_FAILURES).await;
    stage.write_config(
        "rules:\n  failed: { when: { status: [fail] }, group: { wait: 1h, repeat: 4h }, notify: [hook] }\n",
    );
    for id in 1..=3 {
        stage.workspace.put(failed(&format!("etl_{id}"), id));
    }
    let output = stage.output(&["run", "--once"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let hits = stage.sink.hits();
    assert_eq!(hits.len(), 1);
    let body = hits[0].json();
    assert_eq!(
        (body["type"].as_str(), body["data"]["alerts"].as_array().map(Vec::len)),
        (Some("alert.group"), Some(3))
    );
    assert!(body["data"]["last_told_at"].is_null() && body["data"].get("last_told_at").is_some());
}

fn telling(hit: &super::sink::Hit) -> Telling {
    let body = hit.json();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_string();
    (word(&body["type"]), word(&body["data"]["instance"]["id"]))
}

fn told(hits: &[super::sink::Hit]) -> BTreeSet<Telling> {
    hits.iter().map(telling).collect()
}
