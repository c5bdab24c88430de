//! `nightbell check`: everything that is wrong with the configuration. Contacts nobody.

use std::path::Path;

use super::ground::{Exit, Failure};
use super::names::unknown;
use super::output::{complain, print};
use crate::app::{self, ReceiverFault};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, LoadOptions, Loaded};
use crate::http::{HttpClient, HttpSettings};
use crate::template::display_text;
use crate::words::count_of;

pub(super) fn check(path: &Path, offline: bool) -> Result<Exit, Failure> {
    let loaded = Config::load(path, &LoadOptions { offline }).map_err(|problem| Failure::Config(Box::new(problem)))?;
    let mut warnings = 0;
    for warning in loaded.rendered_warnings() {
        warnings += 1;
        complain(warning);
    }
    let now = SystemClock.now();
    for gap in loaded.config.calendar_gaps(now).into_iter().chain(loaded.config.uncovered_hours(now)) {
        warnings += 1;
        complain(format_args!("warning: {gap}"));
    }
    if let (true, Some(receiver)) = (loaded.config.watch.notify.is_empty(), loaded.config.receivers.first()) {
        warnings += 1;
        complain(format_args!(
            "warning: nobody is notified when a source cannot be read or a receiver cannot be reached; write self: {{ notify: [{}] }}",
            receiver.id
        ));
    }
    // The environment's proxies and roots serve every request.
    let environment = HttpClient::new(&HttpSettings::default()).err().map(|error| format!("error: {error}"));
    let faults = app::check_receivers(&loaded.config, offline);
    let problems: Vec<String> =
        environment.into_iter().chain(faults.into_iter().map(|fault| rendered(&loaded, fault))).collect();
    if !problems.is_empty() {
        problems.iter().for_each(complain);
        let warned = if warnings == 0 { String::new() } else { format!(", {}", count_of(warnings as u64, "warning")) };
        complain(format_args!("{}: {}{warned}", path.display(), count_of(problems.len() as u64, "error")));
        return Ok(Exit::Config);
    }
    let config = &loaded.config;
    let (tests, failed) = super::test::all(&loaded)?;
    if failed > 0 {
        complain(format_args!("error: {failed} of {} failed", count_of(tests as u64, "test")));
        return Ok(Exit::Config);
    }
    let files = if path.is_dir() { count_of(loaded.files.len() as u64, "file") + ", " } else { String::new() };
    print(format_args!(
        "{}: {files}{}, {}, {}{}; {}",
        path.display(),
        count_of(config.sources.len() as u64, "source"),
        count_of(config.receivers.len() as u64, "receiver"),
        count_of(config.rules.rules().len() as u64, "rule"),
        if tests == 0 { String::new() } else { format!(", {}", count_of(tests as u64, "test")) },
        if warnings == 0 { "nothing is wrong".to_string() } else { count_of(warnings as u64, "warning") },
    ))?;
    Ok(Exit::Done)
}

/// What is wrong with a receiver, with its place in the file where it is the value of a secret.
fn rendered(loaded: &Loaded, fault: ReceiverFault) -> String {
    let ReceiverFault { path, message, help } = fault;
    loaded.rendered_error(&path, &message, help).unwrap_or_else(|| match path.as_str() {
        "" => format!("error: {message}"),
        path => format!("error: {path}: {message}"),
    })
}

/// Maps a saved answer of a described scheduler, and shows each row as it is read beside the raw one. Contacts nobody.
pub(super) fn sample(config: &Config, path: &Path, source: Option<&str>) -> Result<Exit, Failure> {
    let body = crate::source::read_saved(path).map_err(anyhow::Error::msg)?;
    let mapped = config.sources.iter().filter(|settings| source.is_none_or(|id| settings.id.as_str() == id));
    let mut mapped =
        mapped.filter_map(|settings| Some((&settings.id, settings.scheduler.map_sample(&settings.id, &body)?)));
    let ids = || config.sources.iter().map(|settings| settings.id.as_str());
    let Some((id, sample)) = mapped.next() else {
        return match source {
            Some(source) if !ids().any(|id| id == source) => Err(unknown("source", source, ids())),
            _ => Err(anyhow::anyhow!("no source of the type http maps {}", path.display()).into()),
        };
    };
    if let Some((other, _)) = mapped.next() {
        return Err(anyhow::anyhow!("{id} and {other} map answers; name one with --source").into());
    }
    let sample = match sample {
        Ok(sample) => sample,
        Err(reason) => {
            complain(format_args!("error: {}: {}", path.display(), display_text(&reason)));
            return Ok(Exit::Failed);
        }
    };
    for row in &sample.rows {
        print(format_args!("{}\n  from {}", display_text(&row.mapped), display_text(&row.raw)))?;
    }
    for note in &sample.notes {
        complain(format_args!("note: {}", display_text(note)));
    }
    print(format_args!("{} of {id}", count_of(sample.rows.len() as u64, "row")))?;
    Ok(Exit::Done)
}
