//! Loops change hands without a fault: newcomers get their share and keep it, a stop in order gives everything up at once, also
//! while a message has no answer; and from any machine, whatever its clock says, commands see and do the same.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::RULES;
use super::apart::is_apart;
use super::scene::{REPLICAS, Scene};
use crate::program::{pause, text};

/// How long a lease may be without a holder after SIGTERM; the machine that tests is slower than any that serves, for which
/// two seconds are promised.
const GAP_MAX: Duration = Duration::from_secs(4);
const HANGS: &str = "hook3";

#[test]
fn loops_are_spread_and_given_up_in_order() {
    if is_apart("program::replicas::hands::loops_are_spread_and_given_up_in_order") {
        tokio::runtime::Runtime::new().unwrap().block_on(hands());
    }
}

async fn hands() {
    let mut scene = Scene::set(RULES).await;
    scene.fail(2);
    scene.everything_is_told().await;
    newcomers_get_their_share(&mut scene).await;
    every_loop_has_a_status(&scene).await;
    commands_go_by_the_clock_of_the_database(&mut scene).await;
    a_message_without_an_answer_holds_up_no_stop(&mut scene).await;
}

async fn newcomers_get_their_share(scene: &mut Scene) {
    scene.stop(1).await;
    scene.stop(2).await;
    scene.one_runs_everything(1).await;
    scene.replicas[1] = scene.start(1);
    // The first one hands something over, and leaves it to the newcomer.
    let kept = format!(
        "SELECT 1 FROM lease WHERE holder IN (SELECT id FROM replica WHERE pid = {}) \
         AND taken_at < EXTRACT(EPOCH FROM clock_timestamp()) * 1000 - 8000",
        scene.pid(1)
    );
    // One is handed over a minute, and the last minute may have begun just before.
    scene.until_within(Duration::from_secs(100), "the newcomer has kept a lease for eight seconds", &kept).await;
    scene.replicas[2] = scene.start(2);
}

async fn every_loop_has_a_status(scene: &Scene) {
    let began = Instant::now();
    loop {
        let shown = scene.command(1, &["replicas", "--json"]).output().unwrap();
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        let loops = shown["loops"].as_array().unwrap();
        let names: Vec<&str> = loops.iter().map(|one| one["name"].as_str().unwrap()).collect();
        for name in ["poll/warehouse", "deliver/hook0", "own", "escalation", "digest", "fallback", "heartbeat"] {
            assert!(names.contains(&name), "{name} is not in {names:?}");
        }
        let replicas = shown["replicas"].as_array().unwrap();
        let clock = |hours: i64| {
            replicas.iter().any(|one| (one["clock_ahead_ms"].as_i64().unwrap() - hours * 3_600_000).abs() < 3_000)
        };
        let speaks = |one: &Value| one["status"].as_str().is_some_and(|words| words != "begins");
        if loops.iter().all(speaks) && replicas.len() == REPLICAS && [0, 1, -1].into_iter().all(clock) {
            let polled = loops.iter().find(|one| one["name"] == "poll/warehouse").unwrap();
            assert!(polled["status"].as_str().unwrap().starts_with("looked at 2"), "{polled}");
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "a loop never has a status: {shown:#}");
        pause(500).await;
    }
}

/// What a command says that must do its work.
fn done(scene: &Scene, which: usize, arguments: &[&str]) -> String {
    let output = scene.command(which, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?} on {which}: {}", text(&output.stderr));
    text(&output.stdout)
}

async fn commands_go_by_the_clock_of_the_database(scene: &mut Scene) {
    const NOW: &str = "EXTRACT(EPOCH FROM clock_timestamp()) * 1000";
    for which in [1, 2] {
        // One is an hour ahead, the other an hour behind.
        done(
            scene,
            which,
            &["silence", "add", "--job", "nothing_*", "--for", "1h", "--reason", "a move", "--by", "kim"],
        );
        done(scene, which, &["ack", "--job", "etl_101", "--by", "kim"]);
        let right = format!(
            "SELECT 1 FROM silence WHERE id = {which} AND ends_at - {NOW} BETWEEN 3540000 AND 3660000 \
             AND EXISTS (SELECT 1 FROM ack WHERE at BETWEEN {NOW} - 60000 AND {NOW} + 1000)"
        );
        assert_eq!(scene.ask(right).await.len(), 1, "a silence or an acknowledgement by the clock of machine {which}");
        assert_eq!(
            done(scene, 3 - which, &["silence", "list"]).lines().count(),
            which + 1,
            "each is seen on the other"
        );
    }
    scene.stage.sink.answer(503);
    scene.fail(1);
    scene
        .until("it is tried", "SELECT 1 FROM delivery WHERE receiver = 'hook0' AND state = 'pending' AND attempts > 0")
        .await;
    for which in [1, 2] {
        done(scene, which, &["deliveries", "retry", "--receiver", "hook0", "--since", "2h", "--by", "kim"]);
        let late = format!("SELECT 1 FROM delivery WHERE next_attempt_at > {NOW} + 1800000");
        assert!(scene.ask(late).await.is_empty(), "what is retried from machine {which} is due in an hour");
    }
    scene.stage.sink.answer(200);
    let all = "SELECT 1 FROM delivery HAVING COUNT(*) FILTER (WHERE state = 'pending') = 0";
    scene.until("everything has arrived", all).await;
}

async fn a_message_without_an_answer_holds_up_no_stop(scene: &mut Scene) {
    scene.stage.sink.hang_at(HANGS, true);
    scene.fail(1);
    scene.everything_is_told().await;
    let mut holder = None;
    for which in 0..REPLICAS {
        let befallen = scene.held_by(which).await;
        if befallen.held.contains_key(&format!("deliver/{HANGS}")) {
            holder = Some((which, befallen));
        }
    }
    let (which, befallen) = holder.expect("nobody delivers");
    scene.stop(which).await;
    scene.taken_over(&[&befallen]).await;
    let gaps: Vec<Duration> = scene.gaps(&befallen).await.into_iter().flatten().collect();
    println!("{} leases after SIGTERM, while a message hangs: {gaps:?}", gaps.len());
    assert!(gaps.iter().all(|gap| *gap <= GAP_MAX), "{:?}: {gaps:?}", befallen.held);
    // It is sent again under the same id.
    scene.stage.sink.hang_at(HANGS, false);
    let all = "SELECT 1 FROM delivery HAVING COUNT(*) FILTER (WHERE state = 'pending') = 0";
    scene.until("everything has arrived", all).await;
    let mut ids: Vec<String> = scene
        .stage
        .sink
        .hits_at(HANGS)
        .iter()
        .filter(|hit| hit.json()["type"] == "alert.firing")
        .map(|hit| hit.id())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len() as u64, scene.failed(), "a message came under two ids");
}
