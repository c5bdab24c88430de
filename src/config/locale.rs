//! The zone and the language, which the file and each receiver may name.

use jiff::tz::TimeZone;

use crate::words::Language;
use crate::yaml::Section;

/// The zone a `timezone` key names; shared by the file and its receivers.
pub(super) fn read_timezone(section: &Section<'_>) -> Option<TimeZone> {
    section.optional("timezone")
}

/// The language a `language` key names; shared by the file and its receivers. There is one way to write each.
pub(super) fn read_language(section: &Section<'_>) -> Option<Language> {
    let word = section.optional::<String>("language")?;
    let language = Language::from_word(&word);
    if language.is_none() {
        let known = Language::ALL.map(Language::as_str).join(" or ");
        let near = Language::near(&word);
        let help = near.map_or_else(|| format!("write {known}"), |near| format!("did you mean {:?}?", near.as_str()));
        section.error("language", format!("{word:?} is not a valid language"), Some(help));
    }
    language
}
