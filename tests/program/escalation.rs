//! Conditions, inhibition and escalation with the real binary: killed at random moments, acknowledged beside it.

use std::collections::{BTreeMap, BTreeSet};

use nightbell::sim::SimInstance;

use super::kill::Random;
use super::{Stage, ago, failed, pause, text};

/// The receivers that are told later, and the rules.
fn rules(stage: &Stage, rules: &str) -> String {
    let url = |name| stage.sink.url(name);
    format!(
        "  lead: {{ type: webhook, url: {} }}\n  boss: {{ type: webhook, url: {} }}\nrules:\n{rules}",
        url("lead"),
        url("boss")
    )
}

/// Three failures in a row make one alert, which is told once, goes further once and ends once for each of those that
/// heard of it, however often the binary is killed meanwhile. A repeat after a kill has the same id and the same bytes.
#[tokio::test(flavor = "multi_thread")]
async fn kills_repeat_no_condition_and_no_step() {
    let mut random = Random::from_environment();
    let stage = Stage::set("").await;
    let rule = "  thrice: { match: { job: \"etl_*\" }, when: { consecutive: 3 }, severity: critical, \
                notify: [{ to: hook }, { after: 1s, unless: acked, to: [lead, hook] }] }\n";
    stage.write_config(&rules(&stage, rule));
    let mut jobs: Vec<String> = Vec::new();
    for _ in 0..10 {
        let mut running = stage.start();
        for _ in 0..1 + random.below(3) {
            let job = format!("etl_{}", jobs.len());
            for (id, minutes) in [(1, 30), (2, 20), (3, 10)] {
                let planned = ago(minutes * 60);
                stage.workspace.put(SimInstance::waiting(&job, id, planned).ended("fail", ago(minutes * 60 - 30)));
            }
            jobs.push(job);
        }
        pause(50 + random.below(1500)).await;
        running.kill();
    }
    let _running = stage.start();
    let told = |hits: &[super::sink::Hit]| -> BTreeMap<(String, String, String, bool), BTreeSet<String>> {
        let mut told: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for hit in hits {
            let body = hit.json();
            let word = |value: &serde_json::Value| value.as_str().unwrap().to_string();
            let goes_further = !body["data"]["alert"]["escalation"].is_null();
            let key = (hit.path.clone(), word(&body["type"]), word(&body["data"]["job"]["name"]), goes_further);
            told.entry(key).or_default().insert(hit.id());
        }
        told
    };
    let expected = |kinds: &[(&str, &str, bool)]| -> BTreeSet<(String, String, String, bool)> {
        let of_job = |job: &String| {
            kinds
                .iter()
                .map(|(path, kind, later)| ((*path).into(), (*kind).into(), job.clone(), *later))
                .collect::<Vec<_>>()
        };
        jobs.iter().flat_map(of_job).collect()
    };
    let firing = [("/hook", "alert.firing", false), ("/lead", "alert.firing", true), ("/hook", "alert.firing", true)];
    let wanted = expected(&firing);
    stage.sink.wait("every step", |hits| told(hits).into_keys().collect::<BTreeSet<_>>().is_superset(&wanted)).await;
    for job in &jobs {
        stage.workspace.put(SimInstance::waiting(job, 4, ago(30)).ended("success", ago(0)));
    }
    let over = [("/hook", "alert.resolved", false), ("/lead", "alert.resolved", false)];
    let wanted = expected(&[&firing[..], &over[..]].concat());
    let hits =
        stage.sink.wait("every end", |hits| told(hits).into_keys().collect::<BTreeSet<_>>().is_superset(&wanted)).await;
    let all = told(&hits);
    assert_eq!(all.keys().cloned().collect::<BTreeSet<_>>(), wanted, "told and not asked for");
    let twice: Vec<_> = all.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "told under two ids: {twice:?}");
    let mut bodies: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for hit in &hits {
        bodies.entry(hit.id()).or_default().insert(&hit.body);
    }
    assert!(bodies.values().all(|bodies| bodies.len() == 1), "a repeat with other bytes");
    println!("{} jobs, {} messages, {} repeats", jobs.len(), bodies.len(), hits.len() - bodies.len());
}

/// The alert is acknowledged before the rule has a later step, so that nothing here depends on who is faster.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_was_acknowledged_beside_the_binary_goes_only_where_that_does_not_matter() {
    let stage = Stage::set("").await;
    let rule =
        |notify: &str| format!("  failed: {{ when: {{ status: [fail] }}, severity: critical, notify: {notify} }}\n");
    stage.write_config(&rules(&stage, &rule("hook")));
    stage.workspace.put(failed("etl", 1));
    stage.once(0).await;
    let id = stage.listed("alerts").await[0]["alert"]["id"].as_str().unwrap().to_string();
    let acked = stage.output(&["ack", &id[..8], "--by", "wang"]).await;
    assert_eq!(acked.status.code(), Some(0), "{}", text(&acked.stderr));
    let steps = "[{ to: hook }, { after: 1s, unless: acked, to: lead }, { after: 2s, to: boss }]";
    stage.write_config(&rules(&stage, &rule(steps)));
    pause(2000).await;
    stage.once(0).await;
    let hits = stage.sink.hits_at("boss");
    assert_eq!((hits.len(), stage.sink.hits_at("lead").len()), (1, 0));
    let alert = &hits[0].json()["data"]["alert"];
    assert_eq!((&alert["escalation"]["step"], &alert["escalation"]["acked_by"]), (&3.into(), &"wang".into()));
    let summary = alert["summary"].as_str().unwrap();
    assert!(
        summary.contains("(escalated: hook notified ") && summary.ends_with(" ago, acknowledged by wang)"),
        "{summary}"
    );
    let _running = stage.start();
    stage.workspace.put(failed("other", 2));
    let told = |path: &'static str| {
        move |hits: &[super::sink::Hit]| hits.iter().any(|hit| hit.path == path && hit.body.contains("\"other\""))
    };
    stage.sink.wait("the steps of another alert", |hits| told("/lead")(hits) && told("/boss")(hits)).await;
    assert_eq!(stage.sink.hits_at("boss").len(), 2);
    assert_eq!(stage.sink.hits_at("lead").len(), 1);
}

/// What only follows from a failure is shown with what holds it back, and told when that is over.
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_from_a_failure_is_held_back_until_that_is_over() {
    let stage = Stage::set("").await;
    let rule = "  failed: { when: { status: [fail] }, notify: hook }\n\
                inhibit:\n  load: { by: { job: \"load_*\" }, match: { job: \"mart_*\" }, equal: [source] }\n";
    stage.write_config(&rules(&stage, rule));
    stage.workspace.put(failed("mart_sales", 2));
    stage.workspace.put(failed("load_orders", 1));
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1);
    let shown = text(&stage.output(&["alerts"]).await.stdout);
    assert!(shown.contains("firing (not sent: inhibited:load)"), "{shown}");
    stage.workspace.update("load_orders", 1, |instance| {
        *instance = instance.clone().ended("success", ago(0));
        instance.start_time = Some(ago(1));
    });
    stage.once(0).await;
    let told: BTreeSet<String> =
        stage.sink.hits().iter().map(|hit| hit.json()["data"]["alert"]["summary"].to_string()).collect();
    assert!(
        told.iter().any(|line| line.contains("mart_sales failed") && line.contains("by the inhibition load)")),
        "{told:?}"
    );
    assert_eq!(told.len(), 3, "{told:?}");
}
