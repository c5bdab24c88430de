//! DAGs as jobs: paused ones, files that cannot be imported, and when each DAG is due.
//!
//! Airflow tells the crontab of a timetable and the next run, and in the detail of a DAG the zone of its clock. A crontab is
//! believed only in a zone in which its next time is the one that Airflow has computed.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::api::{PAGE_ROWS, get};
use super::connection::Airflow;
use super::record::{Dag, read_dag};
use crate::limits::JOB_PAGES_MAX;
use crate::lock::locked;
use crate::model::{Job, JobSchedule, JobStatus, SourceId};
use crate::schedule::Schedule;
use crate::source::contract::SourceError;
use crate::source::kit::fault::bad_answer;

/// The DAGs that are listened to.
pub(super) async fn read_dags(source: &Airflow) -> Result<Vec<Dag>, SourceError> {
    let wanted = source.client.api.settings.wanted();
    let mut dags: HashMap<String, Dag> = HashMap::new();
    let mut offset = 0;
    for _ in 0..JOB_PAGES_MAX {
        let call = get(&["dags"]).query("limit", PAGE_ROWS).query("offset", offset).query("order_by", "dag_id");
        let json = source.ask(&call).await?;
        let rows = json.root().list("/dags").map_err(bad_answer)?;
        let total = json.root().find("/total_entries").and_then(|spot| spot.count());
        offset += rows.len();
        dags.extend(rows.iter().filter_map(read_dag).map(|dag| (dag.id.clone(), dag)));
        if rows.is_empty() || total.is_some_and(|total| offset as u64 >= total) {
            let mut dags: Vec<Dag> = dags.into_values().filter(|dag| !dag.is_stale && wanted.takes(&dag.id)).collect();
            dags.sort_by(|one, other| one.id.cmp(&other.id));
            return Ok(dags);
        }
    }
    Err(bad_answer(format!("the list of DAGs has more than {JOB_PAGES_MAX} pages")))
}

/// The files that cannot be imported.
async fn read_import_errors(source: &Airflow) -> Result<Vec<String>, SourceError> {
    let json = source.ask(&get(&["importErrors"]).query("limit", PAGE_ROWS)).await?;
    let rows = json.root().list("/import_errors").map_err(bad_answer)?;
    Ok(rows.iter().filter_map(|row| Some(row.find("/filename")?.text()?.into_owned())).collect())
}

/// The DAGs as jobs, and beside them the files from which no DAG came.
pub(super) async fn read_jobs(source: &Airflow) -> Result<Vec<Job>, SourceError> {
    let dags = read_dags(source).await?;
    let broken = read_import_errors(source).await?;
    let wanted = source.client.api.settings.wanted();
    Ok(jobs_of(&source.id, &dags, broken.into_iter().filter(|file| wanted.takes(file))))
}

fn jobs_of(source: &SourceId, dags: &[Dag], broken: impl Iterator<Item = String>) -> Vec<Job> {
    let job = |name: &str, status: JobStatus, raw: &str, owner: Option<String>| Job {
        source: source.clone(),
        name: name.to_string(),
        is_real_time: false,
        status,
        raw_status: raw.to_string(),
        owner,
        create_user: None,
        start_time: None,
        end_time: None,
        last_instance_status: None,
        last_instance_end_time: None,
    };
    let mut jobs: Vec<Job> = dags
        .iter()
        .map(|dag| {
            let owner = (!dag.owners.is_empty()).then(|| dag.owners.join(", "));
            let (status, raw) = match (dag.has_import_errors, dag.is_paused) {
                (true, _) => (JobStatus::Exception, "import error"),
                (false, true) => (JobStatus::Paused, "paused"),
                (false, false) => (JobStatus::Scheduling, "active"),
            };
            job(&dag.id, status, raw, owner)
        })
        .collect();
    // A file of which a DAG is known stands for itself there.
    let is_of_dag = |file: &String| dags.iter().any(|dag| dag.has_import_errors && dag.file.as_ref() == Some(file));
    jobs.extend(
        broken.filter(|file| !is_of_dag(file)).map(|file| job(&file, JobStatus::Exception, "import error", None)),
    );
    jobs
}

/// When the DAGs are due.
pub(super) async fn read_schedules(source: &Airflow) -> Result<Vec<JobSchedule>, SourceError> {
    let dags = read_dags(source).await?;
    let mut schedules = Vec::new();
    for dag in dags.iter().filter(|dag| !dag.is_paused) {
        let (Some(timetable), Some(next)) = (&dag.timetable, dag.next_run_after) else { continue };
        let known = locked(&source.zones).get(&dag.id).cloned();
        let zone = known.clone().unwrap_or(TimeZone::UTC);
        let mut due = followed(timetable, next, &zone);
        if due.is_err() && known.is_none() && Schedule::parse(timetable, &zone).is_ok() {
            let zone = read_zone(source, &dag.id).await?;
            due = followed(timetable, next, &zone);
            locked(&source.zones).insert(dag.id.clone(), zone);
        }
        schedules.push(JobSchedule { job: dag.id.clone(), due });
    }
    Ok(schedules)
}

/// The zone of a DAG's clock.
async fn read_zone(source: &Airflow, dag: &str) -> Result<TimeZone, SourceError> {
    let json = source.ask(&get(&["dags", dag, "details"])).await?;
    let name = json.root().find("/timezone").and_then(|spot| spot.text().map(std::borrow::Cow::into_owned));
    Ok(name.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC))
}

/// The schedule of a timetable, if the next time of it is the one that Airflow has computed.
fn followed(timetable: &str, next: Timestamp, zone: &TimeZone) -> Result<Schedule, String> {
    let schedule =
        Schedule::parse(timetable, zone).map_err(|_| format!("its timetable {timetable:?} is not a crontab"))?;
    let before = next.checked_sub(SignedDuration::from_secs(1)).unwrap_or(next);
    if schedule.next_after(before) == Some(next) {
        return Ok(schedule);
    }
    Err(format!(
        "Airflow says that it is due at {next}, which is not a time of {timetable:?} in {}",
        zone.iana_name().unwrap_or("UTC")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dag(id: &str) -> Dag {
        Dag {
            id: id.to_string(),
            is_paused: false,
            is_stale: false,
            has_import_errors: false,
            owners: vec!["li.wei".to_string(), "data".to_string()],
            timetable: None,
            next_run_after: None,
            file: Some(format!("{id}.py")),
        }
    }

    #[test]
    fn paused_dags_and_import_errors_are_states_of_jobs() {
        let dags = [
            dag("etl"),
            Dag { is_paused: true, ..dag("old") },
            Dag { has_import_errors: true, is_paused: true, ..dag("broken") },
        ];
        let jobs = jobs_of(&SourceId::new("a"), &dags, ["broken.py", "new.py"].map(str::to_string).into_iter());
        let told: Vec<_> = jobs.iter().map(|job| (job.name.as_str(), job.status, job.owner.is_some())).collect();
        let expected = [
            ("etl", JobStatus::Scheduling, true),
            ("old", JobStatus::Paused, true),
            ("broken", JobStatus::Exception, true),
            ("new.py", JobStatus::Exception, false),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_crontab_is_believed_where_airflow_computes_the_same() {
        let next: Timestamp = "2026-11-21T00:30:00Z".parse().unwrap();
        let zone = |name: &str| TimeZone::get(name).unwrap();
        assert!(followed("30 0 * * *", next, &TimeZone::UTC).is_ok());
        assert!(followed("30 8 * * *", next, &zone("Asia/Shanghai")).is_ok());
        assert!(followed("30 * * * *", next, &TimeZone::UTC).is_ok());
        assert!(followed("30 8 * * *", next, &TimeZone::UTC).unwrap_err().contains("not a time of"));
        assert!(followed("1 day, 0:00:00", next, &TimeZone::UTC).unwrap_err().contains("not a crontab"));
    }
}
