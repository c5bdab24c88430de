//! `routes`: a mapping from a route's name to which alerts it concerns, and who else is told of them.

use std::sync::Arc;

use super::hours::{DURING, HOLD, Windows, read_hours};
use super::mute::{ALERT_MATCH, Surroundings, read_alert_match};
use super::notify::read_notify;
use super::words::open_named;
use crate::rule::Route;
use crate::yaml::{Entry, Key, Keys, Section, Shape};

/// A route.
pub(super) static ROUTE: Keys = Keys::of(
    "route",
    "Who else is notified of alerts of some kind, beside the receivers that the rule names.",
    &[&[
        Key::new("match", Shape::Mapping(&ALERT_MATCH), "Which alerts; without it, every one."),
        Key::new("notify", Shape::Texts, "Who is notified as well.").required().example("[team]"),
        DURING,
        HOLD,
    ]],
);

/// Reads all routes. The broken ones are reported and left out.
pub(super) fn read(file: &Section<'_>, around: &Surroundings<'_>, windows: &Windows) -> Arc<[Route]> {
    let Some(routes) = file.section("routes") else { return Arc::default() };
    routes.entries().iter().filter_map(|entry| read_one(&routes, entry, around, windows)).collect()
}

fn read_one(routes: &Section<'_>, entry: &Entry, around: &Surroundings<'_>, windows: &Windows) -> Option<Route> {
    let section = open_named(routes, entry)?;
    let matches = read_alert_match(&section, "match", around);
    let notify = read_notify(&section, around.names);
    if notify.as_ref().is_some_and(Vec::is_empty) {
        let help = Some("name the receivers that are notified of these alerts as well".to_string());
        section.error("notify", "the route notifies nobody", help);
    }
    let hours = read_hours(&section, windows);
    section.close();
    Some(Route { name: entry.key.as_str().into(), matches: matches?, notify: notify?, hours: hours? })
}
