//! A simulated DataArts workspace: the documented API over real HTTP on a loopback port. A simulated SchedulerX stands
//! beside it in a file of its own.
//!
//! It is strict where the documents are (signature over the raw request, clock, token, workspace, ranges of parameters,
//! the span of a query) and can be set to either meaning of `offset`. The demonstration runs on it, and the tests: what
//! a scheduler can do wrong is put in with [`SimWorkspace::inject`]. It reads its clock and the requests, writes
//! nothing, and must never know of the client that it is asked by.
//!
//! ```text
//! request -> gateway (who asks? is it allowed?) -> state (jobs' instances) -> answer, or the fault put in
//! ```

mod config;
mod dialect;
mod fault;
mod gateway;
mod inbox;
mod jobs;
mod mail;
mod node;
mod schedulerx;
mod shared;
mod state;
mod tokens;
mod workspace;

pub use config::{ListOrder, OffsetMeaning, SimConfig, SimUser};
pub use dialect::Dialect;
pub use fault::{Fault, FaultKind, Operation, apply as apply_fault, take as take_fault};
pub use inbox::{Board, Inbox, Received};
pub use jobs::SimJob;
pub use mail::Mail;
pub use node::SimNode;
pub use schedulerx::{GroupLists, SimFlowRun, SimRun, SimSchedulerX, SimSchedulerXConfig, SimStep, SimTiming};
pub use shared::Requests;
pub use state::SimInstance;
pub use workspace::SimWorkspace;
