//! Where the databases differ: how a transaction begins, and how one bound JSON text becomes rows.
//!
//! Everything else is one text for all of them: `$n` placeholders, BIGINT and TEXT, `ON CONFLICT`, `RETURNING`. Bulk
//! writes bind a single JSON list, because a statement with thousands of placeholders is slow on every database.

/// A database's own way of saying things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The embedded one.
    Sqlite,
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
    /// How a transaction that will write begins. SQLite's must say so at once: one that starts to read and then wants
    /// to write is refused while another writes, however long it would wait.
    pub(super) const fn begin_write(self) -> &'static str {
        match self {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
        }
    }

    /// A FROM item named `item`: the JSON list bound as `$1`, one row for each of its arrays.
    ///
    /// SQLite's `jsonb_each` hands the arrays on as they were parsed; `json_each` would write each of them out as text,
    /// to be parsed again for its columns, and takes twice the time.
    pub(super) fn items(self, columns: &[Column]) -> String {
        match self {
            Dialect::Sqlite => {
                let columns: Vec<String> = columns
                    .iter()
                    .enumerate()
                    .map(|(index, Column::Text(name) | Column::BigInt(name))| format!("value ->> {index} AS {name}"))
                    .collect();
                format!("(SELECT {} FROM jsonb_each($1)) AS item", columns.join(", "))
            }
        }
    }

    /// The texts of the JSON list bound as `$place`, each of which stands in an array of its own, as `(SELECT …)`.
    pub(super) fn bound_texts(self, place: usize) -> String {
        match self {
            Dialect::Sqlite => format!("(SELECT value ->> 0 FROM jsonb_each(${place}))"),
        }
    }

    /// The text at `path` (`alert.severity`) of the JSON in `column`.
    pub(super) fn json_text(self, column: &str, path: &str) -> String {
        match self {
            Dialect::Sqlite => format!("({column} ->> '$.{path}')"),
        }
    }

    /// Whether the text in `column` holds the one bound as `$place`.
    pub(super) fn holds_text(self, column: &str, place: usize) -> String {
        match self {
            Dialect::Sqlite => format!("(instr({column}, ${place}) > 0)"),
        }
    }
}
