//! Small services for kinds that have no simulated one: a list of runs by pages, with the faults of the others.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use nightbell::sign::parse_query;
use nightbell::sim::{Fault, Operation, apply_fault, take_fault};

use super::ago;

/// Runs: the id, and how many seconds ago it was planned; the newest stand first.
pub(super) type Runs = Arc<Mutex<Vec<(u64, i64)>>>;

/// What a path is, and what is answered to it with these parameters.
type Answer = fn(&str, &dyn Fn(&str) -> Option<String>, &[(u64, i64)]) -> (Operation, StatusCode, String);

pub(super) struct Plain {
    pub(super) endpoint: String,
    pub(super) faults: Arc<Mutex<Vec<Fault>>>,
    pub(super) runs: Runs,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Plain {
    pub(super) async fn start(answer: Answer) -> Plain {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (faults, runs): (Arc<Mutex<Vec<Fault>>>, Runs) = (Arc::default(), Arc::default());
        let (taken, listed) = (Arc::clone(&faults), Arc::clone(&runs));
        let router = Router::new().fallback(move |request: Request| {
            let (taken, listed) = (Arc::clone(&taken), Arc::clone(&listed));
            async move {
                let pairs = parse_query(request.uri().query().unwrap_or_default());
                let get = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
                let (operation, status, body) = answer(request.uri().path(), &get, &listed.lock().unwrap());
                let fault = take_fault(&mut taken.lock().unwrap(), operation);
                apply_fault(fault, status, body.into_bytes()).await
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Plain { endpoint, faults, runs, task }
    }

    pub(super) fn put(&self, id: u64, seconds_ago: i64) {
        self.runs.lock().unwrap().insert(0, (id, seconds_ago));
    }
}

/// An Airflow, as far as its list of runs and its sign-in go: by cursor, in the order in which runs were made.
pub(super) fn airflow(
    path: &str,
    get: &dyn Fn(&str) -> Option<String>,
    runs: &[(u64, i64)],
) -> (Operation, StatusCode, String) {
    match path {
        "/auth/token" => {
            (Operation::SignIn, StatusCode::CREATED, r#"{"access_token":"CANARY-token-of-a-user"}"#.into())
        }
        "/api/v2/dags/~/dagRuns" => {
            let start: usize = get("cursor").unwrap_or_default().parse().unwrap_or(0);
            let rows: Vec<String> = runs.iter().rev().skip(start).take(100).map(|(id, seconds)| {
                let at = ago(*seconds);
                format!(
                    r#"{{"dag_id":"load","dag_run_id":"{id}","state":"success","run_type":"scheduled","run_after":"{at}","start_date":"{at}","end_date":"{at}"}}"#
                )
            }).collect();
            let next =
                if start + rows.len() < runs.len() { format!("\"{}\"", start + rows.len()) } else { "null".into() };
            (Operation::List, StatusCode::OK, format!(r#"{{"dag_runs":[{}],"next_cursor":{next}}}"#, rows.join(",")))
        }
        // The runs of one DAG: they are in the list of all.
        path if path.ends_with("/dagRuns") => {
            (Operation::Jobs, StatusCode::OK, r#"{"dag_runs":[],"next_cursor":null}"#.into())
        }
        _ => (Operation::Jobs, StatusCode::OK, r#"{"dags":[{"dag_id":"load"}],"total_entries":1}"#.into()),
    }
}

/// A described scheduler: by page, the newest first, with a count.
pub(super) fn described(
    _: &str,
    get: &dyn Fn(&str) -> Option<String>,
    runs: &[(u64, i64)],
) -> (Operation, StatusCode, String) {
    let page: usize = get("page").unwrap_or_default().parse().unwrap_or(1);
    let rows: Vec<String> = runs
        .iter()
        .skip((page - 1) * 100)
        .take(100)
        .map(|(id, seconds)| {
            format!(r#"{{"id":{id},"job":"load","state":"success","due":{}}}"#, ago(*seconds).as_second())
        })
        .collect();
    (Operation::List, StatusCode::OK, format!(r#"{{"runs":[{}],"count":{}}}"#, rows.join(","), runs.len()))
}

/// The keys by which the described one is read.
pub(super) const DESCRIPTION: &str = "url: ENDPOINT/runs
query: { page: \"{{page}}\" }
auth: { token: CANARY-token-of-a-user }
items: /runs
fields: { id: /id, job: /job, status: /state, planned: { pointer: /due, format: epoch } }
status_map: { success: success }
paging: { kind: page, total: /count }
requests_per_second: 10000
";
