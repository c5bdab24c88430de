//! What an explanation is made of: the run, each rule's word on it, and the alerts with what became of them.

use jiff::Timestamp;

use super::outcome::Outcome;
use crate::alert::identity::escalation_step;
use crate::model::{Ack, Alert, DeliveryState, Instance, SourceId};
use crate::rule::{Rule, Standing};
use crate::store::{DeliveryRecord, Transition};

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

/// An alert, and what became of it.
#[derive(Debug)]
pub struct Told {
    /// The alert.
    pub alert: Alert,
    /// Who is on it.
    pub ack: Option<Ack>,
    /// What was pending for it, the oldest first.
    pub deliveries: Vec<TracedDelivery>,
}

/// One message, with the one that told it together with others.
#[derive(Debug)]
pub struct TracedDelivery {
    /// The message.
    pub record: DeliveryRecord,
    /// Where it was merged.
    pub group: Option<DeliveryRecord>,
}

impl TracedDelivery {
    /// Where it stands: what was merged stands where its group does.
    pub fn state(&self) -> DeliveryState {
        self.group.as_ref().unwrap_or(&self.record).delivery.state
    }

    /// Which later step of the rule made it; none of a first telling.
    pub fn step(&self) -> Option<u32> {
        escalation_step(&self.record.delivery)
    }

    /// The window that it is held back for, while it is.
    pub fn held_for(&self) -> Option<&str> {
        self.gathers_until().and(self.record.delivery.group.as_ref()?.window())
    }

    /// Until when it waits for others of its group; none for one that waits for none, or does no longer.
    pub fn gathers_until(&self) -> Option<Timestamp> {
        let delivery = &self.record.delivery;
        let waits = delivery.state == DeliveryState::Pending
            && delivery.group.as_ref().is_some_and(|group| group.told_at.is_none());
        delivery.next_attempt_at.filter(|_| waits)
    }
}
