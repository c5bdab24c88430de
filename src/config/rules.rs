//! `rules`: a mapping from the rule's id to what it matches, what must hold, and who is told.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::calendars::Calendars;
use super::conditions::{self, Surroundings, WHEN};
use super::group::GROUP;
use super::guide::{self, GUIDE};
use super::hours::Windows;
use super::labels;
use super::notify::{self, NOTIFY, Notify};
use super::words::{instance_types, open_named, read_reference, read_word, read_word_any_case, severities};
use crate::model::{InstanceType, JobStatus, ReceiverId, RuleId, Severity, SourceId, Status};
use crate::rule::{Condition, Matches, Pattern, Recovers, Rule, Trigger};
use crate::template::Guide;
use crate::yaml::{Entry, FromYaml, Key, Keys, Located, Node, OneOrMany, Section, Shape, Value};

/// Which runs: the keys that every `match` has.
pub(super) const MATCH_KEYS: &[Key] = &[
    Key::new("source", Shape::Texts, "Names from \"sources\"."),
    Key::new(
        "job",
        Shape::Texts,
        "Patterns of job names: a glob (* ? [..] {a,b}) or a /regular expression/, of the whole name.",
    )
    .example("\"etl_*\""),
    Key::new("not", Shape::Texts, "Patterns of job names that are left out."),
    Key::new(
        "instance_type",
        Shape::Words(instance_types),
        "How the run came about. Without it, all types but backfill.",
    ),
];

/// `match` of a rule.
pub(super) static MATCH: Keys =
    Keys::of("match", "Which runs: a list means \"one of\", different keys mean \"and\".", &[MATCH_KEYS]).not_empty();

/// A rule.
pub(super) static RULE: Keys = Keys::of(
    "rule",
    "A rule: what it matches, what must hold, who is told.",
    &[&[
        Key::new("match", Shape::Mapping(&MATCH), "Which runs; without it, every one.").example("{ job: \"etl_*\" }"),
        Key::new(
            "when",
            Shape::Mapping(&WHEN),
            "What must hold: a status, a duration or another condition; any: true for every run.",
        )
        .required()
        .example("{ status: [fail, running-exception] }"),
        Key::new(
            "timezone",
            Shape::Zone,
            "The zone of times of day, schedules and weekdays, where it is not the file's.",
        ),
        Key::new("severity", Shape::Word(severities), "How bad it is.").default("error"),
        NOTIFY,
        GROUP,
        Key::new(
            "recovers",
            Shape::Word(|| Recovers::WORDS.to_vec()),
            "Whose success ends the alert of a failed run: job: its own, or that of a later run of the job; run: its own alone.",
        )
        .default("job"),
        Key::new(
            "labels",
            Shape::TextsByName,
            "Texts by name, for routes, mute windows, silences, digests and templates.",
        )
        .example("{ team: finance }"),
    ], GUIDE],
);

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

/// What rules take from the rest of the file.
pub(super) struct Shared<'a> {
    /// What `calendar` can name.
    pub(super) calendars: &'a Calendars,
    /// What `during` and `hold` can name.
    pub(super) windows: &'a Windows,
    /// The zone of rules that name none.
    pub(super) timezone: &'a TimeZone,
    /// How long past runs are kept.
    pub(super) retention: Duration,
}

/// Reads all rules. The broken ones are reported and left out.
pub(super) fn read(file: &Section<'_>, known: &Names<'_>, shared: &Shared<'_>) -> Vec<(Rule, Guide)> {
    let Some(rules) = file.section("rules") else {
        if !file.has("rules") && !file.findings().is_partial() {
            let help = Some("see rules.example.yaml".into());
            file.warning("", "no rules: everything is read and nobody is told", help);
        }
        return Vec::new();
    };
    rules.entries().iter().filter_map(|entry| read_one(&rules, entry, known, shared)).collect()
}

fn read_one(rules: &Section<'_>, entry: &Entry, known: &Names<'_>, shared: &Shared<'_>) -> Option<(Rule, Guide)> {
    let findings = rules.findings();
    let section = open_named(rules, entry)?;
    let matches = read_selection(&section, "match", |inner| read_matches(inner, known));
    let zone = section.optional::<TimeZone>("timezone");
    let sole_source = matches.as_ref().and_then(|matches| conditions::sole_source(matches, known.sources));
    let is_meant = |source: &&String| {
        matches.as_ref().is_some_and(|matches| {
            matches.sources.is_empty() || matches.sources.iter().any(|meant| meant.as_str() == source.as_str())
        })
    };
    let unscheduled = known.unscheduled.iter().find(is_meant).map(String::as_str);
    let around = Surroundings { zone: zone.as_ref().unwrap_or(shared.timezone), shared, sole_source, unscheduled };
    let is_misplaced = report_misplaced(&section);
    let when = match section.section("when") {
        Some(when) => {
            warn_of_jobs_nowhere(&section, &when, matches.as_ref(), &around);
            read_when(when, &around)
        }
        // A `when` of the wrong shape has been reported.
        None if section.has("when") => None,
        None if is_misplaced => None,
        None => {
            let help = "write when: { status: [fail, running-exception] }, or when: { any: true } for every run";
            section.missing("when", Some(help.into()));
            None
        }
    };
    let severity = section.or_default::<SeverityWord>("severity").0;
    let notify = notify::read(&section, known, shared.windows);
    let labels = labels::read(&section);
    let guide = guide::read(&section);
    let group = super::group::read(&section);
    let recovers = section.or_default::<RecoversWord>("recovers").0;
    let has_clock = when.as_ref().is_some_and(|when| {
        matches!(
            when.trigger,
            Some(Trigger::Daily(_) | Trigger::Missing(_) | Trigger::Unplanned(_) | Trigger::Slower(_))
        )
    });
    if zone.is_some() && when.is_some() && !has_clock {
        section.warning(
            "timezone",
            "this rule has no time of day, no schedule and no weekdays",
            Some("remove it".into()),
        );
    }
    section.close();
    if let (Some(matches), Some(when)) = (&matches, &when)
        && !when.job_statuses.is_empty()
    {
        if !matches.instance_types.is_empty() {
            let words = "a rule about the status of jobs concerns no instance, so it has no \"instance_type\"";
            findings.error(entry.at, format!("rules.{}.match.instance_type", entry.key), words, None);
            return None;
        }
        warn_of_jobs_untold(rules, entry, known, is_meant);
    }
    let id = RuleId::new(&entry.key);
    let Notify { first, hours, later } = notify?;
    let rule = Rule {
        id,
        matches: matches?,
        when: when?,
        severity,
        notify: first,
        hours,
        escalation: later,
        group,
        labels,
        recovers,
    };
    Some((rule, guide))
}

/// Warns of jobs that a rule names in full and whose absence nobody would notice: in which source they should be is not
/// said.
fn warn_of_jobs_nowhere(
    section: &Section<'_>,
    when: &Section<'_>,
    matches: Option<&Matches>,
    around: &Surroundings<'_>,
) {
    let Some(matches) = matches else { return };
    let is_named = matches.jobs.iter().any(|pattern| pattern.literal().is_some());
    if is_named && conditions::is_about_absence(when) && around.sole_source.is_none() {
        let help = Some("write one source: match: { source: …, job: … }".into());
        section.warning("match", "a job that never ran is looked for only where the rule names one source", help);
    }
}

/// Warns of a rule about the status of jobs that no source it is about can tell: it would never be true.
fn warn_of_jobs_untold(rules: &Section<'_>, entry: &Entry, known: &Names<'_>, is_meant: impl Fn(&&String) -> bool) {
    let meant: Vec<&String> = known.sources.iter().filter(|source| is_meant(source)).collect();
    if !meant.is_empty() && meant.iter().all(|source| known.jobless.contains(source)) {
        let path = format!("rules.{}.when.job_status", entry.key);
        let words = "it is never true: no source that the rule is about tells the status of its jobs";
        let help = Some("name a source of the type dataarts in match, or ask for the status of runs".into());
        rules.findings().warning(entry.at, path, words, help);
    }
}

/// Reports keys that belong one level deeper, the mistake of everybody's first rule. Returns whether a condition was
/// among them.
fn report_misplaced(section: &Section<'_>) -> bool {
    let homes = [
        ("source", "match"),
        ("job", "match"),
        ("not", "match"),
        ("instance_type", "match"),
        ("status", "when"),
        ("duration", "when"),
        ("job_status", "when"),
        ("any", "when"),
    ];
    let conditions = conditions::KEYS.into_iter().chain(conditions::DEADLINE_KEYS).map(|key| (key, "when"));
    let mut found_condition = false;
    for (key, home) in homes.into_iter().chain(conditions).filter(|(key, _)| section.has(key)) {
        let at = section.entries().iter().find(|entry| entry.key == key).map_or(section.at(), |entry| entry.at);
        let help = Some(format!("write {home}: {{ {key}: … }}"));
        section.findings().error(at, section.path_of(key), format!("{key:?} belongs under {home:?}"), help);
        section.excuse(key);
        found_condition |= home == "when";
    }
    found_condition
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

fn read_when(section: Section<'_>, around: &Surroundings<'_>) -> Option<Condition> {
    // A condition of another name is reported as an unknown key.
    if section.entries().is_empty() {
        let help = "write status, duration or another condition, or any: true for every run";
        section.error("", "\"when\" is empty", Some(help.into()));
        return None;
    }
    let every_run = read_any(&section);
    let statuses = section.optional::<OneOrMany<StatusWord>>("status");
    let duration = section.optional::<Duration>("duration");
    let job_statuses = section.optional::<OneOrMany<JobStatusWord>>("job_status");
    let trigger = conditions::read(&section, around);
    let mut sound = (statuses.is_some() || !section.has("status"))
        && (duration.is_some() || !section.has("duration"))
        && (job_statuses.is_some() || !section.has("job_status"));
    if section.has("job_status") && (section.has("status") || section.has("duration")) {
        let help = Some("make two rules: one about the job itself, one about its instances".into());
        section.error("job_status", "\"job_status\" cannot stand beside \"status\" or \"duration\"", help);
        sound = false;
    }
    section.close();
    if let Some(is_sound) = every_run {
        return is_sound.then(Condition::default);
    }
    let trigger = match trigger {
        Some(read) => Some(read?),
        None => None,
    };
    let statuses: BTreeSet<Status> =
        statuses.map_or_else(BTreeSet::new, |list| list.0.into_iter().map(|word| word.0).collect());
    let job_statuses = job_statuses.map_or_else(BTreeSet::new, |list| list.0.into_iter().map(|word| word.0).collect());
    sound.then_some(Condition { statuses, duration, job_statuses, trigger })
}

/// `any: true`: every run, once it has ended. It stands alone. `None` when it is not there, and false when it is wrong.
fn read_any(section: &Section<'_>) -> Option<bool> {
    let any = section.optional::<bool>("any");
    if any == Some(false) {
        section.error("any", "\"any\" can only be true", Some("remove it, and name a condition".into()));
        return Some(false);
    }
    let beside = |entry: &&Entry| entry.key != "any";
    let others: Vec<String> = section.entries().iter().filter(beside).map(|entry| format!("{:?}", entry.key)).collect();
    if any.is_some() && !others.is_empty() {
        let message = format!("\"any\" stands alone, and not beside {}", others.join(", "));
        section.error("any", message, Some("remove it: without a status, runs of every status count".into()));
        return Some(false);
    }
    any.or_else(|| section.has("any").then_some(false))
}

/// `notify` where it has no steps; absent, nobody is notified. It may be an empty list: a rule has one where routes name
/// the receivers, or against the defaults of its file.
pub(super) fn read_notify(section: &Section<'_>, known: &Names<'_>) -> Option<Vec<ReceiverId>> {
    if notify::has_steps(section) {
        section.error("notify", "only a rule has steps", Some("name receivers: notify: [team]".into()));
        return None;
    }
    let is_empty_list = |node: &Node| matches!(&node.value, Value::List(items) if items.is_empty());
    if section.node("notify").is_some_and(is_empty_list) {
        return Some(Vec::new());
    }
    let names = read_references(section, "notify", "receiver", known.receivers)?;
    let mut seen = BTreeSet::new();
    // Named twice, it is told once all the same.
    Some(names.iter().filter(|name| seen.insert(name.as_str())).map(ReceiverId::new).collect())
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
                    let help = format!("for a regular expression write '/{text}/'; for a dot itself write [.]");
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
fn looks_like_a_regex(text: &str) -> bool {
    let is_regex = text.starts_with('/');
    let marks = [".*", ".+", "\\d", "\\w", "\\s", "\\.", "(", ")", "|"];
    !is_regex && (text.starts_with('^') || text.ends_with('$') || marks.iter().any(|mark| text.contains(mark)))
}

pub(super) struct StatusWord(pub(super) Status);

impl FromYaml for StatusWord {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let known = Status::ALL.map(Status::as_str);
        read_word(located, "status", &known, Status::from_word).map(StatusWord)
    }
}

#[derive(Default)]
struct RecoversWord(Recovers);

impl FromYaml for RecoversWord {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        read_word(located, "recovery", &Recovers::WORDS, Recovers::from_word).map(RecoversWord)
    }
}

struct JobStatusWord(JobStatus);

impl FromYaml for JobStatusWord {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let known = JobStatus::ALL.map(JobStatus::as_str);
        let status = read_word_any_case(located, "status of a job", &known, JobStatus::from_word)?;
        if status.is_healthy() {
            let help = format!("leave it out: {status} is what ends an alert about a job");
            return located.wrong(format!("nobody is alarmed by a job that is {status}"), Some(help));
        }
        Some(JobStatusWord(status))
    }
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
