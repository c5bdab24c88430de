//! The page, the API, metrics and health: the real server in process, asked over real connections.

mod actions;
pub(crate) mod api;
mod away;
mod browser;
mod calendar;
mod digests;
mod drawing;
mod explained;
mod health;
mod job;
mod limits;
mod links;
mod listening;
mod lists;
mod namesakes;
mod night;
mod packaging;
mod polling;
mod routes;
mod schemathesis;
mod scope;
mod sessions;
mod silencing;
mod story;
mod supervisor;
mod tokens;
mod waits;
mod zone;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nightbell::app::App;
use nightbell::clock::{Clock, ManualClock, SystemClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::store::{Leases as _, Mode, SqlStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::sample::Place;

/// A receiver that nobody listens for, with a secret in its address, and a source of the same kind.
pub(crate) const AROUND: &str = "sources:\n  s: { type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, \
     auth: { token: canary-source-token } }\nreceivers:\n  hook: { type: webhook, url: \"http://127.0.0.1:9/canary-hook-path\", \
     secret: whsec_Y2FuYXJ5LXNlY3JldC1vZi10aGUtaG9vay0zMmI= }\nrules:\n  failed: { when: { status: [fail] }, notify: [hook] }\n  \
     slow: { match: { job: slow }, when: { status: [running], duration: 1h }, severity: warning, notify: [hook] }\n";

/// A running Nightbell with its page.
pub(crate) struct Served {
    pub(crate) place: Place,
    pub(crate) address: SocketAddr,
    /// What it goes by.
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl Served {
    /// Starts one with `web` for that key of the configuration, at a port that is free.
    pub(crate) async fn start(web: &str) -> Served {
        let place = Place::new();
        let url = place.url();
        Served::start_on(place, &url, &format!("{web}{AROUND}"), Arc::new(SystemClock)).await
    }

    /// The same, on a store that is there, by `clock`.
    pub(crate) async fn start_in(place: Place, web: &str, clock: Arc<ManualClock>) -> Served {
        Served::start_with(place, &format!("{web}{AROUND}"), clock).await
    }

    /// The same with all that the configuration says beside the store.
    pub(crate) async fn start_with(place: Place, rules: &str, clock: Arc<ManualClock>) -> Served {
        // A server has a clock of its own, by which whoever shares it goes.
        place.hold_clock(clock.now());
        let url = place.url();
        Served::start_on(place, &url, rules, clock).await
    }

    /// Sets the clock that it goes by, and that of its store.
    pub(crate) async fn set(&self, clock: &ManualClock, to: Timestamp) {
        clock.set(to);
        let to = clock.now();
        if self.place.hold_clock(to) {
            // It looks every second what time it is there.
            let store = self.store().await;
            while !store.look(None).await.unwrap().replicas.iter().any(|one| one.seen_at == to) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            store.close().await;
            while self.clock.now() != to {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// The same on the store at `url`.
    pub(crate) async fn start_on(place: Place, url: &str, rules: &str, clock: Arc<dyn Clock>) -> Served {
        let text = format!("version: 1\nstore: \"{url}\"\n{rules}");
        let loaded = Config::from_text(text, "rules.yaml", Path::new("."), &LoadOptions { offline: true });
        let config = loaded.unwrap_or_else(|problem| panic!("{problem}")).config;
        let mut app = App::open(&config, clock).await.unwrap();
        let (address, clock) = (app.listen().await.unwrap().unwrap(), app.clock());
        let shutdown = CancellationToken::new();
        let until = shutdown.clone();
        let running = Some(tokio::spawn(async move { app.run(until).await.unwrap() }));
        Served { place, address, clock, shutdown, running }
    }

    /// The store beside it.
    pub(crate) async fn store(&self) -> SqlStore {
        SqlStore::open(&self.place.url(), Mode::Amend).await.unwrap()
    }

    /// `GET path`, with these headers besides.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers, "").await
    }

    /// Any request.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if headers.iter().all(|(name, _)| *name != "host") {
            request.push_str(&format!("host: {}\r\n", self.address));
        }
        headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        request.push_str(&format!("\r\n{body}"));
        raw(self.address, request.as_bytes()).await
    }

    /// Stops it, in order.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        self.running.take().unwrap().await.unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends bytes as they are, and reads until the other side closes.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Who refuses early may close before everything is written.
    drop(stream.write_all(request).await);
    read_answer(&mut stream).await
}

/// Reads an answer until the other side closes, or for half a minute.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "no end: {}", String::from_utf8_lossy(&bytes));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let body =
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") { unchunked(body) } else { body.into() };
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_string(), body }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || size > rest.len() {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
