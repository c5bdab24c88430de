//! How jobs have fared before their alerts: two statements for all alerts of a poll.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::ask::Ask as _;
use super::database::SqlStore;
use super::items::{AboutItem, JobItem, pieces};
use super::rows;
use crate::limits::{USUAL_RUNS_MAX, USUAL_RUNS_MIN};
use crate::model::{Alert, AlertFacts, AlertId, Lately};
use crate::store::error::StoreError;

/// How the jobs of these alerts have fared; what cannot be understood is left out.
pub(super) async fn lately(
    store: &SqlStore,
    alerts: &[&Alert],
    since: Timestamp,
) -> Result<HashMap<AlertId, Lately>, StoreError> {
    let subjects: Vec<_> = alerts.iter().map(|alert| (alert, alert.facts.subject())).collect();
    let items: Vec<AboutItem<'_>> = subjects
        .iter()
        .map(|(alert, subject)| AboutItem {
            id: alert.id.as_str(),
            source: alert.source.as_str(),
            job: &subject.job,
            instance: &subject.id,
            rule: alert.rule.as_str(),
        })
        .collect();
    let usual = usual(store, alerts).await?;
    let jobs: HashMap<&str, (String, String)> =
        items.iter().map(|item| (item.id, (item.source.to_string(), item.job.to_string()))).collect();
    let mut found = HashMap::with_capacity(alerts.len());
    for piece in pieces(&items) {
        let seen =
            sqlx::query(store.statements.lately.clone()).bind(piece?).bind(since.as_millisecond()).all(store).await?;
        found.extend(rows::all(&seen, "instance", |row| {
            let id = rows::text(row, 0)?;
            let count = |column| rows::number(row, column).map(|count| u64::try_from(count).unwrap_or(0));
            let before = rows::optional_text(row, 4)?.map(|_| rows::json::<AlertFacts>(row, 4)).transpose()?;
            let before = before.map(|facts| facts.alert);
            let lasted = before.as_ref().and_then(|part| Some(part.ends_at?.duration_since(part.starts_at)));
            let lately = Lately {
                runs: count(1)?,
                failed: count(2)?,
                last_success_at: rows::optional_instant(row, 3)?,
                usual_ms: jobs.get(id.as_str()).and_then(|job| usual.get(job)).copied(),
                last_lasted_ms: lasted.and_then(|lasted| u64::try_from(lasted.as_millis()).ok()),
                last_ended: before.and_then(|part| part.ended).map(|ended| *ended),
            };
            Ok((AlertId::new(id), lately))
        }));
    }
    Ok(found)
}

/// How long runs of these alerts' jobs usually take that succeed, by source and job: the middle one of the latest. Of too few
/// runs nothing is usual.
async fn usual(store: &SqlStore, alerts: &[&Alert]) -> Result<HashMap<(String, String), u64>, StoreError> {
    let jobs: BTreeSet<(&str, &str)> =
        alerts.iter().map(|alert| (alert.source.as_str(), alert.facts.job.name.as_str())).collect();
    let items: Vec<JobItem<'_>> = jobs.into_iter().map(|(source, job)| JobItem { source, job }).collect();
    let mut durations: HashMap<(String, String), Vec<u64>> = HashMap::new();
    for piece in pieces(&items) {
        let seen = sqlx::query(store.statements.durations.clone())
            .bind(piece?)
            .bind(i64::try_from(USUAL_RUNS_MAX).unwrap_or(i64::MAX))
            .all(store)
            .await?;
        for row in &seen {
            let took = u64::try_from(rows::number(row, 2)?).unwrap_or(0);
            durations.entry((rows::text(row, 0)?, rows::text(row, 1)?)).or_default().push(took);
        }
    }
    let middle = |(job, mut of_job): ((String, String), Vec<u64>)| {
        of_job.sort_unstable();
        (of_job.len() >= USUAL_RUNS_MIN).then(|| (job, of_job[of_job.len() / 2]))
    };
    Ok(durations.into_iter().filter_map(middle).collect())
}
