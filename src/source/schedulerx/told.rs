//! Lists of a group that tell their total: jobs and workflows.
//!
//! Reads the network through the service.

use std::collections::BTreeMap;

use super::service::SchedulerX;
use crate::limits::SCHEDULERX_PAGES_MAX;
use crate::model::SetAside;
use crate::source::contract::SourceError;
use crate::source::kit::fault::bad_answer;

/// A list of a group that tells its total: what there is by id, how many rows could not be understood, and why that is not
/// all, if it is not.
pub(super) struct Told<T> {
    pub(super) items: BTreeMap<String, T>,
    pub(super) unclear: usize,
    pub(super) short: Option<String>,
}

/// Rows of such a list that could not be understood, as what is set aside of a listing: any job or workflow may be meant, and
/// its runs are not asked for.
pub(super) fn set_aside_of(unclear: usize, action: &str) -> Option<SetAside> {
    let rows = if unclear == 1 { "row" } else { "rows" };
    let reason = format!("{unclear} {rows} of {action} could not be understood, and runs of theirs may be missing");
    let (snippet, at) = (String::new(), String::new());
    (unclear > 0).then_some(SetAside { reason, snippet, job: None, at })
}

/// One page of such a list: its items by id, how many there were, and the total.
pub(super) type ToldPage<T> = (Vec<(String, T)>, usize, Option<usize>);

/// Reads all pages of a list that tells its total.
pub(super) async fn read_told<T>(
    source: &SchedulerX,
    action: &'static str,
    group: &str,
    calls: &mut usize,
    read: impl Fn(&str) -> Result<ToldPage<T>, &'static str>,
) -> Result<Told<T>, SourceError> {
    let mut items = BTreeMap::new();
    let (mut received, mut unclear, mut told, mut has_ended) = (0, 0, None, false);
    let pairs = vec![("GroupId", group.to_string())];
    for page in 1..=SCHEDULERX_PAGES_MAX {
        let data = source.page(action, &pairs, page, calls).await?;
        let (rows, count, total) = read(&data).map_err(bad_answer)?;
        unclear += count - rows.len().min(count);
        let before = items.len();
        items.extend(rows);
        received += count;
        told = total.or(told);
        // With a total the end is known; without one it is the page that brings nothing new.
        has_ended = count == 0 || total.is_some_and(|total| received >= total) || items.len() == before;
        if has_ended {
            break;
        }
    }
    let short = match told {
        Some(told) if received < told => Some(format!("{received} of {told} in {group} could be read ({action})")),
        _ if !has_ended => Some(format!("only {received} in {group} could be read ({action})")),
        _ => None,
    };
    Ok(Told { items, unclear, short })
}
