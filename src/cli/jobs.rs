//! `nightbell jobs`: how the jobs stand, from what is remembered of their instances.

use jiff::Timestamp;
use serde_json::json;

use super::ground::{Exit, Failure, Listing, now_of};
use super::instances::Chosen;
use super::output::{complain, complain_of_left_out, local, print, table};
use super::place::Desk;
use crate::store::{Archive as _, Counts as _, JobHistory, Mode, SqlStore};
use crate::template::display_text;

pub(super) async fn jobs(desk: &Desk, chosen: &Chosen, listing: &Listing) -> Result<Exit, Failure> {
    let config = &desk.config;
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let filter = chosen.filter(desk, &store, listing, now_of(&store).await?).await?;
    let jobs = store.jobs(&filter).await?;
    let all = if jobs.len() < listing.limit { jobs.len() as u64 } else { store.count_jobs(&filter).await? };
    if listing.json {
        for job in &jobs {
            print(line(job))?;
        }
        complain_of_left_out("the first", jobs.len(), all, "jobs", "--since and --job");
        return Ok(Exit::Done);
    }
    if jobs.is_empty() {
        complain("no such jobs");
        return Ok(Exit::Done);
    }
    let time = |time: Option<Timestamp>| time.map_or_else(String::new, |time| local(time, &config.timezone));
    let rows = jobs
        .iter()
        .map(|job| {
            vec![
                display_text(&job.job),
                job.source.to_string(),
                job.instances.to_string(),
                job.succeeded.to_string(),
                job.failed.to_string(),
                job.last_status.to_string(),
                time(job.last_plan_time),
                time(job.last_end_time),
                job.firing.to_string(),
            ]
        })
        .collect();
    let header = ["JOB", "SOURCE", "RUNS", "OK", "FAILED", "LAST STATUS", "LAST PLANNED", "LAST END", "ALERTS"];
    print(table(&header, rows))?;
    complain_of_left_out("the first", jobs.len(), all, "jobs", "--since and --job");
    Ok(Exit::Done)
}

/// A job as one JSON object.
fn line(job: &JobHistory) -> serde_json::Value {
    json!({
        "source": job.source,
        "job": job.job,
        "instances": job.instances,
        "succeeded": job.succeeded,
        "failed": job.failed,
        "last_instance": {
            "status": job.last_status,
            "plan_time": job.last_plan_time,
            "end_time": job.last_end_time,
        },
        "alerts_firing": job.firing,
    })
}
