//! The same life, looked at by two observers who poll at different times: both tell the same things.

use jiff::{SignedDuration, Timestamp};
use nightbell::model::{Instance, Status};

use super::Night;
use super::lives::{Chance, RULES, STEPS, Told, Truth, check_told, seeds, tell};

const LIVES: u64 = 2_000;

/// What the source shows, and until when.
struct Page {
    runs: Vec<Instance>,
    until: Timestamp,
    /// Whether a replica that is a page behind can be told apart by the times of the runs. Of a run that is held up by an
    /// exception and goes on nobody can say which came first, and what was shown before a start was corrected looks like another
    /// try.
    tells_its_age: bool,
}

/// A life, page by page: each of them shows one run otherwise than the one before.
fn life(chance: &mut Chance, begins: Timestamp) -> Vec<Page> {
    let mut truth = Truth::new(begins);
    let mut pages = Vec::new();
    let (mut now, mut before) = (begins, truth.0.clone());
    for _ in 0..STEPS {
        let is_held_up = |(old, new): (&Instance, &Instance)| {
            old.status != new.status && [old.status, new.status].contains(&Status::RunningException)
        };
        let is_corrected =
            |(old, new): (&Instance, &Instance)| old.start_time > new.start_time && new.start_time.is_some();
        let tells_its_age = !before.iter().zip(&truth.0).any(|both| is_held_up(both) || is_corrected(both));
        now += SignedDuration::from_mins(2 + chance.below(24) as i64);
        pages.push(Page { runs: truth.0.clone(), until: now, tells_its_age });
        before.clone_from(&truth.0);
        truth.go_on(chance, now);
    }
    pages
}

/// What is told by who looks at each page when it is new, and once more when it is about to change.
fn punctual(pages: &[Page], begins: Timestamp) -> (Told, Vec<String>) {
    let (mut night, mut told) = (Night::new_from(RULES), Told::new());
    let mut since = begins;
    for page in pages {
        for now in [since, page.until] {
            night.now = now;
            tell(&mut told, &night.decide(page.runs.clone(), night.whole()));
        }
        since = page.until;
    }
    (told, night.firing())
}

/// What is told by who looks late, more than once, at runs in another order and now and then at the page before, and is started
/// anew in between. The last look at each page is when it is about to change, so that both know how long each state lasted.
fn haphazard(pages: &[Page], begins: Timestamp, chance: &mut Chance) -> (Told, Vec<String>) {
    let (mut night, mut told) = (Night::new_from(RULES), Told::new());
    // The first look of all is at the same time: what ended before it is history.
    tell(&mut told, &night.decide(pages[0].runs.clone(), night.whole()));
    let mut since = begins;
    for (at, page) in pages.iter().enumerate() {
        let lasts = page.until.duration_since(since).as_secs() as u64;
        let mut looks: Vec<i64> = (0..chance.below(3)).map(|_| 1 + chance.below(lasts - 1) as i64).collect();
        looks.sort_unstable();
        looks.push(lasts as i64);
        for (number, second) in looks.into_iter().enumerate() {
            night.now = since + SignedDuration::from_secs(second);
            if chance.below(3) == 0 {
                night.restart();
            }
            // A stale replica answers, once this page was seen.
            if number > 0 && at > 0 && page.tells_its_age && chance.below(3) == 0 {
                tell(&mut told, &night.decide(pages[at - 1].runs.clone(), night.whole()));
            }
            for _ in 0..=chance.below(2) {
                let mut runs = page.runs.clone();
                let by = chance.below(runs.len() as u64) as usize;
                runs.rotate_left(by);
                tell(&mut told, &night.decide(runs, night.whole()));
            }
        }
        since = page.until;
    }
    (told, night.firing())
}

#[test]
fn the_same_life_cut_into_polls_otherwise_tells_the_same_things() {
    let mut count = 0;
    for seed in seeds(LIVES) {
        let mut chance = Chance(seed);
        let begins = Night::new_from(RULES).now;
        let pages = life(&mut chance, begins);
        let (one, other) = (punctual(&pages, begins), haphazard(&pages, begins, &mut chance));
        check_told(&one.0, seed);
        assert_eq!(one, other, "seed {seed}");
        count += one.0.len();
    }
    assert!(count > 0, "something is told in a life");
}
