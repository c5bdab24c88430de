//! A response, freed of its request's secrets before anybody sees any of it.
//!
//! Pure: takes what arrived and gives it out redacted first and cut second. There is no other way to its text, its
//! headers and its body.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;

use super::date::{http_date, retry_after};
use super::error::HttpError;
use super::quote::snippet;
use crate::secret::{Secret, Secrets};

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEnd {
    /// All of it is there.
    Complete,
    /// It was longer than the caller would read.
    TooLong,
    /// It broke off, or did not come in time.
    Broken(HttpError),
}

/// A response, its body read to the end or as far as it came.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// How the body ended.
    pub end: BodyEnd,
    headers: HeaderMap,
    body: Vec<u8>,
    secrets: Secrets,
}

impl Response {
    /// What arrived, without the secrets of its request.
    pub fn new(status: u16, headers: HeaderMap, body: Vec<u8>, end: BodyEnd, secrets: Secrets) -> Response {
        let body = secrets.redact_body(body, end == BodyEnd::Complete);
        Response { status, end, headers, body, secrets }
    }

    /// The response, if all of its body arrived, or as much as was to be read.
    ///
    /// # Errors
    /// When it broke off, as for a response that never came.
    pub fn complete(self) -> Result<Response, HttpError> {
        match self.end {
            BodyEnd::Broken(error) => Err(error),
            BodyEnd::Complete | BodyEnd::TooLong => Ok(self),
        }
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The beginning of a header's text on one line, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = self.headers.get(name)?.to_str().ok()?;
        Some(snippet(&self.secrets.redact(text)))
    }

    /// A header that is a secret itself.
    pub fn secret_header(&self, name: &str) -> Option<Secret> {
        let text = self.headers.get(name)?.to_str().ok().filter(|text| !text.is_empty())?;
        Some(Secret::new(text))
    }

    /// All headers of a name that are secrets themselves: a service may set several cookies.
    pub fn secret_headers(&self, name: &str) -> Vec<Secret> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(Secret::new).collect()
    }

    /// The body of an answer that holds a secret of its own: the token that a sign-in got.
    pub fn secret_text(&self) -> Secret {
        Secret::new(self.text().into_owned())
    }

    /// A header's whole text, for who goes by it and shows it to nobody: the address of a next page.
    pub fn whole_header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long `Retry-After` asks to wait, if it is there and makes sense.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        retry_after(self.headers.get("retry-after")?.to_str().ok()?, now)
    }

    /// When the response was made by its server's clock, if it says so.
    pub fn date(&self) -> Option<Timestamp> {
        http_date(self.headers.get("date")?.to_str().ok()?)
    }

    /// The body after decompression, at most as long as the caller's cap.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The same body, given away.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text; bytes that are no UTF-8 become replacement characters.
    pub fn text(&self) -> Cow<'_, str> {
        match String::from_utf8_lossy(&self.body) {
            Cow::Borrowed(text) => self.secrets.redact(text),
            Cow::Owned(text) => Cow::Owned(self.secrets.redact(&text).into_owned()),
        }
    }

    /// The beginning of the body on one line, for an error.
    pub fn excerpt(&self) -> String {
        snippet(&self.text())
    }
}
