//! The times of a test: of the day on which its clock begins, of days before and after, or written in full.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, civil};

use crate::yaml::{FromYaml, Located, Section, parse_duration};

/// The day on which a test's clock begins.
pub(super) struct Times<'a> {
    at: Timestamp,
    date: civil::Date,
    zone: &'a TimeZone,
}

/// A text, with what it is not yet.
struct Text(String);

impl FromYaml for Text {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        String::from_yaml(located).map(Text)
    }
}

/// When the clock begins: a date, with a time of day or without.
pub(super) fn read_anchor(section: &Section<'_>, key: &'static str, zone: &TimeZone) -> Option<Timestamp> {
    let text = section.required::<Text>(key)?.0;
    in_full(&text, zone).or_else(|| {
        let help = "write a date, \"2026-11-21\", or with a time, \"2026-11-21 01:00\"".to_string();
        section.error(key, format!("{text:?} is not a valid date"), Some(help));
        None
    })
}

/// A date, with or without a time of day and an offset from UTC.
fn in_full(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let civil: civil::DateTime = text.parse().ok()?;
    zone.to_zoned(civil).ok().map(|zoned| zoned.timestamp())
}

impl<'a> Times<'a> {
    pub(super) fn new(at: Timestamp, zone: &'a TimeZone) -> Times<'a> {
        Times { at, date: at.to_zoned(zone.clone()).date(), zone }
    }

    /// When the clock begins.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// The time under a key that may be absent (`None`); `Some(None)` for one that is wrong and was reported.
    pub(super) fn optional(&self, section: &Section<'_>, key: &'static str) -> Option<Option<Timestamp>> {
        if !section.has(key) {
            let _known = section.node(key);
            return None;
        }
        let text = section.optional::<Text>(key).map(|text| text.0);
        Some(text.and_then(|text| self.parse(&text).or_else(|| self.wrong(section, key, &text))))
    }

    /// The time under a key that must be there.
    pub(super) fn required(&self, section: &Section<'_>, key: &'static str) -> Option<Timestamp> {
        let text = section.required::<Text>(key)?.0;
        self.parse(&text).or_else(|| self.wrong(section, key, &text))
    }

    /// The same as [`Times::optional`]; a duration is counted from the clock's beginning.
    pub(super) fn read_until(&self, section: &Section<'_>, key: &'static str) -> Option<Option<Timestamp>> {
        if let Some(crate::yaml::Value::Scalar(scalar)) = section.node(key).map(|node| &node.value)
            && let Some(span) = parse_duration(&scalar.text)
        {
            return Some(self.at.checked_add(span).ok());
        }
        self.optional(section, key)
    }

    /// Whether the text names a minute and no second.
    pub(super) fn is_to_the_minute(text: &str) -> bool {
        text.rsplit([' ', 'T']).next().is_some_and(|time| time.matches(':').count() == 1)
    }

    fn wrong<T>(&self, section: &Section<'_>, key: &'static str, text: &str) -> Option<T> {
        let help = "write \"02:10\" for that time of the day on which the test begins, \"-1d 02:10\" for the day before, \
                    or \"2026-11-21 02:10\"";
        section.error(key, format!("{text:?} is not a valid time"), Some(help.to_string()));
        None
    }

    fn parse(&self, text: &str) -> Option<Timestamp> {
        let (days, time) = match text.split_once("d ") {
            Some((days, time)) if days.starts_with(['+', '-']) => (days.parse::<i32>().ok()?, time.trim()),
            _ => (0, text),
        };
        match time.parse::<civil::Time>() {
            // A time alone, and not the time within a date.
            Ok(time_of_day) if !time.contains(['-', 'T']) && time.contains(':') => {
                let date = self.date.checked_add(days.days()).ok()?;
                self.zone.to_zoned(date.to_datetime(time_of_day)).ok().map(|zoned| zoned.timestamp())
            }
            _ if days == 0 => in_full(text, self.zone),
            _ => None,
        }
    }
}
