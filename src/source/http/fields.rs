//! The keys `fields` and `status_map`: where the values of a row stand, and what its words mean.
//!
//! Reads keys of the configuration and reports what is wrong with them.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use regex::Regex;

use super::map::{Field, NodeMap, Origin, RunMap, TimeField, Words};
use super::pointer::Pointer;
use super::time::TimeFormat;
use crate::model::{InstanceType, Status};
use crate::yaml::{FromYaml, Key, Keys, Located, OneOrMany, Section, Shape, Value, closest};

impl FromYaml for Pointer {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        Pointer::parse(&text).map_err(|reason| located.wrong::<()>(reason, None)).ok()
    }
}

impl FromYaml for TimeFormat {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        TimeFormat::parse(&text).map_err(|reason| located.wrong::<()>(reason, None)).ok()
    }
}

/// The keys of a field that is a mapping.
const FIELD: &[Key] = &[
    Key::new("pointer", Shape::Texts, "Where it stands; of several places, the first that has a value."),
    Key::new("join", Shape::Texts, "Several places whose values belong together."),
    Key::new("value", Shape::Text, "It is always this."),
    Key::new("pattern", Shape::Text, "A regular expression: its first group is what is meant."),
    Key::new("optional", Shape::Flag, "Whether a row without it is whole."),
];

static TEXT: Keys = Keys::of("http_field", "A field of a row.", &[FIELD]);

static TIME: Keys = Keys::of(
    "http_time",
    "A field of a row that is a time.",
    &[
        FIELD,
        &[
            Key::new("format", Shape::Text, "epoch, epoch_ms, rfc3339 or a layout such as \"%Y-%m-%d %H:%M:%S\".")
                .default("rfc3339"),
            Key::new("timezone", Shape::Zone, "The zone of times that name none; without it, the source's."),
        ],
    ],
);

static KIND: Keys = Keys::of(
    "http_kind",
    "The field of a row that says how the run came about.",
    &[
        FIELD,
        &[Key::new(
            "map",
            Shape::Other("types of runs by the scheduler's words", kinds_by_word),
            "What its words mean.",
        )],
    ],
);

const fn text_field(name: &'static str, says: &'static str) -> Key {
    Key::new(name, Shape::TextsOr(&TEXT), says)
}

const fn time_field(name: &'static str, says: &'static str) -> Key {
    Key::new(name, Shape::TextsOr(&TIME), says)
}

/// The keys of `fields`: where a row has what.
pub(super) static RUN_FIELDS: Keys = Keys::of(
    "http_fields",
    "Where a row of the list has what.",
    &[&[
        text_field("id", "What identifies the run; of several places, all together.").required().example("/id"),
        text_field("attempt", "The number of the try, where a rerun keeps the id."),
        text_field("job", "The name that rules match.").required().example("/job/name"),
        text_field("job_id", "The scheduler's own id of the job."),
        text_field("status", "The word that status_map knows.").required().example("/state"),
        time_field("planned", "When the run was due."),
        time_field("started", "When it began."),
        time_field("ended", "When it ended."),
        Key::new("kind", Shape::TextsOr(&KIND), "How it came about."),
        text_field("owner", "Who owns the job."),
        text_field("url", "The run's page."),
        text_field("error", "Why it failed."),
    ]],
)
.any_of(&[&["planned"], &["started"]]);

/// The keys of `fields` of a run's steps.
pub(super) static NODE_FIELDS: Keys = Keys::of(
    "http_step_fields",
    "Where a step of a run has what.",
    &[&[
        text_field("name", "Its name.").required().example("/name"),
        text_field("status", "The word that status_map knows.").required().example("/state"),
        text_field("id", "What {{node}} is in the request of a log."),
        text_field("kind", "What kind of work it does."),
        text_field("retries", "How often it was tried again."),
        time_field("started", "When it began."),
        time_field("ended", "When it ended."),
        text_field("log_path", "Where its log is."),
        text_field("error", "Why it failed."),
    ]],
);

/// The keys of `fields` of a list of jobs.
pub(super) static NAME_FIELDS: Keys = Keys::of(
    "http_name_fields",
    "Where a row of the list of jobs has what.",
    &[&[
        text_field("id", "The job's id.").required().example("/id"),
        text_field("name", "The job's name.").required().example("/name"),
    ]],
);

/// Statuses by the scheduler's words, as a schema.
pub(super) fn statuses_by_word() -> serde_json::Value {
    let words: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
    serde_json::json!({ "type": "object", "minProperties": 1, "additionalProperties": { "enum": words } })
}

fn kinds_by_word() -> serde_json::Value {
    let words: Vec<&str> = InstanceType::ALL.iter().map(|kind| kind.as_str()).collect();
    serde_json::json!({ "type": "object", "additionalProperties": { "enum": words } })
}

/// A regular expression of the configuration.
struct Pattern(Regex);

impl FromYaml for Pattern {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        let wrong = |_| located.wrong::<()>(format!("{text:?} is not a valid regular expression"), None);
        Regex::new(&text).map(Pattern).map_err(wrong).ok()
    }
}

/// Reads the keys of fields.
pub(super) struct FieldReader<'s, 'a> {
    section: &'s Section<'a>,
    zone: Option<&'s TimeZone>,
    is_broken: std::cell::Cell<bool>,
}

impl<'s, 'a> FieldReader<'s, 'a> {
    fn new(section: &'s Section<'a>, zone: Option<&'s TimeZone>) -> Self {
        FieldReader { section, zone, is_broken: std::cell::Cell::new(false) }
    }

    /// A field, and the mapping that has further keys of it.
    fn read(&self, key: &'static str, joins: bool, is_optional: bool) -> Option<(Field, Option<Section<'a>>)> {
        let read = self.read_one(key, joins, is_optional);
        if read.is_none() && self.section.has(key) {
            self.is_broken.set(true);
        }
        read
    }

    fn read_one(&self, key: &'static str, joins: bool, is_optional: bool) -> Option<(Field, Option<Section<'a>>)> {
        let node = self.section.node(key)?;
        let many = |pointers: Vec<Pointer>| {
            if joins && pointers.len() > 1 { Origin::Join(pointers) } else { Origin::First(pointers) }
        };
        if !matches!(node.value, Value::Map(_)) {
            let pointers = self.section.optional::<OneOrMany<Pointer>>(key)?.0;
            return Some((Field { origin: many(pointers), pattern: None, is_optional }, None));
        }
        let section = self.section.section(key)?;
        let pointer = section.optional::<OneOrMany<Pointer>>("pointer").map(|it| many(it.0));
        let join = section.optional::<OneOrMany<Pointer>>("join").map(|it| Origin::Join(it.0));
        let constant = section.optional::<String>("value").map(Origin::Constant);
        let pattern = section.optional::<Pattern>("pattern").map(|it| it.0);
        let is_optional = section.optional("optional").unwrap_or(is_optional);
        let mut origins: Vec<Origin> = [pointer, join, constant].into_iter().flatten().collect();
        if origins.len() != 1 {
            if !section.findings().has_error_at(section.at()) {
                section.error("", "one of the keys \"pointer\", \"join\" and \"value\" is needed", None);
            }
            return None;
        }
        Some((Field { origin: origins.remove(0), pattern, is_optional }, Some(section)))
    }

    /// A field that is a text.
    fn text(&self, key: &'static str, joins: bool, is_optional: bool) -> Option<Field> {
        let (field, section) = self.read(key, joins, is_optional)?;
        if let Some(section) = section {
            section.close();
        }
        Some(field)
    }

    /// A field that must be there.
    fn required(&self, key: &'static str, joins: bool) -> Option<Field> {
        if !self.section.has(key) {
            let _ = self.section.required::<String>(key);
            self.is_broken.set(true);
            return None;
        }
        self.text(key, joins, false)
    }

    /// A field that is a time.
    fn time(&self, key: &'static str) -> Option<TimeField> {
        let (field, section) = self.read(key, false, true)?;
        let mut format = TimeFormat::Rfc3339;
        let mut zone = self.zone.cloned();
        if let Some(section) = section {
            format = section.optional("format").unwrap_or(format);
            zone = section.optional("timezone").or(zone);
            if format.needs_zone() && zone.is_none() && !section.has("timezone") {
                let help = "write timezone: Asia/Shanghai, here or for the whole source";
                section.error("format", "times of this layout name no zone", Some(help.into()));
                self.is_broken.set(true);
            }
            section.close();
        }
        Some(TimeField { field, format, zone })
    }

    /// A field whose words are mapped by a key of its own.
    fn mapped(&self, key: &'static str) -> Option<(Field, Words<InstanceType>)> {
        let (field, section) = self.read(key, false, true)?;
        let mut words = Words::default();
        if let Some(section) = section {
            if let Some(map) = section.section("map") {
                let known: Vec<&str> = InstanceType::ALL.iter().map(|kind| kind.as_str()).collect();
                words = self.words(&map, "type of run", &known, InstanceType::from_word);
            }
            section.close();
        }
        Some((field, words))
    }

    fn words<T>(
        &self,
        map: &Section<'_>,
        what: &str,
        known: &[&str],
        from_word: impl Fn(&str) -> Option<T>,
    ) -> Words<T> {
        let mut words = BTreeMap::new();
        for entry in map.entries() {
            let path = map.path_of(&entry.key);
            let located = Located { node: &entry.node, path: &path, findings: map.findings() };
            let Some(word) = String::from_yaml(located) else {
                self.is_broken.set(true);
                continue;
            };
            match from_word(&word) {
                Some(meaning) => drop(words.insert(entry.key.clone(), meaning)),
                None => {
                    let near = closest(&word, known.iter().copied()).map(|near| format!("did you mean {near:?}?"));
                    let help = near.unwrap_or_else(|| format!("one of {}", known.join(", ")));
                    located.wrong::<()>(format!("{word:?} is not a valid {what}"), Some(help));
                    self.is_broken.set(true);
                }
            }
        }
        Words(words)
    }
}

/// Reads the words for statuses; `None` means reported.
pub(super) fn read_statuses(section: &Section<'_>) -> Option<Words<Status>> {
    let map = section.required_section("status_map")?;
    if map.entries().is_empty() {
        map.error(
            "",
            "it is empty: then every run is unknown",
            Some("write the scheduler's words, each with a status".into()),
        );
        return None;
    }
    let reader = FieldReader::new(&map, None);
    let known: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
    let words = reader.words(&map, "status", &known, Status::from_word);
    (!reader.is_broken.get()).then_some(words)
}

/// Reads how a row becomes a run; `None` means reported.
pub(super) fn read_run(section: &Section<'_>, zone: Option<&TimeZone>) -> Option<RunMap> {
    let statuses = read_statuses(section);
    let fields = section.required_section("fields")?;
    let reader = FieldReader::new(&fields, zone);
    let (id, job, status) =
        (reader.required("id", true), reader.required("job", false), reader.required("status", false));
    let text = |key| reader.text(key, false, true);
    let (attempt, job_id, owner, url, error) =
        (text("attempt"), text("job_id"), text("owner"), text("url"), text("error"));
    let (planned, started, ended) = (reader.time("planned"), reader.time("started"), reader.time("ended"));
    let kind = reader.mapped("kind");
    let is_broken = reader.is_broken.get();
    if planned.is_none() && started.is_none() && !is_broken {
        let help = "without a time it cannot be known what is new and what is history";
        fields.error("", "one of the keys \"planned\" and \"started\" is needed", Some(help.into()));
        return None;
    }
    fields.close();
    let (kind, kinds) = kind.map_or((None, Words::default()), |(field, words)| (Some(field), words));
    let map = RunMap {
        id: id?,
        attempt,
        job: job?,
        job_id,
        status: status?,
        statuses: statuses?,
        kind,
        kinds,
        planned,
        started,
        ended,
        owner,
        url,
        error,
    };
    (!is_broken).then_some(map)
}

/// Reads how a row becomes a step of a run; the run's own words for statuses serve where there are no others.
pub(super) fn read_node(section: &Section<'_>, zone: Option<&TimeZone>, statuses: &Words<Status>) -> Option<NodeMap> {
    let statuses = if section.has("status_map") {
        read_statuses(section)?
    } else {
        let _ = section.node("status_map");
        statuses.clone()
    };
    let fields = section.required_section("fields")?;
    let reader = FieldReader::new(&fields, zone);
    let (name, status) = (reader.required("name", false), reader.required("status", false));
    let text = |key| reader.text(key, false, true);
    let (id, kind, retries, log_path, error) =
        (text("id"), text("kind"), text("retries"), text("log_path"), text("error"));
    let (started, ended) = (reader.time("started"), reader.time("ended"));
    let is_broken = reader.is_broken.get();
    fields.close();
    let map = NodeMap { name: name?, id, kind, status: status?, statuses, retries, started, ended, log_path, error };
    (!is_broken).then_some(map)
}

/// The two fields of a list of jobs: an id and its name; `None` means reported.
pub(super) fn read_name(section: &Section<'_>) -> Option<(Field, Field)> {
    let fields = section.required_section("fields")?;
    let reader = FieldReader::new(&fields, None);
    let (id, name) = (reader.required("id", false), reader.required("name", false));
    fields.close();
    Some((id?, name?))
}
