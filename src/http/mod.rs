//! Outbound HTTP: one way to build a client and one way to read a response, shared by sources and notifiers.
//!
//! TLS is always verified, against the system's roots and an optional `ca_file`; redirects are never followed; proxies
//! come from the environment; every request has a deadline; a body is read to a cap counted after decompression. A request
//! goes with its secrets ([`Outgoing`]), and nothing that comes back, response or error, is seen before they are removed
//! from it. Errors never hold a URL: a webhook's URL is a secret. This module knows nothing of schedulers or channels.

mod addresses;
mod certificates;
mod dial;
mod outgoing;
mod proxy;
mod quote;
mod response;

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Certificate, Client, Proxy, Url};

pub(crate) use addresses::dial;
pub use certificates::{CA_FILE, check_ca_file, check_client_cert};
pub use outgoing::{Outgoing, secrets_in};
pub use quote::{cut_to, snippet};
pub use response::{BodyEnd, Response};

use self::dial::Dialer;
use self::proxy::Proxies;
use crate::limits::{CONNECT_TIMEOUT, RETRY_AFTER_MAX};
use crate::secret::{Secret, Secrets};
use crate::yaml::Section;

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

/// Why there is no response. No message holds a URL or a secret of the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The client cannot be made: a certificate file is wrong.
    #[error("{0}")]
    Setup(String),
    /// Nothing was sent: no connection (name, refused, TLS, timeout).
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The request may have arrived; its answer did not, in time.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The request may have arrived; its answer broke off or was no HTTP.
    #[error("the answer broke off: {0}")]
    Broken(String),
}

impl HttpClient {
    /// A client for these settings.
    ///
    /// # Errors
    /// [`HttpError::Setup`] when a certificate file cannot be read or understood, or the environment names a proxy or roots
    /// that cannot be used.
    pub fn new(settings: &HttpSettings) -> Result<HttpClient, HttpError> {
        install_crypto();
        let has_own_roots = certificates::check_environment().map_err(HttpError::Setup)?;
        match build(settings, None) {
            // Images without a CA bundle: the bundled Mozilla roots stand in.
            Err(HttpError::Setup(reason)) if reason.contains("CA certificates") && !has_own_roots => {
                let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
                let roots = roots.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
                build(settings, Some(roots))
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
        let mut body = Vec::new();
        let end = loop {
            match tokio::time::timeout_at(deadline, response.chunk()).await.map_err(late) {
                Ok(Ok(None)) => break BodyEnd::Complete,
                Ok(Ok(Some(chunk))) => {
                    let room = body_bytes_max - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break BodyEnd::TooLong;
                    }
                }
                Ok(Err(error)) => break BodyEnd::Broken(classed(error, timeout, &secrets)),
                Err(late) => break BodyEnd::Broken(late),
            }
        };
        Ok(Response::new(response.status().as_u16(), response.headers().clone(), body, end, secrets))
    }
}

/// The instant that a header such as `Date` or `Retry-After` names, if it is a date as RFC 2822 writes one.
pub fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// How long a `Retry-After` asks to wait, at most [`RETRY_AFTER_MAX`]: seconds or an HTTP date. Nothing when it is in
/// the past or makes no sense.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are longer than the longest wait that is believed.
        text.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs)
    } else {
        Duration::try_from(http_date(text)?.duration_since(now)).ok()?
    };
    (!wait.is_zero()).then(|| wait.min(RETRY_AFTER_MAX))
}

/// The address of an API in the configuration, without a slash at its end. What is wrong with it is reported at `key`.
pub fn checked_endpoint(section: &Section<'_>, key: &'static str, text: &str) -> Option<String> {
    let wrong = |message: &str| {
        section.error(key, message, Some("write it as https://host or https://host:port".into()));
        None
    };
    let Ok(url) = Url::parse(text) else { return wrong("this is no address") };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return wrong("an address beginning with https:// or http:// is needed");
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return wrong("an address has no user, query or fragment here");
    }
    Some(url.as_str().trim_end_matches('/').to_string())
}

/// The URL in a secret; what of it is secret, [`secrets_in`] tells.
///
/// # Errors
/// When it is no http(s) URL with a host. The message does not repeat it.
pub fn secret_url(secret: &Secret) -> Result<Url, String> {
    let url = Url::parse(secret.expose().trim()).map_err(|error| format!("it is no URL: {error}"))?;
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

/// Makes ring the process's TLS provider. Idempotent; every client calls it, so that tests need not.
pub fn install_crypto() {
    // An error means that a provider is installed already, which is what is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}

fn build(settings: &HttpSettings, roots: Option<Vec<Certificate>>) -> Result<HttpClient, HttpError> {
    let proxies = Proxies::read(|name| std::env::var(name).ok()).map_err(HttpError::Setup)?;
    let (dialer, secrets) = (Dialer::default(), proxies.secrets());
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

fn classed(error: reqwest::Error, timeout: Duration, secrets: &Secrets) -> HttpError {
    let error = error.without_url();
    let said = || snippet(&secrets.redact(&certificates::explained(&chain(&error))));
    if error.is_connect() {
        HttpError::Connect(said())
    } else if error.is_timeout() {
        HttpError::Timeout(timeout)
    } else if error.is_builder() {
        HttpError::Setup(said())
    } else {
        HttpError::Broken(said())
    }
}

/// The last cause of an error: reqwest's own words say little ("error sending request"), its causes say what happened.
fn chain(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    let mut cause = error.source();
    while let Some(next) = cause {
        last = next;
        cause = next.source();
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_table() {
        let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let seconds = |n| Some(Duration::from_secs(n));
        let table = [
            ("1", seconds(1)),
            (" 30 ", seconds(30)),
            ("3600", seconds(3600)),
            ("3601", seconds(3600)),
            ("1000000000", seconds(3600)),
            ("99999999999999999999999999", seconds(3600)),
            ("0", None),
            ("-5", None),
            ("1e9", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("Sat, 21 Nov 2026 00:01:00 GMT", seconds(60)),
            ("Sat, 21 Nov 2026 09:00:00 GMT", seconds(3600)),
            ("Fri, 20 Nov 2026 23:59:00 GMT", None),
            ("Sat, 21 Nov 2026", None),
            ("Sat, 99 Nov 2026 00:01:00 GMT", None),
        ];
        for (text, expected) in table {
            assert_eq!(retry_after(text, now), expected, "{text:?}");
        }
    }
}
