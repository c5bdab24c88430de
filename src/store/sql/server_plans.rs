//! The plans of the server, with 300,000 rows in each table that grows.
//!
//! The server itself says by which plan it went each time: the values that were bound decide, too, and are the real ones.

#[path = "../../../tests/cluster.rs"]
#[allow(dead_code, reason = "the integration tests use all of it")]
pub(super) mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _};

use super::database::{Mode, SqlStore};
use super::plans::{FILLED_ROWS, GROWING, OPEN, PLANS, ROWS, filled_file, statements_of};

/// Fills every table that grows.
const FILLED: [&str; 3] = [include_str!("filled_before.sql"), FILLED_ROWS, include_str!("filled_after.sql")];
/// Has the server tell of each statement by which plan it was answered.
const TELLS_PLANS: &str = "options[session_preload_libraries]=auto_explain&options[auto_explain.log_min_duration]=0\
    &options[auto_explain.log_level]=notice";

/// What is wrong with a plan: a table that grows is read from end to end, or an index of it is that is not one of what is
/// open.
fn wrong(plan: &str) -> bool {
    let plan: Vec<&str> = plan.lines().map(|step| step.trim_start().trim_start_matches("->").trim_start()).collect();
    plan.iter().enumerate().any(|(at, step)| {
        let Some((kind, rest)) = step.split_once(" on ") else { return false };
        let on = rest.split_whitespace().next().unwrap_or("");
        let index = kind.split_once(" using ").map(|(_, index)| index);
        let is_bound = plan.get(at + 1).is_some_and(|next| next.starts_with("Index Cond"));
        // The first few by an index are few.
        let is_cut = at > 0 && ["Limit", "LockRows"].iter().any(|word| plan[at - 1].starts_with(word));
        match (kind, index) {
            ("Bitmap Index Scan", _) => !is_bound && !OPEN.contains(&on),
            (_, Some(index)) => GROWING.contains(&on) && !is_bound && !is_cut && !OPEN.contains(&index),
            _ => kind.ends_with("Seq Scan") && GROWING.contains(&on),
        }
    })
}

/// A plan for all values is chosen although it looks worse by so much: planning for the values costs something each time, too,
/// which the server takes for less than this.
const SLACK: f64 = 100.0;

/// What a plan looks to the server: its estimate for all of it.
fn cost(plan: &str) -> f64 {
    let total = plan.split_once("(cost=").and_then(|(_, rest)| rest.split_once("..")?.1.split(' ').next());
    total.and_then(|total| total.parse().ok()).expect("a plan has a cost")
}

/// What the server said: the statement, and the plan by which it was answered.
fn told<'a>(said: &'a str, statements: &'a BTreeSet<String>) -> Option<(&'a str, &'a str)> {
    let (_, rest) = said.split_once("Query Text: ")?;
    let rest = rest.trim_start();
    let whole = statements.iter().filter(|sql| rest.starts_with(sql.as_str())).max_by_key(|sql| sql.len())?;
    Some((whole.as_str(), &rest[whole.len()..]))
}

#[tokio::test]
async fn the_server_answers_what_is_asked_often_by_an_index_too() {
    let url = tokio::task::spawn_blocking(|| cluster::empty_database("")).await.unwrap();
    let store = SqlStore::open(&url, Mode::Work).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = filled_file(directory.path()).await;
    file.copy_into(&store, |_, _, _| {}).await.unwrap();
    file.close().await;
    store.close().await;
    let fill = url.clone();
    tokio::task::spawn_blocking(move || cluster::run(&fill, &FILLED.concat())).await.unwrap();
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    for table in GROWING {
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let row = connection.fetch_one(sqlx::query(count)).await.unwrap();
        assert!(row.get::<i64, _>(0) >= ROWS, "{table}");
    }

    connection.close().await.unwrap();
    // By the values that are bound, and by none: a statement that is asked often on one connection gets one plan for all values
    // there, unless that looks worse to the server than those for the values have looked so far.
    let copied = format!("TEMPLATE {}", url.rsplit('/').next().unwrap());
    let generic = tokio::task::spawn_blocking(move || cluster::empty_database(&copied)).await.unwrap();
    let (mut faults, mut by_values) = (String::new(), BTreeMap::<String, f64>::new());
    for (url, mode) in [(&url, "auto"), (&generic, "force_generic_plan")] {
        let store =
            SqlStore::open(&format!("{url}?{TELLS_PLANS}&options[plan_cache_mode]={mode}"), Mode::Work).await.unwrap();
        let statements = statements_of(&store).await;
        store.close().await;
        let said = std::mem::take(&mut *PLANS.lock().unwrap());
        let plans: Vec<(&str, &str)> = said.iter().filter_map(|said| told(said, &statements)).collect();
        let is_planned =
            |sql: &&String| ["SELECT", "INSERT", "UPDATE", "WITH", "DELETE"].iter().any(|word| sql.starts_with(word));
        let asked: BTreeSet<&str> = plans.iter().map(|(sql, _)| *sql).collect();
        let missing: Vec<&String> =
            statements.iter().filter(is_planned).filter(|sql| !asked.contains(sql.as_str())).collect();
        assert!(missing.is_empty() && asked.len() > 100, "{} plans; not told of: {missing:#?}", asked.len());
        for (sql, plan) in &plans {
            if mode == "auto" {
                let looked = by_values.entry(sql.to_string()).or_default();
                *looked = looked.max(cost(plan));
            }
            let would_be_chosen = by_values.get(*sql).is_none_or(|custom| cost(plan) <= custom + SLACK);
            if wrong(plan) && would_be_chosen {
                writeln!(faults, "{mode}: {sql}\n{plan}\n").unwrap();
            }
        }
    }
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    // One that scans is seen.
    let scan = connection.fetch_all("EXPLAIN SELECT id FROM delivery WHERE last_error = 'x'").await.unwrap();
    let scan: Vec<String> = scan.iter().map(|row| row.get(0)).collect();
    assert!(wrong(&scan.join("\n")), "{scan:#?}");
    assert!(faults.is_empty(), "{faults}");
    connection.close().await.unwrap();
    tokio::task::spawn_blocking(move || [url, generic].iter().for_each(|url| cluster::remove(url))).await.unwrap();
}
