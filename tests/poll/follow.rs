//! What the list no longer holds is asked after, what is under way before what has ended.

use jiff::SignedDuration;
use nightbell::model::{Instance, Status};

use super::world::{Scene, run, told};
use super::{FAILURES, minutes};

/// A night in which everything failed, and one long run beside it: its end must not wait for the turns of the failures.
#[tokio::test]
async fn the_end_of_a_long_run_is_noticed_at_once_beside_a_hundred_failures() {
    let rules = format!("{FAILURES}  slow: {{ when: {{ status: [running], duration: 30m }}, notify: [hook] }}\n");
    let mut scene = Scene::open(&rules).await;
    let now = scene.now();
    let failed =
        |id: u32| run(&format!("job{id}"), &id.to_string(), Status::Fail, now - minutes(50), Some(now - minutes(40)));
    let failures: Vec<Instance> = (0..100).map(failed).collect();
    let long = run("long", "1000", Status::Running, now - minutes(45), None);
    scene.show(failures.iter().cloned().chain([long.clone()]));
    scene.poll().await;
    assert_eq!(told(&scene.store).await.len(), 101);
    scene.show([]);
    for run in failures.into_iter().chain([long.clone()]) {
        scene.source.shown().details.insert(run.id.clone(), run);
    }
    for _ in 0..3 {
        scene.pass(SignedDuration::from_mins(1));
        scene.source.shown().asked.clear();
        scene.poll().await;
        let asked = scene.source.shown().asked.clone();
        assert!(asked.contains(&"1000".to_string()) && asked.len() < 100, "{asked:?}");
    }
    scene.pass(minutes(1));
    let over = Instance { status: Status::Success, end_time: Some(scene.now()), ..long };
    scene.source.shown().details.insert("1000".into(), over);
    scene.poll().await;
    assert_eq!(told(&scene.store).await.last().map(String::as_str), Some("alert.resolved long 1000"));
    assert_eq!(told(&scene.store).await.len(), 102);
}
