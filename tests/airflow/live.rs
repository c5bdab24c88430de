//! A night with a real Airflow, watched by the real program: what is told is held against Airflow's own database.
//!
//! It takes a minute or two beside everything else; `tests/setup.sh` installs Airflow.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::night::{Night, PASSWORD};
use crate::program::sink::Sink;
use crate::program::{Running, nightbell};

const WITHIN: Duration = Duration::from_secs(150);
const PARTS: [&str; 6] = ["nb_fail", "nb_retry", "nb_skip", "nb_hang", "nb_cleared", "nb_mapped"];

fn rules(night: &Night, sink: &Sink, directory: &Path) -> String {
    format!(
        "version: 1\nstore: sqlite://{store}\nsources:\n  night:\n    type: airflow\n    url: {url}\n    \
         auth: {{ user: viewer, password: {PASSWORD} }}\n    poll: \"*/2 * * * * *\"\n    first_poll: 24h\n\
         receivers:\n  hook: {{ type: webhook, url: {hook} }}\n\
         rules:\n  failed: {{ match: {{ job: \"nb_*\" }}, when: {{ status: [fail] }}, notify: [hook] }}\n  \
         backfill: {{ match: {{ job: \"nb_*\", instance_type: [backfill] }}, when: {{ status: [fail] }}, notify: [hook] }}\n  \
         state: {{ match: {{ source: night }}, when: {{ job_status: [PAUSED, EXCEPTION] }}, notify: [hook] }}\n",
        store = directory.join("nightbell.db").display(),
        url = night.url,
        hook = sink.url("hook"),
    )
}

/// What was told, by rule, job and run, with the types of the messages.
fn told(sink: &Sink) -> BTreeMap<(String, String, String), Vec<String>> {
    let mut told: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for hit in sink.hits() {
        let body = hit.json();
        let data = &body["data"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let key = (text(&data["alert"]["rule"]), text(&data["job"]["name"]), text(&data["instance"]["id"]));
        told.entry(key).or_default().push(text(&body["type"]));
    }
    told
}

/// Waits until what was told is what it should be.
async fn until(what: &str, sink: &Sink, is_so: impl Fn(&BTreeMap<(String, String, String), Vec<String>>) -> bool) {
    let began = Instant::now();
    while !is_so(&told(sink)) {
        assert!(began.elapsed() < WITHIN, "{what}: {:#?}", told(sink));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_of_a_real_airflow_is_told_as_its_own_database_has_it() {
    let night = Night::start().await;
    let (sink, directory) = (Sink::open().await, tempfile::tempdir().unwrap());
    let file = directory.path().join("rules.yaml");
    std::fs::write(&file, rules(&night, &sink, directory.path())).unwrap();
    let log = std::fs::File::create(directory.path().join("log")).unwrap();
    let mut program = nightbell(&["run"]);
    let _program = Running(program.arg("-c").arg(&file).stderr(log).stdout(Stdio::null()).spawn().unwrap());

    let backfill = json!({ "dag_id": "nb_backfill", "from_date": "2026-11-01T00:00:00Z", "to_date": "2026-11-02T00:00:00Z",
        "run_backwards": false, "dag_run_conf": {}, "reprocess_behavior": "none", "max_active_runs": 2 });
    night.post_until_taken("/api/v2/backfills", backfill).await;
    for dag in PARTS {
        night.trigger(dag).await;
    }
    let is_over = |runs: &[[String; 4]]| {
        let ours: Vec<_> = runs.iter().filter(|run| run[0] != "nb_good").collect();
        let has = |dag: &str, kind: &str| ours.iter().any(|run| run[0] == dag && run[3] == kind);
        PARTS.iter().all(|dag| has(dag, "manual"))
            && has("nb_backfill", "backfill")
            && ours.iter().all(|run| matches!(run[2].as_str(), "failed" | "success"))
            && runs.iter().any(|run| run[0] == "nb_good" && run[2] == "success" && run[3] == "scheduled")
    };
    let began = Instant::now();
    while !is_over(&night.runs()) {
        assert!(began.elapsed() < WITHIN, "{:?}", night.runs());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // Everything that failed by the database is told, and nothing else.
    let failed = || -> Vec<(String, String, String)> {
        let runs = night.runs().into_iter().filter(|run| run[2] == "failed");
        let rule = |kind: &str| if kind == "backfill" { "backfill" } else { "failed" };
        let mut failed: Vec<_> = runs.map(|[dag, run, _, kind]| (rule(&kind).to_string(), dag, run)).collect();
        failed.sort();
        failed
    };
    let about_runs = |told: &BTreeMap<(String, String, String), Vec<String>>| -> Vec<(String, String, String)> {
        told.keys().filter(|(rule, ..)| rule != "state").cloned().collect()
    };
    until("what failed is told", &sink, |told| about_runs(told) == failed()).await;
    let ended_as = |dag: &str, state: &str| night.runs().iter().any(|run| run[0] == dag && run[2] == state);
    for dag in ["nb_fail", "nb_hang", "nb_cleared", "nb_mapped", "nb_backfill"] {
        assert!(ended_as(dag, "failed"), "{dag}: {:?}", night.runs());
    }
    for dag in ["nb_retry", "nb_skip"] {
        assert!(ended_as(dag, "success") && !ended_as(dag, "failed"), "{dag}: {:?}", night.runs());
    }
    // Of the one that runs each minute, the first may fail while Airflow itself comes up; the database says which do.
    assert!(ended_as("nb_good", "success"), "{:?}", night.runs());
    assert_eq!(night.out_of_order(), [["broken.py"], ["nb_paused"]]);
    until("paused and broken are told", &sink, |told| {
        let states = told.keys().filter(|(rule, ..)| rule == "state").map(|(_, job, _)| [job.clone()]);
        states.collect::<Vec<_>>() == night.out_of_order()
    })
    .await;
    each_is_told_as_the_database_has_it(&night, &sink);
    what_is_told_of_each(&night, &sink);

    // The cause is mended, and the failed run is cleared: it keeps its id, runs again, and ends the alert.
    std::fs::write(night.home.path().join("mended"), "").unwrap();
    let clear =
        json!({ "dag_run_id": "live_nb_cleared", "dry_run": false, "only_failed": true, "reset_dag_runs": true });
    night.post_until_taken("/api/v2/dags/nb_cleared/clearTaskInstances", clear).await;
    let of_cleared = ("failed".to_string(), "nb_cleared".to_string(), "live_nb_cleared".to_string());
    until("the cleared run recovers", &sink, |told| told[&of_cleared] == ["alert.firing", "alert.resolved"]).await;
    let (state, ended) = (
        night.runs().into_iter().find(|run| run[0] == "nb_cleared").map(|run| run[2].clone()),
        night.times().into_iter().find(|run| run[0] == "nb_cleared").map(|run| at(&run[3])),
    );
    let last =
        sink.hits().iter().map(|hit| hit.json()["data"].clone()).rfind(|data| data["job"]["name"] == "nb_cleared");
    let instance = last.unwrap()["instance"].clone();
    assert_eq!((state.as_deref(), instance["raw_status"].as_str()), (Some("success"), Some("success")));
    assert_eq!(instance["end_time"].as_str().map(at), ended, "{instance}");
    let is_other = |key: &(String, String, String)| *key != of_cleared && key.1 != "nb_good";
    let rest: Vec<_> = told(&sink).into_iter().filter(|(key, _)| is_other(key)).collect();
    assert!(rest.iter().all(|(_, types)| types == &["alert.firing"]), "each was told once: {rest:#?}");
    let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
    assert!(!log.contains(PASSWORD), "{log}");
    // An Airflow that shares two cores with a whole suite may answer too late or with an error of its own, once: it is read
    // again. What it may not do is refuse us, and it is not left unread.
    let is_refusal = |line: &&str| line.contains("cannot read source") && line.contains("HTTP 4");
    let refused: Vec<_> = log.lines().filter(is_refusal).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let status = nightbell(&["status"]).arg("-c").arg(&file).output().unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
}

/// An instant as a message has it, or as the database does: in UTC, without saying so.
fn at(text: &str) -> Timestamp {
    let text = text.trim_end_matches('Z').replace(' ', "T");
    format!("{text}Z").parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Each alert about a run is held against the rows of Airflow's own database: how it came about, how and when it ended, and
/// which tasks failed in it.
fn each_is_told_as_the_database_has_it(night: &Night, sink: &Sink) {
    let mut compared = 0;
    let began =
        sink.hits().iter().map(|hit| hit.json()).filter(|body| body["type"] == "alert.firing").collect::<Vec<_>>();
    // Read after what was told, so that it has all of it.
    let (runs, times, tasks) = (night.runs(), night.times(), night.failed_tasks());
    for data in began.iter().map(|body| &body["data"]).filter(|data| !data["instance"].is_null()) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let (dag, run) = (text(&data["job"]["name"]), text(&data["instance"]["id"]));
        let of = |rows: &[[String; 4]]| rows.iter().filter(|row| row[0] == dag && row[1] == run).cloned().collect();
        let (row, time): (Vec<[String; 4]>, Vec<[String; 4]>) = (of(&runs), of(&times));
        let [_, _, state, kind] = &row[0];
        assert_eq!(
            (text(&data["instance"]["raw_status"]), text(&data["instance"]["type"])),
            (state.clone(), kind.clone())
        );
        let told = [text(&data["instance"]["start_time"]), text(&data["instance"]["end_time"])].map(|time| at(&time));
        assert_eq!(told, [at(&time[0][2]), at(&time[0][3])], "{data}");
        let failed: Vec<[String; 4]> = of(&tasks);
        let mut failed: Vec<String> = failed
            .into_iter()
            .map(|[_, _, task, index]| if index == "-1" { task } else { format!("{task}[{index}]") })
            .collect();
        let nodes = data["failing_nodes"].as_array().unwrap();
        let mut named: Vec<String> = nodes.iter().map(|node| text(&node["name"])).collect();
        failed.sort();
        named.sort();
        assert_eq!(named, failed, "{data}");
        compared += 1;
    }
    assert!(compared >= 6, "four by hand and two of the backfill: {compared}");
}

/// The failing tasks, their logs and the pages of runs, as the messages have them.
fn what_is_told_of_each(night: &Night, sink: &Sink) {
    let hits = sink.hits();
    let of = |dag: &str| -> Value {
        let found = hits.iter().map(|hit| hit.json()).find(|body| body["data"]["job"]["name"] == dag);
        found.unwrap_or_else(|| panic!("nothing of {dag}"))["data"].clone()
    };
    let names = |data: &Value| -> Vec<String> {
        let nodes = data["failing_nodes"].as_array().unwrap();
        nodes.iter().map(|node| node["name"].as_str().unwrap().to_string()).collect()
    };
    let failed = of("nb_fail");
    assert_eq!(names(&failed), ["broken", "after"], "the task that failed, and last the one that could not run");
    assert_eq!(failed["failing_nodes"][0]["retries"], 1);
    let page = format!("{}/dags/nb_fail/runs/live_nb_fail", night.url);
    assert_eq!(failed["instance"]["url"], page);
    assert_eq!(failed["failing_nodes"][0]["log_path"], format!("{page}/tasks/broken?try_number=2"));
    let error = failed["instance"]["error"].as_str().unwrap();
    assert!(error.contains("ValueError: bad row 7") && error.contains("loading 5 rows"), "{error}");
    assert!(!error.contains("canary"), "secrets are cut out: {error}");
    assert_eq!(failed["instance"]["type"], "manual");
    assert_eq!(names(&of("nb_mapped")), ["part[1]"]);
    let hung = of("nb_hang");
    assert_eq!(names(&hung), Vec::<String>::new());
    assert!(hung["instance"]["error"].as_str().unwrap().contains("dagrun_timeout"), "{hung}");
}
