//! What the log of the running program would have warned of is told by who plays a time again: each warning once.

use jiff::SignedDuration;
use nightbell::limits::EPISODES_MAX;
use nightbell::model::{PollOutcome, PollRecord, Sighting, Status};
use nightbell::worker::replay::{Before, Reel, Script, Theatre};

use crate::poll::world::{configuration, run};
use crate::sample::at;

/// A run fails and succeeds again and again with the very same times, more often than anybody can tell apart.
#[test]
fn what_is_cut_while_a_time_is_played_is_warned_of_once() {
    let config = configuration("  failed: { when: { status: [fail] }, notify: [hook] }\n");
    let (began, ended) = (at(0) - SignedDuration::from_mins(20), at(0) - SignedDuration::from_mins(10));
    let turns = i64::from(EPISODES_MAX) + 2;
    let sightings = (0..2 * turns).map(|second| {
        let status = if second % 2 == 0 { Status::Fail } else { Status::Success };
        Sighting { at: at(second), instance: run("etl", "1", status, began, Some(ended)), nodes: Vec::new() }
    });
    let polls = (0..2 * turns).map(|second| PollRecord { polled_at: at(second), outcome: PollOutcome::Whole });
    let reel = Reel {
        source: "warehouse".into(),
        before: Some(Before { read_until: began, instances: Vec::new() }),
        sightings: sightings.collect(),
        polls: polls.collect(),
    };
    let script = Script { reels: vec![reel], ..Script::default() };
    let played = Theatre::open(&config).unwrap().play(&config, script).unwrap();
    // The one too many is recorded, and those after it are not.
    assert_eq!(played.alerts.len(), EPISODES_MAX as usize + 1);
    let warning = "warehouse: rule failed: etl had 1000 episodes with the same times; no more are notified";
    assert_eq!(played.warnings, [warning]);
}
