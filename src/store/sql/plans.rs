//! How the database answers what is asked again and again: by an index, however much is stored.
//!
//! The statements are those that the store really runs: a store with something of everything in it is asked all of it, the
//! driver's log names the statements, and each one's plan is looked at.

mod asked;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::sync::Mutex;

use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tracing::Instrument as _;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::database::{Mode, SqlStore};

/// What may be read from end to end: tables that do not grow, lists that were bound, what a statement made itself.
const SMALL: [&str; 21] = [
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
/// Indexes of what is open, which is little whatever is stored.
pub(super) const OPEN: [&str; 12] = [
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
    "delivery_dead",
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
        asked::write_everything(store).await?;
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

/// What is wrong with a plan.
fn wrong(step: &str) -> bool {
    let mut words = step.split_whitespace();
    match (words.next(), words.next()) {
        (Some("SCAN"), Some(table)) => {
            let index = step.split_once("INDEX ").and_then(|(_, rest)| rest.split_whitespace().next());
            let is_derived = table.starts_with('(') || ["ahead", "untold", "latest", "part"].contains(&table);
            !is_derived && !SMALL.contains(&table) && !index.is_some_and(|index| OPEN.contains(&index))
        }
        // All that was ever seen of a source is not the answer to anything that is asked often.
        (Some("SEARCH"), Some("instance" | "old")) => {
            step.contains("(source=?)") || step.contains("(source=? AND (job,id)>")
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
    let store = filled_file(directory.path()).await;
    let statements = statements_of(&store).await;
    assert!(statements.len() > 40, "{statements:#?}");
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
        if plan.iter().any(|step| wrong(step)) {
            writeln!(faults, "{sql}\n{plan:#?}\n").unwrap();
        }
    }
    assert!(faults.is_empty(), "{faults}");
    store.close().await;
}
