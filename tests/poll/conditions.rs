//! Random nights of a job under conditions on history and clock, with outages, restarts and lists that are not whole:
//! what is told in the end is held against what came to pass.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use nightbell::model::{Alert, AlertState, Instance, MessageKind, Stage, Status};
use nightbell::source::SourceErrorKind;
use nightbell::store::Deliveries as _;
use proptest::prelude::*;

use super::world::{Scene, run};

const RULES: &str = "  thrice: { match: { job: etl }, when: { consecutive: 3 }, notify: [hook] }\n  \
     often: { match: { job: etl }, when: { failure_rate: { over: 4, above: 50% } }, notify: [hook] }\n  \
     due: { match: { job: etl }, when: { not_finished_by: \"12:00\", warn_at: \"11:00\" }, notify: [hook] }\n  \
     owed: { match: { job: etl }, when: { missing: { schedule: \"0 * * * *\", grace: 10m } }, notify: [hook] }\n";
/// Hours of the story; the job is due at each of them.
const HOURS: i64 = 30;

/// What becomes of the run of one hour.
#[derive(Debug, Clone, Copy)]
enum Course {
    /// There is none.
    Missing,
    /// It ends so, so many minutes after it was due.
    Ends(Status, i64),
}

/// What a poll meets.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Weather {
    Fair,
    Outage,
    /// The list lacks something, and says so.
    Shortfall,
    /// The program starts anew before it.
    Restart,
}

fn course() -> impl Strategy<Value = Course> {
    let status = prop_oneof![5 => Just(Status::Fail), 5 => Just(Status::Success), 1 => Just(Status::ManualStop)];
    prop_oneof![1 => Just(Course::Missing), 6 => (status, 1..200_i64).prop_map(|(status, after)| Course::Ends(status, after))]
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        5 => Just(Weather::Fair),
        2 => Just(Weather::Outage),
        1 => Just(Weather::Shortfall),
        1 => Just(Weather::Restart)
    ]
}

fn hour(hour: i64) -> Timestamp {
    "2026-11-21T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
}

/// The runs as they are at `now`.
fn shown(courses: &[Course], now: Timestamp) -> Vec<Instance> {
    let mut shown = vec![run("etl", "-1", Status::Success, hour(-1), Some(hour(-1)))];
    for (index, course) in (0..).zip(courses) {
        let (due, Course::Ends(status, after)) = (hour(index), course) else { continue };
        let end = due + SignedDuration::from_mins(*after);
        if due <= now {
            let is_over = end <= now;
            let status = if is_over { *status } else { Status::Running };
            shown.push(run("etl", &index.to_string(), status, due, is_over.then_some(end)));
        }
    }
    shown
}

fn of<'a>(alerts: &'a [Alert], rule: &str) -> Vec<&'a Alert> {
    alerts.iter().filter(|alert| alert.rule.as_str() == rule).collect()
}

fn fires(alerts: &[Alert], rule: &str) -> bool {
    of(alerts, rule).iter().any(|alert| alert.state() == AlertState::Firing)
}

/// What holds after a poll that has seen everything.
fn check(alerts: &[Alert], runs: &[Instance], now: Timestamp) {
    let ended: Vec<bool> = runs
        .iter()
        .rev()
        .filter_map(|run| match run.status {
            Status::Fail => Some(false),
            Status::Success => Some(true),
            _ => None,
        })
        .collect();
    let in_a_row = ended.iter().take_while(|is_well| !**is_well).count();
    if in_a_row >= 3 {
        assert!(fires(alerts, "thrice"), "{in_a_row} failures in a row are not told");
    }
    if ended.first() == Some(&true) {
        assert!(!fires(alerts, "thrice"), "the last run went well");
    }
    if ended.len() >= 4 {
        let failures = ended[..4].iter().filter(|is_well| !**is_well).count();
        assert_eq!(fires(alerts, "often"), failures > 2, "{failures} of 4");
    }
    let last_owed = (-1..HOURS).rev().find(|index| hour(*index) + SignedDuration::from_mins(10) <= now).unwrap();
    let is_there = runs.iter().any(|run| run.plan_time >= Some(hour(last_owed)));
    assert_eq!(fires(alerts, "owed"), !is_there, "the run of hour {last_owed}");
}

/// What holds when all is over, of what was told of deadlines and due times.
fn check_end(alerts: &[Alert], courses: &[Course], polls: &[Timestamp], whole_polls: &[Timestamp]) {
    // A run that is there is judged by any poll, one that is not there by a whole one.
    let seen_at = |instant: Timestamp| polls.iter().find(|poll| **poll >= instant).copied();
    let judged_at = |instant: Timestamp| whole_polls.iter().find(|poll| **poll >= instant).copied();
    let deadline = hour(12);
    let told: BTreeSet<&str> = of(alerts, "due")
        .iter()
        .filter(|alert| alert.facts.alert.measures.due_at == Some(deadline))
        // One that was only warned of is not told as late.
        .filter(|alert| {
            let measures = &alert.facts.alert.measures;
            measures.stage != Some(Stage::Warning) || measures.late_ms.is_some()
        })
        .map(|alert| alert.facts.instance.as_ref().unwrap().id.as_str())
        .collect();
    if seen_at(deadline).is_some() {
        let expected: BTreeSet<String> = (0..=12)
            .filter(|index| {
                let Course::Ends(status, after) = courses[usize::try_from(*index).unwrap()] else { return false };
                let end = hour(*index) + SignedDuration::from_mins(after);
                let ends_well = status == Status::Success;
                // One that failed is not late when a later one went well in time.
                let is_settled = !ends_well
                    && end <= seen_at(deadline).unwrap()
                    && (index + 1..=12).any(|later| {
                        let course = courses[usize::try_from(later).unwrap()];
                        matches!(course, Course::Ends(Status::Success, after)
                        if hour(later) + SignedDuration::from_mins(after) <= deadline)
                    });
                let is_in_time = ends_well && end <= deadline;
                !is_in_time && !is_settled
            })
            .map(|index| index.to_string())
            .collect();
        assert_eq!(told, expected.iter().map(String::as_str).collect(), "late for the deadline");
    }
    for (index, course) in (0..).zip(courses) {
        let due = hour(index);
        let is_judged = judged_at(due + SignedDuration::from_mins(10)).is_some();
        let is_told = of(alerts, "owed").iter().any(|alert| {
            let part = &alert.facts.alert;
            part.starts_at <= due && part.ends_at.is_none_or(|end| end >= due)
        });
        if matches!(course, Course::Missing) && is_judged {
            assert!(is_told, "the run of hour {index} was missing and is in no alert");
        }
    }
    for alert in of(alerts, "owed") {
        let due = alert.facts.alert.measures.due_at.unwrap();
        let index = usize::try_from(due.duration_since(hour(0)).as_hours()).unwrap();
        assert!(matches!(courses[index], Course::Missing), "hour {index} was not missing: {alert:?}");
    }
}

/// Who is to be told is owed each beginning once, a deadline after its warning once more, and each end once.
async fn check_deliveries(scene: &Scene, alerts: &[Alert]) {
    let deliveries = scene.store.deliveries(usize::MAX).await.unwrap();
    let mut owed: BTreeMap<(&str, MessageKind), usize> = BTreeMap::new();
    for delivery in deliveries.iter().filter(|delivery| delivery.receiver.as_str() == "hook") {
        *owed.entry((delivery.alert.as_ref().unwrap().as_str(), delivery.kind)).or_default() += 1;
        if let Some(leader) = &delivery.follows {
            assert!(deliveries.iter().any(|other| other.id == *leader), "follows what does not exist: {delivery:?}");
        }
    }
    for alert in alerts {
        let firing = owed.get(&(alert.id.as_str(), MessageKind::AlertFiring)).copied().unwrap_or_default();
        let is_overdue = alert.facts.alert.measures.stage == Some(Stage::Overdue);
        let resolved = owed.get(&(alert.id.as_str(), MessageKind::AlertResolved)).copied().unwrap_or_default();
        // What was over before it was found is told once, as over.
        let was_over = firing == 0 && resolved == 1;
        assert!(was_over || firing == if is_overdue { 2 } else { 1 }, "{alert:?}");
        assert!(resolved <= usize::from(alert.state() == AlertState::Resolved), "{alert:?}");
    }
}

async fn live(courses: Vec<Course>, polls: Vec<(i64, Weather)>) {
    let mut scene = Scene::open(RULES).await;
    scene.set(hour(0));
    scene.show(shown(&courses, hour(0)));
    scene.poll().await;
    let (mut polls_made, mut whole_polls) = (vec![hour(0)], vec![hour(0)]);
    for (minutes, weather) in polls {
        let now = scene.now() + SignedDuration::from_mins(minutes);
        if now > hour(HOURS) {
            break;
        }
        scene.set(now);
        let runs = shown(&courses, now);
        scene.show(runs.clone());
        scene.source.shown().withheld = u64::from(weather == Weather::Shortfall);
        match weather {
            Weather::Outage => {
                let before = scene.alerts().await;
                scene.fail_with(Some(SourceErrorKind::Transient));
                scene.try_poll().await.unwrap_err();
                scene.fail_with(None);
                assert_eq!(scene.alerts().await, before, "told of what nobody knows");
                continue;
            }
            Weather::Restart => scene.restart(),
            Weather::Fair | Weather::Shortfall => {}
        }
        scene.poll().await;
        polls_made.push(now);
        let alerts = scene.alerts().await;
        let mut open = BTreeSet::new();
        for alert in alerts.iter().filter(|alert| alert.state() == AlertState::Firing) {
            assert!(open.insert((alert.rule.clone(), alert.facts.subject())), "two at once: {alert:?}");
        }
        check_deliveries(&scene, &alerts).await;
        if weather != Weather::Shortfall {
            whole_polls.push(now);
            check(&alerts, &runs, now);
        }
    }
    check_end(&scene.alerts().await, &courses, &polls_made, &whole_polls);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_is_told_of_history_and_clock_is_the_truth(
        courses in prop::collection::vec(course(), usize::try_from(HOURS).unwrap()),
        polls in prop::collection::vec((1..90_i64, weather()), 1..60),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(live(courses, polls));
    }
}
