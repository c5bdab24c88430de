//! A gate before a service: it lets connections through, or plays a trick on the next ones that no HTTP server can play.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens to a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trick {
    /// It is reset before anything is answered.
    Reset,
    /// The request comes back as the body of an answer with this status.
    Echo(u16),
    /// The answer is none that HTTP knows.
    Noise,
}

/// The gate before one service.
pub(super) struct Gate {
    /// Its address as an endpoint.
    pub(super) endpoint: String,
    tricks: Arc<Mutex<VecDeque<Trick>>>,
}

impl Gate {
    /// A gate before the service at `endpoint`, `http://host:port`.
    pub(super) async fn before(endpoint: &str) -> Gate {
        let service = endpoint.trim_start_matches("http://").to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let tricks: Arc<Mutex<VecDeque<Trick>>> = Arc::default();
        let next = Arc::clone(&tricks);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let trick = next.lock().unwrap().pop_front();
                let service = service.clone();
                tokio::spawn(async move {
                    // A connection that breaks is what this is about.
                    let _ = match trick {
                        Some(trick) => play(trick, client).await,
                        None => pass(client, &service).await,
                    };
                });
            }
        });
        Gate { endpoint, tricks }
    }

    /// Plays this trick on so many of the next connections.
    pub(super) fn play(&self, trick: Trick, times: usize) {
        self.tricks.lock().unwrap().extend(std::iter::repeat_n(trick, times));
    }
}

async fn pass(mut client: TcpStream, service: &str) -> std::io::Result<()> {
    let mut service = TcpStream::connect(service).await?;
    tokio::io::copy_bidirectional(&mut client, &mut service).await.map(drop)
}

async fn play(trick: Trick, mut client: TcpStream) -> std::io::Result<()> {
    let mut request = vec![0; 64 << 10];
    let length = client.read(&mut request).await?;
    match trick {
        Trick::Reset => client.set_zero_linger(),
        Trick::Noise => client.write_all(b"\x00\x01 220 mail.example.com ready\r\n").await,
        Trick::Echo(status) => {
            let head = format!("HTTP/1.1 {status} Odd\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            client.write_all(head.as_bytes()).await?;
            client.write_all(&request[..length]).await?;
            client.shutdown().await
        }
    }
}
