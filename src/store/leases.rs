//! Leases: which of several replicas may run which loop, and who is there.
//!
//! All instants are the database's own clock: replicas need not agree about the time.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use super::error::StoreError;

/// The proof that one may write for a loop: the name of its lease and the token under which it is held.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fence {
    /// The lease.
    pub name: String,
    /// Grows with each taking, and is no other lease's.
    pub token: i64,
}

/// One running process of several on one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its name, which no other process has ever had.
    pub id: String,
    /// The machine.
    pub host: String,
    /// The process on it.
    pub pid: u32,
    /// Its version of Nightbell.
    pub version: String,
    /// How far its own clock is ahead of the database's, in milliseconds.
    pub clock_ahead_ms: i64,
    /// The number of the configuration that it has.
    pub configuration: i64,
    /// By what that configuration is known again.
    pub fingerprint: String,
}

/// A replica as the others know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The replica.
    pub replica: Replica,
    /// Since when it is there.
    pub started_at: Timestamp,
    /// When it was last there.
    pub seen_at: Timestamp,
}

/// A lease as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub name: String,
    /// The token of the last taking.
    pub token: i64,
    /// The replica that has it; none once it was given up.
    pub holder: Option<String>,
    /// The configuration by which the holder runs the loop.
    pub configuration: i64,
    /// Until when it is held.
    pub until: Timestamp,
    /// Since when.
    pub taken_at: Timestamp,
    /// How the loop fares, in words.
    pub status: Option<String>,
}

/// What a look at the leases shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// When that was.
    pub now: Timestamp,
    /// The number of the configuration in force, and by what it is known again.
    pub in_force: (i64, String),
    /// The leases, by name.
    pub leases: Vec<Lease>,
    /// The replicas, by name.
    pub replicas: Vec<Present>,
}

/// The leases of a store that several processes share.
pub trait Leases: Send + Sync {
    /// Whether several processes can work on the store. Where not, who has opened it holds every lease.
    fn is_shared(&self) -> bool;

    /// Says that a replica is there, where there is one to say it, and looks how everything stands.
    fn look(&self, me: Option<&Replica>) -> impl Future<Output = Result<Standing, StoreError>> + Send;

    /// Whether one of these leases is free, or held by who has said goodbye: much less than a look.
    fn is_one_free(&self, names: &[String]) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Takes all of these leases that are free, for so long, and waits for none: one under which a write is open is not free
    /// before that has ended. Returns those that were taken, each with its token.
    fn take(
        &self,
        names: &[String],
        me: &Replica,
        span: Duration,
    ) -> impl Future<Output = Result<Vec<Fence>, StoreError>> + Send;

    /// Renews leases that are held still, for so long, with how each loop fares, which runs by this configuration by now.
    /// Returns the names of those that are held.
    fn renew(
        &self,
        held: &[(Fence, Option<String>)],
        configuration: i64,
        span: Duration,
    ) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Gives leases up: others may take them at once.
    fn give_up(&self, held: &[Fence]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Says that a replica is no longer there.
    fn leave(&self, replica: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}
