//! What the service manager hears of the real binary.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::program::{Running, Stage, text};

const RULES: &str = "rules:\n  failed: { when: { status: [fail] }, notify: [hook] }\n";

/// Reads datagrams until one holds `wanted`, and returns all of them.
fn hear(socket: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut heard = Vec::new();
    let mut bytes = [0; 4096];
    while let Ok(length) = socket.recv(&mut bytes) {
        heard.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        if heard.last().is_some_and(|it| it.lines().any(|line| line.starts_with(wanted))) {
            return heard;
        }
    }
    panic!("{wanted} was not heard: {heard:?}");
}

fn signal(name: &str, running: &Running) {
    assert!(Command::new("kill").args([&format!("-{name}"), &running.0.id().to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_of_every_step() {
    let stage = Stage::set(RULES).await;
    let path = stage.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = stage.command(&["run"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000").env_remove("WATCHDOG_PID");
    let log = std::fs::File::create(stage.path("log")).unwrap();
    let running = Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    let heard = tokio::task::spawn_blocking(move || {
        hear(&socket, "READY=1");
        let alive = hear(&socket, "WATCHDOG=1");
        assert!(alive.iter().any(|it| it.contains("STATUS=") && it.contains("loops run")), "{alive:?}");
        signal("HUP", &running);
        let reloading = hear(&socket, "RELOADING=1");
        assert!(reloading.last().unwrap().contains("MONOTONIC_USEC="), "{reloading:?}");
        hear(&socket, "READY=1");
        signal("TERM", &running);
        hear(&socket, "STOPPING=1")
    });
    assert!(!heard.await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_asks_the_one_that_runs() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stage = Stage::set(&format!("web: {{ listen: \"{free}\" }}\n{RULES}")).await;
    let nobody = stage.output(&["healthcheck"]).await;
    assert_eq!(nobody.status.code(), Some(1));
    let _running = stage.start();
    until_ready(&stage).await;
    assert_eq!(stage.output(&["healthcheck"]).await.status.code(), Some(0));
    // A mistake does not end what goes on by the last good version, and must not have it restarted.
    stage.write_config(&format!("web: {{ listen: \"{free}\" }}\n{RULES}  broken: {{ whne: 1 }}\n"));
    let broken = stage.output(&["healthcheck"]).await;
    assert_eq!(broken.status.code(), Some(0), "{}", text(&broken.stderr));
}

async fn until_ready(stage: &Stage) {
    for _ in 0..300 {
        if stage.output(&["healthcheck", "--ready"]).await.status.code() == Some(0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it never became ready: {}", std::fs::read_to_string(stage.path("log")).unwrap());
}

/// Without a page, or with one on a port that the system chose, the store answers: in a container nothing else can.
#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_looks_into_the_store_where_there_is_no_page() {
    let stage = Stage::set(RULES).await;
    let nobody = stage.output(&["healthcheck"]).await;
    assert_eq!(nobody.status.code(), Some(1), "there is not even a store");
    let running = stage.start();
    until_ready(&stage).await;
    assert_eq!(stage.output(&["healthcheck"]).await.status.code(), Some(0));
    // With a page on a port that the system chose no page to ask either.
    stage.write_config(&format!("web: {{ listen: \"127.0.0.1:0\" }}\n{RULES}"));
    assert_eq!(stage.output(&["healthcheck", "--ready"]).await.status.code(), Some(0));
    drop(running);
    for arguments in [&["healthcheck"][..], &["healthcheck", "--ready"]] {
        let gone = stage.output(arguments).await;
        assert_eq!(gone.status.code(), Some(1));
        assert!(text(&gone.stderr).contains("nightbell is not running on this store"), "{}", text(&gone.stderr));
    }
}
