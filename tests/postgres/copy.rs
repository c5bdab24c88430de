//! A store moves from a file to a database and back, whole.

use std::time::Duration;

use nightbell::model::ReceiverId;
use nightbell::store::{
    Access as _, Digests as _, FallbackDeliveries as _, Fence, KnownReceiver, Leases as _, Mode, NewToken, Outbox as _,
    PollCommit, PollLedger as _, SqlStore, StoreError, Upkeep as _,
};
use sqlx::{Column as _, Connection as _, Row as _};

use super::board::fill;
use crate::cluster;
use crate::sample::{at, commit, delivery, fresh_database, instance, replica, source};

/// Every row of every table that is copied, as text, in the order of the texts.
async fn everything(url: &str, tables: &[String]) -> Vec<String> {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
    let mut all = Vec::new();
    for table in tables {
        let statement = sqlx::AssertSqlSafe(format!("SELECT * FROM {table}"));
        for row in sqlx::query(statement).fetch_all(&mut connection).await.unwrap() {
            let cell = |place: usize| match row.try_get::<Option<i64>, _>(place) {
                Ok(number) => format!("{number:?}"),
                Err(_) => format!("{:?}", row.get::<Option<String>, _>(place)),
            };
            let cells: Vec<String> = row.columns().iter().map(|column| column.name().to_string()).collect();
            let cells = cells.iter().enumerate().map(|(place, name)| format!("{name}={}", cell(place)));
            all.push(format!("{table}: {}", cells.collect::<Vec<_>>().join(" ")));
        }
    }
    connection.close().await.unwrap();
    all.sort();
    all
}

#[tokio::test]
async fn a_store_moves_to_a_database_and_back_whole() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| format!("sqlite://{}", directory.path().join(name).display());
    let (first, second, server) = (file("first.db"), file("second.db"), cluster::empty_database(""));
    let store = SqlStore::open(&first, Mode::Work).await.unwrap();
    fill(&store).await;
    // More than one page of a table, with names that a page could end between.
    let many =
        (0..2500).map(|id| instance(["etl", "ETL", "é"][id % 3], &format!("{id}"), nightbell::model::Status::Fail));
    store.commit_poll(&PollCommit { instances: many.collect(), ..commit(2) }).await.unwrap();
    let token = NewToken {
        hash: "ab".into(),
        name: "kim".into(),
        role: nightbell::model::Role::Viewer,
        scope: nightbell::model::LabelMatch::default(),
        expires_at: None,
    };
    store.add_token(&token, at(0)).await.unwrap();
    store.begin_session("s", "ab", at(0), at(9)).await.unwrap();
    store.begin_generation("files", false, at(0)).await.unwrap();
    store.begin_digest("daily", at(0)).await.unwrap();
    store.beat(at(0)).await.unwrap();
    store.link_key("k").await.unwrap();
    store.save_learnt(&source(), &Default::default(), &[("zone".to_string(), "UTC".to_string())].into()).await.unwrap();
    store.record_unreadable(&source(), at(3), "no answer").await.unwrap();
    store.keep_receivers(&[KnownReceiver { id: "pager".into(), fallback: None }], None, at(3)).await.unwrap();
    assert!(store.reclaim(at(40)).await.unwrap() > 0);
    // What takes days to come about, or a server.
    sqlx::any::install_default_drivers();
    let mut beside = sqlx::AnyConnection::connect(&first).await.unwrap();
    let rows = "INSERT INTO job_day (source, job, day, kind, status, runs, timed, took_ms, longest_ms, settled_moment) \
          VALUES ('s', 'é', 21000, 'scheduled', 'success', 3, 2, 10, 7, 5); \
        INSERT INTO escalation (alert, step, receiver, delivery, note, taken_at) VALUES ('a2', 2, 'pager', 'd0', '{}', 1); \
        INSERT INTO digest_facts (delivery, facts) SELECT MIN(id), '{}' FROM delivery; \
        INSERT INTO receiver_health (receiver, since, lasting, error) VALUES ('pager', 1, 0, 'no answer'); \
        INSERT INTO pause (receiver, until) VALUES ('pager', 7); \
        INSERT INTO end_owed (alert, receiver, delivery) VALUES ('a2', 'pager', 'd2'); \
        INSERT INTO configuration (fingerprint, number) VALUES ('files', 1)";
    sqlx::raw_sql(rows).execute(&mut beside).await.unwrap();
    beside.close().await.unwrap();

    let database = SqlStore::open(&server, Mode::Work).await.unwrap();
    let mut heard = 0;
    let copied = store.copy_into(&database, |_, done, all| {
        assert!(done <= all);
        heard += 1;
    });
    let copied = copied.await.unwrap();
    assert!(heard > copied.len() / 2, "{heard}");
    assert!(copied.iter().any(|one| one.table == "instance" && one.rows > 2500), "{copied:?}");
    let tables: Vec<String> = copied.iter().map(|one| one.table.clone()).collect();
    assert!(tables.len() > 20 && !tables.contains(&"lease".to_string()), "{tables:?}");
    let empty: Vec<&str> = copied.iter().filter(|one| one.rows == 0).map(|one| one.table.as_str()).collect();
    assert!(empty.is_empty(), "the test shows nothing of {empty:?}");
    let before = everything(&first, &tables).await;
    assert!(before.len() > 2500);
    assert!(before == everything(&server, &tables).await, "what arrived is not what was sent");

    // A store in which something is takes nothing more.
    let again = store.copy_into(&database, |_, _, _| {}).await;
    assert!(matches!(again, Err(StoreError::Refused(_))), "{again:?}");
    let back = SqlStore::open(&second, Mode::Work).await.unwrap();
    database.copy_into(&back, |_, _, _| {}).await.unwrap();
    back.close().await;
    assert!(before == everything(&second, &tables).await, "what came back is not what was sent");
    store.close().await;
}

/// A store that does not take every row takes none.
#[tokio::test]
async fn a_copy_of_which_a_row_does_not_arrive_is_undone() {
    let directory = tempfile::tempdir().unwrap();
    let (file, second) = (directory.path().join("first.db"), cluster::empty_database(""));
    let first = SqlStore::open(&format!("sqlite://{}", file.display()), Mode::Work).await.unwrap();
    fill(&first).await;
    let target = SqlStore::open(&second, Mode::Work).await.unwrap();
    cluster::run(
        &second,
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
         CREATE TRIGGER lose BEFORE INSERT ON delivery FOR EACH ROW WHEN (NEW.id = 'd3') EXECUTE FUNCTION lose()",
    );
    let refused = first.copy_into(&target, |_, _, _| {}).await;
    let words = "8 of the 9 rows of the table delivery arrived; nothing was copied";
    assert_eq!(refused, Err(StoreError::Refused(words.into())));
    assert!(everything(&second, &["alert", "delivery", "instance", "silence"].map(String::from)).await.is_empty());
    // The store is as new: it takes the whole of it once nothing is in the way.
    cluster::run(&second, "DROP TRIGGER lose ON delivery");
    assert!(first.copy_into(&target, |_, _, _| {}).await.is_ok());
}

/// Leases stay where they were taken, and what was claimed by them comes along: who takes over in the new store takes it back.
#[tokio::test]
async fn what_a_dead_process_had_claimed_in_the_store_before_is_taken_back_in_the_new_one() {
    let (first, second) = (fresh_database(), cluster::empty_database(""));
    let (first, second) =
        (SqlStore::open(&first, Mode::Work).await.unwrap(), SqlStore::open(&second, Mode::Work).await.unwrap());
    let pager = ReceiverId::new("pager");
    let deliveries = (0..3).map(|number| delivery(&format!("p{number}"), "pager")).collect();
    first.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    let fenced = async |store: &SqlStore, id: &str| {
        let me = replica(id, "f");
        let taken = store.take(&["deliver/pager".into()], &me, Duration::from_secs(60)).await.unwrap();
        let token = taken[0].token;
        store.fenced(Fence { name: "deliver/pager".into(), token })
    };
    assert_eq!(fenced(&first, "one").await.claim(&pager, at(1), 2).await.unwrap().len(), 2);
    first.copy_into(&second, |_, _, _| {}).await.unwrap();
    let heir = fenced(&second, "two").await;
    assert_eq!(heir.inherit(&pager, at(2)).await.unwrap(), 2, "what was claimed is stuck for ever");
    assert_eq!(heir.claim(&pager, at(2), 9).await.unwrap().len(), 3);
}
