//! The gateway before the service: who asks, is the request fresh, and how often has this been asked.
//!
//! The signature is checked over the request line and the headers as they were received, with the code that the vendor's
//! own test vectors hold.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::DATE;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use jiff::SignedDuration;
use serde_json::json;

use super::service;
use super::state::Shared;
use crate::lock::locked;
use crate::sign::alibaba::{
    ACTION_HEADER, CONTENT_HEADER, DATE_HEADER, NONCE_HEADER, TOKEN_HEADER, VERSION_HEADER, canonical, content_hash,
    is_signed_by, parse, parse_date,
};
use crate::sign::{Signable, parse_query};
use crate::sim::fault::{self, Operation};

/// Furthest that the clock of a signed request may be off.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(15 * 60);
/// What a throttled caller is told to wait, in milliseconds.
const THROTTLED_MILLISECONDS: &str = "10";

/// An answer of the gateway that is an error: status, code, words.
struct Refusal(StatusCode, &'static str, String);

type Pairs = Vec<(String, String)>;

pub(super) async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let query = parse_query(request.uri().query().unwrap_or_default());
    let headers = request.headers();
    let action = headers.get(ACTION_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default().to_string();
    let fault = {
        let mut state = locked(&shared.state);
        *state.counts.entry(action.clone()).or_default() += 1;
        let known = service::ACTIONS.iter().find(|known| **known == action);
        fault::take(&mut state.faults, known.map_or(Operation::Any, |known| Operation::Action(known)))
    };
    let checked = check(&shared, request.method().as_str(), request.uri().path(), headers, &query)
        .and_then(|()| throttle(&shared, &action));
    let (status, body) = match checked {
        Ok(()) => {
            let body = service::serve(&shared, &action, &query);
            if body["Success"] != json!(true) {
                locked(&shared.state).refused += 1;
            }
            (StatusCode::OK, body)
        }
        Err(Refusal(status, code, words)) => {
            locked(&shared.state).refused += 1;
            let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
            let body = json!({
                "Code": code,
                "Message": words,
                "RequestId": "4F68ABED-AC31-4412-9297-D9A8F0401108",
                "HostId": host,
                "Recommend": "https://api.example.com/troubleshoot",
            });
            (status, body)
        }
    };
    let is_throttled = body["Code"] == json!("Throttling.User");
    let mut response = fault::apply(fault, status, body.to_string().into_bytes()).await;
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&shared.clock.now());
    if let Some(date) = date.ok().and_then(|date| HeaderValue::try_from(date).ok()) {
        response.headers_mut().entry(DATE).or_insert(date);
    }
    if is_throttled {
        response.headers_mut().insert("x-acs-retry-after", HeaderValue::from_static(THROTTLED_MILLISECONDS));
    }
    response
}

/// Whether the request comes from somebody who is known, just now, and for the first time.
fn check(shared: &Shared, method: &str, path: &str, headers: &HeaderMap, query: &Pairs) -> Result<(), Refusal> {
    let bad = |code, words: &str| Refusal(StatusCode::BAD_REQUEST, code, words.to_string());
    let config = locked(&shared.config).clone();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if path != "/" || header(VERSION_HEADER) != Some("2019-04-30") {
        return Err(Refusal(
            StatusCode::NOT_FOUND,
            "InvalidVersion",
            "Specified parameter Version is not valid.".into(),
        ));
    }
    let claimed = header("Authorization").and_then(parse);
    let claimed = claimed.ok_or_else(|| bad("IncompleteSignature", "The request signature does not conform."))?;
    if claimed.access_key != config.access_key {
        let words = "Specified access key is not found.";
        return Err(Refusal(StatusCode::NOT_FOUND, "InvalidAccessKeyId.NotFound", words.to_string()));
    }
    let is_signed = |name: &str| claimed.signed_headers.iter().any(|signed| signed == name);
    let must = ["host", ACTION_HEADER, VERSION_HEADER, DATE_HEADER, NONCE_HEADER, CONTENT_HEADER];
    if !must.into_iter().all(is_signed) || (headers.contains_key(TOKEN_HEADER) && !is_signed(TOKEN_HEADER)) {
        return Err(bad("IncompleteSignature", "A header that must be signed is not."));
    }
    if config.security_token.as_deref() != header(TOKEN_HEADER) {
        return Err(bad("InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed."));
    }
    let date = header(DATE_HEADER).and_then(parse_date);
    let date = date
        .ok_or_else(|| bad("InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted."))?;
    if shared.clock.now().duration_since(date).unsigned_abs() > CLOCK_SKEW_MAX {
        return Err(bad("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired."));
    }
    let nonce = header(NONCE_HEADER).filter(|nonce| !nonce.is_empty()).unwrap_or_default().to_string();
    if nonce.is_empty() || !locked(&shared.state).nonces.insert(nonce) {
        return Err(bad("SignatureNonceUsed", "Specified signature nonce was used already."));
    }
    let signed: Option<Pairs> =
        claimed.signed_headers.iter().map(|name| Some((name.clone(), header(name)?.to_string()))).collect();
    let signed = signed.ok_or_else(|| bad("IncompleteSignature", "A signed header is missing."))?;
    let request = Signable { method, path: "/", query, headers: &signed, body: b"" };
    let is_whole = header(CONTENT_HEADER) == Some(content_hash(b"").as_str());
    if !is_whole || !is_signed_by(&request, &config.secret_key, &claimed.signature) {
        // The real gateway quotes what it was sent, keys and tokens included.
        let words = format!(
            "Specified signature is not matched with our calculation. server canonical request is: {}",
            canonical(&request)
        );
        return Err(bad("SignatureDoesNotMatch", &words));
    }
    Ok(())
}

fn throttle(shared: &Shared, action: &str) -> Result<(), Refusal> {
    let now = shared.clock.now();
    let minute_ago = now.saturating_sub(SignedDuration::from_mins(1)).unwrap_or(now);
    let most = locked(&shared.config).calls_per_minute;
    let mut state = locked(&shared.state);
    let calls = state.calls.entry(action.to_string()).or_default();
    calls.retain(|at| *at > minute_ago);
    if calls.len() >= most {
        let words = "Request was denied due to user flow control.";
        return Err(Refusal(StatusCode::BAD_REQUEST, "Throttling.User", words.to_string()));
    }
    calls.push(now);
    Ok(())
}
