//! What is late or took too long, line by line: what is still so before what is over, and jobs that missed one deadline
//! together. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use super::digest::breach;
use super::digest_lines::shared_labels;
use super::group::{heaps_of, only, pattern};
use super::language::{Language, truncated};
use super::verdict::grouped;
use crate::limits::{DIGEST_LATE_LINES_MAX, GROUP_ALIKE_MIN};
use crate::model::{BreachPart, DigestFacts};

/// Longest name of a job in a line, in characters.
const NAME_MAX: usize = 80;
/// Longest list of names under a line, in characters.
const NAMES_MAX: usize = 300;

/// One line of what is late or took too long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LateLine {
    /// Whether it is over by now.
    pub is_over: bool,
    /// Which job, by how much, how bad, and its labels.
    pub text: String,
    /// The names of the jobs, where the line stands for several.
    pub names: Option<String>,
}

/// The lines of what is late or took too long, as many as a phone shows; the last one says how many there are.
pub fn late_lines(facts: &DigestFacts, language: Language) -> Vec<LateLine> {
    let breaches = &facts.breaches;
    let (open, over): (Vec<&BreachPart>, Vec<&BreachPart>) = breaches.shown.iter().partition(|part| part.is_running);
    let heaps = heaps(open.into_iter().chain(over).collect());
    let told = heaps.iter().take(DIGEST_LATE_LINES_MAX);
    let named: u64 = told.clone().map(|heap| heap.len() as u64).sum();
    let mut lines: Vec<LateLine> = told.map(|heap| line(heap, language)).collect();
    if breaches.total > named {
        let (n, shown) = (grouped(breaches.total), grouped(named));
        let text = language.say("digest.rest", &[("n", &n), ("shown", &shown)]);
        lines.push(LateLine { is_over: false, text, names: None });
    }
    lines
}

/// What shares a line: several jobs that missed one deadline of a rule, or one limit.
fn heaps(parts: Vec<&BreachPart>) -> Vec<Vec<&BreachPart>> {
    let key = |part: &BreachPart| {
        let BreachPart { is_running, rule, severity, source, kind, due_at, limit_ms, .. } = part;
        format!("{is_running}/{rule}/{severity}/{source}/{kind}/{due_at:?}/{limit_ms:?}")
    };
    heaps_of(parts, key)
        .into_iter()
        .flat_map(|heap| match heap.iter().map(|part| &part.job).collect::<BTreeSet<_>>().len() >= GROUP_ALIKE_MIN {
            true => vec![heap],
            false => heap.into_iter().map(|part| vec![part]).collect(),
        })
        .collect()
}

fn line(heap: &[&BreachPart], language: Language) -> LateLine {
    let first = heap[0];
    let is_alone = heap.len() == 1;
    // By how much is said where it is the same of all of them.
    let over_ms = only(heap.iter().map(|part| part.over_ms)).flatten();
    let duration_ms = only(heap.iter().map(|part| part.duration_ms)).flatten();
    let said = breach(&BreachPart { over_ms, duration_ms, ..first.clone() }, language);
    let labels = shared_labels(heap.iter().map(|part| &part.labels));
    let severity = language.word(first.severity.as_str());
    let values = [("said", said.as_str()), ("severity", &severity), ("labels", &labels)];
    if is_alone {
        let job = truncated(&first.job, NAME_MAX);
        let values: Vec<(&str, &str)> = values.into_iter().chain([("job", job.as_str())]).collect();
        return LateLine { is_over: !first.is_running, text: language.say("digest.late_line", &values), names: None };
    }
    let jobs: BTreeSet<&str> = heap.iter().map(|part| part.job.as_str()).collect();
    let (n, pattern) = (grouped(jobs.len() as u64), pattern(&jobs).unwrap_or_default());
    let values: Vec<(&str, &str)> = values.into_iter().chain([("n", n.as_str()), ("pattern", &pattern)]).collect();
    let names = jobs.iter().map(|job| truncated(job, NAME_MAX)).collect::<Vec<_>>().join(", ");
    LateLine {
        is_over: !first.is_running,
        text: language.say("digest.late_several", &values),
        names: Some(truncated(&names, NAMES_MAX)),
    }
}
