//! `nightbell check`: everything that is wrong with the configuration. Contacts nobody.

use std::path::Path;

use super::output::{complain, print};
use super::{Exit, Failure};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, LoadOptions};
use crate::http::{HttpClient, HttpSettings};

pub(super) fn check(path: &Path, offline: bool) -> Result<Exit, Failure> {
    let loaded = Config::load(path, &LoadOptions { offline }).map_err(|problem| Failure::Config(Box::new(problem)))?;
    for warning in loaded.rendered_warnings() {
        complain(warning);
    }
    for gap in loaded.config.calendar_gaps(SystemClock.now()) {
        complain(format_args!("warning: {gap}"));
    }
    if let (true, Some(receiver)) = (loaded.config.watch.notify.is_empty(), loaded.config.receivers.first()) {
        complain(format_args!(
            "warning: nobody is told when a source cannot be read or a receiver cannot be told; write self: {{ notify: [{}] }}",
            receiver.id
        ));
    }
    // The environment's proxies and roots serve every request.
    let environment = HttpClient::new(&HttpSettings::default()).err().map(|error| error.to_string());
    let problems: Vec<String> =
        environment.into_iter().chain(crate::app::check_receivers(&loaded.config, offline)).collect();
    if !problems.is_empty() {
        for problem in problems {
            complain(format_args!("error: {problem}"));
        }
        return Ok(Exit::Config);
    }
    let config = &loaded.config;
    let (tests, failed) = super::test::all(&loaded)?;
    if failed > 0 {
        complain(format_args!("error: {failed} of {} failed", count(tests, "test")));
        return Ok(Exit::Config);
    }
    let files = if path.is_dir() { count(loaded.files.len(), "file") + ", " } else { String::new() };
    print(format_args!(
        "{}: {files}{}, {}, {}{}; nothing is wrong",
        path.display(),
        count(config.sources.len(), "source"),
        count(config.receivers.len(), "receiver"),
        count(config.rules.rules().len(), "rule"),
        if tests == 0 { String::new() } else { format!(", {}", count(tests, "test")) },
    ))?;
    Ok(Exit::Done)
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
