//! The last lines of a failed try's log.
//!
//! Airflow gives a log only whole, and one can have tens of megabytes: it is read as lines of JSON of which the last are
//! kept. It knows how a line of a log is written, and nothing of runs.

use std::borrow::Cow;

use super::api::{LOG, get};
use super::connection::Airflow;
use super::record::Task;
use crate::limits::{LOG_TAIL_BYTES_MAX, LOG_TAIL_LINES};
use crate::model::Instance;
use crate::source::contract::SourceError;
use crate::source::kit::json::{Json, Spot};

/// Of a log so much is kept while it is read: what is told of it, and the traces of errors, which are long.
const KEPT_BYTES: usize = 25 * LOG_TAIL_BYTES_MAX;

/// The last lines of a task's log, the oldest first.
pub(super) async fn read_tail(source: &Airflow, run: &Instance, task: &Task) -> Result<Vec<String>, SourceError> {
    let number = task.try_number.to_string();
    let path = ["dags", &run.job.name, "dagRuns", &run.id, "taskInstances", &task.task, "logs", &number];
    let mut call = get(&path).query("full_content", "true");
    if task.map_index >= 0 {
        call = call.query("map_index", task.map_index);
    }
    let tail = source.client.end_of(&call.operation(LOG), KEPT_BYTES).await?;
    Ok(lines_of(&String::from_utf8_lossy(&tail)))
}

/// The lines that people read of a log written as lines of JSON; the first one may be cut.
fn lines_of(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let Ok(json) = Json::read(line.as_bytes()) else { continue };
        let root = json.root();
        let event = root.find("/event").and_then(|spot| spot.text().map(Cow::into_owned)).unwrap_or_default();
        let is_frame = event.starts_with("::group::") || event.starts_with("::endgroup::");
        if !event.trim().is_empty() && !is_frame {
            lines.push(event);
        }
        for error in root.list("/error_detail").unwrap_or_default() {
            let text = |key: &str| -> Option<String> { Spot::find(&error, key)?.text().map(Cow::into_owned) };
            let kind = text("/exc_type").unwrap_or_default();
            let value = text("/exc_value").unwrap_or_default();
            if !kind.is_empty() {
                lines.push(if value.is_empty() { kind } else { format!("{kind}: {value}") });
            }
        }
    }
    lines.split_off(lines.len().saturating_sub(4 * LOG_TAIL_LINES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_as_people_read_it() {
        let log = concat!(
            "half a line of a record that was cut\"}\n",
            "{\"timestamp\":null,\"event\":\"::group::Log message source details\"}\n",
            "{\"event\":\"::endgroup::\"}\n",
            "{\"event\":\"loading 5 rows\",\"level\":\"info\"}\n",
            "{\"event\":\"Task failed with exception\",\"level\":\"error\",\"error_detail\":[{\"exc_type\":\"ValueError\",",
            "\"exc_value\":\"bad row 7\",\"frames\":[]}]}\n",
        );
        assert_eq!(lines_of(log), ["loading 5 rows", "Task failed with exception", "ValueError: bad row 7"]);
        assert_eq!(lines_of(""), Vec::<String>::new());
        let long: String = (0..500).map(|number| format!("{{\"event\":\"line {number}\"}}\n")).collect();
        assert_eq!(lines_of(&long).last().map(String::as_str), Some("line 499"));
    }
}
