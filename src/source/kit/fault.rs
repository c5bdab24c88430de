//! What an error means that every API can have, and what the user can do about it.
//!
//! Pure: takes answers, and requests without one, and gives classed errors. What a service's own codes mean, its own file
//! knows.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::http::{HttpError, Response, snippet};
use crate::limits::SOURCE_CLOCK_SKEW_MAX;
use crate::secret::{Secret, SecretRef};
use crate::sign::huawei::parse_date;
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::yaml::duration_text;

const HELP_BAD_ANSWER: &str = "check the service's address; a proxy or a login page may answer in its place";
pub(in crate::source) const HELP_CLOCK: &str = "set this machine's clock: signatures hold for 15 minutes only";
pub(in crate::source) const HELP_LATER: &str = "the service has trouble of its own; the next poll tries again";

/// What the user of one API can do about the errors that every API can have.
pub(in crate::source) struct Helps {
    /// Nobody is known by these credentials (401).
    pub(in crate::source) credentials: &'static str,
    /// Who is known may not (403).
    pub(in crate::source) permission: &'static str,
    /// The host does not offer the API (404).
    pub(in crate::source) endpoint: &'static str,
    /// Something in the request is wrong (any other 4xx).
    pub(in crate::source) parameters: &'static str,
    /// Too many requests (429).
    pub(in crate::source) slower: &'static str,
}

impl Helps {
    /// What a status says where nothing else does.
    pub(in crate::source) fn by_status(&self, status: u16) -> (SourceErrorKind, &'static str) {
        use SourceErrorKind::{BadAnswer, Configuration, Credentials, Throttled, Transient};
        match status {
            401 => (Credentials, self.credentials),
            403 => (Credentials, self.permission),
            404 => (Configuration, self.endpoint),
            429 => (Throttled, self.slower),
            408 | 425 | 500..=599 => (Transient, HELP_LATER),
            300..=399 => {
                (Configuration, "set \"endpoint\" to the address of the API itself: redirects are never followed")
            }
            400..=499 => (Configuration, self.parameters),
            _ => (BadAnswer, HELP_BAD_ANSWER),
        }
    }
}

/// The error that an answer is which is none.
pub(in crate::source) fn bad_answer(message: impl Into<String>) -> SourceError {
    SourceError::new(SourceErrorKind::BadAnswer, message).help(HELP_BAD_ANSWER)
}

/// The error of a configuration that cannot work.
pub(in crate::source) fn configuration(message: impl Into<String>) -> SourceError {
    SourceError::new(SourceErrorKind::Configuration, message)
}

/// The present value of the secret under a key of the source's section.
///
/// # Errors
/// When it has none.
pub(in crate::source) fn resolved(key: &str, secret: &SecretRef) -> Result<Secret, SourceError> {
    let wrong = |error| configuration(format!("{key}: {error}")).help("give it a value; it is read at each use");
    secret.resolve().map_err(wrong)
}

/// What a refusal says, in the service's own words: `head` with the status and the code, the words, the request's id.
pub(in crate::source) fn told(head: String, words: &str, request: Option<&str>) -> String {
    let mut message = head;
    if !words.is_empty() {
        message.push_str(&format!(": {words}"));
    }
    if let Some(id) = request.filter(|id| !id.is_empty()) {
        message.push_str(&format!(" (request {})", snippet(id)));
    }
    message
}

/// The error that a request without an answer is.
pub(in crate::source) fn from_http(error: &HttpError) -> SourceError {
    let (kind, help) = match error {
        HttpError::Setup(_) => (SourceErrorKind::Configuration, Some("check the file that \"ca_file\" names")),
        HttpError::Connect(reason) if reason.to_ascii_lowercase().contains("certificate") => (
            SourceErrorKind::Configuration,
            Some("if the service has a certificate of your own authority, name that authority's file in \"ca_file\""),
        ),
        HttpError::Connect(_) => {
            (SourceErrorKind::Transient, Some("check \"region\" or \"endpoint\", the network and the proxy"))
        }
        HttpError::Timeout(_) | HttpError::Broken(_) => {
            (SourceErrorKind::Transient, Some("the next poll tries again; look at the network if it stays"))
        }
    };
    let mut classed = SourceError::new(kind, error.to_string());
    classed.help = help.map(str::to_string);
    classed
}

/// Says that this machine's clock is wrong, and by how much, where that is why a signature was refused: by the time that the
/// answer's words name, otherwise by its `Date`.
pub(in crate::source) fn blame_clock(error: &mut SourceError, answer: &Response, now: Timestamp) {
    let Some(service) = server_time(&answer.text()).or_else(|| answer.date()) else { return };
    let ahead: SignedDuration = now.duration_since(service);
    if ahead.unsigned_abs() > SOURCE_CLOCK_SKEW_MAX {
        let side = if ahead.is_positive() { "ahead of" } else { "behind" };
        let difference = duration_text(ahead.unsigned_abs());
        error.message.push_str(&format!("; this machine's clock is {difference} {side} the service's"));
        error.help = Some(HELP_CLOCK.to_string());
    }
}

/// The instant in words such as `signature time:20261121T000000Z,server time:20261121T010000Z`.
fn server_time(text: &str) -> Option<Timestamp> {
    const WORDS: &str = "server time";
    let at = text.to_ascii_lowercase().find(WORDS)? + WORDS.len();
    let time = text[at..].trim_start_matches([':', '=', ' ', '[']).split([',', ';', '"', ']', ')', '}']).next()?.trim();
    let local = || time.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    parse_date(time).or_else(|| time.parse().ok()).or_else(local)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_certificate_that_is_not_trusted_points_at_the_ca_file() {
        let error = from_http(&HttpError::Connect("invalid peer certificate: UnknownIssuer".into()));
        assert_eq!(error.kind, SourceErrorKind::Configuration);
        assert!(error.help.unwrap().contains("ca_file"));
        let error = from_http(&HttpError::Timeout(Duration::from_secs(30)));
        assert_eq!((error.kind, error.message.as_str()), (SourceErrorKind::Transient, "no answer within 30 s"));
    }

    #[test]
    fn a_refusal_is_told_as_far_as_it_says_anything() {
        assert_eq!(told("HTTP 400 X".into(), "no", Some("f00d")), "HTTP 400 X: no (request f00d)");
        assert_eq!(told("HTTP 400".into(), "", Some("")), "HTTP 400");
    }
}
