//! The API against its own description: each route is in it, and each answer is as it says.

use boon::{Compiler, SchemaIndex, Schemas};
use nightbell::model::{Concerns, DeliveryState, MessageKind, Notification, ReceiverId, SilenceId};
use nightbell::store::{Desk as _, NewSilence, Outbox as _, PollLedger as _, SqlStore};
use nightbell::web::{Needs, routes};
use serde_json::Value;

use super::night::{HOSTILE, Night, attempted, night, night_with, tried};
use super::{Answer, Served};
use crate::sample::{at, commit, delivery};

fn document() -> Value {
    serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap()
}

/// The document with its schemas compiled as they are asked for.
pub(crate) struct Described {
    document: Value,
    schemas: Schemas,
    compiler: Compiler,
}

impl Described {
    pub(crate) fn new() -> Described {
        let document = document();
        let mut compiler = Compiler::new();
        compiler.add_resource("openapi.json", document.clone()).unwrap();
        Described { document, schemas: Schemas::new(), compiler }
    }

    fn schema(&mut self, pointer: &str) -> SchemaIndex {
        let place = format!("openapi.json#{pointer}");
        self.compiler.compile(&place, &mut self.schemas).unwrap_or_else(|error| panic!("{place}: {error:#}"))
    }

    /// Holds an answer against what is said of it.
    pub(crate) fn check(&mut self, method: &str, template: &str, answer: &Answer) {
        let what = format!("{method} {template}: {}", answer.status);
        let operation = format!("/paths/{}/{}", template.replace('/', "~1"), method.to_lowercase());
        let response = format!("{operation}/responses/{}", answer.status);
        let said = self.document.pointer(&response).unwrap_or_else(|| panic!("{what} is not described: {answer:?}"));
        let Some(content) = said.get("content") else {
            assert!(answer.body.is_empty(), "{what}: {answer:?}");
            return;
        };
        let kind = content.as_object().unwrap().keys().next().unwrap().clone();
        assert_eq!(answer.header("content-type"), Some(kind.as_str()), "{what}");
        let pointer = format!("{response}/content/{}/schema", kind.replace('/', "~1"));
        let schema = self.schema(&pointer);
        let value = answer.json();
        if let Err(error) = self.schemas.validate(&value, schema) {
            panic!("{what} is not as described: {error:#}\n{value:#}");
        }
    }
}

#[test]
fn the_document_has_every_route_with_its_role_and_no_other() {
    let document = document();
    let said = document["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
        let role = |operation: &Value| operation["x-role"].as_str().unwrap().to_string();
        operations
            .as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (method.to_uppercase(), path.clone(), role(operation)))
    });
    let mut said: Vec<(String, String, String)> = said.collect();
    let there = routes().into_iter().filter(|route| route.path.starts_with("/api/")).map(|route| {
        let role = match route.needs {
            Needs::Nothing => "none".to_string(),
            Needs::Role(role) => role.to_string(),
        };
        (route.method.to_string(), route.path.to_string(), role)
    });
    let mut there: Vec<(String, String, String)> = there.collect();
    said.sort();
    there.sort();
    assert_eq!(said, there);
}

/// Every object of the document that says what keys it has, by its place.
fn objects(value: &Value, place: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(object) => {
            if object.get("type").is_some_and(|kind| kind == "object" || kind[0] == "object") {
                found.push((place.to_string(), value.clone()));
            }
            object.iter().for_each(|(key, value)| objects(value, &format!("{place}/{key}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, it)| objects(it, &format!("{place}/{at}"), found))
        }
        _ => {}
    }
}

#[test]
fn no_object_of_the_document_takes_keys_that_it_does_not_name() {
    let mut found = Vec::new();
    objects(&document(), "", &mut found);
    assert!(found.len() > 40, "{}", found.len());
    // The document itself is the one that describes nobody's keys.
    found.retain(|(place, _)| !place.starts_with("/paths//api/v1/openapi.json/"));
    for (place, object) in found {
        assert!(object.get("additionalProperties").is_some(), "{place} takes any key: {object}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_night_is_there_for_programs_the_worst_first() {
    let Night { served, viewer, .. } = night().await;
    let night = ask(&served, "GET", "/api/v1/night?hours=48", &viewer, "").await.json();
    let rows = night["items"].as_array().unwrap();
    let ranks: Vec<&str> = rows.iter().map(|row| row["urgency"].as_str().unwrap()).collect();
    let mut sorted = ranks.clone();
    sorted.sort_by_key(|urgency| ["failing", "running", "rest"].iter().position(|it| it == urgency));
    assert_eq!(ranks, sorted);
    let row = rows.iter().find(|row| row["job"] == "etl_orders").unwrap();
    assert_eq!((&row["source"], &row["urgency"]), (&"s".into(), &"failing".into()));
    let runs = row["instances"].as_array().unwrap();
    let runs: Vec<(&str, &str)> =
        runs.iter().map(|run| (run["id"].as_str().unwrap(), run["status"].as_str().unwrap())).collect();
    assert_eq!(runs, [("1", "success"), ("2", "fail"), ("3", "running")], "the earliest first");
    let alerts = row["alerts"].as_array().unwrap();
    let acked =
        |alert: &Value| (alert["id"].as_str().unwrap().to_string(), alert["acked_by"].as_str().map(String::from));
    assert_eq!(alerts.iter().map(acked).collect::<Vec<_>>(), [("a1".to_string(), None)], "nobody has it");
    let other = rows.iter().find(|row| row["job"] == HOSTILE).unwrap();
    let other: Vec<_> = other["alerts"].as_array().unwrap().iter().map(acked).collect();
    assert_eq!(other, [("a2".to_string(), Some(HOSTILE.to_string()))]);
    // What a page shows of the same night is no other: each job of the API stands on it, and each span that was not read.
    let page = served.get("/?hours=48", &[("authorization", &viewer)]).await.body;
    assert!(page.contains("etl_orders") && page.contains("class=\"hatched\""), "{page}");
    assert!(!row["unread"].as_array().unwrap().is_empty(), "{row:#}");
    served.stop().await;
}

async fn ask(served: &Served, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let headers = [("authorization", token), ("content-type", "application/json")];
    served.ask(method, path, &headers, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_document_says() {
    let mut described = Described::new();
    let Night { served, viewer, responder, .. } = night().await;
    let looks = [
        ("/api/v1/night", "/api/v1/night", 200),
        ("/api/v1/night", "/api/v1/night?hours=48&limit=1", 200),
        ("/api/v1/night", "/api/v1/night?hours=49", 400),
        ("/api/v1/night", "/api/v1/night?cursor=nonsense", 400),
        ("/api/v1/status", "/api/v1/status", 200),
        ("/api/v1/alerts", "/api/v1/alerts", 200),
        ("/api/v1/alerts", "/api/v1/alerts?state=firing&source=s&rule=failed&limit=1", 200),
        ("/api/v1/alerts", "/api/v1/alerts?state=suspended&severity=error", 200),
        ("/api/v1/alerts", "/api/v1/alerts?limit=0", 400),
        ("/api/v1/alerts", "/api/v1/alerts?limit=501", 400),
        ("/api/v1/alerts", "/api/v1/alerts?state=burning", 400),
        ("/api/v1/alerts", "/api/v1/alerts?colour=red", 400),
        ("/api/v1/alerts", "/api/v1/alerts?cursor=nonsense", 400),
        ("/api/v1/alerts/{id}", "/api/v1/alerts/a2", 200),
        ("/api/v1/alerts/{id}", "/api/v1/alerts/nothing", 404),
        ("/api/v1/deliveries", "/api/v1/deliveries?state=dead&receiver=hook", 200),
        ("/api/v1/deliveries/{id}", "/api/v1/deliveries/d2", 200),
        ("/api/v1/deliveries/{id}", "/api/v1/deliveries/d99", 404),
        ("/api/v1/silences", "/api/v1/silences?state=all", 200),
        ("/api/v1/silences/{id}", "/api/v1/silences/1", 200),
        ("/api/v1/silences/{id}", "/api/v1/silences/one", 400),
        ("/api/v1/silences/{id}", "/api/v1/silences/7", 404),
        ("/api/v1/jobs", "/api/v1/jobs?source=s&limit=1", 200),
        ("/api/v1/jobs", "/api/v1/jobs", 400),
        ("/api/v1/jobs/{source}/{job}", "/api/v1/jobs/s/etl_orders", 200),
        ("/api/v1/jobs/{source}/{job}", "/api/v1/jobs/s/nothing", 404),
        ("/api/v1/jobs/{source}/{job}/instances", "/api/v1/jobs/s/etl_orders/instances?limit=2", 200),
        ("/api/v1/jobs/{source}/{job}/calendar", "/api/v1/jobs/s/etl_orders/calendar", 200),
        ("/api/v1/jobs/{source}/{job}/calendar", "/api/v1/jobs/s/nothing/calendar", 404),
        ("/api/v1/silences", "/api/v1/silences?cursor=5", 400),
        ("/api/v1/explain", "/api/v1/explain?subject=etl_orders/2", 200),
        ("/api/v1/explain", "/api/v1/explain?subject=nothing", 404),
        ("/api/v1/digests", "/api/v1/digests", 200),
        ("/api/v1/digests/{id}", "/api/v1/digests/d4", 200),
        ("/api/v1/digests/{id}", "/api/v1/digests/d1", 404),
        ("/api/v1/openapi.json", "/api/v1/openapi.json", 200),
    ];
    for (template, path, status) in looks {
        let answer = ask(&served, "GET", path, &viewer, "").await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        described.check("GET", template, &answer);
    }
    let acts = [
        ("POST", "/api/v1/alerts/{id}/ack", "/api/v1/alerts/a1/ack", r#"{"reason":"mine"}"#, 200),
        ("POST", "/api/v1/alerts/{id}/ack", "/api/v1/alerts/a1/ack", "{}", 200),
        ("POST", "/api/v1/alerts/{id}/ack", "/api/v1/alerts/a1/ack", "{", 400),
        ("POST", "/api/v1/alerts/{id}/ack", "/api/v1/alerts/a1/ack", r#"{"reasons":1}"#, 422),
        ("POST", "/api/v1/alerts/{id}/ack", "/api/v1/alerts/a3/ack", "{}", 409),
        ("POST", "/api/v1/alerts/{id}/ack", "/api/v1/alerts/a9/ack", "{}", 404),
        ("DELETE", "/api/v1/alerts/{id}/ack", "/api/v1/alerts/a1/ack", "", 204),
        ("POST", "/api/v1/sources/{id}/poll", "/api/v1/sources/s/poll", "", 202),
        ("POST", "/api/v1/sources/{id}/poll", "/api/v1/sources/nothing/poll", "", 404),
        ("POST", "/api/v1/silences/preview", "/api/v1/silences/preview", r#"{"jobs":["*"]}"#, 200),
        ("POST", "/api/v1/silences", "/api/v1/silences", r#"{"jobs":["*"],"for":"1h","reason":"all"}"#, 409),
        ("POST", "/api/v1/silences", "/api/v1/silences", r#"{"jobs":["etl_*"],"for":"1h","reason":"deploy"}"#, 201),
        ("POST", "/api/v1/silences", "/api/v1/silences", r#"{"jobs":["etl_*"],"for":"soon","reason":"x"}"#, 400),
        ("POST", "/api/v1/silences", "/api/v1/silences", r#"{"rules":["nonsuch"],"for":"1h","reason":"x"}"#, 400),
        ("POST", "/api/v1/silences", "/api/v1/silences", r#"{"for":"1h","reason":"x"}"#, 400),
        ("DELETE", "/api/v1/silences/{id}", "/api/v1/silences/2", "", 204),
        ("DELETE", "/api/v1/silences/{id}", "/api/v1/silences/77", "", 404),
        ("POST", "/api/v1/deliveries/{id}/drop", "/api/v1/deliveries/d2/drop", r#"{"reason":"told by phone"}"#, 200),
        ("POST", "/api/v1/deliveries/{id}/drop", "/api/v1/deliveries/d2/drop", r#"{"reason":"again"}"#, 409),
        ("POST", "/api/v1/deliveries/{id}/retry", "/api/v1/deliveries/d2/retry", "", 200),
        ("POST", "/api/v1/deliveries/{id}/retry", "/api/v1/deliveries/d1/retry", "", 409),
        ("POST", "/api/v1/deliveries/{id}/drop", "/api/v1/deliveries/d3/drop", r#"{"reason":"old"}"#, 200),
        ("POST", "/api/v1/deliveries/{id}/drop", "/api/v1/deliveries/d3/drop", r#"{"reason":"old"}"#, 409),
        ("POST", "/api/v1/alerts/{id}/close", "/api/v1/alerts/a1/close", r#"{"reason":""}"#, 400),
        ("POST", "/api/v1/alerts/{id}/close", "/api/v1/alerts/a1/close", r#"{"reason":"planned"}"#, 200),
        ("POST", "/api/v1/alerts/{id}/close", "/api/v1/alerts/a1/close", r#"{"reason":"again"}"#, 409),
    ];
    for (method, template, path, body, status) in acts {
        let answer = ask(&served, method, path, &responder, body).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        described.check(method, template, &answer);
        let refused = ask(&served, method, path, &viewer, body).await;
        described.check(method, template, &refused);
    }
    served.stop().await;
}

/// Of what a night has one, or none, three more: silences, one of which has ended, digests, and what people did.
async fn more(store: &SqlStore) {
    let mut poll = commit(0);
    poll.now = at(3600);
    for id in ["e1", "e2", "e3"] {
        poll.deliveries.push(Notification { kind: MessageKind::Digest, ..delivery(id, "team") });
    }
    store.commit_poll(&poll).await.unwrap();
    store.claim(&ReceiverId::new("team"), at(3600), 9).await.unwrap();
    store.settle(&["e1", "e2", "e3"].map(|id| attempted(id, DeliveryState::Delivered))).await.unwrap();
    for number in 0..3 {
        let concerns = Concerns { jobs: vec![format!("etl_{number}")], ..Concerns::default() };
        // Whatever clock goes by, a database's too, it has not ended.
        let new = NewSilence { concerns, reason: "deploy".into(), by: "kim".into(), ends_at: at(900_000_000) };
        // Two of them in the same instant.
        let id = store.add_silence(&new, at(6100 + number / 2)).await.unwrap();
        if number == 1 {
            store.expire_silence(id, "kim", at(6200)).await.unwrap();
            store.expire_silence(SilenceId(1), "kim", at(6200)).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_walked_by_their_cursor_and_answers_that_are_known_are_not_sent_again() {
    let Night { served, viewer, .. } = night_with(more).await;
    // A list is walked while nothing happens.
    tried(&served, &viewer).await;
    for (list, at_least) in [
        ("/api/v1/night?", 2),
        ("/api/v1/alerts?", 3),
        ("/api/v1/deliveries?", 7),
        ("/api/v1/jobs?source=s&", 2),
        ("/api/v1/jobs/s/etl_orders/instances?", 3),
        ("/api/v1/silences?", 2),
        ("/api/v1/silences?state=all&", 4),
        ("/api/v1/digests?", 4),
        ("/api/v1/actions?", 4),
    ] {
        let whole = ask(&served, "GET", &format!("{list}limit=500"), &viewer, "").await.json();
        let all = whole["items"].as_array().unwrap().clone();
        assert!(all.len() >= at_least && whole["next"].is_null(), "{list}: {whole}");
        let (mut walked, mut next) = (Vec::new(), String::new());
        loop {
            let page = ask(&served, "GET", &format!("{list}limit=1{next}"), &viewer, "").await.json();
            walked.extend(page["items"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
            assert!(walked.len() <= all.len(), "{list}");
        }
        assert_eq!(walked, all, "{list}");
    }
    let first = ask(&served, "GET", "/api/v1/alerts", &viewer, "").await;
    let tag = first.header("etag").unwrap();
    let again = served.get("/api/v1/alerts", &[("authorization", &viewer), ("if-none-match", tag)]).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    served.stop().await;
}

/// Without tokens and proxy the page goes by names of its machine alone; what it answers to others is in the document, too.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_another_name_is_answered_as_the_document_says() {
    let mut described = Described::new();
    let served = Served::start("web: { listen: \"127.0.0.1:0\" }\n").await;
    for (method, path) in [
        ("GET", "/api/v1/night"),
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/alerts"),
        ("GET", "/api/v1/digests"),
        ("POST", "/api/v1/silences"),
    ] {
        let headers = [("host", "evil.example.com"), ("content-type", "application/json")];
        let answer = served.ask(method, path, &headers, "").await;
        assert_eq!(answer.status, 421, "{method} {path}: {answer:?}");
        described.check(method, path, &answer);
    }
    served.stop().await;
}
