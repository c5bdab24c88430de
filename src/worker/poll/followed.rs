//! Which runs outside the listing are asked after next, and when each was asked after last.
//!
//! Reads the memory; asks nobody.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::decide::memory::is_gone;
use crate::decide::{Memory, remembered};
use crate::limits::{FOLLOWED_AGE_MAX, FOLLOWED_PER_POLL_MAX};
use crate::model::{Instance, InstanceKey, Snapshot, SourceId};

/// When runs outside the listing were last asked after.
#[derive(Debug, Clone, Default)]
pub struct Followed(HashMap<InstanceKey, Timestamp>);

impl Followed {
    /// The runs to ask after now: of those that are not settled by what is remembered and not among the `listed`, as many
    /// as one poll asks after.
    pub(in crate::worker) fn next(
        &mut self,
        source: &SourceId,
        memory: &Memory,
        listed: &[Instance],
        now: Timestamp,
    ) -> Vec<Instance> {
        let mut unlisted = unsettled(memory, now);
        drop_listed(&mut unlisted, listed);
        let turn = self.turn(unlisted);
        turn.into_iter().map(|(key, snapshot)| remembered(source, key, snapshot)).collect()
    }

    /// A run was asked after.
    pub(in crate::worker) fn note(&mut self, run: &Instance, now: Timestamp) {
        self.0.insert(run.key(), now);
    }

    /// Which of the runs outside the listing to ask after now.
    fn turn(&mut self, mut unlisted: Vec<(InstanceKey, Snapshot)>) -> Vec<(InstanceKey, Snapshot)> {
        let keys: HashSet<&InstanceKey> = unlisted.iter().map(|(key, _)| key).collect();
        self.0.retain(|key, _| keys.contains(key));
        // Of each class those asked longest ago come first.
        let asked_at = |key: &InstanceKey| self.0.get(key).copied();
        unlisted.sort_by_cached_key(|(key, snapshot)| (snapshot.status.has_ended(), asked_at(key), key.clone()));
        let first_ended = unlisted.partition_point(|(_, snapshot)| !snapshot.status.has_ended());
        let ended = unlisted.split_off(first_ended);
        // What has ended may be made again, which is seldom: it gets a fifth of the turns, and whatever is left.
        let for_ended =
            ended.len().min((FOLLOWED_PER_POLL_MAX / 5).max(FOLLOWED_PER_POLL_MAX.saturating_sub(unlisted.len())));
        unlisted.truncate(FOLLOWED_PER_POLL_MAX - for_ended);
        unlisted.extend(ended.into_iter().take(for_ended));
        unlisted
    }
}

/// Leaves out of `runs` those that were seen.
pub(super) fn drop_listed(runs: &mut Vec<(InstanceKey, Snapshot)>, seen: &[Instance]) {
    // Many are listed, and few of them are looked for: those that are looked for are put in order, and not the others.
    let mut listed: HashMap<&str, HashMap<&str, bool>> = HashMap::new();
    for (key, _) in runs.iter() {
        listed.entry(&key.job).or_default().insert(&key.id, false);
    }
    for instance in seen {
        let of_job = listed.get_mut(instance.job.name.as_str());
        if let Some(is_listed) = of_job.and_then(|ids| ids.get_mut(instance.id.as_str())) {
            *is_listed = true;
        }
    }
    let is_listed: Vec<bool> = runs.iter().map(|(key, _)| listed[key.job.as_str()][key.id.as_str()]).collect();
    let mut is_listed = is_listed.into_iter();
    runs.retain(|_| !is_listed.next().unwrap_or_default());
}

/// The instances whose story is not over by what is remembered.
pub(super) fn unsettled(memory: &Memory, now: Timestamp) -> Vec<(InstanceKey, Snapshot)> {
    let horizon = now.checked_sub(FOLLOWED_AGE_MAX).unwrap_or(Timestamp::MIN);
    memory
        .runs
        .all_open()
        .filter(|(key, snapshot)| {
            let is_recent = snapshot.plan_time.or(snapshot.start_time).is_some_and(|time| time >= horizon);
            let is_open = !snapshot.status.has_ended() || memory.firing.concerns_subject(key);
            is_open && is_recent && !is_gone(snapshot)
        })
        .map(|(key, snapshot)| (key.clone(), *snapshot))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InstanceType;
    use crate::model::Status;

    /// A hundred failures that fire must not make the end of a long run noticed many polls late.
    #[test]
    fn a_run_under_way_is_asked_after_at_every_poll_beside_many_failures_that_fire() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let run = |id: String, status: Status| {
            let end_time = status.has_ended().then_some(now);
            let (kind, time) = (InstanceType::Scheduled, Some(now));
            let state = Snapshot { status, kind, plan_time: time, start_time: time, end_time };
            (InstanceKey { job: "etl".into(), id }, state)
        };
        let mut unlisted: Vec<_> = (0..100).map(|id| run(id.to_string(), Status::Fail)).collect();
        unlisted.push(run("long".into(), Status::Running));
        let mut followed = Followed::default();
        let mut asked = HashSet::new();
        for poll in 0..3 {
            let turn = followed.turn(unlisted.clone());
            assert!(turn.iter().any(|(key, _)| key.id == "long"), "{turn:?}");
            for (key, _) in turn {
                followed.0.insert(key.clone(), now + jiff::SignedDuration::from_mins(poll));
                asked.insert(key);
            }
        }
        assert_eq!(asked.len(), 101, "the failures have their turns");
    }
}
