//! Outbound HTTP: one way to build a client and one way to read a response, shared by sources and notifiers.
//!
//! TLS is always verified, against the system's roots and an optional `ca_file`; redirects are never followed; proxies
//! come from the environment; every request has a deadline; a body is read to a cap counted after decompression. A request
//! goes with its secrets ([`Outgoing`]), and nothing that comes back, response or error, is seen before they are removed
//! from it. Errors never hold a URL: a webhook's URL is a secret. This module knows nothing of schedulers or channels.

mod addresses;
mod certificates;
mod date;
mod dial;
mod error;
mod outgoing;
mod place;
mod proxy;
mod quote;
mod response;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Certificate, Client, Proxy, Url};

pub(crate) use addresses::{Lookup, dial};
pub use certificates::{CA_FILE, check_ca_file, check_client_cert, install_crypto};
pub(crate) use certificates::{check_environment, explained, trusted};
pub use date::http_date;
pub use error::HttpError;
pub use outgoing::{Outgoing, secrets_in, set_headers};
pub use place::{checked_endpoint, is_region, read_place};
pub(crate) use proxy::names_proxy;
pub use quote::{cut_to, snippet};
pub use response::{BodyEnd, Response};

use self::certificates::chain;
use self::dial::Dialer;
use self::error::classed;
use self::proxy::Proxies;
use crate::limits::{CONNECT_TIMEOUT, TAILED_BYTES_MAX};
use crate::secret::{Secret, Secrets};

/// How one client differs from another.
#[derive(Debug, Clone, Default)]
pub struct HttpSettings {
    /// PEM certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with a certificate and its key, to show to the server.
    pub client_cert: Option<PathBuf>,
}

/// A client with the house's policy.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client,
    dialer: Dialer,
    /// The credentials in proxies' addresses.
    proxies: Secrets,
}

impl HttpClient {
    /// A client for these settings.
    ///
    /// # Errors
    /// [`HttpError::Setup`] when a certificate file cannot be read or understood, or the environment names a proxy or roots
    /// that cannot be used.
    pub fn new(settings: &HttpSettings) -> Result<HttpClient, HttpError> {
        HttpClient::looking_up(settings, &Lookup::default())
    }

    /// The same with another way to find the addresses of hosts.
    fn looking_up(settings: &HttpSettings, lookup: &Lookup) -> Result<HttpClient, HttpError> {
        install_crypto();
        let has_own_roots = check_environment().map_err(HttpError::Setup)?;
        match build(settings, lookup, None) {
            // Images without a CA bundle: the bundled Mozilla roots stand in.
            Err(HttpError::Setup(reason)) if reason.contains("CA certificates") && !has_own_roots => {
                let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
                let roots = roots.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
                build(settings, lookup, Some(roots))
            }
            other => other,
        }
    }

    /// The client that requests are built with.
    pub fn inner(&self) -> &Client {
        &self.client
    }

    /// Sends a request and reads at most `body_bytes_max` bytes of the response's body, all within `timeout`. Once status
    /// and headers are there it is a response, however its body ends.
    ///
    /// # Errors
    /// [`HttpError`], classed by whether anything can have arrived at the other side.
    pub async fn send(
        &self,
        outgoing: Outgoing,
        timeout: Duration,
        body_bytes_max: usize,
    ) -> Result<Response, HttpError> {
        self.exchange(outgoing, timeout, body_bytes_max, Kept::Beginning).await
    }

    /// The same for a long text of which the end matters: reads all of the body, [`TAILED_BYTES_MAX`] bytes at most, and
    /// keeps about the last `kept_bytes` of it.
    ///
    /// # Errors
    /// As for [`HttpClient::send`].
    pub async fn send_for_end(
        &self,
        outgoing: Outgoing,
        timeout: Duration,
        kept_bytes: usize,
    ) -> Result<Response, HttpError> {
        self.exchange(outgoing, timeout, TAILED_BYTES_MAX, Kept::End(kept_bytes)).await
    }

    async fn exchange(
        &self,
        outgoing: Outgoing,
        timeout: Duration,
        body_bytes_max: usize,
        kept: Kept,
    ) -> Result<Response, HttpError> {
        let Outgoing { request, mut secrets } = outgoing;
        secrets.join(&self.proxies);
        self.dialer.expect(request.url());
        let host = request.url().domain().map(str::to_string);
        let deadline = tokio::time::Instant::now() + timeout;
        let late = |_| HttpError::Timeout(timeout);
        let answered = tokio::time::timeout_at(deadline, self.client.execute(request)).await.map_err(late)?;
        let mut response = answered.map_err(|error| {
            self.dialer.forget(host.as_deref().filter(|_| error.is_connect()));
            classed(error, timeout, &secrets)
        })?;
        let (mut body, mut dropped) = (Vec::new(), 0);
        let end = loop {
            match tokio::time::timeout_at(deadline, response.chunk()).await.map_err(late) {
                Ok(Ok(None)) => break BodyEnd::Complete,
                Ok(Ok(Some(chunk))) => {
                    let room = body_bytes_max - dropped - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break BodyEnd::TooLong;
                    }
                    if let Kept::End(bytes) = kept
                        && body.len() > 2 * bytes
                    {
                        let surplus = body.len() - bytes;
                        body.drain(..surplus);
                        dropped += surplus;
                    }
                }
                Ok(Err(error)) => break BodyEnd::Broken(classed(error, timeout, &secrets)),
                Err(late) => break BodyEnd::Broken(late),
            }
        };
        Ok(Response::new(response.status().as_u16(), response.headers().clone(), body, end, secrets))
    }
}

/// Which part of a body is kept.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Beginning,
    End(usize),
}

/// The URL in a secret; what of it is secret, [`secrets_in`] tells.
///
/// # Errors
/// When it is no http(s) URL with a host. The message does not repeat it.
pub fn secret_url(secret: &Secret) -> Result<Url, String> {
    let text = secret.expose().trim();
    if !text.contains("://") {
        return Err("it is not a valid URL: it must begin with https:// or http://".to_string());
    }
    if text.find('<').is_some_and(|at| text[at..].contains('>')) {
        return Err("it is not a valid URL: it holds a placeholder, <…>".to_string());
    }
    let url = Url::parse(text).map_err(|error| format!("it is not a valid URL: {error}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        "http" | "https" => Err("the URL names no host".to_string()),
        _ => Err("the URL must begin with https:// or http://".to_string()),
    }
}

/// The `Host` header of a request to this address, as it goes out: with the port where it is not the scheme's own.
pub fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"))
}

fn build(settings: &HttpSettings, lookup: &Lookup, roots: Option<Vec<Certificate>>) -> Result<HttpClient, HttpError> {
    let proxies = Proxies::read(|name| std::env::var(name).ok()).map_err(HttpError::Setup)?;
    let (dialer, secrets) = (Dialer::new(lookup.clone()), proxies.secrets());
    let mut builder = Client::builder()
        .dns_resolver(dialer.clone())
        .proxy(Proxy::custom(move |url| proxies.of(url)))
        .user_agent(concat!("nightbell/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(30));
    if let Some(path) = &settings.ca_file {
        builder = builder.tls_certs_merge(certificates::authorities(path).map_err(HttpError::Setup)?);
    }
    if let Some(path) = &settings.client_cert {
        builder = builder.identity(certificates::identity(path).map_err(HttpError::Setup)?);
    }
    if let Some(roots) = roots {
        builder = builder.tls_certs_only(roots);
    }
    let client = builder.build().map_err(|error| HttpError::Setup(chain(&error.without_url())))?;
    Ok(HttpClient { client, dialer, proxies: secrets })
}

#[cfg(test)]
pub(crate) use addresses::tests::HalfDeaf;
