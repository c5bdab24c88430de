//! How an instant is written: in a request to the scheduler, and in its answers.
//!
//! Pure. It knows forms and zones, and nothing of the fields that hold them.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Later than this, in seconds, is no time that a run can have: the number counts milliseconds.
const SECONDS_MAX: i64 = 100_000_000_000;
/// Earlier than this, in milliseconds (1973), is no time that a run can have: the number counts seconds.
const MILLISECONDS_MIN: i64 = 100_000_000_000;

/// One form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TimeFormat {
    /// Seconds since 1970, a fraction allowed.
    Epoch,
    /// Milliseconds since 1970.
    EpochMs,
    /// `2026-11-21T00:05:00Z`, or with an offset; without either it is read in the configured zone.
    Rfc3339,
    /// A layout of strftime's directives, in the configured zone where it names none.
    Layout(String),
}

impl TimeFormat {
    /// The form that a word of the configuration names.
    ///
    /// # Errors
    /// When it is neither a known word nor a layout that can be used.
    pub(super) fn parse(word: &str) -> Result<TimeFormat, String> {
        match word {
            "epoch" => Ok(TimeFormat::Epoch),
            "epoch_ms" => Ok(TimeFormat::EpochMs),
            "rfc3339" => Ok(TimeFormat::Rfc3339),
            layout if layout.contains('%') => {
                let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
                let written = strtime::format(layout, &sample).map_err(|error| format!("{layout:?}: {error}"))?;
                strtime::parse(layout, &written).map_err(|error| format!("{layout:?}: {error}"))?;
                Ok(TimeFormat::Layout(layout.to_string()))
            }
            other => Err(format!(
                "{other:?} is not a valid form of a time: write epoch, epoch_ms, rfc3339 or a layout such as \"%Y-%m-%d %H:%M:%S\""
            )),
        }
    }

    /// Whether what it writes and reads means nothing without a zone beside it.
    pub(super) fn needs_zone(&self) -> bool {
        match self {
            TimeFormat::Layout(layout) => {
                !["%z", "%:z", "%Z", "%Q", "%:Q", "%s"].iter().any(|zone| layout.contains(zone))
            }
            _ => false,
        }
    }

    /// An instant as the scheduler is asked with it, in whole seconds where the form has no finer ones: `is_end` says that
    /// it ends a window, which must not become shorter than it is.
    pub(super) fn write(&self, instant: Timestamp, zone: &TimeZone, is_end: bool) -> String {
        if *self == TimeFormat::EpochMs {
            return instant.as_millisecond().to_string();
        }
        let second = instant.as_second();
        let has_part = instant.subsec_nanosecond() > 0;
        let whole = Timestamp::from_second(if is_end && has_part { second + 1 } else { second }).unwrap_or(instant);
        match self {
            TimeFormat::Epoch | TimeFormat::EpochMs => whole.as_second().to_string(),
            TimeFormat::Rfc3339 => whole.to_string(),
            TimeFormat::Layout(layout) => {
                strtime::format(layout, &whole.to_zoned(zone.clone())).unwrap_or_else(|_| whole.to_string())
            }
        }
    }

    /// The instant that a text of an answer names; nothing where it says that there is none: empty, zero, a dash.
    ///
    /// # Errors
    /// When it is no instant of this form. The message does not repeat the text.
    pub(super) fn read(&self, text: &str, zone: Option<&TimeZone>) -> Result<Option<Timestamp>, String> {
        let text = text.trim();
        if matches!(text, "" | "0" | "-" | "-1" | "0.0" | "null") {
            return Ok(None);
        }
        let read = match self {
            TimeFormat::Epoch => epoch(text)?,
            TimeFormat::EpochMs => milliseconds(text)?,
            TimeFormat::Rfc3339 => rfc3339(text, zone)?,
            TimeFormat::Layout(layout) => by_layout(layout, text, zone)?,
        };
        Ok(Some(read))
    }
}

fn epoch(text: &str) -> Result<Timestamp, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| "it is not a number of seconds".to_string())?;
    if seconds >= SECONDS_MAX {
        return Err("it is not a number of seconds; format: epoch_ms reads milliseconds".to_string());
    }
    let digits: String = part.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: i64 = digits.parse().map_err(|_| "it is not a number of seconds".to_string())?;
    let read = Timestamp::from_second(seconds).ok().filter(|_| seconds > 0);
    read.and_then(|at| at.checked_add(SignedDuration::from_nanos(nanoseconds)).ok())
        .ok_or_else(|| "it is not a time that a run can have".to_string())
}

fn milliseconds(text: &str) -> Result<Timestamp, String> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let number: i64 = whole.parse().map_err(|_| "it is not a number of milliseconds".to_string())?;
    if (1..MILLISECONDS_MIN).contains(&number) {
        return Err("it is not a number of milliseconds; format: epoch reads seconds".to_string());
    }
    Timestamp::from_millisecond(number)
        .ok()
        .filter(|_| number > 0)
        .ok_or_else(|| "it is not a time that a run can have".to_string())
}

fn rfc3339(text: &str, zone: Option<&TimeZone>) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err("it is a number; format: epoch or epoch_ms reads it".to_string());
    }
    let civil: DateTime =
        text.parse().map_err(|_| "it is not a time in RFC 3339; \"format\" says how it is written".to_string())?;
    in_zone(civil, zone)
}

fn by_layout(layout: &str, text: &str, zone: Option<&TimeZone>) -> Result<Timestamp, String> {
    let parsed = strtime::parse(layout, text).map_err(|_| format!("it is not written as {layout:?}"))?;
    if let Ok(instant) = parsed.to_timestamp() {
        return Ok(instant);
    }
    let civil = parsed.to_datetime().or_else(|_| parsed.to_date().map(|date| date.at(0, 0, 0, 0)));
    in_zone(civil.map_err(|_| format!("{layout:?} leaves the day open"))?, zone)
}

fn in_zone(civil: DateTime, zone: Option<&TimeZone>) -> Result<Timestamp, String> {
    let zone = zone.ok_or("it names no zone; \"timezone\" says in which one it is")?;
    // Where clocks are set back, the earlier of the two instants is taken: a run is believed to be older, never younger.
    zone.to_timestamp(civil).map_err(|_| "it is not a time that a run can have".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn instants_are_read_in_every_form() {
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let table: &[(&str, &str, Option<&TimeZone>, &str)] = &[
            ("epoch", "1795219500", None, "2026-11-21T00:05:00Z"),
            ("epoch", "1795219500.25", None, "2026-11-21T00:05:00.25Z"),
            ("epoch_ms", "1795219500250", None, "2026-11-21T00:05:00.25Z"),
            ("rfc3339", "2026-11-21T00:05:00Z", None, "2026-11-21T00:05:00Z"),
            ("rfc3339", "2026-11-21T08:05:00+08:00", None, "2026-11-21T00:05:00Z"),
            ("rfc3339", "2026-11-21T08:05:00", Some(&shanghai), "2026-11-21T00:05:00Z"),
            ("rfc3339", "2026-11-21 08:05:00", Some(&shanghai), "2026-11-21T00:05:00Z"),
            ("%Y-%m-%d %H:%M:%S", "2026-11-21 08:05:00", Some(&shanghai), "2026-11-21T00:05:00Z"),
            ("%Y-%m-%d", "2026-11-21", Some(&shanghai), "2026-11-20T16:00:00Z"),
            ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-11-21T08:05:00.5+0800", None, "2026-11-21T00:05:00.5Z"),
            // The hour that clocks show twice.
            ("%Y-%m-%d %H:%M:%S", "2026-10-25 02:30:00", Some(&berlin), "2026-10-25T00:30:00Z"),
        ];
        for (format, text, zone, expected) in table {
            let read = TimeFormat::parse(format).unwrap().read(text, *zone);
            assert_eq!(read, Ok(Some(at(expected))), "{format} {text}");
        }
        for format in ["epoch", "epoch_ms", "rfc3339", "%Y"] {
            for none in ["", " ", "0", "-1", "-"] {
                assert_eq!(TimeFormat::parse(format).unwrap().read(none, None), Ok(None), "{format} {none:?}");
            }
        }
    }

    #[test]
    fn what_is_no_instant_says_what_would_read_it() {
        let table = [
            ("epoch", "1795219500250", "epoch_ms"),
            ("epoch_ms", "1795219500", "format: epoch"),
            ("epoch", "soon", "not a number"),
            ("epoch", "-5", "not a time"),
            ("epoch_ms", "99999999999999999999", "not a number"),
            ("rfc3339", "1795219500", "epoch"),
            ("rfc3339", "2026-11-21T08:05:00", "timezone"),
            ("rfc3339", "21.11.2026", "format"),
            ("%Y-%m-%d", "21.11.2026", "%Y-%m-%d"),
            ("%H:%M", "08:05", "day"),
        ];
        for (format, text, words) in table {
            let error = TimeFormat::parse(format).unwrap().read(text, None).unwrap_err();
            assert!(error.contains(words), "{format} {text}: {error}");
        }
    }

    #[test]
    fn a_window_is_written_no_shorter_than_it_is() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let instant = at("2026-11-21T00:05:00.25Z");
        let table = [
            ("epoch", "1795219500", "1795219501"),
            ("epoch_ms", "1795219500250", "1795219500250"),
            ("rfc3339", "2026-11-21T00:05:00Z", "2026-11-21T00:05:01Z"),
            ("%Y-%m-%d %H:%M:%S", "2026-11-21 08:05:00", "2026-11-21 08:05:01"),
        ];
        for (format, from, to) in table {
            let format = TimeFormat::parse(format).unwrap();
            assert_eq!(format.write(instant, &zone, false), from);
            assert_eq!(format.write(instant, &zone, true), to);
        }
    }

    #[test]
    fn a_form_that_cannot_be_used_is_refused() {
        for word in ["seconds", "yyyy-MM-dd", "%Y-%", "%!"] {
            assert!(TimeFormat::parse(word).is_err(), "{word}");
        }
        assert!(TimeFormat::parse("%Y-%m-%d").unwrap().needs_zone());
        assert!(!TimeFormat::parse("%Y-%m-%dT%H:%M:%S%:z").unwrap().needs_zone());
    }
}
