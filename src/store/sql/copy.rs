//! A whole store into another one, whatever database either is in: every table, page by page in the order of its key, from one
//! state of the one in a single transaction of the other. Counts are checked before that is committed.
//!
//! The tables are those of the schema itself, so that none is forgotten. What belongs to running processes (leases, replicas)
//! stays behind. This knows no meaning of a row.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::database::{Read, SqlStore, Write};
use super::dialect::Dialect;
use super::items::to_json;
use super::{file, rows};
use crate::limits::STORE_STATEMENT_ROWS_MAX;
use crate::store::error::StoreError;
use crate::words::Saying;

/// What is not copied: what is true only where it was written.
const LEFT_BEHIND: [&str; 3] = ["lease", "replica", "_sqlx_migrations"];
/// What has rows in a store in which nothing has happened.
const MADE_WITH_IT: &str = "moment";

/// A table as it is copied.
#[derive(Debug)]
struct Table {
    name: String,
    columns: Vec<Column>,
    /// The places of the key's columns, in its order.
    key: Vec<usize>,
}

#[derive(Debug)]
struct Column {
    name: String,
    is_number: bool,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
enum Cell {
    Text(Option<String>),
    Number(Option<i64>),
}

/// A table that was copied, with how many rows it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
}

impl SqlStore {
    /// Copies everything into `to`, in which nothing has happened yet. `progress` hears of each page: the table, and how many of
    /// all its rows are copied.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when there is something in `to`, or the counts differ; nothing is left in it then.
    pub async fn copy_into(
        &self,
        to: &SqlStore,
        mut progress: impl FnMut(&str, u64, u64),
    ) -> Result<Vec<Copied>, StoreError> {
        let tables = tables().await?;
        let mut read = self.snapshot().await?;
        let mut write = to.write().await?;
        for table in &tables {
            if table.name != MADE_WITH_IT && count(to, &mut write, table).await? > 0 {
                let place = &to.place;
                return Err(StoreError::Refused(Saying::from(format!(
                    "there is something in the store {place} already (in its table {}); nothing was copied",
                    table.name
                ))));
            }
        }
        run(to, &mut write, format!("DELETE FROM {MADE_WITH_IT}")).await?;
        let mut copied = Vec::new();
        for table in &tables {
            let all = count(self, &mut read, table).await?;
            copy_table(self, &mut read, to, &mut write, table, |done| progress(&table.name, done, all)).await?;
            let arrived = count(to, &mut write, table).await?;
            if arrived != all {
                return Err(StoreError::Refused(Saying::from(format!(
                    "{arrived} of the {all} rows of the table {} arrived; nothing was copied",
                    table.name
                ))));
            }
            copied.push(Copied { table: table.name.clone(), rows: all });
        }
        to.commit(write).await?;
        self.done(read).await?;
        Ok(copied)
    }
}

/// The tables in an order in which each stands behind those that it refers to, as every store of this version has them.
async fn tables() -> Result<Vec<Table>, StoreError> {
    let schema = file::in_memory().await?;
    let found = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
        .fetch_all(&schema.readers)
        .await
        .map_err(|error| schema.failed(error))?;
    let mut tables = Vec::new();
    for row in &found {
        let name = rows::text(row, 0)?;
        if LEFT_BEHIND.contains(&name.as_str()) {
            continue;
        }
        let found = sqlx::query("SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid")
            .bind(name.as_str())
            .fetch_all(&schema.readers)
            .await
            .map_err(|error| schema.failed(error))?;
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        for (place, row) in found.iter().enumerate() {
            columns.push(Column { name: rows::text(row, 0)?, is_number: rows::text(row, 1)? == "BIGINT" });
            let in_key = rows::number(row, 2)?;
            if in_key > 0 {
                key.push((in_key, place));
            }
        }
        key.sort_unstable();
        tables.push(Table { name, columns, key: key.into_iter().map(|(_, place)| place).collect() });
    }
    schema.close().await;
    Ok(tables)
}

async fn copy_table(
    from: &SqlStore,
    read: &mut Read,
    to: &SqlStore,
    write: &mut Write,
    table: &Table,
    mut progress: impl FnMut(u64),
) -> Result<(), StoreError> {
    let insert = insert_into(to.dialect, table);
    let (mut after, mut done): (Option<Vec<Cell>>, u64) = (None, 0);
    loop {
        let page = page(from, read, table, after.as_deref()).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(table.key.iter().map(|place| last[*place].clone()).collect());
        let text = to_json(&page)?;
        let written = sqlx::query(AssertSqlSafe(insert.clone())).bind(text).execute(write.on()).await;
        done += written.map_err(|error| to.failed(error))?.rows_affected();
        progress(done);
        if page.len() < STORE_STATEMENT_ROWS_MAX {
            return Ok(());
        }
    }
}

/// The statement that writes the rows of the JSON list bound as `$1`.
fn insert_into(dialect: Dialect, table: &Table) -> String {
    let numbers: Vec<bool> = table.columns.iter().map(|column| column.is_number).collect();
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    format!("INSERT INTO {} ({}) {}", table.name, names.join(", "), dialect.listed_rows(&numbers))
}

/// The rows after a key, in its order.
async fn page(
    store: &SqlStore,
    read: &mut Read,
    table: &Table,
    after: Option<&[Cell]>,
) -> Result<Vec<Vec<Cell>>, StoreError> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let key: Vec<&str> = table.key.iter().map(|place| names[*place]).collect();
    let key = key.join(", ");
    let places: Vec<String> = (1..=table.key.len()).map(|place| format!("${place}")).collect();
    let beyond = if after.is_some() { format!(" WHERE ({key}) > ({})", places.join(", ")) } else { String::new() };
    let statement = format!(
        "SELECT {} FROM {}{beyond} ORDER BY {key} LIMIT {STORE_STATEMENT_ROWS_MAX}",
        names.join(", "),
        table.name
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for cell in after.unwrap_or_default() {
        query = match cell.clone() {
            Cell::Text(text) => query.bind(text),
            Cell::Number(number) => query.bind(number),
        };
    }
    let found = query.fetch_all(read.on()).await.map_err(|error| store.failed(error))?;
    found.iter().map(|row| cells(row, table)).collect()
}

fn cells(row: &AnyRow, table: &Table) -> Result<Vec<Cell>, StoreError> {
    let cell = |(place, column): (usize, &Column)| match column.is_number {
        true => rows::optional_number(row, place).map(Cell::Number),
        false => rows::optional_text(row, place).map(Cell::Text),
    };
    table.columns.iter().enumerate().map(cell).collect()
}

async fn count(store: &SqlStore, transaction: &mut Write, table: &Table) -> Result<u64, StoreError> {
    let statement = AssertSqlSafe(format!("SELECT COUNT(*) FROM {}", table.name));
    let row = sqlx::query(statement).fetch_one(transaction.on()).await.map_err(|error| store.failed(error))?;
    Ok(u64::try_from(rows::number(&row, 0)?).unwrap_or(0))
}

async fn run(store: &SqlStore, write: &mut Write, statement: String) -> Result<(), StoreError> {
    let done = sqlx::query(AssertSqlSafe(statement)).execute(write.on()).await;
    done.map(drop).map_err(|error| store.failed(error))
}
