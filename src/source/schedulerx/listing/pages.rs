//! The pages of a list of instances, until a short one.
//!
//! Reads the network through the service.

use super::reader::Reader;
use crate::limits::{SCHEDULERX_LISTING_CALLS_MAX, SCHEDULERX_PAGES_MAX};
use crate::model::{SetAside, Window};
use crate::source::contract::SourceError;
use crate::source::kit::fault::bad_answer;
use crate::source::schedulerx::answer::{Row, read_rows};
use crate::source::schedulerx::service::SchedulerX;

/// One page of the instances of a group, or of a job in it.
pub(in crate::source::schedulerx) async fn fetch(
    source: &SchedulerX,
    window: Window,
    group: &str,
    job: Option<&str>,
    page: usize,
    calls: &mut usize,
) -> Result<Vec<Result<Row, SetAside>>, SourceError> {
    let mut pairs = vec![
        ("GroupId", group.to_string()),
        ("StartTimestamp", window.from.as_millisecond().to_string()),
        ("EndTimestamp", window.to.as_millisecond().to_string()),
    ];
    pairs.extend(job.map(|job| ("JobId", job.to_string())));
    let data = source.page("GetJobInstanceList", &pairs, page, calls).await?;
    read_rows(&data, &source.client.api.settings.timezone).map_err(bad_answer)
}

impl Reader<'_> {
    /// Reads the pages of a list until a short one, and tells how many rows it had.
    pub(super) async fn read_pages(&mut self, group: &str, job: Option<&str>) -> Result<usize, SourceError> {
        let mut count = 0;
        for page in 1..=SCHEDULERX_PAGES_MAX {
            if self.calls >= SCHEDULERX_LISTING_CALLS_MAX {
                self.is_cut = true;
                self.warn(group, format!("the list of {group} is longer than one poll may read; shorten \"lookback\""));
                break;
            }
            let rows = self.fetch(group, job, page).await?;
            let len = rows.len();
            count += len;
            let fresh = self.take(group, rows);
            let fullest = self.source.state().fullest_page;
            if len == 0 || is_last(len, fullest) {
                return Ok(count);
            }
            if fresh == 0 && page > 1 {
                self.warn(group, format!("the pages of {group} repeat themselves; what follows could not be read"));
                self.is_cut = true;
                return Ok(count);
            }
            self.source.state().fullest_page = fullest.max(len);
            if page == SCHEDULERX_PAGES_MAX {
                self.is_cut = true;
                self.warn(
                    group,
                    format!("the list of {group} has more than {SCHEDULERX_PAGES_MAX} pages; shorten \"lookback\""),
                );
            }
        }
        Ok(count)
    }

    /// Fetches one page.
    pub(super) async fn fetch(
        &mut self,
        group: &str,
        job: Option<&str>,
        page: usize,
    ) -> Result<Vec<Result<Row, SetAside>>, SourceError> {
        fetch(self.source, self.window, group, job, page, &mut self.calls).await
    }
}

/// Whether a page of `len` rows is surely a list's last. No total is told, and the service may give fewer than were asked
/// for. So it is one that has fewer than another page had, unless the number is so round that it may be a new cap.
fn is_last(len: usize, fullest: usize) -> bool {
    len < fullest && !len.is_multiple_of(10)
}
