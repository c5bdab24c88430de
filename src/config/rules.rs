//! `rules`: a mapping from the rule's id to what it matches, what must hold, and who is told.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::conditions::{self, Surroundings};
use super::labels;
use super::notify::{self, Notify};
use super::words::{check_name, read_reference, read_word, read_word_any_case};
use crate::model::{InstanceType, JobStatus, ReceiverId, RuleId, Severity, SourceId, Status};
use crate::rule::{Condition, Matches, Pattern, Recovers, Rule, Trigger};
use crate::yaml::{Entry, FromYaml, Located, Node, OneOrMany, Section, Value};

/// What rules and digests may refer to.
pub(super) struct Names<'a> {
    /// The keys under `sources`.
    pub(super) sources: &'a [String],
    /// The keys under `receivers`.
    pub(super) receivers: &'a [String],
    /// Those sources whose schedulers do not tell when their jobs are due; none before the sources are read.
    pub(super) unscheduled: &'a [String],
}

/// Reads all rules. The broken ones are reported and left out.
pub(super) fn read(file: &Section<'_>, known: &Names<'_>, timezone: &TimeZone) -> Vec<Rule> {
    let Some(rules) = file.section("rules") else {
        if !file.has("rules") && !file.findings().is_partial() {
            let help = Some("see rules.example.yaml".into());
            file.warning("", "no rules: everything is read and nobody is told", help);
        }
        return Vec::new();
    };
    rules.entries().iter().filter_map(|entry| read_one(&rules, entry, known, timezone)).collect()
}

fn read_one(rules: &Section<'_>, entry: &Entry, known: &Names<'_>, timezone: &TimeZone) -> Option<Rule> {
    let findings = rules.findings();
    let path = rules.path_of(&entry.key);
    if let Err(fault) = check_name(&entry.key) {
        findings.error(entry.at, path.as_str(), fault, None);
    }
    let section = Section::open(&entry.node, path, findings)?;
    let matches = read_match(&section, known);
    let zone = section.optional::<TimeZone>("timezone");
    let sole_source = matches.as_ref().and_then(|matches| conditions::sole_source(matches, known.sources));
    let is_meant = |source: &&String| {
        matches.as_ref().is_some_and(|matches| {
            matches.sources.is_empty() || matches.sources.iter().any(|meant| meant.as_str() == source.as_str())
        })
    };
    let unscheduled = known.unscheduled.iter().find(is_meant).map(String::as_str);
    let around = Surroundings { zone: zone.as_ref().unwrap_or(timezone), sole_source, unscheduled };
    let when = match section.section("when") {
        Some(when) => {
            warn_of_jobs_nowhere(&section, &when, matches.as_ref(), &around);
            read_when(when, &around)
        }
        // A `when` of the wrong shape has been reported.
        None if section.has("when") => None,
        None => Some(Condition::default()),
    };
    let severity = section.or("severity", SeverityWord(Severity::Error)).0;
    let notify = notify::read(&section, known);
    let labels = labels::read(&section);
    let group = super::group::read(&section);
    let recovers = section.or("recovers", RecoversWord(Recovers::LaterRun)).0;
    report_misplaced(&section);
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
        && !matches.instance_types.is_empty()
    {
        let words = "a rule about the status of jobs concerns no instance, so it has no \"instance_type\"";
        findings.error(entry.at, format!("rules.{}.match.instance_type", entry.key), words, None);
        return None;
    }
    let id = RuleId::new(&entry.key);
    let Notify { first, later } = notify?;
    Some(Rule {
        id,
        matches: matches?,
        when: when?,
        severity,
        notify: first,
        escalation: later,
        group,
        labels,
        recovers,
    })
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

/// Reports keys that belong one level deeper, the mistake of everybody's first rule.
fn report_misplaced(section: &Section<'_>) {
    let homes = [
        ("source", "match"),
        ("job", "match"),
        ("not", "match"),
        ("instance_type", "match"),
        ("status", "when"),
        ("duration", "when"),
        ("job_status", "when"),
        ("warn_at", "when"),
        ("days", "when"),
    ];
    let conditions = conditions::KEYS.map(|key| (key, "when"));
    for (key, home) in homes.into_iter().chain(conditions).filter(|(key, _)| section.has(key)) {
        let at = section.entries().iter().find(|entry| entry.key == key).map_or(section.at(), |entry| entry.at);
        let help = Some(format!("write {home}: {{ {key}: … }}"));
        section.findings().error(at, section.path_of(key), format!("{key:?} belongs under {home:?}"), help);
        let _asked_for = section.node(key);
    }
}

/// `match`, of a rule or a digest. Absent, or empty, it matches everything.
pub(super) fn read_match(section: &Section<'_>, known: &Names<'_>) -> Option<Matches> {
    let Some(node) = section.node("match").filter(|node| node.value != Value::Null) else {
        return Some(Matches::default());
    };
    let section = Section::open(node, section.path_of("match"), section.findings())?;
    let matches = read_matches(&section, known);
    section.close();
    matches
}

/// What a `match` says of instances. Whoever opened it closes it.
pub(super) fn read_matches(section: &Section<'_>, known: &Names<'_>) -> Option<Matches> {
    let sources = read_references(section, "source", "source", known.sources);
    let jobs = section.optional::<OneOrMany<JobPattern>>("job");
    let not = section.optional::<OneOrMany<JobPattern>>("not");
    let types = section.optional::<OneOrMany<TypeWord>>("instance_type");
    let sound = (jobs.is_some() || !section.has("job"))
        && (not.is_some() || !section.has("not"))
        && (types.is_some() || !section.has("instance_type"));
    let unwrap = |patterns: Option<OneOrMany<JobPattern>>| {
        patterns.map_or_else(Vec::new, |list| list.0.into_iter().map(|pattern| pattern.0).collect())
    };
    Some(Matches {
        sources: sources?.iter().map(SourceId::new).collect(),
        jobs: unwrap(jobs),
        not: unwrap(not),
        instance_types: types.map_or_else(Vec::new, |list| list.0.into_iter().map(|word| word.0).collect()),
    })
    .filter(|_| sound)
}

fn read_when(section: Section<'_>, around: &Surroundings<'_>) -> Option<Condition> {
    // A condition of another name is reported as an unknown key.
    if section.entries().is_empty() {
        let help = Some("write status, duration or both, or leave \"when\" away for every instance".into());
        section.error("", "a condition needs \"status\", \"duration\" or \"job_status\"", help);
    }
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
    let trigger = match trigger {
        Some(read) => Some(read?),
        None => None,
    };
    let statuses: BTreeSet<Status> =
        statuses.map_or_else(BTreeSet::new, |list| list.0.into_iter().map(|word| word.0).collect());
    let job_statuses = job_statuses.map_or_else(BTreeSet::new, |list| list.0.into_iter().map(|word| word.0).collect());
    sound.then_some(Condition { statuses, duration, job_statuses, trigger })
}

/// `notify` where it has no steps, of a rule or a digest; absent, nobody is told.
pub(super) fn read_notify(section: &Section<'_>, known: &Names<'_>) -> Option<Vec<ReceiverId>> {
    if notify::has_steps(section) {
        section.error("notify", "only a rule has steps", Some("name receivers: notify: [team]".into()));
        return None;
    }
    let names = read_references(section, "notify", "receiver", known.receivers)?;
    let mut seen = BTreeSet::new();
    // Named twice, it is told once all the same.
    Some(names.iter().filter(|name| seen.insert(name.as_str())).map(ReceiverId::new).collect())
}

/// One name or a list of them, each of which the file must define. Every dangling one is reported.
pub(super) fn read_references(
    section: &Section<'_>,
    key: &'static str,
    what: &str,
    defined: &[String],
) -> Option<Vec<String>> {
    let Some(node) = section.node(key) else { return Some(Vec::new()) };
    let path = section.path_of(key);
    let nodes: Vec<(&Node, String)> = match &node.value {
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
            Ok(pattern) => Some(JobPattern(pattern)),
            Err(fault) => located.wrong(fault, None),
        }
    }
}

pub(super) struct StatusWord(pub(super) Status);

impl FromYaml for StatusWord {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let known = Status::ALL.map(Status::as_str);
        read_word(located, "status", &known, Status::from_word).map(StatusWord)
    }
}

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
pub(super) struct SeverityWord(pub(super) Severity);

impl FromYaml for SeverityWord {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let known = Severity::ALL.map(Severity::as_str);
        read_word(located, "severity", &known, Severity::from_word).map(SeverityWord)
    }
}
