//! The cron expressions of Quartz, as schedulers written in Java read them: seconds first, Sunday is 1, and `L`, `W` and
//! `#` for days that differ from month to month.
//!
//! Each day that is meant so is written out as plain days, weekdays, months and years that hold together, several of
//! them where one does not suffice. What cannot be written out exactly is refused: a due time that is wrong would wake
//! somebody for nothing.

use std::collections::BTreeSet;

use super::fields::{DAY, HOUR, Kind, MINUTE, SECOND};

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const FRIDAY: u32 = 6;
const MONDAY: u32 = 2;

const MONTH: Kind = Kind { name: "month", first: 1, last: 12, words: &MONTHS };
const WEEKDAY: Kind = Kind { name: "weekday", first: 1, last: 7, words: &WEEKDAYS };
const YEAR: Kind = Kind { name: "year", first: 1970, last: 2099, words: &[] };

/// Days that are in each of these.
struct QuartzDays {
    days: BTreeSet<u32>,
    weekdays: BTreeSet<u32>,
    months: BTreeSet<u32>,
    years: BTreeSet<u32>,
}

/// An expression, written out.
pub(super) struct Quartz {
    /// For the `cron` crate, which joins the fields of each by AND; due when any of them is.
    pub(super) expressions: Vec<String>,
    /// Whether every hour counts.
    pub(super) hour_is_star: bool,
}

/// Reads an expression.
pub(super) fn read(text: &str) -> Result<Quartz, String> {
    let upper = text.to_ascii_uppercase();
    let parts: Vec<&str> = upper.split_whitespace().collect();
    let (second, minute, hour, day, month, weekday, year) = match parts.as_slice() {
        [second, minute, hour, day, month, weekday] => (second, minute, hour, day, month, weekday, &"*"),
        [second, minute, hour, day, month, weekday, year] => (second, minute, hour, day, month, weekday, year),
        _ => return Err(format!("it has {} fields and not six or seven", parts.len())),
    };
    let hours = numbers(hour, &HOUR)?;
    let time = format!("{} {} {}", list(&numbers(second, &SECOND)?), list(&numbers(minute, &MINUTE)?), list(&hours));
    let (months, years) = (numbers(month, &MONTH)?, numbers(year, &YEAR)?);
    let is_any = |field: &str| matches!(field, "*" | "?");
    let days = match (is_any(day), is_any(weekday)) {
        (true, true) => vec![QuartzDays::any()],
        (false, true) => of_month(day)?,
        (true, false) => of_week(weekday)?,
        (false, false) => return Err("it restricts the day of the month and the weekday".into()),
    };
    let expression = |days: &QuartzDays| {
        let months: BTreeSet<u32> = days.months.intersection(&months).copied().collect();
        let years: BTreeSet<u32> = days.years.intersection(&years).copied().collect();
        let is_possible = !(months.is_empty() || years.is_empty() || days.days.is_empty());
        let names: Vec<&str> =
            days.weekdays.iter().filter_map(|day| WEEKDAYS.get(*day as usize - 1).copied()).collect();
        let (days, months, names) = (list(&days.days), list(&months), names.join(","));
        let years = if years.len() == all(&YEAR).len() { "*".to_string() } else { list(&years) };
        is_possible.then(|| format!("{time} {days} {months} {names} {years}"))
    };
    let expressions: Vec<String> = days.iter().filter_map(expression).collect();
    Ok(Quartz { expressions, hour_is_star: hours.len() == all(&HOUR).len() })
}

impl QuartzDays {
    fn any() -> QuartzDays {
        QuartzDays { days: all(&DAY), weekdays: all(&WEEKDAY), months: all(&MONTH), years: all(&YEAR) }
    }

    fn on(days: impl IntoIterator<Item = u32>, weekdays: impl IntoIterator<Item = u32>) -> QuartzDays {
        let (days, weekdays) = (days.into_iter().collect(), weekdays.into_iter().collect());
        QuartzDays { days, weekdays, ..QuartzDays::any() }
    }
}

/// The days that a day-of-month field means.
fn of_month(field: &str) -> Result<Vec<QuartzDays>, String> {
    const WORKED: std::ops::RangeInclusive<u32> = MONDAY..=FRIDAY;
    let refused = || Err(format!("its day of the month is {field:?}"));
    match field {
        "L" => return Ok(by_length(|last| vec![QuartzDays::on([last], all(&WEEKDAY))])),
        // The working day that is nearest, within the month.
        "LW" => {
            return Ok(by_length(|last| {
                vec![QuartzDays::on([last], WORKED), QuartzDays::on([last - 1, last - 2], [FRIDAY])]
            }));
        }
        _ => {}
    }
    if let Some(before) = field.strip_prefix("L-") {
        return match before.parse::<u32>() {
            Ok(before) if (1..28).contains(&before) => {
                Ok(by_length(|last| vec![QuartzDays::on([last - before], all(&WEEKDAY))]))
            }
            _ => refused(),
        };
    }
    if let Some(day) = field.strip_suffix('W') {
        return match day.parse::<u32>() {
            Ok(1) => Ok(vec![QuartzDays::on([1], WORKED), QuartzDays::on([2, 3], [MONDAY])]),
            Ok(day) if (2..28).contains(&day) => Ok(vec![
                QuartzDays::on([day], WORKED),
                QuartzDays::on([day - 1], [FRIDAY]),
                QuartzDays::on([day + 1], [MONDAY]),
            ]),
            // What it means in a month that has no such day is told differently by different versions.
            _ => refused(),
        };
    }
    Ok(vec![QuartzDays::on(numbers(field, &DAY)?, all(&WEEKDAY))])
}

/// The days that a weekday field means.
fn of_week(field: &str) -> Result<Vec<QuartzDays>, String> {
    if field == "L" {
        return Ok(vec![QuartzDays::on(all(&DAY), [WEEKDAY.last])]);
    }
    if let Some((weekday, which)) = field.split_once('#') {
        let weekday = number(weekday, &WEEKDAY)?;
        return match which.parse::<u32>() {
            Ok(which @ 1..=5) => {
                let last = (which * 7).min(DAY.last);
                Ok(vec![QuartzDays::on(which * 7 - 6..=last, [weekday])])
            }
            _ => Err(format!("its weekday is {field:?}")),
        };
    }
    if let Some(weekday) = field.strip_suffix('L') {
        let weekday = number(weekday, &WEEKDAY)?;
        return Ok(by_length(|last| vec![QuartzDays::on(last - 6..=last, [weekday])]));
    }
    Ok(vec![QuartzDays::on(all(&DAY), numbers(field, &WEEKDAY)?)])
}

/// Days that go by which day is the month's last.
fn by_length(days: impl Fn(u32) -> Vec<QuartzDays>) -> Vec<QuartzDays> {
    let is_leap = |year: &u32| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let (leap, common): (BTreeSet<u32>, BTreeSet<u32>) = all(&YEAR).into_iter().partition(is_leap);
    let lengths: [(u32, &[u32], BTreeSet<u32>); 4] = [
        (31, &[1, 3, 5, 7, 8, 10, 12], all(&YEAR)),
        (30, &[4, 6, 9, 11], all(&YEAR)),
        (29, &[2], leap),
        (28, &[2], common),
    ];
    let of_length = |(last, months, years): (u32, &[u32], BTreeSet<u32>)| {
        let months: BTreeSet<u32> = months.iter().copied().collect();
        let in_these = move |days| QuartzDays { months: months.clone(), years: years.clone(), ..days };
        days(last).into_iter().map(in_these).collect::<Vec<_>>()
    };
    lengths.into_iter().flat_map(of_length).collect()
}

fn all(kind: &Kind) -> BTreeSet<u32> {
    (kind.first..=kind.last).collect()
}

fn list(numbers: &BTreeSet<u32>) -> String {
    let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
    texts.join(",")
}

/// The numbers that a field means.
fn numbers(field: &str, kind: &Kind) -> Result<BTreeSet<u32>, String> {
    let mut found = BTreeSet::new();
    for item in field.split(',') {
        let refused = || format!("its {} is {item:?}", kind.name);
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((range, step)) => (range, Some(step.parse::<u32>().map_err(|_| refused())?)),
        };
        if step.is_some_and(|step| step == 0 || step > kind.last) {
            return Err(refused());
        }
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (number(first, kind)?, number(last, kind)?),
            None if range == "*" || range.is_empty() && step.is_some() => (kind.first, kind.last),
            None => {
                let first = number(range, kind)?;
                // Steps go on to the end of the field.
                (first, if step.is_some() { kind.last } else { first })
            }
        };
        let step = step.unwrap_or(1) as usize;
        if first <= last {
            found.extend((first..=last).step_by(step));
        } else if step == 1 {
            // Over the end of the day, the week or the year.
            found.extend((first..=kind.last).chain(kind.first..=last));
        } else {
            return Err(refused());
        }
    }
    Ok(found)
}

fn number(text: &str, kind: &Kind) -> Result<u32, String> {
    let in_words = kind.words.iter().zip(kind.first..).find(|(word, _)| **word == text).map(|(_, number)| number);
    let written = || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    let found = in_words.or_else(written).filter(|number| (kind.first..=kind.last).contains(number));
    found.ok_or_else(|| format!("its {} is {text:?}", kind.name))
}
