//! Keys that the sections of several kinds of source have.
//!
//! Reads keys and reports what is wrong with them; contacts nobody and resolves no secret.

use std::collections::BTreeSet;

use crate::yaml::{Key, OneOrMany, Section, Shape};

/// What signs a request to Alibaba Cloud.
pub(in crate::source) const ALIBABA_KEYS: &[Key] = &[
    Key::new("access_key", Shape::Secret, "The AccessKey's id.")
        .required()
        .example("{ env: ALIBABA_AK }")
        .also(&["ak", "access_key_id"]),
    Key::new("secret_key", Shape::Secret, "The AccessKey's secret.").required().example("{ env: ALIBABA_SK }").also(&[
        "sk",
        "secret",
        "access_key_secret",
    ]),
    Key::new("security_token", Shape::Secret, "Comes with temporary (STS) keys."),
];

/// The highest pace that is taken for meant.
const REQUESTS_PER_SECOND_MAX: f64 = 10_000.0;

/// `requests_per_second`, a number above 0, which the kind's table gives a default.
pub(in crate::source) fn read_pace(section: &Section<'_>) -> Option<f64> {
    const KEY: &str = "requests_per_second";
    let pace = section.or_default::<f64>(KEY);
    if pace > 0.0 && pace <= REQUESTS_PER_SECOND_MAX {
        return Some(pace);
    }
    let default = section.default_of::<f64>(KEY).unwrap_or_default();
    section.error(
        KEY,
        "expected a number above 0",
        Some(format!("the default is {default}; at most {REQUESTS_PER_SECOND_MAX}")),
    );
    None
}

/// The texts under a key, one or a list of them, each once and none of them empty; no text when the key is not there.
pub(in crate::source) fn read_texts(section: &Section<'_>, key: &'static str) -> Option<Vec<String>> {
    if section.node(key).is_none() {
        return Some(Vec::new());
    }
    let OneOrMany(mut texts) = section.optional::<OneOrMany<String>>(key)?;
    let mut seen = BTreeSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    if texts.iter().any(String::is_empty) {
        section.error(key, "a name in it is empty", None);
        return None;
    }
    Some(texts)
}
