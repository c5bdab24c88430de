//! Words that stand for one of a known few: names and values with "did you mean".

use crate::model::{InstanceType, Severity, Status};
use crate::words::Language;
use crate::yaml::{Entry, FromYaml, Located, Section, closest};

/// The words of the sets that several tables name.
pub(super) fn statuses() -> Vec<&'static str> {
    Status::ALL.map(Status::as_str).to_vec()
}

pub(super) fn severities() -> Vec<&'static str> {
    Severity::ALL.map(Severity::as_str).to_vec()
}

pub(super) fn instance_types() -> Vec<&'static str> {
    InstanceType::ALL.map(InstanceType::as_str).to_vec()
}

pub(super) fn languages() -> Vec<&'static str> {
    Language::ALL.map(Language::as_str).to_vec()
}

/// Reads a word of a known set: `from_word` says what it stands for, `known` are all of them.
pub(super) fn read_word<T>(
    located: Located<'_>,
    what: &str,
    known: &[&str],
    from_word: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let word = String::from_yaml(located)?;
    from_word(&word).or_else(|| {
        let help = closest(&word, known.iter().copied())
            .map_or_else(|| format!("one of {}", known.join(", ")), |near| format!("did you mean {near:?}?"));
        located.wrong(format!("{word:?} is not a valid {what}"), Some(help))
    })
}

/// The same for words that may be written in any case; `known` are in capitals.
pub(super) fn read_word_any_case<T>(
    located: Located<'_>,
    what: &str,
    known: &[&str],
    from_word: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let word = String::from_yaml(located)?;
    from_word(&word).or_else(|| {
        let help = closest(&word.to_ascii_uppercase(), known.iter().copied())
            .map_or_else(|| format!("one of {}", known.join(", ")), |near| format!("did you mean {near:?}?"));
        located.wrong(format!("{word:?} is not a valid {what}"), Some(help))
    })
}

/// Reads a reference to something the file defines elsewhere.
pub(super) fn read_reference(located: Located<'_>, what: &str, defined: &[String]) -> Option<String> {
    let name = String::from_yaml(located)?;
    if defined.contains(&name) || located.findings.may_lack_definitions() {
        return Some(name);
    }
    let help = closest(&name, defined.iter().map(String::as_str)).map_or_else(
        || match defined {
            [] => format!("the file defines no {what}"),
            defined => format!("the file defines {}", defined.join(", ")),
        },
        |near| format!("did you mean {near:?}?"),
    );
    located.wrong(format!("there is no {what} {name:?}"), Some(help))
}

/// Checks the user's name for a source, receiver, rule or digest: it becomes part of ids, headers and file names.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > crate::limits::NAME_BYTES_MAX || !name.chars().all(allowed) {
        return Err(format!(
            "{name:?} is not a valid name: letters, digits, -, _ and . are allowed, at most {} of them",
            crate::limits::NAME_BYTES_MAX
        ));
    }
    Ok(())
}

/// Opens what the file defines under a name of the user's.
pub(super) fn open_named<'a>(section: &Section<'a>, entry: &'a Entry) -> Option<Section<'a>> {
    if let Err(fault) = check_name(&entry.key) {
        section.findings().error(entry.at, section.path_of(&entry.key), fault, None);
    }
    section.entry_section(entry)
}
