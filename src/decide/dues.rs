//! Due times as one look works them out: once, whoever asks for them.
//!
//! The same due times are asked for before the schedules are read, when the store is asked, and when they are judged; of
//! thousands of jobs with schedules of their own that is most of what a quiet look costs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::rule::daily::{Daily, Due};
use crate::rule::plans::Plan;
use crate::rule::recurring::{DueTime, Recurring};

/// By rule, and up to when it has judged.
type ByRule<T> = HashMap<(usize, Timestamp), Arc<T>>;

/// The due times that were worked out for a look.
#[derive(Debug, Default)]
pub(super) struct Dues {
    /// When that look began.
    until: Option<Timestamp>,
    daily: ByRule<Vec<Due>>,
    recurring: ByRule<(Vec<DueTime>, bool)>,
    own: ByRule<DueByJob>,
}

impl Dues {
    /// Those of the look that began at `until`; what was worked out for another is forgotten.
    fn at(&mut self, until: Timestamp) -> &mut Dues {
        if self.until != Some(until) {
            *self = Dues { until: Some(until), ..Dues::default() };
        }
        self
    }

    /// The deadlines of a rule after `after`, up to `until`.
    pub(super) fn daily(&mut self, rule: usize, daily: &Daily, after: Timestamp, until: Timestamp) -> Arc<Vec<Due>> {
        let known = &mut self.at(until).daily;
        Arc::clone(known.entry((rule, after)).or_insert_with(|| Arc::new(daily.dues(after, until))))
    }

    /// The due times of a rule after `after`, up to `until`, and whether there are more.
    pub(super) fn recurring(
        &mut self,
        rule: usize,
        recurring: &Recurring,
        after: Timestamp,
        until: Timestamp,
    ) -> Arc<(Vec<DueTime>, bool)> {
        let known = &mut self.at(until).recurring;
        Arc::clone(known.entry((rule, after)).or_insert_with(|| Arc::new(recurring.due_times(after, until))))
    }

    /// What is due by the schedules of jobs after `after`, up to `until`, where that was worked out.
    pub(super) fn own(&mut self, rule: usize, after: Timestamp, until: Timestamp) -> Option<Arc<DueByJob>> {
        self.at(until).own.get(&(rule, after)).cloned()
    }

    /// Keeps what is due by the schedules of jobs.
    pub(super) fn keep_own(&mut self, rule: usize, after: Timestamp, until: Timestamp, due: DueByJob) -> Arc<DueByJob> {
        let due = Arc::new(due);
        self.at(until).own.insert((rule, after), Arc::clone(&due));
        due
    }

    /// Forgets what is due by the schedules of jobs: they were read anew.
    pub(super) fn forget_own(&mut self) {
        self.own.clear();
    }
}

/// The due times of each job for which no run was looked for yet.
pub(super) type DueByJob = BTreeMap<String, (Plan, Vec<DueTime>)>;
