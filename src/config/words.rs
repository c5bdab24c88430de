//! Words that stand for one of a known few: names and values with "did you mean".

use crate::yaml::{FromYaml, Located, closest};

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
        located.wrong(format!("{word:?} is no {what}"), Some(help))
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
        located.wrong(format!("{word:?} is no {what}"), Some(help))
    })
}

/// Reads a reference to something the file defines elsewhere.
pub(super) fn read_reference(located: Located<'_>, what: &str, defined: &[String]) -> Option<String> {
    let name = String::from_yaml(located)?;
    // What it means may be defined in a file that could not be read.
    if defined.contains(&name) || located.findings.is_partial() {
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
            "{name:?} is no name: letters, digits, -, _ and . are allowed, at most {} of them",
            crate::limits::NAME_BYTES_MAX
        ));
    }
    Ok(())
}
