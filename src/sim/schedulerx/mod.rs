//! A simulated SchedulerX service: the documented API of 2019-04-30 over real HTTP on a loopback port.
//!
//! It is strict where the documents are (signature over the raw request, clock, nonces used once, required parameters,
//! calls a minute) and can be set to what they leave open: whether a whole group can be listed, the largest page, the
//! zone of the time strings. It reads its clock and the requests, writes nothing, and must never know of the client
//! that it is asked by.

mod flows;
mod gateway;
mod server;
mod service;
mod state;
mod workflow;

pub use self::flows::{SimFlowRun, SimStep};
pub use server::SimSchedulerX;
pub use state::{GroupLists, SimRun, SimSchedulerXConfig, SimTiming};
