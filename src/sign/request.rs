//! A request as it is signed, and what the schemes have in common: how a query is written, how headers are folded, what an
//! `Authorization` header says.
//!
//! Pure.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::coding::{hex, percent_decoded, percent_encoded};

/// A request as it goes over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// The path, percent-encoded as it is sent.
    pub path: &'a str,
    /// The query's keys and values, decoded, in any order.
    pub query: &'a [(String, String)],
    /// The headers to sign; which there must be, each scheme says.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

impl Signable<'_> {
    /// The headers as they are signed: names in lower case, values without white space around them, in order.
    pub(super) fn folded_headers(&self) -> Vec<(String, String)> {
        let folded = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.trim().to_string());
        let mut headers: Vec<_> = self.headers.iter().map(folded).collect();
        headers.sort();
        headers
    }

    /// The request in the one form that both sides hash, with the path and the headers as the scheme wants them.
    pub(super) fn canonical(&self, path: &str, headers: &[(String, String)]) -> String {
        let mut text = format!("{}\n{path}\n{}\n", self.method, canonical_query(self.query));
        for (name, value) in headers {
            let _ = writeln!(text, "{name}:{value}");
        }
        let _ = write!(text, "\n{}\n{}", signed_names(headers), hex(&Sha256::digest(self.body)));
        text
    }
}

/// What an `Authorization` header of a scheme says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Which key signed.
    pub access_key: String,
    /// The signed headers' names, lower case.
    pub signed_headers: Vec<String>,
    /// The signature, in hexadecimal.
    pub signature: String,
}

impl Authorization {
    /// Reads the header's value: the algorithm, then the key under `key`, the names and the signature. `None` when it is of
    /// another scheme or incomplete.
    pub(super) fn read(header: &str, algorithm: &str, key: &str) -> Option<Authorization> {
        let mut parts = header.strip_prefix(algorithm)?.split(',').map(str::trim);
        let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        Some(Authorization {
            access_key: part(key)?.to_string(),
            signed_headers: part("SignedHeaders")?.split(';').map(str::to_string).collect(),
            signature: part("Signature")?.to_string(),
        })
    }
}

/// The names of the signed headers as the schemes list them.
pub(super) fn signed_names(headers: &[(String, String)]) -> String {
    let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    names.join(";")
}

/// The instant of a text in UTC in this format.
pub(super) fn utc(format: &str, text: &str) -> Option<Timestamp> {
    let date = DateTime::strptime(format, text).ok()?;
    date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// A query as it is signed, and as it is best sent: sorted by key and value, `k=` for an empty value.
pub fn canonical_query(pairs: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort();
    let encoded = sorted.into_iter().map(|(key, value)| format!("{}={}", percent_encoded(key), percent_encoded(value)));
    encoded.collect::<Vec<_>>().join("&")
}

/// The decoded keys and values of a query as it came over the wire.
pub fn parse_query(raw: &str) -> Vec<(String, String)> {
    let text = |part: &str| String::from_utf8_lossy(&percent_decoded(part)).into_owned();
    let pairs = raw.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(key, value)| (text(key), text(value))).collect()
}
