//! Request signing by ACS3-HMAC-SHA256, the scheme of Alibaba Cloud's API gateways.
//!
//! Pure: takes the request as it goes over the wire and gives the `Authorization` header, or tells whether a given
//! one is right. The client signs with it and the simulated service verifies with it. It reads no clock (date and
//! nonce are headers of the request) and must never know what the requests are for.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::request::{Authorization, Signable, signed_names, utc};
use crate::coding::{hex, unhex};

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

/// The value of the `Authorization` header for a request, whose path is `/` and whose headers are `host` and every `x-acs-*`,
/// [`CONTENT_HEADER`] among them.
pub fn authorization(request: &Signable<'_>, access_key: &str, secret_key: &str) -> String {
    let names = signed_names(&request.folded_headers());
    let signature = hex(&mac(request, secret_key).finalize().into_bytes());
    format!("{ALGORITHM} Credential={access_key},SignedHeaders={names},Signature={signature}")
}

/// Whether `signature`, in hexadecimal, is the one of the request; compared in constant time.
pub fn is_signed_by(request: &Signable<'_>, secret_key: &str, signature: &str) -> bool {
    unhex(signature).is_some_and(|claimed| mac(request, secret_key).verify_slice(&claimed).is_ok())
}

/// The request in the one form that both sides hash.
pub fn canonical(request: &Signable<'_>) -> String {
    request.canonical(request.path, &request.folded_headers())
}

/// Reads an `Authorization` header's value; `None` when it is of another scheme or incomplete.
pub fn parse(header: &str) -> Option<Authorization> {
    Authorization::read(header, ALGORITHM, "Credential")
}

fn mac(request: &Signable<'_>, secret_key: &str) -> Hmac<Sha256> {
    let hashed = hex(&Sha256::digest(canonical(request)));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret_key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{ALGORITHM}\n{hashed}").as_bytes());
    mac
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
    utc(DATE_FORMAT, text)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sign::{canonical_query, parse_query};

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
            let request = Signable {
                method: text("method"),
                path: "/",
                query: &query,
                headers: &headers,
                body: text("body").as_bytes(),
            };
            assert_eq!(canonical(&request), text("canonical_request"), "{name}");
            let authorization = authorization(&request, text("access_key_id"), text("access_key_secret"));
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

            let read = parse(text("authorization")).unwrap();
            assert_eq!(read.access_key, text("access_key_id"), "{name}");
            assert_eq!(read.signed_headers.join(";"), text("signed_headers"), "{name}");
            assert!(is_signed_by(&request, text("access_key_secret"), &read.signature), "{name}");
            assert!(!is_signed_by(&request, "another secret", &read.signature), "{name}");
            let tampered = Signable { body: b"tampered", ..request };
            assert!(!is_signed_by(&tampered, text("access_key_secret"), &read.signature), "{name}");
        }
    }

    #[test]
    fn a_header_of_another_kind_is_no_authorization() {
        for header in
            ["", "Bearer x", "SDK-HMAC-SHA256 Access=a, SignedHeaders=b, Signature=c", "ACS3-HMAC-SHA256 Credential=a"]
        {
            assert_eq!(parse(header), None, "{header:?}");
        }
    }
}
