//! Every time in which a source was not read is named: the real poller, asked at random, over a source that fails.

use jiff::{SignedDuration, Timestamp};
use nightbell::model::{DigestFacts, GapCause, InstanceType};
use nightbell::source::SourceErrorKind;
use nightbell::store::{Digests as _, Since};
use proptest::prelude::*;

use super::world::{empty_tally, finished};
use crate::poll::world::Scene;

/// What happens in one minute in which a poll is due.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Minute {
    /// The poll reads everything.
    Read,
    /// It reads a part.
    Part,
    /// The source does not answer.
    Unreadable,
    /// Nightbell is not running.
    Down,
}

async fn digest(scene: &Scene, since: i64) -> (DigestFacts, i64) {
    let mut tally = empty_tally(scene.now());
    let moment = scene.store.tally(Since::Sequence(since), &mut tally).await.unwrap();
    (finished(tally), moment)
}

async fn live(scene: &mut Scene, minute: Minute) {
    scene.pass(SignedDuration::from_mins(1));
    if minute == Minute::Down {
        scene.restart();
        return;
    }
    scene.fail_with((minute == Minute::Unreadable).then_some(SourceErrorKind::Transient));
    scene.source.shown().withheld = u64::from(minute == Minute::Part);
    scene.note_silence().await;
    let read = scene.try_poll().await.is_ok();
    assert_eq!(read, minute != Minute::Unreadable);
}

#[tokio::test]
async fn gaps_say_when_why_and_whether_they_last() {
    let mut scene = Scene::open("  failed: { when: { status: [fail] }, notify: [hook] }\n").await;
    let start = scene.now();
    let minute = |n| start + SignedDuration::from_mins(n);
    use Minute::{Down, Part, Read, Unreadable};
    for it in [Read, Unreadable, Unreadable, Read, Down, Down, Down, Read, Part] {
        live(&mut scene, it).await;
    }
    let (first, moment) = digest(&scene, i64::MIN).await;
    let gaps: Vec<_> = first.completeness.gaps.shown.iter().map(|gap| (gap.cause, gap.from, gap.until)).collect();
    assert_eq!(
        gaps,
        [
            (GapCause::Unreadable, minute(1), Some(minute(4))),
            (GapCause::Silent, minute(4), Some(minute(8))),
            (GapCause::Incomplete, minute(8), None),
        ]
    );
    assert!(first.completeness.gaps.shown[0].reason.contains("out of order"));
    assert!(!first.completeness.complete);
    live(&mut scene, Read).await;
    let (second, moment) = digest(&scene, moment).await;
    let gaps: Vec<_> = second.completeness.gaps.shown.iter().map(|gap| (gap.cause, gap.until)).collect();
    assert_eq!(gaps, [(GapCause::Incomplete, Some(minute(10)))], "what lasted is told until it ends");
    assert!(second.completeness.complete);
    assert_eq!(digest(&scene, moment).await.0.completeness.gaps.total, 0);
}

#[tokio::test]
async fn what_can_no_longer_be_read_is_lost_and_the_digest_says_so() {
    let mut scene = Scene::open("  failed: { when: { status: [fail] }, notify: [hook] }\n").await;
    scene.poll().await;
    scene.pass(SignedDuration::from_hours(9 * 24));
    scene.restart();
    scene.note_silence().await;
    scene.poll().await;
    scene.pass(SignedDuration::from_mins(1));
    scene.poll().await;
    let (digest, _) = digest(&scene, i64::MIN).await;
    let causes: Vec<_> = digest.completeness.gaps.shown.iter().map(|gap| gap.cause).collect();
    assert!(causes.contains(&GapCause::Lost) && causes.contains(&GapCause::Silent), "{causes:?}");
    assert!(!digest.completeness.complete);
}

/// A kind that alone cannot be read holds the cursor up no longer than a listing reaches back: what of it is lost then is said.
#[tokio::test]
async fn runs_of_a_kind_that_was_unread_for_too_long_are_lost_and_the_digest_says_so() {
    let mut scene = Scene::open("  failed: { when: { status: [fail] }, notify: [hook] }\n").await;
    scene.poll().await;
    scene.pass(SignedDuration::from_mins(1));
    let since = scene.now();
    scene.source.shown().refused = vec![InstanceType::Unknown];
    for hours in [0, 20, 10, 5] {
        scene.pass(SignedDuration::from_hours(hours));
        scene.poll().await;
    }
    let (digest, _) = digest(&scene, i64::MIN).await;
    let gaps = digest.completeness.gaps.shown.iter().filter(|gap| gap.cause == GapCause::Lost);
    let lost: Vec<_> = gaps.map(|gap| (gap.from, gap.until)).collect();
    assert_eq!(lost, [(since, Some(scene.now() - SignedDuration::from_hours(24)))], "one, as long as it lasts");
    // A kind that was never read is none that anybody lost.
    let mut scene = Scene::open("  failed: { when: { status: [fail] }, notify: [hook] }\n").await;
    scene.source.shown().refused = vec![InstanceType::Unknown];
    for hours in [0, 30, 30] {
        scene.pass(SignedDuration::from_hours(hours));
        scene.poll().await;
    }
    let (digest, _) = self::digest(&scene, i64::MIN).await;
    assert!(digest.completeness.gaps.shown.iter().all(|gap| gap.cause != GapCause::Lost));
}

/// Polls in which a process died before it committed are one silence, not many.
#[tokio::test]
async fn a_silence_that_is_noted_again_is_the_same_one() {
    let mut scene = Scene::open("  failed: { when: { status: [fail] }, notify: [hook] }\n").await;
    scene.poll().await;
    for _ in 0..3 {
        scene.pass(SignedDuration::from_mins(10));
        scene.restart();
        scene.note_silence().await;
    }
    scene.poll().await;
    let (digest, _) = digest(&scene, i64::MIN).await;
    let gaps = &digest.completeness.gaps;
    assert_eq!((gaps.total, gaps.shown[0].until), (1, Some(scene.now())));
}

/// Who calls `run --once` decides how often the source is asked; only a long pause is one that nobody meant.
#[tokio::test]
async fn a_crontab_that_calls_less_often_than_a_source_is_polled_leaves_no_gap_but_one_that_stops_does() {
    let mut scene = Scene::open("  failed: { when: { status: [fail] }, notify: [hook] }\n").await;
    scene.poll().await;
    for (minutes, gaps) in [(10, 0), (60, 0), (119, 0), (120, 1), (60, 1), (600, 2)] {
        scene.pass(SignedDuration::from_mins(minutes));
        scene.restart();
        scene.note_silence_between_calls().await;
        scene.poll().await;
        let (digest, _) = digest(&scene, i64::MIN).await;
        assert_eq!(digest.completeness.gaps.total, gaps, "after {minutes} minutes");
        assert!(digest.completeness.gaps.shown.iter().all(|gap| gap.cause == GapCause::Silent));
    }
}

fn minutes() -> impl Strategy<Value = Vec<Minute>> {
    let minute = prop::sample::select(vec![
        Minute::Read,
        Minute::Read,
        Minute::Read,
        Minute::Part,
        Minute::Unreadable,
        Minute::Down,
    ]);
    // Runs of the same, as outages come.
    prop::collection::vec((minute, 1usize..9), 1..12)
        .prop_map(|runs| runs.into_iter().flat_map(|(minute, times)| vec![minute; times]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Every span without a whole reading that is longer than four minutes lies inside gaps that the digests between
    /// them name, and no gap is named in which everything was read minute by minute.
    #[test]
    fn every_gap_is_named(lived in minutes(), cuts in prop::collection::btree_set(0usize..80, 0..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut scene = Scene::open("  failed: { when: { status: [fail] }, notify: [hook] }\n").await;
            let mut reads: Vec<Timestamp> = Vec::new();
            let mut named: Vec<(Timestamp, Option<Timestamp>)> = Vec::new();
            let mut moment = i64::MIN;
            live(&mut scene, Minute::Read).await;
            reads.push(scene.now());
            // It ends with a reading, so that every gap has an end.
            for (index, minute) in lived.iter().copied().chain([Minute::Read]).enumerate() {
                live(&mut scene, minute).await;
                if minute == Minute::Read {
                    reads.push(scene.now());
                }
                if cuts.contains(&index) || index == lived.len() {
                    let (digest, until) = digest(&scene, moment).await;
                    named.extend(digest.completeness.gaps.shown.iter().map(|gap| (gap.from, gap.until)));
                    moment = until;
                }
            }
            let minutes = |one: Timestamp, other: Timestamp| other.duration_since(one).as_mins();
            let is_named = |at: Timestamp| named.iter().any(|(from, until)| *from <= at && until.is_none_or(|until| at <= until));
            for pair in reads.windows(2) {
                let [from, until] = [pair[0], pair[1]];
                if minutes(from, until) >= 4 {
                    for minute in 0..=minutes(from, until) {
                        let at = from + SignedDuration::from_mins(minute);
                        assert!(is_named(at), "{at} is in no gap of {named:?}, read at {reads:?}");
                    }
                }
            }
            for (from, until) in named.iter().filter_map(|(from, until)| Some((*from, (*until)?))) {
                let inside = reads.iter().filter(|read| **read > from && **read < until).count();
                assert_eq!(inside, 0, "it was read between {from} and {until}");
            }
        });
    }
}
