//! A database that goes away while the program runs: nothing is told that was not stored first, the heart stands still, and all
//! of it goes on by itself.

use std::net::SocketAddr;
use std::time::Instant;

use nightbell::sim::SimConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::program::sink::Hit;
use crate::program::{Stage, failed, pause};

/// The way to a server, which can be shut: who is on it is cut off then, and nobody gets in.
struct Door {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
}

impl Door {
    async fn to(server: String) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, is_open) = (listener.local_addr().unwrap(), watch::Sender::new(true));
        let state = is_open.subscribe();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut state) = (server.clone(), state.clone());
                tokio::spawn(async move {
                    if !*state.borrow_and_update() {
                        return;
                    }
                    let mut server = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = state.wait_for(|is_open| !is_open) => {}
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    }
                });
            }
        });
        Door { address, is_open }
    }
}

fn count(hits: &[Hit], path: &str) -> usize {
    hits.iter().filter(|hit| hit.path == path).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_stops_the_heart_and_nothing_is_told_meanwhile() {
    let stage = Stage::set_on_server(SimConfig::default(), "").await;
    let beat = stage.sink.url("beat");
    stage.write_config(&format!("heartbeat: {{ url: \"{beat}\", every: 1s }}\n{}", crate::program::TELL_FAILURES));
    let store = stage.store();
    let (server, _) = store.split_once('@').unwrap().1.split_once('/').unwrap();
    let door = Door::to(server.to_string()).await;
    let rules = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    std::fs::write(stage.path("rules.yaml"), rules.replace(server, &door.address.to_string())).unwrap();
    let _running = stage.start();
    stage.workspace.put(failed("etl", 1));
    stage.sink.wait("it to work", |hits| count(hits, "/hook") == 1 && count(hits, "/beat") >= 2).await;

    door.is_open.send_replace(false);
    let out = Instant::now();
    // What was under way is over by then.
    pause(2000).await;
    let beats = count(&stage.sink.hits(), "/beat");
    for number in 2..5 {
        stage.workspace.put(failed("etl", number));
        pause(2000).await;
    }
    let hits = stage.sink.hits();
    assert_eq!((count(&hits, "/hook"), count(&hits, "/beat")), (1, beats), "told, or beaten, without a store");

    door.is_open.send_replace(true);
    println!("the database was away for {:?}", out.elapsed());
    stage.sink.wait("all of it", |hits| count(hits, "/hook") >= 4 && count(hits, "/beat") >= beats + 2).await;
    pause(1000).await;
    let mut told: Vec<String> =
        stage.sink.hits_at("hook").iter().map(|hit| hit.json()["data"]["instance"]["id"].to_string()).collect();
    told.sort();
    assert_eq!(told, ["\"1\"", "\"2\"", "\"3\"", "\"4\""], "each once");
    let log = std::fs::read_to_string(stage.path("log")).unwrap();
    assert!(log.contains("heartbeat: "), "{log}");
}
