//! Dates and pauses as headers write them.
//!
//! Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::limits::RETRY_AFTER_MAX;

/// The instant that a header such as `Date` or `Retry-After` names, if it is a date as RFC 2822 writes one.
pub fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// How long a `Retry-After` asks to wait, at most [`RETRY_AFTER_MAX`]: seconds or an HTTP date. Nothing when it is in
/// the past or makes no sense.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are longer than the longest wait that is believed.
        text.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs)
    } else {
        Duration::try_from(http_date(text)?.duration_since(now)).ok()?
    };
    (!wait.is_zero()).then(|| wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_table() {
        let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let seconds = |n| Some(Duration::from_secs(n));
        let table = [
            ("1", seconds(1)),
            (" 30 ", seconds(30)),
            ("3600", seconds(3600)),
            ("3601", seconds(3600)),
            ("1000000000", seconds(3600)),
            ("99999999999999999999999999", seconds(3600)),
            ("0", None),
            ("-5", None),
            ("1e9", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("Sat, 21 Nov 2026 00:01:00 GMT", seconds(60)),
            ("Sat, 21 Nov 2026 09:00:00 GMT", seconds(3600)),
            ("Fri, 20 Nov 2026 23:59:00 GMT", None),
            ("Sat, 21 Nov 2026", None),
            ("Sat, 99 Nov 2026 00:01:00 GMT", None),
        ];
        for (text, expected) in table {
            assert_eq!(retry_after(text, now), expected, "{text:?}");
        }
    }
}
