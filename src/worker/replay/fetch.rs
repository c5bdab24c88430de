//! A time that nobody recorded, as far as the source still lists its runs: each as it ended up, and from its times the
//! story that leads there.

use std::time::Duration;

use jiff::Timestamp;

use super::stage::{Before, Reel};
use crate::limits::REPLAY_WARM_UP;
use crate::model::{Instance, PollOutcome, PollRecord, Sighting, Status, Window};
use crate::source::{Source, SourceError, SourceErrorKind, SourceSettings};

/// Polls that are made up are not closer than a minute: the times of runs say no more.
const POLLS_APART_MIN: Duration = Duration::from_secs(59);

/// Reads from the source what was planned between `since` and `until`, and as far before that as it takes to know what
/// was going on at the beginning.
///
/// # Errors
/// When one of the windows cannot be read, or not as a whole.
pub async fn fetched<C: Source>(
    source: &C,
    settings: &SourceSettings,
    since: Timestamp,
    until: Timestamp,
) -> Result<Reel, SourceError> {
    let back = |span: Duration| since.checked_sub(span).unwrap_or(Timestamp::MIN);
    let (read_from, polled_from) = (back(REPLAY_WARM_UP), back(settings.lookback));
    let mut instances: Vec<Instance> = Vec::new();
    let mut from = read_from;
    while from <= until {
        let to = from.checked_add(source.span_max()).unwrap_or(until).min(until);
        let listing = source.list(Window { from, to }).await?;
        if !listing.coverage.is_whole() {
            return Err(SourceError::new(SourceErrorKind::Transient, listing.coverage.reasons().join("; ")));
        }
        instances.extend(listing.instances);
        from = to.checked_add(jiff::SignedDuration::from_millis(1)).unwrap_or(Timestamp::MAX);
    }
    let mut sightings: Vec<Sighting> = instances.iter().flat_map(story).collect();
    sightings.sort_by_key(|sighting| sighting.at);
    let coming = sightings.split_off(sightings.partition_point(|sighting| sighting.at < polled_from));
    let mut known = std::collections::BTreeMap::new();
    for sighting in sightings {
        known.insert(sighting.instance.key(), sighting.instance);
    }
    let before = Some(Before { read_until: polled_from, instances: known.into_values().collect() });
    let mut polls = Vec::new();
    let mut due = settings.poll.next_after(polled_from);
    while let Some(polled_at) = due.filter(|due| *due <= until) {
        polls.push(PollRecord { polled_at, outcome: PollOutcome::Whole });
        due = settings.poll.next_after(polled_at.checked_add(POLLS_APART_MIN).unwrap_or(Timestamp::MAX));
    }
    // What ended in the last minute is seen, too.
    if polls.last().is_none_or(|last: &PollRecord| last.polled_at < until) {
        polls.push(PollRecord { polled_at: until, outcome: PollOutcome::Whole });
    }
    Ok(Reel { source: settings.id.clone(), before, sightings: coming, polls })
}

/// What became of a run, from its times: it waited from its plan time on, ran from its start on, and was over at its end.
/// What it was in between besides (an exception, a rerun) nobody can know.
fn story(instance: &Instance) -> Vec<Sighting> {
    let state = |at: Timestamp, status: Status, instance: Instance| {
        let raw_status = status.as_str().to_string();
        Sighting { at, instance: Instance { status, raw_status, error: None, ..instance }, nodes: Vec::new() }
    };
    let mut story = Vec::new();
    let (start, end) = (instance.start_time, instance.end_time);
    if let Some(plan) = instance.plan_time
        && start.or(end).is_none_or(|next| plan < next)
    {
        story.push(state(plan, Status::Waiting, Instance { start_time: None, end_time: None, ..instance.clone() }));
    }
    if let Some(start) = start
        && end.is_none_or(|end| start < end)
    {
        story.push(state(start, Status::Running, Instance { end_time: None, ..instance.clone() }));
    }
    let last = end.or(start).or(instance.plan_time);
    // As it is now; that it is so since then is the best guess there is.
    if let Some(at) = last {
        if story.last().is_some_and(|before| before.at == at) {
            story.pop();
        }
        story.push(Sighting { at, instance: instance.clone(), nodes: Vec::new() });
    }
    story
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{InstanceType, JobRef, SourceId};

    #[test]
    fn a_run_is_told_from_its_times() {
        use Status::{Fail, Running, Skip, Success, Waiting};
        let at = |minute: i64| Timestamp::from_second(1_800_000_000 + minute * 60).unwrap();
        // status, start, end: what it was from which minute on; it is planned for minute 0
        type Case = (Status, Option<i64>, Option<i64>, &'static [(i64, Status)]);
        let cases: [Case; 6] = [
            (Fail, Some(2), Some(9), &[(0, Waiting), (2, Running), (9, Fail)]),
            (Success, Some(0), Some(9), &[(0, Running), (9, Success)]),
            (Success, Some(0), Some(0), &[(0, Success)]),
            (Running, Some(3), None, &[(0, Waiting), (3, Running)]),
            (Waiting, None, None, &[(0, Waiting)]),
            (Skip, None, Some(5), &[(0, Waiting), (5, Skip)]),
        ];
        for (status, start, end, expected) in cases {
            let instance = Instance {
                source: SourceId::new("warehouse"),
                id: "1".into(),
                job: JobRef { name: "etl".into(), id: None },
                name: None,
                status,
                raw_status: status.as_str().into(),
                kind: InstanceType::Scheduled,
                plan_time: Some(at(0)),
                start_time: start.map(at),
                end_time: end.map(at),
                error: None,
            };
            let story = story(&instance);
            let told: Vec<_> = story.iter().map(|it| (it.at, it.instance.status)).collect();
            let expected: Vec<_> = expected.iter().map(|(minute, status)| (at(*minute), *status)).collect();
            assert_eq!(told, expected, "{status} {start:?} {end:?}");
            assert_eq!(story.last().map(|it| &it.instance), Some(&instance));
            assert!(story.iter().all(|it| it.instance.status.has_ended() == it.instance.end_time.is_some()));
        }
    }
}
