//! The runs that the listing no longer holds and whose story is not over: they are asked after one by one.
//!
//! They are bounded in number and in time, so they take turns: first those whose next state ends or begins something, then
//! the failures that fire, which may be made again.

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use tracing::{debug, warn};

use super::poller::Poller;
use crate::limits::{DETAIL_CONCURRENCY, DETAIL_TIME_MAX};
use crate::model::{Instance, Status};
use crate::source::{Source, SourceErrorKind};
use crate::store::{Desk, PollLedger};

/// The raw status given to an instance that its source no longer knows.
const GONE: &str = "(no longer known to the source)";

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Asks after instances that the listing no longer holds and that are not settled: unfinished ones until they end,
    /// and failed ones whose alert fires, for they may be rerun. Adds what it learns to `seen`; returns how many
    /// answers there were.
    pub(super) async fn follow(&mut self, seen: &mut Vec<Instance>, now: Timestamp) -> usize {
        let Some(memory) = &self.memory else { return 0 };
        let stale = self.followed.next(&self.settings.id, memory, seen, now);
        if stale.is_empty() {
            return 0;
        }
        let deadline = tokio::time::Instant::now() + DETAIL_TIME_MAX;
        let answers: Vec<_> = stream::iter(stale)
            .map(|instance| {
                let source = &self.source;
                async move {
                    let answer = tokio::time::timeout_at(deadline, source.detail(&instance)).await;
                    (instance, answer)
                }
            })
            .buffer_unordered(DETAIL_CONCURRENCY)
            .collect()
            .await;
        let mut count = 0;
        for (instance, answer) in answers {
            self.followed.note(&instance, now);
            match answer {
                Ok(Ok(detail)) => {
                    count += 1;
                    seen.push(detail.instance);
                }
                Ok(Err(error)) if error.kind == SourceErrorKind::NotFound => {
                    count += 1;
                    seen.push(gone(instance, now));
                }
                Ok(Err(error)) => {
                    warn!(source = %self.settings.id, job = instance.job.name, instance = instance.id,
                        "cannot ask after an instance outside the listing: {error}");
                }
                Err(_) => debug!(source = %self.settings.id, "no time left to ask after every unlisted instance"),
            }
        }
        count
    }
}

/// A run that its source no longer knows at `now`.
pub(in crate::worker) fn gone(run: Instance, now: Timestamp) -> Instance {
    Instance { status: Status::Unknown, raw_status: GONE.to_string(), end_time: Some(now), ..run }
}

/// Whether the poll that saw this had found that the source no longer knew the run.
pub(in crate::worker) fn was_gone(run: &Instance) -> bool {
    run.status == Status::Unknown && run.raw_status == GONE
}
