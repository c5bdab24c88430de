//! The statements for lists of alerts and of deliveries.
//!
//! A statement holds the conditions that are asked for and no others, so that the database sees which index answers it.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::items::clean;
use super::rows;
use crate::model::{AlertState, DeliveryState};
use crate::store::board::{AlertAsk, DeliveryAsk, Place};

/// The conditions of a statement, with what is bound for them.
#[derive(Default)]
pub(super) struct Wanted {
    conditions: Vec<String>,
    bound: Vec<Bound>,
    /// By what the rows are sorted, where that is no index's plain age.
    age: Option<&'static str>,
}

enum Bound {
    Text(String),
    Number(i64),
}

impl Wanted {
    /// Asks for `condition`, in which `?` is what is bound.
    fn and(&mut self, condition: &str, value: Option<Bound>) {
        let Some(value) = value else { return };
        self.bound.push(value);
        self.conditions.push(condition.replace('?', &format!("${}", self.bound.len())));
    }

    /// Asks for what stands after a place in a list from the newest to the oldest.
    fn after(&mut self, place: Option<&Place>) {
        let Some(place) = place else { return };
        self.bound.push(Bound::Number(place.at.as_millisecond()));
        self.bound.push(text(&place.id));
        let last = self.bound.len();
        let (age, at) = (self.age(), last - 1);
        self.conditions.push(format!("({age}, id) < (${at}, ${last})"));
        if self.age.is_some() {
            // An index of an expression is entered by a bound of that alone.
            self.conditions.push(format!("{age} <= ${at}"));
        }
    }

    fn age(&self) -> &'static str {
        self.age.unwrap_or("created_at")
    }

    /// The statement that selects `columns` of so many rows of `table`, the newest first.
    fn newest(&self, columns: &str, table: &str, limit: usize) -> AssertSqlSafe<String> {
        let conditions = if self.conditions.is_empty() { "1 = 1".into() } else { self.conditions.join(" AND ") };
        let age = self.age();
        AssertSqlSafe(format!(
            "SELECT {columns} FROM {table} WHERE {conditions} ORDER BY {age} DESC, id DESC LIMIT {limit}"
        ))
    }
}

/// The statement with everything bound in its place.
pub(super) fn filled(sql: AssertSqlSafe<String>, wanted: Wanted) -> Query<'static, sqlx::Any, AnyArguments> {
    wanted.bound.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Bound::Text(text) => query.bind(text),
        Bound::Number(number) => query.bind(number),
    })
}

fn text(value: impl ToString) -> Bound {
    // What somebody typed into an address may hold anything.
    Bound::Text(clean(&value.to_string()).into_owned())
}

fn at(instant: Timestamp) -> Bound {
    Bound::Number(instant.as_millisecond())
}

/// What is asked of alerts. What stands inside COALESCE is found by no index: the others leave fewer rows.
pub(super) fn alerts_sql(ask: &AlertAsk, limit: usize) -> (AssertSqlSafe<String>, Wanted) {
    let mut wanted = Wanted::default();
    match ask.state {
        // What fires has indexes of its own, and a database sees that only in the text.
        Some(AlertState::Firing) => wanted.conditions.push("state = 'firing'".into()),
        // What is over is nearly all there is.
        Some(AlertState::Resolved) => wanted.conditions.push("COALESCE(state, '') = 'resolved'".into()),
        None => {}
    }
    match ask.is_suspended {
        Some(true) => wanted.conditions.push("suspended_at IS NOT NULL".into()),
        Some(false) => wanted.conditions.push("suspended_at IS NULL".into()),
        None => {}
    }
    // Each has an index of its own: what fires one of the bare column.
    let urgency = if ask.state == Some(AlertState::Firing) { "urgency = ?" } else { "COALESCE(urgency, 0) = ?" };
    wanted.and(urgency, ask.severity.map(|severity| Bound::Number(i64::from(severity.urgency()))));
    let source = if ask.job.is_some() { "COALESCE(source, '') = ?" } else { "source = ?" };
    wanted.and(source, ask.source.as_ref().map(text));
    wanted.and("job = ?", ask.job.as_ref().map(text));
    wanted.and("rule = ?", ask.rule.as_ref().map(text));
    wanted.and("created_at >= ?", ask.since.map(at));
    wanted.after(ask.after.as_ref());
    (wanted.newest(rows::ALERT_COLUMNS, "alert", limit), wanted)
}

/// What is asked of deliveries.
pub(super) fn deliveries_sql(ask: &DeliveryAsk, limit: usize) -> (AssertSqlSafe<String>, Wanted) {
    let mut wanted = Wanted::default();
    if let Some(state) = ask.state {
        wanted.conditions.push(format!("state = '{}'", state.as_str()));
        // What is pending, and what was merged for all receivers, has indexes by an expression that nobody else asks for.
        let is_of_all = state == DeliveryState::Merged && ask.receiver.is_none();
        wanted.age = (state == DeliveryState::Pending || is_of_all).then_some("created_at + 0");
    }
    if ask.state == Some(DeliveryState::Dead) {
        wanted.conditions.push("dropped_at IS NULL".into());
    }
    if ask.digests {
        wanted.conditions.push("kind = 'digest'".into());
    }
    // What is pending or dead is found by its state, of which there is little: no index is of its expression. What is merged has
    // an index of its own by receiver, and the list of all that a receiver was sent has one of the last expression.
    let receiver = match ask.state {
        Some(DeliveryState::Pending | DeliveryState::Dead) => "receiver || '' = ?",
        Some(DeliveryState::Merged) => "receiver = ?",
        Some(DeliveryState::Delivered) | None => "COALESCE(receiver, '') = ?",
    };
    wanted.and(receiver, ask.receiver.as_ref().map(text));
    wanted.and("alert = ?", ask.alert.as_ref().map(text));
    if ask.alert.is_some() {
        // No index is sorted by this sum: the few rows of an alert are found by it, and sorted.
        wanted.age = Some("0 + created_at");
    }
    wanted.after(ask.after.as_ref());
    (wanted.newest(rows::DELIVERY_COLUMNS, "delivery", limit), wanted)
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::super::plans::lists;
    use super::*;
    use crate::store::{Mode, SqlStore};

    /// Each way to ask for a list, and the index that must answer it, so that a page takes no longer the more is stored.
    #[tokio::test]
    async fn every_list_is_answered_by_its_index() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("plan.db").display());
        let store = SqlStore::open(&url, Mode::Work).await.unwrap();
        let alerts = lists::of_alerts().into_iter().map(|(ask, index)| (alerts_sql(&ask, 5), index));
        let deliveries = lists::of_deliveries().into_iter().map(|(ask, index)| (deliveries_sql(&ask, 5), index));
        for ((sql, wanted), index) in alerts.chain(deliveries) {
            let AssertSqlSafe(sql) = sql;
            let query = filled(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")), wanted);
            let found = query.fetch_all(&store.readers).await.unwrap();
            let plan: Vec<String> = found.iter().map(|row| row.get::<String, _>(3)).collect();
            assert!(plan[0].split([' ', '(']).any(|word| word == index), "{index} does not answer {sql}\n{plan:#?}");
        }
        store.close().await;
    }
}
