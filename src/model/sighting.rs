//! A run as it is from some instant on: one frame of a story that is played again.

use jiff::Timestamp;

use super::instance::{Instance, Node};

/// How a run is from an instant on.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// From when on.
    pub at: Timestamp,
    /// The run.
    pub instance: Instance,
    /// Its nodes, where they are known.
    pub nodes: Vec<Node>,
}
