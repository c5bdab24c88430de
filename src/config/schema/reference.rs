//! The reference: every table of keys in Markdown, in each language.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::shapes::{kinds_of, words_of};
use super::tables::tables;
use super::texts::{Translate, filled, in_language, joined};
use crate::words::Language;
use crate::yaml::{Key, Keys, SECRET};

/// What stands above the tables. Links lead on from the page's place under `docs`.
const HEAD: [&str; 2] = [
    "[Documentation](../README.md#documentation) · what the keys do: [rules](rules.md) · [中文](zh/reference.md)",
    "`nightbell schema --reference` prints this page (with `--language zh` in Chinese) from the tables that `nightbell check` \
     reads the file by. A key in bold must be there. Every value may hold `${NAME}` or `${NAME:-default}`. Durations are \
     written as `45s`, `30m`, `2h30m` or `1d`. A path that does not begin with `/` starts from the directory of its file.",
];

/// All keys that can be reached from those of the file, a section for each mapping.
pub(in crate::config) fn reference(file: &'static Keys, language: Language) -> String {
    page(file, &|text| in_language(text, language))
}

/// Every text that the reference is made of, in English.
pub(in crate::config) fn texts(file: &'static Keys) -> BTreeSet<&'static str> {
    let said = RefCell::new(BTreeSet::new());
    page(file, &|text| {
        said.borrow_mut().insert(text);
        text
    });
    said.into_inner()
}

fn page(file: &'static Keys, translate: Translate<'_>) -> String {
    let mut out = format!("# {}\n", translate("All keys of the configuration"));
    for paragraph in HEAD {
        let _ = writeln!(out, "\n{}", translate(paragraph));
    }
    for keys in tables(file).into_iter().chain([&SECRET]) {
        section(file, keys, translate, &mut out);
    }
    out
}

fn section(file: &'static Keys, keys: &'static Keys, translate: Translate<'_>, out: &mut String) {
    let _ = writeln!(out, "\n## {}\n\n{}", keys.name, translate(keys.says));
    let code = |key: &str| format!("`{key}`");
    if !keys.any_of.is_empty() {
        let set = |set: &&[&str]| joined(translate("{one} with {other}"), set.iter().map(|key| code(key)));
        let sets = joined(translate("{one}, or {other}"), keys.any_of.iter().map(set));
        let _ = writeln!(out, "\n{}", filled(translate("It needs {keys}."), &[("keys", &sets)]));
    }
    for (one, other) in keys.pairs {
        let pair = translate("Neither of {one} and {other} stands without the other.");
        let _ = writeln!(out, "\n{}", filled(pair, &[("one", &code(one)), ("other", &code(other))]));
    }
    let kinds = file.iter().filter_map(|key| kinds_of(&key.shape));
    if let Some((_, kinds)) = kinds.into_iter().find(|(common, _)| common.name == keys.name) {
        let kinds = kinds().into_iter().map(|(word, keys)| format!("[{word}](#{})", keys.name));
        let types = joined(translate("{one}, {other}"), kinds);
        let _ = writeln!(out, "\n{}", filled(translate("The types: {types}."), &[("types", &types)]));
    }
    let _ = writeln!(
        out,
        "\n| {} | {} | {} | |\n|---|---|---|---|",
        translate("key"),
        translate("takes"),
        translate("default")
    );
    for key in keys.iter() {
        line(key, translate, out);
    }
}

fn line(key: &'static Key, translate: Translate<'_>, out: &mut String) {
    let name = if key.is_required { format!("**`{}`**", key.name) } else { format!("`{}`", key.name) };
    let default = key.default.map(|default| format!("`{default}`")).unwrap_or_default();
    let says = match key.example.map(|example| format!("`{}: {example}`", key.name)) {
        Some(example) => {
            filled(translate("{says} Example: {example}."), &[("says", translate(key.says)), ("example", &example)])
        }
        None => translate(key.says).to_string(),
    };
    let cell = |text: String| text.replace('|', "\\|");
    let takes = words_of(&key.shape, translate);
    let _ = writeln!(out, "| {name} | {} | {} | {} |", cell(takes), cell(default), cell(says));
}
