//! When a lane need not wait for the next attempts by their schedule: its receiver takes messages again, or may.
//!
//! A first success after failures proves that the channel works, and a lane that begins does so because somebody has
//! started the program or changed its configuration, maybe for the very reason that nothing arrived. What then waits for
//! its next attempt is due at once; the budget and what the channel has asked for hold as ever. A message that fails
//! although others arrive is fetched so only a few times, and goes by its own schedule after that. Pure: it holds no clock
//! and calls no store.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::limits::{HURRY_KNOWN_MAX, HURRY_TIMES_MAX};
use crate::model::{Attempt, AttemptOutcome, Delivery, DeliveryId};
use crate::store::Hurried;

/// What a lane remembers of its receiver's failures.
#[derive(Debug)]
pub(super) struct Recovery {
    /// How the receiver fared last.
    past: Past,
    /// Which deliveries are to be due at once, until the store was told.
    wanted: Option<Hurried>,
    /// When they were made due last.
    hurried_at: Option<Timestamp>,
    /// How often a delivery was made due before its time and failed all the same.
    in_vain: HashMap<DeliveryId, u32>,
}

/// How a receiver fared last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    /// The lane has made no attempt yet.
    Unknown,
    /// Something failed since the last success.
    Failed,
    /// Nothing did.
    Fine,
}

impl Recovery {
    pub(super) fn new() -> Recovery {
        Recovery { past: Past::Unknown, wanted: None, hurried_at: None, in_vain: HashMap::new() }
    }

    /// The lane begins at `now`: whatever failed before may succeed by now. What was refused as too much keeps the time
    /// that the channel asked for.
    pub(super) fn begins(&mut self, now: Timestamp) {
        self.wanted = Some(Hurried { attempted_before: now, spares_throttled: true, except: Vec::new() });
    }

    /// An attempt that began at `started_at` has ended.
    pub(super) fn noticed(&mut self, delivery: &Delivery, attempt: &Attempt, started_at: Timestamp) {
        match attempt.outcome {
            AttemptOutcome::Delivered => {
                self.in_vain.remove(&delivery.id);
                let before = std::mem::replace(&mut self.past, Past::Fine);
                if before != Past::Fine {
                    let stubborn = self.in_vain.iter().filter(|(_, times)| **times >= HURRY_TIMES_MAX);
                    let except = stubborn.map(|(id, _)| id.clone()).collect();
                    // A pause that the channel asked this lane for is over by now; of one before it nothing is known.
                    let spares_throttled = before == Past::Unknown;
                    self.wanted = Some(Hurried { attempted_before: started_at, spares_throttled, except });
                }
            }
            // The channel has understood the message and does not want it.
            AttemptOutcome::Rejected => {
                self.in_vain.remove(&delivery.id);
            }
            AttemptOutcome::Throttled => self.past = Past::Failed,
            AttemptOutcome::Retry | AttemptOutcome::Unauthorized | AttemptOutcome::Uncertain => {
                self.past = Past::Failed;
                let milliseconds = |at: Option<Timestamp>| at.map(Timestamp::as_millisecond);
                if self.hurried_at.is_some()
                    && milliseconds(delivery.next_attempt_at) == milliseconds(self.hurried_at)
                    && (self.in_vain.len() < HURRY_KNOWN_MAX || self.in_vain.contains_key(&delivery.id))
                {
                    *self.in_vain.entry(delivery.id.clone()).or_default() += 1;
                }
            }
        }
    }

    /// What the store is to be told at `now`, if anything is.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Hurried> {
        let wanted = self.wanted.take()?;
        self.hurried_at = Some(now);
        Some(wanted)
    }

    /// The store could not be told.
    pub(super) fn put_back(&mut self, wanted: Hurried) {
        self.wanted.get_or_insert(wanted);
    }
}
