//! Request signing by SDK-HMAC-SHA256, the scheme of Huawei Cloud's API gateways.
//!
//! Pure: takes the request as it goes over the wire and gives the `Authorization` header, or tells whether a given
//! one is right. The client signs with it and the simulated workspace verifies with it. It reads no clock (the date
//! is a header of the request) and must never know what the requests are for.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::request::{Authorization, Signable, signed_names, utc};
use crate::coding::{hex, percent_decoded, percent_encoded, unhex};

/// The header that tells when a request was signed; it must be among the signed ones.
pub const DATE_HEADER: &str = "X-Sdk-Date";
/// The name of the scheme, which begins the header and the text that is signed.
const ALGORITHM: &str = "SDK-HMAC-SHA256";
const DATE_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// The value of the `Authorization` header for a request, whose headers are `Host` and [`DATE_HEADER`] at least. Those with
/// a `_` in their name are not signed, as gateways drop them.
pub fn authorization(request: &Signable<'_>, access_key: &str, secret_key: &str) -> String {
    let names = signed_names(&signed_headers(request));
    let signature = hex(&mac(request, secret_key).finalize().into_bytes());
    format!("{ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature={signature}")
}

/// Whether `signature`, in hexadecimal, is the one of the request; compared in constant time.
pub fn is_signed_by(request: &Signable<'_>, secret_key: &str, signature: &str) -> bool {
    unhex(signature).is_some_and(|claimed| mac(request, secret_key).verify_slice(&claimed).is_ok())
}

/// The request in the one form that both sides hash.
pub fn canonical(request: &Signable<'_>) -> String {
    request.canonical(&canonical_path(request.path), &signed_headers(request))
}

/// Reads an `Authorization` header's value; `None` when it is of another scheme or incomplete.
pub fn parse(header: &str) -> Option<Authorization> {
    Authorization::read(header, ALGORITHM, "Access")
}

fn signed_headers(request: &Signable<'_>) -> Vec<(String, String)> {
    let mut headers = request.folded_headers();
    headers.retain(|(name, _)| !name.contains('_'));
    headers
}

fn mac(request: &Signable<'_>, secret_key: &str) -> Hmac<Sha256> {
    let headers = signed_headers(request);
    let date = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(DATE_HEADER));
    let date = date.map_or("", |(_, date)| date.as_str());
    let hashed = hex(&Sha256::digest(canonical(request)));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret_key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{ALGORITHM}\n{date}\n{hashed}").as_bytes());
    mac
}

/// An instant as [`DATE_HEADER`] writes it: `20240229T235959Z`.
pub fn date_text(instant: Timestamp) -> String {
    instant.strftime(DATE_FORMAT).to_string()
}

/// The instant that a [`DATE_HEADER`] names.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    utc(DATE_FORMAT, text)
}

/// The path decoded, each segment encoded anew, a `/` at its end: an encoded slash becomes a real one, as gateways do.
fn canonical_path(path: &str) -> String {
    let decoded = percent_decoded(path);
    let mut out = String::with_capacity(path.len() + 1);
    for (index, segment) in decoded.split(|byte| *byte == b'/').enumerate() {
        if index > 0 {
            out.push('/');
        }
        out.push_str(&percent_encoded(segment));
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
    use crate::sign::{canonical_query, parse_query};

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
            assert_eq!(canonical(&request), text("canonical_request"), "{name}");
            assert_eq!(authorization(&request, text("ak"), text("sk")), text("authorization"), "{name}");

            let sent = text("url_as_sent").split_once('?').map_or("", |(_, query)| query);
            assert_eq!(canonical_query(&query), sent, "{name}: the query as it is sent");
            let mut received = parse_query(sent);
            let mut asked = query.clone();
            received.sort();
            asked.sort();
            assert_eq!(received, asked, "{name}: the query as it is received");

            let read = parse(text("authorization")).unwrap();
            assert_eq!(read.access_key, text("ak"), "{name}");
            assert_eq!(read.signed_headers.join(";"), text("signed_headers"), "{name}");
            assert!(is_signed_by(&request, text("sk"), &read.signature), "{name}");
            assert!(!is_signed_by(&request, "another secret", &read.signature), "{name}");
            let tampered = Signable { method: "DELETE", ..request };
            assert!(!is_signed_by(&tampered, text("sk"), &read.signature), "{name}");
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
            assert_eq!(parse(header), None, "{header:?}");
        }
    }
}
