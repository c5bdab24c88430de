//! All rules together, compiled so that one pass over a job's name finds the rules it concerns.
//!
//! # Design
//! Equal patterns are kept once, in an index that a name is looked up in, however many rules there are; only rules whose
//! patterns match, or that have none, are looked at one by one. The answer depends on source and name alone, so [`MatchCache`]
//! keeps it from poll to poll.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::definition::Rule;
use super::index::PatternIndex;
use super::pattern::{Pattern, PatternForm};
use super::standing::Objection;
use super::trigger::Trigger;
use crate::limits::{MATCH_CACHE_NAMES_MAX, SOURCE_OVERLAP};
use crate::model::{RuleId, SourceId};

/// All rules, ready to be asked which of them concern a job. Cheap to copy.
#[derive(Debug, Clone)]
pub struct RuleSet(Arc<Compiled>);

/// What the copies of a set share.
#[derive(Debug)]
pub struct Compiled {
    rules: Vec<Rule>,
    /// [`Rule::mark`] of each.
    marks: Vec<String>,
    by_id: HashMap<RuleId, usize>,
    /// The distinct patterns of all rules, by number.
    patterns: PatternIndex,
    /// For each of them, the rules that hold it.
    holders: Vec<Holders>,
    /// Rules without a job pattern.
    any_job: Vec<usize>,
}

impl std::ops::Deref for RuleSet {
    type Target = Compiled;

    fn deref(&self) -> &Compiled {
        &self.0
    }
}

/// The rules that hold one pattern, by index.
#[derive(Debug, Clone, Default)]
struct Holders {
    /// Under `job`.
    wanting: Vec<usize>,
    /// Under `not`.
    excluding: Vec<usize>,
}

/// Why rules cannot be compiled together, though each pattern is right by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSetError(String);

impl fmt::Display for RuleSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the job patterns of all rules together cannot be compiled: {}", self.0)
    }
}

impl std::error::Error for RuleSetError {}

/// Which rules concern the jobs seen so far. Belongs to one [`RuleSet`]: a new set needs a new cache.
#[derive(Debug, Default)]
pub struct MatchCache {
    by_source: HashMap<SourceId, HashMap<String, Arc<[usize]>>>,
    names: usize,
}

impl RuleSet {
    /// Compiles rules.
    ///
    /// # Errors
    /// When the patterns together take more memory than a set may.
    pub fn compile(rules: Vec<Rule>) -> Result<RuleSet, RuleSetError> {
        let mut patterns = Patterns::default();
        for (index, rule) in rules.iter().enumerate() {
            rule.matches.jobs.iter().for_each(|pattern| patterns.add(pattern, index, false));
            rule.matches.not.iter().for_each(|pattern| patterns.add(pattern, index, true));
        }
        let Patterns { forms, holders, .. } = patterns;
        let patterns = PatternIndex::build(&forms).map_err(RuleSetError)?;
        let any_job = (0..rules.len()).filter(|index| rules[*index].matches.jobs.is_empty()).collect();
        let marks = rules.iter().map(Rule::mark).collect();
        let by_id = rules.iter().enumerate().map(|(index, rule)| (rule.id.clone(), index)).collect();
        Ok(RuleSet(Arc::new(Compiled { patterns, holders, any_job, marks, by_id, rules })))
    }

    /// The rules, in the order they were given.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The mark of each rule, in the same order.
    pub fn marks(&self) -> &[String] {
        &self.marks
    }

    /// The rules about a source, each with its place in [`RuleSet::rules`].
    pub fn of_source<'a>(&'a self, source: &'a SourceId) -> impl Iterator<Item = (usize, &'a Rule)> {
        self.rules.iter().enumerate().filter(|(_, rule)| rule.concerns_source(source))
    }

    /// The place of the rule of this id in [`RuleSet::rules`].
    pub fn index(&self, id: &RuleId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The rule of this id.
    pub fn get(&self, id: &RuleId) -> Option<&Rule> {
        self.by_id.get(id).and_then(|index| self.rules.get(*index))
    }

    /// Whether any rule can tell of jobs themselves, without an instance.
    pub fn tells_of_jobs(&self) -> bool {
        let looks_at_jobs = |rule: &Rule| rule.when.trigger.as_ref().is_some_and(Trigger::tells_of_jobs);
        self.rules.iter().any(|rule| rule.is_about_jobs() || looks_at_jobs(rule))
    }

    /// How far back the instances of `source` must be listed at least: a run may come up as late as the grace of a rule
    /// about missing runs allows.
    pub fn reach(&self, source: &SourceId) -> Duration {
        let graces = self.triggers_of(source).filter_map(|trigger| match trigger {
            Trigger::Missing(recurring) => Some(recurring.grace),
            Trigger::Unplanned(own) => Some(own.grace),
            _ => None,
        });
        graces.max().map_or(Duration::ZERO, |grace| grace + SOURCE_OVERLAP)
    }

    /// How far back the very first poll of `source` must list for the rules with a deadline, so that their runs are known.
    pub fn reach_at_first(&self, source: &SourceId) -> Option<Duration> {
        let reach = |trigger: &Trigger| match trigger {
            Trigger::Daily(daily) => Duration::try_from(daily.reach()).ok(),
            _ => None,
        };
        self.triggers_of(source).filter_map(reach).max()
    }

    /// Whether any rule about `source` looks at the history of jobs.
    pub fn looks_at_history(&self, source: &SourceId) -> bool {
        self.triggers_of(source).any(|trigger| trigger.runs_wanted() > 0)
    }

    /// Whether any rule about `source` needs runs of a job whatever their age.
    pub fn counts_runs(&self, source: &SourceId) -> bool {
        self.triggers_of(source).any(|trigger| trigger.runs_kept() > 0)
    }

    /// How many of the last runs of a job must be kept whatever their age, for the rule that counts the most of them.
    pub fn runs_counted(&self, source: &SourceId, job: &str, cache: &mut MatchCache) -> usize {
        let matching = self.matching(source, job, cache);
        let triggers = matching.iter().filter_map(|index| self.rules.get(*index)?.when.trigger.as_ref());
        triggers.map(Trigger::runs_kept).max().unwrap_or(0)
    }

    /// Whether any rule about `source` looks at the clock.
    pub fn looks_at_clock(&self, source: &SourceId) -> bool {
        self.triggers_of(source)
            .any(|trigger| matches!(trigger, Trigger::Daily(_) | Trigger::Missing(_) | Trigger::Unplanned(_)))
    }

    /// Whether any rule about `source` goes by the schedules that its jobs have there.
    pub fn asks_for_schedules(&self, source: &SourceId) -> bool {
        self.triggers_of(source).any(|trigger| matches!(trigger, Trigger::Unplanned(_)))
    }

    /// The rules that go by the schedules that jobs have in their schedulers.
    pub fn by_own_schedules(&self) -> impl Iterator<Item = &RuleId> {
        let is_by_own = |rule: &&Rule| matches!(rule.when.trigger, Some(Trigger::Unplanned(_)));
        self.rules.iter().filter(is_by_own).map(|rule| &rule.id)
    }

    fn triggers_of(&self, source: &SourceId) -> impl Iterator<Item = &Trigger> {
        let rules = self.rules.iter().filter(|rule| rule.concerns_source(source));
        rules.filter_map(|rule| rule.when.trigger.as_ref())
    }

    /// Whether any rule is about the jobs of `source` themselves.
    pub fn asks_for_jobs(&self, source: &SourceId) -> bool {
        self.rules.iter().any(|rule| rule.is_about_jobs() && rule.concerns_source(source))
    }

    /// The rules whose source, job and not match, as ascending indices into [`RuleSet::rules`]. Instance type and
    /// condition are left to [`Rule::judge`].
    pub fn matching(&self, source: &SourceId, job: &str, cache: &mut MatchCache) -> Arc<[usize]> {
        if let Some(known) = cache.by_source.get(source).and_then(|names| names.get(job)) {
            return Arc::clone(known);
        }
        let found: Arc<[usize]> = self.find(source, job).into();
        cache.remember(source, job, Arc::clone(&found));
        found
    }

    /// For each rule, what of its `match` stands against the job; nothing where source and name match.
    pub fn mismatches(&self, source: &SourceId, job: &str) -> Vec<Option<Objection>> {
        let (wanting, excluding) = self.looked_up(job);
        let mismatch = |(index, rule): (usize, &Rule)| {
            if !rule.concerns_source(source) {
                Some(Objection::OtherSource)
            } else if wanting.binary_search(&index).is_err() {
                Some(Objection::OtherJob)
            } else {
                excluding.binary_search(&index).is_ok().then_some(Objection::Excluded)
            }
        };
        self.rules.iter().enumerate().map(mismatch).collect()
    }

    /// The rules whose source, job and not match, by index, without a cache.
    pub fn matched_by(&self, source: &SourceId, job: &str) -> Vec<usize> {
        self.find(source, job)
    }

    fn find(&self, source: &SourceId, job: &str) -> Vec<usize> {
        let (mut wanting, excluding) = self.looked_up(job);
        wanting.retain(|index| self.rules[*index].concerns_source(source) && excluding.binary_search(index).is_err());
        wanting
    }

    /// The rules that want a job of this name, and those that exclude it, in ascending order.
    fn looked_up(&self, job: &str) -> (Vec<usize>, Vec<usize>) {
        let mut wanting = self.any_job.clone();
        let mut excluding = Vec::new();
        let found = self.patterns.matching(job);
        for holders in found.into_iter().filter_map(|number| self.holders.get(number)) {
            wanting.extend(&holders.wanting);
            excluding.extend(&holders.excluding);
        }
        wanting.sort_unstable();
        wanting.dedup();
        excluding.sort_unstable();
        (wanting, excluding)
    }
}

impl MatchCache {
    fn remember(&mut self, source: &SourceId, job: &str, found: Arc<[usize]>) {
        if self.names >= MATCH_CACHE_NAMES_MAX {
            self.by_source.clear();
            self.names = 0;
        }
        self.names += 1;
        self.by_source.entry(source.clone()).or_default().insert(job.to_string(), found);
    }
}

/// Distinct patterns with their holders, while a set is being built.
#[derive(Default)]
struct Patterns<'a> {
    known: HashMap<&'a PatternForm, usize>,
    forms: Vec<&'a PatternForm>,
    holders: Vec<Holders>,
}

impl<'a> Patterns<'a> {
    fn add(&mut self, pattern: &'a Pattern, rule: usize, excludes: bool) {
        let form = pattern.form();
        let number = *self.known.entry(form).or_insert_with(|| {
            self.forms.push(form);
            self.holders.push(Holders::default());
            self.forms.len() - 1
        });
        let holders = &mut self.holders[number];
        if excludes { holders.excluding.push(rule) } else { holders.wanting.push(rule) }
    }
}
