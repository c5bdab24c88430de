//! Typed values out of located ones.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::diagnostic::closest;
use super::keys::{Key, Keys, Shape};
use super::located::{FromYaml, Located, kind_of};
use super::node::{Origin, Value};
use super::section::Section;
use crate::secret::{Secret, SecretRef};

impl FromYaml for String {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        match &located.node.value {
            Value::Scalar(scalar) => Some(scalar.text.clone()),
            other => located.wrong(format!("expected a text, found {}", kind_of(other)), None),
        }
    }
}

impl FromYaml for bool {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        if let Value::Scalar(scalar) = &located.node.value {
            match scalar.text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => return Some(true),
                "false" | "no" | "off" => return Some(false),
                _ => {}
            }
        }
        located.wrong("expected true or false", None)
    }
}

impl FromYaml for u32 {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        if let Value::Scalar(scalar) = &located.node.value
            && let Ok(number) = scalar.text.parse()
        {
            return Some(number);
        }
        located.wrong("expected a whole number, zero or more", None)
    }
}

impl FromYaml for f64 {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        if let Value::Scalar(scalar) = &located.node.value
            && let Ok(number) = scalar.text.parse::<f64>()
            && number.is_finite()
        {
            return Some(number);
        }
        located.wrong("expected a number", None)
    }
}

impl FromYaml for PathBuf {
    /// A relative path starts from the file's own directory.
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        String::from_yaml(located).map(|path| located.findings.resolve(located.node.at, path))
    }
}

impl FromYaml for Duration {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        parse_duration(&text).or_else(|| {
            located.wrong(format!("{text:?} is not a valid duration"), Some("write it as 30s, 45m, 2h30m or 1d".into()))
        })
    }
}

impl FromYaml for TimeZone {
    /// A name only: the database also answers to offsets and rules, which no reader of the file would expect.
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let name = String::from_yaml(located)?;
        if let Ok(zone) = TimeZone::get(&name) {
            return Some(zone);
        }
        if let Some(help) = meant_zone(&name.to_lowercase()) {
            return located.wrong(format!("{name:?} is not a valid time zone"), Some(help));
        }
        let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
        // An abbreviation is near to many: CST is not a misspelt CET.
        let near = closest(&name, known.iter().map(String::as_str)).filter(|_| name.len() > 5);
        let help = near.map_or_else(
            || "write an IANA name such as Asia/Shanghai, Europe/Berlin or UTC".to_string(),
            |near| format!("did you mean {near:?}?"),
        );
        located.wrong(format!("{name:?} is not a valid time zone"), Some(help))
    }
}

/// What people mean who write a zone by the name of a country, by an abbreviation or as an offset from UTC.
fn meant_zone(name: &str) -> Option<String> {
    // China has one zone, and no city but Shanghai names it.
    const OF_CHINA: [&str; 6] =
        ["asia/beijing", "beijing", "china", "asia/shenzhen", "asia/hangzhou", "asia/guangzhou"];
    let several = |zones: &str| Some(format!("several zones are called so: write {zones}"));
    let one = |zone: &str| Some(format!("did you mean {zone:?}?"));
    match name {
        "cst" => several("Asia/Shanghai, or America/Chicago"),
        "ist" => several("Asia/Kolkata, Europe/Dublin or Asia/Jerusalem"),
        "bst" => several("Europe/London or Asia/Dhaka"),
        "pst" | "pdt" => one("America/Los_Angeles"),
        "edt" => one("America/New_York"),
        "cest" => one("Europe/Berlin"),
        "jst" => one("Asia/Tokyo"),
        "hkt" => one("Asia/Hong_Kong"),
        "sgt" => one("Asia/Singapore"),
        other if OF_CHINA.contains(&other) => one("Asia/Shanghai"),
        other => {
            let offset = other.trim_start_matches("utc").trim_start_matches("gmt").trim_end_matches(":00");
            let hours: i8 = offset.strip_prefix(['+', '-'])?.parse().ok()?;
            let is_east = offset.starts_with('+');
            // The names of the database that say an offset count westwards.
            let fixed = format!("Etc/GMT{}{hours}", if is_east { '-' } else { '+' });
            TimeZone::get(&fixed).ok()?;
            let zone = if is_east && hours == 8 { "Asia/Shanghai" } else { "the name of a city's zone" };
            Some(format!(
                "an offset knows no daylight saving time: write {zone}, or {fixed} for {}",
                offset.to_uppercase()
            ))
        }
    }
}

/// One value or a list of them: `a` and `[a]` mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        OneOrMany(Vec::new())
    }
}

impl<T: FromYaml> FromYaml for OneOrMany<T> {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let Value::List(items) = &located.node.value else {
            return T::from_yaml(located).map(|one| OneOrMany(vec![one]));
        };
        if items.is_empty() {
            return located.wrong("the list is empty", None);
        }
        // Every item is read, so that each wrong one is reported; one wrong item makes the list wrong.
        let read: Vec<Option<T>> = items
            .iter()
            .enumerate()
            .map(|(index, node)| {
                let path = format!("{}[{index}]", located.path);
                T::from_yaml(Located { node, path: &path, findings: located.findings })
            })
            .collect();
        read.into_iter().collect::<Option<Vec<T>>>().map(OneOrMany)
    }
}

/// A secret that stands elsewhere.
pub static SECRET: Keys = Keys::of(
    "secret",
    "A secret that does not stand in the file. In plain text it works, and earns a warning.",
    &[&[
        Key::new("env", Shape::Text, "The environment variable that holds it.").example("SLACK_WEBHOOK_URL"),
        Key::new("file", Shape::Text, "The file that holds it; it is read again at each use.")
            .example("/run/secrets/slack"),
    ]],
)
.not_empty();

impl FromYaml for SecretRef {
    /// `{ env: NAME }`, `{ file: PATH }`, or a plain text, which earns a warning.
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let Value::Map(_) = &located.node.value else {
            let text = String::from_yaml(located)?;
            if text.is_empty() {
                return located.wrong("the secret is empty", Some("write { env: NAME } or { file: PATH }".into()));
            }
            if matches!(&located.node.value, Value::Scalar(scalar) if scalar.origin == Origin::File) {
                located.findings.warning(
                    located.node.at,
                    located.path,
                    "a secret in plain text",
                    Some("write { env: NAME } or { file: PATH } to keep it out of this file".into()),
                );
            }
            return Some(SecretRef::Inline(Secret::new(text)));
        };
        let section = Section::of(&SECRET, located.node, located.path, located.findings)?;
        let (env, file) = (section.optional::<String>("env"), section.optional::<PathBuf>("file"));
        let is_empty = section.entries().is_empty();
        section.close();
        let secret = match (env, file) {
            (Some(name), None) => SecretRef::Env(name),
            (None, Some(path)) => SecretRef::File(path),
            (Some(_), Some(_)) => return located.wrong("both \"env\" and \"file\" are given", Some("keep one".into())),
            (None, None) if is_empty => return located.wrong("expected { env: NAME } or { file: PATH }", None),
            // An unknown key or a value of the wrong shape, and reported as that.
            (None, None) => return None,
        };
        located.findings.note_secret(located.node.at, located.path, &secret);
        Some(secret)
    }
}

/// A duration as the configuration writes it: numbers with units `s`, `m`, `h`, `d` (24 hours) or `w`, the larger unit
/// first, each at most once: `45m`, `2h30m`, `1d`. Zero, signs, fractions and bare numbers are refused.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds: u64 = 0;
    let mut smallest_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit() || c == ' ').map_or(rest.len(), |n| digits + n);
        let unit = match rest[digits..unit_end].trim() {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return None,
        };
        if unit >= smallest_unit {
            return None;
        }
        smallest_unit = unit;
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = rest[unit_end..].trim_start();
    }
    // A hundred years is longer than any job and short of every overflow.
    (1..=3_153_600_000).contains(&seconds).then(|| Duration::from_secs(seconds))
}

/// A duration as people read it, its two largest units, of which a second one that is zero is left out: `45s`, `1m`,
/// `2h 30m`, `3d 4h`; under a second, `850ms`.
pub fn duration_text(duration: Duration) -> String {
    let text = full_duration_text(duration);
    let round = [" 0s", " 0m", " 0h"].iter().find_map(|zero| text.strip_suffix(zero));
    round.map_or(text.clone(), str::to_string)
}

/// The same with both units, whatever they are: `1m 0s`. So the one-line summary of the webhook body has them.
pub fn full_duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}
