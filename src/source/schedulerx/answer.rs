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
use crate::source::kit::json::{Spot, text_of};
use crate::source::kit::text::cut;

type Raw<'a> = Option<&'a RawValue>;

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
        let owned = |raw: Raw<'_>| text_of(raw?.get()).map(Cow::into_owned);
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

/// The rows of a page of instances. Times without a zone are read in `zone`.
///
/// # Errors
/// When the data is no such page.
pub(super) fn read_rows(data: &str, zone: &TimeZone) -> Result<Vec<Result<Row, SetAside>>, &'static str> {
    let rows = items_of(data, "/JobInstanceDetails", "the data is not a list of instances")?;
    let read = |item: &Spot<'_>| read_row(item, zone).map_err(|reason| item.set_aside(reason, name(item, "/JobName")));
    Ok(rows.iter().map(read).collect())
}

/// The instance of a detail; `None` when the service knows none.
///
/// # Errors
/// When the data is no detail.
pub(super) fn read_detail(data: &str, zone: &TimeZone) -> Result<Option<Row>, &'static str> {
    let Some(data) = object_of(data, "the data is not the detail of an instance")? else { return Ok(None) };
    data.find("/JobInstanceDetail").map(|item| read_row(&item, zone)).transpose()
}

fn read_row(item: &Spot<'_>, zone: &TimeZone) -> Result<Row, &'static str> {
    if !item.is_object() {
        return Err("not an object");
    }
    let (status, raw_status) = status::of_instance(&text(item, "/Status").ok_or("no status that can be used")?);
    let number = |key| text(item, key).and_then(|text| text.parse::<i64>().ok());
    let result = text(item, "/Result").filter(|_| status::is_failure(status));
    Ok(Row {
        id: id(item, "/InstanceId").ok_or("no instance id that can be used")?,
        job_id: id(item, "/JobId").ok_or("no job id that can be used")?,
        job_name: name(item, "/JobName"),
        status,
        raw_status,
        kind: status::type_of(number("/TriggerType"), number("/TimeType")),
        plan_time: time(item, "/ScheduleTime", zone),
        start_time: time(item, "/StartTime", zone),
        // A run that is under way again may still show the end of the earlier try.
        end_time: time(item, "/EndTime", zone).filter(|_| status.has_ended()),
        error: result.and_then(|result| excerpt::failure_text(Some(&result), &[])),
    })
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

/// A page of jobs, how many items it had, and how many there are in all by the service's word.
///
/// # Errors
/// When the data is no such page.
pub(super) fn read_jobs(data: &str) -> Result<Paged<JobRow>, &'static str> {
    read_paged(data, "/Jobs", "the data is not a list of jobs", |item| {
        Some(JobRow {
            id: id(item, "/JobId")?,
            name: name(item, "/Name")?,
            is_enabled: text(item, "/Status").is_none_or(|status| status != "0"),
            timing: read_timing(item.find("/TimeConfig").as_ref()),
        })
    })
}

/// What plans a job, by the numbers that the service has for it.
fn read_timing(config: Option<&Spot<'_>>) -> Timing {
    let Some(config) = config.filter(|config| config.is_object()) else {
        return Timing::Unclear("its schedule is not told");
    };
    let said = |key| text(config, key).filter(|text| !text.trim().is_empty());
    match said("/TimeType").as_deref() {
        Some("1") if said("/Calendar").is_some() => Timing::Unclear("it goes by a calendar of the service"),
        Some("1") => match said("/TimeExpression") {
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
    let groups = items_of(data, "/AppGroups", "the data is not a list of groups")?;
    Ok(groups.iter().filter_map(|group| id(group, "/GroupId")).collect())
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

/// The data of an answer; `None` where there is none.
///
/// # Errors
/// `wrong`, when it is no object.
pub(super) fn object_of<'a>(data: &'a str, wrong: &'static str) -> Result<Option<Spot<'a>>, &'static str> {
    let data = Spot::of(data, "/Data");
    match data.find("") {
        Some(data) if !data.is_object() => Err(wrong),
        found => Ok(found),
    }
}

/// The items of the list under a key of the data; none where there is none.
///
/// # Errors
/// `wrong`, when it is no such list.
pub(super) fn items_of<'a>(data: &'a str, key: &str, wrong: &'static str) -> Result<Vec<Spot<'a>>, &'static str> {
    match object_of(data, wrong)?.and_then(|data| data.find(key)) {
        Some(list) => list.list("").map_err(|_| wrong),
        None => Ok(Vec::new()),
    }
}

/// What of a page could be understood, how many items it had, and how many there are in all by the service's word.
pub(super) type Paged<T> = (Vec<T>, usize, Option<usize>);

/// A page of a list that tells its total.
///
/// # Errors
/// `wrong`, when the data is no such page.
pub(super) fn read_paged<T>(
    data: &str,
    key: &str,
    wrong: &'static str,
    read: impl Fn(&Spot<'_>) -> Option<T>,
) -> Result<Paged<T>, &'static str> {
    let items = items_of(data, key, wrong)?;
    let total = Spot::of(data, "/Data").find("/Total").and_then(|total| total.text()?.parse().ok());
    Ok((items.iter().filter_map(read).collect(), items.len(), total))
}

/// The text under a key, or a number as the text that was sent.
pub(super) fn text<'a>(item: &Spot<'a>, key: &str) -> Option<Cow<'a, str>> {
    item.find(key)?.text()
}

/// The id under a key: a text that is neither empty nor a book, or a whole number, digit by digit as it was sent.
pub(super) fn id(item: &Spot<'_>, key: &str) -> Option<String> {
    item.find(key)?.id().filter(|id| id.len() <= FIELD_BYTES_MAX).map(Cow::into_owned)
}

/// The name under a key, if there is one.
pub(super) fn name(item: &Spot<'_>, key: &str) -> Option<String> {
    text(item, key).filter(|name| !name.is_empty()).map(cut)
}

/// The time under a key.
pub(super) fn time(item: &Spot<'_>, key: &str, zone: &TimeZone) -> Option<Timestamp> {
    read_time(&text(item, key)?, zone)
}

/// A text, or the bare word of a boolean, as it was sent.
fn text_or_word(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    raw.map(|raw| text_of(raw.get()).unwrap_or_else(|| Cow::Borrowed(raw.get())))
}

#[cfg(test)]
mod tests;
