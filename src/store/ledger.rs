//! What a poll reads and commits: the memory of a source, and the one transaction that moves all of it.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::Future;

use jiff::Timestamp;

use super::error::StoreError;
use crate::decide::Memory;
use crate::model::{
    Alert, AlertId, Covered, GapPart, Instance, InstanceKey, InstanceType, Lately, Notification, PollOutcome, Snapshot,
    SourceId,
};

/// What a poll reads and commits.
pub trait PollLedger: Send + Sync {
    /// What a poll has at hand of a source from the start: what is covered, the instances that have not ended, those with a
    /// firing alert, and the alerts. The other instances it asks for, as it meets them: [`PollLedger::snapshots`].
    /// An unknown source has an empty memory of generation 0.
    fn load_source(&self, source: &SourceId) -> impl Future<Output = Result<Memory, StoreError>> + Send;

    /// These runs as they were last seen; left out is what is not known.
    fn snapshots(
        &self,
        source: &SourceId,
        keys: &[InstanceKey],
    ) -> impl Future<Output = Result<HashMap<InstanceKey, Snapshot>, StoreError>> + Send;

    /// Those of these jobs of which any run is known.
    fn known_jobs(
        &self,
        source: &SourceId,
        jobs: &BTreeSet<String>,
    ) -> impl Future<Output = Result<HashSet<String>, StoreError>> + Send;

    /// All runs that were planned or started between `from` and `until`, both included.
    fn runs_between(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<(InstanceKey, Snapshot)>, StoreError>> + Send;

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
    fn commit_poll(&self, commit: &PollCommit) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move { self.commit_rendering(commit, &mut std::iter::empty()).await }
    }

    /// The same with further deliveries that are pending from now on, rendered in slices: each slice is asked for when the
    /// one before it is written, all of them in the one transaction, so that of the messages of thousands of alerts few are
    /// held at once. Nothing that takes long may be done to render them: the store takes no other write meanwhile. They are
    /// rendered once more, from the beginning, when the database asks for the transaction again.
    ///
    /// # Errors
    /// As for [`PollLedger::commit_poll`].
    fn commit_rendering(
        &self,
        commit: &PollCommit<impl Borrow<Alert> + Sync>,
        rendered: &mut (impl Iterator<Item = Vec<Notification>> + Clone + Send + Sync),
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Records that a source could not be read. Moves no cursor and keeps the generation; the instant since when it
    /// cannot be read stays that of the first such record after a successful poll.
    fn record_unreadable(
        &self,
        source: &SourceId,
        now: Timestamp,
        reason: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Notes a time that is over in which a source was not read; the same beginning noted again is the same gap, longer.
    fn record_gap(&self, gap: &GapPart, now: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The last runs of each of these jobs that say whether it goes well, at most `limit` of each of its types, as far back
    /// as instances are kept: what waits or runs, and what came to be otherwise, takes no place from them.
    fn counted_runs(
        &self,
        source: &SourceId,
        jobs: &[String],
        limit: usize,
    ) -> impl Future<Output = Result<PastRuns, StoreError>> + Send;

    /// The last runs of each of these jobs, whatever became of them, at most `limit` of each, as far back as instances are
    /// kept.
    fn past_runs(
        &self,
        source: &SourceId,
        jobs: &[String],
        limit: usize,
    ) -> impl Future<Output = Result<PastRuns, StoreError>> + Send;

    /// How the jobs of these alerts have fared before them, by the alert: the runs since `since`, and what is usual. Asked for
    /// all of them at once.
    fn lately(
        &self,
        alerts: &[&Alert],
        since: Timestamp,
    ) -> impl Future<Output = Result<HashMap<AlertId, Lately>, StoreError>> + Send;

    /// The jobs of which a run was planned or started between `from` and `until`, both included, with the type of that
    /// run.
    fn planned_jobs(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<BTreeSet<(String, InstanceType)>, StoreError>> + Send;

    /// The alerts of these sources that fire and that people have heard of, the oldest first.
    fn told_and_firing(
        &self,
        sources: &[SourceId],
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Alert>, StoreError>> + Send;

    /// What was learnt of a source, by question; empty for one that nothing is known of. What was learnt of a receiver stands
    /// under a name that no source has.
    fn load_learnt(
        &self,
        source: &SourceId,
    ) -> impl Future<Output = Result<BTreeMap<String, String>, StoreError>> + Send;

    /// Has the store hold `learnt` where it held what was `known` of a source. Only what differs is written: what others
    /// have found out meanwhile stays.
    fn save_learnt(
        &self,
        source: &SourceId,
        known: &BTreeMap<String, String>,
        learnt: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Past runs by job, each with its instance id.
pub type PastRuns = HashMap<String, Vec<(String, Snapshot)>>;

/// What one poll changes. Who holds the alerts that began beside it hands in shares in them.
#[derive(Debug, Clone)]
pub struct PollCommit<A = Alert> {
    /// The source polled.
    pub source: SourceId,
    /// The generation the decisions rest on.
    pub generation: i64,
    /// When the poll began.
    pub now: Timestamp,
    /// What is covered from now on.
    pub covered: Covered,
    /// Whether the listing was whole.
    pub outcome: PollOutcome,
    /// Why the listing was not whole, where it was not.
    pub incomplete: Option<String>,
    /// Marks of the rules that have looked at all of this source, this poll included; `None` when they are the same as
    /// before.
    pub known_rules: Option<BTreeSet<String>>,
    /// Instances that are new or changed.
    pub instances: Vec<Instance>,
    /// Alerts that began to fire.
    pub fired: Vec<A>,
    /// Alerts that fired before and have changed: ended, let go, suspended.
    pub changed: Vec<Alert>,
    /// Deliveries that are now pending.
    pub deliveries: Vec<Notification>,
}
