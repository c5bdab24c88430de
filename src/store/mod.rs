//! The store: what must survive a restart, behind the one trait [`Store`].
//!
//! It holds the poll cursor of each source, the last snapshot of each instance, the alerts, the outbox of deliveries,
//! the log of attempts, and the log of what polls saw change. [`Store::commit_poll`] moves the first four in one transaction, so that whatever rewinds
//! the database costs a repeat and never a loss; [`Store::settle`] records attempts with the deliveries' new states.
//! No transaction is open while a network call runs. The store must never know of rules, wire formats or channels.
//!
//! [`SqlStore`] is the one implementation: SQL that is common to SQLite and PostgreSQL, with a small dialect for the rest.

mod escalation;
mod groups;
mod letters;
mod own;
mod record;
mod sql;
mod transition;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::Future;

use jiff::Timestamp;

use crate::digest::Tally;
use crate::model::{
    Ack, Alert, AlertFacts, AlertId, Delivery, DeliveryId, GapPart, Instance, InstanceType, ReceiverId, Silence,
    SilenceId, SourceId,
};

pub use escalation::{AfterStep, DueStep, EscalatedEnd, RuleStep, StepTaken};
pub use groups::{DueGroup, Unrepeated};
pub use letters::{
    AlertQuery, AttemptRecord, DeadLetters, DeliveryQuery, DeliveryRecord, Revived, StandIn, ToldInstead, Undelivered,
};
pub use own::{OwnCommit, OwnState, Troubled};
pub use record::{
    DigestCommit, DigestCursor, InstanceFilter, JobHistory, KeptRuns, Mergeable, NewSilence, PastRuns, PollCommit,
    Queued, Settled, Since, SourceCondition, SourceMemory,
};
pub use sql::{Mode, SqlStore, Telling};
pub use transition::{PollOutcome, PollRecord, Transition};

/// What survives a restart. Whatever a method has answered with `Ok` survives a power cut; after an error nothing of it
/// is there, unless the error came from the commit itself, and then repeating the call does no harm.
pub trait Store: Send + Sync {
    /// Everything remembered of a source that its next poll can meet again: instances that have not ended, those whose
    /// plan time is at most [`crate::limits::LISTED_AGAIN_MAX`] before the cursor, and those with a firing alert.
    /// An unknown source has an empty memory of generation 0.
    fn load_source(&self, source: &SourceId) -> impl Future<Output = Result<SourceMemory, StoreError>> + Send;

    /// Counts a configuration that takes effect at `now`, and returns its number: one more than the one before it. When the
    /// program starts (`!is_reload`) with the `fingerprint` of the last one, that one goes on.
    fn begin_generation(
        &self,
        fingerprint: &str,
        is_reload: bool,
        now: Timestamp,
    ) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// The generation of a source's memory: it grows by one with every commit, so that a cached memory can be checked.
    fn generation(&self, source: &SourceId) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Which of these alerts are there already, firing or ended.
    fn known_alerts(&self, ids: &[AlertId]) -> impl Future<Output = Result<HashSet<AlertId>, StoreError>> + Send;

    /// Moves cursor, snapshots, alerts and outbox in one transaction, and logs what changed. A repeat is no second telling: an alert that comes
    /// as fired while its id is there already (firing or resolved), or while another episode of it still fires, is left
    /// out, and so are the deliveries that come with it; a delivery whose id is there already is left as it is. An alert
    /// that comes as changed is written only while it fires: an ended episode stays ended. Of alerts that resolve and
    /// alerts that fire in the same commit the former are written first. A delivery that follows a merged one follows
    /// what that was merged into; one that follows a dead one is born dead.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another process committed since `commit.generation`; nothing was written.
    fn commit_poll(&self, commit: &PollCommit) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Records that a source could not be read. Moves no cursor and keeps the generation; the instant since when it
    /// cannot be read stays that of the first such record after a successful poll.
    fn record_unreadable(
        &self,
        source: &SourceId,
        now: Timestamp,
        reason: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes back what dead processes had claimed: due at `now`, and an attempt with an unknown outcome is logged for
    /// each, for it may have been sent. Returns how many there were. To be called before anything is claimed: it cannot
    /// tell a living lane's claims from a dead one's.
    fn reclaim(&self, now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Claims at most `limit` deliveries of a receiver that are due at `now`, the most urgent first and of them the longest
    /// due. A resolution is not claimed before the firing it follows is settled. A row that cannot be understood dies, with a log line.
    fn claim(
        &self,
        receiver: &ReceiverId,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;

    /// What [`Store::claim`] would claim, and claims nothing.
    fn queue(
        &self,
        receiver: &ReceiverId,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Queued>, StoreError>> + Send;

    /// What the alerts of these deliveries are now, in the deliveries' order. Left out is what has no readable alert, and
    /// what may have arrived already and must keep its name: that an attempt may have reached somebody is in its log.
    fn mergeable(&self, deliveries: &[DeliveryId]) -> impl Future<Output = Result<Vec<Mergeable>, StoreError>> + Send;

    /// Puts one delivery in the place of several: it is owed, they are merged into it, and what follows them follows it,
    /// all in one transaction. Returns false, and changes nothing, when one of them is claimed or not owed any more, or
    /// when the new one is there already.
    fn merge(&self, group: &Delivery, members: &[DeliveryId]) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The groups of `receiver` in which something has waited for others long enough at `by`, the worst first, each with
    /// the last time before `now` at which it was told something: a later one comes from a wall clock that was set back. A
    /// lane asks this before it claims: what waits is claimed by nobody until it was told with its group.
    fn due_groups(
        &self,
        receiver: &ReceiverId,
        by: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<DueGroup>, StoreError>> + Send;

    /// What waits in a group and follows nothing that is still owed, the worst first.
    fn gathered(
        &self,
        receiver: &ReceiverId,
        key: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Queued>, StoreError>> + Send;

    /// Has what waits in a group wait until `until` at least.
    fn postpone_group(
        &self,
        receiver: &ReceiverId,
        key: &str,
        until: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the wait of these deliveries: each is due at `now` by itself, and tells its group.
    fn tell_alone(
        &self,
        deliveries: &[DeliveryId],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What the alerts are now whose beginnings a message tells together; nothing of a message about one.
    fn told_by(&self, group: &DeliveryId) -> impl Future<Output = Result<Vec<AlertFacts>, StoreError>> + Send;

    /// The groups of which something still fires, is not held back and nobody is on it, that were told nothing for as long
    /// as their rule bears, and to which nothing is owed.
    fn unrepeated(&self, now: Timestamp) -> impl Future<Output = Result<Vec<Unrepeated>, StoreError>> + Send;

    /// Owes messages that tell groups again. One that is there already is left as it is.
    fn tell_again(&self, deliveries: &[Delivery]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// When attempts began since `since`, by receiver, the earliest first.
    fn attempts_since(
        &self,
        since: Timestamp,
    ) -> impl Future<Output = Result<Vec<(ReceiverId, Timestamp)>, StoreError>> + Send;

    /// Gives up claims without an attempt: the deliveries are as due as they were.
    fn release(&self, claimed: &[DeliveryId]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Records attempts with the deliveries' new states, all in one transaction, and gives up the claims. When a
    /// delivery dies, what follows it dies with it. Settling the same attempt twice is the same as once.
    fn settle(&self, settled: &[Settled]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// When the next unclaimed delivery of a receiver is due, if any is owed. One that waits for its predecessor to be
    /// settled does not count: there is no time at which it is due.
    fn next_due(&self, receiver: &ReceiverId) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// How many deliveries are owed to a receiver that are due at `now`, those included that wait for a predecessor.
    fn count_due(&self, receiver: &ReceiverId, now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Alerts, the newest first. Rows that cannot be understood are left out, with a log line.
    fn alerts(&self, limit: usize) -> impl Future<Output = Result<Vec<Alert>, StoreError>> + Send;

    /// Deliveries, the newest first. Rows that cannot be understood are left out, with a log line.
    fn deliveries(&self, limit: usize) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;

    /// The deliveries that `query` asks for, the newest first. Rows that cannot be understood are left out, with a log
    /// line.
    fn find_deliveries(
        &self,
        query: &DeliveryQuery,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;

    /// All that is known of one delivery; nothing when there is none of that name.
    fn delivery_record(
        &self,
        id: &DeliveryId,
    ) -> impl Future<Output = Result<Option<DeliveryRecord>, StoreError>> + Send;

    /// Makes dead deliveries owed again, due at `now`, in one transaction: the age after which they are given up begins
    /// anew, and what died with them is owed again behind them. Attempts made before stay in the log.
    fn revive(&self, which: &DeadLetters, now: Timestamp) -> impl Future<Output = Result<Revived, StoreError>> + Send;

    /// How each source fared at its last poll.
    fn sources(&self) -> impl Future<Output = Result<Vec<SourceCondition>, StoreError>> + Send;

    /// The names of all jobs of which instances are remembered, of one source or of all, in order.
    fn job_names(&self, source: Option<&SourceId>) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Instances as far as they are remembered, the latest planned first.
    fn instances(&self, filter: &InstanceFilter) -> impl Future<Output = Result<Vec<Instance>, StoreError>> + Send;

    /// What is remembered of each job, by name; the filter says which instances count.
    fn jobs(&self, filter: &InstanceFilter) -> impl Future<Output = Result<Vec<JobHistory>, StoreError>> + Send;

    /// What was learnt of a source, by question; empty for one that nothing is known of.
    fn load_learnt(
        &self,
        source: &SourceId,
    ) -> impl Future<Output = Result<BTreeMap<String, String>, StoreError>> + Send;

    /// Puts `learnt` in the place of what was learnt of a source before.
    fn save_learnt(
        &self,
        source: &SourceId,
        learnt: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Beginnings of critical and error alerts that `receiver` was not told of: owed since `owed_before` or longer, or
    /// dead since `died_after` or later. Those that a fallback was told of are left out; what was merged fares as the
    /// message that tells it. The longest owed first.
    fn undelivered(
        &self,
        receiver: &ReceiverId,
        owed_before: Timestamp,
        died_after: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Undelivered>, StoreError>> + Send;

    /// Since when the oldest of those is owed that are not dead, however short that is.
    fn oldest_undelivered(
        &self,
        receiver: &ReceiverId,
    ) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// Has fallbacks told, and marks the deliveries they stand in for, all in one transaction: one that was marked
    /// before, or has arrived since, is left as it is. A fallback that hears of the alert anyway is not told again.
    /// Returns how many were marked.
    fn stand_in(&self, stand_ins: &[StandIn]) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// What `receiver` was told in the place of others, of alerts that have ended since, and was not told of that.
    fn ended_since_told(
        &self,
        receiver: &ReceiverId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ToldInstead>, StoreError>> + Send;

    /// Adds the resolutions of such alerts. Those that are there already are left as they are; one that follows a dead
    /// delivery is born dead.
    fn add_answers(&self, answers: &[Delivery]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The alerts that fire, were told, and have come to one of these steps between `within.0` and `within.1`; those that
    /// were acknowledged only where the step does not mind. At most `limit`, the longest due first, beginning after one.
    fn due_steps(
        &self,
        steps: &[RuleStep],
        within: (Timestamp, Timestamp),
        after: Option<&AfterStep>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DueStep>, StoreError>> + Send;

    /// When the next of these steps is due later than `after`, if its alert fires until then.
    fn next_step(
        &self,
        steps: &[RuleStep],
        after: Timestamp,
    ) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// Takes steps, all in one transaction: what they owe is owed, once for each alert, step and receiver. One whose
    /// alert fires no more, is held back, or was acknowledged where that counts, is left out. Returns how many deliveries
    /// there are now.
    fn take_steps(&self, taken: &[StepTaken], now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Alerts that have ended since they went further, one for each step and receiver, whose end is not settled; of one
    /// alert and receiver the last step first.
    fn escalated_ends(&self, limit: usize) -> impl Future<Output = Result<Vec<EscalatedEnd>, StoreError>> + Send;

    /// Notes that these ends are settled, and owes the answers among them to who is not told of the end anyway, all in one
    /// transaction. An answer that follows a dead delivery is born dead. Returns how many answers there are now.
    fn settle_ends(&self, ends: &[EscalatedEnd]) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// The last runs of each of these jobs, at most `limit` of each, as far back as instances are kept.
    fn past_runs(
        &self,
        source: &SourceId,
        jobs: &[String],
        limit: usize,
    ) -> impl Future<Output = Result<PastRuns, StoreError>> + Send;

    /// The jobs of which a run was planned or started between `from` and `until`, both included, with the type of that
    /// run.
    fn planned_jobs(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<BTreeSet<(String, InstanceType)>, StoreError>> + Send;

    /// Records a silence that holds from `now` on, and returns its number.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when [`crate::limits::SILENCES_ACTIVE_MAX`] silences hold already.
    fn add_silence(
        &self,
        new: &NewSilence,
        now: Timestamp,
    ) -> impl Future<Output = Result<SilenceId, StoreError>> + Send;

    /// Ends a silence early. Returns it as it is then: one that has ended already is left as it was.
    fn expire_silence(
        &self,
        id: SilenceId,
        by: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Silence>, StoreError>> + Send;

    /// A silence, whether it holds or not.
    fn silence(&self, id: SilenceId) -> impl Future<Output = Result<Option<Silence>, StoreError>> + Send;

    /// The silences that hold at `now`, the oldest first.
    fn active_silences(&self, now: Timestamp) -> impl Future<Output = Result<Vec<Silence>, StoreError>> + Send;

    /// All silences, the newest first, each with the number of alerts that it holds back or that ended under it.
    fn silences(&self) -> impl Future<Output = Result<Vec<(Silence, u64)>, StoreError>> + Send;

    /// The alerts whose id begins with `prefix`, at most [`crate::limits::ALERTS_OF_A_PREFIX_MAX`].
    fn alerts_named(&self, prefix: &str) -> impl Future<Output = Result<Vec<Alert>, StoreError>> + Send;

    /// Records that somebody is on these alerts. The first one to say so of an alert stays.
    fn ack(&self, alerts: &[AlertId], ack: &Ack) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The alerts of these sources that fire and that people have heard of, the oldest first.
    fn told_and_firing(
        &self,
        sources: &[SourceId],
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Alert>, StoreError>> + Send;

    /// Who is on which alert.
    fn acks(&self) -> impl Future<Output = Result<HashMap<AlertId, Ack>, StoreError>> + Send;

    /// Notes a time that is over in which a source was not read; the same beginning noted again is the same gap, longer.
    fn record_gap(&self, gap: &GapPart, now: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How far a digest has got; none for one that was never begun.
    fn digest_cursor(&self, name: &str) -> impl Future<Output = Result<Option<DigestCursor>, StoreError>> + Send;

    /// Begins a digest that is not known: it will cover what is recorded from now on. Returns how far it has got.
    fn begin_digest(&self, name: &str, now: Timestamp)
    -> impl Future<Output = Result<DigestCursor, StoreError>> + Send;

    /// Puts everything that was recorded after `since` into the tally, with what is still open and still broken, by a
    /// bounded number of queries on one state of the store; the rows are not held. Returns the latest moment, which
    /// everything up to now has and nothing later will have.
    fn tally(&self, since: Since, tally: &mut Tally) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Moves a digest on and owes its deliveries, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::DigestMoved`] when it is not where the commit takes it from; nothing was written.
    fn commit_digest(&self, commit: &DigestCommit) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How sources and receivers fare, with the gaps that were closed since `closed_since`, and what is told of that
    /// already. Polls know nothing of those alerts.
    fn own_state(&self, closed_since: Timestamp) -> impl Future<Output = Result<OwnState, StoreError>> + Send;

    /// Moves the alerts about Nightbell itself, and what is owed for them, in one transaction. Of repeats the same holds as
    /// of a poll's.
    fn commit_own(&self, commit: &OwnCommit) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Proves that the store takes a write.
    fn beat(&self, now: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The states in which polls saw one run, the oldest first.
    fn transitions(
        &self,
        source: &SourceId,
        job: &str,
        id: &str,
    ) -> impl Future<Output = Result<Vec<Transition>, StoreError>> + Send;

    /// The states that polls of a source saw first between `from` and `until`, both included, in the order in which they
    /// were committed.
    fn transitions_between(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<Transition>, StoreError>> + Send;

    /// How each run of a source was last seen before `before`, by job and id.
    fn states_before(
        &self,
        source: &SourceId,
        before: Timestamp,
    ) -> impl Future<Output = Result<Vec<Transition>, StoreError>> + Send;

    /// The looks at a source between `from` and `until`, both included, the earliest first.
    fn polls_between(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<PollRecord>, StoreError>> + Send;

    /// Removes what ended before `before`, in small transactions. Returns how many rows went. What the source can still
    /// list again, what is owed and what fires stays, however old it is, and so do the `kept` runs; a delivery stays as long
    /// as its alert. The runs that go are counted by job and day.
    fn purge(&self, before: Timestamp, kept: &KeptRuns) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// Why the store cannot do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has committed for the source in between: decide again.
    #[error("another process committed for source {0} in between")]
    Conflict(SourceId),
    /// A digest has moved on in between: it was made already.
    #[error("the digest {0} was made in between")]
    DigestMoved(String),
    /// Another process holds the store.
    #[error("{path} is in use by process {pid}: only one nightbell can work on a store file")]
    Held {
        /// The store file.
        path: String,
        /// The holder.
        pid: String,
    },
    /// The file is no store of ours, or of a newer version.
    #[error("{0}")]
    Unusable(String),
    /// The disk or the database refused; nothing was acknowledged.
    #[error("the store failed: {0}")]
    Database(String),
    /// What was asked for is more than the store takes.
    #[error("{0}")]
    Refused(String),
    /// A stored row cannot be understood.
    #[error("a stored row cannot be understood: {0}")]
    Row(String),
}
