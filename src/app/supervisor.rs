//! What the service manager hears (systemd's `sd_notify`): when Nightbell is ready, reads its files again, stops, and that
//! its loops really go round. Without a `NOTIFY_SOCKET` in the environment nobody listens and nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::limits::{STOP_TIME_MAX, SUPERVISOR_EVERY};
use crate::worker::turn::Statuses;

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
        let all = statuses.all();
        let hanging: Vec<&str> = names(&all, |status| status.hangs());
        let failing: Vec<&str> = names(&all, |status| status.failing.is_some());
        let text = match (hanging.as_slice(), failing.as_slice()) {
            ([], []) => format!("{} loops run", all.len()),
            ([], failing) => format!("{} loops run; failing: {}", all.len(), failing.join(", ")),
            (hanging, _) => format!("hanging: {}", hanging.join(", ")),
        };
        let mut states = vec![NotifyState::Status(&text)];
        if hanging.is_empty() && watchdog.is_some() {
            states.push(NotifyState::Watchdog);
        }
        say(&states);
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

fn names(
    all: &std::collections::BTreeMap<String, crate::worker::turn::Status>,
    is_meant: impl Fn(&crate::worker::turn::Status) -> bool,
) -> Vec<&str> {
    all.iter().filter(|(_, status)| is_meant(status)).map(|(name, _)| name.as_str()).collect()
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager does not hear");
    }
}
