//! What a mail server hears at the end of a run.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::{Stage, failed, text};

/// A mail server that takes everything; its port, and the lines that it got beside those of mails.
async fn mail_server() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let lines = Arc::clone(&lines);
            tokio::spawn(async move {
                let mut stream = BufReader::new(tcp);
                stream.write_all(b"220 me\r\n").await?;
                let (mut line, mut is_mail) = (String::new(), false);
                while stream.read_line(&mut line).await? > 0 {
                    let command = std::mem::take(&mut line);
                    let command = command.trim_end();
                    if is_mail && command != "." {
                        continue;
                    }
                    lines.lock().unwrap().push(command.to_string());
                    is_mail = command == "DATA";
                    let reply = match command {
                        "DATA" => "354 go on\r\n",
                        "QUIT" => "221 bye\r\n",
                        _ => "250 well\r\n",
                    };
                    stream.write_all(reply.as_bytes()).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    (port, heard)
}

/// One cycle and a stop alike: the connection that was kept for the next mail ends as RFC 5321 wants it.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_to_a_mail_server_is_quit() {
    let (port, heard) = mail_server().await;
    let stage = Stage::set("").await;
    let mail = format!(
        "  mail: {{ type: email, smtp_url: 'smtp+plain://127.0.0.1:{port}', from: a@example.com, to: b@example.com }}\n\
         rules:\n  failed: {{ when: {{ status: [fail] }}, notify: [mail] }}\n"
    );
    stage.write_config(&mail);
    stage.workspace.put(failed("etl", 1));
    stage.once(0).await;
    let said = heard.lock().unwrap().clone();
    assert!(said.contains(&"DATA".to_string()), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("QUIT"), "{said:?}");

    // A running one that is stopped does the same.
    heard.lock().unwrap().clear();
    let mut running = stage.start();
    stage.workspace.put(failed("etl", 2));
    let is_told = || heard.lock().unwrap().iter().any(|line| line == ".");
    for _ in 0..600 {
        if is_told() {
            break;
        }
        super::pause(50).await;
    }
    let log = || text(&std::fs::read(stage.path("log")).unwrap());
    assert!(is_told(), "{}", log());
    let stopped = std::process::Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    tokio::task::spawn_blocking(move || running.0.wait().unwrap()).await.unwrap();
    let said = heard.lock().unwrap().clone();
    assert_eq!(said.last().map(String::as_str), Some("QUIT"), "{said:?} {}", log());
}
