//! By what a reload knows that a source or a receiver is what it was.
//!
//! A mark is a number made of everything that the files say of the part and of what it takes from the whole. It lives as
//! long as the process. A part that reads a file besides has none: the file may hold something else by now.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher};

use super::guide::GUIDE;
use crate::yaml::{Entry, Node, Value};

/// The marks of a configuration's sources and receivers.
#[derive(Debug, Clone, Default)]
pub struct Marks(HashMap<(&'static str, String), u64>);

/// What a part takes from the whole.
const SHARED: [&str; 4] = ["timezone", "language", "templates", "web"];

/// Keys that name files whose content counts.
const FILES: [&str; 3] = ["ca_file", "client_cert", "template"];

impl Marks {
    /// Whether both configurations say the same of the source `name`, and of everything it rests on.
    pub fn have_same_source(&self, other: &Marks, name: &str) -> bool {
        self.are_same(other, "sources", name)
    }

    /// The same for the receiver `name`.
    pub fn have_same_receiver(&self, other: &Marks, name: &str) -> bool {
        self.are_same(other, "receivers", name)
    }

    fn are_same(&self, other: &Marks, section: &'static str, name: &str) -> bool {
        let mark = |marks: &Marks| marks.0.get(&(section, name.to_string())).copied();
        mark(self).is_some_and(|own| mark(other) == Some(own))
    }

    /// The marks of everything in the tree.
    pub(super) fn of(tree: &Node) -> Marks {
        let mut marks = HashMap::new();
        let Value::Map(top) = &tree.value else { return Marks::default() };
        let mut shared = DefaultHasher::new();
        top.iter().filter(|entry| SHARED.contains(&entry.key.as_str())).for_each(|entry| {
            entry.key.hash(&mut shared);
            hash(&entry.node.value, &mut shared);
        });
        let said = guides(top);
        let replaces_templates = top.iter().any(|entry| entry.key == "templates");
        for section in ["sources", "receivers"] {
            let entries = top.iter().rev().find(|entry| entry.key == section).map(|entry| &entry.node.value);
            let Some(Value::Map(entries)) = entries else { continue };
            for entry in entries {
                let reads_files = matches!(&entry.node.value, Value::Map(keys)
                    if keys.iter().any(|key| FILES.contains(&key.key.as_str())));
                let has_files = reads_files || replaces_templates && section == "receivers";
                if !has_files {
                    let mut hasher = shared.clone();
                    hash(&entry.node.value, &mut hasher);
                    if section == "receivers" {
                        said.hash(&mut hasher);
                    }
                    marks.insert((section, entry.key.clone()), hasher.finish());
                }
            }
        }
        Marks(marks)
    }
}

/// A number made of what rules, sources and jobs have messages say: every receiver says it.
fn guides(top: &[Entry]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for section in top {
        let Value::Map(entries) = &section.node.value else { continue };
        match section.key.as_str() {
            "jobs" => hash(&section.node.value, &mut hasher),
            "rules" | "sources" => {
                for entry in entries {
                    let Value::Map(keys) = &entry.node.value else { continue };
                    for key in keys.iter().filter(|key| GUIDE.iter().any(|known| known.name == key.key)) {
                        (&section.key, &entry.key, &key.key).hash(&mut hasher);
                        hash(&key.node.value, &mut hasher);
                    }
                }
            }
            _ => {}
        }
    }
    hasher.finish()
}

/// What is written, wherever it stands.
fn hash(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Scalar(scalar) => (1_u8, &scalar.text).hash(hasher),
        Value::List(items) => {
            (2_u8, items.len()).hash(hasher);
            items.iter().for_each(|item| hash(&item.value, hasher));
        }
        Value::Map(entries) => {
            (3_u8, entries.len()).hash(hasher);
            for entry in entries {
                entry.key.hash(hasher);
                hash(&entry.node.value, hasher);
            }
        }
    }
}
