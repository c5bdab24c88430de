//! The simulated service by itself: it must be as strict as the documents, or what is tested against it proves nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nightbell::http::{HttpClient, HttpSettings, Outgoing};
use nightbell::secret::Secrets;
use nightbell::sign::alibaba::{
    ACTION_HEADER, CONTENT_HEADER, DATE_HEADER, NONCE_HEADER, TOKEN_HEADER, VERSION_HEADER, authorization,
    content_hash, date_text,
};
use nightbell::sign::{Signable, canonical_query};
use serde_json::Value;

use super::{Bench, ago, now, success};

/// A call as a client without faults makes it, to be made worse before it is sent.
struct Call {
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    access_key: String,
    secret_key: String,
    /// A header that is sent and not signed.
    unsigned: Option<&'static str>,
    /// The query that is sent, where it is not the one that is signed.
    sent_query: Option<String>,
}

impl Call {
    fn new(bench: &Bench, action: &str, nonce: &str, at: Timestamp) -> Call {
        let config = bench.sim.config();
        let host = bench.sim.endpoint().trim_start_matches("http://");
        let query =
            [("RegionId", config.region.as_str()), ("Namespace", &config.namespace), ("GroupId", &config.groups[0])];
        let headers = [
            ("host", host),
            (ACTION_HEADER, action),
            (VERSION_HEADER, "2019-04-30"),
            (DATE_HEADER, &date_text(at)),
            (NONCE_HEADER, nonce),
            (CONTENT_HEADER, &content_hash(b"")),
        ];
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
        };
        Call {
            query: owned(&query),
            headers: owned(&headers),
            access_key: config.access_key,
            secret_key: config.secret_key,
            unsigned: None,
            sent_query: None,
        }
    }

    fn header(mut self, name: &str, value: &str) -> Call {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    fn query(mut self, name: &str, value: &str) -> Call {
        self.query.retain(|(known, _)| known != name);
        self.query.push((name.to_string(), value.to_string()));
        self
    }

    async fn send(self, bench: &Bench) -> (u16, Value) {
        let mut signed = self.headers.clone();
        signed.retain(|(name, _)| Some(name.as_str()) != self.unsigned);
        let signable = Signable { method: "GET", path: "/", query: &self.query, headers: &signed, body: b"" };
        let proof = authorization(&signable, &self.access_key, &self.secret_key);
        let query = self.sent_query.unwrap_or_else(|| canonical_query(&self.query));
        let client = HttpClient::new(&HttpSettings::default()).unwrap();
        let mut request = client.inner().get(format!("{}/?{query}", bench.sim.endpoint()));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.header("authorization", proof).build().unwrap();
        let answer =
            client.send(Outgoing::new(request, Secrets::new()), Duration::from_secs(20), 1 << 20).await.unwrap();
        (answer.status, serde_json::from_slice(answer.body()).unwrap_or_else(|_| panic!("{}", answer.text())))
    }
}

#[tokio::test]
async fn only_fresh_requests_with_every_header_signed_are_served() {
    let bench = Bench::start().await;
    let call = |nonce: &str| Call::new(&bench, "ListGroups", nonce, now());
    let (status, body) = call("first").send(&bench).await;
    assert_eq!((status, body["Success"].as_bool()), (200, Some(true)), "{body}");
    let far = SignedDuration::from_mins(16);
    let sent_query = Some("RegionId=cn-beijing".to_string());
    let table: Vec<(&str, Call, u16, &str)> = vec![
        ("a nonce twice", call("first"), 400, "SignatureNonceUsed"),
        ("another secret", Call { secret_key: "wrong".into(), ..call("a") }, 400, "SignatureDoesNotMatch"),
        ("another key", Call { access_key: "LTAI".into(), ..call("b") }, 404, "InvalidAccessKeyId.NotFound"),
        ("another query", Call { sent_query, ..call("c") }, 400, "SignatureDoesNotMatch"),
        ("no nonce signed", Call { unsigned: Some(NONCE_HEADER), ..call("d") }, 400, "IncompleteSignature"),
        ("no action signed", Call { unsigned: Some(ACTION_HEADER), ..call("e") }, 400, "IncompleteSignature"),
        ("no date signed", Call { unsigned: Some(DATE_HEADER), ..call("f") }, 400, "IncompleteSignature"),
        ("no host signed", Call { unsigned: Some("host"), ..call("g") }, 400, "IncompleteSignature"),
        ("a date of old", Call::new(&bench, "ListGroups", "h", now() - far), 400, "InvalidTimeStamp.Expired"),
        ("a date to come", Call::new(&bench, "ListGroups", "i", now() + far), 400, "InvalidTimeStamp.Expired"),
        ("another date", call("j").header(DATE_HEADER, "20261121T000000Z"), 400, "InvalidTimeStamp.Format"),
        ("another body", call("k").header(CONTENT_HEADER, &content_hash(b"x")), 400, "SignatureDoesNotMatch"),
        ("a token unasked", call("l").header(TOKEN_HEADER, "t"), 400, "InvalidSecurityToken.Malformed"),
        ("another version", call("m").header(VERSION_HEADER, "2024-06-24"), 404, "InvalidVersion"),
    ];
    for (name, call, status, code) in table {
        let (answered, body) = call.send(&bench).await;
        assert_eq!((answered, body["Code"].as_str()), (status, Some(code)), "{name}: {body}");
    }
    // A request that was refused for its signature has used its nonce up.
    assert_eq!(call("a").send(&bench).await.1["Code"], "SignatureNonceUsed");
}

#[tokio::test]
async fn calls_are_counted_by_operation_and_minute() {
    let bench = Bench::with(|config| config.calls_per_minute = 2).await;
    let codes = async |action: &str, at: i64| {
        bench.clock.set(now() + SignedDuration::from_secs(at));
        let mut codes = Vec::new();
        for number in 0..3 {
            let call = Call::new(&bench, action, &format!("{action} {at} {number}"), now());
            codes.push(call.send(&bench).await.1["Code"].clone());
        }
        codes
    };
    let two = [Value::from(200), 200.into(), "Throttling.User".into()];
    assert_eq!(codes("ListJobs", 0).await, two);
    assert_eq!(codes("ListGroups", 0).await, two);
    assert_eq!(codes("ListJobs", 61).await, two);
}

#[tokio::test]
async fn lists_keep_to_window_page_and_job_and_a_refusal_comes_with_http_200() {
    let bench = Bench::start().await;
    (1..=30).for_each(|id| bench.sim.put(success(id, id as i64 * 60)));
    let list = |nonce: &str| Call::new(&bench, "GetJobInstanceList", nonce, now());
    let millis = |seconds| ago(seconds).as_millisecond().to_string();
    let ids = async |call: Call| -> Vec<u64> {
        let (_, body) = call.send(&bench).await;
        let rows = body["Data"]["JobInstanceDetails"].as_array().unwrap_or_else(|| panic!("{body}"));
        rows.iter().map(|row| row["InstanceId"].as_u64().unwrap()).collect()
    };
    assert_eq!(ids(list("a")).await.len(), 10, "ten are given unasked");
    assert_eq!(ids(list("b").query("PageSize", "4").query("PageNum", "8")).await, [2, 1]);
    let window = list("c").query("StartTimestamp", &millis(300)).query("EndTimestamp", &millis(180));
    assert_eq!(ids(window).await, [5, 4, 3]);
    assert!(ids(list("d").query("JobId", "2")).await.is_empty());
    assert!(ids(list("e").query("Status", "5")).await.is_empty());
    for (key, value) in [("JobId", "x"), ("PageNum", "0"), ("RegionId", "mars"), ("GroupId", "")] {
        let (status, body) = list(key).query(key, value).send(&bench).await;
        assert_eq!((status, &body["Success"], &body["Code"]), (200, &Value::from(false), &Value::from(400)), "{body}");
    }
}
