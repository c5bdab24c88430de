//! Sources: the schedulers that are polled, each behind the trait [`Source`].
//!
//! ```text
//! registry   one line for each kind: its settings, and the source that they open
//! saved      a saved answer, read from its file
//! dataarts | schedulerx | airflow | http
//! kit        what sources are made of
//! contract   the trait and what a source may tell besides, what it yields, how it fails
//! ```
//!
//! A source lists the instances planned in a window and tells the details of one instance. It reads the network and
//! nothing else; it must never know of rules, alerts, the store or receivers. A source that cannot be read says so
//! with a classed [`SourceError`]; it never answers "nothing there" for "could not read".

pub mod airflow;
mod contract;
pub mod dataarts;
pub mod http;
mod kit;
mod registry;
mod saved;
pub mod schedulerx;

pub use contract::{
    Detail, Finding, Grade, Learnt, Listing, LogEnd, Sample, SampleRow, Source, SourceError, SourceErrorKind,
    TellsJobs, TellsSchedules,
};
pub use kit::Patience;
pub use registry::{KINDS, SchedulerKind, SchedulerSettings, SourceSettings};
pub use saved::read_saved;
