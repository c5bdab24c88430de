//! What people did at the time that is played: the silences that they made and ended, the alerts that they took on.
//! Knows what of it was done by when, and decides nothing.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::model::{Ack, AlertId, Silence};

/// What was done, and what is still to be done.
pub(super) struct People {
    /// All silences, the oldest first.
    all: Vec<Silence>,
    /// Those that were made by now, as they were then.
    silences: Vec<Silence>,
    /// When the next silence is made or ended.
    next_change: Option<Timestamp>,
    /// Alerts that somebody takes on, the next one last.
    to_ack: Vec<(AlertId, Ack)>,
    acks: HashMap<AlertId, Ack>,
}

impl People {
    pub(super) fn new(mut silences: Vec<Silence>, mut acks: Vec<(AlertId, Ack)>) -> People {
        silences.sort_by_key(|silence| (silence.created_at, silence.id));
        acks.sort_by_key(|(_, ack)| std::cmp::Reverse(ack.at));
        let next_change = Some(Timestamp::MIN);
        People { all: silences, silences: Vec::new(), next_change, to_ack: acks, acks: HashMap::new() }
    }

    /// Does what was done by `now`. By these rules an alert may never have begun (`is_there`), and there is nothing to take
    /// on.
    pub(super) fn act(&mut self, now: Timestamp, is_there: impl Fn(&AlertId) -> bool) {
        if self.next_change.is_some_and(|next| next <= now) {
            let made = self.all.iter().filter(|silence| silence.created_at <= now);
            let as_they_were = made.map(|silence| {
                let expired = silence.expired.clone().filter(|(at, _)| *at <= now);
                Silence { expired, ..silence.clone() }
            });
            self.silences = as_they_were.collect();
            let changes = self.all.iter().flat_map(|silence| {
                let ended = silence.expired.as_ref().map(|(at, _)| *at);
                [Some(silence.created_at), ended].into_iter().flatten()
            });
            self.next_change = changes.filter(|change| *change > now).min();
        }
        while let Some((alert, ack)) = self.to_ack.pop_if(|(_, ack)| ack.at <= now) {
            if is_there(&alert) {
                self.acks.insert(alert, ack);
            }
        }
    }

    /// The silences that were made by now.
    pub(super) fn silences(&self) -> &[Silence] {
        &self.silences
    }

    /// Those that hold.
    pub(super) fn active_silences(&self, now: Timestamp) -> Vec<Silence> {
        self.silences.iter().filter(|silence| silence.is_active(now)).cloned().collect()
    }

    /// Who has taken on an alert.
    pub(super) fn ack(&self, alert: &AlertId) -> Option<&Ack> {
        self.acks.get(alert)
    }
}
