//! What receivers are sent of what a poll decided, rendered while it is written.
//!
//! Of ten thousand messages a few hundred are held at once: a slice of them is made when the store asks for it, inside the
//! transaction of the poll, and is gone before the next one. So nothing in here waits for anybody: details were asked for
//! before. It must never know the store.

use std::collections::BTreeSet;
use std::slice::Iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::super::pending::Receivers;
use crate::decide::{Notice, Place};
use crate::limits::RENDERED_AT_ONCE;
use crate::model::{Alert, Notification, ReceiverId};
use crate::rule::RuleSet;

/// After so long a slice is handed over as it is: a storm of thousands must not keep the lanes from their turn.
const SLICE_TIME_MAX: Duration = Duration::from_millis(5);

/// The deliveries that follow from what was decided, slice by slice.
#[derive(Clone)]
pub(super) struct Rendering<'a> {
    notices: Iter<'a, Notice>,
    fired: &'a [Arc<Alert>],
    changed: &'a [Alert],
    receivers: &'a Receivers,
    rules: &'a RuleSet,
    now: Timestamp,
    /// How many there were until now.
    pub(super) count: usize,
    /// To whom.
    pub(super) nudged: BTreeSet<ReceiverId>,
}

impl<'a> Rendering<'a> {
    /// What is to be sent of `notices`, which are about alerts that begin, `fired`, or that fired before, `changed`.
    pub(super) fn new(
        notices: &'a [Notice],
        (fired, changed): (&'a [Arc<Alert>], &'a [Alert]),
        receivers: &'a Receivers,
        rules: &'a RuleSet,
        now: Timestamp,
    ) -> Rendering<'a> {
        let (notices, nudged) = (notices.iter(), BTreeSet::new());
        Rendering { notices, fired, changed, receivers, rules, now, count: 0, nudged }
    }

    /// What the receivers of a notice are sent.
    fn render(&self, notice: &Notice) -> Vec<Notification> {
        let alert = match notice.alert {
            Place::Fired(at) => &self.fired[at],
            Place::Changed(at) => &self.changed[at],
        };
        self.receivers.notified(alert, notice, self.rules, self.now)
    }
}

impl Iterator for Rendering<'_> {
    type Item = Vec<Notification>;

    fn next(&mut self) -> Option<Vec<Notification>> {
        let (mut slice, began) = (Vec::new(), Instant::now());
        while let Some(notice) = self.notices.next() {
            slice.extend(self.render(notice));
            if slice.len() >= RENDERED_AT_ONCE || began.elapsed() >= SLICE_TIME_MAX {
                break;
            }
        }
        self.count += slice.len();
        for delivery in &slice {
            if !self.nudged.contains(&delivery.receiver) {
                self.nudged.insert(delivery.receiver.clone());
            }
        }
        (!slice.is_empty() || self.notices.len() > 0).then_some(slice)
    }
}
