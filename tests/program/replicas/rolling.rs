//! The rules file is changed on one machine after the other while jobs fail and a message hangs: nothing ends that has not,
//! nothing is missed or judged by the older rules, what is pending for a new receiver stays so, and the sources are polled
//! on as after any takeover. So they are when the file of before is put back by restarting one machine after the other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sqlx::Row as _;

use super::RULES;
use super::apart::is_apart;
use super::scene::{REPLICAS, Scene, signal};
use crate::program::{ago, failed, pause, text};
use nightbell::sim::SimInstance;

/// How long the poll of the source may be in nobody's hands.
const GAP_MAX: Duration = Duration::from_secs(20);
/// A receiver that takes its time, and one that is new.
const HANGS: &str = "hook4";
const ADDED: &str = "added";
/// Pending for the new receiver, and given up.
const GIVEN_UP: &str = "SELECT (SELECT COUNT(*) FROM delivery WHERE receiver = 'added' AND state = 'dead') \
    + (SELECT COUNT(*) FROM receiver WHERE id = 'added' AND removed_at IS NOT NULL)";

#[test]
fn rules_that_change_machine_by_machine_end_nothing_and_miss_nothing() {
    if is_apart("program::replicas::rolling::rules_that_change_machine_by_machine_end_nothing_and_miss_nothing") {
        tokio::runtime::Runtime::new().unwrap().block_on(roll());
    }
}

/// The newer file: it has one receiver more, tells nothing of some jobs any more, and tells of runs under way.
fn newer(scene: &Scene) -> String {
    let hooks = "hook0, hook1, hook2, hook3, hook4, hook5, added";
    format!(
        "  {ADDED}: {{ type: webhook, url: {} }}\nrules:\n  failed: {{ match: {{ job: \"*\", not: \"old_*\" }}, \
         when: {{ status: [fail] }}, severity: critical, notify: [{hooks}] }}\n  \
         begun: {{ when: {{ status: [running] }}, notify: [hook0] }}\n",
        scene.stage.sink.url(ADDED)
    )
}

async fn number(scene: &Scene, query: &str) -> i64 {
    scene.ask(format!("SELECT ({query})::bigint")).await[0].get(0)
}

/// Which of these holds something; loops are handed over to newcomers one a minute.
async fn one_that_holds(scene: &Scene, machines: [usize; 2]) -> usize {
    let began = Instant::now();
    loop {
        for which in machines {
            if !scene.held_by(which).await.held.is_empty() {
                return which;
            }
        }
        assert!(began.elapsed() < Duration::from_secs(90), "nobody else ever holds anything");
        pause(100).await;
    }
}

async fn roll() {
    let mut scene = Scene::set(RULES).await;
    scene.fail(20);
    scene.everything_is_told().await;
    scene.stage.sink.refuse_at(ADDED, true);
    let newer = newer(&scene);

    // A message has no answer. Of the others one that holds something is frozen, and the third gets the newer file.
    scene.stage.sink.hang_at(HANGS, true);
    scene.fail(1);
    let late = scene.last_failed();
    scene.everything_is_told().await;
    let only_one = "SELECT 1 FROM delivery HAVING COUNT(*) FILTER (WHERE state <> 'delivered') = 1";
    scene.until("all others are known to have arrived", only_one).await;
    let waits = scene.holder_of(&format!("deliver/{HANGS}")).await;
    let others = [(waits + 1) % REPLICAS, (waits + 2) % REPLICAS];
    let frozen = one_that_holds(&scene, others).await;
    let first = others.into_iter().find(|which| *which != frozen).unwrap();
    signal(scene.pid(frozen), "-STOP");
    let older = [scene.held_by(waits).await, scene.held_by(first).await];
    scene.write_rules(first, &newer);
    scene.says(waits, "it stands by").await;
    scene.one_runs_everything(2).await;
    scene.stage.sink.hang_at(HANGS, false);
    // How many each of the two held is a matter of chance: loops are spread a few at a time.
    for held in older {
        let gaps = scene.gaps(&held).await;
        println!("{} leases were without a holder for {gaps:?} when the configuration changed", gaps.len());
        assert!(gaps.iter().flatten().all(|gap| *gap <= GAP_MAX), "{:?}: {gaps:?}", held.held);
    }

    scene.fail_also_at(ADDED, 5);
    scene.everything_is_told().await;
    // Who wakes with the older file finds its leases lost and gives nothing up; a restart with it changes nothing either.
    signal(scene.pid(frozen), "-CONT");
    scene.says(frozen, "it stands by").await;
    scene.replace(waits);
    scene.says_times(waits, "it stands by", 2).await;
    // To have it read that file again is no wish for another configuration.
    signal(scene.pid(waits), "-HUP");
    scene.says(waits, "was read again and is as it was").await;
    assert_eq!(
        number(&scene, "SELECT number FROM generation WHERE id = 1").await,
        2,
        "an older file is in force again"
    );
    scene.stage.workspace.put(failed("old_job", 99_001));
    scene.stage.workspace.put(SimInstance::waiting("etl_busy", 99_002, ago(120)).running());
    scene.demanded.insert(("99002".into(), "/hook0".into()));
    scene.fail_also_at(ADDED, 5);
    scene.everything_is_told().await;
    let shown = scene.command(frozen, &["replicas"]).output().unwrap();
    assert!(text(&shown.stdout).contains("stands by: 2 is in force"), "{}", text(&shown.stdout));
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    scene.says_on_page(first, "/status", "stands by: another configuration is in force", 2).await;
    pause(2_000).await;
    assert_eq!(
        number(&scene, GIVEN_UP).await,
        0,
        "what is pending for the new receiver was given up by the older file"
    );

    for which in [waits, frozen] {
        scene.write_rules(which, &newer);
        scene.says(which, "is the one in force").await;
        scene.fail_also_at(ADDED, 10);
        scene.everything_is_told().await;
    }
    assert_eq!(number(&scene, GIVEN_UP).await, 0, "what is pending for the new receiver was given up");
    let goes_on = "SELECT COUNT(*) FROM alert WHERE rule = 'begun' AND state = 'firing' AND suspended_at IS NULL";
    assert_eq!(number(&scene, goes_on).await, 1, "an alert of the newer file alone did not go on");
    scene.stage.sink.refuse_at(ADDED, false);
    let query = "deliveries retry --receiver added --since 1h";
    let again = scene.command(first, &query.split(' ').collect::<Vec<_>>()).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    scene
        .until(
            "the new receiver has everything",
            "SELECT 1 FROM delivery HAVING COUNT(*) FILTER (WHERE state <> 'delivered') = 0",
        )
        .await;

    // Every message is of a failure or of a run under way: an end would be told too. What the older rules alone would tell
    // is told by nobody, which `everything_is_told` looks at.
    let hits = scene.stage.sink.hits();
    assert!(hits.iter().all(|hit| hit.json()["type"] == "alert.firing"), "an end that was none");
    let expected = |hit: &&crate::program::sink::Hit| {
        let is_late = hit.path == format!("/{HANGS}") && hit.json()["data"]["instance"]["id"] == late.as_str();
        hit.path != format!("/{ADDED}") && !is_late
    };
    let elsewhere: Vec<_> = hits.iter().filter(expected).collect();
    assert_eq!(elsewhere.len(), elsewhere.iter().map(|hit| hit.id()).collect::<BTreeSet<_>>().len(), "a repeat");
    gap_of_the_poll(&scene).await;
    roll_back(&mut scene, first).await;
}

/// The file of before comes back, machine by machine, with a restart of each: as long as somebody has the newer one, it is in
/// force. The last one that has it is this.
async fn roll_back(scene: &mut Scene, last: usize) {
    let known = scene.stage.sink.hits().len();
    // What the newer file said nothing of is well by now, and the receiver that it had alone has no part in this.
    assert!(scene.stage.workspace.update("old_job", 99_001, |run| run.status = "success".into()));
    for which in (0..REPLICAS).filter(|which| *which != last) {
        scene.stop(which).await;
        scene.write_rules(which, RULES);
        let before = scene.said(which, "it stands by");
        scene.replicas[which] = scene.start(which);
        scene.says_times(which, "it stands by", before + 1).await;
    }
    scene.one_runs_everything(2).await;
    scene.fail_also_at(ADDED, 5);
    scene.everything_is_told().await;
    scene.stop(last).await;
    scene.write_rules(last, RULES);
    scene.replicas[last] = scene.start(last);
    let by_the_older = "SELECT 1 FROM lease WHERE name = 'poll/warehouse' AND holder IS NOT NULL AND configuration = 3";
    scene.until("the older file is in force again", by_the_older).await;
    scene.fail(5);
    scene.everything_is_told().await;
    gap_of_the_poll(scene).await;
    let hits = scene.stage.sink.hits();
    assert!(hits[known..].iter().all(|hit| hit.json()["type"] == "alert.firing"), "an end that was none");
}

/// How long the poll was in nobody's hands is no longer than after any takeover.
async fn gap_of_the_poll(scene: &Scene) {
    let gap = "SELECT COALESCE(MAX(gap), 0)::bigint FROM (SELECT at - LAG(at) OVER (ORDER BY at) AS gap, holder, \
        LAG(holder) OVER (ORDER BY at) AS was FROM taking WHERE name = 'poll/warehouse') AS change \
        WHERE was IS NULL AND holder IS NOT NULL";
    let gap = Duration::from_millis(scene.ask(gap.into()).await[0].get::<i64, _>(0).cast_unsigned());
    println!("nobody polled for {gap:?} at most");
    assert!(gap <= GAP_MAX, "nobody polled for {gap:?}");
}
