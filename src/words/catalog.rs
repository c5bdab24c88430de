//! The catalogs: files that are part of the program, read once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::phrase::Phrase;
use crate::yaml::{Diagnostics, Environment, Node, Value, parse};

/// Phrases by key. A mapping inside a catalog gives its keys a name in front: `word.fail`.
pub(super) type Catalog = BTreeMap<String, Phrase>;

/// The English catalog.
pub(super) static EN: LazyLock<Catalog> = LazyLock::new(|| read(include_str!("../../templates/words/en.yaml")).0);
/// The Chinese one.
pub(super) static ZH: LazyLock<Catalog> = LazyLock::new(|| read(include_str!("../../templates/words/zh.yaml")).0);

/// The phrases of a file, and what is wrong with it. The files are the program's own and a test holds that nothing is.
fn read(text: &str) -> (Catalog, Vec<String>) {
    let findings = Diagnostics::new("");
    let environment = Environment { lookup: &|_| None, required: false };
    let (mut catalog, mut wrong) = (Catalog::new(), Vec::new());
    if let Some(tree) = parse(text, &environment, &findings) {
        collect(&tree, "", &mut catalog, &mut wrong);
    }
    wrong.extend(findings.into_sorted().into_iter().map(|found| found.message));
    (catalog, wrong)
}

fn collect(node: &Node, path: &str, catalog: &mut Catalog, wrong: &mut Vec<String>) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                collect(&entry.node, &path, catalog, wrong);
            }
        }
        Value::Scalar(scalar) => match Phrase::parse(&scalar.text) {
            Ok(phrase) => drop(catalog.insert(path.to_string(), phrase)),
            Err(reason) => wrong.push(format!("{path}: {reason}")),
        },
        Value::Null | Value::List(_) => wrong.push(format!("{path}: a phrase is a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wrong_with_the_catalogs() {
        for text in [include_str!("../../templates/words/en.yaml"), include_str!("../../templates/words/zh.yaml")] {
            let (catalog, wrong) = read(text);
            assert_eq!(wrong, Vec::<String>::new());
            assert!(catalog.len() > 50);
        }
    }

    #[test]
    fn every_phrase_is_in_every_language_with_the_same_values() {
        assert_eq!(EN.keys().collect::<Vec<_>>(), ZH.keys().collect::<Vec<_>>());
        for (key, phrase) in EN.iter() {
            assert_eq!(phrase.names(), ZH[key].names(), "{key}");
        }
    }
}
