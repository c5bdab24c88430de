//! `digests`: read and checked, so that a file written for a later version is known to be right; not sent yet.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::rules::{Names, read_match, read_notify};
use super::sources::read_schedule;
use super::words::check_name;
use crate::yaml::{Entry, Section};

/// Checks all digests, and names the receivers they would notify.
pub(super) fn read(file: &Section<'_>, known: &Names<'_>, timezone: &TimeZone) -> Vec<String> {
    let Some(digests) = file.section("digests") else { return Vec::new() };
    if !digests.entries().is_empty() {
        file.warning("digests", "digests are not sent by this version yet", None);
    }
    digests.entries().iter().flat_map(|entry| read_one(&digests, entry, known, timezone)).collect()
}

fn read_one(digests: &Section<'_>, entry: &Entry, known: &Names<'_>, timezone: &TimeZone) -> Vec<String> {
    let findings = digests.findings();
    let path = digests.path_of(&entry.key);
    if let Err(fault) = check_name(&entry.key) {
        findings.error(entry.at, path.as_str(), fault, None);
    }
    let Some(section) = Section::open(&entry.node, path, findings) else { return Vec::new() };
    let _schedule = read_schedule(&section, "schedule", None, timezone);
    let _matches = read_match(&section, known);
    let _period = section.optional::<Duration>("period");
    let notify = read_notify(&section, known).unwrap_or_default();
    if !section.has("notify") {
        section.error("", "the key \"notify\" is missing", Some("name the receivers of the digest".into()));
    }
    section.close();
    notify.iter().map(|receiver| receiver.as_str().to_string()).collect()
}
