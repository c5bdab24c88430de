//! `windows`, and the `during` and `hold` that name one: in which hours a step or a route tells.
//!
//! A window is named by its key under `windows`, or by that of a mute window, which then does both.

use std::collections::BTreeMap;

use super::days::DAYS;
use super::mute::{Surroundings, TIMES, read_window};
use super::words::{open_named, read_reference};
use crate::rule::{Hours, MuteWindow, NamedWindow};
use crate::schedule::RecurringWindow;
use crate::yaml::{Entry, FromYaml as _, Key, Keys, Located, Section, Shape, Value};

/// A window of time.
pub(super) static WINDOW: Keys = Keys::of(
    "window",
    "A recurring time that steps and routes go by; its times are written as those of mute windows.",
    &[TIMES, DAYS],
)
.pairs(&[("schedule", "for")]);

/// Only while a window is open.
pub(super) const DURING: Key =
    Key::new("during", Shape::Text, "Only while this window is open: a name from \"windows\" or \"mute_windows\".")
        .example("workhours");
/// Not before a window opens.
pub(super) const HOLD: Key = Key::new(
    "hold",
    Shape::Text,
    "until NAME: held back while that window is closed, and sent together when it opens, with what recovered meanwhile \
     in one line.",
)
.example("until workhours");

/// The windows that `during` and `hold` may name.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// Every name that the file has, whether or not what it names is right.
    pub(super) names: Vec<String>,
    /// Those that are right.
    pub(super) read: BTreeMap<String, RecurringWindow>,
}

/// Reads `windows`, beside the mute windows that were read.
pub(super) fn read(
    file: &Section<'_>,
    names: [Vec<String>; 2],
    muting: &[MuteWindow],
    around: &Surroundings<'_>,
) -> Windows {
    let mut read: BTreeMap<String, RecurringWindow> =
        muting.iter().map(|one| (one.name.to_string(), one.window.clone())).collect();
    let [own, of_muting] = names;
    if let Some(windows) = file.section("windows") {
        for entry in windows.entries() {
            if of_muting.contains(&entry.key) {
                let help = Some("give one of the two another name".to_string());
                let message = format!("{:?} is the name of a mute window, too", entry.key);
                windows.findings().error(entry.at, windows.path_of(&entry.key), message, help);
            }
            if let Some(window) = read_one(&windows, entry, around) {
                read.insert(entry.key.clone(), window);
            }
        }
    }
    Windows { names: own.into_iter().chain(of_muting).collect(), read }
}

fn read_one(windows: &Section<'_>, entry: &Entry, around: &Surroundings<'_>) -> Option<RecurringWindow> {
    let section = open_named(windows, entry)?;
    let window = read_window(&section, around);
    section.close();
    window
}

/// Reads `during` and `hold` of a section. `None` when something is wrong, and reported.
pub(super) fn read_hours(section: &Section<'_>, windows: &Windows) -> Option<Hours> {
    let read = |key: &'static str, read: fn(Located<'_>, &Windows) -> Option<NamedWindow>| {
        section
            .node(key)
            .map(|node| read(Located { node, path: &section.path_of(key), findings: section.findings() }, windows))
    };
    // Both are read before either is found wrong: a key that nobody has read is told as one that is not known.
    let (during, hold) = (read("during", named), read("hold", read_until));
    Some(Hours {
        during: during.map_or(Some(None), |it| it.map(Some))?,
        hold: hold.map_or(Some(None), |it| it.map(Some))?,
    })
}

/// Reads `until NAME`.
fn read_until(located: Located<'_>, windows: &Windows) -> Option<NamedWindow> {
    let text = String::from_yaml(located)?;
    let Some(name) = text.strip_prefix("until ").map(str::trim) else {
        let example = windows.names.first().map_or("workhours", String::as_str);
        let name = if windows.names.contains(&text) { text.as_str() } else { example };
        return located.wrong(format!("{text:?} does not say until when"), Some(format!("write hold: until {name}")));
    };
    let mut node = located.node.clone();
    if let Value::Scalar(scalar) = &mut node.value {
        scalar.text = name.to_string();
    }
    named(Located { node: &node, ..located }, windows)
}

fn named(located: Located<'_>, windows: &Windows) -> Option<NamedWindow> {
    let name = read_reference(located, "window", &windows.names)?;
    // A window that is wrong has been reported.
    let window = windows.read.get(&name)?.clone();
    Some(NamedWindow { name: name.into(), window })
}
