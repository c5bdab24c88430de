//! What an explanation is made of: the run, each rule's word on it, and the alerts with what became of them.

use jiff::Timestamp;

use super::outcome::Outcome;
use super::traced::Told;
use crate::model::{Instance, SourceId};
use crate::rule::{Rule, Standing};
use crate::store::Transition;

/// What somebody asks after.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// One run.
    Run(Box<Instance>),
    /// A job, in a source.
    Job(SourceId, String),
}

/// Everything that can be said of one run or one job.
#[derive(Debug)]
pub struct Explanation<'a> {
    /// The source.
    pub source: SourceId,
    /// The job's name.
    pub job: String,
    /// The run that the rules are asked about: the one that was asked after, or the job's latest.
    pub run: Option<Instance>,
    /// Whether the job was asked after, and not that run.
    pub is_about_job: bool,
    /// The states in which polls saw the run that was asked after, the oldest first; of very many the latest.
    pub transitions: Vec<Transition>,
    /// How many earlier ones are left out.
    pub transitions_before: usize,
    /// The job's last runs, the latest planned first.
    pub runs: Vec<Instance>,
    /// When the source was last asked.
    pub polled_at: Option<Timestamp>,
    /// Since when the source cannot be read, and why; what is told here is as old as that.
    pub unreadable: Option<(Timestamp, String)>,
    /// What each rule makes of it, in the order of the configuration.
    pub rules: Vec<RuleExplained<'a>>,
    /// Alerts of rules that the configuration does not have any more.
    pub of_gone_rules: Vec<Told>,
}

/// What one rule makes of it.
#[derive(Debug)]
pub struct RuleExplained<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// How it stands now; nothing where it takes a run and there is none.
    pub standing: Option<Standing>,
    /// What came of it.
    pub outcome: Outcome,
    /// Its alerts about the run, or about the job and its runs, the newest first.
    pub told: Vec<Told>,
}
