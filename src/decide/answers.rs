//! What must be known beside what was seen, and is asked of the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use crate::limits::INHIBITING_MAX;
use crate::model::{Alert, InstanceKey, InstanceType, Silence, SilenceId, Snapshot, SourceId};

/// A span of instants, both ends included.
pub type Span = (Timestamp, Timestamp);

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// The jobs whose past runs are wanted, as many as any condition looks at.
    pub past: BTreeSet<String>,
    /// The jobs whose latest runs are wanted, and how many of each.
    pub latest: (BTreeSet<String>, usize),
    /// All runs that were planned or started in this span.
    pub runs: Option<Span>,
    /// The jobs of which a run was planned or started in each of these spans, with the types of the runs.
    pub planned: BTreeSet<Span>,
    /// Silences that may be over.
    pub silences: BTreeSet<SilenceId>,
    /// The sources whose alerts may inhibit those of this one.
    pub upstream: Vec<SourceId>,
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Past runs by job, each with its id.
    pub past: HashMap<String, Vec<(String, Snapshot)>>,
    /// The latest runs by job, each with its id.
    pub latest: HashMap<String, Vec<(String, Snapshot)>>,
    /// The runs of the span.
    pub runs: Vec<(InstanceKey, Snapshot)>,
    /// The jobs of each span.
    pub planned: BTreeMap<Span, BTreeSet<(String, InstanceType)>>,
    /// The silences that hold.
    pub active_silences: Vec<Silence>,
    /// The silences that were asked for.
    pub silences: HashMap<SilenceId, Silence>,
    /// The alerts of other sources that people were told of and that fire, the oldest first: one more than are looked at, where
    /// there are more.
    pub elsewhere: Vec<Alert>,
}

impl Answers {
    /// Those of the alerts of other sources that are looked at.
    pub(super) fn inhibiting(&self) -> &[Alert] {
        &self.elsewhere[..self.elsewhere.len().min(INHIBITING_MAX)]
    }
}
