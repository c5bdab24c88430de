//! How the database answers what is asked again and again: by an index, however much is stored.
//!
//! The statements are those that the store really runs: a store with something of everything in it is asked all of it, the
//! driver's log names the statements, and each one's plan is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tracing::Instrument as _;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::database::{Mode, SqlStore};
use crate::limits::STORE_CONNECTIONS_MAX;
use crate::model::{
    Alert, AlertId, Attempt, AttemptOutcome, Content, DeliveryId, DeliveryState, Escalation, GroupPlace, InstanceKey,
    MessageKind, Notification, PollOutcome, RuleId, RuleStep, SourceId, StepTaken,
};
use crate::store::access::Access as _;
use crate::store::actions::Actions as _;
use crate::store::archive::Archive as _;
use crate::store::board::Place;
use crate::store::desk::Desk as _;
use crate::store::digests::Digests as _;
use crate::store::error::StoreError;
use crate::store::escalation::Steps as _;
use crate::store::fallback::{FallbackDeliveries as _, FallbackDelivery, KnownReceiver};
use crate::store::gauges::Gauges as _;
use crate::store::groups::Groups as _;
use crate::store::ledger::{PollCommit, PollLedger as _};
use crate::store::outbox::{Outbox as _, Settled};
use crate::store::own::{OwnAlerts as _, OwnCommit};
use crate::store::tally::Tally as _;
use crate::store::upkeep::{KeptRuns, Upkeep as _};

/// What may be read from end to end: tables that do not grow, lists that were bound, what a statement made itself.
const SMALL: [&str; 18] = [
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
const OPEN: [&str; 8] = [
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

/// The name of the span in which a store is asked: other tests use stores at the same time.
const ASKED: &str = "asked";
/// One store after the other is asked.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The statements that the store runs when it is asked all of it.
async fn statements_of(store: &SqlStore) -> BTreeSet<String> {
    static LISTENS: std::sync::Once = std::sync::Once::new();
    LISTENS.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Notes)).unwrap();
    });
    let _turn = ONE_AT_A_TIME.lock().await;
    ask_everything(store).instrument(tracing::info_span!(ASKED)).await.unwrap();
    write_everything(store).instrument(tracing::info_span!(ASKED)).await.unwrap();
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
    }
}

#[derive(Default)]
struct Named {
    summary: String,
    statement: String,
}

impl Visit for Named {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => self.summary = value.into(),
            "db.statement" => self.statement = value.into(),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

async fn ask_everything(store: &SqlStore) -> Result<(), StoreError> {
    let (source, alert, delivery) = (SourceId::new("warehouse"), AlertId::new("a"), DeliveryId::new("d"));
    let now = Timestamp::from_second(1_795_224_000).unwrap();
    store.generation(&source).await?;
    store.load_source(&source).await?;
    store.snapshots(&source, &[InstanceKey { job: "etl_told".into(), id: "1".into() }]).await?;
    store.known_jobs(&source, &BTreeSet::from(["etl_told".to_string()])).await?;
    store.runs_between(&source, now, now).await?;
    store.planned_jobs(&source, now, now).await?;
    store.known_alerts(std::slice::from_ref(&alert)).await?;
    store.counted_runs(&source, &["etl_told".into()], 5).await?;
    store.past_runs(&source, &["etl_told".into()], 5).await?;
    let alerts: Vec<Alert> = store.told_and_firing(std::slice::from_ref(&source), 5).await?;
    assert!(!alerts.is_empty(), "the store has an alert that fires");
    store.lately(&alerts.iter().collect::<Vec<_>>(), now).await?;
    store.told_and_firing(std::slice::from_ref(&source), 5).await?;
    for receiver in ["hook", "mail"].map(Into::into) {
        store.queue(&receiver, now, 5).await?;
        store.next_due(&receiver, now).await?;
        store.count_queue(&receiver, now).await?;
        store.count_due(&receiver, now).await?;
        for group in store.due_groups(&receiver, now, now).await? {
            store.gathered(&receiver, &group.place.key, 5).await?;
            store.postpone_group(&receiver, &group.place.key, now).await?;
        }
        store.undelivered(&receiver, (now, now), 5, now).await?;
        store.oldest_undelivered(&receiver).await?;
        store.ended_since_told(&receiver, 5).await?;
        let claimed: Vec<DeliveryId> =
            store.claim(&receiver, now, 5).await?.into_iter().map(|one| one.notification.id).collect();
        store.mergeable(&claimed).await?;
        store.release(&claimed).await?;
    }
    store.attempts_since(now).await?;
    store.told_by(&delivery).await?;
    store.facts_of(&delivery).await?;
    store.tell_alone(&[delivery], now).await?;
    store.unrepeated(now).await?;
    let after = Duration::from_secs(60);
    let step = RuleStep { rule: RuleId::new("failed"), number: 2, after, unless_acked: true };
    store.due_steps(std::slice::from_ref(&step), (now, now), None, 5).await?;
    store.next_step(&[step], now).await?;
    store.escalated_ends(5).await?;
    store.active_silences(now).await?;
    store.alerts_named("a").await?;
    store.told(std::slice::from_ref(&alert)).await?;
    store.told_in_group(&alert).await?;
    let ack = Notification {
        follows: Some(DeliveryId::new("d")),
        ..Notification::new("ack".into(), "hook".into(), MessageKind::AlertUnacknowledged, Content::default(), now)
    };
    store.unack_and_tell(std::slice::from_ref(&alert), "kim", now, &[ack]).await?;
    store.action_page(None, 5).await?;
    store.action_page(Some(&Place { at: now, id: "x".into() }), 5).await?;
    store.actions_on_alert(&alert).await?;
    store.actions_on_deliveries(&[DeliveryId::new("d")]).await?;
    crate::store::board::Board::labels_of(store, std::slice::from_ref(&alert)).await?;
    crate::store::board::Board::gathering(store, std::slice::from_ref(&alert)).await?;
    crate::store::board::Board::alerts_told_by(store, &[DeliveryId::new("d")]).await?;
    store.own_state(now).await?;
    store.gauges(now).await?;
    store.token("t", now).await?;
    store.session("s", now).await?;
    store.digest_cursor("hourly").await?;
    store.reclaim(now).await?;
    store.purge(now, &KeptRuns::default()).await?;
    Ok(())
}

/// Writes what polls, lanes and the other loops write, and what they read for that.
async fn write_everything(store: &SqlStore) -> Result<(), StoreError> {
    let (source, now) = (SourceId::new("warehouse"), Timestamp::from_second(1_795_224_000).unwrap());
    let of_hook =
        |id: &str| Notification::new(id.into(), "hook".into(), MessageKind::AlertFiring, Content::default(), now);
    let alert = store.told_and_firing(std::slice::from_ref(&source), 1).await?.remove(0);
    let named = |id: &str| Alert { id: AlertId::new(id), ..alert.clone() };
    let group = GroupPlace { key: "g".into(), interval: Duration::ZERO, repeat: None, told_at: None };
    let gathers = |id: &str| Notification { group: Some(group.clone()), ..of_hook(id).about(&alert) };
    let poll = PollCommit {
        source: source.clone(),
        generation: store.generation(&source).await?,
        now,
        covered: store.load_source(&source).await?.covered,
        outcome: PollOutcome::Whole,
        incomplete: Some("3 of 4 instances could be read".into()),
        known_rules: Some(BTreeSet::from(["failed".to_string()])),
        instances: Vec::new(),
        fired: vec![named("of-poll")],
        changed: vec![alert.clone()],
        deliveries: vec![of_hook("p1").about(&alert)],
    };
    let rendered = [vec![of_hook("p2").about(&alert), of_hook("p3").about(&alert)], vec![gathers("p4"), gathers("p5")]];
    store.commit_rendering(&poll, &mut rendered.into_iter()).await?;
    store.record_unreadable(&source, now, "no answer").await?;
    store.firing_elsewhere(&["other".into()]).await?;
    let deliveries = vec![of_hook("o1")];
    let own = OwnCommit { now, fired: vec![named("own")], changed: vec![named("of-poll")], deliveries };
    store.commit_own(&own).await?;
    let whole = Notification { kind: MessageKind::AlertGroup, ..of_hook("whole") };
    assert!(store.merge(&whole, &["p4".into(), "p5".into()]).await?, "two are told as one");
    store.pending().await?;
    let claimed = store.claim(&"hook".into(), now, 99).await?;
    assert!(claimed.len() >= 4, "{claimed:?}");
    let settled = claimed.iter().enumerate().map(|(at, one)| Settled {
        id: one.notification.id.clone(),
        attempt_number: one.attempts + 1,
        started_at: now,
        ended_at: now,
        attempt: if at == 0 {
            Attempt::failed(AttemptOutcome::Rejected, Some("404".into()), "no_service")
        } else {
            Attempt::delivered("200")
        },
        state: if at == 0 { DeliveryState::Dead } else { DeliveryState::Delivered },
        last_error: None,
        next_attempt_at: None,
        patience_spent: Duration::ZERO,
    });
    store.settle(&settled.collect::<Vec<_>>()).await?;
    store.tell_again(&[of_hook("again")]).await?;
    store.rewrite(&"again".into(), &Content::default(), "webhook").await?;
    store.reject(&"again".into(), "it can never be sent").await?;
    let note = Escalation { step: 9, after_ms: 0, told: Vec::new(), unreached: Vec::new(), acked_by: None };
    let deliveries = vec![of_hook("step").about(&alert)];
    let taken = StepTaken { alert: alert.id.clone(), number: 9, unless_acked: true, note, deliveries };
    store.take_steps(&[taken], now).await?;
    let original = claimed[0].notification.id.clone();
    store.add_fallbacks(&[FallbackDelivery { original, delivery: of_hook("instead").about(&alert) }]).await?;
    store.add_answers(&[of_hook("answer").about(&alert)]).await?;
    let ends = store.escalated_ends(5).await?;
    store.settle_ends(&ends).await?;
    let known = |id: &str| KnownReceiver { id: id.into(), fallback: None };
    store.keep_receivers(&[known("hook"), known("gone")], now).await?;
    store.keep_receivers(&[known("hook")], now).await?;
    store.sources().await?;
    store.backlog().await?;
    Ok(())
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
        (Some("SEARCH"), Some(_)) => step.contains("sqlite_autoindex_instance_1 (source=?)"),
        _ => false,
    }
}

/// A store in a file that holds some of everything.
async fn filled_file(directory: &std::path::Path) -> SqlStore {
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

#[path = "../../../tests/cluster.rs"]
#[allow(dead_code, reason = "the integration tests use all of it")]
mod cluster;

/// A database in which every table that grows holds many rows, few of which are open. Its indices are made at the end, which
/// takes half the time.
const FILLED: &str = "\
SET maintenance_work_mem = '256MB';
CREATE TEMP TABLE later AS SELECT indexname, indexdef FROM pg_indexes
  WHERE schemaname = 'public' AND indexname NOT IN (SELECT conname FROM pg_constraint);
DO $$ DECLARE one text; BEGIN
  FOR one IN SELECT indexname FROM later LOOP EXECUTE 'DROP INDEX ' || one; END LOOP;
  FOR one IN SELECT conrelid::regclass || ' DROP CONSTRAINT ' || conname FROM pg_constraint WHERE contype = 'f' LOOP
    EXECUTE 'ALTER TABLE ' || one;
  END LOOP;
  FOREACH one IN ARRAY '{instance, transition, alert, delivery, attempt, poll}'::text[] LOOP
    EXECUTE 'ALTER TABLE ' || one || ' SET UNLOGGED';
  END LOOP;
END $$;
INSERT INTO source (id, generation, known_rules, polled_at) VALUES ('warehouse', 1, '[]', 1795224000000) ON CONFLICT DO NOTHING;
INSERT INTO instance (source, job, id, status, raw_status, kind, plan_time, start_time, end_time, ended, changed_at, settled_moment)
  SELECT 'warehouse', 'job' || n % 3000, n, 'success', 'success', 'scheduled', 1795224000000 - n * 9000, 1795224000000 - n * 9000,
    1795224000000 - n * 9000 + 60000, 1, 1795224000000 - n * 9000, 1000000 + n FROM generate_series(1::bigint, 300000) AS n;
INSERT INTO transition (source, job, id, moment, seen_at, status, kind)
  SELECT source, job, id, settled_moment, changed_at, status, kind FROM instance WHERE job LIKE 'job%';
INSERT INTO alert (id, source, job, instance, rule, state, facts, resolves_on_end, receivers, created_at, ended_at, noted_moment)
  SELECT 'a' || n, 'warehouse', 'job' || n % 3000, n, 'failed', CASE WHEN n % 1000 = 0 THEN 'firing' ELSE 'resolved' END, '{}', 0, '[]', 1795224000000 - n * 9000,
    CASE WHEN n % 1000 = 0 THEN NULL ELSE 1795224000000 - n * 9000 END, n FROM generate_series(1::bigint, 300000) AS n;
INSERT INTO delivery (id, alert, rule, receiver, kind, state, attempts, done, created_at, next_attempt_at, delivered_at, content, group_key, group_interval, group_told_at)
  SELECT 'filled' || n, 'a' || n, 'failed', CASE WHEN n % 2 = 0 THEN 'hook' ELSE 'mail' END, 'alert.firing', CASE WHEN n % 1000 < 2 THEN 'pending' ELSE 'delivered' END, 1, '[]',
    1795224000000 - n * 9000, CASE WHEN n % 1000 < 2 THEN 1795224000000 END, CASE WHEN n % 1000 < 2 THEN NULL ELSE 1795224000000 END, '{}',
    CASE WHEN n % 3 = 0 THEN 'g' || n % 50 END, 60000, CASE WHEN n % 3 = 0 AND n % 2000 > 0 THEN 1795224000000 - n * 9000 END
  FROM generate_series(1::bigint, 300000) AS n;
INSERT INTO attempt (delivery, number, started_at, ended_at, outcome)
  SELECT id, 1, created_at, created_at, 'delivered' FROM delivery WHERE id LIKE 'filled%';
INSERT INTO poll (source, polled_at, outcome) SELECT 'warehouse', n * 60000, 'whole' FROM generate_series(1::bigint, 300000) AS n;
DO $$ DECLARE one text; BEGIN
  FOR one IN SELECT indexdef FROM later LOOP EXECUTE one; END LOOP;
END $$;
ANALYZE";

/// The tables that grow.
const GROWING: [&str; 7] = ["instance", "transition", "alert", "delivery", "attempt", "poll", "job_day"];

/// The types of what is bound to each statement that the store has prepared, as its driver told the server.
async fn types_told(store: &SqlStore) -> BTreeMap<String, Vec<String>> {
    let mut told = BTreeMap::new();
    for connections in [&store.writer, &store.readers] {
        let mut taken = Vec::new();
        for _ in 0..STORE_CONNECTIONS_MAX {
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

#[tokio::test]
async fn the_server_answers_what_is_asked_often_by_an_index_too() {
    let url = tokio::task::spawn_blocking(|| cluster::empty_database("")).await.unwrap();
    let store = SqlStore::open(&url, Mode::Work).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = filled_file(directory.path()).await;
    file.copy_into(&store, |_, _, _| {}).await.unwrap();
    file.close().await;
    let statements = statements_of(&store).await;
    assert!(statements.len() > 40, "{statements:#?}");
    let told = types_told(&store).await;
    let fill = url.clone();
    tokio::task::spawn_blocking(move || cluster::run(&fill, FILLED)).await.unwrap();
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    // What the server settles on once it has run a statement some times, whatever is bound.
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&mut connection).await.unwrap();
    let mut faults = String::new();
    let mut looked = 0;
    for sql in &statements {
        if !["SELECT", "INSERT", "UPDATE", "WITH"].iter().any(|word| sql.starts_with(word)) {
            continue;
        }
        // One that its connection has forgotten since is looked at where SQLite is asked.
        let Some(types) = told.get(sql) else { continue };
        let list = |words: Vec<&str>| if words.is_empty() { String::new() } else { format!("({})", words.join(", ")) };
        let (kinds, bound) = (list(types.iter().map(String::as_str).collect()), list(vec!["NULL"; types.len()]));
        let text = AssertSqlSafe(format!("PREPARE asked{kinds} AS {sql}"));
        let prepared = sqlx::raw_sql(text).execute(&mut connection).await;
        prepared.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let plan = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN EXECUTE asked {bound}")));
        let rows = plan.fetch_all(&mut connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        sqlx::raw_sql("DEALLOCATE asked").execute(&mut connection).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0)).collect();
        let scans = |step: &String| GROWING.iter().any(|table| step.contains(&format!("Seq Scan on {table}")));
        looked += 1;
        if plan.iter().any(scans) {
            writeln!(faults, "{sql}\n{plan:#?}\n").unwrap();
        }
    }
    assert!(looked > 30, "{looked}");
    assert!(faults.is_empty(), "{faults}");
    store.close().await;
    tokio::task::spawn_blocking(move || cluster::remove(&url)).await.unwrap();
}
