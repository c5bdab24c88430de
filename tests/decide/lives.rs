//! Thousands of random lives, without a store: laws that hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use nightbell::decide::{Decided, Notice};
use nightbell::model::{
    Alert, AlertState, Coverage, Instance, InstanceType, MessageKind, Part, ReceiverId, SetAside, Status,
};

use super::{Night, check_ends};
use crate::poll::world::run;

pub(super) const RULES: &str = "  failed: { match: { job: \"etl*\" }, when: { status: [fail, running-exception] }, notify: [hook, mail] }\n\
     \u{20} slow: { match: { job: \"etl*\" }, when: { status: [running], duration: 30m }, notify: [hook] }\n\
     \u{20} long: { match: { job: \"etl*\" }, when: { duration: 45m }, notify: [hook] }\n\
     \u{20} row: { match: { job: \"etl*\" }, when: { consecutive: 2 }, notify: [hook] }\n";
/// The same without the first.
pub(super) const WITHOUT_FAILED: &str = "  slow: { match: { job: \"etl*\" }, when: { status: [running], duration: 30m }, notify: [hook] }\n\
     \u{20} long: { match: { job: \"etl*\" }, when: { duration: 45m }, notify: [hook] }\n\
     \u{20} row: { match: { job: \"etl*\" }, when: { consecutive: 2 }, notify: [hook] }\n";
/// How many lives each law is asked of.
pub(super) const LIVES: u64 = 20_000;

/// How many steps a life has: few, for a fault that shows at all mostly shows in few of them; now and then many.
pub(super) fn steps(chance: &mut Chance) -> u64 {
    if chance.below(32) == 0 { 14 + chance.below(14) } else { 2 + chance.below(5) }
}

/// The seeds of so many lives: others at each run, by a number that is printed and can be given as `NIGHTBELL_TEST_SEED`. One
/// life alone, told step by step, is `NIGHTBELL_TEST_LIFE`, the seed that a failure names.
pub(super) fn seeds(count: u64) -> Vec<u64> {
    let given = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(life) = given(ONE_LIFE) {
        return vec![life];
    }
    let base = given("NIGHTBELL_TEST_SEED")
        .unwrap_or_else(|| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
    println!("NIGHTBELL_TEST_SEED={base}");
    (0..count).map(|life| base ^ life.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1).collect()
}

const ONE_LIFE: &str = "NIGHTBELL_TEST_LIFE";

/// Whether one life alone is told: what is to be found in one of thousands may not be in it.
pub(super) fn is_one_life() -> bool {
    std::env::var_os(ONE_LIFE).is_some()
}

/// Numbers by chance, the same for the same seed.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// The runs as they are, and each time that one was well, or was said to be.
#[derive(Clone)]
pub(super) struct Truth(pub(super) Vec<Instance>, Vec<Instance>);

impl Truth {
    pub(super) fn new(now: Timestamp) -> Truth {
        let plan = [("etl_a", 90), ("etl_a", 50), ("etl_a", 10), ("etl_b", 40), ("quiet", 30)];
        let waiting = |(index, (job, before)): (usize, &(&str, i64))| {
            let due = now - SignedDuration::from_mins(*before);
            Instance { start_time: None, ..run(job, &index.to_string(), Status::Waiting, due, None) }
        };
        Truth(plan.iter().enumerate().map(waiting).collect(), Vec::new())
    }

    /// The same after most of an hour in which some of them went on.
    pub(super) fn under_way(chance: &mut Chance, now: Timestamp) -> Truth {
        let mut truth = Truth::new(now);
        for sixth in (1..=chance.below(9) as i64).rev() {
            truth.go_on(chance, now - SignedDuration::from_mins(6 * sixth));
        }
        truth
    }

    pub(super) fn go_on(&mut self, chance: &mut Chance, now: Timestamp) {
        let count = self.0.len() as u64;
        let run = &mut self.0[chance.below(count) as usize];
        if run.plan_time > Some(now) {
            return;
        }
        let began = run.start_time;
        // A source corrects a start by less than a minute, and only once.
        let corrected = began.filter(|began| began.as_second() % 60 == 0).map(|it| it - SignedDuration::from_secs(20));
        (run.status, run.start_time, run.end_time) = match (run.status, chance.below(9)) {
            (Status::Running, 8) => (Status::Running, corrected.or(began), None),
            (Status::Waiting, _) => (Status::Running, Some(now), None),
            (Status::Running, 0..=2) => (Status::Fail, began, Some(now)),
            (Status::Running, 3) => (Status::RunningException, began, None),
            (Status::Running, 4) => (Status::ManualStop, began, Some(now)),
            (Status::Running, _) => (Status::Success, began, Some(now)),
            (Status::RunningException, 0..=3) => (Status::Fail, began, Some(now)),
            (Status::RunningException, _) => (Status::Running, began, None),
            (Status::Fail, 0) => (Status::IgnoredFailure, began, Some(now)),
            (Status::Fail, 1) => (Status::ForcedSuccess, began, Some(now)),
            (_, _) => (Status::Running, Some(now), None),
        };
        run.raw_status = run.status.to_string();
        if run.status.is_recovery() || run.status == Status::IgnoredFailure {
            self.1.push(run.clone());
        }
    }

    /// How many of a job's runs failed last, one after the other, by their plan.
    fn row(&self, job: &str) -> usize {
        self.latest(job).filter_map(is_well).take_while(|is_well| !is_well).count()
    }

    /// The same with those that are made again and may fail; nothing where none before them was well.
    fn row_at_most(&self, job: &str) -> Option<usize> {
        let mut row: Vec<&Instance> = self.latest(job).take_while(|run| is_well(run) != Some(true)).collect();
        let is_whole = row.len() < self.latest(job).count();
        row.drain(..row.iter().take_while(|run| is_well(run).is_none()).count());
        is_whole.then(|| row.iter().filter(|run| is_well(run).is_some() || !run.status.has_ended()).count())
    }

    fn latest(&self, job: &str) -> impl Iterator<Item = &Instance> {
        let mut runs: Vec<&Instance> = self.0.iter().filter(|run| run.job.name == job).collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.plan_time));
        runs.into_iter()
    }
}

fn is_well(run: &Instance) -> Option<bool> {
    match run.status {
        Status::Fail | Status::RunningException => Some(false),
        status if status.is_recovery() || status == Status::IgnoredFailure => Some(true),
        _ => None,
    }
}

/// What was told of each alert, in its order, and to whom.
pub(super) type Told = BTreeMap<String, Vec<(MessageKind, Vec<ReceiverId>)>>;

pub(super) fn tell(told: &mut Told, decided: &Decided) {
    check_ends(decided);
    check_notices(told, decided);
    for notice in &decided.notices {
        let of_alert = told.entry(decided.alert(notice.alert).id.to_string()).or_default();
        of_alert.push((notice.kind, decided.receivers(notice).to_vec()));
    }
}

/// Whatever begins and nothing holds back is told once, and so is the end of what was told.
fn check_notices(told: &Told, decided: &Decided) {
    let notices = |alert: &Alert, kind: MessageKind| {
        let is_it = |notice: &&Notice| notice.kind == kind && decided.alert(notice.alert).id == alert.id;
        decided.notices.iter().filter(is_it).count()
    };
    for alert in decided.fired.iter().filter(|alert| alert.suppressed_by.is_none()) {
        assert_eq!(notices(alert, MessageKind::about(alert.state())), 1, "it begins, and nobody is told: {alert:?}");
    }
    let was_told = |alert: &&Alert| {
        let of_alert = told.get(alert.id.as_str()).into_iter().flatten();
        of_alert.into_iter().any(|(kind, _)| *kind == MessageKind::AlertFiring)
    };
    let ended = decided.changed.iter().filter(|alert| alert.state() == AlertState::Resolved);
    for alert in ended.filter(was_told) {
        assert_eq!(notices(alert, MessageKind::AlertResolved), 1, "it ends, and nobody is told: {alert:?}");
    }
    // Of what was held back all its life no end is told.
    for notice in decided.notices.iter().filter(|notice| notice.kind == MessageKind::AlertResolved) {
        let alert = decided.alert(notice.alert);
        let begins_now = notices(alert, MessageKind::AlertFiring) > 0;
        let is_over_at_first_sight = decided.fired.iter().any(|it| it.id == alert.id && it.suppressed_by.is_none());
        let hears = !decided.receivers(notice).is_empty();
        let knows = !hears || was_told(&alert) || begins_now || is_over_at_first_sight;
        assert!(knows, "its end is told, and nobody was told of it: {alert:?}");
    }
}

/// What holds of everything that was told in a life.
pub(super) fn check_told(told: &Told, seed: u64) {
    for (alert, notices) in told {
        let of = |kind: MessageKind| notices.iter().filter(move |(told, _)| *told == kind);
        let (mut firing, mut over) = (of(MessageKind::AlertFiring), of(MessageKind::AlertResolved));
        let (began, ended) = (firing.next(), over.next());
        let is_once = firing.next().is_none() && over.next().is_none();
        assert!(is_once, "seed {seed}: {alert} was told twice: {notices:?}");
        let is_in_order = notices.len() == 1 || notices[0].0 == MessageKind::AlertFiring;
        assert!(is_in_order, "seed {seed}: {alert}: {notices:?}");
        if let (Some((_, began)), Some((_, ended))) = (began, ended) {
            assert!(!began.is_empty(), "seed {seed}: {alert}: nobody hears of it: {notices:?}");
            let [began, ended] = [began, ended].map(|receivers| receivers.iter().collect::<BTreeSet<_>>());
            assert_eq!(began, ended, "seed {seed}: {alert}: its end goes to others than its beginning: {notices:?}");
        }
    }
}

/// After a poll that has seen everything as it is.
pub(super) fn check_holds(night: &Night, truth: &Truth, seed: u64) {
    let alerts: Vec<&Alert> = night.known.memory.firing.firing().map(|alert| &**alert).collect();
    let fires = |rule: &str, run: &Instance| {
        let is_it = |alert: &&Alert| alert.rule.as_str() == rule && alert.facts.job.name == run.job.name;
        alerts.iter().filter(|alert| is_it(alert)).any(|alert| alert.facts.instance.as_ref().unwrap().id == run.id)
    };
    for run in truth.0.iter().filter(|run| run.job.name.starts_with("etl")) {
        let lasted = run.duration(night.now).unwrap_or_default().as_secs() / 60;
        let is_slow = run.status == Status::Running && lasted >= 30;
        assert_eq!(fires("slow", run), is_slow, "seed {seed}: slow, {run:?}");
        let is_long = !run.status.has_ended() && lasted >= 45;
        assert_eq!(fires("long", run), is_long, "seed {seed}: long, {run:?}");
        if run.status.is_recovery() || matches!(run.status, Status::IgnoredFailure | Status::ManualStop) {
            assert!(!fires("failed", run), "seed {seed}: over, and still fires: {run:?}");
        }
        if run.status == Status::RunningException {
            assert!(fires("failed", run), "seed {seed}: not told: {run:?}");
        }
        let vouches = |other: &Instance| {
            let is_later = other.job == run.job && other.plan_time > run.plan_time && other.status.is_recovery();
            is_later && other.end_time >= run.end_time
        };
        if run.status == Status::Fail && !truth.1.iter().any(vouches) {
            assert!(fires("failed", run), "seed {seed}: not told: {run:?}");
        }
        if run.status.is_recovery() || run.status == Status::IgnoredFailure {
            assert!(!fires("row", run), "seed {seed}: its last run is well, and the row still fires: {run:?}");
        }
    }
    for job in ["etl_a", "etl_b"] {
        let fires_row = alerts.iter().any(|alert| alert.rule.as_str() == "row" && alert.facts.job.name == job);
        let at_most = truth.row_at_most(job);
        assert!(!fires_row || at_most.is_none_or(|row| row >= 2), "seed {seed}: no row any more: {:?}", truth.0);
        // A run that was well once breaks a row that is met again when it is made again; nothing else shortens one.
        let was_ever_well = truth.1.iter().any(|other| other.job.name == job);
        if truth.row(job) >= 2 && !was_ever_well {
            assert!(fires_row, "seed {seed}: a row was not told: {:?}", truth.0);
        }
    }
}

/// A listing in which some runs are missing, and that says so in one way or another.
pub(super) fn unread(chance: &mut Chance, night: &Night, truth: &Truth) -> (Vec<Instance>, Coverage) {
    let set_aside = |job: Option<&str>| SetAside {
        reason: "no id".into(),
        snippet: "{}".into(),
        job: job.map(str::to_string),
        at: "/0".into(),
    };
    let mut coverage = night.whole();
    let may_miss: fn(&Instance) -> bool = match chance.below(5) {
        0 => {
            coverage = coverage.without(Part::AnyRun, "3 of 4 instances could be read");
            |_| true
        }
        1 => {
            coverage = coverage.without(Part::Job("etl_a".into()), "its list was cut off");
            |run| run.job.name == "etl_a"
        }
        2 => {
            coverage = coverage.without(Part::Kind(InstanceType::Scheduled), "its list was refused");
            |_| true
        }
        3 => {
            coverage.set_aside.push(set_aside(Some("etl_a")));
            |run| run.job.name == "etl_a"
        }
        _ => {
            coverage.set_aside.push(set_aside(None));
            |_| true
        }
    };
    let runs = truth.0.iter().filter(|run| !may_miss(run) || chance.below(2) == 0).cloned().collect();
    (runs, coverage)
}

/// What was not read changes nothing: nothing begins or ends about a run that was not seen, unless a run that was seen says so.
pub(super) fn check_unread(decided: &Decided, seen: &[Instance], seed: u64) {
    let is_seen = |alert: &Alert| {
        let run = alert.facts.instance.as_ref().unwrap();
        seen.iter().any(|one| one.id == run.id)
    };
    for alert in decided.fired.iter().filter(|alert| !is_seen(alert)) {
        // A row is told with its last run, whichever of them was seen to fail.
        let is_row = alert.rule.as_str() == "row" && seen.iter().any(|run| run.job.name == alert.facts.job.name);
        assert!(is_row, "seed {seed}: begins unseen: {alert:?}");
    }
    for alert in decided.changed.iter().filter(|alert| !is_seen(alert)) {
        let planned = alert.facts.instance.as_ref().unwrap().plan_time;
        let vouches = |run: &Instance| {
            run.job.name == alert.facts.job.name && run.plan_time > planned && run.status.is_recovery()
        };
        let is_over = alert.state() == AlertState::Resolved && seen.iter().any(vouches);
        assert!(is_over, "seed {seed}: changes unseen: {alert:?}");
    }
}

#[test]
fn what_holds_fires_and_what_is_over_ends_for_one_reason() {
    let shows = is_one_life();
    for seed in seeds(LIVES) {
        let mut chance = Chance(seed);
        let (mut night, mut told) = (Night::new_from(RULES), Told::new());
        let mut truth = Truth::under_way(&mut chance, night.now);
        for _ in 0..steps(&mut chance) {
            night.pass(1 + chance.below(12) as i64);
            if shows {
                let runs = truth
                    .0
                    .iter()
                    .map(|run| format!("{} {} {:?} {:?}", run.id, run.status, run.start_time, run.end_time));
                println!("{}\n  {}\n  {:?}", night.now, runs.collect::<Vec<_>>().join("\n  "), night.firing());
            }
            match chance.below(9) {
                0..=3 => truth.go_on(&mut chance, night.now),
                8 => {
                    let (runs, coverage) = unread(&mut chance, &night, &truth);
                    let decided = night.decide(runs.clone(), coverage);
                    if shows {
                        println!("{} runs were seen: {:?}", runs.len(), super::notices(&decided));
                    }
                    tell(&mut told, &decided);
                    check_unread(&decided, &runs, seed);
                }
                4 => {
                    // What could not be read changes nothing.
                    let decided = night.decide([], night.short());
                    assert!(decided.notices.is_empty() && decided.fired.is_empty(), "seed {seed}: {decided:?}");
                    assert!(decided.changed.is_empty() && decided.instances.is_empty(), "seed {seed}: {decided:?}");
                }
                kind => {
                    if kind == 5 {
                        night.restart();
                    }
                    let mut runs = truth.0.clone();
                    let by = chance.below(runs.len() as u64) as usize;
                    runs.rotate_left(by);
                    let decided = night.decide(runs.clone(), night.whole());
                    if shows {
                        println!("{:?}", super::notices(&decided));
                    }
                    tell(&mut told, &decided);
                    check_holds(&night, &truth, seed);
                    // The same seen once more, or after a restart, is nothing new.
                    if chance.below(2) == 0 {
                        night.restart();
                    }
                    let again = night.decide(runs, night.whole());
                    assert!(again.notices.is_empty(), "seed {seed}: told again: {:?}", again.notices);
                    if chance.below(3) == 0 {
                        check_end_left_out(&mut chance, &mut night, &truth, seed);
                    }
                }
            }
        }
        check_told(&told, seed);
    }
}

/// A page that leaves out when a run ended, and perhaps when it began, tells nothing, and neither does the next one that shows it
/// again.
pub(super) fn check_end_left_out(chance: &mut Chance, night: &mut Night, truth: &Truth, seed: u64) {
    let mut less = truth.0.clone();
    let by = chance.below(less.len() as u64) as usize;
    if less[by].end_time.take().is_some() && chance.below(2) == 0 {
        less[by].start_time = None;
    }
    for page in [less, truth.0.clone()] {
        let decided = night.decide(page, night.whole());
        let is_quiet = decided.notices.is_empty() && decided.fired.is_empty();
        assert!(is_quiet, "seed {seed}: told of an end that was left out: {decided:?}");
        if chance.below(2) == 0 {
            night.restart();
        }
    }
    check_holds(night, truth, seed);
}
