//! How the simulated workspace words its answers: the API has had several spellings. Pure.

use serde_json::{Map, Value};

/// A spelling of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The present one.
    Present,
    /// That of DGC: no types, flags, versions and ids of jobs, no exact search, `exeTime`, other prefixes of error codes.
    Dgc,
    /// That of the second version's answers: `snake_case`.
    Snake,
}

/// What the older dialect does not tell of an instance.
const NOT_IN_DGC: [&str; 6] = ["instanceType", "forceSuccess", "ignoreSuccess", "version", "jobId", "errorMessage"];

impl Dialect {
    /// An object of the present dialect, in this one.
    pub(super) fn worded(self, item: Value) -> Value {
        let Value::Object(fields) = item else { return item };
        let reworded = fields.into_iter().filter_map(|(key, value)| {
            let value = match value {
                Value::Array(items) => Value::Array(items.into_iter().map(|item| self.worded(item)).collect()),
                other => other,
            };
            let key = match self {
                Dialect::Present => key,
                Dialect::Dgc if NOT_IN_DGC.contains(&key.as_str()) => return None,
                Dialect::Dgc if key == "executeTime" => "exeTime".to_string(),
                Dialect::Dgc => key,
                Dialect::Snake => snake_case(&key),
            };
            Some((key, value))
        });
        Value::Object(reworded.collect::<Map<_, _>>())
    }

    /// An error code of the present dialect, in this one.
    pub(super) fn code(self, code: &str) -> String {
        match self {
            Dialect::Dgc => code.replace("APIGW.", "APIG."),
            Dialect::Present | Dialect::Snake => code.to_string(),
        }
    }
}

fn snake_case(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
