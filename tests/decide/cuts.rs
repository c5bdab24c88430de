//! The same life, looked at by two observers who poll at different times: both tell the same things.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use nightbell::model::{Instance, MessageKind, Status};

use super::Night;
use super::lives::{
    Chance, LIVES, RULES, Told, Truth, WITHOUT_FAILED, check_end_left_out, check_holds, check_told, check_unread,
    is_one_life, seeds, steps, tell, unread,
};

/// How long a rule may be away without a trace, in seconds.
const AWAY_MAX: u64 = 599;

/// What the source shows, and until when.
struct Page {
    truth: Truth,
    until: Timestamp,
    /// Whether a replica that is a page behind can be told apart by the times of the runs. Of a run that is held up by an
    /// exception and goes on nobody can say which came first, and what was shown before a start was corrected looks like another
    /// try.
    tells_its_age: bool,
}

/// When a page is looked at, in seconds since it is shown, and whether a rule is away then.
type Looks = Vec<(u64, bool)>;

/// A life, page by page: each of them shows one run otherwise than the one before.
fn life(chance: &mut Chance, begins: Timestamp) -> Vec<Page> {
    let mut truth = Truth::under_way(chance, begins);
    let mut pages = Vec::new();
    let (mut now, mut before) = (begins, truth.0.clone());
    for _ in 0..1 + steps(chance) / 2 {
        let is_held_up = |(old, new): (&Instance, &Instance)| {
            old.status != new.status && [old.status, new.status].contains(&Status::RunningException)
        };
        let is_corrected =
            |(old, new): (&Instance, &Instance)| old.start_time > new.start_time && new.start_time.is_some();
        let tells_its_age = !before.iter().zip(&truth.0).any(|both| is_held_up(both) || is_corrected(both));
        now += SignedDuration::from_mins(2 + chance.below(24) as i64);
        pages.push(Page { truth: truth.clone(), until: now, tells_its_age });
        before.clone_from(&truth.0);
        truth.go_on(chance, now);
    }
    pages
}

/// What is told by who looks at each page once, when it is about to change.
fn punctual(pages: &[Page], seed: u64) -> (Told, Vec<String>) {
    let (mut night, mut told) = (Night::new_from(RULES), Told::new());
    // The first look of all is at the same time for both: what ended before it is history.
    tell(&mut told, &night.decide(pages[0].truth.0.clone(), night.whole()));
    for page in pages {
        night.now = page.until;
        tell(&mut told, &night.decide(page.truth.0.clone(), night.whole()));
        check_holds(&night, &page.truth, seed);
    }
    check_told(&told, seed);
    (told, night.firing())
}

/// When the other one looks at a page that is shown for so long. The last look is when it is about to change, so that both know how
/// long each state lasted. Now and then a rule is away meanwhile, for less than ten minutes.
fn looks(chance: &mut Chance, lasts: u64) -> Looks {
    let mut looks: Looks = (0..chance.below(2)).map(|_| (1 + chance.below(lasts - 1), false)).collect();
    if chance.below(8) == 0 {
        let gone = 1 + chance.below(lasts - 2);
        let back = gone + 1 + chance.below(AWAY_MAX.min(lasts - gone - 1).max(1));
        looks = vec![(gone, true), (gone + chance.below(back - gone), true), (back, false)];
    }
    looks.sort_unstable();
    looks.push((lasts, false));
    looks
}

/// What is told by who looks late, more than once, at runs in another order, at a part of them, and now and then at the page before,
/// whose rule comes and goes, and who is started anew in between.
fn haphazard(pages: &[Page], begins: Timestamp, chance: &mut Chance, seed: u64) -> (Told, Vec<String>) {
    let (mut night, mut told) = (Night::new_from(RULES), Told::new());
    tell(&mut told, &night.decide(pages[0].truth.0.clone(), night.whole()));
    let (mut since, mut was_away) = (begins, false);
    for (at, page) in pages.iter().enumerate() {
        let lasts = page.until.duration_since(since).as_secs() as u64;
        for (number, (second, is_away)) in looks(chance, lasts).into_iter().enumerate() {
            night.now = since + SignedDuration::from_secs(second as i64);
            let is_steady = !is_away && !was_away;
            if is_away != was_away {
                night.rules_from(if is_away { WITHOUT_FAILED } else { RULES });
                was_away = is_away;
            } else if chance.below(3) == 0 {
                night.restart();
            }
            // A stale replica answers, once this page was seen.
            if number > 0 && at > 0 && page.tells_its_age && chance.below(3) == 0 {
                tell(&mut told, &night.decide(pages[at - 1].truth.0.clone(), night.whole()));
            }
            if is_steady && chance.below(10) == 0 {
                let (runs, coverage) = unread(chance, &night, &page.truth);
                let decided = night.decide(runs.clone(), coverage);
                tell(&mut told, &decided);
                check_unread(&decided, &runs, seed);
            }
            let mut runs = page.truth.0.clone();
            let by = chance.below(runs.len() as u64) as usize;
            runs.rotate_left(by);
            tell(&mut told, &night.decide(runs.clone(), night.whole()));
            if chance.below(8) == 0 {
                let again = night.decide(runs, night.whole());
                assert!(again.notices.is_empty(), "seed {seed}: told again: {:?}", again.notices);
            }
            if !is_away && chance.below(24) == 0 {
                check_end_left_out(chance, &mut night, &page.truth, seed);
            }
        }
        since = page.until;
    }
    (told, night.firing())
}

/// Late, doubled, out of order, in parts, with a restart anywhere, and with a rule away and back within ten minutes.
#[test]
fn the_same_life_cut_into_polls_otherwise_tells_the_same_things() {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in seeds(LIVES) {
        let mut chance = Chance(seed);
        let begins = Night::new_from(RULES).now;
        let pages = life(&mut chance, begins);
        let (one, other) = (punctual(&pages, seed), haphazard(&pages, begins, &mut chance, seed));
        assert_eq!(one, other, "seed {seed}");
        for (kind, receivers) in one.0.values().flatten() {
            let word = if receivers.is_empty() { "to nobody" } else { kind.as_str() };
            *count.entry(word).or_default() += 1;
        }
    }
    println!("{count:?}");
    let told = |kind: MessageKind| count.get(kind.as_str()).copied().unwrap_or_default();
    let is_much = [MessageKind::AlertFiring, MessageKind::AlertResolved].map(told).iter().all(|told| *told > 5_000);
    assert!(is_much || is_one_life(), "{count:?}");
}
