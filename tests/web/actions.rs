//! Everything that people do is on record with who did it, and shown where it matters.

use nightbell::desk::hash_of;
use nightbell::model::{AlertId, DeliveryId};
use nightbell::store::{Access as _, DeadLetters, Deliveries as _, Desk as _};
use serde_json::Value;

use super::night::{Night, night, tried};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_is_on_record_with_who_did_it() {
    let Night { served, responder, viewer, clock } = night().await;
    let store = served.store().await;
    let name = store.token(&hash_of(responder.trim_start_matches("Bearer ")), super::night::now()).await.unwrap();
    let name = name.unwrap().name;
    let headers = [("authorization", responder.as_str()), ("content-type", "application/json")];
    let acts = [
        ("POST", "/api/v1/alerts/a1/ack", r#"{"reason":"on it"}"#, "ack"),
        ("DELETE", "/api/v1/alerts/a1/ack", "", "unack"),
        ("POST", "/api/v1/silences", r#"{"jobs":["etl_*"],"for":"1h","reason":"deploy"}"#, "silence"),
        ("DELETE", "/api/v1/silences/2", "", "expire"),
        ("POST", "/api/v1/deliveries/d2/retry", "", "retry"),
        ("POST", "/api/v1/deliveries/d3/drop", r#"{"reason":"too late"}"#, "drop"),
        ("POST", "/api/v1/sources/s/poll", "", "poll"),
        ("POST", "/api/v1/alerts/a1/close", r#"{"reason":"planned"}"#, "close"),
    ];
    for (index, (method, path, body, _)) in acts.iter().enumerate() {
        served.set(&clock, super::night::now() + jiff::SignedDuration::from_secs(index as i64)).await;
        let answer = served.ask(method, path, &headers, body).await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
    }
    let items = async |path: &str, key: &str| -> Vec<Value> {
        served.get(path, &[("authorization", &viewer)]).await.json()[key].as_array().unwrap().clone()
    };
    let all = items("/api/v1/actions?limit=8", "items").await;
    let done: Vec<&str> = all.iter().rev().map(|it| it["action"].as_str().unwrap()).collect();
    assert_eq!(done, acts.map(|(.., action)| action));
    assert!(all.iter().all(|it| it["by"] == name.as_str()), "{all:?}");
    let said = |action: &str| all.iter().find(|it| it["action"] == action).unwrap()["reason"].clone();
    assert_eq!(["ack", "drop", "close"].map(said), ["on it", "too late", "planned"].map(Value::from));
    let of_alert = items("/api/v1/alerts/a1", "actions").await;
    assert_eq!(of_alert.iter().map(|it| it["action"].clone()).collect::<Vec<_>>(), ["ack", "unack", "close"]);
    // The messages tell of another alert, whose story has what was done to them.
    let of_other = items("/api/v1/alerts/a2", "actions").await;
    let done: Vec<_> = of_other.iter().map(|it| it["action"].clone()).collect();
    assert_eq!(done, ["ack", "retry", "drop"]);
    assert_eq!(items("/api/v1/deliveries/d3", "actions").await[0]["reason"], "too late");
    // The log of the page, the story and the delivery show it to people.
    let page = async |path: &str| served.get(path, &[("authorization", &viewer)]).await.body;
    let (status, story, delivery) = (page("/status").await, page("/alerts/a1").await, page("/deliveries/d3").await);
    for words in ["Polled for responder", "Closed by responder", "Given up by responder", "Silence ended by responder"]
    {
        assert!(status.contains(words), "{words} is not on the status page: {status}");
    }
    assert!(story.contains("No longer acknowledged: responder") && story.contains("on it"), "{story}");
    assert!(delivery.contains("Given up by responder") && delivery.contains("too late"), "{delivery}");
    assert_eq!(store.actions_on_alert(&AlertId::new("a1")).await.unwrap().len(), 3);
    assert_eq!(store.actions_on_deliveries(&[DeliveryId::new("d2")]).await.unwrap().len(), 1);
    store.close().await;
    served.stop().await;
}

/// Once somebody has settled a dead letter it is nobody's any more: no count and no list of dead letters has it, and it is not
/// sent again with the others of its receiver. It stays on record, and can be sent again by its name.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_given_up_is_none_to_look_at() {
    let Night { served, responder, viewer, .. } = night().await;
    tried(&served, &viewer).await;
    let headers = [("authorization", responder.as_str()), ("content-type", "application/json")];
    let get = async |path: &str| served.get(path, &[("authorization", &viewer)]).await;
    let dead = async || -> (Vec<String>, u64, bool, String) {
        let listed = get("/api/v1/deliveries?state=dead").await.json();
        let ids = listed["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_string()).collect();
        let status = get("/api/v1/status").await.json();
        let receivers = status["receivers"].as_array().unwrap();
        let of_hook = receivers.iter().find(|it| it["id"] == "hook").unwrap()["dead"].as_u64().unwrap();
        let shown = get("/deliveries?state=dead").await.body.contains("/deliveries/d2\"");
        let metrics = get("/metrics").await.body;
        let head = "nightbell_dead_letters{receiver=\"hook\"} ";
        let counted = metrics.lines().find_map(|line| line.strip_prefix(head)).unwrap().trim().to_string();
        (ids, of_hook, shown, counted)
    };
    assert_eq!(dead().await, (vec!["d2".to_string()], 1, true, "1".into()));
    let drop = async |id: &str, reason: &str| {
        let body = serde_json::json!({ "reason": reason }).to_string();
        served.ask("POST", &format!("/api/v1/deliveries/{id}/drop"), &headers, &body).await
    };
    assert_eq!(drop("d2", " ").await.status, 400, "it takes a reason");
    let dropped = drop("d2", "told by phone").await;
    assert_eq!((dropped.status, dropped.json()["dead"].clone()), (200, serde_json::json!(["d2"])));
    assert_eq!(dead().await, (vec![], 0, false, "0".into()));
    assert_eq!(drop("d2", "again").await.status, 409);
    assert_eq!(drop("d1", "delivered").await.status, 409);
    // What waits is given up in the same way.
    assert_eq!(drop("d3", "too late").await.status, 200);
    for (language, said, other) in
        [("en", "given up by responder", "由 responder"), ("zh", "由 responder", "given up by")]
    {
        let cookie = format!("lang={language}");
        let headers = [("authorization", viewer.as_str()), ("cookie", cookie.as_str())];
        for path in ["/deliveries", "/deliveries/d3"] {
            let page = served.get(path, &headers).await.body;
            assert!(page.contains(said) && !page.contains(other), "{path} in {language}: {page}");
        }
    }
    assert_eq!(dead().await, (vec![], 0, false, "0".into()));
    let record = get("/api/v1/deliveries/d2").await.json();
    assert_eq!((&record["state"], &record["actions"][0]["reason"]), (&"dead".into(), &"told by phone".into()));
    assert!(record["dropped_at"].is_string() && record["last_error"].as_str() != Some("told by phone"), "{record:#}");
    let page = served.get("/deliveries/d2", &[("authorization", &responder)]).await.body;
    assert!(page.contains("Given up by responder") && page.contains("told by phone"), "{page}");
    assert!(page.contains("/d2/retry\"") && !page.contains("/d2/drop\""), "{page}");
    let listed = get("/deliveries").await.body;
    assert!(listed.contains("/deliveries/d2\"") && listed.contains(">given up<"), "{listed}");
    // Sent again with all of its receiver it is not; by its name it is, and may die anew.
    let store = served.store().await;
    let all = DeadLetters::Of { receiver: "hook".into(), since: jiff::Timestamp::UNIX_EPOCH };
    assert_eq!(store.revive(&all, "kim", super::night::now()).await.unwrap().revived, []);
    store.close().await;
    let again = served.ask("POST", "/api/v1/deliveries/d2/retry", &headers, "").await;
    assert_eq!((again.status, again.json()["pending"].clone()), (200, serde_json::json!(["d2"])));
    assert!(get("/api/v1/deliveries/d2").await.json()["dropped_at"].is_null());
    served.stop().await;
}
