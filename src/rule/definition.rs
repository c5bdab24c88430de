//! A rule as the configuration defines it: whom it concerns, what must hold, how bad that is, and who is told.
//!
//! Pure data, with what follows from it alone. It must never know of history, of the clock, or of what was told before.

use std::collections::BTreeSet;
use std::time::Duration;

use super::group::Grouping;
use super::hours::{FirstStep, Hours};
use super::matches::Matches;
use super::trigger::Trigger;
use crate::coding::hex;
use crate::model::{InstanceType, JobStatus, Labels, ReceiverId, RuleId, Severity, SourceId, Status};

/// One rule of the configuration.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its key in the configuration: stable, part of every alert's id.
    pub id: RuleId,
    /// Which instances it concerns.
    pub matches: Matches,
    /// What must hold for one of them.
    pub when: Condition,
    /// How bad that is.
    pub severity: Severity,
    /// Who is told at once, at whatever hour.
    pub notify: Vec<ReceiverId>,
    /// In which hours each of them is, where any goes by hours; empty where all are told at any time.
    pub hours: Vec<FirstStep>,
    /// What its alerts are called by.
    pub labels: Labels,
    /// Who is told later, while the alert still fires; the earliest first.
    pub escalation: Vec<Step>,
    /// How often the steps begin anew while the alert fires and nobody has acknowledged it.
    pub rounds: Option<Rounds>,
    /// How its alerts are told together; without it, each alone.
    pub group: Option<Grouping>,
    /// After how long without a message each alert that still fires is told again; for what is told together the group says
    /// that.
    pub repeat: Option<Duration>,
    /// Which success ends the alert of a run that failed.
    pub recovers: Recovers,
}

/// Which success ends the alert of a run that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recovers {
    /// That of the same run, and that of a run of the same job planned later.
    #[default]
    LaterRun,
    /// That of the same run alone.
    SameRun,
}

impl Recovers {
    /// The words of the configuration.
    pub const WORDS: [&'static str; 2] = ["job", "run"];

    /// What a word of the configuration names.
    pub fn from_word(word: &str) -> Option<Recovers> {
        match word {
            "job" => Some(Recovers::LaterRun),
            "run" => Some(Recovers::SameRun),
            _ => None,
        }
    }
}

/// A later step of a rule: who is told while the alert still fires.
#[derive(Debug, Clone)]
pub struct Step {
    /// How long after the first telling.
    pub after: Duration,
    /// Whether nobody is told when the alert has been acknowledged.
    pub unless_acked: bool,
    /// Who is told.
    pub to: Vec<ReceiverId>,
    /// In which hours: an alert that comes to the step at another time passes it by.
    pub hours: Hours,
}

/// How often the steps of a rule begin anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// How long after the beginning of one round the next one begins.
    pub every: Duration,
    /// How many there are behind the first.
    pub times: u32,
}

/// What must hold for an instance. All given parts must.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// The instance is in one of these; empty means any status.
    pub statuses: BTreeSet<Status>,
    /// It has lasted at least this long.
    pub duration: Option<Duration>,
    /// The job itself is in one of these. Such a rule is about jobs, and about no instance.
    pub job_statuses: BTreeSet<JobStatus>,
    /// The job's history or the clock must say so. It stands alone.
    pub trigger: Option<Trigger>,
}

impl Rule {
    /// Whether anything is told again while it fires.
    pub fn repeats(&self) -> bool {
        self.repeat.is_some() || self.group.as_ref().is_some_and(|group| group.repeat.is_some())
    }

    /// Everybody whom it tells, at once or later.
    pub fn receivers(&self) -> impl Iterator<Item = &ReceiverId> {
        self.notify.iter().chain(self.escalation.iter().flat_map(|step| &step.to))
    }

    /// Whether the rule is about jobs of this source.
    pub fn concerns_source(&self, source: &SourceId) -> bool {
        self.matches.sources.is_empty() || self.matches.sources.contains(source)
    }

    /// Whether instances of this type count in the job's history: those the rule lists, and if it lists none, all but
    /// backfill.
    pub fn concerns(&self, kind: InstanceType) -> bool {
        match self.matches.instance_types.as_slice() {
            [] => kind != InstanceType::Backfill,
            listed => listed.contains(&kind),
        }
    }

    /// Whether instances of this type are what a deadline is about: those the rule lists, and if it lists none, those
    /// that somebody's plan asked for.
    pub fn expects(&self, kind: InstanceType) -> bool {
        match self.matches.instance_types.as_slice() {
            [] => !matches!(kind, InstanceType::Backfill | InstanceType::Manual),
            listed => listed.contains(&kind),
        }
    }

    /// A short digest of the rule's name, match and condition: it changes when the rule comes to mean something else,
    /// and then the rule looks at its sources as if for the first time. Severity and receivers do not count.
    pub fn mark(&self) -> String {
        use sha2::{Digest, Sha256};
        let Matches { sources, jobs, not, instance_types } = &self.matches;
        let mut hash = Sha256::new();
        let mut part = |name: &str, text: &str| {
            hash.update(format!("{name} {} {text}\n", text.len()));
        };
        part("rule", self.id.as_str());
        sources.iter().for_each(|source| part("source", source.as_str()));
        jobs.iter().for_each(|pattern| part("job", pattern.as_str()));
        not.iter().for_each(|pattern| part("not", pattern.as_str()));
        instance_types.iter().for_each(|kind| part("type", kind.as_str()));
        self.when.statuses.iter().for_each(|status| part("status", status.as_str()));
        self.when.job_statuses.iter().for_each(|status| part("job status", status.as_str()));
        if let Some(duration) = self.when.duration {
            part("duration", &duration.as_secs().to_string());
        }
        if let Some(trigger) = &self.when.trigger {
            part("trigger", &trigger.mark());
        }
        hex(&hash.finalize()[..8])
    }
}
