//! What people say to a Nightbell that runs: be quiet about this for a while, and I am on it.

use super::{Stage, TELL_FAILURES, failed, nightbell, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_counts_beside_a_running_process_and_its_end_tells_what_still_fires() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("first", 1));
    let _running = stage.start();
    stage.sink.wait("the program to work", |hits| hits.len() == 1).await;

    let add =
        ["silence", "add", "--job", "etl_*", "--for", "2h", "--reason", "deploy of the warehouse", "--by", "wang"];
    let added = stage.output(&add).await;
    assert_eq!(added.status.code(), Some(0), "{}", text(&added.stderr));
    assert!(text(&added.stdout).starts_with("silence 1: job etl_* until "), "{}", text(&added.stdout));
    stage.workspace.put(failed("etl_orders", 2));
    stage.workspace.put(failed("other", 3));
    // A poll that saw the other one has seen both.
    let hits = stage.sink.wait("the other failure", |hits| hits.len() >= 2).await;
    assert_eq!(
        hits.iter().map(|hit| hit.json()["data"]["job"]["name"].clone()).collect::<Vec<_>>(),
        ["first", "other"]
    );
    let alerts = stage.listed("alerts").await;
    let etl = alerts.iter().find(|line| line["job"]["name"] == "etl_orders").unwrap();
    assert_eq!((&etl["suppressed_by"], &etl["alert"]["state"]), (&"silence:1".into(), &"firing".into()));
    let shown = text(&stage.output(&["alerts"]).await.stdout);
    assert!(shown.contains("firing (not sent: silence:1)"), "{shown}");
    let listed = text(&stage.output(&["silence", "list"]).await.stdout);
    for part in ["active", "job etl_*", "wang", "deploy of the warehouse"] {
        assert!(listed.contains(part), "{part:?} is not in\n{listed}");
    }

    let expired = stage.output(&["silence", "expire", "1", "--by", "li"]).await;
    assert_eq!(expired.status.code(), Some(0), "{}", text(&expired.stderr));
    let hits = stage.sink.wait("what was held back", |hits| hits.len() == 3).await;
    let told = hits[2].json()["data"].clone();
    assert_eq!((&told["job"]["name"], &told["alert"]["held_back"]["by"]), (&"etl_orders".into(), &"silence:1".into()));
    let summary = told["alert"]["summary"].as_str().unwrap();
    assert!(summary.ends_with("(held back until now by silence 1 of wang: deploy of the warehouse)"), "{summary}");
    assert_eq!(told["failing_nodes"][0]["log_path"], "obs://log/etl_orders/2");
    assert!(stage.output(&["silence", "list"]).await.stdout.is_empty());
    let all = stage.output(&["silence", "list", "--all", "--json"]).await;
    let line: serde_json::Value = serde_json::from_str(text(&all.stdout).trim()).unwrap();
    assert_eq!((&line["state"], &line["expired_by"], &line["alerts"]), (&"expired".into(), &"li".into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_acknowledged_by_the_beginning_of_its_id_beside_a_running_process() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    let _running = stage.start();
    stage.sink.wait("the failure", |hits| hits.len() == 1).await;
    let id = stage.listed("alerts").await[0]["alert"]["id"].as_str().unwrap().to_string();
    assert_eq!(stage.listed("alerts").await[0]["acked"], serde_json::Value::Null);
    assert!(text(&stage.output(&["alerts"]).await.stdout).contains(&id[..8]), "the table shows what to type");
    // How the alert is named, who acknowledges it, and what is said of whoever did before.
    let cases = [
        (vec![&id[..6]], "wang", None),
        (vec![id.as_str()], "li", Some("instead of wang (since ")),
        (vec!["--job", "et*", "--rule", "failed"], "zhao", Some("instead of li (since ")),
        (vec!["--group", &id], "wang", Some("instead of zhao (since ")),
    ];
    for (which, who, replaced) in cases {
        let arguments = [&["ack"], which.as_slice(), &["--by", who, "--reason", "looking"]].concat();
        let acked = stage.output(&arguments).await;
        assert_eq!(acked.status.code(), Some(0), "{}", text(&acked.stderr));
        let said = text(&acked.stdout);
        assert!(said.contains(&format!(": acknowledged by {who} at ")), "{said}");
        assert_eq!(replaced.is_some(), said.contains("instead of"), "{said}");
        assert!(replaced.is_none_or(|replaced| said.contains(replaced)), "{said}");
    }
    let line = &stage.listed("alerts").await[0]["acked"];
    assert_eq!((&line["by"], &line["reason"]), (&"wang".into(), &"looking".into()));
    assert!(text(&stage.output(&["alerts"]).await.stdout).contains("firing, acknowledged by wang"));
    let removed = stage.output(&["unack", &id[..8]]).await;
    assert!(text(&removed.stdout).contains("no longer acknowledged by wang"), "{}", text(&removed.stdout));
    assert_eq!(stage.listed("alerts").await[0]["acked"], serde_json::Value::Null);
    let refused =
        [("--job", "nothing_*", 1, "no such alert fires"), ("--rule", "gone", 2, "there is no rule \"gone\"")];
    for (option, name, code, words) in refused {
        let output = stage.output(&["ack", "--by", "li", option, name]).await;
        assert_eq!(output.status.code(), Some(code));
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
    }
    assert_eq!(stage.output(&["ack", "--by", "li"]).await.status.code(), Some(2), "it names no alert");
    for (name, words) in [("zzzz", "no alert's id begins"), (&id[..2], "at least 4 characters")] {
        let refused = stage.output(&["ack", name, "--by", "li"]).await;
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains(words), "{}", text(&refused.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_without_an_end_a_reason_or_a_subject_is_refused() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.once(0).await;
    let ends_and_reason = ["--for", "2h", "--reason", "deploy", "--by", "wang"];
    // what is said beside, what is answered
    let cases: [(&[&str], &str); 11] = [
        (&["--job", "etl", "--reason", "deploy", "--by", "wang"], "--for"),
        (&["--job", "etl", "--for", "2h", "--by", "wang"], "--reason"),
        (&["--job", "etl", "--for", "soon", "--reason", "deploy"], "write it as 30s, 5m or 1h30m"),
        (&["--job", "etl", "--for", "9w", "--until", "06:00", "--reason", "deploy"], "cannot be used with"),
        (&["--job", "etl", "--until", "whenever", "--reason", "deploy", "--by", "wang"], "write 06:00"),
        (&["--job", "etl", "--until", "2020-01-01T00:00:00Z", "--reason", "d", "--by", "wang"], "have ended already"),
        (&["--job", "etl", "--for", "900d", "--reason", "d", "--by", "wang"], "at most 366 days"),
        (&["--job", "etl[", "--for", "2h", "--reason", "d", "--by", "wang"], "\"etl[\" is not a valid glob"),
        (&["--rule", "faild", "--for", "2h", "--reason", "d", "--by", "wang"], "did you mean \"failed\"?"),
        (&["--job", "etl", "--for", "2h", "--reason", "a\nb", "--by", "wang"], "--reason must be one line"),
        (&ends_and_reason, "name what it concerns"),
    ];
    for (arguments, words) in cases {
        let arguments: Vec<&str> = ["silence", "add"].into_iter().chain(arguments.iter().copied()).collect();
        let output = stage.output(&arguments).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert!(stage.output(&["silence", "list", "--all"]).await.stdout.is_empty());
    let unknown = stage.output(&["silence", "expire", "7", "--by", "wang"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("there is no silence 7"));
}

/// A broken file among others kept people from saying that they were on an alert, and from silencing it, although the
/// running program went on by its last good version.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_among_others_keeps_nobody_from_looking_acknowledging_and_silencing() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    let rules = stage.path("rules.d");
    std::fs::create_dir(&rules).unwrap();
    std::fs::copy(stage.path("rules.yaml"), rules.join("base.yaml")).unwrap();
    stage.once(0).await;
    std::fs::write(rules.join("more.yaml"), "version: 1\nrules: [\n").unwrap();
    let id = stage.listed("alerts").await[0]["alert"]["id"].as_str().unwrap().to_string();
    let with = |arguments: &[&str]| nightbell(arguments).arg("-c").arg(&rules).output().unwrap();
    for arguments in [
        vec!["alerts"],
        vec!["ack", id.as_str(), "--by", "me"],
        vec!["silence", "add", "--job", "etl", "--for", "1h", "--by", "me", "--reason", "at work"],
    ] {
        let output = with(&arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        assert!(said.contains("more.yaml:") && said.contains("is broken: this goes by the other files"), "{said}");
    }
    assert!(stage.listed("alerts").await[0]["acked"].is_object(), "it is acknowledged");
    for arguments in [["run", "--once"], ["check", "--offline"]] {
        assert_eq!(with(&arguments).status.code(), Some(78), "{arguments:?}");
    }
    // Where the store is may stand in the broken file: another one would show, and silence, nothing.
    std::fs::rename(rules.join("base.yaml"), rules.join("sources.yaml")).unwrap();
    std::fs::write(rules.join("more.yaml"), "version: 1\nstore: sqlite://elsewhere.db\nrules: [\n").unwrap();
    assert_eq!(with(&["alerts"]).status.code(), Some(78));
}

/// Nobody could end an alert whose job will not run again.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_is_closed_by_hand_is_over_for_those_who_were_told_and_does_not_fire_again() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    stage.once(0).await;
    let id = stage.listed("alerts").await[0]["alert"]["id"].as_str().unwrap().to_string();
    assert_eq!(stage.output(&["close", &id[..8], "--by", "li"]).await.status.code(), Some(2), "it says no reason");
    let closed = stage.output(&["close", &id[..8], "--by", "li", "--reason", "it was planned"]).await;
    assert_eq!(closed.status.code(), Some(0), "{}", text(&closed.stderr));
    assert!(text(&closed.stdout).contains("closed by li"), "{}", text(&closed.stdout));
    assert!(text(&closed.stderr).contains("1 resolution is pending"), "{}", text(&closed.stderr));
    for _ in 0..2 {
        stage.once(0).await;
    }
    let told: Vec<serde_json::Value> = stage.sink.hits_at("hook").iter().map(|hit| hit.json()).collect();
    let kinds: Vec<&str> = told.iter().map(|body| body["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["alert.firing", "alert.resolved"]);
    let ended = &told[1]["data"]["alert"]["ended"];
    assert_eq!((&ended["reason"], &ended["by"]), (&"closed".into(), &"li".into()), "{ended}");
    let listed = stage.listed("alerts").await;
    assert_eq!((listed.len(), &listed[0]["alert"]["state"]), (1, &"resolved".into()));
    let again = stage.output(&["close", &id, "--by", "li", "--reason", "again"]).await;
    assert_eq!(again.status.code(), Some(1));
}
