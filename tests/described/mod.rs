//! Schedulers that the configuration describes, against small services that answer as the schedulers' documents say.

mod documents;
mod more_documents;
mod rows;
pub(crate) mod service;

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use nightbell::clock::{Clock, ManualClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{Instance, Window};
use nightbell::source::{Listing, Source, SourceError};

use service::Service;

pub(crate) const NOW: &str = "2026-11-21T00:30:00Z";

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

pub(crate) fn day() -> Window {
    Window { from: now() - SignedDuration::from_hours(24), to: now() }
}

/// The source that the keys describe; `host` is the documented host, in whose place the service stands. Secrets are their
/// variable's name in small letters.
pub(crate) fn source(keys: &str, host: &str, service: &Service) -> Arc<dyn Source> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now()));
    configured(keys, host, service).sources[0].open(clock).unwrap()
}

pub(crate) fn configured(keys: &str, host: &str, service: &Service) -> Config {
    let keys = if host.is_empty() { keys.to_string() } else { keys.replace(host, &service.url) };
    let variable = regex::Regex::new(r"\{ env: ([A-Z_]+) \}").unwrap();
    let keys = variable.replace_all(&keys, |found: &regex::Captures<'_>| found[1].to_ascii_lowercase());
    let keys: String = keys.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!(
        "version: 1\nsources:\n  night:\n{keys}receivers:\n  hook: {{ type: webhook, url: \"http://127.0.0.1:9/\" }}\n\
         rules:\n  failed: {{ when: {{ status: [fail] }}, notify: [hook] }}\n"
    );
    let loaded = Config::from_text(text, "rules.yaml", Path::new("."), &LoadOptions { offline: true });
    loaded.unwrap_or_else(|problem| panic!("{problem}")).config
}

/// The descriptions in a document, in their order.
pub(crate) fn descriptions(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sources").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_string()).collect()
}

pub(crate) fn only<'a>(listing: &'a Listing, job: &str) -> &'a Instance {
    let mut found = listing.instances.iter().filter(|instance| instance.job.name == job);
    let one = found.next().unwrap_or_else(|| panic!("no run of {job}: {:#?}", listing.instances));
    assert!(found.next().is_none(), "several runs of {job}");
    one
}

/// A listing that is whole and understood.
pub(crate) async fn listed(source: &dyn Source) -> Listing {
    let listing = source.list(day()).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(listing.coverage.reasons().is_empty(), "{:?}", listing.coverage);
    listing
}

pub(crate) async fn refused(source: &dyn Source) -> SourceError {
    source.list(day()).await.expect_err("the list is an error")
}

/// Every document has a description that a test tries: the names of both lists are the same.
#[test]
fn every_document_is_tried() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sources");
    let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let code =
        concat!(include_str!("documents.rs"), include_str!("more_documents.rs"), include_str!("../airflow/service.rs"));
    // Of `http.md` every sort of line is tried in `rows.rs`; it has no description of its own.
    for file in files {
        let tried = code.contains(&format!("\"{file}\""));
        assert_ne!(tried, descriptions(&file).is_empty(), "{file}: tried: {tried}");
    }
}
