//! Whether anything listens: what the configuration asks for, and without that nothing.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::raw;
use crate::program::{Running, Stage, TELL_FAILURES, failed, nightbell, pause};

/// How many sockets a process listens on.
fn listening(pid: u32) -> usize {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let own: Vec<String> = links
        .filter_map(|entry| std::fs::read_link(entry.path()).ok()?.to_str().map(str::to_string))
        .filter_map(|to| Some(to.strip_prefix("socket:[")?.strip_suffix(']')?.to_string()))
        .collect();
    let tables =
        ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default());
    let is_open = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // 0A is the state of a socket that listens; the tenth field its number.
        fields.get(3) == Some(&"0A") && fields.get(9).is_some_and(|number| own.iter().any(|one| one == number))
    };
    tables.iter().flat_map(|table| table.lines()).filter(is_open).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_unless_the_configuration_says_so() {
    for (web, sockets) in [("", 0), ("web: { listen: \"127.0.0.1:0\" }\n", 1)] {
        let stage = Stage::set(&format!("{web}{TELL_FAILURES}")).await;
        stage.workspace.put(failed("etl_orders", 34765));
        let running = stage.start();
        let began = std::time::Instant::now();
        // Whoever has told somebody has begun everything.
        while stage.sink.hits().is_empty() {
            assert!(began.elapsed() < std::time::Duration::from_secs(60), "nobody is told");
            pause(50).await;
        }
        assert_eq!(listening(running.0.id()), sockets, "{web:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_says_where_its_page_is() {
    let mut child = nightbell(&["demo", "--for", "120s"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let output = child.stdout.take().unwrap();
    let running = Running(child);
    let address = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("The page of the night: ")?.1.trim().to_string()));
        // Nobody reads on: the demo must not stop for that.
        std::thread::spawn(move || lines.for_each(drop));
        address
    });
    let address = address.await.unwrap().expect("the demo says where its page is");
    let host = address.strip_prefix("http://").unwrap().trim_end_matches('/').parse().unwrap();
    for path in ["/-/healthy", "/", "/metrics"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        assert_eq!(raw(host, request.as_bytes()).await.status, 200, "{path}");
    }
    drop(running);
}
