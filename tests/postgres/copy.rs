//! A store moves from a file to a database and back, whole.

use nightbell::store::{Access as _, Mode, NewToken, PollCommit, PollLedger as _, SqlStore, StoreError, Upkeep as _};
use sqlx::{Column as _, Connection as _, Row as _};

use super::board::fill;
use crate::cluster;
use crate::sample::{at, commit, instance};

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
