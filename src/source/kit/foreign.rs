//! What every scheduler's answers have in common: foreign text, bounded and checked before anybody believes it.
//!
//! Pure: takes bodies, headers and addresses as they came and gives texts that are safe to parse and to show, or an error
//! in words. Knows no scheduler's fields.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::http::{BodyEnd, HttpError, Response};
pub(in crate::source) use crate::http::{cut_to, snippet};
use crate::limits::{FIELD_BYTES_MAX, SOURCE_CLOCK_SKEW_MAX, SOURCE_JSON_DEPTH_MAX};
use crate::sign::parse_date;
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::yaml::duration_text;

pub(in crate::source) const HELP_BAD_ANSWER: &str =
    "check \"endpoint\"; a proxy or a login page may answer in the service's place";

/// The body as text, after the checks that guard the parser: something is there, it begins like JSON, and it does not
/// nest deeper than anything that is documented.
pub(in crate::source) fn checked_text(body: &[u8]) -> Result<Cow<'_, str>, String> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text.trim_start_matches('\u{feff}')),
        Err(_) => Cow::Owned(marked(body).trim_start_matches('\u{feff}').to_string()),
    };
    let beginning = text.trim_start();
    if beginning.is_empty() {
        return Err("not JSON: the answer is empty".to_string());
    }
    if beginning.starts_with('<') {
        return Err(format!("not JSON (an HTML page?): {}", snippet(beginning)));
    }
    if nests_too_deep(text.as_bytes()) {
        return Err(format!("JSON nested deeper than {SOURCE_JSON_DEPTH_MAX} levels"));
    }
    Ok(text)
}

/// Stands where bytes were no text. No text has this character, while an honest U+FFFD may stand in one.
const BROKEN: char = '\u{ffff}';

/// A body that is no UTF-8 as a whole: cut inside a character, or in another encoding. What is none is marked.
fn marked(body: &[u8]) -> String {
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        let after_broken = text.ends_with(BROKEN);
        // The second byte of a character of GBK can be a backslash, which would escape what follows.
        let is_half = |rest: &str| {
            let next = rest.strip_prefix('\\')?.chars().next()?;
            (!"\"\\/bfnrtu".contains(next)).then_some(())
        };
        let valid = chunk.valid();
        let skipped = usize::from(after_broken && is_half(valid).is_some());
        text.push_str(&valid[skipped..]);
        if !chunk.invalid().is_empty() {
            text.push(BROKEN);
        }
    }
    text
}

/// Whether bytes of a raw field were no text.
pub(in crate::source) fn is_broken(raw: &str) -> bool {
    raw.contains(BROKEN)
}

/// A text as far as it can be read.
pub(in crate::source) fn readable(text: Cow<'_, str>) -> Cow<'_, str> {
    if is_broken(&text) { Cow::Owned(text.replace(BROKEN, "\u{fffd}")) } else { text }
}

fn nests_too_deep(text: &[u8]) -> bool {
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b'[' | b'{' if !is_string => {
                depth += 1;
                if depth > SOURCE_JSON_DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' if !is_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

pub(in crate::source) fn no_json(text: &str, error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => format!("JSON that breaks off after {} bytes", text.len()),
        serde_json::error::Category::Data => format!("JSON of another shape: {}", snippet(text)),
        _ => format!("not JSON: {}", snippet(text)),
    }
}

pub(in crate::source) fn cut(text: Cow<'_, str>) -> String {
    cut_to(text.into_owned(), FIELD_BYTES_MAX)
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

/// The response, if all of its body arrived.
///
/// # Errors
/// When it broke off, as for a response that never came.
pub(in crate::source) fn complete(response: Response) -> Result<Response, HttpError> {
    match response.end {
        BodyEnd::Broken(error) => Err(error),
        _ => Ok(response),
    }
}

/// By how much this machine's clock is ahead of the service's, if by more than the gateway bears: of the time that the
/// answer's words name, otherwise of its `Date`.
pub(in crate::source) fn clock_difference(answer: &Response, now: Timestamp) -> Option<SignedDuration> {
    let difference = now.duration_since(server_time(&answer.text()).or_else(|| answer.date())?);
    (difference.unsigned_abs() > SOURCE_CLOCK_SKEW_MAX).then_some(difference)
}

/// The instant in words such as `signature time:20261121T000000Z,server time:20261121T010000Z`.
fn server_time(text: &str) -> Option<Timestamp> {
    const WORDS: &str = "server time";
    let at = text.to_ascii_lowercase().find(WORDS)? + WORDS.len();
    let time = text[at..].trim_start_matches([':', '=', ' ', '[']).split([',', ';', '"', ']', ')', '}']).next()?.trim();
    let local = || time.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    parse_date(time).or_else(|| time.parse().ok()).or_else(local)
}

pub(in crate::source) fn difference_text(ahead: SignedDuration) -> String {
    let side = if ahead.is_positive() { "ahead of" } else { "behind" };
    format!("{} {side}", duration_text(ahead.unsigned_abs()))
}
