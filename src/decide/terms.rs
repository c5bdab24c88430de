//! The terms on which alerts of a source are told, as the configuration says them.
//!
//! Data only.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Labels, ReceiverId};
use crate::rule::Route;

/// The terms on which a source's alerts are told.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The labels of the source.
    pub labels: Labels,
    /// Who else is told.
    pub routes: Arc<[Route]>,
    /// The receivers that there are; none where nobody knows them.
    pub receivers: Option<Arc<BTreeSet<ReceiverId>>>,
    /// The generation of the configuration; none where nobody counts them.
    pub generation: Option<i64>,
}
