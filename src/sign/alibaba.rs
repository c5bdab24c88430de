//! Request signing by ACS3-HMAC-SHA256, the scheme of Alibaba Cloud's API gateways.
//!
//! Pure: takes the request as it goes over the wire and gives the `Authorization` header, or tells whether a given
//! one is right. The client signs with it and the simulated service verifies with it. It reads no clock (date and
//! nonce are headers of the request) and must never know what the requests are for.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::{canonical_query, hex, signed_names, unhex};

/// The header that names the operation.
pub const ACTION_HEADER: &str = "x-acs-action";
/// The header with the SHA-256 of the body, in hexadecimal.
pub const CONTENT_HEADER: &str = "x-acs-content-sha256";
/// The header that tells when a request was signed.
pub const DATE_HEADER: &str = "x-acs-date";
/// The header whose value must be another one in each request.
pub const NONCE_HEADER: &str = "x-acs-signature-nonce";
/// The header with the token of a temporary key.
pub const TOKEN_HEADER: &str = "x-acs-security-token";
/// The header with the version of the API.
pub const VERSION_HEADER: &str = "x-acs-version";
/// The name of the scheme, which begins the header and the text that is signed.
const ALGORITHM: &str = "ACS3-HMAC-SHA256";
const DATE_FORMAT: &str = "%Y-%m-%dT%H:%M:%SZ";

/// A request as it goes over the wire. The path is always `/`.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// The query's keys and values, decoded, in any order.
    pub query: &'a [(String, String)],
    /// The headers to sign: `host` and every `x-acs-*`, [`CONTENT_HEADER`] among them.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

/// What an `Authorization` header of this scheme says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Which key signed.
    pub access_key: String,
    /// The signed headers' names, lower case.
    pub signed_headers: Vec<String>,
    /// The signature, in hexadecimal.
    pub signature: String,
}

impl Signable<'_> {
    /// The value of the `Authorization` header for this request.
    pub fn authorization(&self, access_key: &str, secret_key: &str) -> String {
        let names = signed_names(&self.canonical_headers());
        let signature = hex(&self.mac(secret_key).finalize().into_bytes());
        format!("{ALGORITHM} Credential={access_key},SignedHeaders={names},Signature={signature}")
    }

    /// Whether `signature`, in hexadecimal, is the one of this request; compared in constant time.
    pub fn is_signed_by(&self, secret_key: &str, signature: &str) -> bool {
        unhex(signature).is_some_and(|claimed| self.mac(secret_key).verify_slice(&claimed).is_ok())
    }

    /// The request in the one form that both sides hash.
    pub fn canonical(&self) -> String {
        let headers = self.canonical_headers();
        let mut text = format!("{}\n/\n{}\n", self.method, canonical_query(self.query));
        for (name, value) in &headers {
            let _ = writeln!(text, "{name}:{value}");
        }
        let _ = write!(text, "\n{}\n{}", signed_names(&headers), content_hash(self.body));
        text
    }

    fn canonical_headers(&self) -> Vec<(String, String)> {
        let lower = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.trim().to_string());
        let mut headers: Vec<_> = self.headers.iter().map(lower).collect();
        headers.sort();
        headers
    }

    fn mac(&self, secret_key: &str) -> Hmac<Sha256> {
        let hashed = hex(&Sha256::digest(self.canonical()));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret_key.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(format!("{ALGORITHM}\n{hashed}").as_bytes());
        mac
    }
}

impl Authorization {
    /// Reads the header's value; `None` when it is of another scheme or incomplete.
    pub fn parse(header: &str) -> Option<Authorization> {
        let mut parts = header.strip_prefix(ALGORITHM)?.split(',').map(str::trim);
        let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        Some(Authorization {
            access_key: part("Credential")?.to_string(),
            signed_headers: part("SignedHeaders")?.split(';').map(str::to_string).collect(),
            signature: part("Signature")?.to_string(),
        })
    }
}

/// The value of [`CONTENT_HEADER`] for a body.
pub fn content_hash(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

/// A nonce in hexadecimal, from random bytes.
pub fn nonce_text(random: [u8; 16]) -> String {
    hex(&random)
}

/// An instant as [`DATE_HEADER`] writes it: `2024-02-29T23:59:59Z`.
pub fn date_text(instant: Timestamp) -> String {
    instant.strftime(DATE_FORMAT).to_string()
}

/// The instant that a [`DATE_HEADER`] names.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    let date = DateTime::strptime(DATE_FORMAT, text).ok()?;
    date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sign::parse_query;

    /// Requests signed by the vendor's own signers.
    const VECTORS: &str = include_str!("../../tests/data/alibaba-vectors.json");

    fn texts(map: &Value) -> Vec<(String, String)> {
        let pairs = map.as_object().into_iter().flatten();
        pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_string())).collect()
    }

    #[test]
    fn signs_as_the_vendors_own_signers_do() {
        let document: Value = serde_json::from_str(VECTORS).unwrap();
        let vectors = document["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 8);
        for vector in vectors {
            let text = |key: &str| vector[key].as_str().unwrap_or_default();
            let (name, query, headers) = (text("name"), texts(&vector["query"]), texts(&vector["headers_signed"]));
            let request =
                Signable { method: text("method"), query: &query, headers: &headers, body: text("body").as_bytes() };
            assert_eq!(request.canonical(), text("canonical_request"), "{name}");
            let authorization = request.authorization(text("access_key_id"), text("access_key_secret"));
            assert_eq!(authorization, text("authorization"), "{name}");
            let hash = headers.iter().find(|(name, _)| name == CONTENT_HEADER).unwrap();
            assert_eq!(content_hash(request.body), hash.1, "{name}");
            assert_eq!(date_text(parse_date(text("date")).unwrap()), text("date"), "{name}");

            let sent = text("url").split_once('?').map_or("", |(_, query)| query);
            assert_eq!(canonical_query(&query), sent, "{name}: the query as it is sent");
            let (mut received, mut asked) = (parse_query(sent), query.clone());
            received.sort();
            asked.sort();
            assert_eq!(received, asked, "{name}: the query as it is received");

            let read = Authorization::parse(text("authorization")).unwrap();
            assert_eq!(read.access_key, text("access_key_id"), "{name}");
            assert_eq!(read.signed_headers.join(";"), text("signed_headers"), "{name}");
            assert!(request.is_signed_by(text("access_key_secret"), &read.signature), "{name}");
            assert!(!request.is_signed_by("another secret", &read.signature), "{name}");
            let tampered = Signable { body: b"tampered", ..request };
            assert!(!tampered.is_signed_by(text("access_key_secret"), &read.signature), "{name}");
        }
    }

    #[test]
    fn a_header_of_another_kind_is_no_authorization() {
        for header in
            ["", "Bearer x", "SDK-HMAC-SHA256 Access=a, SignedHeaders=b, Signature=c", "ACS3-HMAC-SHA256 Credential=a"]
        {
            assert_eq!(Authorization::parse(header), None, "{header:?}");
        }
    }
}
