//! A receiver on loopback that notes what arrives, and a webhook in a few lines to reach it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nightbell::http::{HttpClient, HttpError, HttpSettings, Outgoing};
use nightbell::model::{Attempt, AttemptOutcome, Delivery};
use nightbell::notify::Notifier;
use nightbell::secret::Secrets;
use tokio::sync::Semaphore;

/// What the sink answers to a message.
#[derive(Clone)]
pub(crate) enum Reply {
    /// A status and perhaps a `Retry-After`, in seconds.
    Status(u16, Option<u64>),
    /// Not before the gate opens.
    Held(Arc<Semaphore>),
    /// Never.
    Silence,
}

pub(crate) const OK: Reply = Reply::Status(200, None);

/// A receiver on loopback: notes every message and answers as it is told.
pub(crate) struct Sink {
    pub(crate) url: String,
    pub(crate) seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Sink {
    /// A sink that answers the `n`-th message (from 0) of `id` with `reply(n, id)`.
    pub(crate) async fn new(reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Sink {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let (log, counts) = (Arc::clone(&seen), Arc::new(Mutex::new(HashMap::<String, usize>::new())));
        let reply = Arc::new(reply);
        let take = move |headers: axum::http::HeaderMap, body: String| {
            let id = headers["webhook-id"].to_str().unwrap().to_string();
            let count = {
                let mut counts = counts.lock().unwrap();
                let count = counts.entry(id.clone()).or_default();
                *count += 1;
                *count - 1
            };
            let reply = reply(count, &id);
            log.lock().unwrap().push((id, body));
            async move {
                let (status, retry_after) = match reply {
                    Reply::Status(status, retry_after) => (status, retry_after),
                    Reply::Held(gate) => {
                        gate.acquire().await.unwrap().forget();
                        (200, None)
                    }
                    Reply::Silence => std::future::pending().await,
                };
                let mut headers = axum::http::HeaderMap::new();
                if let Some(seconds) = retry_after {
                    headers.insert("retry-after", seconds.into());
                }
                (axum::http::StatusCode::from_u16(status).unwrap(), headers)
            }
        };
        let app = axum::Router::new().route("/hook", axum::routing::post(take));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Sink { url, seen }
    }

    /// The ids that arrived, in order.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(id, _)| id.clone()).collect()
    }

    /// How often each id arrived.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for id in self.ids() {
            *counts.entry(id).or_default() += 1;
        }
        counts
    }

    pub(crate) async fn until(&self, messages: usize) {
        until(|| self.seen.lock().unwrap().len() >= messages).await;
    }
}

/// Waits for something that other tasks bring about; gives up after a time that only a broken program takes.
pub(crate) async fn until(mut reached: impl FnMut() -> bool) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < Duration::from_secs(60), "it did not come about");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A webhook in a few lines.
pub(crate) struct Hook {
    client: HttpClient,
    url: String,
    concurrency: usize,
    under_way: Arc<AtomicUsize>,
}

impl Hook {
    pub(crate) fn new(url: &str, concurrency: usize) -> Hook {
        let client = HttpClient::new(&HttpSettings::default()).unwrap();
        Hook { client, url: url.into(), concurrency, under_way: Arc::default() }
    }
}

impl Notifier for Hook {
    async fn send(&self, delivery: &Delivery, _now: Timestamp) -> Attempt {
        assert!(delivery.content.part("body") != "body of panic", "a notifier that breaks down");
        assert!(self.under_way.fetch_add(1, Ordering::SeqCst) < self.concurrency, "more at once than it said");
        let body = delivery.content.part("body").to_string();
        let request = self.client.inner().post(&self.url).header("webhook-id", delivery.id.as_str()).body(body);
        let answer = self
            .client
            .send(Outgoing::new(request.build().unwrap(), Secrets::new()), Duration::from_secs(600), 1024)
            .await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        match answer {
            Ok(answer) if answer.is_success() => Attempt::delivered(answer.status.to_string()),
            Ok(answer) => {
                let outcome = match answer.status {
                    429 => AttemptOutcome::Throttled,
                    401 => AttemptOutcome::Unauthorized,
                    400..=499 => AttemptOutcome::Rejected,
                    _ => AttemptOutcome::Retry,
                };
                let status = answer.status.to_string();
                let mut attempt = Attempt::failed(outcome, Some(status.clone()), format!("answered {status}"));
                let seconds = answer.header("retry-after").and_then(|text| text.parse().ok());
                attempt.retry_after = seconds.map(Duration::from_secs);
                attempt
            }
            Err(HttpError::Timeout(_)) => Attempt::failed(AttemptOutcome::Uncertain, None, "no answer"),
            Err(error) => Attempt::failed(AttemptOutcome::Retry, None, error.to_string()),
        }
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }
}
