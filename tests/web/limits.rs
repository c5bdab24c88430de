//! What clients cannot do to it: hold it up, fill it up, come in crowds.

use std::sync::Arc;
use std::time::Duration;

use nightbell::clock::{Clock as _, SystemClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::limits::{WEB_BODY_BYTES_MAX, WEB_CONNECTIONS_MAX, WEB_HEAD_TIME_MAX, WEB_REQUEST_TIME_MAX};
use nightbell::web::{InForce, Web, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{AROUND, Served, raw};
use crate::program::{Stage, TELL_FAILURES, failed, pause, text};
use crate::sample::Place;

const OPEN: &str = "web: { listen: \"127.0.0.1:0\" }\n";

#[tokio::test(flavor = "multi_thread")]
async fn too_large_a_head_or_body_is_refused_with_words() {
    let served = Served::start(OPEN).await;
    let head = format!("GET /-/healthy HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(64 << 10));
    assert_eq!(raw(served.address, head.as_bytes()).await.status, 431);
    let body = "a".repeat(WEB_BODY_BYTES_MAX + 1);
    let answer = served.ask("POST", "/metrics", &[], &body).await;
    assert!([405, 413].contains(&answer.status), "{answer:?}");
    for (path, kind) in [
        ("/api/v1/silences", "application/json"),
        ("/silences", "application/x-www-form-urlencoded"),
        ("/sign-in", "application/x-www-form-urlencoded"),
        ("/ack/a1?until=1&sign=x", "application/x-www-form-urlencoded"),
    ] {
        let answer = served.ask("POST", path, &[("content-type", kind)], &body).await;
        assert_eq!(answer.status, 413, "{path}: {answer:?}");
    }
    assert_eq!(raw(served.address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n").await.status, 400);
    assert_eq!(served.get("/-/healthy", &[]).await.status, 200, "it goes on");
    served.stop().await;
}

/// Those for whom there is a place are answered; the others are told at once, and none of them waits.
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_connections_at_once_are_answered_or_turned_away() {
    let served = Served::start(OPEN).await;
    let mut open = Vec::new();
    for _ in 0..500 {
        open.push(TcpStream::connect(served.address).await.unwrap());
    }
    let mut turned_away = 0;
    for stream in &mut open {
        // Who has a place is waited for: nothing comes unasked.
        let mut bytes = [0; 64];
        if let Ok(Ok(read)) = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut bytes)).await {
            turned_away += usize::from(bytes[..read].starts_with(b"HTTP/1.1 503") || read == 0);
        }
    }
    assert_eq!(turned_away, 500 - WEB_CONNECTIONS_MAX);
    drop(open);
    for _ in 0..100 {
        let answer = served.get("/metrics", &[]).await;
        if answer.status == 200 {
            let counted = format!("nightbell_http_connections_refused_total {turned_away}");
            assert!(answer.body.lines().any(|line| line == counted), "{counted} is not in\n{}", answer.body);
            served.stop().await;
            return;
        }
        // There was no place for this one either.
        turned_away += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("its places were not given back");
}

/// However many come and drip, who is to be notified is told: the page shares nothing with polls and lanes that it could hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_the_page_holds_up_no_poll_and_no_delivery() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let stage = Stage::set(&format!("web: {{ listen: \"127.0.0.1:{port}\" }}\n{TELL_FAILURES}")).await;
    let _running = stage.start();
    // How long it takes on this machine when nobody else is there.
    let told = async |id: u64, crowd: &mut Vec<TcpStream>| {
        let (before, began) = (stage.sink.hits().len(), std::time::Instant::now());
        stage.workspace.put(failed(&format!("etl_{id}"), id));
        while stage.sink.hits().len() == before {
            assert!(began.elapsed() < Duration::from_secs(60), "nobody is told");
            for stream in crowd.iter_mut().skip(1).step_by(2) {
                drop(stream.write_all(b"a").await);
            }
            pause(50).await;
        }
        began.elapsed()
    };
    let mut nobody = Vec::new();
    told(1, &mut nobody).await;
    let usual = told(2, &mut nobody).await.max(told(3, &mut nobody).await);
    let mut crowd = Vec::new();
    for _ in 0..600 {
        if crowd.len() == 500 {
            break;
        }
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(mut stream) => {
                // Some ask for a page and read nothing, the others never end their question.
                let half = crowd.len() % 2 == 0;
                let text: &[u8] =
                    if half { b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" } else { b"GET / HTTP/1.1\r\nx: " };
                drop(stream.write_all(text).await);
                crowd.push(stream);
            }
            Err(_) => pause(100).await,
        }
    }
    assert_eq!(crowd.len(), 500, "it does not take connections");
    // Whoever asks in the name of a container's keeper finds no place, and it is not killed for that.
    let refused = raw(("127.0.0.1".parse::<std::net::IpAddr>().unwrap(), port).into(), b"").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    let asked = stage.output(&["healthcheck"]).await;
    let (said, error) = (text(&asked.stdout), text(&asked.stderr));
    assert!(asked.status.success() && said.contains("the page has no place"), "{said}{error}");
    let polls = stage.workspace.requests().list;
    for id in 4..7 {
        let took = told(id, &mut crowd).await;
        assert!(took < usual + Duration::from_secs(5), "{took:?} with a crowd, {usual:?} without");
    }
    assert!(stage.workspace.requests().list > polls + 2);
    assert_eq!(stage.sink.hits().len(), 6);
}

/// Its clock is the test's: hours of dripping pass in a moment.
#[tokio::test]
async fn who_sends_nothing_or_drips_is_let_go() {
    let place = Place::new();
    let store = Arc::new(place.open().await);
    let text = format!("version: 1\nstore: {}\n{OPEN}{AROUND}", place.url());
    let config =
        Config::from_text(text, "r.yaml", std::path::Path::new("."), &LoadOptions { offline: true }).unwrap().config;
    let in_force =
        InForce { number: 1, since: SystemClock.now(), config, receivers: Arc::default(), polls: Default::default() };
    let (_keep, shown) = tokio::sync::watch::channel(Arc::new(in_force));
    let web = Web::new(
        store,
        Arc::new(SystemClock),
        Default::default(),
        shown,
        ("this".into(), SystemClock.now()),
        nightbell::sign::LinkKey::new("k"),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, web, shutdown.clone()));
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut dripping = TcpStream::connect(address).await.unwrap();
    let mut kept = TcpStream::connect(address).await.unwrap();
    kept.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let (mut reader, mut writer) = dripping.split();
    let drip = async {
        writer.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\nx: ").await.unwrap();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if writer.write_all(b"a").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut bytes = Vec::new();
    tokio::select! {
        () = drip => {}
        // A connection that is reset is gone, too.
        _ = reader.read_to_end(&mut bytes) => {}
    }
    let after = began.elapsed();
    assert!(after >= WEB_HEAD_TIME_MAX && after < WEB_HEAD_TIME_MAX * 3, "{after:?}");
    for stream in [&mut silent, &mut kept] {
        let mut bytes = Vec::new();
        drop(stream.read_to_end(&mut bytes).await);
    }
    let after = began.elapsed();
    assert!(after < Duration::from_secs(120), "{after:?}");
    // A body that drips is given up in the time that a request has.
    let began = tokio::time::Instant::now();
    let mut dripping = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = dripping.split();
    let head = "POST /sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                content-length: 1000\r\n\r\n";
    let drip = async {
        writer.write_all(head.as_bytes()).await.unwrap();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if writer.write_all(b"a").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut bytes = Vec::new();
    tokio::select! {
        () = drip => {}
        _ = reader.read_to_end(&mut bytes) => {}
    }
    let after = began.elapsed();
    assert!(after >= WEB_REQUEST_TIME_MAX && after < WEB_REQUEST_TIME_MAX * 3, "{after:?}");
    assert!(bytes.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&bytes));
    shutdown.cancel();
    serving.await.unwrap();
}
