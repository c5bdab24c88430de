//! `nightbell schema`: the configuration file as a JSON Schema, for editors, and all its keys as
//! Markdown, for people.

use super::ground::{Exit, Failure};
use super::output::print;

pub(super) fn schema(is_part: bool, as_reference: bool) -> Result<Exit, Failure> {
    if as_reference {
        print(crate::config::reference().trim_end())?;
        return Ok(Exit::Done);
    }
    print(serde_json::to_string_pretty(&crate::config::schema(is_part))?)?;
    Ok(Exit::Done)
}
