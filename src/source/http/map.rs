//! From a row of an answer to a run, as the configuration's `fields` and `status_map` say.
//!
//! Pure: takes one row and gives what it tells, with what is odd about it. A row without an id, a job or a status is set
//! aside; an odd time is an unknown time, and a status that nobody has mapped is `unknown`: both are said.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use regex::Regex;

use super::pointer::Pointer;
use super::time::TimeFormat;
use crate::model::{Instance, InstanceType, JobRef, SetAside, SourceId, Status};
use crate::source::kit::excerpt;
use crate::source::kit::json::Spot;
use crate::source::kit::text::cut;

/// Joins the parts of an id, and the texts of a status that stands in several places.
const JOINT: &str = "/";

/// Where the value of a field is to be found.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// At the first of these places that has a value.
    First(Vec<Pointer>),
    /// At all of these places together.
    Join(Vec<Pointer>),
    /// It is always this.
    Constant(String),
}

/// One field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) origin: Origin,
    /// What of the text is meant: its first group, or all that matches.
    pub(super) pattern: Option<Regex>,
    /// Whether a row without it is whole.
    pub(super) is_optional: bool,
}

/// A field that is a time.
#[derive(Debug, Clone)]
pub(super) struct TimeField {
    pub(super) field: Field,
    pub(super) format: TimeFormat,
    pub(super) zone: Option<TimeZone>,
}

/// What a scheduler's words mean. A word that is not there means nothing known.
#[derive(Debug, Clone)]
pub(super) struct Words<T>(pub(super) BTreeMap<String, T>);

impl<T> Default for Words<T> {
    fn default() -> Self {
        Words(BTreeMap::new())
    }
}

impl<T: Copy> Words<T> {
    /// What a word means, capitals or not.
    pub(super) fn meaning(&self, word: &str) -> Option<T> {
        let exact = self.0.get(word).copied();
        exact.or_else(|| self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, meaning)| *meaning))
    }
}

/// How a row is read.
#[derive(Debug, Clone)]
pub(super) struct RunMap {
    /// The parts of the id.
    pub(super) id: Field,
    pub(super) attempt: Option<Field>,
    pub(super) job: Field,
    pub(super) job_id: Option<Field>,
    pub(super) status: Field,
    pub(super) statuses: Words<Status>,
    pub(super) kind: Option<Field>,
    pub(super) kinds: Words<InstanceType>,
    pub(super) planned: Option<TimeField>,
    pub(super) started: Option<TimeField>,
    pub(super) ended: Option<TimeField>,
    pub(super) owner: Option<Field>,
    pub(super) url: Option<Field>,
    pub(super) error: Option<Field>,
}

/// What a row tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    /// The parts of its id, in order.
    pub(super) id: Vec<String>,
    pub(super) attempt: Option<String>,
    pub(super) job: String,
    pub(super) job_id: Option<String>,
    pub(super) status: Status,
    pub(super) raw_status: String,
    pub(super) kind: InstanceType,
    pub(super) planned: Option<Timestamp>,
    pub(super) started: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    pub(super) owner: Option<String>,
    pub(super) url: Option<String>,
    pub(super) error: Option<String>,
    /// What is odd about it, in words.
    pub(super) doubts: Vec<String>,
}

impl Run {
    /// The run as every source tells one.
    pub(super) fn into_instance(self, source: &SourceId) -> Instance {
        let id = self.whole_id();
        let again = self.attempt.as_ref().filter(|attempt| !matches!(attempt.as_str(), "0" | "1"));
        Instance {
            source: source.clone(),
            name: again.map(|attempt| format!("{id} (attempt {attempt})")),
            id,
            job: JobRef { name: self.job, id: self.job_id },
            status: self.status,
            raw_status: self.raw_status,
            kind: self.kind,
            plan_time: self.planned.or(self.started),
            start_time: self.started,
            end_time: self.ended,
            error: self.error.and_then(|text| excerpt::failure_text(Some(&text), &[])),
        }
    }

    /// The id as one text.
    pub(super) fn whole_id(&self) -> String {
        self.id.join(JOINT)
    }
}

impl Field {
    /// A field at one place that must be there.
    #[cfg(test)]
    pub(super) fn at(pointer: &str) -> Field {
        Field { origin: Origin::First(vec![Pointer::parse(pointer).unwrap()]), pattern: None, is_optional: false }
    }

    /// The parts of its value: one, but for joined ones.
    fn parts(&self, row: &Spot<'_>, is_id: bool) -> Option<Vec<String>> {
        let text = |pointer: &Pointer| {
            let text = if is_id { pointer.find(row)?.id() } else { pointer.word(row) };
            text.map(cut).filter(|text| !text.trim().is_empty())
        };
        let found = match &self.origin {
            Origin::Constant(text) => Some(vec![text.clone()]),
            Origin::First(pointers) => pointers.iter().find_map(text).map(|found| vec![found]),
            Origin::Join(pointers) => pointers.iter().map(text).collect(),
        };
        found.and_then(|parts: Vec<String>| parts.into_iter().map(|part| self.meant(part)).collect())
    }

    /// The part of a text that is meant; nothing where the pattern does not match.
    fn meant(&self, text: String) -> Option<String> {
        let Some(pattern) = &self.pattern else { return Some(text) };
        let found = pattern.captures(&text)?;
        Some(found.get(1).or_else(|| found.get(0))?.as_str().to_string())
    }

    /// Its value as one text.
    pub(super) fn text(&self, row: &Spot<'_>) -> Option<String> {
        self.parts(row, false).map(|parts| parts.join(JOINT))
    }

    /// The same of what identifies something.
    fn id(&self, row: &Spot<'_>) -> Option<Vec<String>> {
        self.parts(row, true)
    }

    /// Where it is looked for, in words.
    pub(super) fn place(&self) -> Cow<'_, str> {
        let list = |pointers: &[Pointer], word: &str| {
            Cow::Owned(pointers.iter().map(Pointer::to_string).collect::<Vec<_>>().join(word))
        };
        match &self.origin {
            Origin::Constant(text) => Cow::Borrowed(text),
            Origin::First(pointers) => list(pointers, " or "),
            Origin::Join(pointers) => list(pointers, " and "),
        }
    }
}

impl TimeField {
    /// The instant, and what is odd about it.
    pub(super) fn read(&self, row: &Spot<'_>, name: &str) -> (Option<Timestamp>, Option<String>) {
        let Some(text) = self.field.text(row) else {
            let missing = (!self.field.is_optional).then(|| format!("\"{name}\" is not at {}", self.field.place()));
            return (None, missing);
        };
        match self.format.read(&text, self.zone.as_ref()) {
            Ok(instant) => (instant, None),
            Err(reason) => (None, Some(format!("\"{name}\" at {} cannot be read: {reason}", self.field.place()))),
        }
    }
}

impl RunMap {
    /// What a row tells.
    ///
    /// # Errors
    /// The row, set aside, with the reason.
    pub(super) fn read(&self, row: &Spot<'_>) -> Result<Run, SetAside> {
        self.read_all(row).map_err(|reason| row.set_aside(reason, self.job.text(row)))
    }

    fn read_all(&self, row: &Spot<'_>) -> Result<Run, String> {
        let missing = |name: &str, field: &Field| format!("\"{name}\" is not at {}", field.place());
        let id = self.id.id(row).ok_or_else(|| missing("id", &self.id))?;
        let job = self.job.text(row).ok_or_else(|| missing("job", &self.job))?;
        let raw_status = self.status.text(row).ok_or_else(|| missing("status", &self.status))?;
        let mut doubts = Vec::new();
        let status = self.statuses.meaning(&raw_status).unwrap_or_else(|| {
            doubts.push(format!("the status {raw_status:?} is not in \"status_map\": the run counts as unknown"));
            Status::Unknown
        });
        let mut time = |field: &Option<TimeField>, name: &str| {
            let (instant, doubt) = field.as_ref().map(|field| field.read(row, name)).unwrap_or_default();
            doubts.extend(doubt);
            instant
        };
        let (planned, started) = (time(&self.planned, "planned"), time(&self.started, "started"));
        let ended = time(&self.ended, "ended");
        let text = |field: &Option<Field>| field.as_ref().and_then(|field| field.text(row));
        let kind = match (&self.kind, text(&self.kind)) {
            (Some(_), Some(word)) => self.kinds.meaning(&word).or_else(|| InstanceType::from_word(&word)),
            _ => None,
        };
        Ok(Run {
            attempt: text(&self.attempt),
            job_id: text(&self.job_id),
            kind: kind.unwrap_or(InstanceType::Unknown),
            owner: text(&self.owner),
            url: text(&self.url).filter(|url| url.starts_with("https://") || url.starts_with("http://")),
            error: text(&self.error),
            // A run that has not ended has no end, whatever stands in its place.
            ended: ended.filter(|_| status.has_ended() || status == Status::Unknown),
            id,
            job,
            status,
            raw_status,
            planned,
            started,
            doubts,
        })
    }
}

/// How a step of a run is read.
#[derive(Debug, Clone)]
pub(super) struct NodeMap {
    pub(super) name: Field,
    pub(super) id: Option<Field>,
    pub(super) kind: Option<Field>,
    pub(super) status: Field,
    pub(super) statuses: Words<Status>,
    pub(super) retries: Option<Field>,
    pub(super) started: Option<TimeField>,
    pub(super) ended: Option<TimeField>,
    pub(super) log_path: Option<Field>,
    pub(super) error: Option<Field>,
}

/// A step, with what is asked about it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) node: crate::model::Node,
    pub(super) id: Option<String>,
    pub(super) error: Option<String>,
}

impl NodeMap {
    /// What a row tells of a step; nothing of one without a name or a status.
    pub(super) fn read(&self, row: &Spot<'_>) -> Option<Step> {
        let text = |field: &Option<Field>| field.as_ref().and_then(|field| field.text(row));
        let time = |field: &Option<TimeField>| field.as_ref().and_then(|field| field.read(row, "").0);
        let raw_status = self.status.text(row)?;
        Some(Step {
            node: crate::model::Node {
                name: self.name.text(row)?,
                kind: text(&self.kind),
                status: self.statuses.meaning(&raw_status).unwrap_or(Status::Unknown),
                raw_status,
                retries: text(&self.retries).and_then(|count| count.parse().ok()),
                start_time: time(&self.started),
                end_time: time(&self.ended),
                log_path: text(&self.log_path),
                log_tail: None,
            },
            id: text(&self.id),
            error: text(&self.error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kit::json::Json;

    fn words<T: Copy>(pairs: &[(&str, T)]) -> Words<T> {
        Words(pairs.iter().map(|(word, meaning)| ((*word).to_string(), *meaning)).collect())
    }

    fn optional(pointer: &str) -> Field {
        Field { is_optional: true, ..Field::at(pointer) }
    }

    fn time(pointer: &str, format: &str) -> Option<TimeField> {
        let zone = TimeZone::get("Asia/Shanghai").ok();
        Some(TimeField { field: optional(pointer), format: TimeFormat::parse(format).unwrap(), zone })
    }

    fn joined(pointers: &[&str]) -> Origin {
        Origin::Join(pointers.iter().map(|pointer| Pointer::parse(pointer).unwrap()).collect())
    }

    fn map() -> RunMap {
        RunMap {
            id: Field { origin: joined(&["/id", "/runTimes"]), ..Field::at("") },
            attempt: Some(optional("/runTimes")),
            job: Field { pattern: Some(Regex::new("^(.*?)-[0-9]+$").unwrap()), ..Field::at("/name") },
            job_id: Some(optional("/code")),
            status: Field {
                origin: Origin::First(["/result", "/state"].map(|it| Pointer::parse(it).unwrap()).to_vec()),
                ..Field::at("")
            },
            statuses: words(&[("7", Status::Success), ("FAILURE", Status::Fail), ("1", Status::Running)]),
            kind: Some(optional("/type")),
            kinds: words(&[("SCHEDULER", InstanceType::Scheduled), ("COMPLEMENT_DATA", InstanceType::Backfill)]),
            planned: time("/due", "epoch_ms"),
            started: time("/start", "%Y-%m-%d %H:%M:%S"),
            ended: time("/end", "%Y-%m-%d %H:%M:%S"),
            owner: Some(optional("/user")),
            url: Some(optional("/url")),
            error: Some(optional("/message")),
        }
    }

    fn read(text: &str) -> Result<Run, SetAside> {
        let json = Json::read(text.as_bytes()).unwrap();
        map().read(&json.root())
    }

    #[test]
    fn a_row_is_mapped_field_by_field() {
        let run = read(
            r#"{"id": 9007199254740993, "runTimes": 2, "name": "etl-orders-20261121", "code": 77, "state": 7, "type": "scheduler",
                "due": 1795219500000, "start": "2026-11-21 08:05:00", "end": "2026-11-21 08:06:00", "user": "li.wei",
                "url": "https://x.example.com/1", "message": ""}"#,
        )
        .unwrap();
        assert_eq!(
            (run.whole_id().as_str(), run.job.as_str(), run.job_id.as_deref()),
            ("9007199254740993/2", "etl-orders", Some("77"))
        );
        assert_eq!((run.status, run.raw_status.as_str(), run.kind), (Status::Success, "7", InstanceType::Scheduled));
        assert_eq!(run.planned, run.started);
        assert_eq!(run.ended, "2026-11-21T00:06:00Z".parse().ok());
        assert_eq!((run.owner.as_deref(), run.url.is_some(), run.error.as_deref()), (Some("li.wei"), true, None));
        assert_eq!(run.doubts, Vec::<String>::new());
    }

    #[test]
    fn what_a_row_lacks_sets_it_aside_or_is_said() {
        let row = |more: &str| format!(r#"{{"id": 1, "runTimes": 1, "name": "a-1", {more}}}"#);
        let table = [
            (r#"{"runTimes": 1, "name": "a-1", "state": 7}"#.to_string(), Err("\"id\" is not at /id and /runTimes")),
            (r#"{"id": 1.5, "runTimes": 1, "name": "a-1", "state": 7}"#.to_string(), Err("\"id\"")),
            (r#"{"id": 1, "runTimes": 1, "name": "a", "state": 7}"#.to_string(), Err("\"job\" is not at /name")),
            (row("\"state\": null"), Err("\"status\" is not at /result or /state")),
            (row("\"state\": 1, \"state\": 7"), Err("\"status\" is not at")),
            (row("\"state\": 7"), Ok("")),
            (row("\"state\": 99"), Ok("\"99\" is not in \"status_map\"")),
            (row("\"state\": 7, \"due\": \"soon\""), Ok("\"planned\" at /due")),
            (row("\"state\": 7, \"start\": \"08:05\""), Ok("\"started\" at /start")),
            (row("\"state\": 7, \"url\": \"javascript:alert(1)\""), Ok("")),
            ("[1]".to_string(), Err("\"id\"")),
        ];
        for (text, expected) in table {
            match (read(&text), expected) {
                (Ok(run), Ok("")) => assert!(run.doubts.is_empty() && run.url.is_none(), "{text}: {run:?}"),
                (Ok(run), Ok(words)) => assert!(run.doubts[0].contains(words), "{text}: {run:?}"),
                (Err(aside), Err(words)) => assert!(aside.reason.contains(words), "{text}: {aside:?}"),
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_not_mapped_is_unknown_and_never_success() {
        let status = |word: &str| {
            read(&format!(r#"{{"id": 1, "runTimes": 1, "name": "a-1", "state": "{word}"}}"#)).unwrap().status
        };
        assert_eq!(
            (status("failure"), status("SUCCESS"), status("success")),
            (Status::Fail, Status::Unknown, Status::Unknown)
        );
        let first = read(r#"{"id": 1, "runTimes": 1, "name": "a-1", "result": "FAILURE", "state": 7}"#).unwrap();
        assert_eq!(first.status, Status::Fail, "the first place that has a value counts");
    }

    #[test]
    fn a_run_under_way_has_no_end() {
        let run = read(r#"{"id": 1, "runTimes": 1, "name": "a-1", "state": 1, "end": "2026-11-21 08:06:00"}"#).unwrap();
        assert_eq!(run.ended, None);
    }
}
