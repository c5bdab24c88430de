//! What could not be told: it goes to the fallback, and an operator lists it, looks at it and has it sent again.

use std::collections::BTreeSet;

use super::sink::Sink;
use super::{Stage, TELL_FAILURES, ago, failed, pause, text};

/// `broken` is at a sink of its own and stands before `hook` in every alert's way.
fn rules(broken: &Sink) -> String {
    format!(
        "  broken: {{ type: webhook, url: {}, fallback: hook }}\nrules:\n  failed: {{ when: {{ status: [fail] }}, \
         severity: critical, notify: [broken] }}\n",
        broken.url("broken")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_told_by_the_fallback_in_the_same_cycle_and_so_is_its_end() {
    let broken = Sink::open().await;
    broken.answer(410);
    let stage = Stage::set(&rules(&broken)).await;
    stage.workspace.put(failed("etl", 1));
    for _ in 0..3 {
        stage.once(0).await;
    }
    assert_eq!(broken.hits().len(), 1);
    let hits = stage.sink.hits();
    assert_eq!(hits.len(), 1, "{hits:#?}");
    let body = hits[0].json();
    assert_eq!(body["type"], "alert.firing");
    assert_eq!(body["stands_in_for"]["receiver"], "broken");
    assert_eq!(body["stands_in_for"]["given_up"], true);
    assert!(body["stands_in_for"]["error"].as_str().unwrap().contains("410"), "{body}");
    stage.workspace.update("etl", 1, |run| *run = run.clone().ended("success", ago(0)));
    stage.once(0).await;
    let hits = stage.sink.hits();
    assert_eq!((hits.len(), hits[1].json()["type"].as_str()), (2, Some("alert.resolved")));
    assert_eq!(hits[1].json()["stands_in_for"], serde_json::json!({ "receiver": "broken" }));
}

/// What is pending to a receiver when it is renamed can never be sent: it is dead at once, and its fallback hears.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_pending_to_a_receiver_that_is_renamed_is_dead_and_told_by_its_fallback() {
    let broken = Sink::open().await;
    broken.answer(503);
    let stage = Stage::set(&rules(&broken)).await;
    stage.workspace.put(failed("etl", 1));
    stage.once(1).await;
    assert_eq!(stage.listed("deliveries").await[0]["state"], "pending");
    stage.write_config(&rules(&broken).replace("broken:", "renamed:").replace("[broken]", "[renamed]"));
    stage.output(&["run", "--once"]).await;
    let deliveries = stage.listed("deliveries").await;
    let old = deliveries.iter().find(|one| one["receiver"] == "broken").unwrap();
    assert_eq!(old["state"], "dead", "{old}");
    assert!(old["last_error"].as_str().unwrap().contains("no longer in the configuration"), "{old}");
    let hits = stage.sink.hits();
    assert_eq!(hits.len(), 1, "{hits:#?}");
    let body = hits[0].json();
    assert_eq!(
        (&body["type"], &body["stands_in_for"]["receiver"]),
        (&"alert.firing".into(), &"broken".into()),
        "{body}"
    );
    let log = text(&stage.once(0).await.stderr);
    assert_eq!(stage.sink.hits().len(), 1, "once: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_program_tells_the_fallback_without_waiting_and_only_once_over_a_kill() {
    let broken = Sink::open().await;
    broken.answer(410);
    let stage = Stage::set(&rules(&broken)).await;
    stage.workspace.put(failed("etl", 1));
    let mut running = stage.start();
    let hits = stage.sink.wait("the fallback", |hits| hits.len() == 1).await;
    running.kill();
    stage.once(0).await;
    assert!(stage.sink.hits().iter().all(|hit| hit.id() == hits[0].id()), "a repeat has the same name");
    assert_eq!(stage.listed("deliveries").await.len(), 2);
}

/// What a command prints as JSON, one object a line.
async fn said(stage: &Stage, arguments: &[&str], code: i32) -> Vec<serde_json::Value> {
    let output = stage.output(arguments).await;
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_shown_and_sent_again_beside_a_running_program() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    stage.workspace.put(failed("other", 2));
    stage.sink.answer(410);
    stage.once(0).await;
    let dead =
        said(&stage, &["deliveries", "--state", "dead", "--receiver", "hook", "--since", "1h", "--json"], 0).await;
    assert_eq!(dead.len(), 2);
    let filters = [
        (["--state", "pending"], 0),
        (["--receiver", "nobody"], 2),
        (["--rule", "no"], 2),
        (["--since", "2999-01-01"], 0),
    ];
    for (filter, code) in filters {
        assert!(said(&stage, &["deliveries", "--json", filter[0], filter[1]], code).await.is_empty(), "{filter:?}");
    }
    let id = dead[0]["id"].as_str().unwrap().to_string();
    // Eight characters are shown, and enough to name it.
    let listed = text(&stage.output(&["deliveries"]).await.stdout);
    assert!(listed.contains(&id[..8]) && !listed.contains(&id[..9]), "{listed}");
    let several = stage.output(&["deliveries", "show", ""]).await;
    assert_eq!((several.status.code(), several.stdout.len()), (Some(2), 0));
    assert!(text(&several.stderr).contains("several deliveries' ids begin with"), "{}", text(&several.stderr));
    let shown = said(&stage, &["deliveries", "show", &id[..8], "--json"], 0).await.remove(0);
    assert_eq!((shown["id"].as_str(), shown["attempt_log"][0]["status"].as_str()), (Some(id.as_str()), Some("410")));
    assert_eq!(shown["alert_data"]["alert"]["id"], shown["alert"]);
    assert!(shown["content"]["body"].as_str().unwrap().contains("obs://log/"), "{shown}");
    let output = stage.output(&["deliveries", "show", &id]).await;
    let page = text(&output.stdout);
    for word in ["410", "dead", "failed after", "node load", "\"type\": \"alert.firing\"", "ATTEMPT"] {
        assert!(page.contains(word), "{word}: {page}");
    }
    stage.sink.answer(200);
    let running = stage.start();
    let again = said(&stage, &["deliveries", "retry", &id[..8], "no-such-id", "--json"], 1).await;
    assert_eq!(again[0], serde_json::json!({ "id": id, "state": "pending", "error": null }));
    assert_eq!(again[1]["error"], "there is no such delivery");
    // The lane looks by itself within a minute; a run that starts looks at once.
    drop(running);
    let running = stage.start();
    let hits = stage.sink.wait("the dead letter", |hits| hits.len() > 2).await;
    assert_eq!((hits[2].id(), &hits[2].body), (id.clone(), &hits.iter().find(|hit| hit.id() == id).unwrap().body));
    // Dropping is a kill: what was sent and not recorded yet would rightly be sent again.
    for _ in 0..400 {
        if said(&stage, &["deliveries", "--state", "delivered", "--json"], 0).await.len() == 1 {
            break;
        }
        pause(50).await;
    }
    drop(running);
    let rest = said(&stage, &["deliveries", "retry", "--receiver", "hook", "--since", "1h", "--json"], 0).await;
    assert_eq!(rest.len(), 1);
    stage.once(0).await;
    // A program that is killed after sending and before recording sends again, under the same name.
    let again: BTreeSet<String> = stage.sink.hits()[2..].iter().map(|hit| hit.id()).collect();
    assert_eq!(again.len(), 2);
    let all = said(&stage, &["deliveries", "--state", "delivered", "--json"], 0).await;
    assert!(all.len() == 2 && all.iter().all(|one| one["attempts"].as_u64() >= Some(2)), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_that_make_no_sense_are_refused() {
    let stage = Stage::set(TELL_FAILURES).await;
    for (arguments, code, word) in [
        (&["deliveries", "retry"][..], 2, "ID"),
        (&["deliveries", "retry", "--receiver", "hook"], 2, "--since"),
        (&["deliveries", "retry", "x", "--receiver", "hook", "--since", "1h"], 2, "cannot be used with"),
        (&["deliveries", "retry", "--receiver", "hook", "--since", "soon"], 2, "is not a valid time"),
        (&["deliveries", "retry", "x"], 1, "there is no such file"),
        (&["deliveries", "--since", "soon"], 2, "is not a valid time"),
        (&["deliveries", "--state", "gone"], 2, "the states are pending"),
        (&["deliveries", "--state", "dead", "show", "x"], 2, "filters"),
    ] {
        let output = stage.output(arguments).await;
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(word), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
    assert!(!stage.path("nightbell.db").exists(), "none of them makes a store");
    stage.once(0).await;
    let output = stage.output(&["deliveries", "retry", "--receiver", "x", "--since", "1h"]).await;
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("the receivers are hook"));
    let output = stage.output(&["deliveries", "show", "x"]).await;
    assert!(output.status.code() == Some(1) && text(&output.stderr).contains("there is no delivery \"x\""));
}
