//! Listing the instances of all groups: pages until a short one, each instance once, with its job's name.
//!
//! Whether the service lists a whole group in one call is documented and doubted, so it is tried: a refusal, or an
//! answer that is empty while a job of the group has instances, means job by job.

mod finish;
mod groups;
mod names;
mod pages;
mod reader;
mod workflows;

use std::time::Duration;

pub(super) use self::pages::fetch;
use self::reader::Reader;
use super::answer::Row;
use super::directory::Directory;
use super::service::SchedulerX;
use crate::limits::SCHEDULERX_JOBS_AGE_MAX;
use crate::model::Window;
use crate::source::contract::{Listing, SourceError, SourceErrorKind};

/// Reads all instances planned in `window`.
pub(super) async fn read(source: &SchedulerX, window: Window) -> Result<Listing, SourceError> {
    let mut reader = Reader::new(source, window);
    let has_seen_groups = source.state().has_seen_groups;
    if !has_seen_groups {
        reader.check_groups().await?;
    }
    reader.refresh_directory(SCHEDULERX_JOBS_AGE_MAX).await?;
    let groups = source.client.api.settings.groups.clone();
    for group in &groups {
        reader.read_group(group).await?;
    }
    // A right that was taken away shows as silence too.
    let is_silent = |group: &String| !reader.groups.values().any(|listed| listed == group);
    if has_seen_groups && groups.iter().any(is_silent) {
        reader.check_groups().await?;
    }
    reader.finish().await
}

/// The first instances of each group, and nothing of the rest: what an examination goes by.
pub(super) async fn peek(source: &SchedulerX, window: Window) -> Result<Vec<(String, Vec<Row>)>, SourceError> {
    let mut reader = Reader::new(source, window);
    reader.refresh_directory(SCHEDULERX_JOBS_AGE_MAX).await?;
    let mut found = Vec::new();
    for group in source.client.api.settings.groups.clone() {
        let rows = reader.peek(&group).await?;
        found.push((group, rows));
    }
    Ok(found)
}

/// The jobs of all groups as they are now: what the poll under way has read serves, what one before has read does not.
pub(super) async fn read_jobs(source: &SchedulerX) -> Result<Directory, SourceError> {
    const JUST_NOW: Duration = Duration::from_secs(30);
    let now = source.client.clock.now();
    let mut reader = Reader::new(source, Window { from: now, to: now });
    reader.refresh_directory(JUST_NOW).await?;
    let directory = source.state().directory.clone();
    if directory.read_at.is_some_and(|at| now.duration_since(at).unsigned_abs() < JUST_NOW) && !directory.is_short {
        return Ok(directory);
    }
    let reasons: Vec<String> = reader.warnings.into_iter().map(|(_, reason)| reason).collect();
    Err(SourceError::new(SourceErrorKind::Transient, reasons.join("; ")))
}
