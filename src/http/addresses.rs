//! Connecting to a host that has several addresses, as RFC 8305 says: side by side, a little apart, the first that
//! answers counts. One that drops packets costs a moment and not the message.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::net::{TcpStream, lookup_host};

/// How long an address is given before the next one is tried beside it, as RFC 8305 recommends.
const LEAD: Duration = Duration::from_millis(250);

/// The addresses of a host, each with the port.
type Found = BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// What finds the addresses of a host by its name and a port: the system, unless somebody who knows better is put in its
/// place.
#[derive(Clone)]
pub(crate) struct Lookup(Arc<dyn Fn(String, u16) -> Found + Send + Sync>);

impl Default for Lookup {
    fn default() -> Lookup {
        Lookup::by(|host, port| Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) }))
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup")
    }
}

impl Lookup {
    /// One that asks this function.
    pub(crate) fn by(find: impl Fn(String, u16) -> Found + Send + Sync + 'static) -> Lookup {
        Lookup(Arc::new(find))
    }

    /// The addresses of the host.
    ///
    /// # Errors
    /// When they cannot be found out.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        (self.0)(host.to_string(), port).await
    }
}

/// A connection to whichever address of the host answers first.
///
/// # Errors
/// When the name has no address, or none of them answers: what each said, at most the first three.
pub(crate) async fn dial(lookup: &Lookup, host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = lookup.addresses(host, port).await?;
    side_by_side(interleaved(addresses), TcpStream::connect).await
}

/// IPv6 and IPv4 in turn, each in the order of the answer.
pub(super) fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|it| it.is_ipv6() == first_is_v6);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    std::iter::from_fn(|| {
        let pair: Vec<SocketAddr> = one.next().into_iter().chain(other.next()).collect();
        (!pair.is_empty()).then_some(pair)
    })
    .flatten()
    .collect()
}

/// What `connect` makes of whichever address answers first.
///
/// # Errors
/// As [`dial`].
pub(super) async fn side_by_side<S, F>(addresses: Vec<SocketAddr>, connect: impl Fn(SocketAddr) -> F) -> io::Result<S>
where
    F: Future<Output = io::Result<S>>,
{
    let (several, mut errors) = (addresses.len() > 1, Vec::new());
    let mut waiting = addresses.into_iter();
    let mut under_way = FuturesUnordered::new();
    loop {
        if let Some(address) = waiting.next() {
            let attempt = connect(address);
            under_way.push(async move { (address, attempt.await) });
        }
        let is_last = waiting.as_slice().is_empty();
        tokio::select! {
            answered = under_way.next() => match answered {
                Some((_, Ok(connected))) => return Ok(connected),
                Some((address, Err(error))) if several => errors.push((error.kind(), format!("{address}: {error}"))),
                Some((_, Err(error))) => return Err(error),
                None => break,
            },
            () = tokio::time::sleep(LEAD), if !is_last => {}
        }
    }
    let Some((kind, _)) = errors.first() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    };
    let said: Vec<&str> = errors.iter().take(3).map(|(_, said)| said.as_str()).collect();
    Err(io::Error::new(*kind, said.join("; ")))
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// A host of two addresses with one port, of which the first drops what comes: a listener whose queue is full.
    pub(crate) struct HalfDeaf {
        pub(crate) lookup: Lookup,
        pub(crate) port: u16,
        _deaf: TcpListener,
        waiting: Vec<tokio::task::JoinHandle<io::Result<TcpStream>>>,
    }

    impl HalfDeaf {
        /// The host, and the listener of the address that answers.
        pub(crate) async fn open() -> (HalfDeaf, TcpListener) {
            let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = good.local_addr().unwrap().port();
            let deaf = TcpSocket::new_v4().unwrap();
            let (first, second) = (SocketAddr::from(([127, 0, 0, 2], port)), SocketAddr::from(([127, 0, 0, 1], port)));
            deaf.bind(first).unwrap();
            let deaf = deaf.listen(1).unwrap();
            let waiting = (0..16).map(|_| tokio::spawn(TcpStream::connect(first))).collect();
            tokio::time::sleep(Duration::from_millis(50)).await;
            let lookup = Lookup::by(move |_, _| Box::pin(std::future::ready(Ok(vec![first, second]))));
            (HalfDeaf { lookup, port, _deaf: deaf, waiting }, good)
        }
    }

    impl Drop for HalfDeaf {
        fn drop(&mut self) {
            self.waiting.iter().for_each(tokio::task::JoinHandle::abort);
        }
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let all = ["[::1]:25", "[::2]:25", "1.1.1.1:25", "2.2.2.2:25", "3.3.3.3:25"].map(at).to_vec();
        let expected = ["[::1]:25", "1.1.1.1:25", "[::2]:25", "2.2.2.2:25", "3.3.3.3:25"].map(at);
        assert_eq!(interleaved(all), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_drops_packets_costs_a_moment() {
        let all = ["192.0.2.1:25", "192.0.2.2:25", "127.0.0.1:25"].map(at).to_vec();
        let began = tokio::time::Instant::now();
        let connect = |address: SocketAddr| async move {
            if address.ip().is_loopback() { Ok(address) } else { std::future::pending().await }
        };
        assert_eq!(side_by_side(all, connect).await.unwrap(), at("127.0.0.1:25"));
        assert_eq!(began.elapsed(), LEAD * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn every_refusal_is_told_and_costs_no_time() {
        let all = ["192.0.2.1:25", "192.0.2.2:25"].map(at).to_vec();
        let began = tokio::time::Instant::now();
        let refuse = |_| async { Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionRefused)) };
        let error = side_by_side(all, refuse).await.unwrap_err();
        assert_eq!(error.to_string(), "192.0.2.1:25: connection refused; 192.0.2.2:25: connection refused");
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(side_by_side(Vec::new(), refuse).await.unwrap_err().to_string().contains("no address"));
    }
}
