//! What the lists of a test have in common: what their items may name, and how they are opened.
//!
//! Reads sections; it must never know what an item says.

use jiff::tz::TimeZone;
use serde_json::json;

use crate::config::matching::Names;
use crate::source::SourceSettings;
use crate::yaml::{Node, Section, Value};

/// What tests may refer to, and the zone their times are in.
pub(in crate::config) struct Surroundings<'a> {
    pub(in crate::config) names: &'a Names<'a>,
    pub(in crate::config) rules: &'a [String],
    pub(in crate::config) sources: &'a [SourceSettings],
    pub(in crate::config) timezone: &'a TimeZone,
}

/// A time: of the test's day, of days before and after, or in full.
pub(super) fn time() -> serde_json::Value {
    json!({ "type": ["string", "number"], "examples": ["02:10", "-1d 02:10", "2026-11-21 02:10"] })
}

/// The mappings of a list; none when the key is absent. What is no list of mappings is reported, and yields nothing.
pub(super) fn items<'a>(section: &Section<'a>, key: &'static str) -> Option<Vec<Section<'a>>> {
    let node: &Node = section.node(key)?;
    let Value::List(list) = &node.value else {
        if node.value != Value::Null {
            let help = Some("write one item a line, each beginning with \"- \"".to_string());
            section.error(key, "expected a list", help);
        }
        return None;
    };
    let open = |(index, item)| section.item_section(key, index, item);
    Some(list.iter().enumerate().filter_map(open).collect())
}
