//! The life of an alert, held against its rules: however runs go, lists are ordered, silences, windows, inhibitions,
//! acknowledgements and restarts fall together, each alert fires once at a time, is told or says what keeps it quiet,
//! goes further step by step, and ends once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use nightbell::model::{
    Ack, Alert, AlertId, AlertState, Concerns, Delivery, Instance, MessageKind, ReasonCode, SilenceId, Status,
    Suppression,
};
use nightbell::source::SourceErrorKind;
use nightbell::store::{Deliveries as _, Desk as _, NewSilence};
use proptest::prelude::*;

use super::world::{Scene, run};

const RULES: &str = "  failed: { when: { status: [fail] }, severity: critical, notify: [{ to: hook }, \
     { after: 30m, unless: acked, to: lead }, { after: 90m, to: [boss, hook] }] }\n  \
     slow: { when: { status: [running], duration: 45m }, severity: warning, notify: [hook] }\n\
     inhibit:\n  load: { by: { job: \"load*\" }, match: { job: \"mart*\" } }\n  \
     worse: { by: { rule: failed }, match: { rule: slow }, equal: [job] }\n\
     mute_windows:\n  hourly: { match: { job: mart_b, rule: failed }, schedule: \"0 * * * *\", for: 20m }\n";
const WINDOW_MINUTES: i64 = 20;
/// The steps after the first: whom they tell, after how many minutes, and whether an acknowledgement stops them.
const STEPS: [(&str, i64, bool); 3] = [("lead", 30, true), ("boss", 90, false), ("hook", 90, false)];
const RUNS: [&str; 6] = ["load", "load_b", "mart", "mart", "mart_b", "other"];

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// Minutes go by, and what is due goes further.
    Pass(i64),
    /// A run goes on: begins, ends somehow, is made again.
    Move { run: usize, how: u8 },
    /// A poll whose list is turned round and lacks some runs.
    Poll { turned: usize, withheld: [bool; RUNS.len()] },
    /// A poll that cannot read the source.
    Outage,
    /// A silence over a job, for some minutes.
    Silence { job: &'static str, minutes: i64 },
    /// The newest silence is ended.
    Expire,
    /// Somebody is on one of the alerts that fire.
    Ack(usize),
    /// The program starts anew.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let withheld = proptest::array::uniform6(prop::bool::weighted(0.1));
    prop_oneof![
        3 => (1..60_i64).prop_map(Step::Pass),
        8 => (0..RUNS.len(), any::<u8>()).prop_map(|(run, how)| Step::Move { run, how }),
        8 => (0..RUNS.len(), withheld).prop_map(|(turned, withheld)| Step::Poll { turned, withheld }),
        1 => Just(Step::Outage),
        1 => (prop_oneof![Just("load"), Just("mart"), Just("mart_b"), Just("other")], 1..150_i64)
            .prop_map(|(job, minutes)| Step::Silence { job, minutes }),
        1 => Just(Step::Expire),
        1 => (0..9_usize).prop_map(Step::Ack),
        1 => Just(Step::Restart),
    ]
}

fn go_on(run: &mut Instance, how: u8, now: Timestamp) {
    let began = run.start_time;
    (run.status, run.start_time, run.end_time) = match (run.status, how % 4) {
        (Status::Waiting, _) => (Status::Running, Some(now), None),
        (Status::Running, 0..=1) => (Status::Fail, began, Some(now)),
        (Status::Running, _) => (Status::Success, began, Some(now)),
        (Status::Fail, 0) => (Status::ForcedSuccess, began, Some(now)),
        (_, _) => (Status::Running, Some(now), None),
    };
    run.raw_status = run.status.to_string();
}

/// What the store tells, and what happened.
struct Story {
    alerts: Vec<Alert>,
    deliveries: Vec<Delivery>,
    now: Timestamp,
    /// Alerts that fired before the last poll.
    open_before: BTreeSet<AlertId>,
    /// The silences that hold: number and job.
    silences: Vec<(i64, &'static str)>,
    /// When somebody took an alert on.
    acks: BTreeMap<AlertId, Timestamp>,
}

fn job(alert: &Alert) -> &str {
    &alert.facts.job.name
}

fn fires(alert: &Alert) -> bool {
    alert.state() == AlertState::Firing
}

/// The name of the inhibition by which one alert holds back another.
fn holds(upstream: &Alert, alert: &Alert) -> Option<&'static str> {
    if upstream.id == alert.id {
        return None;
    }
    if job(upstream).starts_with("load") && job(alert).starts_with("mart") {
        return Some("load");
    }
    let is_worse = upstream.rule.as_str() == "failed" && alert.rule.as_str() == "slow" && job(upstream) == job(alert);
    is_worse.then_some("worse")
}

impl Story {
    /// When the alert was first told.
    fn told_at(&self, alert: &Alert) -> Option<Timestamp> {
        let kinds = [MessageKind::AlertFiring, MessageKind::AlertResolved];
        kinds.into_iter().flat_map(|kind| self.of(alert, "hook", kind)).map(|delivery| delivery.created_at).min()
    }

    fn of<'s>(
        &'s self,
        alert: &'s Alert,
        receiver: &'s str,
        kind: MessageKind,
    ) -> impl Iterator<Item = &'s Delivery> + 's {
        let is_of = move |delivery: &&Delivery| delivery.alert.as_ref() == Some(&alert.id) && delivery.kind == kind;
        self.deliveries.iter().filter(is_of).filter(move |delivery| delivery.receiver.as_str() == receiver)
    }

    /// What mutes an alert by hand or by the clock.
    fn muted_by(&self, alert: &Alert) -> Vec<String> {
        let silences = self.silences.iter().filter(|(_, of)| *of == job(alert)).map(|(id, _)| format!("silence:{id}"));
        let is_open = self.now.as_second() % 3600 < WINDOW_MINUTES * 60;
        let window = is_open && job(alert) == "mart_b" && alert.rule.as_str() == "failed";
        silences.chain(window.then(|| "mute-window:hourly".to_string())).collect()
    }

    /// Holds every alert against the rules. What holds an alert back is looked at by polls alone.
    fn check(&self, has_polled: bool) {
        let mut open = BTreeSet::new();
        for alert in &self.alerts {
            let subject = (alert.rule.as_str(), alert.facts.subject().id);
            assert!(!fires(alert) || open.insert(subject), "two open episodes: {alert:?}");
            self.told_or_quiet(alert);
            if has_polled {
                self.held_by_what_it_says(alert);
            }
            self.goes_further(alert);
            self.ends_once(alert);
        }
    }

    /// An alert is told, or says by what it was kept quiet: one of both.
    fn told_or_quiet(&self, alert: &Alert) {
        let told = self.told_at(alert);
        assert_eq!(told.is_some(), alert.suppressed_by.is_none(), "told and quiet, or neither: {alert:?}");
        if told != Some(self.now) {
            return;
        }
        assert_eq!(self.muted_by(alert), [""; 0], "told although muted: {alert:?}");
        let is_upstream =
            |other: &&Alert| fires(other) && self.told_at(other).is_some() && holds(other, alert).is_some();
        assert_eq!(self.alerts.iter().find(is_upstream), None, "told although held back: {alert:?}");
    }

    /// What fires and is held back is held by what it names.
    fn held_by_what_it_says(&self, alert: &Alert) {
        let Some(by) = alert.suppressed_by.as_ref().filter(|_| fires(alert)) else { return };
        let is_true = match by {
            Suppression::Inhibition(name) => self.alerts.iter().any(|other| {
                let was_open = self.open_before.contains(&other.id) || other.created_at == self.now;
                let counts = fires(other) && self.told_at(other).is_some() || was_open && alert.created_at == self.now;
                counts && holds(other, alert) == Some(name)
            }),
            Suppression::FirstPoll => true,
            by => self.muted_by(alert).contains(&by.to_string()),
        };
        assert!(is_true, "held back by nothing: {alert:?}");
    }

    /// Each step tells once, when it is due and not before, what still fires, is not muted and, where that counts, is not
    /// acknowledged.
    fn goes_further(&self, alert: &Alert) {
        let told_at = self.told_at(alert);
        for (receiver, after, unless_acked) in STEPS {
            let all: Vec<Timestamp> =
                self.of(alert, receiver, MessageKind::AlertFiring).map(|delivery| delivery.created_at).collect();
            let first = usize::from(receiver == "hook" && told_at.is_some());
            assert!(all.len() <= first + 1, "told twice: {receiver} of {alert:?}");
            let taken_at = if all.len() == first + 1 { all.into_iter().max() } else { None };
            let due_at = told_at.map(|told| told + SignedDuration::from_mins(after));
            let acked_at = self.acks.get(&alert.id).filter(|_| unless_acked);
            if let Some(taken_at) = taken_at {
                assert!(due_at.is_some_and(|due| due <= taken_at), "{receiver} was told too early of {alert:?}");
                assert!(acked_at.is_none_or(|acked| taken_at <= *acked), "{receiver} was told of {alert:?}");
                let is_muted = taken_at == self.now && !self.muted_by(alert).is_empty();
                assert!(!is_muted && alert.rule.as_str() == "failed", "{receiver} was told of {alert:?}");
            } else if alert.rule.as_str() == "failed" && fires(alert) && self.muted_by(alert).is_empty() {
                let is_due = acked_at.is_none() && due_at.is_some_and(|due| due <= self.now);
                assert!(!is_due, "{receiver} was not told of {alert:?}");
            }
        }
    }

    /// The end is told once to each of those that heard of the beginning, and to nobody else.
    fn ends_once(&self, alert: &Alert) {
        for receiver in ["hook", "lead", "boss"] {
            let beginnings: BTreeSet<_> =
                self.of(alert, receiver, MessageKind::AlertFiring).map(|delivery| &delivery.id).collect();
            let ends: Vec<&Delivery> = self.of(alert, receiver, MessageKind::AlertResolved).collect();
            // What was over when it was first seen is told once; of a run that failed again the next alert tells, also those
            // whom a later step had told.
            let is_alone = beginnings.is_empty() && receiver == "hook" && alert.suppressed_by.is_none();
            let code = alert.facts.alert.reason.as_ref().map(|reason| reason.code);
            let is_superseded = code == Some(ReasonCode::FailedAgain);
            if is_alone || is_superseded && ends.is_empty() {
                continue;
            }
            let expected = usize::from(!fires(alert) && !beginnings.is_empty());
            assert_eq!(ends.len(), expected, "{receiver} of {alert:?}");
            let follows = ends.iter().all(|end| end.follows.as_ref().is_some_and(|first| beginnings.contains(first)));
            assert!(follows, "an end of nothing: {ends:?}");
        }
    }
}

async fn live(steps: Vec<Step>) {
    let mut scene = Scene::open(RULES).await;
    let began = scene.now();
    let mut runs: Vec<Instance> = RUNS
        .iter()
        .enumerate()
        .map(|(index, job)| {
            let due = began - SignedDuration::from_mins(20 - index as i64);
            Instance { start_time: None, ..run(job, &index.to_string(), Status::Waiting, due, None) }
        })
        .collect();
    let mut silences: Vec<(i64, &'static str, Timestamp)> = Vec::new();
    let (mut acks, mut open_before) = (BTreeMap::new(), BTreeSet::new());
    for step in steps {
        scene.pass(SignedDuration::from_mins(1));
        let mut has_polled = false;
        match step {
            Step::Pass(minutes) => scene.pass(SignedDuration::from_mins(minutes)),
            Step::Move { run, how } => go_on(&mut runs[run], how, scene.now()),
            Step::Restart => scene.restart(),
            Step::Silence { job, minutes } => {
                let ends_at = scene.now() + SignedDuration::from_mins(minutes);
                let concerns = Concerns { jobs: vec![job.into()], ..Concerns::default() };
                let new = NewSilence { concerns, reason: "deploy".into(), by: "wang".into(), ends_at };
                silences.push((scene.store.add_silence(&new, scene.now()).await.unwrap().0, job, ends_at));
            }
            Step::Expire => {
                if let Some((id, _, _)) = silences.pop() {
                    scene.store.expire_silence(SilenceId(id), "li", scene.now()).await.unwrap();
                }
            }
            Step::Ack(which) => {
                let alerts = scene.alerts().await;
                let firing: Vec<&Alert> = alerts.iter().filter(|alert| fires(alert)).collect();
                if let Some(alert) = firing.get(which) {
                    let ack = Ack { by: "li".into(), reason: None, at: scene.now() };
                    scene.store.ack(std::slice::from_ref(&alert.id), &ack).await.unwrap();
                    acks.entry(alert.id.clone()).or_insert(scene.now());
                }
            }
            Step::Outage => {
                scene.fail_with(Some(SourceErrorKind::Transient));
                scene.try_poll().await.unwrap_err();
                scene.fail_with(None);
            }
            Step::Poll { turned, withheld } => {
                let alerts = scene.alerts().await;
                open_before = alerts.into_iter().filter(fires).map(|alert| alert.id).collect();
                let mut listed: Vec<Instance> =
                    runs.iter().zip(withheld).filter(|(_, withheld)| !withheld).map(|(run, _)| run.clone()).collect();
                let by = turned.min(listed.len());
                listed.rotate_left(by);
                scene.source.shown().details = runs.iter().map(|run| (run.id.clone(), run.clone())).collect();
                scene.show(listed);
                scene.poll().await;
                has_polled = true;
            }
        }
        scene.escalate().await;
        let now = scene.now();
        let holding = silences.iter().filter(|(_, _, ends)| now < *ends).map(|(id, job, _)| (*id, *job));
        let story = Story {
            alerts: scene.alerts().await,
            deliveries: scene.store.deliveries(usize::MAX).await.unwrap(),
            now,
            open_before: open_before.clone(),
            silences: holding.collect(),
            acks: acks.clone(),
        };
        story.check(has_polled);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn an_alert_lives_by_its_rules(steps in proptest::collection::vec(step(), 1..80)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(live(steps));
    }
}
