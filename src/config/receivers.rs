//! `receivers`: what every kind of receiver has in common.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::fallback::{self, FALLBACK};
use super::sources::file_fault;
use super::words::{languages, open_named};
use crate::model::ReceiverId;
use crate::notify::{Guides, KINDS, Rate, ReceiverSettings, kind_of};
use crate::words::Language;
use crate::yaml::{Entry, Key, Keys, Section, Shape};

/// What every receiver has.
pub(super) static RECEIVER: Keys = Keys::of(
    "receiver",
    "A place that is notified. These keys belong to every type; those of each type follow.",
    &[&[
        Key::new("type", Shape::Word(kinds), "The kind of receiver.").required().example("slack"),
        Key::new(
            "send_resolved",
            Shape::Flag,
            "Whether it is also notified when an alert is over. Default: true; false for email. PagerDuty always is.",
        ),
        Key::new(
            "tell_ack",
            Shape::Flag,
            "Whether it is also notified when somebody acknowledges an alert. Default: true where that disturbs nobody (a bot \
             of Slack, Telegram, PagerDuty); false elsewhere.",
        ),
        Key::new("timezone", Shape::Zone, "The zone of the times in its messages, where it is not the file's."),
        Key::new("language", Shape::Word(languages), "The language of its messages, where it is not the file's."),
        Key::new(
            "template",
            Shape::Text,
            "A file or directory whose templates replace the built-in ones for this receiver.",
        ),
        Key::new(
            "fallback",
            Shape::TextOr(&FALLBACK),
            "Who is notified in its place when an alert does not get through.",
        ),
        Key::new("rate", Shape::Mapping(Rate::KEYS), "How often it may be notified; what is more is sent together.")
            .example("{ per_minute: 20, burst: 5 }"),
    ]],
);

fn kinds() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.word).collect()
}

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
    let section = open_named(receivers, entry)?;
    let names: Vec<String> = receivers.entries().iter().map(|entry| entry.key.clone()).collect();
    let kind = kind_of(&section);
    let send_resolved = section.optional::<bool>("send_resolved");
    let tell_ack = section.optional::<bool>("tell_ack");
    let timezone = super::locale::read_timezone(&section).unwrap_or_else(|| timezone.clone());
    let template = read_template(&section);
    let language = super::locale::read_language(&section).unwrap_or(language);
    let fallback = fallback::read(&section, &names);
    // Without a kind nobody knows which keys belong here, so none is called unknown.
    let kind = kind?;
    let section = section.with(kind.keys);
    let channel = kind.read(&section);
    let rate = Rate::read(&section, kind.rate);
    for key in ["ca_file", "client_cert"] {
        if let Some(fault) = file_fault(&section, key) {
            section.findings().disabled(section.place_of(key), section.path_of(key), fault);
        }
    }
    section.close();
    let (channel, rate) = (channel?, rate?);
    let send_resolved = send_resolved.unwrap_or(kind.sends_resolved);
    let of_kind = templates.map(|directory| directory.join(kind.word)).filter(|directory| directory.is_dir());
    let templates = of_kind.into_iter().chain(template).collect();
    let id = ReceiverId::new(&entry.key);
    Some(ReceiverSettings {
        id,
        send_resolved,
        tell_ack,
        timezone,
        language,
        templates,
        page: None,
        guides: Guides::default(),
        rate,
        fallback,
        channel,
    })
}

fn read_template(section: &Section<'_>) -> Option<PathBuf> {
    let path = section.optional::<PathBuf>("template")?;
    if !path.exists() {
        section.error("template", format!("there is no file or directory {}", path.display()), None);
    }
    Some(path)
}
