//! The lists of alerts: what fires from the worst on, what is suspended, and the way through all pages.

use std::sync::Arc;

use nightbell::clock::ManualClock;
use nightbell::model::{Alert, RuleId, Severity};
use nightbell::store::PollLedger as _;

use super::{AROUND, Served};
use crate::sample::{Place, alert, at, commit, resolved};

async fn served() -> Served {
    let place = Place::new();
    let store = place.open().await;
    let of = |id: &str, severity: Severity, created: i64| {
        let mut one =
            Alert { source: "s".into(), rule: RuleId::new("failed"), created_at: at(created), ..alert(id, id) };
        (one.facts.alert.rule, one.facts.alert.severity) = (RuleId::new("failed"), severity);
        one
    };
    let mut poll = commit(0);
    (poll.source, poll.now) = ("s".into(), at(600));
    poll.fired = (0..60).map(|number| of(&format!("w{number:02}"), Severity::Warning, number * 10)).collect();
    poll.fired.push(of("worst", Severity::Critical, -5000));
    poll.fired.push(Alert { suspended_at: Some(at(500)), ..of("waits", Severity::Critical, 0) });
    poll.fired.push(resolved(of("over", Severity::Critical, 0), at(550)));
    store.commit_poll(&poll).await.unwrap();
    store.close().await;
    drop(store);
    Served::start_with(
        place,
        &format!("web: {{ listen: \"127.0.0.1:0\" }}\n{AROUND}"),
        Arc::new(ManualClock::at(at(600))),
    )
    .await
}

/// The alerts of a page of the list, and where the next one is.
async fn page(served: &Served, path: &str) -> (Vec<String>, Option<String>) {
    let answer = served.get(path, &[]).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    let until = |rest: &str| rest.split('"').next().unwrap().to_string();
    let rows = answer.body.split("<span class=\"title\"><a href=\"/alerts/").skip(1).map(until).collect();
    let next = answer.body.split("<a class=\"button\" href=\"").nth(1).map(until);
    (rows, next.map(|link| link.replace("&#38;", "&").replace("&amp;", "&")))
}

async fn walked(served: &Served, path: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(path.to_string()));
    while let Some(path) = next {
        let (rows, further) = page(served, &path).await;
        pages.push(rows);
        next = further;
        assert!(pages.len() < 9, "there is no end: {pages:?}");
    }
    pages
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worst_stands_first_and_each_alert_once() {
    let served = served().await;
    let pages = walked(&served, "/alerts").await;
    assert!(pages.len() > 1, "{pages:?}");
    let all: Vec<&str> = pages.iter().flatten().map(String::as_str).collect();
    let newest_first = (0..60).rev().map(|number| format!("w{number:02}"));
    let expected: Vec<String> = std::iter::once("worst".to_string()).chain(newest_first).collect();
    assert_eq!(all, expected, "what is suspended or over does not fire, and nothing is shown twice or left out");
    served.stop().await;
}

/// Whoever reads the answer to a wrong query learns which part of it is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_query_is_told_by_its_name() {
    let served = served().await;
    for (query, named) in [
        ("alerts?limit=ten", "limit"),
        ("alerts?limit=501", "limit: 1 to 500"),
        ("alerts?state=burning", "`firing`"),
        ("alerts?colour=red", "`colour`"),
        ("alerts?since=yesterday", "since"),
        ("alerts?limit=1&limit=2", "`limit`"),
        ("jobs", "`source`"),
        ("night?hours=long", "hours"),
        ("deliveries?state=lost", "`pending`"),
        ("silences?state=over", "active or all"),
    ] {
        let answer = served.get(&format!("/api/v1/{query}"), &[]).await;
        let detail = answer.json()["detail"].as_str().unwrap().to_string();
        assert!(answer.status == 400 && detail.contains(named), "{query}: {answer:?}");
    }
    served.stop().await;
}

/// The same of a body.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_body_is_told_by_its_name() {
    let served = served().await;
    let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(70_000));
    for (body, status, said) in [
        (r#"{"reason":1}"#, 422, "reason: invalid type"),
        (r#"{"reasons":"x"}"#, 422, "reasons: unknown field"),
        ("{", 400, "JSON"),
        (long.as_str(), 413, "too large"),
    ] {
        let headers = [("content-type", "application/json")];
        let answer = served.ask("POST", "/api/v1/alerts/worst/close", &headers, body).await;
        let detail = answer.json()["detail"].as_str().unwrap().to_string();
        assert!(answer.status == status && detail.contains(said), "{said}: {answer:?}");
        assert!(!detail.contains("target type"), "{detail}");
    }
    served.stop().await;
}

/// Whoever has some answer already is told no more than that there is one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_not_sent_again() {
    let served = served().await;
    let path = "/api/v1/alerts?limit=2";
    let tag = served.get(path, &[]).await.header("etag").unwrap().to_string();
    for (known, status) in [
        (tag.as_str(), 304),
        (tag.trim_start_matches("W/"), 304),
        (format!("\"other\", {tag}").as_str(), 304),
        ("*", 304),
        ("\"other\"", 200),
    ] {
        let answer = served.get(path, &[("if-none-match", known)]).await;
        assert_eq!((answer.status, answer.body.is_empty()), (status, status == 304), "{known}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_suspended_and_what_is_over_have_lists_of_their_own() {
    let served = served().await;
    for (state, expected) in [("suspended", "waits"), ("resolved", "over")] {
        assert_eq!(walked(&served, &format!("/alerts?state={state}")).await, [[expected]], "{state}");
    }
    let all: Vec<String> = walked(&served, "/alerts?state=all").await.concat();
    assert_eq!(all.len(), 63, "{all:?}");
    let ids = |answer: serde_json::Value| -> Vec<String> {
        answer["items"].as_array().unwrap().iter().map(|it| it["alert"]["id"].as_str().unwrap().to_string()).collect()
    };
    let suspended = served.get("/api/v1/alerts?state=suspended", &[]).await.json();
    assert_eq!(ids(suspended), ["waits"]);
    let firing = ids(served.get("/api/v1/alerts?state=firing&limit=500", &[]).await.json());
    assert!(firing.len() == 61 && !firing.contains(&"waits".to_string()), "as on the page: {firing:?}");
    served.stop().await;
}
