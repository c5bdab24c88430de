//! `nightbell healthcheck`: whether the running Nightbell is well, for containers that have no other program.
//!
//! Asks the page's address; without one, or with one that the system chose, it reads the store, as `nightbell status` does. So
//! it does where the page has no place for one more: a crowd at the page holds up nothing else. A source that cannot be read
//! makes nobody unwell: to start anew would not help.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::ground::{Exit, Failure};
use super::output::{fail, print};
use super::place::Desk;
use super::status;

/// Time for the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than any answer about health has.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Asks `/-/healthy`, or `/-/ready`, of the address that the configuration listens on, or looks into its store.
pub(super) async fn healthcheck(desk: &Desk, is_ready: bool) -> Result<Exit, Failure> {
    let listens = desk.config.web.as_ref().map(|web| web.listen).filter(|listen| listen.port() != 0);
    let path = if is_ready { "/-/ready" } else { "/-/healthy" };
    let asked = async {
        match listens {
            Some(listen) => match ask(reachable(listen), path).await? {
                Some(said) => Ok(said),
                None => Ok(format!("{}: the page has no place just now", look(desk, is_ready).await?)),
            },
            None => look(desk, is_ready).await,
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asked).await;
    match asked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {} s", PATIENCE.as_secs()))) {
        Ok(said) => {
            print(said)?;
            Ok(Exit::Done)
        }
        Err(error) => {
            fail(format_args!("{error:#}"));
            Ok(Exit::Failed)
        }
    }
}

/// What the store says of who works on it.
async fn look(desk: &Desk, is_ready: bool) -> anyhow::Result<String> {
    let why = status::unwell(desk, is_ready).await?;
    if !why.is_empty() {
        bail!("{}", why.join("; "));
    }
    Ok("ok, as the store says".to_string())
}

/// Where an address that is listened on can be reached from here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let here: IpAddr = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(here, listen.port())
}

/// The body of a good answer; nothing where the page has no place for one more. One short request over plain TCP: no proxy of
/// the environment stands between the two.
async fn ask(address: SocketAddr, path: &str) -> anyhow::Result<Option<String>> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("cannot reach {address}"))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    // Whoever is turned away is so unheard: the connection may be closed before the question is written, and is reset behind
    // the answer.
    drop(stream.write_all(request.as_bytes()).await);
    let mut bytes = Vec::new();
    let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await;
    if bytes.is_empty() {
        read?;
    }
    let answer = String::from_utf8_lossy(&bytes);
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(Some(body.to_string())),
        // What is unwell says why.
        Some("503") if body.is_empty() => Ok(None),
        _ => bail!("{}: {body}", head.lines().next().unwrap_or_default()),
    }
}
