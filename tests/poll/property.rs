//! Whatever a source goes through and however badly it shows it, what people are told is held against the truth.
//!
//! Jobs run, fail, are made again and are set to success; pages leave runs out and show others as they were long ago;
//! the source goes out; silences are made and end, a mute window opens and closes; the program is started anew on its
//! store. After every poll the store must tell one story.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use nightbell::model::{
    Alert, AlertId, AlertState, Concerns, Delivery, Instance, InstancePart, InstanceType, MessageKind, ReasonCode,
    Status, Suppression,
};
use nightbell::source::SourceErrorKind;
use nightbell::store::{Deliveries as _, Desk as _, NewSilence};
use proptest::prelude::*;

use super::world::{Scene, run};

const RULES: &str = "  failed: { match: { job: \"etl*\" }, when: { status: [fail] }, notify: [hook, mail] }\n  \
     slow: { match: { job: \"etl*\" }, when: { status: [running], duration: 45m }, notify: [hook] }\n\
     mute_windows:\n  hourly: { match: { job: etl_b, rule: failed }, schedule: \"0 * * * *\", for: 20m }\n";
const WINDOW_MINUTES: i64 = 20;
const LIMIT: SignedDuration = SignedDuration::from_mins(45);
const FIRST_POLL: SignedDuration = SignedDuration::from_hours(1);
/// Job, minutes from the beginning at which the run is due, type.
const RUNS: [(&str, i64, InstanceType); 7] = [
    ("etl", -300, InstanceType::Scheduled),
    ("etl", -100, InstanceType::Scheduled),
    ("etl", -20, InstanceType::Scheduled),
    ("etl", -10, InstanceType::Backfill),
    ("etl_b", -90, InstanceType::Manual),
    ("etl_b", -30, InstanceType::Scheduled),
    ("quiet", -30, InstanceType::Scheduled),
];

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// Minutes go by.
    Pass(i64),
    /// A run goes on: begins, ends somehow, is made again.
    Move { run: usize, how: u8 },
    /// A poll whose list lacks some runs and shows some as they were before.
    Poll { withheld: [bool; RUNS.len()], stale: [u8; RUNS.len()], admits: bool },
    /// A poll that cannot read the source.
    Outage,
    /// A silence over a pattern, for some minutes.
    Silence { job: &'static str, minutes: i64 },
    /// The newest silence is ended.
    Expire,
    /// The program starts anew.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let mask = || proptest::array::uniform7(prop::bool::weighted(0.15));
    let stale = || proptest::array::uniform7(prop_oneof![4 => Just(0_u8), 1 => 1..6_u8]);
    prop_oneof![
        2 => (1..100_i64).prop_map(Step::Pass),
        8 => (0..RUNS.len(), any::<u8>()).prop_map(|(run, how)| Step::Move { run, how }),
        6 => (mask(), stale(), any::<bool>()).prop_map(|(withheld, stale, admits)| Step::Poll { withheld, stale, admits }),
        1 => (prop_oneof![Just("etl"), Just("etl*"), Just("/etl_[bc]/")], 1..200_i64)
            .prop_map(|(job, minutes)| Step::Silence { job, minutes }),
        1 => Just(Step::Expire),
        1 => Just(Step::Outage),
        1 => Just(Step::Restart),
    ]
}

/// Everything each run has been, the present last.
struct Truth(Vec<Vec<Instance>>);

impl Truth {
    fn new(now: Timestamp) -> Truth {
        let runs = RUNS.iter().enumerate().map(|(index, (job, due, kind))| {
            let due = now + SignedDuration::from_mins(*due);
            let waiting = run(job, &index.to_string(), Status::Waiting, due, None);
            vec![Instance { kind: *kind, start_time: None, ..waiting }]
        });
        Truth(runs.collect())
    }

    fn present(&self) -> impl Iterator<Item = &Instance> {
        self.0.iter().filter_map(|states| states.last())
    }

    fn states(&self, id: &str) -> &[Instance] {
        &self.0[id.parse::<usize>().unwrap()]
    }

    fn go_on(&mut self, run: usize, how: u8, now: Timestamp) {
        let mut next = self.0[run].last().unwrap().clone();
        let began = next.start_time;
        (next.status, next.start_time, next.end_time) = match (next.status, how % 8) {
            (Status::Waiting, _) => (Status::Running, Some(now), None),
            (Status::Running, 0..=3) => (Status::Fail, began, Some(now)),
            (Status::Running, 4) => (Status::ManualStop, began, Some(now)),
            (Status::Running, _) => (Status::Success, began, Some(now)),
            (Status::Fail, 0) => (Status::ForcedSuccess, began, Some(now)),
            (_, _) => (Status::Running, Some(now), None),
        };
        next.raw_status = next.status.to_string();
        self.0[run].push(next);
    }
}

/// What the store tells after a poll, and what of the truth that poll has seen.
struct Story<'a> {
    truth: &'a Truth,
    /// Runs that the poll saw as they are.
    seen: Vec<Instance>,
    alerts: Vec<Alert>,
    deliveries: Vec<Delivery>,
    now: Timestamp,
    /// When the source was read whole for the first time: what a short list shows does not make it covered.
    covered_from: Timestamp,
    /// Ids of the alerts that fired before the poll.
    open_before: BTreeSet<AlertId>,
    /// The silences that hold: number and pattern.
    silences: Vec<(i64, &'static str)>,
    /// Ids of the alerts that were over when they were first seen.
    born_over: BTreeSet<AlertId>,
}

/// The run of an alert; the rules here are about runs.
fn instance_of(alert: &Alert) -> &InstancePart {
    alert.facts.instance.as_ref().unwrap()
}

fn is_watched(instance: &Instance) -> bool {
    instance.job.name.starts_with("etl") && instance.kind != InstanceType::Backfill
}

/// It ended otherwise than the rules ask for.
fn is_over(instance: &Instance) -> bool {
    instance.status.has_ended() && instance.status != Status::Fail
}

fn is_well(instance: &Instance) -> bool {
    matches!(instance.status, Status::Success | Status::ForcedSuccess)
}

impl Story<'_> {
    fn alerts_of<'s>(&'s self, instance: &'s Instance, rule: &'s str) -> impl Iterator<Item = &'s Alert> {
        self.alerts.iter().filter(move |alert| alert.rule.as_str() == rule && instance_of(alert).id == instance.id)
    }

    fn check(&self) {
        self.nothing_is_invented();
        self.whatever_is_demanded_is_told();
        self.what_is_over_is_over();
        self.each_telling_is_pending_once();
        self.nothing_is_told_while_it_is_muted();
    }

    /// Every alert has a failure, or a long run, of its own behind it.
    fn nothing_is_invented(&self) {
        let mut begun = BTreeSet::new();
        let mut firing = BTreeSet::new();
        for alert in &self.alerts {
            let (rule, id) = (alert.rule.as_str(), instance_of(alert).id.as_str());
            let states = self.truth.states(id);
            assert!(is_watched(&states[0]), "no rule matches: {alert:?}");
            let starts_at = alert.facts.alert.starts_at;
            let grounds: Vec<Timestamp> = match rule {
                "failed" => {
                    let failed = states.iter().filter(|state| state.status == Status::Fail);
                    failed.filter_map(|state| state.end_time).collect()
                }
                _ => states.iter().filter_map(|state| state.start_time).map(|began| began + LIMIT).collect(),
            };
            assert!(grounds.contains(&starts_at), "nothing began then: {alert:?}");
            assert!(begun.insert((rule, id, starts_at)), "told twice: {alert:?}");
            if alert.state() == AlertState::Firing {
                assert!(firing.insert((rule, id)), "two episodes at once: {alert:?}");
            }
        }
    }

    /// A failure that was seen is told, in an episode that was open at the time or by itself; so is a run that is long.
    fn whatever_is_demanded_is_told(&self) {
        for seen in self.seen.iter().filter(|seen| is_watched(seen)) {
            if seen.status == Status::Fail {
                let ended = seen.end_time.unwrap();
                let mut alerts = self.alerts_of(seen, "failed");
                let is_told = alerts.any(|alert| match alert.suppressed_by {
                    None | Some(Suppression::Silence(_) | Suppression::MuteWindow(_) | Suppression::Inhibition(_)) => {
                        let part = &alert.facts.alert;
                        part.starts_at <= ended && part.ends_at.is_none_or(|end| ended <= end)
                    }
                    Some(Suppression::TooManyEpisodes) => false,
                    Some(Suppression::FirstPoll) => {
                        alert.facts.alert.starts_at == ended && ended < self.covered_from - FIRST_POLL
                    }
                });
                assert!(is_told, "not told: {seen:?}\n{:#?}", self.alerts);
            }
            if seen.status == Status::Running && self.now.duration_since(seen.start_time.unwrap()) >= LIMIT {
                let mut alerts = self.alerts_of(seen, "slow");
                let is_told = alerts.any(|alert| {
                    self.open_before.contains(&alert.id) || instance_of(alert).start_time == seen.start_time
                });
                assert!(is_told, "not told: {seen:?}\n{:#?}", self.alerts);
            }
        }
    }

    /// Whatever was seen to be well fires no more, and nothing is called over that is not.
    fn what_is_over_is_over(&self) {
        let firing = || self.alerts.iter().filter(|alert| alert.state() == AlertState::Firing);
        for seen in &self.seen {
            let own: Vec<&Alert> = firing().filter(|alert| instance_of(alert).id == seen.id).collect();
            let is_silent =
                own.iter().all(|alert| !is_well(seen) && (alert.rule.as_str() == "failed" || !seen.status.has_ended()));
            assert!(is_silent, "still firing: {own:?}\nalthough {seen:?}");
            // That another run went well says nothing of one that is under way.
            let mut earlier = firing().filter(|alert| alert.rule.as_str() == "failed").filter(|alert| {
                let own = self.truth.states(&instance_of(alert).id).last().unwrap();
                self.vouches(seen, alert) && seen.end_time >= own.end_time
            });
            assert_eq!(earlier.next(), None, "still firing although {seen:?}");
        }
        for alert in self.alerts.iter().filter(|alert| alert.state() == AlertState::Resolved) {
            let own = self.truth.states(&instance_of(alert).id);
            let starts_at = alert.facts.alert.starts_at;
            let by_state = alert.rule.as_str() == "slow";
            let by_itself = own.iter().any(|state| {
                // A run that is long is over when it ends, or is made again.
                let ends = if by_state { state.status.has_ended() } else { is_well(state) || is_over(state) };
                ends && state.end_time.is_some_and(|end| end >= starts_at || by_state)
            });
            let made_again = own.iter().any(|state| state.start_time > Some(starts_at));
            let by_another = self.truth.0.iter().flatten().any(|state| self.vouches(state, alert));
            assert!(by_itself || made_again || by_another, "called over: {alert:?}");
        }
    }

    /// Whether a run is a later success of the alert's job.
    fn vouches(&self, state: &Instance, alert: &Alert) -> bool {
        let own = &self.truth.states(&instance_of(alert).id)[0];
        is_well(state)
            && state.job == own.job
            && state.kind != InstanceType::Backfill
            && state.plan_time > own.plan_time
            && state.end_time >= Some(alert.facts.alert.starts_at)
    }

    /// What mutes an alert now, all of it.
    fn muted_by(&self, alert: &Alert) -> Vec<String> {
        let job = alert.facts.job.name.as_str();
        let covers = |pattern: &str| match pattern {
            "etl*" => true,
            "/etl_[bc]/" => job == "etl_b",
            plain => job == plain,
        };
        let silences =
            self.silences.iter().filter(|(_, pattern)| covers(pattern)).map(|(id, _)| format!("silence:{id}"));
        let is_open = self.now.as_second() % 3600 < WINDOW_MINUTES * 60;
        let window =
            (is_open && job == "etl_b" && alert.rule.as_str() == "failed").then(|| "mute-window:hourly".into());
        silences.chain(window).collect()
    }

    /// Nobody is told of what is muted; what fires untold is muted by what it says; what ended untold says by what.
    fn nothing_is_told_while_it_is_muted(&self) {
        for delivery in self.deliveries.iter().filter(|delivery| delivery.created_at == self.now) {
            let alert = self.alerts.iter().find(|alert| Some(&alert.id) == delivery.alert.as_ref()).unwrap();
            if delivery.kind == MessageKind::AlertFiring {
                assert_eq!(self.muted_by(alert), [""; 0], "told although muted: {alert:?}");
            }
        }
        for alert in self.alerts.iter().filter(|alert| alert.state() == AlertState::Firing) {
            let held_by = alert.suppressed_by.as_ref().filter(|by| by.holds_back()).map(ToString::to_string);
            let is_true = held_by.is_none_or(|by| self.muted_by(alert).contains(&by));
            assert!(is_true, "held back by nothing: {alert:?}");
        }
    }

    /// Who is to be told is owed each beginning once, and each end once where they want it.
    fn each_telling_is_pending_once(&self) {
        let mut owed: BTreeMap<(&str, &str, MessageKind), u32> = BTreeMap::new();
        for delivery in &self.deliveries {
            let alert = delivery.alert.as_ref().unwrap();
            *owed.entry((alert.as_str(), delivery.receiver.as_str(), delivery.kind)).or_default() += 1;
            let firing = self.deliveries.iter().find(|other| {
                other.alert == delivery.alert
                    && other.receiver == delivery.receiver
                    && other.kind == MessageKind::AlertFiring
            });
            let follows =
                firing.filter(|_| delivery.kind == MessageKind::AlertResolved).map(|firing| firing.id.clone());
            assert_eq!(delivery.follows, follows);
        }
        let mut due = BTreeMap::new();
        for alert in self.alerts.iter().filter(|alert| alert.suppressed_by.is_none()) {
            let receivers: &[&str] = if alert.rule.as_str() == "failed" { &["hook", "mail"] } else { &["hook"] };
            // What was over when it was first seen is told once, as over.
            let was_over = self.born_over.contains(&alert.id);
            let kind = if was_over { MessageKind::AlertResolved } else { MessageKind::AlertFiring };
            for receiver in receivers {
                due.insert((alert.id.as_str(), *receiver, kind), 1);
            }
            let is_superseded =
                alert.facts.alert.reason.as_ref().is_some_and(|reason| reason.code == ReasonCode::FailedAgain);
            if alert.state() == AlertState::Resolved && !was_over && !is_superseded {
                due.insert((alert.id.as_str(), "hook", MessageKind::AlertResolved), 1);
            }
        }
        assert_eq!(owed, due);
    }
}

/// What a poll showed: the list it makes of the truth, and the runs in it that are shown as they are.
fn page(truth: &Truth, withheld: &[bool], stale: &[u8]) -> Vec<Instance> {
    let shown = truth.0.iter().zip(stale).zip(withheld).filter(|(_, withheld)| !**withheld);
    shown.map(|((states, back), _)| states[states.len().saturating_sub(1 + usize::from(*back))].clone()).collect()
}

async fn live(steps: Vec<Step>) {
    let mut scene = Scene::open(RULES).await;
    let mut truth = Truth::new(scene.now());
    let mut covered_from = None;
    let mut contents = BTreeMap::new();
    let mut open = BTreeSet::new();
    let (mut known, mut born_over) = (BTreeSet::new(), BTreeSet::new());
    let mut silences: Vec<(i64, &'static str, Timestamp)> = Vec::new();
    for step in steps {
        scene.pass(SignedDuration::from_mins(1));
        match step {
            Step::Pass(minutes) => scene.pass(SignedDuration::from_mins(minutes)),
            Step::Move { run, how } => truth.go_on(run, how, scene.now()),
            Step::Restart => scene.restart(),
            Step::Silence { job, minutes } => {
                let ends_at = scene.now() + SignedDuration::from_mins(minutes);
                let concerns = Concerns { jobs: vec![job.into()], ..Concerns::default() };
                let new = NewSilence { concerns, reason: "deploy".into(), by: "wang".into(), ends_at };
                silences.push((scene.store.add_silence(&new, scene.now()).await.unwrap().0, job, ends_at));
            }
            Step::Expire => {
                if let Some((id, _, _)) = silences.pop() {
                    scene.store.expire_silence(nightbell::model::SilenceId(id), "li", scene.now()).await.unwrap();
                }
            }
            Step::Outage => {
                scene.fail_with(Some(SourceErrorKind::Transient));
                scene.try_poll().await.unwrap_err();
                scene.fail_with(None);
            }
            Step::Poll { withheld, stale, admits } => {
                let listed = page(&truth, &withheld, &stale);
                {
                    let mut shown = scene.source.shown();
                    shown.details = truth.present().map(|run| (run.id.clone(), run.clone())).collect();
                    shown.withheld = if admits { (truth.0.len() - listed.len()) as u64 } else { 0 };
                    shown.asked.clear();
                    shown.answered.clear();
                    shown.listed = listed;
                }
                scene.poll().await;
                if scene.source.shown().withheld == 0 {
                    covered_from = covered_from.or(Some(scene.now()));
                }
                let seen = {
                    let shown = scene.source.shown();
                    let answered: BTreeSet<&str> = shown.answered.iter().map(|run| run.id.as_str()).collect();
                    let followed = truth
                        .present()
                        .filter(|run| !answered.contains(run.id.as_str()) && shown.asked.contains(&run.id));
                    let fresh = truth.present().filter(|run| shown.answered.contains(run));
                    fresh.chain(followed).cloned().collect()
                };
                let (alerts, deliveries) = (scene.alerts().await, scene.store.deliveries(usize::MAX).await.unwrap());
                for delivery in &deliveries {
                    let content = contents.entry(delivery.id.clone()).or_insert_with(|| delivery.content.clone());
                    assert_eq!(*content, delivery.content, "a message changed after it was made");
                }
                let now = scene.now();
                let covered_from = covered_from.unwrap_or(now);
                let firing = alerts.iter().filter(|alert| alert.state() == AlertState::Firing);
                let open_now = firing.map(|alert| alert.id.clone()).collect();
                let open_before = std::mem::replace(&mut open, open_now);
                let silences: Vec<(i64, &str)> =
                    silences.iter().filter(|(_, _, ends)| now < *ends).map(|(id, job, _)| (*id, *job)).collect();
                let new = alerts.iter().filter(|alert| known.insert(alert.id.clone()));
                born_over.extend(new.filter(|it| it.state() == AlertState::Resolved).map(|it| it.id.clone()));
                let born_over = born_over.clone();
                Story { truth: &truth, seen, alerts, deliveries, now, covered_from, open_before, silences, born_over }
                    .check();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::sample::cases(64), failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_told_is_the_truth(steps in proptest::collection::vec(step(), 1..70)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(live(steps));
    }
}
