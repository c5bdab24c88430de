//! Health, and what the metrics say.

use std::collections::BTreeSet;
use std::sync::Arc;

use nightbell::clock::{Clock as _, ManualClock, SystemClock};
use nightbell::model::Alert;
use nightbell::store::{Archive as _, PollCommit, PollLedger as _};

use super::night::{Night, night};
use super::{AROUND, Served};
use crate::program::{Stage, TELL_FAILURES, ago, failed, nightbell, pause, text};
use crate::sample::{Place, alert, at, commit, delivery};

const OPEN: &str = "web: { listen: \"127.0.0.1:0\" }\n";

#[tokio::test(flavor = "multi_thread")]
async fn it_is_healthy_at_once_and_ready_when_every_source_was_asked() {
    let served = Served::start(OPEN).await;
    let healthy = served.get("/-/healthy", &[]).await;
    assert_eq!((healthy.status, healthy.json()["status"].as_str()), (200, Some("ok")));
    // Nobody answers at the source's address: it was asked all the same.
    for _ in 0..300 {
        let ready = served.get("/-/ready", &[]).await;
        if ready.status == 200 {
            served.stop().await;
            return;
        }
        let reason = ready.json()["reason"].as_str().unwrap_or_default().to_string();
        assert_eq!(reason, "1 of 1 sources have not been polled yet", "who asks may be anybody: no name is told");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it never became ready");
}

/// Names of families are compared with what the packaging says elsewhere; here, what the numbers are.
#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_tell_what_the_store_holds_and_every_series_from_the_start() {
    let place = Place::new();
    let store = place.open().await;
    let mut poll = commit(0);
    poll.fired = vec![alert("a1", "etl_orders")];
    poll.deliveries = vec![delivery("d1", "hook")];
    store.commit_poll(&poll).await.unwrap();
    assert_eq!(store.alerts(5).await.unwrap().len(), 1);
    store.close().await;
    drop(store);
    let served = Served::start_in(place, OPEN, Arc::new(ManualClock::at(at(600)))).await;
    let answer = served.get("/metrics", &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
    for line in [
        "nightbell_store_up 1",
        "nightbell_config_last_reload_successful 1",
        "nightbell_config_generation 1",
        "nightbell_deliveries_dead_total{receiver=\"hook\"} 0",
        "nightbell_alerts_firing{rule=\"slow\",severity=\"warning\"} 0",
        "nightbell_alerts_suppressed_total{reason=\"inhibited\"} 0",
        "nightbell_polls_total{source=\"s\",outcome=\"whole\"} 0",
        "nightbell_delivery_lag_seconds_count{receiver=\"hook\"} 0",
        "nightbell_notice_lag_seconds_count{receiver=\"hook\"} 0",
        "nightbell_outbox_pending{receiver=\"hook\"} 1",
        "nightbell_alerts_firing{rule=\"self/loop-failing\",severity=\"error\"} 0",
        "nightbell_alerts_total{rule=\"self/source-incomplete\",severity=\"warning\"} 0",
        "nightbell_alerts_ended_total{rule=\"failed\",reason=\"closed\"} 0",
        "nightbell_alerts_ended_total{rule=\"self/receiver-dead\",reason=\"unwatched\"} 0",
        // Who is alone holds every lease, and needs no token.
        "nightbell_lease_held{lease=\"poll/s\"} 1",
        "nightbell_lease_held{lease=\"deliver/hook\"} 1",
        "nightbell_lease_token{lease=\"poll/s\"} 0",
    ] {
        assert!(answer.body.lines().any(|it| it == line), "{line} is not in\n{}", answer.body);
    }
    assert!(!answer.body.contains("etl_orders"), "a job's name is a label:\n{}", answer.body);
    // Label names are few, and known.
    let labels: BTreeSet<&str> =
        answer.body.split(['{', ',']).skip(1).filter_map(|part| part.split_once("=\"")).map(|(name, _)| name).collect();
    let known = BTreeSet::from([
        "class", "le", "lease", "loop", "outcome", "reason", "receiver", "rule", "severity", "source", "version",
        "write",
    ]);
    assert!(labels.is_subset(&known), "{labels:?}");
    served.stop().await;
}

const CLOSED: &str = "nightbell_alerts_ended_total{rule=\"failed\",reason=\"closed\"} ";

/// Waits until the value of a line of the metrics is as it should be.
async fn until(served: &Served, headers: &[(&str, &str)], line: &str, is_so: impl Fn(f64) -> bool) {
    let began = std::time::Instant::now();
    loop {
        let told = served.get("/metrics", headers).await.body;
        let value = told.lines().find_map(|it| it.strip_prefix(line)?.trim().parse::<f64>().ok());
        if value.is_some_and(&is_so) {
            return;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(90), "{line}: {value:?}");
        pause(100).await;
    }
}

/// Waits until the loop has looked that counts what people close.
async fn looked(served: &Served, headers: &[(&str, &str)]) {
    let line = "nightbell_loop_last_turn_timestamp_seconds{loop=\"unwatched\"} ";
    until(served, headers, line, |at| at > 0.0).await;
    until(served, headers, CLOSED, |count| count == 0.0).await;
}

/// Whoever ends an alert, it is counted.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_a_person_closes_is_counted() {
    let Night { served, viewer, responder, clock } = night().await;
    let looks = [("authorization", viewer.as_str())];
    looked(&served, &looks).await;
    let headers = [("authorization", responder.as_str()), ("content-type", "application/json")];
    let closed = served.ask("POST", "/api/v1/alerts/a1/close", &headers, r#"{"reason":"planned"}"#).await;
    assert_eq!(closed.status, 200, "{closed:?}");
    served.set(&clock, super::night::now() + jiff::SignedDuration::from_mins(1)).await;
    until(&served, &looks, CLOSED, |count| count == 1.0).await;
    served.stop().await;
}

/// Also where that is a command beside the running process, which has the clock of the machine.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_a_command_closes_is_counted() {
    let place = Place::new();
    let store = place.open().await;
    let mut fired = Alert { source: "s".into(), rule: "failed".into(), ..alert("a1", "etl_orders") };
    fired.facts.alert.rule = "failed".into();
    let now = SystemClock.now();
    let poll = PollCommit { source: "s".into(), now, fired: vec![fired], ..commit(0) };
    store.commit_poll(&poll).await.unwrap();
    store.close().await;
    drop(store);
    let clock = Arc::new(ManualClock::at(now));
    let served = Served::start_in(place, OPEN, clock.clone()).await;
    looked(&served, &[]).await;
    let file = served.place.directory.path().join("rules.yaml");
    std::fs::write(&file, format!("version: 1\nstore: \"{}\"\n{AROUND}", served.place.url())).unwrap();
    let mut command = nightbell(&["close", "-c", file.to_str().unwrap(), "--rule", "failed", "--reason", "planned"]);
    let closed = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(closed.status.success(), "{}", text(&closed.stderr));
    served.set(&clock, SystemClock.now() + jiff::SignedDuration::from_mins(1)).await;
    until(&served, &[], CLOSED, |count| count == 1.0).await;
    served.stop().await;
}

/// A stage with a page, and its port.
async fn with_page(rules: &str) -> (Stage, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    (Stage::set(&format!("web: {{ listen: \"127.0.0.1:{port}\" }}\n{rules}")).await, port)
}

/// The number behind `line` once as many messages have arrived and it is more than 0.
async fn counted((stage, port): &(Stage, u16), hits: usize, line: &str) -> f64 {
    let began = std::time::Instant::now();
    loop {
        if stage.sink.hits().len() == hits {
            let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            let told = super::raw(([127, 0, 0, 1], *port).into(), request.as_bytes()).await.body;
            let value = told.lines().find_map(|it| Some(it.strip_prefix(line)?.trim().parse::<f64>().unwrap()));
            // What has arrived is on record in a moment.
            if value.is_some_and(|value| value > 0.0) {
                return value.unwrap();
            }
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{line} stays at 0");
        pause(50).await;
    }
}

/// What a group gathers is told in one message: nobody knew of the earliest of it for longest.
#[tokio::test(flavor = "multi_thread")]
async fn how_long_nobody_knew_is_measured_of_a_group_too() {
    let rules = "rules:\n  failed: { when: { status: [fail] }, notify: [hook], group: { by: [source], wait: 1s } }\n";
    let ground = with_page(rules).await;
    let stage = &ground.0;
    let earliest = (1..=3).map(|id| {
        let run = failed("etl_orders", id);
        let ended = run.end_time.unwrap();
        stage.workspace.put(run);
        ended
    });
    let earliest = earliest.min().unwrap();
    let _running = stage.start();
    let after = SystemClock.now().duration_since(earliest).as_secs_f64();
    assert_eq!(counted(&ground, 1, "nightbell_notice_lag_seconds_count{receiver=\"hook\"}").await, 1.0);
    let lag = counted(&ground, 1, "nightbell_notice_lag_seconds_sum{receiver=\"hook\"}").await;
    assert!(lag >= after, "{lag} s, and the first had failed {after} s before anything ran");
    assert_eq!(stage.sink.hits()[0].json()["type"], "alert.group");
}

/// From the scheduler's word to a person: how long nobody knew. What ends tells nothing new.
#[tokio::test(flavor = "multi_thread")]
async fn how_long_nobody_knew_is_measured() {
    let ground = with_page(TELL_FAILURES).await;
    let stage = &ground.0;
    let run = failed("etl_orders", 34765);
    let ended = run.end_time.unwrap();
    stage.workspace.put(run);
    let _running = stage.start();
    let told = async |hits: usize, line: &str| counted(&ground, hits, line).await;
    let after = SystemClock.now().duration_since(ended).as_secs_f64();
    assert_eq!(told(1, "nightbell_notice_lag_seconds_count{receiver=\"hook\"}").await, 1.0);
    let lag = told(1, "nightbell_notice_lag_seconds_sum{receiver=\"hook\"}").await;
    assert!(lag >= after, "{lag} s, and it had failed {after} s before anything ran");
    stage.workspace.update("etl_orders", 34765, |run| *run = run.clone().ended("success", ago(0)));
    assert_eq!(told(2, "nightbell_deliveries_delivered_total{receiver=\"hook\"}").await, 2.0);
    assert_eq!(told(2, "nightbell_notice_lag_seconds_count{receiver=\"hook\"}").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_tell_browsers_to_run_nothing_from_elsewhere() {
    let served = Served::start(OPEN).await;
    for path in ["/-/healthy", "/metrics", "/nothing", "/nothing/%00/..%2f"] {
        let answer = served.get(path, &[]).await;
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{path}: {answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
        assert!(!answer.body.contains("canary"), "{path}: {}", answer.body);
    }
    let missing = served.get("/api/v1/nothing", &[]).await;
    assert_eq!((missing.status, missing.header("content-type")), (404, Some("application/problem+json")));
    let wrong = served.ask("PUT", "/metrics", &[], "").await;
    assert_eq!((wrong.status, wrong.json()["status"].as_u64()), (405, Some(405)));
    let elsewhere = served.get("/metrics", &[("host", "evil.example.com")]).await;
    assert_eq!(elsewhere.status, 421, "a page from elsewhere could read it under a name of its own");
    served.stop().await;
}
