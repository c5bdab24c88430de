//! `description`, `runbook` and `console_url`: what is said to whoever receives an alert. Rules and sources have them beside
//! their other keys, and `jobs` is a mapping of its own, from a name to which jobs and what is said of them.

use super::matching::{JOB_KEYS, Names, read_jobs, read_selection};
use super::words::open_named;
use crate::notify::{GuideTable, Guides};
use crate::rule::{JobMatch, Matches};
use crate::template::{Guide, Line};
use crate::yaml::{Entry, Key, Keys, Section, Shape};

/// What is said of an alert; each is a template over the data of messages.
pub(super) const GUIDE: &[Key] = &[
    Key::new(
        "description",
        Shape::Text,
        "What messages say of it beside the facts. Values are written as in templates: {{data.job.name}}.",
    )
    .example("\"Finance reads {{data.job.name}} before 09:00.\""),
    Key::new("runbook", Shape::Text, "The address of what to do: a link in every message. Values are percent-encoded.")
        .example("\"https://wiki.example.com/runbooks/{{data.job.name}}\""),
    Key::new(
        "console_url",
        Shape::Text,
        "The address of the job or the run in the scheduler's console: a link in every message. Values are \
         percent-encoded.",
    )
    .example("\"https://console.example.com/jobs/{{data.job.id}}\""),
];

/// `match` of jobs.
static JOB_MATCH: Keys =
    Keys::of("job_match", "Which jobs: a list means \"one of\", different keys mean \"and\".", &[JOB_KEYS]).not_empty();

/// An entry of `jobs`.
pub(super) static JOBS: Keys = Keys::of(
    "jobs",
    "What is said of the alerts of some jobs. It goes before what their rule and their source say.",
    &[&[Key::new("match", Shape::Mapping(&JOB_MATCH), "Which jobs; without it, every one.")], GUIDE],
);

/// Reads the three keys of a section. What is wrong is reported, and counts as absent.
pub(super) fn read(section: &Section<'_>) -> Guide {
    read_but(section, None)
}

/// The same but for a key that means something else in this section, and that somebody else reads.
pub(super) fn read_but(section: &Section<'_>, other: Option<&str>) -> Guide {
    let line = |key: &'static str, compile: fn(&str) -> Result<Line, String>| {
        if other == Some(key) {
            return None;
        }
        let node = section.node(key)?;
        let written = section.optional::<String>(key)?;
        // A text whose ${NAME} has no value is not known yet.
        if node.is_unresolved() {
            return None;
        }
        compile(&written).map_err(|fault| section.error(key, fault, help(key))).ok()
    };
    Guide {
        description: line("description", Line::text),
        runbook: line("runbook", Line::address),
        console_url: line("console_url", Line::address),
    }
}

fn help(key: &str) -> Option<String> {
    let example = GUIDE.iter().find(|known| known.name == key)?.example?;
    Some(format!("write {key}: {example}"))
}

/// Reads `jobs`, and puts it to what rules and sources say.
pub(super) fn read_all(file: &Section<'_>, known: &Names<'_>, mut table: GuideTable) -> Guides {
    if let Some(jobs) = file.section("jobs") {
        table.jobs = jobs.entries().iter().filter_map(|entry| read_one(&jobs, entry, known)).collect();
    }
    table.rules.retain(|_, guide| !guide.is_empty());
    table.sources.retain(|_, guide| !guide.is_empty());
    Guides::new(table)
}

fn read_one(jobs: &Section<'_>, entry: &Entry, known: &Names<'_>) -> Option<(JobMatch, Guide)> {
    let section = open_named(jobs, entry)?;
    let matches: Option<Matches> = read_selection(&section, "match", |inner| read_jobs(inner, known));
    let guide = read(&section);
    if !GUIDE.iter().any(|key| section.has(key.name)) {
        let help = Some("write description, runbook or console_url".to_string());
        section.error("", "nothing is said of these jobs", help);
    }
    let jobs =
        matches.and_then(|matches| JobMatch::new(&matches).map_err(|fault| section.error("match", fault, None)).ok());
    section.close();
    Some((jobs?, guide))
}
