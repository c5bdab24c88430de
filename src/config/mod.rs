//! The configuration: from a YAML file, or a directory of them, to a checked [`Config`].
//!
//! Reads the files, the environment variables and files that hold its secrets (to see that they are there), and nothing
//! else; writes nothing. Every problem of the files is found in one run and told with its place. Each kind of source and
//! receiver reads its own keys; this module reads what they have in common, the rules, and what ties them together. It
//! must never open a connection or a store.

mod again;
mod calendars;
mod checked;
mod conditions;
mod days;
mod defaults;
mod digests;
mod doubts;
mod fallback;
mod files;
mod group;
mod guide;
mod hours;
mod inhibit;
mod keys;
mod labels;
mod load;
mod locale;
mod marks;
mod matching;
mod merge;
mod mute;
mod notify;
mod own;
mod receivers;
mod routes;
mod rule_tests;
mod rules;
mod schema;
mod shared;
mod sources;
mod store;
mod web;
mod words;

pub use checked::Config;
pub use digests::DigestSettings;
pub use files::{NoFiles, RuleFile, RuleFiles, Unreadable};
pub use load::{ConfigProblem, LoadOptions, Loaded};
pub use marks::Marks;
pub use own::HeartbeatSettings;
pub use rule_tests::{Expected, RuleTest};
pub use web::{TrustedProxy, WebSettings};

use crate::words::Language;

/// The JSON Schema of a file that stands alone, in the dialect of 2020-12; or, with `is_part`, of one in a directory of files.
pub fn schema(is_part: bool) -> serde_json::Value {
    schema::schema(&keys::FILE, is_part)
}

/// All keys of the configuration in Markdown, a section for each mapping.
pub fn reference(language: Language) -> String {
    schema::reference(&keys::FILE, language)
}

/// Every text that the reference is made of, in English: what the catalog of another language has to translate.
pub fn reference_texts() -> std::collections::BTreeSet<&'static str> {
    schema::texts(&keys::FILE)
}
