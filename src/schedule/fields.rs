//! The fields of a crontab(5) expression, read to sets of numbers.
//!
//! Every fault is told in words that name the field and what to write instead.

use std::collections::BTreeSet;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const ALIASES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// What may stand in one field.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) first: u32,
    pub(super) last: u32,
    /// Names for the numbers from `first` on.
    pub(super) words: &'static [&'static str],
}

pub(super) const SECOND: Kind = Kind { name: "second", first: 0, last: 59, words: &[] };
pub(super) const MINUTE: Kind = Kind { name: "minute", first: 0, last: 59, words: &[] };
pub(super) const HOUR: Kind = Kind { name: "hour", first: 0, last: 23, words: &[] };
pub(super) const DAY: Kind = Kind { name: "day-of-month", first: 1, last: 31, words: &[] };
const MONTH: Kind = Kind { name: "month", first: 1, last: 12, words: &MONTHS };
/// 0 and 7 are both Sunday.
const WEEKDAY: Kind = Kind { name: "weekday", first: 0, last: 7, words: &WEEKDAYS };

/// One field: the numbers that match, and whether it was written with a star.
struct Field {
    numbers: BTreeSet<u32>,
    star: bool,
}

impl Field {
    /// The field as the `cron` crate takes it.
    fn list(&self, kind: &Kind) -> String {
        if (kind.first..=kind.last).all(|number| self.numbers.contains(&number)) {
            return "*".into();
        }
        let numbers: Vec<String> = self.numbers.iter().map(u32::to_string).collect();
        numbers.join(",")
    }

    /// The weekdays by name: the `cron` crate counts Sunday as 1.
    fn weekday_list(&self) -> String {
        let days: BTreeSet<u32> = self.numbers.iter().map(|day| day % 7).collect();
        if days.len() == 7 {
            return "*".into();
        }
        let names: Vec<&str> = days.into_iter().filter_map(|day| WEEKDAYS.get(day as usize).copied()).collect();
        names.join(",")
    }
}

/// A whole expression.
pub(super) struct Fields {
    second: Field,
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

impl Fields {
    /// Whether every pass of the wall clock over a matching time counts.
    pub(super) fn hour_is_star(&self) -> bool {
        self.hour.star
    }

    /// The expressions for the `cron` crate, which joins the day fields by AND. crontab(5) does so only while one of
    /// them starts with a star; when both are restricted either suffices, so there are two expressions.
    pub(super) fn for_cron(&self) -> Vec<String> {
        let time = format!("{} {} {}", self.second.list(&SECOND), self.minute.list(&MINUTE), self.hour.list(&HOUR));
        let (day, month, weekday) = (self.day.list(&DAY), self.month.list(&MONTH), self.weekday.weekday_list());
        if self.day.star || self.weekday.star {
            vec![format!("{time} {day} {month} {weekday}")]
        } else {
            vec![format!("{time} {day} {month} *"), format!("{time} * {month} {weekday}")]
        }
    }
}

/// Reads an expression.
pub(super) fn read(text: &str) -> Result<Fields, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err("the schedule is empty; write five fields, as in \"0 8 * * *\"".into());
    }
    if trimmed.contains('=') {
        return Err("a schedule holds no variables; the zone is the key \"timezone\"".into());
    }
    let expression = if trimmed.starts_with('@') { expand_alias(trimmed)? } else { trimmed };
    let parts: Vec<&str> = expression.split_whitespace().collect();
    let (second, rest) = match parts.as_slice() {
        rest @ [_, _, _, _, _] => ("0", rest),
        [second, rest @ ..] if rest.len() == 5 => (*second, rest),
        _ => {
            return Err(format!(
                "{trimmed:?} has {} field{}; write five (minute hour day-of-month month weekday), \
                 or six with the seconds first",
                parts.len(),
                if parts.len() == 1 { "" } else { "s" }
            ));
        }
    };
    Ok(Fields {
        second: read_field(second, &SECOND)?,
        minute: read_field(rest[0], &MINUTE)?,
        hour: read_field(rest[1], &HOUR)?,
        day: read_field(rest[2], &DAY)?,
        month: read_field(rest[3], &MONTH)?,
        weekday: read_field(rest[4], &WEEKDAY)?,
    })
}

fn expand_alias(text: &str) -> Result<&'static str, String> {
    let known = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(text));
    known.map(|(_, expression)| *expression).ok_or_else(|| {
        format!("{text:?} is not known; write @hourly, @daily, @weekly, @monthly or @yearly, or five fields")
    })
}

fn read_field(text: &str, kind: &Kind) -> Result<Field, String> {
    let mut numbers = BTreeSet::new();
    for item in text.split(',') {
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((range, step)) => (range, Some(read_step(item, step, range, kind)?)),
        };
        let (first, last) = read_range(item, range, kind)?;
        numbers.extend((first..=last).step_by(step.unwrap_or(1)));
    }
    Ok(Field { numbers, star: text.starts_with('*') })
}

fn read_step(item: &str, step: &str, range: &str, kind: &Kind) -> Result<usize, String> {
    let name = kind.name;
    if range != "*" && !range.contains('-') {
        let last = kind.last.min(if kind.words.len() == 7 { 6 } else { kind.last });
        return Err(format!("{item:?} in the {name} field: a step needs a range; write {range}-{last}/{step}"));
    }
    let parsed = step.parse::<usize>().ok().filter(|step| *step >= 1);
    let step =
        parsed.ok_or_else(|| format!("{item:?} in the {name} field: the step {step:?} is not a number above 0"))?;
    let span = (kind.last - kind.first) as usize;
    if step > span {
        return Err(format!(
            "{item:?} in the {name} field: the step is longer than the whole field ({}-{}), so it would match once",
            kind.first, kind.last
        ));
    }
    Ok(step)
}

/// The first and last number of `*`, `a` or `a-b`.
fn read_range(item: &str, range: &str, kind: &Kind) -> Result<(u32, u32), String> {
    if range == "*" {
        let last = if kind.words.len() == 7 { 6 } else { kind.last };
        return Ok((kind.first, last));
    }
    let Some((first, last)) = range.split_once('-') else {
        let number = read_number(item, range, kind)?;
        return Ok((number, number));
    };
    let (first, mut last) = (read_number(item, first, kind)?, read_number(item, last, kind)?);
    if kind.words.len() == 7 && last == 0 && first > 0 {
        // Fri-Sun: Sunday ends the week when it ends a range.
        last = 7;
    }
    if first > last {
        return Err(format!(
            "{item:?} in the {} field: the range runs backwards; write {first}-{},{}-{last}",
            kind.name, kind.last, kind.first
        ));
    }
    Ok((first, last))
}

fn read_number(item: &str, text: &str, kind: &Kind) -> Result<u32, String> {
    let name = kind.name;
    let in_words = kind.words.iter().zip(kind.first..).find(|(word, _)| word.eq_ignore_ascii_case(text));
    if let Some((_, number)) = in_words {
        return Ok(number);
    }
    if let Ok(number) = text.parse::<u32>()
        && text.bytes().all(|byte| byte.is_ascii_digit())
    {
        return if (kind.first..=kind.last).contains(&number) {
            Ok(number)
        } else {
            Err(format!("{item:?} in the {name} field: {number} is outside {}-{}", kind.first, kind.last))
        };
    }
    Err(match text {
        "?" => format!("{item:?} in the {name} field: write * for \"any\""),
        "" => format!("{item:?} in the {name} field: a number is missing"),
        _ if text.ends_with(['L', 'W']) || text.contains('#') => {
            format!("{item:?} in the {name} field: L, W and # are not part of crontab(5); list the days")
        }
        "workdays" | "weekdays" if kind.words.len() == 7 => {
            format!("{item:?} in the {name} field: write mon-fri; what a calendar says is worked, \"days\" knows")
        }
        _ if kind.words.is_empty() => format!("{item:?} in the {name} field: {text:?} is not a number"),
        _ => format!("{item:?} in the {name} field: {text:?} is neither a number nor a name such as {}", kind.words[1]),
    })
}
