//! The source against a service that answers as Airflow 3 does, by cursor or, as its earlier versions, by offset.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nightbell::clock::{Clock, ManualClock};
use nightbell::model::{Instance, InstanceType, JobStatus, SourceId, Status, Window};
use nightbell::secret::{Secret, SecretRef};
use nightbell::source::airflow::{Airflow, Auth, Settings};
use nightbell::source::{Grade, Patience, Source, SourceErrorKind};
use serde_json::{Value, json};

use crate::described::service::{Asked, Service, Told, ok, told};
use crate::described::{configured, descriptions};

const NOW: &str = "2026-11-21T00:30:00Z";

/// Airflow, as far as the source asks it.
struct World {
    runs: Vec<Run>,
    dags: Vec<Value>,
    has_cursors: bool,
    /// Rows of a page at most, whatever is asked for.
    page_max: usize,
    /// Who may sign in, with which password.
    user: (String, String),
    token: String,
    logins: usize,
    /// Whether the list of all runs is empty whatever there is, as for an account without the rights.
    is_blind: bool,
    /// What is answered instead, once each, oldest first.
    instead: Vec<Told>,
    now: Timestamp,
    log: String,
}

#[derive(Clone)]
struct Run {
    row: Value,
    updated_at: Timestamp,
}

fn run(dag: &str, id: &str, state: &str, at: Timestamp) -> Run {
    let is_over = matches!(state, "success" | "failed");
    let row = json!({
        "dag_id": dag, "dag_run_id": id, "state": state, "run_type": "scheduled", "logical_date": null, "queued_at": at,
        "run_after": at, "start_date": if state == "queued" { Value::Null } else { json!(at + SignedDuration::from_secs(1)) },
        "end_date": if is_over { json!(at + SignedDuration::from_secs(31)) } else { Value::Null },
    });
    Run { row, updated_at: at }
}

fn dag(id: &str, more: Value) -> Value {
    let mut dag = json!({ "dag_id": id, "is_paused": false, "is_stale": false, "has_import_errors": false, "owners": ["li.wei"],
        "timetable_summary": null, "next_dagrun_run_after": null, "relative_fileloc": format!("{id}.py") });
    for (key, value) in more.as_object().unwrap() {
        dag[key] = value.clone();
    }
    dag
}

fn detail_of(words: &str) -> String {
    json!({ "detail": words }).to_string()
}

impl World {
    fn answer(&mut self, asked: &Asked) -> Told {
        let date = self.now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        self.answered(asked).header("date", date)
    }

    fn answered(&mut self, asked: &Asked) -> Told {
        if asked.path == "/auth/token" {
            let (user, password) = &self.user;
            if asked.json() != json!({ "username": user, "password": password }) {
                return told(401, detail_of("Invalid credentials"));
            }
            self.logins += 1;
            self.token = format!("canary-token-{}", self.logins);
            return told(201, json!({ "access_token": self.token }).to_string());
        }
        if asked.header("authorization") != format!("Bearer {}", self.token) {
            return told(401, detail_of("Token Expired"));
        }
        if !self.instead.is_empty() {
            return self.instead.remove(0);
        }
        let path: Vec<&str> = asked.path.trim_start_matches('/').split('/').skip(2).collect();
        match path.as_slice() {
            ["dags", dag, "dagRuns"] => self.list(asked, dag),
            ["dags", dag, "dagRuns", id] => match self.find(dag, id) {
                Some(run) => ok(run.row.clone()),
                None => {
                    told(404, detail_of(&format!("The DagRun with dag_id: `{dag}` and run_id: `{id}` was not found")))
                }
            },
            ["dags", _, "dagRuns", _, "taskInstances"] => ok(json!({ "task_instances": [
                { "task_id": "after", "map_index": -1, "state": "upstream_failed", "try_number": 0, "operator_name": "@task" },
                { "task_id": "load", "map_index": 2, "state": "failed", "try_number": 2, "operator_name": "@task",
                  "start_date": NOW, "end_date": NOW },
            ], "total_entries": 2 })),
            ["dags", _, "dagRuns", _, "taskInstances", "load", "logs", "2"] if asked.get("map_index") == "2" => {
                told(200, self.log.clone())
            }
            ["dags"] => ok(json!({ "dags": self.dags, "total_entries": self.dags.len() })),
            ["dags", "shanghai", "details"] => ok(json!({ "timezone": "Asia/Shanghai" })),
            ["importErrors"] => ok(json!({ "import_errors": [{ "filename": "new.py" }], "total_entries": 1 })),
            ["version"] => ok(json!({ "version": "3.3.2" })),
            ["monitor", "health"] => {
                ok(json!({ "scheduler": { "status": "unhealthy", "latest_scheduler_heartbeat": NOW } }))
            }
            _ => told(404, detail_of("Not Found")),
        }
    }

    fn find(&self, dag: &str, id: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.row["dag_id"] == dag && run.row["dag_run_id"] == id)
    }

    fn list(&self, asked: &Asked, dag: &str) -> Told {
        let time = |key: &str| asked.query.get(key).map(|text| text.parse::<Timestamp>());
        let bounds = ["run_after_gte", "run_after_lte", "updated_at_gte"].map(time);
        if bounds.iter().flatten().any(Result::is_err) {
            return told(422, json!({ "detail": [{ "msg": "Input should be a valid datetime" }] }).to_string());
        }
        let [from, to, since] = bounds.map(|bound| bound.map(Result::unwrap));
        let after = |run: &Run| run.row["run_after"].as_str().unwrap().parse::<Timestamp>().unwrap();
        let is_in = |run: &&Run| {
            (dag == "~" || run.row["dag_id"] == dag)
                && !(dag == "~" && self.is_blind)
                && from.is_none_or(|from| after(run) >= from)
                && to.is_none_or(|to| after(run) <= to)
                && since.is_none_or(|since| run.updated_at >= since)
        };
        let rows: Vec<&Value> = self.runs.iter().filter(is_in).map(|run| &run.row).collect();
        let limit = asked.get("limit").parse::<usize>().unwrap_or(50).min(self.page_max);
        let by_cursor = self.has_cursors && asked.query.contains_key("cursor");
        let start: usize = if by_cursor {
            match asked.get("cursor") {
                "" => 0,
                cursor => cursor.trim_start_matches('c').parse().unwrap(),
            }
        } else {
            asked.get("offset").parse().unwrap_or(0)
        };
        let page: Vec<&&Value> = rows.iter().skip(start).take(limit).collect();
        let mut body = json!({ "dag_runs": page });
        if self.has_cursors {
            let next = (by_cursor && start + page.len() < rows.len()).then(|| format!("c{}", start + page.len()));
            body["next_cursor"] = json!(next);
        }
        if !by_cursor {
            body["total_entries"] = rows.len().into();
        }
        ok(body)
    }
}

struct Bench {
    service: Service,
    world: Arc<Mutex<World>>,
    clock: ManualClock,
    source: Airflow,
}

fn settings(url: &str) -> Settings {
    let inline = |text: &str| SecretRef::Inline(Secret::new(text));
    Settings {
        url: url.to_string(),
        auth: Auth::Password { user: inline("night"), password: inline("canary-password") },
        headers: Vec::new(),
        dags: Vec::new(),
        ca_file: None,
        requests_per_second: 1000.0,
    }
}

impl Bench {
    async fn start(has_cursors: bool) -> Bench {
        let world = World {
            runs: Vec::new(),
            dags: vec![dag("etl", json!({}))],
            has_cursors,
            page_max: 100,
            user: ("night".to_string(), "canary-password".to_string()),
            token: "none".to_string(),
            logins: 0,
            is_blind: false,
            instead: Vec::new(),
            now: NOW.parse().unwrap(),
            log: String::new(),
        };
        let world = Arc::new(Mutex::new(world));
        let answering = Arc::clone(&world);
        let service = Service::start(move |asked| answering.lock().unwrap().answer(asked)).await;
        let clock = ManualClock::at(NOW.parse().unwrap());
        let source = open(&settings(&service.url), &clock);
        Bench { service, world, clock, source }
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn day(&self) -> Window {
        Window { from: self.now() - SignedDuration::from_hours(24), to: self.now() }
    }

    /// Both clocks, this machine's and the service's.
    fn forward(&self, seconds: i64) {
        self.clock.set(self.now() + SignedDuration::from_secs(seconds));
        self.world().now = self.now();
    }

    /// The listed runs and the requests that took.
    async fn list(&self) -> (Vec<Instance>, usize) {
        self.service.asked();
        let mut listing = self.source.list(self.day()).await.unwrap();
        assert!(listing.coverage.is_whole(), "{:?}", listing.coverage);
        listing.instances.sort_by_key(|run| run.key());
        (listing.instances, self.service.asked().len())
    }
}

fn open(settings: &Settings, clock: &ManualClock) -> Airflow {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let patience = Patience { timeout: Duration::from_secs(20), retry_pause: Duration::ZERO, ..Patience::default() };
    Airflow::open(SourceId::new("night"), settings, clock).unwrap().with_patience(patience)
}

#[tokio::test]
async fn all_runs_are_read_by_cursor_and_by_offset_and_then_what_has_changed() {
    for (has_cursors, pages) in [(true, 3), (false, 3)] {
        let bench = Bench::start(has_cursors).await;
        let at = bench.now() - SignedDuration::from_hours(2);
        bench.world().runs = (0..250).map(|number| run("etl", &format!("r{number:03}"), "success", at)).collect();
        let (runs, requests) = bench.list().await;
        assert_eq!((runs.len(), requests), (250, 1 + pages), "a sign-in and {pages} pages");
        for minute in 1..=5 {
            bench.forward(60);
            let new = bench.now() - SignedDuration::from_secs(5);
            bench.world().runs.push(run("new", &format!("n{minute}"), "running", new));
            let (runs, requests) = bench.list().await;
            assert_eq!((runs.len(), requests), (250 + minute, 1), "one request, whatever there is");
        }
        // A run that was deleted is no change: it goes with the next listing of the whole window.
        bench.world().runs.remove(0);
        bench.forward(60);
        assert_eq!(bench.list().await.0.len(), 255);
        bench.forward(15 * 60);
        assert_eq!(bench.list().await.0.len(), 254);
    }
}

/// What docs/sources/airflow.md has people write is read as it says: the user signs in, and of the runs those of its DAGs are
/// there.
#[tokio::test]
async fn the_description_in_the_documents_reads_the_runs_of_its_dags() {
    let documents = descriptions("airflow.md");
    assert_eq!(documents.len(), 1);
    let bench = Bench::start(true).await;
    bench.world().user = ("airflow_user".into(), "airflow_password".into());
    let at = bench.now() - SignedDuration::from_hours(1);
    bench.world().runs = vec![run("etl_orders", "r1", "failed", at), run("other", "r2", "failed", at)];
    let config = configured(&documents[0], "https://airflow.example.com", &bench.service);
    let source = config.sources[0].open(Arc::new(bench.clock.clone())).unwrap();
    let listing = source.list(bench.day()).await.unwrap();
    assert!(listing.coverage.is_whole(), "{:?}", listing.coverage);
    let jobs: Vec<&str> = listing.instances.iter().map(|run| run.job.name.as_str()).collect();
    assert_eq!((jobs, bench.world().logins), (vec!["etl_orders"], 1));
}

#[tokio::test]
async fn a_cleared_run_keeps_its_id_and_runs_again() {
    let bench = Bench::start(true).await;
    let at = bench.now() - SignedDuration::from_mins(10);
    bench.world().runs = vec![run("etl", "manual__1", "failed", at)];
    let (runs, _) = bench.list().await;
    assert_eq!((runs[0].status, runs[0].plan_time), (Status::Fail, Some(at)));
    let first = runs[0].clone();
    bench.forward(60);
    let again = bench.now() - SignedDuration::from_secs(2);
    let mut cleared = run("etl", "manual__1", "running", again);
    cleared.row["run_after"] = json!(at);
    bench.world().runs = vec![cleared];
    let (runs, requests) = bench.list().await;
    assert_eq!((runs.len(), requests, runs[0].key() == first.key()), (1, 1, true));
    assert_eq!((runs[0].status, runs[0].end_time), (Status::Running, None));
    assert!(runs[0].start_time > first.start_time, "its new start makes another episode");
}

/// A clock that is wrong on either side loses no change: what has changed is asked for by the service's own clock.
#[tokio::test]
async fn clocks_that_differ_lose_no_change() {
    for skew in [-3600, 3600] {
        let bench = Bench::start(true).await;
        bench.world().now = bench.now() + SignedDuration::from_secs(skew);
        let theirs = bench.world().now;
        bench.world().runs = vec![run("etl", "1", "running", theirs - SignedDuration::from_hours(2))];
        bench.list().await;
        bench.clock.set(bench.now() + SignedDuration::from_secs(60));
        let changed = theirs + SignedDuration::from_secs(30);
        bench.world().now = theirs + SignedDuration::from_secs(60);
        {
            let mut world = bench.world();
            world.runs[0].row["state"] = json!("failed");
            world.runs[0].updated_at = changed;
        }
        let (runs, _) = bench.list().await;
        assert_eq!(runs[0].status, Status::Fail, "{skew}");
    }
}

#[tokio::test]
async fn an_empty_list_is_held_against_the_dags() {
    let bench = Bench::start(true).await;
    let (runs, requests) = bench.list().await;
    assert_eq!((runs.len(), requests), (0, 4), "nothing ran: a sign-in, the list, the DAGs, one of them");
    bench.forward(60);
    assert_eq!(bench.list().await.1, 1, "and of what has changed, nothing is nothing");

    let blind = Bench::start(true).await;
    blind.world().runs = vec![run("etl", "1", "failed", blind.now() - SignedDuration::from_mins(5))];
    blind.world().is_blind = true;
    let error = blind.source.list(blind.day()).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Credentials);
    assert!(
        error.message.contains("the DAG etl has some") && error.help.unwrap().contains("Viewer"),
        "{}",
        error.message
    );
    blind.world().dags.clear();
    let error = blind.source.list(blind.day()).await.unwrap_err();
    assert!(error.message.contains("the account sees no DAG"), "{error}");
}

#[tokio::test]
async fn a_failed_run_has_its_tasks_its_log_and_its_page() {
    let bench = Bench::start(true).await;
    bench.world().runs = vec![run("etl x", "manual__2026-11-21T00:00:00+00:00", "failed", bench.now())];
    // A log of megabytes, of which the end is told.
    let line = |event: &str| format!("{}\n", json!({ "event": event, "level": "info" }));
    let noise: String = (0..200_000)
        .map(|number| line(&format!("row {number} of a very long log of a task that prints all it does")))
        .collect();
    let error = json!({ "event": "Task failed with exception", "error_detail": [{ "exc_type": "ValueError", "exc_value": "bad row, password=canary" }] });
    bench.world().log = format!("{noise}{error}\n");
    assert!(bench.world().log.len() > 17 << 20);
    let (runs, _) = bench.list().await;
    let detail = bench.source.detail(&runs[0]).await.unwrap();
    let nodes: Vec<_> = detail.nodes.iter().map(|node| (node.name.as_str(), node.status, node.retries)).collect();
    assert_eq!(nodes, [("load[2]", Status::Fail, Some(1)), ("after", Status::Fail, Some(0))]);
    let page = format!("{}/dags/etl%20x/runs/manual__2026-11-21T00%3A00%3A00%2B00%3A00", bench.service.url);
    assert_eq!(detail.url.as_deref(), Some(page.as_str()));
    assert_eq!(detail.nodes[0].log_path.as_deref(), Some(format!("{page}/tasks/load/mapped/2?try_number=2").as_str()));
    let told = detail.instance.error.unwrap();
    assert!(told.contains("row 199999 of") && told.ends_with("ValueError: bad row, password=<redacted>"), "{told}");
    let asked = bench.service.asked();
    assert_eq!(asked.len(), 3, "the run, its failed tasks, one log");
    assert_eq!(asked[2].header("accept"), "application/x-ndjson");
    let gone = Instance { id: "nope".into(), ..runs[0].clone() };
    assert_eq!(bench.source.detail(&gone).await.unwrap_err().kind, SourceErrorKind::NotFound);
}

#[tokio::test]
async fn a_token_that_has_ended_is_renewed_once() {
    let bench = Bench::start(true).await;
    bench.list().await;
    for answer in [told(401, detail_of("Token Expired")), told(403, detail_of("Invalid JWT token"))] {
        bench.forward(60);
        bench.world().instead = vec![answer];
        assert_eq!(bench.list().await.1, 3, "the list, a sign-in, the list");
    }
    bench.world().instead = vec![told(403, detail_of("Forbidden"))];
    let error = bench.source.list(bench.day()).await.unwrap_err();
    assert!(error.kind == SourceErrorKind::Credentials && error.message == "HTTP 403: Forbidden", "{error}");
    let mut wrong = settings(&bench.service.url);
    wrong.auth = Auth::Password {
        user: SecretRef::Inline(Secret::new("night")),
        password: SecretRef::Inline(Secret::new("canary-wrong")),
    };
    let wrong = open(&wrong, &bench.clock);
    bench.service.asked();
    for _ in 0..3 {
        let error = wrong.list(bench.day()).await.unwrap_err();
        assert!(error.message.contains("the sign-in was refused: HTTP 401: Invalid credentials"), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    assert_eq!(bench.service.asked().len(), 1, "a refused password is not tried at every poll");
}

#[tokio::test]
async fn pages_that_lie_are_found_out() {
    // An older server: a row that was deleted while the pages were read has the list read once more.
    let bench = Bench::start(false).await;
    let at = bench.now() - SignedDuration::from_hours(1);
    bench.world().runs = (0..150).map(|number| run("etl", &format!("r{number:03}"), "success", at)).collect();
    bench.list().await;
    let rows = |from: usize, to: usize| {
        (from..to).map(|number| run("etl", &format!("r{number:03}"), "success", at).row).collect::<Vec<_>>()
    };
    let page = |rows: Vec<Value>, total: usize| ok(json!({ "dag_runs": rows, "total_entries": total }));
    bench.forward(16 * 60);
    bench.world().instead = vec![page(rows(0, 100), 150), page(rows(101, 150), 149)];
    let (runs, requests) = bench.list().await;
    assert_eq!((runs.len(), requests), (150, 5), "three pages that do not fit together, and two that do");
    // A total that is not there is no trouble by cursor; a cursor that leads back is.
    let bench = Bench::start(true).await;
    let looping = || ok(json!({ "dag_runs": [run("etl", "1", "success", at).row], "next_cursor": "c1" }));
    bench.list().await;
    bench.world().instead = vec![looping(), looping()];
    let error = bench.source.list(bench.day()).await.unwrap_err();
    assert!(error.kind == SourceErrorKind::BadAnswer && error.message.contains("leads back"), "{error}");
}

#[tokio::test]
async fn odd_answers_are_told_in_words() {
    let bench = Bench::start(true).await;
    bench.list().await;
    let table = [
        (told(404, "{\"detail\":\"Not Found\"}"), SourceErrorKind::Configuration, "HTTP 404", "Airflow 3"),
        (told(200, "<html>"), SourceErrorKind::BadAnswer, "HTML", ""),
        (told(200, "{\"dag_runs\": 7}"), SourceErrorKind::BadAnswer, "no list at /dag_runs", ""),
        (told(429, "").header("retry-after", "30"), SourceErrorKind::Throttled, "HTTP 429", "less often"),
    ];
    for (answer, kind, words, help) in table {
        bench.world().instead = vec![answer.clone(), answer];
        let error = bench.source.list(bench.day()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(words) && error.help.as_deref().unwrap_or_default().contains(help), "{error:?}");
        bench.world().instead.clear();
    }
}

/// A row without an id may be any DAG: that one is not in the list proves nothing. A list that moved is read once more.
#[tokio::test]
async fn a_list_of_dags_that_is_not_understood_or_has_moved_is_not_whole() {
    let bench = Bench::start(true).await;
    bench.world().dags = vec![dag("etl", json!({})), dag("odd", json!({ "dag_id": null }))];
    let list = bench.source.tells_jobs().unwrap().jobs().await.unwrap();
    let names: Vec<_> = list.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(
        (names.as_slice(), list.shortfall.as_deref()),
        (&["etl", "new.py"][..], Some("1 of 2 DAGs could be read"))
    );
    let dags = || vec![dag("etl", json!({})), dag("load", json!({}))];
    bench.world().dags = dags();
    let page = |dags: &[Value]| ok(json!({ "dags": dags, "total_entries": 3 }));
    bench.world().instead = vec![page(&dags()), page(&[])];
    let list = bench.source.tells_jobs().unwrap().jobs().await.unwrap();
    assert_eq!((list.jobs.len(), list.shortfall), (3, None), "both and the file");
}

#[tokio::test]
async fn dags_are_jobs_with_states_and_schedules() {
    let bench = Bench::start(true).await;
    bench.world().dags = vec![
        dag("etl", json!({ "timetable_summary": "30 1 * * *", "next_dagrun_run_after": "2026-11-22T01:30:00Z" })),
        dag("shanghai", json!({ "timetable_summary": "0 8 * * *", "next_dagrun_run_after": "2026-11-22T00:00:00Z" })),
        dag("odd", json!({ "timetable_summary": "1 day, 0:00:00", "next_dagrun_run_after": "2026-11-22T00:00:00Z" })),
        dag(
            "old",
            json!({ "is_paused": true, "timetable_summary": "* * * * *", "next_dagrun_run_after": "2026-11-22T00:00:00Z" }),
        ),
        dag("gone", json!({ "is_stale": true })),
        dag("by_hand", json!({})),
    ];
    let list = bench.source.tells_jobs().unwrap().jobs().await.unwrap();
    assert_eq!(list.shortfall, None);
    let jobs = list.jobs;
    let told: Vec<_> = jobs.iter().map(|job| (job.name.as_str(), job.status)).collect();
    let active = JobStatus::Scheduling;
    let expected = [
        ("by_hand", active),
        ("etl", active),
        ("odd", active),
        ("old", JobStatus::Paused),
        ("shanghai", active),
        ("new.py", JobStatus::Exception),
    ];
    assert_eq!(told, expected);
    bench.service.asked();
    let told = bench.source.tells_schedules().unwrap();
    let schedules = told.schedules().await.unwrap();
    assert_eq!(bench.service.asked().len(), 2, "the DAGs, and the zone of the one whose crontab is not in UTC");
    let due: Vec<_> = schedules.iter().map(|schedule| (schedule.job.as_str(), schedule.due.is_ok())).collect();
    assert_eq!(due, [("etl", true), ("odd", false), ("shanghai", true)]);
    let shanghai = schedules[2].due.as_ref().unwrap();
    assert_eq!(shanghai.next_after(bench.now()).unwrap().to_string(), "2026-11-22T00:00:00Z");
    told.schedules().await.unwrap();
    assert_eq!(bench.service.asked().len(), 1, "the zone is remembered");
}

#[tokio::test]
async fn patterns_choose_the_dags_and_doctor_says_what_it_found() {
    let bench = Bench::start(true).await;
    bench.world().runs = ["etl_a", "etl_b", "other"].map(|dag| run(dag, "1", "failed", bench.now())).to_vec();
    bench.world().runs[0].row["run_type"] = json!("backfill");
    let mut some = settings(&bench.service.url);
    some.dags = vec!["etl_*".to_string()];
    let mut runs = open(&some, &bench.clock).list(bench.day()).await.unwrap().instances;
    runs.sort_by_key(|run| run.key());
    let told: Vec<_> = runs.iter().map(|run| (run.job.name.as_str(), run.kind)).collect();
    assert_eq!(told, [("etl_a", InstanceType::Backfill), ("etl_b", InstanceType::Scheduled)]);
    let found = bench.source.examine().await;
    let grade = |question: &str| found.iter().find(|finding| finding.question == question).map(|finding| finding.grade);
    assert_eq!(grade("Can it sign in?"), Some(Grade::Good));
    assert_eq!(grade("Does its scheduler live?"), Some(Grade::Bad), "{found:?}");
    assert_eq!(grade("Can runs be listed?"), Some(Grade::Good));
}
