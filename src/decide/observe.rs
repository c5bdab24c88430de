//! The first stage: what was seen, held against what is remembered.
//!
//! Takes a listing with what was asked after one by one, and the memory; gives each run with how it was before. What is
//! older than what is known is left out: a page of a stale replica must not begin or end anything. Knows no rule.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::memory::{Memory, Recalled};
use crate::limits::{LAGGING_MAX, STALE_BELIEVED_AFTER, STALE_SEEN_MIN};
use crate::model::{Coverage, Instance, InstanceKey, Snapshot, Status};

/// What a poll saw.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The runs that were listed or asked after, but for stale states.
    pub runs: Vec<Seen>,
    /// What the listing proves to have been read.
    pub coverage: Coverage,
}

/// A run as it was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// As it is now.
    pub instance: Instance,
    /// As it was seen last; `None` when it is new.
    pub before: Option<Snapshot>,
    /// Whether it is new or looks otherwise than before.
    pub has_changed: bool,
    /// Whether it was outside of what was covered until now: what became of it long ago is history.
    pub was_outside: bool,
}

/// States that look older than what is known, each with since when the source shows it and how often it was seen. A run
/// under way that goes on being shown so is the truth after all: the source has corrected its start.
#[derive(Debug, Clone, Default)]
pub struct Doubts(HashMap<InstanceKey, (Snapshot, Timestamp, u32)>);

impl Doubts {
    /// The jobs of the runs that were left out of the last look for that, but for those which look so for long.
    pub(super) fn jobs(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        let is_recent = move |since: Timestamp| now.duration_since(since).unsigned_abs() < LAGGING_MAX;
        self.0.iter().filter(move |(_, (_, since, _))| is_recent(*since)).map(|(key, _)| key.job.as_str())
    }
}

/// What is to be asked of the store before a listing can be held against the memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToRecall {
    /// Runs that look otherwise than the memory has them, and those of which nothing is at hand: how they were.
    pub runs: Vec<InstanceKey>,
    /// Jobs of such runs, where it matters: whether any run of them is known.
    pub jobs: BTreeSet<String>,
    /// How each run of the listing stands to the memory; nothing where nothing is to be asked.
    standing: Vec<Recalled>,
}

impl ToRecall {
    /// What is to be asked for a listing.
    pub fn of(memory: &Memory, instances: &[Instance], coverage: &Coverage) -> ToRecall {
        // The store knows nothing of a source of which nothing was ever committed.
        if memory.generation == 0 {
            return ToRecall::default();
        }
        let is_wider = memory.covered.is_wider_in(coverage);
        let mut asked = ToRecall { standing: Vec::with_capacity(instances.len()), ..ToRecall::default() };
        for instance in instances {
            let stands = memory.runs.recall(instance);
            if matches!(stands, Recalled::New | Recalled::Otherwise) {
                asked.runs.push(instance.key());
            }
            if stands == Recalled::New && is_wider && !memory.runs.knows_job(&instance.job.name) {
                asked.jobs.insert(instance.job.name.clone());
            }
            asked.standing.push(stands);
        }
        asked
    }
}

/// Holds what was seen against what is remembered. `asked` is what was to be asked for the same listing, `recalled` has the
/// runs of it that the store knows, which the memory has [learnt](super::memory::Runs::learn).
pub fn observe(
    memory: &Memory,
    instances: Vec<Instance>,
    coverage: Coverage,
    (asked, recalled): (&ToRecall, &HashMap<InstanceKey, Snapshot>),
    doubts: &mut Doubts,
    now: Timestamp,
) -> Observed {
    let mut doubted = HashMap::new();
    let mut runs = Vec::with_capacity(instances.len());
    for (at, mut instance) in instances.into_iter().enumerate() {
        let state = instance.snapshot();
        let (before, mut has_changed) = match asked.standing.get(at) {
            Some(Recalled::Same) => (Some(state), false),
            Some(Recalled::Was(before)) => (Some(*before), true),
            Some(Recalled::Otherwise) => (recalled.get(&instance.key()).copied(), true),
            // Nothing of it was at hand; the store may know it, as it is or otherwise.
            Some(Recalled::New) => {
                let before = recalled.get(&instance.key()).copied();
                (before, before.is_none_or(|before| !before.is_same(&state)))
            }
            None => (None, true),
        };
        if let Some(before) = before.filter(|before| is_older(&state, before)) {
            let key = instance.key();
            let (since, count) = match doubts.0.get(&key) {
                Some((shown, since, count)) if *shown == state => ((*since).min(now), count + 1),
                _ => (now, 1),
            };
            let has_lasted = now.duration_since(since).unsigned_abs() >= STALE_BELIEVED_AFTER;
            let is_correction = before.status == state.status && !state.status.has_ended();
            if !(is_correction && has_lasted && count >= STALE_SEEN_MIN) {
                doubted.insert(key, (state, since, count));
                continue;
            }
        }
        if let Some(times) = before.and_then(|before| known_times(&before, &state)) {
            (instance.start_time, instance.end_time) = times;
            has_changed = before.is_none_or(|before| !before.is_same(&instance.snapshot()));
        }
        let is_known = || memory.runs.knows_job(&instance.job.name);
        let was_outside = before.is_none() && memory.covered.was_outside(&instance, is_known(), &coverage);
        runs.push(Seen { instance, before, has_changed, was_outside });
    }
    doubts.0 = doubted;
    Observed { runs, coverage }
}

/// A start or an end is corrected by less than this; an earlier try of a run began longer before.
const CORRECTION_MAX: SignedDuration = SignedDuration::from_secs(60);

/// Whether both are the end of one try that began when it did: one of them is not shown, or the source has corrected it. A try
/// that ends again much later went on in between, whether a poll saw that or not, and has failed once more.
pub(super) fn may_be_same_end(known: Option<Timestamp>, shown: Option<Timestamp>) -> bool {
    known.zip(shown).is_none_or(|(known, shown)| shown.duration_since(known).abs() < CORRECTION_MAX)
}

/// The start and the end that are known of a run which is over as it was, where its source leaves one out just now or corrects the
/// end: the run keeps them, so that its alerts keep their names, and what came after it came after it still. Only a run that began
/// later is another try, or one that ended much later.
fn known_times(before: &Snapshot, new: &Snapshot) -> Option<(Option<Timestamp>, Option<Timestamp>)> {
    let began_later = before.start_time.zip(new.start_time).is_some_and(|(known, shown)| shown > known);
    let leaves_out = new.start_time.is_none() || new.end_time.is_none();
    let is_same_try = before.start_time == new.start_time || leaves_out && !began_later;
    let is_as_it_was = before.status == new.status && new.status.has_ended() && before.end_time.is_some();
    let times = (new.start_time.or(before.start_time), before.end_time);
    let is_otherwise = times != (new.start_time, new.end_time);
    (is_as_it_was && is_same_try && is_otherwise && may_be_same_end(before.end_time, new.end_time)).then_some(times)
}

/// Whether a state is older than what is known of the run.
fn is_older(new: &Snapshot, known: &Snapshot) -> bool {
    match (new.start_time, known.start_time) {
        // It ended after what is known to have begun, or began hardly earlier: not an earlier try, but the same one with
        // its start corrected.
        (Some(earlier), Some(start)) if earlier < start => {
            let is_near = start.duration_since(earlier) < CORRECTION_MAX;
            return new.end_time.map_or(!is_near, |end| end < start);
        }
        (Some(later), Some(start)) if later > start => return false,
        // What waits was not begun yet, or is to be made again: that is news once it begins.
        (None, Some(_)) if new.status == Status::Waiting => return true,
        _ => {}
    }
    // The end of a run that its source had lost sight of is the time at which that was noticed, and proves nothing.
    let Some(known_end) = known.end_time.filter(|_| known.status != Status::Unknown) else { return false };
    match new.end_time {
        Some(new_end) => new_end < known_end,
        // A run that began at this very instant has ended since.
        None => new.status == Status::Running && known.status.has_ended() && new.start_time == known.start_time,
    }
}

impl Seen {
    /// Whether a state with the times of one that was told already begins another episode. It does when the run was over
    /// in between, and when nobody knows its end. A run that had ended and is said to be under way and to have ended then
    /// was shown by a stale replica. That a run was out of sight for a while says nothing of what it did.
    pub fn has_turned(&self) -> bool {
        let Some(before) = &self.before else { return false };
        let was_out_of_sight = before.status == Status::Unknown && before.end_time.is_some();
        let is_otherwise = before.status != self.instance.status;
        !was_out_of_sight && is_otherwise && (before.status.has_ended() || self.instance.end_time.is_none())
    }

    /// Whether it was under way when it was seen last.
    pub(super) fn went_on(&self) -> bool {
        self.before.is_some_and(|before| !before.status.has_ended() && before.status != Status::Unknown)
    }

    /// The run with the times that it was seen with before, where it ended as it did then and its source only tells other times
    /// of that, or leaves one out. Of a try whose start is not known, an end that is the same says so.
    pub(super) fn before_correction(&self) -> Option<Instance> {
        let run = &self.instance;
        let before = self.before.filter(|before| before.status == run.status && run.status.has_ended())?;
        let has_same_end = before.end_time.is_some() && before.end_time == run.end_time;
        let is_same_try = match (before.start_time, run.start_time) {
            (Some(known), Some(shown)) => shown <= known && may_be_same_end(before.end_time, run.end_time),
            _ => has_same_end,
        };
        let is_otherwise = (before.start_time, before.end_time) != (run.start_time, run.end_time);
        let (start_time, end_time) = (before.start_time, before.end_time);
        (is_same_try && is_otherwise).then(|| Instance { start_time, end_time, ..run.clone() })
    }

    /// Whether nothing can be new about it: it is over, and as it was.
    pub fn is_settled(&self) -> bool {
        !self.has_changed && self.instance.status.has_ended()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InstanceType;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn state(status: Status, start: Option<i64>, end: Option<i64>) -> Snapshot {
        let [start_time, end_time] = [start, end].map(|minute| minute.map(at));
        Snapshot { status, kind: InstanceType::Scheduled, plan_time: Some(at(0)), start_time, end_time }
    }

    #[test]
    fn which_states_are_older_than_what_is_known() {
        use Status::{Fail, Running, RunningException, Success, Unknown, Waiting};
        let failed = state(Fail, Some(1), Some(5));
        let cases = [
            ("the same", failed, failed, false),
            ("an earlier run", failed, state(Running, Some(6), None), true),
            ("a rerun", state(Running, Some(6), None), failed, false),
            ("not begun yet, or to be made again", state(Waiting, None, None), failed, true),
            ("under way, which is over", state(Running, Some(1), None), failed, true),
            ("under way, by another word", state(RunningException, Some(1), None), failed, false),
            ("a later end", state(Success, Some(1), Some(9)), failed, false),
            ("an earlier end", state(Success, Some(1), Some(4)), failed, true),
            (
                "ended, with its start corrected to earlier",
                state(Fail, Some(0), Some(5)),
                state(Running, Some(1), None),
                false,
            ),
            ("under way since earlier", state(Running, Some(0), None), state(Running, Some(1), None), true),
            // The follow-up found it gone at minute 7; then the list shows that it had failed at minute 5.
            ("found again", failed, state(Unknown, Some(1), Some(7)), false),
        ];
        for (name, new, known, expected) in cases {
            assert_eq!(is_older(&new, &known), expected, "{name}");
        }
    }
}
