//! `nightbell schema`: the configuration file as a JSON Schema, for editors.

use super::output::print;
use super::{Exit, Failure};

pub(super) fn schema(is_part: bool) -> Result<Exit, Failure> {
    print(serde_json::to_string_pretty(&crate::config::schema(is_part))?)?;
    Ok(Exit::Done)
}
