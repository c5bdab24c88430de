//! The plans of the server, with 300,000 rows in each table that grows.
//!
//! A statement is prepared as the driver prepares it: the types of what is bound are those that the driver has told the
//! server, which knows them by the statement's text.

#[path = "../../../../tests/cluster.rs"]
#[allow(dead_code, reason = "the integration tests use all of it")]
mod cluster;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

use super::{OPEN, filled_file, statements_of};
use crate::limits::STORE_CONNECTIONS_MAX;
use crate::store::sql::database::{Mode, SqlStore};

/// Fills every table that grows; few of its rows are open. The indices are made at the end, which takes half the time.
const FILLED: &str = include_str!("filled.sql");
/// The tables that grow.
const GROWING: [&str; 9] =
    ["instance", "transition", "alert", "delivery", "attempt", "poll", "job_day", "escalation", "action"];
/// How many rows each of them has at least.
const ROWS: i64 = 300_000;

/// The types of what is bound to each statement that the store has prepared, as its driver told the server.
async fn types_told(store: &SqlStore) -> BTreeMap<String, Vec<String>> {
    let mut told = BTreeMap::new();
    for (connections, count) in
        [(&store.writer, STORE_CONNECTIONS_MAX), (&store.readers, STORE_CONNECTIONS_MAX), (&store.keeper, 1)]
    {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(connections.take().await.unwrap());
        }
        for mut connection in taken {
            let query = "SELECT statement, array_to_string(parameter_types, ',') FROM pg_prepared_statements";
            for row in sqlx::query(query).fetch_all(&mut connection).await.unwrap() {
                let types: String = row.get(1);
                let types = types.split(',').filter(|one| !one.is_empty()).map(String::from).collect();
                told.insert(row.get::<String, _>(0).trim().to_string(), types);
            }
        }
    }
    told
}

/// What is wrong with a plan: a table that grows is read from end to end, or an index of it is that is not one of what is
/// open.
fn wrong(plan: &[String]) -> bool {
    let bare = |step: &str| step.trim_start().trim_start_matches("->").trim_start().to_string();
    plan.iter().enumerate().any(|(at, step)| {
        let step = bare(step);
        let Some((kind, rest)) = step.split_once(" on ") else { return false };
        let on = rest.split_whitespace().next().unwrap_or("");
        let index = kind.split_once(" using ").map(|(_, index)| index);
        let is_bound = plan.get(at + 1).is_some_and(|next| bare(next).starts_with("Index Cond"));
        // The first few by an index are few.
        let is_cut = at > 0 && ["Limit", "LockRows"].iter().any(|word| bare(&plan[at - 1]).starts_with(word));
        match (kind, index) {
            ("Bitmap Index Scan", _) => !is_bound && !OPEN.contains(&on),
            (_, Some(index)) => GROWING.contains(&on) && !is_bound && !is_cut && !OPEN.contains(&index),
            _ => kind.ends_with("Seq Scan") && GROWING.contains(&on),
        }
    })
}

/// How the server answers a statement once it has settled on one plan, whatever is bound.
async fn plan(connection: &mut AnyConnection, sql: &str, types: &[String]) -> Vec<String> {
    let list = |words: Vec<&str>| if words.is_empty() { String::new() } else { format!("({})", words.join(", ")) };
    let (kinds, bound) = (list(types.iter().map(String::as_str).collect()), list(vec!["NULL"; types.len()]));
    let mut rows = Vec::new();
    for text in
        [format!("PREPARE asked{kinds} AS {sql}"), format!("EXPLAIN EXECUTE asked{bound}"), "DEALLOCATE asked".into()]
    {
        let answer = sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(&mut *connection).await;
        rows.extend(answer.unwrap_or_else(|error| panic!("{sql}: {error}")));
    }
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

#[tokio::test]
async fn the_server_answers_what_is_asked_often_by_an_index_too() {
    let url = tokio::task::spawn_blocking(|| cluster::empty_database("")).await.unwrap();
    // Of no statement the types are forgotten.
    let store = SqlStore::open(&format!("{url}?statement-cache-capacity=1000"), Mode::Work).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = filled_file(directory.path()).await;
    file.copy_into(&store, |_, _, _| {}).await.unwrap();
    file.close().await;
    let statements = statements_of(&store).await;
    assert!(statements.len() > 40, "{statements:#?}");
    let told = types_told(&store).await;
    let fill = url.clone();
    tokio::task::spawn_blocking(move || cluster::run(&fill, FILLED)).await.unwrap();
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    for table in GROWING {
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"))).fetch_one(&mut connection);
        assert!(rows.await.unwrap().get::<i64, _>(0) >= ROWS, "{table}");
    }
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&mut connection).await.unwrap();
    let mut faults = String::new();
    let mut looked = 0;
    for sql in &statements {
        if !["SELECT", "INSERT", "UPDATE", "WITH", "DELETE"].iter().any(|word| sql.starts_with(word)) {
            continue;
        }
        let types = told.get(sql).unwrap_or_else(|| panic!("not known to the server: {sql}"));
        let plan = plan(&mut connection, sql, types).await;
        looked += 1;
        if wrong(&plan) {
            writeln!(faults, "{sql}\n{plan:#?}\n").unwrap();
        }
    }
    // What is looked at shows that it would be seen.
    let scan = plan(&mut connection, "SELECT id FROM delivery WHERE last_error = $1", &["text".into()]).await;
    assert!(wrong(&scan), "{scan:#?}");
    assert!(looked > 40, "{looked}");
    assert!(faults.is_empty(), "{faults}");
    store.close().await;
    tokio::task::spawn_blocking(move || cluster::remove(&url)).await.unwrap();
}
