//! What people did at the time that is played: the silences that they made and ended, the alerts that they took on.
//! Does each when its time has come, and decides nothing.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::model::{Ack, Alert, AlertId, Silence, SilenceId, Suppression};
use crate::store::{Desk as _, NewSilence, SqlStore, StoreError};

/// What is still to be done.
pub(super) struct Cues {
    /// Silences to make, the next one last.
    to_make: Vec<Silence>,
    /// Silences to end early.
    to_expire: Vec<(Timestamp, SilenceId, String)>,
    /// Alerts that somebody takes on, the next one last.
    to_ack: Vec<(AlertId, Ack)>,
    /// The number that each was given, with the one that it had.
    names: HashMap<SilenceId, SilenceId>,
}

impl Cues {
    pub(super) fn new(mut silences: Vec<Silence>, mut acks: Vec<(AlertId, Ack)>) -> Cues {
        silences.sort_by_key(|silence| std::cmp::Reverse((silence.created_at, silence.id)));
        acks.sort_by_key(|(_, ack)| std::cmp::Reverse(ack.at));
        Cues { to_make: silences, to_expire: Vec::new(), to_ack: acks, names: HashMap::new() }
    }

    /// Does what was done by `now`.
    pub(super) async fn give(&mut self, store: &SqlStore, now: Timestamp) -> Result<(), StoreError> {
        while let Some(silence) = self.to_make.pop_if(|silence| silence.created_at <= now) {
            let new = NewSilence {
                concerns: silence.concerns,
                reason: silence.reason,
                by: silence.by,
                ends_at: silence.ends_at,
            };
            let id = store.add_silence(&new, silence.created_at).await?;
            self.names.insert(id, silence.id);
            self.to_expire.extend(silence.expired.map(|(at, by)| (at, id, by)));
        }
        let (due, later) = std::mem::take(&mut self.to_expire).into_iter().partition(|(at, _, _)| *at <= now);
        self.to_expire = later;
        let due: Vec<(Timestamp, SilenceId, String)> = due;
        for (at, id, by) in due {
            store.expire_silence(id, &by, at).await?;
        }
        while let Some((alert, ack)) = self.to_ack.pop_if(|(_, ack)| ack.at <= now) {
            // By these rules the alert may never have begun, and there is nothing to take on.
            if !store.alerts_named(alert.as_str()).await?.is_empty() {
                store.ack(&[alert], &ack).await?;
            }
        }
        Ok(())
    }

    /// Calls the silences that held alerts back by the numbers that they had then.
    pub(super) fn name_as_before(&self, alerts: &mut [Alert]) {
        for alert in alerts {
            if let Some(Suppression::Silence(id)) = &mut alert.suppressed_by
                && let Some(before) = self.names.get(id)
            {
                *id = *before;
            }
        }
    }
}
