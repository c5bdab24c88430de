//! One cycle: every source polled, every due delivery attempted once.

use std::fmt;

use futures_util::future::join_all;

use tracing::{error, warn};

use super::error::AppError;
use super::program::{App, close_store};
use crate::store::{Outbox as _, Pending};
use crate::worker::deliver::Lane;
use crate::worker::housekeeping::Retention;
use crate::worker::poll::PollReport;

/// What one cycle did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnceReport {
    /// What each poll did.
    pub polls: Vec<PollReport>,
    /// Why polls failed.
    pub failed_polls: Vec<String>,
    /// Deliveries attempted.
    pub attempted: u64,
    /// Of those, confirmed.
    pub delivered: u64,
    /// What is pending, to every receiver, also to those that the configuration no longer has.
    pub pending: Vec<Pending>,
}

impl OnceReport {
    /// Whether every source was read as a whole, and nothing is pending but what is held back until a window opens.
    pub fn is_clean(&self) -> bool {
        self.failed_polls.is_empty()
            && self.pending.iter().all(|pending| pending.count == pending.held)
            && self.polls.iter().all(|poll| poll.incomplete.is_none())
    }
}

impl fmt::Display for OnceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |count: fn(&PollReport) -> usize| self.polls.iter().map(count).sum::<usize>();
        write!(
            f,
            "{} listed, {} changed, {} alerts fired, {} resolved, {} recorded and not told; {} of {} deliveries arrived, {} pending",
            sum(|poll| poll.listed),
            sum(|poll| poll.changed),
            sum(|poll| poll.fired),
            sum(|poll| poll.resolved),
            sum(|poll| poll.suppressed),
            self.delivered,
            self.attempted,
            self.pending.iter().map(|pending| pending.count).sum::<u64>()
        )?;
        for Pending { receiver, count, next_due, held } in &self.pending {
            let held =
                if *held > 0 { format!(", {held} of them held back until a window opens") } else { String::new() };
            let due = next_due.map(|due| format!(", the next attempt is due at {due}")).unwrap_or_default();
            write!(f, "\npending to {receiver}: {count}{held}{due}")?;
        }
        for poll in &self.polls {
            if let Some(reason) = &poll.incomplete {
                write!(f, "\nnot whole: {reason}")?;
            }
        }
        for reason in &self.failed_polls {
            write!(f, "\n{reason}")?;
        }
        Ok(())
    }
}

impl App {
    /// Polls every source once without waiting for its schedule, then attempts every due delivery once.
    ///
    /// # Errors
    /// When the store fails while it delivers. A poll that failed is part of the report.
    pub async fn run_once(self) -> Result<OnceReport, AppError> {
        let App { ground, generation, .. } = self;
        let ids = generation.config.sources.iter().map(|settings| &settings.id);
        let mut pollers: Vec<_> = ids.filter_map(|id| generation.poller(id, None)).collect();
        let mut lanes: Vec<_> = generation
            .config
            .receivers
            .iter()
            .filter_map(|settings| Some(generation.lane(generation.reach(&settings.id)?)))
            .collect();
        let (mut escalations, mut reminders) = (generation.escalations(), generation.reminders());
        let (fallbacks, digester) = (generation.fallbacks(), generation.digester());
        let (mut watch, heartbeat) = (generation.watch(), generation.heartbeat());
        let unwatched = generation.unwatched();
        let mut report = OnceReport::default();
        let polls = pollers.iter_mut().map(|(poller, _)| async move {
            if let Err(error) = poller.note_silence_between_calls().await {
                warn!(%error, "cannot record for how long nobody asked");
            }
            poller.poll_all().await
        });
        for outcome in join_all(polls).await {
            match outcome {
                Ok(poll) => report.polls.push(poll),
                // Whatever befell it, the others go on, and what is pending is attempted.
                Err(error) => report.failed_polls.push(error.to_string()),
            }
        }
        let now = ground.clock.now();
        unwatched.pass(now).await?;
        escalations.pass(now).await?;
        reminders.pass(now).await?;
        // Nobody is there later on to whom it could be left: what is told with its group does not wait for more of it.
        lanes = lanes.into_iter().map(Lane::waiting_for_nobody).collect();
        digester.make_due(now, false).await?;
        // What was pending too long before this cycle goes to the fallbacks, and so does what dies in it: a chain of them
        // is as long as there are receivers at most.
        fallbacks.pass(now).await?;
        watch.pass(now).await?;
        for _ in 0..=lanes.len() {
            let attempts = lanes.iter_mut().map(|lane| lane.attempt_due(now));
            for progress in join_all(attempts).await {
                let progress = progress?;
                report.attempted += progress.attempted;
                report.delivered += progress.delivered;
            }
            if fallbacks.pass(now).await? == 0 && watch.pass(now).await? == 0 {
                break;
            }
        }
        report.pending = ground.store.pending().await?;
        if let Some(mut heartbeat) = heartbeat {
            match heartbeat.beat(ground.clock.now()).await {
                Ok(()) => {}
                Err(missed) => error!("no heartbeat: {missed}"),
            }
        }
        // Who has a crontab call it lets no housekeeping loop live long enough.
        if let Err(error) = Retention::of(&generation.config).purge(&*ground.store, now).await {
            warn!(%error, "cannot remove what is older than the retention");
        }
        generation.take_leave().await;
        close_store(&ground.store).await;
        Ok(report)
    }
}
