//! The reference: every table of keys in Markdown.

use std::fmt::Write as _;

use super::shapes::{kinds_of, words_of};
use super::tables::tables;
use crate::yaml::{Key, Keys, SECRET};

/// All keys that can be reached from those of the file, a section for each mapping.
pub(in crate::config) fn reference(file: &'static Keys) -> String {
    let mut out = "# All keys of the configuration\n\n\
        `nightbell schema --reference` prints this page from the tables that `nightbell check` reads the file by. A key in \
        bold must be there. Every value may hold `${NAME}` or `${NAME:-default}`. Durations are written as `45s`, `30m`, \
        `2h30m` or `1d`. A path that does not begin with `/` starts from the directory of its file.\n"
        .to_string();
    for keys in tables(file).into_iter().chain([&SECRET]) {
        section(file, keys, &mut out);
    }
    out
}

fn section(file: &'static Keys, keys: &Keys, out: &mut String) {
    let _ = write!(out, "\n## {}\n\n{}\n", keys.name, keys.says);
    if !keys.any_of.is_empty() {
        let set = |set: &&[&str]| set.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" with ");
        let sets: Vec<String> = keys.any_of.iter().map(set).collect();
        let _ = writeln!(out, "\nIt needs {}.", sets.join(", or "));
    }
    for (one, other) in keys.pairs {
        let _ = writeln!(out, "\nNeither of `{one}` and `{other}` stands without the other.");
    }
    let kinds = file.iter().filter_map(|key| kinds_of(&key.shape));
    if let Some((_, kinds)) = kinds.into_iter().find(|(common, _)| common.name == keys.name) {
        let kinds: Vec<String> = kinds().iter().map(|(word, keys)| format!("[{word}](#{})", keys.name)).collect();
        let _ = writeln!(out, "\nThe types: {}.", kinds.join(", "));
    }
    out.push_str("\n| key | takes | default | |\n|---|---|---|---|\n");
    for key in keys.iter() {
        line(key, out);
    }
}

fn line(key: &Key, out: &mut String) {
    let name = if key.is_required { format!("**`{}`**", key.name) } else { format!("`{}`", key.name) };
    let default = key.default.map(|default| format!("`{default}`")).unwrap_or_default();
    let example = key.example.map(|example| format!(" Example: `{}: {example}`.", key.name)).unwrap_or_default();
    let cell = |text: String| text.replace('|', "\\|");
    let _ = writeln!(
        out,
        "| {name} | {} | {} | {} |",
        cell(words_of(&key.shape)),
        cell(default),
        cell(format!("{}{example}", key.says))
    );
}
