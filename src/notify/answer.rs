//! How an attempt over HTTP ended, by status and headers: the classes that every HTTP channel shares.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use serde_json::Value;

use crate::http::{HttpError, Response};
use crate::limits::RETRY_AFTER_MAX;
use crate::model::{Attempt, AttemptOutcome};
use crate::secret::Secret;

/// The attempt that ended with this answer, or with none. A 2xx counts as delivered; a channel that says more in its
/// body looks there first.
pub(super) fn attempt(result: &Result<Response, HttpError>, now: Timestamp) -> Attempt {
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => return unanswered(error),
    };
    let status = answer.status.to_string();
    let retry_after = answer.retry_after(now);
    let outcome = match answer.status {
        200..=299 => return Attempt::delivered(status),
        429 => AttemptOutcome::Throttled,
        503 if retry_after.is_some() => AttemptOutcome::Throttled,
        408 | 425 | 500..=599 => AttemptOutcome::Retry,
        // A proxy that wants a password, and a redirect to a login or maintenance page, pass or are mended by people.
        401 | 403 | 407 => AttemptOutcome::Unauthorized,
        300..=399 if answer.header("location").is_some() => AttemptOutcome::Unauthorized,
        _ => AttemptOutcome::Rejected,
    };
    let said = answer.excerpt();
    let mut error = match answer.status {
        300..=399 => match answer.header("location") {
            Some(location) => format!("answered {status}: redirects are not followed (to {location})"),
            None => format!("answered {status}: redirects are not followed"),
        },
        407 => format!("answered {status}: the proxy wants to know who asks"),
        _ => format!("answered {status}"),
    };
    if !said.is_empty() {
        error = format!("{error}: {said}");
    }
    let waits = matches!(outcome, AttemptOutcome::Throttled | AttemptOutcome::Retry);
    Attempt { retry_after: retry_after.filter(|_| waits), ..Attempt::failed(outcome, Some(status), error) }
}

fn unanswered(error: &HttpError) -> Attempt {
    let (outcome, status) = match error {
        HttpError::Setup(_) => (AttemptOutcome::Retry, "setup"),
        HttpError::Connect(_) => (AttemptOutcome::Retry, "connect"),
        HttpError::Timeout(_) => (AttemptOutcome::Uncertain, "timeout"),
        HttpError::Broken(_) => (AttemptOutcome::Uncertain, "broken"),
    };
    Attempt::failed(outcome, Some(status.to_string()), error.to_string())
}

/// An attempt that could not begin, because a secret has no usable value just now. It is tried again as refused
/// credentials are: somebody may mend it.
pub(super) fn no_secret(reason: impl std::fmt::Display) -> Attempt {
    Attempt::failed(AttemptOutcome::Unauthorized, None, reason.to_string())
}

/// How a channel answered that says in a number of its JSON body how it went, with HTTP 200 or not: zero is the only
/// success. `class` says what another number means; none leaves it to the status. A 2xx without the number is not the channel's own answer (a captive portal's page), and is tried again.
pub(super) fn by_code(
    answer: &Response,
    attempt: Attempt,
    keys: &[&str],
    class: impl Fn(i64) -> Option<AttemptOutcome>,
) -> Attempt {
    let body = answer.json();
    let code = keys.iter().find_map(|key| Some((*key, body.get(key)?.as_i64()?)));
    match code {
        Some((_, 0)) => attempt,
        Some((key, code)) => {
            let by_status = || match attempt.outcome {
                AttemptOutcome::Delivered => AttemptOutcome::Retry,
                other => other,
            };
            let outcome = class(code).unwrap_or_else(by_status);
            let error = format!("answered {} with {key} {code}: {}", answer.status, answer.excerpt());
            let retry_after = attempt.retry_after.filter(|_| outcome == AttemptOutcome::Throttled);
            Attempt { retry_after, ..Attempt::failed(outcome, Some(code.to_string()), error) }
        }
        None if attempt.outcome == AttemptOutcome::Delivered => {
            let error = format!("answered {} without {}: {}", answer.status, keys.join(" or "), answer.excerpt());
            Attempt::failed(AttemptOutcome::Retry, attempt.status, error)
        }
        None => attempt,
    }
}

/// How long a body asks to wait, in seconds and perhaps parts of one, at most [`RETRY_AFTER_MAX`].
pub(super) fn retry_after_seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| *seconds > 0.0)?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(RETRY_AFTER_MAX).min(RETRY_AFTER_MAX))
}

/// The URL in a secret.
///
/// # Errors
/// When it is no http(s) URL with a host. The message does not repeat it.
pub(super) fn parse_url(secret: &Secret) -> Result<Url, String> {
    if secret.expose().trim().starts_with(['"', '\'', '“', '‘']) {
        return Err("it is not a valid URL: the value stands in quotes".to_string());
    }
    crate::http::secret_url(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_none_is_not_repeated() {
        for (text, expected) in [
            ("hooks.example.com/T/canary", "not a valid URL"),
            ("ftp://example.com/canary", "must begin with"),
            ("https://", "not a valid URL"),
            ("http:///canary path", ""),
        ] {
            if let Err(error) = parse_url(&Secret::new(text)) {
                assert!(error.contains(expected) && !error.contains("canary"), "{error}");
            }
        }
    }
}
