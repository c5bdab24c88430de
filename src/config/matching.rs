//! Which jobs, sources, rules, severities and types a section names: the keys that many sections have in common.
//!
//! Reads sections, and reports what is misspelt or names nothing. It must never know what is done with what they match.

use super::words::{instance_types, read_reference, read_word};
use crate::model::{InstanceType, Severity, SourceId};
use crate::rule::{Matches, Pattern};
use crate::yaml::{FromYaml, Key, Keys, Located, Node, OneOrMany, Section, Shape, Value};

/// Which jobs: the keys that every `match` has.
pub(super) const JOB_KEYS: &[Key] = &[
    Key::new("source", Shape::Texts, "Names from \"sources\"."),
    Key::new(
        "job",
        Shape::Texts,
        "Patterns of job names: a glob (* ? [..] {a,b}) or a /regular expression/, of the whole name.",
    )
    .example("\"etl_*\""),
    Key::new("not", Shape::Texts, "Patterns of job names that are left out."),
];

/// Which of their runs: the key that a `match` of runs and of alerts has beside them.
pub(super) const RUN_KEYS: &[Key] = &[Key::new(
    "instance_type",
    Shape::Words(instance_types),
    "How the run came about. Without it, all types but backfill.",
)];

/// `match` of a rule.
pub(super) static MATCH: Keys =
    Keys::of("match", "Which runs: a list means \"one of\", different keys mean \"and\".", &[JOB_KEYS, RUN_KEYS])
        .not_empty();

/// What rules and digests may refer to.
pub(super) struct Names<'a> {
    /// The keys under `sources`.
    pub(super) sources: &'a [String],
    /// The keys under `receivers`.
    pub(super) receivers: &'a [String],
    /// Those sources whose schedulers do not tell when their jobs are due; none before the sources are read.
    pub(super) unscheduled: &'a [String],
    /// Those sources whose schedulers do not tell their jobs; none before the sources are read.
    pub(super) jobless: &'a [String],
}

/// The mapping under `key` that selects runs or alerts, read by `read`. Absent, it selects everything. Without contents it
/// is an error: whoever forgot them, or indented them wrongly, does not mean everything.
pub(super) fn read_selection<T: Default>(
    section: &Section<'_>,
    key: &'static str,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Option<T> {
    let Some(node) = section.node(key) else { return Some(T::default()) };
    let is_empty = match &node.value {
        Value::Null => true,
        Value::Map(entries) => entries.is_empty(),
        _ => false,
    };
    if is_empty {
        let help = format!("for everything write {key}: {{ job: \"*\" }}");
        section.error(key, format!("{key:?} is empty"), Some(help));
        return None;
    }
    let inner = section.section(key)?;
    let found = read(&inner);
    inner.close();
    found
}

/// What a `match` says of instances. Whoever opened it closes it.
pub(super) fn read_matches(section: &Section<'_>, known: &Names<'_>) -> Option<Matches> {
    let jobs = read_jobs(section, known);
    let types = section.optional::<OneOrMany<TypeWord>>("instance_type");
    let is_sound = types.is_some() || !section.has("instance_type");
    let instance_types = types.map_or_else(Vec::new, |list| list.0.into_iter().map(|word| word.0).collect());
    jobs.map(|jobs| Matches { instance_types, ..jobs }).filter(|_| is_sound)
}

/// What a `match` says of jobs, whatever their runs are. Whoever opened it closes it.
pub(super) fn read_jobs(section: &Section<'_>, known: &Names<'_>) -> Option<Matches> {
    let sources = read_references(section, "source", "source", known.sources);
    let jobs = section.optional::<OneOrMany<JobPattern>>("job");
    let not = section.optional::<OneOrMany<JobPattern>>("not");
    let sound = (jobs.is_some() || !section.has("job")) && (not.is_some() || !section.has("not"));
    let unwrap = |patterns: Option<OneOrMany<JobPattern>>| {
        patterns.map_or_else(Vec::new, |list| list.0.into_iter().map(|pattern| pattern.0).collect())
    };
    Some(Matches {
        sources: sources?.iter().map(SourceId::new).collect(),
        jobs: unwrap(jobs),
        not: unwrap(not),
        instance_types: Vec::new(),
    })
    .filter(|_| sound)
}

/// One name or a list of them that is not empty, each of which the file must define. Every dangling one is reported.
pub(super) fn read_references(
    section: &Section<'_>,
    key: &'static str,
    what: &str,
    defined: &[String],
) -> Option<Vec<String>> {
    let Some(node) = section.node(key) else { return Some(Vec::new()) };
    let path = section.path_of(key);
    let nodes: Vec<(&Node, String)> = match &node.value {
        Value::List(items) if items.is_empty() => {
            section.error(key, "the list is empty", None);
            return None;
        }
        Value::List(items) => {
            items.iter().enumerate().map(|(index, item)| (item, format!("{path}[{index}]"))).collect()
        }
        _ => vec![(node, path)],
    };
    let read: Vec<Option<String>> = nodes
        .iter()
        .map(|(node, path)| read_reference(Located { node, path, findings: section.findings() }, what, defined))
        .collect();
    read.into_iter().collect()
}

pub(super) struct JobPattern(pub(super) Pattern);

impl FromYaml for JobPattern {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        match Pattern::parse(&text) {
            Ok(pattern) => {
                if looks_like_a_regex(&text) {
                    let Located { node, path, findings } = located;
                    let help = format!("write {}", meant_by(&text));
                    findings.warning(
                        node.at,
                        path,
                        format!("{text:?} is a glob, and looks like a regular expression"),
                        Some(help),
                    );
                }
                Some(JobPattern(pattern))
            }
            Err(fault) => located.wrong(fault, None),
        }
    }
}

/// Whether a glob has what means something in regular expressions only.
pub(super) fn looks_like_a_regex(text: &str) -> bool {
    let is_regex = text.starts_with('/');
    let marks = [".*", ".+", "\\d", "\\w", "\\s", "\\.", "(", ")", "|", "]{", "]+", "%"];
    let ends = |text: &str| text.starts_with('^') || text.ends_with(['$', '+']);
    !is_regex && (ends(text) || marks.iter().any(|mark| text.contains(mark)))
}

/// How to write what a regular expression, or a pattern of SQL, in the place of a glob probably means: as a glob where one
/// says the same, and else between slashes, where a regular expression is about the whole name.
fn meant_by(text: &str) -> String {
    let core = text.strip_prefix('^').unwrap_or(text);
    let (is_begun, core) = (core.len() < text.len(), core.strip_suffix('$').unwrap_or(core));
    let is_ended = text.len() > core.len() + usize::from(is_begun);
    let is_glob = |text: &str| !text.contains(['.', '+', '(', ')', '|', '^', '$', '\\', '[', '{']);
    let star = |is_bound: bool| if is_bound || (!is_begun && !is_ended) { "" } else { "*" };
    let glob = core.replace(".*", "*").replace('%', "*");
    if is_glob(&glob) {
        return format!("{:?}", format!("{}{glob}{}", star(is_begun), star(is_ended)).replace("**", "*"));
    }
    let parts: Vec<&str> = text.split('|').collect();
    if parts.len() > 1 && parts.iter().all(|part| is_glob(part) && !part.is_empty()) {
        return format!("{parts:?}");
    }
    let any = |is_bound: bool| if is_bound || (!is_begun && !is_ended) { "" } else { ".*" };
    format!("'/{}{core}{}/'", any(is_begun), any(is_ended))
}

pub(super) struct TypeWord(pub(super) InstanceType);

impl FromYaml for TypeWord {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let known = InstanceType::ALL.map(InstanceType::as_str);
        read_word(located, "instance type", &known, InstanceType::from_word).map(TypeWord)
    }
}

/// A severity.
#[derive(Default)]
pub(super) struct SeverityWord(pub(super) Severity);

impl FromYaml for SeverityWord {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let known = Severity::ALL.map(Severity::as_str);
        read_word(located, "severity", &known, Severity::from_word).map(SeverityWord)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A suggestion that matches nothing would be worse than none.
    #[test]
    fn what_is_suggested_matches_what_was_meant() {
        let table = [
            ("^etl_", "\"etl_*\"", "etl_orders"),
            ("daily$", "\"*daily\"", "sales_daily"),
            ("^etl_daily$", "\"etl_daily\"", "etl_daily"),
            ("etl_.*", "\"etl_*\"", "etl_orders"),
            ("etl_%", "\"etl_*\"", "etl_orders"),
            ("etl_\\d+", "'/etl_\\d+/'", "etl_42"),
            ("^etl_\\d", "'/etl_\\d.*/'", "etl_4_orders"),
            ("etl_[0-9]{2}", "'/etl_[0-9]{2}/'", "etl_42"),
            ("(etl|load)_.*", "'/(etl|load)_.*/'", "load_orders"),
        ];
        for (text, expected, name) in table {
            assert!(looks_like_a_regex(text), "{text}");
            let meant = meant_by(text);
            assert_eq!(meant, expected, "{text}");
            let pattern = Pattern::parse(meant.trim_matches(['"', '\''])).unwrap();
            assert!(pattern.matcher().unwrap().matches(name), "{meant} does not match {name}");
        }
        assert_eq!(meant_by("etl_*|load_*"), "[\"etl_*\", \"load_*\"]");
        for glob in ["etl_*", "etl_[0-9]*", "/^etl_/", "订单_?", "etl.daily"] {
            assert!(!looks_like_a_regex(glob), "{glob}");
        }
    }
}
