//! Deciding: from what a poll saw to what people are notified of, in one pure place.
//!
//! # The stages
//! ```text
//! observe   what was seen, held against the memory; stale states are left out           -> Observed
//! ask       which questions the store must answer first: history, runs, silences        -> Questions, Answers
//! judge     which conditions hold, and which alerts that fire hold no longer            -> Judged
//! live      episodes begin, go on, end, are suspended                                   -> Lived
//! address   labels, receivers, the generation of the configuration                      -> Addressed
//! mute      silences, mute windows and inhibitions hold back, and let go                -> Muted
//! pending   what follows for people                                                     -> Decided
//! ```
//! Each stage is a type that only the stage before it makes. A [`Decider`] is what the configuration says of one source,
//! with what it has at hand; a poll, a replay, `nightbell test` and the property tests call it alike. No I/O, no clock, no
//! async, no store: `now` and all else comes in. What is decided is committed by somebody else, who finds repeats.

mod answers;
mod clock;
mod dues;
mod history;
mod in_memory;
mod jobs;
mod judge;
mod live;
pub mod memory;
mod mute;
mod observe;
mod own_schedules;
mod standing;
mod terms;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use answers::{Answers, Questions, Span};
pub use in_memory::InMemory;
pub use judge::remembered;
pub use memory::{Change, Memory};
pub use observe::{Doubts, Observed, Seen, ToRecall, observe};
pub use terms::Terms;

use crate::alert::Ledger;
use crate::limits::SOURCE_OVERLAP;
use crate::model::{
    Alert, AlertId, AlertState, Covered, Instance, InstanceKey, Job, MessageKind, Part, ReceiverId, Snapshot, SourceId,
};
use crate::rule::history::Past;
use crate::rule::plans::Plans;
use crate::rule::{Hold, MatchCache, Muting, RuleSet};

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
    matches: MatchCache,
    /// Past runs of jobs that a rule compares with, by job.
    past: HashMap<String, Past>,
    /// States that look older than what is known.
    doubts: Doubts,
    /// Due times of the look under way.
    dues: dues::Dues,
}

/// What was decided.
#[derive(Debug, Default)]
pub struct Decided {
    /// Runs that are new or changed, and those that alert.
    pub instances: Vec<Instance>,
    /// Alerts that begin. One that is over already comes ended.
    pub fired: Vec<Alert>,
    /// Alerts that fired before and have changed.
    pub changed: Vec<Alert>,
    /// What people are notified of, by the alerts' places.
    pub notices: Vec<Notice>,
    /// What is covered from now on.
    pub covered: Covered,
    /// From when on the listing reads.
    pub listed_from: Option<Timestamp>,
    /// The rules that have looked at all of the source, where they are others than before.
    pub known_rules: Option<BTreeSet<String>>,
    /// What somebody should know who reads the log.
    pub warnings: Vec<String>,
}

/// What a receiver is notified of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which alert.
    pub alert: Place,
    /// Its beginning or its end.
    pub kind: MessageKind,
    /// For whom.
    pub audience: Audience,
    /// The alert whose run has failed again, where this is told in its thread.
    pub again_after: Option<AlertId>,
    /// Who is not told at once, and until when that is held back.
    pub held: Vec<(ReceiverId, Hold)>,
}

/// Where an alert stands among those decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In [`Decided::fired`].
    Fired(usize),
    /// In [`Decided::changed`].
    Changed(usize),
}

/// Which of an alert's receivers are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// All of them.
    All,
    /// Those that want to hear of ends.
    WantEnds,
    /// Those that keep an incident open until they hear of its end: of a failure that another one took the place of.
    KeepIncidents,
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
        let Cache { matches, past, doubts, .. } = before.cache;
        let matches = if before.rules.marks() == self.rules.marks() { matches } else { MatchCache::default() };
        self.cache = Cache { matches, past, doubts, ..Cache::default() };
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
        let known_rules = self.known_rules(memory, &observed, look);
        let listed_from = Some(observed.coverage.window.from);
        let mut judged = self.judge(memory, observed, answers, covered.from, look);
        covered.lagging = std::mem::take(&mut judged.lagging);
        let mut lived = self.live(memory, judged, look);
        let mut warnings = std::mem::take(&mut lived.warnings);
        warnings.extend(faults);
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
        self.ask_for_muting(memory, &mut questions);
        questions
    }

    /// Forgets the past runs: what the memory was made of has changed.
    pub fn forget_past(&mut self) {
        self.cache.past.clear();
    }

    /// The marks of the rules that have looked at all of the source by now, where they are others than before. A rule for
    /// which a part was not read has yet to look.
    fn known_rules(&self, memory: &Memory, observed: &Observed, look: &Look) -> Option<BTreeSet<String>> {
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
        let with_unread_jobs: HashSet<usize> =
            jobs.into_iter().flat_map(|job| self.rules.matched_by(&self.source, job)).collect();
        let is_known = |(index, mark): &(usize, &String)| {
            let has_looked = look.is_last_slice && !is_any_unread && !with_unread_jobs.contains(index);
            has_looked || memory.known_rules.contains(*mark)
        };
        Some(marks.iter().enumerate().filter(is_known).map(|(_, mark)| mark.clone()).collect())
    }
}

/// The circumstances of one look at a source.
#[derive(Debug, Clone)]
pub struct Look {
    /// When it began.
    pub now: Timestamp,
    /// Whether the source is read up to now by it: a catch-up reads it in slices.
    pub is_last_slice: bool,
    /// The jobs there are, where a rule asks for them and they could be read.
    pub jobs: Option<Vec<Job>>,
    /// Whether the schedules of the jobs are known, where a rule goes by them.
    pub has_schedules: bool,
}

impl Look {
    /// A look that reads the source up to now.
    pub fn at(now: Timestamp) -> Look {
        Look { now, is_last_slice: true, jobs: None, has_schedules: true }
    }
}

/// From when on failures are told on a rule's first look at the source. What ended since the last complete poll is told
/// in any case: a rule that was edited during an outage has missed it like every other.
fn told_from(now: Timestamp, first_poll: Duration, covered_until: Option<Timestamp>) -> Timestamp {
    let horizon = now.checked_sub(first_poll).unwrap_or(Timestamp::MIN);
    let missed = covered_until.and_then(|until| until.checked_sub(SOURCE_OVERLAP).ok());
    missed.map_or(horizon, |missed| missed.min(horizon))
}

impl Decided {
    /// The alert that a notice is about.
    pub fn alert(&self, place: Place) -> &Alert {
        match place {
            Place::Fired(at) => &self.fired[at],
            Place::Changed(at) => &self.changed[at],
        }
    }

    /// The receivers of a notice, before it is asked which of them its audience means.
    pub fn receivers(&self, notice: &Notice) -> &[ReceiverId] {
        &self.alert(notice.alert).receivers
    }
}

/// Of the alerts that begin and those that have changed the ones that people are notified of now and whose nodes nobody has
/// asked for yet.
pub fn to_detail<'a>(fired: &'a mut [Alert], changed: &'a mut [Alert]) -> impl Iterator<Item = &'a mut Alert> {
    let held = changed.iter_mut().filter(|alert| {
        let is_let_go = alert.facts.alert.held_back.is_some() && alert.facts.node_details == "not asked for";
        let is_overdue = alert.facts.alert.measures.stage == Some(crate::model::Stage::Overdue);
        alert.state() == AlertState::Firing && (is_let_go || is_overdue)
    });
    fired.iter_mut().chain(held).filter(|alert| alert.suppressed_by.is_none())
}

/// What still fires after a poll, and what has become of it.
#[derive(Debug, Default)]
struct Episodes {
    /// What fires.
    ledger: Ledger,
    /// Alerts that begin; those that fire are in the ledger, too.
    fired: Vec<Arc<Alert>>,
    /// Alerts that end.
    ended: Vec<Alert>,
    /// Alerts that go on and are to be told as they are now, or are suspended, or are not any more.
    continued: Vec<Alert>,
    /// Alerts whose deadline has passed after a warning: told a second time.
    overdue: Vec<Alert>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    #[test]
    fn what_ended_since_the_last_complete_poll_is_told_by_a_rule_that_is_new() {
        let hour = Duration::from_secs(3600);
        let cases = [
            ("the first poll of all", None, at(540)),
            ("read a minute ago", Some(at(599)), at(540)),
            ("read six hours ago", Some(at(240)), at(230)),
            ("the clock was set back", Some(at(900)), at(540)),
        ];
        for (name, covered_until, expected) in cases {
            assert_eq!(told_from(at(600), hour, covered_until), expected, "{name}");
        }
    }
}
