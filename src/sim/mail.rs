//! A mail server that takes everything: enough SMTP for one client that behaves.
//!
//! It serves the demo, where no mail server is at hand. It reads the socket and hands over each message as it came,
//! after undoing the dot-stuffing. It must never be used to judge the mail notifier: it refuses nothing.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A message as it was received.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The envelope's recipients.
    pub recipients: Vec<String>,
    /// Header and body.
    pub message: String,
}

impl Mail {
    /// A header's text, unfolded; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        let mut found: Option<String> = None;
        for line in self.message.lines().take_while(|line| !line.is_empty()) {
            if let Some(text) = found.as_mut() {
                if !line.starts_with([' ', '\t']) {
                    break;
                }
                text.push_str(line);
            } else if let Some((key, value)) = line.split_once(':')
                && key.eq_ignore_ascii_case(name)
            {
                found = Some(value.trim().to_string());
            }
        }
        found.unwrap_or_default()
    }
}

/// Listens on a free loopback port and hands over what arrives.
///
/// # Errors
/// When no port can be bound.
pub(super) async fn serve(inbox: mpsc::UnboundedSender<Mail>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let inbox = inbox.clone();
            tokio::spawn(async move {
                // A client that goes away in the middle has not sent a message.
                drop(converse(stream, inbox).await);
            });
        }
    });
    Ok(address)
}

async fn converse(stream: TcpStream, inbox: mpsc::UnboundedSender<Mail>) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 localhost demo mail server\r\n").await?;
    let mut recipients = Vec::new();
    while let Some(line) = lines.next_line().await? {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let reply: &[u8] = match verb.as_str() {
            "EHLO" | "HELO" => b"250 localhost\r\n",
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                recipients.push(address.to_string());
                b"250 fine\r\n"
            }
            "DATA" => {
                writer.write_all(b"354 go on, end with a dot\r\n").await?;
                let mut message = String::new();
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    message.push_str(line.strip_prefix('.').unwrap_or(&line));
                    message.push('\n');
                }
                let recipients = std::mem::take(&mut recipients);
                // Nobody reads any more when the demo is over.
                drop(inbox.send(Mail { recipients, message }));
                b"250 taken\r\n"
            }
            "QUIT" => {
                writer.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            "RSET" => {
                recipients.clear();
                b"250 fine\r\n"
            }
            _ => b"250 fine\r\n",
        };
        writer.write_all(reply).await?;
    }
    Ok(())
}
