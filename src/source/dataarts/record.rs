//! A JSON object of the DataArts API, its known fields as raw text.
//!
//! Reads list items, nodes and details in both dialects (camelCase of v1, snake_case of v2). It knows which keys there
//! are and nothing of what they mean.
//!
//! # Design
//! The API's documents contradict each other about the fields' types, and one odd item must not cost the page. So the
//! fields are kept as slices of the body and read one by one afterwards: ids stay the text that was sent, and nothing
//! that an item holds can make the page unreadable. No tree is built, and the good path goes over the text once.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::source::kit::json::{id_of, instant_of, text_of};
use crate::source::kit::text::is_broken;

/// The fields that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(field_identifier)]
pub(super) enum Key {
    #[serde(rename = "jobName", alias = "job_name")]
    JobName,
    #[serde(rename = "jobId", alias = "job_id")]
    JobId,
    #[serde(rename = "jobInstanceName", alias = "job_instance_name")]
    InstanceName,
    #[serde(rename = "instanceId", alias = "instance_id")]
    InstanceId,
    #[serde(rename = "instanceType", alias = "instance_type")]
    InstanceType,
    #[serde(rename = "status")]
    Status,
    #[serde(rename = "forceSuccess", alias = "force_success")]
    ForceSuccess,
    #[serde(rename = "ignoreSuccess", alias = "ignore_success")]
    IgnoreSuccess,
    #[serde(rename = "planTime", alias = "plan_time")]
    PlanTime,
    #[serde(rename = "startTime", alias = "start_time")]
    StartTime,
    #[serde(rename = "endTime", alias = "end_time")]
    EndTime,
    #[serde(rename = "errorMessage", alias = "error_message")]
    ErrorMessage,
    #[serde(rename = "nodes")]
    Nodes,
    #[serde(rename = "nodeName", alias = "node_name")]
    NodeName,
    /// Of a job, and of a node in a job's status.
    #[serde(rename = "name")]
    Name,
    #[serde(rename = "type", alias = "nodeType", alias = "node_type")]
    NodeType,
    #[serde(rename = "retryTimes", alias = "retry_times")]
    RetryTimes,
    #[serde(rename = "logPath", alias = "log_path")]
    LogPath,
    // Of jobs.
    #[serde(rename = "owner")]
    Owner,
    #[serde(rename = "createUser", alias = "create_user")]
    CreateUser,
    #[serde(rename = "lastInstanceStatus", alias = "LastInstanceStatus", alias = "last_instance_status")]
    LastInstanceStatus,
    #[serde(rename = "lastInstanceEndTime", alias = "last_instance_end_time")]
    LastInstanceEndTime,
    #[serde(other)]
    Other,
}

const KEYS: usize = Key::Other as usize;

/// One object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    fields: [Option<&'a RawValue>; KEYS],
    /// What is wrong with the object as such.
    pub(super) wrong: Option<&'static str>,
}

impl<'a> Record<'a> {
    const EMPTY: Record<'static> = Record { fields: [None; KEYS], wrong: None };

    fn not_an_object() -> Self {
        Record { wrong: Some("not an object"), ..Record::EMPTY }
    }

    /// A field's raw JSON; `None` when it is absent or `null`.
    pub(super) fn raw(&self, key: Key) -> Option<&'a str> {
        self.fields[key as usize].map(RawValue::get).filter(|raw| *raw != "null")
    }

    /// A field that is text, as text; a number counts as the text that was sent. `None` when it is absent or neither.
    pub(super) fn text(&self, key: Key) -> Option<Cow<'a, str>> {
        text_of(self.raw(key)?)
    }

    /// Whether bytes of a field were no text.
    pub(super) fn is_broken(&self, key: Key) -> bool {
        self.raw(key).is_some_and(is_broken)
    }

    /// An id: a text that is not empty, or a whole number, digit by digit as it was sent.
    pub(super) fn id(&self, key: Key) -> Option<Cow<'a, str>> {
        id_of(self.raw(key)?)
    }

    /// An instant in milliseconds; `None` when it is absent, zero, negative, in another unit or beyond the year 9999.
    pub(super) fn time(&self, key: Key) -> Option<Timestamp> {
        instant_of(self.raw(key)?)
    }

    /// A count; `None` when it is absent or none.
    pub(super) fn count(&self, key: Key) -> Option<u64> {
        self.text(key)?.parse().ok()
    }

    /// A flag, which is off unless it is `true`.
    pub(super) fn flag(&self, key: Key) -> bool {
        self.raw(key).is_some_and(|raw| raw.trim_matches('"').eq_ignore_ascii_case("true"))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecordVisitor(std::marker::PhantomData))
    }
}

struct RecordVisitor<'a>(std::marker::PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for RecordVisitor<'a> {
    type Value = Record<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'a>, A::Error> {
        let mut record = Record::EMPTY;
        while let Some(key) = map.next_key::<Key>()? {
            if key == Key::Other {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<&'a RawValue>()?;
            if record.fields[key as usize].replace(value).is_some() {
                record.wrong = Some("a key stands twice");
            }
        }
        Ok(record)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Record<'a>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Record::not_an_object())
    }

    fn visit_unit<E: Error>(self) -> Result<Record<'a>, E> {
        Ok(Record::not_an_object())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Record<'a>, E> {
        Ok(Record::not_an_object())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Record<'a>, E> {
        Ok(Record::not_an_object())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Record<'a>, E> {
        Ok(Record::not_an_object())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Record<'a>, E> {
        Ok(Record::not_an_object())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Record<'a>, E> {
        Ok(Record::not_an_object())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_time(value: &str) -> Option<Timestamp> {
        let text = format!("{{\"planTime\": {value}}}");
        serde_json::from_str::<Record<'_>>(&text).unwrap().time(Key::PlanTime)
    }

    #[test]
    fn times_are_milliseconds_or_unknown() {
        let known: Timestamp = "2019-03-04T03:53:00Z".parse().unwrap();
        for value in ["1551671580000", "\"1551671580000\"", "1551671580000.0", "1.55167158e12"] {
            assert_eq!(with_time(value), Some(known), "{value}");
        }
        for value in [
            "null",
            "0",
            "-1",
            "-1551671580000",
            "1551671580",
            "253402300800000",
            "1e300",
            "-1e300",
            "99999999999999999999999999",
            "true",
            "{}",
            "[1551671580000]",
            "\"\"",
            "\"soon\"",
            "\"2019-03-04\"",
        ] {
            assert_eq!(with_time(value), None, "{value}");
        }
    }

    #[test]
    fn ids_are_the_text_that_was_sent() {
        for (value, id) in [
            ("34765", Some("34765")),
            ("9007199254740993", Some("9007199254740993")),
            ("\"9007199254740993\"", Some("9007199254740993")),
            ("123456789012345678901234567890", Some("123456789012345678901234567890")),
            ("\"007\"", Some("007")),
            ("\"a\\u00e9\"", Some("aé")),
            ("-5", Some("-5")),
            ("\"\"", None),
            ("1.5", None),
            ("1e3", None),
            ("null", None),
            ("true", None),
            ("{\"id\": 1}", None),
            ("\"\\ud800\"", None),
        ] {
            let text = format!("{{\"instance_id\": {value}}}");
            let record: Record<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(record.id(Key::InstanceId).as_deref(), id, "{value}");
        }
    }

    #[test]
    fn anything_can_stand_where_a_record_should() {
        for text in ["1", "-1", "1.5", "true", "null", "\"x\"", "[]", "[1, [2]]", "99999999999999999999999"] {
            let record: Record<'_> = serde_json::from_str(text).unwrap();
            assert_eq!(record.wrong, Some("not an object"), "{text}");
        }
        let twice: Record<'_> = serde_json::from_str("{\"status\": \"fail\", \"status\": \"success\"}").unwrap();
        assert_eq!(twice.wrong, Some("a key stands twice"));
    }
}
