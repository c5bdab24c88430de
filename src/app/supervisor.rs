//! What the service manager hears (systemd's `sd_notify`): when Nightbell is ready, reads its files again, stops, and that
//! its loops really go round. Without a `NOTIFY_SOCKET` in the environment nobody listens and nothing is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::limits::{STOP_TIME_MAX, SUPERVISOR_EVERY};
use crate::worker::turn::{Status, Statuses};

/// Says that Nightbell runs by what its files say, or by what they said before.
pub(super) fn ready() {
    say(&[NotifyState::Ready]);
}

/// Says that the files are read again; [`ready`] follows.
pub(super) fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    match now {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no clock for the service manager"),
    }
}

/// Says what Nightbell waits for before it can be ready, and that this takes so long at least.
pub(super) fn waiting(what: &str, time: Duration) {
    let micros = u32::try_from((time + STOP_TIME_MAX).as_micros()).unwrap_or(u32::MAX);
    say(&[NotifyState::Status(what), NotifyState::ExtendTimeoutUsec(micros)]);
}

/// Says that Nightbell stops.
pub(super) fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// Tells how the loops fare until `shutdown`, and keeps the watchdog quiet while none of them hangs.
pub(super) async fn attend(statuses: Statuses, shutdown: CancellationToken) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = sd_notify::watchdog_enabled();
    // Twice in the time that the watchdog waits, as its manual asks for.
    let every = watchdog.map_or(SUPERVISOR_EVERY, |patience| patience / 2).max(Duration::from_millis(20));
    loop {
        let (text, is_well) = condition(&statuses.all());
        say(&states(&text, is_well && watchdog.is_some()));
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// How the loops fare, in words, and whether none of them hangs.
fn condition(all: &BTreeMap<String, Status>) -> (String, bool) {
    let hanging = names(all, Status::hangs);
    let failing = names(all, |status| status.failing.is_some());
    let text = match (hanging.as_slice(), failing.as_slice()) {
        ([], []) => format!("{} loops run", all.len()),
        ([], failing) => format!("{} loops run; failing: {}", all.len(), failing.join(", ")),
        (hanging, _) => format!("hanging: {}", hanging.join(", ")),
    };
    (text, hanging.is_empty())
}

/// What the service manager is told; with the word that keeps the watchdog quiet, or without it.
fn states(text: &str, is_quiet: bool) -> Vec<NotifyState<'_>> {
    let watchdog = is_quiet.then_some(NotifyState::Watchdog);
    std::iter::once(NotifyState::Status(text)).chain(watchdog).collect()
}

fn names(all: &BTreeMap<String, Status>, is_meant: impl Fn(&Status) -> bool) -> Vec<&str> {
    all.iter().filter(|(_, status)| is_meant(status)).map(|(name, _)| name.as_str()).collect()
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager does not hear");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::clock::ManualClock;
    use crate::limits::LOOP_HANGS_AFTER;
    use crate::worker::turn::{Failing, Pace, Runner, Turn, TurnError, Turned};

    struct Stuck;

    impl Turn for Stuck {
        fn name(&self) -> &'static str {
            "stuck"
        }

        fn pace(&self) -> Pace {
            Pace::every(Duration::from_secs(1))
        }

        async fn turn(&mut self, _: Timestamp) -> Result<Turned, TurnError> {
            std::future::pending().await
        }
    }

    /// The watchdog has the program started anew: it must be, as soon as one loop of many hangs, and for no less.
    #[tokio::test(start_paused = true)]
    async fn the_watchdog_hears_nothing_while_a_loop_hangs() {
        let statuses = Statuses::default();
        let well = statuses.publisher("well");
        let runner = Runner::new(Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH)), statuses.clone());
        tokio::spawn(async move { runner.run(Stuck, &CancellationToken::new()).await });
        let heard = |watchdog: bool| {
            let (text, is_well) = condition(&statuses.all());
            let said = states(&text, is_well && watchdog).len();
            (text, said == 2)
        };
        tokio::time::sleep(LOOP_HANGS_AFTER / 2).await;
        assert_eq!(heard(true), ("2 loops run".into(), true));
        assert_eq!(heard(false), ("2 loops run".into(), false), "there is no watchdog");
        let failing = Failing { since: Timestamp::UNIX_EPOCH, error: "disk full".into() };
        well.publish(|status| status.failing = Some(failing));
        assert_eq!(heard(true), ("2 loops run; failing: well".into(), true), "it goes round");
        tokio::time::sleep(LOOP_HANGS_AFTER).await;
        assert_eq!(heard(true), ("hanging: stuck".into(), false));
    }
}
