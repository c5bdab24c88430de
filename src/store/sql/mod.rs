//! [`SqlStore`]: the store in a SQL database.
//!
//! It reads and writes one SQLite file. `open` finds and guards the file, `poll` moves what a poll changes, `outbox`
//! claims and settles deliveries, `gather` knows those that wait for others of their group, `merge` puts one delivery in the
//! place of several, `learnt` keeps what was learnt of a source, `generation` which configuration is in force, `gap` when it
//! was not read, `own` what Nightbell watches of itself, `transition` what changed when, `digest` feeds and moves digests,
//! `silence` what people say to it, `escalation` takes alerts further, `purge` removes what is old, `history` and `alerts`
//! are what the commands show, `explain` and `survey` what they ask of the past; `items` turns values into rows and `rows`
//! turns rows
//! into values; `statements` and `dialect` hold the SQL, so that another database needs a dialect and no second copy of the logic. Nothing here knows
//! why a row is written.

mod alerts;
mod dialect;
mod digest;
mod escalation;
mod explain;
mod fallback;
mod forget;
mod gap;
mod gather;
mod generation;
mod history;
mod items;
mod learnt;
mod letters;
mod merge;
mod open;
mod outbox;
mod own;
mod past;
mod poll;
mod purge;
mod rows;
mod silence;
mod statements;
mod survey;
mod transition;

pub use survey::Telling;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;

use jiff::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool};

use self::dialect::Dialect;
use self::gather::Gathering;
use self::statements::Statements;
use super::{
    AfterStep, DeadLetters, DeliveryQuery, DeliveryRecord, DigestCommit, DigestCursor, DueGroup, DueStep, EscalatedEnd,
    InstanceFilter, JobHistory, KeptRuns, Mergeable, NewSilence, OwnCommit, OwnState, PastRuns, PollCommit, PollRecord,
    Queued, Revived, RuleStep, Settled, Since, SourceCondition, SourceMemory, StandIn, StepTaken, Store, StoreError,
    ToldInstead, Transition, Undelivered, Unrepeated,
};
use crate::digest::Tally;
use crate::model::{
    Ack, Alert, AlertFacts, AlertId, Delivery, DeliveryId, GapPart, Instance, InstanceType, ReceiverId, Silence,
    SilenceId, SourceId,
};

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To poll and deliver: alone on the file, which is made if it is not there.
    Work,
    /// To look, beside a process that works.
    Read,
    /// To make one small change, beside a process that works: takes no lock, makes no file, migrates nothing.
    Amend,
}

/// A store in a SQL database.
#[derive(Debug)]
pub struct SqlStore {
    dialect: Dialect,
    /// The file, for messages.
    place: String,
    /// A single connection: writers wait for their turn here, in order, and not in the database with back-off.
    writer: AnyPool,
    readers: AnyPool,
    statements: Statements,
    gathering: Gathering,
    /// Held as long as the store; the operating system lets go of it when the process dies, however it dies.
    _lock: Option<File>,
}

impl SqlStore {
    /// Closes the connections, which folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Begins a transaction that will write.
    async fn write(&self) -> Result<Write, StoreError> {
        let mut connection = self.writer.acquire().await.map_err(|error| self.failed(error))?;
        match sqlx::query(self.dialect.begin_write()).execute(&mut *connection).await {
            Ok(_) => Ok(Write { connection, committed: false }),
            Err(error) => {
                connection.close_on_drop();
                Err(self.failed(error))
            }
        }
    }

    async fn commit(&self, mut write: Write) -> Result<(), StoreError> {
        sqlx::query("COMMIT").execute(write.on()).await.map_err(|error| self.failed(error))?;
        write.committed = true;
        Ok(())
    }

    /// The error of a statement, with the place it happened at.
    fn failed(&self, error: sqlx::Error) -> StoreError {
        StoreError::Database(format!("{}: {}", self.place, open::words(&error)))
    }
}

/// A transaction that writes. One that ends without a commit takes its connection with it: after a full disk SQLite may
/// have rolled back by itself, and a fresh connection is the one state that is certain.
struct Write {
    connection: PoolConnection<Any>,
    committed: bool,
}

impl Write {
    /// The connection, for one statement.
    fn on(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if !self.committed {
            self.connection.close_on_drop();
        }
    }
}

impl Store for SqlStore {
    async fn load_source(&self, source: &SourceId) -> Result<SourceMemory, StoreError> {
        poll::load_source(self, source).await
    }

    async fn begin_generation(&self, fingerprint: &str, is_reload: bool, now: Timestamp) -> Result<i64, StoreError> {
        generation::begin(self, fingerprint, is_reload, now).await
    }

    async fn generation(&self, source: &SourceId) -> Result<i64, StoreError> {
        poll::generation(self, source).await
    }

    async fn known_alerts(&self, ids: &[AlertId]) -> Result<HashSet<AlertId>, StoreError> {
        poll::known_alerts(self, ids).await
    }

    async fn commit_poll(&self, commit: &PollCommit) -> Result<(), StoreError> {
        poll::commit(self, commit).await
    }

    async fn record_unreadable(&self, source: &SourceId, now: Timestamp, reason: &str) -> Result<(), StoreError> {
        poll::record_unreadable(self, source, now, reason).await
    }

    async fn reclaim(&self, now: Timestamp) -> Result<u64, StoreError> {
        outbox::reclaim(self, now).await
    }

    async fn claim(&self, receiver: &ReceiverId, now: Timestamp, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        outbox::claim(self, receiver, now, limit).await
    }

    async fn queue(&self, receiver: &ReceiverId, now: Timestamp, limit: usize) -> Result<Vec<Queued>, StoreError> {
        merge::queue(self, receiver, now, limit).await
    }

    async fn mergeable(&self, deliveries: &[DeliveryId]) -> Result<Vec<Mergeable>, StoreError> {
        merge::mergeable(self, deliveries).await
    }

    async fn merge(&self, group: &Delivery, members: &[DeliveryId]) -> Result<bool, StoreError> {
        merge::merge(self, group, members).await
    }

    async fn due_groups(
        &self,
        receiver: &ReceiverId,
        by: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<DueGroup>, StoreError> {
        gather::due_groups(self, receiver, by, now).await
    }

    async fn gathered(&self, receiver: &ReceiverId, key: &str, limit: usize) -> Result<Vec<Queued>, StoreError> {
        gather::gathered(self, receiver, key, limit).await
    }

    async fn postpone_group(&self, receiver: &ReceiverId, key: &str, until: Timestamp) -> Result<(), StoreError> {
        gather::postpone(self, receiver, key, until).await
    }

    async fn tell_alone(&self, deliveries: &[DeliveryId], now: Timestamp) -> Result<(), StoreError> {
        gather::tell_alone(self, deliveries, now).await
    }

    async fn told_by(&self, group: &DeliveryId) -> Result<Vec<AlertFacts>, StoreError> {
        gather::told_by(self, group).await
    }

    async fn unrepeated(&self, now: Timestamp) -> Result<Vec<Unrepeated>, StoreError> {
        gather::unrepeated(self, now).await
    }

    async fn tell_again(&self, deliveries: &[Delivery]) -> Result<(), StoreError> {
        gather::tell_again(self, deliveries).await
    }

    async fn attempts_since(&self, since: Timestamp) -> Result<Vec<(ReceiverId, Timestamp)>, StoreError> {
        outbox::attempts_since(self, since).await
    }

    async fn release(&self, claimed: &[DeliveryId]) -> Result<(), StoreError> {
        outbox::release(self, claimed).await
    }

    async fn settle(&self, settled: &[Settled]) -> Result<(), StoreError> {
        outbox::settle(self, settled).await
    }

    async fn next_due(&self, receiver: &ReceiverId) -> Result<Option<Timestamp>, StoreError> {
        outbox::next_due(self, receiver).await
    }

    async fn count_due(&self, receiver: &ReceiverId, now: Timestamp) -> Result<u64, StoreError> {
        outbox::count_due(self, receiver, now).await
    }

    async fn alerts(&self, limit: usize) -> Result<Vec<Alert>, StoreError> {
        poll::alerts(self, limit).await
    }

    async fn deliveries(&self, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        outbox::deliveries(self, limit).await
    }

    async fn find_deliveries(&self, query: &DeliveryQuery, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        letters::find(self, query, limit).await
    }

    async fn delivery_record(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        letters::record(self, id).await
    }

    async fn revive(&self, which: &DeadLetters, now: Timestamp) -> Result<Revived, StoreError> {
        letters::revive(self, which, now).await
    }

    async fn sources(&self) -> Result<Vec<SourceCondition>, StoreError> {
        poll::sources(self).await
    }

    async fn job_names(&self, source: Option<&SourceId>) -> Result<Vec<String>, StoreError> {
        history::job_names(self, source.map(SourceId::as_str)).await
    }

    async fn instances(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, StoreError> {
        history::instances(self, filter).await
    }

    async fn jobs(&self, filter: &InstanceFilter) -> Result<Vec<JobHistory>, StoreError> {
        history::jobs(self, filter).await
    }

    async fn load_learnt(&self, source: &SourceId) -> Result<BTreeMap<String, String>, StoreError> {
        learnt::load(self, source).await
    }

    async fn save_learnt(&self, source: &SourceId, learnt: &BTreeMap<String, String>) -> Result<(), StoreError> {
        learnt::save(self, source, learnt).await
    }

    async fn undelivered(
        &self,
        receiver: &ReceiverId,
        owed_before: Timestamp,
        died_after: Timestamp,
        limit: usize,
    ) -> Result<Vec<Undelivered>, StoreError> {
        fallback::undelivered(self, receiver, owed_before, died_after, limit).await
    }

    async fn oldest_undelivered(&self, receiver: &ReceiverId) -> Result<Option<Timestamp>, StoreError> {
        fallback::oldest_undelivered(self, receiver).await
    }

    async fn stand_in(&self, stand_ins: &[StandIn]) -> Result<u64, StoreError> {
        fallback::stand_in(self, stand_ins).await
    }

    async fn ended_since_told(&self, receiver: &ReceiverId, limit: usize) -> Result<Vec<ToldInstead>, StoreError> {
        fallback::ended_since_told(self, receiver, limit).await
    }

    async fn add_answers(&self, answers: &[Delivery]) -> Result<(), StoreError> {
        fallback::add_answers(self, answers).await
    }

    async fn due_steps(
        &self,
        steps: &[RuleStep],
        within: (Timestamp, Timestamp),
        after: Option<&AfterStep>,
        limit: usize,
    ) -> Result<Vec<DueStep>, StoreError> {
        escalation::due(self, steps, within, after, limit).await
    }

    async fn next_step(&self, steps: &[RuleStep], after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        escalation::next(self, steps, after).await
    }

    async fn take_steps(&self, taken: &[StepTaken], now: Timestamp) -> Result<u64, StoreError> {
        escalation::take(self, taken, now).await
    }

    async fn escalated_ends(&self, limit: usize) -> Result<Vec<EscalatedEnd>, StoreError> {
        escalation::ended(self, limit).await
    }

    async fn settle_ends(&self, ends: &[EscalatedEnd]) -> Result<u64, StoreError> {
        escalation::settle_ends(self, ends).await
    }

    async fn past_runs(&self, source: &SourceId, jobs: &[String], limit: usize) -> Result<PastRuns, StoreError> {
        past::past_runs(self, source, jobs, limit).await
    }

    async fn planned_jobs(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<BTreeSet<(String, InstanceType)>, StoreError> {
        past::planned_jobs(self, source, from, until).await
    }

    async fn add_silence(&self, new: &NewSilence, now: Timestamp) -> Result<SilenceId, StoreError> {
        silence::add(self, new, now).await
    }

    async fn expire_silence(&self, id: SilenceId, by: &str, now: Timestamp) -> Result<Option<Silence>, StoreError> {
        silence::expire(self, id, by, now).await
    }

    async fn silence(&self, id: SilenceId) -> Result<Option<Silence>, StoreError> {
        silence::one(self, id).await
    }

    async fn active_silences(&self, now: Timestamp) -> Result<Vec<Silence>, StoreError> {
        silence::active(self, now).await
    }

    async fn silences(&self) -> Result<Vec<(Silence, u64)>, StoreError> {
        silence::all(self).await
    }

    async fn alerts_named(&self, prefix: &str) -> Result<Vec<Alert>, StoreError> {
        silence::alerts_named(self, prefix).await
    }

    async fn ack(&self, alerts: &[AlertId], ack: &Ack) -> Result<(), StoreError> {
        silence::ack(self, alerts, ack).await
    }

    async fn told_and_firing(&self, sources: &[SourceId], limit: usize) -> Result<Vec<Alert>, StoreError> {
        silence::told_and_firing(self, sources, limit).await
    }

    async fn acks(&self) -> Result<HashMap<AlertId, Ack>, StoreError> {
        silence::acks(self).await
    }

    async fn record_gap(&self, gap: &GapPart, now: Timestamp) -> Result<(), StoreError> {
        gap::record(self, gap, now).await
    }

    async fn digest_cursor(&self, name: &str) -> Result<Option<DigestCursor>, StoreError> {
        digest::cursor(self, name).await
    }

    async fn begin_digest(&self, name: &str, now: Timestamp) -> Result<DigestCursor, StoreError> {
        digest::begin(self, name, now).await
    }

    async fn tally(&self, since: Since, tally: &mut Tally) -> Result<i64, StoreError> {
        digest::tally(self, since, tally).await
    }

    async fn commit_digest(&self, commit: &DigestCommit) -> Result<(), StoreError> {
        digest::commit(self, commit).await
    }

    async fn own_state(&self, closed_since: Timestamp) -> Result<OwnState, StoreError> {
        own::state(self, closed_since).await
    }

    async fn commit_own(&self, commit: &OwnCommit) -> Result<(), StoreError> {
        own::commit(self, commit).await
    }

    async fn beat(&self, now: Timestamp) -> Result<(), StoreError> {
        own::beat(self, now).await
    }

    async fn transitions(&self, source: &SourceId, job: &str, id: &str) -> Result<Vec<Transition>, StoreError> {
        transition::of_instance(self, source, job, id).await
    }

    async fn transitions_between(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Transition>, StoreError> {
        transition::between(self, source, from, until).await
    }

    async fn states_before(&self, source: &SourceId, before: Timestamp) -> Result<Vec<Transition>, StoreError> {
        transition::states_before(self, source, before).await
    }

    async fn polls_between(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<PollRecord>, StoreError> {
        transition::polls(self, source, from, until).await
    }

    async fn purge(&self, before: Timestamp, kept: &KeptRuns) -> Result<u64, StoreError> {
        purge::purge(self, before, kept).await
    }
}
