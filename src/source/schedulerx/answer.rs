//! Answers of the SchedulerX API: the envelope around each, instances, jobs, groups and lines of logs.
//!
//! Takes JSON text and gives plain data, or says what is wrong with it. Fields that are nobody's business here (a
//! group's key, people's contacts, a job's parameters) have no place in these types: they are never read. Items are
//! read one by one from raw text, so that an odd one costs only itself and ids stay the text that was sent.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::status;
use crate::limits::FIELD_BYTES_MAX;
use crate::model::{InstanceType, SetAside, Status};
use crate::source::kit::excerpt;
use crate::source::kit::foreign::{cut, snippet};

pub(super) type Raw<'a> = Option<&'a RawValue>;

/// What stands around every answer.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    /// `Success`, where it is a boolean.
    pub(super) success: Option<bool>,
    /// `Code`, a number or a word.
    pub(super) code: Option<String>,
    /// `Message`; it also stands beside a success, where it means nothing.
    pub(super) message: Option<String>,
    /// `RequestId`, for the vendor's support.
    pub(super) request_id: Option<String>,
    /// `Data`.
    pub(super) data: Raw<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads an answer's envelope.
    ///
    /// # Errors
    /// When the text is no JSON object; nothing of it is quoted.
    pub(super) fn read(text: &'a str) -> Result<Envelope<'a>, &'static str> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Fields<'a> {
            #[serde(borrow)]
            success: Raw<'a>,
            #[serde(borrow)]
            code: Raw<'a>,
            #[serde(borrow)]
            message: Raw<'a>,
            #[serde(borrow)]
            request_id: Raw<'a>,
            #[serde(borrow)]
            data: Raw<'a>,
        }
        let fields: Fields<'a> = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => "JSON that breaks off",
            serde_json::error::Category::Data => "JSON of another shape than documented",
            _ => "not JSON",
        })?;
        let owned = |raw| text_of(raw).map(Cow::into_owned);
        Ok(Envelope {
            success: text_or_word(fields.success).and_then(|word| word.to_ascii_lowercase().parse().ok()),
            code: owned(fields.code),
            message: owned(fields.message),
            request_id: owned(fields.request_id),
            data: fields.data,
        })
    }
}

/// An instance as a list or a detail tells it. Its job's name is known only to details.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) job_id: String,
    pub(super) job_name: Option<String>,
    pub(super) status: Status,
    pub(super) raw_status: String,
    pub(super) kind: InstanceType,
    pub(super) plan_time: Option<Timestamp>,
    pub(super) start_time: Option<Timestamp>,
    pub(super) end_time: Option<Timestamp>,
    /// The `Result` of one that failed, fit to be told.
    pub(super) error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RowFields<'a> {
    #[serde(borrow)]
    instance_id: Raw<'a>,
    #[serde(borrow)]
    job_id: Raw<'a>,
    #[serde(borrow)]
    job_name: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    result: Raw<'a>,
    #[serde(borrow)]
    time_type: Raw<'a>,
    #[serde(borrow)]
    trigger_type: Raw<'a>,
    #[serde(borrow)]
    schedule_time: Raw<'a>,
    #[serde(borrow)]
    start_time: Raw<'a>,
    #[serde(borrow)]
    end_time: Raw<'a>,
}

/// The rows of a page of instances. Times without a zone are read in `zone`.
///
/// # Errors
/// When the data is no such page.
pub(super) fn read_rows(data: &str, zone: &TimeZone) -> Result<Vec<Result<Row, SetAside>>, &'static str> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow, rename = "JobInstanceDetails")]
        rows: Option<Vec<&'a RawValue>>,
    }
    let data: Option<Data<'_>> = serde_json::from_str(data).map_err(|_| "the data is no list of instances")?;
    let rows = data.and_then(|data| data.rows).unwrap_or_default();
    let read = |raw: &RawValue| {
        let set_aside = |reason: &str| SetAside {
            reason: reason.to_string(),
            snippet: excerpt::without_secrets(&snippet(raw.get())).into_owned(),
            job: serde_json::from_str::<RowFields<'_>>(raw.get()).ok().and_then(|fields| job_name(fields.job_name)),
        };
        read_row(raw.get(), zone).map_err(set_aside)
    };
    Ok(rows.into_iter().map(read).collect())
}

/// The instance of a detail; `None` when the service knows none.
///
/// # Errors
/// When the data is no detail.
pub(super) fn read_detail(data: &str, zone: &TimeZone) -> Result<Option<Row>, &'static str> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow, rename = "JobInstanceDetail")]
        row: Raw<'a>,
    }
    let data: Option<Data<'_>> = serde_json::from_str(data).map_err(|_| "the data is no detail of an instance")?;
    data.and_then(|data| data.row).filter(|raw| raw.get() != "null").map(|raw| read_row(raw.get(), zone)).transpose()
}

fn read_row(text: &str, zone: &TimeZone) -> Result<Row, &'static str> {
    let fields: RowFields<'_> = serde_json::from_str(text).map_err(|_| "not an object with each key once")?;
    let status_text = text_of(fields.status).ok_or("no status that can be used")?;
    let (status, raw_status) = status::of_instance(&status_text);
    let number = |raw| text_of(raw).and_then(|text| text.parse::<i64>().ok());
    let time = |raw| text_of(raw).and_then(|text| read_time(&text, zone));
    let result = text_of(fields.result).filter(|_| status::is_failure(status));
    Ok(Row {
        id: id_of(fields.instance_id).ok_or("no instance id that can be used")?,
        job_id: id_of(fields.job_id).ok_or("no job id that can be used")?,
        job_name: job_name(fields.job_name),
        status,
        raw_status,
        kind: status::type_of(number(fields.trigger_type), number(fields.time_type)),
        plan_time: time(fields.schedule_time),
        start_time: time(fields.start_time),
        // A run that is under way again may still show the end of the earlier try.
        end_time: time(fields.end_time).filter(|_| status.has_ended()),
        error: result.and_then(|result| excerpt::failure_text(Some(&result), &[])),
    })
}

fn job_name(raw: Raw<'_>) -> Option<String> {
    text_of(raw).filter(|name| !name.is_empty()).map(cut)
}

/// A job of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobRow {
    pub(super) id: String,
    pub(super) name: String,
    /// Whether its schedule is on.
    pub(super) is_enabled: bool,
    /// What plans it.
    pub(super) timing: Timing,
}

/// What plans a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Timing {
    /// A cron expression.
    Cron(String),
    /// No clock: it is called, or runs once.
    Called,
    /// Something whose due times cannot be told; what it is.
    Unclear(&'static str),
}

/// A page of jobs, and how many there are in all by the service's word.
///
/// # Errors
/// When the data is no such page.
pub(super) fn read_jobs(data: &str) -> Result<(Vec<JobRow>, usize, Option<usize>), &'static str> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow, rename = "Jobs")]
        jobs: Option<Vec<&'a RawValue>>,
        #[serde(borrow, rename = "Total")]
        total: Raw<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Fields<'a> {
        #[serde(borrow)]
        job_id: Raw<'a>,
        #[serde(borrow)]
        name: Raw<'a>,
        #[serde(borrow)]
        status: Raw<'a>,
        #[serde(borrow)]
        time_config: Raw<'a>,
    }
    let data: Option<Data<'_>> = serde_json::from_str(data).map_err(|_| "the data is no list of jobs")?;
    let Some(data) = data else { return Ok((Vec::new(), 0, None)) };
    let items = data.jobs.unwrap_or_default();
    let read = |raw: &RawValue| {
        let fields: Fields<'_> = serde_json::from_str(raw.get()).ok()?;
        Some(JobRow {
            id: id_of(fields.job_id)?,
            name: text_of(fields.name).filter(|name| !name.is_empty()).map(cut)?,
            is_enabled: text_of(fields.status).is_none_or(|status| status != "0"),
            timing: read_timing(fields.time_config),
        })
    };
    let total = text_of(data.total).and_then(|total| total.parse().ok());
    let count = items.len();
    Ok((items.into_iter().filter_map(read).collect(), count, total))
}

/// What plans a job, by the numbers that the service has for it.
fn read_timing(config: Raw<'_>) -> Timing {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Fields<'a> {
        #[serde(borrow)]
        time_type: Raw<'a>,
        #[serde(borrow)]
        time_expression: Raw<'a>,
        #[serde(borrow)]
        calendar: Raw<'a>,
    }
    let fields: Option<Fields<'_>> = config.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let Some(fields) = fields else { return Timing::Unclear("its schedule is not told") };
    let text = |raw| text_of(raw).filter(|text| !text.trim().is_empty());
    match text(fields.time_type).as_deref() {
        Some("1") if text(fields.calendar).is_some() => Timing::Unclear("it goes by a calendar of the service"),
        Some("1") => match text(fields.time_expression) {
            Some(expression) if expression.len() <= FIELD_BYTES_MAX => Timing::Cron(expression.into_owned()),
            _ => Timing::Unclear("its cron expression is not told"),
        },
        Some("3") => Timing::Unclear("it runs at a fixed rate, and from when on is not told"),
        Some("4") => Timing::Unclear("it runs a while after the run before"),
        Some("-1" | "5" | "100" | "101") => Timing::Called,
        _ => Timing::Unclear("what plans it is not known"),
    }
}

/// The ids of the groups that the account can see.
///
/// # Errors
/// When the data is no list of groups.
pub(super) fn read_groups(data: &str) -> Result<Vec<String>, &'static str> {
    #[derive(Deserialize)]
    struct Group<'a> {
        #[serde(borrow, rename = "GroupId")]
        id: Raw<'a>,
    }
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow, rename = "AppGroups")]
        groups: Option<Vec<Group<'a>>>,
    }
    let data: Option<Data<'_>> = serde_json::from_str(data).map_err(|_| "the data is no list of groups")?;
    let groups = data.and_then(|data| data.groups).unwrap_or_default();
    Ok(groups.into_iter().filter_map(|group| id_of(group.id)).collect())
}

/// The lines of a log, in the service's order.
pub(super) fn read_log(data: &str) -> Vec<String> {
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "Logs")]
        lines: Option<Vec<String>>,
    }
    serde_json::from_str::<Option<Data>>(data).ok().flatten().and_then(|data| data.lines).unwrap_or_default()
}

/// A time string: `2020-07-27 11:52:10` in `zone`, or one that names its own zone.
pub(super) fn read_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let local = text.parse::<DateTime>().ok().filter(|local| local.year() > 1970)?;
    local.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

/// A text, or a number as the text that was sent.
pub(super) fn text_of(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    let raw = raw?.get();
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(raw).ok().map(Cow::Owned),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

/// The same, or the bare word of a boolean.
fn text_or_word(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    text_of(raw).or_else(|| raw.map(|raw| Cow::Borrowed(raw.get())))
}

/// An id: a text that is neither empty nor a book, or a whole number, digit by digit as it was sent.
pub(super) fn id_of(raw: Raw<'_>) -> Option<String> {
    let is_number = !raw?.get().starts_with('"');
    let id = text_of(raw).filter(|id| !id.is_empty() && id.len() <= FIELD_BYTES_MAX)?;
    (!is_number || !id.contains(['.', 'e', 'E'])).then(|| id.into_owned())
}

#[cfg(test)]
mod tests;
