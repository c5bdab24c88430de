//! Failures in a row and shares of failures, of random pasts entered in any order, held against a plain reading.

use jiff::{SignedDuration, Timestamp};
use nightbell::model::{InstanceType, Snapshot, Status};
use nightbell::rule::history::Past;
use proptest::prelude::*;

fn run(status: Status, kind: InstanceType, due: i64) -> Snapshot {
    let plan_time = Some(Timestamp::UNIX_EPOCH + SignedDuration::from_mins(due));
    Snapshot { status, kind, plan_time, start_time: plan_time, end_time: None }
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        4 => Just(Status::Fail),
        3 => Just(Status::Success),
        2 => prop::sample::select(Status::ALL.to_vec()),
    ]
}

proptest! {
    #[test]
    fn the_past_says_what_a_plain_reading_of_it_says(
        runs in prop::collection::vec((status(), any::<bool>()), 0..30),
        order in any::<prop::sample::Index>(),
        count in 1..8_usize,
    ) {
        let kind = |is_backfill: bool| if is_backfill { InstanceType::Backfill } else { InstanceType::Scheduled };
        let mut past = Past::default();
        // Each run is seen waiting first, and the runs in some other order than the one they were due in.
        for at in 0..runs.len() * 2 {
            let index = (at + order.index(runs.len().max(1))) % runs.len();
            let (status, is_backfill) = runs[index];
            let status = if at < runs.len() { Status::Waiting } else { status };
            past.enter(&index.to_string(), &run(status, kind(is_backfill), i64::try_from(index).unwrap()));
        }
        let counted: Vec<(usize, bool)> = runs
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, (_, is_backfill))| !is_backfill)
            .filter_map(|(index, (status, _))| match status.as_str() {
                "success" | "forced-success" | "ignored-failure" => Some((index, true)),
                "fail" | "running-exception" | "rejected" => Some((index, false)),
                _ => None,
            })
            .collect();
        let concerns = |kind| kind != InstanceType::Backfill;

        let row = counted.iter().take_while(|(_, is_well)| !is_well).count();
        let newest = counted.first().map(|(index, _)| index.to_string());
        let expected = (row >= count).then(|| (newest.unwrap(), row));
        prop_assert_eq!(past.failed_in_a_row(count, concerns).map(|(id, row)| (id.to_string(), row)), expected);

        let last = &counted[..counted.len().min(count)];
        let expected = (last.len() == count).then(|| last.iter().filter(|(_, is_well)| !is_well).count());
        prop_assert_eq!(past.failures(count, concerns), expected);
        let failed: Vec<String> = last.iter().filter(|(_, is_well)| !is_well).map(|(index, _)| index.to_string()).collect();
        prop_assert_eq!(past.failed_runs(count, concerns).iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), failed);
    }
}

#[test]
fn of_a_long_past_the_newest_runs_are_kept() {
    let mut past = Past::default();
    let most = nightbell::limits::HISTORY_RUNS_MAX;
    for due in (0..most + 10).rev() {
        past.enter(&due.to_string(), &run(Status::Fail, InstanceType::Scheduled, i64::try_from(due).unwrap()));
    }
    assert_eq!(past.len(), most);
    assert_eq!(past.failed_in_a_row(most, |_| true), Some(((most + 9).to_string().as_str(), most)));
}

/// A source that plans a run anew shows it once, where it is due now.
#[test]
fn a_run_that_is_due_at_another_time_stands_there_once() {
    let mut past = Past::default();
    past.enter("1", &run(Status::Fail, InstanceType::Scheduled, 10));
    past.enter("2", &run(Status::Fail, InstanceType::Scheduled, 20));
    past.enter("1", &run(Status::Success, InstanceType::Scheduled, 30));
    assert_eq!((past.len(), past.failed_in_a_row(1, |_| true)), (2, None));
}

/// What waits, and what came to be otherwise, crowds nothing out that a rule counts.
#[test]
fn failures_in_a_row_are_found_behind_any_number_of_runs_that_say_nothing() {
    let mut past = Past::default();
    for minute in 0..3 {
        past.enter(&format!("failed-{minute}"), &run(Status::Fail, InstanceType::Scheduled, minute));
    }
    for minute in 10..1_500 {
        past.enter(&format!("waiting-{minute}"), &run(Status::Waiting, InstanceType::Scheduled, minute));
        past.enter(&format!("made-up-{minute}"), &run(Status::Success, InstanceType::Backfill, minute));
    }
    let (id, row) = past.failed_in_a_row(3, |kind| kind == InstanceType::Scheduled).unwrap();
    assert_eq!((id, row), ("failed-2", 3));
    assert!(past.len() <= 3 + 2 * nightbell::limits::HISTORY_RUNS_MAX);
}
