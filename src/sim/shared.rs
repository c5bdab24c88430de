//! What the gateway and the handle of a workspace share.
//!
//! Data only.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use super::config::SimConfig;
use super::fault::Fault;
use super::state::State;
use super::tokens::Tokens;
use crate::clock::Clock;

/// How often it was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// For a page of the instance list.
    pub list: usize,
    /// For the detail of an instance.
    pub detail: usize,
    /// For a page of the job list.
    pub jobs: usize,
    /// For the status of a real-time job.
    pub job_status: usize,
    /// For a token.
    pub sign_in: usize,
    /// Of these or others, how many the gateway refused.
    pub refused: usize,
    /// How many pages of the instance list were under way at one time, at most.
    pub lists_at_once: usize,
}

/// What the handles and the server share.
pub(in crate::sim) struct Shared {
    pub(super) config: SimConfig,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: Mutex<State>,
    pub(super) faults: Mutex<Vec<Fault>>,
    pub(super) requests: Mutex<Requests>,
    /// Pages of the instance list that are under way.
    pub(super) lists: AtomicUsize,
    pub(super) tokens: Mutex<Tokens>,
    /// When requests were let through, where they are counted.
    pub(super) answered: Mutex<Vec<jiff::Timestamp>>,
}
