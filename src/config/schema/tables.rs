//! Which tables of keys can be reached from one.
//!
//! Pure: walks from key to table.

use crate::yaml::{Key, Keys, Shape};

/// All tables that can be reached from one, itself first, each once, in the order in which they are met.
pub(super) fn tables(keys: &'static Keys) -> Vec<&'static Keys> {
    let mut met: Vec<&'static Keys> = vec![keys];
    let mut next = 0;
    while let Some(keys) = met.get(next) {
        next += 1;
        let inner: Vec<&'static Keys> = keys.iter().flat_map(inner).collect();
        for keys in inner {
            if met.iter().all(|known| known.name != keys.name) {
                met.push(keys);
            }
        }
    }
    met
}

/// The tables of what a key takes.
fn inner(key: &Key) -> Vec<&'static Keys> {
    match key.shape {
        Shape::Mapping(keys) | Shape::TextOr(keys) | Shape::List(keys) | Shape::ByName(keys) => vec![keys],
        Shape::ByKind(common, kinds) => {
            std::iter::once(common).chain(kinds().into_iter().map(|(_, keys)| keys)).collect()
        }
        Shape::TextsOr(keys) | Shape::TextsOrMappings(keys) | Shape::ListOr(keys, _) => vec![keys],
        Shape::TextsOrSteps(first, later) => vec![first, later],
        Shape::Text
        | Shape::Texts
        | Shape::TextsOrNone
        | Shape::Flag
        | Shape::Whole
        | Shape::Number
        | Shape::Duration
        | Shape::DurationOrZero
        | Shape::Schedule
        | Shape::ClockTime
        | Shape::Zone
        | Shape::Secret
        | Shape::Word(_)
        | Shape::WordAnyCase(_)
        | Shape::Words(_)
        | Shape::WordsAnyCase(_)
        | Shape::TextsByName
        | Shape::WantedByName
        | Shape::SecretsByName
        | Shape::Other(..) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the schema a table goes by its name, so no two may have one.
    #[test]
    fn no_two_tables_have_one_name() {
        let tables = tables(&crate::config::keys::FILE);
        for keys in &tables {
            for inner in keys.iter().flat_map(inner) {
                let known = tables.iter().find(|known| known.name == inner.name);
                assert!(known.is_some_and(|known| std::ptr::eq(*known, inner)), "{}", inner.name);
            }
        }
    }
}
