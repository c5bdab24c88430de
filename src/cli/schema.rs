//! `nightbell schema`: the configuration file as a JSON Schema, for editors, and all its keys as
//! Markdown, for people.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::ground::{Exit, Failure};
use super::output::print;
use crate::words::Language;

pub(super) fn schema(is_part: bool, as_reference: bool, language: Language) -> Result<Exit, Failure> {
    if as_reference {
        print(crate::config::reference(language).trim_end())?;
        return Ok(Exit::Done);
    }
    print(serde_json::to_string_pretty(&crate::config::schema(is_part))?)?;
    Ok(Exit::Done)
}

/// One of the languages, by its word of the configuration.
pub(super) fn language() -> impl TypedValueParser<Value = Language> {
    PossibleValuesParser::new(Language::ALL.map(Language::as_str))
        .map(|word| Language::from_word(&word).unwrap_or_default())
}
