//! Why there is no response, in words that hold no URL and no secret.
//!
//! Pure.

use std::time::Duration;

use super::certificates::{chain, explained};
use super::quote::snippet;
use crate::secret::Secrets;

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

/// The class of a client's error, freed of the secrets of its request.
pub(super) fn classed(error: reqwest::Error, timeout: Duration, secrets: &Secrets) -> HttpError {
    let error = error.without_url();
    let said = || snippet(&secrets.redact(&explained(&chain(&error))));
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
