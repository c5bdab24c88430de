//! Very many patterns of job names, asked all at once which of them match a name.
//!
//! # Design
//! Most patterns begin with some plain text, and few names begin with the same one. So patterns stand under what they
//! begin with, a name looks under each of its own beginnings, and only what stands there is matched: a hundred thousand
//! rules cost a name as many look-ups as it has letters. What shares a beginning is matched in sets of bounded size, for
//! one set of everything grows beyond what can be compiled. Sets of globs are compiled when a name first asks for them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use globset::{Candidate, GlobSet, GlobSetBuilder};
use regex::{RegexSet, RegexSetBuilder};

use super::pattern::{PatternForm, compile_glob};
use crate::limits::{PATTERN_SET_COMPILED_BYTES_MAX, PATTERNS_PER_SET_MAX};

/// Patterns by what they begin with. Each has a number.
#[derive(Debug, Clone, Default)]
pub(super) struct PatternIndex {
    /// Patterns that are one name in full.
    whole: HashMap<String, usize>,
    begun: HashMap<String, Arc<[Chunk]>>,
    /// The lengths of the beginnings in bytes, the shortest first.
    lengths: Vec<usize>,
}

/// Some patterns with the same beginning.
#[derive(Debug)]
enum Chunk {
    Globs { globs: Vec<(usize, String)>, compiled: OnceLock<Option<GlobSet>> },
    Regexes { numbers: Vec<usize>, set: RegexSet },
}

impl PatternIndex {
    /// An index of the patterns, whose numbers are their places.
    ///
    /// # Errors
    /// In words, when expressions that are right each by itself cannot be compiled together.
    pub(super) fn build(patterns: &[&PatternForm]) -> Result<PatternIndex, String> {
        let mut index = PatternIndex::default();
        let mut globs: HashMap<String, Vec<(usize, String)>> = HashMap::new();
        let mut regexes: HashMap<String, Vec<(usize, &str)>> = HashMap::new();
        for (number, form) in patterns.iter().enumerate() {
            match form {
                PatternForm::Glob(glob) => match glob.find(['*', '{', '}', '\\', '[', '?']) {
                    None => {
                        index.whole.insert(glob.clone(), number);
                    }
                    Some(end) => globs.entry(glob[..end].to_string()).or_default().push((number, glob.clone())),
                },
                PatternForm::Regex(regex) => {
                    regexes.entry(beginning_of(regex).to_string()).or_default().push((number, regex));
                }
            }
        }
        let mut begun: HashMap<String, Vec<Chunk>> = HashMap::new();
        for (beginning, globs) in globs {
            let chunks = begun.entry(beginning).or_default();
            chunks.extend(
                globs
                    .chunks(PATTERNS_PER_SET_MAX)
                    .map(|globs| Chunk::Globs { globs: globs.to_vec(), compiled: OnceLock::new() }),
            );
        }
        for (beginning, regexes) in regexes {
            let chunks = begun.entry(beginning).or_default();
            for regexes in regexes.chunks(PATTERNS_PER_SET_MAX) {
                let set = RegexSetBuilder::new(regexes.iter().map(|(_, regex)| regex))
                    .size_limit(PATTERN_SET_COMPILED_BYTES_MAX)
                    .build()
                    .map_err(|error| error.to_string())?;
                chunks.push(Chunk::Regexes { numbers: regexes.iter().map(|(number, _)| *number).collect(), set });
            }
        }
        index.lengths = begun.keys().map(String::len).collect();
        index.lengths.sort_unstable();
        index.lengths.dedup();
        index.begun = begun.into_iter().map(|(beginning, chunks)| (beginning, chunks.into())).collect();
        Ok(index)
    }

    /// The numbers of the patterns that match the whole name, in no particular order.
    pub(super) fn matching(&self, name: &str) -> Vec<usize> {
        let mut found: Vec<usize> = self.whole.get(name).copied().into_iter().collect();
        let beginnings = self.lengths.iter().filter_map(|length| name.get(..*length));
        for chunks in beginnings.filter_map(|beginning| self.begun.get(beginning)) {
            chunks.iter().for_each(|chunk| chunk.matching(name, &mut found));
        }
        found
    }
}

impl Chunk {
    fn matching(&self, name: &str, found: &mut Vec<usize>) {
        match self {
            Chunk::Regexes { numbers, set } => found.extend(set.matches(name).into_iter().map(|at| numbers[at])),
            Chunk::Globs { globs, compiled } => match compiled.get_or_init(|| compiled_set(globs)) {
                Some(set) => {
                    found.extend(set.matches_candidate(&Candidate::new(name)).into_iter().map(|at| globs[at].0));
                }
                // Too large together: each by itself is not.
                None => {
                    let is_match = |glob: &str| compile_glob(glob).is_ok_and(|it| it.compile_matcher().is_match(name));
                    found.extend(globs.iter().filter(|(_, glob)| is_match(glob)).map(|(number, _)| *number));
                }
            },
        }
    }
}

/// The globs as one set; nothing where that grows too large.
fn compiled_set(globs: &[(usize, String)]) -> Option<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for (_, glob) in globs {
        set.add(compile_glob(glob).ok()?);
    }
    set.build().ok()
}

/// The plain text that every match of a checked expression begins with; nothing where that is not easily seen.
fn beginning_of(regex: &str) -> &str {
    let Some(inner) = regex.strip_prefix(r"\A(?:").or_else(|| regex.strip_prefix(r"(?s)\A")) else { return "" };
    // Alternatives have several beginnings, and flags change what letters mean.
    if inner.contains('|') || inner.contains("(?") {
        return "";
    }
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let end = inner.find(|c| !is_plain(c)).unwrap_or(inner.len());
    let (plain, rest) = inner.split_at(end);
    // The last letter may not be there at all.
    if rest.starts_with(['?', '*', '{']) {
        let last = plain.char_indices().last().map_or(0, |(at, _)| at);
        return &plain[..last];
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::Pattern;
    use super::*;

    #[test]
    fn the_beginning_of_an_expression_is_what_every_match_begins_with() {
        let table = [
            ("/etl_\\d+/", "etl_"),
            ("/etl_?/", "etl"),
            ("/etl_*x/", "etl"),
            ("/etl_{2}/", "etl"),
            ("/etl_+/", "etl_"),
            ("/a|b/", ""),
            ("/a(?i)b/", ""),
            ("/(ab)c/", ""),
            ("/ab/", "ab"),
            ("/订单_.*/", "订单_"),
            ("/订单?/", "订"),
            ("ab?c", "ab"),
            ("a[bc]", "a"),
            ("?a", ""),
        ];
        for (pattern, expected) in table {
            let pattern = Pattern::parse(pattern).unwrap();
            let PatternForm::Regex(regex) = pattern.form() else { panic!("{pattern} is a glob") };
            assert_eq!(beginning_of(regex), expected, "{pattern}");
        }
    }

    /// The index against each pattern by itself.
    #[test]
    fn all_together_match_what_each_matches_by_itself() {
        let mut texts: Vec<String> = [
            "*",
            "etl",
            "etl_*",
            "etl_*_day",
            "*_day",
            "{etl,load}_*",
            "etl_{a,b}",
            "e?l_a",
            "[el]tl_*",
            "\\*x",
            "etl\\_a",
            "/etl_[ab]/",
            "/e.*/",
            "/etl_a?/",
            "/(?i)ETL_A/",
            "/x|etl/",
            "订单*",
            "订?",
            "/订单.*/",
            "a,b*",
            "etl_a.*",
            "*.",
        ]
        .map(str::to_string)
        .to_vec();
        texts.extend((0..600).map(|number| format!("t_{number}_*_x")));
        texts.extend((0..300).map(|number| format!("/t_{number}_\\d+/")));
        let patterns: Vec<Pattern> = texts.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        let forms: Vec<&PatternForm> = patterns.iter().map(Pattern::form).collect();
        let index = PatternIndex::build(&forms).unwrap();
        let names = [
            "",
            "e",
            "etl",
            "etl_",
            "etl_a",
            "etl_b",
            "ETL_A",
            "etl_x_day",
            "load_a",
            "x",
            "*x",
            "订单",
            "订",
            "订单_1",
            "a,b",
            "a,bc",
            "etl_a.",
            "..",
            "t_17_y_x",
            "t_599__x",
            "t_17_4",
            "t_299_1",
            "t_1_",
            "é",
            "etlé",
        ];
        for name in names {
            let mut found = index.matching(name);
            found.sort_unstable();
            let by_itself = |at: &usize| patterns[*at].matcher().unwrap().matches(name);
            let expected: Vec<usize> = (0..patterns.len()).filter(by_itself).collect();
            assert_eq!(found, expected, "{name:?}");
        }
    }
}
