//! `receivers`: what every kind of receiver has in common.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::fallback;
use super::sources::check_file;
use super::words::check_name;
use crate::model::ReceiverId;
use crate::notify::{Rate, ReceiverSettings, kind_of};
use crate::words::Language;
use crate::yaml::{Entry, Section};

/// Reads all receivers. The broken ones are reported and left out. A file may have none: a rule that needs one says so.
///
/// `templates` is the directory with a directory of templates for each kind.
pub(super) fn read(
    file: &Section<'_>,
    timezone: &TimeZone,
    language: Language,
    templates: Option<&Path>,
) -> Vec<ReceiverSettings> {
    let Some(receivers) = file.section("receivers") else { return Vec::new() };
    let read: Vec<_> = receivers
        .entries()
        .iter()
        .filter_map(|entry| read_one(&receivers, entry, timezone, language, templates))
        .collect();
    fallback::check_cycles(&receivers, &read);
    read
}

fn read_one(
    receivers: &Section<'_>,
    entry: &Entry,
    timezone: &TimeZone,
    language: Language,
    templates: Option<&Path>,
) -> Option<ReceiverSettings> {
    let findings = receivers.findings();
    let path = receivers.path_of(&entry.key);
    if let Err(fault) = check_name(&entry.key) {
        findings.error(entry.at, path.as_str(), fault, None);
    }
    let section = Section::open(&entry.node, path, findings)?;
    let names: Vec<String> = receivers.entries().iter().map(|entry| entry.key.clone()).collect();
    let kind = kind_of(&section);
    let send_resolved = section.optional::<bool>("send_resolved");
    let timezone = super::read_timezone(&section).unwrap_or_else(|| timezone.clone());
    let template = read_template(&section);
    let language = super::read_language(&section).unwrap_or(language);
    let fallback = fallback::read(&section, &names);
    // Without a kind nobody knows which keys belong here, so none is called unknown.
    let kind = kind?;
    let channel = kind.read(&section);
    let rate = Rate::read(&section, kind.rate);
    check_file(&section, "ca_file");
    check_file(&section, "client_cert");
    section.close();
    let (channel, rate) = (channel?, rate?);
    let send_resolved = send_resolved.unwrap_or(kind.sends_resolved);
    let of_kind = templates.map(|directory| directory.join(kind.word)).filter(|directory| directory.is_dir());
    let templates = of_kind.into_iter().chain(template).collect();
    let id = ReceiverId::new(&entry.key);
    Some(ReceiverSettings { id, send_resolved, timezone, language, templates, rate, fallback, channel })
}

fn read_template(section: &Section<'_>) -> Option<PathBuf> {
    let path = section.optional::<PathBuf>("template")?;
    if !path.exists() {
        section.error("template", format!("there is no file or directory {}", path.display()), None);
    }
    Some(path)
}
