//! What a listing proves to have been read, and what is covered of a source.
//!
//! Plain data and the questions that are asked of it. Only inside what is covered is anything absent, is a rule known to
//! have looked, and does the cursor of a source move: what was not read is unknown. This module must never know how a
//! listing was made.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::RuleId;
use super::instance::{Instance, InstanceType, Window};
use crate::limits::LEFT_OUT_JOBS_MAX;

/// What one listing proves to have been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// The plan times that were asked for, both ends included.
    pub window: Window,
    /// What the source is configured to list, as a text that changes when that does: its jobs, groups and kinds.
    pub scope: String,
    /// The parts that were not read.
    pub unread: Vec<Unread>,
    /// The items that could not be understood; the others are processed all the same.
    pub set_aside: Vec<SetAside>,
}

/// A part of a listing that was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Which part.
    pub part: Part,
    /// Why, in words without a secret; `None` of what is read in its turn by a later poll.
    pub reason: Option<String>,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Some runs, and nobody can say of which job.
    AnyRun,
    /// Runs of this job.
    Job(String),
    /// The runs of a kind that the source lists by other calls than the rest.
    Kind(InstanceType),
}

/// An item of a list that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// What is wrong with it.
    pub reason: String,
    /// The beginning of its text, at most [`crate::limits::ANSWER_KEPT_BYTES_MAX`] bytes, secrets redacted.
    pub snippet: String,
    /// The job that it is of, where that could be read.
    pub job: Option<String>,
    /// Where it stood in its page, as a JSON pointer.
    pub at: String,
}

impl SetAside {
    /// Whether both are the same item, seen twice: pages overlap, and its place differs.
    pub fn is_same(&self, other: &SetAside) -> bool {
        (&self.reason, &self.snippet) == (&other.reason, &other.snippet)
    }
}

impl Coverage {
    /// Everything that was planned in `window`, of what `scope` says.
    pub fn whole(window: Window, scope: impl Into<String>) -> Coverage {
        Coverage { window, scope: scope.into(), unread: Vec::new(), set_aside: Vec::new() }
    }

    /// The same without `part`, which was not read.
    #[must_use]
    pub fn without(mut self, part: Part, reason: impl Into<String>) -> Coverage {
        self.unread.push(Unread { part, reason: Some(reason.into()) });
        self
    }

    /// Whether the cursor of the source may move over the window. A kind that cannot be read does not hold it up, for an
    /// edition of the scheduler may lack it altogether; neither does a part that a later poll reads in its turn, nor an
    /// item that could not be understood, which every poll lists again.
    pub fn is_whole(&self) -> bool {
        self.unread.iter().all(|unread| matches!(unread.part, Part::Kind(_)) || unread.reason.is_none())
    }

    /// Whether a run of the job may be missing from the listing, though the scheduler has it. `takes` says of which
    /// types it would be.
    pub fn may_miss(&self, job: &str, takes: impl Fn(InstanceType) -> bool) -> bool {
        let is_unread = |unread: &Unread| match &unread.part {
            Part::AnyRun => true,
            Part::Job(name) => name == job,
            Part::Kind(kind) => takes(*kind),
        };
        let is_of_job = |item: &SetAside| item.job.as_deref().is_none_or(|name| name == job);
        self.unread.iter().any(is_unread) || self.set_aside.iter().any(is_of_job)
    }

    /// Why the listing is not whole, each part with its reason; of items that could not be understood, the first one's. Empty
    /// when it is whole.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self.unread.iter().filter_map(|unread| unread.reason.clone()).collect();
        if !self.set_aside.is_empty() {
            let first = &self.set_aside[0].reason;
            let said = match self.set_aside.len() {
                1 => format!("1 item could not be understood: {first}"),
                n => format!("{n} items could not be understood: {first}"),
            };
            reasons.insert(0, said);
        }
        reasons
    }

    /// The kinds that were not read, and the jobs of the items that nobody understood, in words.
    fn left_out(&self) -> BTreeSet<String> {
        let kind = |unread: &Unread| match &unread.part {
            Part::Kind(kind) => Some(kind_word(*kind)),
            Part::AnyRun | Part::Job(_) => None,
        };
        let mut items: BTreeSet<String> =
            self.set_aside.iter().map(|item| item_word(item.job.as_deref().unwrap_or(ANY))).collect();
        if items.len() > LEFT_OUT_JOBS_MAX {
            items = BTreeSet::from([item_word(ANY)]);
        }
        items.extend(self.unread.iter().filter_map(kind));
        items
    }

    /// Takes in what another listing of the same window covers.
    pub fn join(&mut self, other: Coverage) {
        self.unread.extend(other.unread);
        self.set_aside.extend(other.set_aside);
    }
}

/// Stands for any job.
const ANY: &str = "*";

fn kind_word(kind: InstanceType) -> String {
    format!("kind:{}", kind.as_str())
}

fn item_word(job: &str) -> String {
    format!("item:{job}")
}

/// Whether an item of the one may be an item of the other.
fn may_be_one(one: &str, other: &str) -> bool {
    let jobs = one.strip_prefix("item:").zip(other.strip_prefix("item:"));
    one == other || jobs.is_some_and(|(one, other)| one == ANY || other == ANY)
}

/// A part that no listing has held for a while, though they were whole otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// When the first of these listings was made.
    pub since: Timestamp,
    /// Whether it was read before that.
    pub was_read: bool,
}

/// What is covered of a source, by all polls so far; kept in its row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Covered {
    /// The earliest plan time from which on everything up to `until` was read.
    pub from: Option<Timestamp>,
    /// Up to when everything was read; `None` before the first listing that was whole.
    pub until: Option<Timestamp>,
    /// How far a catch-up in slices has come, by plan time; `None` when none is under way.
    pub caught_up: Option<Timestamp>,
    /// What was listed when all that was read: [`Coverage::scope`].
    pub scope: Option<String>,
    /// The rules about absence that were not judged up to `until`, by mark, with up to when they were.
    pub lagging: BTreeMap<String, Timestamp>,
    /// The jobs that the list of jobs lacks, by the rule about absence that has told of it, with since when: it misses no run
    /// of them.
    pub gone: BTreeMap<RuleId, BTreeMap<String, Timestamp>>,
    /// What the listings leave out by which the rest is covered: kinds that could not be read, and items that nobody
    /// understood, of these only such as were never read.
    pub left_out: BTreeMap<String, LeftOut>,
}

impl Covered {
    /// What is covered after a listing made at `now`, which reaches up to then unless it is one of a catch-up in slices and
    /// not the last. One that is not whole adds nothing. Which rules lag behind and which jobs are gone is for others to say.
    #[must_use]
    pub fn after(&self, listing: &Coverage, now: Timestamp, is_last_slice: bool) -> Covered {
        if !listing.is_whole() {
            return self.clone();
        }
        // What lies between what was covered and a window that begins later was never read: what is covered begins anew.
        let reaches = self.caught_up.max(self.until);
        let joins = reaches.is_some_and(|reached| listing.window.from <= reached);
        let from = match self.from.filter(|_| joins) {
            Some(from) => Some(from.min(listing.window.from)),
            None => Some(listing.window.from),
        };
        let left_out = self.left_out_after(listing, now, is_last_slice);
        if !is_last_slice {
            return Covered { from, caught_up: Some(listing.window.to), left_out, ..self.clone() };
        }
        let scope = Some(listing.scope.clone());
        Covered { from, until: Some(now), caught_up: None, scope, left_out, ..Covered::default() }
    }

    /// What is left out after a listing that is whole otherwise. Of a window or of jobs that are read for the first time,
    /// whatever it leaves out was never read; it stays so for as long as each listing leaves it out.
    fn left_out_after(&self, listing: &Coverage, now: Timestamp, is_last_slice: bool) -> BTreeMap<String, LeftOut> {
        let parts = listing.left_out();
        let is_first = self.until.is_none() || self.from.is_none_or(|from| listing.window.from < from);
        let was_read = !is_first && !self.is_wider_in(listing);
        let mut left_out = self.left_out.clone();
        // A slice shows a part of the time, and says nothing of the rest.
        if is_last_slice && self.caught_up.is_none() {
            left_out.retain(|part, _| parts.iter().any(|other| may_be_one(part, other)));
        }
        for part in parts {
            let is_kind = part.starts_with("kind:");
            if !was_read || is_kind {
                // A kind was read by whatever listing did not leave it out.
                let was_read =
                    if is_kind { self.until.is_some() && !self.left_out.contains_key(&part) } else { was_read };
                left_out.entry(part).or_insert(LeftOut { since: now, was_read });
            }
        }
        left_out
    }

    /// Since when a kind is left out that was read before; none of one that is read, or never was.
    pub fn lost_sight_of(&self, kind: InstanceType) -> Option<Timestamp> {
        let left_out = self.left_out.get(&kind_word(kind)).filter(|part| part.was_read)?;
        Some(left_out.since)
    }

    /// Whether the listing is of other jobs, groups or kinds than what was covered before it.
    pub fn is_wider_in(&self, listing: &Coverage) -> bool {
        self.scope.as_ref().is_some_and(|scope| *scope != listing.scope)
    }

    /// Whether a run was outside of what was covered before the listing, though the listing has it: then what became of it
    /// long ago is history and no news. `is_known` says whether any run of its job is known.
    pub fn was_outside(&self, run: &Instance, is_known: bool, listing: &Coverage) -> bool {
        let (Some(from), Some(until)) = (self.from, self.until) else { return false };
        let plan = run.plan_time.or(run.start_time);
        let is_wider = self.is_wider_in(listing);
        let is_earlier = plan.is_some_and(|plan| plan < from);
        let was_never_read = || {
            let is_it = |(part, left_out): (&String, &LeftOut)| {
                // An item stood in the first of those listings; of a kind all runs were unread up to the last.
                let is_kind = *part == kind_word(run.kind);
                let is_item = may_be_one(part, &item_word(&run.job.name));
                let read_until = if is_kind { until } else { left_out.since };
                !left_out.was_read && (is_kind || is_item) && plan.is_none_or(|plan| plan <= read_until)
            };
            self.left_out.iter().any(is_it)
        };
        is_earlier || is_wider && (!is_known || plan.is_some_and(|plan| plan <= until)) || was_never_read()
    }
}
