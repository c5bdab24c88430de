//! Three real processes on one real PostgreSQL, their clocks an hour apart: they are killed, frozen, stopped and cut off from
//! their database, and the database is restarted and held up, while a storm of failures is read and delivered to six
//! receivers. Nothing may be lost, nothing invented, a repeat must be the same message under the same id and be on record
//! as one whose outcome was unknown, and without faults there is none.

mod apart;
mod hands;
mod machines;
mod outage;
mod pace;
mod rolling;
mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sqlx::Row as _;

use self::apart::{Passes, is_apart};
use self::pace::Pace;
use self::scene::{Befallen, REPLICAS, Scene, signal};
use super::kill::Random;
use super::pause;
use super::sink::Hit;

/// Faults in quick succession, unless `NIGHTBELL_FAULTS` says otherwise; with those that are waited for there are more than a
/// hundred.
const FAULTS: u64 = 90;
/// How many jobs fail in all, unless `NIGHTBELL_FAILURES` says otherwise: six messages each.
const FAILURES: u64 = 2000;
/// Rounds of deaths, and of stops in order, whose takeover is waited for.
const ROUNDS: u64 = 4;
/// How long a holder is frozen, or hears nothing, that goes on when its leases are gone.
const FROZEN: Duration = Duration::from_secs(30);
/// How long others are cut off from the database: longer than a lease lasts.
const CUT_OFF: Duration = Duration::from_secs(18);
/// How long the commit takes over which its holder dies: longer than a lease lasts.
const SLOW_COMMIT: Duration = Duration::from_secs(16);
/// How long 99 of a hundred leases may be without a holder after a kill.
const KILL_TAKEOVER_MAX: Duration = Duration::from_secs(20);
/// The same after SIGTERM, in its two parts: what is waited for however fast the machine is (a turn under way, and the next
/// question whether a lease is free), and what is worked, which takes as many times as long as the machine is slow. They are
/// 2 s on an idle one.
const TERM_TAKEOVER_MAX: [Duration; 2] = [Duration::from_millis(600), Duration::from_millis(1400)];
/// How slow a machine may be and still be believed.
const SLOWNESS_MAX: f64 = 15.0;
/// Messages that a lane may have sent without their outcomes being stored, when its lease is lost: they and no others are sent
/// again.
const UNKNOWN_MAX: usize = 64;

const RULES: &str = "rules:\n  failed: { when: { status: [fail] }, severity: critical, \
    notify: [hook0, hook1, hook2, hook3, hook4, hook5] }\n";

/// What befell whom, by kind.
#[derive(Default)]
struct Takeovers {
    kills: Vec<Befallen>,
    terms: Vec<Befallen>,
    others: Vec<Befallen>,
    /// When takeovers after SIGTERM were under way.
    waited: Vec<(Instant, Instant)>,
}

/// A commit takes longer than a lease lasts, and who waits for it dies: the server makes it all the same, and whoever takes the
/// lease finds it made.
async fn dies_over_a_commit(scene: &mut Scene, known: &mut Takeovers) {
    scene.everything_is_told().await;
    let began = Instant::now();
    scene.commits_take(SLOW_COMMIT).await;
    scene.fail(40);
    let committing = "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE relation = 'moment'::regclass \
        AND mode = 'RowExclusiveLock' AND wait_event = 'PgSleep'";
    scene.until("a poll is being committed", committing).await;
    scene.commits_take(Duration::ZERO).await;
    let which = scene.holder_of("poll/warehouse").await;
    let befallen = scene.held_by(which).await;
    println!("kill -9 of a holder of {} whose commit takes {SLOW_COMMIT:?}", befallen.held.len());
    scene.replicas[which].kill();
    let number = "SELECT COUNT(*) FROM alert";
    let before: i64 = scene.ask(number.into()).await[0].get(0);
    scene.taken_over(&[&befallen]).await;
    // The lease could not be taken before the commit was made.
    assert!(began.elapsed() >= SLOW_COMMIT, "the lease was taken while a write under it was being committed");
    let after: i64 = scene.ask(number.into()).await[0].get(0);
    assert!(after > before, "{before} alerts, and then {after}: it was not committed");
    known.kills.push(befallen);
    scene.replicas[which] = scene.start(which);
}

/// The faults whose end is waited for. Returns how many there were.
async fn faults_one_by_one(scene: &mut Scene, random: &mut Random, known: &mut Takeovers) -> u64 {
    for round in 0..ROUNDS {
        for _ in 0..2 {
            let (which, befallen) = scene.holder(random).await;
            println!("SIGTERM to a holder of {}", befallen.held.len());
            let began = Instant::now();
            scene.replace(which);
            scene.taken_over(&[&befallen]).await;
            known.waited.push((began, Instant::now()));
            known.terms.push(befallen);
            scene.fail(5);
        }
        if round == 2 {
            dies_over_a_commit(scene, known).await;
            continue;
        }
        let (first, _) = scene.holder(random).await;
        let victims: Vec<usize> = (first..=first + usize::from(round % 2 == 1)).map(|which| which % REPLICAS).collect();
        let mut befallen = Vec::new();
        for which in &victims {
            let one = scene.held_by(*which).await;
            println!("kill -9 of a holder of {}", one.held.len());
            scene.replicas[*which].kill();
            befallen.push(one);
        }
        scene.fail(40);
        scene.taken_over(&befallen.iter().collect::<Vec<_>>()).await;
        known.kills.extend(befallen);
        for which in victims {
            scene.replicas[which] = scene.start(which);
        }
    }
    // One is frozen and one hears nothing, at once: the third has everything to do.
    let (frozen, befallen) = scene.holder(random).await;
    let deaf = (frozen + 1) % REPLICAS;
    let cut = scene.held_by(deaf).await;
    println!("a holder of {} is frozen, one of {} hears nothing, for {FROZEN:?}", befallen.held.len(), cut.held.len());
    let (pid, began) = (scene.pid(frozen), Instant::now());
    signal(pid, "-STOP");
    scene.ways[deaf].let_pass(Passes { there: true, back: false }, FROZEN);
    scene.fail(40);
    scene.taken_over(&[&befallen, &cut]).await;
    tokio::time::sleep_until((began + FROZEN).into()).await;
    signal(pid, "-CONT");
    scene.says(frozen, "the lease is lost").await;
    known.others.extend([befallen, cut]);
    // What one says is not heard, and another is cut off in both directions, for longer than a lease lasts.
    let (mute, befallen) = scene.holder(random).await;
    let cut = (mute + 1) % REPLICAS;
    let also = scene.held_by(cut).await;
    println!(
        "a holder of {} is not heard, one of {} is cut off, for {CUT_OFF:?}",
        befallen.held.len(),
        also.held.len()
    );
    scene.ways[mute].let_pass(Passes { there: false, back: true }, CUT_OFF);
    scene.ways[cut].let_pass(Passes { there: false, back: false }, CUT_OFF);
    scene.fail(40);
    scene.taken_over(&[&befallen, &also]).await;
    known.others.extend([befallen, also]);
    3 * ROUNDS + ROUNDS / 2 + 4
}

/// One fault of many, of this kind, whose end is not waited for.
async fn fault(kind: u64, scene: &mut Scene, random: &mut Random, known: &mut Takeovers) {
    let which = usize::try_from(random.below(REPLICAS as u64)).unwrap();
    let time = Duration::from_millis(300 + random.below(3500));
    match kind {
        0..=2 => {
            println!("kill -9");
            known.others.push(scene.held_by(which).await);
            scene.replicas[which].kill();
            scene.replicas[which] = scene.start(which);
        }
        3..=4 => {
            println!("SIGTERM");
            scene.replace(which);
        }
        5..=8 => {
            println!("frozen for {time:?}");
            let pid = scene.pid(which);
            signal(pid, "-STOP");
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                signal(pid, "-CONT");
            });
        }
        9..=12 => {
            let passes = [(false, false), (true, false), (false, true)][usize::try_from(random.below(3)).unwrap()];
            let passes = Passes { there: passes.0, back: passes.1 };
            println!("cut off for {time:?}: {passes:?}");
            scene.ways[which].let_pass(passes, time);
        }
        13 => {
            println!("the database ends every connection");
            let end =
                "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE application_name = 'nightbell'";
            scene.ask(end.into()).await;
        }
        14 if random.below(2) == 0 => {
            println!("commits take 1.5 s");
            scene.commits_take(Duration::from_millis(1500)).await;
            pause(1500).await;
            scene.commits_take(Duration::ZERO).await;
        }
        14 => {
            println!("writes wait for a lock");
            scene.ask("BEGIN; LOCK TABLE moment IN EXCLUSIVE MODE; SELECT 1 FROM pg_sleep(1.5); COMMIT".into()).await;
        }
        _ => {
            println!("the database is restarted");
            tokio::task::block_in_place(|| scene.cluster.restart());
        }
    }
}

/// Each message has one id and one text, however often it came; and it came again only where the outcome of an attempt was
/// unknown to whoever went on.
async fn repeats_are_on_record(scene: &Scene, hits: &[Hit]) {
    let mut bodies: BTreeMap<String, (BTreeSet<&str>, i64)> = BTreeMap::new();
    for hit in hits {
        let (known, times) = bodies.entry(hit.id()).or_default();
        known.insert(&hit.body);
        *times += 1;
    }
    assert!(bodies.values().all(|(bodies, _)| bodies.len() == 1), "a repeat with other bytes");
    assert_eq!(bodies.len(), scene.demanded.len(), "a repeat under another id");
    let began = Instant::now();
    loop {
        let query =
            "SELECT delivery, COUNT(*), COUNT(*) FILTER (WHERE outcome = 'delivered') FROM attempt GROUP BY delivery";
        let rows = scene.ask(query.into()).await;
        let attempts: BTreeMap<String, (i64, i64)> =
            rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
        assert!(
            attempts.values().all(|(_, delivered)| *delivered < 2),
            "sent again after it was known to have arrived"
        );
        if bodies
            .iter()
            .all(|(id, (_, times))| attempts.get(id).is_some_and(|(made, known)| made >= times && *known == 1))
        {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "more was sent than is on record");
        pause(200).await;
    }
}

/// How long leases were without a holder.
struct Gaps {
    median: Duration,
    /// The 99th percentile.
    p99: Duration,
    count: usize,
}

impl std::fmt::Display for Gaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Gaps { median, p99, count } = self;
        write!(f, "{count} leases, half taken over within {median:?}, p99 {p99:?}")
    }
}

async fn gaps(scene: &Scene, befallen: &[Befallen]) -> Gaps {
    let mut all = Vec::new();
    for one in befallen {
        all.extend(scene.gaps(one).await.into_iter().flatten());
    }
    all.sort();
    let at =
        |percent: usize| all.get((all.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default();
    Gaps { median: at(50), p99: at(99), count: all.len() }
}

#[test]
fn three_replicas_lose_and_invent_nothing_whatever_befalls_them() {
    if is_apart("program::replicas::three_replicas_lose_and_invent_nothing_whatever_befalls_them") {
        tokio::runtime::Runtime::new().unwrap().block_on(storm());
    }
}

async fn storm() {
    let mut random = Random::from_environment();
    let asked = |name, usual| std::env::var(name).map_or(usual, |number| number.parse::<u64>().unwrap());
    let (faults, failures) = (asked("NIGHTBELL_FAULTS", FAULTS), asked("NIGHTBELL_FAILURES", FAILURES));
    let began = Instant::now();
    let mut scene = Scene::set(RULES).await;
    let pace = Pace::measured(scene.database());

    scene.fail(failures / 4);
    let hits = scene.everything_is_told().await;
    assert_eq!(hits.len(), scene.demanded.len(), "a repeat without a fault");
    println!("{} messages without a fault, after {:?}", hits.len(), began.elapsed());

    let mut known = Takeovers::default();
    let waited_for = faults_one_by_one(&mut scene, &mut random, &mut known).await;
    println!("{waited_for} faults one by one, after {:?}", began.elapsed());
    let (left, first) = (failures.saturating_sub(scene.failed()), random.below(16));
    for number in 0..faults {
        scene.fail(left / faults + u64::from(number < left % faults));
        // Each kind as often as any other, in an order that mixes them.
        fault((first + number * 7) % 16, &mut scene, &mut random, &mut known).await;
        pause(random.below(900)).await;
    }
    for which in 0..REPLICAS {
        signal(scene.pid(which), "-CONT");
    }
    println!("{faults} more, after {:?}", began.elapsed());
    let hits = scene.everything_is_told().await;
    repeats_are_on_record(&scene, &hits).await;

    let repeats = hits.len() - scene.demanded.len();
    let lost = scene.lost_lanes().await;
    println!(
        "{} faults, {} messages demanded, {repeats} repeats after {lost} lanes were lost; all of it took {:?}",
        waited_for + faults,
        scene.demanded.len(),
        began.elapsed()
    );
    assert!(repeats <= lost * UNKNOWN_MAX, "{repeats} repeats for {lost} lost lanes: more than was on the wire");
    let others = gaps(&scene, &known.others).await;
    println!("after a freeze, a cut, or a kill among others: {others}");
    let kills = gaps(&scene, &known.kills).await;
    println!("after a kill: {kills}");
    let slowness = known.waited.iter().map(|(from, until)| pace.slowness(*from, *until)).fold(1.0, f64::max);
    let [waits, works] = TERM_TAKEOVER_MAX;
    let bar = waits + works.mul_f64(slowness.min(SLOWNESS_MAX));
    let terms = gaps(&scene, &known.terms).await;
    println!("after SIGTERM: {terms}; the machine was up to {slowness:.1} times as slow as at best: at most {bar:?}");
    assert!(kills.count > 20 && terms.count > 20, "too few takeovers to speak of");
    assert!(kills.p99 <= KILL_TAKEOVER_MAX, "taken over {:?} after a kill", kills.p99);
    assert!(terms.p99 <= bar, "taken over {:?} after SIGTERM", terms.p99);
}
