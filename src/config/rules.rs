//! `rules`: a mapping from the rule's id to what it matches, what must hold, and who is told.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::again::{LOOP, REPEAT};
use super::conditions::{self, Surroundings, WHEN};
use super::group::GROUP;
use super::guide::{self, GUIDE};
use super::labels;
use super::matching::{MATCH, Names, SeverityWord, read_matches, read_selection};
use super::notify::{self, NOTIFY, Notify};
use super::shared::Shared;
use super::words::{open_named, read_word, read_word_any_case, severities};
use crate::model::{JobStatus, RuleId, Status};
use crate::rule::{Condition, Matches, Recovers, Rule, Trigger};
use crate::template::Guide;
use crate::yaml::{Entry, FromYaml, Key, Keys, Located, OneOrMany, Section, Shape};

/// A rule.
pub(super) static RULE: Keys = Keys::of(
    "rule",
    "A rule: what it matches, what must hold, who is notified.",
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
        LOOP,
        GROUP,
        REPEAT,
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

/// Reads all rules. The broken ones are reported and left out.
pub(super) fn read(file: &Section<'_>, known: &Names<'_>, shared: &Shared<'_>) -> Vec<(Rule, Guide)> {
    let Some(rules) = file.section("rules") else {
        if !file.has("rules") && !file.findings().is_partial() {
            let help = Some("see rules.example.yaml".into());
            file.warning("", "no rules: everything is read and nobody is notified", help);
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
    let rounds = super::again::read_loop(&section, notify.as_ref());
    let mut group = super::group::read(&section);
    let repeat = super::again::read_repeat(&section, &mut group);
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
        rounds,
        group,
        repeat,
        labels,
        recovers,
    };
    Some((rule, guide))
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
            return located.wrong(format!("{status} is not a problem state"), Some(help));
        }
        Some(JobStatusWord(status))
    }
}

/// Warns of jobs that a rule names in full and whose absence nobody would notice: in which source they should be is not
/// said.
pub(super) fn warn_of_jobs_nowhere(
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
pub(super) fn warn_of_jobs_untold(
    rules: &Section<'_>,
    entry: &Entry,
    known: &Names<'_>,
    is_meant: impl Fn(&&String) -> bool,
) {
    let meant: Vec<&String> = known.sources.iter().filter(|source| is_meant(source)).collect();
    if !meant.is_empty() && meant.iter().all(|source| known.jobless.contains(source)) {
        let path = format!("rules.{}.when.job_status", entry.key);
        let words = "it is never true: no source that the rule is about reports the status of its jobs";
        let help = Some("name a source of the type dataarts in match, or ask for the status of runs".into());
        rules.findings().warning(entry.at, path, words, help);
    }
}
