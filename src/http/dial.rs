//! Which address of a host is tried first: the one that answers, found out side by side (RFC 8305).
//!
//! A host with several addresses of which one drops packets must not cost the time of a whole attempt. So the addresses
//! are tried a moment apart, and the first that takes a connection leads the list for a while. Talks TCP to the hosts of
//! requests and sends nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::addresses::{Lookup, interleaved, side_by_side};
use crate::limits::CONNECT_TIMEOUT;
use crate::lock::locked;

/// How long the address that answered is believed to do so.
const BELIEVED: Duration = Duration::from_secs(5 * 60);

/// Resolves names, the address first that answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Dialer {
    lookup: Lookup,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    port: u16,
    /// The address that answered, and until when that is believed.
    best: Option<(SocketAddr, Instant)>,
}

impl Dialer {
    /// One that finds addresses in this way.
    pub(super) fn new(lookup: Lookup) -> Dialer {
        Dialer { lookup, known: Arc::default() }
    }

    /// Notes which port of its host a request goes to.
    pub(super) fn expect(&self, url: &Url) {
        if let (Some(host), Some(port)) = (url.domain(), url.port_or_known_default()) {
            self.known().entry(host.to_string()).or_default().port = port;
        }
    }

    /// Forgets which address of a host answered, when it does so no more.
    pub(super) fn forget(&self, host: Option<&str>) {
        if let Some(known) = self.known().get_mut(host.unwrap_or_default()) {
            known.best = None;
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        locked(&self.known)
    }

    async fn addresses(&self, name: &str) -> std::io::Result<Vec<SocketAddr>> {
        let known = self.known().get(name).cloned();
        let found = self.lookup.addresses(name, known.as_ref().map_or(0, |it| it.port)).await?;
        // The port of a proxy is not known here.
        let (Some(known), true) = (known, found.len() > 1) else { return Ok(found) };
        let believed = known.best.filter(|(address, until)| *until > Instant::now() && found.contains(address));
        let best = match believed {
            Some((address, _)) => Some(address),
            None => first_to_answer(&interleaved(found.clone())).await,
        };
        if let Some(known) = self.known().get_mut(name) {
            known.best = best.map(|address| (address, Instant::now() + BELIEVED));
        }
        Ok(led_by(best, found))
    }
}

impl Resolve for Dialer {
    fn resolve(&self, name: Name) -> Resolving {
        let dialer = self.clone();
        Box::pin(async move {
            let addresses = dialer.addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn led_by(best: Option<SocketAddr>, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    addresses.sort_by_key(|address| Some(*address) != best);
    addresses
}

/// The first address that takes a connection.
async fn first_to_answer(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let connect = |address| async move { TcpStream::connect(address).await.map(|_| address) };
    let answer = side_by_side(addresses.to_vec(), connect);
    tokio::time::timeout(CONNECT_TIMEOUT, answer).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use reqwest::{Method, Request};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::addresses::tests::HalfDeaf;
    use super::super::{HttpClient, HttpSettings, Outgoing};
    use super::*;
    use crate::secret::Secrets;

    #[tokio::test]
    async fn an_address_that_drops_packets_does_not_hold_up_the_others() {
        let (host, good) = HalfDeaf::open().await;
        let good = good.local_addr().unwrap();
        let dropping = SocketAddr::from(([127, 0, 0, 2], host.port));
        let began = Instant::now();
        assert_eq!(first_to_answer(&[dropping, good]).await, Some(good));
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        assert_eq!(led_by(Some(good), vec![dropping, good]), [good, dropping]);
    }

    #[tokio::test]
    async fn a_request_arrives_at_a_host_whose_first_address_drops_packets() {
        let (host, good) = HalfDeaf::open().await;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = good.accept().await {
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let length = stream.read(&mut request).await?;
                    // The connection that was made to find out who answers says nothing.
                    if length > 0 {
                        stream.write_all(b"HTTP/1.1 204 No\r\nconnection: close\r\n\r\n").await?;
                    }
                    std::io::Result::Ok(())
                });
            }
        });
        let client = HttpClient::looking_up(&HttpSettings::default(), &host.lookup).unwrap();
        let url = format!("http://two.test:{}/", host.port).parse().unwrap();
        let outgoing = Outgoing::new(Request::new(Method::POST, url), Secrets::new());
        let began = Instant::now();
        let answer = client.send(outgoing, Duration::from_secs(30), 1024).await.unwrap();
        assert_eq!(answer.status, 204);
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}
