//! Decisions without a store, a source or a clock: what a poll that sees this notifies people of.

mod coverage;
mod cuts;
mod ends;
mod held;
mod inhibit;
mod lives;
mod speed;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use nightbell::config::Config;
use nightbell::decide::{Audience, Decided, Decider, InMemory, Look, Notice};
use nightbell::model::{Alert, AlertState, Coverage, Instance, Job, JobList, MessageKind, Part, Status, Window};

use crate::poll::world::{configuration, run};
use crate::sample::at;

/// A source over a night, and what is decided about it.
pub(super) struct Night {
    config: Arc<Config>,
    pub(super) decider: Decider,
    pub(super) known: InMemory,
    pub(super) now: Timestamp,
    pub(super) lookback: SignedDuration,
    pub(super) scope: String,
}

impl Night {
    pub(super) fn new(rules: &str) -> Night {
        Night::of(Arc::new(configuration(rules)))
    }

    /// The same, of rules that were read before: reading them takes longer than a life.
    pub(super) fn new_from(rules: &'static str) -> Night {
        Night::of(read_once(rules))
    }

    fn of(config: Arc<Config>) -> Night {
        let decider = config.decider(&config.sources[0], None);
        let lookback = SignedDuration::from_hours(24);
        Night { config, decider, known: InMemory::default(), now: at(0), lookback, scope: String::new() }
    }

    pub(super) fn rules_from(&mut self, rules: &'static str) {
        self.config = read_once(rules);
        self.decider = self.config.decider(&self.config.sources[0], None);
    }

    pub(super) fn pass(&mut self, minutes: i64) {
        self.now += SignedDuration::from_mins(minutes);
    }

    /// The program starts anew with other rules.
    pub(super) fn rules(&mut self, rules: &str) {
        self.config = Arc::new(configuration(rules));
        self.decider = self.config.decider(&self.config.sources[0], None);
    }

    pub(super) fn restart(&mut self) {
        self.decider = self.known.restart(&self.decider);
    }

    pub(super) fn whole(&self) -> Coverage {
        Coverage::whole(Window { from: self.now - self.lookback, to: self.now }, self.scope.clone())
    }

    /// A listing of which some runs could not be read.
    pub(super) fn short(&self) -> Coverage {
        self.whole().without(Part::AnyRun, "3 of 4 instances could be read")
    }

    /// A whole listing; what follows, a line each.
    pub(super) fn poll(&mut self, runs: impl IntoIterator<Item = Instance>) -> Vec<String> {
        let coverage = self.whole();
        self.poll_with(runs, coverage)
    }

    pub(super) fn poll_with(&mut self, runs: impl IntoIterator<Item = Instance>, coverage: Coverage) -> Vec<String> {
        let decided = self.decide(runs, coverage);
        notices(&decided)
    }

    /// A whole listing by a poll that has read the list of jobs, too, where there is one.
    pub(super) fn poll_with_jobs(
        &mut self,
        runs: impl IntoIterator<Item = Instance>,
        jobs: Option<Vec<Job>>,
    ) -> Vec<String> {
        self.poll_with_list(runs, jobs.map(JobList::whole))
    }

    /// The same where the list may not be whole.
    pub(super) fn poll_with_list(
        &mut self,
        runs: impl IntoIterator<Item = Instance>,
        jobs: Option<JobList>,
    ) -> Vec<String> {
        let (coverage, look) = (self.whole(), Look { jobs, ..Look::at(self.now) });
        notices(&self.known.poll(&mut self.decider, runs.into_iter().collect(), coverage, &look))
    }

    pub(super) fn decide(&mut self, runs: impl IntoIterator<Item = Instance>, coverage: Coverage) -> Decided {
        let look = Look::at(self.now);
        let inside = |run: &Instance| run.plan_time.is_none_or(|plan| plan >= coverage.window.from);
        let runs = runs.into_iter().filter(inside).collect();
        self.known.poll(&mut self.decider, runs, coverage, &look)
    }

    pub(super) fn firing(&self) -> Vec<String> {
        let mut firing: Vec<String> = self
            .known
            .memory
            .firing
            .firing()
            .map(|alert| {
                let suspended = if alert.suspended_at.is_some() { " suspended" } else { "" };
                format!("{} {}{suspended}", alert.rule, subject(alert))
            })
            .collect();
        firing.sort();
        firing
    }

    /// A run that began so many minutes ago.
    pub(super) fn began(&self, id: &str, status: Status, minutes: i64) -> Instance {
        run("etl", id, status, self.now - SignedDuration::from_mins(minutes), None)
    }

    /// One that took the first five of them.
    pub(super) fn ended(&self, id: &str, status: Status, minutes: i64) -> Instance {
        let began = self.now - SignedDuration::from_mins(minutes);
        run("etl", id, status, began, Some(began + SignedDuration::from_mins(5)))
    }
}

fn read_once(rules: &'static str) -> Arc<Config> {
    static READ: Mutex<BTreeMap<&str, Arc<Config>>> = Mutex::new(BTreeMap::new());
    Arc::clone(READ.lock().unwrap().entry(rules).or_insert_with(|| Arc::new(configuration(rules))))
}

fn subject(alert: &Alert) -> String {
    let id = alert.facts.instance.as_ref().map_or("-", |run| &run.id);
    format!("{}/{id}", alert.facts.job.name)
}

/// What people are notified of: "failed etl/1 firing", "failed etl/1 over recovered".
pub(super) fn notices(decided: &Decided) -> Vec<String> {
    let mut lines: Vec<String> = decided
        .notices
        .iter()
        .filter(|notice| notice.audience != Audience::KeepIncidents)
        .map(|notice| line(decided, notice))
        .collect();
    lines.sort();
    lines
}

fn line(decided: &Decided, notice: &Notice) -> String {
    let alert = decided.alert(notice.alert);
    let part = &alert.facts.alert;
    let what = match (notice.kind, &part.ended) {
        (MessageKind::AlertFiring, None) if part.episode > 1 => format!("firing again {}", part.episode),
        (MessageKind::AlertFiring, None) => "firing".to_string(),
        (MessageKind::AlertResolved, Some(ended)) => format!("over {}", ended.reason.as_str()),
        odd => format!("{odd:?}"),
    };
    format!("{} {} {what}", alert.rule, subject(alert))
}

/// Every alert that was decided is firing without an end, or over with one.
pub(super) fn check_ends(decided: &Decided) {
    for alert in decided.fired.iter().map(|alert| &**alert).chain(&decided.changed) {
        let has_end = alert.facts.alert.ended.is_some() && alert.facts.alert.ends_at.is_some();
        assert_eq!(alert.state() == AlertState::Resolved, has_end, "{alert:?}");
    }
}
