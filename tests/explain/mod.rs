//! Why somebody was told, or why not: on a random day every telling and every silence has its reason, and the command
//! says it to people.

mod command;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nightbell::desk::explain::{Asked, Outcome, Question, TracedDelivery, explain, find};
use nightbell::model::{Attempt, AttemptOutcome, Concerns, DeliveryState, Instance, InstanceType, ReceiverId, Status};
use nightbell::rule::history::Past;
use nightbell::rule::{Objection, Standing, Unmet};
use nightbell::store::{Archive as _, Desk as _, InstanceFilter, NewSilence, Outbox as _, Settled};
use nightbell::words::{Language, suppression};

use crate::poll::world::{Scene, run};

const RULES: &str = "  failed: { when: { status: [fail, running-exception] }, severity: critical, notify: [{ to: hook }, { after: 20m, to: lead }, { after: 2h, to: [hook, lead] }] }
  failed-by-hand: { match: { instance_type: [manual, backfill] }, when: { status: fail }, notify: [mail] }
  loads-only: { match: { job: 'load_*', not: load_tmp }, when: { status: fail }, severity: warning, notify: [hook, mail] }
  elsewhere: { match: { job: nowhere }, when: { status: fail }, notify: [hook] }
  long: { when: { status: running, duration: 25m }, severity: warning, notify: [hook] }
  long-at-all: { when: { duration: 40m }, notify: [mail] }
  nobody: { when: { status: fail } }
  row: { when: { consecutive: 2 }, notify: [hook] }
  rate: { when: { failure_rate: { over: 6, above: 40% } }, notify: [mail] }
  slow: { when: { slower_than_usual: { factor: 2, min_runs: 4 } }, notify: [hook] }
  in-time: { when: { not_finished_by: \"12:30\", warn_at: \"12:10\" }, notify: [hook] }
  begun: { match: { job: load_b }, when: { not_started_by: \"06:15\" }, notify: [hook] }
  pending: { match: { job: load_a }, when: { missing: { schedule: \"0 * * * *\", grace: 20m } }, notify: [hook] }
mute_windows:
  lunch: { match: { severity: warning }, from: \"12:00\", to: \"13:00\" }
inhibit:
  loads-first: { by: { rule: failed, job: 'load_*' }, match: { job: report } }
";

/// Numbers that look random and are the same every time (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> i64 {
        i64::try_from(self.next() % limit).unwrap()
    }

    fn in_a_hundred(&mut self, times: u64) -> bool {
        self.next() % 100 < times
    }
}

/// A run as it will be: what it shows at an instant.
struct Course {
    run: Instance,
    begins: Timestamp,
    ends: Timestamp,
    end: Status,
}

impl Course {
    fn at(&self, now: Timestamp) -> Option<Instance> {
        if now < self.run.plan_time? {
            return None;
        }
        let mut run = self.run.clone();
        (run.status, run.start_time, run.end_time) = match () {
            () if now < self.begins => (Status::Waiting, None, None),
            () if now < self.ends => (Status::Running, Some(self.begins), None),
            () => (self.end, Some(self.begins), Some(self.ends)),
        };
        run.raw_status = run.status.to_string();
        Some(run)
    }
}

/// A day of four jobs, a run of each every hour or so.
fn courses(chance: &mut Chance, from: Timestamp) -> Vec<Course> {
    let mut courses = Vec::new();
    for job in ["load_a", "load_b", "load_tmp", "report"] {
        for hour in 0..24 {
            if chance.in_a_hundred(8) {
                continue;
            }
            let planned = from + SignedDuration::from_mins(60 * hour);
            let begins = planned + SignedDuration::from_mins(chance.below(12));
            let lasts = if chance.in_a_hundred(15) { 20 + chance.below(60) } else { 6 + chance.below(6) };
            let end = match chance.below(20) {
                0..=5 => Status::Fail,
                6 => Status::ManualStop,
                7 => Status::RunningException,
                8 => Status::Skip,
                _ => Status::Success,
            };
            let mut run = run(job, &format!("{job}-{hour}"), Status::Waiting, planned, None);
            run.kind = match chance.below(12) {
                0 => InstanceType::Manual,
                1 => InstanceType::Backfill,
                _ => InstanceType::Scheduled,
            };
            courses.push(Course { run, begins, ends: begins + SignedDuration::from_mins(lasts), end });
        }
    }
    courses
}

/// Attempts what is due: most arrive, some die.
async fn deliver(scene: &Scene, chance: &mut Chance) {
    for receiver in ["hook", "mail", "lead"] {
        let claimed = scene.store.claim(&ReceiverId::new(receiver), scene.now(), 1000).await.unwrap();
        let mut settled = Vec::new();
        for delivery in claimed {
            let is_dead = chance.in_a_hundred(10);
            let attempt = match is_dead {
                true => Attempt::failed(AttemptOutcome::Rejected, Some("404".into()), "no such channel"),
                false => Attempt::delivered("200"),
            };
            settled.push(Settled {
                id: delivery.id.clone(),
                attempt_number: delivery.attempts + 1,
                started_at: scene.now(),
                ended_at: scene.now(),
                last_error: attempt.error.clone(),
                state: if is_dead { DeliveryState::Dead } else { DeliveryState::Delivered },
                attempt,
                next_attempt_at: None,
                patience_spent: std::time::Duration::ZERO,
            });
        }
        scene.store.settle(&settled).await.unwrap();
    }
}

/// What the day left behind: how often each outcome was given.
async fn outcomes(scene: &Scene, seed: u64) -> BTreeMap<String, usize> {
    let everything = InstanceFilter { source: None, jobs: None, statuses: Vec::new(), from: None, limit: usize::MAX };
    let alerts = scene.alerts().await;
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for run in scene.store.instances(&everything).await.unwrap() {
        let asked = Asked::Run(Box::new(run.clone()));
        let explanation = explain(&scene.store, scene.rules(), asked, scene.now()).await.unwrap();
        assert_eq!(explanation.rules.len(), scene.rules().rules().len());
        for explained in &explanation.rules {
            let context = || format!("seed {seed}: {} of {run:?}: {explained:#?}", explained.rule.id);
            let own = alerts
                .iter()
                .filter(|alert| alert.rule == explained.rule.id)
                .filter(|alert| alert.facts.instance.as_ref().is_some_and(|part| part.id == run.id));
            assert_eq!(explained.told.len(), own.count(), "{}", context());
            let states: Vec<DeliveryState> =
                explained.told.iter().flat_map(|told| told.deliveries.iter().map(|traced| traced.state())).collect();
            let word = match &explained.outcome {
                Outcome::Told => {
                    assert!(states.contains(&DeliveryState::Delivered), "{}", context());
                    "told".to_string()
                }
                Outcome::Pending => {
                    assert!(states.contains(&DeliveryState::Pending), "{}", context());
                    "pending".to_string()
                }
                Outcome::NotTold { code, why } => {
                    for language in Language::ALL {
                        assert!(why.words(language, &TimeZone::UTC).chars().count() > 5, "{}", context());
                    }
                    // What holds and was not told has a reason of its own, and what does not hold says what fails.
                    assert!(!matches!(*code, "settled-before" | "never-polled" | "rule-is-new"), "{}", context());
                    if explained.told.is_empty() && *code != "same-episode" && *code != "next-poll" {
                        assert!(matches!(explained.standing, Some(Standing::Fails(_))), "{}", context());
                    }
                    match explained.told.first().and_then(|told| told.alert.suppressed_by.as_ref()) {
                        Some(by) if *code == "suppressed" => {
                            let by_what = suppression(&by.to_string(), Language::En);
                            assert!(why.in_english().contains(&by_what), "{}", context());
                            by.to_string()
                        }
                        _ => (*code).to_string(),
                    }
                }
            };
            *counted.entry(word).or_default() += 1;
            for step in explained.told.iter().flat_map(|told| &told.deliveries).filter_map(TracedDelivery::step) {
                *counted.entry(format!("step {step}")).or_default() += 1;
            }
        }
    }
    counted
}

#[tokio::test]
async fn on_a_random_day_every_telling_and_every_silence_has_exactly_one_reason() {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for seed in [7, 1131] {
        let mut chance = Chance(seed);
        let mut scene = Scene::open(RULES).await;
        let courses = courses(&mut chance, scene.now());
        for step in 0..(26 * 4) {
            let now = scene.now();
            scene.show(courses.iter().filter_map(|course| course.at(now)));
            if step == 30 {
                let ends_at = now + SignedDuration::from_hours(2);
                let concerns = Concerns { jobs: vec!["load_*".into()], ..Concerns::default() };
                let silence = NewSilence { concerns, reason: "deploy".into(), by: "ada".into(), ends_at };
                scene.store.add_silence(&silence, now).await.unwrap();
            }
            scene.poll().await;
            scene.escalate().await;
            if chance.in_a_hundred(80) {
                deliver(&scene, &mut chance).await;
            }
            scene.pass(SignedDuration::from_mins(15));
        }
        for (word, count) in outcomes(&scene, seed).await {
            *all.entry(word).or_default() += count;
        }
    }
    println!("{all:?}");
    let needed = [
        "told",
        "dead",
        "silence:1",
        "mute-window:lunch",
        "inhibited:loads-first",
        "step 2",
        "step 3",
        "other-job",
        "other-status",
        "nobody-to-tell",
        "row-too-short",
        "in-time",
    ];
    for word in needed {
        assert!(all.contains_key(word), "{word} never came up: {all:?}");
    }
}

#[tokio::test]
async fn a_run_is_found_by_its_id_and_a_job_by_its_name_and_what_is_near_is_named() {
    let mut scene = Scene::open("  any: { when: { status: fail }, notify: [hook] }\n").await;
    let now = scene.now();
    let two = [("etl/orders", "34765"), ("etl_b", "34766"), ("etl_b", "etl/orders")];
    scene.show(two.map(|(job, id)| run(job, id, Status::Success, now, Some(now))));
    scene.poll().await;
    let rules = scene.rules();
    let found = async |text: &str| {
        let question = Question { text, sees: &|_, _| true, after: None, limit: 9 };
        match find(&scene.store, rules, &question).await.unwrap() {
            Ok(found) => found
                .into_iter()
                .map(|asked| match asked {
                    Asked::Run(run) => format!("run {} of {}", run.id, run.job.name),
                    Asked::Job(_, job) => format!("job {job}"),
                })
                .collect::<Vec<_>>()
                .join(", "),
            Err(near) => format!("near {near:?}"),
        }
    };
    assert_eq!(found("34765").await, "run 34765 of etl/orders");
    assert_eq!(found("etl/orders/34765").await, "run 34765 of etl/orders");
    assert_eq!(found("etl/orders").await, "job etl/orders");
    assert_eq!(found("etl_b").await, "job etl_b");
    assert_eq!(found("etl_b/34765").await, "near None");
    assert_eq!(found("etl_c").await, "near Some(\"etl_b\")");
    assert_eq!(found("etl/ordres").await, "near Some(\"etl/orders\")");
}

/// Each condition says its numbers.
#[tokio::test]
async fn every_condition_says_what_it_measured() {
    let scene = Scene::open(RULES).await;
    let begin = "2026-11-21T10:00:00Z".parse::<Timestamp>().unwrap();
    let after = |minutes: i64| begin + SignedDuration::from_mins(minutes);
    let mut past = Past::default();
    for hour in 1..=5_i64 {
        let earlier = begin - SignedDuration::from_hours(hour);
        let status = if hour == 2 { Status::Fail } else { Status::Success };
        let end = earlier + SignedDuration::from_mins(10);
        past.enter(&format!("{hour}"), &run("load_b", "", status, earlier, Some(end)).snapshot());
    }
    let said = |rule: &str, run: &Instance, now: Timestamp| {
        let rule = scene.rules().get(&nightbell::model::RuleId::new(rule)).unwrap();
        let standing = rule.stand(run, &past, now);
        let head = if matches!(standing, Standing::Holds(_)) { "holds: " } else { "" };
        assert!(!standing.saying(rule).words(Language::Zh, &TimeZone::UTC).is_empty());
        format!("{head}{}", standing.saying(rule).words(Language::En, &TimeZone::UTC))
    };
    let failed = run("load_b", "x", Status::Fail, begin, Some(after(12)));
    let running = run("load_b", "x", Status::Running, begin, None);
    // rule, run, now, what is said
    let table = [
        ("failed", &failed, after(20), "holds: status fail"),
        ("failed", &running, after(20), "status running is not fail or running-exception"),
        ("failed-by-hand", &failed, after(20), "the rule does not name the instance type scheduled"),
        ("long", &running, after(12), "lasted 12m of 25m"),
        ("long", &running, after(26), "holds: status running, lasted 26m, limit 25m"),
        ("row", &failed, after(20), "1 of 2 failures in a row"),
        ("row", &running, after(20), "a run that is running does not count"),
        ("rate", &failed, after(20), "2 of the last 6 runs failed (33%), not above 40%"),
        ("slow", &running, after(12), "took 12m: usually 10m, too slow from 20m"),
        ("slow", &running, after(20), "holds: took 20m: usually 10m, too slow from 20m"),
        ("in-time", &running, after(20), "not due before Sat 12:10"),
        ("in-time", &running, after(151), "holds: running, due Sat 12:30"),
        ("begun", &running, after(20), "in time: Sat 10:00, due Sun 06:15"),
        ("pending", &failed, after(20), "there is a run for Sat 10:00"),
    ];
    for (rule, run, now, expected) in table {
        assert_eq!(said(rule, run, now), expected, "{rule}");
    }
    let objection = Objection::Run(Unmet::DurationUnknown);
    assert_eq!(objection.code(), "duration-unknown");
}
