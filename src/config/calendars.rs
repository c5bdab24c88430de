//! `calendars`: working days and holidays, built in or from files of the user's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::{Date, Weekday};

use super::words::{open_named, read_word};
use crate::limits::{CALENDAR_FILE_BYTES_MAX, CALENDAR_SPAN_DAYS_MAX};
use crate::schedule::{CN, Calendar};
use crate::yaml::{
    self, Diagnostics, Entry, Environment, FromYaml, Key, Keys, Level, Located, OneOrMany, Section, Shape, Value,
};

/// A calendar of the user's.
pub(super) static CALENDAR: Keys = Keys::of(
    "calendar",
    "A calendar of yours; one with the name of a built-in one adds years to it.",
    &[&[Key::new("file", Shape::Texts, "The file or files that hold its years, holidays and workdays.").required()]],
);

/// A calendar's file.
static CALENDAR_FILE: Keys = Keys::of(
    "calendar_file",
    "A calendar's file: which days are worked.",
    &[&[
        Key::new("years", Shape::Texts, "The years that it covers.").required().example("[2027]"),
        Key::new("weekend", Shape::Words(|| WEEKDAYS.map(|(short, _, _)| short).to_vec()), "The days off of a week.")
            .default("[sat, sun]"),
        Key::new("holidays", Shape::TextsOrMappings(&SPAN), "Days off. No other weekday is one.")
            .example("[2027-01-01, { from: 2027-02-05, to: 2027-02-11, name: Spring Festival }]"),
        Key::new("workdays", Shape::TextsOrMappings(&SPAN), "Days of a weekend that are worked.")
            .example("[2027-02-20]"),
    ]],
);

static SPAN: Keys = Keys::of(
    "calendar_span",
    "The days from one to another, both included.",
    &[&[
        Key::new("from", Shape::Text, "The first day.").required().example("2027-02-05"),
        Key::new("to", Shape::Text, "The last day.").required().example("2027-02-11"),
        Key::new("name", Shape::Text, "What they are called, for people."),
    ]],
);

/// The calendars by name.
pub(super) type Calendars = BTreeMap<String, Arc<Calendar>>;

/// Reads all calendars, the built-in ones among them. One that carries the name of a built-in one adds to it.
pub(super) fn read(file: &Section<'_>) -> Calendars {
    // What is wrong with a built-in one, a test finds.
    let china = parse(CN).unwrap_or_default();
    let mut calendars = BTreeMap::from([("cn".to_string(), china)]);
    if let Some(section) = file.section("calendars") {
        for entry in section.entries() {
            read_one(&section, entry, &mut calendars);
        }
    }
    calendars.into_iter().map(|(name, calendar)| (name, Arc::new(calendar))).collect()
}

/// A calendar that is broken is there all the same: what refers to it refers to something.
fn read_one(calendars: &Section<'_>, entry: &Entry, known: &mut BTreeMap<String, Calendar>) {
    let calendar = known.entry(entry.key.clone()).or_default();
    let Some(section) = open_named(calendars, entry) else { return };
    let files = section.required::<OneOrMany<PathBuf>>("file").map_or_else(Vec::new, |files| files.0);
    for file in &files {
        match read_file(file) {
            Ok(newer) => calendar.take_over(newer),
            Err(faults) => faults.into_iter().for_each(|fault| section.error("file", fault, None)),
        }
    }
    section.close();
}

fn read_file(path: &Path) -> Result<Calendar, Vec<String>> {
    let shown = path.display();
    let size = std::fs::metadata(path).map_err(|error| vec![format!("{shown} cannot be read: {error}")])?.len();
    if size > CALENDAR_FILE_BYTES_MAX as u64 {
        return Err(vec![format!("{shown} is larger than {} KiB", CALENDAR_FILE_BYTES_MAX >> 10)]);
    }
    let text = std::fs::read_to_string(path).map_err(|error| vec![format!("{shown} cannot be read: {error}")])?;
    parse(&text).map_err(|faults| faults.into_iter().map(|fault| format!("{shown}:{fault}")).collect())
}

/// Reads the text of a calendar file.
///
/// # Errors
/// Everything that is wrong with it, each with line and column.
fn parse(text: &str) -> Result<Calendar, Vec<String>> {
    let findings = Diagnostics::new("");
    let nothing = |_: &str| None;
    let environment = Environment { lookup: &nothing, required: true };
    let calendar = yaml::parse(text, &environment, &findings).and_then(|tree| {
        let section = Section::of(&CALENDAR_FILE, &tree, "", &findings)?;
        let calendar = read_calendar(&section);
        section.close();
        calendar
    });
    let faults: Vec<String> = findings
        .into_sorted()
        .into_iter()
        .filter(|finding| finding.level == Level::Error)
        .map(|finding| {
            let path = if finding.path.is_empty() { String::new() } else { format!("{}: ", finding.path) };
            let help = finding.help.map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{}:{}: {path}{}{help}", finding.at.line, finding.at.column, finding.message)
        })
        .collect();
    match calendar {
        Some(calendar) if faults.is_empty() => Ok(calendar),
        _ => Err(faults),
    }
}

fn read_calendar(section: &Section<'_>) -> Option<Calendar> {
    let years = section.required::<OneOrMany<Year>>("years");
    let weekend = section.or_default::<OneOrMany<Day>>("weekend");
    let holidays = section.optional::<OneOrMany<Span>>("holidays").map_or_else(Vec::new, |spans| spans.0);
    let workdays = section.optional::<OneOrMany<Span>>("workdays").map_or_else(Vec::new, |spans| spans.0);
    let years: Vec<i16> = years?.0.into_iter().map(|year| year.0).collect();
    let days = |key: &'static str, spans: Vec<Span>| -> Vec<Date> {
        let days: Vec<Date> = spans.into_iter().flat_map(Span::days).collect();
        if let Some(date) = days.iter().find(|date| !years.contains(&date.year())) {
            section.error(key, format!("{date} is of a year that is not among \"years\""), None);
        }
        days
    };
    let (holidays, workdays) = (days("holidays", holidays), days("workdays", workdays));
    if let Some(date) = holidays.iter().find(|date| workdays.contains(date)) {
        section.error("workdays", format!("{date} is a holiday as well"), None);
    }
    Some(Calendar::new(weekend.0.into_iter().map(|day| day.0).collect(), years, holidays, workdays))
}

struct Year(i16);

impl FromYaml for Year {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        match text.parse::<i16>() {
            Ok(year) if (1970..=9998).contains(&year) => Some(Year(year)),
            _ => located.wrong(format!("{text:?} is not a valid year"), Some("write it as 2027".into())),
        }
    }
}

/// A weekday, in three letters or in full.
pub(super) struct Day(pub(super) Weekday);

/// The weekdays as they are written.
pub(super) const WEEKDAYS: [(&str, &str, Weekday); 7] = [
    ("mon", "monday", Weekday::Monday),
    ("tue", "tuesday", Weekday::Tuesday),
    ("wed", "wednesday", Weekday::Wednesday),
    ("thu", "thursday", Weekday::Thursday),
    ("fri", "friday", Weekday::Friday),
    ("sat", "saturday", Weekday::Saturday),
    ("sun", "sunday", Weekday::Sunday),
];

/// The weekday a word means.
pub(super) fn weekday(word: &str) -> Option<Weekday> {
    let is_it = |name: &str| name.eq_ignore_ascii_case(word);
    WEEKDAYS.iter().find(|(short, long, _)| is_it(short) || is_it(long)).map(|(_, _, day)| *day)
}

impl FromYaml for Day {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        read_word(located, "weekday", &WEEKDAYS.map(|(short, _, _)| short), weekday).map(Day)
    }
}

/// A day, or the days from one to another, both included.
struct Span {
    from: Date,
    to: Date,
}

impl Span {
    fn days(self) -> impl Iterator<Item = Date> {
        let to = self.to;
        std::iter::successors(Some(self.from), |date| date.tomorrow().ok()).take_while(move |date| *date <= to)
    }
}

impl FromYaml for Span {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let Value::Map(_) = &located.node.value else {
            return CalendarDate::from_yaml(located).map(|date| Span { from: date.0, to: date.0 });
        };
        let section = Section::of(&SPAN, located.node, located.path, located.findings)?;
        let (from, to) = (section.required::<CalendarDate>("from"), section.required::<CalendarDate>("to"));
        let _for_people = section.optional::<String>("name");
        section.close();
        let (from, to) = (from?.0, to?.0);
        let days = from.until(to).map_or(i32::MAX, |span| span.get_days());
        if to < from || days > CALENDAR_SPAN_DAYS_MAX {
            return located.wrong(format!("from {from} to {to} is not a valid holiday"), None);
        }
        Some(Span { from, to })
    }
}

struct CalendarDate(Date);

impl FromYaml for CalendarDate {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        match text.parse::<Date>() {
            Ok(date) if text.len() == 10 => Some(CalendarDate(date)),
            _ => located.wrong(format!("{text:?} is not a valid date"), Some("write it as 2027-02-06".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The built-in calendar against the lengths of the holidays and the make-up days that the notices name.
    #[test]
    fn the_built_in_calendar_is_whole() {
        let china = parse(CN).unwrap();
        assert_eq!(china.years().collect::<Vec<_>>(), [2025, 2026]);
        let first = "2025-01-01".parse::<Date>().unwrap();
        let days = |year: i16, is: &dyn Fn(Date) -> bool| -> usize {
            let dates = std::iter::successors(Some(first), |date| date.tomorrow().ok());
            dates.take_while(|date| date.year() < 2027).filter(|date| date.year() == year && is(*date)).count()
        };
        let is_weekend = |date: Date| matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        for (year, holidays, made_up, worked) in [(2025, 28, 5, 248), (2026, 33, 6, 248)] {
            assert_eq!(days(year, &|date| china.is_holiday(date)), holidays, "holidays of {year}");
            assert_eq!(days(year, &|date| is_weekend(date) && china.is_workday(date)), made_up, "made up in {year}");
            assert_eq!(days(year, &|date| china.is_workday(date)), worked, "worked in {year}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_calendar_file_is_told_with_its_place() {
        // text, what is said
        let cases = [
            ("holidays: [2027-01-01]", "1:1: the key \"years\" is missing"),
            ("years: 2027\nholidays: [2026-01-01]", "2:11: holidays: 2026-01-01 is of a year that is not among"),
            (
                "years: 2027\nholidays: [27-01-01]",
                "2:12: holidays[0]: \"27-01-01\" is not a valid date (write it as 2027-02-06)",
            ),
            ("years: 2027\nholidays: [2027-02-30]", "2:12: holidays[0]: \"2027-02-30\" is not a valid date"),
            ("years: 2027\nworkdays: [2027-01-01]\nholidays: [2027-01-01]", "2:11: workdays: 2027-01-01 is a holiday"),
            (
                "years: 2027\nholydays: [2027-01-01]",
                "2:1: holydays: unknown key \"holydays\" (did you mean \"holidays\"?)",
            ),
            ("years: 2027\nweekend: [saturn]", "2:11: weekend[0]: \"saturn\" is not a valid weekday"),
            ("years: 2027\nholidays: [{ from: 2027-02-11, to: 2027-02-05 }]", "is not a valid holiday"),
            ("years: soon", "\"soon\" is not a valid year"),
        ];
        for (text, expected) in cases {
            let said = parse(text).unwrap_err().join("\n");
            assert!(said.contains(expected), "{text}: {said}");
        }
    }
}
