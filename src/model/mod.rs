//! The nouns of the program as plain data: jobs' instances and nodes, alerts, deliveries, and the message that tells
//! of them.
//!
//! Nothing here does anything but hold, name and order values. It reads and writes nothing, and must never know of a
//! scheduler's wire format, of SQL or of a channel.

mod action;
mod alert;
mod coverage;
mod delivery;
mod digest;
mod escalation;
mod fate;
mod id;
mod instance;
mod job;
mod labels;
mod lately;
mod meant_for;
mod measures;
mod message;
mod poll;
mod prose;
mod queue;
mod rare;
mod reason;
mod role;
mod severity;
mod sighting;
mod silence;
mod state;
mod status;
mod step;

pub use action::{Action, ActionKind};
pub use alert::{Alert, Suppression};
pub use coverage::{Coverage, Covered, LeftOut, Part, SetAside, Unread};
pub use delivery::{
    Attempt, AttemptOutcome, Content, Delivery, DeliveryState, GroupPlace, Notification, RECEIVER_GONE, Revival,
};
pub use digest::{
    AlertsPart, BarPart, BreachPart, ChangePart, ChartPart, CompletenessPart, DigestFacts, DigestPart, GapCause,
    GapPart, Listed, Outcomes, PeriodPart, ReasonCount, RunPart, SourceLine, StatusCount, TotalsPart, TroublePart,
    UsualRange, VerdictPart, VerdictState,
};
pub use escalation::{Escalation, RuleStep};
pub use fate::{INTERRUPTED, NEVER_FIRED, NotRevived};
pub use id::{AlertId, DeliveryId, ReceiverId, RuleId, SourceId};
pub use instance::{
    Belonging, Instance, InstanceKey, InstanceType, JobRef, Node, NodeDetails, PartOf, Snapshot, Window, WorkflowRun,
};
pub use job::{Job, JobList, JobSchedule, JobStatus};
pub use labels::{LabelMatch, Labels, joined as joined_labels};
pub use lately::Lately;
pub use meant_for::{MeantFor, Untold};
pub use measures::{ConditionKind, Measures, Stage};
pub use message::{
    AlertFacts, AlertPart, GroupCounts, GroupFacts, InstancePart, JobMore, JobPart, Links, Message, MessageData,
    MessageKind, NodePart, SourcePart,
};
pub use poll::{PollOutcome, PollRecord};
pub use prose::{Piece, Prose};
pub use queue::{DueGroup, Mergeable, Queued};
pub use rare::{Rare, Seldom};
pub use reason::{Reason, ReasonCode};
pub use role::Role;
pub use severity::Severity;
pub use sighting::Sighting;
pub use silence::{Ack, Concerns, HeldBack, Silence, SilenceId};
pub use state::{AlertState, EndReason, Ended};
pub use status::Status;
pub use step::{DueStep, EscalatedEnd, StepTaken};
