//! What digests say of alerts: deadlines that were not kept, failing nodes, and what kept alerts from being told.

use jiff::SignedDuration;
use nightbell::model::{
    Alert, ConditionKind, Instance, Measures, NodePart, Outcomes, Rare, Reason, ReasonCode, Severity, Status,
    Suppression, VerdictState,
};
use nightbell::template::sample_digest;
use nightbell::words::{Language, Listener, digest_lines, say_digest, verdict};

use super::world::World;
use crate::sample::{alert, at, instance};

const MINUTE_MS: u64 = 60_000;

/// An alert of a rule about a job that is due half an hour after the world's beginning.
fn late(world: &World, id: &str, condition: ConditionKind) -> Alert {
    let mut alert = alert(id, id);
    alert.facts.alert.measures = Rare::from(Measures {
        condition: Some(condition),
        due_at: Some(world.now() + SignedDuration::from_mins(30)),
        due: Some("06:30".to_string()),
        late_ms: Some(1000),
        ..Measures::default()
    });
    alert
}

#[tokio::test]
async fn deadlines_that_were_not_kept_are_breaches_also_when_they_are_over() {
    let mut world = World::open("schedule: \"0 * * * *\"").await;
    let unfinished = late(&world, "unfinished", ConditionKind::NotFinishedBy);
    let mut missing = late(&world, "missing", ConditionKind::Missing);
    missing.facts.instance = None;
    let mut over = late(&world, "over", ConditionKind::NotStartedBy);
    let failing = late(&world, "failing", ConditionKind::FailureRate);
    world.pass(1800);
    world.commit(Vec::new(), vec![unfinished, missing, over.clone(), failing]).await;
    over.facts.alert.measures.late_ms = Some(7 * MINUTE_MS);
    world.end(over).await;
    world.pass(1800);
    let digest = world.made().await.unwrap();
    let told: Vec<_> = digest.breaches.shown.iter().map(|it| (it.job.as_str(), it.summary.as_str())).collect();
    assert_eq!(
        told,
        [
            ("missing", "did not run at 06:30, 30m ago"),
            ("unfinished", "not finished by 06:30, 30m late so far"),
            ("over", "started 7m after 06:30"),
        ]
    );
    // What came is in one digest; what is still late is in each, as late as it is by then.
    world.pass(3600);
    let digest = world.made().await.unwrap();
    let told: Vec<_> = digest.breaches.shown.iter().map(|it| it.summary.as_str()).collect();
    assert_eq!(told, ["did not run at 06:30, 1h 30m ago", "not finished by 06:30, 1h 30m late so far"]);
    assert_eq!((digest.alerts.fired, digest.alerts.firing), (0, 3));
}

/// The worst first, and of them what has been broken longest; a real-time job that stopped is broken, too, for it has no run
/// that could fail.
#[tokio::test]
async fn what_is_broken_stands_in_the_order_of_how_bad_it_is() {
    let mut world = World::open("schedule: \"0 * * * *\"").await;
    let told = |job: &str, severity: Severity| {
        let mut alert = alert(job, job);
        alert.facts.alert.severity = severity;
        alert.facts.alert.labels.insert("team".to_string(), format!("{job}-team"));
        alert
    };
    let mut stream = told("stream", Severity::Error);
    stream.facts.instance = None;
    stream.facts.alert.reason = Some(Reason::new(ReasonCode::JobStatus));
    let failed = |job: &str, seconds: i64| {
        let run = instance(job, "7", Status::Fail);
        Instance { end_time: run.end_time.map(|end| end + SignedDuration::from_secs(seconds)), ..run }
    };
    let runs = vec![
        failed("minor", -90),
        failed("later", 5),
        failed("earlier", -60),
        failed("untold", -99),
        failed("worst", 9),
    ];
    let alerts = vec![
        told("minor", Severity::Info),
        told("later", Severity::Error),
        told("earlier", Severity::Error),
        told("worst", Severity::Critical),
        stream,
    ];
    world.commit(runs, alerts).await;
    for _ in 0..2 {
        world.pass(3600);
        let digest = world.made().await.unwrap();
        let shown: Vec<_> = digest.broken.shown.iter().map(|it| (it.job.as_str(), it.instance.as_str())).collect();
        let expected =
            [("worst", "7"), ("earlier", "7"), ("stream", ""), ("later", "7"), ("minor", "7"), ("untold", "7")];
        assert_eq!(shown, expected);
        assert_eq!(digest.broken.shown[0].severity, Some(Severity::Critical));
        assert_eq!(digest.broken.shown[0].labels["team"], "worst-team");
        assert_eq!(digest.broken.shown[5].severity, None);
        assert_eq!(digest.alerts.firing, 5);
    }
}

/// Whoever read in one digest that a job is broken reads in another that it is well again, once.
#[tokio::test]
async fn what_an_earlier_digest_called_broken_is_told_when_it_is_well_again() {
    let mut world = World::open("schedule: \"0 * * * *\"").await;
    world.show(["again", "next"].map(|job| instance(job, "7", Status::Fail))).await;
    world.pass(3600);
    assert_eq!(world.made().await.unwrap().broken.total, 2);
    world.pass(60);
    world
        .show([instance("again", "7", Status::Success), World::later(instance("next", "8", Status::Success), 600)])
        .await;
    world.pass(3540);
    let digest = world.made().await.unwrap();
    assert_eq!((digest.broken.total, digest.verdict.state), (0, VerdictState::Recovered));
    let told: Vec<_> =
        digest.recovered.shown.iter().map(|it| (it.job.as_str(), it.recovered_by.as_deref(), it.is_new)).collect();
    assert_eq!(told, [("again", Some("rerun"), false), ("next", Some("later"), false)]);
    world.pass(3600);
    assert_eq!(world.made().await.unwrap().recovered.total, 0, "once");
}

/// In a chat, jobs that failed of the same error share a line; the rest is counted.
#[test]
fn the_short_form_groups_what_failed_of_the_same_error() {
    let message = sample_digest(at(0));
    let utc = jiff::tz::TimeZone::UTC;
    let listener = Listener { language: Language::En, timezone: &utc, now: at(0) };
    let mut facts = message.digest().unwrap().clone();
    let lines = digest_lines(&facts, &listener);
    let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    assert!(texts[0].starts_with("etl_orders, since "), "{texts:#?}");
    assert!(texts.iter().any(|text| text.starts_with("real-time job stream_clicks stopped with an exception, since ")));
    let several = lines.iter().find(|line| line.text.starts_with("3 load_* jobs, since ")).expect("they share a line");
    assert!(several.text.ends_with(": connection to dws-prod refused"), "{}", several.text);
    assert_eq!(several.names.as_deref(), Some("load_items, load_stores, load_users"));
    facts.broken.total = 100;
    let more = digest_lines(&facts, &listener).pop().unwrap();
    assert_eq!(more.text, "… and 93 more");
}

/// It was told once, at night, and the episode ended with a rerun that failed again without a new alert, say: whoever opens
/// the mail must still see where to look.
#[tokio::test]
async fn the_failing_node_of_what_is_broken_is_known_when_its_alert_is_over_and_told_long_ago() {
    let mut world = World::open("schedule: \"0 * * * *\"").await;
    let mut told = alert("etl", "etl");
    told.facts.failing_nodes = vec![NodePart {
        name: "load".to_string(),
        kind: None,
        status: Status::Fail,
        retries: None,
        start_time: None,
        end_time: None,
        log_path: Some("obs://log/load".to_string()),
        log_tail: None,
    }];
    told.facts.instance.as_mut().unwrap().error = Some("no space left".to_string());
    world.commit(vec![instance("etl", "7", Status::Fail)], vec![told.clone()]).await;
    world.end(told).await;
    // A later alert about the same run knows of no node.
    let mut slow = alert("slow", "etl");
    slow.rule = "slow".into();
    world.commit(Vec::new(), vec![slow]).await;
    for _ in 0..3 {
        world.pass(3600);
        let digest = world.made().await.unwrap();
        assert_eq!(digest.verdict.state, VerdictState::Broken);
        let part = &digest.broken.shown[0];
        assert_eq!(part.node.as_deref(), Some("load"));
        assert_eq!(part.log_path.as_deref(), Some("obs://log/load"));
        assert_eq!(part.error.as_deref(), Some("no space left"));
    }
}

#[tokio::test]
async fn what_was_not_told_is_told_by_what_and_how_often() {
    let mut world = World::open("schedule: \"0 * * * *\"").await;
    let by = |id: &str, suppression: Suppression| Alert { suppressed_by: Some(suppression), ..alert(id, id) };
    let window = || Suppression::MuteWindow("nights".into());
    let mut late = Alert { suppressed_by: Some(window()), ..late(&world, "late", ConditionKind::NotFinishedBy) };
    let mut old = Alert { suppressed_by: Some(Suppression::FirstPoll), ..late.clone() };
    for (alert, id) in [(&mut late, "late"), (&mut old, "old")] {
        alert.id = id.into();
        alert.facts.alert.id = id.into();
        alert.facts.job.name = id.to_string();
    }
    let silenced = by("silenced", Suppression::Silence("3".parse().unwrap()));
    world.commit(Vec::new(), vec![alert("told", "told"), silenced, by("muted", window()), late, old]).await;
    world.pass(3600);
    let mut digest = world.made().await.unwrap();
    let told: Vec<_> =
        digest.alerts.suppressed_by.iter().map(|it| (it.reason.as_str(), it.count, it.summary.as_str())).collect();
    assert_eq!(
        told,
        [
            ("first-poll", 1, "older than first_poll"),
            ("mute-window:nights", 2, "the mute window nights"),
            ("silence:3", 1, "silence 3"),
        ]
    );
    assert_eq!((digest.alerts.fired, digest.alerts.suppressed), (5, 4));
    // The night's mute window kept it from waking somebody, and not from being late.
    assert_eq!(digest.breaches.shown.iter().map(|it| it.job.as_str()).collect::<Vec<_>>(), ["late"]);
    say_digest(&mut digest, Language::Zh);
    assert_eq!(digest.alerts.suppressed_by[1].summary, "静默时段 nights");
    assert_eq!(digest.breaches.shown[0].summary, "未能在 06:30 前完成，已延迟 30 分钟");
}

#[test]
fn a_verdict_says_how_many_jobs_and_how_many_runs() {
    use VerdictState::{Broken, Late, Recovered, Unknown, Well};
    let line = |state, [broken, late, recovered, ended]: [u64; 4], complete, language| {
        let mut facts = sample_digest(at(0)).digest().unwrap().clone();
        facts.verdict.state = state;
        (facts.broken.total, facts.breaches.total, facts.recovered.total) = (broken, late, recovered);
        facts.completeness.complete = complete;
        facts.totals.outcomes = Outcomes { ended, ok: ended.saturating_sub(6), failed: 5, other: 1 };
        verdict(&facts, language)
    };
    let table = [
        (
            Broken,
            [3, 0, 7, 1210],
            true,
            "3 jobs still broken · 1,204 of 1,210 ok",
            "3 个作业仍未恢复 · 1,210 次运行中 1,204 次成功",
        ),
        (
            Broken,
            [1, 2, 0, 1210],
            false,
            "1 job still broken, 2 late · 1,204 of 1,210 ok · not everything could be read",
            "1 个作业仍未恢复，2 个延迟或超时 · 1,210 次运行中 1,204 次成功 · 部分数据未能读取",
        ),
        (Unknown, [0, 0, 0, 0], false, "not everything could be read", "部分数据未能读取"),
        (
            Late,
            [0, 2, 1, 1210],
            true,
            "2 late or too long, 1 recovered · 1,204 of 1,210 ok",
            "2 个延迟或超时，1 个作业已恢复 · 1,210 次运行中 1,204 次成功",
        ),
        // Of the four of the sample two are over.
        (
            Late,
            [0, 4, 0, 1210],
            true,
            "4 late or too long (2 over by now) · 1,204 of 1,210 ok",
            "4 个延迟或超时（其中 2 个已结束） · 1,210 次运行中 1,204 次成功",
        ),
        (
            Recovered,
            [0, 0, 1, 1210],
            true,
            "1 job failed and recovered · 1,204 of 1,210 ok",
            "1 个作业失败后已恢复 · 1,210 次运行中 1,204 次成功",
        ),
        (Well, [0, 0, 0, 1210], true, "all well · 1,204 of 1,210 ok", "一切正常 · 1,210 次运行中 1,204 次成功"),
    ];
    for (state, numbers, complete, english, chinese) in table {
        assert_eq!(line(state, numbers, complete, Language::En), english);
        assert_eq!(line(state, numbers, complete, Language::Zh), chinese);
    }
}
