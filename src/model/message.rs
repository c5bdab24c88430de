//! The message that tells of an alert: the default body of a webhook receiver, and the data that every template gets.
//!
//! The shape is a contract with users (README, "The webhook body"); a key is never renamed. Times are RFC 3339 in UTC,
//! unknown is `null`.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::DigestFacts;
use super::escalation::Escalation;
use super::id::{AlertId, RuleId, SourceId};
use super::instance::{InstanceKey, InstanceType};
use super::labels::Labels;
use super::lately::Lately;
use super::measures::Measures;
use super::prose::Prose;
use super::rare::{Rare, Seldom};
use super::reason::Reason;
use super::severity::Severity;
use super::silence::{Ack, HeldBack};
use super::state::{AlertState, Ended};
use super::status::Status;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MessageKind {
    /// A condition began to hold.
    #[serde(rename = "alert.firing")]
    AlertFiring,
    /// It no longer holds.
    #[serde(rename = "alert.resolved")]
    AlertResolved,
    /// Somebody has acknowledged an alert that fires.
    #[serde(rename = "alert.acknowledged")]
    AlertAcknowledged,
    /// An acknowledgement was removed; the alert fires on.
    #[serde(rename = "alert.unacknowledged")]
    AlertUnacknowledged,
    /// Several alerts in one message, because more waited than the channel takes.
    #[serde(rename = "alert.group")]
    AlertGroup,
    /// A scheduled summary.
    #[serde(rename = "digest")]
    Digest,
    /// Asked for by `send-test`.
    #[serde(rename = "test")]
    Test,
}

impl MessageKind {
    /// All of them.
    pub const ALL: [MessageKind; 7] = [
        MessageKind::AlertFiring,
        MessageKind::AlertResolved,
        MessageKind::AlertAcknowledged,
        MessageKind::AlertUnacknowledged,
        MessageKind::AlertGroup,
        MessageKind::Digest,
        MessageKind::Test,
    ];

    /// The word used in bodies, output and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            MessageKind::AlertFiring => "alert.firing",
            MessageKind::AlertResolved => "alert.resolved",
            MessageKind::AlertAcknowledged => "alert.acknowledged",
            MessageKind::AlertUnacknowledged => "alert.unacknowledged",
            MessageKind::AlertGroup => "alert.group",
            MessageKind::Digest => "digest",
            MessageKind::Test => "test",
        }
    }

    /// Whether it tells who is on an alert, and nothing of the alert itself.
    pub const fn is_about_ack(self) -> bool {
        matches!(self, MessageKind::AlertAcknowledged | MessageKind::AlertUnacknowledged)
    }

    /// The kind of the message about an alert that is in this state.
    pub const fn about(state: AlertState) -> MessageKind {
        match state {
            AlertState::Firing => MessageKind::AlertFiring,
            AlertState::Resolved => MessageKind::AlertResolved,
        }
    }

    /// The kind a stored word names.
    pub fn from_word(word: &str) -> Option<MessageKind> {
        MessageKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// When it was made.
    pub timestamp: Timestamp,
    /// What it says.
    pub data: MessageData,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum MessageData {
    /// Of one alert; also what a test message says, with sample values.
    Alert(Box<AlertFacts>),
    /// Of several alerts.
    Group(Box<GroupFacts>),
    /// A summary of a period.
    Digest(Box<DigestFacts>),
}

impl MessageData {
    /// The alerts it tells of, one or several; none in a digest.
    pub fn alerts(&self) -> &[AlertFacts] {
        match self {
            MessageData::Alert(facts) => std::slice::from_ref(&**facts),
            MessageData::Group(group) => &group.alerts,
            MessageData::Digest(_) => &[],
        }
    }
}

impl Message {
    /// What it says of an alert, where it tells of a single one.
    pub fn alert(&self) -> Option<&AlertFacts> {
        match &self.data {
            MessageData::Alert(facts) => Some(facts),
            MessageData::Group(_) | MessageData::Digest(_) => None,
        }
    }

    /// What it says of a period; none in any other message.
    pub fn digest(&self) -> Option<&DigestFacts> {
        match &self.data {
            MessageData::Digest(facts) => Some(facts),
            MessageData::Alert(_) | MessageData::Group(_) => None,
        }
    }
}

/// Everything a message says of several alerts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupFacts {
    /// The worst severity of what fires; `null` when all of it is over.
    pub severity: Option<Severity>,
    /// How many there are of each.
    pub counts: GroupCounts,
    /// How many more wait to be told in messages after this one.
    pub waiting: u64,
    /// The alerts, the worst first, those that are over last; among equals the one that began first.
    pub alerts: Vec<AlertFacts>,
    /// When this was told before, where the message tells again what still fires.
    pub last_told_at: Option<Timestamp>,
    /// What fires, on Nightbell's page, where there is one; put in when the message is rendered.
    pub url: Option<String>,
    /// The window that has opened, where the message tells what was held back until then.
    pub held_for: Option<String>,
}

/// How many alerts of a group fire, by severity, and how many are over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GroupCounts {
    /// Critical ones that fire.
    pub critical: u64,
    /// Errors that fire.
    pub error: u64,
    /// Warnings that fire.
    pub warning: u64,
    /// What is merely worth knowing and fires.
    pub info: u64,
    /// Those that are over.
    pub resolved: u64,
}

impl GroupFacts {
    /// The group of these alerts, put into order, with `waiting` more behind it.
    pub fn of(mut alerts: Vec<AlertFacts>, waiting: u64) -> GroupFacts {
        let is_over = |facts: &AlertFacts| facts.alert.state == AlertState::Resolved;
        // A workflow fails of the job in it, though both may show the same second.
        let is_part = |facts: &AlertFacts| facts.workflow_run().is_some();
        // What failed first may be what the others failed of. Among equals the names decide, so that every receiver has the
        // same order.
        alerts.sort_by(|one, other| {
            let place =
                |it: &AlertFacts| (is_over(it), std::cmp::Reverse(it.alert.severity), it.alert.starts_at, !is_part(it));
            let name = |it: &AlertFacts| (it.job.name.clone(), it.alert.id.clone());
            place(one).cmp(&place(other)).then_with(|| name(one).cmp(&name(other)))
        });
        let mut counts = GroupCounts::default();
        for facts in &alerts {
            let count = match (is_over(facts), facts.alert.severity) {
                (true, _) => &mut counts.resolved,
                (false, Severity::Critical) => &mut counts.critical,
                (false, Severity::Error) => &mut counts.error,
                (false, Severity::Warning) => &mut counts.warning,
                (false, Severity::Info) => &mut counts.info,
            };
            *count += 1;
        }
        let severity = alerts.iter().find(|facts| !is_over(facts)).map(|facts| facts.alert.severity);
        GroupFacts { severity, counts, waiting, alerts, last_told_at: None, url: None, held_for: None }
    }
}

/// Everything a message says of one alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertFacts {
    /// The alert itself.
    pub alert: AlertPart,
    /// Where it was seen.
    pub source: SourcePart,
    /// The job.
    pub job: JobPart,
    /// The run; `null` in an alert about the job itself.
    pub instance: Option<InstancePart>,
    /// The nodes to look at, the likeliest culprit first.
    pub failing_nodes: Vec<NodePart>,
    /// `ok`, or why the nodes are not told.
    pub node_details: String,
}

impl AlertFacts {
    /// The workflow and its instance that the run is a part of, where that is known.
    pub fn workflow_run(&self) -> Option<(&str, &str)> {
        let instance = self.instance.as_ref()?.workflow_instance.as_deref()?;
        Some((self.job.workflow.as_deref()?, instance))
    }

    /// What names the subject of the alert within its source: an instance, or a job, whose instance id is empty.
    pub fn subject(&self) -> InstanceKey {
        let id = self.instance.as_ref().map_or_else(String::new, |instance| instance.id.clone());
        InstanceKey { job: self.job.name.clone(), id }
    }
}

/// The alert's own part of a message. What few alerts have takes no room in the others: thousands may fire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertPart {
    /// Names the episode.
    pub id: AlertId,
    /// The rule's id.
    pub rule: RuleId,
    /// As the rule says.
    pub severity: Severity,
    /// Firing or resolved.
    pub state: AlertState,
    /// Since when the condition holds.
    pub starts_at: Timestamp,
    /// When it ceased to hold.
    pub ends_at: Option<Timestamp>,
    /// One line in English: what, and how long ("etl_orders failed after 1m 0s").
    pub summary: String,
    /// The same for programs and for other languages; `null` in alerts that an older version stored.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// What a condition on history or clock has found: keys of their own beside the others.
    #[serde(flatten)]
    pub measures: Rare<Measures>,
    /// What held it back, where it is told late.
    #[serde(default)]
    pub held_back: Option<Box<HeldBack>>,
    /// The labels of its rule and its source.
    #[serde(default)]
    pub labels: Labels,
    /// Whom it went to before, where it is told to further people because it still fires.
    #[serde(default)]
    pub escalation: Option<Box<Escalation>>,
    /// Which failure of the run this is, counted from 1: a run that is made again and fails again begins a new episode.
    #[serde(default = "first")]
    pub episode: u32,
    /// How it ended; `null` while it fires.
    #[serde(default)]
    pub ended: Option<Box<Ended>>,
    /// How its job has fared before it, where that was looked up: in alerts about jobs, when they are told.
    #[serde(default)]
    pub history: Option<Box<Lately>>,
    /// Who has acknowledged it: in messages that tell of that, and `null` in every other.
    #[serde(default)]
    pub acked: Option<Box<Ack>>,
    /// Whose acknowledgement was replaced or removed; only in messages that tell of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acked_before: Option<Box<Ack>>,
    /// Where to read on and to act: keys of their own beside the others.
    #[serde(flatten)]
    pub links: Rare<Links>,
}

/// What a message says of an alert beyond what is known of it. Put in when it is rendered, so that nothing of it is set in
/// what is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Links {
    /// Its address on Nightbell's page, where there is one.
    pub url: Option<String>,
    /// Where whoever receives the message can acknowledge the alert; like `url`, and only while it fires.
    pub ack_url: Option<String>,
    /// What the configuration says of alerts like this.
    pub description: Option<Prose>,
    /// The address of what to do about it, by the configuration.
    pub runbook: Option<String>,
    /// The address of the job or the run in the scheduler's console, by the configuration.
    pub console_url: Option<String>,
}

/// No links.
static NO_LINKS: Links = Links { url: None, ack_url: None, description: None, runbook: None, console_url: None };

impl Seldom for Links {
    fn empty() -> &'static Links {
        &NO_LINKS
    }
}

/// What an older version stored tells of first episodes.
const fn first() -> u32 {
    1
}

/// Where an alert was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourcePart {
    /// The source's key in the configuration.
    pub id: SourceId,
    /// Its kind: `dataarts`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The job of an alert.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobPart {
    /// Its name.
    pub name: String,
    /// The source's id of it.
    pub id: Option<String>,
    /// What is known of few jobs: keys of their own beside the others.
    #[serde(flatten)]
    pub more: Rare<JobMore>,
    /// The workflow in which it ran, where that was asked for and found out.
    #[serde(default)]
    pub workflow: Option<String>,
}

/// What few alerts say of their job: of a real-time job, or where the alert is about the job itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobMore {
    /// The real-time job that this sub-job belongs to, where it is one and that is known.
    pub real_time_job: Option<String>,
    /// The node of the real-time job whose work this sub-job does.
    pub node: Option<String>,
    /// The status of the job itself, in the source's word; this and what follows only in an alert about the job.
    pub status: Option<String>,
    /// Who owns it.
    pub owner: Option<String>,
    /// Who made it.
    pub create_user: Option<String>,
    /// How its last run ended, in the source's word.
    pub last_instance_status: Option<String>,
    /// When its last run ended.
    pub last_instance_end_time: Option<Timestamp>,
}

/// Nothing of that.
static NO_MORE: JobMore = JobMore {
    real_time_job: None,
    node: None,
    status: None,
    owner: None,
    create_user: None,
    last_instance_status: None,
    last_instance_end_time: None,
};

impl Seldom for JobMore {
    fn empty() -> &'static JobMore {
        &NO_MORE
    }
}

/// The run of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstancePart {
    /// The source's id of it, as text.
    pub id: String,
    /// The name it has in logs.
    pub name: Option<String>,
    /// The normalised status.
    pub status: Status,
    /// The source's own word.
    pub raw_status: String,
    /// How it came to run.
    #[serde(rename = "type")]
    pub kind: InstanceType,
    /// When it was due.
    pub plan_time: Option<Timestamp>,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// How long it lasted, in milliseconds.
    pub duration_ms: Option<u64>,
    /// A link to it in the scheduler's console.
    pub url: Option<String>,
    /// Why it failed, in the source's words, where it tells; may have several lines.
    #[serde(default)]
    pub error: Option<String>,
    /// The workflow's instance that it is a part of, where `job.workflow` is known.
    #[serde(default)]
    pub workflow_instance: Option<String>,
}

/// A node worth looking at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodePart {
    /// Its name.
    pub name: String,
    /// The kind of work it does, in the source's words.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The normalised status.
    pub status: Status,
    /// How often it was tried again.
    pub retries: Option<u64>,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// Where its log is, verbatim.
    pub log_path: Option<String>,
    /// The last lines of its log, where they were read; they stand under the instance's error, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<String>,
}
