//! What a channel has asked a lane for: to be left alone for a while.
//!
//! # States
//! | state | what the lane does | what comes next |
//! |---|---|---|
//! | open | as many attempts side by side as the notifier takes | paused, when the channel answers "too often" |
//! | paused | begins nothing | probing, when the pause is over |
//! | probing | one attempt at a time: a channel that is still busy is asked once, not many times | open, after any other answer; paused, after "too often" |
//!
//! Lanes to one receiver share it, the one before a reload and the one after, and whoever wants to know why nothing is
//! sent. It holds no clock; after a restart the channel is open, and asks again.

use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;

use crate::clock::is_due;
use crate::limits::RETRY_AFTER_MAX;
use crate::lock::locked;

/// The state of the way to one receiver.
#[derive(Debug, Clone, Default)]
pub struct Channel(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Open,
    /// A pause that is over is as good as probing.
    Paused(Timestamp),
    Probing,
}

impl Channel {
    /// Until when the channel wants to be left alone, if it does at `now`.
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        match *self.state() {
            // A pause that lies further ahead than one can be comes from a wall clock that was set back.
            State::Paused(until) => Some(until).filter(|until| !is_due(*until, now, RETRY_AFTER_MAX)),
            State::Open | State::Probing => None,
        }
    }

    /// How many of `concurrency` attempts may be under way.
    pub(super) fn width(&self, concurrency: usize) -> usize {
        match *self.state() {
            State::Open => concurrency.max(1),
            State::Paused(_) | State::Probing => 1,
        }
    }

    /// The channel has answered "too often", and is left alone until then.
    pub(super) fn pause(&self, until: Timestamp) {
        let mut state = self.state();
        let until = match *state {
            State::Paused(before) => before.max(until),
            State::Open | State::Probing => until,
        };
        *state = State::Paused(until);
    }

    /// The channel has asked another process to leave it alone until then.
    pub fn resume_pause(&self, until: Timestamp) {
        self.pause(until);
    }

    /// The channel has given another answer at `now`.
    pub(super) fn answered(&self, now: Timestamp) {
        if self.paused_until(now).is_none() {
            *self.state() = State::Open;
        }
    }

    /// A pause that was over at `now` does not begin again when the clock is set back.
    pub(super) fn notice(&self, now: Timestamp) {
        let is_over = self.paused_until(now).is_none();
        let mut state = self.state();
        if is_over && matches!(*state, State::Paused(_)) {
            *state = State::Probing;
        }
    }

    /// A state is one value: a poisoned lock holds as good a one as any.
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.0)
    }
}
