//! Where the databases differ: types of columns, how transactions begin, how one bound JSON text becomes rows.
//!
//! Everything else is one text for all of them: `$n` placeholders, BIGINT and TEXT, `ON CONFLICT`, `RETURNING`. Bulk
//! writes bind a single JSON list, because a statement with thousands of placeholders is slow on every database.

use std::borrow::Cow;

/// A database's own way of saying things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The embedded one.
    Sqlite,
    /// The one that several replicas share.
    Postgres,
}

/// A column of the rows that a bound JSON list becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// A text, or null.
    Text(&'static str),
    /// A whole number, or null. (A database that types the rows of a JSON list needs to know.)
    BigInt(&'static str),
}

impl Dialect {
    /// A step of the migrations. PostgreSQL compares texts by the rules of a language unless it is told otherwise: then the
    /// order of ids would depend on the machine, and a range of ids would not be one.
    pub(super) fn schema(self, step: &'static str) -> Cow<'static, str> {
        match self {
            Dialect::Sqlite => Cow::Borrowed(step),
            Dialect::Postgres => Cow::Owned(step.replace(" TEXT", " TEXT COLLATE \"C\"")),
        }
    }

    /// How a transaction that will write begins. SQLite's must say so at once: one that starts to read and then wants
    /// to write is refused while another writes, however long it would wait.
    pub(super) const fn begin_write(self) -> &'static str {
        match self {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }

    /// How a transaction begins in which every statement reads the same commit.
    pub(super) const fn begin_snapshot(self) -> &'static str {
        match self {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// At the end of a query for rows of `table` that are to be changed: those that another transaction is changing are left
    /// to it. SQLite has one writer.
    pub(super) fn skip_locked(self, table: &str) -> String {
        match self {
            Dialect::Sqlite => String::new(),
            Dialect::Postgres => format!(" FOR UPDATE OF {table} SKIP LOCKED"),
        }
    }

    /// Whether several processes can work on the database.
    pub(super) const fn is_shared(self) -> bool {
        match self {
            Dialect::Sqlite => false,
            Dialect::Postgres => true,
        }
    }

    /// The database's clock at the moment at which it is asked, in milliseconds.
    pub(super) const fn clock(self) -> &'static str {
        match self {
            Dialect::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            Dialect::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }

    /// At the end of a query for a row whose key must not change before the transaction ends.
    pub(super) const fn keep_key(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR KEY SHARE",
        }
    }

    /// At the end of a query for a row of which nothing must change before the transaction ends.
    pub(super) const fn keep_row(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR SHARE",
        }
    }

    /// A FROM item named `item`: the JSON list bound as `$1`, one row for each of its arrays.
    ///
    /// SQLite's `jsonb_each` hands the arrays on as they were parsed; `json_each` would write each of them out as text,
    /// to be parsed again for its columns, and takes twice the time.
    pub(super) fn items(self, columns: &[Column]) -> String {
        let columns: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| match (self, column) {
                (Dialect::Sqlite, Column::Text(name) | Column::BigInt(name))
                | (Dialect::Postgres, Column::Text(name)) => {
                    format!("value ->> {index} AS {name}")
                }
                (Dialect::Postgres, Column::BigInt(name)) => format!("(value ->> {index})::bigint AS {name}"),
            })
            .collect();
        format!("(SELECT {} FROM {}) AS item", columns.join(", "), self.list())
    }

    /// The rows of the JSON list bound as `$1`, as a query with these columns: which of them are whole numbers.
    pub(super) fn listed_rows(self, numbers: &[bool]) -> String {
        let column = |(index, is_number): (usize, &bool)| match (self, is_number) {
            (Dialect::Postgres, true) => format!("(value ->> {index})::bigint"),
            _ => format!("value ->> {index}"),
        };
        let columns: Vec<String> = numbers.iter().enumerate().map(column).collect();
        format!("SELECT {} FROM {}", columns.join(", "), self.list())
    }

    /// The arrays of the JSON list bound as `$1`, each a row with the column `value`.
    const fn list(self) -> &'static str {
        match self {
            Dialect::Sqlite => "jsonb_each($1)",
            Dialect::Postgres => "jsonb_array_elements($1::jsonb)",
        }
    }

    /// The texts of the JSON list bound as `$place`, each of which stands in an array of its own, as `(SELECT …)`.
    pub(super) fn bound_texts(self, place: usize) -> String {
        match self {
            Dialect::Sqlite => format!("(SELECT value ->> 0 FROM jsonb_each(${place}))"),
            Dialect::Postgres => format!("(SELECT value ->> 0 FROM jsonb_array_elements(${place}::jsonb))"),
        }
    }

    /// Whether the text in `column` is in the first place of an array of the JSON list bound as `$1`.
    ///
    /// PostgreSQL does not know how long the list is, and where it has not counted a table yet it takes every condition for
    /// one that hardly any row meets: it would go through all pending rows and the whole list for each. By an array it goes
    /// by the index of the column.
    pub(super) fn is_listed(self, column: &str) -> String {
        match self {
            Dialect::Sqlite => format!("{column} IN {}", self.bound_texts(1)),
            Dialect::Postgres => format!("{column} = ANY(ARRAY{})", self.bound_texts(1)),
        }
    }

    /// Behind the conditions of a join with [`Dialect::items`] by their first column: the same for PostgreSQL, and nothing
    /// where the join is as good.
    pub(super) fn and_is_listed(self, column: &str) -> String {
        match self {
            Dialect::Sqlite => String::new(),
            Dialect::Postgres => format!(" AND {}", self.is_listed(column)),
        }
    }

    /// The same for a join by the first columns, each of which is looked for among its own.
    pub(super) fn and_are_listed(self, columns: &[&str]) -> String {
        let is_listed = |(place, column): (usize, &&str)| match self {
            Dialect::Sqlite => String::new(),
            Dialect::Postgres => {
                format!(" AND {column} = ANY(ARRAY(SELECT value ->> {place} FROM jsonb_array_elements($1::jsonb)))")
            }
        };
        columns.iter().enumerate().map(is_listed).collect()
    }

    /// The text at `path` (`alert.severity`) of the JSON in `column`.
    pub(super) fn json_text(self, column: &str, path: &str) -> String {
        match self {
            Dialect::Sqlite => format!("({column} ->> '$.{path}')"),
            Dialect::Postgres => format!("({column}::json #>> '{{{}}}')", path.replace('.', ",")),
        }
    }

    /// Whether the text in `column` holds the one bound as `$place`.
    pub(super) fn holds_text(self, column: &str, place: usize) -> String {
        match self {
            Dialect::Sqlite => format!("(instr({column}, ${place}) > 0)"),
            Dialect::Postgres => format!("(strpos({column}, ${place}) > 0)"),
        }
    }
}
