//! What is still broken, line by line: jobs that failed of the same error share one. Pure.

use serde::Serialize;

use super::failure::failure_line;
use super::group::{GroupLine, LineGuide, heaps_of, only, pattern, shape};
use super::language::truncated;
use super::listener::Listener;
use super::verdict::grouped;
use crate::limits::DIGEST_LINES_MAX;
use crate::model::{DigestFacts, Labels, Severity, TroublePart};

/// Longest name of a job in a line, in characters.
const NAME_MAX: usize = 80;
/// Longest error in a line, in characters.
const ERROR_MAX: usize = 100;
/// Longest list of names under a line, in characters.
const NAMES_MAX: usize = 300;
/// The same in a mail.
const MAIL_NAMES_MAX: usize = 1000;
/// Longest labels in a line, in characters.
const LABELS_MAX: usize = 60;

/// The lines of the jobs that are still broken, the worst first, as many as a phone shows; the last one says how many more there
/// are.
pub fn digest_lines(facts: &DigestFacts, listener: &Listener<'_>) -> Vec<GroupLine> {
    let broken = &facts.broken;
    let told = heaps(facts);
    let mut lines: Vec<GroupLine> = told.iter().take(DIGEST_LINES_MAX).map(|heap| line(heap, listener)).collect();
    let named: u64 = told.iter().take(DIGEST_LINES_MAX).map(|heap| heap.len() as u64).sum();
    if broken.total > named {
        let text = listener.language.say("digest.more_broken", &[("n", &grouped(broken.total - named))]);
        let level = lines.last().map_or(Severity::Error.as_str(), |last| last.level);
        let (names, jobs) = (None, Vec::new());
        lines.push(GroupLine {
            level,
            text,
            names,
            jobs,
            node: None,
            guide: LineGuide::default(),
            url: None,
            ack_url: None,
        });
    }
    lines
}

/// What a mail says of jobs that are still broken: of one, or of those that failed of the same error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The severity.
    pub level: &'static str,
    /// What is broken and since when.
    pub text: String,
    /// The source.
    pub source: String,
    /// The names of the jobs, where there are several.
    pub names: Option<String>,
    /// The node to look at first, and its log.
    pub node: Option<String>,
    /// The path of its log, verbatim.
    pub log_path: Option<String>,
    /// The line that says what went wrong, whole.
    pub error: Option<String>,
}

/// The same jobs as a mail has room for them: the heaps whose jobs are listed, the worst first.
pub fn troubles(facts: &DigestFacts, listener: &Listener<'_>) -> Vec<Trouble> {
    let trouble = |heap: &Vec<&TroublePart>| {
        let (first, is_alone) = (heap[0], heap.len() == 1);
        let names = heap.iter().map(|part| truncated(&part.job, NAME_MAX)).collect::<Vec<_>>().join(", ");
        let at = heap.iter().find(|part| part.log_path.is_some()).unwrap_or(&first);
        Trouble {
            level: level(first),
            text: said(heap, listener, false),
            source: first.source.to_string(),
            names: (!is_alone).then(|| truncated(&names, MAIL_NAMES_MAX)),
            node: at.node.clone(),
            log_path: at.log_path.clone(),
            error: first.error.as_deref().and_then(failure_line).map(str::to_string),
        }
    };
    heaps(facts).iter().map(trouble).collect()
}

/// The jobs that are listed, heap by heap: those that failed of the same error together.
fn heaps(facts: &DigestFacts) -> Vec<Vec<&TroublePart>> {
    let key = |part: &&TroublePart| match error(part) {
        Some(error) => format!("{}/{}", part.source, shape(&error)),
        // What says no error shares its line with nobody.
        None => format!("{}/{}/", part.source, part.job),
    };
    heaps_of(facts.broken.shown.iter().collect(), |part| key(&part))
}

fn level(part: &TroublePart) -> &'static str {
    part.severity.unwrap_or(Severity::Error).as_str()
}

/// The line that says what went wrong.
fn error(part: &TroublePart) -> Option<String> {
    Some(truncated(failure_line(part.error.as_ref()?)?, ERROR_MAX))
}

/// The labels that all of them share, "team=finance tier=1"; nothing where they differ.
pub(super) fn shared_labels<'a>(all: impl Iterator<Item = &'a Labels>) -> String {
    let Some(labels) = only(all) else { return String::new() };
    let joined = labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    truncated(&joined, LABELS_MAX)
}

/// What is broken, in words; with its error where a line has to say all of it.
fn said(heap: &[&TroublePart], listener: &Listener<'_>, has_error: bool) -> String {
    let (first, language) = (heap[0], listener.language);
    let since = heap.iter().filter_map(|part| part.since).min().map(|at| listener.short(at)).unwrap_or_default();
    let error = error(first).filter(|_| has_error).unwrap_or_default();
    let labels = shared_labels(heap.iter().map(|part| &part.labels));
    let mut values = vec![("since", since), ("error", error), ("labels", labels)];
    let key = if heap.len() > 1 {
        let names: std::collections::BTreeSet<&str> = heap.iter().map(|part| part.job.as_str()).collect();
        values.extend([("n", grouped(heap.len() as u64)), ("pattern", pattern(&names).unwrap_or_default())]);
        "digest.line_several"
    } else {
        let failures = if first.failures > 1 { first.failures.to_string() } else { String::new() };
        let before = if first.is_new { String::new() } else { language.say("digest.before", &[]) };
        values.extend([("job", truncated(&first.job, NAME_MAX)), ("failures", failures), ("before", before)]);
        if first.instance.is_empty() { "digest.line_stopped" } else { "digest.line" }
    };
    let values: Vec<(&str, &str)> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
    language.say(key, &values)
}

fn line(heap: &[&TroublePart], listener: &Listener<'_>) -> GroupLine {
    let (first, language) = (heap[0], listener.language);
    let names = heap.iter().map(|part| truncated(&part.job, NAME_MAX)).collect::<Vec<_>>().join(", ");
    let node = first.node.as_deref().filter(|_| heap.len() == 1);
    let node = node.map(|node| language.say("digest.line_node", &[("node", &truncated(node, NAME_MAX))]));
    GroupLine {
        level: level(first),
        text: said(heap, listener, true),
        names: (heap.len() > 1).then(|| truncated(&names, NAMES_MAX)),
        jobs: heap.iter().map(|part| part.job.clone()).collect(),
        node,
        guide: LineGuide::default(),
        url: None,
        ack_url: None,
    }
}
