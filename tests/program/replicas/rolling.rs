//! The rules file is changed on one machine after the other while jobs fail: nothing ends that has not, nothing is missed, and
//! the loops change hands as fast as after any stop in order.

use std::time::Duration;

use sqlx::Row as _;

use super::RULES;
use super::apart::is_apart;
use super::scene::{REPLICAS, Scene};
use crate::program::text;

/// How long the poll of the source may be in nobody's hands.
const GAP_MAX: Duration = Duration::from_secs(20);

#[test]
fn rules_that_change_machine_by_machine_end_nothing_and_miss_nothing() {
    if is_apart("program::replicas::rolling::rules_that_change_machine_by_machine_end_nothing_and_miss_nothing") {
        tokio::runtime::Runtime::new().unwrap().block_on(roll());
    }
}

async fn roll() {
    let mut scene = Scene::set(RULES).await;
    scene.fail(20);
    scene.everything_is_told().await;
    let newer = format!("{RULES}  slow: {{ when: {{ status: [running], duration: 3h }}, notify: [hook0] }}\n");
    for which in 0..REPLICAS {
        scene.write_rules(which, &newer);
        // Who still has the older file stands by, and who has the new one runs everything.
        if which > 0 {
            scene.says(which, "is the one in force").await;
        } else {
            for older in 1..REPLICAS {
                scene.says(older, "it stands by").await;
            }
            let all = "SELECT 1 FROM lease HAVING COUNT(DISTINCT holder) = 1 AND COUNT(holder) = COUNT(*) AND MIN(configuration) = 2";
            scene.until("one replica runs everything", all).await;
            // A restart with the older file changes nothing.
            scene.replace(1);
            scene.fail(5);
            scene.everything_is_told().await;
            let shown = scene.command(2, &["replicas"]).output().unwrap();
            assert!(text(&shown.stdout).contains("stands by: 2 is in force"), "{}", text(&shown.stdout));
            assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
            scene.says_on_page(0, "/status", "stands by: another configuration is in force", 2).await;
        }
        scene.fail(20);
        scene.everything_is_told().await;
    }
    // Every message is of a failure: an end would be told too.
    let hits = scene.stage.sink.hits();
    assert!(hits.iter().all(|hit| hit.json()["type"] == "alert.firing"), "an end that was none");
    assert_eq!(hits.len(), scene.demanded.len(), "a repeat");
    let gap = "SELECT COALESCE(MAX(gap), 0)::bigint FROM (SELECT at - LAG(at) OVER (ORDER BY at) AS gap, holder, \
        LAG(holder) OVER (ORDER BY at) AS was FROM taking WHERE name = 'poll/warehouse') AS change \
        WHERE was IS NULL AND holder IS NOT NULL";
    let gap = Duration::from_millis(scene.ask(gap.into()).await[0].get::<i64, _>(0).cast_unsigned());
    println!("{} messages; nobody polled for {gap:?} at most", hits.len());
    assert!(gap <= GAP_MAX, "nobody polled for {gap:?}");
}
