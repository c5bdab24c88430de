//! Texts with places to fill in: `{{from:epoch_ms}}`, `{{page}}`, `{{id}}`.
//!
//! Pure. What is filled in is encoded for where it stands, so that a name of the scheduler's own can never change what a
//! request asks for, nor whom it asks.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::time::TimeFormat;
use crate::coding::percent_encoded;
use crate::yaml::closest;

/// What can be filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// The beginning of the window.
    From,
    /// Its end.
    To,
    /// The beginning of a day that the window touches: the request is made once for each.
    Day,
    /// The beginning of the day before that.
    DayBefore,
    /// The number of the page.
    Page,
    /// The records before the page.
    Offset,
    /// Where the page before ended.
    Cursor,
    /// The run's id, whole.
    Id,
    /// One of several parts of it.
    IdPart(usize),
    /// The job's name.
    Job,
    /// The job's id.
    JobId,
    /// The id of a failing node.
    Node,
    /// What a login or a client credential is filled in with.
    User,
    /// The password that goes with it.
    Password,
}

const NAMES: [(&str, Name); 13] = [
    ("from", Name::From),
    ("to", Name::To),
    ("day", Name::Day),
    ("day_before", Name::DayBefore),
    ("page", Name::Page),
    ("offset", Name::Offset),
    ("cursor", Name::Cursor),
    ("id", Name::Id),
    ("job", Name::Job),
    ("job_id", Name::JobId),
    ("node", Name::Node),
    ("user", Name::User),
    ("password", Name::Password),
];

impl Name {
    fn is_time(self) -> bool {
        matches!(self, Name::From | Name::To | Name::Day | Name::DayBefore)
    }

    fn parse(word: &str) -> Result<Name, String> {
        if let Some((_, name)) = NAMES.iter().find(|(known, _)| *known == word) {
            return Ok(*name);
        }
        if let Some(part) =
            word.strip_prefix("id.").and_then(|number| number.parse::<usize>().ok()).filter(|part| *part > 0)
        {
            return Ok(Name::IdPart(part - 1));
        }
        let words = NAMES.map(|(word, _)| word);
        let near = closest(word, words).map(|near| format!("did you mean {{{{{near}}}}}?"));
        Err(format!(
            "there is no {{{{{word}}}}}: {}",
            near.unwrap_or_else(|| format!("there are {}", words.join(", ")))
        ))
    }
}

/// A text with places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Name, TimeFormat),
}

/// How a value is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In an address or a form: percent-encoded.
    Address,
    /// Inside a JSON string: escaped.
    JsonText,
    /// As it is: a part of a list of pairs, or of JSON that is built value by value.
    Plain,
}

/// What there is to fill in. What is absent is left out, or empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    /// The window.
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    /// The beginnings of the day in question and of the one before.
    pub(super) day: Option<Timestamp>,
    pub(super) day_before: Option<Timestamp>,
    pub(super) page: Option<u64>,
    pub(super) offset: Option<u64>,
    pub(super) cursor: Option<String>,
    pub(super) id: Vec<String>,
    pub(super) job: Option<String>,
    pub(super) job_id: Option<String>,
    pub(super) node: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// The zone in which layouts are written.
    pub(super) zone: Option<TimeZone>,
}

/// A value that is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filled {
    Text(String),
    /// A whole number, which JSON writes without quotes.
    Number(String),
}

impl Filled {
    pub(super) fn text(&self) -> &str {
        let (Filled::Text(text) | Filled::Number(text)) = self;
        text
    }
}

impl Values {
    fn value(&self, name: Name, format: &TimeFormat) -> Option<Filled> {
        let time = |instant: Option<Timestamp>, is_end: bool| {
            let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
            let written = format.write(instant?, &zone, is_end);
            Some(if matches!(format, TimeFormat::Epoch | TimeFormat::EpochMs) {
                Filled::Number(written)
            } else {
                Filled::Text(written)
            })
        };
        let text = |text: &Option<String>| text.clone().map(Filled::Text);
        let number = |number: Option<u64>| number.map(|number| Filled::Number(number.to_string()));
        match name {
            Name::From => time(self.from, false),
            Name::To => time(self.to, true),
            Name::Day => time(self.day, false),
            Name::DayBefore => time(self.day_before, false),
            Name::Page => number(self.page),
            Name::Offset => number(self.offset),
            Name::Cursor => text(&self.cursor),
            Name::Id => (!self.id.is_empty()).then(|| Filled::Text(self.id.join("/"))),
            Name::IdPart(at) => self.id.get(at).cloned().map(Filled::Text),
            Name::Job => text(&self.job),
            Name::JobId => text(&self.job_id),
            Name::Node => text(&self.node),
            Name::User => text(&self.user),
            Name::Password => text(&self.password),
        }
    }
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with a place in it.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((place, following)) = after.split_once("}}") else {
                return Err("a \"{{\" without its \"}}\"".to_string());
            };
            // The braces of nested JSON are no place: what stands in one is a word.
            let (word, form) = place.split_once(':').unwrap_or((place, ""));
            let name = Name::parse(word.trim())?;
            if !form.is_empty() && !name.is_time() {
                return Err(format!("{{{{{word}}}}} is not a time and takes no form"));
            }
            let format = if form.is_empty() { TimeFormat::Rfc3339 } else { TimeFormat::parse(form.trim())? };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_string()));
            }
            parts.push(Part::Place(name, format));
            rest = following;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_string()));
        }
        Ok(Template(parts))
    }

    /// The names of its places.
    pub(super) fn names(&self) -> BTreeSet<Name> {
        let names = self.0.iter().filter_map(|part| if let Part::Place(name, _) = part { Some(*name) } else { None });
        names.collect()
    }

    /// Whether a time in it means nothing without a zone.
    pub(super) fn needs_zone(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Place(name, format) if matches!(name, Name::Day | Name::DayBefore) || format.needs_zone()))
    }

    /// The text before the first place.
    pub(super) fn beginning(&self) -> &str {
        match self.0.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// The text with its places filled in.
    pub(super) fn fill(&self, values: &Values, place: Place) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Place(name, format) => {
                    let value = values.value(*name, format);
                    let value = value.as_ref().map_or("", Filled::text);
                    match place {
                        Place::Address => text.push_str(&percent_encoded(value)),
                        Place::JsonText => {
                            let quoted = serde_json::Value::from(value).to_string();
                            text.push_str(&quoted[1..quoted.len() - 1]);
                        }
                        Place::Plain => text.push_str(value),
                    }
                }
            }
        }
        text
    }

    /// The value of a text that is nothing but one place, or the text filled in; `None` where the one place has no value.
    pub(super) fn value(&self, values: &Values) -> Option<Filled> {
        match self.0.as_slice() {
            [Part::Place(name, format)] => values.value(*name, format),
            _ => Some(Filled::Text(self.fill(values, Place::Plain))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values {
            from: "2026-11-20T00:00:00Z".parse().ok(),
            to: "2026-11-21T00:00:00.5Z".parse().ok(),
            page: Some(3),
            id: vec!["a/b".to_string(), "7".to_string()],
            job: Some("nightly \"x\"?&../".to_string()),
            zone: TimeZone::get("Asia/Shanghai").ok(),
            ..Values::default()
        }
    }

    #[test]
    fn places_are_filled_in_and_encoded_for_where_they_stand() {
        let table = [
            ("/x?from={{from}}", Place::Address, "/x?from=2026-11-20T00%3A00%3A00Z"),
            ("/x?to={{to:epoch}}&p={{page}}", Place::Address, "/x?to=1795219201&p=3"),
            ("{{from:%Y-%m-%d %H:%M:%S}}", Place::Plain, "2026-11-20 08:00:00"),
            ("/runs/{{id}}/{{id.1}}/{{id.2}}/{{id.3}}", Place::Address, "/runs/a%2Fb%2F7/a%2Fb/7/"),
            ("/jobs/{{job}}", Place::Address, "/jobs/nightly%20%22x%22%3F%26..%2F"),
            (r#"{"job":"{{job}}"}"#, Place::JsonText, r#"{"job":"nightly \"x\"?&../"}"#),
            ("c={{cursor}}", Place::Address, "c="),
            ("{ runs { id } }", Place::Plain, "{ runs { id } }"),
        ];
        for (text, place, expected) in table {
            assert_eq!(Template::parse(text).unwrap().fill(&values(), place), expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_one_place_has_its_value() {
        let value = |text: &str| Template::parse(text).unwrap().value(&values());
        assert_eq!(value("{{page}}"), Some(Filled::Number("3".into())));
        assert_eq!(value("{{from:epoch_ms}}"), Some(Filled::Number("1795132800000".into())));
        assert_eq!(value("{{from}}"), Some(Filled::Text("2026-11-20T00:00:00Z".into())));
        assert_eq!(value("{{cursor}}"), None);
        assert_eq!(value("c{{cursor}}"), Some(Filled::Text("c".into())));
    }

    #[test]
    fn what_is_wrong_with_a_place_is_said() {
        let table = [
            ("{{form}}", "did you mean {{from}}"),
            ("{{colour}}", "there are from, to"),
            ("{{from", "without its"),
            ("{{page:epoch}}", "not a time"),
            ("{{from:seconds}}", "not a valid form of a time"),
            ("{{id.0}}", "there is no {{id.0}}"),
        ];
        for (text, words) in table {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
