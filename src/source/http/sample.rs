//! A saved answer, mapped as a poll would map it, without a network.
//!
//! Pure: takes the text of an answer and gives its rows, as they came and as they are read.

use jiff::Timestamp;

use super::connection::Answer;
use super::listing::{read_page, rows};
use super::map::Run;
use super::settings::Settings;
use crate::http::snippet;
use crate::model::{SetAside, SourceId, Window};
use crate::source::contract::{Sample, SampleRow};
use crate::source::kit::json::Json;

impl Settings {
    /// Maps a saved answer of the list.
    ///
    /// # Errors
    /// When it is no such answer, in words.
    pub fn map_sample(&self, source: &SourceId, body: &[u8]) -> Result<Sample, String> {
        let json = Json::read(body)?;
        let root = json.root();
        if let Some(success) = &self.list.request.success {
            let value = success.pointer.word(&root);
            if !value.as_ref().is_some_and(|value| success.values.iter().any(|good| good == value)) {
                let value = value.as_deref().unwrap_or("not there");
                return Err(format!("it is not a success: {} is {value}", success.pointer));
            }
        }
        let answer = Answer { body: body.to_vec(), link: None };
        let window = Window { from: Timestamp::MIN, to: Timestamp::MAX };
        let read = read_page(&answer, &self.list, &self.map, window).map_err(|error| error.to_string());
        let (page, runs, set_aside) = read?;
        let rows = rows(&root, &self.list.items).map_err(|error| error.to_string())?;
        let raw = rows.iter().map(|row| snippet(row.raw()));
        let read = page.rows.iter().zip(raw).filter_map(|(id, raw)| {
            let run = runs.iter().find(|run| run.whole_id() == *id)?;
            Some(SampleRow { raw, mapped: shown(run), instance: run.clone().into_instance(source) })
        });
        let mut notes: Vec<String> =
            set_aside.iter().map(|SetAside { reason, snippet, .. }| format!("{reason}: {snippet}")).collect();
        notes.extend(
            runs.iter().flat_map(|run| run.doubts.iter().map(|doubt| format!("run {}: {doubt}", run.whole_id()))),
        );
        notes.extend(self.never_seen(&runs));
        Ok(Sample { rows: read.collect(), notes })
    }

    /// What the description has and no run showed.
    pub(super) fn never_seen(&self, runs: &[Run]) -> Vec<String> {
        if runs.is_empty() {
            return Vec::new();
        }
        type Has = fn(&Run) -> bool;
        let fields: [(&str, bool, Has); 9] = [
            ("attempt", self.map.attempt.is_some(), |run| run.attempt.is_some()),
            ("job_id", self.map.job_id.is_some(), |run| run.job_id.is_some()),
            ("planned", self.map.planned.is_some(), |run| run.planned.is_some()),
            ("started", self.map.started.is_some(), |run| run.started.is_some()),
            ("ended", self.map.ended.is_some(), |run| run.ended.is_some()),
            ("owner", self.map.owner.is_some(), |run| run.owner.is_some()),
            ("url", self.map.url.is_some(), |run| run.url.is_some()),
            ("error", self.map.error.is_some(), |run| run.error.is_some()),
            ("kind", self.map.kind.is_some(), |run| run.kind != crate::model::InstanceType::Unknown),
        ];
        let unseen = fields.into_iter().filter(|(_, is_read, has)| *is_read && !runs.iter().any(has));
        let mut notes: Vec<String> = unseen.map(|(name, ..)| format!("no run has \"{name}\"")).collect();
        let words =
            self.map.statuses.0.keys().filter(|word| runs.iter().all(|run| !run.raw_status.eq_ignore_ascii_case(word)));
        let words: Vec<&str> = words.map(String::as_str).collect();
        if !words.is_empty() {
            notes.push(format!("no run has the status {}", words.join(", ")));
        }
        notes
    }
}

/// A run as it was read, on one line.
pub(super) fn shown(run: &Run) -> String {
    let time = |name: &str, at: Option<Timestamp>| at.map(|at| format!(" {name} {at}")).unwrap_or_default();
    let text =
        |name: &str, text: &Option<String>| text.as_ref().map(|text| format!(" {name} {text:?}")).unwrap_or_default();
    format!(
        "id {} job {:?}{} status {} ({}) type {}{}{}{}{}{}{}{}",
        run.whole_id(),
        run.job,
        text("job_id", &run.job_id),
        run.status,
        run.raw_status,
        run.kind.as_str(),
        time("planned", run.planned),
        time("started", run.started),
        time("ended", run.ended),
        text("attempt", &run.attempt),
        text("owner", &run.owner),
        text("url", &run.url),
        text("error", &run.error),
    )
}
