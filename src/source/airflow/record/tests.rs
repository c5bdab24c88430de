//! The rows of answers that were recorded from Airflow 3.3.2, and rows that are not what they should be.

use super::*;
use crate::source::kit::json::Json;

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/data/airflow/recorded/", $name))
    };
}

fn source() -> SourceId {
    SourceId::new("night")
}

fn runs(text: &str) -> Vec<Result<Instance, SetAside>> {
    let json = Json::read(text.as_bytes()).unwrap();
    json.root().list("/dag_runs").unwrap().iter().map(|row| read_run(&source(), row)).collect()
}

fn tasks(text: &str) -> Vec<Task> {
    let json = Json::read(text.as_bytes()).unwrap();
    json.root().list("/task_instances").unwrap().iter().filter_map(|row| read_task("http://a/runs/1", row)).collect()
}

#[test]
fn recorded_runs_are_read() {
    let runs: Vec<Instance> = runs(recorded!("runs.json")).into_iter().map(Result::unwrap).collect();
    assert_eq!(runs.len(), 10);
    let of = |dag: &str| runs.iter().find(|run| run.job.name == dag).unwrap();
    let failed = of("nb_fail");
    assert_eq!((failed.id.as_str(), failed.status, failed.kind), ("live_nb_fail", Status::Fail, InstanceType::Manual));
    // A run by hand has no logical date; when it was due is told all the same.
    assert_eq!(failed.plan_time.unwrap().to_string(), "2026-11-29T19:28:01.582378Z");
    assert!(failed.start_time.unwrap() < failed.end_time.unwrap());
    assert_eq!((of("nb_skip").status, of("nb_hang").status), (Status::Success, Status::Fail));
    let backfill = runs.iter().find(|run| run.kind == InstanceType::Backfill).unwrap();
    assert_eq!(backfill.id, "backfill__2026-11-01T03:00:00+00:00");
    assert!(backfill.plan_time.unwrap() > failed.plan_time.unwrap(), "when it was asked for, and not weeks ago");
    assert!(runs.iter().any(|run| run.job.name == "nb_good" && run.kind == InstanceType::Scheduled));
}

#[test]
fn recorded_tasks_are_read_with_the_failed_first() {
    let mut failed = tasks(recorded!("failed-tasks.json"));
    sort_failed(&mut failed);
    let told: Vec<_> = failed.iter().map(|task| (task.node.name.as_str(), task.node.raw_status.as_str())).collect();
    assert_eq!(told, [("broken", "failed"), ("after", "upstream_failed")]);
    assert!(failed.iter().all(|task| task.node.status == Status::Fail && task.node.kind.as_deref() == Some("@task")));
    assert_eq!((failed[0].try_number, failed[0].node.retries), (2, Some(1)));
    assert_eq!(failed[0].node.log_path.as_deref(), Some("http://a/runs/1/tasks/broken?try_number=2"));
    assert_eq!((failed[1].try_number, &failed[1].node.log_path), (0, &None), "it never ran");
    let mapped = tasks(recorded!("mapped-tasks.json"));
    let bad = mapped.iter().find(|task| task.node.status == Status::Fail).unwrap();
    assert_eq!((bad.node.name.as_str(), bad.map_index), ("part[1]", 1));
    assert_eq!(bad.node.log_path.as_deref(), Some("http://a/runs/1/tasks/part/mapped/1?try_number=1"));
    // A run that took too long has no task that failed.
    assert!(tasks(recorded!("skipped-tasks.json")).iter().all(|task| task.node.status == Status::Skip));
}

#[test]
fn recorded_dags_are_read() {
    let json = Json::read(recorded!("dags.json").as_bytes()).unwrap();
    let dags: Vec<Dag> = json.root().list("/dags").unwrap().iter().filter_map(read_dag).collect();
    let of = |id: &str| dags.iter().find(|dag| dag.id == id).unwrap();
    assert_eq!(dags.len(), 9);
    assert_eq!((of("nb_paused").is_paused, of("nb_good").is_paused), (true, false));
    assert_eq!(of("nb_good").timetable.as_deref(), Some("* * * * *"));
    assert!(of("nb_good").next_run_after.is_some() && of("nb_fail").next_run_after.is_none());
    assert_eq!(of("nb_good").owners, ["airflow"]);
}

#[test]
fn odd_rows_cost_themselves_only() {
    let table = [
        (r#"{"dag_run_id":"1","state":"failed"}"#, Err("dag_id")),
        (r#"{"dag_id":"a","state":"failed"}"#, Err("dag_run_id")),
        (r#"{"dag_id":"a","dag_run_id":"1","state":null}"#, Err("state")),
        (r#"{"dag_id":["a"],"dag_run_id":"1","state":"failed"}"#, Err("dag_id")),
        ("7", Err("dag_id")),
        (r#"{"dag_id":"a","dag_run_id":"1","state":"paused"}"#, Ok(Status::Unknown)),
        (
            r#"{"dag_id":"a","dag_run_id":"1","state":"running","start_date":"soon","end_date":"2026-11-21T00:00:00Z"}"#,
            Ok(Status::Running),
        ),
    ];
    for (row, expected) in table {
        let read = runs(&format!("{{\"dag_runs\":[{row}]}}")).remove(0);
        match (read, expected) {
            (Ok(run), Ok(status)) => {
                assert_eq!((run.status, run.start_time, run.end_time), (status, None, None), "{row}")
            }
            (Err(aside), Err(words)) => assert!(aside.reason.contains(words), "{row}: {aside:?}"),
            (other, _) => panic!("{row}: {other:?}"),
        }
    }
}

#[test]
fn only_a_failure_is_one() {
    let table = [
        ("failed", Status::Fail),
        ("upstream_failed", Status::Fail),
        ("up_for_retry", Status::Waiting),
        ("deferred", Status::Waiting),
        ("queued", Status::Waiting),
        ("restarting", Status::Running),
        ("skipped", Status::Skip),
        ("success", Status::Success),
        ("made_up", Status::Unknown),
    ];
    for (word, status) in table {
        assert_eq!(task_status(word), status, "{word}");
    }
}
