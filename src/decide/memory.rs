//! What is remembered of a source from poll to poll.
//!
//! # Design
//! Runs that have not ended, and those whose alerts fire, are kept as they are: they are few, and are asked after. A run that
//! has ended is met again at every poll for as long as it is listed, and nearly always as it was. So of those that were
//! listed last only a print is kept, a few dozen bytes each: it says whether a run looks as it did. What it looked like is
//! asked of the store, for the few that do not, and for those of which nothing is at hand: after a start nothing is, so that
//! a start costs what is listed and not what is stored.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;

use crate::alert::Ledger;
use crate::limits::{FOLLOWED_AGE_MAX, SOURCE_OVERLAP};
use crate::model::{Alert, AlertId, AlertState, Covered, EndReason, Instance, InstanceKey, RuleId, Snapshot, Status};

/// The jobs that are gone, by the rule that is not to tell of them any more, each with since when.
pub(super) type GoneJobs = BTreeMap<RuleId, BTreeMap<String, Timestamp>>;

/// Everything remembered of one source.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Counts the commits.
    pub generation: i64,
    /// When the source was last asked, with success or without.
    pub polled_at: Option<Timestamp>,
    /// What was read of it.
    pub covered: Covered,
    /// Marks of the rules that have looked at all of it.
    pub known_rules: BTreeSet<String>,
    /// Its runs.
    pub runs: Runs,
    /// Alerts that fire.
    pub firing: Ledger,
    /// Alerts that have ended, each with why, as far as their runs can be met again.
    pub ended: EndedAlerts,
}

/// The runs that a poll can meet again, as far as they are at hand.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    /// Those that have not ended, and those whose alerts fire: all of them.
    open: HashMap<InstanceKey, Snapshot>,
    /// Of the others those that were listed last.
    ended: HashMap<u64, Print>,
    /// The jobs of all that was ever at hand.
    jobs: HashSet<u64>,
}

/// An ended run: enough to see whether it is as it was, and whether it is still of interest.
#[derive(Debug, Clone, Copy)]
struct Print {
    state: u64,
    /// When it was planned, in seconds.
    planned: Option<i64>,
}

/// How a run stands to what is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recalled {
    /// Nothing of it is at hand. Once the store was asked: nobody knows it.
    New,
    /// It is as it was.
    Same,
    /// It was so.
    Was(Snapshot),
    /// It was otherwise, and only the store knows how.
    Otherwise,
}

impl Runs {
    /// How a run stands to what is remembered of it.
    pub fn recall(&self, run: &Instance) -> Recalled {
        let now = run.snapshot();
        // A run is either open or ended, and most of those that are listed have ended.
        let (key, state) = prints(&run.job.name, &run.id, &now);
        match self.ended.get(&key) {
            Some(print) if print.state == state => return Recalled::Same,
            Some(_) => return Recalled::Otherwise,
            None if self.open.is_empty() => return Recalled::New,
            None => {}
        }
        match self.open.get(&run.key()) {
            Some(before) if *before == now => Recalled::Same,
            Some(before) => Recalled::Was(*before),
            None => Recalled::New,
        }
    }

    /// A run that has not ended, or whose alert fires, as it was last seen.
    pub fn open(&self, key: &InstanceKey) -> Option<&Snapshot> {
        self.open.get(key)
    }

    /// The runs that have not ended, and those whose alerts fire.
    pub fn all_open(&self) -> impl Iterator<Item = (&InstanceKey, &Snapshot)> {
        self.open.iter()
    }

    /// Whether any run of the job was ever at hand. Of a job of which none was, the store knows.
    pub fn knows_job(&self, job: &str) -> bool {
        self.jobs.contains(&print_of(&job))
    }

    /// Takes in what the store has answered: how runs were that are not at hand, and of which jobs any run is known.
    pub fn learn<'a>(&mut self, recalled: &HashMap<InstanceKey, Snapshot>, jobs: impl IntoIterator<Item = &'a str>) {
        for (key, snapshot) in recalled {
            // What fires is at hand already.
            if !self.open.contains_key(key) {
                self.enter(key.clone(), *snapshot, false);
            }
        }
        self.jobs.extend(jobs.into_iter().map(|job| print_of(&job)));
    }

    /// Enters a run as it is now; `is_firing` says whether an alert about it fires.
    pub fn enter(&mut self, key: InstanceKey, now: Snapshot, is_firing: bool) {
        self.jobs.insert(print_of(&key.job.as_str()));
        let (print_of_key, state) = prints(&key.job, &key.id, &now);
        if is_open(&now) || is_firing {
            self.ended.remove(&print_of_key);
            self.open.insert(key, now);
            return;
        }
        self.open.remove(&key);
        let planned = now.plan_time.or(now.start_time).map(Timestamp::as_second);
        self.ended.insert(print_of_key, Print { state, planned });
    }

    /// Drops what fires nothing and will not be asked after, keeps only the print of what has ended, and that only for as
    /// long as it is listed: `listed_from` is from when on the last listing reads.
    fn forget_old(&mut self, firing: &Ledger, now: Timestamp, listed_from: Option<Timestamp>) {
        let followed_from = now.checked_sub(FOLLOWED_AGE_MAX).unwrap_or(Timestamp::MIN);
        let settled: Vec<InstanceKey> = self
            .open
            .iter()
            .filter(|(key, snapshot)| !is_open(snapshot) && !firing.concerns_subject(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in settled {
            if let Some(snapshot) = self.open.remove(&key) {
                self.enter(key, snapshot, false);
            }
        }
        self.open.retain(|key, snapshot| {
            let planned = snapshot.plan_time.or(snapshot.start_time);
            firing.concerns_subject(key) || planned.is_none_or(|time| time >= followed_from)
        });
        // The window moves on with the clock, and some sources read a little more than was asked for.
        let listed_from = listed_from.and_then(|from| from.checked_sub(SOURCE_OVERLAP).ok()).map(Timestamp::as_second);
        self.ended.retain(|_, print| print.planned >= listed_from);
        // A catch-up may have listed many times as many.
        if self.ended.capacity() / 4 > self.ended.len() {
            self.ended.shrink_to(self.ended.len() * 2);
        }
    }

    /// How many runs are remembered.
    pub fn len(&self) -> usize {
        self.open.len() + self.ended.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Whether the story of a run goes on by itself.
fn is_open(snapshot: &Snapshot) -> bool {
    !snapshot.status.has_ended() && !is_gone(snapshot)
}

/// Whether the source no longer knows the run: the only end that a run of unknown status has.
pub fn is_gone(snapshot: &Snapshot) -> bool {
    snapshot.status == Status::Unknown && snapshot.end_time.is_some()
}

fn print_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The print of a run's key, and that of its state. The second goes on where the first ended, with more in hand than that
/// shows: two runs that share the print of their keys do not share this one.
fn prints(job: &str, id: &str, state: &Snapshot) -> (u64, u64) {
    let mut hasher = DefaultHasher::new();
    (job, id).hash(&mut hasher);
    let key = hasher.finish();
    let time = |time: Option<Timestamp>| time.map(Timestamp::as_millisecond);
    let Snapshot { status, kind, plan_time, start_time, end_time } = *state;
    (status, kind, time(plan_time), time(start_time), time(end_time)).hash(&mut hasher);
    (key, hasher.finish())
}

/// The alerts that have ended, with why; nothing where an older version ended them.
#[derive(Debug, Clone, Default)]
pub struct EndedAlerts(HashMap<u128, Option<EndReason>>);

impl EndedAlerts {
    /// Enters an alert.
    pub fn enter(&mut self, id: &AlertId, reason: Option<EndReason>) {
        self.0.insert(number(id), reason);
    }

    /// Why an alert has ended; nothing of one that has not.
    pub fn why(&self, id: &AlertId) -> Option<Option<EndReason>> {
        self.0.get(&number(id)).copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An id as a number: it is 128 bits in hexadecimal. Of any other text, its print.
fn number(id: &AlertId) -> u128 {
    u128::from_str_radix(id.as_str(), 16).unwrap_or_else(|_| u128::from(print_of(&id.as_str())))
}

/// What a poll changes of the memory.
#[derive(Debug, Clone)]
pub struct Change {
    /// When it began.
    pub now: Timestamp,
    /// What is covered now.
    pub covered: Covered,
    /// From when on the listing reads; none where nothing was listed.
    pub listed_from: Option<Timestamp>,
    /// The rules that have looked, where they are others than before.
    pub known_rules: Option<BTreeSet<String>>,
    /// Runs that are new or changed.
    pub instances: Vec<Instance>,
    /// Alerts that began.
    pub fired: Vec<Arc<Alert>>,
    /// Alerts that fired before and have changed.
    pub changed: Vec<Alert>,
}

impl Memory {
    /// Takes over what was committed.
    pub fn take(&mut self, change: Change) {
        self.generation += 1;
        self.polled_at = Some(change.now);
        self.covered = change.covered;
        if let Some(known_rules) = change.known_rules {
            self.known_rules = known_rules;
        }
        for alert in change.changed.into_iter().map(Arc::new).chain(change.fired) {
            match alert.state() {
                AlertState::Firing
                    if self.firing.of_subject(&alert.facts.subject()).iter().any(|it| it.id == alert.id) =>
                {
                    self.firing.replace(alert);
                }
                AlertState::Firing => self.firing.insert(alert),
                AlertState::Resolved => {
                    self.firing.remove(&alert.facts.subject(), &alert.id);
                    self.ended.enter(&alert.id, alert.facts.alert.ended.as_ref().map(|ended| ended.reason));
                }
            }
        }
        for instance in change.instances {
            let key = instance.key();
            let is_firing = self.firing.concerns_subject(&key);
            self.runs.enter(key, instance.snapshot(), is_firing);
        }
        self.runs.forget_old(&self.firing, change.now, change.listed_from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InstanceType;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
    }

    fn state(status: Status, planned: i64, ended: Option<i64>) -> Snapshot {
        let plan_time = Some(at(planned));
        Snapshot { status, kind: InstanceType::Scheduled, plan_time, start_time: plan_time, end_time: ended.map(at) }
    }

    fn key(id: &str) -> InstanceKey {
        InstanceKey { job: "etl".into(), id: id.into() }
    }

    fn run(id: &str, state: Snapshot) -> Instance {
        crate::decide::remembered(&"s".into(), key(id), state)
    }

    #[test]
    fn what_never_ends_is_not_remembered_for_ever() {
        let day = 24;
        // status, planned so many days ago, whether an end is known, whether it is still remembered
        let cases = [
            (Status::Success, 1, true, true),
            (Status::Success, 3, true, false),
            (Status::Running, 8, false, true),
            (Status::Freeze, 62, false, false),
            // Its source no longer knows it.
            (Status::Unknown, 8, true, false),
        ];
        for (status, days, has_end, remembered) in cases {
            let mut runs = Runs::default();
            runs.enter(key("1"), state(status, -days * day, has_end.then_some(0)), false);
            runs.forget_old(&Ledger::default(), at(0), Some(at(-2 * day)));
            assert_eq!(!runs.is_empty(), remembered, "{status} for {days} days");
        }
    }

    #[test]
    fn an_ended_run_is_recognised_by_its_print() {
        let mut runs = Runs::default();
        let failed = state(Status::Fail, -2, Some(-1));
        runs.enter(key("1"), failed, false);
        assert_eq!(runs.recall(&run("1", failed)), Recalled::Same);
        assert_eq!(runs.recall(&run("1", state(Status::Fail, -2, Some(0)))), Recalled::Otherwise);
        assert_eq!(runs.recall(&run("2", failed)), Recalled::New);
        let running = state(Status::Running, -2, None);
        runs.enter(key("1"), running, false);
        assert_eq!(runs.recall(&run("1", failed)), Recalled::Was(running));
        assert!(runs.knows_job("etl") && !runs.knows_job("other"));
    }

    #[test]
    fn what_the_store_has_answered_is_at_hand() {
        let mut runs = Runs::default();
        let (failed, running) = (state(Status::Fail, -2, Some(-1)), state(Status::Running, -2, None));
        runs.enter(key("1"), running, false);
        // The store was asked of the second alone; of the first it is known better here.
        let recalled = HashMap::from([(key("1"), failed), (key("2"), failed)]);
        runs.learn(&recalled, ["load"]);
        assert_eq!(runs.recall(&run("1", running)), Recalled::Same);
        assert_eq!(runs.recall(&run("2", failed)), Recalled::Same);
        assert_eq!(runs.recall(&run("2", running)), Recalled::Otherwise);
        assert!(runs.knows_job("etl") && runs.knows_job("load") && !runs.knows_job("other"));
    }
}
