//! Answers of the DataArts API to instances and nodes.
//!
//! Takes a body's bytes and gives plain data, or says what is wrong with it. As tolerant of items as the documents
//! demand, since they contradict each other (types of ids, absent times, new statuses), and strict about the whole:
//! what is no JSON object of the expected kind is no empty list.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::record::{Key, Record};
use crate::http::snippet;
use crate::limits::FIELD_BYTES_MAX;
use crate::model::{Instance, InstanceType, JobRef, Node, SetAside, SourceId, Status};
use crate::source::contract::Detail;
use crate::source::kit::excerpt::failure_text;
use crate::source::kit::text::{checked_text, cut, no_json};
use crate::source::kit::{json, paging};

/// One item of a list: understood, or set aside.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Read(Instance),
    SetAside(SetAside),
}

impl paging::Row for Item {
    /// An instance by what names it, an item that was not understood by its text; of either the print, in 128 bits: tens of
    /// thousands are compared, and no two of so many share one.
    type Key = (u64, u64);

    fn key(&self) -> (u64, u64) {
        let named = match self {
            Item::Read(instance) => (instance.job.name.as_str(), instance.id.as_str()),
            Item::SetAside(item) => ("", item.snippet.as_str()),
        };
        let mut hasher = DefaultHasher::new();
        named.hash(&mut hasher);
        let first = hasher.finish();
        hasher.write_u8(0);
        (first, hasher.finish())
    }
}

/// The instances of a list's page.
///
/// # Errors
/// What is wrong with the body as a whole, in a few words.
pub(super) fn read_page(source: &SourceId, body: &[u8]) -> Result<paging::Page<Item>, String> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        total: Option<&'a RawValue>,
        #[serde(borrow)]
        instances: Option<Vec<Record<'a>>>,
    }
    let text = checked_text(body)?;
    let whole: Whole<'_> = serde_json::from_str(&text).map_err(|error| no_json(&text, &error))?;
    let total = whole.total.and_then(|raw| raw.get().trim_matches('"').parse().ok());
    let records = match whole.instances {
        Some(records) => records,
        None if total == Some(0) => Vec::new(),
        None => return Err(format!("no list of instances in the answer: {}", snippet(&text))),
    };
    let read: Vec<_> = records.iter().map(|record| read_instance(source, record)).collect();
    let rows = if read.iter().any(Result::is_err) {
        set_aside(&text, &records, read)?
    } else {
        read.into_iter().flatten().map(Item::Read).collect()
    };
    Ok(paging::Page { total, rows })
}

/// Pairs the items that could not be read with their text, which takes a second look at the page.
fn set_aside(text: &str, records: &[Record<'_>], read: Vec<Result<Instance, String>>) -> Result<Vec<Item>, String> {
    #[derive(Deserialize)]
    struct Texts<'a> {
        #[serde(borrow)]
        instances: Option<Vec<&'a RawValue>>,
    }
    let texts: Texts<'_> = serde_json::from_str(text).map_err(|error| no_json(text, &error))?;
    let pairs = read.into_iter().zip(records).zip(texts.instances.unwrap_or_default());
    let items = pairs.enumerate().map(|(index, ((read, record), raw))| {
        let reason = match read {
            Ok(instance) => return Item::Read(instance),
            Err(reason) => reason,
        };
        let job = record.text(Key::JobName).filter(|name| !name.is_empty() && !record.is_broken(Key::JobName)).map(cut);
        Item::SetAside(json::set_aside(raw.get(), reason, job, format!("/instances/{index}")))
    });
    Ok(items.collect())
}

/// An instance as its detail tells it, and its nodes; what the detail does not tell is taken from `asked`.
///
/// # Errors
/// What is wrong with the body, in a few words.
pub(super) fn read_detail(asked: &Instance, body: &[u8]) -> Result<Detail, String> {
    let text = checked_text(body)?;
    let record: Record<'_> = serde_json::from_str(&text).map_err(|error| no_json(&text, &error))?;
    if let Some(wrong) = record.wrong {
        return Err(format!("{wrong}: {}", snippet(&text)));
    }
    let (status, raw_status) = read_status(&record).ok_or_else(|| format!("no status in it: {}", snippet(&text)))?;
    let mut instance = asked.clone();
    (instance.status, instance.raw_status) = (status, raw_status);
    instance.plan_time = record.time(Key::PlanTime).or(asked.plan_time);
    instance.start_time = record.time(Key::StartTime).or(asked.start_time);
    // A run that was started again has no end, whatever the earlier one had.
    instance.end_time = record.time(Key::EndTime).or(asked.end_time.filter(|_| status.has_ended()));
    instance.error = read_error(&record).or(instance.error);
    if let kind @ (InstanceType::Scheduled
    | InstanceType::Manual
    | InstanceType::Backfill
    | InstanceType::Subjob
    | InstanceType::Once) = read_type(&record)
    {
        instance.kind = kind;
    }
    let nodes = match record.raw(Key::Nodes) {
        Some(raw) => {
            serde_json::from_str::<Vec<Record<'_>>>(raw).map_err(|_| "its nodes are not a list".to_string())?
        }
        None => Vec::new(),
    };
    let nodes = nodes.iter().filter(|node| node.wrong.is_none()).map(read_node).collect();
    Ok(Detail::new(instance, nodes))
}

fn read_instance(source: &SourceId, record: &Record<'_>) -> Result<Instance, String> {
    if let Some(wrong) = record.wrong {
        return Err(wrong.to_string());
    }
    // Only what identifies must be clean: a name that was replaced in part may not be what the scheduler means.
    if [Key::JobName, Key::InstanceId].into_iter().any(|key| record.is_broken(key)) {
        return Err("not valid UTF-8".to_string());
    }
    let id = record.id(Key::InstanceId).ok_or("no instance id that can be used")?;
    if id.len() > FIELD_BYTES_MAX {
        return Err(format!("an instance id of {} bytes", id.len()));
    }
    let job = record.text(Key::JobName).filter(|name| !name.is_empty()).ok_or("no job name that can be used")?;
    let (status, raw_status) = read_status(record).ok_or("no status that can be used")?;
    Ok(Instance {
        source: source.clone(),
        id: id.into_owned(),
        job: JobRef { name: cut(job), id: record.id(Key::JobId).map(cut) },
        name: record.text(Key::InstanceName).filter(|name| !name.is_empty()).map(cut),
        status,
        raw_status,
        kind: read_type(record),
        plan_time: record.time(Key::PlanTime),
        start_time: record.time(Key::StartTime),
        end_time: record.time(Key::EndTime),
        error: read_error(record),
    })
}

pub(super) fn read_node(record: &Record<'_>) -> Node {
    let (status, raw_status) = read_status(record).unwrap_or((Status::Unknown, String::new()));
    Node {
        name: record.text(Key::NodeName).map_or_else(|| "(no name)".to_string(), cut),
        kind: record.text(Key::NodeType).filter(|kind| !kind.is_empty()).map(cut),
        status,
        raw_status,
        retries: record.count(Key::RetryTimes),
        start_time: record.time(Key::StartTime),
        end_time: record.time(Key::EndTime),
        log_path: record.text(Key::LogPath).filter(|path| !path.is_empty()).map(cut),
        log_tail: None,
    }
}

fn read_status(record: &Record<'_>) -> Option<(Status, String)> {
    let raw = record.text(Key::Status)?;
    let status = match status(&raw) {
        // A success can be one by decree, or one in spite of a failed node; the flags tell.
        Status::Success if record.flag(Key::ForceSuccess) => Status::ForcedSuccess,
        Status::Success if record.flag(Key::IgnoreSuccess) => Status::IgnoredFailure,
        status => status,
    };
    Some((status, cut(raw)))
}

/// What a status word of the API means. Words are compared without regard to case, `-` and `_`.
fn status(word: &str) -> Status {
    let is_folded = word.bytes().all(|byte| byte.is_ascii_lowercase());
    let folded = || word.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).take(32).collect();
    let word: Cow<'_, str> = if is_folded { Cow::Borrowed(word) } else { Cow::Owned(folded()) };
    match &*word {
        "waiting" | "waitingconfirm" | "initialized" => Status::Waiting,
        "running" => Status::Running,
        "success" => Status::Success,
        "fail" => Status::Fail,
        "runningexception" => Status::RunningException,
        "pause" => Status::Pause,
        // `manual` and `skip` are how some clients spell the longer words.
        "manualstop" | "manual" => Status::ManualStop,
        "skip" | "skipbydepend" => Status::Skip,
        "freeze" => Status::Freeze,
        "rejected" => Status::Rejected,
        "ignoresuccess" => Status::IgnoredFailure,
        "forcesuccess" => Status::ForcedSuccess,
        _ => Status::Unknown,
    }
}

/// Why it failed, lines kept; the documents name the field, and not every service sends it.
fn read_error(record: &Record<'_>) -> Option<String> {
    failure_text(Some(&record.text(Key::ErrorMessage)?), &[])
}

fn read_type(record: &Record<'_>) -> InstanceType {
    match record.count(Key::InstanceType) {
        Some(0) => InstanceType::Scheduled,
        Some(2) => InstanceType::Manual,
        Some(5) => InstanceType::Backfill,
        Some(6) => InstanceType::Subjob,
        Some(7) => InstanceType::Once,
        _ => InstanceType::Unknown,
    }
}

#[cfg(test)]
mod tests;
