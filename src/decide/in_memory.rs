//! Deciding without a store: everything that was ever seen of a source is kept at hand.
//!
//! What replays, tests of rules and the property tests use in the place of a poll with its store. It asks and decides as a
//! poll does, answers the questions from what it holds, and takes over what was decided.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::answers::{Answers, Questions, Span};
use super::decided::Decided;
use super::decider::Decider;
use super::look::Look;
use super::memory::{Change, Memory};
use super::observe::ToRecall;
use crate::limits::HISTORY_RUNS_MAX;
use crate::model::{Alert, Coverage, Covered, Instance, InstanceKey, InstanceType, Silence, Snapshot};
use crate::rule::history::went_well;

/// One source, with all that is known of it.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    /// What a poll remembers.
    pub memory: Memory,
    /// The silences, those that are over among them.
    pub silences: Vec<Silence>,
    /// The alerts of other sources that people were told of and that fire.
    pub elsewhere: Vec<Alert>,
    runs: BTreeMap<String, BTreeMap<String, Snapshot>>,
}

impl InMemory {
    /// A source of which these runs were read until `until` by rules of these marks, and that nobody was told anything of.
    pub fn read_until(until: Timestamp, runs: Vec<Instance>, marks: &[String]) -> InMemory {
        let covered = Covered { from: Some(Timestamp::MIN), until: Some(until), ..Covered::default() };
        let known_rules = Some(marks.iter().cloned().collect());
        let mut known = InMemory::default();
        known.take(&Decided { instances: runs, covered, known_rules, ..Decided::default() }, until);
        known
    }

    /// What a poll that sees `instances` decides, taken over.
    pub fn poll(
        &mut self,
        decider: &mut Decider,
        instances: Vec<Instance>,
        coverage: Coverage,
        look: &Look,
    ) -> Decided {
        let decided = self.decide(decider, instances, coverage, look);
        self.take(&decided, look.now);
        decided
    }

    /// What a poll that sees `instances` decides. Nothing is taken over.
    pub fn decide(
        &mut self,
        decider: &mut Decider,
        instances: Vec<Instance>,
        coverage: Coverage,
        look: &Look,
    ) -> Decided {
        let asked = ToRecall::of(&self.memory, &instances, &coverage);
        let recalled = self.recall(&asked);
        let observed = decider.observe(&self.memory, instances, coverage, (&asked, &recalled), look.now);
        let asked = decider.ask(&self.memory, &observed, look);
        let answers = self.answer(&asked, look);
        decider.decide(&self.memory, observed, &answers, look)
    }

    /// The same source after the program was started anew: what only a process holds is gone.
    pub fn restart(&self, decider: &Decider) -> Decider {
        let mut fresh = Decider::new(decider.source.clone(), decider.kind, decider.first_poll, decider.rules.clone());
        (fresh.terms, fresh.muting) = (decider.terms.clone(), decider.muting.clone());
        fresh
    }

    /// Takes over what was decided at `now`.
    pub fn take(&mut self, decided: &Decided, now: Timestamp) {
        for instance in &decided.instances {
            let of_job = self.runs.entry(instance.job.name.clone()).or_default();
            of_job.insert(instance.id.clone(), instance.snapshot());
        }
        self.memory.take(Change {
            now,
            covered: decided.covered.clone(),
            listed_from: decided.listed_from,
            known_rules: decided.known_rules.clone(),
            instances: decided.instances.clone(),
            fired: decided.fired.clone(),
            changed: decided.changed.clone(),
        });
    }

    /// The runs that are asked for as they were last seen, which the memory learns.
    pub fn recall(&mut self, asked: &ToRecall) -> HashMap<InstanceKey, Snapshot> {
        let known = |key: &InstanceKey| Some((key.clone(), *self.runs.get(&key.job)?.get(&key.id)?));
        let recalled: HashMap<InstanceKey, Snapshot> = asked.runs.iter().filter_map(known).collect();
        let jobs = asked.jobs.iter().map(String::as_str).filter(|job| self.runs.contains_key(*job));
        self.memory.runs.learn(&recalled, jobs);
        recalled
    }

    /// What is known of what is asked.
    fn answer(&self, asked: &Questions, look: &Look) -> Answers {
        let of_jobs = |jobs: &BTreeSet<String>, count: usize| {
            jobs.iter().map(|job| (job.clone(), self.latest(job, count))).collect::<HashMap<_, _>>()
        };
        let asked_for = self.silences.iter().filter(|silence| asked.silences.contains(&silence.id));
        Answers {
            past: asked.past.iter().map(|job| (job.clone(), self.counted(job))).collect(),
            latest: of_jobs(&asked.latest.0, asked.latest.1),
            runs: asked.runs.map(|span| self.within(span)).unwrap_or_default(),
            planned: asked.planned.iter().map(|span| (*span, self.jobs_within(*span))).collect(),
            active_silences: self.silences.iter().filter(|silence| silence.is_active(look.now)).cloned().collect(),
            silences: asked_for.map(|silence| (silence.id, silence.clone())).collect(),
            elsewhere: self.elsewhere.clone(),
        }
    }

    /// The last runs of each type that say whether the job goes well.
    fn counted(&self, job: &str) -> Vec<(String, Snapshot)> {
        let mut counts: BTreeMap<InstanceType, usize> = BTreeMap::new();
        let mut runs = self.latest(job, usize::MAX);
        runs.retain(|(_, run)| {
            let count = counts.entry(run.kind).or_default();
            *count += usize::from(went_well(run.status).is_some());
            went_well(run.status).is_some() && *count <= HISTORY_RUNS_MAX
        });
        runs
    }

    fn latest(&self, job: &str, count: usize) -> Vec<(String, Snapshot)> {
        let of_job = self.runs.get(job).into_iter().flatten();
        let mut runs: Vec<(String, Snapshot)> = of_job.map(|(id, run)| (id.clone(), *run)).collect();
        runs.sort_by(|(one_id, one), (other_id, other)| {
            let due = |run: &Snapshot| run.plan_time.or(run.start_time);
            (due(other), other_id).cmp(&(due(one), one_id))
        });
        runs.truncate(count);
        runs
    }

    fn within(&self, (from, until): Span) -> Vec<(InstanceKey, Snapshot)> {
        let is_inside = |run: &Snapshot| {
            [run.plan_time, run.start_time].into_iter().flatten().any(|time| from <= time && time <= until)
        };
        let all = self.runs.iter().flat_map(|(job, runs)| runs.iter().map(move |(id, run)| (job, id, run)));
        let inside = all.filter(|(_, _, run)| is_inside(run));
        inside.map(|(job, id, run)| (InstanceKey { job: job.clone(), id: id.clone() }, *run)).collect()
    }

    fn jobs_within(&self, span: Span) -> BTreeSet<(String, InstanceType)> {
        self.within(span).into_iter().map(|(key, run)| (key.job, run.kind)).collect()
    }
}
