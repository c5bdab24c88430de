//! Slack and webhooks against a server on loopback: what is sent, and how each answer is understood.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use nightbell::clock::{Clock as _, SystemClock};
use nightbell::model::AttemptOutcome::{Delivered, Rejected, Retry, Throttled, Unauthorized, Uncertain};
use nightbell::model::{Attempt, AttemptOutcome};
use nightbell::notify::Notifier;
use reqwest::header::HeaderMap;
use standardwebhooks::Webhook;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::answers::{chat_rows, errcode_rows};
use super::{delivery, firing, now, open, settings, yaml_of};

/// What the server does once it has read a request.
#[derive(Clone)]
pub(super) enum Reply {
    /// Writes these bytes and closes.
    Bytes(Vec<u8>),
    /// Closes without a word.
    Close,
    /// Never answers.
    Hang,
    /// Writes these bytes and then no more, without closing.
    Stall(Vec<u8>),
    /// Looks at the head and the body, and answers with a status and a body, as the vendor does.
    Vendor(fn(&str, &[u8]) -> (u16, String)),
}

/// A server that keeps every request's bytes and answers each in the same way.
pub(super) struct Server {
    pub(super) base: String,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    pub(super) async fn start(reply: Reply) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, reply.clone(), Arc::clone(&kept)));
            }
        });
        Server { base, requests }
    }

    pub(super) fn requests(&self) -> Vec<Vec<u8>> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, reply: Reply, kept: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut buffer = [0; 8192];
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    kept.lock().unwrap().push(request.clone());
    match reply {
        Reply::Vendor(answer) => {
            let (head, body) = split(&request).unwrap();
            let (status, said) = answer(&head, body);
            if let Reply::Bytes(bytes) = http(status, "", &said) {
                drop(stream.write_all(&bytes).await);
            }
        }
        Reply::Bytes(bytes) => drop(stream.write_all(&bytes).await),
        Reply::Close => {}
        Reply::Hang => std::future::pending().await,
        Reply::Stall(bytes) => {
            drop(stream.write_all(&bytes).await);
            std::future::pending().await
        }
    }
}

pub(super) fn split(request: &[u8]) -> Option<(String, &[u8])> {
    let end = request.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((String::from_utf8_lossy(&request[..end]).into_owned(), &request[end + 4..]))
}

pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|it| it.1))
}

fn is_whole(request: &[u8]) -> bool {
    split(request).is_some_and(|(head, body)| {
        body.len() >= header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
    })
}

pub(super) fn http(status: u16, headers: &str, body: &str) -> Reply {
    let length = body.len();
    let text = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    Reply::Bytes(text.into_bytes())
}

fn raw(bytes: &str) -> Reply {
    Reply::Bytes(bytes.as_bytes().to_vec())
}

pub(super) async fn sent(kind: &str, reply: Reply) -> Attempt {
    let server = Server::start(reply).await;
    let yaml = yaml_of(kind, &server.base);
    let receiver = settings(&yaml);
    let notifier = open(&yaml).with_deadline(Duration::from_millis(400));
    let attempt = notifier.send(&delivery(&receiver, &firing()), now()).await;
    assert_eq!(server.requests().len(), 1, "one attempt is one request");
    attempt
}

/// What a row says: the kind, the reply, and the outcome, pause and words that it must lead to.
pub(super) type Row = (&'static str, Reply, AttemptOutcome, Option<u64>, &'static str);

fn status_rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for status in [200, 201, 202, 204, 206, 299] {
        rows.push(("webhook", http(status, "", ""), Delivered, None, ""));
    }
    for status in [300, 301, 302, 303, 304, 307, 308] {
        let reply = http(status, "location: http://127.0.0.1:1/\r\n", "");
        rows.push(("webhook", reply, Unauthorized, None, "redirects are not followed (to http://127.0.0.1:1/)"));
    }
    for status in [400, 402, 404, 405, 406, 409, 410, 411, 413, 414, 415, 418, 421, 422, 423, 424, 426, 428, 431, 451] {
        rows.push(("webhook", http(status, "retry-after: 5\r\n", "no"), Rejected, None, ": no"));
    }
    rows.push(("webhook", http(302, "", ""), Rejected, None, "redirects are not followed"));
    rows.push(("webhook", http(407, "", ""), Unauthorized, None, "the proxy wants to know who asks"));
    for status in [401, 403] {
        rows.push(("webhook", http(status, "", "who?"), Unauthorized, None, "who?"));
    }
    for status in [408, 425, 500, 501, 502, 503, 504, 507, 508, 511, 520, 599] {
        rows.push(("webhook", http(status, "", "later"), Retry, None, "later"));
    }
    rows
}

fn retry_after_rows() -> Vec<Row> {
    let waits = |status, text: &str| http(status, &format!("retry-after: {text}\r\n"), "");
    vec![
        ("webhook", waits(429, "7"), Throttled, Some(7), "429"),
        ("webhook", waits(429, "Sat, 21 Nov 2026 00:06:36 GMT"), Throttled, Some(30), "429"),
        ("webhook", waits(429, "Sat, 21 Nov 2026 00:05:36 GMT"), Throttled, None, "429"),
        ("webhook", waits(429, "1000000000"), Throttled, Some(3600), "429"),
        ("webhook", waits(429, "1e9"), Throttled, None, "429"),
        ("webhook", waits(429, "-3"), Throttled, None, "429"),
        ("webhook", waits(429, "soon"), Throttled, None, "429"),
        ("webhook", waits(429, ""), Throttled, None, "429"),
        ("webhook", http(429, "", ""), Throttled, None, "429"),
        ("webhook", waits(503, "9"), Throttled, Some(9), "503"),
        ("webhook", waits(503, "junk"), Retry, None, "503"),
        ("webhook", waits(500, "9"), Retry, Some(9), "500"),
        ("webhook", waits(400, "9"), Rejected, None, "400"),
        ("webhook", waits(401, "9"), Unauthorized, None, "401"),
    ]
}

fn broken_rows() -> Vec<Row> {
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n{}", "x".repeat(100_000));
    vec![
        ("webhook", Reply::Close, Uncertain, None, "broke off"),
        ("webhook", Reply::Hang, Uncertain, None, "no answer within"),
        ("webhook", raw("SSH-2.0-OpenSSH_9.2\r\n"), Uncertain, None, "broke off"),
        ("webhook", raw("HTTP/1.1 99999 X\r\n\r\n"), Uncertain, None, "broke off"),
        ("webhook", raw("HTTP/1.1 200 OK\r\nconte"), Uncertain, None, "broke off"),
        // Status and headers have arrived: how the body ends takes nothing back.
        ("webhook", raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), Delivered, None, ""),
        ("webhook", raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nabc"), Delivered, None, ""),
        ("webhook", raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"), Delivered, None, ""),
        ("webhook", Reply::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec()), Delivered, None, ""),
        ("webhook", Reply::Stall(b"HTTP/1.1 500 X\r\ncontent-length: 9\r\n\r\nabc".to_vec()), Retry, None, ": abc"),
        ("webhook", raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n"), Delivered, None, ""),
        ("webhook", raw("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"), Retry, None, "500"),
        ("webhook", Reply::Bytes(endless.into_bytes()), Delivered, None, ""),
        ("webhook", http(500, "", "said: /services/T0/canary"), Retry, None, "answered 500: said: "),
    ]
}

fn slack_rows() -> Vec<Row> {
    vec![
        ("slack", http(200, "", "ok"), Delivered, None, ""),
        ("slack", http(200, "", "ok\n"), Delivered, None, ""),
        ("slack", http(200, "", "{\"ok\":true}"), Delivered, None, ""),
        ("slack", http(200, "", ""), Retry, None, "without the word ok"),
        ("slack", http(200, "", "<html>Log in to the Wi-Fi</html>"), Retry, None, "Wi-Fi"),
        ("slack", http(200, "", "{\"ok\":false,\"error\":\"invalid_blocks\"}"), Rejected, None, "invalid_blocks"),
        ("slack", http(200, "", "invalid_payload"), Rejected, None, "invalid_payload"),
        ("slack", http(200, "", "{\"ok\":false,\"error\":\"ratelimited\",\"retry_after\":3}"), Throttled, Some(3), ""),
        ("slack", http(200, "", "{\"ok\":false,\"error\":\"token_revoked\"}"), Unauthorized, None, ""),
        ("slack", http(200, "", "{\"ok\":false,\"error\":\"internal_error\"}"), Retry, None, ""),
        ("slack", http(400, "", "invalid_payload"), Rejected, None, "invalid_payload"),
        ("slack", http(400, "", "no_text"), Rejected, None, "no_text"),
        ("slack", http(403, "", "action_prohibited"), Unauthorized, None, "action_prohibited"),
        ("slack", http(403, "", "invalid_token"), Unauthorized, None, "invalid_token"),
        ("slack", http(404, "", "no_service"), Rejected, None, "no_service"),
        ("slack", http(404, "", "channel_not_found"), Rejected, None, "channel_not_found"),
        ("slack", http(410, "", "channel_is_archived"), Rejected, None, "channel_is_archived"),
        ("slack", http(500, "", "rollup_error"), Retry, None, "rollup_error"),
        ("slack", http(429, "retry-after: 2\r\n", ""), Throttled, Some(2), ""),
        ("slack", http(429, "", "{\"retry_after\":1,\"ok\":false,\"error\":\"rate_limited\"}"), Throttled, Some(1), ""),
        ("slack", http(302, "location: https://example.com/\r\n", ""), Unauthorized, None, "(to https://example.com/)"),
        ("slack", Reply::Close, Uncertain, None, ""),
    ]
}

/// G-08, F-22, F-24 to F-28: each answer has one class, and no secret of ours stays in what is kept of it.
#[tokio::test]
async fn every_answer_has_its_class() {
    let rows: Vec<Row> =
        [status_rows(), retry_after_rows(), broken_rows(), slack_rows(), errcode_rows(), chat_rows()].concat();
    assert!(rows.len() >= 140, "{}", rows.len());
    for (number, (kind, reply, outcome, wait, said)) in rows.into_iter().enumerate() {
        let attempt = sent(kind, reply).await;
        let row = format!("row {number}, {kind}: {attempt:?}");
        assert_eq!(attempt.outcome, outcome, "{row}");
        assert_eq!(attempt.retry_after, wait.map(Duration::from_secs), "{row}");
        let error = attempt.error.unwrap_or_default();
        assert!(error.contains(said) && error.len() <= 600, "{row}");
        assert!(kind == "webhook" || !error.contains("canary"), "{row}");
        assert_eq!(error.is_empty(), outcome == Delivered, "{row}");
    }
}

#[tokio::test]
async fn a_closed_port_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let yaml = format!("{{ type: webhook, url: 'http://{address}/canary' }}");
    let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), now()).await;
    assert_eq!((attempt.outcome, attempt.status.as_deref()), (Retry, Some("connect")));
    assert!(!attempt.error.unwrap().contains("canary"));
}

/// S-14: the signature holds over the bytes that arrived, with a fresh timestamp at each attempt and the same id.
#[tokio::test]
async fn webhooks_are_signed_over_what_is_sent() {
    let server = Server::start(http(200, "", "")).await;
    let secret = base64::engine::general_purpose::STANDARD.encode([7; 24]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, format!("whsec_{secret}\n")).unwrap();
    let yaml = format!(
        "{{ type: webhook, url: '{}/hook?a=b', method: PUT, secret: {{ file: {} }}, \
         headers: {{ X-Team: data, Authorization: {{ file: {} }} }} }}",
        server.base,
        file.display(),
        file.display()
    );
    let (notifier, delivery) = (open(&yaml), delivery(&settings(&yaml), &firing()));
    let verifier = Webhook::new(&format!("whsec_{secret}")).unwrap();
    // The library takes a signature for valid near the present only.
    let present = SystemClock.now();
    for then in [now(), now() + Duration::from_secs(5), present] {
        assert_eq!(notifier.send(&delivery, then).await.outcome, Delivered);
        let requests = server.requests();
        let (head, body) = split(requests.last().unwrap()).unwrap();
        assert!(head.starts_with("PUT /hook?a=b HTTP/1.1"), "{head}");
        assert_eq!(header(&head, "content-type"), Some("application/json"));
        assert_eq!(header(&head, "x-team"), Some("data"));
        assert_eq!(header(&head, "authorization"), Some(format!("whsec_{secret}").as_str()));
        assert_eq!(header(&head, "webhook-id"), Some("d-0123456789abcdef"));
        let stamp = header(&head, "webhook-timestamp").unwrap();
        assert_eq!(stamp, then.as_second().to_string());
        let signature = header(&head, "webhook-signature").unwrap();
        let expected = verifier.sign("d-0123456789abcdef", then.as_second(), body).unwrap();
        assert_eq!(signature, expected);
        assert_eq!(body, delivery.content.part("body").as_bytes());
        let mut headers = HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            headers.insert(name, header(&head, name).unwrap().parse().unwrap());
        }
        assert_eq!(verifier.verify(body, &headers).is_ok(), then == present);
        assert!(verifier.verify(&body[1..], &headers).is_err());
    }
}

#[tokio::test]
async fn without_a_secret_there_is_no_signature() {
    let server = Server::start(http(200, "", "")).await;
    let yaml = format!("{{ type: webhook, url: '{}' }}", server.base);
    open(&yaml).send(&delivery(&settings(&yaml), &firing()), now()).await;
    let requests = server.requests();
    let (head, _) = split(&requests[0]).unwrap();
    assert!(header(&head, "webhook-signature").is_none() && header(&head, "webhook-id").is_some());
}

#[tokio::test]
async fn a_secret_that_is_not_there_just_now_is_tried_again_later() {
    let yaml = "{ type: slack, webhook_url: { env: NIGHTBELL_TEST_NEVER_SET } }";
    let attempt = open(yaml).send(&delivery(&settings(yaml), &firing()), now()).await;
    assert_eq!(attempt.outcome, Unauthorized);
    assert!(attempt.error.unwrap().contains("NIGHTBELL_TEST_NEVER_SET"));
}

/// A response that repeats a secret of its request, in whatever form, is kept without it. What is no secret stays.
#[tokio::test]
async fn responses_that_echo_a_secret_are_redacted() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let long = format!("canary-{}", "0123456789abcdef".repeat(200));
    let rows: &[(&str, &str, String, &str)] = &[
        ("Bearer canary-token", "/", "bad Authorization: Bearer canary-token".into(), "bad Authorization: <secret>"),
        ("Bearer canary-token", "/", "bad token canary-token".into(), "bad token <secret>"),
        ("canary \"x\"/1", "/", r#"{"was":"canary \"x\"\/1"}"#.into(), r#"{"was":"<secret>"}"#),
        ("canary/x=1", "/", "was canary%2fx%3d1".into(), "was <secret>"),
        (&long, "/", format!("no such token: {long}"), "no such token: <secret>"),
        (&long, "/", format!("no such token: {}...", &long[..1000]), "no such token: <secret>..."),
        ("x", "/v1/canary12/send", "canary12: send too fast".into(), "<secret>: send too fast"),
        ("x", "/send?token=canary", "no token=canary, token canary".into(), "no token=<secret>, token <secret>"),
        ("x", "/send", "send too fast".into(), "send too fast"),
        ("x", "/ca%6Eary%2B1234", "no hook canary+1234".into(), "no hook <secret>"),
    ];
    for (header, path, body, expected) in rows {
        std::fs::write(&file, header).unwrap();
        let server = Server::start(http(500, "", body)).await;
        let url = format!("{}{path}", server.base);
        let yaml = format!("{{ type: webhook, url: '{url}', headers: {{ X-Key: {{ file: {} }} }} }}", file.display());
        let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), now()).await;
        assert_eq!(attempt.error.unwrap(), format!("answered 500: {expected}"));
    }
}

/// A user and a password in an address are sent as HTTP sends them, and are secrets like any other.
#[tokio::test]
async fn credentials_in_an_address_are_sent() {
    let reply = Reply::Vendor(|head, _| {
        let sent = header(head, "authorization").unwrap_or("nothing").to_string();
        (500, format!("{sent} is canary-pass"))
    });
    let server = Server::start(reply).await;
    let url = server.base.replace("http://", "http://bell:canary-pass@");
    for yaml in [
        format!("{{ type: webhook, url: '{url}/x' }}"),
        format!("{{ type: slack, webhook_url: '{url}/services/x' }}"),
        format!("{{ type: pagerduty, routing_key: aaaa, api_url: '{url}' }}"),
    ] {
        let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), now()).await;
        assert_eq!(attempt.error.unwrap(), "answered 500: Basic <secret> is <secret>", "{yaml}");
    }
}
