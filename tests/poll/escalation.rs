//! Escalation, told by what each of the people hears, and when.

use std::sync::Arc;

use jiff::SignedDuration;
use nightbell::model::{
    Ack, Alert, Attempt, Concerns, Delivery, DeliveryState, Instance, MessageKind, Notification, Status,
};
use nightbell::rule::Muting;
use nightbell::store::{
    Deliveries as _, Desk as _, FallbackDeliveries as _, Groups as _, KnownReceiver, NewSilence, Outbox as _, Settled,
    Steps as _,
};
use nightbell::worker::remind::Reminders;

use super::world::{Scene, receivers, run, told, told_to};

const RULES: &str = "  failed: { when: { status: [fail] }, severity: critical, notify: [{ to: [hook, mail] }, \
     { after: 30m, unless: acked, to: lead }, { after: 2h, to: [boss, hook] }] }\n";

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A run that failed a minute ago.
fn failed(scene: &Scene, job: &str) -> Instance {
    run(job, "1", Status::Fail, scene.now() - minutes(5), Some(scene.now() - minutes(1)))
}

fn well(scene: &Scene, job: &str) -> Instance {
    run(job, "1", Status::Success, scene.now() - minutes(1), Some(scene.now()))
}

/// A scene in which `etl` has just failed and was told.
async fn failing(rules: &str) -> Scene {
    let mut scene = Scene::open(rules).await;
    scene.poll().await;
    scene.show([failed(&scene, "etl")]);
    scene.poll().await;
    arrive(&scene).await;
    scene
}

/// The receivers that the configuration has.
async fn there_are(scene: &Scene, receivers: &[&str]) {
    let known = |id: &&str| KnownReceiver { id: (*id).into(), fallback: None };
    let known: Vec<KnownReceiver> = receivers.iter().map(known).collect();
    scene.store.keep_receivers(&known, None, scene.now()).await.unwrap();
}

/// What is owed arrives, but for what is owed to the lead.
async fn arrive(scene: &Scene) {
    for receiver in ["hook", "mail", "boss"] {
        let claimed = scene.store.claim(&receiver.into(), scene.now(), 999).await.unwrap();
        let settled = claimed.into_iter().map(|delivery| Settled {
            id: delivery.notification.id,
            attempt_number: delivery.attempts + 1,
            started_at: scene.now(),
            ended_at: scene.now(),
            attempt: Attempt::delivered("200"),
            state: DeliveryState::Delivered,
            last_error: None,
            next_attempt_at: None,
            patience_spent: std::time::Duration::ZERO,
        });
        scene.store.settle(&settled.collect::<Vec<_>>()).await.unwrap();
    }
}

async fn alert(scene: &Scene) -> Alert {
    scene.alerts().await.remove(0)
}

/// What a receiver was told last.
async fn last_body(scene: &Scene, receiver: &str) -> serde_json::Value {
    let deliveries = scene.store.deliveries(usize::MAX).await.unwrap();
    let last = deliveries.iter().filter(|one| one.receiver.as_str() == receiver).max_by_key(|one| one.created_at);
    serde_json::from_str(last.unwrap().content.part("body")).unwrap()
}

async fn ack(scene: &Scene, by: &str) {
    let ack = Ack { by: by.into(), reason: None, at: scene.now() };
    scene.store.ack(&[alert(scene).await.id], &ack).await.unwrap();
}

async fn silence(scene: &Scene, lasts: i64) {
    let concerns = Concerns { jobs: vec!["etl".into()], ..Concerns::default() };
    let ends_at = scene.now() + minutes(lasts);
    let new = NewSilence { concerns, reason: "deploy".into(), by: "wang".into(), ends_at };
    scene.store.add_silence(&new, scene.now()).await.unwrap();
}

#[tokio::test]
async fn an_alert_that_still_fires_goes_further_step_by_step_once_over_restarts_and_so_does_its_end() {
    let mut scene = failing(RULES).await;
    assert_eq!(scene.next_step().await, Some(scene.now() + minutes(30)));
    scene.pass(minutes(30) - SignedDuration::from_secs(1));
    assert_eq!(scene.escalate().await, 0);
    scene.pass(SignedDuration::from_secs(1));
    assert_eq!(scene.escalate().await, 1);
    for _ in 0..2 {
        scene.restart();
        scene.poll().await;
        assert_eq!(scene.escalate().await, 0);
    }
    assert_eq!(told_to(&scene.store, "lead").await, ["alert.firing etl 1"]);
    let body = last_body(&scene, "lead").await;
    let escalation = &body["data"]["alert"]["escalation"];
    let expected = serde_json::json!({ "step": 2, "after_ms": 1_800_000, "told": ["hook", "mail"],
        "unreached": [], "acked_by": null });
    assert_eq!(*escalation, expected);
    let summary = body["data"]["alert"]["summary"].as_str().unwrap();
    assert_eq!(summary, "etl failed after 4m 0s (escalated: hook, mail notified 30m ago, not acknowledged)");
    assert_eq!(alert(&scene).await.facts.alert.escalation, None, "what is stored stays as it is");

    scene.pass(minutes(90));
    assert_eq!(scene.escalate().await, 2);
    let alert_told = &last_body(&scene, "boss").await["data"]["alert"];
    let expected = serde_json::json!({ "step": 3, "after_ms": 7_200_000, "told": ["hook", "mail"],
        "unreached": ["lead"], "acked_by": null });
    assert_eq!(alert_told["escalation"], expected);
    assert_eq!(
        alert_told["summary"],
        "etl failed after 4m 0s (escalated: hook, mail notified 2h ago, lead not reached for 2h, not acknowledged)"
    );
    assert_eq!(told(&scene.store).await.len(), 2, "whom a later step names is told again");
    assert_eq!(scene.next_step().await, None);

    scene.show([well(&scene, "etl")]);
    scene.poll().await;
    assert_eq!(scene.escalate().await, 2, "the lead and the boss");
    scene.restart();
    assert_eq!(scene.escalate().await, 0);
    for receiver in ["lead", "boss"] {
        assert_eq!(told_to(&scene.store, receiver).await, ["alert.firing etl 1", "alert.resolved etl 1"]);
    }
    assert_eq!(told(&scene.store).await.iter().filter(|line| line.contains("resolved")).count(), 1);
    let deliveries = scene.store.deliveries(usize::MAX).await.unwrap();
    let of_lead = |kind: &str| -> &Delivery {
        deliveries.iter().find(|one| one.receiver.as_str() == "lead" && one.kind.as_str() == kind).unwrap()
    };
    assert_eq!(of_lead("alert.resolved").follows.as_ref(), Some(&of_lead("alert.firing").id));
}

/// Of a failure that another one took the place of only those hear the end who keep an incident open for it; the next one is
/// told in its thread.
#[tokio::test]
async fn what_fails_again_is_told_in_the_thread_of_the_first_failure_whose_end_only_incidents_need() {
    let rules =
        "  failed: { when: { status: [fail] }, notify: [{ to: [hook, pager] }, { after: 30m, to: [lead, pager] }] }\n";
    let mut scene = Scene::open(rules).await;
    scene.poll().await;
    let first = failed(&scene, "etl");
    scene.show([first.clone()]);
    scene.poll().await;
    scene.pass(minutes(30));
    assert_eq!(scene.escalate().await, 2);
    scene.pass(minutes(5));
    scene.show([Instance { start_time: Some(scene.now() - minutes(2)), end_time: Some(scene.now()), ..first }]);
    scene.poll().await;
    assert_eq!(scene.escalate().await, 0, "the lead hears nothing of the end, and the pager has heard it");

    let deliveries = scene.store.deliveries(usize::MAX).await.unwrap();
    let to = |receiver: &str, kind: MessageKind| {
        let mut all: Vec<&Delivery> =
            deliveries.iter().filter(|one| one.receiver.as_str() == receiver && one.kind == kind).collect();
        all.sort_by_key(|one| one.created_at);
        all
    };
    for (receiver, ends) in [("hook", 0), ("lead", 0), ("pager", 1)] {
        assert_eq!(to(receiver, MessageKind::AlertResolved).len(), ends, "{receiver}");
    }
    let firing = to("hook", MessageKind::AlertFiring);
    assert_eq!(firing.len(), 2);
    assert_eq!((&firing[0].in_thread_of, firing[1].in_thread_of.as_ref()), (&None, Some(&firing[0].id)));
    assert_eq!(firing[1].follows, None, "it waits for nobody");
}

/// The receiver of a step is renamed while the alert fires that the step has told it: after ten minutes, as where the first
/// receivers are renamed, the new one hears of the alert, once, and of its end.
#[tokio::test]
async fn the_receiver_of_a_step_that_is_renamed_hears_of_the_alert_under_its_new_name() {
    let rules = |to: &str| {
        format!(
            "  failed: {{ when: {{ status: [fail] }}, notify: [{{ to: [hook, mail] }}, \
             {{ after: 30m, unless: acked, to: [{to}] }}], loop: {{ every: 1h, times: 2 }} }}\n"
        )
    };
    let there = ["hook", "mail", "lead", "pager"];
    let renamed = ["hook", "mail", "boss", "pager"];
    // To whom the step goes before and after, how many rounds it has told, whether somebody is on the alert, whether the name
    // is put right in time, and how often the new one is told.
    let cases = [
        ("lead", "boss", 1, false, false, 1),
        ("lead", "boss", 2, false, false, 1),
        ("lead", "boss", 1, true, false, 0),
        ("lead", "boss", 1, false, true, 0),
        ("lead, pager", "boss, pager", 1, false, false, 0),
    ];
    for (before, after, rounds, is_acked, is_put_right, expected) in cases {
        let case = format!("{before} {after} {rounds} {is_acked} {is_put_right}");
        let mut scene = failing(&rules(before)).await;
        there_are(&scene, &there).await;
        scene.pass(minutes(30));
        scene.escalate().await;
        if rounds > 1 {
            scene.pass(minutes(60));
            scene.escalate().await;
        }
        assert_eq!(told_to(&scene.store, "lead").await.len(), rounds, "{case}");
        if is_acked {
            ack(&scene, "wang").await;
        }
        scene.restart_with(&rules(after));
        there_are(&scene, &renamed).await;
        scene.pass(minutes(9));
        assert_eq!(scene.escalate().await, 0, "{case}");
        if is_put_right {
            there_are(&scene, &there).await;
        }
        scene.pass(minutes(1));
        for again in 0..2 {
            assert_eq!(scene.escalate().await, if again == 0 { expected } else { 0 }, "{case}");
            scene.restart();
            there_are(&scene, if is_put_right { &there } else { &renamed }).await;
        }
        scene.show([well(&scene, "etl")]);
        scene.poll().await;
        scene.escalate().await;
        let told = told_to(&scene.store, "boss").await;
        let all = ["alert.firing etl 1", "alert.resolved etl 1"];
        assert_eq!(told, all[..if expected > 0 { 2 } else { 0 }], "{case}");
    }
}

/// Renamed once more, long after: whom the step has told first is known still.
#[tokio::test]
async fn the_receiver_of_a_step_that_is_renamed_twice_hears_of_the_alert_each_time() {
    let rules = |to: &str| {
        format!("  failed: {{ when: {{ status: [fail] }}, notify: [{{ to: mail }}, {{ after: 30m, to: {to} }}] }}\n")
    };
    let mut scene = failing(&rules("lead")).await;
    there_are(&scene, &["mail", "lead"]).await;
    scene.pass(minutes(30));
    scene.escalate().await;
    for to in ["boss", "hook"] {
        scene.restart_with(&rules(to));
        // Nobody has looked since the day before.
        for _ in 0..2 {
            there_are(&scene, &["mail", to]).await;
            scene.pass(minutes(25 * 60));
        }
        there_are(&scene, &["mail", to]).await;
        scene.escalate().await;
    }
    for to in ["lead", "boss", "hook"] {
        assert_eq!(told_to(&scene.store, to).await, ["alert.firing etl 1"], "{to}");
    }
}

#[tokio::test]
async fn an_acknowledged_alert_goes_only_where_that_does_not_matter() {
    let mut scene = failing(RULES).await;
    scene.pass(minutes(29));
    ack(&scene, "wang").await;
    scene.pass(minutes(200));
    assert_eq!(scene.escalate().await, 2);
    assert!(told_to(&scene.store, "lead").await.is_empty());
    let body = last_body(&scene, "boss").await;
    assert_eq!(body["data"]["alert"]["escalation"]["acked_by"], "wang");
    let summary = body["data"]["alert"]["summary"].as_str().unwrap();
    assert!(summary.ends_with("(escalated: hook, mail notified 3h 49m ago, acknowledged by wang)"), "{summary}");
}

#[tokio::test]
async fn what_is_over_by_then_goes_nowhere() {
    let mut scene = failing(RULES).await;
    scene.pass(minutes(29));
    scene.show([well(&scene, "etl")]);
    scene.poll().await;
    scene.pass(minutes(500));
    assert_eq!((scene.escalate().await, scene.next_step().await), (0, None));
}

/// The time counts from the telling, not from the failure.
#[tokio::test]
async fn what_was_held_back_goes_further_from_the_time_it_is_told() {
    let mut scene = Scene::open(RULES).await;
    scene.poll().await;
    silence(&scene, 60).await;
    scene.show([failed(&scene, "etl")]);
    scene.poll().await;
    scene.pass(minutes(59));
    assert_eq!((scene.escalate().await, scene.next_step().await), (0, None));
    scene.pass(minutes(1));
    scene.poll().await;
    arrive(&scene).await;
    assert_eq!(scene.next_step().await, Some(scene.now() + minutes(30)));
    scene.pass(minutes(30));
    assert_eq!(scene.escalate().await, 1);
    let summary = last_body(&scene, "lead").await["data"]["alert"]["summary"].to_string();
    assert!(summary.contains("4m 0s (escalated: hook, mail notified 30m ago"), "{summary}");
}

/// Whoever silenced it after it was told does not want others to be woken.
#[tokio::test]
async fn a_step_waits_while_a_silence_holds() {
    let mut scene = failing(RULES).await;
    silence(&scene, 60).await;
    scene.pass(minutes(59));
    assert_eq!(scene.escalate().await, 0);
    scene.pass(minutes(1));
    assert_eq!(scene.escalate().await, 1);
    assert_eq!(told_to(&scene.store, "lead").await, ["alert.firing etl 1"]);
}

/// More wait than one query reads, all of them muted, and one behind them is not.
#[tokio::test]
async fn what_is_muted_does_not_stand_in_the_way_of_others() {
    let mut scene = Scene::open(RULES).await;
    scene.poll().await;
    let now = scene.now();
    let all = (0..nightbell::limits::ESCALATION_BATCH + 3)
        .map(|id| run("etl", &id.to_string(), Status::Fail, now - minutes(5), Some(now - minutes(1))));
    let all: Vec<Instance> = all.collect();
    scene.show(all.clone());
    scene.poll().await;
    scene.pass(minutes(1));
    scene.show(all.into_iter().chain([failed(&scene, "other")]));
    scene.poll().await;
    silence(&scene, 600).await;
    scene.pass(minutes(31));
    assert_eq!(scene.escalate().await, 1);
    assert_eq!(told_to(&scene.store, "lead").await, ["alert.firing other 1"]);
}

/// A deadline is told twice, as a warning and when it has passed: that begins nothing anew.
#[tokio::test]
async fn a_deadline_that_is_told_a_second_time_does_not_begin_to_count_anew() {
    let rules = "  due: { match: { job: etl }, when: { not_finished_by: \"06:30\", warn_at: \"06:00\" }, \
                 severity: critical, notify: [{ to: hook }, { after: 45m, to: lead }] }\n";
    let at = |time: &str| format!("2026-11-21T{time}:00Z").parse().unwrap();
    let mut scene = Scene::open(rules).await;
    scene.set(at("01:00"));
    scene.poll().await;
    scene.show([run("etl", "1", Status::Running, at("02:00"), None)]);
    for time in ["02:30", "06:00", "06:30"] {
        scene.set(at(time));
        scene.poll().await;
        assert_eq!(scene.escalate().await, 0, "{time}");
    }
    assert_eq!(told(&scene.store).await, ["alert.firing etl 1"; 2]);
    scene.set(at("06:45"));
    scene.poll().await;
    assert_eq!(scene.escalate().await, 1);
    assert_eq!(last_body(&scene, "lead").await["data"]["alert"]["escalation"]["after_ms"], 2_700_000);
    scene.set(at("07:00"));
    scene.show([run("etl", "1", Status::Success, at("02:00"), Some(at("06:59")))]);
    scene.poll().await;
    scene.escalate().await;
    assert_eq!(told_to(&scene.store, "lead").await, ["alert.firing etl 1", "alert.resolved etl 1"]);
}

/// Who adds a step today does not want to hear of what has fired for weeks; the steps of a night that was slept through
/// are taken in the morning.
/// PagerDuty and its like begin anew with the first level; so do the steps of a rule, for as many rounds as it says.
#[tokio::test]
async fn steps_begin_anew_until_somebody_acknowledges_or_the_rounds_are_over() {
    let rules = "  failed: { when: { status: [fail] }, severity: critical, notify: [{ to: hook }, { after: 30m, to: lead }], \
         loop: { every: 1h, times: 2 } }\n";
    let mut scene = failing(rules).await;
    let mut told = Vec::new();
    for half_hour in 1..=8 {
        scene.pass(minutes(30));
        if half_hour % 3 == 0 {
            scene.restart();
        }
        told.push(scene.escalate().await);
        arrive(&scene).await;
    }
    // The lead, the hook and the lead again, both once more, and nobody after that.
    assert_eq!(told, [1, 1, 1, 1, 1, 0, 0, 0]);
    let hook = told_to(&scene.store, "hook").await;
    assert_eq!(hook, ["alert.firing etl 1"; 3]);
    let body = last_body(&scene, "hook").await;
    assert_eq!(body["data"]["alert"]["escalation"]["step"], 5);
    scene.show([well(&scene, "etl")]);
    scene.poll().await;
    assert_eq!(scene.escalate().await, 1, "the lead hears of the end once, and the hook from the poll");
    assert_eq!(told_to(&scene.store, "hook").await.iter().filter(|line| line.contains("resolved")).count(), 1);

    // A round begins only while nobody is on it, whatever its steps say.
    let mut scene = failing(rules).await;
    scene.pass(minutes(10));
    ack(&scene, "wang").await;
    scene.pass(minutes(20));
    assert_eq!(scene.escalate().await, 1, "the second step minds no acknowledgement");
    scene.pass(minutes(240));
    assert_eq!(scene.escalate().await, 0);
}

/// Without a group each alert is told again by itself.
#[tokio::test]
async fn an_alert_without_a_group_is_told_again_until_somebody_acknowledges_it() {
    let rules = "  failed: { when: { status: [fail] }, notify: [hook, pager], repeat: 1h }\n";
    let mut scene = failing(rules).await;
    let remind = async |scene: &Scene| {
        let (store, muting) = (Arc::clone(&scene.store), Muting::new(Arc::default()));
        let mut reminders = Reminders { store, receivers: receivers(), muting, is_wanted: true };
        reminders.pass(scene.now()).await.unwrap()
    };
    scene.show([failed(&scene, "etl"), failed(&scene, "load")]);
    scene.pass(minutes(10));
    scene.poll().await;
    arrive(&scene).await;
    scene.pass(minutes(49));
    assert_eq!(remind(&scene).await, 0);
    scene.pass(minutes(1));
    // The pager keeps an incident for each alert: it is told nothing again.
    assert_eq!(remind(&scene).await, 1, "etl, told an hour ago; load has ten minutes left");
    assert_eq!(remind(&scene).await, 0);
    let body = last_body(&scene, "hook").await;
    assert_eq!((&body["type"], &body["data"]["alerts"][0]["job"]["name"]), (&"alert.group".into(), &"etl".into()));
    arrive(&scene).await;
    ack(&scene, "wang").await;
    scene.pass(minutes(120));
    assert_eq!(remind(&scene).await, 1, "load alone: wang is on etl");
}

#[tokio::test]
async fn a_step_that_was_due_long_ago_is_not_taken() {
    for (hours, count) in [(24, 3), (24 * 14, 0)] {
        let mut scene = failing(RULES).await;
        scene.pass(SignedDuration::from_hours(hours));
        assert_eq!(scene.escalate().await, count, "{hours}");
    }
}

/// The clock was a day ahead when the alert was told, and was set right: the steps stood still for a day.
#[tokio::test]
async fn steps_of_an_alert_that_was_told_by_a_clock_a_day_ahead_are_due() {
    let mut scene = failing(RULES).await;
    scene.pass(-SignedDuration::from_hours(24));
    assert_eq!(scene.escalate().await, 3, "both steps");
    assert_eq!(scene.escalate().await, 0, "once");
    // A clock that was set back by less than the step waits makes it wait that much longer.
    let mut scene = failing(RULES).await;
    scene.pass(-minutes(20));
    assert_eq!(scene.escalate().await, 0);
    scene.pass(minutes(50));
    assert_eq!(scene.escalate().await, 1);
}

/// An acknowledgement that is taken back lets the step be taken that it kept from being taken.
#[tokio::test]
async fn a_step_is_taken_after_the_acknowledgement_was_removed() {
    let mut scene = failing(RULES).await;
    ack(&scene, "wang").await;
    scene.pass(minutes(40));
    assert_eq!(scene.escalate().await, 0);
    scene.store.unack(&[alert(&scene).await.id], "li", scene.now()).await.unwrap();
    assert_eq!(scene.escalate().await, 1);
}

/// While a rule is away its alerts are suspended; when it stays away they end, and those hear of it who were told by a step.
#[tokio::test]
async fn whom_a_step_has_told_hears_of_the_end_of_a_rule() {
    let mut scene = failing(RULES).await;
    scene.pass(minutes(30));
    scene.escalate().await;
    scene.restart_with("  other: { when: { status: [pause] }, notify: [hook] }\n");
    for (wait, expected) in [(0, 1), (9, 1), (1, 2)] {
        scene.pass(minutes(wait));
        scene.poll().await;
        scene.escalate().await;
        assert_eq!(told_to(&scene.store, "lead").await.len(), expected, "{wait}");
    }
    scene.restart_with(RULES);
    assert_eq!(scene.escalate().await, 0, "it is settled");
}

/// What was acknowledged was the first failure: the second one has nobody on it, and its steps begin anew.
#[tokio::test]
async fn a_rerun_that_fails_lifts_the_acknowledgement_and_its_steps_begin_anew() {
    let mut scene = failing(RULES).await;
    ack(&scene, "wang").await;
    scene.pass(minutes(40));
    assert_eq!(scene.escalate().await, 0);
    let now = scene.now();
    scene.show([run("etl", "1", Status::Running, now, None)]);
    scene.poll().await;
    scene.pass(minutes(5));
    scene.show([run("etl", "1", Status::Fail, now, Some(scene.now()))]);
    scene.poll().await;
    arrive(&scene).await;
    assert_eq!(told(&scene.store).await, ["alert.firing etl 1"; 2]);
    let second = last_body(&scene, "hook").await["data"]["alert"].clone();
    assert_eq!((&second["episode"], &second["acked"]), (&2.into(), &serde_json::Value::Null));
    scene.pass(minutes(29));
    assert_eq!(scene.escalate().await, 0);
    scene.pass(minutes(1));
    assert_eq!(scene.escalate().await, 1);
    assert_eq!(told_to(&scene.store, "lead").await, ["alert.firing etl 1"]);
    assert_eq!(last_body(&scene, "lead").await["data"]["alert"]["escalation"]["acked_by"], serde_json::Value::Null);
    assert_eq!(last_body(&scene, "lead").await["data"]["alert"]["id"], second["id"]);
}

/// The step is read, and the acknowledgement comes before it is taken.
#[tokio::test]
async fn an_acknowledgement_counts_up_to_the_transaction_that_takes_the_step() {
    use nightbell::model::Escalation;
    use nightbell::model::{RuleStep, StepTaken};
    let mut scene = failing(RULES).await;
    scene.pass(minutes(30));
    let of = |unless_acked| RuleStep {
        rule: "failed".into(),
        number: 2,
        after: std::time::Duration::from_secs(1800),
        unless_acked,
    };
    let within = (scene.now() - minutes(60), scene.now());
    let due = scene.store.due_steps(&[of(true)], within, None, 9).await.unwrap();
    assert_eq!(due.len(), 1);
    ack(&scene, "wang").await;
    let telling = scene.store.deliveries(1).await.unwrap().remove(0);
    let taken = |unless_acked| StepTaken {
        alert: due[0].alert.id.clone(),
        number: 2,
        unless_acked,
        note: Escalation { step: 2, after_ms: 0, told: Vec::new(), unreached: Vec::new(), acked_by: None },
        deliveries: vec![Notification { id: "new".into(), receiver: "lead".into(), ..telling.notification.clone() }],
    };
    assert_eq!(scene.store.take_steps(&[taken(true)], scene.now()).await.unwrap(), 0);
    assert!(scene.store.due_steps(&[of(true)], within, None, 9).await.unwrap().is_empty());
    assert_eq!(scene.store.take_steps(&[taken(false)], scene.now()).await.unwrap(), 1);
    assert_eq!(scene.store.take_steps(&[taken(false)], scene.now()).await.unwrap(), 0);
    assert_eq!(scene.escalate().await, 0);
}

/// What waits for a receiver that takes few messages is told with others, and says all the same why it is told.
#[tokio::test]
async fn what_goes_further_says_so_in_a_message_about_several() {
    let mut scene = failing(RULES).await;
    scene.pass(minutes(30));
    scene.escalate().await;
    let deliveries = scene.store.deliveries(usize::MAX).await.unwrap();
    let of = |receiver: &str| deliveries.iter().find(|one| one.receiver.as_str() == receiver).unwrap().id.clone();
    let mergeable = scene.store.mergeable(&[of("lead"), of("hook")]).await.unwrap();
    assert!(mergeable[0].facts.alert.summary.ends_with("(escalated: hook, mail notified 30m ago, not acknowledged)"));
    assert_eq!(mergeable[0].facts.alert.escalation.as_ref().unwrap().step, 2);
    assert_eq!(mergeable[1].facts.alert.escalation, None);
}
