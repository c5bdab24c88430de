//! What decides about one source: the stages, one after the other.
//!
//! Reads what a poll observed, the memory, and the store's answers; makes what is decided. It must never read a clock or a store.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::answers::{Answers, Questions};
use super::decided::Decided;
use super::dues;
use super::look::Look;
use super::memory::Memory;
use super::observe::{Doubts, Observed, ToRecall, observe};
use super::terms::Terms;
use crate::limits::{INHIBITING_MAX, LAGGING_MAX};
use crate::model::{AlertId, Covered, Instance, InstanceKey, InstanceType, Part, Snapshot, SourceId};
use crate::rule::history::Past;
use crate::rule::plans::Plans;
use crate::rule::{MatchCache, Muting, RuleSet};

/// What the configuration says of a source, and what was found out before and is kept at hand.
#[derive(Debug)]
pub struct Decider {
    /// The source.
    pub source: SourceId,
    /// Its kind, as the configuration's `type` names it.
    pub kind: &'static str,
    /// What ended longer ago than this before it became covered is history.
    pub first_poll: Duration,
    /// The rules.
    pub rules: RuleSet,
    /// Labels, routes, and the generation of the configuration.
    pub terms: Terms,
    /// What mutes alerts.
    pub muting: Muting,
    /// The schedules that the jobs have in the scheduler, as they were read last.
    pub plans: Plans,
    /// Everything that may be forgotten: it is found out again.
    pub cache: Cache,
}

/// What a decider keeps at hand between polls.
#[derive(Debug, Default)]
pub struct Cache {
    /// Which rules a job's name matches.
    pub(super) matches: MatchCache,
    /// Past runs of jobs that a rule compares with, by job.
    pub(super) past: HashMap<String, Past>,
    /// Alerts about failures in a row that were judged since a run of their job changed, with all of that job read.
    pub(super) rows_judged: HashSet<AlertId>,
    /// States that look older than what is known.
    pub(super) doubts: Doubts,
    /// Due times of the look under way.
    pub(super) dues: dues::Dues,
    /// What was warned of.
    warned: Warned,
}

/// What somebody who reads the log was told already: once, for as long as it lasts.
#[derive(Debug, Default)]
struct Warned {
    /// The first of the episodes of which there are too many.
    overrun: HashSet<AlertId>,
    /// Whether more alerts of other sources fired at the last look than are looked at.
    is_cut: bool,
}

impl Warned {
    /// What is to be said now and was not said before.
    fn news(&mut self, overrun: Vec<(AlertId, String)>, answers: &Answers) -> Vec<String> {
        let is_new = |(first, _): &(AlertId, String)| self.overrun.insert(first.clone());
        let mut news: Vec<String> = overrun.into_iter().filter(is_new).map(|(_, warning)| warning).collect();
        let was_cut = std::mem::replace(&mut self.is_cut, answers.elsewhere.len() > INHIBITING_MAX);
        if self.is_cut && !was_cut {
            news.push(format!(
                "more than {INHIBITING_MAX} alerts of other sources fire; the later ones inhibit nothing here"
            ));
        }
        news
    }
}

impl Decider {
    /// A decider that has nothing at hand yet: nothing mutes, nobody else is told.
    pub fn new(source: SourceId, kind: &'static str, first_poll: Duration, rules: RuleSet) -> Decider {
        Decider {
            source,
            kind,
            first_poll,
            rules,
            terms: Terms::default(),
            muting: Muting::default(),
            plans: Plans::default(),
            cache: Cache::default(),
        }
    }

    /// The same, with what `before` has at hand, as far as it can be of use.
    #[must_use]
    pub fn after(mut self, before: Decider) -> Decider {
        let Cache { matches, past, doubts, warned, .. } = before.cache;
        let matches = if before.rules.marks() == self.rules.marks() { matches } else { MatchCache::default() };
        self.cache = Cache { matches, past, doubts, warned, ..Cache::default() };
        self
    }

    /// Holds what was seen against what is remembered. `asked` is what was to be asked for the same listing, `recalled` has the
    /// runs of it that the store knows, which the memory has learnt.
    pub fn observe(
        &mut self,
        memory: &Memory,
        instances: Vec<Instance>,
        coverage: crate::model::Coverage,
        (asked, recalled): (&ToRecall, &HashMap<InstanceKey, Snapshot>),
        now: Timestamp,
    ) -> Observed {
        observe(memory, instances, coverage, (asked, recalled), &mut self.cache.doubts, now)
    }

    /// Decides. `until` is up to when the source is read by this poll: earlier than `now` while a catch-up is under way.
    pub fn decide(&mut self, memory: &Memory, observed: Observed, answers: &Answers, look: &Look) -> Decided {
        let faults = self.muting.set_silences(&answers.active_silences);
        let mut covered = memory.covered.after(&observed.coverage, look.now, look.is_last_slice);
        let known_rules = self.known_rules(memory, &observed, &covered, look);
        let listed_from = Some(observed.coverage.window.from);
        let mut judged = self.judge(memory, observed, answers, covered.from, look);
        covered.lagging = std::mem::take(&mut judged.lagging);
        covered.gone = std::mem::take(&mut judged.gone);
        let mut lived = self.live(memory, judged, look);
        let mut warnings = std::mem::take(&mut lived.warnings);
        warnings.extend(faults);
        warnings.extend(self.cache.warned.news(std::mem::take(&mut lived.overrun), answers));
        let addressed = self.address(lived, look.now);
        let muted = self.mute(addressed, answers, look);
        let mut pending = muted.pending();
        self.hold(&mut pending, look.now);
        Decided { covered, listed_from, known_rules, warnings, ..pending }
    }

    /// What the store must answer before anything can be decided about what was seen.
    pub fn ask(&mut self, memory: &Memory, observed: &Observed, look: &Look) -> Questions {
        let mut questions = Questions { past: self.past_wanted(memory, observed, look), ..Questions::default() };
        self.ask_for_clock(memory, look, &mut questions);
        self.ask_for_gone_jobs(memory, look, &mut questions);
        self.ask_for_muting(memory, &mut questions);
        questions
    }

    /// Forgets the past runs: what the memory was made of has changed.
    pub fn forget_past(&mut self) {
        self.cache.past.clear();
    }

    /// The marks of the rules that have looked at all of the source by now, where they are others than before. A rule for
    /// which a part was not read has yet to look; for a kind that is not read any more it waits for a day.
    fn known_rules(
        &self,
        memory: &Memory,
        observed: &Observed,
        covered: &Covered,
        look: &Look,
    ) -> Option<BTreeSet<String>> {
        let marks = self.rules.marks();
        let are_same =
            marks.len() == memory.known_rules.len() && marks.iter().all(|it| memory.known_rules.contains(it));
        if are_same {
            return None;
        }
        let unread = || observed.coverage.unread.iter().map(|unread| &unread.part);
        let is_any_unread = unread().any(|part| *part == Part::AnyRun);
        let jobs: HashSet<&str> =
            unread().filter_map(|part| if let Part::Job(job) = part { Some(job.as_str()) } else { None }).collect();
        // What an older page showed otherwise was not seen, either.
        let jobs = jobs.into_iter().chain(self.cache.doubts.jobs(look.now));
        let with_unread_jobs: HashSet<usize> = jobs.flat_map(|job| self.rules.matched_by(&self.source, job)).collect();
        let is_missed = |kind: &InstanceType| {
            let lasts = covered.lost_sight_of(*kind).map(|since| look.now.duration_since(since).unsigned_abs());
            lasts.is_some_and(|lasts| lasts < LAGGING_MAX)
        };
        let kinds = unread().filter_map(|part| if let Part::Kind(kind) = part { Some(*kind) } else { None });
        let missed: Vec<InstanceType> = kinds.filter(is_missed).collect();
        let is_known = |(index, mark): &(usize, &String)| {
            let rule = &self.rules.rules()[*index];
            let lacks_kind = missed.iter().any(|kind| rule.matches.takes(*kind));
            let has_looked = look.is_last_slice && !is_any_unread && !lacks_kind && !with_unread_jobs.contains(index);
            has_looked || memory.known_rules.contains(*mark)
        };
        Some(marks.iter().enumerate().filter(is_known).map(|(_, mark)| mark.clone()).collect())
    }
}
