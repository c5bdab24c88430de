//! What is told while the store is away or a loop hangs, by a server that has no loops of its own; and who reads too slowly.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nightbell::clock::{Clock as _, SystemClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::limits::{LOOP_HANGS_AFTER, WEB_CONNECTION_LIFE_MAX, WEB_STOP_TIME_MAX};
use nightbell::sign::LinkKey;
use nightbell::store::SqlStore;
use nightbell::web::{InForce, Web, serve};
use nightbell::worker::turn::{Pace, Runner, Statuses, Turn, TurnError, Turned};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use super::{AROUND, Answer, raw};
use crate::sample::Place;

/// A server alone.
struct Alone {
    address: SocketAddr,
    store: Arc<SqlStore>,
    _place: Place,
    _in_force: tokio::sync::watch::Sender<Arc<InForce>>,
}

impl Alone {
    async fn start(statuses: Statuses) -> Alone {
        let place = Place::new();
        let store = Arc::new(place.open().await);
        let text = format!("version: 1\nstore: {}\nweb: {{ listen: \"127.0.0.1:0\" }}\n{AROUND}", place.url());
        let loaded = Config::from_text(text, "rules.yaml", Path::new("."), &LoadOptions { offline: true });
        let (config, now) = (loaded.unwrap_or_else(|problem| panic!("{problem}")).config, SystemClock.now());
        let shown = InForce { number: 1, since: now, config, receivers: Arc::default(), polls: Default::default() };
        let (in_force, seen) = tokio::sync::watch::channel(Arc::new(shown));
        let counted = (statuses, Default::default(), Default::default());
        let web = Web::new(
            Arc::clone(&store),
            Arc::new(SystemClock),
            counted,
            seen,
            (Arc::from("alone"), now),
            LinkKey::new("k"),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, web, CancellationToken::new()));
        Alone { address, store, _place: place, _in_force: in_force }
    }

    async fn get(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        raw(self.address, request.as_bytes()).await
    }
}

/// What has something to say of the store: a number that nobody has read is not 0.
const OF_THE_STORE: [&str; 7] = [
    "nightbell_outbox_pending",
    "nightbell_outbox_oldest_age_seconds",
    "nightbell_dead_letters",
    "nightbell_alerts_firing",
    "nightbell_silences_active",
    "nightbell_source_readable",
    "nightbell_source_lag_seconds",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_told_as_that_and_not_as_a_quiet_night() {
    let alone = Alone::start(Statuses::default()).await;
    let here = alone.get("/metrics").await;
    assert!(here.status == 200 && here.body.contains("\nnightbell_store_up 1\n"), "{here:?}");
    for family in OF_THE_STORE {
        assert!(here.body.lines().any(|line| line.starts_with(family)), "{family} is not in\n{}", here.body);
    }
    alone.store.close().await;
    let away = alone.get("/metrics").await;
    assert!(away.status == 200 && away.body.contains("\nnightbell_store_up 0\n"), "{away:?}");
    assert!(away.body.ends_with("# EOF\n"), "{}", away.body);
    for family in OF_THE_STORE {
        assert!(!away.body.contains(family), "{family} is told of a store that is away:\n{}", away.body);
    }
    for line in ["nightbell_config_generation 1", "nightbell_loop_faulty{loop=\"deliver/hook\"} 0"] {
        assert!(away.body.lines().any(|it| it == line), "{line} is not in\n{}", away.body);
    }
    // Starting it again would mend nothing; and nobody is to be sent here.
    assert_eq!(alone.get("/-/healthy").await.status, 200);
    let ready = alone.get("/-/ready").await;
    assert!(ready.status == 503 && ready.body.contains("the store takes no write"), "{ready:?}");
}

/// No loop has begun here, and each is there: at 0, as another replica may run it.
#[tokio::test(flavor = "multi_thread")]
async fn the_series_of_each_loop_are_there_before_it_begins() {
    let alone = Alone::start(Statuses::default()).await;
    let told = alone.get("/metrics").await.body;
    for name in ["poll/s", "deliver/hook", "escalation", "housekeeping", "own", "unwatched"] {
        for family in ["nightbell_loop_failing", "nightbell_loop_faulty"] {
            let line = format!("{family}{{loop=\"{name}\"}} 0");
            assert!(told.lines().any(|it| it == line), "{line} is not in\n{told}");
        }
    }
    for absent in ["digest", "heartbeat", "remind", "fallback"] {
        assert!(!told.contains(&format!("loop=\"{absent}\"")), "nothing asks for {absent}:\n{told}");
    }
}

/// A turn without an end.
struct Stuck;

impl Turn for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn pace(&self) -> Pace {
        Pace::every(Duration::from_secs(1))
    }

    async fn turn(&mut self, _: Timestamp) -> Result<Turned, TurnError> {
        std::future::pending().await
    }
}

async fn pass(span: Duration) {
    tokio::time::pause();
    tokio::time::sleep(span).await;
    tokio::time::resume();
}

#[tokio::test]
async fn who_watches_hears_of_a_loop_that_hangs() {
    let statuses = Statuses::default();
    let alone = Alone::start(statuses.clone()).await;
    let runner = Runner::new(Arc::new(SystemClock), statuses);
    tokio::spawn(async move { runner.run(Stuck, &CancellationToken::new()).await });
    pass(LOOP_HANGS_AFTER / 2).await;
    let well = alone.get("/-/healthy").await;
    assert_eq!((well.status, well.json()["status"].as_str()), (200, Some("ok")));
    pass(LOOP_HANGS_AFTER / 2 + Duration::from_secs(1)).await;
    let hanging = alone.get("/-/healthy").await;
    assert!(hanging.status == 503 && hanging.body.contains("hang"), "{hanging:?}");
    let told = alone.get("/metrics").await.body;
    assert!(told.contains("\nnightbell_loop_faulty{loop=\"stuck\"} 1\n"), "{told}");
    assert!(told.contains("\nnightbell_loop_faulty{loop=\"unwatched\"} 0\n"), "{told}");
}

/// Who takes an answer byte by byte has a place for a while, and no longer.
#[tokio::test]
async fn who_reads_byte_by_byte_is_let_go() {
    const ASKED: usize = 400;
    let alone = Alone::start(Statuses::default()).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(alone.address).await.unwrap();
    // More than all buffers on the way hold.
    let request = "GET /api/v1/openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request.repeat(ASKED).as_bytes()).await.unwrap();
    let mut taken = vec![0; 1];
    stream.read_exact(&mut taken).await.unwrap();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    while began.elapsed() < WEB_CONNECTION_LIFE_MAX + WEB_STOP_TIME_MAX + Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut byte = [0; 1];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            break;
        }
        taken.push(byte[0]);
    }
    tokio::time::resume();
    // What is on its way still comes, and then an end, long before everything that was asked for.
    let rest = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut taken)).await;
    drop(rest.expect("it goes on sending"));
    let answers = String::from_utf8_lossy(&taken).matches("HTTP/1.1 200 OK").count();
    assert!(answers > 0 && answers < ASKED / 2, "{answers} of {ASKED} answers came");
    assert_eq!(alone.get("/-/healthy").await.status, 200);
}
