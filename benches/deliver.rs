//! How fast a full outbox drains: 10,000 signed webhooks to a sink on loopback in this process, each attempt durably
//! recorded.
//!
//! `cargo bench --bench deliver` prints deliveries per second, and what storing the deliveries took. The sink counts, and
//! the run fails if a message is lost or comes twice.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up has nothing to say")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nightbell::clock::{Clock as _, SystemClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{Content, Covered, DeliveryId, MessageKind, Notification, PollOutcome, ReceiverId, SourceId};
use nightbell::notify::AnyNotifier;
use nightbell::store::{Mode, Outbox as _, PollCommit, PollLedger as _, SqlStore};
use nightbell::worker::deliver::Lane;
use tokio_util::sync::CancellationToken;

const DELIVERIES: usize = 10_000;

/// The receiver as a configuration describes it: a webhook whose bodies are signed.
fn pager(directory: &std::path::Path, url: &str) -> AnyNotifier {
    let path = directory.join("rules.yaml");
    let text = format!(
        "version: 1\nsources:\n  s: {{ type: dataarts, region: r, project_id: p, auth: {{ token: t }} }}\nreceivers:\n  \
         pager: {{ type: webhook, url: \"{url}\", secret: whsec_bmlnaHRiZWxsLWJlbmNoLXNlY3JldC1vZi0zMi1ieXRl }}\n"
    );
    std::fs::write(&path, text).unwrap();
    let loaded = Config::load(&path, &LoadOptions { offline: false }).unwrap();
    AnyNotifier::open(&loaded.config.receivers[0]).unwrap()
}

type Seen = Arc<Mutex<(usize, BTreeSet<String>)>>;

async fn sink(seen: Seen) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let take = move |headers: axum::http::HeaderMap, _body: axum::body::Bytes| {
        let seen = Arc::clone(&seen);
        async move {
            let mut seen = seen.lock().unwrap();
            seen.0 += 1;
            seen.1.insert(headers["webhook-id"].to_str().unwrap().to_string());
            "ok"
        }
    };
    let app = axum::Router::new().route("/hook", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn deliveries(now: jiff::Timestamp) -> Vec<Notification> {
    let body = format!("{{\"type\":\"alert.firing\",\"data\":\"{}\"}}", "x".repeat(1200));
    let content = Content { parts: BTreeMap::from([("body".to_string(), body)]) };
    (0..DELIVERIES)
        .map(|number| {
            let id = DeliveryId::new(format!("delivery-{number:032}"));
            Notification::new(id, ReceiverId::new("pager"), MessageKind::AlertFiring, content.clone(), now)
        })
        .collect()
}

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir_in(std::env::var("BENCH_DIR").unwrap_or_else(|_| ".".into())).unwrap();
    let url = format!("sqlite://{}/bench.db", directory.path().canonicalize().unwrap().display());
    let store = Arc::new(SqlStore::open(&url, Mode::Work).await.unwrap());
    let now = SystemClock.now();
    let commit = PollCommit {
        source: SourceId::new("bench"),
        generation: 0,
        now,
        covered: Covered { until: Some(now), ..Covered::default() },
        outcome: PollOutcome::Whole,
        incomplete: None,
        known_rules: None,
        instances: Vec::new(),
        fired: Vec::new(),
        changed: Vec::new(),
        deliveries: deliveries(now),
    };
    let began = Instant::now();
    store.commit_poll(&commit).await.unwrap();
    println!("stored {DELIVERIES} deliveries in {:.0} ms", began.elapsed().as_secs_f64() * 1000.0);

    let seen = Seen::default();
    let hook = pager(directory.path(), &sink(Arc::clone(&seen)).await);
    let lane = Lane::new(
        ReceiverId::new("pager"),
        Arc::clone(&store),
        Arc::new(hook),
        Arc::new(SystemClock),
        Box::new(|| 0.5),
    );
    let stop = CancellationToken::new();
    let began = Instant::now();
    let running = tokio::spawn(lane.run(stop.clone()));
    while store.count_due(&ReceiverId::new("pager"), now).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed().as_secs_f64();
    stop.cancel();
    running.await.unwrap();

    let (requests, ids) = {
        let seen = seen.lock().unwrap();
        (seen.0, seen.1.len())
    };
    assert_eq!((requests, ids), (DELIVERIES, DELIVERIES), "every message once: none lost, none twice");
    println!("delivered {DELIVERIES} webhooks in {took:.2} s: {:.0} per second", DELIVERIES as f64 / took);
}
