//! A test of the rules: what it makes up is played, and what is told is held against what it expects.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::stage::{Before, Reel};
use super::telling::Telling;
use super::theatre::{Played, ReplayError, Script, Theatre};
use crate::config::{Config, Expected, RuleTest};
use crate::model::{Content, Instance, PollOutcome, PollRecord, ReceiverId, Sighting};
use crate::rule::{MatchCache, Rule, Verdict};
use crate::source::SourceSettings;

/// How a test went.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// What was told.
    pub told: Vec<Telling>,
    /// What is wrong; nothing in a test that holds.
    pub problems: Vec<Problem>,
}

/// One thing that is not as a test expects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line of the file on which it is expected; none for what is told and not expected.
    pub line: Option<u32>,
    /// What was expected, or what was told beyond that.
    pub what: String,
    /// Why, or what was told in its place; as many lines as it takes.
    pub notes: Vec<String>,
}

impl Theatre {
    /// Plays a test.
    ///
    /// # Errors
    /// [`ReplayError`] when it cannot be played.
    pub fn rehearse(&self, config: &Config, test: &RuleTest) -> Result<Rehearsal, ReplayError> {
        let known = |sighting: &&Sighting| !config.sources.iter().any(|it| it.id == sighting.instance.source);
        if let Some(sighting) = test.sightings.iter().find(known) {
            return Err(ReplayError::NoSource(sighting.instance.source.clone()));
        }
        let reels = config.sources.iter().map(|settings| reel(settings, test)).collect();
        let silences = test.silences.clone();
        let played = self.play(config, Script { reels, silences, acks: Vec::new(), until: Some(test.until) })?;
        let judge = Judge { config, test, played: &played, zone: &config.timezone };
        let problems = judge.problems(&played.tellings);
        Ok(Rehearsal { told: played.tellings, problems })
    }
}

/// A source in a test. When the clock begins, Nightbell has been watching, and has not yet seen what befell the runs in
/// the time that a first poll looks back: that is told at once, and what befell them before is history. Deadlines and due
/// times before the clock's beginning are over.
fn reel(settings: &SourceSettings, test: &RuleTest) -> Reel {
    let fresh_from = test.at.checked_sub(settings.first_poll).unwrap_or(Timestamp::MIN);
    let read_until = test.at.checked_sub(jiff::SignedDuration::from_millis(1)).unwrap_or(Timestamp::MIN);
    let mut before: BTreeMap<_, Instance> = BTreeMap::new();
    let (mut history, mut coming): (Vec<Sighting>, Vec<Sighting>) = test
        .sightings
        .iter()
        .filter(|sighting| sighting.instance.source == settings.id)
        .cloned()
        .partition(|sighting| sighting.at <= fresh_from);
    history.sort_by_key(|sighting| sighting.at);
    coming.sort_by_key(|sighting| sighting.at);
    for sighting in history {
        before.insert(sighting.instance.key(), sighting.instance);
    }
    let mut polls = Vec::new();
    let mut due = Some(test.at);
    while let Some(polled_at) = due.filter(|due| *due <= test.until) {
        polls.push(PollRecord { polled_at, outcome: PollOutcome::Whole });
        due = settings.poll.next_after(polled_at);
    }
    let before = Some(Before { read_until, instances: before.into_values().collect() });
    Reel { source: settings.id.clone(), before, sightings: coming, polls }
}

/// Holds what was told against what is expected.
struct Judge<'a> {
    config: &'a Config,
    test: &'a RuleTest,
    played: &'a Played,
    zone: &'a TimeZone,
}

impl Judge<'_> {
    fn problems(&self, told: &[Telling]) -> Vec<Problem> {
        let mut left: Vec<&Telling> = told.iter().collect();
        let mut unmet = Vec::new();
        for expected in &self.test.expect {
            match left.iter().position(|telling| self.differences(expected, telling).is_empty()) {
                Some(place) => drop(left.remove(place)),
                None => unmet.push(expected),
            }
        }
        let mut problems = Vec::new();
        for expected in unmet {
            // What comes nearest is taken for what was meant.
            let alike = |telling: &&Telling| telling.rule == expected.rule && telling.is_end() == expected.resolved;
            let nearest = left
                .iter()
                .enumerate()
                .filter(|(_, telling)| alike(telling))
                .min_by_key(|(_, telling)| self.differences(expected, telling).len())
                .map(|(place, _)| place);
            let notes = match nearest {
                Some(place) => {
                    let telling = left.remove(place);
                    let mut notes = vec![format!("was sent: {}", self.line(telling))];
                    notes.extend(self.differences(expected, telling));
                    notes
                }
                None => self.why_not(expected),
            };
            problems.push(Problem { line: Some(expected.line), what: self.expectation(expected), notes });
        }
        let beyond = left.into_iter().map(|telling| Problem {
            line: None,
            what: format!("sent and not expected: {}", self.line(telling)),
            notes: Vec::new(),
        });
        problems.extend(beyond);
        problems
    }

    /// In what a telling differs from what is expected; of another rule it differs in everything.
    fn differences(&self, expected: &Expected, telling: &Telling) -> Vec<String> {
        if telling.rule != expected.rule || telling.is_end() != expected.resolved {
            return vec!["it is another alert".to_string()];
        }
        let mut differences = Vec::new();
        if let Some(job) = expected.job.as_ref().filter(|job| **job != telling.job) {
            differences.push(format!("it is about {}, and not about {job}", telling.job));
        }
        if let Some(at) = expected.at.filter(|at| !is_then(*at, expected.any_second, telling.at)) {
            differences.push(format!("it was sent at {}, and not at {}", self.time(telling.at), self.time(at)));
        }
        if let Some(to) = expected.to.as_ref().filter(|to| **to != telling.receivers()) {
            differences.push(format!("it went to {}, and not to {}", names(&telling.receivers()), names(to)));
        }
        for text in &expected.contains {
            for (receiver, content) in &telling.messages {
                if !holds(content, text) {
                    differences.push(format!("what {receiver} is sent does not hold {text:?}"));
                }
            }
        }
        differences
    }

    /// Why a rule has told nothing.
    fn why_not(&self, expected: &Expected) -> Vec<String> {
        let Some(rule) = self.config.rules.get(&expected.rule) else {
            return vec!["the rule cannot be read without values that are missing".to_string()];
        };
        let of_rule = || self.played.alerts.iter().filter(|alert| alert.rule == expected.rule);
        let held = of_rule().filter_map(|alert| {
            let by = alert.suppressed_by.as_ref()?;
            let (at, job) = (self.time(alert.created_at), &alert.facts.job.name);
            Some(format!("it fired for {job} at {at} and was not sent: {by}"))
        });
        let held: Vec<String> = held.collect();
        if !held.is_empty() {
            return held;
        }
        if of_rule().next().is_some() {
            let words = if expected.resolved {
                "it had fired, and did not end by then"
            } else {
                "it was sent no more often than is expected elsewhere"
            };
            let quiet = rule.notify.is_empty().then(|| "the rule notifies nobody".to_string());
            return vec![quiet.unwrap_or_else(|| words.to_string())];
        }
        self.reasons(rule)
    }

    /// Why a rule does not hold for any of the runs, as they are at the end.
    fn reasons(&self, rule: &Rule) -> Vec<String> {
        if rule.when.trigger.is_some() {
            let words = "it looks at the job's history or at the clock, and did not find there what it waits for";
            return vec![words.to_string()];
        }
        let (mut runs, mut cache) = (BTreeMap::new(), MatchCache::default());
        for sighting in self.test.sightings.iter().filter(|sighting| sighting.at <= self.test.until) {
            runs.insert((&sighting.instance.source, sighting.instance.key()), &sighting.instance);
        }
        let mut reasons = Vec::new();
        for ((source, key), instance) in runs {
            let matching = self.config.rules.matching(source, &key.job, &mut cache);
            let is_matched = matching.iter().any(|index| self.config.rules.rules()[*index].id == rule.id);
            let reason = if !is_matched {
                "the rule does not match this job".to_string()
            } else {
                match rule.judge(instance, self.test.until) {
                    Verdict::DoesNotHold(reason) => reason.to_string(),
                    Verdict::Holds { .. } => "the condition held before the test began, and was sent then".to_string(),
                }
            };
            reasons.push(format!("{} #{}: {reason}", key.job, key.id));
        }
        if rule.is_about_jobs() {
            reasons = vec!["a rule about the status of jobs cannot be tested: a test has runs only".to_string()];
        }
        if reasons.is_empty() {
            reasons.push("the test has no runs that the rule could be about".to_string());
        }
        reasons
    }

    fn expectation(&self, expected: &Expected) -> String {
        let mut words = vec!["expected:".to_string()];
        words.extend(expected.at.map(|at| self.time(at)));
        words.push(expected.rule.to_string());
        words.extend(expected.resolved.then(|| "resolved".to_string()));
        words.extend(expected.job.as_ref().map(|job| format!("about {job}")));
        words.extend(expected.to.as_ref().map(|to| format!("to {}", names(to))));
        words.extend(expected.contains.iter().map(|text| format!("with {text:?}")));
        words.join(" ")
    }

    fn line(&self, telling: &Telling) -> String {
        let what = match telling.step {
            _ if telling.is_end() => " resolved".to_string(),
            Some(step) => format!(" step {step}"),
            None => String::new(),
        };
        let to = names(&telling.receivers());
        format!("{} {}{what} to {to}: {}", self.time(telling.at), telling.rule, telling.summary)
    }

    fn time(&self, at: Timestamp) -> String {
        let (then, first) = (at.to_zoned(self.zone.clone()), self.test.at.to_zoned(self.zone.clone()));
        let format = match (then.date() == first.date(), then.second() == 0) {
            (true, true) => "%H:%M",
            (true, false) => "%H:%M:%S",
            (false, true) => "%Y-%m-%d %H:%M",
            (false, false) => "%Y-%m-%d %H:%M:%S",
        };
        then.strftime(format).to_string()
    }
}

/// Whether something happened when it should, to the minute or to the second.
fn is_then(expected: Timestamp, any_second: bool, at: Timestamp) -> bool {
    let unit = if any_second { 60 } else { 1 };
    expected.as_second().div_euclid(unit) == at.as_second().div_euclid(unit)
}

/// Whether a message holds a text: as it is sent, or, where that is JSON, in one of its strings.
fn holds(content: &Content, text: &str) -> bool {
    content.parts.values().any(|part| {
        let in_json = || serde_json::from_str(part).is_ok_and(|value: serde_json::Value| string_holds(&value, text));
        part.contains(text) || in_json()
    })
}

fn string_holds(value: &serde_json::Value, text: &str) -> bool {
    match value {
        serde_json::Value::String(string) => string.contains(text),
        serde_json::Value::Array(items) => items.iter().any(|item| string_holds(item, text)),
        serde_json::Value::Object(fields) => fields.values().any(|field| string_holds(field, text)),
        _ => false,
    }
}

fn names(receivers: &BTreeSet<ReceiverId>) -> String {
    let names: Vec<&str> = receivers.iter().map(ReceiverId::as_str).collect();
    if names.is_empty() { "nobody".to_string() } else { names.join(", ") }
}
