//! The store: what must survive a restart, by role.
//!
//! It holds the poll cursor of each source, the last snapshot of each instance, the alerts, the outbox of deliveries,
//! the log of attempts, and the log of what polls saw change. Who works with it names the roles that it needs:
//!
//! | role | for |
//! |---|---|
//! | [`PollLedger`] | a poll: what it knows, and the one transaction that moves cursor, snapshots, alerts and outbox |
//! | [`Outbox`], [`Groups`] | lanes: what is due is claimed, sent alone or together, and settled |
//! | [`FallbackDeliveries`], [`Steps`] | who else is notified when a message does not arrive or an alert goes on firing |
//! | [`Digests`] | summaries |
//! | [`OwnAlerts`], [`Upkeep`] | Nightbell itself |
//! | [`Leases`] | which of several replicas may run which loop |
//! | [`Desk`] | what people say: silences, acknowledgements; and the record of what they did |
//! | [`Access`] | who may look at the page and the API: tokens, sessions |
//! | [`Archive`] | what was recorded: sources, runs, alerts, and the log of what polls saw, which is played again |
//! | [`Inquiry`] | all about one run, for `explain` |
//! | [`Board`] | the lists of the page and the API, page by page |
//! | [`Deliveries`] | the outbox as people see it; dead letters are sent again here |
//! | [`Counts`] | how much there is: numbers for metrics, pages and commands |
//!
//! The first half serves loops, each of which names the few roles that it needs; the second half serves people. A role is as
//! large as the file that holds its statements.
//!
//! [`PollLedger::commit_poll`] moves everything in one transaction, so that whatever rewinds the database costs a repeat and
//! never a loss; [`Outbox::settle`] records attempts with the deliveries' new states. No transaction is open while a
//! network call runs. Whatever a method has answered with `Ok` survives a power cut; after an error nothing of it is there,
//! unless the error came from the commit itself, and then repeating the call does no harm. The store must never know of
//! rules, wire formats or channels.
//!
//! Each role has a file with its trait and the records that it takes and gives; [`SqlStore`] implements it in the file of
//! `sql` that holds its statements: SQL that is common to SQLite and PostgreSQL, with a small dialect for the rest.

mod access;
mod address;
mod archive;
mod board;
mod counts;
mod deliveries;
mod desk;
mod digests;
mod error;
mod escalation;
mod fallback;
mod groups;
mod inquiry;
mod leases;
mod ledger;
mod outbox;
mod own;
mod sql;
mod upkeep;

pub use access::{Access, NewToken, TokenRecord};
pub use address::{StoreAddress, TLS_MODES};
pub use archive::{
    AlertQuery, Archive, InstanceFilter, JobHistory, MessageRecord, SourceCondition, Telling, Transition,
};
pub use board::{AlertAsk, Board, DayCount, DeliveryAsk, Place, ReadSpan, SlotCount, StepRow, ToldWhen};
pub use counts::{Backlog, Counted, Counts, FiringCount, Worker};
pub use deliveries::{AttemptRecord, DeadLetters, Deliveries, DeliveryQuery, DeliveryRecord, Revived};
pub use desk::{Desk, NewSilence, Told};
pub use digests::{DigestCommit, DigestCursor, Digests, Since};
pub use error::StoreError;
pub use escalation::{AfterStep, Steps};
pub use fallback::{FallbackDeliveries, FallbackDelivery, KnownReceiver, ToldInstead, Undelivered};
pub use groups::{Groups, Unrepeated};
pub use inquiry::Inquiry;
pub use leases::{Fence, Lease, Leases, Present, Replica, Standing};
pub use ledger::{PastRuns, PollCommit, PollLedger};
pub use outbox::{Hurried, Outbox, Pending, Settled};
pub use own::{OwnAlerts, OwnCommit, OwnState, ReceiverHealth};
pub use sql::{Copied, Mode, SqlStore};
pub use upkeep::{KeptRuns, Upkeep};
