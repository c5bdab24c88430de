//! A silence that would hit everything is made by who says twice that it is meant; and what one would hit is counted before.

use std::sync::Arc;

use nightbell::clock::ManualClock;
use nightbell::store::PollLedger as _;
use serde_json::{Value, json};

use super::Served;
use super::night::{Night, night};
use crate::sample::{Place, alert, at, commit};

async fn post(served: &Served, path: &str, authorization: &str, body: &Value) -> (u16, Value) {
    let headers = [("content-type", "application/json"), ("authorization", authorization)];
    let answer = served.ask("POST", path, &headers, &body.to_string()).await;
    (answer.status, answer.json())
}

fn wish(what: &Value) -> Value {
    let mut wish = json!({ "for": "1h", "reason": "deploy" });
    for (key, value) in what.as_object().unwrap() {
        wish[key] = value.clone();
    }
    wish
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_needs_a_second_word_however_it_is_spelt() {
    let Night { served, responder, .. } = night().await;
    for what in [
        json!({ "jobs": ["*"] }),
        json!({ "jobs": ["?*"] }),
        json!({ "jobs": ["{*,x}"] }),
        json!({ "jobs": ["[!,]*"] }),
        json!({ "jobs": ["/.*.*/"] }),
        // The only source that there is, and the only severities.
        json!({ "sources": ["s"] }),
        json!({ "severities": ["critical", "error", "warning", "info"] }),
        json!({ "rules": ["failed", "slow"], "jobs": ["*"] }),
    ] {
        let (status, said) = post(&served, "/api/v1/silences", &responder, &wish(&what)).await;
        assert!(status == 409 && said.to_string().contains("everything"), "{what}: {status} {said}");
        let (_, preview) = post(&served, "/api/v1/silences/preview", &responder, &what).await;
        assert_eq!(preview["is_everything"], true, "{what}: {preview}");
    }
    let meant = wish(&json!({ "jobs": ["?*"], "everything": true }));
    assert_eq!(post(&served, "/api/v1/silences", &responder, &meant).await.0, 201);
    let (_, preview) = post(&served, "/api/v1/silences/preview", &responder, &json!({ "jobs": ["etl_*"] })).await;
    let numbers = ["firing", "firing_of", "last_7_days", "last_7_days_of"].map(|key| preview[key].as_u64().unwrap());
    assert_eq!((numbers, &preview["is_everything"]), ([1, 2, 1, 3], &json!(false)), "{preview}");
    assert_eq!(preview["examples"][0]["id"], "a1", "{preview}");
    let (_, none) = post(&served, "/api/v1/silences/preview", &responder, &json!({ "jobs": ["nothing_*"] })).await;
    assert_eq!([&none["firing"], &none["last_7_days"], &none["is_everything"]], [&json!(0), &json!(0), &json!(false)]);
    served.stop().await;
}

/// Of what there was in a week nothing would have been told: then the pattern is everything, whatever it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_hits_all_that_there_was_is_everything_too() {
    for (jobs, status) in
        [(["etl_a", "etl_b", "etl_c"], 409), (["etl_a", "etl_a", "etl_b"], 201), (["etl_a", "etl_b", "load"], 201)]
    {
        let place = Place::new();
        let store = place.open().await;
        let mut poll = commit(0);
        poll.fired = jobs.iter().enumerate().map(|(index, job)| alert(&format!("a{index}"), job)).collect();
        store.commit_poll(&poll).await.unwrap();
        store.close().await;
        drop(store);
        let open = "web: { listen: \"127.0.0.1:0\" }\n";
        let served = Served::start_in(place, open, Arc::new(ManualClock::at(at(600)))).await;
        let headers = [("content-type", "application/json")];
        let made = wish(&json!({ "jobs": ["etl_*"] })).to_string();
        let answer = served.ask("POST", "/api/v1/silences", &headers, &made).await;
        assert_eq!(answer.status, status, "{jobs:?}: {answer:?}");
        served.stop().await;
    }
}
