//! Which alerts are concerned by something: a silence, a mute window, a route, an inhibition.
//!
//! Pure. It must never know what is done with those alerts.

use super::definition::Rule;
use super::matches::Matches;
use super::pattern::{Matcher, Pattern};
use crate::model::{Alert, Concerns, InstanceType, LabelMatch, RuleId, Severity, SourceId};

/// Which alerts are concerned: alternatives within each field, all fields together. An empty field means any.
#[derive(Debug, Clone, Default)]
pub struct AlertMatch {
    sources: Vec<SourceId>,
    rules: Vec<RuleId>,
    severities: Vec<Severity>,
    instance_types: Vec<InstanceType>,
    jobs: Vec<Matcher>,
    not: Vec<Matcher>,
    labels: LabelMatch,
}

impl AlertMatch {
    /// The alerts whose instances `matches` means, of these rules and severities.
    ///
    /// # Errors
    /// In words, when a pattern cannot be compiled.
    pub fn new(matches: &Matches, rules: Vec<RuleId>, severities: Vec<Severity>) -> Result<AlertMatch, String> {
        let compiled = |patterns: &[Pattern]| patterns.iter().map(Pattern::matcher).collect::<Result<Vec<_>, _>>();
        Ok(AlertMatch {
            sources: matches.sources.clone(),
            rules,
            severities,
            instance_types: matches.instance_types.clone(),
            jobs: compiled(&matches.jobs)?,
            not: compiled(&matches.not)?,
            labels: LabelMatch::default(),
        })
    }

    /// Of these alerts those with the labels that are wanted.
    #[must_use]
    pub fn labelled(self, labels: LabelMatch) -> AlertMatch {
        AlertMatch { labels, ..self }
    }

    /// The alerts that a silence concerns.
    ///
    /// # Errors
    /// In words, when a pattern is none.
    pub fn of(concerns: &Concerns) -> Result<AlertMatch, String> {
        let jobs = concerns.jobs.iter().map(|text| Pattern::parse(text)).collect::<Result<Vec<_>, _>>()?;
        let matches = Matches { sources: concerns.sources.clone(), jobs, ..Matches::default() };
        let found = AlertMatch::new(&matches, concerns.rules.clone(), concerns.severities.clone())?;
        Ok(found.labelled(concerns.labels.clone()))
    }

    /// Whether it can concern alerts of this source.
    pub fn concerns_source(&self, source: &SourceId) -> bool {
        self.sources.is_empty() || self.sources.contains(source)
    }

    /// Whether it can concern alerts of a rule, which has these labels of its own: its sources may have others.
    pub fn may_concern(&self, rule: &Rule) -> bool {
        let of_sources = &rule.matches.sources;
        (self.rules.is_empty() || self.rules.iter().any(|named| names(named, &rule.id)))
            && (self.severities.is_empty() || self.severities.contains(&rule.severity))
            && (self.sources.is_empty()
                || of_sources.is_empty()
                || of_sources.iter().any(|one| self.sources.contains(one)))
            && self.labels.may_hold(&rule.labels)
    }

    /// Whether it concerns the alert. An alert about a job itself is of no instance type.
    pub fn concerns(&self, alert: &Alert) -> bool {
        fn allows<T: PartialEq>(allowed: &[T], value: &T) -> bool {
            allowed.is_empty() || allowed.contains(value)
        }
        let job = &alert.facts.job.name;
        let kind = alert.facts.instance.as_ref().map(|instance| instance.kind);
        allows(&self.sources, &alert.source)
            && (self.rules.is_empty() || self.rules.iter().any(|rule| names(rule, &alert.rule)))
            && allows(&self.severities, &alert.facts.alert.severity)
            && (self.instance_types.is_empty() || kind.is_some_and(|kind| self.instance_types.contains(&kind)))
            && (self.jobs.is_empty() || self.jobs.iter().any(|pattern| pattern.matches(job)))
            && !self.not.iter().any(|pattern| pattern.matches(job))
            && self.labels.holds(&alert.facts.alert.labels)
    }
}

/// Whether a rule that is named means this one: itself, or by `self/*` all of Nightbell's own. No rule of a user's has a
/// slash in its name.
pub(super) fn names(named: &RuleId, rule: &RuleId) -> bool {
    named == rule
        || named.as_str().strip_suffix('*').is_some_and(|own| own.ends_with('/') && rule.as_str().starts_with(own))
}
