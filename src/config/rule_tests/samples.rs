//! The saved answers of a test: what a scheduler has answered, mapped as its source is described, and listed in the test.
//!
//! Reads the file that is named. A run is listed as the answer shows it, from the last of its times on.

use std::path::PathBuf;

use jiff::Timestamp;

use super::items::Surroundings;
use crate::config::matching::read_references;
use crate::model::{Instance, Sighting};
use crate::source::{Sample, SourceSettings, read_saved};
use crate::yaml::{Key, Keys, Section, Shape};

/// A saved answer.
pub(in crate::config) static SAMPLE: Keys = Keys::of(
    "test_sample",
    "A saved answer of a scheduler that is described by `type: http`: its runs are listed in the test.",
    &[&[
        Key::new("source", Shape::Texts, "The source that maps it; may be left out where only one does."),
        Key::new("file", Shape::Text, "The file with the answer's text.").required().example("answers/runs.json"),
    ]],
);

/// The runs of one saved answer. An answer without a single one is an error: it would prove nothing.
pub(super) fn read(item: &Section<'_>, at: Timestamp, around: &Surroundings<'_>) -> Option<Vec<Sighting>> {
    let named = read_references(item, "source", "source", around.names.sources);
    let file = item.required::<PathBuf>("file");
    item.report_unknown();
    let (named, file) = (named?, file?);
    let body = read_saved(&file).map_err(|fault| item.error("file", fault, None)).ok()?;
    let is_meant = |settings: &&SourceSettings| named.is_empty() || named.iter().any(|id| id == settings.id.as_str());
    let mapped: Vec<Result<Sample, String>> = around
        .sources
        .iter()
        .filter(is_meant)
        .filter_map(|settings| settings.scheduler.map_sample(&settings.id, &body))
        .collect();
    // One that is broken is told of itself, and whether it maps the answer is not known.
    if mapped.is_empty() && around.sources.len() < around.names.sources.len() {
        return None;
    }
    let problem = match mapped.as_slice() {
        [Ok(sample)] => match sample.notes.iter().find(|_| sample.rows.is_empty()) {
            None if sample.rows.is_empty() => "it has no run".to_string(),
            None => return Some(sample.rows.iter().map(|row| sighting(&row.instance, at)).collect()),
            Some(note) => note.clone(),
        },
        [Err(reason)] => reason.clone(),
        [] => "no source of the type http maps it".to_string(),
        _ => "several sources map answers; name one as its \"source\"".to_string(),
    };
    let help = "`nightbell check --sample FILE` shows what each row is read as";
    item.error("file", format!("{}: {problem}", file.display()), Some(help.to_string()));
    None
}

/// The run as it is from its last time on; one that has none is there from the clock's beginning on.
fn sighting(run: &Instance, at: Timestamp) -> Sighting {
    let last = run.end_time.or(run.start_time).or(run.plan_time).unwrap_or(at);
    Sighting { at: last, instance: run.clone(), nodes: Vec::new() }
}
