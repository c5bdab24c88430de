//! Request signing by SDK-HMAC-SHA256, the scheme of Huawei Cloud's API gateways.
//!
//! Pure: takes the request as it goes over the wire and gives the `Authorization` header, or tells whether a given
//! one is right. The client signs with it and the simulated workspace verifies with it. It reads no clock (the date
//! is a header of the request) and must never know what the requests are for.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::{canonical_query, encode_into, hex, percent_decoded, signed_names, unhex};

/// The header that tells when a request was signed; it must be among the signed ones.
pub const DATE_HEADER: &str = "X-Sdk-Date";
/// The name of the scheme, which begins the header and the text that is signed.
const ALGORITHM: &str = "SDK-HMAC-SHA256";
const DATE_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// A request as it goes over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// The path, percent-encoded as it is sent.
    pub path: &'a str,
    /// The query's keys and values, decoded, in any order.
    pub query: &'a [(String, String)],
    /// The headers to sign, `Host` and [`DATE_HEADER`] among them. Names with `_` are left out, as gateways drop them.
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
        let headers = self.canonical_headers();
        let names = signed_names(&headers);
        let signature = hex(&self.mac(&headers, secret_key).finalize().into_bytes());
        format!("{ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature={signature}")
    }

    /// Whether `signature`, in hexadecimal, is the one of this request; compared in constant time.
    pub fn is_signed_by(&self, secret_key: &str, signature: &str) -> bool {
        let Some(claimed) = unhex(signature) else { return false };
        self.mac(&self.canonical_headers(), secret_key).verify_slice(&claimed).is_ok()
    }

    /// The request in the one form that both sides hash.
    pub fn canonical(&self) -> String {
        self.canonical_with(&self.canonical_headers())
    }

    fn canonical_headers(&self) -> Vec<(String, String)> {
        let signed = self.headers.iter().filter(|(name, _)| !name.contains('_'));
        let mut headers: Vec<_> =
            signed.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string())).collect();
        headers.sort();
        headers
    }

    fn canonical_with(&self, headers: &[(String, String)]) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.method, canonical_path(self.path), canonical_query(self.query));
        for (name, value) in headers {
            let _ = writeln!(text, "{name}:{value}");
        }
        let _ = write!(text, "\n{}\n{}", signed_names(headers), hex(&Sha256::digest(self.body)));
        text
    }

    fn mac(&self, headers: &[(String, String)], secret_key: &str) -> Hmac<Sha256> {
        let date = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(DATE_HEADER));
        let date = date.map_or("", |(_, date)| date.as_str());
        let hashed = hex(&Sha256::digest(self.canonical_with(headers)));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret_key.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(format!("{ALGORITHM}\n{date}\n{hashed}").as_bytes());
        mac
    }
}

impl Authorization {
    /// Reads the header's value; `None` when it is of another scheme or incomplete.
    pub fn parse(header: &str) -> Option<Authorization> {
        let mut parts = header.strip_prefix(ALGORITHM)?.split(',').map(str::trim);
        let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        Some(Authorization {
            access_key: part("Access")?.to_string(),
            signed_headers: part("SignedHeaders")?.split(';').map(str::to_string).collect(),
            signature: part("Signature")?.to_string(),
        })
    }
}

/// An instant as [`DATE_HEADER`] writes it: `20240229T235959Z`.
pub fn date_text(instant: Timestamp) -> String {
    instant.strftime(DATE_FORMAT).to_string()
}

/// The instant that a [`DATE_HEADER`] names.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    let date = DateTime::strptime(DATE_FORMAT, text).ok()?;
    date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// The path decoded, each segment encoded anew, a `/` at its end: an encoded slash becomes a real one, as gateways do.
fn canonical_path(path: &str) -> String {
    let decoded = percent_decoded(path);
    let mut out = String::with_capacity(path.len() + 1);
    for (index, segment) in decoded.split(|byte| *byte == b'/').enumerate() {
        if index > 0 {
            out.push('/');
        }
        encode_into(&mut out, segment);
    }
    if !out.ends_with('/') {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sign::parse_query;

    /// Requests signed by the vendor's own signer.
    const VECTORS: &str = include_str!("../../tests/data/huawei-vectors.json");

    fn pairs(vector: &Value) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
        let mut pairs = Vec::new();
        for pair in vector["query_input"].as_array().unwrap() {
            let key = text(&pair[0]);
            match &pair[1] {
                Value::Array(values) => pairs.extend(values.iter().map(|value| (key.clone(), text(value)))),
                value => pairs.push((key, text(value))),
            }
        }
        pairs
    }

    #[test]
    fn signs_as_the_vendors_own_signer_does() {
        let document: Value = serde_json::from_str(VECTORS).unwrap();
        let vectors = document["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 11);
        for vector in vectors {
            let text = |key: &str| vector[key].as_str().unwrap_or_default();
            let headers = vector["headers_signed"].as_object().unwrap();
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_string())).collect();
            let query = pairs(vector);
            let request = Signable {
                method: text("method"),
                path: text("path_as_sent"),
                query: &query,
                headers: &headers,
                body: text("body").as_bytes(),
            };
            let name = text("name");
            assert_eq!(request.canonical(), text("canonical_request"), "{name}");
            assert_eq!(request.authorization(text("ak"), text("sk")), text("authorization"), "{name}");

            let sent = text("url_as_sent").split_once('?').map_or("", |(_, query)| query);
            assert_eq!(canonical_query(&query), sent, "{name}: the query as it is sent");
            let mut received = parse_query(sent);
            let mut asked = query.clone();
            received.sort();
            asked.sort();
            assert_eq!(received, asked, "{name}: the query as it is received");

            let read = Authorization::parse(text("authorization")).unwrap();
            assert_eq!(read.access_key, text("ak"), "{name}");
            assert_eq!(read.signed_headers.join(";"), text("signed_headers"), "{name}");
            assert!(request.is_signed_by(text("sk"), &read.signature), "{name}");
            assert!(!request.is_signed_by("another secret", &read.signature), "{name}");
            let tampered = Signable { method: "DELETE", ..request };
            assert!(!tampered.is_signed_by(text("sk"), &read.signature), "{name}");
        }
    }

    #[test]
    fn dates_go_there_and_back() {
        let instant: Timestamp = "2024-02-29T23:59:59Z".parse().unwrap();
        assert_eq!(date_text(instant), "20240229T235959Z");
        assert_eq!(parse_date("20240229T235959Z"), Some(instant));
        for wrong in ["", "20240229", "20240230T000000Z", "2024-02-29T23:59:59Z"] {
            assert_eq!(parse_date(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_header_of_another_kind_is_no_authorization() {
        for header in ["", "Bearer x", "SDK-HMAC-SHA256 Access=a", "SDK-HMAC-SHA256 Signature=a, Access=b"] {
            assert_eq!(Authorization::parse(header), None, "{header:?}");
        }
    }
}
