//! Everything that people do is on record with who did it, and shown where it matters.

use nightbell::desk::hash_of;
use nightbell::model::{AlertId, DeliveryId};
use nightbell::store::{Access as _, Actions as _};
use serde_json::Value;

use super::night::{Night, night};

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
        clock.set(super::night::now() + jiff::SignedDuration::from_secs(index as i64));
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
