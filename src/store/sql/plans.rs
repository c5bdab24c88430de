//! How the database answers what is asked again and again: by an index, however much is stored.
//!
//! The statements are those that the store really runs: a store with something of everything in it, and 300,000 rows in each
//! table that grows, is asked all of it, the driver's log names the statements, and each one's plan is looked at. A file's
//! planner knows no counts, here as where the program runs: nobody has it count.

mod asked;
pub(super) mod lists;

use std::collections::{BTreeSet, HashMap};
use std::fmt::{Debug, Write as _};
use std::sync::Mutex;

use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tracing::Instrument as _;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::database::{Mode, SqlStore};

/// The rows of a full store; few of them are open.
pub(super) const FILLED_ROWS: &str = include_str!("filled_rows.sql");
/// What a file is told before it takes them: that it need not survive the making, and what `filled` is.
const FILLED_BEFORE: &str = "\
    PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; \
    CREATE TEMP TABLE filled AS WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 300000) \
      SELECT n, 1795224000000 + n * 9000 AS at, 'job' || (n % 3000) AS job, \
        CASE WHEN n % 1000 < 2 THEN 'pending' WHEN n % 1000 = 500 THEN 'dead' WHEN n % 10 = 5 THEN 'merged' \
          ELSE 'delivered' END AS state FROM number; \
    BEGIN;";
/// The tables that grow.
pub(super) const GROWING: [&str; 9] =
    ["instance", "transition", "alert", "delivery", "attempt", "poll", "job_day", "escalation", "action"];
/// How many rows each of them has at least.
pub(super) const ROWS: i64 = 300_000;
/// What may be read from end to end: tables that do not grow, lists that were bound, what a statement made itself.
const SMALL: [&str; 22] = [
    "broken",
    "access_token",
    "item",
    "chosen",
    "jsonb_each",
    "source",
    "silence",
    "ack",
    "moment",
    "receiver",
    "receiver_health",
    "end_owed",
    "lease",
    "replica",
    "digest",
    "gap",
    "generation",
    "pulse",
    "known",
    "urgency",
    "ends",
    "CONSTANT",
];
/// Indexes of what is open, which is little whatever is stored, and of what has failed, of which a digest has to know all.
pub(super) const OPEN: [&str; 16] = [
    "instance_open",
    "instance_by_failing",
    "delivery_dead_by_age",
    "alert_firing_counted",
    "alert_firing_by_urgency",
    "alert_suspended",
    "alert_firing_by_age",
    "alert_firing",
    "alert_firing_by_rule",
    "one_firing_alert",
    "delivery_grouped",
    "delivery_queue",
    "delivery_pending_by_age",
    "delivery_dead",
    "delivery_dead_letter",
    "escalation_open",
];
static STATEMENTS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// What the server has said of the plans that it went by, where it was asked to say that.
pub(super) static PLANS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The name of the span in which a store is asked: other tests use stores at the same time.
const ASKED: &str = "asked";
/// One store after the other is asked.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The statements that the store runs when it is asked all of it.
pub(super) async fn statements_of(store: &SqlStore) -> BTreeSet<String> {
    static LISTENS: std::sync::Once = std::sync::Once::new();
    LISTENS.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Notes)).unwrap();
    });
    let _turn = ONE_AT_A_TIME.lock().await;
    let all = async {
        asked::ask_everything(store).await?;
        asked::look_at_pages(store).await?;
        asked::write_everything(store).await?;
        asked::sum_up(store).await?;
        asked::hold_everything(store).await
    };
    all.instrument(tracing::info_span!(ASKED)).await.unwrap();
    std::mem::take(&mut *STATEMENTS.lock().unwrap())
}

/// Notes the statements that the driver logs in [`ASKED`].
struct Notes;

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Notes {
    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let is_asked = || context.event_scope(event).into_iter().flatten().any(|span| span.name() == ASKED);
        if event.metadata().target() == "sqlx::query" && is_asked() {
            let mut named = Named::default();
            event.record(&mut named);
            let sql = if named.statement.trim().is_empty() { named.summary } else { named.statement };
            STATEMENTS.lock().unwrap().insert(sql.trim().to_string());
        }
        // They may come when a connection goes back to its pool. Nobody else here has a server.
        if event.metadata().target() == "sqlx::postgres::notice" {
            let mut named = Named::default();
            event.record(&mut named);
            PLANS.lock().unwrap().push(named.message);
        }
    }
}

#[derive(Default)]
struct Named {
    summary: String,
    statement: String,
    message: String,
}

impl Visit for Named {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => self.summary = value.into(),
            "db.statement" => self.statement = value.into(),
            "message" => self.message = value.into(),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// Conditions that most rows meet of a table, or of those with what the statement asks for besides: the first few that do stand
/// among the first few.
const OF_MOST: [&str; 2] = ["COALESCE(state, '') = 'resolved'", "state = 'delivered'"];

/// Indexes of which all is read from one place on, and how the statements begin that do: what has come since they last looked.
const SINCE: [(&str, &str); 6] = [
    ("attempt_by_start", "SELECT delivery.receiver, attempt.started_at"),
    ("instance_by_settling", "SELECT source, job"),
    ("job_day_by_settling", "SELECT source, job"),
    ("alert_by_noting", "SELECT alert.source"),
    ("sqlite_autoindex_action_1", "SELECT alert.rule FROM action"),
    ("access_session_by_end", "DELETE FROM access_session"),
];

/// How each index was made, by its name.
type Made = HashMap<String, String>;

/// The index of a step.
fn index_of(step: &str) -> Option<&str> {
    step.split_once("INDEX ").and_then(|(_, rest)| rest.split_whitespace().next())
}

/// Whether the first few rows of an index are those that a statement asks for: it has no condition that the index does not hold
/// and that few rows may meet.
fn holds(made: &str, sql: &str) -> bool {
    let (made, held) = made.split_once(" WHERE ").unwrap_or((made, ""));
    // Some write more parentheses than others.
    let bare = |text: &str| text.replace(['(', ')'], "");
    let columns = bare(made.split_once('(').map_or("", |(_, columns)| columns));
    // What it selects may be asked of another table first.
    let asked = sql.rsplit_once(" ORDER BY ").map_or(sql, |(asked, _)| asked);
    let asked = asked.rsplit_once(" WHERE ").map_or("", |(_, asked)| asked);
    asked.split(" AND ").filter(|one| !one.is_empty()).all(|one| {
        let subject = bare(one.split(['<', '>', '=']).next().unwrap_or(one).trim());
        let is_held = held.split(" AND ").any(|it| it == one) || columns.contains(&subject);
        is_held || one == "1 = 1" || OF_MOST.contains(&one)
    })
}

/// Whether something is wrong with the plan of a statement.
fn is_wrong(sql: &str, plan: &[String], made: &Made) -> bool {
    // The first few by an index are few: a page of a list.
    let is_cut = sql.contains(" LIMIT ") && !plan.iter().any(|step| step.contains("TEMP B-TREE"));
    let is_page = |step: &str| {
        let index = index_of(step).and_then(|index| made.get(index));
        is_cut && step.contains(" INDEX ") && index.is_some_and(|index| holds(index, sql))
    };
    // The least name of an index is its first row, and from there it is asked for the next.
    let is_first = |step: &str| sql.contains("SELECT MIN(job) FROM instance") && step.contains("COVERING INDEX");
    plan.iter().any(|step| wrong(sql, step) && !is_page(step) && !is_first(step))
}

/// Whether something is wrong with a step of the plan of a statement.
fn wrong(sql: &str, step: &str) -> bool {
    let mut words = step.split_whitespace();
    let is_open = || index_of(step).is_some_and(|index| OPEN.contains(&index));
    match (words.next(), words.next()) {
        (Some("SCAN"), Some(table)) => {
            let is_derived = table.starts_with('(') || ["ahead", "untold", "latest", "part"].contains(&table);
            !is_derived && !SMALL.contains(&table) && !is_open()
        }
        // All that was ever seen of a source is not the answer to anything that is asked often.
        (Some("SEARCH"), Some("instance" | "old")) if step.contains("=?") => {
            step.contains("(source=?)") || step.contains("(source=? AND (job,id)>")
        }
        // What is old enough goes.
        (Some("SEARCH"), Some("old")) if step.ends_with("<?)") && sql.starts_with("DELETE FROM ") => false,
        // From somewhere on to the end is all there is.
        (Some("SEARCH"), Some(table)) if step.contains('(') && !step.contains("=?") => {
            let is_since = |(index, begins): &(&str, &str)| index_of(step) == Some(*index) && sql.starts_with(*begins);
            !SMALL.contains(&table) && !is_open() && !SINCE.iter().any(is_since)
        }
        _ => false,
    }
}

/// A store in a file that holds some of everything.
pub(super) async fn filled_file(directory: &std::path::Path) -> SqlStore {
    let url = format!("sqlite://{}", directory.join("plan.db").display());
    sqlx::any::install_default_drivers();
    let mut made = sqlx::AnyConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
    sqlx::raw_sql(include_str!("../../../tests/data/store/schema-14.sql")).execute(&mut made).await.unwrap();
    made.close().await.unwrap();
    SqlStore::open(&url, Mode::Work).await.unwrap()
}

#[tokio::test]
async fn what_is_asked_often_is_answered_by_an_index() {
    let directory = tempfile::tempdir().unwrap();
    filled_file(directory.path()).await.close().await;
    let url = format!("sqlite://{}", directory.path().join("plan.db").display());
    let mut filling = sqlx::AnyConnection::connect(&url).await.unwrap();
    for text in [FILLED_BEFORE, FILLED_ROWS, "COMMIT"] {
        sqlx::raw_sql(text).execute(&mut filling).await.unwrap();
    }
    for table in GROWING {
        let count = sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")));
        assert!(count.fetch_one(&mut filling).await.unwrap().get::<i64, _>(0) >= ROWS, "{table}");
    }
    filling.close().await.unwrap();
    let store = SqlStore::open(&url, Mode::Work).await.unwrap();
    let statements = statements_of(&store).await;
    let counted = sqlx::query("SELECT COUNT(*) FROM sqlite_master WHERE name LIKE 'sqlite_stat%'");
    assert_eq!(counted.fetch_one(&store.writer).await.unwrap().get::<i64, _>(0), 0, "the planner knows counts");
    assert!(statements.len() > 150, "{} statements: {statements:#?}", statements.len());
    let made = "SELECT name, COALESCE(sql, (SELECT '(' || group_concat(name, ', ') || ')' FROM \
                  pragma_index_info(sqlite_master.name))) FROM sqlite_master WHERE type = 'index'";
    let made = sqlx::query(made).fetch_all(&store.writer).await.unwrap();
    let made: Made = made.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut faults = String::new();
    for sql in &statements {
        if !["SELECT", "INSERT", "UPDATE", "WITH", "DELETE"].iter().any(|word| sql.starts_with(word)) {
            continue;
        }
        // What forgets calls what it looks at by one name, the small tables too.
        if ["DELETE FROM silence", "DELETE FROM gap"].iter().any(|start| sql.starts_with(start)) {
            continue;
        }
        let query = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        let rows = query.fetch_all(&store.writer).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get::<String, _>(3)).collect();
        if is_wrong(sql, &plan, &made) {
            writeln!(faults, "{sql}\n{plan:#?}\n").unwrap();
        }
    }
    // What scans is seen.
    for scans in [
        "SELECT id FROM delivery WHERE last_error = 'x'",
        "SELECT id FROM alert ORDER BY ended_at LIMIT 5",
        // From the newest on, until so many are found that are none perhaps.
        "SELECT id FROM alert WHERE rule || '' = 'x' ORDER BY created_at DESC, id DESC LIMIT 5",
        "SELECT id FROM delivery WHERE merged_into IS NOT NULL ORDER BY created_at + 0 DESC LIMIT 5",
        "SELECT id FROM delivery WHERE created_at > 5 AND last_error = 'x'",
    ] {
        let query = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {scans}")));
        let rows = query.fetch_all(&store.writer).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get::<String, _>(3)).collect();
        assert!(is_wrong(scans, &plan, &made), "{scans}: {plan:?}");
    }
    assert!(faults.is_empty(), "{faults}");
    store.close().await;
}

/// What of a store no loop and no page asks again and again, or what is asked by another name.
const NOT_ASKED: [(&str, &[&str]); 5] = [
    ("asks nothing", &["is_shared"]),
    ("is commit_rendering with nothing to render", &["commit_poll"]),
    ("is asked once, at the start", &["link_key"]),
    (
        "is what a person does, to what is named",
        &[
            "drop_deliveries",
            "record_action",
            "add_silence",
            "expire_silence",
            "ack",
            "ack_and_tell",
            "unack",
            "revive",
            "add_token",
            "revoke_tokens",
            "begin_session",
            "end_session",
        ],
    ),
    (
        "is asked by a command alone, when somebody calls it",
        &[
            "instances",
            "jobs",
            "alerts",
            "find_alerts",
            "deliveries_named",
            "alerted_jobs",
            "history_begins",
            "tellings",
            "messages",
            "deliveries",
            "find_deliveries",
            "tokens",
            "transitions_between",
            "states_before",
            "polls_between",
            "count_alerts",
            "count_deliveries",
            "count_instances",
            "count_jobs",
            "recorded_rules",
            "recorded_receivers",
            "jobs_of_alerts",
        ],
    ),
];

/// A method that is added to what loops and pages ask is asked here, too.
#[test]
fn nothing_that_loops_and_pages_ask_is_left_out() {
    let roles = [
        include_str!("../access.rs"),
        include_str!("../archive.rs"),
        include_str!("../board.rs"),
        include_str!("../deliveries.rs"),
        include_str!("../desk.rs"),
        include_str!("../digests.rs"),
        include_str!("../escalation.rs"),
        include_str!("../fallback.rs"),
        include_str!("../groups.rs"),
        include_str!("../inquiry.rs"),
        include_str!("../leases.rs"),
        include_str!("../ledger.rs"),
        include_str!("../outbox.rs"),
        include_str!("../own.rs"),
        include_str!("../counts.rs"),
        include_str!("../upkeep.rs"),
    ];
    let asked = include_str!("plans/asked.rs");
    let (mut methods, mut missing) = (0, Vec::new());
    for role in roles {
        let within = role.split_once("pub trait ").unwrap().1.split("\n}").next().unwrap();
        for line in within.lines() {
            let Some(rest) = line.strip_prefix("    fn ") else { continue };
            let name = rest.split(['(', '<']).next().unwrap();
            methods += 1;
            let is_asked = [format!(".{name}("), format!("::{name}(")].iter().any(|call| asked.contains(call.as_str()));
            if is_asked == NOT_ASKED.iter().any(|(_, names)| names.contains(&name)) {
                missing.push(name);
            }
        }
    }
    assert!(methods > 110, "{methods}");
    assert!(missing.is_empty(), "not asked, or asked and listed as what is not: {missing:?}");
}
