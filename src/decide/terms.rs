//! The terms on which alerts of a source are told, as the configuration says them.
//!
//! Data only.

use std::sync::Arc;

use crate::model::Labels;
use crate::rule::Route;

/// The terms on which a source's alerts are told.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The labels of the source.
    pub labels: Labels,
    /// Who else is told.
    pub routes: Arc<[Route]>,
    /// The generation of the configuration; none where nobody counts them.
    pub generation: Option<i64>,
}
