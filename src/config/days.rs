//! `days` with their `calendar`: which days a mute window, a deadline or a due time counts on.

use std::sync::Arc;

use jiff::civil::Weekday;
use serde_json::json;

use super::calendars::{Calendars, WEEKDAYS, weekday};
use super::schema::{any_case, flexible, one_or_many};
use super::words::read_reference;
use crate::schedule::{Calendar, Days};
use crate::yaml::{FromYaml, Key, Located, OneOrMany, Section, Shape, Value, closest};

/// The keys.
pub(super) const DAYS: &[Key] = &[
    Key::new(
        "days",
        Shape::Other("one or a list of mon … sun, mon-fri, workdays, days-off, holidays, 1 … 31, last", day),
        "On which days. Without it: every day.",
    )
    .example("[workdays]"),
    Key::new(
        "calendar",
        Shape::Other("a name", calendar),
        "What workdays, days-off and holidays go by: cn, or one of yours. Without it, Monday to Friday are worked.",
    ),
];

fn day() -> serde_json::Value {
    let weekdays: Vec<&str> = WEEKDAYS.iter().flat_map(|(short, long, _)| [*short, *long]).collect();
    let (weekdays, words) = (any_case(&weekdays), any_case(&[&CALENDAR_WORDS[..], &["last"]].concat()));
    let of_month = "0?[1-9]|[12][0-9]|3[01]";
    let pattern = format!(r"^\s*(({weekdays})\s*(-\s*({weekdays})\s*)?|{words}|{of_month})\s*$|\$\{{");
    let names = [&WEEKDAYS.map(|(short, _, _)| short)[..], &CALENDAR_WORDS].concat();
    let number = json!({ "type": "integer", "minimum": 1, "maximum": 31 });
    one_or_many(&json!({ "anyOf": [{ "enum": names }, number, { "type": "string", "pattern": pattern }] }))
}

fn calendar() -> serde_json::Value {
    flexible(json!({ "type": "string" }))
}

/// The words for days that go by a calendar.
const CALENDAR_WORDS: [&str; 3] = ["workdays", "days-off", "holidays"];

/// Reads `days` and `calendar`; without `days`, every day. `None` when something is wrong, and reported.
pub(super) fn read(section: &Section<'_>, calendars: &Calendars) -> Option<Days> {
    let words = section.optional::<OneOrMany<DayWords>>("days");
    let calendar = match section.node("calendar") {
        None => None,
        Some(node) => {
            let names: Vec<String> = calendars.keys().cloned().collect();
            let located = Located { node, path: &section.path_of("calendar"), findings: section.findings() };
            if let Value::Scalar(word) = &node.value
                && CALENDAR_WORDS.contains(&word.text.as_str())
                && !names.contains(&word.text)
            {
                let help =
                    format!("write days: [{}]; a calendar is the one that they go by: cn, or one of yours", word.text);
                return located.wrong(format!("{:?} are days, and not a calendar", word.text), Some(help));
            }
            Some(calendars.get(&read_reference(located, "calendar", &names)?).map(Arc::clone)?)
        }
    };
    let mut days = match words {
        None if section.has("days") => return None,
        None => Days::every(),
        Some(words) => words.0.iter().fold(Days::default(), |days, words| words.add_to(days)),
    };
    match calendar {
        Some(_) if !days.go_by_calendar() => {
            let help = Some("name workdays, days-off or holidays under \"days\", or remove the calendar".into());
            section.error("calendar", "none of the days goes by the calendar", help);
        }
        Some(calendar) if days.holidays && !calendar.has_holidays() => {
            section.error("calendar", "the calendar has no holidays, so no day is meant", None);
        }
        None if days.holidays => {
            section.error("days", "holidays are those of a calendar", Some("add calendar: cn, or one of yours".into()));
        }
        Some(calendar) => days.calendar = calendar,
        None => days.calendar = Arc::new(Calendar::default()),
    }
    Some(days)
}

/// A word under `days`: `mon`, `mon-fri`, `15`, `last`, `workdays`.
enum DayWords {
    Weekdays(Vec<Weekday>),
    OfMonth(i8),
    LastOfMonth,
    Workdays,
    DaysOff,
    Holidays,
}

impl DayWords {
    fn add_to(&self, mut days: Days) -> Days {
        match self {
            DayWords::Weekdays(weekdays) => days.weekdays.extend(weekdays),
            DayWords::OfMonth(day) => days.month_days.push(*day),
            DayWords::LastOfMonth => days.last_of_month = true,
            DayWords::Workdays => days.workdays = true,
            DayWords::DaysOff => days.days_off = true,
            DayWords::Holidays => days.holidays = true,
        }
        days
    }

    fn from_word(word: &str) -> Option<DayWords> {
        let word = word.trim();
        let named = match word.to_ascii_lowercase().as_str() {
            "workdays" => Some(DayWords::Workdays),
            "days-off" => Some(DayWords::DaysOff),
            "holidays" => Some(DayWords::Holidays),
            "last" => Some(DayWords::LastOfMonth),
            _ => None,
        };
        let of_month = || word.parse().ok().filter(|day| (1..=31).contains(day)).map(DayWords::OfMonth);
        let range = || {
            let (first, last) = word.split_once('-')?;
            let (first, last) = (weekday(first.trim())?, weekday(last.trim())?);
            Some((0..=first.until(last)).map(|days| first.wrapping_add(days)).collect())
        };
        let weekdays = || weekday(word).map(|day| vec![day]).or_else(range).map(DayWords::Weekdays);
        named.or_else(of_month).or_else(weekdays)
    }
}

impl FromYaml for DayWords {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        DayWords::from_word(&text).or_else(|| {
            let words = WEEKDAYS.iter().flat_map(|(short, long, _)| [*short, *long]);
            let near = closest(&text.to_ascii_lowercase(), words.chain(CALENDAR_WORDS).chain(["last"]));
            let help = match near {
                _ if text.eq_ignore_ascii_case("weekdays") => {
                    "write mon-fri, or workdays for those that a calendar says are worked".to_string()
                }
                Some(near) => format!("did you mean {near:?}?"),
                None => "write mon … sun, mon-fri, workdays, days-off, holidays, 1 … 31, or last".to_string(),
            };
            located.wrong(format!("{text:?} is not a valid day"), Some(help))
        })
    }
}
