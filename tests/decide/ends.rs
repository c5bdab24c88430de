//! When an alert ends, and for which reason.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use nightbell::decide::{Audience, Decided, Notice};
use nightbell::model::{EndReason, Instance, InstanceType, Job, JobList, MessageKind, ReceiverId, Status, Suppression};

use super::{Night, notices};

const FAILED: &str = "  failed: { when: { status: [fail] }, notify: [hook] }\n";
const SLOW: &str = "  slow: { when: { status: [running], duration: 30m }, notify: [hook] }\n";
const LONG: &str = "  long: { when: { duration: 45m }, notify: [hook] }\n";

#[test]
fn the_success_of_another_run_says_nothing_of_one_that_is_under_way() {
    let mut night = Night::new(SLOW);
    let long = night.began("1", Status::Running, 31);
    assert_eq!(night.poll([long.clone()]), ["slow etl/1 firing"]);
    night.pass(15);
    let later = night.ended("2", Status::Success, 10);
    assert!(night.poll([long.clone(), later.clone()]).is_empty());
    assert_eq!(night.firing(), ["slow etl/1"]);
    night.pass(4);
    let over = Instance { status: Status::Success, end_time: Some(night.now), ..long };
    assert_eq!(night.poll([over, later]), ["slow etl/1 over over"]);
}

#[test]
fn a_rerun_that_fails_is_another_episode() {
    let mut night = Night::new(FAILED);
    let first = night.ended("1", Status::Fail, 10);
    assert_eq!(night.poll([first.clone()]), ["failed etl/1 firing"]);
    let first_id = night.known.memory.firing.firing().next().unwrap().id.clone();
    night.pass(25);
    let rerun = Instance { status: Status::Running, start_time: Some(night.now), end_time: None, ..first.clone() };
    assert!(night.poll([rerun.clone()]).is_empty(), "a rerun under way changes nothing yet");
    night.pass(5);
    let again = Instance { status: Status::Fail, end_time: Some(night.now), ..rerun };
    let decided = night.decide([again.clone()], night.whole());
    assert_eq!(notices(&decided), ["failed etl/1 firing again 2"]);
    let told = |notice: &Notice| (notice.kind, notice.audience, notice.again_after.clone());
    assert_eq!(
        decided.notices.iter().map(told).collect::<Vec<_>>(),
        [
            (MessageKind::AlertFiring, Audience::All, Some(first_id.clone())),
            (MessageKind::AlertResolved, Audience::KeepIncidents, None),
        ],
        "the first one is over for those who keep incidents, and the second is told in its thread"
    );
    let second_id = night.known.memory.firing.firing().next().unwrap().id.clone();
    assert_ne!(first_id, second_id, "what was acknowledged was the first one");
    assert!(night.poll([again.clone()]).is_empty());
    night.restart();
    assert!(night.poll([again.clone()]).is_empty());
    night.pass(5);
    let well = Instance { status: Status::Success, start_time: Some(night.now), end_time: Some(night.now), ..again };
    assert_eq!(night.poll([well]), ["failed etl/1 over recovered"]);
}

#[test]
fn what_waits_too_long_is_over_when_it_starts_and_may_run_too_long_after_that() {
    let mut night = Night::new("  late: { when: { duration: 30m }, notify: [hook] }\n");
    let waiting = Instance { start_time: None, ..night.began("1", Status::Waiting, 31) };
    assert_eq!(night.poll([waiting.clone()]), ["late etl/1 firing"]);
    night.pass(1);
    let running = Instance { status: Status::Running, start_time: Some(night.now), ..waiting };
    assert_eq!(night.poll([running.clone()]), ["late etl/1 over over"]);
    night.pass(30);
    assert_eq!(night.poll([running.clone()]), ["late etl/1 firing"]);
    night.pass(1);
    let over = Instance { status: Status::Fail, end_time: Some(night.now), ..running };
    assert_eq!(night.poll([over]), ["late etl/1 over over"]);
}

#[test]
fn a_breach_that_is_over_when_it_is_first_seen_is_told_once_as_over() {
    let mut night = Night::new(LONG);
    night.poll([]);
    night.pass(60);
    let began = night.now - SignedDuration::from_mins(55);
    let ended =
        Instance { end_time: Some(began + SignedDuration::from_mins(50)), ..night.began("1", Status::Success, 55) };
    assert_eq!(night.poll([ended.clone()]), ["long etl/1 over over"]);
    assert!(night.poll([ended]).is_empty());
    assert!(night.firing().is_empty());
}

#[test]
fn a_failure_that_recovered_before_it_was_seen_is_told_once_as_over() {
    let mut night = Night::new(FAILED);
    night.poll([]);
    night.pass(30);
    let runs = [night.ended("1", Status::Fail, 20), night.ended("2", Status::Success, 10)];
    assert_eq!(night.poll(runs.clone()), ["failed etl/1 over recovered"]);
    assert!(night.poll(runs).is_empty());
}

#[test]
fn how_a_failure_ends() {
    // what the run, and another one planned later, are in the next poll; what is told
    type Case<'a> = (&'a str, Status, Option<Status>, &'a str, &'a [&'a str]);
    let cases: [Case<'_>; 8] = [
        ("the same run succeeds", Status::Success, None, "job", &["failed etl/1 over recovered"]),
        ("set to success by hand", Status::ForcedSuccess, None, "job", &["failed etl/1 over recovered"]),
        ("a later run succeeds", Status::Fail, Some(Status::Success), "job", &["failed etl/1 over recovered"]),
        ("its failure is ignored", Status::IgnoredFailure, None, "job", &["failed etl/1 over over"]),
        ("it is cancelled when made again", Status::ManualStop, None, "job", &["failed etl/1 over over"]),
        ("a later run fails", Status::Fail, Some(Status::Fail), "job", &["failed etl/2 firing"]),
        ("only its own success counts", Status::Fail, Some(Status::Success), "run", &[]),
        ("its own success counts", Status::Success, None, "run", &["failed etl/1 over recovered"]),
    ];
    for (name, own, other, recovers, expected) in cases {
        let rule = format!("  failed: {{ when: {{ status: [fail] }}, recovers: {recovers}, notify: [hook] }}\n");
        let mut night = Night::new(&rule);
        let first = night.ended("1", Status::Fail, 20);
        assert_eq!(night.poll([first.clone()]), ["failed etl/1 firing"], "{name}");
        night.pass(30);
        let mut runs = vec![first.clone()];
        if own != Status::Fail {
            runs[0] = Instance { status: own, end_time: Some(night.now), ..first };
        }
        runs.extend(other.map(|status| night.ended("2", status, 10)));
        assert_eq!(night.poll(runs), expected, "{name}");
    }
}

/// Runs 1, 2 and 3 have failed in a row, behind one that went well.
fn row() -> (Night, Vec<Instance>) {
    let mut night = Night::new("  row: { when: { consecutive: 3 }, notify: [hook] }\n");
    let mut runs = vec![night.ended("0", Status::Success, 50)];
    runs.extend([("1", 40), ("2", 30), ("3", 20)].map(|(id, before)| night.ended(id, Status::Fail, before)));
    assert_eq!(night.poll(runs.clone()), ["row etl/3 firing"]);
    night.pass(10);
    (night, runs)
}

/// The run, made again.
fn made_again(night: &Night, run: &Instance, status: Status) -> Instance {
    let end_time = status.has_ended().then_some(night.now);
    Instance { status, raw_status: status.to_string(), start_time: Some(night.now), end_time, ..run.clone() }
}

#[test]
fn a_row_of_failures_is_over_when_fewer_have_failed_in_a_row() {
    // which run is made again, to what it comes, what is told
    let cases = [
        ("2", Status::Running, &[][..]),
        ("2", Status::Fail, &[]),
        ("2", Status::Success, &["row etl/3 over over"]),
        ("2", Status::ForcedSuccess, &["row etl/3 over over"]),
        ("2", Status::IgnoredFailure, &["row etl/3 over over"]),
        ("2", Status::ManualStop, &["row etl/3 over over"]),
        ("1", Status::Success, &["row etl/3 over over"]),
        ("3", Status::Success, &["row etl/3 over recovered"]),
        ("0", Status::Fail, &[]),
    ];
    for (id, status, expected) in cases {
        let (mut night, mut runs) = row();
        let at = runs.iter().position(|run| run.id == id).unwrap();
        runs[at] = made_again(&night, &runs[at], status);
        assert_eq!(night.poll(runs.clone()), expected, "{id} {status}");
        assert_eq!(night.firing().is_empty(), !expected.is_empty(), "{id} {status}");
        night.restart();
        assert!(night.poll(runs).is_empty(), "{id} {status}");
    }
}

#[test]
fn a_row_of_failures_that_has_grown_outlasts_the_recovery_of_its_first_run() {
    let (mut night, mut runs) = row();
    runs.push(night.ended("4", Status::Fail, 9));
    assert!(night.poll(runs.clone()).is_empty());
    runs[1] = made_again(&night, &runs[1], Status::Success);
    assert!(night.poll(runs.clone()).is_empty(), "2, 3 and 4 have failed");
    assert_eq!(night.firing(), ["row etl/3"]);
    night.pass(1);
    runs[2] = made_again(&night, &runs[2], Status::Success);
    assert_eq!(night.poll(runs), ["row etl/3 over over"]);
}

#[test]
fn a_row_of_failures_waits_for_what_was_not_read_and_for_what_is_made_again() {
    let (mut night, mut runs) = row();
    runs[2] = made_again(&night, &runs[2], Status::Success);
    let short = night.short();
    assert!(night.poll_with(runs.clone(), short.clone()).is_empty(), "a later run may have failed");
    night.restart();
    assert!(night.poll_with(runs.clone(), short).is_empty());
    assert_eq!(night.poll(runs), ["row etl/3 over over"], "it was read, and nothing has changed");

    let (mut night, mut runs) = row();
    runs[2] = made_again(&night, &runs[2], Status::Running);
    runs[0] = made_again(&night, &runs[0], Status::Success);
    assert!(night.poll(runs.clone()).is_empty(), "run 2 may fail again");
    night.restart();
    assert!(night.poll(runs.clone()).is_empty());
    night.pass(1);
    runs[2] = Instance { status: Status::Success, end_time: Some(night.now), ..runs[2].clone() };
    assert_eq!(night.poll(runs), ["row etl/3 over over"]);
}

#[test]
fn a_row_of_failures_that_is_met_again_is_another_episode() {
    let (mut night, mut runs) = row();
    runs[2] = made_again(&night, &runs[2], Status::Success);
    assert_eq!(night.poll(runs.clone()), ["row etl/3 over over"]);
    night.pass(1);
    runs[2] = made_again(&night, &runs[2], Status::Fail);
    assert_eq!(night.poll(runs.clone()), ["row etl/3 firing"]);
    night.restart();
    assert!(night.poll(runs.clone()).is_empty());
    // A success between, and the row behind it was known before.
    night.pass(30);
    runs.extend([("5", 20), ("6", 15), ("7", 10)].map(|(id, before)| night.ended(id, Status::Fail, before)));
    assert!(night.poll(runs.clone()).is_empty(), "it has grown");
    night.pass(1);
    runs.push(night.ended("4", Status::Success, 25));
    let ended = runs.len() - 1;
    runs[ended].end_time = Some(night.now);
    assert_eq!(night.poll(runs.clone()), ["row etl/3 over recovered", "row etl/7 firing"]);
    assert!(night.poll(runs).is_empty());
}

#[test]
fn a_run_that_the_source_no_longer_knows_ends_as_gone() {
    let mut night = Night::new(FAILED);
    let failed = night.ended("1", Status::Fail, 20);
    night.poll([failed.clone()]);
    night.pass(1);
    let gone = Instance { status: Status::Unknown, end_time: Some(night.now), ..failed };
    assert_eq!(night.poll([gone]), ["failed etl/1 over gone"]);
}

#[test]
fn a_rule_that_is_away_for_a_moment_suspends_its_alerts_and_one_that_stays_away_ends_them_aloud() {
    const OTHER: &str = "  other: { match: { job: nothing }, when: { status: [fail] }, notify: [hook] }\n";
    let mut night = Night::new(FAILED);
    let failed = night.ended("1", Status::Fail, 20);
    night.poll([failed.clone()]);
    for _ in 0..2 {
        night.rules(OTHER);
        night.pass(1);
        assert!(night.poll([failed.clone()]).is_empty());
        assert_eq!(night.firing(), ["failed etl/1 suspended"]);
        night.pass(8);
        night.rules(FAILED);
        assert!(night.poll([failed.clone()]).is_empty(), "as if it had stayed");
        assert_eq!(night.firing(), ["failed etl/1"]);
    }
    night.rules(OTHER);
    night.poll([failed.clone()]);
    night.pass(9);
    assert!(night.poll([failed.clone()]).is_empty());
    night.pass(1);
    assert_eq!(night.poll([failed.clone()]), ["failed etl/1 over unwatched"]);
    night.pass(1);
    night.rules(FAILED);
    assert_eq!(night.poll([failed]), ["failed etl/1 firing"], "it is watched again, and still broken");
}

/// What follows, with who is told: "failed etl/1 firing: hook".
fn told_to(decided: &Decided) -> Vec<String> {
    let line = |notice: &Notice| {
        let receivers: Vec<&str> = decided.receivers(notice).iter().map(|receiver| receiver.as_str()).collect();
        format!("{}: {}", super::line(decided, notice), receivers.join(" "))
    };
    let mut lines: Vec<String> = decided.notices.iter().map(line).collect();
    lines.sort();
    lines
}

/// A receiver is renamed while its alert fires: the alert is suspended, and after ten minutes another one takes its place,
/// which the new one is told of, and of its end. What is put right before that is as if nothing had been.
#[test]
fn an_alert_whose_receivers_are_gone_is_told_to_those_that_its_rule_names_now() {
    const OWED: &str = "match: { job: etl }, when: { missing: { schedule: \"0 * * * *\", grace: 10m } }";
    let there_are = |night: &mut Night, receivers: &[&str]| {
        let known: BTreeSet<ReceiverId> = receivers.iter().map(ReceiverId::new).collect();
        night.decider.terms.receivers = Some(Arc::new(known));
    };
    let failed = |night: &Night| night.ended("1", Status::Fail, 20);
    let running = |night: &Night| night.began("1", Status::Running, 40);
    let none = |_: &Night| night_run_of_another_job();
    type Shown = fn(&Night) -> Instance;
    let cases: [(&str, &str, Shown, &str); 4] = [
        ("bad", "when: { status: [fail] }", failed, "bad etl/1"),
        ("bad", "when: { status: [running], duration: 30m }", running, "bad etl/1"),
        ("bad", "when: { duration: 30m }", running, "bad etl/1"),
        ("bad", OWED, none, "bad etl/-"),
    ];
    for (rule, when, shown, subject) in cases {
        let to = |receiver: &str| format!("  {rule}: {{ {when}, notify: [{receiver}] }}\n");
        let mut night = Night::new(&to("hook"));
        night.pass(119);
        let run = shown(&night);
        let decided = night.decide([run.clone()], night.whole());
        assert_eq!(told_to(&decided), [format!("{subject} firing: hook")], "{when}");
        let poll = |night: &mut Night, receiver: &str, there: &[&str]| {
            night.rules(&to(receiver));
            there_are(night, there);
            let decided = night.decide([run.clone()], night.whole());
            assert!(decided.fired.iter().all(|alert| alert.suspended_at.is_none()));
            told_to(&decided)
        };
        night.pass(1);
        assert!(poll(&mut night, "lead", &["lead", "boss"]).is_empty(), "{when}: it is suspended");
        assert_eq!(night.firing(), [format!("{subject} suspended")], "{when}");
        night.pass(8);
        assert!(poll(&mut night, "hook", &["hook", "lead"]).is_empty(), "{when}: as if it had stayed");
        assert_eq!(night.firing(), [subject], "{when}");
        night.pass(1);
        assert!(poll(&mut night, "lead", &["lead"]).is_empty(), "{when}");
        night.pass(10);
        let told = poll(&mut night, "lead", &["lead"]);
        assert_eq!(told, [format!("{subject} firing: lead"), format!("{subject} over unwatched: hook")], "{when}");
        for _ in 0..2 {
            night.pass(1);
            assert!(poll(&mut night, "lead", &["lead"]).is_empty(), "{when}");
            assert_eq!(night.firing(), [subject], "{when}");
        }
        // Once more: its name is not that of one before.
        night.pass(1);
        assert!(poll(&mut night, "boss", &["boss"]).is_empty(), "{when}");
        night.pass(10);
        let told = poll(&mut night, "boss", &["boss"]);
        assert_eq!(told, [format!("{subject} firing: boss"), format!("{subject} over unwatched: lead")], "{when}");
        let well = Instance { status: Status::Success, start_time: Some(night.now), end_time: Some(night.now), ..run };
        let well = if subject.ends_with('-') { night.ended("9", Status::Success, 5) } else { well };
        let decided = night.decide([well.clone()], night.whole());
        let told = told_to(&decided);
        assert!(told.len() == 1 && told[0].ends_with(": boss") && told[0].contains(" over "), "{when}: {told:?}");
        assert!(night.firing().is_empty(), "{when}");
    }
}

/// A run of a job that no rule is about.
fn night_run_of_another_job() -> Instance {
    crate::poll::world::run("other", "7", Status::Success, crate::sample::at(0), Some(crate::sample::at(60)))
}

/// What ended under the name that took the place of the first one does not begin again when a rule looks for the first time.
#[test]
fn what_was_told_to_others_and_is_over_is_not_told_again_by_an_edited_rule() {
    let mut night = Night::new("  bad: { when: { status: [fail] }, recovers: job, notify: [hook] }\n");
    night.poll([]);
    night.pass(30);
    let (first, later) = (night.ended("1", Status::Fail, 20), night.ended("2", Status::Success, 2));
    assert_eq!(night.poll([first.clone()]), ["bad etl/1 firing"]);
    night.rules("  bad: { when: { status: [fail] }, recovers: job, notify: [lead] }\n");
    night.decider.terms.receivers = Some(Arc::new(BTreeSet::from([ReceiverId::new("lead")])));
    night.poll([first.clone()]);
    night.pass(10);
    assert_eq!(night.poll([first.clone()]).len(), 2, "another one takes its place");
    let later = Instance { end_time: Some(night.now), ..later };
    assert_eq!(night.poll([first.clone(), later.clone()]), ["bad etl/1 over recovered"]);
    night.rules("  bad: { when: { status: [fail, rejected] }, recovers: job, notify: [lead] }\n");
    assert!(night.poll([first, later]).is_empty());
}

/// One of two receivers is removed: the other one was told, and goes on hearing of it.
#[test]
fn an_alert_of_which_one_receiver_is_left_goes_on() {
    let mut night = Night::new("  bad: { when: { status: [fail] }, notify: [hook, lead] }\n");
    let failed = night.ended("1", Status::Fail, 20);
    night.poll([failed.clone()]);
    night.decider.terms.receivers = Some(Arc::new(BTreeSet::from([ReceiverId::new("lead")])));
    for _ in 0..3 {
        night.pass(10);
        assert!(night.poll([failed.clone()]).is_empty());
    }
    assert_eq!(night.firing(), ["bad etl/1"]);
}

#[test]
fn what_a_person_has_closed_stays_closed_until_it_fails_again() {
    let mut night = Night::new(FAILED);
    let failed = night.ended("1", Status::Fail, 20);
    night.poll([failed.clone()]);
    close(&mut night);
    assert!(night.poll([failed.clone()]).is_empty());
    night.rules("  failed: { when: { status: [fail, rejected] }, notify: [hook] }\n");
    assert!(night.poll([failed.clone()]).is_empty(), "a first look of the rule is no reason");
    night.pass(10);
    let again = Instance { start_time: Some(night.now), end_time: Some(night.now), ..failed };
    assert_eq!(night.poll([again]), ["failed etl/1 firing"]);
}

#[test]
fn a_start_that_the_source_corrects_is_not_an_older_state() {
    let mut night = Night::new(FAILED);
    let running = night.began("1", Status::Running, 10);
    night.poll([running.clone()]);
    night.pass(5);
    let earlier = running.start_time.map(|start| start - SignedDuration::from_secs(90));
    let failed = Instance { status: Status::Fail, start_time: earlier, end_time: Some(night.now), ..running };
    assert_eq!(night.poll([failed]), ["failed etl/1 firing"]);
}

/// What is told goes on when its source corrects the start of the run: neither is that another try, nor has it left its state.
#[test]
fn a_start_that_is_corrected_to_earlier_leaves_what_fires_as_it_is() {
    const EXCEPTION: &str = "  stuck: { when: { status: [running-exception] }, notify: [hook] }\n";
    const BOTH: &str = "  bad: { when: { status: [fail, running-exception] }, notify: [hook] }\n";
    // rule, status in which it fires, seconds by which the start is corrected, the status in which it ends, what is told then
    let cases = [
        (SLOW, Status::Running, 30, Status::Success, "slow etl/1 over over"),
        (LONG, Status::Running, 30, Status::Fail, "long etl/1 over over"),
        (LONG, Status::RunningException, 30, Status::Success, "long etl/1 over over"),
        (EXCEPTION, Status::RunningException, 30, Status::Success, "stuck etl/1 over over"),
        (BOTH, Status::RunningException, 30, Status::Success, "bad etl/1 over over"),
        (FAILED, Status::Fail, 2, Status::Success, "failed etl/1 over recovered"),
        (FAILED, Status::Fail, 400, Status::IgnoredFailure, "failed etl/1 over over"),
        // To later, which says its end.
        (FAILED, Status::Fail, -2, Status::Success, "failed etl/1 over recovered"),
    ];
    for (rule, status, seconds, end, expected) in cases {
        let mut night = Night::new(rule);
        let run = if status.has_ended() { night.ended("1", status, 50) } else { night.began("1", status, 50) };
        assert_eq!(night.poll([run.clone()]).len(), 1, "{rule}");
        let id = night.known.memory.firing.firing().next().unwrap().id.clone();
        let corrected = Instance {
            start_time: run.start_time.map(|start| start - SignedDuration::from_secs(seconds)),
            ..run.clone()
        };
        for _ in 0..2 {
            night.pass(1);
            assert!(night.poll([corrected.clone()]).is_empty(), "{rule} {seconds}");
            let alerts: Vec<_> = night.known.memory.firing.firing().cloned().collect();
            assert_eq!(alerts.len(), 1, "{rule} {seconds}");
            assert_eq!((&alerts[0].id, alerts[0].facts.alert.episode), (&id, 1), "{rule} {seconds}");
            let told = alerts[0].facts.instance.as_ref().unwrap();
            assert_eq!(told.start_time, corrected.start_time, "{rule}: it is told so from now on");
            night.restart();
        }
        let over = Instance { status: end, raw_status: end.to_string(), end_time: Some(night.now), ..corrected };
        assert_eq!(night.poll([over.clone()]), [expected], "{rule}");
        assert!(night.poll([over]).is_empty());
        assert!(night.firing().is_empty());
    }
}

/// The same when the start is corrected by the very state that ends it.
#[test]
fn a_start_that_is_corrected_as_its_run_ends_tells_of_one_end() {
    for (rule, expected) in [(SLOW, "slow etl/1 over over"), (LONG, "long etl/1 over over")] {
        let mut night = Night::new(rule);
        let run = night.began("1", Status::Running, 50);
        night.poll([run.clone()]);
        night.pass(1);
        let earlier = run.start_time.map(|start| start - SignedDuration::from_secs(90));
        let ended = Instance { status: Status::Fail, start_time: earlier, end_time: Some(night.now), ..run };
        assert_eq!(night.poll([ended.clone()]), [expected]);
        assert!(night.poll([ended]).is_empty(), "{rule}");
    }
}

/// A later start is another try, however little later.
#[test]
fn a_later_start_with_a_later_end_is_a_rerun_that_failed_again() {
    let mut night = Night::new(FAILED);
    let failed = night.ended("1", Status::Fail, 20);
    night.poll([failed.clone()]);
    night.pass(1);
    let later = |time: Option<jiff::Timestamp>| time.map(|time| time + SignedDuration::from_secs(2));
    let again = Instance { start_time: later(failed.start_time), end_time: later(failed.end_time), ..failed };
    assert_eq!(night.poll([again]), ["failed etl/1 firing again 2"]);
}

/// A page that leaves out when a run began or ended, or corrects its end by seconds, says nothing of another failure.
#[test]
fn a_time_that_is_left_out_and_an_end_that_is_corrected_leave_what_fires_as_it_is() {
    // whether the next pages show the start, and by how many seconds the end is later that they show
    for (shows_start, later) in [(true, None), (false, None), (false, Some(0)), (true, Some(2)), (true, Some(59))] {
        let mut night = Night::new(FAILED);
        let failed = night.ended("1", Status::Fail, 20);
        let end = |seconds| failed.end_time.map(|end| end + SignedDuration::from_secs(seconds));
        let shown = Instance {
            start_time: failed.start_time.filter(|_| shows_start),
            end_time: later.and_then(end),
            ..failed.clone()
        };
        assert_eq!(night.poll([failed.clone()]), ["failed etl/1 firing"]);
        let id = night.known.memory.firing.firing().next().unwrap().id.clone();
        for page in [&shown, &shown, &failed, &shown] {
            night.pass(1);
            assert!(night.poll([page.clone()]).is_empty(), "{shows_start} {later:?}");
            let alerts: Vec<_> = night.known.memory.firing.firing().cloned().collect();
            assert_eq!((alerts.len(), &alerts[0].id), (1, &id), "{shows_start} {later:?}");
            let told = alerts[0].facts.instance.as_ref().unwrap();
            assert_eq!(told.start_time, failed.start_time, "what is known stays known");
            assert_eq!(told.end_time, failed.end_time, "by whatever seconds it is corrected");
            night.restart();
        }
        let again = Instance { end_time: end(300), ..failed.clone() };
        assert_eq!(night.poll([again]), ["failed etl/1 firing again 2"], "it went on, and failed once more");
    }
}

/// What was seen to go on has failed once more, however soon after that.
#[test]
fn a_run_that_was_seen_to_go_on_and_fails_within_seconds_has_failed_again() {
    let mut night = Night::new(FAILED);
    let failed = night.ended("1", Status::Fail, 20);
    night.poll([failed.clone()]);
    night.pass(1);
    assert!(night.poll([Instance { status: Status::RunningException, end_time: None, ..failed.clone() }]).is_empty());
    night.pass(1);
    let again = Instance { end_time: failed.end_time.map(|end| end + SignedDuration::from_secs(30)), ..failed };
    assert_eq!(night.poll([again]), ["failed etl/1 firing again 2"]);
}

/// Of what is over nobody hears again because its source shows other times of the same end.
#[test]
fn what_is_over_does_not_begin_again_with_an_end_that_is_corrected() {
    for later in [None, Some(2)] {
        for closes in [true, false] {
            let mut night = Night::new(FAILED);
            let failed = night.ended("1", Status::Fail, 20);
            let end = |seconds| failed.end_time.map(|end| end + SignedDuration::from_secs(seconds));
            let corrected = Instance { end_time: later.and_then(end), ..failed.clone() };
            let later_run = night.ended("2", Status::Success, 10);
            night.poll([failed.clone()]);
            if closes {
                close(&mut night);
            } else {
                assert_eq!(night.poll([failed.clone(), later_run.clone()]), ["failed etl/1 over recovered"]);
            }
            let others = if closes { vec![] } else { vec![later_run] };
            for page in [&corrected, &failed, &corrected] {
                night.pass(1);
                let runs = others.iter().cloned().chain([page.clone()]);
                assert!(night.poll(runs).is_empty(), "{later:?} {closes}");
            }
            let again = Instance { start_time: Some(night.now), end_time: Some(night.now), ..failed };
            assert_eq!(night.poll([again]), ["failed etl/1 firing"], "{later:?} {closes}");
        }
    }
}

/// A person closes what fires.
fn close(night: &mut Night) {
    let alert = night.known.memory.firing.firing().next().unwrap().clone();
    night.known.memory.firing.remove(&alert.facts.subject(), &alert.id);
    night.known.memory.ended.enter(&alert.id, Some(EndReason::Closed));
}

/// A run under way whose start is corrected by more than a minute looks like an earlier try of it. Once its source has shown it so
/// for a quarter of an hour it is believed, and how long it lasts counts from there.
#[test]
fn a_start_that_is_corrected_by_much_is_believed_once_it_was_shown_for_long() {
    use nightbell::limits::STALE_BELIEVED_AFTER;
    let mut night = Night::new(SLOW);
    let running = night.began("1", Status::Running, 5);
    assert!(night.poll([running.clone()]).is_empty());
    let began = running.start_time.unwrap();
    let earlier = began - SignedDuration::from_mins(40);
    let corrected = Instance { start_time: Some(earlier), ..running };
    let known = |night: &Night| night.known.memory.runs.open(&corrected.key()).unwrap().start_time.unwrap();
    let minutes = i64::try_from(STALE_BELIEVED_AFTER.as_secs() / 60).unwrap();
    for minute in 0..minutes {
        night.pass(1);
        assert!(night.poll([corrected.clone()]).is_empty(), "minute {minute}");
        assert_eq!(known(&night), began, "minute {minute}");
    }
    night.pass(1);
    assert_eq!(night.poll([corrected.clone()]), ["slow etl/1 firing"]);
    assert_eq!(known(&night), earlier);
    night.pass(1);
    assert!(night.poll([corrected.clone()]).is_empty());
}

/// Nobody asks after a run that is two months old: without an end its alert would fire, and be repeated, for ever.
#[test]
fn an_alert_about_a_run_that_is_too_old_to_be_asked_after_ends_as_unwatched() {
    use nightbell::limits::FOLLOWED_AGE_MAX;
    let mut night = Night::new(FAILED);
    let failed = night.ended("1", Status::Fail, 20);
    assert_eq!(night.poll([failed.clone()]), ["failed etl/1 firing"]);
    let age = i64::try_from(FOLLOWED_AGE_MAX.as_secs() / 60).unwrap();
    night.pass(age - 20);
    assert!(night.poll([]).is_empty(), "it is asked after until then");
    night.pass(1);
    night.lookback = SignedDuration::from_mins(age + 60);
    assert!(night.poll([failed]).is_empty(), "the source still shows it");
    let decided = night.decide([], night.whole());
    assert_eq!(notices(&decided), ["failed etl/1 over unwatched"]);
    let summary = &decided.changed[0].facts.alert.summary;
    assert_eq!(summary, "this run of etl is too old to be asked after; the alert ended without a recovery");
    assert!(night.poll([]).is_empty());
}

/// The alert is of the row, and of its job: of a job that runs once a month the run with which it began is soon too old.
#[test]
fn a_row_of_failures_outlasts_the_run_with_which_it_began() {
    use nightbell::limits::FOLLOWED_AGE_MAX;
    let (mut night, _) = row();
    night.pass(i64::try_from(FOLLOWED_AGE_MAX.as_secs() / 60).unwrap() + 60);
    assert!(night.poll([]).is_empty());
    let next = night.ended("4", Status::Fail, 20);
    assert!(night.poll([next.clone()]).is_empty(), "it goes on");
    night.restart();
    assert!(night.poll([next.clone()]).is_empty());
    assert_eq!(night.firing(), ["row etl/3"]);
    night.pass(30);
    assert_eq!(night.poll([next, night.ended("5", Status::Success, 20)]), ["row etl/3 over recovered"]);
}

/// The list of jobs says that a job is gone, and with it what is expected of it.
#[test]
fn a_run_that_is_missing_of_a_job_that_was_deleted_is_gone() {
    let rule = |match_: &str| {
        format!(
            "  owed: {{ match: {match_}, when: {{ missing: {{ schedule: \"0 * * * *\", grace: 10m }} }}, notify: [hook] }}\n"
        )
    };
    for (match_, expected) in [
        ("{ job: etl }", &["owed etl/- over gone"][..]),
        // Sub-jobs stand in no list of jobs.
        ("{ job: etl, instance_type: [subjob] }", &[][..]),
    ] {
        let mut night = Night::new(&rule(match_));
        for _ in 0..2 {
            night.poll([]);
            night.pass(90);
        }
        assert_eq!(night.firing(), ["owed etl/-"], "{match_}");
        for jobs in [None, Some(vec![]), Some(vec![job("etl"), job("other")])] {
            assert!(night.poll_with_jobs([], jobs.clone()).is_empty(), "{match_} {jobs:?}");
        }
        // A row of the list that could not be understood may be that job.
        let unclear = JobList { jobs: vec![job("other")], shortfall: Some("a row has no name".into()) };
        assert!(night.poll_with_list([], Some(unclear.clone())).is_empty(), "{match_}");
        night.pass(60);
        assert!(night.poll_with_list([], Some(unclear)).is_empty(), "{match_}: it goes on");
        assert_eq!(night.firing(), ["owed etl/-"], "{match_}");
        assert_eq!(night.poll_with_jobs([], Some(vec![job("other")])), expected, "{match_}");
    }
}

fn job(name: &str) -> Job {
    Job { name: name.into(), ..crate::sample::job() }
}

/// Of a job that is gone people hear once, and not at each of its due times; once it is back, it may be missed again.
#[test]
fn a_job_that_was_deleted_is_missed_once_and_not_at_every_due_time() {
    // By a name in full, and by the runs of the week before.
    const MISSING: &str = "missing: { schedule: \"0 * * * *\", grace: 10m }";
    const DEADLINE: &str = "not_finished_by: \"03:00\"";
    for (match_, when, lists) in [
        ("{ job: etl }", MISSING, true),
        ("{ job: etl }", MISSING, false),
        ("{ job: \"e*\" }", MISSING, true),
        ("{ job: etl }", DEADLINE, true),
        ("{ job: \"e*\" }", DEADLINE, true),
    ] {
        let mut night = Night::new(&format!("  owed: {{ match: {match_}, when: {{ {when} }}, notify: [hook] }}\n"));
        let name = format!("{match_} {when} {lists}");
        night.lookback = SignedDuration::from_hours(72);
        // A week in which it runs at every hour.
        for hour in 0..8 * 24 {
            assert!(night.poll([night.ended(&hour.to_string(), Status::Success, 60)]).is_empty(), "{name}");
            night.pass(60);
        }
        let others = || Some(vec![job("other")]);
        let is_due = |hour: i64| if when == DEADLINE { 24 * 60 } else { hour };
        // Of the day of its last runs those have done what was asked of them.
        night.pass(if when == DEADLINE { 2 * 24 * 60 } else { 60 });
        // The list may have been read all along, or be read only once something fires.
        let fired = night.poll_with_jobs([], others().filter(|_| lists));
        assert_eq!(fired, ["owed etl/- firing"], "{name}: whoever deleted it hears that something waits for it");
        night.pass(1);
        assert_eq!(night.poll_with_jobs([], others()), ["owed etl/- over gone"], "{name}");
        for round in 0..3 {
            night.pass(is_due(60));
            if round == 1 {
                night.restart();
            }
            // What was not read does not bring it back.
            let told = night.poll_with_jobs([], if round == 2 { None } else { others() });
            assert!(told.is_empty(), "{name}: {told:?}");
        }
        night.pass(1);
        let back = || Some(vec![job("etl"), job("other")]);
        assert!(night.poll_with_jobs([], back()).is_empty(), "{name}: what was due while it was gone is not missed");
        night.pass(is_due(60));
        assert_eq!(night.poll_with_jobs([], back()), ["owed etl/- firing"], "{name}");
    }
}

/// A job that is gone and due in the look that shows it begins nothing as it ends.
#[test]
fn a_job_that_turns_out_to_be_gone_at_a_due_time_begins_nothing_as_it_ends() {
    let mut night = Night::new(
        "  owed: { match: { job: etl }, when: { missing: { schedule: \"0 * * * *\", grace: 10m } }, notify: [hook] }\n",
    );
    for _ in 0..2 {
        night.poll([]);
        night.pass(90);
    }
    assert_eq!(night.firing(), ["owed etl/-"]);
    assert_eq!(night.poll_with_jobs([], Some(vec![job("other")])), ["owed etl/- over gone"]);
}

/// Sub-jobs stand in no list of jobs, and a rule without types is about them, too.
#[test]
fn a_sub_job_is_not_gone_because_the_list_of_jobs_lacks_it() {
    let mut night = Night::new(
        "  owed: { match: { job: \"*\" }, when: { missing: { schedule: \"0 * * * *\", grace: 10m } }, notify: [hook] }\n",
    );
    for hour in 0..8 * 24 {
        let run = night.ended(&hour.to_string(), Status::Success, 60);
        night.poll([Instance { kind: InstanceType::Subjob, ..run }]);
        night.pass(60);
    }
    night.pass(60);
    assert_eq!(night.poll([]), ["owed etl/- firing"]);
    night.pass(1);
    assert!(night.poll_with_jobs([], Some(vec![job("other")])).is_empty());
}

/// A row of failures is of its job, too.
#[test]
fn a_row_of_failures_of_a_job_that_was_deleted_is_gone() {
    let (mut night, runs) = row();
    assert!(night.poll_with_jobs(runs.clone(), Some(vec![job("etl")])).is_empty());
    assert_eq!(night.poll_with_jobs(runs, Some(vec![job("other")])), ["row etl/3 over gone"]);
}

/// One warning while it lasts, however many polls see it.
#[test]
fn episodes_without_end_are_warned_of_once() {
    let mut night = Night::new(FAILED);
    let failed = night.ended("1", Status::Fail, 20);
    let well = Instance { status: Status::Success, ..failed.clone() };
    let (mut told, mut warnings, mut recorded) = (0, Vec::new(), Vec::new());
    for _ in 0..nightbell::limits::EPISODES_MAX + 3 {
        for run in [&failed, &well] {
            let decided = night.decide([run.clone()], night.whole());
            told += notices(&decided).iter().filter(|line| line.contains(" firing")).count();
            warnings.extend(decided.warnings);
            recorded.extend(decided.fired.iter().filter_map(|alert| alert.suppressed_by.clone()));
        }
    }
    assert_eq!(recorded, [Suppression::TooManyEpisodes], "the one too many is recorded, with why nobody hears of it");
    assert_eq!(told, nightbell::limits::EPISODES_MAX as usize);
    assert_eq!(warnings, ["rule failed: etl had 1000 episodes with the same times; no more are notified"]);
}

/// More alerts of another source than are looked at: said once while it lasts, and not when it is just as many.
#[test]
fn more_alerts_upstream_than_are_looked_at_are_warned_of_once() {
    use nightbell::limits::INHIBITING_MAX;
    let inhibit = "inhibit:\n  lake: { by: { source: lake, job: up }, match: { source: warehouse } }\n";
    let mut night = Night::new(&format!("{FAILED}{inhibit}"));
    let alert = |job: &str| nightbell::model::Alert { source: "lake".into(), ..crate::sample::alert(job, job) };
    let fill = |night: &mut Night, count: usize| {
        night.known.elsewhere = vec![alert("other"); count - 1];
        // The last one of all would hold back what begins.
        night.known.elsewhere.push(alert("up"));
        night.pass(1);
        let failed = night.ended(&count.to_string(), Status::Fail, 1);
        let decided = night.decide([failed], night.whole());
        (decided.warnings.len(), decided.fired[0].suppressed_by.is_some())
    };
    assert_eq!(fill(&mut night, INHIBITING_MAX), (0, true));
    assert_eq!(fill(&mut night, INHIBITING_MAX + 1), (1, false));
    assert_eq!(fill(&mut night, INHIBITING_MAX + 2), (0, false), "it lasts");
    assert_eq!(fill(&mut night, INHIBITING_MAX - 1), (0, true));
    assert_eq!(fill(&mut night, INHIBITING_MAX + 1), (1, false), "it is so again");
}
