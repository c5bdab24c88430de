//! Why the program cannot run.

use std::net::SocketAddr;

use crate::desk::DeskError;
use crate::source::SourceError;
use crate::store::StoreError;

/// Why the program cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A source's settings cannot be used.
    #[error("source {id}: {error}")]
    Source {
        /// The source.
        id: String,
        /// What is wrong.
        error: SourceError,
    },
    /// A receiver's settings cannot be used.
    #[error("receiver {id}: {reason}")]
    Receiver {
        /// The receiver.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// The heartbeat's settings cannot be used.
    #[error("heartbeat: {0}")]
    Heartbeat(String),
    /// The page cannot be served.
    #[error("web: cannot listen on {address}: {error}")]
    Web {
        /// Where.
        address: SocketAddr,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// Something that is needed once cannot be had.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// Other replicas run what one round of everything would do.
    #[error("other replicas hold {0}: they do what \"run --once\" would do")]
    HeldByOthers(String),
    /// Another replica may have a lease that this process had.
    #[error("the lease {0} was lost: another replica may have it; what was under way was cut")]
    LeaseLost(String),
    /// A loop broke down.
    #[error("a loop broke down (this is a bug); start nightbell again: pending deliveries are in the store")]
    LoopEnded,
}
